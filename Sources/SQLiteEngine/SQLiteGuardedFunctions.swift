// SQLite functions that are called only with arguments for which they end in time, and within the stack: some take
// quadratic time, others recurse for each step of a path without allocating (src/json.c of SQLite 3.40).

internal import CSQLite
internal import DatabaseContract

/// Replaces `json_patch`, `json_set`, `json_insert`, `printf` and `format`.
enum SQLiteGuardedFunctions {
    typealias Call = SQLiteOwnFunctions.Call

    static let all: [(name: String, argumentCount: Int32, function: SQLiteOwnFunctions.Function)] = [
        ("json_patch", 2, { SQLiteGuardedFunctions.patch(Call($0, $2)) }),
        ("json_set", -1, { SQLiteGuardedFunctions.change("json_set", Call($0, $2), $1) }),
        ("json_insert", -1, { SQLiteGuardedFunctions.change("json_insert", Call($0, $2), $1) }),
        ("printf", -1, { SQLiteGuardedFunctions.print("printf", Call($0, $2), $1) }),
        ("format", -1, { SQLiteGuardedFunctions.print("format", Call($0, $2), $1) }),
    ]

    /// Product of the lengths of both arguments of json_patch: some 50 ms.
    private static let patchProductMax = 1 << 30
    /// Length of a path whose steps may have to be created: a thousand levels, as deep as JSON itself may be nested.
    private static let pathByteCountMax = 3_000

    private static func patch(_ call: Call) {
        guard let target = call.text(0), let patch = call.text(1) else { return }
        guard target.count <= patchProductMax / max(1, patch.count) else {
            return sqlite3_result_error(
                call.context, "json_patch: too long, in the product of both lengths; patch parts with json_set", -1)
        }
        callOriginal("json_patch", call, 2, givesJSON: true)
    }

    /// A document, then alternately paths and values.
    private static func change(_ name: String, _ call: Call, _ argumentCount: Int32) {
        for index in stride(from: 1, to: Int(argumentCount), by: 2) {
            guard let path = call.text(index), path.count > pathByteCountMax else { continue }
            return sqlite3_result_error(call.context, "JSON path too long: at most \(pathByteCountMax) bytes", -1)
        }
        callOriginal(name, call, argumentCount, givesJSON: true)
    }

    /// SQLite returns NULL if the text becomes longer than values may be (printfFunc in src/func.c), which is an error
    /// everywhere else. Within the limits of a loop that would be a wrong answer. It also returns NULL for an empty
    /// text.
    private static func print(_ name: String, _ call: Call, _ argumentCount: Int32) {
        guard argumentCount > 0, call.type(0) != SQLITE_NULL else { return }
        guard !repeatsTooMuch(call, argumentCount) else { return sqlite3_result_error_toobig(call.context) }
        guard let originals = call.connection?.originals else { return sqlite3_result_error_nomem(call.context) }
        originals.withTextLimit { printOriginal(name, call, argumentCount, originals) }
    }

    private static func printOriginal(
        _ name: String, _ call: Call, _ argumentCount: Int32, _ originals: SQLiteOriginals
    ) {
        callOriginal(name, call, argumentCount, givesJSON: false) {
            guard let longer = originals.statement(name, argumentCount, isPrefixed: true) else {
                return sqlite3_result_error_nomem(call.context)
            }
            defer { SQLiteOriginals.release(longer) }
            guard bind(call, argumentCount, to: longer) else { return sqlite3_result_error_toobig(call.context) }
            if sqlite3_step(longer) != SQLITE_ROW || sqlite3_column_type(longer, 0) == SQLITE_NULL {
                sqlite3_result_error_toobig(call.context)
            }
        }
    }

    private static func repeatsTooMuch(_ call: Call, _ argumentCount: Int32) -> Bool {
        guard let connection = call.connection, let format = call.text(0) else { return false }
        return SQLiteFormat.repeatedCharacterCount(format) { index in
            index + 1 < argumentCount ? sqlite3_value_int64(call.value(index + 1)) : 0
        } > Int(connection.originals.textByteCountMax)
    }

