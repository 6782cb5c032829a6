// Splits a stream of SQL into statements, for scripts on stdin and for lines typed into the shell.
//
// It knows just enough of each engine's SQL for that: quotes, comments, dollar quotes, and (StatementGrammar.swift) the
// semicolons inside a body. It does not decide what a statement may do; the engine does.

/// Finds the ends of statements in SQL that arrives in pieces.
///
/// A statement ends at a semicolon outside of quotes, comments and bodies. Pieces that contain only white space and
/// comments are dropped, and so are the lines that dumps have for their own clients: MySQL's `DELIMITER`, which is
/// obeyed, and psql's `\restrict`. The data lines after PostgreSQL's `COPY … FROM STDIN` belong to it, up to the line
/// `\.`: `takeData` has them, or else they are dropped with it.
/// - Cost: one pass over the bytes; keeps only the statement that is not complete.
/// - Source: https://www.sqlite.org/c3ref/complete.html; PostgreSQL, "Lexical Structure" and psql(1);
///   https://mariadb.com/kb/en/delimiters/
public struct StatementSplitter: Sendable {
    /// One statement, without its semicolon.
    public struct Statement: Equatable, Sendable {
        public var bytes: [UInt8]
        /// Line of its first byte in the whole input, from 1.
        public var line: Int
        /// Its kind, if it is not plain SQL.
        public var kind: Kind

        public init(bytes: [UInt8], line: Int, kind: Kind = .sql) {
            (self.bytes, self.line, self.kind) = (bytes, line, kind)
        }

        /// The text; `nil` when it is not UTF-8.
        public var text: String? { String(validating: bytes, as: UTF8.self) }
    }

    public enum Kind: Equatable, Sendable {
        case sql
        /// A line for another client, such as `\connect` for psql.
        case directive
        /// COPY whose data followed in the script.
        case copyFromInput
    }

    /// The construct that the scanner is inside of.
    public enum Context: Equatable, Sendable {
        case plain
        /// Until the same byte: `'`, `"` or a backtick; `]` for a bracket.
        case quoted(until: UInt8)
        case lineComment
        /// `previous` is a star or, where comments nest, a slash that the next byte may complete; else 0.
        case blockComment(previous: UInt8, depth: Int)
        /// The name between the dollars, which may be empty.
        case dollarQuoted(tag: [UInt8], matched: Int)
        /// A line for another client, to its end.
        case line
    }

    /// The language of a statement.
    public enum Language: CaseIterable, Sendable {
        case sqlite
        /// Dollar quotes, `E'\''`, nested comments, no brackets and backticks.
        case postgresql
        /// SQL of MySQL and MariaDB: backslashes within quotes, `#` comments, and comments that are executed.
        case mysql
        /// Commands of Redis: each line is one, as in redis-cli.
        case commandLines

        public init(engine: String) {
            switch engine {
            case "redis": self = .commandLines
            case "mysql": self = .mysql
            case "postgresql": self = .postgresql
            default: self = .sqlite
            }
        }

        public static let sql: [Language] = [.sqlite, .postgresql, .mysql]
    }

    public let language: Language
    /// Of the statements from now on.
    public var rules: Rules
    /// The beginning of a data line after COPY, where the rest of COPY's own line counts as the first; `nil` outside of
    /// data.
    private var dataLine: [UInt8]?
    private var isFirstDataLine = false
    /// The present comment is none for the server.
    private var isForClient = false
    /// The statement that ends is a line with a backslash in front, for psql or MySQL's own client.
    private var isLine = false
    /// What ends a statement instead of a semicolon, if anything: MySQL's `DELIMITER`.
    private var delimiter: [UInt8] = []
    /// Bytes since the last quote or comment.
    private var plainByteCount = 0
    /// A backslash within the present quotes takes away the meaning of the next byte, and whether this is that byte.
    private var hasEscapes = false
    private var isEscaped = false
    public private(set) var context = Context.plain { didSet { plainByteCount = 0 } }
    private var keywords: StatementGrammar
    /// Bytes of the current statement, from its first one that is not white space.
    private var current: [UInt8] = []
    /// How many of these there were at the first token; `nil` while there was none but comments.
    private var countAtToken: Int?
    public var line = 1
    private var startLine = 1
    /// The last byte in plain context when it may begin a comment: `-` or `/`.
    private var opener: UInt8?
    /// Letters of the keyword being read.
    private var word: [UInt8] = []
    /// The name of a dollar quote being read.
    private var dollarTag: [UInt8]?
    /// Whether what is read is the content of a comment that MySQL's server runs.
    private(set) var isExecuted = false
    /// What has been read of the beginning of such a comment; `nil` elsewhere.
    private var commentHeader: ExecutableComment.Header?

