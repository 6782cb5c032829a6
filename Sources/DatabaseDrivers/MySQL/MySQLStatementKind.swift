// What a statement is by its first words: enough to refuse what would change a shared connection before it is sent, and
// what a read-only transaction does not stop.

/// Kinds of statements that are treated differently. What is not recognised is `other`: the engine decides.
enum MySQLStatementKind: Equatable {
    /// Cannot change a row by itself; functions that it calls can.
    case select
    /// Changes rows.
    case write
    case beginTransaction
    /// Ends a transaction or works within one.
    case transaction
    /// Two-phase commit, which outlives its connection.
    case distributedTransaction
    /// Changes the state of the connection.
    case session
    /// Changes tables that only the connection has.
    case temporary
    /// A procedure, which may hold any statement.
    case call
    /// Commits the open transaction, by itself or with what it does.
    case definition
    /// Calls functions only.
    case expression
    case other

    /// - Source: https://mariadb.com/kb/en/sql-statements/,
    ///   https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
    init(_ sql: UnsafeRawBufferPointer) {
        var words = MySQLWords(sql)
        self.init(&words, sql)
    }

    /// The same, by words that tell afterwards whether they were all there.
    init(_ words: inout MySQLWords, _ sql: UnsafeRawBufferPointer) {
        self = Self.kind(&words, sql)
        // Whether the server runs what stands in such a comment is not known: it may be another statement.
        if words.hasExecutableComment, isHarmless { self = .other }
    }

    private static func kind(_ words: inout MySQLWords, _ sql: UnsafeRawBufferPointer) -> MySQLStatementKind {
        switch words.next() {
        case "SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "HELP": .select
        // MySQL has WITH … UPDATE and WITH … DELETE.
        case "WITH": MySQLWords.contains(sql, ["UPDATE", "DELETE"]) ? .write : .select
        case "INSERT", "UPDATE", "DELETE", "REPLACE": .write
        case "BEGIN": ["", "WORK"].contains(words.next()) ? .beginTransaction : .other
        case "START": words.next() == "TRANSACTION" ? .beginTransaction : .other
        case "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE": .transaction
        case "XA": .distributedTransaction
        case "SET", "USE", "LOCK", "UNLOCK", "PREPARE", "EXECUTE", "DEALLOCATE", "HANDLER": .session
        case "CALL": .call
        case "DO": .expression
        case "CREATE", "DROP": Self.definition(&words)
        case "ALTER", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH", "RESET",
            "INSTALL", "UNINSTALL", "CHANGE", "PURGE", "STOP", "CACHE":
            .definition
        default: .other
        }
    }

    private static func definition(_ words: inout MySQLWords) -> MySQLStatementKind {
        var word = words.next()
        // CREATE OR REPLACE TEMPORARY TABLE
        if word == "OR" {
            _ = words.next()
            word = words.next()
        }
        return word == "TEMPORARY" ? .temporary : .definition
    }

    var controlsTransaction: Bool {
        self == .beginTransaction || self == .transaction || self == .distributedTransaction
    }

    /// Takes effect as a whole or not at all, when the server ends it before its end (in tables of engines with transactions).
    /// Others may commit before they begin, in their middle, or for one table after the other.
    var isIndivisible: Bool { isHarmless || self == .beginTransaction || self == .transaction || self == .expression }

    /// Leaves nothing on its connection; functions that it calls may, for the same user only.
    var isHarmless: Bool { self == .select || self == .write }
}

/// Words at the start of a statement, in capitals, behind blanks, comments and opening parentheses.
///
/// What stands in an executable comment is part of the statement: the server runs it.
/// - Source: https://mariadb.com/kb/en/comment-syntax/
struct MySQLWords {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    /// One was met so far.
    private(set) var hasExecutableComment = false

    private static let wordByteCountMax = 16

    private let isWhole: Bool

    init(_ text: UnsafeRawBufferPointer) {
        bytes = TextBound.head(text)
        isWhole = bytes.count == text.count
    }

    /// The text goes on where nothing more was looked at: the last word is not known, or not as a whole, or what begins there may be
    /// a comment.
    var isCut: Bool { !isWhole && index + TextBound.lookaheadByteCount > bytes.count }

    /// Whether one of the words, in capitals, stands anywhere in the text, or may: a long one is not looked through.
    static func contains(_ text: UnsafeRawBufferPointer, _ words: [StaticString]) -> Bool {
        if text.count > TextBound.byteCountMax { return true }
        return words.contains { word in
            let length = word.utf8CodeUnitCount
            guard length <= text.count else { return false }
            return (0...text.count - length).contains { start in
                (0..<length).allSatisfy { letter(text[start + $0]) == word.utf8Start[$0] }
            }
        }
    }

    /// Whether nothing but blanks and comments is left.
    var isAtEnd: Bool {
        mutating get {
            skipBlanks()
            return isWhole && index >= bytes.count
        }
    }

    /// - Returns: empty at anything that is not a word.
    mutating func next() -> String {
        skipBlanks()
        var word: [UInt8] = []
        while let byte = byte(at: index), word.count < Self.wordByteCountMax, let letter = Self.letter(byte) {
            word.append(letter)
            index += 1
        }
        return String(decoding: word, as: UTF8.self)
    }

    private static func letter(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte & 0xdf
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): byte
        default: nil
        }
    }

    private mutating func skipBlanks() {
        while let byte = byte(at: index) {
            switch byte {
            case UInt8(ascii: " "), 0x09...0x0d, UInt8(ascii: "("), UInt8(ascii: ";"): index += 1
            case UInt8(ascii: "#"): skipLine()
            case UInt8(ascii: "-") where isLineComment: skipLine()
            case UInt8(ascii: "/") where self.byte(at: index + 1) == UInt8(ascii: "*"): skipComment()
            // The end of an executable comment.
            case UInt8(ascii: "*") where self.byte(at: index + 1) == UInt8(ascii: "/"): index += 2
            default: return
            }
        }
    }

    /// Two dashes make a comment only before a blank or a control character.
    private var isLineComment: Bool {
        byte(at: index + 1) == UInt8(ascii: "-") && (byte(at: index + 2).map { $0 <= 0x20 } ?? true)
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipLine() {
        while let byte = byte(at: index), byte != 0x0a { index += 1 }
    }

    private mutating func skipComment() {
        var inside = index + 2
        if byte(at: inside) == UInt8(ascii: "M"), byte(at: inside + 1) == UInt8(ascii: "!") { inside += 1 }
        if byte(at: inside) == UInt8(ascii: "!") {
            // The version from which on it is run; whether it is run is the server's to know.
            hasExecutableComment = true
            index = inside + 1
            while let byte = byte(at: index), byte >= 0x30, byte <= 0x39 { index += 1 }
            return
        }
        while let byte = byte(at: inside) {
            inside += 1
            if byte == UInt8(ascii: "*"), self.byte(at: inside) == UInt8(ascii: "/") {
                inside += 1
                break
            }
        }
        index = inside
    }
}
