// Whether the schema that SQLite has read is still the one of the file.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

extension SQLiteConnection {
    /// Whether the error may be due to a schema that others have changed since it was read. SQLite checks for a change
    /// when a table, or a column of an expression, is missing. In other cases it does not (a column that ALTER TABLE
    /// names, an index or a trigger that exists already, the number of columns of INSERT and UNION, ON CONFLICT,
    /// REINDEX), and uses what it has.
    /// - Source: uses of Parse.checkSchema in src/ of SQLite 3.40
    func mayBeOutdated(_ made: Compilation, _ run: StatementRun) -> Bool {
        made.result & 0xff == SQLITE_ERROR && made.refusal == nil && !budget.isSpent && run.stopReason == nil
            && authorization.denial == nil
    }

    /// Has SQLite compare its schemas with those of the files, and forget those that have changed: it does that for a
    /// missing table, without starting a snapshot that stays (schemaIsValid in src/prepare.c of 3.40).
    /// - Parameters:
    ///   - sqlByteCount: length of the client's text: a schema is parsed with the usual limit.
    ///   - run: the run, which may be stopped while a file is locked.
    /// - Returns: whether to prepare the text again, even if nothing has changed, since SQLite has forgotten its error.
    ///   A loop without enough time returns false and leaves `budget.isSpent`.
    func comparesSchema(_ sqlByteCount: Int, for run: StatementRun) -> Bool {
        limitTexts(SQLiteBudget.schemaTextByteCountMax)
        begin(run, nil, budgetDeadline: preparationDeadline(sqlByteCount))
        // Nobody can create a table with such a name.
        sqlite3_finalize(prepareOwn("SELECT 1 FROM main.sqlite_missing"))
        end()
        if sqlByteCount > SQLiteBudget.schemaTextByteCountMax { limitTexts(sqlByteCount) }
        return !budget.isSpent
    }

    /// Has a statement prepared with the schema of the file, not with the one in memory: describing takes no step,
    /// which would notice a change.
    func lookAtSchema(for run: StatementRun) {
        let sql = SQLiteText.withoutTail(run.sql)
        statements.find(sql, hash: TextHash.hash(sql))?.isOutdated = true
        _ = comparesSchema(sql.count, for: run)
    }

    /// Has a worker read the schema of the file where that has changed, and note whether it is a large one.
    func followSchema(for run: StatementRun) {
        // Within a transaction it would start the snapshot; a writer is on no loop, and cannot miss a change.
        guard transaction == .none else { return }
        if case .writer = role { return }
        if schemaWatch == nil { schemaWatch = SchemaWatch(self) }
        schemaWatch?.follow(self) {
            _ = comparesSchema(run.sql.count, for: run)
            loadSchema()
        }
    }

    /// Whether a loop would have SQLite forget a large schema if it used the connection now.
    var mayForgetLargeSchema: Bool {
        guard let schemaWatch, schemaWatch.isLarge, transaction == .none, snapshot?.isHeld != true else { return false }
        // Those that a session has attached are not watched. Index 1 is the schema of temporary tables.
        return sqlite3_db_name(handle, 2) != nil || !schemaWatch.isCurrent
    }
}
