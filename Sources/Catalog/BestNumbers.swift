// The best of many, without putting all of them in order.

/// The smallest of the numbers that it is told, as many as are wanted.
struct BestNumbers {
    private let countMax: Int
    /// With so many they are put in order, and those that are too many are left out.
    private let capacity: Int
    private var found: [UInt64] = []
    /// What is not below it is not among the best.
    private(set) var limit: UInt64 = .max

    init(_ countMax: Int) {
        self.countMax = max(countMax, 0)
        capacity = countMax < .max / 4 ? max(256, 2 * countMax) : .max
    }

    /// Whether as many as are wanted are there.
    var isFull: Bool { found.count >= countMax }

    /// - Cost: on average some comparisons, since all are put in order once for each wanted number of new ones.
    @inline(__always)
    mutating func insert(_ number: UInt64) {
        guard number < limit else { return }
        found.append(number)
        if found.count >= capacity { shrink() }
    }

    private mutating func shrink() {
        found.sort()
        guard found.count >= countMax else { return }
        found.removeSubrange(countMax...)
        limit = found.last ?? 0
    }

    /// All of them, the smallest first.
    mutating func sorted() -> [UInt64] {
        shrink()
        return found
    }
}
