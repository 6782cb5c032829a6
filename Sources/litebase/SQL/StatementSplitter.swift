// Cuts a stream of SQL into statements, for scripts on stdin and for lines typed into the shell.
//
// It knows just enough SQL for that: quotes, comments, dollar quotes, and the semicolons inside of a trigger's body.
// Nothing here decides what a statement may do; that is the engine's business.

/// Finds the ends of statements in SQL that arrives piece by piece.
///
/// A statement ends at a semicolon outside of quotes and comments; `CREATE TRIGGER` ends at `; END ;`, by the rule of
/// sqlite3_complete(). Pieces that hold only white space and comments are dropped.
/// - Cost: one pass over the bytes; keeps only the statement that is not complete.
/// - Source: https://www.sqlite.org/c3ref/complete.html; PostgreSQL "Dollar-Quoted String Constants"
struct StatementSplitter {
    /// One statement, without its semicolon.
    struct Statement: Equatable {
        var bytes: [UInt8]
        /// Line of its first byte in the whole input, from 1.
        var line: Int

        /// The text; `nil` when it is not UTF-8.
        var text: String? { String(validating: bytes, as: UTF8.self) }
    }

    /// What the scanner is inside of.
    enum Context: Equatable {
        case plain
        /// Until the same byte: `'`, `"` or a backtick; `]` for a bracket.
        case quoted(until: UInt8)
        case lineComment
        case blockComment(sawStar: Bool)
        /// The name between the dollars, which may be empty.
        case dollarQuoted(tag: [UInt8], matched: Int)
    }

    /// What a statement is.
    enum Language {
        case sql
        /// SQL of MySQL and MariaDB: backslashes within quotes, `#` comments, and comments that are executed.
        case mysql
        /// Commands of Redis: each line is one, as in redis-cli.
        case commandLines

        init(engine: String) { self = engine == "redis" ? .commandLines : engine == "mysql" ? .mysql : .sql }
    }

    private let language: Language
    /// The next byte within quotes stands behind a backslash.
    private var isEscaped = false
    private(set) var context = Context.plain
    private var keywords = TriggerGrammar()
    /// Bytes of the current statement, from its first one that is not white space.
    private var current: [UInt8] = []
    private var holdsToken = false
    private var line = 1
    private var startLine = 1
    /// The last byte in plain context when it may begin a comment: `-` or `/`.
    private var opener: UInt8?
    /// Letters of the keyword being read.
    private var word: [UInt8] = []
    /// The name of a dollar quote being read.
    private var dollarTag: [UInt8]?

    init(_ language: Language = .sql) { self.language = language }

    /// Whether nothing but white space and comments was read since the last statement.
    var isBetweenStatements: Bool { !holdsToken && !holdsPart && context == .plain }

    /// Whether a token has begun that only the next byte can end.
    private var holdsPart: Bool { !word.isEmpty || opener != nil || dollarTag != nil }

    /// Takes one more piece of input.
    /// - Returns: the statements that it completed.
    mutating func append(_ bytes: some Sequence<UInt8>) -> [Statement] {
        var complete: [Statement] = []
        for byte in bytes {
            if take(byte) { complete += finishStatement(droppingEnd: true) }
            if byte == UInt8(ascii: "\n") { line += 1 }
        }
        return complete
    }

    /// Ends the input.
    /// - Returns: what was left without a semicolon, if it is more than white space and comments.
    mutating func finish() -> Statement? {
        holdsToken = holdsToken || holdsPart
        let rest = finishStatement(droppingEnd: false).first
        reset()
        return rest
    }

    /// Forgets the statement that is not complete.
    mutating func reset() {
        self = StatementSplitter(language)
    }

    private mutating func finishStatement(droppingEnd: Bool) -> [Statement] {
        var bytes = current
        if droppingEnd { bytes.removeLast() }
        while let last = bytes.last, isWhiteSpace(last) { bytes.removeLast() }
        let statement = holdsToken ? [Statement(bytes: bytes, line: startLine)] : []
        current = []
        holdsToken = false
        keywords = TriggerGrammar()
        opener = nil
        word = []
        dollarTag = nil
        return statement
    }

    /// Takes one byte.
    /// - Returns: whether it ended a statement.
    private mutating func take(_ byte: UInt8) -> Bool {
        if current.isEmpty {
            if isWhiteSpace(byte) { return false }
            startLine = line
        }
        current.append(byte)
        if language == .commandLines {
            holdsToken = true
            return byte == UInt8(ascii: "\n")
        }
        switch context {
        case .plain:
            return takePlain(byte)
        case .quoted(let end):
            if isEscaped {
                isEscaped = false
            } else if byte == end {
                context = .plain
            } else if language == .mysql, byte == UInt8(ascii: "\\"), end != UInt8(ascii: "`") {
                isEscaped = true
            }
        case .lineComment:
            if byte == UInt8(ascii: "\n") { context = .plain }
        case .blockComment(let sawStar):
            // `/*! … */` and `/*M! … */` are executed.
            if language == .mysql, byte == UInt8(ascii: "!"),
                current.suffix(3).elementsEqual("/*!".utf8) || current.suffix(4).elementsEqual("/*M!".utf8)
            {
                holdsToken = true
            }
            context =
                sawStar && byte == UInt8(ascii: "/") ? .plain : .blockComment(sawStar: byte == UInt8(ascii: "*"))
        case .dollarQuoted(let tag, let matched):
            context = continueDollarQuote(byte, tag: tag, matched: matched)
        }
        return false
    }

