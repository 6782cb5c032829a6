// The position of one connection, recorded so that another process can continue it, whenever this one dies.
//
// Bytes inside a process are lost when it is killed. So before bytes move, the slot says that the position is unknown;
// after a turn in which everything received was processed, and everything produced was sent, it says which requests
// have no reply yet. ConnectionKeeper reads it; HandoverTable has the memory.

internal import Synchronization
internal import WireProtocol

/// A request without a reply.
struct UnansweredRequest {
    var id: RequestID
    var encoding: FormatNumber
}

/// A view of one slot in the shared memory.
///
/// What the numbers of encodings and framings mean is not known here.
///
/// - Layout, in bytes: 0 state (UInt32, atomic), 4 framing, 5 style of integers, 6 count of requests (UInt16), 8 number of
///   the connection (UInt64), 16 sessions it has opened (UInt64), 24 bytes of ids (UInt32), 28 encoding of notices, 29 whether
///   it takes descriptors, 30 the state of its lane, 32… ids.
/// - Thread: its connection's loop, or the control loop while there is no connection.
struct HandoverSlot: @unchecked Sendable {
    let index: Int
    private let base: UnsafeMutableRawPointer

    static let byteCount = 1_024
    private static let idsOffset = 32
    private static let noFormat = UInt8.max

    enum State: UInt32 {
        case free
        /// Bytes are, or may be, moving: nobody can continue from here.
        case unknown
        /// Everything has been read up to the end of a message, and everything written has been sent.
        case known
        /// The same, after the bytes of the leftover that is kept with the connection.
        case knownBehindLeftover
        // Versions that know no lanes do not know these either, and close the connection.
        /// As `known`, with a lane (`lane`).
        case knownWithLane
        /// As `knownBehindLeftover`, with a lane.
        case knownWithLaneBehindLeftover
    }

    /// `base` points to `byteCount` bytes that stay mapped, 8-byte aligned.
    init(index: Int, base: UnsafeMutableRawPointer) {
        self.index = index
        self.base = base
    }

