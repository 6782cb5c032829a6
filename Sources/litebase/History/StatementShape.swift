// What statements have in common that differ in their values only, and what of a statement may be kept.

import SQLText

/// The shape of a statement, and its text without secrets.
struct StatementShape {
    /// In small letters, without comments, each value as `?` and each list of them as one.
    private(set) var shape = ""
    /// The text as it may be written to a file: where it may hold a password, without any value, and only as far as the word that
    /// announces one, since what follows may be it without quotes.
    private(set) var text: String
    /// Whether values were left out of `text`.
    let isRedacted: Bool

    static let redaction = "***"

    init(_ sql: String, _ language: StatementSplitter.Language) {
        isRedacted = Self.mayHoldPassword(sql)
        text = sql
        if language == .commandLines {
            let words = sql.split(whereSeparator: \.isWhitespace)
            shape = (words.first.map { $0.uppercased() } ?? "") + (words.count > 1 ? " ?" : "")
            // Any word behind the first may be it: AUTH, HELLO, CONFIG SET requirepass, ACL SETUSER.
            if isRedacted { text = "\(words.first ?? "") \(Self.redaction)" }
            return
        }
        var scanner = ShapeScanner(Array(sql.utf8), language)
        scanner.scan()
        shape = String(decoding: isRedacted ? Self.truncated(scanner.shape) : scanner.shape, as: UTF8.self)
        if isRedacted { text = String(decoding: Self.truncated(scanner.redacted), as: UTF8.self) }
    }

    private static let announcements = [
        "passw", "identified", "requirepass", "masterauth", "setuser", "secret", "token", "api_key",
        "access_key", "://",
    ]

    /// As far as the first word that announces a secret; where that was in a value or a comment, the first word of all.
    private static func truncated(_ bytes: [UInt8]) -> [UInt8] {
        let small = bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        var end = small.firstIndex { !(0x61...0x7a).contains($0) } ?? small.count
        if let first = (0..<small.count).first(where: { start in
            announcements.contains { small[start...].starts(with: $0.utf8) }
        }) {
            end = small[first...].firstIndex { !(0x61...0x7a).contains($0) && $0 != UInt8(ascii: "_") } ?? small.count
        }
        return bytes[..<end] + Array(" \(redaction)".utf8)
    }

    /// Whether a text may hold a password, by its words.
    static func mayHoldPassword(_ text: String) -> Bool {
        let line = String(text.lowercased().map { $0.isNewline ? " " : $0 })
        if announcements.contains(where: { line.contains($0) }) { return true }
        return line.split { !$0.isLetter }.contains { $0 == "auth" || $0 == "pwd" }
    }
}

/// Reads a statement once, by its language's quotes.
private struct ShapeScanner {
    private let bytes: [UInt8]
    private let language: StatementSplitter.Language
    private var index = 0
    private(set) var shape: [UInt8] = []
    private(set) var redacted: [UInt8] = []

    init(_ bytes: [UInt8], _ language: StatementSplitter.Language) { (self.bytes, self.language) = (bytes, language) }

    mutating func scan() {
        while index < bytes.count { step() }
        while let last = shape.last, last == UInt8(ascii: " ") || last == UInt8(ascii: ";") { shape.removeLast() }
    }

    private mutating func step() {
        let byte = bytes[index]
        switch byte {
        case 0...0x20: blank(to: index + 1)
        case UInt8(ascii: "-") where next == byte: blank(to: endOfLine)
        case UInt8(ascii: "#") where language == .mysql: blank(to: endOfLine)
        case UInt8(ascii: "/") where next == UInt8(ascii: "*"): blank(to: endOfComment)
        case UInt8(ascii: "'"): value(to: endOfQuoted(byte))
        case UInt8(ascii: "\"") where language == .mysql: value(to: endOfQuoted(byte))
        case UInt8(ascii: "\""), UInt8(ascii: "`"):
            let end = endOfQuoted(byte)
            // No name, but a URL, which may have a password.
            if bytes[index..<end].contains(UInt8(ascii: ":")) { value(to: end) } else { copy(to: end) }
        case UInt8(ascii: "$") where language == .postgresql && !isBehindName:
            if let end = endOfDollarQuoted { value(to: end) } else { copy(to: index + 1) }
        case UInt8(ascii: "0")...UInt8(ascii: "9") where !isBehindName: value(to: endOfNumber)
        default: copy(to: index + 1)
        }
    }

    private var next: UInt8? { index + 1 < bytes.count ? bytes[index + 1] : nil }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }

    private var isBehindName: Bool { index > 0 && Self.isOfName(bytes[index - 1]) }

    private mutating func blank(to end: Int) {
        // A comment may be anything, a password too.
        if bytes[index] > 0x20 { redacted.append(UInt8(ascii: " ")) } else { redacted += bytes[index..<end] }
        if !shape.isEmpty, shape.last != UInt8(ascii: " ") { shape.append(UInt8(ascii: " ")) }
        index = end
    }

    private mutating func copy(to end: Int) {
        let isPlain = end == index + 1
        for byte in bytes[index..<end] {
            let isCapital = isPlain && (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            shape.append(isCapital ? byte | 0x20 : byte)
        }
        redacted += bytes[index..<end]
        index = end
    }

    private mutating func value(to end: Int) {
        redacted += "'\(StatementShape.redaction)'".utf8
        index = end
        // `?, ?` is one; so are values that only differ in their number.
        let list = shape.reversed().drop { $0 == UInt8(ascii: " ") }
        if list.first == UInt8(ascii: ","),
            list.dropFirst().first(where: { $0 != UInt8(ascii: " ") }) == UInt8(ascii: "?")
        {
            while shape.last != UInt8(ascii: "?") { shape.removeLast() }
        } else {
            shape.append(UInt8(ascii: "?"))
        }
    }

    private var endOfLine: Int { bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count }

    private var endOfComment: Int {
        var end = index + 2
        while end + 1 < bytes.count, bytes[end] != UInt8(ascii: "*") || bytes[end + 1] != UInt8(ascii: "/") { end += 1 }
        return min(end + 2, bytes.count)
    }

    private func endOfQuoted(_ quote: UInt8) -> Int {
        let isEscaped = language == .mysql || (index > 0 && bytes[index - 1] | 0x20 == UInt8(ascii: "e"))
        var end = index + 1
        while end < bytes.count {
            if isEscaped, quote != UInt8(ascii: "`"), bytes[end] == UInt8(ascii: "\\") {
                end += 2
            } else if bytes[end] != quote {
                end += 1
            } else if end + 1 < bytes.count, bytes[end + 1] == quote {
                end += 2
            } else {
                return end + 1
            }
        }
        return bytes.count
    }

    private var endOfNumber: Int {
        var end = index
        while end < bytes.count, Self.isOfName(bytes[end]) || bytes[end] == UInt8(ascii: ".") { end += 1 }
        return end
    }

    /// Behind `$tag$…$tag$`; `nil` where that does not begin here.
    private var endOfDollarQuoted: Int? {
        guard let close = bytes[(index + 1)...].firstIndex(where: { !Self.isOfName($0) || $0 == UInt8(ascii: "$") }),
            bytes[close] == UInt8(ascii: "$"), close == index + 1 || !(0x30...0x39).contains(bytes[index + 1])
        else { return nil }
        let tag = bytes[index...close]
        var end = close + 1
        while end + tag.count <= bytes.count {
            if bytes[end..<(end + tag.count)].elementsEqual(tag) { return end + tag.count }
            end += 1
        }
        return bytes.count
    }
}
