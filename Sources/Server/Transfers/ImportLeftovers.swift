// What an import that has failed leaves, and how its error says so. Values without I/O.

internal import DatabaseContract

/// What of the file, and of what was made for it, is there although the import has failed.
struct ImportLeftovers: Equatable {
    enum Rows: Equatable {
        /// None that are known of.
        case none
        /// So many, whatever comes.
        case committed(Int64)
        /// So many, as part of a transaction of the client's, which goes on.
        case inTransaction(Int64)
        /// Such a transaction was rolled back by the engine.
        case rolledBack
        /// The table has no transactions: the rollback has left what was written.
        case notUndone
    }

    var rows = Rows.none
    /// A table that was made.
    var hasTable = false

    /// The error with what is there as its `detail`. Where something is, the same request would not do the same again: nobody is
    /// told to repeat it.
    func told(by error: DriverError) -> DriverError {
        guard let detail = detail(isOutcomeKnown: error.code != .outcomeUnknown) else { return error }
        return error.with {
            // An engine's own words may have no end.
            $0.detail = [$0.detail.map(DriverError.sentence), detail].compactMap(\.self).joined(separator: " ")
            guard rows != .rolledBack, $0.isRetryable || $0.retryAfterMilliseconds != nil else { return }
            $0.isRetryable = false
            $0.retryAfterMilliseconds = nil
            $0.remedy = nil
            $0.hint = hint
        }
    }

    private func detail(isOutcomeKnown: Bool) -> String? {
        switch rows {
        case .none: hasTable ? "The table was made, and stays without rows of the file." : nil
        case .committed(let count):
            (count == 1 ? "The row before it is in the table" : "The \(count) rows before it are in the table")
                + (isOutcomeKnown ? "." : "; of those behind them it is not known.")
        case .inTransaction(let count):
            count == 1 ? "The transaction has the row before it." : "The transaction has the \(count) rows before it."
        case .rolledBack: "The transaction was rolled back, with all rows of it."
        case .notUndone: "The table has no transactions: rows that were written before it are there."
        }
    }

    private var hint: String {
        switch rows {
        case .none, .rolledBack: "Import into the table that was made, or drop it first."
        case .committed, .notUndone: "Import what is left of the file, or delete the rows that are there first."
        case .inTransaction: "Import what is left of the file, or roll the transaction back first."
        }
    }
}