    public init(_ language: Language = .sqlite, _ rules: Rules = Rules()) {
        self.language = language
        self.rules = rules
        keywords = StatementGrammar(language)
    }

    private var holdsToken: Bool { countAtToken != nil }

    /// What ends a statement now.
    public var terminator: [UInt8] { delimiter.isEmpty ? [UInt8(ascii: ";")] : delimiter }

    /// Whether nothing but white space and comments was read since the last statement.
    public var isBetweenStatements: Bool { !holdsToken && !holdsPart && context == .plain && dataLine == nil }

    /// Whether the input may not end here: inside quotes or a comment.
    public var isTorn: Bool {
        switch context {
        case .plain, .lineComment: isExecuted
        case .line: false
        case .quoted, .blockComment, .dollarQuoted: true
        }
    }

    /// At a terminal nobody types data that is not used.
    public mutating func stopSkippingData() { dataLine = nil }

    /// Whether a token has begun that only the next byte can end.
    private var holdsPart: Bool { !word.isEmpty || opener != nil || dollarTag != nil }

    /// Takes one more piece of input.
    /// - Returns: the statements that it completed.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> [Statement] {
        var complete: [Statement] = []
        var rest = ArraySlice(bytes)
        while let statement = next(&rest) { complete.append(statement) }
        return complete
    }

    /// Takes bytes from `rest` up to the end of a statement, so that the caller can react to its changes before the
    /// next one.
    /// - Returns: the statement; `nil` if nothing is left and none is complete.
    public mutating func next(_ rest: inout ArraySlice<UInt8>) -> Statement? {
        var complete: Statement?
        while complete == nil, let byte = rest.popFirst() {
            if dataLine != nil {
                skipData(byte)
            } else if take(byte) {
                // A line ends by its line end, whatever ends a statement.
                complete = finishStatement(droppingLast: isLine ? 1 : max(1, delimiter.count)).first
            }
            if byte == UInt8(ascii: "\n") { line += 1 }
        }
        return complete
    }

    /// Ends the input.
    /// - Returns: what was left without a semicolon, if it is more than white space and comments.
    public mutating func finish() -> Statement? {
        if case .line = context { finishLine() }
        if holdsPart { noteToken() }
        let rest = finishStatement(droppingLast: 0).first
        reset()
        return rest
    }

    /// Forgets the statement that is not complete.
    public mutating func reset() {
        let (delimiter, line) = (delimiter, line)
        self = StatementSplitter(language, rules)
        (self.delimiter, self.line) = (delimiter, line)
    }

    /// What has to stand between the whole text of a statement and its semicolon, so that this is none of a comment that the text
    /// has left open.
    public static func closing(_ text: some Sequence<UInt8>, _ language: Language) -> String {
        var splitter = StatementSplitter(language)
        _ = splitter.append(text)
        return switch splitter.context {
        case .lineComment: "\n"
        case .blockComment: "*/"
        case .plain, .quoted, .dollarQuoted, .line: ""
        }
    }

    private mutating func finishStatement(droppingLast count: Int) -> [Statement] {
        var bytes = current
        bytes.removeLast(min(count, bytes.count))
        while let last = bytes.last, last.isBlank { bytes.removeLast() }
        var statement = holdsToken ? [Statement(bytes: bytes, line: startLine)] : []
        if isLine, holdsToken {
            statement[0].kind = .directive
        } else if language == .postgresql, holdsToken {
            statement[0].kind = kind(of: bytes)
        }
        isLine = false
        isExecuted = false
        commentHeader = nil
        current = []
        countAtToken = nil
        keywords = StatementGrammar(language)
        opener = nil
        word = []
        dollarTag = nil
        return statement
    }

    /// Takes one byte.
    /// - Returns: whether it ended a statement.
    private mutating func take(_ byte: UInt8) -> Bool {
        if current.isEmpty {
            if byte.isBlank { return false }
            startLine = line
        }
        current.append(byte)
        if language == .commandLines {
            noteToken()
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
            } else if hasEscapes, byte == UInt8(ascii: "\\") {
                isEscaped = true
            }
        case .lineComment:
            if byte == UInt8(ascii: "\n") {
                context = .plain
                if isForClient { current = [] }
                isForClient = false
            }
        case .blockComment(let previous, let depth):
            if commentHeader?.take(byte) == .content { return takeContent(byte) }
            continueBlockComment(byte, previous: previous, depth: depth)
        case .dollarQuoted(let tag, let matched):
            context = continueDollarQuote(byte, tag: tag, matched: matched)
        case .line:
            if byte == UInt8(ascii: "\n") { return finishLine() }
        }
        return false
    }

    private mutating func takePlain(_ byte: UInt8) -> Bool {
        plainByteCount += 1
        if endsWithDelimiter {
            // Its own bytes are no tokens, though they may have looked like some.
            if let count = countAtToken, count > current.count - delimiter.count { countAtToken = nil }
            if word.count >= delimiter.count || (opener != nil && delimiter.count == 1) { noteToken() }
            return true
        }
        if let first = opener {
            opener = nil
            if first == UInt8(ascii: "-"), byte == UInt8(ascii: "-") {
                if language == .mysql { opener = Self.twoHyphens } else { context = .lineComment }
                return false
            }
            if first == Self.twoHyphens { return takeBehindHyphens(byte) }
            if first == UInt8(ascii: "/"), byte == UInt8(ascii: "*") {
                context = .blockComment(previous: 0, depth: 1)
                commentHeader = language == .mysql ? ExecutableComment.Header() : nil
                return false
            }
            if first == UInt8(ascii: "*"), byte == UInt8(ascii: "/") {
                isExecuted = false
                plainByteCount = 0
                return false
            }
            noteToken(endingAt: current.count - 1)
            token(.other)
        }
        if language == .postgresql, takeDollar(byte) { return false }
        if byte.isOfName {
            word.append(byte)
            return false
        }
        if beginsLine(byte) {
            word = []
            context = .line
            return byte == UInt8(ascii: "\n") && finishLine()
        }
        hasEscapes =
            switch language {
            case .mysql:
                rules.hasBackslashEscapes && byte != UInt8(ascii: "`")
                    && !(rules.hasANSIQuotes && byte == UInt8(ascii: "\""))
            case .postgresql:
                byte == UInt8(ascii: "'")
                    && (!rules.hasStandardStrings || word == [UInt8(ascii: "E")] || word == [UInt8(ascii: "e")])
            default: false
            }
        endWord()
        return takePunctuation(byte)
    }

    /// Stands for `--`, which is a comment in MySQL only if white space follows: `5--3` is 8.
    private static let twoHyphens: UInt8 = 0

    private mutating func takeBehindHyphens(_ byte: UInt8) -> Bool {
        if byte <= UInt8(ascii: " ") {
            context = byte == UInt8(ascii: "\n") ? .plain : .lineComment
            return false
        }
        if !holdsToken {
            // At the beginning of a statement it is one for MySQL's own client, which leaves it out.
            isForClient = true
            context = .lineComment
            return false
        }
        noteToken(endingAt: current.count - 2)
        token(.other)
        // The second one may begin something with what follows.
        opener = UInt8(ascii: "-")
        plainByteCount -= 1
        return takePlain(byte)
    }

    private mutating func takePunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ";"):
            if !delimiter.isEmpty { return false }
            let ends = keywords.take(.semicolon) && !isExecuted
            if !ends { noteToken() }
            return ends
        case UInt8(ascii: "*") where isExecuted: opener = byte
        case UInt8(ascii: "#") where language == .mysql:
            context = .lineComment
        case UInt8(ascii: "'"), UInt8(ascii: "\""):
            begin(.quoted(until: byte))
        case UInt8(ascii: "`") where language != .postgresql:
            begin(.quoted(until: byte))
        case UInt8(ascii: "[") where language == .sqlite:
            begin(.quoted(until: UInt8(ascii: "]")))
        case UInt8(ascii: "("): token(.open)
        case UInt8(ascii: ")"): token(.close)
        case UInt8(ascii: "-"), UInt8(ascii: "/"):
            opener = byte
        default:
            if !byte.isBlank { token(.other) }
        }
        return false
    }

    private mutating func begin(_ quotes: Context) {
        context = quotes
        token(.other)
    }

    private mutating func noteToken() { noteToken(endingAt: current.count) }

    private mutating func noteToken(endingAt count: Int) {
        if countAtToken == nil { countAtToken = count }
    }

    private mutating func token(_ kind: SQLToken) {
        noteToken()
        _ = keywords.take(kind)
    }

    private mutating func endWord() {
        guard !word.isEmpty else { return }
        noteToken(endingAt: current.count - 1)
        token(keywords.heedsWords ? SQLToken(word: word) : .other)
        word.removeAll(keepingCapacity: true)
    }
}

