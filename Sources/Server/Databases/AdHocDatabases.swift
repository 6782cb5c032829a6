// Databases that clients name by URL. Sessions on the same file share one database, so that they queue for its write
// lock instead of colliding.

internal import DatabaseDrivers
internal import Synchronization

/// Databases by URL, as long as a session uses them.
///
/// - Thread: any.
final class AdHocDatabases: Sendable {
    private struct Entry: Sendable {
        let location: DatabaseLocation
        weak let database: (any Database)?
    }

    private let entries = Mutex<[Entry]>([])

    /// The database at a location: one that is in use already, or a new one. A memory database is always new.
    func database(at location: DatabaseLocation, settings: DriverSettings, workers: WorkerPool) -> any Database {
        entries.withLock { entries in
            entries.removeAll { $0.database == nil }
            if !location.isMemory, let known = entries.first(where: { $0.location == location })?.database {
                return known
            }
            let made = Self.make(location, settings, workers)
            entries.append(Entry(location: location, database: made))
            return made
        }
    }

    private static func make(
        _ location: DatabaseLocation, _ settings: DriverSettings, _ workers: WorkerPool
    ) -> any Database {
        switch location {
        case .sqlite(let location):
            // The file belongs to somebody else: its journal mode stays.
            return SQLiteDatabase(
                name: "", location: location, isReadOnly: false, isOurs: false, settings: settings.sqlite,
                workers: workers
            ) { _ in }
        case .remote(let location):
            var remote = settings.remote
            remote.isOfClient = true
            return RemoteDatabase(name: "", location: location, isReadOnly: false, settings: remote) { _ in }
        }
    }
}

extension DatabaseLocation {
    /// Whether each database there is another one.
    var isMemory: Bool { if case .sqlite(let location) = self { location.place == .memory } else { false } }
}

/// What the drivers need of the limits.
struct DriverSettings: Equatable {
    var sqlite: SQLiteSettings
    var remote: RemoteSettings
}

extension Limits {
    /// What the drivers need of them; `loopCount` loops share the pages kept in memory.
    func driverSettings(loopCount: Int) -> DriverSettings {
        DriverSettings(sqlite: sqliteSettings(loopCount: loopCount), remote: remoteSettings)
    }

    private var remoteSettings: RemoteSettings {
        RemoteSettings(
            connectionCountMax: poolConnectionCountMax, waitMillisecondsMax: poolWaitMillisecondsMax,
            idleMillisecondsMax: poolIdleMillisecondsMax, lifetimeMillisecondsMax: poolLifetimeMillisecondsMax,
            connectMillisecondsMax: connectMillisecondsMax)
    }

    private func sqliteSettings(loopCount: Int) -> SQLiteSettings {
        SQLiteSettings(
            busyMillisecondsMax: busyTimeMillisecondsMax, readerCountMax: readersPerDatabaseMax,
            statementCountMax: statementCacheCountMax, valueByteCountMax: rowByteCountMax,
            pageCacheByteCountMax: pageCachePerDatabaseByteCountMax / max(1, loopCount),
            idleMillisecondsMax: sqliteIdleMillisecondsMax)
    }
}
