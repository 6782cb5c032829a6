// The configuration in force: files, then flags, then defaults that depend on the environment.

public import DatabaseContract
public import LinuxSystem
public import Server

/// Everything that is configured at a start or a reload.
public struct Configuration: Sendable, Equatable {
    /// The engines, which know the URLs of databases.
    public var engines: EngineRegistry
    public var settings: Settings
    /// Names of the settings that a file or a flag has set.
    public var givenSettings: Set<String>
    /// The first one is the default database.
    public var databases: [DatabaseConfiguration]
    public var listen: ListenMode
    /// The socket path of a standalone daemon; `nil` if there is no directory for it.
    public var socketPath: String?
    /// Directory that must exist for the embedded database; `nil` if that is not used.
    public var stateDirectory: String?
    /// Files that were read, in this order.
    public var files: [String]
    /// Unknown names in lists; empty if they are errors.
    public var unknownNames: [UnknownName]
    /// Who has set a value, by the path of its key; absent where nobody has.
    public var origins: [String: SettingOrigin]
    /// Where each database was named first, by its name.
    public var databaseOrigins: [String: SettingOrigin]

    /// Reads the files and applies the flags on top.
    ///
    /// - Parameters:
    ///   - options: the command line.
    ///   - paths: where the files are.
    ///   - unknown: how unknown names are treated.
    /// - Returns: the configuration.
    /// - Throws: `ConfigurationError` with all errors.
    public static func load(
        _ options: CommandLineOptions, paths: StandardPaths = .current, unknownNames unknown: UnknownNames = .refused
    ) throws(ConfigurationError) -> Configuration {
        let engines = options.engines
        var reader = SettingsReader(engines: engines)
        let files = readFiles(options, paths, &reader)
        for (flag, value) in options.settings {
            guard case .setting(let name) = flag.target, let setting = Setting.named(name) else { continue }
            reader.override(setting, text: value, flag: flag.name)
        }
        for database in options.databases { reader.add(database: database.name, url: database.url, flag: "database") }
        let stateDirectory = addEmbeddedDatabase(paths, &reader)
        // The group of systemd's socket is configured in its unit.
        if unknown == .refused || options.listen != .systemd { reader.checkSocketGroup() }
        if unknown == .refused { reader.refuseUnknownNames() }
        let databases = reader.orderedDatabases().map { $0.withPasswords(in: paths.credentialsDirectory, engines) }
        guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.problems(orderedBy: files)) }
        return Configuration(
            engines: engines, settings: reader.settings, givenSettings: reader.givenSettings, databases: databases,
            listen: options.listen, socketPath: reader.settings.socketPath ?? paths.socketPath,
            stateDirectory: stateDirectory, files: files, unknownNames: reader.unknownNames,
            origins: reader.origins,
            databaseOrigins: Dictionary(uniqueKeysWithValues: reader.databases.map { ($0.name, $0.origin) }))
    }

    /// The configuration of the server.
    public func serverConfiguration(version: String, activation: Activation) -> ServerConfiguration {
        ServerConfiguration(
            version: version, engines: engines, activation: activation, loopCount: loopCount,
            spinMicrosecondsMax: settings.spinMicrosecondsMax, limits: settings.limits, databases: databases,
            service: settings.service)
    }

    /// The memory limits that are set explicitly.
    public var givenMemoryLimits: GivenMemoryLimits {
        GivenMemoryLimits(
            sqlite: givenSettings.contains("limits.sqlite_memory_bytes_max"),
            sqlitePerUser: givenSettings.contains("limits.sqlite_memory_bytes_per_user_max"),
            bufferedPerUser: givenSettings.contains("limits.buffered_bytes_per_user_max"),
            catalog: givenSettings.contains("limits.catalog_bytes_max"))
    }

    /// Event loops, 1 or more.
    public var loopCount: Int {
        settings.loopCount > 0 ? settings.loopCount : min(4, Process.coreCount)
    }

    // Longest file that is read; a configuration of a hundred databases has some 10 KiB.
    private static let fileByteCountMax = 256 << 10

    private static func readFiles(_ options: CommandLineOptions, _ paths: StandardPaths, _ reader: inout SettingsReader)
        -> [String]
    {
        let main = options.configFile ?? paths.configurationDirectory + "/litebase.toml"
        var files: [String] = []
        func read(_ file: String, isRequired: Bool) {
            do throws(Errno) {
                reader.read(try Files.read(file, byteCountMax: fileByteCountMax), file: file)
                files.append(file)
            } catch {
                if error == .noSuchFile && !isRequired { return }
                let reason = error == .invalidArgument ? "longer than \(fileByteCountMax) bytes" : "\(error)"
                reader.report(file, "the configuration cannot be read: \(reason)")
            }
        }
        read(main, isRequired: options.configFile != nil)
        do throws(Errno) {
            for name in try Files.names(in: main + ".d") where name.hasSuffix(".toml") && !name.hasPrefix(".") {
                read("\(main).d/\(name)", isRequired: true)
            }
        } catch {
            reader.report(main + ".d", "the directory cannot be read: \(error)")
        }
        return files
    }

    // A daemon without any configuration serves one embedded database.
    private static func addEmbeddedDatabase(_ paths: StandardPaths, _ reader: inout SettingsReader) -> String? {
        let name = Settings().defaultDatabase
        guard reader.settings.defaultDatabase == name,
            reader.databases.first(where: { $0.name == name })?.configuration.givenURL == nil
        else { return nil }
        guard let directory = paths.stateDirectory else {
            reader.report(
                nil, "there is no home directory for the embedded database; set HOME, or give --database default=PATH")
            return nil
        }
        reader.add(database: name, url: DatabaseAddress.url(file: directory + "/default.db"))
        return directory
    }
}