// For those who show a text while it is typed (TextKinds.swift).
extension StatementSplitter {
    /// A splitter at the same place without the statement that was read, so that looking ahead costs nothing of its length.
    func withoutStatement() -> StatementSplitter {
        var copy = self
        copy.current = Array(current[max(0, current.count - Self.keptByteCount)...])
        copy.countAtToken = countAtToken.map { max(0, $0 - (current.count - copy.current.count)) }
        return copy
    }

    /// More than any delimiter has.
    private static let keptByteCount = 32

    /// Takes one byte, and forgets the statement that it ends.
    mutating func step(_ byte: UInt8) {
        if take(byte) { _ = finishStatement(droppingLast: 0) }
        dataLine = nil
    }
}

// Comments between `/*` and `*/`.
extension StatementSplitter {
    private mutating func continueBlockComment(_ byte: UInt8, previous: UInt8, depth: Int) {
        switch (previous, byte) {
        case (UInt8(ascii: "*"), UInt8(ascii: "/")):
            context = depth == 1 ? .plain : .blockComment(previous: 0, depth: depth - 1)
            commentHeader = nil
        case (UInt8(ascii: "/"), UInt8(ascii: "*")) where language == .postgresql:
            context = .blockComment(previous: 0, depth: depth + 1)
        default:
            if commentHeader?.isExecutable == true { noteToken() }
            let mayMatter = byte == UInt8(ascii: "*") || byte == UInt8(ascii: "/")
            context = .blockComment(previous: mayMatter ? byte : 0, depth: depth)
        }
    }

