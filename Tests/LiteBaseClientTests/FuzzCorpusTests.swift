// The corpus of the fuzzer of replies as the client reads them, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func replies() throws {
        #expect(try FuzzCorpus.replay("replies", stride: 3, ReplyChecks.check) >= 10)
    }
}
