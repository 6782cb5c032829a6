// The databases of the configuration files, as `litebased --list-databases` tells them, and which of them a daemon has.

internal import LinuxSystem
import LiteBaseClient

/// A database of the configuration files.
struct ListedDatabase {
    /// A key that is in force.
    struct Key {
        let name: String
        /// As TOML writes it, without passwords.
        let value: String
        /// A file with a line, a flag, or `default`.
        let origin: String
    }

    let name: String
    let engine: String
    /// Where it was named first.
    let origin: String
    var keys: [Key] = []

    func value(_ key: String) -> String? { keys.first { $0.name == key }?.value }
}

enum DatabaseListing {
    /// Reads the files; `config` is the main one, `nil` for the usual ones.
    /// - Returns: their databases, the default one first.
    /// - Throws: `InputError` with all that is wrong in them.
    static func load(_ config: String?) throws(InputError) -> [ListedDatabase] {
        let result = try DaemonProgram.run(["--list-databases"] + DaemonProgram.flags(config))
        guard result.status == 0 else {
            throw InputError(
                message: "the configuration has errors:\n" + DaemonProgram.messages(result.errors),
                status: result.status)
        }
        return parse(result.output)
    }

    /// Reads the lines, whose fields have tabs between them. Kinds of lines that a later version may have are left out.
    static func parse(_ text: String) -> [ListedDatabase] {
        var databases: [ListedDatabase] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 4 else { continue }
            if fields[0] == "database" {
                databases.append(ListedDatabase(name: fields[1], engine: fields[2], origin: fields[3]))
            } else if fields[0] == "key", !databases.isEmpty {
                databases[databases.count - 1].keys.append(.init(name: fields[1], value: fields[2], origin: fields[3]))
            }
        }
        return databases
    }

    /// One of them.
    /// - Throws: `InputError` that names a near one, if there is none of that name.
    static func find(_ name: String, in databases: [ListedDatabase]) throws(InputError) -> ListedDatabase {
        if let database = databases.first(where: { $0.name == name }) { return database }
        let names = databases.map(\.name)
        let remedy =
            (names.first { $0.lowercased() == name.lowercased() } ?? NearName.of(name, among: names))
            .map { "did you mean \"\($0)\"?" }
            ?? "there is \(names.joined(separator: ", "))"
        throw InputError(message: "the configuration has no database \"\(name)\"; \(remedy)", status: ExitStatus.usage)
    }
}

/// What a running daemon has of the configuration files.
struct LoadedDatabases {
    private let names: Set<String>

    private static let timeout = Duration.seconds(2)

    /// `nil` if no daemon answers that reads these files and shows all of its databases to the caller.
    /// - Parameters:
    ///   - files: the configuration; of a file that is named, only the daemon knows that is named, too.
    ///   - connection: how the daemon is reached.
    init?(_ files: ConfigurationOptions, _ connection: ConnectionOptions) {
        let isNamed = connection.socket != nil || connection.port != nil
        guard files.config == nil || isNamed, let endpoint = try? connection.endpoint(),
            let client = try? BlockingClient.connect(
                to: endpoint, timeout: Self.timeout, trusting: connection.trusted)
        else { return nil }
        client.timeout = Self.timeout
        // Root and the daemon's own user see every database; and a user's files are read by a daemon of the user's own.
        guard let health = try? client.ping(),
            Process.effectiveUID == 0
                || (try? Files.status("/proc/\(health.pid)"))??.ownerUID == Process.effectiveUID,
            let databases = try? client.listDatabases()
        else { return nil }
        names = Set(databases.map(\.name))
    }

    func state(of name: String) -> String { names.contains(name) ? "loaded" : "waits for a reload" }
}

/// What to do about a database that is in the files, and not in the daemon.
enum ReloadAdvice {
    /// A line for the error that there is no such database; `nil` where the files know no more.
    static func line(_ error: ServerError) -> String? {
        guard error.code == .databaseNotFound, let databases = try? DatabaseListing.load(nil) else { return nil }
        guard let found = databases.first(where: { error.message.contains("\"\($0.name)\"") }) else { return nil }
        // Without any file there is one, which no daemon needs to be told of.
        guard found.origin != "default" else { return nil }
        return "\"\(found.name)\" is in \(found.origin), and waits for a reload of the daemon that reads this file: "
            + (Process.effectiveUID == 0 ? "systemctl reload litebase" : "litebase reload")
    }
}
