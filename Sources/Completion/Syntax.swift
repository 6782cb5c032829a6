// Patterns of what may follow what, as manuals write them: the arguments of Redis's commands, and statements of SQL that are no queries.

/// `key value [NX | XX] [EX seconds | PX milliseconds]`: words in capitals are written as they are, others stand for something that the
/// user chooses; `[…]` may be left out, `<… | …>` is one of several, `[… ...]` repeats, `( … )` are parentheses.
/// `[+WORD]` is proposed with the word before it, `-WORD` when it is begun, and `word!` is written as it is.
///
/// What may come next is found by taking the given words away from the front of the pattern, one after the other.
/// - Cost: linear in the words that are given, times the size of the pattern.
struct Syntax: Sendable {
    indirect enum Node: Sendable {
        /// A word that is written as it is.
        case word(String)
        /// What the user chooses, by what kind of thing it is.
        case name(String)
        case sequence([Node])
        case choice([Node])
        case optional(Node)
        /// Once or several times.
        case many(Node)
        /// Each at most once, in any order.
        case options([Node])
        case parentheses(Node)
        /// A word that may be left out, and is proposed together with the one before it.
        case added(String)
        /// A word that is proposed when it is begun.
        case quiet(String)
    }

    /// A word of a statement, or what stands for one.
    enum Word: Equatable {
        /// In capitals.
        case word(String)
        /// What can be no word of the pattern: a text, a number, a name in quotes.
        case value
        /// Parentheses with all that is in them.
        case parentheses
        /// Parentheses that are open at the cursor.
        case open
    }

    /// What may come next: a terminal, and what is left of the pattern behind it.
    struct Step {
        var first: Node
        var rest: [Node]
        /// Which of the given words named a relation last.
        var subject: Int?
    }

    private struct Branch {
        var nodes: [Node]
        var subject: Int?
    }

    private let pattern: Node

    /// Alternatives that are followed at the same time.
    private static let branchCountMax = 64
    /// Words that are looked at: what comes behind so many repeats.
    private static let wordCountMax = 256

    init(_ pattern: String) { self.pattern = SyntaxParser.parse(pattern) }

    /// What may stand behind the words that are given; nothing if they do not fit.
    func steps(behind given: some Sequence<Word>) -> [Step] {
        var branches = [Branch(nodes: [pattern])]
        for (place, word) in given.prefix(Self.wordCountMax).enumerated() {
            let steps = branches.flatMap { Self.steps(behind: $0) }
            // A word that is written as it is is meant, where it may stand.
            var taken = steps.filter { Self.matches($0.first, word, isExact: true) }
            if taken.isEmpty { taken = steps.filter { Self.matches($0.first, word, isExact: false) } }
            branches = taken.prefix(Self.branchCountMax).map { Self.take($0, word, place) }
        }
        return branches.flatMap { Self.steps(behind: $0) }
    }

    private static func steps(behind branch: Branch) -> [Step] {
        steps(of: branch.nodes).map { Step(first: $0.first, rest: $0.rest, subject: branch.subject) }
    }

    private static func take(_ step: Step, _ word: Word, _ place: Int) -> Branch {
        switch step.first {
        case .parentheses(let inner) where word == .open: Branch(nodes: [inner], subject: step.subject)
        case .name(let name) where subjects.contains(name): Branch(nodes: step.rest, subject: place)
        default: Branch(nodes: step.rest, subject: step.subject)
        }
    }

    private static let subjects: Set<String> = ["table", "relation"]

    private static func matches(_ node: Node, _ word: Word, isExact: Bool) -> Bool {
        switch (node, word) {
        case (.word(let text), .word(let given)), (.quiet(let text), .word(let given)):
            isExact && text.uppercased() == given
        case (.name, .word), (.name, .value), (.name, .parentheses): !isExact
        case (.parentheses, .parentheses), (.parentheses, .open): isExact
        default: false
        }
    }

