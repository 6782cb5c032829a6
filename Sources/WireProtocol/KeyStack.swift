// Finds duplicate keys in maps, nested ones included, in O(n log n) whatever the keys are.
//
// Used by the MessagePack validator and by the JSON transcoder while they walk a body once.

/// The keys of all the maps that are open at one place, the innermost map's on top.
///
/// A small map is compared pair by pair. A large one is sorted when it ends: no hash, so that no choice of keys makes it
/// slow. Does not allocate until there are more than `inlineCapacity` keys.
struct KeyStack: ~Copyable {
    /// Where a key's text lies.
    struct Key {
        var offset: UInt32
        var byteCount: UInt32
    }

    private static var inlineCapacity: Int { 24 }
    /// Above this many keys a map is sorted.
    private static var pairwiseCountMax: Int { 16 }

    private var inline = InlineArray<24, Key>(repeating: Key(offset: 0, byteCount: 0))
    private var spilled: [Key] = []
    /// How many keys are on the stack: where the next map's begin.
    private(set) var count = 0

    /// Puts a key of the innermost map on top; returns `false` when there are too many.
    mutating func push(offset: Int, byteCount: Int) -> Bool {
        guard count < WireLimits.openMapKeyCountMax else { return false }
        let key = Key(offset: UInt32(truncatingIfNeeded: offset), byteCount: UInt32(truncatingIfNeeded: byteCount))
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
        if size <= 1 {
            if size == 1 { drop(to: start) }
            return nil
        }
        let duplicate =
            size <= Self.pairwiseCountMax ? pairwise(from: start, in: bytes) : sorted(from: start, in: bytes)
        drop(to: start)
        return duplicate
    }

    private mutating func drop(to start: Int) {
        let spilledCount = max(0, start &- Self.inlineCapacity)
        if spilled.count > spilledCount { spilled.removeLast(spilled.count &- spilledCount) }
        count = start
    }

    private subscript(_ index: Int) -> Key {
        index < Self.inlineCapacity ? inline[index] : spilled[index &- Self.inlineCapacity]
    }

    private func pairwise(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        for later in start &+ 1..<count {
            let key = self[later]
            for earlier in start..<later
            where self[earlier].byteCount == key.byteCount && key.text(in: bytes).equals(self[earlier].text(in: bytes))
            {
                return Int(key.offset)
            }
        }
        return nil
    }

    private func sorted(from start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        var keys: [Key] = []
        keys.reserveCapacity(count &- start)
        for index in start..<count { keys.append(self[index]) }
        keys.sort { left, right in
            left.byteCount != right.byteCount
                ? left.byteCount < right.byteCount : left.text(in: bytes).precedes(right.text(in: bytes))
        }
        for index in 1..<keys.count
        where keys[index].byteCount == keys[index &- 1].byteCount
            && keys[index].text(in: bytes).equals(keys[index &- 1].text(in: bytes))
        {
            return Int(max(keys[index].offset, keys[index &- 1].offset))
        }
        return nil
    }
}

extension KeyStack.Key {
    fileprivate func text(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        bytes.slice(Int(offset)..<Int(offset) &+ Int(byteCount))
    }
}
