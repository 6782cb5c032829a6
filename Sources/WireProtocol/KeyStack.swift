// Finds duplicate keys in maps, including nested ones, in O(n log n) for any keys.
//
// Used by the MessagePack validator and by the JSON transcoder while they walk a body once.

/// The keys of all open maps, with those of the innermost map on top.
///
/// A small map is compared pair by pair. A large one is sorted when it ends: no hash, so that no choice of keys makes it
/// slow. Does not allocate until there are more than `inlineCapacity` keys.
struct KeyStack: ~Copyable {
    /// Where a key's text lies: its offset in the upper half, its length in the lower. One word, so that the array below
    /// is cleared at once.
    typealias Key = UInt64

    private static var inlineCapacity: Int { 24 }
    /// Above this many keys a map is sorted.
    private static var pairwiseCountMax: Int { 16 }

    private var inline = InlineArray<24, Key>(repeating: 0)
    private var spilled: [Key] = []
    /// The number of keys on the stack, which is where the next map's keys begin.
    private(set) var count = 0

    /// Puts a key of the innermost map on top; returns `false` when there are too many.
    mutating func push(offset: Int, byteCount: Int) -> Bool {
        guard count < WireLimits.openMapKeyCountMax else { return false }
        let key = Key(truncatingIfNeeded: offset) &<< 32 | Key(truncatingIfNeeded: byteCount)
        if count < Self.inlineCapacity {
            inline[count] = key
        } else {
            spilled.append(key)
        }
        count &+= 1
        return true
    }

    /// Ends the innermost map, whose keys begin at `start`; returns the offset of a key that occurs twice.
    ///
    /// `start` is `count` from before the map's first key; the keys' offsets count in `bytes`.
    mutating func closeMap(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        let size = count &- start
        if size == 0 { return nil }
        let duplicate: Int?
        if size == 1 {
            duplicate = nil
        } else if size <= Self.pairwiseCountMax && count <= Self.inlineCapacity {
            duplicate = Self.pairwise(inline.span, start..<count, in: bytes)
        } else {
            duplicate = sorted(from: start, in: bytes)
        }
        drop(to: start)
        return duplicate
    }

    private mutating func drop(to start: Int) {
        let spilledCount = max(0, start &- Self.inlineCapacity)
        if spilled.count > spilledCount { spilled.removeLast(spilled.count &- spilledCount) }
        count = start
    }

    private static func pairwise(_ keys: Span<Key>, _ range: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Int? {
        for later in range.dropFirst() {
            let key = keys[later]
            for earlier in range.lowerBound..<later
            where keys[earlier].byteCount == key.byteCount && key.text(in: bytes).equals(keys[earlier].text(in: bytes))
            {
                return key.offset
            }
        }
        return nil
    }

    private func sorted(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        var keys: [Key] = []
        keys.reserveCapacity(count &- start)
        for index in start..<count {
            keys.append(index < Self.inlineCapacity ? inline[index] : spilled[index &- Self.inlineCapacity])
        }
        keys.sort { left, right in
            left.byteCount != right.byteCount
                ? left.byteCount < right.byteCount : left.text(in: bytes).precedes(right.text(in: bytes))
        }
        for index in 1..<keys.count
        where keys[index].byteCount == keys[index &- 1].byteCount
            && keys[index].text(in: bytes).equals(keys[index &- 1].text(in: bytes))
        {
            return max(keys[index].offset, keys[index &- 1].offset)
        }
        return nil
    }
}

extension KeyStack.Key {
    fileprivate var offset: Int { Int(self &>> 32) }
    fileprivate var byteCount: Int { Int(self & 0xffff_ffff) }

    fileprivate func text(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        bytes.slice(offset..<offset &+ byteCount)
    }
}
