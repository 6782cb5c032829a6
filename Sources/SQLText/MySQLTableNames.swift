// Which relations a statement on several tables names, by its text alone: UPDATE and DELETE with joins, and LOAD DATA.

/// Finds each name that stands where a table may. What is not understood is not guessed at.
///
/// - Source: https://mariadb.com/kb/en/update/, https://mariadb.com/kb/en/delete/, https://mariadb.com/kb/en/join-syntax/,
///   https://mariadb.com/kb/en/load-data-infile/
public struct MySQLTableNames {
    private enum Token: Equatable {
        /// One without quotes, in capitals, and as it is written.
        case word(String, asWritten: String)
        case quoted(String)
        case sign(UInt8)
        /// A string or a number.
        case value
        case end
    }

    /// What is between two parentheses, or around all.
    private enum Level {
        /// Tables, one behind the other.
        case tables
        case other
        /// A function in which FROM has another meaning.
        case function
    }

    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private var isUnclear = false
    private var levels = [Level.other]
    private var expectsTable = false
    private var names: [MySQLName] = []
    /// The names before it, in DELETE FROM … USING, are aliases of those behind.
    private var hasUsing = false

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// - Returns: `nil` where there may be others.
    /// - Cost: linear.
    public static func find(in sql: UnsafeRawBufferPointer) -> [MySQLName]? {
        var names = MySQLTableNames(sql)
        return names.read() ? names.names : nil
    }

    private mutating func read() -> Bool {
        var former = Token.end
        while true {
            let token = next()
            if isUnclear { return false }
            if token == .end { return !expectsTable && levels.count == 1 }
            guard expectsTable ? table(token) : other(token, behind: former) else { return false }
            former = token
        }
    }

    // MARK: Tables

    /// A table is to come.
    private mutating func table(_ token: Token) -> Bool {
        switch token {
        case .sign(UInt8(ascii: "(")): levels.append(.tables)
        // A query in the place of a table.
        case .word("SELECT", _), .word("VALUES", _), .word("WITH", _): isAmongTables(false)
        case .word(let word, _) where Self.wordsBeforeTable.contains(word): break
        case .word(_, let name), .quoted(let name): return take(name)
        case .sign, .value, .end: return false
        }
        return true
    }

    private mutating func isAmongTables(_ isSo: Bool) {
        levels[levels.count - 1] = isSo ? .tables : .other
        expectsTable = isSo
    }

    /// The name of a table, or its database.
    private mutating func take(_ first: String) -> Bool {
        isAmongTables(true)
        expectsTable = false
        guard peek() == .sign(UInt8(ascii: ".")) else {
            names.append(MySQLName(name: first))
            return true
        }
        _ = next()
        switch next() {
        case .word(_, let name), .quoted(let name): names.append(MySQLName(namespace: first, name: name))
        // DELETE FROM item.* USING …
        case .sign(UInt8(ascii: "*")): names.append(MySQLName(name: first))
        default: return false
        }
        return true
    }

    private static let wordsBeforeTable: Set<String> = ["LOW_PRIORITY", "IGNORE", "QUICK", "LATERAL", "TABLE"]

    // MARK: Other words

    private mutating func other(_ token: Token, behind former: Token) -> Bool {
        switch token {
        case .word(let word, _): return self.word(word, behind: former)
        case .sign(UInt8(ascii: "(")): levels.append(Self.isFunctionWithFrom(former) ? .function : .other)
        case .sign(UInt8(ascii: ")")):
            levels.removeLast()
            return !levels.isEmpty
        case .sign(UInt8(ascii: ",")): expectsTable = levels.last == .tables
        case .quoted, .sign, .value, .end: break
        }
        return true
    }

