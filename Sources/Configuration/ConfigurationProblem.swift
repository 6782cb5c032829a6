// One thing that is wrong with the configuration, for the person who has to mend it.

/// Something wrong in a file or with a flag, with its place and what would be right.
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

/// Why a configuration was refused: all that was found, not only the first.
public struct ConfigurationError: Error, Equatable, Sendable {
    public var problems: [ConfigurationProblem]
}
