// JSON objects, for what only one engine has.

extension CatalogBuilder {
    /// A JSON object on one line; nothing for an empty one.
    func object(_ bytes: UnsafeRawBufferPointer) -> CatalogText {
        if bytes.count <= 4, bytes.allSatisfy({ $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") || $0 <= 0x20 }) {
            return .none
        }
        guard bytes.contains(where: { $0 < 0x20 }) else { return text(bytes) }
        // Between tokens only: within texts they are escaped.
        let line = bytes.map { $0 < 0x20 ? 0x20 : $0 }
        return line.withUnsafeBytes { text($0) }
    }

    func string(_ text: CatalogText) -> String { String(decoding: pool.bytes(text), as: UTF8.self) }

    /// A text as JSON, or null.
    func quoted(_ text: CatalogText) -> String { text.isNone ? "null" : Self.quoted(string(text)) }

    /// A text as JSON.
    public static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// An object with further members.
    func joined(_ object: CatalogText, _ members: [String]) -> String {
        let more = members.joined(separator: ",")
        guard !object.isNone else { return "{\(more)}" }
        var known = string(object)
        while let last = known.last, last != "}" { known.removeLast() }
        return known.dropLast() + ",\(more)}"
    }
}
