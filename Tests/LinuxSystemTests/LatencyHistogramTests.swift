import LinuxSystem
import LiteBaseTesting
import Testing

@Suite("Latency histogram")
struct LatencyHistogramTests {
    @Test(arguments: [(4, 1.07), (7, 1.008)])
    func percentilesAreWithinAStepOfTheTruth(stepBits: Int, width: Double) {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var histogram = LatencyHistogram(stepBits: stepBits)
        var values: [Int64] = []
        for _ in 0..<5_000 {
            let value = Int64.random(in: 0...Int64(1) << Int64.random(in: 1...35, using: &random), using: &random)
            values.append(value)
            histogram.record(value)
        }
        values.sort()
        for fraction in [0.5, 0.9, 0.99, 0.999] {
            let exact = values[Int((Double(values.count) * fraction).rounded(.up)) - 1]
            let found = histogram.percentile(fraction)
            #expect(found >= exact, "seed \(seed)")
            #expect(Double(found) <= Double(exact) * width + 1, "seed \(seed): \(found) for \(exact)")
        }
        #expect(histogram.largest == values.last, "seed \(seed)")
        #expect(histogram.percentile(1) == values.last, "seed \(seed)")
    }

    @Test func addsUpAndStartsEmpty() {
        var (first, second) = (LatencyHistogram(), LatencyHistogram())
        #expect(first.percentile(0.5) == 0)
        second.record(100, times: 3)
        first.add(second)
        first.record(-5)
        first.record(.max)
        #expect(first.count == 5)
        #expect(first.largest == .max)
        #expect(first.percentile(0.5) >= 100)
    }
}
