// Counts millions of durations in a few kilobytes, for the daemon's `stats` and the load generator.

/// A histogram of whole numbers with the same relative resolution everywhere: 2^`stepBits` steps for each power of two.
///
/// The unit is the caller's. The buckets are allocated by the first record.
/// - Thread: one at a time; copies are independent.
public struct LatencyHistogram: Sendable {
    private var buckets: [UInt64] = []
    public private(set) var count: UInt64 = 0
    /// The largest value recorded, exactly.
    public private(set) var largest: Int64 = 0
    private let stepBits: Int

    /// Powers of two above the first 2^`stepBits` values; beyond, values fall into the last bucket.
    private static let magnitudeCount = 40

    /// Makes an empty histogram: 4 bits are 6 % and 5 KiB, 7 bits are 0.8 % and 40 KiB.
    public init(stepBits: Int = 4) {
        self.stepBits = stepBits
    }

    private var bucketCount: Int { Self.magnitudeCount << stepBits }

    public mutating func record(_ value: Int64, times: UInt64 = 1) {
        if buckets.isEmpty { buckets = Array(repeating: 0, count: bucketCount) }
        buckets[index(UInt64(max(0, value)))] += times
        count += times
        if value > largest { largest = value }
    }

    /// Adds the records of another histogram with the same resolution.
    public mutating func add(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        precondition(other.stepBits == stepBits, "histograms of different resolution do not add up")
        if buckets.isEmpty { buckets = Array(repeating: 0, count: bucketCount) }
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        largest = max(largest, other.largest)
    }

    /// The value at or below which the share `fraction` of the recorded values lies, rounded up to the end of its
    /// bucket; 0 without records.
    public func percentile(_ fraction: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((Double(count) * fraction).rounded(.up)))
        var seen: UInt64 = 0
        for index in buckets.indices {
            seen += buckets[index]
            if seen >= wanted { return index == bucketCount - 1 ? largest : min(largest, upperBound(index)) }
        }
        return largest
    }

    private func index(_ value: UInt64) -> Int {
        let small = UInt64(1) << stepBits
        guard value >= small else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let step = Int(truncatingIfNeeded: value >> UInt64(exponent - stepBits)) & Int(small - 1)
        return min(bucketCount - 1, (exponent - stepBits + 1) << stepBits | step)
    }

    private func upperBound(_ index: Int) -> Int64 {
        guard index >> stepBits > 0 else { return Int64(index) }
        let exponent = index >> stepBits + stepBits - 1
        let step = Int64(index & (1 << stepBits - 1) | 1 << stepBits)
        return (step + 1) << Int64(exponent - stepBits) - 1
    }
}
