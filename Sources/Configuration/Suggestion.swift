// "Did you mean …": the nearest known name.

/// Finds the name that somebody probably meant.
enum Suggestion {
    /// - Returns: the one that it abbreviates, else the nearest of `names` by edit distance; `nil` when none is near (more
    ///   than a third of its letters differ, of a short one half).
    static func nearest(to text: String, in names: [String]) -> String? {
        guard text.utf8.count <= 64 else { return nil }
        if text.utf8.count >= 3, let whole = names.first(where: { $0.hasPrefix(text) }) { return whole }
        let best = names.map { ($0, distance(Array(text.utf8), Array($0.utf8))) }.min { $0.1 < $1.1 }
        guard let (name, distance) = best, distance <= min(max(2, name.utf8.count / 3), name.utf8.count / 2) else {
            return nil
        }
        return name
    }

    // Levenshtein's distance, one row of the table at a time.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let replaced = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
