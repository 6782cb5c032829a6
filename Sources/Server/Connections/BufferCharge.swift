// The bytes of one connection in its user's account.

/// The bytes of a connection that its user's account knows of. Small changes are reported later, because all loops
/// share an account.
///
/// Invariants: with nothing held, nothing is charged; otherwise the unreported bytes are less than `stepByteCount`, and
/// those of all connections of a user together less than `unchargedByteCount`.
struct BufferCharge {
    private(set) var byteCount = 0

    /// Smaller changes are reported later.
    static let stepByteCount = 32 << 10
    /// The most that all connections of a user together may hold without being charged.
    static let unchargedByteCount = 8 << 20

    /// Updates what one connection holds; `connectionCount` is the number of the user's connections.
    /// - Returns: the change to report to the account; 0 for none.
    mutating func settle(_ held: Int, connectionCount: Int) -> Int {
        let change = held - byteCount
        guard change != 0, held == 0 || isWorthTelling(abs(change), connectionCount) else { return 0 }
        byteCount = held
        return change
    }

    private func isWorthTelling(_ byteCount: Int, _ connectionCount: Int) -> Bool {
        byteCount >= Self.stepByteCount || byteCount >= Self.unchargedByteCount / max(1, connectionCount)
    }
}
