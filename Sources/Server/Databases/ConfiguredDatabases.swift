// The databases that clients can open by name.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// One database of the configuration.
///
/// - Thread: any; it never changes.
final class CatalogEntry: Sendable {
    let configuration: DatabaseConfiguration
    let database: any Database
    /// For read-only access. For a server it is another pool, so that readers do not take the connections of writers,
    /// and the server's own roles can decide. For SQLite it is the same object.
    let databaseOfReaders: any Database
    let settings: DatabaseSettings
    /// Longest time that a statement may run, in milliseconds; 0: no limit.
    let statementTimeMillisecondsMax: Int64
    /// The highest access that anybody may have.
    let access: DatabaseAccess
    /// Everybody who may connect may open it.
    let isOpen: Bool
    /// Why nobody may open it, whatever its rules say; `nil` if it is served.
    let problem: String?
    /// Under which loops count what is done with it.
    let number: Int

    /// The one, or both of them.
    var databases: [any Database] { database === databaseOfReaders ? [database] : [database, databaseOfReaders] }

    /// - Throws: `DriverError` if a URL is invalid.
    init(
        _ configuration: DatabaseConfiguration, _ limits: Limits, _ environment: DatabaseEnvironment,
        earlier: CatalogEntry?, number: Int
    ) throws(DriverError) {
        self.number = number
        let settings = configuration.settings(limits, loopCount: environment.loopCount)
        let limits = limits.with(configuration.limits)
        // With other limits it is opened again; a memory database would be lost.
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
            database = try environment.makeDatabase(
                configuration.name, isReadOnly ? loginOfReaders : login, isReadOnly: isReadOnly, settings)
        }
        access = database.isReadOnly ? .readOnly : .readWrite
        isOpen = configuration.rules.areOpen
        problem = configuration.rules.problem
        if database.isReadOnly || !configuration.rules.nameReaders || !environment.engines.isRemote(configuration.url) {
            databaseOfReaders = database
        } else if let kept, kept.databaseOfReaders !== kept.database {
            databaseOfReaders = kept.databaseOfReaders
        } else {
            databaseOfReaders = try environment.makeDatabase(
                configuration.name, loginOfReaders, isReadOnly: true, settings, beside: database)
        }
    }
}

extension DatabaseConfiguration {
    /// What its engine gets, with the limits of all databases where it has none of its own.
    func settings(_ limits: Limits, loopCount: Int) -> DatabaseSettings {
        var settings = limits.with(self.limits).databaseSettings(loopCount: loopCount)
        settings.remote.mayReadersRunScripts = readOnlyScripts
        settings.embedded.takesDoubleQuotedStrings = takesDoubleQuotedStrings
        return settings
    }

    /// Whether open connections may continue with the new configuration. Who may use them is checked at each request.
    fileprivate func isSameDatabase(as other: DatabaseConfiguration) -> Bool {
        name == other.name && url == other.url && access == other.access && readOnlyURL == other.readOnlyURL
            && password == other.password && readOnlyPassword == other.readOnlyPassword
    }
}

/// What is needed to make databases.
struct DatabaseEnvironment {
    let engines: EngineRegistry
    let loopCount: Int
    let promptWorkers: WorkerPool
    let observer: Observer
    /// One for the whole life of a server.
    var files = ConfiguredFiles()

    fileprivate func makeDatabase(
        _ name: String, _ login: (url: String, password: PasswordFile?), isReadOnly: Bool, _ settings: DatabaseSettings,
        beside other: (any Database)? = nil
    ) throws(DriverError) -> any Database {
        let location = try engines.location(url: login.url)
        var plan = DatabasePlan(name: name, isOurs: true, settings: settings, promptWorkers: promptWorkers)
        plan.isReadOnly = isReadOnly
        plan.password = login.password
        plan.refusal = refusal(name, location.label)
        plan.onOpen = report(name, location.label)
        plan.onReplaced = { [observer] in observer.observe(.databaseReplaced(name: name, change: $0)) }
        plan.onChange = reportServer(name, location.label)
        plan.other = other
        // Before somebody needs it; the others are served anyway.
        if let problem = login.password?.missingCredential {
            observer.observe(.databaseFailed(name: name, reason: problem))
        }
        return location.makeDatabase(plan)
    }