    /// If it `givesJSON`, its text is JSON to other functions, and not a text to be quoted.
    private static func callOriginal(
        _ name: String, _ call: Call, _ argumentCount: Int32, givesJSON: Bool, orNull: () -> Void = {}
    ) {
        guard let original = call.connection?.originals.statement(name, argumentCount) else {
            return sqlite3_result_error_nomem(call.context)
        }
        defer { SQLiteOriginals.release(original) }
        guard bind(call, argumentCount, to: original) else { return sqlite3_result_error_toobig(call.context) }
        switch sqlite3_step(original) {
        case SQLITE_ROW: break
        // Another place computes it again, with more room.
        case SQLITE_TOOBIG: return sqlite3_result_error_toobig(call.context)
        default: return sqlite3_result_error(call.context, sqlite3_errmsg(sqlite3_db_handle(original)), -1)
        }
        if sqlite3_column_type(original, 0) == SQLITE_NULL { return orNull() }
        sqlite3_result_value(call.context, sqlite3_column_value(original, 0))
        if givesJSON, sqlite3_column_type(original, 0) == SQLITE_TEXT {
            sqlite3_result_subtype(call.context, jsonSubtype)
        }
    }

    /// - Returns: `false` if a value is longer than the limit.
    private static func bind(_ call: Call, _ argumentCount: Int32, to original: OpaquePointer) -> Bool {
        for index in 0..<argumentCount {
            // Bound values lose the mark that distinguishes JSON from text; the statement adds it again.
            let value = call.value(Int(index))
            guard sqlite3_bind_value(original, 2 * index + 1, value) != SQLITE_TOOBIG else { return false }
            sqlite3_bind_int(original, 2 * index + 2, sqlite3_value_subtype(value) == jsonSubtype ? 1 : 0)
        }
        return true
    }

    /// 'J': what JSON functions take for JSON instead of text (JSON_SUBTYPE in src/json.c).
    private static let jsonSubtype: UInt32 = 74
}

/// SQLite's own functions that ours replace: on an empty database that belongs to a connection.
///
/// - Thread: that of the connection.
final class SQLiteOriginals {
    private var handle: OpaquePointer?
    private var statements: [String: OpaquePointer] = [:]
    private let valueByteCountMax: Int32
    /// That of the connection at this moment: a text that is longer takes longer to format than a call may take there.
    var textByteCountMax: Int32

    init(valueByteCountMax: Int32) {
        self.valueByteCountMax = valueByteCountMax
        textByteCountMax = valueByteCountMax
    }

    /// Calls `body` with the connection's limit. (JSON functions call a text that is too long for them a lack of memory.)
    func withTextLimit(_ body: () -> Void) {
        guard open() else { return body() }
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, textByteCountMax)
        body()
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, valueByteCountMax)
    }

    private func open() -> Bool {
        if handle != nil { return true }
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX
        guard sqlite3_open_v2(":memory:", &handle, flags, nil) == SQLITE_OK else { return false }
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, valueByteCountMax)
        return true
    }

    /// A statement that calls `name`; two parameters for each argument, its value and whether that is JSON. With
    /// `isPrefixed`, one letter is added at the beginning of the first argument.
    /// - Returns: `nil` without memory, and for a wrong number of arguments.
    func statement(_ name: String, _ argumentCount: Int32, isPrefixed: Bool = false) -> OpaquePointer? {
        let key = "\(name) \(argumentCount)\(isPrefixed ? " longer" : "")"
        if let statement = statements[key] { return statement }
        guard open() else { return nil }
        let arguments = (0..<argumentCount).map {
            "CASE ?\(2 * $0 + 2) WHEN 1 THEN json(?\(2 * $0 + 1)) ELSE ?\(2 * $0 + 1) END"
        }
        var statement: OpaquePointer?
        sqlite3_prepare_v2(
            handle, "SELECT \(name)(\(isPrefixed ? "'x' || " : "")\(arguments.joined(separator: ", ")))", -1,
            &statement, nil)
        statements[key] = statement
        return statement
    }

    static func release(_ statement: OpaquePointer) {
        sqlite3_reset(statement)
        sqlite3_clear_bindings(statement)
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }
}
