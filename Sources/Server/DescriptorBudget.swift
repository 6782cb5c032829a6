// Limits that the process can keep: each connection and each session has open files, of which a process may have so many
// (getrlimit(2), RLIMIT_NOFILE).

extension Limits {
    /// Descriptors that the daemon needs besides: its listeners, loops, log, and what is open for a moment.
    private static let ownDescriptorCount = 64
    /// What a session on a SQLite file has open: the file, its log, and its index (which all of the process share).
    private static let descriptorsPerSession = 2
    /// Temporary files of SQLite that can be open, at least: two sorts of two users.
    private static let temporaryFileCountMin = 16

    /// The same for a process that may have so many files open: connections get three quarters of them, and the sessions of one
    /// user a quarter, so that there are always some for databases. Temporary files of SQLite get an eighth, half of it for one
    /// user: a session may have dozens.
    /// - Returns: also what could not be had, for the log.
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

/// A limit that is in force with another value than the configured one.
public struct LimitChange: Sendable, Equatable {
    public let name: String
    public let wanted: Int
    public let value: Int
}
