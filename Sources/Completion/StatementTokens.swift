// The statement around the cursor, as tokens. Any bytes are a text: what is open at its end is closed by it.

import SQLText

struct Token {
    enum Kind: UInt8 {
        case word, quotedName, string, number, parameter
        case dot, comma, open, close, star, assign, cast, other
    }

    var kind: Kind
    var keyword = Keyword.none
    var start: Int
    var end: Int

    var isName: Bool { kind == .word || kind == .quotedName }
}

/// Where the cursor is.
enum CursorPlace: Equatable {
    /// In a string, a comment or a number: there is nothing to propose.
    case nothing
    /// Between two tokens.
    case between
    /// In a word or at its end; `quote` is what it begins with, `range` includes it.
    case word(Range<Int>, quote: UInt8?)
    /// Behind a star.
    case star(Range<Int>)
    /// In the name of a system variable of MySQL, behind `@@`.
    case variable(Range<Int>)
}

/// Cuts a text, and keeps the tokens of one statement: the one with the cursor.
///
/// The word at the cursor is not among them; `cursorIndex` of them are before it. A statement ends at a semicolon; within the body of
/// a trigger or a routine each of its statements is one, and `header` has the tokens before the body.
/// - Cost: O(bytes), one array
struct StatementTokens {
    let bytes: [UInt8]
    let dialect: CompletionDialect
    let cursor: Int

    private(set) var tokens: [Token] = []
    private(set) var cursorIndex = 0
    private(set) var place = CursorPlace.between
    private(set) var header: [Token] = []
    private var position = 0
    private var isPastCursor = false
    private var endsBody = false
    /// Within a comment whose content MySQL's server runs: `/*!50110 … */`, `/*M! … */`.
    private var isExecuted = false

    init(_ bytes: [UInt8], cursor: Int, dialect: CompletionDialect) {
        (self.bytes, self.cursor, self.dialect) = (bytes, cursor, dialect)
        scan()
        if !isPastCursor { cursorIndex = tokens.count }
    }

    private func at(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

    private mutating func scan() {
        while position < bytes.count {
            let start = position
            let byte = bytes[start]
            if byte.isBlank || byte == 0 {
                position += 1
            } else if byte == UInt8(ascii: ";") {
                if start >= cursor { return }
                position += 1
                endStatement()
            } else if let isOpen = skipComment() {
                if start < cursor, cursor < position || isOpen { return stop(.nothing) }
            } else {
                let (kind, isOpen) = read()
                take(Token(kind: kind, start: start, end: position), isOpen: isOpen)
            }
        }
    }

    private mutating func stop(_ place: CursorPlace) {
        self.place = place
        position = bytes.count
    }

    /// Forgets the statement before the cursor that has just ended.
    private mutating func endStatement() {
        if endsBody { header = [] }
        endsBody = false
        tokens.removeAll(keepingCapacity: true)
    }

    private mutating func take(_ token: Token, isOpen: Bool) {
        var token = token
        if token.start < cursor, !isPastCursor {
            switch token.kind {
            case .word where cursor <= token.end: return reachCursor(.word(token.start..<token.end, quote: nil))
            case .quotedName where cursor <= token.end:
                return reachCursor(.word(token.start..<token.end, quote: bytes[token.start]))
            case .star where cursor == token.end: return reachCursor(.star(token.start..<token.end))
            case .string where cursor < token.end || isOpen: return stop(.nothing)
            case .number where cursor <= token.end: return stop(.nothing)
            case .parameter where cursor <= token.end:
                guard dialect == .mysql, bytes[token.start...].starts(with: "@@".utf8), cursor >= token.start + 2 else {
                    return stop(.nothing)
                }
                return reachCursor(.variable(token.start + 2..<token.end))
            default: break
            }
        } else if !isPastCursor {
            isPastCursor = true
            cursorIndex = tokens.count
        }
        if token.kind == .word { token.keyword = Keyword.named(bytes[token.start..<token.end]) }
        if !isPastCursor, takeOfBody(token) { return }
        tokens.append(token)
    }

    private mutating func reachCursor(_ place: CursorPlace) {
        self.place = place
        isPastCursor = true
        cursorIndex = tokens.count
    }

    /// Follows where a body begins and ends.
    /// - Returns: whether the token is none of a statement's.
    private mutating func takeOfBody(_ token: Token) -> Bool {
        switch token.keyword {
        case .begin where tokens.first?.keyword == .create:
            header = tokens
            tokens.removeAll(keepingCapacity: true)
            return true
        case .end where !header.isEmpty && tokens.isEmpty:
            endsBody = true
            return true
        case .then, .else, .do:
            // IF … THEN of a routine: a statement begins.
            guard !header.isEmpty, tokens.first?.keyword == .if || tokens.isEmpty else { return false }
            tokens.removeAll(keepingCapacity: true)
            return true
        default: return false
        }
    }
}

// Comments, words and quotes.
extension StatementTokens {
    /// - Returns: `nil` when there is none; otherwise whether the text within it goes on at its end.
    private mutating func skipComment() -> Bool? {
        let byte = bytes[position]
        let next = at(position + 1)
        if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*") {
            guard dialect == .mysql, let content = ExecutableComment.content(bytes, from: position) else {
                return skipBlockComment()
            }
            position = content
            isExecuted = true
            // The version may go on.
            return cursor == content && bytes[content - 1] != UInt8(ascii: "!")
        }
        if isExecuted, byte == UInt8(ascii: "*"), next == UInt8(ascii: "/") {
            position += 2
            isExecuted = false
            return false
        }
        let isLine =
            byte == UInt8(ascii: "-") && next == UInt8(ascii: "-")
            && (dialect != .mysql || at(position + 2) <= UInt8(ascii: " "))
            || byte == UInt8(ascii: "#") && dialect == .mysql
        guard isLine else { return nil }
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        return cursor == position
    }

