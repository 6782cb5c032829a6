// The databases that clients can open by name.

internal import DatabaseDrivers
internal import LinuxSystem

/// One database of the configuration.
///
/// - Thread: any; it never changes.
final class CatalogEntry: Sendable {
    let configuration: DatabaseConfiguration
    let database: any Database
    /// For those who may only read: of a server another pool, so that readers do not take the connections of those who
    /// write, and the server's own roles can decide. Of SQLite it is the same one.
    let databaseOfReaders: any Database
    let settings: DriverSettings
    /// Longest time that a statement may run, in milliseconds; 0: no limit.
    let statementTimeMillisecondsMax: Int64
    /// The most that anybody may do.
    let access: DatabaseAccess
    /// Everybody who may connect may open it.
    let isOpen: Bool
    /// Why nobody may open it, whatever else its rules say; `nil` for one that is served.
    let problem: String?

    /// The one, or both of them.
    var databases: [any Database] { database === databaseOfReaders ? [database] : [database, databaseOfReaders] }

    /// - Throws: `DriverError` when a URL is no good.
    init(
        _ configuration: DatabaseConfiguration, _ limits: Limits, _ surroundings: CatalogSurroundings,
        earlier: CatalogEntry?
    ) throws(DriverError) {
        let limits = limits.with(configuration.limits)
        var settings = limits.driverSettings(loopCount: surroundings.loopCount)
        settings.remote.mayReadersRunScripts = configuration.readOnlyScripts
        settings.sqlite.takesDoubleQuotedStrings = configuration.takesDoubleQuotedStrings
        // With other limits it is opened anew; one in memory would be lost.
        let kept = earlier.flatMap { earlier in
            earlier.configuration.isSameDatabase(as: configuration)
                && (earlier.settings == settings || earlier.database.isVolatile) ? earlier : nil
        }
        let isReadOnly = configuration.access == .readOnly
        let login = (configuration.url, configuration.password)
        let loginOfReaders = configuration.readOnlyURL.map { ($0, configuration.readOnlyPassword) } ?? login
        self.configuration = configuration
        self.settings = kept?.settings ?? settings
        statementTimeMillisecondsMax = limits.statementTimeMillisecondsMax
        if let kept {
            database = kept.database
        } else {
            database = try surroundings.makeDatabase(
                configuration.name, isReadOnly ? loginOfReaders : login, isReadOnly: isReadOnly, settings)
        }
        access = database.isReadOnly ? .readOnly : .readWrite
        isOpen = configuration.rules.areOpen
        problem = configuration.rules.problem
        if database.isReadOnly || !configuration.rules.nameReaders || !DatabaseLocation.isRemote(configuration.url) {
            databaseOfReaders = database
        } else if let kept, kept.databaseOfReaders !== kept.database {
            databaseOfReaders = kept.databaseOfReaders
        } else {
            databaseOfReaders = try surroundings.makeDatabase(
                configuration.name, loginOfReaders, isReadOnly: true, settings)
        }
    }
}

extension DatabaseConfiguration {
    /// Whether open connections may go on when the one follows the other. Who may use them is asked at each request.
    fileprivate func isSameDatabase(as other: DatabaseConfiguration) -> Bool {
        name == other.name && url == other.url && access == other.access && readOnlyURL == other.readOnlyURL
            && password == other.password && readOnlyPassword == other.readOnlyPassword
    }
}

/// What databases are made with.
struct CatalogSurroundings {
    let loopCount: Int
    let workers: WorkerPool
    let observer: Observer
    /// One for all catalogs of a server.
    var files = ConfiguredFiles()

    fileprivate func makeDatabase(
        _ name: String, _ login: (url: String, password: PasswordFile?), isReadOnly: Bool, _ settings: DriverSettings
    ) throws(DriverError) -> any Database {
        switch try DatabaseLocation(url: login.url) {
        case .sqlite(let location):
            let path = if case .file(let path) = location.place { path } else { ":memory:" }
            let observer = observer
            return SQLiteDatabase(
                name: name, location: location, isReadOnly: isReadOnly, isOurs: true, settings: settings.sqlite,
                workers: workers, refusal: refusal(name, path), onOpen: report(name, path),
                onReplaced: { observer.observe(.databaseReplaced(name: name, change: $0)) })
        case .remote(let location):
            var remote = settings.remote
            remote.passwordFile = login.password
            // Before somebody needs it; the others are served all the same.
            if let problem = login.password?.missingCredential {
                observer.observe(.databaseFailed(name: name, reason: problem))
            }
            return RemoteDatabase(
                name: name, location: location, isReadOnly: isReadOnly, settings: remote,
                onChange: reportServer(name, location.label))
        }
    }

