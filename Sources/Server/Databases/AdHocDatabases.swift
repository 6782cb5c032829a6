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
    func database(at location: SQLiteLocation, settings: SQLiteSettings, workers: WorkerPool) -> any Database {
        entries.withLock { entries in
            entries.removeAll { $0.database == nil }
            if location.place != .memory,
                let known = entries.first(where: { $0.location == .sqlite(location) })?.database
            {
                return known
            }
            // The file belongs to somebody else: its journal mode stays.
            let made = SQLiteDatabase(
                name: "", location: location, isReadOnly: false, isOurs: false, settings: settings, workers: workers,
                onOpen: { _ in })
            entries.append(Entry(location: made.location, database: made))
            return made
        }
    }
}

extension Limits {
    /// What the SQLite driver needs of them, where `loopCount` loops share the pages that are kept in memory.
    func sqliteSettings(loopCount: Int) -> SQLiteSettings {
        SQLiteSettings(
            busyMillisecondsMax: busyTimeMillisecondsMax, readerCountMax: readersPerDatabaseMax,
            statementCountMax: statementCacheCountMax, valueByteCountMax: rowByteCountMax,
            pageCacheByteCountMax: pageCachePerDatabaseByteCountMax / max(1, loopCount))
    }
}
