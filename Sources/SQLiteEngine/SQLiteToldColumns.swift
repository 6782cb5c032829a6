// The columns of tables by their definitions, which is ten times as fast as a PRAGMA for each table.

internal import CSQLite
internal import Catalog
internal import SQLText

/// Tells a catalog the columns of tables of which the definition says all that `PRAGMA table_xinfo` would (`SQLiteTableColumns`), and
/// the statement for the others which those are.
enum SQLiteToldColumns {
    /// `litebase_tells_columns(sql)`: whether the text of a table tells its columns.
    static let function = "litebase_tells_columns"

    static func install(on connection: SQLiteConnection) {
        sqlite3_create_function_v2(
            connection.handle, function, 1, SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_DETERMINISTIC, nil,
            { context, _, arguments in
                let text = SQLiteOwnFunctions.Call(context, arguments).text(0)
                sqlite3_result_int(context, text.flatMap { SQLiteTableColumns($0) } == nil ? 0 : 1)
            }, nil, nil, nil)
    }

    /// Tells the columns of a row of relations.
    /// - Returns: the options of the table; `nil` if its columns have to be asked for.
    static func tell(_ row: CatalogFeed, _ text: UnsafeRawBufferPointer) -> [StaticString]? {
        guard row.isTable, let table = SQLiteTableColumns(text) else { return nil }
        for (number, column) in table.columns.enumerated() {
            let identity: IdentityColumn =
                number != table.rowIDColumn ? .no : table.isAutoIncrement ? .autoIncrement : .rowID
            row.tellColumn(
                column.name, type: column.type, defaultValue: column.defaultValue, isNullable: column.isNullable,
                keyPosition: column.keyPosition, identity: identity)
        }
        return (table.isStrict ? ["strict"] : []) + (table.hasRowID ? [] : ["without_rowid"])
    }
}
