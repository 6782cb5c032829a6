// Which statements without a session leave their connection unchanged, by their text alone.
//
// All other statements are followed by a reset, before their client is answered; so this lists what is allowed. If
// servers differ in the meaning of a text (escapes, comments, dollar quotes), a text that can be read in two ways is
// not plain. Code that a server runs by itself (views, triggers, operators, defaults, overloads of the names below)
// cannot be seen here: `ServerConnection.unprovenMillisecondsMax` limits its effect, which never reaches another user.

/// Scans the text of SELECT, INSERT, UPDATE, DELETE and similar statements.
///
/// - Thread: any.
public struct PlainStatement {
    /// The text before the present position, as far as an opening parenthesis would make a call of it.
    private enum Before { case nothing, listed, unlisted }

    private let bytes: UnsafeRawBufferPointer
    private let dialect: ServerDialect
    private var index = 0
    private var before = Before.nothing
    private var isBehindDot = false
    /// The name is the table of INSERT INTO, whose columns may follow in parentheses.
    private var isTarget = false
    private var isBehindInto = false
    /// INTO may follow, as in INSERT INTO. These words can also be names of columns, in other places.
    private var mayBeInto = false
    private var isAtBeginning = true

    private init(_ bytes: UnsafeRawBufferPointer, _ dialect: ServerDialect) {
        self.bytes = bytes
        self.dialect = dialect
    }

    /// Whether a statement with one of these first words calls only functions that leave no state. A long text is not
    /// searched: its connection is reset afterwards, at the cost of one round trip.
    public static func isPlain(_ sql: UnsafeRawBufferPointer, _ dialect: ServerDialect) -> Bool {
        guard sql.count <= TextBound.byteCountMax else { return false }
        var statement = PlainStatement(sql, dialect)
        while statement.index < sql.count { if !statement.next() { return false } }
        return true
    }

    /// Takes the next element.
    /// - Returns: false when it is not known to be plain.
    private mutating func next() -> Bool {
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: " "), 0x09...0x0d: index += 1
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "_"), 0x80...:
            return word()
        // MySQL has names that begin with a digit.
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            skipWord()
            name(.unlisted)
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return quoted(byte)
        case UInt8(ascii: "`") where dialect == .mysql: return quoted(byte)
        case UInt8(ascii: "("):
            index += 1
            if before == .unlisted, !isTarget { return false }
            symbol()
            isAtBeginning = true
        case UInt8(ascii: "."):
            index += 1
            isBehindDot = true
        case UInt8(ascii: "/") where self.byte(at: index + 1) == UInt8(ascii: "*"): return comment()
        case UInt8(ascii: "-") where self.byte(at: index + 1) == UInt8(ascii: "-"):
            // Two dashes are two signs in MySQL where no blank follows.
            guard self.byte(at: index + 2).map({ $0 == 0x20 || $0 == 0x0a || $0 == 0x09 }) ?? true else {
                return false
            }
            return line()
        case UInt8(ascii: "#") where dialect == .mysql: return line()
        // A placeholder; anything else begins a dollar quote, or a name of MySQL's.
        case UInt8(ascii: "$"):
            guard let digit = self.byte(at: index + 1), (0x30...0x39).contains(digit) else {
                return false
            }
            index += 1
            skipWord()
            name(.unlisted)
        // A variable of the system may be read; one of the user's may be set.
        case UInt8(ascii: "@") where dialect == .mysql:
            guard self.byte(at: index + 1) == UInt8(ascii: "@") else { return false }
            index += 2
            symbol()
        case UInt8(ascii: "\\"), UInt8(ascii: "`"), 0: return false
        default:
            index += 1
            symbol()
        }
        return true
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func symbol() {
        before = .nothing
        isBehindDot = false
        isTarget = false
        isBehindInto = false
        mayBeInto = false
        isAtBeginning = false
    }

    private mutating func name(_ kind: Before) {
        before = kind
        isTarget = isBehindInto || isTarget && isBehindDot
        isBehindDot = false
        isBehindInto = false
        mayBeInto = false
        isAtBeginning = false
    }

    private mutating func skipWord() {
        while let byte = byte(at: index) {
            guard byte.isOfName else { return }
            index += 1
        }
    }

    private mutating func word() -> Bool {
        let start = index
        skipWord()
        let isQualified = isBehindDot || isBehindInto
        if isQualified {
            name(.unlisted)
            return true
        }
        let word = lowercased(start..<index)
        if word == "into" {
            // SELECT … INTO makes a table, a file or a variable.
            guard mayBeInto else { return false }
            symbol()
            isBehindInto = true
            return true
        }
        if dialect == .mysql, Self.refusedOfMySQL.contains(word) { return false }
        let leadsInto =
            isAtBeginning && Self.wordsThatInsert.contains(word)
            || mayBeInto && Self.wordsBeforeInto.contains(word)
        name(!mayBeCalled || Self.isListed(word, dialect) ? .listed : .unlisted)
        mayBeInto = leadsInto
        return true
    }

    /// Whether a parenthesis follows, possibly after a comment: only then names are looked up.
    private var mayBeCalled: Bool {
        var end = index
        while let byte = byte(at: end), byte.isBlank { end += 1 }
        guard let byte = byte(at: end) else { return false }
        return byte == UInt8(ascii: "(") || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "#")
    }

    /// Empty if it is longer than any listed name.
    private func lowercased(_ range: Range<Int>) -> String {
        guard range.count <= Self.nameByteCountMax else { return "" }
        return String(unsafeUninitializedCapacity: range.count) { target in
            for (offset, byte) in bytes[range].enumerated() {
                target[offset] = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
            }
            return range.count
        }
    }

    private static let nameByteCountMax = 32

    private mutating func quoted(_ mark: UInt8) -> Bool {
        index += 1
        while let byte = byte(at: index) {
            index += 1
            if byte == mark {
                name(.unlisted)
                return true
            }
            // Whether it escapes the next character depends on settings and on the text before it.
            if byte == UInt8(ascii: "\\"), mark != UInt8(ascii: "`") { return false }
        }
        return false
    }

    /// PostgreSQL's nest, MySQL's may be statements.
    private mutating func comment() -> Bool {
        index += 2
        if let byte = byte(at: index), byte == UInt8(ascii: "!") || byte == UInt8(ascii: "M") {
            return false
        }
        while let byte = byte(at: index) {
            index += 1
            let next = self.byte(at: index)
            if byte == UInt8(ascii: "*"), next == UInt8(ascii: "/") {
                index += 1
                return true
            }
            if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*") { return false }
        }
        return false
    }

    /// To the end of the line, which a carriage return is for PostgreSQL only.
    private mutating func line() -> Bool {
        while let byte = byte(at: index) {
            index += 1
            if byte == 0x0a { return true }
            if byte == 0x0d { return self.byte(at: index) == 0x0a }
        }
        return true
    }
}
