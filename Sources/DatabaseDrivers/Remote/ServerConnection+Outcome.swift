// What the client of a run is told that has ended.

extension ServerConnection {
    /// What is told of a run whose end the server has told: whether it took effect is not guessed from how it was stopped.
    func errorOfEnded(_ run: StatementRun) -> DriverError? {
        if isDone, hasOverflown, !readsOnly { return .doneWithoutRows("one of them is larger than a reply may be") }
        guard let reason = run.stopReason else { return run.error }
        guard let error = run.error else {
            if !hasDroppedRows { return nil }
            return readsOnly ? .stopped(reason) : .doneWithoutRows("it was to stop meanwhile")
        }
        guard isOfStop(error, reason) else { return error }
        return (isDivisible ? DriverError.stoppedInTheMiddle : .stopped(reason)).with {
            $0.statementIndex = error.details.statementIndex
            $0.rowIndex = error.details.rowIndex
        }
    }

    static let lost = DriverError(
        .connectFailed, "The connection to the database was lost.", hint: "Try again.", sqlState: "08006"
    ).with { $0.isRetryable = true }
}
