// Functions, procedures, types and statements: what does not depend on the relations in scope.

extension Completer {
    /// Functions of a namespace; without one those of the language too.
    mutating func addRoutines(in namespace: String?) {
        guard quote == nil else { return }
        if namespace == nil { for routine in Functions.of(statement.dialect) { add(routine) } }
        for routine in schema.routines(matching: candidates.pattern, in: namespace, limit: limit)
        where !routine.isProcedure {
            add(routine, in: namespace)
        }
    }

    mutating func addProcedures(in namespace: String?) {
        for routine in schema.routines(matching: candidates.pattern, in: namespace, limit: limit * 2)
        where routine.isProcedure {
            add(routine, in: namespace)
        }
    }

    mutating func add(_ routine: CompletionRoutine, in namespace: String? = nil) {
        guard candidates.fits(routine.name) else { return }
        let isAlone = namespace != nil || routine.isVisible
        // Functions of the language have no quotes, even those with a reserved name: `left(…)`, `values(…)`.
        var text = routine.namespace.isEmpty ? routine.name : written(routine.name)
        if !isAlone { text = "\(identifiers.written(routine.namespace)).\(text)" }
        if statement.token(statement.cursorIndex)?.kind != .open { text += "(" }
        let item = CompletionItem(text, label: routine.name, kind: .routine, detail: routine.signature)
        candidates.add(routine.name, tier: isAlone ? Tier.routine : Tier.elsewhere, item)
    }

    mutating func proposeTypes() {
        for name in schema.types(matching: candidates.pattern, limit: limit) {
            candidates.add(name, tier: Tier.column, CompletionItem(written(name), label: name, kind: .type))
        }
        guard qualifier.isEmpty else { return }
        addWords(TypeNames.of(statement.dialect), kind: .type, tier: Tier.keyword)
    }

    mutating func proposeStatements(_ frame: Frame) {
        guard qualifier.isEmpty else { return }
        if statement.keyword(before) == .update || statement.token(before)?.kind == .open { return }
        let verb = scanner.queries[frame.query].verb
        switch (verb, statement.keyword(before)) {
        case (.insert, .or):
            addKeywords("REPLACE INTO|IGNORE INTO|ABORT INTO|FAIL INTO|ROLLBACK INTO", tier: Tier.keyword)
        case (.insert, .ignore), (.insert, .replace), (.insert, .abort), (.insert, .fail), (.insert, .rollback):
            addKeywords("INTO", tier: Tier.keyword)
        case (.none, .explain):
            addKeywords(
                statement.dialect == .sqlite
                    ? "QUERY PLAN|SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH"
                    : "ANALYZE|SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH", tier: Tier.keyword)
            if statement.dialect == .mysql { addKeywords("FORMAT", tier: Tier.keyword) }
        case (.none, _): addStatements()
        default: return
        }
    }

    private mutating func addStatements() {
        guard statement.token(before).map({ _ in statement.keyword(0) == .explain }) ?? true else { return }
        if !statement.header.isEmpty { addKeywords("END", tier: Tier.routine) }
        addKeywords(
            "SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER TABLE|DROP|EXPLAIN|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|VALUES|ANALYZE",
            tier: Tier.keyword)
        switch statement.dialect {
        case .sqlite, .redis:
            addKeywords("PRAGMA|REPLACE INTO|VACUUM|REINDEX|ATTACH DATABASE|DETACH DATABASE|END", tier: Tier.keyword)
        case .postgresql:
            addKeywords(
                "SET|SHOW|RESET|TRUNCATE|VACUUM|GRANT|REVOKE|COPY|CALL|REFRESH MATERIALIZED VIEW|COMMENT ON|LOCK TABLE|MERGE INTO|PREPARE|EXECUTE|DEALLOCATE|LISTEN|NOTIFY|UNLISTEN|DECLARE|DISCARD|REINDEX|CLUSTER|DO|START TRANSACTION|TABLE",
                tier: Tier.keyword)
        case .mysql:
            addKeywords(
                "SET|SHOW|USE|DESCRIBE|TRUNCATE TABLE|REPLACE INTO|GRANT|REVOKE|CALL|START TRANSACTION|RENAME TABLE|OPTIMIZE TABLE|CHECK TABLE|LOCK TABLES|UNLOCK TABLES|KILL|FLUSH|LOAD DATA|HANDLER|PREPARE|EXECUTE",
                tier: Tier.keyword)
        }
    }
}
