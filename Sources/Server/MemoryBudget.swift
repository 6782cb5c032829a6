// Lowers limits to what the memory can keep: clients must not make the daemon allocate so much that the kernel ends it.

internal import DatabaseContract

/// Limits of memory that the configuration sets; the others follow from the available memory.
public struct GivenMemoryLimits: Sendable {
    public var sqlite: Bool
    public var sqlitePerUser: Bool
    public var bufferedPerUser: Bool
    public var catalog: Bool

    public init(
        sqlite: Bool = false, sqlitePerUser: Bool = false, bufferedPerUser: Bool = false, catalog: Bool = false
    ) {
        self.catalog = catalog
        self.sqlite = sqlite
        self.sqlitePerUser = sqlitePerUser
        self.bufferedPerUser = bufferedPerUser
    }
}

extension Limits {
    private static let roundByteCount = 1 << 20
    /// With less, SQLite's caches alone would not fit.
    private static let sqliteByteCountMin = 16 << 20

    /// These limits, lowered for a process that may use `memoryByteCount`.
    ///
    /// One user may take a quarter of it for SQLite's memory and buffers, half of that for each; SQLite in all and two
    /// users' buffers may take half. The rest is for the daemon itself, the kernel's page cache, and further users:
    /// they do not all take their most at the same time.
    ///
    /// - Parameters:
    ///   - memoryByteCount: what the process may use.
    ///   - given: limits that stay unchanged.
    /// - Returns: also the limits that were lowered, for the log, and whether the given ones are too high.
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
            // Half of the former, unless configured.
            let wanted = limits.ofEngines.memoryOfUser > 0 ? limits.ofEngines.memoryOfUser : Int.max
            lower(.sqliteMemoryBytesPerUser, wanted, to: share(8, atLeast: Self.sqliteByteCountMin / 2)) {
                $0.sqliteMemoryByteCountPerUserMax = $1
            }
        }
        if !given.bufferedPerUser {
            lower(.bufferedBytesPerUser, bufferedByteCountPerUserMax, to: share(8, atLeast: Self.roundByteCount)) {
                $0.bufferedByteCountPerUserMax = $1
            }
        }
        if !given.catalog {
            lower(.catalogBytes, catalogByteCountMax, to: share(16, atLeast: 4 * Self.roundByteCount)) {
                $0.catalogByteCountMax = $1
            }
        }
        return (limits, changes, limits.exceed(memoryByteCount))
    }

    private func exceed(_ memoryByteCount: Int) -> Bool {
        func unlimited(_ byteCount: Int) -> Int { byteCount > 0 ? byteCount : .max / 8 }
        let inAll = unlimited(sqliteMemoryByteCountMax)
        // One user cannot have more than all.
        let ofUser = min(inAll, unlimited(ofEngines.memoryOfUser))
        return ofUser + bufferedByteCountPerUserMax > memoryByteCount / 4
            || inAll + 2 * bufferedByteCountPerUserMax > memoryByteCount / 2
    }
}
