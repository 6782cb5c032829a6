// The first words of a statement for a server, which determine its kind.

/// Servers whose statements are examined before they are sent.
public enum ServerDialect: Sendable { case postgresql, mysql }

/// Words at the start of a statement, in capitals, after white space, comments and opening parentheses.
///
/// The content of an executable comment of MySQL is part of the statement: the server runs it.
/// - Cost: allocates nothing.
/// - Source: https://www.postgresql.org/docs/15/sql-syntax-lexical.html; https://mariadb.com/kb/en/comment-syntax/
public struct LeadingWords {
    private let bytes: UnsafeRawBufferPointer
    private let dialect: ServerDialect
    private var index = 0
    private let isWhole: Bool
    /// An executable comment was met so far.
    public private(set) var hasExecutableComment = false

    /// Short enough to be kept within the String itself.
    private static let wordByteCountMax = 15

    public init(_ text: UnsafeRawBufferPointer, _ dialect: ServerDialect) {
        bytes = TextBound.head(text)
        isWhole = bytes.count == text.count
        self.dialect = dialect
    }

    /// The text continues after the examined part: the last word is unknown or incomplete, or a comment may begin
    /// there.
    public var isCut: Bool { !isWhole && index + TextBound.lookaheadByteCount > bytes.count }

    /// Whether one of the words, in capitals, occurs anywhere in the text, or may: a long text is not searched.
    public static func mayContain(_ text: UnsafeRawBufferPointer, _ words: [StaticString]) -> Bool {
        if text.count > TextBound.byteCountMax { return true }
        return words.contains { word in
            let length = word.utf8CodeUnitCount
            guard length <= text.count else { return false }
            return (0...text.count - length).contains { start in
                (0..<length).allSatisfy { capital(text[start + $0]) == word.utf8Start[$0] }
            }
        }
    }

    /// Whether nothing but blanks and comments is left.
    public var isAtEnd: Bool {
        mutating get {
            skipBlanks()
            return isWhole && index >= bytes.count
        }
    }

    /// - Returns: empty at anything that is not a word.
    public mutating func next() -> String {
        skipBlanks()
        let start = index
        while let byte = byte(at: index), index - start < Self.wordByteCountMax, byte.isOfKeyword {
            index += 1
        }
        return String(unsafeUninitializedCapacity: index - start) { word in
            for offset in 0..<(index - start) { word[offset] = Self.capital(bytes[start + offset]) }
            return index - start
        }
    }

    /// Takes a name, in quotes (backticks, or those of ANSI_QUOTES) or not; words of the language are taken for one, too.
    /// - Returns: `nil` at anything else.
    /// - Cost: allocates the name.
    public mutating func takeName() -> String? {
        skipBlanks()
        guard let first = byte(at: index) else { return nil }
        let start = index
        if first == UInt8(ascii: "`") || first == UInt8(ascii: "\"") {
            var name: [UInt8] = []
            let (end, isClosed) = QuotedText.read(bytes, from: start) { name.append($0) }
            guard isClosed else { return nil }
            index = end
            return String(decoding: name, as: UTF8.self)
        }
        while let byte = byte(at: index), byte.isOfName { index += 1 }
        return index > start ? String(decoding: bytes[start..<index], as: UTF8.self) : nil
    }

    /// Takes a sign, if it is the next one.
    public mutating func take(_ sign: Unicode.Scalar) -> Bool {
        skipBlanks()
        guard let byte = byte(at: index), byte == UInt8(ascii: sign) else { return false }
        index += 1
        return true
    }

    private static func capital(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte & 0xdf : byte
    }

    private func byte(at index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    // MARK: Blanks and comments

    private mutating func skipBlanks() {
        while let byte = byte(at: index) {
            switch byte {
            case _ where byte.isBlank: index += 1
            case UInt8(ascii: "("), UInt8(ascii: ";"): index += 1
            case UInt8(ascii: "#") where dialect == .mysql: skipLine()
            case UInt8(ascii: "-") where isLineComment: skipLine()
            case UInt8(ascii: "/") where self.byte(at: index + 1) == UInt8(ascii: "*"):
                if dialect == .mysql { skipCommentOfMySQL() } else { skipNestedComment() }
            // The end of an executable comment.
            case UInt8(ascii: "*")
            where dialect == .mysql && self.byte(at: index + 1) == UInt8(ascii: "/"): index += 2
            default: return
            }
        }
    }

    /// In MySQL, two dashes make a comment only before a blank or a control character.
    private var isLineComment: Bool {
        guard byte(at: index + 1) == UInt8(ascii: "-") else { return false }
        return dialect == .postgresql || (byte(at: index + 2).map { $0 <= 0x20 } ?? true)
    }

    /// For PostgreSQL a carriage return ends a line, too.
    private mutating func skipLine() {
        while let byte = byte(at: index), byte != 0x0a, dialect == .mysql || byte != 0x0d { index += 1 }
    }

    private mutating func skipNestedComment() {
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

    private mutating func skipCommentOfMySQL() {
        var inside = index + 2
        if byte(at: inside) == UInt8(ascii: "M"), byte(at: inside + 1) == UInt8(ascii: "!") {
            inside += 1
        }
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