    /// Whether the beginning of a comment is read that the server may run.
    var isInCommentHeader: Bool { commentHeader?.isExecutable == true }

    /// Takes the first byte of a content that the server runs.
    private mutating func takeContent(_ byte: UInt8) -> Bool {
        noteToken(endingAt: current.count - 1)
        commentHeader = nil
        isExecuted = true
        context = .plain
        return takePlain(byte)
    }
}

// Lines that dumps have for their own clients.
extension StatementSplitter {
    private static let delimiterWord = Array("delimiter".utf8)
    private static let delimiterByteCountMax = 16

    /// Whether a line that is no SQL begins with what was read of a statement, or with this byte.
    private mutating func beginsLine(_ byte: UInt8) -> Bool {
        guard !holdsToken, opener == nil else { return false }
        // No SQL begins so; a delimiter may.
        if byte == UInt8(ascii: "\\"), word.isEmpty, delimiter.first != byte {
            isLine = true
            return true
        }
        return language == .mysql && byte.isBlank && word.map { $0 | 0x20 } == Self.delimiterWord
    }

    /// Drops the line, or makes a statement of it if it is not a known one.
    /// - Returns: whether it is one.
    @discardableResult
    private mutating func finishLine() -> Bool {
        context = .plain
        let last = current.split(separator: UInt8(ascii: "\n")).last ?? []
        let words = last.split(whereSeparator: \.isBlank)
        if isLine {
            isLine = false
            if let first = words.first, language == .postgresql,
                first.elementsEqual("\\restrict".utf8) || first.elementsEqual("\\unrestrict".utf8)
            {
                current = []
                return false
            }
            noteToken()
            isLine = true
            return true
        }
        if language == .mysql, words.count > 1, words[1].count <= Self.delimiterByteCountMax {
            delimiter = words[1].elementsEqual(";".utf8) ? [] : Array(words[1])
        }
        current = []
        return false
    }

