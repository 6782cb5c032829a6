// What a parallel scan reads.

internal import CSQLite
internal import SQLText

/// A table with row numbers that a statement reads from its beginning to its end.
struct ScanSource {
    /// The statement for a range of row numbers.
    let range: String
    /// The least and the greatest row number.
    let rows: ClosedRange<Int64>

    /// Of tables that are smaller, one thread has read everything before another one has begun.
    private static let rowNumberCountMin: UInt64 = 4_096

    /// `nil` unless the name is that of a table with row numbers, which is not small, and SQLite would read that itself
    ///   rather than an index, which has another order.
    ///
    /// - Parameters:
    ///   - table: what the text says.
    ///   - sql: the statement.
    ///   - rootPage: of the table that it reads, if that is known.
    ///   - connection: with a read transaction.
    init?(
        _ table: SQLiteWholeTable, _ sql: UnsafeRawBufferPointer, rootPage: UInt32?, on connection: SQLiteConnection
    ) {
        guard let rowID = Self.rowIDName(of: table.table, rootPage: rootPage, on: connection),
            Self.isScanned(sql, connection),
            let rows = Self.rows(table.ends(rowID: rowID), connection)
        else { return nil }
        range = table.range(rowID: rowID)
        self.rows = rows
    }

    /// A name that is taken for the number of a row, by which a table with that name is to be read in parts.
    /// - Parameters:
    ///   - name: stands for a table of the file, and for nothing else, or there is no result.
    ///   - rootPage: of the table that is meant, if that is known.
    ///   - connection: with a transaction.
    /// - Returns: `nil` where the name is that of something else, or no name is left for the number.
    static func rowIDName(of name: String, rootPage: UInt32?, on connection: SQLiteConnection) -> String? {
        isTable(name, rootPage, connection) && !isHidden(name, connection) ? rowIDName(name, connection) : nil
    }

    private static func isTable(_ name: String, _ rootPage: UInt32?, _ connection: SQLiteConnection) -> Bool {
        // A virtual table has no root page.
        let sql =
            "SELECT rootpage FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?1 COLLATE NOCASE"
        guard let found = texts(sql, name, column: 0, connection), found.count == 1 else { return false }
        return rootPage.map { String($0) == found[0] } ?? true
    }

    /// Whether a session has a table or a view of that name, which is found first.
    private static func isHidden(_ name: String, _ connection: SQLiteConnection) -> Bool {
        guard case .session = connection.role else { return false }
        let sql = "SELECT 1 FROM temp.sqlite_schema WHERE name = ?1 COLLATE NOCASE"
        return texts(sql, name, column: 0, connection)?.isEmpty != true
    }

    private static func isScanned(_ sql: UnsafeRawBufferPointer, _ connection: SQLiteConnection) -> Bool {
        let statement = String(decoding: SQLiteText.withoutTail(sql), as: UTF8.self)
        guard let plan = texts("EXPLAIN QUERY PLAN \(statement)", "", column: 3, connection), plan.count == 1 else {
            return false
        }
        return plan[0].hasPrefix("SCAN ") && !plan[0].containsBytes(of: " USING ")
    }

    /// A name of the row number that no column of the table has.
    private static func rowIDName(_ table: String, _ connection: SQLiteConnection) -> String? {
        let sql = "SELECT name FROM pragma_table_xinfo(?1, 'main')"
        guard let columns = texts(sql, table, column: 0, connection) else { return nil }
        let taken = Set(columns.map { $0.lowercased() })
        return ["rowid", "_rowid_", "oid"].first { !taken.contains($0) }
    }

    private static func rows(_ sql: String, _ connection: SQLiteConnection) -> ClosedRange<Int64>? {
        guard let statement = connection.prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, sqlite3_column_type(statement, 0) == SQLITE_INTEGER,
            sqlite3_column_type(statement, 1) == SQLITE_INTEGER
        else { return nil }
        let (first, last) = (sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1))
        guard first <= last, UInt64(bitPattern: last &- first) >= rowNumberCountMin else { return nil }
        return first...last
    }

    /// One column of the rows of a statement with at most one parameter; `nil` if it fails.
    private static func texts(
        _ sql: String, _ parameter: String, column: Int32, _ connection: SQLiteConnection
    ) -> [String]? {
        guard let statement = connection.prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        return parameter.withCString { parameter in
            if sqlite3_bind_parameter_count(statement) == 1 { sqlite3_bind_text(statement, 1, parameter, -1, nil) }
            var found: [String] = []
            while true {
                switch sqlite3_step(statement) {
                case SQLITE_ROW: found.append(sqlite3_column_text(statement, column).map { String(cString: $0) } ?? "")
                case SQLITE_DONE: return found
                default: return nil
                }
            }
        }
    }
}
