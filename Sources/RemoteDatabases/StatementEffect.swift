// How far a run may have had an effect: a value that is told what is sent and what the server says of it, and says what its client
// may be told when nothing more is heard of it.

/// What a run may have changed, as its connection knows it.
///
/// It only grows: what was sent is not taken back by what is sent behind it.
package struct StatementEffect: Equatable, Sendable {
    /// What a statement can do where it is sent, by its text and by the transaction that is open.
    package enum Nature: CaseIterable, Sendable {
        /// It changes nothing.
        case reads
        /// It reads; functions that it calls may change something, which stays at once.
        case calls
        /// What it changes stays when its transaction is committed, behind it.
        case changes
        /// What it changes, or what was changed before it, may stay at once.
        case commits
    }

    /// What is known of its changes.
    package enum Verdict: Equatable, Sendable {
        case nothing
        /// It has changed nothing by itself; functions that it calls may have.
        case nothingButByFunctions
        /// There may be changes that stay.
        case unknown
        /// The server has said that they stay.
        case done
    }

    private let isReadOnly: Bool
    /// The run provably changes nothing, so that rows which nobody wants any more may be dropped.
    package private(set) var readsOnly: Bool
    /// The last statement can commit parts of what it does before its end.
    package private(set) var isDivisible = false
    private var mayHaveCalled = false
    private var mayHaveChanged = false
    private var mayHaveCommitted = false
    private var isConfirmed = false

    /// Of a run of which nothing was sent yet.
    package init(isReadOnly: Bool = false, isDescription: Bool = false) {
        self.isReadOnly = isReadOnly
        readsOnly = isReadOnly || isDescription
    }

    /// All of the run is a statement that provably changes nothing, by its text.
    package mutating func noteHarmless() { readsOnly = true }

    /// A statement was sent, or will be.
    package mutating func noteSent(_ nature: Nature, isDivisible: Bool = false) {
        isConfirmed = false
        self.isDivisible = isDivisible && !readsOnly
        // The server refuses to write.
        if isReadOnly { return }
        switch nature {
        case .reads: break
        case .calls: mayHaveCalled = true
        case .changes: mayHaveChanged = true
        case .commits: mayHaveCommitted = true
        }
    }

    /// The server has said that what was sent stays.
    package mutating func confirm() { isConfirmed = true }

    /// - Parameter connectionIsLost: with the connection a transaction that is open is gone.
    /// - Returns: what is known when nothing more is heard of it.
    package func verdict(connectionIsLost: Bool) -> Verdict {
        if isConfirmed { return .done }
        if mayHaveCommitted || (mayHaveChanged && !connectionIsLost) { return .unknown }
        return mayHaveCalled ? .nothingButByFunctions : .nothing
    }

    /// The server has said that everything that was sent stays.
    package var isDone: Bool { isConfirmed }

    /// Whether there may be changes that stay. There are none of a run that could not write, whatever was confirmed.
    package func mayStay(connectionIsLost: Bool) -> Bool {
        switch verdict(connectionIsLost: connectionIsLost) {
        case .nothing, .nothingButByFunctions: false
        case .unknown: true
        case .done: mayHaveCommitted || (mayHaveChanged && !connectionIsLost)
        }
    }
}
