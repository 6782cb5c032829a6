// Counters of one loop; `stats` adds them up over the loops.

internal import WireProtocol

/// A histogram of durations with about 6 % resolution: 16 steps for each power of two, in microseconds.
struct LatencyHistogram: Sendable {
    private var buckets: [UInt64] = []
    private(set) var count: UInt64 = 0

    private static let stepBits = 4
    private static let bucketCount = 40 << stepBits

    mutating func record(microseconds: Int64, times: UInt64 = 1) {
        if buckets.isEmpty { buckets = Array(repeating: 0, count: Self.bucketCount) }
        buckets[Self.index(UInt64(max(0, microseconds)))] += times
        count += times
    }

    mutating func add(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        if buckets.isEmpty { buckets = Array(repeating: 0, count: Self.bucketCount) }
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
    }

    /// Duration in microseconds below which the share `fraction` of the recorded ones lies, rounded up to its bucket.
    func percentile(_ fraction: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((Double(count) * fraction).rounded(.up)))
        var seen: UInt64 = 0
        for index in buckets.indices {
            seen += buckets[index]
            if seen >= wanted { return Self.upperBound(index) }
        }
        return Self.upperBound(Self.bucketCount - 1)
    }

    private static func index(_ value: UInt64) -> Int {
        let small = UInt64(1) << stepBits
        guard value >= small else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let step = Int(truncatingIfNeeded: value >> UInt64(exponent - stepBits)) & Int(small - 1)
        return min(bucketCount - 1, (exponent - stepBits + 1) << stepBits | step)
    }

    private static func upperBound(_ index: Int) -> Int64 {
        guard index >> stepBits > 0 else { return Int64(index) }
        let exponent = index >> stepBits + stepBits - 1
        let step = Int64(index & (1 << stepBits - 1) | 1 << stepBits)
        return (step + 1) << Int64(exponent - stepBits) - 1
    }
}

/// What one loop has counted since the start.
///
/// - Thread: its loop's; copies are passed around.
struct LoopStatistics: Sendable {
    var connectionsOpened: UInt64 = 0
    var connectionsOpen: Int = 0
    var sessionsOpened: UInt64 = 0
    var sessionsOpen: Int = 0
    var requestsInFlight: Int = 0
    var requests = [UInt64](repeating: 0, count: RequestType.allCases.count)
    var errors = [UInt64](repeating: 0, count: ErrorCode.allCases.count)
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var rowsSent: UInt64 = 0
    var latency = [LatencyHistogram](repeating: LatencyHistogram(), count: RequestType.allCases.count)

    mutating func add(_ other: LoopStatistics) {
        connectionsOpened += other.connectionsOpened
        connectionsOpen += other.connectionsOpen
        sessionsOpened += other.sessionsOpened
        sessionsOpen += other.sessionsOpen
        requestsInFlight += other.requestsInFlight
        for index in requests.indices { requests[index] += other.requests[index] }
        for index in errors.indices { errors[index] += other.errors[index] }
        bytesReceived += other.bytesReceived
        bytesSent += other.bytesSent
        rowsSent += other.rowsSent
        for index in latency.indices { latency[index].add(other.latency[index]) }
    }
}
