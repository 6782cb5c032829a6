// What a client is told of commands that came to no good end.

extension RedisConnection {
    static let readOnly = DriverError(
        .readOnly, "The command may write, or does more than read, and the database is open for reading only.",
        hint: "Use commands that the server calls readonly (COMMAND INFO), such as SORT_RO, "
            + "or open the database for writing.", sqlState: "25006")

    static let noScripts = DriverError(
        .readOnly, "Scripts are not for those who may only read: while one runs, the server does nothing else.",
        hint: "Ask an administrator to set read_only_scripts for the database, or open it for writing.",
        sqlState: "25006")

    static let noCommands = DriverError(
        .permissionDenied,
        "Which commands only read is not known, since the database's user may not ask the server for it.",
        hint: "Let the user run COMMAND: ACL SETUSER … +command.", sqlState: "42501")

    /// Like a serialization failure elsewhere.
    static let watchFailed = DriverError(
        .busy, "A watched key was changed by somebody else; nothing of the transaction was executed.",
        hint: "Repeat the whole transaction, from WATCH on.", sqlState: "40001"
    ).with { $0.isRetryable = true }

    static let notRolledBack =
        "Redis does not roll back: the other commands of the transaction took effect as far as they did not fail, too."

    /// A command ended before it could be stopped, and what it has returned does not reach the client.
    static let executed = DriverError(
        .outcomeUnknown, "The command was executed before it could be stopped, and its reply was dropped.",
        hint: "Look at what it has changed before you send it again.", sqlState: "08007")

    static func unknownOutcome(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "\(cause) while the command ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again.", sqlState: "08007")
    }
}
