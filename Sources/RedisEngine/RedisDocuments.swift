// What a server says of its commands (COMMAND DOCS, from Redis 7 on), as the lines that the manual has.

internal import Catalog

/// Reads the reply to COMMAND DOCS, as JSON text.
///
/// - Source: https://redis.io/docs/latest/commands/command-docs/, https://redis.io/docs/latest/develop/reference/command-arguments/
enum RedisDocuments {
    struct Command: Equatable {
        /// In capitals, with its subcommand.
        var name: String
        var syntax: String
        var summary: String?
        /// A JSON object.
        var extra: String
    }

    private static let commandCountMax = 5_000
    static let syntaxByteCountMax = 4_096
    /// Commands of a longer name are left out: `SCRIPT|LOAD` has 11.
    private static let nameByteCountMax = 256
    private static let depthMax = 16

    /// - Parameter text: anything; what is not understood is left out.
    /// - Returns: the commands by name; subcommands instead of what contains them.
    static func commands(_ text: [UInt8]) -> [Command] {
        var commands: [Command] = []
        add(commandsOf: RedisDocumentReader.read(text), to: &commands, depth: 0)
        return commands.sorted { $0.name < $1.name }
    }

    private static func add(commandsOf list: RedisDocument, to commands: inout [Command], depth: Int) {
        for (name, document) in list.members
        where commands.count < commandCountMax && name.utf8.count <= nameByteCountMax {
            let parts = document.fields
            if let subcommands = parts["subcommands"], depth == 0 {
                add(commandsOf: subcommands, to: &commands, depth: 1)
                continue
            }
            let line = arguments(parts["arguments"], separator: " ", depth: 0)
            let extra = ["group", "since", "complexity"].compactMap { key in
                parts[key]?.text.map { "\"\(key)\":\(RedisDocument.quoted($0))" }
            }
            commands.append(
                Command(
                    name: Self.plain(name.uppercased(), "|", " "),
                    syntax: line ?? "",
                    summary: parts["summary"]?.text, extra: "{\(extra.joined(separator: ","))}"))
        }
    }

    private static func plain(_ text: String, _ character: Character, _ other: Character) -> String {
        String(text.map { $0 == character ? other : $0 })
    }

    /// Several arguments, one after the other.
    /// - Returns: `nil` if that is longer than `syntaxByteCountMax`.
    private static func arguments(_ list: RedisDocument?, separator: String, depth: Int) -> String? {
        var line = ""
        for (index, document) in (list?.items ?? []).enumerated() {
            guard let text = argument(document, depth: depth) else { return nil }
            if index > 0 { line += separator }
            line += text
            guard line.utf8.count <= syntaxByteCountMax else { return nil }
        }
        return line
    }

    /// As the manual writes it. The length is looked at in every part: what may be repeated is written twice, so that a few nested
    /// blocks would make gigabytes.
    /// - Returns: `nil` if it is longer than `syntaxByteCountMax`.
    static func argument(_ argument: RedisDocument, depth: Int) -> String? {
        guard depth < depthMax else { return "" }
        let parts = argument.fields
        let flags = (parts["flags"]?.items ?? []).compactMap(\.text)
        let name = parts["display_text"]?.text ?? parts["display"]?.text ?? parts["name"]?.text ?? "value"
        let token = parts["token"]?.text.map { $0.isEmpty ? "\"\"" : $0 }
        guard name.utf8.count <= syntaxByteCountMax, (token?.utf8.count ?? 0) <= syntaxByteCountMax else { return nil }
        let isOptional = flags.contains("optional")
        let isRepeated = flags.contains("multiple") || flags.contains("multiple_token")
        var text: String
        switch parts["type"]?.text {
        case "pure-token": text = ""
        case "block":
            guard let inner = arguments(parts["arguments"], separator: " ", depth: depth + 1) else { return nil }
            text = inner
        case "oneof":
            guard let inner = arguments(parts["arguments"], separator: " | ", depth: depth + 1) else { return nil }
            // The brackets of what may be left out hold alternatives together, too.
            text = isOptional && token == nil && !isRepeated ? inner : "<\(inner)>"
        default: text = plain(name.lowercased(), " ", "-")
        }
        if isRepeated, flags.contains("multiple_token"), let token {
            text = "\(token) \(text) [\(token) \(text) ...]"
        } else {
            if isRepeated { text += " [\(text) ...]" }
            if let token { text = text.isEmpty ? token : "\(token) \(text)" }
        }
        if isOptional { text = "[\(text)]" }
        return text.utf8.count <= syntaxByteCountMax ? text : nil
    }
}