    private mutating func takePlain(_ byte: UInt8) -> Bool {
        if let first = opener {
            opener = nil
            if first == UInt8(ascii: "-"), byte == UInt8(ascii: "-") {
                context = .lineComment
                return false
            }
            if first == UInt8(ascii: "/"), byte == UInt8(ascii: "*") {
                context = .blockComment(sawStar: false)
                return false
            }
            token(.other)
        }
        if language == .mysql {
            if byte == UInt8(ascii: "#") {
                endWord()
                context = .lineComment
                return false
            }
        } else if takeDollar(byte) {
            return false
        }
        if isWordByte(byte) {
            word.append(byte)
            return false
        }
        endWord()
        return takePunctuation(byte)
    }

    private mutating func takePunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ";"):
            let ends = keywords.take(.semicolon)
            if !ends { holdsToken = true }
            return ends
        case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
            context = .quoted(until: byte)
            token(.other)
        case UInt8(ascii: "[") where language != .mysql:
            context = .quoted(until: UInt8(ascii: "]"))
            token(.other)
        case UInt8(ascii: "-"), UInt8(ascii: "/"):
            opener = byte
        default:
            if !isWhiteSpace(byte) { token(.other) }
        }
        return false
    }

    private mutating func token(_ kind: TriggerGrammar.Token) {
        holdsToken = true
        _ = keywords.take(kind)
    }

    private mutating func endWord() {
        guard !word.isEmpty else { return }
        token(TriggerGrammar.Token(word: word))
        word.removeAll(keepingCapacity: true)
    }
}

// Dollar quotes: `$$ … $$` and `$name$ … $name$`.
extension StatementSplitter {
    /// Follows `$name$`.
    /// - Returns: whether the byte was used up.
    private mutating func takeDollar(_ byte: UInt8) -> Bool {
        let isDollar = byte == UInt8(ascii: "$")
        // Not bound to a name, which would make every byte of a long one cost a copy of it.
        if dollarTag == nil {
            // A dollar inside of a word, as in `a$b`, is part of it.
            guard isDollar, word.isEmpty else { return false }
            dollarTag = []
            return true
        }
        if isDollar {
            context = .dollarQuoted(tag: dollarTag ?? [], matched: 0)
            dollarTag = nil
            token(.other)
            return true
        }
        let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        if isWordByte(byte), !(isDigit && dollarTag?.isEmpty == true) {
            dollarTag?.append(byte)
            return true
        }
        // It was a parameter such as `$1` or `$name`.
        dollarTag = nil
        token(.other)
        return false
    }

    private func continueDollarQuote(_ byte: UInt8, tag: [UInt8], matched: Int) -> Context {
        let dollar = UInt8(ascii: "$")
        let isLast = matched > tag.count
        if byte == (matched == 0 || isLast ? dollar : tag[matched - 1]) {
            return isLast ? .plain : .dollarQuoted(tag: tag, matched: matched + 1)
        }
        return .dollarQuoted(tag: tag, matched: byte == dollar ? 1 : 0)
    }
}

/// Tells which semicolons end a statement, by the tokens before them.
struct TriggerGrammar {
    enum Token {
        case semicolon, explain, create, temporary, trigger, end, other

        init(word: [UInt8]) {
            switch word.map({ $0 | 0x20 }) {
            case Array("explain".utf8): self = .explain
            case Array("create".utf8): self = .create
            case Array("temp".utf8), Array("temporary".utf8): self = .temporary
            case Array("trigger".utf8): self = .trigger
            case Array("end".utf8): self = .end
            default: self = .other
            }
        }
    }

    private enum State {
        case start, ordinary, explain, create
        /// In a trigger's body; after a semicolon in it; after `; END`.
        case trigger, triggerSemicolon, triggerEnd
    }

    private var state = State.start

    /// Takes one token.
    /// - Returns: whether it ended the statement.
    mutating func take(_ token: Token) -> Bool {
        switch (state, token) {
        case (.start, .semicolon), (.ordinary, .semicolon), (.explain, .semicolon), (.create, .semicolon),
            (.triggerEnd, .semicolon):
            state = .start
            return true
        case (.start, .explain): state = .explain
        case (.start, .create), (.explain, .create): state = .create
        case (.explain, .other): state = .explain
        case (.create, .temporary): state = .create
        case (.create, .trigger): state = .trigger
        case (.trigger, .semicolon), (.triggerSemicolon, .semicolon): state = .triggerSemicolon
        case (.triggerSemicolon, .end): state = .triggerEnd
        case (.trigger, _), (.triggerSemicolon, _), (.triggerEnd, _): state = .trigger
        case (.start, _), (.ordinary, _), (.explain, _), (.create, _): state = .ordinary
        }
        return false
    }
}

private func isWhiteSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (9...13).contains(byte)
}

private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...0xff:
        true
    default: false
    }
}
