// The corpora of the fuzzers of commands and of what servers say, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func commands() throws { #expect(try FuzzCorpus.replay("commands", CommandChecks.check) >= 10) }
    @Test func table() throws { #expect(try FuzzCorpus.replay("table", stride: 3, TableChecks.check) >= 7) }
    @Test func cluster() throws { #expect(try FuzzCorpus.replay("cluster", stride: 3, ClusterChecks.check) >= 10) }
}
