// Lowers limits to what the process can keep: each connection and each session has open files, whose number is limited
// (getrlimit(2), RLIMIT_NOFILE).

extension Limits {
    /// Descriptors for other purposes: listeners, loops, the log, and files that are open for a moment.
    private static let ownDescriptorCount = 64
    /// The open files of a session on a SQLite file: the file and its log; all sessions share the index.
    private static let descriptorsPerSession = 2
    /// The fewest open temporary files of SQLite: two sorts of two users.
    private static let temporaryFileCountMin = 16

    /// These limits, lowered for a process that may open `descriptorCount` files: connections get three quarters of
    /// them, and the sessions of one user a quarter, so that some always remain for databases. Temporary files of
    /// SQLite get an eighth, half of it for one user: a session may have dozens.
    /// - Returns: also the limits that were lowered, for the log.
    public func fitting(descriptorCount: Int) -> (limits: Limits, changes: [LimitChange]) {
        let available = max(descriptorCount / 2, descriptorCount - Self.ownDescriptorCount)
        var limits = self
        var changes: [LimitChange] = []
        func lower(_ name: LimitName, _ place: WritableKeyPath<Limits, Int>, to ceiling: Int) {
            let wanted = limits[keyPath: place]
            guard wanted > max(1, ceiling) else { return }
            limits[keyPath: place] = max(1, ceiling)
            changes.append(LimitChange(name: "\(name.name)", wanted: wanted, value: max(1, ceiling)))
        }
        lower(.connections, \.connectionCountMax, to: available / 4 * 3)
        lower(.connectionsPerUser, \.connectionCountPerUserMax, to: limits.connectionCountMax)
        lower(.sessionsPerUser, \.sessionsPerUserMax, to: available / 4 / Self.descriptorsPerSession)
        limits.temporaryFileCountMax = max(Self.temporaryFileCountMin, available / 8)
        return (limits, changes)
    }
}

/// A limit whose value in force differs from the configured one.
public struct LimitChange: Sendable, Equatable {
    public let name: String
    public let wanted: Int
    public let value: Int
}
