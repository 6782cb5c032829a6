// Places of a text within another one, byte by byte: an accent behind a character must not hide the character from us.

extension StringProtocol {
    /// Whether it has `text` somewhere.
    func contains(text: StaticString) -> Bool { range(ofText: text) != nil }

    /// The first place of `text`, or the last one; `nil` where it is not found, and for an empty one.
    func range(ofText text: StaticString, last: Bool = false) -> Range<String.Index>? {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard let first = wanted.first else { return nil }
        var rest = utf8[...]
        var found: Range<String.Index>?
        while found == nil || last, let start = rest.firstIndex(of: first) {
            if rest[start...].starts(with: wanted) {
                found = start..<rest.index(start, offsetBy: wanted.count)
            }
            rest = rest[start...].dropFirst()
        }
        return found
    }
}
