// The columns of a table, read from the text of its CREATE statement, as SQLite keeps it in its schema.

/// What `PRAGMA table_xinfo` tells of a table, without asking it: SQLite compiles and runs a statement for each table, which takes
/// many times as long as reading the text.
///
/// SQLite has understood the text before, so that what follows a column's name is known by its first word. A text in which anything
/// else occurs (generated columns, quoted types, other words) is not read at all: then the PRAGMA has to be asked.
/// - Source: src/parse.y, src/build.c (sqlite3AddColumn, sqlite3AddPrimaryKey, sqlite3EndTable) of SQLite 3.40
/// - Thread: any.
public struct SQLiteTableColumns {
    /// A column; its texts are parts of the definition.
    public struct Column {
        public var name: UnsafeRawBufferPointer
        /// Empty without one.
        public var type: UnsafeRawBufferPointer
        /// Empty without one.
        public var defaultValue = UnsafeRawBufferPointer(start: nil, count: 0)
        public var isNullable = true
        /// Its place in the primary key, from 1 on; 0 for none.
        public var keyPosition = 0
        fileprivate var isInteger: Bool
    }

    public private(set) var columns: [Column] = []
    /// The number of the column that is another name of the row number.
    public private(set) var rowIDColumn: Int?
    public private(set) var isAutoIncrement = false
    /// Whether it has row numbers: it is not WITHOUT ROWID.
    public private(set) var hasRowID = true
    public private(set) var isStrict = false
    private var tokens: SQLiteDefinitionTokens
    private var keyCount = 0

    /// `nil` where SQLite itself has to be asked.
    ///
    /// - Parameter text: a definition; columns are valid as long as it is.
    /// - Cost: linear in the text, some 3 ns for each byte.
    public init?(_ text: UnsafeRawBufferPointer) {
        tokens = SQLiteDefinitionTokens(text)
        // Behind a NUL SQLite reads nothing.
        guard !text.contains(0), readTable(), !columns.isEmpty else { return nil }
    }

    private mutating func readTable() -> Bool {
        guard tokens.next() == .word, tokens.keyword == .create, tokens.next() == .word, tokens.keyword == .table,
            tokens.next().isName, tokens.next() == .open
        else { return false }
        tokens.next()
        while !tokens.startsConstraint {
            guard readColumn() else { return false }
            if tokens.token == .close { return readOptions() }
            guard tokens.token == .comma else { return false }
            tokens.next()
        }
        return readConstraints() && readOptions()
    }

    // MARK: Columns

    private mutating func readColumn() -> Bool {
        guard tokens.token.isName, let name = tokens.name, !name.startsAsHidden else { return false }
        tokens.next()
        guard let type = readType() else { return false }
        let standard = Self.standardType(type)
        columns.append(
            Column(name: name, type: standard?.bytes ?? type, isInteger: standard?.bytes.count == Self.integerByteCount)
        )
        while tokens.token == .word {
            guard readColumnConstraint(columns.count - 1) else { return false }
        }
        return true
    }

    private static let integerByteCount = 7

    /// Types that SQLite knows by their numbers, and tells in capitals.
    private static func standardType(_ type: UnsafeRawBufferPointer) -> StaticString? {
        switch type.count {
        case 3 where type.equalsFolded("int"): "INT"
        case 3 where type.equalsFolded("any"): "ANY"
        case 4 where type.equalsFolded("text"): "TEXT"
        case 4 where type.equalsFolded("real"): "REAL"
        case 4 where type.equalsFolded("blob"): "BLOB"
        case 7 where type.equalsFolded("integer"): "INTEGER"
        default: nil
        }
    }

    /// Words up to the first constraint, and perhaps numbers in parentheses: all that, as it is written.
    private mutating func readType() -> UnsafeRawBufferPointer? {
        let start = tokens.start
        var end = start
        while tokens.token == .word, !tokens.keyword.endsType {
            // GENERATED ALWAYS is part of the type for SQLite's grammar, and taken out of it again.
            if tokens.keyword == .generated { return nil }
            end = tokens.end
            tokens.next()
        }
        if tokens.token == .open, end > start {
            while tokens.next() != .close {
                guard tokens.token == .number || tokens.token == .sign || tokens.token == .comma else { return nil }
            }
            end = tokens.end
            tokens.next()
        }
        let type = tokens.part(start, end)
        return type.endsAsGenerated ? nil : type
    }

    private mutating func readColumnConstraint(_ number: Int) -> Bool {
        let keyword = tokens.keyword
        tokens.next()
        switch keyword {
        case .constraint: return skipName()
        case .null: return skipConflict()
        case .not: return readNot(number)
        case .primary: return readPrimary(number)
        case .unique: return skipConflict()
        case .check: return skipParentheses()
        case .default: return readDefault(number)
        case .collate: return skipName()
        case .references: return skipReference()
        case .deferrable: return skipInitially()
        default: return false
        }
    }

