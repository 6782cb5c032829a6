// What a session may do in a cluster: a value that knows no node and no connection, so that tests can try commands in any order.
//
// A transaction, and watched keys, are of one node. Which one is known with the first key, so MULTI waits in the daemon for it.

internal import DatabaseContract

/// The rules of one session.
struct RedisSessionRules: Equatable {
    /// What is to be done with a command.
    enum Action: Equatable {
        /// The daemon says OK by itself, as every server would.
        case answer
        /// Where the session is; anywhere, if it is nowhere yet.
        case stay
        /// To the node of its slot; the session moves there if it is elsewhere.
        case move
        case refuse(Refusal)
    }

    enum Refusal: Equatable {
        /// The transaction is of another slot.
        case otherSlot(UInt16, UInt16)
        /// The session is bound to another node, by watched keys or a transaction.
        case otherNode(UInt16)
        /// MULTI within MULTI.
        case nested
        /// A batch directly behind MULTI.
        case batch
        /// The transaction could not be begun, and waits for its end.
        case aborted
    }

    /// What the caller knows of the present moment.
    struct Situation: Equatable {
        /// Of the connection.
        var transaction = TransactionState.none
        /// The session's node has the slot of the command; true for one without keys.
        var isAtHome = true
        /// It is a batch.
        var isBatch = false
    }

    /// MULTI was answered, and no node has got it yet.
    private(set) var isPromised = false
    /// MULTI was answered, and the node that was to get it did not.
    private(set) var isAborted = false
    private(set) var isWatching = false
    /// Of the keys that were watched last.
    private var watchedSlot: UInt16?
    /// That of the open transaction.
    private(set) var slot: UInt16?

    /// Whether what is there would be lost if the session went to another node.
    func isBound(_ transaction: TransactionState) -> Bool { isWatching || transaction != .none }

    /// The transaction as the client sees it.
    func shown(_ transaction: TransactionState) -> TransactionState {
        isPromised ? .active : isAborted ? .failed : transaction
    }

    /// A command is to be sent.
    mutating func decide(_ route: RedisRouting.Route, _ situation: Situation) -> Action {
        if isAborted { return leave(route.name) }
        if route.name == "MULTI", situation.transaction == .none { return promise() }
        if isPromised, situation.isBatch { return .refuse(.batch) }
        // Where keys are watched, the server has to be told: MULTI and DISCARD.
        if isPromised, route.name == "DISCARD", !isWatching {
            isPromised = false
            return .answer
        }
        guard let wanted = route.slot else { return .stay }
        guard isBound(situation.transaction) else { return .move }
        if situation.transaction != .none, let slot, slot != wanted { return .refuse(.otherSlot(slot, wanted)) }
        // What has moved away, the node says by itself.
        return situation.isAtHome || wanted == slot || wanted == watchedSlot ? .stay : .refuse(.otherNode(wanted))
    }

    private mutating func promise() -> Action {
        if isPromised { return .refuse(.nested) }
        isPromised = true
        return .answer
    }

    private mutating func leave(_ name: String) -> Action {
        guard ["EXEC", "DISCARD"].contains(name) else { return .refuse(.aborted) }
        isAborted = false
        return name == "DISCARD" ? .answer : .refuse(.aborted)
    }

    /// The command goes to a node.
    /// - Returns: whether MULTI goes before it.
    mutating func willSend(_ route: RedisRouting.Route, _ situation: Situation) -> Bool {
        let opens = isPromised
        if opens { isPromised = false }
        if opens || situation.transaction != .none { slot = slot ?? route.slot }
        if route.name == "WATCH" { (isWatching, watchedSlot) = (true, route.slot) }
        return opens
    }

    /// A node has answered, or there was none; `opened`: MULTI went before it.
    mutating func didEnd(_ route: RedisRouting.Route, opened: Bool, _ transaction: TransactionState) {
        if ["EXEC", "DISCARD", "UNWATCH"].contains(route.name) { forgetWatched() }
        if opened, transaction == .none, !["EXEC", "DISCARD"].contains(route.name) { isAborted = true }
        if transaction == .none { slot = nil }
    }

    /// Nothing is watched any more.
    mutating func forgetWatched() { (isWatching, watchedSlot) = (false, nil) }
}

extension RedisSessionRules.Refusal {
    var error: DriverError {
        switch self {
        case .otherSlot(let first, let second): .severalSlots(first, second, in: "transaction")
        case .otherNode(let slot):
            DriverError(
                .badRequest,
                "The session is bound to one node of the Redis Cluster, by its transaction or by watched keys, and another node "
                    + "has the slot \(slot); nothing was sent.",
                hint: "Give the keys of a transaction, and those that it watches, the same {tag}.", sqlState: "0A000")
        case .nested:
            DriverError(.databaseError, "MULTI calls can not be nested.", sqlState: "25001")
        case .batch:
            DriverError(
                .badRequest,
                "A batch cannot begin a transaction: in a Redis Cluster its first command decides on the node.",
                hint: "Send a command of the transaction first, or an atomic batch without MULTI.", sqlState: "25001")
        case .aborted:
            DriverError(
                .databaseError, "The transaction was not begun, since its first command failed; nothing is executed.",
                hint: "End it by DISCARD, and repeat the whole transaction.", sqlState: "25P02")
        }
    }
}
