// Finding the place of a text while an index is built.

/// A hash table of places, with the texts elsewhere.
struct TextTable {
    private var places: [UInt32]
    private var count = 0

    init() { places = [UInt32](repeating: 0, count: 1 << 10) }

    /// Bytes that it needs while the index is built.
    var byteCount: Int { places.count * MemoryLayout<UInt32>.stride }

    /// The place of the text in the pool, into which it is put if it is not there.
    @inline(__always)
    mutating func intern(_ bytes: UnsafeRawBufferPointer, _ pool: inout CatalogPool) -> CatalogText {
        let hash = Self.hash(bytes)
        var index = Int(truncatingIfNeeded: hash) & (places.count - 1)
        while places[index] != 0 {
            let text = CatalogText(place: places[index])
            if pool.bytes(text).elementsEqualFast(bytes) { return text }
            index = (index + 1) & (places.count - 1)
        }
        let text = pool.append(bytes)
        places[index] = text.place
        count += 1
        if count * 2 > places.count { grow(pool) }
        return text
    }

    private mutating func grow(_ pool: borrowing CatalogPool) {
        let former = places
        places = [UInt32](repeating: 0, count: former.count * 4)
        for place in former where place != 0 {
            var index = Int(truncatingIfNeeded: Self.hash(pool.bytes(CatalogText(place: place)))) & (places.count - 1)
            while places[index] != 0 { index = (index + 1) & (places.count - 1) }
            places[index] = place
        }
    }

    /// Seeded for each process, so that nobody can choose names that have one hash.
    private static let seed = UInt64.random(in: .min ... .max) | 1

    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.mixed(seed)
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func elementsEqualFast(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        var index = 0
        while count - index >= 8 {
            if loadUnaligned(fromByteOffset: index, as: UInt64.self)
                != other.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            {
                return false
            }
            index += 8
        }
        while index < count {
            if self[index] != other[index] { return false }
            index += 1
        }
        return true
    }

    /// A hash of the bytes and what came before: eight at a time, each mixed by a multiplication of 128 bits.
    @inline(__always)
    func mixed(_ seed: UInt64) -> UInt64 {
        var (hash, index) = (seed ^ UInt64(truncatingIfNeeded: count), 0)
        while count - index >= 8 {
            hash = hash.mixed(loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        var rest: UInt64 = 0
        while index < count {
            rest = rest << 8 | UInt64(self[index])
            index += 1
        }
        return hash.mixed(rest)
    }
}

extension UInt64 {
    @inline(__always)
    func mixed(_ word: UInt64) -> UInt64 {
        let product = (self ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: word ^ 0xd6e8_feb8_6659_fd93)
        return product.high ^ product.low ^ (self << 23 | self >> 41)
    }
}
