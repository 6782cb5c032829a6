import Testing

@testable import litebase

@Suite struct StatementSplitterTests {
    private static func split(_ sql: String, chunk: Int = .max) -> [String] {
        var splitter = StatementSplitter()
        var statements: [StatementSplitter.Statement] = []
        var rest = Array(sql.utf8)[...]
        while !rest.isEmpty {
            statements += splitter.append(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
        }
        if let last = splitter.finish() { statements.append(last) }
        return statements.map { $0.text ?? "?" }
    }

    @Test(arguments: [
        (#"SELECT 'it\'s; x', "a\"; b"; SELECT 2"#, [#"SELECT 'it\'s; x', "a\"; b""#, "SELECT 2"]),
        (#"SELECT '\\'; SELECT `\`; x"#, [#"SELECT '\\'"#, #"SELECT `\`"#, "x"]),
        ("SELECT 1 # a; b\n, 2; # c;\n x", ["SELECT 1 # a; b\n, 2", "# c;\n x"]),
        ("/*!40101 SET NAMES utf8 */; /* ;! */", ["/*!40101 SET NAMES utf8 */"]),
        ("SELECT $$; SELECT 1", ["SELECT $$", "SELECT 1"]), ("# nothing;\n", []),
    ])
    func statementsOfMySQL(sql: String, expected: [String]) {
        var splitter = StatementSplitter(.mysql)
        var statements = splitter.append(sql.utf8)
        if let last = splitter.finish() { statements.append(last) }
        #expect(statements.map { $0.text ?? "?" } == expected)
    }

    private static let trigger =
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; UPDATE b SET x = CASE WHEN 1 THEN 2 END; END"

    static let cases: [(sql: String, statements: [String])] = [
        ("", []),
        (" \n;; ; -- nothing\n/* ; */ ", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', 'it''s;', \";\", `;`, [;]; SELECT 2", ["SELECT ';', 'it''s;', \";\", `;`, [;]", "SELECT 2"]),
        ("SELECT 1 -- a; b\n, 2; SELECT 3", ["SELECT 1 -- a; b\n, 2", "SELECT 3"]),
        ("SELECT 1 /* a; ** b */ + 2; x", ["SELECT 1 /* a; ** b */ + 2", "x"]),
        ("SELECT 1-1; SELECT 4/2;", ["SELECT 1-1", "SELECT 4/2"]),
        ("SELECT 1 - -1; SELECT 2", ["SELECT 1 - -1", "SELECT 2"]),
        (trigger + "; SELECT 1", [trigger, "SELECT 1"]),
        (
            "create temp trigger t after insert on a begin select 1; end; x",
            [
                "create temp trigger t after insert on a begin select 1; end", "x",
            ]
        ),
        ("EXPLAIN QUERY PLAN " + trigger + "; x", ["EXPLAIN QUERY PLAN " + trigger, "x"]),
        ("BEGIN; INSERT INTO a VALUES (1); END; COMMIT", ["BEGIN", "INSERT INTO a VALUES (1)", "END", "COMMIT"]),
        ("CREATE TABLE \"trigger\"(a); x", ["CREATE TABLE \"trigger\"(a)", "x"]),
        ("SELECT $$a;b$$; SELECT $f$ $$;$ ; $f$; x", ["SELECT $$a;b$$", "SELECT $f$ $$;$ ; $f$", "x"]),
        ("SELECT $1, $name; x", ["SELECT $1, $name", "x"]),
        ("SELECT a$b; x$c$; y", ["SELECT a$b", "x$c$", "y"]),
        ("SELECT 'unfinished; SELECT 2", ["SELECT 'unfinished; SELECT 2"]),
        ("SELECT 'ä;ö'; SELECT '💚'", ["SELECT 'ä;ö'", "SELECT '💚'"]),
        ("x", ["x"]), ("-", ["-"]), ("$", ["$"]),
    ]

    @Test(arguments: cases)
    func statementsEndWhereTheyShould(sql: String, statements: [String]) {
        #expect(Self.split(sql) == statements)
    }

    /// Where the input is cut must not matter.
    @Test(arguments: cases)
    func piecesMakeNoDifference(sql: String, statements: [String]) {
        for chunk in 1...4 { #expect(Self.split(sql, chunk: chunk) == statements) }
    }

    @Test func linesAreCounted() {
        var splitter = StatementSplitter()
        let statements = splitter.append("SELECT 1;\n\n SELECT\n2; SELECT 3;".utf8)
        #expect(statements.map(\.line) == [1, 3, 4])
    }

    @Test func theContextIsKnown() {
        var splitter = StatementSplitter()
        #expect(splitter.isBetweenStatements)
        _ = splitter.append("-- only a comment\n".utf8)
        #expect(splitter.isBetweenStatements)
        _ = splitter.append("SELECT 'a".utf8)
        #expect(splitter.context == .quoted(until: UInt8(ascii: "'")))
        #expect(!splitter.isBetweenStatements)
        splitter.reset()
        #expect(splitter.isBetweenStatements)
    }

    @Test func whatIsNotUTF8IsKnown() {
        var splitter = StatementSplitter()
        #expect(splitter.append([0x78, 0xff, 0x3b]).map(\.text) == [nil])
    }

    /// Each byte of a long name between dollars cost a copy of the name, in its quote as well.
    @Test func aLongDollarQuoteTakesOnePass() {
        let name = "$" + String(repeating: "a", count: 500_000) + "$"
        let start = ContinuousClock.now
        #expect(Self.split("SELECT \(name);\(name); SELECT 2") == ["SELECT \(name);\(name)", "SELECT 2"])
        #expect(ContinuousClock.now - start < .seconds(10))
    }
}
