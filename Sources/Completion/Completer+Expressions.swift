// What may stand where a value is expected, and behind one.

/// Something in scope, with the query in whose FROM it stands.
struct ScopedSource {
    var source: Source
    var query: Int
    /// What it is called where it is not by its own name: NEW and OLD of a trigger, `excluded` of an upsert.
    var label: String
}

extension Completer {
    mutating func proposeExpression(_ frame: Frame) {
        if !qualifier.isEmpty { return proposeQualified(frame) }
        guard isOperandExpected else { return proposeOperators(frame) }
        if before == frame.opener, takesUnit(statement.token(before - 1)) {
            return addKeywords(Self.units(statement.dialect), tier: Tier.keyword)
        }
        if isClause(queryFrame, .on), startsCondition(frame) { addJoinConditions(frame) }
        addScope(frame)
        addResultNames()
        if frame.kind == .window, before == frame.opener { addKeywords("PARTITION BY|ORDER BY", tier: Tier.best) }
        if frame.kind == .window, before == frame.opener { addWindows() }
        addGroupings(frame)
        if frame.kind == .expression, frame.isFresh || statement.token(before)?.kind == .open {
            addKeywords("SELECT", tier: Tier.keyword)
        }
        addOperandKeywords(frame)
        addRoutines(in: nil)
    }

    /// What GROUP BY of PostgreSQL has beside expressions.
    private mutating func addGroupings(_ frame: Frame) {
        guard statement.dialect == .postgresql, queryFrame.clause == .group else { return }
        let isSets = frame.kind == .expression && statement.keyword(frame.opener - 1) == .sets
        guard isSets || isClause(frame, .group) else { return }
        addKeywords("ROLLUP (|CUBE (|GROUPING SETS (", tier: Tier.keyword)
        if statement.keyword(before) == .by { addKeywords("ALL|DISTINCT", tier: Tier.keyword) }
    }

    /// Whether the first argument of a function is a part of a time.
    private func takesUnit(_ function: Token?) -> Bool {
        guard let function, function.kind == .word else { return false }
        switch statement.text(function).lowercased() {
        case "extract": return statement.dialect != .sqlite
        case "timestampdiff", "timestampadd": return statement.dialect == .mysql
        default: return false
        }
    }

    /// The innermost frame that has clauses.
    var queryFrame: Frame {
        scanner.framesAtCursor.last { $0.kind == .query || $0.kind == .tables } ?? scanner.framesAtCursor[0]
    }

    /// Behind ON, perhaps with parentheses.
    private func startsCondition(_ frame: Frame) -> Bool {
        var index = before
        while statement.token(index)?.kind == .open { index -= 1 }
        return statement.keyword(index) == .on
    }

    private mutating func addOperandKeywords(_ frame: Frame) {
        let previous = statement.keyword(before)
        let isFirst = isBeforeList(before) && previous != .returning
        if queryFrame.clause == .selectList, frame.kind == .query,
            isFirst || statement.token(before)?.kind == .comma
        {
            addKeywords("*", tier: Tier.keyword)
        }
        if previous == .select { addKeywords("DISTINCT|ALL", tier: Tier.keyword) }
        defer {
            if isFirst, frame.kind == .query, queryFrame.clause == .selectList, statement.dialect == .mysql {
                addKeywords(Self.selectModifiers, tier: Tier.keyword)
            }
        }
        if queryFrame.clause == .values || queryFrame.clause == .set { addKeywords("DEFAULT", tier: Tier.keyword) }
        let shared = "CASE|CAST(|EXISTS (|NOT|NULL|TRUE|FALSE|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME"
        addKeywords(shared, tier: Tier.keyword)
        switch statement.dialect {
        case .postgresql:
            addKeywords("ARRAY[|ROW(|INTERVAL|EXTRACT(|CURRENT_USER|SESSION_USER|LOCALTIMESTAMP", tier: Tier.keyword)
        case .mysql: addKeywords("INTERVAL|BINARY|EXTRACT(|CURRENT_USER", tier: Tier.keyword)
        case .sqlite, .redis: addKeywords("RAISE(", tier: Tier.keyword)
        }
    }

    private static let selectModifiers =
        "HIGH_PRIORITY|STRAIGHT_JOIN|DISTINCTROW|SQL_SMALL_RESULT|SQL_BIG_RESULT|SQL_BUFFER_RESULT|SQL_NO_CACHE|SQL_CALC_FOUND_ROWS"

