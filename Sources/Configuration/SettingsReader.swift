// Turns the entries of files into settings and databases; collects what is wrong instead of stopping at it.

internal import DatabaseContract
internal import LinuxSystem
internal import Server

/// Settings and databases as far as they have been read; later files override earlier ones.
struct SettingsReader {
    /// A `[databases.NAME]` table, possibly spread over files.
    struct Database {
        /// Its `url` is empty as long as none was given.
        var configuration: DatabaseConfiguration
        /// Where it was named first.
        var file: String?
        var line = 0
        var column = 0
        /// The flag that has named it.
        var flag: String?

        var origin: SettingOrigin {
            if let flag { return .flag(flag) }
            return file.map { .file($0, line: line) } ?? .builtIn
        }

        var name: String { configuration.name }
    }

    /// What URLs of databases may lead to.
    let engines: EngineRegistry
    private(set) var settings = Settings()
    /// In the order in which they were named first.
    private(set) var databases: [Database] = []
    private(set) var problems: [ConfigurationProblem] = []
    /// Those of the lists as they are now: a later file may have replaced one.
    private(set) var unknownNames: [UnknownName] = []
    /// Names of settings that somebody has set, be it to what they would be anyway.
    private(set) var givenSettings: Set<String> = []
    /// Who has set a value last, by the path of its key.
    private(set) var origins: [String: SettingOrigin] = [:]
    /// Where `default_database` was set.
    private(set) var defaultDatabasePlace: (file: String?, line: Int, column: Int)?

    /// Where `socket.group` was set.
    private var socketGroupPlace: (file: String?, line: Int, column: Int)?

    init(engines: EngineRegistry) { self.engines = engines }

    /// Takes over one file.
    mutating func read(_ text: [UInt8], file: String) {
        let document: TOMLDocument
        do throws(TOMLDocument.SyntaxError) {
            document = try TOMLDocument(parsing: text)
        } catch {
            let problem = ConfigurationProblem(file: file, line: error.line, column: error.column, error.message)
            problems.append(problem)
            return
        }
        for entry in document.entries { take(entry, file) }
    }

    /// Takes over a flag.
    mutating func override(_ setting: Setting, text: String, flag: String) {
        if let problem = setting.assign(text: text, to: &settings, engines) { report(nil, "--\(flag) \(problem)") }
        givenSettings.insert(setting.name)
        origins[setting.name] = .flag(flag)
        if setting.name == "default_database" { defaultDatabasePlace = (nil, 0, 0) }
        if setting.name == "socket.group" { socketGroupPlace = nil }
    }

    /// Adds or replaces a database.
    /// - Parameters:
    ///   - name: what clients call it.
    ///   - url: where it is.
    ///   - flag: the flag that says so; `nil` for the embedded one.
    mutating func add(database name: String, url: String, flag: String? = nil) {
        let index = databases.firstIndex { $0.name == name } ?? databases.count
        if index == databases.count {
            var database = Database(configuration: DatabaseConfiguration(name: name, url: url))
            database.flag = flag
            databases.append(database)
        }
        databases[index].configuration.url = url
        origins["databases.\(name).url"] = flag.map { .flag($0) } ?? .builtIn
    }

    mutating func report(_ file: String?, line: Int = 0, column: Int = 0, _ message: String) {
        problems.append(ConfigurationProblem(file: file, line: line, column: column, message))
    }

    private mutating func take(_ entry: TOMLEntry, _ file: String) {
        if entry.path[0] == "databases" {
            takeDatabase(entry, file)
            return
        }
        let name = entry.path.joined(separator: ".")
        if let setting = Setting.named(name) {
            if let problem = setting.assign(entry.value, to: &settings, engines) {
                report(entry, file, "\(name) \(problem)")
            }
            note(setting.principals(in: settings), of: name, database: nil, entry, file)
            givenSettings.insert(name)
            origins[name] = .file(file, line: entry.line)
            if name == "default_database" { defaultDatabasePlace = (file, entry.line, entry.column) }
            if name == "socket.group" { socketGroupPlace = (file, entry.line, entry.column) }
        } else if entry.path.count == 1, Self.sections.contains(name) {
            if entry.value != .table { report(entry, file, "\(name) is a table; write [\(name)]") }
        } else if entry.path.count <= 1 || Self.sections.contains(entry.path[0]) {
            // Members of an unknown table go unmentioned: the table is what is wrong.
            if entry.path.count <= 2 { reportUnknown(entry, file) }
        }
    }

