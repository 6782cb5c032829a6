// Limits that the memory can keep: what clients may make the daemon set aside must not get it ended by the kernel.

internal import DatabaseDrivers

/// Limits of memory that somebody has set; the others follow from how much there is.
public struct GivenMemoryLimits: Sendable {
    public var sqlite: Bool
    public var sqlitePerUser: Bool
    public var bufferedPerUser: Bool

    public init(sqlite: Bool = false, sqlitePerUser: Bool = false, bufferedPerUser: Bool = false) {
        self.sqlite = sqlite
        self.sqlitePerUser = sqlitePerUser
        self.bufferedPerUser = bufferedPerUser
    }
}

extension Limits {
    private static let roundByteCount = 1 << 20
    /// With less, SQLite's caches alone would be too much.
    private static let sqliteByteCountMin = 16 << 20

    /// The same for a process that may have so much memory.
    ///
    /// What one user may have of SQLite's memory and of buffers is a quarter of it, half of that for each; what SQLite may have in
    /// all and two users may have of buffers is half. The rest is for the daemon itself, the pages of files that the kernel
    /// keeps, and further users: not all take what they may at the same time.
    ///
    /// - Parameters:
    ///   - memoryByteCount: what the process may have.
    ///   - given: limits that stay as they are.
    /// - Returns: also what could not be had, for the log, and whether what is given is too much.
    public func fitting(memoryByteCount: Int, given: GivenMemoryLimits)
        -> (limits: Limits, changes: [LimitChange], isExceeded: Bool)
    {
        var limits = self
        var changes: [LimitChange] = []
        func lower(_ name: LimitName, _ wanted: Int, to ceiling: Int, _ set: (inout Limits, Int) -> Void) {
            guard wanted > ceiling else { return }
            set(&limits, ceiling)
            changes.append(LimitChange(name: "\(name.name)", wanted: wanted, value: ceiling))
        }
        func share(_ divisor: Int, atLeast least: Int) -> Int {
            max(least, memoryByteCount / divisor / Self.roundByteCount * Self.roundByteCount)
        }
        if !given.sqlite {
            lower(.sqliteMemoryBytes, sqliteMemoryByteCountMax, to: share(4, atLeast: Self.sqliteByteCountMin)) {
                $0.sqliteMemoryByteCountMax = $1
            }
        }
        if !given.sqlitePerUser {
            // Half of the former, where nobody says otherwise.
            let wanted = limits.sqlite.memoryOfUser > 0 ? limits.sqlite.memoryOfUser : Int.max
            lower(.sqliteMemoryBytesPerUser, wanted, to: share(8, atLeast: Self.sqliteByteCountMin / 2)) {
                $0.sqliteMemoryByteCountPerUserMax = $1
            }
        }
        if !given.bufferedPerUser {
            lower(.bufferedBytesPerUser, bufferedByteCountPerUserMax, to: share(8, atLeast: Self.roundByteCount)) {
                $0.bufferedByteCountPerUserMax = $1
            }
        }
        return (limits, changes, limits.exceed(memoryByteCount))
    }

    private func exceed(_ memoryByteCount: Int) -> Bool {
        func unlimited(_ byteCount: Int) -> Int { byteCount > 0 ? byteCount : .max / 8 }
        let inAll = unlimited(sqliteMemoryByteCountMax)
        // One user cannot have more than all.
        let ofUser = min(inAll, unlimited(sqlite.memoryOfUser))
        return ofUser + bufferedByteCountPerUserMax > memoryByteCount / 4
            || inAll + 2 * bufferedByteCountPerUserMax > memoryByteCount / 2
    }
}
