// The corpus of the fuzzers of configuration files and addresses, in the ordinary test run.

import LiteBaseTesting
import Testing

@Suite struct FuzzCorpusTests {
    @Test func settings() throws {
        #expect(try FuzzCorpus.replay("settings", stride: 7, SettingsChecks.check) >= 10)
    }

    @Test func addresses() throws {
        #expect(try FuzzCorpus.replay("addresses", AddressChecks.check) >= 10)
    }
}
