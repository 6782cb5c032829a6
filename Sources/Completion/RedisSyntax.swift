// The arguments of a command of Redis, as its documentation writes them.

/// `key value [NX | XX] [EX seconds | PX milliseconds]`, see `Syntax`.
struct RedisSyntax {
    struct Next: Equatable {
        var options: [String] = []
        var takesKey = false
    }

    private let syntax: Syntax

    init(_ syntax: String) { self.syntax = Syntax(syntax) }

    /// What may stand behind the words that are given.
    func next(behind given: [String]) -> Next {
        var next = Next()
        for step in syntax.steps(behind: given.lazy.map { .word($0.uppercased()) }) {
            switch step.first {
            case .word(let text): if !next.options.contains(text) { next.options.append(text) }
            case .name(let name): if Self.isKey(name) { next.takesKey = true }
            default: break
            }
        }
        return next
    }

    private static let keys: Set<String> = ["source", "destination", "src", "dst"]

    /// Whether the user chooses a key: `key`, `newkey`, `key1`.
    private static func isKey(_ name: String) -> Bool {
        keys.contains(name) || name.hasPrefix("key") || name.hasSuffix("key")
    }

    /// `EX seconds` of `EX`.
    func detail(of option: String) -> String { syntax.value(of: option).map { "\(option) \($0)" } ?? option }

    /// A key as a word of a command line.
    static func quoted(_ key: String) -> String {
        let needsQuotes =
            key.utf8.contains { $0 <= 0x20 || $0 == 0x22 || $0 == 0x27 || $0 == 0x5c || $0 == 0x7f } || key.isEmpty
        guard needsQuotes else { return key }
        var text = "\""
        for scalar in key.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
