// What may follow a value: operators, and the clauses that come next.

extension Completer {
    mutating func proposeOperators(_ frame: Frame) {
        if hasOpenCase(frame) { addKeywords("WHEN|THEN|ELSE|END", tier: Tier.best) }
        switch frame.kind {
        case .cast: addKeywords("AS", tier: Tier.best)
        case .window: return proposeWithinWindow(frame)
        case .query, .tables: addClauses(behind: frame.clause, frame)
        default: addArgumentKeywords(frame)
        }
        if statement.dialect == .mysql, statement.keyword(before - 1) == .interval {
            addKeywords(Self.units(.mysql), tier: Tier.best)
        }
        guard frame.clause != .order || frame.kind != .query else { return }
        addOperators()
        if statement.token(before)?.kind == .close { addKeywords("OVER (|FILTER (", tier: Tier.routine) }
    }

    mutating func addOperators() {
        addKeywords(
            "AND|OR|IN (|IS NULL|IS NOT NULL|LIKE|BETWEEN|NOT IN (|NOT LIKE|NOT BETWEEN|COLLATE", tier: Tier.keyword)
        switch statement.dialect {
        case .sqlite, .redis: addKeywords("GLOB|REGEXP|MATCH|ISNULL|NOTNULL|IS|ESCAPE", tier: Tier.keyword)
        case .postgresql:
            addKeywords(
                "ILIKE|NOT ILIKE|SIMILAR TO|IS DISTINCT FROM|IS NOT DISTINCT FROM|AT TIME ZONE|ESCAPE",
                tier: Tier.keyword)
        case .mysql: addKeywords("REGEXP|RLIKE|DIV|MOD|XOR|SOUNDS LIKE|ESCAPE", tier: Tier.keyword)
        }
    }

    /// Parts of a time.
    static func units(_ dialect: CompletionDialect) -> String {
        "YEAR|MONTH|DAY|HOUR|MINUTE|SECOND|QUARTER|WEEK|"
            + (dialect == .postgresql ? "EPOCH|DOW|DOY|ISODOW|ISOYEAR|CENTURY|DECADE|TIMEZONE" : "MICROSECOND")
    }

    /// ORDER BY and others within the arguments of a function.
    private mutating func addArgumentKeywords(_ frame: Frame) {
        switch statement.token(frame.opener - 1).map(statement.text)?.lowercased() {
        case "extract", "trim", "substring": addKeywords("FROM|FOR", tier: Tier.best)
        case "group_concat", "string_agg", "array_agg", "json_agg", "jsonb_agg", "json_group_array":
            addKeywords("ORDER BY|SEPARATOR", tier: Tier.keyword)
        default: break
        }
    }

    private func hasOpenCase(_ frame: Frame) -> Bool {
        var (depth, level) = (0, 0)
        var index = before
        while index > frame.opener {
            switch (statement.tokens[index].kind, statement.keyword(index)) {
            case (.close, _): level += 1
            case (.open, _): level -= 1
            case (_, .end) where level == 0: depth -= 1
            case (_, .case) where level == 0: depth += 1
            default: break
            }
            if depth > 0 { return true }
            index -= 1
        }
        return false
    }

    mutating func addClauses(behind clause: Frame.Clause, _ frame: Frame) {
        let verb = scanner.queries[frame.query].verb
        let isChange = verb == .update || verb == .delete || verb == .insert || verb == .merge
        switch clause {
        case .on where verb == .merge: addKeywords("WHEN|AND|OR", tier: Tier.best)
        case .on where verb == .update && statement.dialect == .mysql: addKeywords("SET|AND|OR", tier: Tier.best)
        case .set where verb != .update: addKeywords(behindSet(verb, frame), tier: Tier.best)
        case .selectList: addKeywords("FROM|AS|INTO", tier: Tier.best)
        case .returning: addKeywords("AS", tier: Tier.best)
        case .on: addKeywords("AND|OR|WHERE", tier: Tier.best)
        case .set:
            addKeywords(statement.dialect == .mysql ? "WHERE|ORDER BY|LIMIT" : "WHERE|FROM|RETURNING", tier: Tier.best)
        case .order where verb == .delete && statement.dialect == .mysql:
            addKeywords("ASC|DESC|LIMIT|RETURNING", tier: Tier.best)
        case .order:
            addKeywords("ASC|DESC|NULLS FIRST|NULLS LAST|LIMIT|OFFSET|COLLATE", tier: Tier.best)
            if statement.dialect == .postgresql { addKeywords("USING", tier: Tier.best) }
        case .limit where verb == .delete && statement.dialect == .mysql: addKeywords("RETURNING", tier: Tier.best)
        case .group: addKeywords("HAVING|ORDER BY|LIMIT", tier: Tier.best)
        case .having: addKeywords("AND|OR|ORDER BY|LIMIT", tier: Tier.best)
        case .where where isChange:
            addKeywords("AND|OR", tier: Tier.best)
            if statement.dialect != .mysql || verb == .delete { addKeywords("RETURNING", tier: Tier.best) }
            if statement.dialect != .postgresql, verb != .insert { addKeywords("ORDER BY|LIMIT", tier: Tier.best) }
        case .where: addKeywords("AND|OR|GROUP BY|ORDER BY|LIMIT", tier: Tier.best)
        case .limit:
            addKeywords("OFFSET", tier: Tier.best)
            if statement.dialect == .postgresql {
                addKeywords("ROWS|ROWS ONLY|ROWS WITH TIES|LIMIT", tier: Tier.best)
            }
        default: break
        }
        if clause == .on, verb != .merge { addJoins() }
        if !isChange, clause != .returning, clause != .set { addTail(behind: clause) }
    }

