// Errors that all engines with a server share.

package import DatabaseContract
internal import LinuxSystem
package import SQLText

/// Texts for administrators of a server.
package enum RemoteErrors {
    /// What to do when no server answers. In the sandbox of the system's service that happens until its drop-in exists,
    /// whatever the server does; and if the socket file may not be used (EACCES), a group to which the user was added
    /// counts for this process only after a restart.
    /// - Parameter reason: as the C library names it.
    /// - Returns: a hint.
    package static func reachHint(_ reason: String) -> String {
        if reason.contains(text: "Permission denied") || reason.contains(text: "(13)") {
            let who = isInSystemService ? "user litebase" : "the daemon's user"
            return
                "Check that \(who) may use the server's socket; a group that it was added to is in force after a restart of "
                + (isInSystemService ? "litebase.service." : "the daemon.")
        }
        return "Check that the server runs, and the URL"
            + (isInSystemService ? "; and that litebase.service has the drop-in remote-databases.conf." : ".")
    }

    /// systemd.exec(5), `StateDirectory=`: below the home for a user's service, not set without systemd.
    private static var isInSystemService: Bool {
        Process.environment("STATE_DIRECTORY")?.hasPrefix("/var/lib/") ?? false
    }
}

extension DriverError {
    /// A statement that may have written, and whose end is unknown. `cause` is the beginning of a sentence, such as
    /// "The connection to the database was lost".
    package static func unknownOutcome(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "\(cause) while the statement ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again.", sqlState: "08007")
    }

    /// The connection was lost, and with it the transaction of a session.
    package static func lost(_ effect: StatementEffect, isSession: Bool) -> DriverError {
        if effect.mayStay(connectionIsLost: true) { return unknownOutcome("The connection to the database was lost") }
        let mayHaveCalled = effect.verdict(connectionIsLost: true) == .nothingButByFunctions
        let message =
            isSession
            ? "The connection to the database was lost; an open transaction was rolled back."
            : "The connection to the database was lost while the statement ran."
        return DriverError(.connectFailed, message, hint: "Try again.", sqlState: "08006").with {
            $0.isRetryable = !isSession && !mayHaveCalled
            if mayHaveCalled { $0.detail = calledFunctions }
        }
    }

    /// The error of an attempt at several servers: what each of them has said. One that was reached and has not the wanted role
    /// (25006) is worth more to whoever reads it than one that could not be reached.
    /// - Returns: `nil` if none was tried.
    package static func ofServers(_ failures: [(server: String, error: DriverError)]) -> DriverError? {
        guard let first = failures.first else { return nil }
        if failures.count == 1 { return first.error }
        let main = failures.first { $0.error.details.sqlState == "25006" } ?? first
        let told = failures.map { "\($0.server): \($0.error.details.detail ?? $0.error.details.message)" }
        return main.error.with { $0.detail = told.joined(separator: "; ") }
    }

    /// A statement that its server has refused since it takes no writes any more, where the daemon knows that another one does.
    /// Nothing of the statement has happened, unless it commits parts of itself (`isDivisible`).
    /// `message` says what has become of the server.
    package func ofLostRole(
        isSession: Bool, isDivisible: Bool = false,
        message: String = "The server takes no writes any more; the next connection is made to the one that does."
    ) -> DriverError {
        with {
            $0.detail = $0.message
            $0.code = .connectFailed
            $0.message = message
            $0.hint = nil
            $0.remedy = nil
            if isSession {
                $0.remedy = .openAnotherSession
            } else if isDivisible {
                $0.hint = "Look what the statement has committed before it was refused; then send the rest again."
            } else {
                $0.hint = "Try again."
            }
            $0.isRetryable = !isSession && !isDivisible
        }
    }

    /// A server's message makes no sense. `detail` says what is wrong with it.
    package static func nonsense(_ detail: String, _ effect: StatementEffect) -> DriverError {
        let error =
            effect.mayStay(connectionIsLost: true)
            ? unknownOutcome("The server did not keep to its protocol")
            : DriverError(
                .databaseError, "The server did not keep to its protocol; the connection to it was closed.",
                hint: "Check what the URL of the database leads to.", sqlState: "08P01")
        return error.with { $0.detail = detail }
    }

    /// A run was stopped, and the server has not reported in time what it did.
    static func detached(_ reason: StopReason, _ effect: StatementEffect, connectionIsLost: Bool) -> DriverError {
        if effect.mayStay(connectionIsLost: connectionIsLost) {
            return unknownOutcome("The server did not confirm the cancelling")
        }
        let mayHaveCalled = effect.verdict(connectionIsLost: connectionIsLost) == .nothingButByFunctions
        return stopped(reason).with { if mayHaveCalled { $0.detail = calledFunctions } }
    }

    /// A statement has taken effect, and `cause` is why its rows are not sent.
    static func doneWithoutRows(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "The statement has taken effect, but not all of its rows are delivered: \(cause).",
            hint: "Look at what it did; do not send it again.", sqlState: "57014")
    }

    /// The server has ended a statement early that can commit parts of itself.
    static let stoppedInTheMiddle = DriverError(
        .outcomeUnknown, "The statement was stopped; what it had committed until then stays.",
        hint: "Look how far it came before you send it again.", sqlState: "57014")

    /// COMMIT was answered with a rollback. PostgreSQL reports that only in the command tag.
    package static let rolledBackByCommit = DriverError(
        .transactionRolledBack,
        "The transaction was rolled back, and nothing of it is committed, since a statement in it had failed.",
        hint: "Repeat the whole transaction when the cause of that error is gone.", sqlState: "40000")

    /// The server had ended the transaction already, and its COMMIT found none. MySQL does not report that.
    package static let rolledBackBefore = DriverError(
        .transactionRolledBack,
        "COMMIT found no transaction: the server had rolled it back when a statement in it failed.",
        hint: "Repeat the whole transaction. What was sent behind that statement was committed by itself.",
        sqlState: "40000")

    private static let calledFunctions = "If it calls functions that write, whether these took effect is not known."

    /// A row that is too large for any reply.
    package static let rowTooLarge = DriverError(
        .limitExceeded, "A row is larger than a reply may be (row_bytes_max).",
        hint: "Select fewer or smaller columns, or parts of them with substr().", sqlState: "54000")
}

extension TextBound {
    /// Whether a request is too long to be looked through on a loop.
    package static func isLong(_ run: StatementRun) -> Bool { run.requestByteCount > byteCountMax }

    /// The kind of the statement cannot be determined, so it might be one that is refused.
    package static let tooFar = DriverError(
        .badRequest, "The words with which the statement begins are not within its first \(byteCountMax >> 10) KiB.",
        hint: "Leave out the blanks and comments in front of it.", sqlState: "54000")
}
