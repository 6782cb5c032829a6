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

    /// Has SQLite compare its schemas with those of the files, and forget what is another one now: it does where a text names a
    /// table that it misses, without beginning a snapshot that stays (schemaIsValid in src/prepare.c of 3.40).
    /// - Parameters:
    ///   - sqlByteCount: length of the client's text: a schema is parsed under the usual limit.
    ///   - run: for whom, which may be told to stop while a file is locked.
    /// - Returns: whether the text is to be prepared once more: also where nothing has changed, since SQLite has forgotten what it
    ///   said of it. A loop that has not enough time returns false and leaves `isBudgetSpent`.
    func comparesSchema(_ sqlByteCount: Int, for run: StatementRun) -> Bool {
        limitTexts(SQLiteBudget.schemaTextByteCountMax)
        begin(run, nil, budgetDeadline: preparationDeadline(sqlByteCount))
        // Nobody can make a table of such a name.
        sqlite3_finalize(prepareOwn("SELECT 1 FROM main.sqlite_missing"))
        end()
        if sqlByteCount > SQLiteBudget.schemaTextByteCountMax { limitTexts(sqlByteCount) }
        return !isBudgetSpent
    }

    /// Has a statement prepared by the schema of the file, not by what is remembered: who only describes it takes no step, which
    /// would notice a change.
    func lookAtSchema(for run: StatementRun) {
        let sql = SQLText.withoutTail(run.sql)
        statements.find(sql, hash: TextHash.hash(sql))?.isOutdated = true
        _ = comparesSchema(sql.count, for: run)
    }
}