    // A kill stops a thread between two instructions, and later readers see everything stored before: only the compiler
    // must keep the order, which atomics enforce.
    private var atomicState: UnsafeMutablePointer<Atomic<UInt32>> {
        base.assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// `nil` for a number that no version of this program writes.
    var state: State? { State(rawValue: atomicState.pointee.load(ordering: .acquiring)) }

    var number: UInt64 { base.load(fromByteOffset: 8, as: UInt64.self) }
    var sessionCount: UInt64 { base.load(fromByteOffset: 16, as: UInt64.self) }
    /// `nil` before the first byte.
    var framing: FormatNumber? { formatNumber(at: 4) }
    /// `nil` for a client that does not know notices.
    var noticeEncoding: FormatNumber? { formatNumber(at: 28) }
    var int64Style: Int64Style { Int64Style(rawValue: base.load(fromByteOffset: 5, as: UInt8.self)) ?? .tagged }

    var takesDescriptors: Bool { base.load(fromByteOffset: 29, as: UInt8.self) != 0 }

    /// `nil` for a number that no version of this program writes.
    var lane: LaneState? { LaneState(rawValue: base.load(fromByteOffset: 30, as: UInt8.self)) }

    private func formatNumber(at offset: Int) -> FormatNumber? {
        let number = base.load(fromByteOffset: offset, as: UInt8.self)
        return number == Self.noFormat ? nil : FormatNumber(rawValue: number)
    }

    /// Gives the slot to a new connection, of which nothing has been read yet.
    func begin(number: UInt64) {
        base.storeBytes(of: number, toByteOffset: 8, as: UInt64.self)
        record(framing: nil, int64Style: .tagged, noticeEncoding: nil, sessionCount: 0)
    }

    func free() { set(.free) }

    /// Bytes are about to move.
    func markUnknown() { set(.unknown) }

    private func set(_ state: State) {
        atomicState.pointee.store(state.rawValue, ordering: .sequentiallyConsistent)
    }

    // MARK: Writing

    /// Records that the position is known, and which requests have no reply yet; too many for the slot leave it
    /// unknown.
    func record(
        framing: FormatNumber?, int64Style: Int64Style, noticeEncoding: FormatNumber?, sessionCount: UInt64,
        takesDescriptors: Bool = false, lane: LaneState = .none, requestCount: Int = 0,
        isBehindLeftover: Bool = false, request: (Int) -> UnansweredRequest = { _ in preconditionFailure() }
    ) {
        markUnknown()
        var end = Self.idsOffset
        for index in 0..<requestCount where !append(request(index), at: &end) { return }
        base.storeBytes(of: framing?.rawValue ?? Self.noFormat, toByteOffset: 4, as: UInt8.self)
        base.storeBytes(of: int64Style.rawValue, toByteOffset: 5, as: UInt8.self)
        base.storeBytes(of: noticeEncoding?.rawValue ?? Self.noFormat, toByteOffset: 28, as: UInt8.self)
        base.storeBytes(of: takesDescriptors ? 1 : 0, toByteOffset: 29, as: UInt8.self)
        base.storeBytes(of: lane.rawValue, toByteOffset: 30, as: UInt8.self)
        base.storeBytes(of: UInt16(requestCount), toByteOffset: 6, as: UInt16.self)
        base.storeBytes(of: sessionCount, toByteOffset: 16, as: UInt64.self)
        base.storeBytes(of: UInt32(end - Self.idsOffset), toByteOffset: 24, as: UInt32.self)
        if lane == .none {
            set(isBehindLeftover ? .knownBehindLeftover : .known)
        } else {
            set(isBehindLeftover ? .knownWithLaneBehindLeftover : .knownWithLane)
        }
    }

    private enum IDKind: UInt8 { case none, integer, unsigned, string }

    // Encoding, kind, then 8 bytes of an integer, or one byte with the length of a text and the text.
    private func append(_ request: UnansweredRequest, at end: inout Int) -> Bool {
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        var number: UInt64 = 0
        let kind: IDKind
        switch request.id {
        case .none: kind = .none
        case .integer(let value):
            kind = .integer
            number = UInt64(bitPattern: value)
        case .unsigned(let value):
            kind = .unsigned
            number = value
        case .string(let bytes):
            kind = .string
            text = bytes
        }
        let byteCount = kind == .none ? 2 : kind == .string ? 3 + text.count : 10
        guard byteCount <= Self.byteCount - end, text.count <= Int(UInt8.max) else { return false }
        base.storeBytes(of: request.encoding.rawValue, toByteOffset: end, as: UInt8.self)
        base.storeBytes(of: kind.rawValue, toByteOffset: end + 1, as: UInt8.self)
        if kind == .string {
            base.storeBytes(of: UInt8(text.count), toByteOffset: end + 2, as: UInt8.self)
            if let start = text.baseAddress { (base + end + 3).copyMemory(from: start, byteCount: text.count) }
        } else if kind != .none {
            base.storeBytes(of: number, toByteOffset: end + 2, as: UInt64.self)
        }
        end += byteCount
        return true
    }

    // MARK: Reading

    /// The requests without a reply; texts point into the slot. `nil` if the slot is invalid.
    var unanswered: [UnansweredRequest]? {
        let count = Int(base.load(fromByteOffset: 6, as: UInt16.self))
        let idsByteCount = Int(base.load(fromByteOffset: 24, as: UInt32.self))
        guard idsByteCount <= Self.byteCount - Self.idsOffset else { return nil }
        var rest = UnsafeRawBufferPointer(start: base + Self.idsOffset, count: idsByteCount)
        var requests: [UnansweredRequest] = []
        for _ in 0..<count {
            guard let request = Self.read(&rest) else { return nil }
            requests.append(request)
        }
        return rest.isEmpty ? requests : nil
    }

    private static func read(_ rest: inout UnsafeRawBufferPointer) -> UnansweredRequest? {
        guard rest.count >= 2, let kind = IDKind(rawValue: rest[1]) else { return nil }
        let encoding = FormatNumber(rawValue: rest[0])
        let id: RequestID
        var byteCount = 10
        switch kind {
        case .none:
            id = .none
            byteCount = 2
        case .integer, .unsigned:
            guard rest.count >= 10 else { return nil }
            let number = rest.loadUnaligned(fromByteOffset: 2, as: UInt64.self)
            id = kind == .integer ? .integer(Int64(bitPattern: number)) : .unsigned(number)
        case .string:
            guard rest.count >= 3, rest.count - 3 >= Int(rest[2]) else { return nil }
            byteCount = 3 + Int(rest[2])
            id = .string(UnsafeRawBufferPointer(rebasing: rest[3..<byteCount]))
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[byteCount...])
        return UnansweredRequest(id: id, encoding: encoding)
    }
}