    // MARK: Names in scope

    /// What can be named at the cursor, level by level, the innermost first.
    func scope(_ frame: Frame) -> [[ScopedSource]] {
        var levels: [[ScopedSource]] = []
        var next: Int? = frame.query
        var end = Int.max
        var isSeen = !isInsertingValues(frame)
        while let query = next, levels.count < 100 {
            let sources =
                isSeen
                ? scanner.queries[query].sources.filter { $0.token < end && !$0.label.isEmpty || $0.query != nil } : []
            levels.append(sources.map { ScopedSource(source: $0, query: query, label: $0.label) })
            isSeen = scanner.queries[query].seesOuter
            end = scanner.queries[query].outerEnd
            next = scanner.queries[query].outer
        }
        if !levels.isEmpty {
            levels[0] = narrowed(levels[0])
            if let row = newRow(frame, levels[0].first) { levels[0].append(row) }
        }
        if let row = triggerRows { levels.append(row) }
        return levels
    }

    /// RETURNING of SQLite knows the changed table alone, and the values that MERGE inserts know only the other one.
    private func narrowed(_ sources: [ScopedSource]) -> [ScopedSource] {
        switch (queryFrame.clause, scanner.queries[queryFrame.query].verb) {
        case (.returning, _) where statement.dialect == .sqlite: Array(sources.prefix(1))
        case (.values, .merge): Array(sources.dropFirst())
        default: sources
        }
    }

    /// The row that could not be inserted, by the name that the statement has for it.
    private func newRow(_ frame: Frame, _ target: ScopedSource?) -> ScopedSource? {
        guard frame.isConflict, var row = target else { return nil }
        if statement.dialect == .mysql {
            guard let alias = scanner.queries[frame.statement].rowAlias else { return nil }
            return ScopedSource(source: alias, query: row.query, label: alias.label)
        }
        // Which index is meant is said of the table alone.
        let isTarget = scanner.framesAtCursor.contains { $0.kind == .conflictColumns }
        if isTarget || queryFrame.clause == .conflictWhere { return nil }
        row.label = "excluded"
        return row
    }

    private func isInsertingValues(_ frame: Frame) -> Bool {
        scanner.queries[frame.query].verb == .insert
            && (queryFrame.clause == .values || queryFrame.clause == .relationRead)
    }

    /// NEW and OLD, in the body of a trigger.
    private var triggerRows: [ScopedSource]? {
        let header = statement.header.isEmpty ? Array(statement.tokens.prefix(statement.cursorIndex)) : statement.header
        guard header.first?.keyword == .create,
            let trigger = header.prefix(4).firstIndex(where: { $0.keyword == .trigger }),
            let on = header[trigger...].firstIndex(where: { $0.keyword == .on }), on + 1 < header.count,
            header[on + 1].isName
        else { return nil }
        var source = Source(name: statement.name(header[on + 1]), token: -1, nameToken: -1)
        if on + 3 < header.count, header[on + 2].kind == .dot, header[on + 3].isName {
            source.namespace = source.name
            source.name = statement.name(header[on + 3])
        }
        let events = header[..<on]
        var labels = ["NEW", "OLD"]
        if events.contains(where: { $0.keyword == .insert }) { labels = ["NEW"] }
        if events.contains(where: { $0.keyword == .delete }) { labels = ["OLD"] }
        return labels.map { ScopedSource(source: source, query: 0, label: $0) }
    }

    mutating func addScope(_ frame: Frame) {
        let levels = scope(frame)
        var counts: [String: Int] = [:]
        var columns: [[[CompletionColumn]]] = []
        for level in levels {
            var found: [[CompletionColumn]] = []
            for entry in level {
                // What is known by its label only makes no other name ambiguous.
                let own = resolver.columns(of: entry.source, in: entry.query)
                if entry.source.token >= 0 {
                    for column in own { counts[identifiers.key(column.name), default: 0] += 1 }
                }
                found.append(own)
            }
            columns.append(found)
        }
        for (depth, level) in levels.enumerated() {
            for (index, entry) in level.enumerated() {
                for column in columns[depth][index] {
                    let isShared = counts[identifiers.key(column.name), default: 0] > 1 || isLabelled(entry)
                    add(column, of: entry, isQualified: isShared, tier: depth == 0 ? Tier.column : Tier.outerColumn)
                }
                addAlias(entry, tier: depth == 0 ? Tier.alias : Tier.outerAlias)
            }
        }
    }