    private static let sections = ["socket", "access", "log", "limits"]

    /// Reports a group of the socket that the machine does not have.
    mutating func checkSocketGroup() {
        guard let group = settings.socketGroup, Process.groupID(group) == nil else { return }
        let place = socketGroupPlace
        report(
            place?.file, line: place?.line ?? 0, column: place?.column ?? 0,
            "socket.group names \"\(group)\", which is no group of this machine; correct it, or write the group's number"
        )
    }

    private mutating func reportUnknown(_ entry: TOMLEntry, _ file: String) {
        let name = entry.path.joined(separator: ".")
        let tables = Self.sections + ["databases"]
        let known = entry.value == .table ? tables : Setting.all.map(\.name) + tables
        let last = entry.path[entry.path.count - 1]
        var remedy = "; see litebase.toml(5)"
        if let near = Suggestion.nearest(to: name, in: known) {
            remedy = "; did you mean \"\(near)\"?"
        } else if let moved = known.first(where: { $0.hasSuffix("." + last) }) {
            remedy = "; did you mean \"\(moved)\"?"
        }
        report(entry, file, "unknown \(entry.value == .table ? "table" : "key") \"\(name)\"\(remedy)")
    }

    private mutating func takeDatabase(_ entry: TOMLEntry, _ file: String) {
        switch entry.path.count {
        case 1:
            if entry.value != .table { report(entry, file, "databases is a table; write [databases.NAME]") }
        case 2:
            let name = entry.path[1]
            guard entry.value == .table else {
                report(entry, file, "databases.\(name) is a table; write [databases.\(name)] with url = \"…\" in it")
                return
            }
            if let problem = DatabaseAddress.problem(name: name, engines) { report(entry, file, problem) }
            if databases.contains(where: { $0.name == name }) { return }
            let configuration = DatabaseConfiguration(name: name, url: "")
            databases.append(
                Database(configuration: configuration, file: file, line: entry.line, column: entry.column))
        case 3: takeDatabaseKey(entry, file)
        default: break
        }
    }

    private mutating func takeDatabaseKey(_ entry: TOMLEntry, _ file: String) {
        let name = entry.path.joined(separator: ".")
        guard let index = databases.firstIndex(where: { $0.name == entry.path[1] }) else { return }
        guard let key = DatabaseKey.named(entry.path[2]) else {
            let keys = DatabaseKey.all.map(\.name)
            let near = Suggestion.nearest(to: entry.path[2], in: keys)
            let remedy = near.map { "did you mean \"\($0)\"?" } ?? "a database has \(keys.joined(separator: ", "))"
            report(entry, file, "unknown key \"\(name)\"; \(remedy)")
            return
        }
        if let problem = key.assign(entry.value, to: &databases[index].configuration, engines) {
            report(entry, file, name + problem)
        }
        origins[name] = .file(file, line: entry.line)
        note(key.principals(in: databases[index].configuration), of: name, database: entry.path[1], entry, file)
    }

    // Of a key that is a list of users or groups.
    private mutating func note(
        _ list: (names: Principals, kind: PrincipalKind)?, of key: String, database: String?, _ entry: TOMLEntry,
        _ file: String
    ) {
        guard let list else { return }
        unknownNames.removeAll { $0.key == key }
        unknownNames += list.names.unknownNames.map { name in
            let message = "\(key) \(list.kind.problem(ofUnknown: name))"
            let problem = ConfigurationProblem(file: file, line: entry.line, column: entry.column, message)
            return UnknownName(key: key, kind: list.kind, name: name, database: database, problem: problem)
        }
    }

    /// Makes errors of names that nobody has.
    mutating func refuseUnknownNames() { problems += unknownNames.map(\.problem) }

    private mutating func report(_ entry: TOMLEntry, _ file: String, _ message: String) {
        report(file, line: entry.line, column: entry.column, message)
    }
}
