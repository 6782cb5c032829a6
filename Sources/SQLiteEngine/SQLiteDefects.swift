// Why a view or a virtual table cannot be used: SQLite finds that out when it is first asked for its columns, and then ends the
// statement that has asked for those of all.

internal import CSQLite
internal import Glibc

/// The function `litebase_defect(schema, name)`: what SQLite says of a relation that cannot be used; NULL if it can.
///
/// Statements that list the columns of all relations leave out those with a defect. It prepares a SELECT of the relation, which PRAGMA
/// table_xinfo would do as well, under the same guards as the statement that calls it; never on a loop (`SQLiteFunctions`).
enum SQLiteDefects {
    static func install(on connection: SQLiteConnection) {
        sqlite3_create_function_v2(
            connection.handle, "litebase_defect", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, nil,
            { context, _, arguments in SQLiteDefects.find(SQLiteOwnFunctions.Call(context, arguments)) }, nil, nil, nil)
    }

    private static func find(_ call: SQLiteOwnFunctions.Call) {
        guard let schema = call.text(0), let name = call.text(1), let context = call.context else { return }
        let connection = sqlite3_context_db_handle(context)
        let text = "SELECT * FROM \(quoted(schema)).\(quoted(name)) LIMIT 0"
        var statement: OpaquePointer?
        defer { sqlite3_finalize(statement) }
        guard sqlite3_prepare_v2(connection, text, -1, &statement, nil) != SQLITE_OK else { return }
        guard let message = sqlite3_errmsg(connection) else { return }
        let reason = UnsafeRawBufferPointer(start: message, count: strlen(message))
        call.finish(UnsafeRawBufferPointer(rebasing: reason.prefix(reasonByteCountMax)))
    }

    private static let reasonByteCountMax = 300

    private static func quoted(_ name: UnsafeRawBufferPointer) -> String {
        "\""
            + String(decoding: name, as: UTF8.self).split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }
}
