// What each byte of a statement is, for those who show a text while it is typed.

/// What a byte of a text belongs to.
public enum TextKind: UInt8, Sendable {
    /// Names, operators, white space.
    case plain
    case keyword
    /// Text between quotes, also dollar quotes.
    case string
    /// A name between quotes.
    case quotedName
    case number
    /// `:name`, `$1`, `?`, `@variable`.
    case parameter
    case comment
    /// A line for the client, such as `\d`.
    case command
}

/// The kinds of the bytes of a text.
///
/// Where quotes and comments begin and end is asked of `StatementSplitter`: what is shown is how the statement will be read.
/// - Cost: one pass over the text, whatever stands before it.
public struct TextKinds: Sendable {
    /// One for each byte.
    public private(set) var kinds: [TextKind] = []
    private var splitter: StatementSplitter
    private let words: Set<String>
    private var text: [UInt8] = []
    /// Where the present word began.
    private var wordStart: Int?

    /// - Parameters:
    ///   - text: the text, which may have several lines and statements.
    ///   - splitter: what has read the text before it.
    public init(_ text: some Sequence<UInt8>, after splitter: StatementSplitter) {
        self.splitter = splitter.withoutStatement()
        words = StatementWords.of(splitter.language)
        self.text = Array(text)
        kinds.reserveCapacity(self.text.count)
        if splitter.language == .commandLines { readCommandLines() } else { readStatements() }
    }

    // SQL

    private mutating func readStatements() {
        for (index, byte) in text.enumerated() {
            let before = splitter.context
            let wasInHeader = splitter.isInCommentHeader
            let wasExecuted = splitter.isExecuted
            splitter.step(byte)
            // The byte behind the beginning of an executable comment is one of its content.
            let beginsContent = wasInHeader && !splitter.isInCommentHeader && splitter.isExecuted
            let kind = beginsContent ? nil : kind(of: before)
            if kind != nil || splitter.context != .plain || !byte.isOfName {
                endWord(at: index)
            } else if wordStart == nil {
                wordStart = index
            }
            if let kind {
                kinds.append(kind)
            } else {
                kinds.append(self.kind(of: splitter.context) ?? punctuation(byte, at: index))
                noteBeginning(of: splitter.context, byte)
            }
            if wasExecuted, !splitter.isExecuted { markEndOfComment() }
        }
        endWord(at: text.count)
    }

    /// What stands within a construct; `nil` outside of all.
    private func kind(of context: StatementSplitter.Context) -> TextKind? {
        switch context {
        case .plain: nil
        case .quoted(let end): isString(end) ? .string : .quotedName
        case .lineComment, .blockComment: .comment
        case .dollarQuoted: .string
        case .line: .command
        }
    }

    private func isString(_ quote: UInt8) -> Bool {
        switch quote {
        case UInt8(ascii: "'"): true
        case UInt8(ascii: "\""): splitter.language == .mysql && !splitter.rules.hasANSIQuotes
        default: false
        }
    }

    /// The bytes that begin a comment or a dollar quote are known to do so only when the last of them is read.
    private mutating func noteBeginning(of context: StatementSplitter.Context, _ byte: UInt8) {
        let count =
            switch context {
            case .lineComment: byte == UInt8(ascii: "#") ? 0 : splitter.language == .mysql ? 2 : 1
            case .blockComment: 1
            case .dollarQuoted(let tag, _): tag.count + 1
            default: 0
            }
        guard let kind = kind(of: context) else { return }
        for index in kinds.indices.suffix(count + 1) { kinds[index] = kind }
    }

    /// `*/`, the end of an executable comment.
    private mutating func markEndOfComment() {
        for index in kinds.indices.suffix(2) { kinds[index] = .comment }
    }

    private func punctuation(_ byte: UInt8, at index: Int) -> TextKind {
        switch byte {
        case UInt8(ascii: "."):
            let isFraction = kinds.last == .number || (index + 1 < text.count && text[index + 1].isDigit)
            return isFraction && !isBehindName(index) ? .number : .plain
        case UInt8(ascii: "?"): return splitter.language == .postgresql ? .plain : .parameter
        default: return .plain
        }
    }

    private func isBehindName(_ index: Int) -> Bool {
        guard index > 0 else { return false }
        return kinds[index - 1] != .number && (text[index - 1].isOfName || kinds[index - 1] == .quotedName)
    }

