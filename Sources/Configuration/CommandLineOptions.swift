// The command line of litebased: a table of flags and a parser of forty lines, since start-up time counts (with socket
// activation, clients see it as latency).

public import DatabaseContract

/// A row of the table of flags.
public struct Flag: Sendable {
    enum Target: Sendable, Equatable {
        case setting(String)
        case listen, database, config, checkConfig, listDatabases, testDatabase, version, help
    }

    /// Without dashes.
    public let name: String
    /// Placeholder of its value; `nil` for a flag without one.
    public let argument: String?
    /// One line for people.
    public let help: String
    let target: Target

    /// Every flag, in the order of `--help`.
    public static let all: [Flag] = [
        Flag("socket", "PATH", .setting("socket.path"), "Unix socket to bind."),
        Flag("socket-mode", "MODE", .setting("socket.mode"), "Permission bits of that socket, octal."),
        Flag("socket-group", "GROUP", .setting("socket.group"), "Group of that socket."),
        Flag("port", "N", .setting("socket.port"), "Listen on 127.0.0.1 too, for development; 0: any port."),
        Flag("listen", "MODE", .listen, "Sockets: auto, systemd (fails without them) or standalone."),
        Flag("database", "NAME=URL", .database, "Serve a database; repeatable. A path stands for sqlite:PATH."),
        Flag("config", "FILE", .config, "Read FILE and FILE.d/*.toml instead of the usual ones."),
        Flag("check-config", nil, .checkConfig, "Print the configuration in force and exit."),
        Flag("list-databases", nil, .listDatabases, "Print databases, settings and their places, and exit."),
        Flag("test-database", "NAME", .testDatabase, "Open a database, say what was found, and exit."),
        Flag(
            "idle-exit", "SECONDS", .setting("idle_exit_seconds"), "Leave when idle that long, if activated; 0: never."),
        Flag("loops", "N", .setting("loops"), "Event loops; 0: one for each core, at most four."),
        Flag("log-level", "LEVEL", .setting("log_level"), "debug, info, notice, warning or error."),
        Flag("version", nil, .version, "Print the version and exit."),
        Flag("help", nil, .help, "Print this and exit."),
    ]

    private init(_ name: String, _ argument: String?, _ target: Target, _ help: String) {
        self.name = name
        self.argument = argument
        self.target = target
        self.help = help
    }
}

/// The parsed command line.
public struct CommandLineOptions: Sendable {
    public enum Action: Sendable, Equatable {
        case run, checkConfig, listDatabases, version, help
        case testDatabase(String)
    }

    /// The engines, which know the URLs of databases.
    public let engines: EngineRegistry
    public var action = Action.run
    public var listen = ListenMode.auto
    public var configFile: String?
    /// Flags that stand for settings, with their text, in order.
    public internal(set) var settings: [(flag: Flag, text: String)] = []
    public internal(set) var databases: [(name: String, url: String)] = []

    public init(engines: EngineRegistry) { self.engines = engines }

    /// Reads the arguments behind the program's name. `-flag value`, `-flag=value`, `--flag value` and `--flag=value`
    /// mean the same.
    ///
    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - directory: base of relative paths.
    ///   - engines: what URLs of databases may lead to.
    /// - Throws: `UsageError` for the first argument that is wrong.
    public init(
        parsing arguments: [String], directory: String, engines: EngineRegistry
    ) throws(UsageError) {
        self.engines = engines
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let (name, inline) = try Self.split(argument)
            guard let flag = Self.flag(name) else { throw Self.unknown(name) }
            guard flag.argument != nil else {
                if inline != nil { throw UsageError("--\(flag.name) takes no value") }
                take(flag)
                continue
            }
            guard let value = inline ?? rest.popFirst(), inline != nil || !Self.looksLikeFlag(value) else {
                throw UsageError("--\(flag.name) needs a value: --\(flag.name) \(flag.argument ?? "")")
            }
            try take(flag, value, directory)
        }
    }

    private static func split(_ argument: String) throws(UsageError) -> (name: String, value: String?) {
        guard argument.hasPrefix("-"), argument != "-", argument != "--" else {
            throw UsageError("unexpected argument \"\(argument)\"")
        }
        let body = argument.dropFirst(argument.hasPrefix("--") ? 2 : 1)
        guard let equals = body.firstIndex(of: "=") else { return (String(body), nil) }
        return (String(body[..<equals]), String(body[body.index(after: equals)...]))
    }

    private static func flag(_ name: String) -> Flag? {
        let long = name == "h" ? "help" : name
        return Flag.all.first { $0.name == long }
    }

    private static func looksLikeFlag(_ value: String) -> Bool {
        guard let (name, _) = try? split(value) else { return false }
        return flag(name) != nil
    }

    private static func unknown(_ name: String) -> UsageError {
        let near = Suggestion.nearest(to: name, in: Flag.all.map(\.name))
        return UsageError("unknown flag --\(name)" + (near.map { "; did you mean --\($0)?" } ?? ""))
    }

    private mutating func take(_ flag: Flag) {
        switch flag.target {
        case .help: action = .help
        // `--help` wins over all other flags.
        case .version: if action != .help { action = .version }
        case .checkConfig: if action == .run { action = .checkConfig }
        case .listDatabases: if action == .run { action = .listDatabases }
        case .setting, .listen, .database, .config, .testDatabase: break
        }
    }

    private mutating func take(_ flag: Flag, _ value: String, _ directory: String) throws(UsageError) {
        switch flag.target {
        case .setting("socket.path") where !value.isEmpty && !value.hasPrefix("/"):
            settings.append((flag, directory == "/" ? "/\(value)" : "\(directory)/\(value)"))
        case .setting:
            settings.append((flag, value))
        case .listen:
            guard let mode = ListenMode(rawValue: value) else {
                throw UsageError("--listen must be auto, systemd or standalone, not \"\(value)\"")
            }
            listen = mode
        case .config:
            if value.isEmpty { throw UsageError("--config needs the name of a file") }
            configFile = value
        case .database: try takeDatabase(value, directory)
        case .testDatabase: if action == .run { action = .testDatabase(value) }
        case .checkConfig, .listDatabases, .version, .help: break
        }
    }

    private mutating func takeDatabase(_ value: String, _ directory: String) throws(UsageError) {
        guard let equals = value.firstIndex(of: "="), equals > value.startIndex else {
            let shown = engines.withoutSecrets(value)
            throw UsageError("--database must be NAME=URL or NAME=PATH, not \"\(shown)\"")
        }
        let name = String(value[..<equals])
        let given = String(value[value.index(after: equals)...])
        let url = DatabaseAddress.url(argument: given, directory: directory)
        if let problem = DatabaseAddress.problem(name: name, engines) ?? DatabaseAddress.problem(url: url, engines) {
            throw UsageError("--database \(engines.withoutSecrets(name)): \(problem)")
        }
        if databases.contains(where: { $0.name == name }) {
            throw UsageError("--database \(name) is given twice; names are unique")
        }
        databases.append((name, url))
    }
}

/// A command line that cannot be understood.
public struct UsageError: Error, Equatable, Sendable {
    /// One line: cause, semicolon, remedy.
    public var message: String

    init(_ message: String) { self.message = message + (message.hasSuffix("?") ? "" : "; try --help") }
}