    private mutating func readNot(_ number: Int) -> Bool {
        guard tokens.token == .word else { return false }
        let keyword = tokens.keyword
        tokens.next()
        if keyword == .deferrable { return skipInitially() }
        guard keyword == .null else { return false }
        columns[number].isNullable = false
        return skipConflict()
    }

    private mutating func readPrimary(_ number: Int) -> Bool {
        guard tokens.take(.key), keyCount == 0 else { return false }
        // DESC makes an INTEGER a column like others.
        _ = tokens.take(.asc)
        columns[number].keyPosition = 1
        keyCount = 1
        guard skipConflict() else { return false }
        if tokens.take(.autoincrement) { isAutoIncrement = true }
        return true
    }

    /// A value, or a sign and a value, as it is written; or what stands in parentheses, without the blanks around it.
    private mutating func readDefault(_ number: Int) -> Bool {
        let start = tokens.start
        if tokens.token == .open {
            let inner = tokens.end
            guard let end = skipToClose() else { return false }
            columns[number].defaultValue = tokens.part(inner, end).withoutBlanks
            return true
        }
        if tokens.token == .sign { tokens.next() }
        switch tokens.token {
        case .word, .quoted, .string, .number, .blob: break
        default: return false
        }
        columns[number].defaultValue = tokens.part(start, tokens.end)
        tokens.next()
        return true
    }

    // MARK: Constraints

    private mutating func readConstraints() -> Bool {
        while tokens.token != .close {
            if tokens.token == .comma {
                tokens.next()
                continue
            }
            guard tokens.token == .word else { return false }
            let keyword = tokens.keyword
            tokens.next()
            let isRead =
                switch keyword {
                case .constraint: skipName()
                case .primary: tokens.take(.key) && readKey() && skipConflict()
                case .unique, .check: skipParentheses() && skipConflict()
                case .foreign:
                    tokens.take(.key) && skipParentheses() && tokens.take(.references) && skipReference()
                case .not: tokens.take(.deferrable) && skipInitially()
                case .deferrable: skipInitially()
                default: false
                }
            if !isRead { return false }
        }
        return true
    }

    /// The columns of a key, in parentheses.
    private mutating func readKey() -> Bool {
        guard tokens.token == .open, keyCount == 0 else { return false }
        tokens.next()
        while tokens.token != .close {
            guard tokens.token.isName, let name = tokens.name,
                let number = columns.firstIndex(where: { $0.name.equalsFolded(name) }),
                columns[number].keyPosition == 0
            else { return false }
            keyCount += 1
            columns[number].keyPosition = keyCount
            tokens.next()
            if tokens.take(.collate), !skipName() { return false }
            if !tokens.take(.asc) { _ = tokens.take(.desc) }
            if tokens.take(.autoincrement) { isAutoIncrement = true }
            if tokens.token == .comma {
                tokens.next()
            } else if tokens.token != .close {
                return false
            }
        }
        tokens.next()
        return true
    }

    // MARK: Options

    private mutating func readOptions() -> Bool {
        while tokens.next() != .end {
            guard tokens.token == .word || tokens.token == .comma else { return false }
            if tokens.token == .comma { continue }
            switch tokens.keyword {
            case .without:
                guard tokens.next() == .word, tokens.keyword == .rowid else { return false }
                hasRowID = false
            case .strict: isStrict = true
            default: return false
            }
        }
        if hasRowID, keyCount == 1 { rowIDColumn = columns.firstIndex { $0.keyPosition == 1 && $0.isInteger } }
        if isStrict || !hasRowID {
            for index in columns.indices where columns[index].keyPosition > 0 && index != rowIDColumn {
                columns[index].isNullable = false
            }
        }
        return true
    }

    // MARK: What says nothing of columns

    private mutating func skipName() -> Bool {
        guard tokens.token.isName else { return false }
        tokens.next()
        return true
    }

    private mutating func skipConflict() -> Bool {
        guard tokens.take(.on) else { return true }
        return tokens.take(.conflict) && skipName()
    }

    private mutating func skipParentheses() -> Bool { tokens.token == .open && skipToClose() != nil }

    /// - Returns: where the parenthesis is that closes the one here; it is left behind.
    private mutating func skipToClose() -> Int? {
        var depth = 1
        while depth > 0 {
            switch tokens.next() {
            case .open: depth += 1
            case .close: depth -= 1
            case .end: return nil
            default: break
            }
        }
        let end = tokens.start
        tokens.next()
        return end
    }

