// Decides what is expected at the cursor. What is proposed for each case is in the extensions of this type.

import SQLText

/// One completion of a statement of SQL.
struct Completer {
    let statement: StatementTokens
    let scanner: QueryScanner
    let schema: any CompletionSchema
    let identifiers: Identifiers
    let limit: Int
    var resolver: Resolver
    var candidates: Candidates
    /// What was typed of the word at the cursor begins with this quote.
    let quote: UInt8?
    /// Names before the cursor that end with dots: `a.b.` is a, b.
    let qualifier: [String]
    /// The token before the cursor and its qualifier.
    let before: Int
    let replace: Range<Int>
    /// Keywords as the user writes them.
    let usesSmallLetters: Bool

    init(_ statement: StatementTokens, schema: any CompletionSchema, limit: Int, recent: some Sequence<String>) {
        self.statement = statement
        self.schema = schema
        self.limit = limit
        scanner = QueryScanner(statement)
        resolver = Resolver(scanner, schema: schema)
        identifiers = Identifiers(dialect: statement.dialect)
        let cursor = statement.cursor
        var typed: [UInt8] = []
        switch statement.place {
        case .word(let range, let quote):
            self.quote = quote
            replace = range
            let text = statement.bytes[range.lowerBound..<cursor]
            typed = quote == nil ? Array(text) : StatementTokens.unquoted(text)
        case .star(let range), .variable(let range):
            quote = nil
            replace = range
            if case .variable = statement.place {
                typed = Array(statement.bytes[range.lowerBound..<max(cursor, range.lowerBound)])
            }
        case .nothing, .between:
            quote = nil
            replace = cursor..<cursor
        }
        candidates = Candidates(NamePattern(typed), recent: recent)
        (qualifier, before) = Self.qualifier(of: statement)
        usesSmallLetters = Self.usesSmallLetters(statement, typed)
    }

    /// The names and dots before the cursor.
    private static func qualifier(of statement: StatementTokens) -> ([String], Int) {
        var names: [String] = []
        var index = statement.cursorIndex - 1
        while let dot = statement.token(index), dot.kind == .dot, let name = statement.token(index - 1), name.isName,
            names.count < 3
        {
            names.insert(statement.name(name), at: 0)
            index -= 2
        }
        return (names, index)
    }

