// The names of relations as a search reads them.

/// The names of all relations, one behind the other in small letters, in the order of the index; and of each what rules it out unread.
///
/// A search reads these few bytes of each name one after the other; the names as they are lie anywhere in the pool.
/// - Cost: 16 bytes for each relation, and its name's.
struct RelationNames {
    /// In small letters (ASCII), and eight bytes more: a word is read at any place.
    private var folded: [UInt8] = []
    /// By relation, and one more: where its name begins.
    private var starts: [UInt32] = []
    /// By relation: which letters its name has.
    private var letters: [UInt32] = []
    /// By relation: the first letters of its words in small letters, the first one in the highest byte; zeros behind the last one.
    private var initials: [UInt64] = []

    /// How many words of a name have their first letter in `initials`.
    static let initialCountMax = 8

    init(_ relations: [RelationRecord], _ pool: borrowing CatalogPool) {
        let byteCount = relations.reduce(Self.padding) { $0 + pool.bytes($1.name).count }
        folded.reserveCapacity(byteCount)
        starts.reserveCapacity(relations.count + 1)
        letters.reserveCapacity(relations.count)
        initials.reserveCapacity(relations.count)
        for relation in relations { append(pool.bytes(relation.name)) }
        starts.append(UInt32(folded.count))
        folded.append(contentsOf: repeatElement(0, count: Self.padding))
    }

    private static let padding = 8

    /// Bytes that the names of relations need here.
    static func byteCount(relations: Int, names: Int) -> Int { relations * 16 + names + 4 + padding }

    private mutating func append(_ name: UnsafeRawBufferPointer) {
        starts.append(UInt32(folded.count))
        letters.append(name.letters)
        initials.append(name.initials)
        for byte in name { folded.append(byte.folded) }
    }

    /// Bytes of a name.
    func count(_ relation: Int) -> Int { Int(starts[relation + 1] &- starts[relation]) }

    // MARK: Searches

    /// Calls `take` with each relation of a range whose first letters of words begin so.
    @inline(__always)
    func each(in range: Range<Int>, withInitials wanted: CatalogPattern.Initials, _ take: (Int) -> Void) {
        initials.withUnsafeBufferPointer { initials in
            for relation in range where wanted.begin(initials[relation]) { take(relation) }
        }
    }

    /// Calls `take` with each relation of a range whose name has the characters of a pattern in their order; with where the last one ends,
    /// each taken at its first place behind the one before; and with whether they lie side by side there.
    @inline(__always)
    func each(in range: Range<Int>, having pattern: CatalogPattern, _ take: (Int, Int, Bool) -> Void) {
        letters.withUnsafeBufferPointer { letters in
            starts.withUnsafeBufferPointer { starts in
                folded.withUnsafeBytes { all in
                    pattern.folded.withUnsafeBytes { wanted in
                        for relation in range where pattern.mayFit(letters[relation]) {
                            let (start, end) = (Int(starts[relation]), Int(starts[relation + 1]))
                            guard let last = Self.end(of: wanted, in: all, start, end) else { continue }
                            let isPart = Self.has(wanted, in: all, endingAt: last)
                            take(relation, last - start, isPart)
                        }
                    }
                }
            }
        }
    }

    /// Where the last of the characters ends in a name, which lies from `start` to `end` in all of them; these have eight bytes more.
    ///
    /// - Returns: `nil` if the name does not have them in their order.
    @inline(__always)
    private static func end(
        of pattern: UnsafeRawBufferPointer, in all: UnsafeRawBufferPointer, _ start: Int, _ end: Int
    ) -> Int? {
        var place = start
        for byte in pattern {
            let wanted = UInt64(byte) &* ones
            while true {
                guard place < end else { return nil }
                let word = UInt64(littleEndian: all.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                // Mycroft's test for a byte that is zero: the lowest bit that is set is that of the first one.
                let other = word ^ wanted
                let found = (other &- ones) & ~other & (ones << 7)
                if found != 0 {
                    place += found.trailingZeroBitCount / 8 + 1
                    break
                }
                place += 8
            }
            // Beyond the end it is the next name's.
            guard place <= end else { return nil }
        }
        return place
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101

    @inline(__always)
    private static func has(
        _ pattern: UnsafeRawBufferPointer, in all: UnsafeRawBufferPointer, endingAt end: Int
    ) -> Bool {
        let start = end - pattern.count
        for index in pattern.indices where all[start + index] != pattern[index] { return false }
        return true
    }
}
