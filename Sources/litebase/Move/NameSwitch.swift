// The name of a SQLite database given to one of PostgreSQL: one configuration file, checked before anything is copied.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// The configuration as it will be.
///
/// Only a file that a command has written is replaced; what it was is kept beside it.
struct NameSwitch {
    private let place: ConfigurationPlace
    private let name: String
    let text: String
    /// The former entry; `nil` if there was no file.
    private let formerText: String?
    private let formerURL: String

    /// Keys that say who may open the database, however it is stored.
    private static let accessKeys = ["access", "users", "groups", "read_only_users", "read_only_groups"]
    private static let secretKeys = ["password_file", "password_credential"]

    /// - Parameters:
    ///   - name: the database's.
    ///   - target: a database of the configuration, or a URL.
    ///   - files: the configuration.
    ///   - pid: the daemon's.
    /// - Throws: `InputError` that says what to do by hand.
    init(_ name: String, to target: MoveTarget, _ files: ConfigurationOptions, pid: Int64) throws {
        place = files.place
        self.name = name
        let databases = try DatabaseListing.load(files.config)
        let listed = try DatabaseListing.find(name, in: databases)
        formerURL = Self.url(of: listed)
        let path = place.dropIn(name)
        let former = try ConfigurationPlace.read(path)
        formerText = former
        // The built-in one is in no file.
        guard former != nil || listed.origin == "default" else {
            throw Self.byHand("\(name) is in \(listed.origin), which \"litebase config\" does not edit")
        }
        let formerKeys = try former.map { text in
            guard let keys = DatabaseEntry.keys(of: text) else { throw Self.byHand("\(path) was edited") }
            return keys
        }
        // A URL that leads to a database of the configuration is that database, with its password.
        if case .url(let url) = target, let same = databases.first(where: { Self.url(of: $0) == url }) {
            throw InputError(
                message:
                    "nothing was changed: that URL is the one of \(same.name), which may have a password; name that "
                    + "instead, so that \(name) gets it, too",
                status: ExitStatus.usage)
        }
        var keys = try Self.keys(of: target, place, pid)
        keys += (formerKeys ?? []).filter { Self.accessKeys.contains($0.name) }
        text = DatabaseEntry(name: name, keys: keys).text
        let configuration = try ConfigurationPreview(place, name: "\(name).toml", text: text).check()
        if case .url(let url) = target { try AddDatabaseCommand.checkHasNoSecret(url, configuration) }
        if access(place.dropInDirectory, W_OK) != 0, Errno.current != .noSuchFile {
            throw InputError(
                message: "nothing was changed: \(place.dropInDirectory) cannot be written: \(Errno.current)",
                status: ExitStatus.noPermission)
        }
    }

    private static func byHand(_ cause: String) -> InputError {
        InputError(
            message:
                "nothing was changed: \(cause). Use --retire instead of --switch: the file takes no more writes then, "
                + "until you have written the new URL there and reloaded",
            status: ExitStatus.usage)
    }

    private static func url(of database: ListedDatabase) -> String { TOMLLiteral.plain(database.value("url") ?? "") }

    /// Where the new database is, and its password.
    private static func keys(
        of target: MoveTarget, _ place: ConfigurationPlace, _ pid: Int64
    ) throws(InputError) -> [(name: String, value: DatabaseEntry.Value)] {
        switch target {
        case .url(let url): return [("url", .string(url))]
        case .database(let name):
            let path = place.dropIn(name)
            guard let text = try ConfigurationPlace.read(path), let keys = DatabaseEntry.keys(of: text) else {
                throw byHand("\(name) is not in \(path) as \"litebase config add-database\" writes it")
            }
            var kept = keys.filter { $0.name == "url" || secretKeys.contains($0.name) }
            // A credential of the database's own name needs no key; under the other name it does.
            if kept.count == 1, try isGiven("\(name).password", pid, path) {
                kept.append(("password_credential", .string("\(name).password")))
            }
            return kept
        }
    }

    private static func isGiven(_ credential: String, _ pid: Int64, _ path: String) throws(InputError) -> Bool {
        do throws(Errno) {
            return try DaemonCredentials.has(credential, pid: pid)
        } catch {
            throw InputError(
                message:
                    "nothing was changed: whether the password is the credential \(credential) of the daemon's service "
                    + "cannot be known (process \(pid): \(error)). Say where it is in \(path), by password_credential or "
                    + "password_file; or call this as the daemon's user or root",
                status: ExitStatus.noPermission)
        }
    }

    /// Finds out whether the daemon reads these files: it has the database where they have it.
    /// - Parameter file: where the daemon has it.
    /// - Throws: `InputError` if they are those of another daemon.
    func check(_ file: String) throws(InputError) {
        guard let configured = ServiceAdvice.file(ofURL: formerURL), Self.real(configured) != Self.real(file) else {
            return
        }
        throw InputError(
            message: "nothing was changed: the daemon has \(name) in \(TerminalEscaping.visible(file)), and "
                + "\(place.mainFile) in \(TerminalEscaping.visible(configured)). Name that daemon's files by --config, or the "
                + "daemon by --socket",
            status: ExitStatus.usage)
    }

    /// Without symbolic links.
    private static func real(_ path: String) -> String { (try? Files.resolved(path)) ?? path }

    /// Writes the file.
    /// - Returns: lines for people.
    func write() throws(InputError) -> [String] {
        let path = place.dropIn(name)
        var lines: [String] = []
        if let formerText {
            try place.write(formerText, to: path + ".before-move")
            lines.append("Kept: \(path).before-move, the former entry")
        }
        try place.write(text, to: path)
        return lines + ["Written: \(path)"]
    }
}

/// Where a database is moved to.
enum MoveTarget {
    case database(String)
    case url(String)

    init(_ argument: String) {
        self = argument.contains(where: { $0 == ":" }) ? .url(argument) : .database(argument)
    }

    var session: SessionOptions {
        switch self {
        case .database(let name): SessionOptions(database: name)
        case .url(let url): SessionOptions(url: url)
        }
    }
}