    /// As the word at the cursor is written; if that says nothing, as the first word of the statement is.
    private static func usesSmallLetters(_ statement: StatementTokens, _ typed: [UInt8]) -> Bool {
        var sample = typed[...]
        if !sample.contains(where: isLetter), let first = statement.tokens.first(where: { $0.kind == .word }) {
            sample = statement.bytes[first.start..<first.end]
        }
        return sample.contains(where: isLetter) && !sample.contains { (0x41...0x5a).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }

    mutating func complete() -> CompletionList {
        propose()
        return CompletionList(replace: replace, items: candidates.best(limit))
    }

    private mutating func propose() {
        switch statement.place {
        case .nothing: return
        case .variable: return proposeVariables()
        case .star: return proposeExpansion()
        case .word, .between: break
        }
        guard let frame = scanner.framesAtCursor.last else { return }
        // A dot behind something that is no name: nothing can be known of it.
        if statement.token(before)?.kind == .dot { return }
        if proposeBySyntax(frame) { return }
        let keyword = statement.keyword(before)
        if statement.token(before)?.kind == .cast || keyword == .as && frame.kind == .cast { return proposeTypes() }
        if isClause(frame, .other) || scanner.queries[0].verb == .other && frame.query == 0 {
            return proposeOther(frame)
        }
        if proposeTableFunction() { return }
        if qualifier.isEmpty, proposeFollowers(of: keyword, in: frame) { return }
        switch frame.kind {
        case .rowAliasColumns: return
        case .insertColumns: proposeInsertColumns(frame)
        case .setColumns: proposeTargets(frame)
        case .usingColumns: proposeCommonColumns(frame)
        case .conflictColumns: proposeTargetColumns(frame)
        case .aliasColumns: proposeColumnTypes(frame)
        case .tableExpressionColumns: return
        case .tableExpressionBody: addKeywords("SELECT|VALUES|WITH|INSERT INTO|UPDATE|DELETE FROM", tier: Tier.keyword)
        case .expression, .cast, .window: proposeExpression(frame)
        case .tables, .query: proposeClause(frame)
        }
    }

    func isClause(_ frame: Frame, _ clause: Frame.Clause) -> Bool { frame.kind == .query && frame.clause == clause }

    private mutating func proposeClause(_ frame: Frame) {
        switch frame.clause {
        case .start: proposeStatements(frame)
        case .other: proposeOther(frame)
        case .with:
            if before == statement.cursorIndex - 1, statement.keyword(before) == .with {
                addKeywords("RECURSIVE", tier: Tier.keyword)
            }
        case .withName: addKeywords("AS (", tier: Tier.keyword)
        case .withAs: addKeywords("(|MATERIALIZED (|NOT MATERIALIZED (", tier: Tier.keyword)
        case .withAfter: proposeBehindTableExpression(frame)
        case .relation, .relationDot: proposeSource(frame)
        case .relationRead: proposeBehindSource(frame)
        case .using: addKeywords("(", tier: Tier.keyword)
        case .set: proposeAssignment(frame)
        case .setOperation: addKeywords("SELECT|ALL|ALL SELECT|DISTINCT|VALUES", tier: Tier.keyword)
        case .conflict: proposeConflict(frame)
        case .conflictWhere:
            if !isOperandExpected { addKeywords("DO NOTHING|DO UPDATE SET", tier: Tier.best) }
            proposeExpression(frame)
        case .matched: proposeMatched(frame)
        case .deleteTargets: proposeDeleteTargets(frame)
        case .limit:
            if isOperandExpected { addKeywords("ALL", tier: Tier.keyword) } else { addClauses(behind: .limit, frame) }
        case .window: proposeBehindWindow(frame)
        case .values: proposeBehindValues(frame)
        case .selectList, .on, .where, .group, .having, .order, .returning: proposeExpression(frame)
        }
    }

    /// Whether a value is expected at the cursor, and not what may follow one.
    var isOperandExpected: Bool {
        guard let token = statement.token(before) else { return true }
        switch token.kind {
        case .word:
            let keyword = statement.keyword(before)
            return keyword != .none && keyword.isBeforeOperand || isOperandWord(token)
                || statement.isSelectModifier(before)
        case .close: return isBehindDistinctOn
        case .quotedName, .string, .number, .parameter, .dot: return false
        case .star: return !isStarOfList(before)
        case .comma, .open, .assign, .other, .cast: return true
        }
    }

    /// Operators and modifiers that are words of one dialect.
    private func isOperandWord(_ token: Token) -> Bool {
        guard statement.token(before - 1)?.kind != .dot else { return false }
        let text = statement.text(token).uppercased()
        switch statement.dialect {
        case .mysql:
            return ["DIV", "MOD", "XOR", "RLIKE", "BINARY"].contains(text)
        case .postgresql: return text == "PLACING" || text == "PASSING"
        case .sqlite, .redis: return false
        }
    }

    /// `SELECT DISTINCT ON (a)` comes before the first entry of the list.
    private var isBehindDistinctOn: Bool {
        guard statement.dialect == .postgresql else { return false }
        var (index, depth) = (before, 0)
        while index >= 0 {
            switch statement.tokens[index].kind {
            case .close: depth += 1
            case .open: depth -= 1
            default: break
            }
            if depth == 0 { break }
            index -= 1
        }
        return statement.keyword(index - 1) == .on && statement.keyword(index - 2) == .distinct
    }

    /// `*` as an entry of a list, and not as a sign of multiplication.
    private func isStarOfList(_ index: Int) -> Bool {
        guard let previous = statement.token(index - 1) else { return false }
        switch previous.kind {
        case .comma, .dot, .open: return true
        case .word: return isBeforeList(index - 1)
        default: return false
        }
    }

    /// Whether the first entry of a select list comes next.
    func isBeforeList(_ index: Int) -> Bool {
        [.select, .distinct, .all, .returning].contains(statement.keyword(index)) || statement.isSelectModifier(index)
    }
}

/// The order of what is proposed in one place; smaller numbers come first.
enum Tier {
    static let best = 0
    static let column = 1
    static let alias = 2
    static let outerColumn = 3
    static let outerAlias = 4
    static let hidden = 5
    static let tableExpression = 6
    static let relation = 7
    static let keyword = 8
    static let routine = 9
    static let namespace = 10
    static let elsewhere = 11
}

// What all of them add.
extension Completer {
    /// Phrases with a bar between them. A word in quotes is none.
    mutating func addKeywords(_ phrases: String, tier: Int) {
        guard quote == nil, qualifier.isEmpty else { return }
        for phrase in phrases.split(separator: "|") {
            candidates.addKeyword(phrase, tier: tier, inSmallLetters: usesSmallLetters)
        }
    }

    /// Values, variables and the like, each as it is written.
    mutating func addWords(_ words: some Sequence<String>, kind: CompletionItem.Kind, tier: Int, detail: String = "") {
        guard quote == nil else { return }
        for word in words { candidates.add(word, tier: tier, CompletionItem(word, kind: kind, detail: detail)) }
    }

    func written(_ name: String) -> String { identifiers.written(name, quote: quote) }
}
