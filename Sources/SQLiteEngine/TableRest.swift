// The rows of a whole table behind those that a statement has returned.

internal import CSQLite
internal import DatabaseContract
internal import SQLText

/// Takes over from a statement that reads a whole table, after some of its rows.
///
/// The statement is not stepped any more, but stays where it is: so its transaction lasts, and everything sees the same.
/// - Thread: that of the run.
final class TableRest {
    private let connection: SQLiteConnection
    private let table: SQLiteWholeTable
    private let program: TableProgram
    private var range: TableRange?
    /// The last row that was read.
    private var last: Int64 = 0

    /// `nil` unless the statement reads a whole table in the order of its row numbers, and its pages can be looked at.
    /// - Parameters:
    ///   - run: reads all rows; its text must stay as long as this is used.
    ///   - statement: of the run.
    ///   - connection: whose statement it is.
    init?(_ run: StatementRun, _ statement: CachedStatement, on connection: SQLiteConnection) {
        guard statement.isReadOnly, let table = SQLiteWholeTable(of: run, on: connection),
            let program = TableProgram(of: statement, on: connection), program.access == .all
        else { return nil }
        (self.connection, self.table, self.program) = (connection, table, program)
    }

    /// Takes over, if that is possible.
    /// - Parameter rowCount: how many rows the statement has returned; its transaction is open.
    /// - Returns: whether it has, now or before.
    func takesOver(behind rowCount: Int64) -> Bool {
        if range != nil { return true }
        guard rowCount > 0, let reader = TableReader(program, connection.pages),
            let rowID = ScanSource.rowIDName(of: table.table, rootPage: program.rootPage, on: connection),
            let last = rowNumber(table.place(rowID: rowID), rowCount - 1)
        else { return false }
        range = TableRange(connection, table.range(rowID: rowID), reader)
        self.last = last
        return range != nil
    }

    private func rowNumber(_ sql: String, _ place: Int64) -> Int64? {
        guard let statement = connection.prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        sqlite3_bind_int64(statement, 1, place)
        guard sqlite3_step(statement) == SQLITE_ROW, sqlite3_column_type(statement, 0) == SQLITE_INTEGER else {
            return nil
        }
        return sqlite3_column_int64(statement, 0)
    }

    /// Reads further rows, about `countMax` at most.
    /// - Returns: what was read; without `last` that was everything.
    func read(into sink: RowSink, countMax: Int64) -> TableRange.Rows {
        guard let range, last < .max else { return TableRange.Rows() }
        let read = range.read((last + 1)...(.max), into: sink, countMax: countMax)
        last = read.last ?? .max
        return read
    }
}