    /// Says what the word is that ends before an index.
    private mutating func endWord(at end: Int) {
        guard let start = wordStart else { return }
        wordStart = nil
        let word = text[start..<end]
        let previous = start > 0 ? text[start - 1] : 0
        var kind = TextKind.plain
        var from = start
        if let sign = parameterSign(start) {
            kind = .parameter
            from = sign
        } else if text[start].isDigit {
            kind = .number
        } else if text[start] == UInt8(ascii: "$"), splitter.language != .mysql {
            kind = .parameter
        } else if previous != UInt8(ascii: "."), isKeyword(word) {
            kind = .keyword
        }
        for index in from..<end { kinds[index] = kind }
    }

    /// Where the sign stands that makes a parameter of the word behind it; PostgreSQL's `::` makes a type.
    private func parameterSign(_ start: Int) -> Int? {
        guard start > 0, kinds[start - 1] == .plain || kinds[start - 1] == .parameter else { return nil }
        let before = start > 1 ? text[start - 2] : 0
        switch text[start - 1] {
        case UInt8(ascii: ":"):
            return before == UInt8(ascii: ":") || before.isOfName || text[start].isDigit ? nil : start - 1
        case UInt8(ascii: "?"):
            return splitter.language == .sqlite && text[start].isDigit ? start - 1 : nil
        case UInt8(ascii: "@") where splitter.language != .postgresql:
            return before == UInt8(ascii: "@") ? start - 2 : start - 1
        default: return nil
        }
    }

    private func isKeyword(_ word: ArraySlice<UInt8>) -> Bool {
        guard word.count <= StatementWords.byteCountMax, word.allSatisfy(\.isOfKeyword) else { return false }
        return words.contains(String(decoding: word.lazy.map(\.lowercased), as: UTF8.self))
    }

    // Redis

    private mutating func readCommandLines() {
        var quote: UInt8?
        var isEscaped = false
        var isFirst = true
        for (index, byte) in text.enumerated() {
            if byte == UInt8(ascii: "\n") {
                endArgument(at: index, isFirst)
                kinds.append(.plain)
                (quote, isEscaped, isFirst) = (nil, false, true)
                continue
            }
            if let open = quote {
                kinds.append(.string)
                if !isEscaped, byte == open { quote = nil }
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                wordStart = nil
                isFirst = false
                quote = byte
                kinds.append(.string)
            } else {
                if byte.isBlank {
                    if endArgument(at: index, isFirst) { isFirst = false }
                } else if wordStart == nil {
                    wordStart = index
                }
                kinds.append(.plain)
            }
        }
        endArgument(at: text.count, isFirst)
    }

    @discardableResult
    private mutating func endArgument(at end: Int, _ isFirst: Bool) -> Bool {
        guard let start = wordStart else { return false }
        wordStart = nil
        let isNumber = text[start..<end].allSatisfy { $0.isDigit || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
        if isFirst || isNumber {
            for index in start..<end { kinds[index] = isFirst ? .keyword : .number }
        }
        return true
    }
}

/// The words that are shown as such.
enum StatementWords {
    static let byteCountMax = 32

    static func of(_ language: StatementSplitter.Language) -> Set<String> {
        switch language {
        case .sqlite: sqlite
        case .postgresql: postgresql
        case .mysql: mysql
        case .commandLines: []
        }
    }

    private static let sqlite = words(
        .sqlite,
        """
        abort after analyze asc attach before begin by cascade cast column conflict cross current_date current_time current_timestamp
        database desc detach do each end exclude explain fail false filter first following full generated glob if ignore immediate inner
        instead key last left like match materialized natural nulls of offset outer over partition plan pragma preceding query raise range
        recursive regexp reindex release rename replace restrict right rollback row rows savepoint temp temporary trigger true unbounded
        vacuum view virtual window with without
        """)

    private static let postgresql = words(
        .postgresql,
        """
        add after alter attach before begin between by call cascade close comment commit copy cube cursor database deallocate declare
        delete detach discard domain drop each escape execute exists explain extension extract filter first following function generated
        grouping identity if index insert instead is key language last listen lock materialized merge notify nulls of over partition
        policy preceding prepare procedure range recursive refresh reindex release rename replace reset restrict returns revoke role
        rollback rollup row rows savepoint schema sequence sets set share show start temp temporary transaction trigger truncate type
        unbounded unlisten update vacuum values view within without work
        """)

    private static let mysql = words(
        .mysql,
        """
        after auto_increment begin cascade close comment commit deallocate do end engine event execute first flush following handler
        if install isolation level modify next nulls offset open partitions preceding prepare quick reset returning rollback savepoint
        sequence session start temporary transaction truncate unbounded user value view work
        """)

    private static func words(_ language: StatementSplitter.Language, _ others: String) -> Set<String> {
        ReservedWords.of(language).union(others.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}
