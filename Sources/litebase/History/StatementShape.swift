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
        let bytes = Array(sql.utf8)
        let writer = ShapeWriter(bytes, StatementPart.all(of: bytes, language, isSecret: isRedacted))
        shape = String(decoding: isRedacted ? Self.truncated(writer.shape) : writer.shape, as: UTF8.self)
        if isRedacted { text = String(decoding: Self.truncated(writer.redacted), as: UTF8.self) }
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

/// Writes the shape of a statement, and the text without values, by the parts that it has.
private struct ShapeWriter {
    private let bytes: [UInt8]
    private let parts: [StatementPart]
    private var index = 0
    private(set) var shape: [UInt8] = []
    private(set) var redacted: [UInt8] = []

    init(_ bytes: [UInt8], _ parts: [StatementPart]) {
        (self.bytes, self.parts) = (bytes, parts)
        while index < bytes.count { step() }
        while let last = shape.last, last == UInt8(ascii: " ") || last == UInt8(ascii: ";") { shape.removeLast() }
    }

    private mutating func step() {
        switch parts[index] {
        case .comment: blank(to: endOfPart)
        case .value: value(to: endOfPart)
        case .name:
            let end = endOfPart
            // No name, but a URL, which may have a password.
            if bytes[index..<end].contains(UInt8(ascii: ":")) { value(to: end) } else { copy(to: end) }
        case .plain:
            switch bytes[index] {
            case 0...0x20: blank(to: index + 1)
            case UInt8(ascii: "0")...UInt8(ascii: "9") where !isBehindName: value(to: endOfNumber)
            default: copy(to: index + 1)
            }
        }
    }

    private var endOfPart: Int {
        parts[index...].firstIndex { [part = parts[index]] in $0 != part } ?? bytes.count
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }

    private var isBehindName: Bool { index > 0 && parts[index - 1] == .plain && Self.isOfName(bytes[index - 1]) }

    private mutating func blank(to end: Int) {
        // A comment may be anything, a password too.
        if parts[index] == .comment { redacted.append(UInt8(ascii: " ")) } else { redacted += bytes[index..<end] }
        if !shape.isEmpty, shape.last != UInt8(ascii: " ") { shape.append(UInt8(ascii: " ")) }
        index = end
    }

    private mutating func copy(to end: Int) {
        let isPlain = parts[index] == .plain
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

    private var endOfNumber: Int {
        var end = index
        while end < bytes.count, parts[end] == .plain, Self.isOfName(bytes[end]) || bytes[end] == UInt8(ascii: ".") {
            end += 1
        }
        return end
    }
}
