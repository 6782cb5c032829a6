import Testing

@testable import litebase

/// Where `\connect` of psql leads.
@Suite struct ConnectLineTests {
    @Test(arguments: [
        ("\\connect shop", "shop"), ("\\c shop", "shop"), ("\\c shop - - -", "shop"), ("\\connect \"a b\"", "a b"),
        ("\\connect \"a \"\"b\"\"\"", "a \"b\""), ("\\connect -reuse-previous=on \"dbname='shop'\"", "shop"),
        ("\\connect -reuse-previous=on \"dbname='it\\'s \\\\ \"\"odd\"\"'\"", "it's \\ \"odd\""),
        ("-- comment\n\\connect shop", "shop"), ("\\connect dbname=shop", "shop"),
    ])
    func toADatabase(line: String, database: String) {
        #expect(ConnectLine.database(of: Array(line.utf8)) == database)
    }

    @Test(arguments: [
        "\\connect", "\\connect shop alice", "\\connect shop - other", "\\connect postgresql://x/shop",
        "\\connect host=x",
        "\\connect \"dbname='shop' host=x\"", "\\connect \"dbname='shop\"", "\\echo shop", "\\connectx shop",
    ])
    func elsewhere(line: String) {
        #expect(ConnectLine.database(of: Array(line.utf8)) == nil)
    }
}
