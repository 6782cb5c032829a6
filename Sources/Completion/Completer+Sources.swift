// What may stand in FROM, and as the target of a change.

extension Completer {
    mutating func proposeSource(_ frame: Frame) {
        if let namespace = qualifier.last {
            addRelations(in: namespace)
            addTableFunctions(in: namespace)
            return
        }
        if statement.keyword(before) == .or {
            return addKeywords("REPLACE|IGNORE|ROLLBACK|ABORT|FAIL", tier: Tier.keyword)
        }
        let query = scanner.queries[frame.query]
        let isTarget = query.sources.isEmpty && (query.verb == .insert || query.verb == .update || query.verb == .merge)
        if !isTarget {
            if [.join, .straight_join].contains(statement.keyword(before)) { addJoinProposals(frame) }
            for expression in resolver.tableExpressions(in: frame.query, before: statement.cursorIndex) {
                let item = CompletionItem(
                    written(expression.name), label: expression.name, kind: .commonTableExpression)
                candidates.add(expression.name, tier: Tier.column, item)
            }
        }
        addRelations(in: nil)
        addNamespaces()
        if isTarget { return addTargetKeywords(query.verb) }
        if frame.kind == .tables, statement.token(before)?.kind == .open {
            addKeywords("SELECT|VALUES|WITH", tier: Tier.keyword)
        }
        if statement.dialect != .sqlite { addKeywords("LATERAL", tier: Tier.keyword) }
        addTableFunctions(in: nil)
    }

    private mutating func addTargetKeywords(_ verb: Query.Verb) {
        switch (statement.dialect, verb) {
        case (.sqlite, .update): addKeywords("OR IGNORE|OR REPLACE|OR ROLLBACK|OR ABORT|OR FAIL", tier: Tier.keyword)
        case (.postgresql, .update): addKeywords("ONLY", tier: Tier.keyword)
        case (.mysql, .update): addKeywords("IGNORE|LOW_PRIORITY", tier: Tier.keyword)
        case (.mysql, .insert): addKeywords("INTO|IGNORE INTO", tier: Tier.keyword)
        default: break
        }
    }

    /// Relations of a namespace; of all of them, those that their names alone find come first.
    mutating func addRelations(in namespace: String?, kinds: Set<String>? = nil, tier: Int = Tier.relation) {
        let wanted = limit + (kinds == nil ? 0 : limit)
        for relation in schema.relations(matching: candidates.pattern, in: namespace, limit: wanted) {
            if let kinds, !kinds.contains(relation.kind) { continue }
            add(relation, in: namespace, tier: tier)
        }
        for name in candidates.recentNames {
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            let known =
                parts.count == 2
                ? schema.relation(named: parts[1], in: parts[0]) : schema.relation(named: name, in: namespace)
            if let known, namespace.map({ identifiers.same($0, known.namespace) }) ?? true {
                add(known, in: namespace, tier: tier)
            }
        }
    }

    private mutating func add(_ relation: CompletionRelation, in namespace: String?, tier: Int) {
        let isAlone = namespace != nil || relation.isVisible || quote != nil
        let text =
            isAlone
            ? written(relation.name)
            : "\(identifiers.written(relation.namespace)).\(identifiers.written(relation.name))"
        let label = isAlone ? relation.name : "\(relation.namespace).\(relation.name)"
        let item = CompletionItem(text, label: label, kind: .relation, detail: relation.kind, relation: relation.name)
        candidates.add(relation.name, tier: relation.isVisible || namespace != nil ? tier : Tier.elsewhere, item)
    }

    mutating func addNamespaces() {
        for name in schema.namespaces(matching: candidates.pattern, limit: limit) {
            candidates.add(name, tier: Tier.namespace, CompletionItem(written(name), label: name, kind: .namespace))
        }
    }

    private mutating func addTableFunctions(in namespace: String?) {
        guard quote == nil, namespace == nil else { return }
        for routine in Functions.tables(statement.dialect) { add(routine) }
    }

    // MARK: Behind a source

    mutating func proposeBehindSource(_ frame: Frame) {
        // `FROM a AS`: a new name.
        guard qualifier.isEmpty else { return }
        let query = scanner.queries[frame.query]
        switch query.verb {
        case .insert where frame.query == frame.statement: return proposeBehindTarget(frame, query)
        case .update where query.sources.count == 1:
            addKeywords("SET|AS", tier: Tier.best)
            if statement.dialect == .mysql { addJoins() }
        case .merge: addKeywords(query.sources.count == 1 ? "USING|AS" : "ON|AS", tier: Tier.best)
        case .delete:
            addKeywords("WHERE", tier: Tier.best)
            addKeywords(
                statement.dialect == .postgresql ? "USING|RETURNING|AS" : "RETURNING|ORDER BY|LIMIT", tier: Tier.keyword
            )
        default:
            if isJoined(frame, query) { addKeywords("ON|USING (", tier: Tier.best) }
            if frame.kind == .tables { return addJoins() }
            addKeywords("WHERE", tier: Tier.best)
            addJoins()
            addClauses(behind: .relationRead, frame)
            addKeywords("AS", tier: Tier.keyword)
            if statement.dialect == .sqlite { addKeywords("INDEXED BY|NOT INDEXED", tier: Tier.routine) }
            if statement.dialect == .postgresql { addKeywords("TABLESAMPLE", tier: Tier.routine) }
            if statement.dialect == .mysql {
                addKeywords("USE INDEX (|FORCE INDEX (|IGNORE INDEX (", tier: Tier.routine)
            }
        }
    }

