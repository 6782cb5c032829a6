// Placeholders in a statement, and the values that the shell has for them.

import LiteBaseClient
import SQLText

/// The values of `.parameter`, by name or number, without the sign in front.
struct ShellParameters {
    private(set) var values: [String: Value] = [:]

    var isEmpty: Bool { values.isEmpty }

    subscript(name: String) -> Value? { values[Self.bare(name)] }

    mutating func set(_ name: String, _ value: Value?) { values[Self.bare(name)] = value }

    mutating func removeAll() { values = [:] }

    private static func bare(_ name: String) -> String {
        name.first.map { ":@$?".contains($0) } ?? false ? String(name.dropFirst()) : name
    }
}

/// A statement whose placeholders are found by its engine's rules of quotes and comments.
///
/// `:name` is understood on every engine; where the engine has no names, it gets a placeholder of its own in their place.
struct Placeholders {
    /// As they are in the text, with their sign, in order; a `?` has no name, and counts.
    private(set) var names: [String] = []
    private var ranges: [Range<Int>] = []
    private let bytes: [UInt8]
    private let language: StatementSplitter.Language

    /// Longer statements are scripts' and have values in them.
    private static let byteCountMax = 64 << 10

    /// `nil` if there are none.
    init?(_ sql: String, _ language: StatementSplitter.Language, _ rules: StatementSplitter.Rules) {
        bytes = Array(sql.utf8)
        self.language = language
        guard language != .commandLines, bytes.count <= Self.byteCountMax,
            bytes.contains(where: { Self.signs.contains($0) })
        else { return nil }
        find(StatementSplitter(language, rules))
        if names.isEmpty { return nil }
    }

    private static let signs = Set(":@$?".utf8)

    private mutating func find(_ start: StatementSplitter) {
        var splitter = start
        var isPlain: [Bool] = []
        for byte in bytes {
            let before = splitter.context
            _ = splitter.append(CollectionOfOne(byte))
            isPlain.append(before == .plain && splitter.context == .plain)
        }
        var index = 0
        var questionCount = 0
        while index < bytes.count {
            defer { index += 1 }
            guard isPlain[index], Self.signs.contains(bytes[index]), mayStart(at: index) else { continue }
            var end = index + 1
            while end < bytes.count, isPlain[end], Self.isOfName(bytes[end]) { end += 1 }
            guard let name = name(index..<end, &questionCount) else { continue }
            names.append(name)
            ranges.append(index..<end)
            index = end - 1
        }
    }

    /// Whether a sign is no part of an operator, a slice or a name: `a::int`, `x[1:n]`, `@@version`.
    private func mayStart(at index: Int) -> Bool {
        guard index > 0 else { return true }
        let before = bytes[index - 1]
        return !Self.isOfName(before) && !Self.signs.contains(before) && before != UInt8(ascii: "[")
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte >= 0x80 || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// What a placeholder is called here; `nil` if the engine takes the text for something else.
    private func name(_ range: Range<Int>, _ questionCount: inout Int) -> String? {
        let text = String(decoding: bytes[range], as: UTF8.self)
        let rest = text.dropFirst()
        let isNumber = !rest.isEmpty && rest.allSatisfy { $0.isASCII && $0.isNumber }
        switch text.first {
        case "?" where language == .sqlite && isNumber: return text
        case "?" where (language == .sqlite || language == .mysql) && rest.isEmpty:
            questionCount += 1
            return "?\(questionCount)"
        case "$" where language == .postgresql && isNumber: return text
        case "$" where language == .sqlite && !rest.isEmpty: return text
        case "@" where language == .sqlite && !rest.isEmpty: return text
        case ":" where !rest.isEmpty && !isNumber: return text
        default: return nil
        }
    }

    /// What is sent.
    /// - Parameter value: of a placeholder, by its name with its sign.
    /// - Returns: the text in the engine's own notation, and the values for it.
    /// - Throws: what `value` throws.
    func bound(_ value: (String) throws -> Value) throws -> (sql: String, parameters: Parameters) {
        var values: [String: Value] = [:]
        for name in names where values[name] == nil { values[name] = try value(name) }
        let areNumbered = names.allSatisfy { $0.hasPrefix("?") }
        if language == .sqlite {
            let sql = String(decoding: bytes, as: UTF8.self)
            guard areNumbered else {
                let pairs = values.map { (String($0.key.dropFirst()), $0.value) }
                return (sql, .named(Dictionary(pairs) { first, _ in first }))
            }
            let count = names.compactMap { Int($0.dropFirst()) }.max() ?? 0
            guard count <= 32766 else { return (sql, .none) }
            return (sql, .positional((1...max(1, count)).map { values["?\($0)"] ?? .null }))
        }
        return rewritten(values)
    }

    private func rewritten(_ values: [String: Value]) -> (sql: String, parameters: Parameters) {
        var sql: [UInt8] = []
        var given: [Value] = []
        // Numbers of PostgreSQL stay; names get the ones behind.
        if language == .postgresql {
            let count = names.filter { $0.hasPrefix("$") }.compactMap { Int($0.dropFirst()) }.max() ?? 0
            given = (1..<(min(count, 65535) + 1)).map { values["$\($0)"] ?? .null }
        }
        var numbers: [String: Int] = [:]
        var end = 0
        for (name, range) in zip(names, ranges) {
            sql += bytes[end..<range.lowerBound]
            end = range.upperBound
            if language == .postgresql, name.hasPrefix("$") {
                sql += bytes[range]
            } else if language == .postgresql {
                if numbers[name] == nil {
                    given.append(values[name] ?? .null)
                    numbers[name] = given.count
                }
                sql += "$\(numbers[name] ?? 0)".utf8
            } else {
                sql.append(UInt8(ascii: "?"))
                given.append(values[name] ?? .null)
            }
        }
        sql += bytes[end...]
        return (String(decoding: sql, as: UTF8.self), .positional(given))
    }
}
