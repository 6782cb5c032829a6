// Words that stand where names do, and are none.

extension StatementTokens {
    /// `LOW_PRIORITY` and the like, between a verb of MySQL and what it is about.
    func isVerbModifier(_ index: Int) -> Bool {
        guard dialect == .mysql, Keyword.verbModifiers.contains(keyword(index)) else { return false }
        var first = index - 1
        while first >= 0, index - first <= 3, Keyword.verbModifiers.contains(keyword(first)) { first -= 1 }
        return [.insert, .replace, .update, .delete].contains(keyword(first))
    }

    /// `HIGH_PRIORITY` and the like, between SELECT and its list.
    func isSelectModifier(_ index: Int) -> Bool {
        guard dialect == .mysql, Keyword.selectModifiers.contains(keyword(index)) else { return false }
        var first = index - 1
        while first >= 0, index - first <= Keyword.selectModifiers.count,
            Keyword.selectModifiers.contains(keyword(first)) || [.distinct, .all].contains(keyword(first))
        {
            first -= 1
        }
        return keyword(first) == .select
    }

    /// Words behind the name of a relation that are none: hints and clauses of one dialect.
    func isSourceModifier(_ index: Int) -> Bool {
        guard let word = token(index), word.kind == .word else { return false }
        let previous = keyword(index - 1)
        switch (dialect, word.keyword) {
        case (.sqlite, .indexed): return true
        case (.sqlite, .by): return previous == .indexed
        case (.postgresql, .tablesample): return true
        case (.postgresql, .ordinality): return previous == .with
        case (.postgresql, .repeatable): return token(index - 1)?.kind == .close
        case (.postgresql, _): return previous == .tablesample
        case (.mysql, .partition): return token(index + 1)?.kind == .open
        case (.mysql, .use), (.mysql, .force), (.mysql, .ignore): return true
        case (.mysql, .index), (.mysql, .key): return [.use, .force, .ignore].contains(previous)
        case (.mysql, .join): return previous == .for
        case (.mysql, .order), (.mysql, .group): return previous == .for
        case (.mysql, .by): return [.order, .group].contains(previous) && keyword(index - 2) == .for
        case (.mysql, .system_time): return previous == .for
        case (.mysql, .of): return previous == .as && keyword(index - 2) == .system_time
        case (.mysql, .from), (.mysql, .between): return previous == .system_time
        case (.mysql, .timestamp), (.mysql, .transaction):
            return [.of, .from, .between, .to, .and].contains(previous)
        case (.mysql, .to): return true
        default: return false
        }
    }
}
