// Errors that all engines with a server have in common.

internal import LinuxSystem

/// Texts for whoever sets a server up.
enum RemoteErrors {
    /// What to do when nobody answers. In the sandbox of the system's service that is so until its drop-in is there, whatever
    /// the server does.
    static let reachHint =
        "Check that the server runs, and the URL"
        + (isInSystemService ? "; and that litebase.service has the drop-in remote-databases.conf." : ".")

    /// systemd.exec(5), `StateDirectory=`: below the home for a user's service, not set without systemd.
    private static var isInSystemService: Bool {
        Process.environment("STATE_DIRECTORY")?.hasPrefix("/var/lib/") ?? false
    }
}

extension DriverError {
    /// A statement that may have written, and of whose end nothing is known. `cause` is the beginning of a sentence, such as
    /// "The connection to the database was lost".
    static func unknownOutcome(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "\(cause) while the statement ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again.", sqlState: "08007")
    }

    /// The connection was lost while nothing could have been committed; with it is gone the transaction of a session.
    /// `mayHaveCalled`: the statement reads, but functions that it calls may have changed something.
    static func lost(isSession: Bool, mayHaveCalled: Bool) -> DriverError {
        let message =
            isSession
            ? "The connection to the database was lost; an open transaction was rolled back."
            : "The connection to the database was lost while the statement ran."
        return DriverError(.connectFailed, message, hint: "Try again.", sqlState: "08006").with {
            $0.isRetryable = !isSession && !mayHaveCalled
            if mayHaveCalled { $0.detail = calledFunctions }
        }
    }

    /// What a server says makes no sense. `detail` is what is wrong with it.
    static func nonsense(_ detail: String, mayHaveCommitted: Bool) -> DriverError {
        let error =
            mayHaveCommitted
            ? unknownOutcome("The server did not keep to its protocol")
            : DriverError(
                .databaseError, "The server did not keep to its protocol; the connection to it was closed.",
                hint: "Check what the URL of the database leads to.", sqlState: "08P01")
        return error.with { $0.detail = detail }
    }

    /// A run was told to stop, and the server has not said what it did until then.
    static func detached(_ reason: StopReason, mayHaveCommitted: Bool, mayHaveCalled: Bool) -> DriverError {
        if mayHaveCommitted { return unknownOutcome("The server did not confirm the cancelling") }
        return stopped(reason).with { if mayHaveCalled { $0.detail = calledFunctions } }
    }

    /// A statement has taken effect, and `cause` is why its rows are not told.
    static func doneWithoutRows(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "The statement has taken effect, but not all of its rows are delivered: \(cause).",
            hint: "Look at what it did; do not send it again.", sqlState: "57014")
    }

    /// The server has ended a statement that can commit before its end.
    static let stoppedInTheMiddle = DriverError(
        .outcomeUnknown, "The statement was stopped; what it had committed until then stays.",
        hint: "Look how far it came before you send it again.", sqlState: "57014")

    private static let calledFunctions = "If it calls functions that write, whether these took effect is not known."

    /// A row that no reply has room for.
    static let rowTooLarge = DriverError(
        .limitExceeded, "A row is larger than a reply may be (row_bytes_max).",
        hint: "Select fewer or smaller columns, or parts of them with substr().", sqlState: "54000")
}

extension StatementRun {
    /// A statement of a batch has succeeded.
    func addToBatch(_ summary: StatementSummary, _ position: BatchPosition?) {
        guard let position else { return }
        if let rowIndex = position.rowIndex, rowIndex > 0, let last = batchSummaries.indices.last {
            // The server's numbers: whatever they are, their sum must not end the daemon.
            let (sum, overflow) = batchSummaries[last].rowsAffected.addingReportingOverflow(summary.rowsAffected)
            batchSummaries[last].rowsAffected = overflow ? .max : sum
            batchSummaries[last].lastInsertID = summary.lastInsertID ?? batchSummaries[last].lastInsertID
        } else {
            // A statement with no parameter rows was not run, and keeps its place.
            while batchSummaries.count < position.statementIndex { batchSummaries.append(StatementSummary()) }
            batchSummaries.append(summary)
        }
    }
}
