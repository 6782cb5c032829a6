// Limits that a database may have of its own.

internal import DatabaseContract

/// Limits of one database; `nil`: as for the whole daemon. Names and meaning are those of `Limits`.
public struct DatabaseLimits: Sendable, Equatable {
    public var readersMax: Int?
    public var statementCacheCountMax: Int?
    public var pageCacheByteCountMax: Int?
    public var poolConnectionCountMax: Int?
    public var poolWaitMillisecondsMax: Int64?
    public var poolIdleMillisecondsMax: Int64?
    public var poolLifetimeMillisecondsMax: Int64?
    public var connectMillisecondsMax: Int64?
    public var statementTimeMillisecondsMax: Int64?
    public var busyTimeMillisecondsMax: Int64?

    public init() {}
}

extension Limits {
    /// Limits of the engines in this process.
    var ofEngines: EngineLimits {
        let ofUser = sqliteMemoryByteCountPerUserMax
        return EngineLimits(
            memoryInAll: sqliteMemoryByteCountMax,
            memoryOfUser: ofUser > 0 ? ofUser : sqliteMemoryByteCountMax / 2,
            filesOfUser: temporaryByteCountPerUserMax, fileCountInAll: temporaryFileCountMax,
            fileCountOfUser: temporaryFileCountMax / 2)
    }

    /// These limits, overridden by those of a database.
    func with(_ own: DatabaseLimits) -> Limits {
        var limits = self
        func take<Value>(_ value: Value?, _ place: WritableKeyPath<Limits, Value>) {
            if let value { limits[keyPath: place] = value }
        }
        take(own.readersMax, \.readersPerDatabaseMax)
        take(own.statementCacheCountMax, \.statementCacheCountMax)
        take(own.pageCacheByteCountMax, \.pageCachePerDatabaseByteCountMax)
        take(own.poolConnectionCountMax, \.poolConnectionCountMax)
        take(own.poolWaitMillisecondsMax, \.poolWaitMillisecondsMax)
        take(own.poolIdleMillisecondsMax, \.poolIdleMillisecondsMax)
        take(own.poolLifetimeMillisecondsMax, \.poolLifetimeMillisecondsMax)
        take(own.connectMillisecondsMax, \.connectMillisecondsMax)
        take(own.statementTimeMillisecondsMax, \.statementTimeMillisecondsMax)
        take(own.busyTimeMillisecondsMax, \.busyTimeMillisecondsMax)
        return limits
    }
}
