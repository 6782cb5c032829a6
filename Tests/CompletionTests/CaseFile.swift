// Cases of completion as text: `Cases/*.txt`, a line for each.

import Completion
import Glibc

/// One case: a text with the cursor, and what is expected there.
///
/// `SELECT na| FROM customers => name` says that `name` is the first item. The cursor is the bar that has no other beside it.
/// Behind `=>`, with ` ; ` between them: the texts of the first items in order; `.` as the last: there are no others; `-`: there is
/// nothing; `+x`: it is somewhere among the items; `!x`: it is not; `\n` in a text is a line feed; `=> {a b} …` gives `recent`.
struct CompletionCase: CustomStringConvertible, Sendable {
    var file: String
    var line: Int
    var source: String
    var text: [UInt8]
    var cursor: Int
    var expected: [String]
    var recent: [String] = []

    var description: String { "\(file):\(line): \(source)" }

    init?(_ source: String, file: String, line: Int) {
        guard let arrow = source.firstRange(of: " => ") else { return nil }
        (self.file, self.line, self.source) = (file, line, source)
        var bytes = Array(String(source[..<arrow.lowerBound]).utf8)
        while let place = bytes.firstIndex(of: UInt8(ascii: "\\")), place + 1 < bytes.count,
            bytes[place + 1] == UInt8(ascii: "n")
        {
            bytes.replaceSubrange(place...place + 1, with: [0x0a])
        }
        let bar = UInt8(ascii: "|")
        let place = bytes.indices.first { index in
            bytes[index] == bar && (index == 0 || bytes[index - 1] != bar)
                && (index + 1 == bytes.count || bytes[index + 1] != bar)
        }
        guard let place else { return nil }
        bytes.remove(at: place)
        (text, cursor) = (bytes, place)
        var rest = String(source[arrow.upperBound...])
        if rest.hasPrefix("{"), let close = rest.firstIndex(of: "}") {
            recent = rest[rest.index(after: rest.startIndex)..<close].split(separator: " ").map(String.init)
            rest = String(rest[rest.index(close, offsetBy: 2)...])
        }
        expected = rest.components(separatedBy: " ; ")
    }

    /// What is wrong with the items; `nil` if nothing.
    func complaint(_ items: [CompletionItem]) -> String? {
        let texts = items.map(\.text)
        if expected == ["-"] { return texts.isEmpty ? nil : "nothing was expected: \(texts.prefix(8))" }
        var place = 0
        for entry in expected {
            switch entry.first {
            case "+" where entry.count > 1:
                if !texts.contains(String(entry.dropFirst())) { return "\(entry) is missing in \(texts.prefix(30))" }
            case "!" where entry.count > 1:
                if texts.contains(String(entry.dropFirst())) { return "\(entry) was proposed" }
            case "." where entry.count == 1:
                if place != texts.count { return "others were proposed: \(texts.dropFirst(place).prefix(8))" }
            default:
                guard place < texts.count, texts[place] == entry else {
                    return "\(entry) was expected as number \(place + 1): \(texts.prefix(8))"
                }
                place += 1
            }
        }
        return nil
    }

    /// The cases of one dialect, and those that all dialects of SQL share.
    static func read(_ dialect: CompletionDialect) -> [CompletionCase] {
        (dialect == .redis ? [] : read("sql.txt")) + read("\(dialect.rawValue).txt")
    }

    private static func read(_ name: String) -> [CompletionCase] {
        let folder = "\(#filePath)".prefix(upTo: "\(#filePath)".lastIndex(of: "/") ?? "".endIndex)
        guard let file = fopen("\(folder)/Cases/\(name)", "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        return lines.enumerated().compactMap { number, line in
            line.isEmpty || line.hasPrefix("#") ? nil : CompletionCase(String(line), file: name, line: number + 1)
        }
    }
}

extension String {
    func firstRange(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }

    func components(separatedBy text: String) -> [String] {
        var parts: [String] = []
        var rest = self
        while let range = rest.firstRange(of: text) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = String(rest[range.upperBound...])
        }
        return parts + [rest]
    }
}
