// Names of tables as arguments of dot commands.

/// The possible meanings of a name.
enum ObjectName {
    struct Qualified: Equatable {
        var schema: String?
        /// Empty for all.
        var name: String
    }

    private static let ends: [Character: Character] = ["\"": "\"", "`": "`", "[": "]", "'": "'"]

    /// For engines that take a name as it is: without the quotes around it, then with them.
    static func spellings(of text: String) -> [String] {
        guard text.count >= 2, let first = text.first, let end = ends[first], text.last == end else { return [text] }
        var inner = ""
        var isDoubled = false
        for character in text.dropFirst().dropLast() {
            isDoubled = character == end && !isDoubled
            if !isDoubled { inner.append(character) }
        }
        return [inner, text]
    }

    /// As PostgreSQL reads it: in lower case unless quoted, possibly with a schema. After that, as typed.
    /// - Source: https://www.postgresql.org/docs/15/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
    static func postgreSQLNames(of text: String) -> [Qualified] {
        let asTyped = Qualified(schema: nil, name: text)
        guard let parts = parts(of: text), let name = parts.last, parts.count <= 2 else { return [asTyped] }
        let read = Qualified(schema: parts.count == 2 ? parts[0] : nil, name: name)
        return read == asTyped ? [read] : [read, asTyped]
    }

    private static func parts(of text: String) -> [String]? {
        var parts: [String] = []
        var rest = text[...]
        repeat {
            if !parts.isEmpty { rest = rest.dropFirst() }
            guard let part = rest.first == "\"" ? quoted(&rest) : plain(&rest) else { return nil }
            parts.append(part)
        } while rest.first == "."
        return rest.isEmpty ? parts : nil
    }

    private static func plain(_ rest: inout Substring) -> String? {
        let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "$" }
        rest = rest[word.endIndex...]
        // Only ASCII's letters, as in a database of UTF-8.
        return word.isEmpty ? nil : String(word.map { $0.isASCII ? Character($0.lowercased()) : $0 })
    }

    private static func quoted(_ rest: inout Substring) -> String? {
        var name = ""
        var inner = rest.dropFirst()
        while let character = inner.popFirst() {
            guard character == "\"" else {
                name.append(character)
                continue
            }
            if inner.first == "\"" {
                name.append("\"")
                inner = inner.dropFirst()
            } else {
                rest = inner
                return name.isEmpty ? nil : name
            }
        }
        return nil
    }
}
