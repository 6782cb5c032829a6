// Finding the number of a record while an index is built.

/// A hash table of numbers, with the records elsewhere.
struct NumberTable {
    /// A number and 1; 0 for none.
    private var slots = [UInt32](repeating: 0, count: 1 << 6)
    private var hashes = [UInt32](repeating: 0, count: 1 << 6)
    private var count = 0

    /// Seeded for each process, so that nobody can choose records that have one hash.
    private static let seed = UInt64.random(in: .min ... .max) | 1

    @inline(__always)
    static func hash(_ word: UInt64, _ other: UInt64 = 0) -> UInt64 { seed.mixed(word).mixed(other) }

    /// The number with that hash of which `isIt` says so.
    @inline(__always)
    func find(_ hash: UInt64, _ isIt: (Int) -> Bool) -> Int? {
        var index = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[index] != 0 {
            if hashes[index] == UInt32(truncatingIfNeeded: hash) {
                let number = Int(slots[index]) - 1
                if isIt(number) { return number }
            }
            index = (index + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a number that is not there.
    mutating func insert(_ number: Int, _ hash: UInt64) {
        if (count + 1) * 2 > slots.count { grow() }
        put(UInt32(number + 1), UInt32(truncatingIfNeeded: hash))
        count += 1
    }

    private mutating func put(_ slot: UInt32, _ hash: UInt32) {
        var index = Int(hash) & (slots.count - 1)
        while slots[index] != 0 { index = (index + 1) & (slots.count - 1) }
        slots[index] = slot
        hashes[index] = hash
    }

    private mutating func grow() {
        let former = (slots, hashes)
        slots = [UInt32](repeating: 0, count: former.0.count * 4)
        hashes = slots
        for index in former.0.indices where former.0[index] != 0 { put(former.0[index], former.1[index]) }
    }

    mutating func removeAll() { self = NumberTable() }
}