    /// Whether the last source before the cursor follows JOIN and has no condition.
    private func isJoined(_ frame: Frame, _ query: Query) -> Bool {
        guard let source = query.sources.last(where: { $0.token < statement.cursorIndex }), frame.last != nil else {
            return false
        }
        var index = source.token - 1
        while statement.keyword(index) == .lateral || statement.token(index)?.kind == .dot { index -= 1 }
        guard statement.keyword(index) == .join, statement.keyword(index - 1) != .cross,
            statement.keyword(index - 1) != .natural
        else { return false }
        // Behind USING (…) the clause is the same.
        return !(source.token..<statement.cursorIndex).contains { statement.keyword($0) == .using }
    }

    private mutating func proposeBehindTarget(_ frame: Frame, _ query: Query) {
        let hasList = statement.token(before)?.kind == .close
        if !hasList, quote == nil {
            let names = missingColumns(query).map { identifiers.written($0.name) }
            if !names.isEmpty, names.reduce(0, { $0 + $1.utf8.count }) <= Self.listByteCountMax {
                let text = "(\(names.joined(separator: ", ")))"
                candidates.add(
                    text, tier: Tier.best,
                    CompletionItem(
                        text, kind: .starExpansion, detail: "\(names.count) columns",
                        relation: query.sources.last?.name ?? ""))
            }
        }
        addKeywords("VALUES|SELECT|WITH", tier: Tier.keyword)
        if !hasList { addKeywords(statement.dialect == .mysql ? "SET" : "DEFAULT VALUES|AS", tier: Tier.keyword) }
        if statement.dialect == .postgresql {
            addKeywords("OVERRIDING SYSTEM VALUE|OVERRIDING USER VALUE", tier: Tier.keyword)
        }
    }

    mutating func proposeBehindValues(_ frame: Frame) {
        guard statement.token(before)?.kind == .close else { return }
        switch statement.dialect {
        case .mysql: addKeywords("ON DUPLICATE KEY UPDATE|AS|RETURNING", tier: Tier.keyword)
        default:
            if scanner.queries[frame.statement].verb == .insert {
                addKeywords("ON CONFLICT|RETURNING", tier: Tier.keyword)
            }
            addKeywords("UNION ALL|ORDER BY|LIMIT", tier: Tier.keyword)
        }
    }

    // MARK: Columns that get values

    /// Those of the target that are not named yet and take a value.
    mutating func missingColumns(_ query: Query) -> [CompletionColumn] {
        guard let target = query.verb == .insert ? query.sources.last : query.sources.first else { return [] }
        let listed = Set(query.listed.map(identifiers.key))
        return resolver.columns(of: target, in: 0).filter {
            !$0.isGenerated && !$0.isHidden && !listed.contains(identifiers.key($0.name))
        }
    }

    mutating func proposeInsertColumns(_ frame: Frame) {
        guard let last = statement.token(before), last.kind == .open || last.kind == .comma else { return }
        let query = scanner.queries[frame.query]
        let missing = missingColumns(query)
        let relation = query.sources.last?.name ?? ""
        let text = missing.map { identifiers.written($0.name) }.joined(separator: ", ")
        if quote == nil, candidates.pattern.isEmpty, missing.count > 1, text.utf8.count <= Self.listByteCountMax {
            candidates.add(
                "", tier: Tier.best,
                CompletionItem(text, kind: .starExpansion, detail: "\(missing.count) columns", relation: relation))
        }
        for column in missing { addTarget(column, relation) }
    }

    private mutating func addTarget(_ column: CompletionColumn, _ relation: String) {
        candidates.add(
            column.name, tier: Tier.column,
            CompletionItem(
                written(column.name), label: column.name, kind: .column, detail: column.type, relation: relation))
    }

    /// Within `SET (`.
    mutating func proposeTargets(_ frame: Frame) {
        let query = scanner.queries[frame.query]
        for column in missingColumns(query) { addTarget(column, query.sources.first?.name ?? "") }
    }

    mutating func proposeTargetColumns(_ frame: Frame) {
        let query = scanner.queries[frame.query]
        guard let target = query.sources.last else { return }
        for column in resolver.columns(of: target, in: 0) { addTarget(column, target.name) }
    }

    /// In SET: a column, or behind `=` a value.
    mutating func proposeAssignment(_ frame: Frame) {
        if frame.hasAssignment { return proposeExpression(frame) }
        guard let last = statement.token(before),
            last.kind == .comma || last.kind == .word && [.set, .update].contains(statement.keyword(before))
        else {
            return
        }
        if !qualifier.isEmpty { return proposeExpression(frame) }
        proposeTargets(frame)
    }

    mutating func proposeConflict(_ frame: Frame) {
        let previous = statement.keyword(before)
        if previous == .on { return addKeywords("CONFLICT", tier: Tier.keyword) }
        if statement.token(before)?.kind == .close { addKeywords("DO NOTHING|DO UPDATE SET|WHERE", tier: Tier.keyword) }
        if previous == .update { addKeywords("SET", tier: Tier.keyword) }
        if previous == .key { addKeywords("UPDATE", tier: Tier.keyword) }
        if previous == .nothing { addKeywords("RETURNING", tier: Tier.keyword) }
    }
}
