// What of a statement may be kept: values and comments never are where it may hold a password, however they are quoted.

import SQLText
import Testing

@testable import litebase

@Suite struct StatementShapeTests {
    typealias Language = StatementSplitter.Language

    @Test(arguments: [
        ("SELECT * FROM t WHERE a = 'x''y' AND b = 17", Language.sqlite, "select * from t where a = ? and b = ?"),
        ("SELECT 1, 2,3 -- none\n;", .sqlite, "select ?"),
        ("SELECT /* 1 */ \"A b\", [c d], `e` FROM T1", .sqlite, "select \"A b\", [c d], `e` from t1"),
        ("SELECT E'it\\'s', type'x' FROM t", .postgresql, "select e?, type? from t"),
        ("SELECT /* a /* b */ ' */ 'x' || $1 || $q$it's$q$", .postgresql, "select ? || $1 || ?"),
        ("SELECT \"x\", 'a\\'b' # none\n, `c`", .mysql, "select ? , `c`"),
        ("SELECT 5--3", .mysql, "select ?--?"), ("SELECT 5 -- 3", .mysql, "select ?"),
        ("SELECT '", .sqlite, "select ?"), ("SELECT 'a", .postgresql, "select ?"),
        ("SELECT $$", .postgresql, "select ?"),
    ])
    func shapes(sql: String, language: StatementSplitter.Language, shape: String) {
        #expect(StatementShape(sql, language).shape == shape)
        #expect(StatementShape(sql, language).text == sql)
    }

    /// Each has the word `hunter2` where a reader with other rules would not look for it.
    @Test(arguments: [
        // A comment within a comment ends the inner one.
        (Language.postgresql, "ALTER /* /* */ hunter2 */ ROLE a PASSWORD 'x'"),
        (.postgresql, "SELECT /* ' /* ' */ hunter2 ' */ 'token'"),
        // A backslash escapes in E'', and in no other text.
        (.postgresql, "SELECT E'\\' hunter2', 'token'"), (.postgresql, "SELECT E'\\\\', 'hunter2', 'token'"),
        (.postgresql, "SELECT '\\', 'hunter2', 'token'"), (.postgresql, "SELECT some_e'\\', 'hunter2', 'token'"),
        (.postgresql, "SELECT $a$ ' $b$ hunter2 ' $a$, 'token'"), (.postgresql, "SELECT $a'hunter2', $a$ token"),
        // What is a text depends on a setting.
        (.mysql, "SELECT '\\', 'hunter2', 'token'"), (.mysql, "SELECT '\\' hunter2', 'token'"),
        (.mysql, "SELECT \"\\\", \"hunter2\", 'token'"), (.mysql, "SELECT \"hunter2\", 'token'"),
        (.mysql, "SELECT /*! 'hunter2', */ 'token'"), (.mysql, "SELECT 1 -- ' hunter2\n, 'token'"),
        (.mysql, "SELECT 5--'hunter2', 'token'"), (.mysql, "SELECT # ' hunter2\n 'token'"),
        (.sqlite, "SELECT 'it''s hunter2', 'token'"), (.sqlite, "SELECT /* /* */ 'hunter2', 'token' -- */"),
        (.sqlite, "ATTACH \"file:x?key=hunter2\" AS token"), (.sqlite, "SELECT 'token', 'hunter2"),
        (.sqlite, "SELECT 'token' /* hunter2"), (.sqlite, "SELECT 'token' -- hunter2"),
    ])
    func nothingSecretIsKept(language: StatementSplitter.Language, sql: String) {
        for text in [sql, sql + ";", sql + "\n", "SELECT 1;" + sql, sql.replacing("\n", with: "\r\n")] {
            let shape = StatementShape(text, language)
            #expect(shape.isRedacted, "\(text)")
            #expect(!shape.text.contains("hunter2"), "\(text) → \(shape.text)")
            #expect(!shape.shape.contains("hunter2"), "\(text) → \(shape.shape)")
        }
    }

    /// The parts are those of the bytes, whatever they are.
    @Test(arguments: StatementSplitter.Language.sql)
    func anyBytesHaveParts(language: StatementSplitter.Language) {
        let pieces = [
            "'", "\"", "`", "[", "]", "$", "$a$", "/*", "*/", "--", "-- ", "#", "\n", "\\", "e", "E'", ";", "é", "1",
        ]
        var state: UInt64 = 20_260_101
        for _ in 0..<2_000 {
            var text = ""
            for _ in 0..<12 {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                text += pieces[Int(state >> 33) % pieces.count]
            }
            let bytes = Array(text.utf8)
            for isSecret in [false, true] {
                #expect(StatementPart.all(of: bytes, language, isSecret: isSecret).count == bytes.count)
            }
            _ = StatementShape(text, language)
            // What is hidden by one reading stays hidden when all are asked.
            let (one, all) = (
                StatementPart.all(of: bytes, language, isSecret: false),
                StatementPart.all(of: bytes, language, isSecret: true)
            )
            #expect(zip(one, all).allSatisfy { $0 <= $1 }, "\(text)")
        }
    }
}
