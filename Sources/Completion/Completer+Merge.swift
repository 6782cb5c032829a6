// What MERGE does with rows, and the common table expressions before a statement.

extension Completer {
    /// Behind WHEN: a condition, then what is done.
    mutating func proposeMatched(_ frame: Frame) {
        let when = lastWhen
        let isNew = statement.keyword(when + 1) == .not
        switch statement.keyword(before) {
        case .when:
            addKeywords("MATCHED THEN|NOT MATCHED THEN|MATCHED AND|NOT MATCHED AND", tier: Tier.keyword)
        case .not: addKeywords("MATCHED THEN|MATCHED AND", tier: Tier.keyword)
        case .matched: addKeywords("THEN|AND", tier: Tier.keyword)
        case .then: addKeywords(isNew ? "INSERT|DO NOTHING" : "UPDATE SET|DELETE|DO NOTHING", tier: Tier.keyword)
        case .update: addKeywords("SET", tier: Tier.keyword)
        case .do: addKeywords("NOTHING", tier: Tier.keyword)
        case .delete, .nothing: addKeywords("WHEN", tier: Tier.keyword)
        case .insert:
            if quote == nil { addColumnList(scanner.queries[frame.query]) }
            addKeywords("VALUES|DEFAULT VALUES", tier: Tier.keyword)
            proposeOverriding()
        default: proposeWithinMatched(frame, from: when)
        }
    }

    private mutating func proposeWithinMatched(_ frame: Frame, from when: Int) {
        let then = statement.tokens[..<(before + 1)].lastIndex { $0.keyword == .then }
        if let then, then > when {
            // Behind the columns of INSERT.
            guard statement.token(before)?.kind == .close else { return }
            addKeywords("VALUES", tier: Tier.keyword)
            return proposeOverriding()
        }
        if !isOperandExpected { addKeywords("THEN|AND|OR", tier: Tier.best) }
        proposeExpression(frame)
    }

    private mutating func proposeOverriding() {
        addKeywords("OVERRIDING SYSTEM VALUE|OVERRIDING USER VALUE", tier: Tier.keyword)
    }

    /// The WHEN before the cursor.
    private var lastWhen: Int {
        statement.tokens[..<(before + 1)].lastIndex { $0.keyword == .when } ?? 0
    }

    // MARK: WITH

    /// Behind the query of a common table expression.
    mutating func proposeBehindTableExpression(_ frame: Frame) {
        if statement.dialect == .postgresql, proposeSearch(frame) { return }
        addKeywords("SELECT|INSERT INTO|UPDATE|DELETE FROM|VALUES", tier: Tier.keyword)
        guard statement.dialect == .postgresql else { return }
        addKeywords("MERGE INTO", tier: Tier.keyword)
        if scanner.queries[frame.query].isRecursive { addKeywords("SEARCH|CYCLE", tier: Tier.keyword) }
    }

    /// `SEARCH DEPTH FIRST BY a, b SET c`, `CYCLE a, b SET c USING d`
    private mutating func proposeSearch(_ frame: Frame) -> Bool {
        switch statement.keyword(before) {
        case .set, .using: return true
        case .by, .cycle: break
        default:
            guard frame.isColumnList else {
                guard statement.keyword(before - 1) == .set, isBehindCycle(frame) else { return false }
                addKeywords("USING|TO", tier: Tier.keyword)
                return true
            }
            guard statement.token(before)?.kind == .comma else {
                addKeywords("SET", tier: Tier.keyword)
                return true
            }
        }
        let earlier = scanner.queries[frame.query].tableExpressions.last { $0.token < statement.cursorIndex }
        guard let expression = earlier else { return true }
        for column in resolver.columns(of: expression) where !expression.addedNames.contains(column.name) {
            candidates.add(
                column.name, tier: Tier.column,
                CompletionItem(
                    written(column.name), label: column.name, kind: .column, detail: column.type,
                    relation: expression.name))
        }
        return true
    }

    /// Whether the last of SEARCH and CYCLE is CYCLE.
    private func isBehindCycle(_ frame: Frame) -> Bool {
        let last = statement.tokens[..<statement.cursorIndex].last { $0.keyword == .search || $0.keyword == .cycle }
        return last?.keyword == .cycle
    }
}