    private mutating func skipBlockComment() -> Bool {
        var depth = 1
        position += 2
        while position < bytes.count {
            let (byte, next) = (bytes[position], at(position + 1))
            if byte == UInt8(ascii: "*"), next == UInt8(ascii: "/") {
                position += 2
                depth -= 1
                if depth == 0 { return false }
            } else if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*"), dialect == .postgresql {
                position += 2
                depth += 1
            } else {
                position += 1
            }
        }
        return true
    }

    private mutating func read() -> (Token.Kind, isOpen: Bool) {
        let byte = bytes[position]
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return (readNumber(), false)
        case UInt8(ascii: "'"): return (.string, readString(hasEscapes: dialect == .mysql))
        case UInt8(ascii: "\""):
            return dialect == .mysql ? (.string, readString(hasEscapes: true)) : (.quotedName, readName(until: byte))
        case UInt8(ascii: "`") where dialect != .postgresql: return (.quotedName, readName(until: byte))
        case UInt8(ascii: "[") where dialect == .sqlite: return (.quotedName, readName(until: UInt8(ascii: "]")))
        case UInt8(ascii: "$") where dialect == .postgresql: return readDollar()
        case UInt8(ascii: "?"), UInt8(ascii: "@"), UInt8(ascii: "$"): return (readParameter(), false)
        case UInt8(ascii: ":"): return (readColon(), false)
        case _ where byte.isOfName: return readWord()
        default: return (readSign(byte), false)
        }
    }

    private mutating func skipName() {
        while position < bytes.count, bytes[position].isOfName { position += 1 }
    }

    private mutating func readWord() -> (Token.Kind, isOpen: Bool) {
        let start = position
        skipName()
        // E'…' of PostgreSQL, X'…', N'…'.
        if position - start == 1, at(position) == UInt8(ascii: "'") {
            let isEscape = bytes[start] | 0x20 == UInt8(ascii: "e") && dialect == .postgresql || dialect == .mysql
            return (.string, readString(hasEscapes: isEscape))
        }
        return (.word, false)
    }

    private mutating func readNumber() -> Token.Kind {
        while position < bytes.count {
            let byte = bytes[position]
            let isSign = byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
            let isExponent = isSign && bytes[position - 1] | 0x20 == UInt8(ascii: "e")
            guard byte.isOfName || byte == UInt8(ascii: ".") || isExponent else { break }
            position += 1
        }
        return .number
    }

    private mutating func readParameter() -> Token.Kind {
        position += 1
        while at(position) == UInt8(ascii: "@") { position += 1 }
        skipName()
        if dialect == .mysql {
            while at(position) == UInt8(ascii: "."), at(position + 1).isOfName {
                position += 1
                skipName()
            }
        }
        return .parameter
    }

    private mutating func readColon() -> Token.Kind {
        position += 1
        if at(position) == UInt8(ascii: ":") {
            position += 1
            return .cast
        }
        if at(position) == UInt8(ascii: "=") {
            position += 1
            return .assign
        }
        skipName()
        return .parameter
    }

    private mutating func readSign(_ byte: UInt8) -> Token.Kind {
        position += 1
        switch byte {
        case UInt8(ascii: "."): return .dot
        case UInt8(ascii: ","): return .comma
        case UInt8(ascii: "("): return .open
        case UInt8(ascii: ")"): return .close
        case UInt8(ascii: "*"): return .star
        case UInt8(ascii: "="): return .assign
        default: return .other
        }
    }

    /// - Returns: whether it is not closed.
    private mutating func readString(hasEscapes: Bool) -> Bool {
        let quote = bytes[position]
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\\"), hasEscapes {
                position = min(position + 1, bytes.count)
            } else if byte == quote {
                guard at(position) == quote else { return false }
                position += 1
            }
        }
        return true
    }

    /// A half-typed name takes no text behind the cursor, since the quote that would end it begins another name.
    /// - Returns: whether it is not closed.
    private mutating func readName(until quote: UInt8) -> Bool {
        let start = position
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            if start < cursor, position >= cursor, byte != quote, !byte.isOfName { return true }
            position += 1
            if byte == quote {
                guard at(position) == quote, quote != UInt8(ascii: "]") else { return false }
                position += 1
            }
        }
        return true
    }

    /// `$1`, or a string between `$tag$` and the same.
    private mutating func readDollar() -> (Token.Kind, isOpen: Bool) {
        let start = position
        position += 1
        var end = position
        while end < bytes.count, bytes[end].isOfKeyword || bytes[end] >= 0x80, end - start < Self.tagByteCountMax {
            end += 1
        }
        guard at(end) == UInt8(ascii: "$"), !(0x30...0x39).contains(at(position)) else {
            skipName()
            return (.parameter, false)
        }
        let tag = bytes[start...end]
        position = end + 1
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "$"), bytes[position...].starts(with: tag) {
                position += tag.count
                return (.string, false)
            }
            position += 1
        }
        return (.string, true)
    }

    private static let tagByteCountMax = 64
}

