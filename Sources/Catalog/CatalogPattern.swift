// How well a name fits a search text.

/// A search text: what begins with it, what has it as acronym, and what has its characters in their order.
///
/// Case of ASCII letters counts for nothing.
public struct CatalogPattern: Sendable {
    let folded: [UInt8]
    private let letters: UInt32
    /// What the initials of a name begin with if this is its acronym; `nil`: it is that of no name.
    let initials: Initials?

    /// How well a name fits: the smaller, the better.
    public typealias Rank = UInt32

    enum Class: UInt32 { case equal, prefix, acronym, part, subsequence }

    /// Longer search texts find nothing: nobody types so much of a name.
    public static let byteCountMax = 1_024

    public init(_ text: UnsafeRawBufferPointer) {
        folded = text.map(\.folded)
        letters = text.letters
        initials = Initials(folded)
    }

    public var isEmpty: Bool { folded.isEmpty }

    /// Whether a name with these letters (`letters`) may fit.
    @inline(__always)
    func mayFit(_ letters: UInt32) -> Bool { self.letters & ~letters == 0 }

    /// Whether it is the acronym of a name.
    func isAcronym(of name: UnsafeRawBufferPointer) -> Bool {
        !folded.isEmpty && folded.withUnsafeBytes { Self.isAcronym($0, of: name) }
    }

    /// - Returns: `nil` if the name does not fit.
    /// - Cost: linear in the name.
    public func rank(_ name: UnsafeRawBufferPointer) -> Rank? {
        guard folded.count <= name.count else { return nil }
        return folded.withUnsafeBytes { pattern in
            if name.start(pattern.count).comparedFolded(to: pattern) == 0 {
                return Self.rank(name.count == pattern.count ? .equal : .prefix, name.count)
            }
            guard let span = Self.span(of: pattern, in: name) else { return nil }
            if Self.isAcronym(pattern, of: name) { return Self.rank(.acronym, name.count) }
            return Self.rank(
                span.count == pattern.count ? .part : .subsequence, span.count - pattern.count + span.lowerBound)
        }
    }

    static func rank(_ class: Class, _ rest: Int) -> Rank { `class`.rawValue << 24 | UInt32(min(rest, 0xff_ffff)) }

    /// Where the characters are in their order: found from the front, then drawn together from the back.
    private static func span(of pattern: UnsafeRawBufferPointer, in name: UnsafeRawBufferPointer) -> Range<Int>? {
        var (index, found) = (0, 0)
        while found < pattern.count {
            guard index < name.count else { return nil }
            if name[index].folded == pattern[found] { found += 1 }
            index += 1
        }
        var start = index
        while found > 0 {
            start -= 1
            if name[start].folded == pattern[found - 1] { found -= 1 }
        }
        return start..<index
    }

    /// The beginning of an acronym, as it is compared with the first letters of a name's words (`initials`).
    struct Initials: Sendable {
        private let start: UInt64
        private let mask: UInt64
        /// Whether what begins so may differ in what follows.
        let isPartial: Bool

        /// - Parameter pattern: in small letters.
        init?(_ pattern: [UInt8]) {
            guard !pattern.isEmpty, pattern.allSatisfy(\.isOfWord) else { return nil }
            var (start, mask): (UInt64, UInt64) = (0, 0)
            for (index, byte) in pattern.prefix(RelationNames.initialCountMax).enumerated() {
                let shift = UInt64(8 * (RelationNames.initialCountMax - 1 - index))
                start |= UInt64(byte) << shift
                mask |= 0xff << shift
            }
            (self.start, self.mask) = (start, mask)
            isPartial = pattern.count > RelationNames.initialCountMax
        }

        @inline(__always)
        func begin(_ initials: UInt64) -> Bool { initials & mask == start }
    }

    /// Whether the words of the name begin with these characters, from the first word on.
    private static func isAcronym(_ pattern: UnsafeRawBufferPointer, of name: UnsafeRawBufferPointer) -> Bool {
        var found = 0
        for index in name.indices where name.beginsWord(at: index) {
            guard name[index].folded == pattern[found] else { return false }
            found += 1
            if found == pattern.count { return true }
        }
        return false
    }
}

extension UnsafeRawBufferPointer {
    /// Which letters, digits and other characters of ASCII there are, one bit for one or a few of them.
    var letters: UInt32 {
        var letters: UInt32 = 0
        for byte in self {
            switch byte.folded {
            case 0x61...0x7a: letters |= 1 << UInt32(byte.folded - 0x61)
            case 0x30...0x39: letters |= 1 << 26
            case 0x5f: letters |= 1 << 27
            case 0x80...: letters |= 1 << 28
            default: letters |= 1 << 29
            }
        }
        return letters
    }

    /// The first letters of its words in small letters, the first one in the highest byte.
    var initials: UInt64 {
        var (initials, found): (UInt64, Int) = (0, 0)
        for index in indices where beginsWord(at: index) {
            found += 1
            initials |= UInt64(self[index].folded) << UInt64(8 * (RelationNames.initialCountMax - found))
            if found == RelationNames.initialCountMax { break }
        }
        return initials
    }

    /// `order_items`, `orderItems` and `order items` have two words each.
    fileprivate func beginsWord(at index: Int) -> Bool {
        let byte = self[index]
        guard byte.isOfWord else { return false }
        guard index > 0 else { return true }
        let last = self[index - 1]
        return !last.isOfWord || (byte.isUppercase && !last.isUppercase)
    }
}

extension UInt8 {
    fileprivate var isUppercase: Bool { self &- 0x41 < 26 }
    fileprivate var isOfWord: Bool { folded &- 0x61 < 26 || self &- 0x30 < 10 || self >= 0x80 }
}
