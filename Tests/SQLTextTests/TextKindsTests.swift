// Kinds of the bytes of a text, in each dialect.

import SQLText
import Testing

@Suite struct TextKindsTests {
    private static let letters: [TextKind: Character] = [
        .plain: ".", .keyword: "K", .string: "S", .quotedName: "Q", .number: "N", .parameter: "P", .comment: "C",
        .command: "L",
    ]

    private static func kinds(
        _ text: String, behind before: String = "", _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules = StatementSplitter.Rules()
    ) -> String {
        var splitter = StatementSplitter(language, rules)
        _ = splitter.append(before.utf8)
        return String(TextKinds(text.utf8, after: splitter).kinds.map { letters[$0] ?? "?" })
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func whatAllHave(language: StatementSplitter.Language) {
        for (text, expected) in [
            ("SELECT a, 'it''s' FROM t;", "KKKKKK....SSSSSSS.KKKK..."),
            ("select 1.5, .5, 1e5, 0xff", "KKKKKK.NNN..NN..NNN..NNNN"),
            // Names with digits and dots in them, and keywords behind a dot.
            ("SELECT t1.a2, t.select", "KKKKKK................"),
            ("a -- b\nFROM", "..CCCCCKKKK"),
            ("a/* b */c - 1 / 2", ".CCCCCCC....N...N"),
            ("INSERT INTO t VALUES (:a)", "KKKKKK.KKKK...KKKKKK..PP."),
            ("SELECT 1; UPDATE t SET a = 'x", "KKKKKK.N..KKKKKK...KKK.....SS"),
            ("", ""),
        ] {
            #expect(Self.kinds(text, language) == expected, "\(language): \(text)")
        }
    }

    @Test func ofSQLite() {
        #expect(Self.kinds("SELECT \"a b\", [c d], `e` FROM t", .sqlite) == "KKKKKK.QQQQQ..QQQQQ..QQQ.KKKK..")
        #expect(Self.kinds("PRAGMA x; SELECT ?, ?1, @a, $b, :c", .sqlite) == "KKKKKK....KKKKKK.P..PP..PP..PP..PP")
        #expect(Self.kinds("'a\\' FROM", .sqlite) == "SSSS.KKKK")
        #expect(Self.kinds("a # b", .sqlite) == ".....")
    }

    @Test func ofPostgreSQL() {
        #expect(Self.kinds("SELECT E'a\\'b', 'c\\' FROM", .postgresql) == "KKKKKK..SSSSSS..SSSS.KKKK")
        #expect(Self.kinds("$$a 'b$$ 1 $x$ c $y$ $x$ 2", .postgresql) == "SSSSSSSS.N.SSSSSSSSSSSSS.N")
        #expect(Self.kinds("$1 + a$b x::text", .postgresql) == "PP..............")
        #expect(Self.kinds("/* a /* b */ c */ TRUE", .postgresql) == "CCCCCCCCCCCCCCCCC.KKKK")
        #expect(Self.kinds("a[1:2] ? b", .postgresql) == "..N.N.....")
        #expect(Self.kinds("a'b", .postgresql, StatementSplitter.Rules(hasStandardStrings: false)) == ".SS")
    }

    @Test func ofMySQL() {
        #expect(Self.kinds("SELECT `a`, \"b\\\"c\", 'd\\'e' # f", .mysql) == "KKKKKK.QQQ..SSSSSS..SSSSSS.CCC")
        #expect(Self.kinds("\"b\"", .mysql, StatementSplitter.Rules(hasANSIQuotes: true)) == "QQQ")
        #expect(Self.kinds("5--3 -- c", .mysql) == "N..N.CCCC")
        #expect(Self.kinds("SET @a = @@b", .mysql) == "KKK.PP...PPP")
        #expect(Self.kinds("'a\\' b", .mysql, StatementSplitter.Rules(hasBackslashEscapes: false)) == "SSSS..")
    }

    /// What the server runs is shown as what it is; the marks around it are comments.
    @Test(arguments: [
        ("/*!50110 SELECT 1 */ FROM", "CCCCCCCC.KKKKKK.N.CC.KKKK"),
        ("/*!50110SELECT 1*/", "CCCCCCCCKKKKKK.NCC"),
        ("/*! 'a */ b' */ c", "CCC.SSSSSSSS.CC.."),
        ("/*M!100100 SELECT*/1", "CCCCCCCCCC.KKKKKKCCN"),
        ("/*!/* a */SELECT*/", "CCCCCCCCCCKKKKKKCC"),
        ("SELECT /*! 1", "KKKKKK.CCC.N"),
        ("/*! SELECT # a */\n1 */ 2", "CCC.KKKKKK.CCCCCCCN.CC.N"),
        // Those that are comments to every server.
        ("/*!99999 SELECT */ 1", "CCCCCCCCCCCCCCCCCC.N"),
        ("/* /*! SELECT */ 1", "CCCCCCCCCCCCCCCC.N"),
        ("/*+ SELECT */ 1", "CCCCCCCCCCCCC.N"),
        ("/*M SELECT */ 1", "CCCCCCCCCCCCC.N"),
    ]) func executableComments(text: String, expected: String) {
        #expect(Self.kinds(text, .mysql) == expected)
    }

    @Test func executableCommentOfSeveralLines() {
        #expect(Self.kinds("SELECT 1 */ FROM", behind: "/*!50110 a,\n", .mysql) == "KKKKKK.N.CC.KKKK")
        #expect(Self.kinds("SELECT 1 */ FROM", behind: "/* a,\n", .mysql) == "CCCCCCCCCCC.KKKK")
    }

    @Test func ofRedis() {
        #expect(Self.kinds("SET key \"a b\" 10", .commandLines) == "KKK.....SSSSS.NN")
        #expect(Self.kinds("GET 'x\\' y", .commandLines) == "KKK.SSSSSS")
        #expect(Self.kinds("  PING\nGET a", .commandLines) == "..KKKK.KKK..")
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func whatStandsBefore(language: StatementSplitter.Language) {
        #expect(Self.kinds("b' FROM", behind: "SELECT 'a\n", language) == "SS.KKKK")
        #expect(Self.kinds("b */ FROM", behind: "SELECT /* a\n", language) == "CCCC.KKKK")
        #expect(Self.kinds("FROM", behind: "SELECT -- a\n", language) == "KKKK")
        // However long it is, and whatever is typed behind it.
        let long = "SELECT " + String(repeating: "a, ", count: 1000) + "$$ '\n"
        #expect(Self.kinds("b' FROM", behind: long, language) == (language == .postgresql ? "SSSSSSS" : "SS.KKKK"))
    }

    /// Every byte has a kind, whatever the bytes are, and a text that is cut has the same kinds up to the cut, but for what began there.
    @Test(arguments: StatementSplitter.Language.allCases)
    func anyBytes(language: StatementSplitter.Language) {
        let alphabet = Array("'\"`[]-/*#$aE1.:?@\\;\n {}!M/*!é".utf8)
        for seed in 0..<400 {
            var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
            let bytes = (0..<60).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return alphabet[Int(state >> 33) % alphabet.count]
            }
            var splitter = StatementSplitter(language)
            let all = TextKinds(bytes, after: splitter).kinds
            #expect(all.count == bytes.count)
            // A line behind another is as it is in one text.
            guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { continue }
            _ = splitter.append(bytes[...end])
            splitter.stopSkippingData()
            #expect(Array(all[(end + 1)...]) == TextKinds(bytes[(end + 1)...], after: splitter).kinds, "\(bytes)")
        }
    }
}
