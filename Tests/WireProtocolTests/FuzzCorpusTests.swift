// Every input of the fuzzers' corpus, and every one that ever failed, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    enum Fuzzer: String, CaseIterable { case frames, json, messagepack }

    @Test(arguments: Fuzzer.allCases)
    func replay(fuzzer: Fuzzer) throws {
        let seeds = try filesInFolder("\(repositoryRoot)/FuzzTesting/Seeds/\(fuzzer.rawValue)")
        let failCases = try filesInFolder("\(repositoryRoot)/FuzzTesting/FailCases/\(fuzzer.rawValue)")
        #expect(seeds.count >= 10, "the seeds are where they should be")
        let corpus = try filesInFolder("\(repositoryRoot)/FuzzTesting/Corpus/\(fuzzer.rawValue)")
        for path in seeds + corpus + failCases { try Self.check(fuzzer, try readFile(path)) }
    }

    /// Each seed with every one of its bytes changed, and cut at every place.
    @Test(arguments: Fuzzer.allCases)
    func mutatedSeeds(fuzzer: Fuzzer) throws {
        var random = SeededRandom(seed: 11)
        for path in try filesInFolder("\(repositoryRoot)/FuzzTesting/Seeds/\(fuzzer.rawValue)") {
            let seed = try readFile(path)
            for offset in seed.indices {
                var changed = seed
                changed[offset] = UInt8(truncatingIfNeeded: random.next())
                try Self.check(fuzzer, changed)
                try Self.check(fuzzer, Array(seed[..<offset]))
            }
        }
    }

    static func check(_ fuzzer: Fuzzer, _ bytes: [UInt8]) throws {
        bytes.withUnsafeBytes {
            switch fuzzer {
            case .frames: FuzzChecks.frames($0)
            case .json: FuzzChecks.json($0)
            case .messagepack: FuzzChecks.messagePack($0)
            }
        }
    }
}
