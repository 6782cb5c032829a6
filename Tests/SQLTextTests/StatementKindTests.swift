// Statements by their first words.

import SQLText
import Testing

@Suite("Statements of MySQL by their first words")
struct MySQLStatementKindTests {
    private func kind(_ sql: String) -> MySQLStatementKind {
        Array(sql.utf8).withUnsafeBytes { MySQLStatementKind($0) }
    }

    @Test(arguments: [
        ("SELECT 1", MySQLStatementKind.select), ("  (\n( select 1", .select), ("-- x\nSELECT 1", .select),
        ("# x\nselect", .select),
        ("/* BEGIN */ SELECT", .select), ("--x", .other), ("SELECTED", .other), ("", .other),
        ("WITH a AS (SELECT 1) SELECT 1", .select),
        ("WITH a AS (SELECT 1) delete FROM b", .write), ("insert into a", .write), ("BEGIN", .beginTransaction),
        ("begin work", .beginTransaction), ("BEGIN NOT ATOMIC", .other), ("START TRANSACTION", .beginTransaction),
        ("START SLAVE", .other), ("/*! BEGIN */", .beginTransaction), ("/*M!100100 commit*/", .transaction),
        // Whether the server runs what is in them is not known.
        ("/*!99999 SELECT */ TRUNCATE t", .other), ("/*! SELECT 1 */", .other),
        ("XA START 'x'", .distributedTransaction),
        ("/*!50000 SET */ a", .session), ("/* open", .other), ("/*!", .other), ("set @a = 1", .session),
        ("USE x", .session),
        ("CREATE TABLE a", .definition), ("CREATE TEMPORARY TABLE a", .temporary),
        ("CREATE OR REPLACE TEMPORARY TABLE a", .temporary),
        ("DROP TABLE a", .definition), ("CALL p()", .call), ("ANALYZE SELECT 1", .other), ("LOAD DATA", .other),
    ])
    func firstWords(sql: String, expected: MySQLStatementKind) {
        #expect(kind(sql) == expected)
    }

    /// What a client may make as long as it likes is not looked through on a loop.
    @Test func ofALongTextTheBeginningCounts() {
        let long = String(repeating: " ", count: TextBound.byteCountMax)
        #expect(kind("SELECT 1" + long) == .select)
        #expect(kind("WITH a AS (SELECT 1) SELECT 1" + long) == .write)
        #expect(!Array(("SELECT 1" + long).utf8).withUnsafeBytes { PlainStatement.isPlain($0, .mysql) })
        for sql in [long + "SELECT 1", "/*" + long + "*/ SELECT 1", "START" + long + "TRANSACTION"] {
            Array(sql.utf8).withUnsafeBytes { bytes in
                var words = LeadingWords(bytes, .mysql)
                _ = MySQLStatementKind(&words, bytes)
                #expect(words.isCut)
                var atEnd = LeadingWords(bytes, .mysql)
                let isAtEnd = atEnd.isAtEnd
                #expect(!isAtEnd)
            }
        }
        // What begins a comment may lie across the bound.
        for count in 0..<8 {
            for begin in ["/**/", "-- \n", "/*!50000 */", "/*M!100000 */", "#\n"] {
                let sql = String(long.dropLast(count)) + begin + "BEGIN" + long
                Array(sql.utf8).withUnsafeBytes { bytes in
                    var words = LeadingWords(bytes, .mysql)
                    _ = MySQLStatementKind(&words, bytes)
                    #expect(words.isCut)
                }
            }
        }
        Array(long.utf8).withUnsafeBytes { bytes in
            var words = LeadingWords(bytes, .mysql)
            let isAtEnd = words.isAtEnd
            #expect(isAtEnd && !words.isCut)
        }
    }
}

@Suite("Statements of PostgreSQL by their first words")
struct PostgreSQLStatementKindTests {
    private func withBytes<Result>(of text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes(body)
    }

    @Test(arguments: [
        ("SELECT 1", PostgreSQLStatementKind.select), ("  (select 1)", .select),
        ("-- a\n/* b /* c */ d */values (1)", .select),
        ("BEGIN", .beginTransaction), ("start transaction", .beginTransaction), ("COMMIT", .transaction),
        ("end", .transaction), ("ROLLBACK TO a", .transaction), ("commit prepared 'x'", .preparedTransaction),
        ("PREPARE TRANSACTION 'x'", .transaction), ("PREPARE a AS SELECT 1", .session), ("SET x = 1", .session),
        ("copy t to stdout", .copy), ("settle", .other), ("select_1", .other), ("", .other), ("/* open", .other),
        ("WITH a AS (SELECT 1) SELECT 1", .change), ("insert into t values (1)", .change), (";;commit", .transaction),
    ])
    func kindsOfStatements(_ sql: String, _ kind: PostgreSQLStatementKind) {
        #expect(withBytes(of: sql) { PostgreSQLStatementKind($0) } == kind)
    }

    /// What a client may make as long as it likes is not looked through on a loop.
    @Test func ofALongTextTheBeginningCounts() {
        let long = String(repeating: " ", count: TextBound.byteCountMax)
        withBytes(of: "SELECT 1" + long) { bytes in
            #expect(PostgreSQLStatementKind(bytes) == .select)
            #expect(!PlainStatement.isPlain(bytes, .postgresql))
        }
        withBytes(of: "CREATE TABLE a(b int)" + long) { #expect(!PostgreSQLStatementKind.isOneTransaction($0)) }
        for sql in [long + "SELECT 1", "/*" + long + "*/ LISTEN a", "COMMIT" + long + "PREPARED 'a'"] {
            withBytes(of: sql) { bytes in
                var words = LeadingWords(bytes, .postgresql)
                _ = PostgreSQLStatementKind(&words)
                #expect(words.isCut)
            }
        }
        // What begins a comment may lie across the bound.
        for count in 0..<8 {
            for begin in ["/**/", "--\n"] {
                withBytes(of: String(long.dropLast(count)) + begin + "BEGIN" + long) { bytes in
                    var words = LeadingWords(bytes, .postgresql)
                    _ = PostgreSQLStatementKind(&words)
                    #expect(words.isCut)
                }
            }
        }
        withBytes(of: long) { bytes in
            var words = LeadingWords(bytes, .postgresql)
            let isAtEnd = words.isAtEnd
            #expect(isAtEnd && !words.isCut)
        }
    }
}