extension SettingsReader {
    /// All errors, in the order of the text; flags come last.
    func problems(orderedBy files: [String]) -> [ConfigurationProblem] {
        problems.enumerated().sorted { left, right in
            func key(_ item: (offset: Int, element: ConfigurationProblem)) -> (Int, Int, Int) {
                let file = item.element.file.map { files.firstIndex(of: $0) ?? -1 } ?? files.count
                return (file, item.element.line, item.offset)
            }
            return key(left) < key(right)
        }.map(\.element)
    }

    /// For SQLite the daemon decides what a reader may do; only servers have logins.
    private mutating func reportReadOnlyURL(of database: Database) {
        let configuration = database.configuration
        guard let url = configuration.readOnlyURL,
            !engines.isRemote(url) || !engines.isRemote(configuration.url)
        else { return }
        report(
            database.file, line: database.line, column: database.column,
            "databases.\(database.name).read_only_url is for databases on servers; leave it away, or let both URLs lead "
                + "to a server")
    }

    /// The databases, the default one first; reports those that are incomplete.
    mutating func orderedDatabases() -> [DatabaseConfiguration] {
        var complete: [DatabaseConfiguration] = []
        for database in databases {
            guard database.configuration.givenURL != nil else {
                report(
                    database.file, line: database.line, column: database.column,
                    "databases.\(database.name) has no url; write url = \"sqlite:/absolute/path\"")
                continue
            }
            reportReadOnlyURL(of: database)
            if let problem = database.configuration.passwordProblem(engines) {
                report(database.file, line: database.line, column: database.column, problem)
            }
            complete.append(database.configuration)
        }
        let name = settings.defaultDatabase
        if let index = complete.firstIndex(where: { $0.name == name }) {
            complete.insert(complete.remove(at: index), at: 0)
        } else if !databases.contains(where: { $0.name == name }) {
            let known = databases.map(\.name)
            let remedy =
                Suggestion.nearest(to: name, in: known).map { "did you mean \"\($0)\"?" }
                ?? "add [databases.\(name)] with its url"
            let place = defaultDatabasePlace
            report(
                place?.file, line: place?.line ?? 0, column: place?.column ?? 0,
                "default_database names \"\(name)\", which is no configured database; \(remedy)")
        }
        return complete
    }
}