    /// What stands behind REFERENCES.
    private mutating func skipReference() -> Bool {
        guard skipName() else { return false }
        if tokens.token == .open, !skipParentheses() { return false }
        while tokens.token == .word {
            if tokens.take(.match) {
                guard skipName() else { return false }
            } else if tokens.take(.on) {
                guard skipName(), skipAction() else { return false }
            } else {
                return true
            }
        }
        return true
    }

    /// SET NULL, SET DEFAULT, CASCADE, RESTRICT or NO ACTION.
    private mutating func skipAction() -> Bool {
        guard tokens.token == .word else { return false }
        let keyword = tokens.keyword
        tokens.next()
        return keyword == .set || keyword == .no ? skipName() : true
    }

    /// What may stand behind DEFERRABLE.
    private mutating func skipInitially() -> Bool { tokens.take(.initially) ? skipName() : true }
}

/// The tokens of a definition that SQLite has understood: one at a time, without blanks and comments.
struct SQLiteDefinitionTokens {
    enum Token {
        case word, quoted, string, number, blob, open, close, comma, sign, other, end

        /// A name may also stand in the quotes of strings.
        var isName: Bool { self == .word || self == .quoted || self == .string }
    }

    /// Words that mean something in a definition of columns; any other is a name.
    enum Keyword {
        case asc, autoincrement, check, collate, conflict, constraint, create, `default`, deferrable, desc, foreign,
            generated,
            initially, key, match, no, not, null, on, primary, references, rowid, set, strict, table, unique, without
        case `as`, other

        /// No type has these: SQLite reserves them.
        var endsType: Bool {
            switch self {
            case .as, .check, .collate, .constraint, .default, .deferrable, .not, .null, .primary, .references, .unique:
                true
            default: false
            }
        }
    }

    private let text: UnsafeRawBufferPointer
    private(set) var token = Token.other
    private(set) var start = 0
    private(set) var end = 0
    /// The end of the token before.
    private(set) var lastEnd = 0

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    @discardableResult
    mutating func next() -> Token {
        lastEnd = end
        token = read()
        return token
    }

    /// Leaves the token behind if it is this word.
    mutating func take(_ keyword: Keyword) -> Bool {
        guard token == .word, self.keyword == keyword else { return false }
        next()
        return true
    }

