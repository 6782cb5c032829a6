// Reproducible random numbers.

internal import LinuxSystem

/// A generator with a known seed (SplitMix64, public domain by S. Vigna).
///
/// Tests put the seed into the message of their expectations; `LITEBASE_TEST_SEED` sets it.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// A new seed for each run, or the one of `LITEBASE_TEST_SEED`.
    public static var fresh: SeededGenerator {
        let given = Process.environment("LITEBASE_TEST_SEED").flatMap { UInt64($0) }
        return SeededGenerator(seed: given ?? UInt64.random(in: 0 ... .max))
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
