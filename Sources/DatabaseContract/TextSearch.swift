// Searches a text byte by byte: a combining accent after a character must not hide that character.

extension StringProtocol {
    /// Whether it has `text` somewhere.
    package func contains(text: StaticString) -> Bool { range(ofText: text) != nil }

    /// The first or the last position of `text`; `nil` if it does not occur or is empty.
    package func range(ofText text: StaticString, last: Bool = false) -> Range<String.Index>? {
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

extension String {
    /// The text with every occurrence of `secret` replaced by `***`.
    package func hiding(_ secret: String) -> String {
        let (bytes, wanted) = (Array(utf8), Array(secret.utf8))
        guard let first = wanted.first, bytes.count >= wanted.count else { return self }
        var shown: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == first, bytes[index...].starts(with: wanted) {
                shown += Array("***".utf8)
                index += wanted.count
            } else {
                shown.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: shown, as: UTF8.self)
    }
}
