// The arguments of a command of Redis, as its documentation writes them.

/// `key value [NX | XX] [EX seconds | PX milliseconds]`: names that are required, then options. Words in capitals are written as they
/// are; `key [key ...]` repeats.
struct RedisSyntax {
    struct Next: Equatable {
        var options: [String] = []
        var takesKey = false
    }

    private struct Part {
        var text: String
        /// Which brackets it stands in; 0 for none.
        var group: Int
        /// Which of the alternatives in them.
        var alternative: Int
        var isWord: Bool { text.utf8.allSatisfy { !(0x61...0x7a).contains($0) } && !text.isEmpty }
    }

    private var required: [Part] = []
    private var optional: [Part] = []
    /// Whether the required ones go on: `key [key ...]`.
    private var repeats: [String] = []

    init(_ syntax: String) {
        var (group, depth, alternative) = (0, 0, 0)
        var word = ""
        func end(_ parts: inout (required: [Part], optional: [Part], repeats: [String]), _ word: inout String) {
            guard !word.isEmpty else { return }
            if word == "..." {
                parts.repeats = parts.optional.filter { $0.group == group }.map(\.text)
                if parts.repeats.contains(where: { name in parts.required.contains { $0.text == name } }) {
                    parts.optional.removeAll { $0.group == group }
                }
            } else if depth == 0 {
                parts.required.append(Part(text: word, group: 0, alternative: alternative))
            } else {
                parts.optional.append(Part(text: word, group: group, alternative: alternative))
            }
            word = ""
        }
        var parts: (required: [Part], optional: [Part], repeats: [String]) = ([], [], [])
        for character in syntax {
            switch character {
            case " ": end(&parts, &word)
            case "[":
                end(&parts, &word)
                if depth == 0 { group += 1 }
                if depth == 0 { alternative = 0 }
                depth += 1
            case "]":
                end(&parts, &word)
                depth = max(depth - 1, 0)
            case "|":
                end(&parts, &word)
                alternative += 1
            case "<", ">": end(&parts, &word)
            default: word.append(character)
            }
        }
        end(&parts, &word)
        (required, optional, repeats) = (parts.required, parts.optional, parts.repeats)
    }

    /// What may stand behind the words that are given.
    func next(behind given: [String]) -> Next {
        var next = Next()
        let places = places
        if given.count < places.count {
            for part in places[given.count] { take(part, &next) }
            return next
        }
        let last = given.last?.uppercased() ?? ""
        let options = given.dropFirst(places.count).map { $0.uppercased() }
        // The value of an option is a word of its own.
        if let value = argument(of: last), options.contains(last) {
            take(value, &next)
            return next
        }
        let used = Set(optional.filter { $0.isWord && options.contains($0.text) }.map(\.group))
        for part in optional where !used.contains(part.group) { take(part, isFirst: isFirst(part), &next) }
        if repeats.first == "key" {
            next.takesKey = repeats.count == 1 || (given.count - places.count) % repeats.count == 0
        }
        return next
    }

    /// The required words, those that exclude each other together.
    private var places: [[Part]] {
        var result: [[Part]] = []
        var last = 0
        for part in required {
            if part.alternative > last, !result.isEmpty {
                result[result.count - 1].append(part)
            } else {
                result.append([part])
            }
            last = part.alternative
        }
        return result
    }

    private func take(_ part: Part, isFirst: Bool = true, _ next: inout Next) {
        if part.isWord {
            if isFirst { next.options.append(part.text) }
        } else if isFirst, Self.keys.contains(part.text) {
            next.takesKey = true
        }
    }

    private static let keys: Set<String> = ["key", "source", "destination", "newkey", "pattern-key"]

    /// Whether an option begins with it.
    private func isFirst(_ part: Part) -> Bool {
        part.isWord
            || optional.first { $0.group == part.group && $0.alternative == part.alternative }?.text == part.text
    }

    private func argument(of option: String) -> Part? {
        guard let index = optional.firstIndex(where: { $0.isWord && $0.text == option }), index + 1 < optional.count
        else { return nil }
        let value = optional[index + 1]
        return value.group == optional[index].group && value.alternative == optional[index].alternative && !value.isWord
            ? value : nil
    }

    /// `EX seconds` of `EX`.
    func detail(of option: String) -> String { argument(of: option).map { "\(option) \($0.text)" } ?? option }

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
