// Statements of which the manual's pattern says what comes next (`StatementSyntax`).

extension Completer {
    /// Words whose patterns leave out some of the statements that begin with them: the second word decides.
    private static let shared: Set<String> = ["ALTER", "CREATE", "DROP", "SET", "SHOW", "EXPLAIN", "COMMENT"]

    /// - Returns: whether the statement has a pattern, as far as it is written.
    mutating func proposeBySyntax(_ frame: Frame) -> Bool {
        guard let first = statement.tokens.first, first.kind == .word, before >= 0 else { return false }
        if first.keyword == .create, isInQuery { return false }
        let words = syntaxWords
        guard case .word(let verb)? = words.first?.word else { return false }
        let second = words.count > 1 ? words[1].word : nil
        if Self.shared.contains(verb), words.count < (second == .word("OR") ? 4 : 2) { return false }
        let steps = StatementSyntax.of(verb, statement.dialect).flatMap { $0.steps(behind: words.lazy.map(\.word)) }
        guard !steps.isEmpty, !steps.contains(where: { isElsewhere($0) }) else { return false }
        for step in steps { propose(step, words) }
        return true
    }

    /// Proposes what a part of a statement may go on with.
    ///
    /// - Parameters:
    ///   - pattern: what the part may be.
    ///   - first: where it begins.
    /// - Returns: whether it fits the pattern so far.
    mutating func propose(_ pattern: Syntax, from first: Int) -> Bool {
        let words = syntaxWords(from: first)
        let steps = pattern.steps(behind: words.lazy.map(\.word))
        guard !steps.isEmpty, !steps.contains(where: { isElsewhere($0) }) else { return false }
        for step in steps {
            if case .parentheses(let inner) = step.first {
                if Syntax.begins(inner, with: "defined") { addKeywords("(", tier: Tier.best) }
            } else {
                propose(step, words)
            }
        }
        return true
    }

    /// Whether the cursor is in the query that a CREATE has behind AS.
    private var isInQuery: Bool {
        statement.tokens[...before].indices.contains { index in
            statement.keyword(index) == .as && index < before
                && [.select, .with, .values].contains(statement.keyword(index + 1))
        }
    }

    private func isElsewhere(_ step: Syntax.Step) -> Bool {
        if case .name("old") = step.first { true } else { false }
    }

    /// The tokens before the cursor: names with their qualifiers, and parentheses that are closed, are one word each.
    private var syntaxWords: [(word: Syntax.Word, token: Int)] { syntaxWords(from: 0) }

    /// Those from a token on.
    private func syntaxWords(from first: Int) -> [(word: Syntax.Word, token: Int)] {
        var words: [(word: Syntax.Word, token: Int)] = []
        var index = first
        while index <= before, words.count < 256 {
            let token = statement.tokens[index]
            switch token.kind {
            case .open:
                if let end = closing(index) {
                    words.append((.parentheses, index))
                    index = end
                } else {
                    words.append((.open, index))
                }
            case .dot: index += 1
            case .comma: words.append((.word(","), index))
            case .word, .assign, .other, .star, .close:
                words.append((.word(statement.text(token).uppercased()), index))
            case .quotedName, .string, .number, .parameter, .cast: words.append((.value, index))
            }
            index += 1
        }
        return words
    }

    /// Where parentheses end before the cursor.
    private func closing(_ open: Int) -> Int? {
        var depth = 0
        for index in open...max(before, open) {
            switch statement.tokens[index].kind {
            case .open: depth += 1
            case .close: depth -= 1
            default: break
            }
            if depth == 0 { return index }
        }
        return nil
    }

    private mutating func propose(_ step: Syntax.Step, _ words: [(word: Syntax.Word, token: Int)]) {
        switch step.first {
        case .word(","): break
        case .word(let text) where text.utf8.contains { (0x61...0x7a).contains($0) }:
            addWords([text], kind: .value, tier: Tier.keyword)
        case .quiet where candidates.pattern.isEmpty: break
        case .word, .quiet: if let phrase = Syntax.phrase(step) { addKeywords(phrase, tier: Tier.keyword) }
        case .name(let name): propose(name, step.subject.map { words[$0].token })
        default: break
        }
    }

    private mutating func propose(_ name: String, _ subject: Int?) {
        switch name {
        case "table": addNames(["table", "partitioned_table", "foreign_table", "virtual_table"])
        case "relation": addNames(nil)
        case "view": addNames(["view"])
        case "materialized": addNames(["materialized_view"])
        case "sequence": addNames(["sequence"])
        case "index": addObjects(.index)
        case "trigger": addObjects(.trigger)
        case "schema": if qualifier.isEmpty { addNamespaces() }
        case "attached":
            for name in schema.namespaces(matching: candidates.pattern, limit: limit)
            where name != "main" && name != "temp" {
                candidates.add(
                    name, tier: Tier.namespace, CompletionItem(written(name), label: name, kind: .namespace))
            }
        case "type": proposeTypes()
        case "function": addAllRoutines { !$0.isProcedure }
        case "procedure": addAllRoutines { $0.isProcedure }
        case "functionName": addBareRoutines { !$0.isProcedure }
        case "procedureName": addBareRoutines { $0.isProcedure }
        case "defined": addDefinedColumns()
        case "collation": addWords(collations, kind: .value, tier: Tier.keyword)
        case "condition":
            guard isOperandExpected else { return addOperators() }
            if let subject { addColumns(ofNameAt: subject) }
            addRoutines(in: nil)
        case "column": if let subject { addColumns(ofNameAt: subject) }
        default: break
        }
    }

    private mutating func addNames(_ kinds: Set<String>?) {
        addRelations(in: qualifier.last, kinds: kinds)
        if qualifier.isEmpty { addNamespaces() }
    }

    private mutating func addAllRoutines(_ isWanted: (CompletionRoutine) -> Bool) {
        for routine in schema.routines(matching: candidates.pattern, in: qualifier.last, limit: limit)
        where isWanted(routine) {
            add(routine, in: qualifier.last)
        }
    }

    /// Where a routine is named without its arguments.
    private mutating func addBareRoutines(_ isWanted: (CompletionRoutine) -> Bool) {
        for routine in schema.routines(matching: candidates.pattern, in: qualifier.last, limit: limit)
        where isWanted(routine) {
            let item = CompletionItem(
                written(routine.name), label: routine.name, kind: .routine, detail: routine.signature)
            candidates.add(routine.name, tier: Tier.routine, item)
        }
    }

    /// Columns of the relation whose name begins there.
    private mutating func addColumns(ofNameAt index: Int) {
        guard let first = statement.token(index) else { return }
        guard statement.token(index + 1)?.kind == .dot, let second = statement.token(index + 2), second.isName else {
            return addColumns(of: statement.name(first), in: nil)
        }
        addColumns(of: statement.name(second), in: statement.name(first))
    }
}