    private var endsWithDelimiter: Bool {
        !delimiter.isEmpty && !isExecuted && plainByteCount >= delimiter.count
            && current.suffix(delimiter.count) == delimiter[...]
    }
}

// COPY, whose data follows it in a script (psql(1), \copy).
extension StatementSplitter {
    /// Remembers that data follows, where it does.
    private mutating func kind(of statement: [UInt8]) -> Kind {
        guard CopyStatement.takesInput(statement) else { return .sql }
        (dataLine, isFirstDataLine) = ([], true)
        return .copyFromInput
    }

    /// Whether what comes next is data of a COPY.
    public var isInData: Bool { dataLine != nil }

    /// Takes data from `rest`, up to the end of them or of `rest`.
    /// - Returns: the data lines as they are, without the line `\.` behind them; whether that has come. Up to three bytes may be held
    ///   back until it is known whether they are that line.
    public mutating func takeData(_ rest: inout ArraySlice<UInt8>) -> (bytes: [UInt8], isEnd: Bool) {
        var bytes: [UInt8] = []
        while dataLine != nil, let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? lastIndex(of: rest) {
            let piece = rest[...end]
            rest = rest[(end + 1)...]
            let isWhole = piece.last == UInt8(ascii: "\n")
            if isWhole { line += 1 }
            if isFirstDataLine {
                isFirstDataLine = !isWhole
            } else {
                takeData(piece, isWhole: isWhole, into: &bytes)
            }
        }
        return (bytes, dataLine == nil)
    }

    private func lastIndex(of rest: ArraySlice<UInt8>) -> Int? { rest.isEmpty ? nil : rest.endIndex - 1 }

    /// Takes a piece of a data line. `dataLine` has its beginning while it may be the last one; a longer one is marked by 4 bytes.
    private mutating func takeData(_ piece: ArraySlice<UInt8>, isWhole: Bool, into bytes: inout [UInt8]) {
        let held = dataLine ?? []
        if held.count >= Self.dataMarkByteCount {
            bytes += piece
            dataLine = isWhole ? [] : held
            return
        }
        let known = held + piece.prefix(Self.dataMarkByteCount)
        if isWhole, held.count + piece.count <= Self.dataMarkByteCount, Self.isDataEnd(known.dropLast()) {
            dataLine = nil
        } else if isWhole {
            bytes += held
            bytes += piece
            dataLine = []
        } else if held.count + piece.count < Self.dataMarkByteCount, "\\.\r".utf8.starts(with: known) {
            dataLine = known
        } else {
            bytes += held
            bytes += piece
            dataLine = [UInt8](repeating: 0, count: Self.dataMarkByteCount)
        }
    }

    /// Of the longest line that ends data, with its line end.
    private static let dataMarkByteCount = 4

    private static func isDataEnd(_ line: some Sequence<UInt8>) -> Bool {
        line.elementsEqual("\\.".utf8) || line.elementsEqual("\\.\r".utf8)
    }

    private mutating func skipData(_ byte: UInt8) {
        guard byte == UInt8(ascii: "\n") else {
            if let count = dataLine?.count, count < Self.dataMarkByteCount { dataLine?.append(byte) }
            return
        }
        dataLine = Self.isDataEnd(dataLine ?? []) && !isFirstDataLine ? nil : []
        isFirstDataLine = false
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
        if byte.isOfName, !(isDigit && dollarTag?.isEmpty == true) {
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
