// One connection of a parallel scan.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// A connection with a read transaction, and what reads rows with numbers in a range.
///
/// - Thread: one at a time; `connection.interrupt` from any.
final class ScanReader: @unchecked Sendable {
    /// Why a chunk was not read to its end.
    enum Failure {
        /// A row is too large for the sink, or refused by it.
        case overflow
        case sqlite(DriverError)
    }

    /// What was read of a chunk.
    struct Rows {
        var count: Int64 = 0
        /// The last row, where the sink had no room for more.
        var last: Int64?
        var failure: Failure?
    }

    let connection: SQLiteConnection
    private var snapshot: HeldSnapshot?
    private var range: TableRange?

    /// - Parameters:
    ///   - connection: a reader.
    ///   - snapshot: its transaction, which is held.
    ///   - sql: the statement of a range (`TableRange`).
    ///   - reader: reads what the statement returns, but for the number; `nil` where SQLite has to.
    init(_ connection: SQLiteConnection, _ snapshot: HeldSnapshot, _ sql: String, _ reader: TableReader?) {
        self.connection = connection
        self.snapshot = snapshot
        connection.mayBlock = true
        range = TableRange(connection, sql, reader)
    }

    deinit { end() }

    /// Whether the statement could be prepared.
    var isReady: Bool { range != nil }

    /// The columns of the client's statement.
    var columns: ColumnSet { range?.columns ?? ColumnSet([]) }

    /// Ends the transaction.
    func end() {
        range = nil
        snapshot?.release()
        snapshot = nil
    }

    /// Reads rows into a sink until the last one, or until the sink is full.
    func read(_ rows: ClosedRange<Int64>, into sink: RowSink, for run: StatementRun) -> Rows {
        guard let range else { return Rows() }
        connection.begin(run, nil)
        connection.beginGuard()
        let read = range.read(rows, into: sink)
        AllocationGuard.end()
        connection.end()
        return Rows(count: read.count, last: read.last, failure: read.failure.map { failure($0, run) })
    }

    private func failure(_ failure: TableRange.Failure, _ run: StatementRun) -> Failure {
        switch failure {
        case .overflow: return .overflow
        case .result(let result):
            connection.noteDamage(result)
            return .sqlite(run.stopReason.map(DriverError.stopped) ?? SQLiteErrors.error(connection.handle, result))
        }
    }
}
