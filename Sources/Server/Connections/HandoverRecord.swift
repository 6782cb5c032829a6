// What a later process learns about a connection.

internal import WireProtocol

/// Whether the descriptor store keeps a connection, and where its position is recorded.
///
/// Invariants: while bytes move, the slot says that the position is unknown; the position is recorded only when every
/// received byte was processed and every produced byte was sent.
/// came was looked at and every byte that was made was sent.
///
/// - Thread: its connection's loop.
enum HandoverRecord {
    /// It ends with the process.
    case none
    /// It is on its way to the store.
    case offered
    case kept(HandoverSlot)

    /// What another process needs in order to continue.
    struct Position {
        var framing: Framing?
        var preferences: ClientPreferences
        var sessionCount: UInt64
        var lane: LaneState
    }

    init(_ slot: HandoverSlot?) { self = if let slot { .kept(slot) } else { .none } }

    var slot: HandoverSlot? {
        if case .kept(let slot) = self { slot } else { nil }
    }

    var isKept: Bool { slot != nil }

    /// Whether it may be offered to the store.
    var mayBeOffered: Bool {
        if case .none = self { true } else { false }
    }

    mutating func offer() { self = .offered }

    /// The store has taken it; without a slot it has not.
    mutating func adopt(_ slot: HandoverSlot?) {
        precondition(!isKept || slot == nil, "a connection is kept twice")
        if !isKept { self = HandoverRecord(slot) }
    }

    /// Forgets the slot.
    mutating func forget() { self = .none }

    /// Bytes are about to move.
    func markUnknown() { slot?.markUnknown() }

    /// Records the position.
    /// - Parameters:
    ///   - position: what another process needs.
    ///   - requests: those without a reply.
    ///   - isBehindLeftover: whether stored bytes come first.
    func write(_ position: Position, unanswered requests: RequestsInFlight, isBehindLeftover: Bool = false) {
        write(position, requests.count, isBehindLeftover) {
            UnansweredRequest(id: requests.operations[$0].id, encoding: requests.operations[$0].encoding.number)
        }
    }

    /// The same with one request, which is about to start.
    func write(_ position: Position, unanswered id: RequestID, _ encoding: WireEncoding) {
        write(position, 1, false) { _ in UnansweredRequest(id: id, encoding: encoding.number) }
    }

    private func write(
        _ position: Position, _ requestCount: Int, _ isBehindLeftover: Bool, _ request: (Int) -> UnansweredRequest
    ) {
        slot?.record(
            framing: position.framing?.number, int64Style: position.preferences.int64Style,
            noticeEncoding: position.preferences.noticeEncoding?.number, sessionCount: position.sessionCount,
            takesDescriptors: position.preferences.takesDescriptors, lane: position.lane, requestCount: requestCount,
            isBehindLeftover: isBehindLeftover, request: request)
    }
}

/// What a client has asked for in `hello`.
struct ClientPreferences {
    var int64Style = Int64Style.tagged
    /// Encoding of notices; `nil` if the client does not know them.
    var noticeEncoding: WireEncoding?
    /// It sends descriptors along.
    var takesDescriptors = false
    /// The name that the client gives itself; a later process does not know it.
    var name: String?
}
