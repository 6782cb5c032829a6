// The databases that clients can open by name.

internal import DatabaseDrivers
internal import LinuxSystem

/// One database of the configuration.
struct CatalogEntry: Sendable {
    let configuration: DatabaseConfiguration
    let database: any Database
    let settings: DriverSettings

    var isReadOnly: Bool { database.isReadOnly }
}

/// All databases at one time; a reload makes a new catalog.
///
/// - Thread: any; it never changes.
final class DatabaseCatalog: Sendable {
    let entries: [CatalogEntry]

    /// Databases whose configuration is unchanged are taken over from `earlier`, open connections included.
    init(
        _ configurations: [DatabaseConfiguration], settings: DriverSettings, workers: WorkerPool, observer: Observer,
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
        _ configuration: DatabaseConfiguration, _ settings: DriverSettings, _ workers: WorkerPool, _ observer: Observer
    ) throws(DriverError) -> any Database {
        let name = configuration.name
        let isReadOnly = configuration.access == .readOnly
        switch try DatabaseLocation(url: configuration.url) {
        case .sqlite(let location):
            let path = if case .file(let path) = location.place { path } else { ":memory:" }
            return SQLiteDatabase(
                name: name, location: location, isReadOnly: isReadOnly, isOurs: true, settings: settings.sqlite,
                workers: workers, onOpen: report(name, path, observer),
                onReplaced: { observer.observe(.databaseReplaced(name: name, change: $0)) })
        case .remote(let location):
            var remote = settings.remote
            remote.passwordFile = configuration.password
            // Before somebody needs it; the others are served all the same.
            if let problem = configuration.password?.missingCredential {
                observer.observe(.databaseFailed(name: name, reason: problem))
            }
            return RemoteDatabase(
                name: name, location: location, isReadOnly: isReadOnly, settings: remote,
                onOpen: report(name, location.label, observer))
        }
    }

    private static func report(
        _ name: String, _ place: String, _ observer: Observer
    ) -> @Sendable (DriverError?) -> Void {
        { failure in
            if let details = failure?.details {
                let reason = details.message + (details.detail.map { " \($0)" } ?? "")
                observer.observe(.databaseFailed(name: name, reason: "\(place): \(reason)"))
            } else if observer.wants(.info) {
                observer.observe(.databaseOpened(name: name, path: place))
            }
        }
    }

    /// The database of that name.
    func find(_ name: UnsafeRawBufferPointer) -> CatalogEntry? {
        entries.first { $0.configuration.name.utf8.elementsEqual(name) }
    }

    /// The first one of the configuration.
    var defaultEntry: CatalogEntry? { entries.first }
}