    private func isLabelled(_ entry: ScopedSource) -> Bool { entry.source.token < 0 || entry.label == "excluded" }

    mutating func addAlias(_ entry: ScopedSource, tier: Int) {
        guard !entry.label.isEmpty else { return }
        let text = isLabelled(entry) ? entry.label : written(entry.label)
        candidates.add(
            entry.label, tier: tier, CompletionItem(text, label: entry.label, kind: .alias, relation: entry.source.name)
        )
    }

    mutating func add(_ column: CompletionColumn, of entry: ScopedSource, isQualified: Bool, tier: Int) {
        guard candidates.fits(column.name) else { return }
        let prefix = isQualified && !entry.label.isEmpty && quote == nil
        let label = prefix ? "\(entry.label)." : ""
        let text =
            (prefix ? (isLabelled(entry) ? entry.label : identifiers.written(entry.label)) + "." : "")
            + written(column.name)
        let relation = entry.source.name.isEmpty ? entry.label : entry.source.name
        candidates.add(
            column.name, tier: column.isHidden ? Tier.hidden : tier,
            CompletionItem(text, label: label + column.name, kind: .column, detail: column.type, relation: relation))
    }

    /// Names that the select list gives, where they are known: in ORDER BY, GROUP BY and HAVING.
    private mutating func addResultNames() {
        switch queryFrame.clause {
        case .order, .group: break
        case .having where statement.dialect != .postgresql: break
        default: return
        }
        let query = queryFrame.query
        for column in resolver.outputs(of: scanner.queries[query].firstArm ?? query) {
            candidates.add(
                column.name, tier: Tier.column,
                CompletionItem(written(column.name), label: column.name, kind: .alias, detail: column.type))
        }
    }

    // MARK: Behind a dot

    private mutating func proposeQualified(_ frame: Frame) {
        guard let name = qualifier.last else { return }
        if qualifier.count == 1, let entry = scope(frame).joined().first(where: { isNamed($0, name) }) {
            for column in resolver.columns(of: entry.source, in: entry.query) {
                add(column, of: entry, isQualified: false, tier: Tier.column)
            }
            return
        }
        let namespace = qualifier.count > 1 ? qualifier[qualifier.count - 2] : nil
        if let relation = schema.relation(named: name, in: namespace) {
            let source = Source(namespace: namespace, name: relation.name, token: .max, nameToken: .max)
            let entry = ScopedSource(source: source, query: frame.query, label: relation.name)
            for column in schema.columns(of: relation) { add(column, of: entry, isQualified: false, tier: Tier.column) }
        }
        if qualifier.count == 1, schema.hasNamespace(name) {
            addRelations(in: name)
            addRoutines(in: name)
        }
    }

    private func isNamed(_ entry: ScopedSource, _ name: String) -> Bool {
        isLabelled(entry) ? entry.label.lowercased() == name.lowercased() : identifiers.same(entry.label, name)
    }

    // MARK: `*`

    /// The columns that a star stands for.
    mutating func proposeExpansion() {
        guard let frame = scanner.framesAtCursor.last, frame.kind == .query,
            frame.clause == .selectList || frame.clause == .returning
        else { return }
        if qualifier.isEmpty, !isListPlace { return }
        var columns: [String] = []
        let sources = scope(frame).first ?? []
        for entry in sources {
            if let name = qualifier.last, !isNamed(entry, name) { continue }
            for column in resolver.columns(of: entry.source, in: entry.query) where !column.isHidden {
                var text = identifiers.written(column.name)
                // The first qualifier stands in the text already.
                let isFirst = columns.isEmpty && !qualifier.isEmpty
                if !isFirst, !qualifier.isEmpty || sources.count > 1, !entry.label.isEmpty {
                    text = identifiers.written(entry.label) + "." + text
                }
                columns.append(text)
            }
        }
        guard !columns.isEmpty else { return }
        let text = columns.joined(separator: ", ")
        guard text.utf8.count <= Self.listByteCountMax else { return }
        candidates = Candidates(NamePattern(""), recent: [])
        candidates.add(
            "", tier: Tier.best, CompletionItem(text, kind: .starExpansion, detail: "\(columns.count) columns"))
    }

    /// A longer list of columns is nobody's to read.
    static let listByteCountMax = 64 << 10

    private var isListPlace: Bool {
        statement.token(before)?.kind == .comma || isBeforeList(before)
    }
}
