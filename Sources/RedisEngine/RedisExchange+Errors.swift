// Errors of commands that failed, were refused or stopped, and of connections that were lost.

internal import DatabaseContract
internal import RemoteDatabases

extension DriverError {
    /// The error of a run of which a part was executed, or may have been: the same again would do that part twice.
    var ofPart: DriverError {
        with {
            $0.isRetryable = false
            $0.hint =
                "A part of it was executed, or may have been: the commands of a batch before this one, or what a "
                + "script has done before it answered so. Look at what has changed before you send it again."
        }
    }

    /// A node gets a key of a slot that is on its way, and its user may not ask for it.
    var ofRefusedAsking: DriverError {
        guard code == .permissionDenied else { return self }
        return with {
            $0.detail = [$0.detail.map { $0 + "." }, "The slot of the keys moves to that node; nothing was executed."]
                .compactMap(\.self).joined(separator: " ")
            $0.hint = "Let the user of the database follow slots that move: ACL SETUSER … +asking, on each node."
        }
    }
}

extension RedisExchange {
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

    /// A script ran when the connection was opened.
    static let noCommandsYet = DriverError(
        .busy, "Which commands only read is not known: the server was busy, and did not tell.",
        hint: "Try again; in a session, open another one.", sqlState: "55P03"
    ).with { $0.isRetryable = true }

    /// Like a serialization failure elsewhere.
    static let watchFailed = DriverError(
        .busy, "A watched key was changed by somebody else; nothing of the transaction was executed.",
        hint: "Repeat the whole transaction, from WATCH on.", sqlState: "40001"
    ).with { $0.isRetryable = true }

    /// WAIT has come to its end; the writes before it stay.
    static func tooFewReplicas(_ count: Int64, of wanted: Int64) -> DriverError {
        DriverError(
            .databaseError, "\(max(0, count)) of the \(wanted) replicas that WAIT asks for have the writes before it.",
            hint: "The writes have taken effect on the primary, and are lost if it is before a replica has them.",
            sqlState: "55000")
    }

    static let notRolledBack =
        "Redis does not roll back: the other commands of the transaction took effect as far as they did not fail, too."

    /// A command ended before it could be stopped, and its result does not reach the client.
    static let executed = DriverError(
        .outcomeUnknown, "The command was executed before it could be stopped, and its reply was dropped.",
        hint: "Look at what it has changed before you send it again.", sqlState: "08007")

    static func unknownOutcome(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "\(cause) while the command ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again.", sqlState: "08007")
    }

    /// The error of a run whose connection is lost. `hasUnsent`: part of the last command was not sent.
    func lostError(_ effect: StatementEffect, hasUnsent: Bool) -> DriverError {
        // The batch's commands were executed by themselves.
        if let failure, failure.code == .outcomeUnknown { return failure }
        // A command that was not sent as a whole was not executed; commands of a batch before it may have been.
        if Self.mayHaveChanged(effect), !hasUnsent || batch?.isAtomic == false {
            return Self.unknownOutcome("The connection to the database was lost")
        }
        let message =
            current.isSession
            ? "The connection to the database was lost; an open transaction was discarded."
            : "The connection to the database was lost while the command ran."
        let isRetryable = !current.isSession
        return DriverError(.connectFailed, message, hint: "Try again.", sqlState: "08006").with {
            $0.isRetryable = isRetryable
        }
    }

    /// The error of a run that was stopped, and whose reply nobody waits for.
    static func detachedError(_ reason: StopReason, _ effect: StatementEffect) -> DriverError {
        mayHaveChanged(effect) ? unknownOutcome("The server did not confirm the cancelling") : .stopped(reason)
    }

    /// Whether an error is the result of stopping the run. Any other one tells what became of the command.
    static func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        [.cancelled, .timeout, DriverError.stopped(reason).code].contains(error.code)
    }

    /// hiredis cannot go on, for the reason that `problem` tells.
    static func unreadable(_ problem: String, _ effect: StatementEffect) -> DriverError {
        DriverError(
            mayHaveChanged(effect) ? .outcomeUnknown : .databaseError,
            "The reply of the database cannot be read: \(problem).",
            hint: "The connection was closed. Ask for less, or for parts.", sqlState: "08P01")
    }

    static func rowTooLarge(_ effect: StatementEffect) -> DriverError {
        DriverError(
            .limitExceeded, "A row is larger than a reply may be (row_bytes_max).",
            hint: "Ask for parts: GETRANGE, LRANGE, SCAN and the like.", sqlState: "54000"
        ).with { if mayHaveChanged(effect) { $0.detail = "The command was executed." } }
    }

    /// hiredis would keep the whole string in memory.
    static func stringTooLarge(_ effect: StatementEffect) -> DriverError {
        rowTooLarge(effect).with {
            $0.message =
                "A string in the reply is larger than a reply may be (row_bytes_max); the connection was closed."
        }
    }

    static func lineTooLong(_ effect: StatementEffect, byteCountMax: Int) -> DriverError {
        rowTooLarge(effect).with {
            $0.message = "A line in the reply is longer than \(byteCountMax) bytes; the connection was closed."
            $0.hint = "Return long texts as strings, not as a status or an error."
        }
    }
}
