// Databases that clients name by URL. Sessions on the same file share one database, so that they queue for its write
// lock instead of colliding.

internal import DatabaseContract
internal import Synchronization

/// Databases by URL, as long as a session uses them.
///
/// - Thread: any.
final class AdHocDatabases: Sendable {
    private struct Entry: Sendable {
        let location: any DatabaseLocation
        weak let database: (any Database)?
    }

    private let entries = Mutex<[Entry]>([])

    /// The database at a location: one that is in use, or a new one. A memory database is always new.
    func database(
        at location: any DatabaseLocation, settings: DatabaseSettings, promptWorkers: WorkerPool
    ) -> any Database {
        entries.withLock { entries in
            entries.removeAll { $0.database == nil }
            if !location.isMemory, let known = entries.first(where: { $0.location.isSame(as: location) })?.database {
                return known
            }
            // The file belongs to somebody else, so its journal mode stays.
            let made = location.makeDatabase(
                DatabasePlan(name: "", isOurs: false, settings: settings, promptWorkers: promptWorkers))
            entries.append(Entry(location: location, database: made))
            return made
        }
    }
}

extension Limits {
    /// The drivers' settings; `loopCount` loops share the pages kept in memory.
    func databaseSettings(loopCount: Int) -> DatabaseSettings {
        DatabaseSettings(embedded: embeddedSettings(loopCount: loopCount), remote: remoteSettings)
    }

    private var remoteSettings: RemoteSettings {
        RemoteSettings(
            connectionCountMax: poolConnectionCountMax, waitMillisecondsMax: poolWaitMillisecondsMax,
            idleMillisecondsMax: poolIdleMillisecondsMax, lifetimeMillisecondsMax: poolLifetimeMillisecondsMax,
            connectMillisecondsMax: connectMillisecondsMax)
    }

    private func embeddedSettings(loopCount: Int) -> EmbeddedSettings {
        EmbeddedSettings(
            busyMillisecondsMax: busyTimeMillisecondsMax, readerCountMax: readersPerDatabaseMax,
            statementCountMax: statementCacheCountMax, valueByteCountMax: rowByteCountMax,
            pageCacheByteCountMax: pageCachePerDatabaseByteCountMax / max(1, loopCount),
            idleMillisecondsMax: sqliteIdleMillisecondsMax)
    }
}
