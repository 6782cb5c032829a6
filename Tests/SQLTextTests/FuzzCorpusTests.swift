// The corpus of the fuzzer of scripts as the command line cuts them, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func statements() throws {
        #expect(try FuzzCorpus.replay("statements", stride: 1, StatementChecks.check) >= 10)
    }
}