    /// Behind an assignment that is none of UPDATE.
    private func behindSet(_ verb: Query.Verb, _ frame: Frame) -> String {
        switch (verb, statement.dialect) {
        case (.merge, _): "WHEN"
        case (_, .mysql): frame.isConflict ? "RETURNING" : "ON DUPLICATE KEY UPDATE|RETURNING"
        default: "WHERE|RETURNING"
        }
    }

    mutating func addJoins() {
        addKeywords("JOIN|LEFT JOIN|INNER JOIN|CROSS JOIN|RIGHT JOIN|NATURAL JOIN", tier: Tier.best)
        addKeywords(statement.dialect == .mysql ? "STRAIGHT_JOIN" : "FULL JOIN", tier: Tier.best)
    }

    /// Clauses at the end of a query, those that come after `clause`.
    private mutating func addTail(behind clause: Frame.Clause) {
        let order: [Frame.Clause] = [.selectList, .relationRead, .on, .where, .group, .having, .window, .order, .limit]
        guard let place = order.firstIndex(of: clause) else { return }
        let phrases: [(Frame.Clause, String)] = [
            (.where, "WHERE"), (.group, "GROUP BY"), (.having, "HAVING"), (.window, "WINDOW"), (.order, "ORDER BY"),
            (.limit, "LIMIT"),
        ]
        for (next, phrase) in phrases where (order.firstIndex(of: next) ?? 0) > place {
            addKeywords(phrase, tier: Tier.routine)
        }
        if place < order.count - 2 { addKeywords("UNION|UNION ALL|EXCEPT|INTERSECT", tier: Tier.routine) }
        if statement.dialect != .sqlite { addKeywords("FOR UPDATE|FOR SHARE", tier: Tier.routine) }
        if statement.dialect == .postgresql { addKeywords("OFFSET|FETCH FIRST", tier: Tier.routine) }
    }

    // MARK: Words that ask for certain others

    /// - Returns: whether nothing else is to be proposed behind `keyword`.
    mutating func proposeFollowers(of keyword: Keyword, in frame: Frame) -> Bool {
        if frame.kind == .window, proposeBound(frame) { return true }
        if proposeBehindWords(frame) { return true }
        if frame.clause == .matched || frame.clause == .deleteTargets { return false }
        switch keyword {
        case .as:
            // A new name; but a query behind WITH x AS, which has its own clause.
            return !(frame.kind == .query && frame.clause == .withAs)
        case .conflict:
            addKeywords("DO NOTHING|DO UPDATE SET|(", tier: Tier.keyword)
            if statement.dialect == .postgresql { addKeywords("ON CONSTRAINT", tier: Tier.keyword) }
            return true
        case .collate:
            addWords(collations, kind: .value, tier: Tier.keyword)
            return true
        case .not where frame.kind == .query && frame.clause == .withAs:
            addKeywords("MATERIALIZED (", tier: Tier.keyword)
            return true
        case .not where isBehindOperand(before - 1):
            addKeywords("IN (|LIKE|BETWEEN|NULL|EXISTS (", tier: Tier.keyword)
            if statement.dialect == .postgresql { addKeywords("ILIKE|SIMILAR TO", tier: Tier.keyword) }
            if statement.dialect != .postgresql { addKeywords("REGEXP", tier: Tier.keyword) }
            if statement.dialect == .sqlite { addKeywords("GLOB|MATCH", tier: Tier.keyword) }
            return true
        default: break
        }
        // MySQL's INSERT needs no INTO.
        if keyword == .insert, statement.dialect == .mysql { return false }
        guard let phrases = Self.followers[keyword] else { return false }
        addKeywords(phrases, tier: Tier.keyword)
        if keyword == .over { addWindows() }
        if keyword == .insert, statement.dialect == .sqlite {
            addKeywords("OR REPLACE INTO|OR IGNORE INTO", tier: Tier.keyword)
        }
        return true
    }