// What a token says.
extension StatementTokens {
    /// The text of a name, without its quotes; of PostgreSQL in small letters where it has none.
    func name(_ token: Token) -> String {
        guard token.kind == .quotedName else {
            let word = bytes[token.start..<token.end]
            return dialect == .postgresql
                ? String(decoding: word.lazy.map(NamePattern.lowered), as: UTF8.self)
                : String(decoding: word, as: UTF8.self)
        }
        return String(decoding: Self.unquoted(bytes[token.start..<token.end]), as: UTF8.self)
    }

    /// What stands between quotes, of which the last may be missing.
    static func unquoted(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard let open = text.first else { return [] }
        let quote = open == UInt8(ascii: "[") ? UInt8(ascii: "]") : open
        var result: [UInt8] = []
        var index = text.startIndex + 1
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            if byte == quote {
                guard index < text.endIndex, text[index] == quote else { break }
                index += 1
            }
            result.append(byte)
        }
        return result
    }

    func text(_ token: Token) -> String { String(decoding: bytes[token.start..<token.end], as: UTF8.self) }

    func token(_ index: Int) -> Token? { tokens.indices.contains(index) ? tokens[index] : nil }

    /// The keyword at an index; none for a name behind a dot. Between a dot and the token behind the cursor is what is being typed.
    func keyword(_ index: Int) -> Keyword {
        guard let token = token(index), token.kind == .word else { return .none }
        if index > 0, index != cursorIndex, tokens[index - 1].kind == .dot { return .none }
        return token.keyword
    }
}
