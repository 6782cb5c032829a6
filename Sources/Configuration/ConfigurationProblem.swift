// One error in the configuration, for the person who has to correct it.

/// An error in a file or a flag, with its place and the correct form.
public struct ConfigurationProblem: Equatable, Sendable, CustomStringConvertible {
    /// Path of the file; `nil` for the command line.
    public var file: String?
    /// Counted from 1; 0 when the file as a whole is meant.
    public var line: Int
    public var column: Int
    /// One sentence without a full stop: cause, semicolon, remedy.
    public var message: String

    init(file: String?, line: Int = 0, column: Int = 0, _ message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
    }

    /// `file:line:column: message`, as editors and compilers understand it.
    public var description: String {
        guard let file else { return message }
        return line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)"
    }
}

/// A name in a list of users or groups that this machine does not know, such as that of a user who was deleted.
public struct UnknownName: Equatable, Sendable {
    /// The path of the list.
    let key: String
    let kind: PrincipalKind
    let name: String
    /// The database whose list it is; `nil` for one of `[access]`.
    public let database: String?
    public let problem: ConfigurationProblem

    /// Its consequence, as a line for the log.
    public var consequence: String {
        if let database { return "Database \(database) is disabled: \(problem)" }
        return "Nobody has what is given here, the others of the list have it: \(problem)"
    }
}

/// How names are treated that the machine does not know.
public enum UnknownNames: Sendable {
    /// As errors: for a check, whose output somebody reads.
    case refused
    /// Their databases are disabled, and everything else is served: the daemon must not stay down because somebody has
    /// left.
    case tolerated
}

/// Why a configuration was refused: all errors, not only the first.
public struct ConfigurationError: Error, Equatable, Sendable {
    public var problems: [ConfigurationProblem]
}
