// Windows of functions: OVER (…) and WINDOW.

extension Completer {
    /// The clause WINDOW, outside of its parentheses.
    mutating func proposeBehindWindow(_ frame: Frame) {
        guard let last = statement.token(before) else { return }
        if last.kind == .close { return addClauses(behind: .window, frame) }
        if last.isName, statement.keyword(before) != .window { addKeywords("AS (", tier: Tier.keyword) }
    }

    /// Behind a value in a window that has no frame yet, or behind the value of a frame's bound.
    mutating func proposeWithinWindow(_ frame: Frame) {
        let parts = WindowParts(statement, frame)
        if parts.hasOrder { addKeywords("ASC|DESC", tier: Tier.best) }
        if parts.hasOrder, statement.dialect != .mysql { addKeywords("NULLS FIRST|NULLS LAST", tier: Tier.best) }
        if !parts.hasOrder { addKeywords("ORDER BY", tier: Tier.best) }
        addKeywords(statement.dialect == .mysql ? "ROWS|RANGE" : "ROWS|RANGE|GROUPS", tier: Tier.best)
        if parts.hasOrder || parts.hasPartition { addOperators() }
    }

    /// The bounds of a frame: `BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES`.
    ///
    /// - Returns: whether a bound is there, to which nothing else is to be added.
    mutating func proposeBound(_ frame: Frame) -> Bool {
        let parts = WindowParts(statement, frame)
        guard let unit = parts.unit, before > unit, qualifier.isEmpty else { return false }
        let hasEnd = parts.and != nil
        switch statement.keyword(before) {
        case .unbounded: addKeywords(hasEnd ? "FOLLOWING" : "PRECEDING", tier: Tier.best)
        case .current: addKeywords("ROW", tier: Tier.best)
        case .no: addKeywords("OTHERS", tier: Tier.best)
        case .preceding, .following, .row:
            if parts.isExcluding { return true }
            if parts.between != nil, !hasEnd {
                addKeywords("AND", tier: Tier.best)
            } else if statement.dialect != .mysql {
                addKeywords("EXCLUDE", tier: Tier.best)
            }
        default:
            if parts.isExcluding { return statement.keyword(before) != .exclude }
            if isOperandExpected { return false }
            if statement.dialect == .mysql, statement.keyword(before - 1) == .interval {
                addKeywords(Self.units(.mysql), tier: Tier.best)
                return true
            }
            let both = hasEnd ? "FOLLOWING|PRECEDING" : "PRECEDING|FOLLOWING"
            addKeywords(parts.between == nil ? "PRECEDING" : both, tier: Tier.best)
        }
        return true
    }
}

/// What a window has before the cursor.
private struct WindowParts {
    var hasPartition = false
    var hasOrder = false
    /// ROWS, RANGE or GROUPS.
    var unit: Int?
    var between: Int?
    var and: Int?
    var isExcluding = false

    /// - Cost: linear in the tokens of the window.
    init(_ statement: StatementTokens, _ frame: Frame) {
        var depth = 0
        for index in frame.opener + 1..<max(statement.cursorIndex, frame.opener + 1) {
            switch statement.tokens[index].kind {
            case .open: depth += 1
            case .close: depth -= 1
            case .word where depth == 0: take(statement.keyword(index), index)
            default: break
            }
        }
    }

    private mutating func take(_ keyword: Keyword, _ index: Int) {
        switch keyword {
        case .partition: hasPartition = true
        case .order: hasOrder = true
        case .rows, .range, .groups: if unit == nil { unit = index }
        case .between: if unit != nil { between = index }
        case .and: if between != nil { and = index }
        case .exclude: if unit != nil { isExcluding = true }
        default: break
        }
    }
}
