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
        return NearName.distance(given, meant) <= max(1, meant.utf8.count / 3)
    }
}

/// Names that may have been meant.
enum NearName {
    /// The nearest of some names: the one of which it is the beginning, or from which at most a third of it differs.
    static func of(_ given: String, among names: [String]) -> String? {
        if given.utf8.count > 2, let whole = names.first(where: { $0.hasPrefix(given) }) { return whole }
        let near = names.map { (name: $0, distance: distance(given, $0)) }.min { $0.distance < $1.distance }
        return near.flatMap { $0.distance <= max(1, $0.name.utf8.count / 3) ? $0.name : nil }
    }

    /// How many letters have to be inserted, removed, replaced, or exchanged with the next one.
    static func distance(_ given: String, _ meant: String) -> Int {
        let (given, meant) = (Array(given.utf8), Array(meant.utf8))
        var former: [Int] = []
        var last = Array(0...meant.count)
        for i in given.indices {
            var row = [i + 1]
            for j in meant.indices {
                var least = min(last[j] + (given[i] == meant[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, given[i] == meant[j - 1], given[i - 1] == meant[j] {
                    least = min(least, former[j - 1] + 1)
                }
                row.append(least)
            }
            (former, last) = (last, row)
        }
        return last[meant.count]
    }
}