    private static func steps(of nodes: [Node]) -> [Step] {
        var found: [Step] = []
        for (index, node) in nodes.enumerated() {
            let others = nodes[(index + 1)...]
            found += steps(of: node).map { Step(first: $0.first, rest: $0.rest + others) }
            if !mayBeEmpty(node) { break }
        }
        return found
    }

    private static func steps(of node: Node) -> [Step] {
        switch node {
        case .word, .name, .parentheses, .quiet: return [Step(first: node, rest: [])]
        case .added(let text): return [Step(first: .word(text), rest: [])]
        case .sequence(let nodes): return steps(of: nodes)
        case .choice(let nodes): return nodes.flatMap { steps(of: $0) }
        case .optional(let inner): return steps(of: inner)
        case .many(let inner):
            return steps(of: inner).map { Step(first: $0.first, rest: $0.rest + [.optional(node)]) }
        case .options(let nodes):
            return nodes.indices.flatMap { index in
                var others = nodes
                others.remove(at: index)
                return steps(of: nodes[index]).map { Step(first: $0.first, rest: $0.rest + [.options(others)]) }
            }
        }
    }

    /// Whether what the user chooses first may be of that kind.
    static func begins(_ node: Node, with name: String) -> Bool {
        steps(of: node).contains { if case .name(name) = $0.first { true } else { false } }
    }

    private static func mayBeEmpty(_ node: Node) -> Bool {
        switch node {
        case .word, .name, .parentheses, .quiet: false
        case .sequence(let nodes): nodes.allSatisfy(mayBeEmpty)
        case .choice(let nodes): nodes.contains(where: mayBeEmpty)
        case .optional, .options, .added: true
        case .many(let node): mayBeEmpty(node)
        }
    }

    // MARK: What is shown

    /// The first word with those that always follow it, or are to be added: `PRIMARY KEY (`.
    static func phrase(_ step: Step) -> String? {
        var text: String
        switch step.first {
        case .word(let word), .quiet(let word): text = word
        default: return nil
        }
        var rest = step.rest
        for _ in 0..<phraseWordCountMax {
            if case .added(let word) = rest.first { return text + " " + word }
            let next = steps(of: rest)
            guard next.count == 1, !rest.allSatisfy(mayBeEmpty) else { break }
            if case .parentheses = next[0].first { return text + " (" }
            guard case .word(let word) = next[0].first, word != "ON" else { break }
            text += " " + word
            rest = next[0].rest
        }
        return text
    }

    private static let phraseWordCountMax = 4

    /// What the user chooses behind a word, wherever that stands first.
    func value(of option: String) -> String? { Self.value(of: option, in: pattern) }

    private static func value(of option: String, in node: Node) -> String? {
        switch node {
        case .word, .name, .added, .quiet: return nil
        case .optional(let node), .many(let node), .parentheses(let node): return value(of: option, in: node)
        case .choice(let nodes), .options(let nodes):
            for node in nodes { if let found = value(of: option, in: node) { return found } }
            return nil
        case .sequence(let nodes):
            for (index, node) in nodes.enumerated() {
                if case .word(option) = node, index + 1 < nodes.count, case .name(let name) = nodes[index + 1] {
                    return name
                }
                if let found = value(of: option, in: node) { return found }
            }
            return nil
        }
    }
}

/// Reads a pattern. A server may have sent it: whatever it is, the result is a pattern.
struct SyntaxParser {
    private var tokens: ArraySlice<String>
    private static let depthMax = 16
    private static let tokenCountMax = 2_000
    private static let closers: Set<String> = ["]", ">", ")"]

