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
    /// - Throws: `InputError` that says what to do by hand.
    init(_ name: String, to target: MoveTarget, _ files: ConfigurationOptions) throws {
        place = files.place
        self.name = name
        let listed = try DatabaseListing.find(name, in: try DatabaseListing.load(files.config))
        formerURL = TOMLLiteral.plain(listed.value("url") ?? "")
        let path = place.dropIn(name)
        let former = try Self.read(path)
        formerText = former
        // The built-in one is in no file.
        guard former != nil || listed.origin == "default" else {
            throw Self.byHand("\(name) is in \(listed.origin), which \"litebase config\" does not edit")
        }
        let formerKeys = try former.map { text in
            guard let keys = DatabaseEntry.keys(of: text) else { throw Self.byHand("\(path) was edited") }
            return keys
        }
        var keys = try Self.keys(of: target, place)
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

    private static func read(_ path: String) throws(InputError) -> String? {
        do throws(Errno) {
            return String(decoding: try Files.read(path, byteCountMax: 1 << 20), as: UTF8.self)
        } catch {
            if error == .noSuchFile { return nil }
            throw InputError(
                message: "\(path) cannot be read: \(error)",
                status: error == .permissionDenied ? ExitStatus.noPermission : ExitStatus.noInput)
        }
    }

    /// Where the new database is, and its password.
    private static func keys(
        of target: MoveTarget, _ place: ConfigurationPlace
    ) throws(InputError) -> [(name: String, value: DatabaseEntry.Value)] {
        switch target {
        case .url(let url): return [("url", .string(url))]
        case .database(let name):
            let path = place.dropIn(name)
            guard let text = try read(path), let keys = DatabaseEntry.keys(of: text) else {
                throw byHand("\(name) is not in \(path) as \"litebase config add-database\" writes it")
            }
            return keys.filter { $0.name == "url" || secretKeys.contains($0.name) }
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
    private static func real(_ path: String) -> String {
        guard let found = realpath(path, nil) else { return path }
        defer { free(found) }
        return String(cString: found)
    }

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
