// Why a view or a virtual table cannot be used: SQLite finds that out when it is first asked for its columns, and then ends the
// statement that has asked for those of all.

internal import CSQLite
internal import Glibc
internal import SQLText

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
        guard schema.count + name.count <= nameByteCountMax else { return call.finish(tooLong) }
        var text = Array("SELECT * FROM ".utf8)
        text.appendQuoted(schema, by: UInt8(ascii: "\""))
        text.append(UInt8(ascii: "."))
        text.appendQuoted(name, by: UInt8(ascii: "\""))
        text += " LIMIT 0".utf8
        var statement: OpaquePointer?
        defer { sqlite3_finalize(statement) }
        let result = text.withUnsafeBytes {
            sqlite3_prepare_v2(
                connection, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), &statement, nil)
        }
        guard result != SQLITE_OK else { return }
        guard let message = sqlite3_errmsg(connection) else { return }
        let reason = UnsafeRawBufferPointer(start: message, count: strlen(message))
        call.finish(UnsafeRawBufferPointer(rebasing: reason.prefix(reasonByteCountMax)))
    }

    private static let reasonByteCountMax = 300

    private static let tooLongText: StaticString = "its name is too long"
    private static var tooLong: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: tooLongText.utf8Start, count: tooLongText.utf8CodeUnitCount)
    }
    /// Nobody gives a relation such a name by mistake.
    private static let nameByteCountMax = 64 << 10
}
