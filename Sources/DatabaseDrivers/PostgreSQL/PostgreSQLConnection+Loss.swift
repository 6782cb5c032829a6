// What is known of a run when its connection ends.

internal import CPostgreSQL

extension PostgreSQLConnection {
    /// Answers that are looked at after the end of the connection.
    private static let lastAnswerCountMax = 10_000

    /// The connection has ended.
    func lost() -> Progress {
        takeLastWords()
        guard isCommitted, !isFailureOfServer || failure?.details.sqlState == Self.terminated else {
            return .broken(lostError())
        }
        failure = nil
        finishRun()
        return .ended
    }

    /// The server has ended the connection between the commit and the end of its pipeline: the run has succeeded.
    func forgetLateEnd() {
        if isCommitted, isFailureOfServer, failure?.details.sqlState == Self.terminated { failure = nil }
    }

    /// What the server said last may be there still: that it has committed, and why it ends the connection.
    private func takeLastWords() {
        var count = 0
        while count < Self.lastAnswerCountMax, nextStep < steps.count,
            pq_status(handle) != PQ_CONNECTION_OK || pq_isBusy(handle) == 0
        {
            count += 1
            guard let result = pq_getResult(handle) else {
                stepIsAnswered()
                continue
            }
            switch pq_resultStatus(result) {
            case PQ_FATAL_ERROR: takeError(result)
            case PQ_TUPLES_OK, PQ_COMMAND_OK: takeEnd(result)
            case PQ_PIPELINE_SYNC: stepIsAnswered()
            default: break
            }
            pq_clear(result)
        }
        steps.removeAll()
        nextStep = 0
    }

    /// What it says makes no sense.
    func nonsense(_ detail: String) -> DriverError {
        if let failure, isFailureOfServer { return failure }
        return .nonsense(detail, mayHaveCommitted: mayHaveCommitted)
    }

    /// It sends more in one message than any reply may hold.
    func gatheringError() -> DriverError {
        if let failure, isFailureOfServer { return failure }
        guard mayHaveCommitted else { return .rowTooLarge }
        return .unknownOutcome("The server sent a row that is larger than a reply may be (row_bytes_max)")
    }

    /// The server ends the connection in good order.
    private static let terminated = "57P01"

    func lostError() -> DriverError {
        // An error of the statement is one, whatever came behind it. When the server ends the connection it says so before
        // it begins, or instead of committing.
        if let failure, isFailureOfServer,
            failure.details.sqlState != Self.terminated || !(mayHaveCommitted && isDivisible)
        {
            return failure
        }
        let error: DriverError =
            mayHaveCommitted
            ? .unknownOutcome("The connection to the database was lost")
            : .lost(isSession: mode.isSession, mayHaveCalled: mayHaveCalled)
        return error.with {
            if let lossDetail { $0.detail = [$0.detail, lossDetail].compactMap(\.self).joined(separator: " ") }
        }
    }
}