    private static func isFunctionWithFrom(_ token: Token) -> Bool {
        guard case .word(let word, _) = token else { return false }
        return ["EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "MID", "OVERLAY"].contains(word)
    }

    private mutating func word(_ word: String, behind former: Token) -> Bool {
        switch word {
        case _ where former == .sign(UInt8(ascii: ".")): break
        case "FROM": if levels.last != .function { isAmongTables(true) }
        case "JOIN", "STRAIGHT_JOIN": isAmongTables(true)
        case "UPDATE":
            // FOR UPDATE, and ON DUPLICATE KEY UPDATE.
            if case .word(let before, _) = former, ["FOR", "KEY"].contains(before) { break }
            isAmongTables(true)
        case "USING":
            // Else the columns of a join.
            if peek() != .sign(UInt8(ascii: "(")) {
                if levels.count == 1, !hasUsing { names = [] }
                hasUsing = true
                isAmongTables(true)
            }
        case "INTO":
            guard case .word("TABLE", _) = peek() else { return false }
            isAmongTables(true)
        case "SELECT", "SET", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
            "RETURNING", "PROCEDURE", "FIELDS", "COLUMNS", "LINES":
            isAmongTables(false)
        default: break
        }
        return true
    }

    // MARK: Tokens

    private func peek() -> Token {
        var ahead = self
        return ahead.next()
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func next() -> Token {
        skipBlanks()
        guard let first = byte(at: index) else { return .end }
        let start = index
        switch first {
        case UInt8(ascii: "`"), UInt8(ascii: "\""), UInt8(ascii: "'"): return quoted(first)
        case _ where first.isOfName:
            while let byte = byte(at: index), byte.isOfName { index += 1 }
            let text = bytes[start..<index]
            return .word(Self.capitals(text), asWritten: String(decoding: text, as: UTF8.self))
        default:
            // What it escapes depends on settings.
            if first == UInt8(ascii: "\\") { isUnclear = true }
            index += 1
            return .sign(first)
        }
    }

    /// With ASCII's small letters as capitals.
    private static func capitals(_ text: Slice<UnsafeRawBufferPointer>) -> String {
        String(unsafeUninitializedCapacity: text.count) { target in
            for (offset, byte) in text.enumerated() {
                target[offset] = byte &- UInt8(ascii: "a") < 26 ? byte & 0xdf : byte
            }
            return text.count
        }
    }

    private mutating func quoted(_ mark: UInt8) -> Token {
        let start = index
        var text: [UInt8] = []
        let (end, isClosed) = QuotedText.read(bytes, from: index) { text.append($0) }
        index = end
        if !isClosed || (mark != UInt8(ascii: "`") && mayEndElsewhere(start..<end, mark)) { isUnclear = true }
        return mark == UInt8(ascii: "'") ? .value : .quoted(String(decoding: text, as: UTF8.self))
    }

    /// Whether a backslash may be before one of its quotes, which is a letter then, or not, as settings have it.
    private func mayEndElsewhere(_ text: Range<Int>, _ mark: UInt8) -> Bool {
        var count = 0
        for byte in bytes[text].dropFirst() {
            if byte == mark, count % 2 == 1 { return true }
            count = byte == UInt8(ascii: "\\") ? count + 1 : 0
        }
        return false
    }

    private mutating func skipBlanks() {
        while let byte = byte(at: index) {
            switch byte {
            case _ where byte.isBlank: index += 1
            case UInt8(ascii: "#"): skipLine()
            case UInt8(ascii: "-") where isLineComment: skipLine()
            case UInt8(ascii: "/") where self.byte(at: index + 1) == UInt8(ascii: "*"): skipComment()
            default: return
            }
        }
    }

    /// Two dashes before a blank or a control character.
    private var isLineComment: Bool {
        byte(at: index + 1) == UInt8(ascii: "-") && (byte(at: index + 2) ?? 0) <= 0x20
    }

    private mutating func skipLine() { while let byte = byte(at: index), byte != 0x0a { index += 1 } }

    /// One whose content may be run is not understood.
    private mutating func skipComment() {
        index += 2
        if let byte = byte(at: index), byte == UInt8(ascii: "!") || byte == UInt8(ascii: "M") { isUnclear = true }
        while let byte = byte(at: index) {
            index += 1
            if byte == UInt8(ascii: "*"), self.byte(at: index) == UInt8(ascii: "/") {
                index += 1
                return
            }
        }
        isUnclear = true
    }
}
