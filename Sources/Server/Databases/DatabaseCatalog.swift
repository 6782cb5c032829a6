// The databases that clients can open by name.

internal import DatabaseDrivers
internal import LinuxSystem

/// One database of the configuration.
struct CatalogEntry: Sendable {
    let configuration: DatabaseConfiguration
    let database: any Database
    let settings: SQLiteSettings

    var isReadOnly: Bool { database.isReadOnly }
}

/// All databases at one time; a reload makes a new catalog.
///
/// - Thread: any; it never changes.
final class DatabaseCatalog: Sendable {
    let entries: [CatalogEntry]

    /// Databases whose configuration is unchanged are taken over from `earlier`, open connections included.
    init(
        _ configurations: [DatabaseConfiguration], settings: SQLiteSettings, workers: WorkerPool, observer: Observer,
        earlier: DatabaseCatalog?
    ) {
        entries = configurations.compactMap { configuration in
            // With other limits it is opened anew; one in memory would be lost.
            if let kept = earlier?.entries.first(where: { $0.configuration == configuration }),
                kept.settings == settings || kept.database.isVolatile
            {
                return kept
            }
            do throws(DriverError) {
                let database = try Self.makeDatabase(configuration, settings, workers, observer)
                return CatalogEntry(configuration: configuration, database: database, settings: settings)
            } catch {
                observer.observe(.databaseFailed(name: configuration.name, reason: error.details.message))
                return nil
            }
        }
    }

    private static func makeDatabase(
        _ configuration: DatabaseConfiguration, _ settings: SQLiteSettings, _ workers: WorkerPool, _ observer: Observer
    ) throws(DriverError) -> SQLiteDatabase {
        let name = configuration.name
        let location = try SQLiteLocation(url: configuration.url)
        let path = if case .file(let path) = location.place { path } else { ":memory:" }
        return SQLiteDatabase(
            name: name, location: location, isReadOnly: configuration.access == .readOnly, isOurs: true,
            settings: settings, workers: workers,
            onOpen: { failure in
                if let failure {
                    observer.observe(.databaseFailed(name: name, reason: "\(path): \(failure.details.message)"))
                } else if observer.wants(.info) {
                    observer.observe(.databaseOpened(name: name, path: path))
                }
            },
            onReplaced: { observer.observe(.databaseReplaced(name: name, change: $0)) })
    }

    /// The database of that name.
    func find(_ name: UnsafeRawBufferPointer) -> CatalogEntry? {
        entries.first { $0.configuration.name.utf8.elementsEqual(name) }
    }

    /// The first one of the configuration.
    var defaultEntry: CatalogEntry? { entries.first }
}
