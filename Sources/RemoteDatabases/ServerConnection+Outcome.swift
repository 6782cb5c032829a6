// The outcome of a run that has ended, for its client.

package import DatabaseContract

extension ServerConnection {
    /// The error of a run whose end the server has reported: whether it took effect is not guessed from how it was
    /// stopped.
    func errorOfEnded(_ run: StatementRun) -> DriverError? {
        if current.isDone, current.hasOverflown, !readsOnly {
            return .doneWithoutRows("one of them is larger than a reply may be")
        }
        guard let reason = run.stopReason else { return run.error }
        guard let error = run.error else {
            if !current.hasDroppedRows { return nil }
            return readsOnly ? .stopped(reason) : .doneWithoutRows("it was to stop meanwhile")
        }
        guard isOfStop(error, reason) else { return error }
        return (current.effect.isDivisible ? DriverError.stoppedInTheMiddle : .stopped(reason)).with {
            $0.statementIndex = error.details.statementIndex
            $0.rowIndex = error.details.rowIndex
        }
    }

    package static let lost = DriverError(
        .connectFailed, "The connection to the database was lost.", hint: "Try again.", sqlState: "08006"
    ).with { $0.isRetryable = true }
}
