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
        if statement.keyword(before) == .lateral { return proposeBehindLateral() }
        let isTarget = query.sources.isEmpty && (query.verb == .insert || query.verb == .update || query.verb == .merge)
        addDeleted(query)
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
        case (.mysql, .update):
            let isBare = statement.keyword(before) == .update
            addKeywords(isBare ? "IGNORE|LOW_PRIORITY" : verbModifiers, tier: isBare ? Tier.keyword : Tier.best)
        case (.mysql, .insert):
            guard statement.keyword(before) != .into else { break }
            addKeywords("INTO", tier: Tier.best)
            addKeywords(verbModifiers, tier: Tier.best)
        default: break
        }
    }

    /// Which modifiers of a statement of MySQL may still come.
    private var verbModifiers: String {
        switch statement.keyword(before) {
        case .insert: "LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE"
        case .replace: "LOW_PRIORITY|DELAYED"
        case .delete: "LOW_PRIORITY|QUICK|IGNORE"
        case .low_priority where statement.keyword(before - 1) == .delete: "QUICK|IGNORE"
        case .low_priority, .delayed, .high_priority, .quick:
            statement.keyword(before - 1) == .replace ? "" : "IGNORE"
        default: ""
        }
    }

    /// Behind LATERAL: a query or a function.
    private mutating func proposeBehindLateral() {
        addKeywords("(", tier: Tier.keyword)
        addTableFunctions(in: nil)
    }

    // MARK: DELETE of several relations

    /// `DELETE a, b FROM …` of MySQL: what FROM has is what can be deleted.
    mutating func proposeDeleteTargets(_ frame: Frame) {
        guard qualifier.isEmpty else { return }
        let query = scanner.queries[frame.query]
        let isModified = statement.keyword(before) == .delete || statement.isVerbModifier(before)
        if query.sources.isEmpty, isModified || statement.token(before)?.kind != .comma {
            addKeywords("FROM", tier: Tier.keyword)
            let modifiers = isModified ? verbModifiers : ""
            // DELETE alone is followed by FROM; a modifier has to be begun.
            if statement.keyword(before) != .delete || !candidates.pattern.isEmpty {
                addKeywords(modifiers, tier: Tier.keyword)
            }
            return
        }
        let isList = isModified || statement.token(before)?.kind == .comma
        if isList { addDeleted(query.sources) } else { addKeywords("FROM", tier: Tier.keyword) }
    }

    /// `DELETE FROM a, b USING …` of MySQL.
    private mutating func addDeleted(_ query: Query) {
        guard statement.dialect == .mysql, query.verb == .delete, !query.hasTargetList else { return }
        let later = query.sources.filter { $0.token >= statement.cursorIndex }
        guard let first = later.first,
            statement.tokens[statement.cursorIndex..<first.token].contains(where: { $0.keyword == .using })
        else { return }
        addDeleted(later)
    }

    private mutating func addDeleted(_ sources: [Source]) {
        let named = namesBeforeCursor
        for source in sources where !source.label.isEmpty && !named.contains(identifiers.key(source.label)) {
            candidates.add(
                source.label, tier: Tier.alias,
                CompletionItem(written(source.label), label: source.label, kind: .alias, relation: source.name))
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
        case .update where statement.dialect == .mysql || query.sources.count == 1:
            if isJoined(frame, query) { addKeywords("ON|USING (", tier: Tier.best) }
            addKeywords("SET|AS", tier: Tier.best)
            if statement.dialect == .mysql { addJoins() }
        case .merge:
            let isNamed = statement.keyword(before - 1) == .as
            addKeywords(query.sources.count == 1 ? "USING" : "ON", tier: Tier.best)
            if !isNamed { addKeywords("AS", tier: Tier.best) }
        case .delete where query.sources.count == 1 && !query.hasTargetList && !isBehindUsing:
            addKeywords("WHERE", tier: Tier.best)
            addKeywords(
                statement.dialect == .sqlite ? "RETURNING|ORDER BY|LIMIT|AS" : "USING|RETURNING|AS", tier: Tier.keyword)
            if statement.dialect == .mysql { addKeywords("ORDER BY|LIMIT", tier: Tier.keyword) }
        default:
            if isJoined(frame, query) { addKeywords("ON|USING (", tier: Tier.best) }
            if isBehindSample(query) { addKeywords("REPEATABLE (", tier: Tier.best) }
            if frame.kind == .tables { return addJoins() }
            addKeywords("WHERE", tier: Tier.best)
            addJoins()
            addClauses(behind: .relationRead, frame)
            if query.verb == .update || query.verb == .delete, statement.dialect != .mysql {
                addKeywords("RETURNING", tier: Tier.best)
            }
            addKeywords("AS", tier: Tier.keyword)
            if statement.dialect == .sqlite { addKeywords("INDEXED BY|NOT INDEXED", tier: Tier.routine) }
            if statement.dialect == .postgresql { addKeywords("TABLESAMPLE", tier: Tier.routine) }
            if statement.dialect == .mysql {
                addKeywords("USE INDEX (|FORCE INDEX (|IGNORE INDEX (", tier: Tier.routine)
            }
        }
    }

    /// `TABLESAMPLE BERNOULLI (10)` of the last source.
    private func isBehindSample(_ query: Query) -> Bool {
        guard statement.dialect == .postgresql, statement.token(before)?.kind == .close,
            let source = query.sources.last(where: { $0.token < statement.cursorIndex })
        else { return false }
        let words = statement.tokens[source.token..<statement.cursorIndex]
        return words.contains { $0.keyword == .tablesample } && !words.contains { $0.keyword == .repeatable }
    }

    private var isBehindUsing: Bool { statement.tokens[..<statement.cursorIndex].contains { $0.keyword == .using } }

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
        if statement.keyword(before) == .table { return addRelations(in: nil) }
        // Or `OVERRIDING SYSTEM VALUE`.
        let last = statement.token(before)
        let hasList = last?.kind == .close || last.map(statement.text)?.uppercased() == "VALUE"
        if !hasList, quote == nil { addColumnList(query) }
        addKeywords("VALUES|SELECT|WITH", tier: Tier.keyword)
        if !hasList { addKeywords(statement.dialect == .mysql ? "SET" : "DEFAULT VALUES|AS", tier: Tier.keyword) }
        if statement.dialect == .mysql { addKeywords("TABLE", tier: Tier.keyword) }
        if statement.dialect == .postgresql {
            addKeywords("OVERRIDING SYSTEM VALUE|OVERRIDING USER VALUE", tier: Tier.keyword)
        }
    }

    /// All columns of the target that take a value, in parentheses.
    mutating func addColumnList(_ query: Query) {
        guard let target = query.verb == .insert ? query.sources.last : query.sources.first else { return }
        let names = missingColumns(query).map { identifiers.written($0.name) }
        if !names.isEmpty, names.reduce(0, { $0 + $1.utf8.count }) <= Self.listByteCountMax {
            let text = "(\(names.joined(separator: ", ")))"
            candidates.add(
                text, tier: Tier.best,
                CompletionItem(
                    text, kind: .starExpansion, detail: "\(names.count) columns", relation: target.name))
        }
    }

    mutating func proposeBehindValues(_ frame: Frame) {
        let verb = scanner.queries[frame.statement].verb
        let hasDefaults = statement.keyword(before) == .values && statement.keyword(before - 1) == .default
        if !hasDefaults, statement.keyword(before) == .values || statement.token(before)?.kind == .comma {
            return proposeRow(verb)
        }
        let isNamed = statement.dialect == .mysql && statement.keyword(before - 1) == .as
        guard hasDefaults || isNamed || statement.token(before)?.kind == .close else { return }
        switch (verb, statement.dialect) {
        case (.merge, _): addKeywords("WHEN", tier: Tier.keyword)
        case (.insert, .mysql):
            addKeywords("ON DUPLICATE KEY UPDATE|RETURNING", tier: Tier.keyword)
            if !isNamed { addKeywords("AS", tier: Tier.keyword) }
        case (.insert, .sqlite) where hasDefaults: addKeywords("RETURNING", tier: Tier.keyword)
        case (.insert, _): addKeywords("ON CONFLICT|RETURNING", tier: Tier.keyword)
        case (_, .sqlite): addKeywords("UNION ALL|UNION|EXCEPT|INTERSECT", tier: Tier.keyword)
        default: addKeywords("UNION ALL|ORDER BY|LIMIT", tier: Tier.keyword)
        }
    }

    /// A row of VALUES.
    private mutating func proposeRow(_ verb: Query.Verb) {
        if statement.dialect != .mysql || verb == .insert { addKeywords("(", tier: Tier.keyword) }
        if statement.dialect == .mysql { addKeywords("ROW(", tier: Tier.keyword) }
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
        guard let last = statement.token(before), let target = query.sources.last else { return }
        if last.kind == .open || last.kind == .comma {
            for column in resolver.columns(of: target, in: 0) { addTarget(column, target.name) }
        } else {
            addKeywords(statement.dialect == .sqlite ? "COLLATE|ASC|DESC" : "COLLATE", tier: Tier.keyword)
        }
    }

    /// `UPDATE a, b SET` of MySQL: columns of all of them.
    private mutating func proposeTargetsOfAll(_ frame: Frame) {
        let sources = scope(frame).first ?? []
        var counts: [String: Int] = [:]
        var columns: [[CompletionColumn]] = []
        for entry in sources {
            let own = resolver.columns(of: entry.source, in: entry.query)
            for column in own { counts[identifiers.key(column.name), default: 0] += 1 }
            columns.append(own)
        }
        for (entry, own) in zip(sources, columns) {
            for column in own where !column.isGenerated {
                let isShared = counts[identifiers.key(column.name), default: 0] > 1
                add(column, of: entry, isQualified: isShared, tier: Tier.column)
            }
            addAlias(entry, tier: Tier.alias)
        }
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
        let query = scanner.queries[frame.query]
        if query.verb == .update, query.sources.count > 1, statement.dialect == .mysql {
            proposeTargetsOfAll(frame)
        } else {
            proposeTargets(frame)
        }
    }

    mutating func proposeConflict(_ frame: Frame) {
        let previous = statement.keyword(before)
        if previous == .on {
            return addKeywords(
                statement.dialect == .mysql ? "DUPLICATE KEY UPDATE" : "CONFLICT", tier: Tier.keyword)
        }
        if statement.token(before)?.kind == .close { addKeywords("DO NOTHING|DO UPDATE SET|WHERE", tier: Tier.keyword) }
        if statement.keyword(before - 1) == .constraint { addKeywords("DO NOTHING|DO UPDATE SET", tier: Tier.keyword) }
        if previous == .update { addKeywords("SET", tier: Tier.keyword) }
        if previous == .key { addKeywords("UPDATE", tier: Tier.keyword) }
        if previous == .nothing {
            addKeywords("RETURNING", tier: Tier.keyword)
            // The last one alone may be without a target.
            let hasTarget = statement.token(before - 2)?.kind != .word || statement.keyword(before - 2) != .conflict
            if statement.dialect == .sqlite, hasTarget { addKeywords("ON CONFLICT", tier: Tier.keyword) }
        }
    }
}
