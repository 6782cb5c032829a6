// What a statement is by its first words: enough to refuse what would change a shared connection before it is sent.

/// Kinds of statements that are treated differently. What is not recognised is `other`: the engine decides.
enum StatementKind: Equatable {
    /// Cannot change a row by itself; functions that it calls can.
    case select
    case beginTransaction
    /// Ends a transaction or works within one.
    case transaction
    /// Finishes a transaction of somebody else's (two-phase commit).
    case preparedTransaction
    /// Changes the state of the connection.
    case session
    case copy
    /// Asks for messages that nobody would be told.
    case listen
    /// Changes rows, or can, as WITH.
    case change
    case other

    /// - Source: https://www.postgresql.org/docs/15/sql-commands.html
    init(_ sql: UnsafeRawBufferPointer) {
        var words = SQLWords(sql)
        self.init(&words)
    }

    /// The same, by words that tell afterwards whether they were all there.
    init(_ words: inout SQLWords) {
        switch words.next() {
        case "SELECT", "VALUES", "TABLE", "SHOW": self = .select
        case "INSERT", "UPDATE", "DELETE", "MERGE", "WITH": self = .change
        case "BEGIN", "START": self = .beginTransaction
        case "COMMIT", "ROLLBACK": self = words.next() == "PREPARED" ? .preparedTransaction : .transaction
        case "END", "ABORT", "SAVEPOINT", "RELEASE": self = .transaction
        case "PREPARE": self = words.next() == "TRANSACTION" ? .transaction : .session
        case "SET", "RESET", "UNLISTEN", "DEALLOCATE", "EXECUTE", "DISCARD", "LOAD", "DECLARE", "FETCH",
            "MOVE", "CLOSE", "LOCK":
            self = .session
        case "COPY": self = .copy
        case "LISTEN": self = .listen
        default: self = .other
        }
    }

    /// Whether a statement of kind `other` is known to take effect as a whole or not at all: it is one transaction, or a part
    /// of one. CALL and DO can commit, VACUUM, ANALYZE, CLUSTER and REINDEX do for each table, and what is CONCURRENTLY or of
    /// a database or a file leaves traces.
    static func isOneTransaction(_ sql: UnsafeRawBufferPointer) -> Bool {
        var words = SQLWords(sql)
        switch words.next() {
        case "TRUNCATE", "COMMENT", "GRANT", "REVOKE", "SECURITY", "NOTIFY", "EXPLAIN": return true
        case "CREATE", "ALTER", "DROP":
            let first = words.next()
            guard first != "INDEX", first != "UNIQUE" else { return !MySQLWords.contains(sql, ["CONCURRENTLY"]) }
            return ["TABLE", "VIEW", "FUNCTION", "TYPE", "SEQUENCE", "SCHEMA", "TRIGGER", "TEMP", "TEMPORARY", "OR"]
                .contains(first) && !MySQLWords.contains(sql, ["CONCURRENTLY"])
        default: return false
        }
    }

    /// Leaves nothing on its connection by itself.
    var isPlain: Bool { self == .select || self == .change }

    var controlsTransaction: Bool { self == .beginTransaction || self == .transaction || self == .preparedTransaction }
}

/// Words at the start of a statement, in capitals, behind blanks, comments and opening parentheses.
struct SQLWords {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    private static let wordByteCountMax = 15

    private let isWhole: Bool

    init(_ text: UnsafeRawBufferPointer) {
        bytes = TextBound.head(text)
        isWhole = bytes.count == text.count
    }

    /// The text goes on where nothing more was looked at: the last word is not known, or not as a whole, or what begins there may be
    /// a comment.
    var isCut: Bool { !isWhole && index + TextBound.lookaheadByteCount > bytes.count }

    /// - Returns: empty at anything that is not a word.
    mutating func next() -> String {
        skipBlanks()
        let start = index
        while index < bytes.count, index - start < Self.wordByteCountMax, Self.isOfWord(bytes[index]) { index += 1 }
        // Short enough to be kept within the String itself.
        return String(unsafeUninitializedCapacity: index - start) { word in
            for offset in 0..<(index - start) {
                let byte = bytes[start + offset]
                word[offset] = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte & 0xdf : byte
            }
            return index - start
        }
    }

    /// Whether nothing but blanks and comments is left.
    var isAtEnd: Bool {
        mutating get {
            skipBlanks()
            return isWhole && index >= bytes.count
        }
    }

    private static func isOfWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private mutating func skipBlanks() {
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: " "), 0x09...0x0d, UInt8(ascii: "("), UInt8(ascii: ";"): index += 1
            case UInt8(ascii: "-") where byte(at: index + 1) == UInt8(ascii: "-"): skipLine()
            case UInt8(ascii: "/") where byte(at: index + 1) == UInt8(ascii: "*"): skipComment()
            default: return
            }
        }
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipLine() {
        while let byte = byte(at: index), byte != 0x0a, byte != 0x0d { index += 1 }
    }

    /// PostgreSQL's comments nest.
    private mutating func skipComment() {
        var depth = 0
        repeat {
            switch (byte(at: index), byte(at: index + 1)) {
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                depth += 1
                index += 2
            case (UInt8(ascii: "*"), UInt8(ascii: "/")):
                depth -= 1
                index += 2
            case (nil, _): return
            default: index += 1
            }
        } while depth > 0
    }
}
