// The corpus of the fuzzer of commands and statements for servers, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func commands() throws { #expect(try FuzzCorpus.replay("commands", CommandChecks.check) >= 10) }
}