    private mutating func proposeBehindWords(_ frame: Frame) -> Bool {
        let first = max(0, before - WordFollowers.wordCountMax + 1)
        let words = first <= before ? (first...before).map { statement.text(statement.tokens[$0]).uppercased() } : []
        if statement.dialect == .sqlite, words.suffix(2) == ["INDEXED", "BY"] {
            addObjects(.index)
            return true
        }
        if statement.dialect == .mysql, words.last == "(", ["INDEX", "KEY"].contains(words.dropLast().last),
            ["USE", "FORCE", "IGNORE"].contains(words.dropLast(2).last)
        {
            addObjects(.index)
            return true
        }
        if ["UPDATE", "SHARE"].contains(words.dropLast().last), words.last == "OF", words.dropLast(2).last == "FOR" {
            for source in scanner.queries[frame.query].sources where !source.label.isEmpty {
                candidates.add(
                    source.label, tier: Tier.alias,
                    CompletionItem(written(source.label), label: source.label, kind: .alias, relation: source.name))
            }
            return true
        }
        if queryFrame.clause == .limit, ["ROW", "ROWS"].contains(words.last) {
            let isOffset = words.dropLast(2).last == "OFFSET"
            addKeywords(isOffset ? "FETCH FIRST|FETCH NEXT" : "ONLY|WITH TIES", tier: Tier.keyword)
            return true
        }
        guard let phrases = WordFollowers.phrases(behind: words, statement.dialect, queryFrame.clause) else {
            return false
        }
        for phrase in phrases.split(separator: "|") { addKeywords(String(phrase), tier: Tier.keyword) }
        return true
    }

    /// Windows that the query names.
    mutating func addWindows() {
        for index in statement.tokens.indices.dropFirst(2)
        where statement.keyword(index) == .as && statement.tokens[index - 1].isName
            && (statement.keyword(index - 2) == .window || isOfWindows(index - 2))
        {
            let name = statement.name(statement.tokens[index - 1])
            candidates.add(
                name, tier: Tier.elsewhere, CompletionItem(written(name), label: name, kind: .alias, detail: "window"))
        }
    }

    /// The comma behind another window.
    private func isOfWindows(_ index: Int) -> Bool {
        statement.token(index)?.kind == .comma && statement.token(index - 1)?.kind == .close
            && statement.tokens[..<index].contains { $0.keyword == .window }
    }

    private func isBehindOperand(_ index: Int) -> Bool {
        guard let token = statement.token(index) else { return false }
        switch token.kind {
        case .word: return !statement.keyword(index).isBeforeOperand
        case .quotedName, .string, .number, .parameter, .close: return true
        default: return false
        }
    }

    private static let followers: [Keyword: String] = [
        .order: "BY", .group: "BY", .partition: "BY", .insert: "INTO",
        .delete: "FROM",
        .left: "JOIN|OUTER JOIN", .right: "JOIN|OUTER JOIN", .full: "JOIN|OUTER JOIN", .outer: "JOIN", .inner: "JOIN",
        .cross: "JOIN",
        .natural: "JOIN|LEFT JOIN|INNER JOIN",
        .is: "NULL|NOT NULL|TRUE|FALSE|NOT TRUE|NOT FALSE|DISTINCT FROM|NOT DISTINCT FROM",
        .nulls: "FIRST|LAST", .for: "UPDATE|SHARE|NO KEY UPDATE|KEY SHARE",
        .do: "NOTHING|UPDATE SET", .duplicate: "KEY UPDATE", .default: "VALUES", .merge: "INTO",
        .rows: "BETWEEN|UNBOUNDED PRECEDING|CURRENT ROW",
        .range: "BETWEEN|UNBOUNDED PRECEDING|CURRENT ROW", .groups: "BETWEEN|UNBOUNDED PRECEDING|CURRENT ROW",
        .unbounded: "PRECEDING|FOLLOWING", .current: "ROW", .matched: "THEN|AND", .within: "GROUP (", .filter: "(",
        .over: "(",
        .fetch: "FIRST|NEXT",
    ]

    var collations: [String] {
        switch statement.dialect {
        case .sqlite, .redis: ["NOCASE", "BINARY", "RTRIM"]
        case .postgresql: ["\"C\"", "\"POSIX\"", "\"default\"", "\"und-x-icu\"", "\"en-x-icu\"", "\"en_US.utf8\""]
        case .mysql:
            [
                "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_0900_ai_ci", "latin1_swedish_ci",
                "binary",
            ]
        }
    }
}