    func part(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text[start..<end])
    }

    private mutating func read() -> Token {
        if end < text.count, !text[end].isOfName { end = SQLiteText.skipBlank(text, from: end) }
        start = min(end, text.count)
        end = start
        guard end < text.count else { return .end }
        let byte = text[start]
        switch byte {
        case UInt8(ascii: "("): return single(.open)
        case UInt8(ascii: ")"): return single(.close)
        case UInt8(ascii: ","): return single(.comma)
        case UInt8(ascii: "+"), UInt8(ascii: "-"): return single(.sign)
        case UInt8(ascii: "'"): return quotation(UInt8(ascii: "'"), .string)
        case UInt8(ascii: "\""), UInt8(ascii: "`"): return quotation(byte, .quoted)
        case UInt8(ascii: "["):
            while end < text.count, text[end] != UInt8(ascii: "]") { end += 1 }
            return end < text.count ? single(.quoted) : .other
        case UInt8(ascii: "."), UInt8(ascii: "0")...UInt8(ascii: "9"): return number()
        case _ where byte.isOfName: return word()
        default: return single(.other)
        }
    }

    private mutating func single(_ token: Token) -> Token {
        end += 1
        return token
    }

    private mutating func quotation(_ quote: UInt8, _ token: Token) -> Token {
        end += 1
        while end < text.count {
            if text[end] == quote {
                end += 1
                guard end < text.count, text[end] == quote else { return token }
            }
            end += 1
        }
        end = text.count
        return .other
    }

    private mutating func word() -> Token {
        while end < text.count, text[end].isOfName { end += 1 }
        // x'…'
        if end - start == 1, text[start] | 0x20 == UInt8(ascii: "x"), end < text.count, text[end] == UInt8(ascii: "'") {
            return quotation(UInt8(ascii: "'"), .blob)
        }
        // A byte order mark is a blank for SQLite; `$` begins a variable.
        return text[start] == 0xef || text[start] == UInt8(ascii: "$") ? .other : .word
    }

    private mutating func number() -> Token {
        let isHexadecimal =
            start + 1 < text.count && text[start] == UInt8(ascii: "0") && text[start + 1] | 0x20 == UInt8(ascii: "x")
        while end < text.count {
            let byte = text[end]
            let isSign = byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
            let isInExponent = isSign && !isHexadecimal && end > start && text[end - 1] | 0x20 == UInt8(ascii: "e")
            guard byte.isOfName || byte == UInt8(ascii: ".") || isInExponent else { break }
            end += 1
        }
        return .number
    }

    // MARK: What a token is

    /// Whether it is this word, whatever the case of letters.
    func isWord(_ word: StaticString) -> Bool { part(start, end).equalsFolded(word) }

    /// The name that it is; `nil` if that is not a part of the text.
    var name: UnsafeRawBufferPointer? {
        if token == .word { return part(start, end) }
        let quote = text[start]
        let inner = part(start + 1, end - 1)
        return quote != UInt8(ascii: "[") && inner.contains(quote) ? nil : inner
    }

    /// The constraint of a table begins here, rather than a column.
    var startsConstraint: Bool {
        guard token == .word else { return false }
        switch keyword {
        case .check, .constraint, .foreign, .primary, .unique: return true
        default: return false
        }
    }

    /// What the word means.
    var keyword: Keyword {
        let word = part(start, end)
        func matches(_ other: StaticString, _ keyword: Keyword) -> Keyword? { word.equalsFolded(other) ? keyword : nil }
        // By length, and where there are several, by the first letter.
        let first = word.isEmpty ? 0 : word[0] | 0x20
        let found: Keyword? =
            switch (word.count, first) {
            case (2, UInt8(ascii: "a")): matches("as", .as)
            case (2, UInt8(ascii: "o")): matches("on", .on)
            case (2, UInt8(ascii: "n")): matches("no", .no)
            case (3, UInt8(ascii: "n")): matches("not", .not)
            case (3, UInt8(ascii: "k")): matches("key", .key)
            case (3, UInt8(ascii: "a")): matches("asc", .asc)
            case (3, UInt8(ascii: "s")): matches("set", .set)
            case (4, UInt8(ascii: "n")): matches("null", .null)
            case (4, UInt8(ascii: "d")): matches("desc", .desc)
            case (5, UInt8(ascii: "c")): matches("check", .check)
            case (5, UInt8(ascii: "t")): matches("table", .table)
            case (5, UInt8(ascii: "r")): matches("rowid", .rowid)
            case (5, UInt8(ascii: "m")): matches("match", .match)
            case (6, UInt8(ascii: "u")): matches("unique", .unique)
            case (6, UInt8(ascii: "c")): matches("create", .create)
            case (6, UInt8(ascii: "s")): matches("strict", .strict)
            case (7, UInt8(ascii: "p")): matches("primary", .primary)
            case (7, UInt8(ascii: "d")): matches("default", .default)
            case (7, UInt8(ascii: "c")): matches("collate", .collate)
            case (7, UInt8(ascii: "f")): matches("foreign", .foreign)
            case (7, UInt8(ascii: "w")): matches("without", .without)
            case (8, UInt8(ascii: "c")): matches("conflict", .conflict)
            case (9, UInt8(ascii: "g")): matches("generated", .generated)
            case (9, UInt8(ascii: "i")): matches("initially", .initially)
            case (10, UInt8(ascii: "c")): matches("constraint", .constraint)
            case (10, UInt8(ascii: "r")): matches("references", .references)
            case (10, UInt8(ascii: "d")): matches("deferrable", .deferrable)
            case (13, UInt8(ascii: "a")): matches("autoincrement", .autoincrement)
            default: nil
            }
        return found ?? .other
    }
}

extension StaticString {
    fileprivate var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}

extension UnsafeRawBufferPointer {
    /// Whether it is this word of letters and `_`, whatever the case of letters.
    @inline(__always)
    fileprivate func equalsFolded(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        for index in 0..<count where self[index] | 0x20 != word.utf8Start[index] | 0x20 { return false }
        return true
    }

    /// Names of SQLite are the same if they differ only in the case of ASCII's letters.
    fileprivate func equalsFolded(_ other: UnsafeRawBufferPointer) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.lowercased == $1.lowercased }
    }

    /// A long type that ends in these letters, within a word too: SQLite takes them away.
    /// - Source: SQLite, build.c, sqlite3AddColumn
    fileprivate var endsAsGenerated: Bool {
        count >= 16 && UnsafeRawBufferPointer(rebasing: self[(count - 6)...]).equalsFolded("always")
    }

    /// Builds of SQLite with SQLITE_ENABLE_HIDDEN_COLUMNS hide such columns.
    fileprivate var startsAsHidden: Bool {
        count >= 10 && UnsafeRawBufferPointer(rebasing: self[..<10]).equalsFolded("__hidden__")
    }

    fileprivate var withoutBlanks: UnsafeRawBufferPointer {
        var (start, end) = (0, count)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[start..<end])
    }
}
