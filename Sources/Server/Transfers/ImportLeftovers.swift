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

    /// The error with what is there as its `detail`.
    func told(by error: DriverError) -> DriverError {
        guard let detail else { return error }
        return error.with {
            $0.detail = [$0.detail, detail].compactMap(\.self).joined(separator: " ")
        }
    }

    private var detail: String? {
        switch rows {
        case .none: hasTable ? "The table was made, and stays without rows of the file." : nil
        case .committed(let count): "The \(count) rows before it are in the table."
        case .inTransaction(let count): "The transaction has the \(count) rows before it."
        case .rolledBack: "The transaction was rolled back, with all rows of it."
        case .notUndone: "The table has no transactions: rows that were written before it are there."
        }
    }
}
