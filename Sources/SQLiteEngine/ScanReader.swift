// One connection of a parallel scan.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// A connection with a read transaction, and the statement for rows with numbers in a range.
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
    private(set) var statement: CachedStatement?

    /// - Parameters:
    ///   - connection: a reader.
    ///   - snapshot: its transaction, which is held.
    ///   - sql: the statement, with the first and the last row number as parameters, and the number as its last column.
    init(_ connection: SQLiteConnection, _ snapshot: HeldSnapshot, _ sql: String) {
        self.connection = connection
        self.snapshot = snapshot
        connection.mayBlock = true
        guard let handle = connection.prepareOwn(sql) else { return }
        statement = CachedStatement(
            handle, sqlByteCount: sql.utf8.count, SQLiteAuthorization(), .worker, mayUseVirtualTables: false)
    }

    deinit { end() }

    /// Whether the statement could be prepared.
    var isReady: Bool { statement != nil }

    /// The columns of the client's statement.
    var columns: ColumnSet { ColumnSet(statement.map { $0.columns.columns.dropLast() } ?? []) }

    /// Ends the transaction.
    func end() {
        statement = nil
        snapshot?.release()
        snapshot = nil
    }

    /// Reads rows into a sink until the last one, or until the sink is full.
    func read(_ rows: ClosedRange<Int64>, into sink: RowSink, for run: StatementRun) -> Rows {
        var read = Rows()
        guard let statement else { return read }
        let handle = statement.handle
        sqlite3_bind_int64(handle, 1, rows.lowerBound)
        sqlite3_bind_int64(handle, 2, rows.upperBound)
        connection.begin(run, statement)
        connection.beginGuard()
        step(handle, sink, &read)
        AllocationGuard.end()
        connection.end()
        if case .sqlite = read.failure, let reason = run.stopReason { read.failure = .sqlite(.stopped(reason)) }
        sqlite3_reset(handle)
        return read
    }

    private func step(_ handle: OpaquePointer, _ sink: RowSink, _ read: inout Rows) {
        while true {
            let result = sqlite3_step(handle)
            guard result == SQLITE_ROW else {
                if result != SQLITE_DONE { read.failure = .sqlite(error(result)) }
                return
            }
            let valueCount = sqlite3_data_count(handle) - 1
            SQLiteExecution.pushRow(handle, valueCount, sink)
            read.count += 1
            switch sink.endRow() {
            case .open: break
            case .full:
                read.last = sqlite3_column_int64(handle, valueCount)
                return
            case .overflow:
                read.failure = .overflow
                return
            }
        }
    }

    private func error(_ result: Int32) -> DriverError {
        connection.noteDamage(result)
        return SQLiteErrors.error(connection.handle, result)
    }
}