    /// A file that is another database's is not used.
    private func refusal(_ name: String, _ path: String) -> @Sendable (FileIdentity) -> DriverError? {
        { [files, observer] file in
            tell(files.look(), observer)
            guard let other = files.owner(of: file, openedBy: name) else { return nil }
            observer.observe(
                .databaseFailed(name: name, reason: "\(path): the file that is there is the one of database \(other)"))
            return .fileOfAnother
        }
    }

    private func report(_ name: String, _ place: String) -> @Sendable (DriverError?) -> Void {
        let observer = observer
        return { failure in
            if let details = failure?.details {
                // What stands in the way comes with what to do about it.
                let more = details.detail.map { " \($0)" + (details.hint.map { " \($0)" } ?? "") }
                let reason = details.message + (more ?? "")
                observer.observe(.databaseFailed(name: name, reason: "\(place): \(reason)"))
            } else if observer.wants(.info) {
                observer.observe(.databaseOpened(name: name, path: place))
            }
        }
    }

    private func reportServer(_ name: String, _ place: String) -> @Sendable (ServerChange) -> Void {
        let observer = observer
        return { change in
            if let details = change.error?.details {
                let reason = "\(place): \(details.reason)"
                observer.observe(.databaseLost(name: name, reason: reason, untoldCount: change.untoldCount))
            } else if change.isFirst {
                observer.observe(.databaseOpened(name: name, path: place))
            } else {
                observer.observe(
                    .databaseBack(
                        name: name, path: place, lostMilliseconds: change.lostMilliseconds,
                        untoldCount: change.untoldCount))
            }
        }
    }
}

private func tell(_ shared: [SharedFile], _ observer: Observer) {
    for file in shared { observer.observe(.databasesShareFile(file)) }
}

/// All databases at one time, and who may do what; a reload makes a new catalog.
///
/// - Thread: any; it never changes.
final class DatabaseCatalog: Sendable {
    let entries: [CatalogEntry]
    /// Who may do what concerns no single database.
    let service: ServiceAccess
    let files: ConfiguredFiles

    /// Databases whose configuration is unchanged are taken over from `earlier`, open connections included.
    init(
        _ configuration: ServerConfiguration, _ surroundings: CatalogSurroundings, earlier: DatabaseCatalog?
    ) {
        service = configuration.service
        var surroundings = surroundings
        if let earlier { surroundings.files = earlier.files }
        files = surroundings.files
        if files.adopt(configuration.databases) {
            // Not here: a file system that hangs would keep the daemon from starting.
            let (files, observer) = (surroundings.files, surroundings.observer)
            surroundings.workers.submit(for: 0) { tell(files.look(), observer) }
        }
        entries = configuration.databases.compactMap { database in
            do throws(DriverError) {
                return try CatalogEntry(
                    database, configuration.limits, surroundings,
                    earlier: earlier?.entries.first { $0.configuration.name == database.name })
            } catch {
                surroundings.observer.observe(.databaseFailed(name: database.name, reason: error.details.message))
                return nil
            }
        }
    }

    /// The database of that name.
    func find(_ name: UnsafeRawBufferPointer) -> CatalogEntry? {
        entries.first { $0.configuration.name.utf8.elementsEqual(name) }
    }

    /// The database of that name.
    func find(_ name: String) -> CatalogEntry? { entries.first { $0.configuration.name == name } }

    /// Those that nobody may open.
    var disabled: [CatalogEntry] { entries.filter { $0.problem != nil } }

    /// The first one of the configuration.
    var defaultEntry: CatalogEntry? { entries.first }

    /// Databases at a place, whatever they and the place are called.
    /// - Cost: a stat(2) for each database file.
    func entries(at location: DatabaseLocation) -> [CatalogEntry] {
        let file = location.path.flatMap(FileIdentity.init)
        return entries.filter { entry in
            let own = entry.database.location
            if own == location || entry.databaseOfReaders.location == location { return true }
            guard let path = own.path else { return false }
            return path == location.path || (file != nil && FileIdentity(path: path) == file)
        }
    }
}

extension DatabaseLocation {
    /// Of a file.
    fileprivate var path: String? {
        if case .sqlite(let location) = self, case .file(let path) = location.place { path } else { nil }
    }
}