    /// A file of another database is not used.
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
        let (observer, failures) = (observer, OpenFailures())
        return { failure in
            if let details = failure?.details {
                // What stands in the way comes with what to do about it.
                let more = details.detail.map { " \($0)" + (details.wordedHint.map { " \($0)" } ?? "") }
                let reason = details.message + (more ?? "")
                guard failures.isNews(reason, at: .now) else { return }
                observer.observe(.databaseFailed(name: name, reason: "\(place): \(reason)"))
            } else {
                failures.end()
                if observer.wants(.info) { observer.observe(.databaseOpened(name: name, path: place)) }
            }
        }
    }

    private func reportServer(_ name: String, _ place: String) -> @Sendable (ServerChange) -> Void {
        let observer = observer
        return { change in
            if let details = change.error?.details {
                let reason = "\(place): \(details.reason)"
                observer.observe(.databaseLost(name: name, reason: reason, untoldCount: change.untoldCount))
            } else if let former = change.formerHost, let host = change.host {
                observer.observe(.databaseMoved(name: name, host: host, formerHost: former))
            } else if change.isFirst {
                observer.observe(.databaseOpened(name: name, path: place + Self.at(change.host)))
            } else {
                observer.observe(
                    .databaseBack(
                        name: name, path: place + Self.at(change.host), lostMilliseconds: change.lostMilliseconds,
                        untoldCount: change.untoldCount))
            }
        }
    }

    private static func at(_ host: String?) -> String { host.map { ", at \($0)" } ?? "" }
}

/// What the log was told of a database that cannot be opened. Each request tries it, and nobody needs to read of each.
///
/// - Thread: any.
private final class OpenFailures: Sendable {
    private static let intervalNanoseconds: Int64 = 3_600_000_000_000
    private let told = Mutex<(reason: String, at: MonotonicInstant)?>(nil)

    /// Whether it is to be told: the first time, where the reason is another one, and else each hour.
    func isNews(_ reason: String, at now: MonotonicInstant) -> Bool {
        told.withLock { told in
            if let told, told.reason == reason, now.nanoseconds(since: told.at) < Self.intervalNanoseconds {
                return false
            }
            told = (reason, now)
            return true
        }
    }

    /// It was opened: the next failure is news.
    func end() { told.withLock { $0 = nil } }
}

private func tell(_ shared: [SharedFile], _ observer: Observer) {
    for file in shared { observer.observe(.databasesShareFile(file)) }
}

/// All databases at one time, and who may do what; a reload makes a new value.
///
/// - Thread: any; it never changes.
final class ConfiguredDatabases: Sendable {
    let entries: [CatalogEntry]
    /// Who may do what concerns no single database.
    let service: ServiceAccess
    let files: ConfiguredFiles
    /// The number of each database that there has been, by its name, from 1 on. None is given twice: a request that runs during a
    /// reload is counted where it belongs.
    let numbers: [String: Int]

    /// Unchanged databases are taken over from `earlier`, with their open connections.
    init(
        _ configuration: ServerConfiguration, _ environment: DatabaseEnvironment, earlier: ConfiguredDatabases?
    ) {
        service = configuration.service
        var environment = environment
        if let earlier { environment.files = earlier.files }
        files = environment.files
        if files.adopt(configuration.databases, environment.engines) {
            // On another thread: a file system that hangs would keep the daemon from starting.
            let (files, observer) = (environment.files, environment.observer)
            environment.promptWorkers.submit(for: 0) { tell(files.look(), observer) }
        }
        var numbers = earlier?.numbers ?? [:]
        entries = configuration.databases.compactMap { database in
            let number = numbers[database.name] ?? numbers.count + 1
            numbers[database.name] = number
            do throws(DriverError) {
                return try CatalogEntry(
                    database, configuration.limits, environment,
                    earlier: earlier?.entries.first { $0.configuration.name == database.name }, number: number)
            } catch {
                environment.observer.observe(.databaseFailed(name: database.name, reason: error.details.message))
                return nil
            }
        }
        self.numbers = numbers
    }

    /// The database of that name.
    func find(_ name: UnsafeRawBufferPointer) -> CatalogEntry? {
        entries.first { $0.configuration.name.utf8.elementsEqual(name) }
    }

    /// The database of that name.
    func find(_ name: String) -> CatalogEntry? { entries.first { $0.configuration.name == name } }

    /// The databases that nobody may open.
    var disabled: [CatalogEntry] { entries.filter { $0.problem != nil } }

    /// The first one of the configuration.
    var defaultEntry: CatalogEntry? { entries.first }

    /// The databases at a location, whatever their names and the URL's spelling.
    /// - Cost: a stat(2) for each database file.
    func entries(at location: any DatabaseLocation) -> [CatalogEntry] {
        let file = location.filePath.flatMap(FileIdentity.init)
        return entries.filter { entry in
            let own = entry.database.location
            if own.isSame(as: location) || entry.databaseOfReaders.location.isSame(as: location) { return true }
            guard let path = own.filePath else { return false }
            return path == location.filePath || (file != nil && FileIdentity(path: path) == file)
        }
    }
}
