// A `[databases.NAME]` table as text.

/// The content of a drop-in for one database.
struct DatabaseEntry {
    /// Keys with their values, all strings or arrays of strings, in the order of the file.
    enum Value {
        case string(String)
        case strings([String])
        /// As TOML writes it.
        case literal(String)
    }

    let name: String
    var keys: [(name: String, value: Value)]

    /// First line of files that commands may replace or remove.
    static let mark = "# Written by \"litebase config add-database\"."

    var text: String {
        var text = "\(Self.mark)\n[databases.\(isBare ? name : Self.quote(name))]\n"
        for (key, value) in keys {
            switch value {
            case .string(let string): text += "\(key) = \(Self.quote(string))\n"
            case .strings(let strings): text += "\(key) = [\(strings.map(Self.quote).joined(separator: ", "))]\n"
            case .literal(let literal): text += "\(key) = \(literal)\n"
            }
        }
        return text
    }

    /// Reads what a command has written, and perhaps somebody has changed since.
    /// - Returns: its keys; `nil` if it is of another form than `text`.
    static func keys(of text: String) -> [(name: String, value: Value)]? {
        guard text.hasPrefix(mark + "\n") else { return nil }
        let lines = text.split(separator: "\n").dropFirst()
        guard let header = lines.first, header.hasPrefix("[databases."), header.hasSuffix("]") else { return nil }
        var keys: [(name: String, value: Value)] = []
        for line in lines.dropFirst() {
            guard let sign = line.utf8.firstIndex(of: UInt8(ascii: "=")), let end = line.last else { return nil }
            let name = line[..<sign].filter { $0 != " " }
            let value = line[line.index(after: sign)...].drop { $0 == " " }
            guard name.utf8.allSatisfy({ (0x61...0x7a).contains($0) || $0 == 0x5f }), !name.isEmpty, !value.isEmpty,
                end == "\"" || end == "]" || end.isASCII && (end.isLetter || end.isNumber)
            else { return nil }
            keys.append((name, .literal(String(value))))
        }
        return keys
    }

    /// A dot separates keys (TOML 1.0, "Keys").
    private var isBare: Bool { !name.contains(".") }

    /// The error of a database name that is also used as a file name; `nil` for a valid one.
    static func problem(name: String) -> String? {
        let isGood = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        // A file that begins with a dot is not read.
        if isGood, (1...64).contains(name.utf8.count), !name.hasPrefix(".") { return nil }
        return "A name is 1 to 64 of A-Z a-z 0-9 _ - . and does not begin with a dot."
    }

    /// Whether the text of `litebased --check-config` has a database.
    static func isListed(_ name: String, in configuration: String) -> Bool {
        configuration.split(separator: "\n").contains { $0 == "[databases.\(quote(name))]" }
    }

    /// A basic string with its quotes, as `litebased --check-config` writes it (TOML 1.0, "String").
    static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\u{0}"..<" ", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
