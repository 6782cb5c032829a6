// The corpus of the fuzzer of memory that a former process left, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func handover() throws {
        #expect(try FuzzCorpus.replay("handover", stride: 5, HandoverChecks.check) >= 10)
    }
}
