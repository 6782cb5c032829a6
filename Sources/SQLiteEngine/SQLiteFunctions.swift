// The SQLite functions and modules that clients may use, and the worst cost of a call. Others are refused:
// distributions build the library with different ones, and each release adds some.

internal import CSQLite
internal import DatabaseContract

/// What is known of each function and module (https://sqlite.org/lang_corefunc.html and the other pages).
enum SQLiteFunctions {
    /// The worst cost of a call, in nanoseconds for each byte of its longest argument or result; measured with the
    /// worst arguments on SQLite 3.40 (Tests/Protocol/measured/test_sqlite_cost.py).
    enum Cost {
        case constant
        /// Up to 8: copies, converts, reads each byte.
        case linear
        /// Up to 100: parses JSON for each path, formats dates.
        case heavy
        /// 2 for each byte of its pattern (SQLiteBudget.Weight).
        case pattern
        /// Scans a whole table without checking whether it should stop: `count(*)`.
        case wholeTable
        /// More than that: never on a loop.
        case slow

        var nanosecondsPerByte: Int {
            switch self {
            case .constant, .wholeTable, .slow, .pattern: 0
            case .linear: 8
            case .heavy: 100
            }
        }
    }

    /// The functions that may be called, by name.
    private static let costs: [String: Cost] = {
        var costs: [String: Cost] = [:]
        let lists: [(Cost, String)] = [
            (
                .constant,
                """
                changes coalesce current_date current_time current_timestamp iif ifnull last_insert_rowid likelihood likely
                pi random sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version subtype
                total_changes typeof unlikely zeroblob cume_dist dense_rank first_value lag last_value lead nth_value ntile
                percent_rank rank row_number fts5_source_id match
                """
            ),
            (
                .linear,
                """
                abs char concat concat_ws format hex instr length lower ltrim max min nullif octet_length printf quote
                randomblob replace round rtrim sign soundex string_agg substr substring trim unhex unicode upper avg
                group_concat sum total acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log
                log10 log2 mod pow power radians sin sinh sqrt tan tanh trunc
                """
            ),
            (
                .heavy,
                """
                -> ->> date datetime julianday strftime time timediff unixepoch json json_array json_array_length
                json_extract json_group_array json_group_object json_insert json_object json_quote json_remove json_replace
                json_set json_type json_valid
                """
            ),
            (.pattern, "glob like"),
            (.wholeTable, "count"),
            // Functions of full-text tables, whose statements never run on a loop, and quadratic ones.
            (.slow, "bm25 highlight matchinfo offsets snippet json_patch litebase_defect litebase_tells_columns"),
            // Only statements of SQLite's own call these, for ALTER TABLE (SQLITE_FUNC_INTERNAL in src/alter.c).
            (
                .linear,
                "sqlite_drop_column sqlite_rename_column sqlite_rename_quotefix sqlite_rename_table sqlite_rename_test"
            ),
        ]
        for (cost, names) in lists {
            for name in names.split(whereSeparator: { $0 == " " || $0 == "\n" }) { costs[String(name)] = cost }
        }
        return costs
    }()

    /// The cost of a permitted function; `nil` for any other.
    static func cost(_ name: String) -> Cost? { costs[name] ?? costs[name.lowercased()] }

    /// Modules of virtual tables that compute from their arguments or from tables of their own. Excluded are those that
    /// show the process or other users' statements (sqlite_stmt), and those that read or write pages (sqlite_dbpage).
    private static let modules = [
        "dbstat", "fts3", "fts3tokenize", "fts4", "fts4aux", "fts5", "fts5vocab", "json_each", "json_tree", "rtree",
        "rtree_i32",
    ]

    /// Removes everything from a new connection that is not listed: the authorizer alone would not see the functions
    /// that the schema of a file calls (sqlite3AuthCheck in src/auth.c is silent while a schema is read).
    static func restrict(_ connection: OpaquePointer) {
        for function in refused {
            sqlite3_create_function_v2(
                connection, function.name, function.argumentCount, SQLITE_UTF8 | SQLITE_DIRECTONLY, nil,
                { context, _, _ in sqlite3_result_error(context, "this function may not be called", -1) }, nil, nil, nil
            )
        }
        var names: [UnsafePointer<CChar>?] = keptModules
        _ = sqlite3_drop_modules(connection, &names)
    }

    /// Functions of the present library that are not listed; determined once, with the first connection.
    private static let refused: [(name: String, argumentCount: Int32)] = {
        var handle: OpaquePointer?
        defer { sqlite3_close_v2(handle) }
        guard sqlite3_open_v2(":memory:", &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil) == SQLITE_OK else {
            return []
        }
        var statement: OpaquePointer?
        sqlite3_prepare_v2(handle, "SELECT DISTINCT name, narg FROM pragma_function_list", -1, &statement, nil)
        defer { sqlite3_finalize(statement) }
        var refused: [(name: String, argumentCount: Int32)] = []
        while sqlite3_step(statement) == SQLITE_ROW {
            guard let text = sqlite3_column_text(statement, 0) else { continue }
            let name = String(cString: text)
            if cost(name) == nil { refused.append((name, sqlite3_column_int(statement, 1))) }
        }
        return refused
    }()

    /// The same names as C strings, which live as long as the process.
    nonisolated(unsafe) private static let keptModules: [UnsafePointer<CChar>?] =
        modules.map { name in
            let bytes = UnsafeMutableBufferPointer<CChar>.allocate(capacity: name.utf8.count + 1)
            _ = bytes.initialize(from: name.utf8CString)
            return UnsafePointer(bytes.baseAddress)
        } + [nil]
}
