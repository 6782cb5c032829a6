// The argument parser suggests the option with the nearest name, however far that is: `--url` for `--file`.

enum OptionSuggestion {
    /// The message without a suggestion that misleads; `nil` when there is none.
    static func removed(from message: String) -> String? {
        guard let start = message.firstRange(of: ". Did you mean '"),
            let option = message.firstRange(of: "Unknown option '"),
            option.upperBound <= start.lowerBound
        else { return nil }
        let given = message[option.upperBound..<start.lowerBound].drop { $0 == "-" }.prefix { $0 != "'" }
        let rest = message[start.upperBound...]
        guard let end = rest.firstRange(of: "'?") else { return nil }
        let meant = rest[..<end.lowerBound].drop { $0 == "-" }
        if isNear(String(given), String(meant)) { return nil }
        return "\(message[..<start.lowerBound]).\(rest[end.upperBound...])"
    }

    /// Whether the one may be a mistyped form of the other: at most a third of it differs, or it is its beginning.
    static func isNear(_ given: String, _ meant: String) -> Bool {
        if given.utf8.count >= 2, meant.hasPrefix(given) || given.hasPrefix(meant) { return true }
        var row = Array(0...meant.utf8.count)
        for (i, a) in given.utf8.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in meant.utf8.enumerated() {
                let replaced = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[meant.utf8.count] <= max(1, meant.utf8.count / 3)
    }
}
