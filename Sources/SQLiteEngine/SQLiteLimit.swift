// Limits within SQLite, set here so that they do not depend on how the library was built. litebase.toml(5) lists them.

internal import CSQLite
internal import DatabaseContract

/// One of SQLite's own limits (https://sqlite.org/limits.html).
struct SQLiteLimit {
    /// `SQLITE_LIMIT_…`.
    let id: Int32
    /// The name in errors.
    let name: StaticString
    let value: Int32
    /// How SQLite's message begins when the limit is reached; there are no codes for it (resolve.c, expr.c, parse.y,
    /// func.c).
    let messages: [String]

    static let patternByteCountMax: Int32 = 1_000
    static let programStepCountMax: Int32 = 1_000_000

    /// All limits that cannot be configured. Neither matching a pattern nor preparing can be interrupted, so the
    /// lengths of patterns and programs are limited.
    static let all: [SQLiteLimit] = [
        SQLiteLimit(
            id: SQLITE_LIMIT_VARIABLE_NUMBER, name: "sqlite_parameters_max", value: 32_766,
            messages: ["too many SQL variables", "variable number must be between"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_COLUMN, name: "sqlite_columns_max", value: 2_000,
            messages: ["too many columns", "too many terms in"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_EXPR_DEPTH, name: "sqlite_expression_depth_max", value: 1_000,
            messages: ["Expression tree is too large"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_COMPOUND_SELECT, name: "sqlite_compound_selects_max", value: 500,
            messages: ["too many terms in compound SELECT"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_FUNCTION_ARG, name: "sqlite_function_arguments_max", value: 127,
            messages: ["too many arguments on function"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_ATTACHED, name: "sqlite_attached_databases_max", value: 10,
            messages: ["too many attached databases"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_TRIGGER_DEPTH, name: "sqlite_trigger_depth_max", value: 1_000,
            messages: ["too many levels of trigger recursion"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_LIKE_PATTERN_LENGTH, name: "sqlite_like_pattern_bytes_max", value: patternByteCountMax,
            messages: ["LIKE or GLOB pattern too complex"]),
        SQLiteLimit(
            id: SQLITE_LIMIT_VDBE_OP, name: "sqlite_program_steps_max", value: programStepCountMax, messages: []),
        // Set where a schema is read (`SQLiteConnection.limitTexts`).
        SQLiteLimit(
            id: -1, name: "sqlite_definition_bytes_max", value: Int32(SQLiteBudget.schemaTextByteCountMax), messages: []
        ),
        // These two are built in.
        SQLiteLimit(id: -1, name: "sqlite_join_tables_max", value: 64, messages: ["at most 64 tables in a join"]),
        SQLiteLimit(id: -1, name: "sqlite_parser_depth_max", value: 100, messages: ["parser stack overflow"]),
        SQLiteLimit(id: SQLITE_LIMIT_WORKER_THREADS, name: "sqlite_worker_threads_max", value: 0, messages: []),
    ]

    /// Whether an error reports this limit.
    func isMeant(_ extended: Int32, _ message: String) -> Bool {
        guard extended & 0xff == SQLITE_ERROR, messages.contains(where: { message.hasPrefix($0) }) else { return false }
        // "too many terms in compound SELECT" belongs to another limit.
        return id != SQLITE_LIMIT_COLUMN || !message.hasSuffix("compound SELECT")
    }

    func explain(_ details: inout DriverError.Details) {
        details.code = .limitExceeded
        details.sqlState = "54000"
        details.message =
            String(details.message.prefix { $0 != "." }) + "; the limit is \(value) (\(name), of SQLite)."
        details.hint = "Do it in several statements, or by a temporary table; see SQLITE in litebase.toml(5)."
        details.limit = DriverLimit(name: name, value: Int64(value))
    }
}