    static func parse(_ pattern: String) -> Syntax.Node {
        var parser = SyntaxParser(tokens: tokens(of: pattern)[...])
        var nodes: [Syntax.Node] = []
        // What closes nothing is passed over.
        while !parser.tokens.isEmpty {
            nodes.append(parser.sequence(depth: 0))
            parser.tokens = parser.tokens.dropFirst()
        }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    private static func tokens(of pattern: String) -> [String] {
        var tokens: [String] = []
        var word: [UInt8] = []
        func end() {
            if !word.isEmpty { tokens.append(String(decoding: word, as: UTF8.self)) }
            word = []
        }
        for byte in pattern.utf8 {
            switch byte {
            case UInt8(ascii: " "): end()
            case UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "|"),
                UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","):
                end()
                tokens.append(String(Unicode.Scalar(byte)))
            default: word.append(byte)
            }
            if tokens.count >= tokenCountMax { break }
        }
        end()
        return tokens
    }

    /// Up to what closes it. Outside of brackets, `|` stands between single words: `AND | OR destination`.
    private mutating func sequence(depth: Int) -> Syntax.Node {
        var alternatives: [Syntax.Node] = []
        var nodes: [Syntax.Node] = []
        while let token = tokens.first, !Self.closers.contains(token) {
            tokens = tokens.dropFirst()
            switch token {
            case "[": append(optional(depth: depth + 1), to: &nodes)
            case "<": nodes.append(group(depth: depth + 1))
            case "(": nodes.append(.parentheses(group(depth: depth + 1)))
            case "|" where depth > 0:
                alternatives.append(.sequence(nodes))
                nodes = []
            case "|":
                guard let first = nodes.popLast(), let second = tokens.popFirst() else { break }
                if case .choice(let others) = first {
                    nodes.append(.choice(others + [Self.word(second)]))
                } else {
                    nodes.append(.choice([first, Self.word(second)]))
                }
            case "...": if let last = nodes.popLast() { nodes.append(.many(last)) }
            default: nodes.append(Self.word(token))
            }
        }
        return alternatives.isEmpty ? .sequence(nodes) : .choice(alternatives + [.sequence(nodes)])
    }

    private mutating func group(depth: Int) -> Syntax.Node {
        guard depth < Self.depthMax else { return .sequence([]) }
        let inner = sequence(depth: depth)
        tokens = tokens.dropFirst()
        return inner
    }

    private mutating func optional(depth: Int) -> Syntax.Node {
        let start = tokens
        let inner = group(depth: depth)
        // `...` as the last of the words in the brackets is about all of them.
        if case .sequence(let nodes) = inner, nodes.count == 1, case .added = nodes[0] { return nodes[0] }
        let isRepeated = start.dropLast(tokens.count).dropLast().last == "..."
        guard isRepeated, case .sequence(var nodes) = inner else { return .optional(inner) }
        if case .many(let last) = nodes.last { nodes[nodes.count - 1] = last }
        return .optional(.many(.sequence(nodes)))
    }

    /// Options that begin with a word stand in any order.
    private func append(_ node: Syntax.Node, to nodes: inout [Syntax.Node]) {
        guard case .optional(let inner) = node, Self.beginsWithWord(inner) else { return nodes.append(node) }
        if case .options(let others) = nodes.last {
            nodes[nodes.count - 1] = .options(others + [inner])
        } else {
            nodes.append(.options([inner]))
        }
    }

    private static func beginsWithWord(_ node: Syntax.Node) -> Bool {
        switch node {
        case .word(let text): text != ","
        case .quiet: true
        case .name, .optional, .parentheses, .added: false
        case .sequence(let nodes): nodes.first.map(beginsWithWord) ?? false
        case .choice(let nodes), .options(let nodes): nodes.allSatisfy(beginsWithWord)
        // It stands where it is written: several of them follow each other.
        case .many: false
        }
    }

    private static func word(_ text: String) -> Syntax.Node {
        if text.hasSuffix("!") { return .word(String(text.dropLast())) }
        if text.utf8.contains(where: { (0x61...0x7a).contains($0) }) { return .name(text) }
        let isMarked = text.utf8.count > 2
        if isMarked, text.hasPrefix("+") { return .added(String(text.dropFirst())) }
        if isMarked, text.hasPrefix("-") { return .quiet(String(text.dropFirst())) }
        return .word(text)
    }
}
