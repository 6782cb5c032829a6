// "Did you mean …": the nearest known name.

/// Finds the name that somebody probably meant.
package enum Suggestion {
    /// Longer ones are nobody's mistyped name.
    private static let textByteCountMax = 64

    /// - Returns: the one that it abbreviates, else the nearest of `names` by edit distance; `nil` when none is near (more
    ///   than a third of its letters differ, of a short one half). Capital letters are as good as small ones.
    package static func nearest(to text: String, in names: [String]) -> String? {
        let wanted = lowercased(text)
        guard wanted.count <= textByteCountMax else { return nil }
        if wanted.count >= 3, let whole = names.first(where: { lowercased($0).starts(with: wanted) }) { return whole }
        var best: (name: String, distance: Int)?
        for name in names {
            let (count, most) = (name.utf8.count, min(max(2, name.utf8.count / 3), name.utf8.count / 2))
            // The difference in length is the least that it can be.
            guard abs(count - wanted.count) <= most else { continue }
            let distance = distance(wanted, lowercased(name))
            if distance <= most, distance < best?.distance ?? .max { best = (name, distance) }
        }
        return best?.name
    }

    /// ASCII's letters, as in the names of settings, flags and databases.
    private static func lowercased(_ text: String) -> [UInt8] {
        text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
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
