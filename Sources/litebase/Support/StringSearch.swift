// Text within text. Swift has this in _StringProcessing, which brings the engine of regular expressions: 1 MB of program for what
// are some lines here. Package.swift keeps that module out, so these are found by the same names.

extension StringProtocol {
    /// Where `part` is for the first time, character by character; an empty one is at the beginning.
    func firstRange(of part: some StringProtocol) -> Range<Index>? {
        var start = startIndex
        while true {
            let rest = self[start...]
            if rest.starts(with: part) { return start..<index(start, offsetBy: part.count) }
            guard start < endIndex else { return nil }
            formIndex(after: &start)
        }
    }

    func contains(_ part: some StringProtocol) -> Bool { firstRange(of: part) != nil }

    /// The parts between the separators, before the first and after the last.
    func split(separator: some StringProtocol, omittingEmptySubsequences: Bool = true) -> [SubSequence] {
        precondition(!separator.isEmpty, "an empty separator is everywhere")
        var parts: [SubSequence] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        parts.append(rest)
        return omittingEmptySubsequences ? parts.filter { !$0.isEmpty } : parts
    }
}
