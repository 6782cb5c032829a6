// Whether the schema that SQLite has read is still that of the file.

internal import CSQLite
internal import LinuxSystem

extension SQLiteConnection {
    /// Whether the text may be wrong by a schema that others have changed since it was read. SQLite looks whether it has changed
    /// where it misses a table, or a column of an expression. Elsewhere it does not (a column that ALTER TABLE names, an index or
    /// a trigger that exists already, the number of columns of INSERT and UNION, ON CONFLICT, REINDEX), and takes what it has.
    /// - Source: uses of Parse.checkSchema in src/ of SQLite 3.40
    func mayBeOutdated(_ made: Compilation, _ run: StatementRun) -> Bool {
        made.result & 0xff == SQLITE_ERROR && made.refusal == nil && !isBudgetSpent && run.stopReason == nil
            && authorization.denial == nil
    }

    /// Has SQLite compare its schema with the file's, and read that if it is another one. Only a step does so; in a transaction
    /// it begins the snapshot, as the client's statement would have.
    /// - Parameter sqlByteCount: length of the client's text: a schema is parsed under the usual limit.
    /// - Returns: whether the text is to be prepared once more: also where nothing has changed, since SQLite has forgotten what it
    ///   said of it. A loop that has not enough time returns false and leaves `isBudgetSpent`.
    func comparesSchema(_ sqlByteCount: Int) -> Bool {
        limitTexts(SQLiteBudget.schemaTextByteCountMax)
        let isInTime = withinLoopBudget {
            for index in [0] + (2..<2 + attachedCount) { compareSchema(Int32(index)) }
        }
        if sqlByteCount > SQLiteBudget.schemaTextByteCountMax { limitTexts(sqlByteCount) }
        return isInTime
    }

    /// Has a statement prepared by the schema of the file, not by what is remembered: who only describes it takes no step, which
    /// would notice a change. Within a transaction the look would begin its snapshot, and is left out.
    func lookAtSchema(for run: StatementRun) {
        guard sqlite3_get_autocommit(handle) != 0 else { return }
        let sql = SQLText.withoutTail(run.sql)
        statements.find(sql, hash: TextHash.hash(sql))?.isOutdated = true
        _ = comparesSchema(sql.count)
    }

    /// How many databases there are behind `main` and `temp`.
    private var attachedCount: Int {
        var count = 0
        while sqlite3_db_name(handle, Int32(2 + count)) != nil { count += 1 }
        return count
    }

    private func compareSchema(_ index: Int32) {
        guard let name = sqlite3_db_name(handle, index) else { return }
        let parts = String(cString: name).split(separator: "\"", omittingEmptySubsequences: false)
        let quoted = "\"" + parts.joined(separator: "\"\"") + "\""
        guard let look = prepareOwn("SELECT 1 FROM \(quoted).sqlite_schema LIMIT 1") else { return }
        isOwnStatement = true
        sqlite3_step(look)
        isOwnStatement = false
        sqlite3_finalize(look)
    }
}
