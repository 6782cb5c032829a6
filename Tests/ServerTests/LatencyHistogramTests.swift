import LiteBaseTesting
import Testing

@testable import Server

@Suite("Latency histogram")
struct LatencyHistogramTests {
    @Test func percentilesAreWithinAStepOfTheTruth() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var histogram = LatencyHistogram()
        var values: [Int64] = []
        for _ in 0..<5_000 {
            let value = Int64.random(in: 0...Int64(1) << Int64.random(in: 1...35, using: &random), using: &random)
            values.append(value)
            histogram.record(microseconds: value)
        }
        values.sort()
        for fraction in [0.5, 0.9, 0.99, 0.999] {
            let exact = values[Int((Double(values.count) * fraction).rounded(.up)) - 1]
            let found = histogram.percentile(fraction)
            #expect(found >= exact, "seed \(seed)")
            #expect(Double(found) <= Double(exact) * 1.07 + 1, "seed \(seed): \(found) for \(exact)")
        }
    }

    @Test func addsUpAndStartsEmpty() {
        var (first, second) = (LatencyHistogram(), LatencyHistogram())
        #expect(first.percentile(0.5) == 0)
        second.record(microseconds: 100, times: 3)
        first.add(second)
        first.record(microseconds: -5)
        first.record(microseconds: .max)
        #expect(first.count == 5)
        #expect(first.percentile(0.5) >= 100)
    }
}