/// A value of the reply: a map is a list of names and values in turn.
enum RedisDocument: Equatable {
    case text(String)
    case list([RedisDocument])
    case other

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var items: [RedisDocument] { if case .list(let items) = self { items } else { [] } }

    /// Names and values of a map.
    var members: [(String, RedisDocument)] {
        let items = items
        return stride(from: 0, to: items.count - 1, by: 2).compactMap { index in
            items[index].text.map { ($0, items[index + 1]) }
        }
    }
    var fields: [String: RedisDocument] { Dictionary(members) { first, _ in first } }

    /// A text as JSON.
    static func quoted(_ text: String) -> String { CatalogBuilder.quoted(text) }
}

/// Reads JSON as Redis's scripts write it. A status is an object of one text (`{"ok":"optional"}`), and is read as that text.
struct RedisDocumentReader {
    private let bytes: [UInt8]
    private var place = 0
    private var valueCount = 0
    private static let depthMax = 32
    /// A value takes far more memory than the two bytes of text that it may have.
    static let valueCountMax = 300_000

    static func read(_ bytes: [UInt8]) -> RedisDocument {
        var reader = RedisDocumentReader(bytes: bytes)
        return reader.value(depth: 0) ?? .other
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func next() -> UInt8? {
        guard place < bytes.count else { return nil }
        defer { place += 1 }
        return bytes[place]
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard place < bytes.count, bytes[place] == byte else { return false }
        place += 1
        return true
    }

    /// `nil` where the text ends, or is none of JSON's, or has too many values.
    private mutating func value(depth: Int) -> RedisDocument? {
        valueCount += 1
        guard valueCount <= Self.valueCountMax, depth < Self.depthMax, let first = next() else { return nil }
        switch first {
        case UInt8(ascii: "\""): return string().map { .text($0) }
        case UInt8(ascii: "["): return list(UInt8(ascii: "]"), depth: depth)
        case UInt8(ascii: "{"):
            guard case .list(let items) = list(UInt8(ascii: "}"), depth: depth) else { return nil }
            return items.count == 2 && items[0] == .text("ok") ? items[1] : .list(items)
        default:
            while place < bytes.count, !Self.ends.contains(bytes[place]) { place += 1 }
            return .other
        }
    }

    private static let ends = Array(",]}:".utf8)

    /// The values up to `end`, whatever of `,` and `:` stands between them.
    private mutating func list(_ end: UInt8, depth: Int) -> RedisDocument? {
        var items: [RedisDocument] = []
        if skip(end) { return .list(items) }
        while let item = value(depth: depth + 1) {
            items.append(item)
            switch next() {
            case end: return .list(items)
            case UInt8(ascii: ","), UInt8(ascii: ":"): break
            default: return nil
            }
        }
        return nil
    }

    private mutating func string() -> String? {
        var text: [UInt8] = []
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escape = next() else { return nil }
                switch escape {
                case UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "f"):
                    text.append(UInt8(ascii: " "))
                // Control characters only: cjson writes all others as they are.
                case UInt8(ascii: "u"):
                    for _ in 0..<4 { _ = next() }
                    text.append(UInt8(ascii: " "))
                default: text.append(escape)
                }
            default: text.append(byte)
            }
        }
        return nil
    }
}
