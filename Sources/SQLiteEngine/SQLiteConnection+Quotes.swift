// Strings in double quotes, which SQLite takes where no column has that name (https://sqlite.org/quirks.html, 8), and PRAGMAs
// that change nothing.
//
// The switches SQLITE_DBCONFIG_DQS_DML and _DDL are no use: views and triggers of a file follow the former when they are used,
// and VACUUM the latter, whatever they were when these were written (areDoubleQuotedStringsEnabled in src/resolve.c of SQLite
// 3.40). So both are on, and where clients are to write names only their texts are compiled once more, with the names in the
// other kind of quotes (SQLiteQuotes): these are never taken for strings (sqlite3ExprAlloc in src/expr.c, EP_DblQuoted).

internal import CSQLite
internal import DatabaseContract

extension SQLiteConnection {
    /// Throws when the text, here in other quotes, means nothing where what stood in double quotes is a name; `byteCount` is the
    /// length of the client's own.
    func refuseStrings(_ strict: [UInt8], _ byteCount: Int, for run: StatementRun) throws(DriverError) {
        let saved = authorization
        defer { authorization = saved }
        let made = strict.withUnsafeBytes { compile($0, for: run, withVirtualTables: mayBlock) }
        sqlite3_finalize(made.handle)
        guard made.result != SQLITE_OK else { return }
        let error = strict.withUnsafeBytes { preparationError($0, made.result, made.refusal, run) }
        throw error.with {
            if strict.count != byteCount { $0.place = nil }
            guard $0.sqlState == "42703" else { return }
            $0.hint =
                "In double quotes stands a name here (double_quoted_strings of the database); write strings as 'text'."
        }
    }

    /// Compiles, for a PRAGMA that sets what is in force anyway, the one that asks for it; throws the refusal of any other.
    func compileInForce(
        _ setting: (name: String, value: String), for run: StatementRun, consumed: Int
    ) throws(DriverError) -> Compilation {
        guard mayBlock else {
            // The answer may be in the file.
            mustPrepareOnWorker = true
            throw SQLiteErrors.tooLongToPrepare
        }
        let denial = authorization.denial
        guard let value = ownAnswer("PRAGMA \(setting.name)"), SQLitePragmas.areSame(setting.name, setting.value, value)
        else {
            throw denial ?? SQLiteErrors.tooLongToPrepare
        }
        var asking = Array("PRAGMA \(setting.name)".utf8)
        var made = asking.withUnsafeMutableBytes {
            compile(UnsafeRawBufferPointer($0), for: run, withVirtualTables: true)
        }
        made.consumed = consumed
        return made
    }

    /// The first value of a statement of our own, as text.
    private func ownAnswer(_ sql: String) -> String? {
        guard let statement = prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let text = sqlite3_column_text(statement, 0) else { return nil }
        return String(cString: text)
    }
}
