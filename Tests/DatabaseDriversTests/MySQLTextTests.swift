// What the MySQL driver makes of texts: statements by their first words, positions of errors, URLs.

import Testing

@testable import DatabaseDrivers

@Suite("Texts of MySQL")
struct MySQLTextTests {
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

    private func offset(_ sql: String, near: String, line: Int) -> Int? {
        Array(sql.utf8).withUnsafeBytes { MySQLErrors.offset(in: $0, "… to use near '\(near)' at line \(line)") }
    }

    /// What a client may make as long as it likes is not looked through on a loop.
    @Test func ofALongTextTheBeginningCounts() {
        let long = String(repeating: " ", count: TextBound.byteCountMax)
        #expect(kind("SELECT 1" + long) == .select)
        #expect(kind("WITH a AS (SELECT 1) SELECT 1" + long) == .write)
        #expect(!Array(("SELECT 1" + long).utf8).withUnsafeBytes { PlainStatement.isPlain($0, .mysql) })
        for sql in [long + "SELECT 1", "/*" + long + "*/ SELECT 1", "START" + long + "TRANSACTION"] {
            Array(sql.utf8).withUnsafeBytes { bytes in
                var words = MySQLWords(bytes)
                _ = MySQLStatementKind(&words, bytes)
                #expect(words.isCut)
                var atEnd = MySQLWords(bytes)
                let isAtEnd = atEnd.isAtEnd
                #expect(!isAtEnd)
            }
        }
        // What begins a comment may lie across the bound.
        for count in 0..<8 {
            for begin in ["/**/", "-- \n", "/*!50000 */", "/*M!100000 */", "#\n"] {
                let sql = String(long.dropLast(count)) + begin + "BEGIN" + long
                Array(sql.utf8).withUnsafeBytes { bytes in
                    var words = MySQLWords(bytes)
                    _ = MySQLStatementKind(&words, bytes)
                    #expect(words.isCut)
                }
            }
        }
        Array(long.utf8).withUnsafeBytes { bytes in
            var words = MySQLWords(bytes)
            let isAtEnd = words.isAtEnd
            #expect(isAtEnd && !words.isCut)
        }
    }

    @Test func positionsInALongText() {
        let lines = String(repeating: "1 +\n", count: 100_000)
        #expect(offset("SELECT " + lines + "FRM", near: "FRM", line: 100_001) == 400_007)
        let long = String(repeating: "1 + ", count: 100_000)
        #expect(offset("SELECT FRM " + long, near: "FRM", line: 1) == 7)
        // Farther behind than is searched: no place rather than a wrong one.
        #expect(offset("SELECT " + long + "FRM", near: "FRM", line: 1) == nil)
    }

    @Test func positions() {
        #expect(offset("SELEC 1", near: "SELEC 1", line: 1) == 0)
        #expect(offset("SELECT 'ü' FRM x", near: "FRM x", line: 1) == 12)
        #expect(offset("FRM\nSELECT 1\n FRM", near: "FRM", line: 3) == 14)
        #expect(offset("SELECT 1,", near: "", line: 1) == 9)
        #expect(offset("SELECT 'it''s' x y", near: "x' at line y", line: 1) == 0)
        #expect(offset("a\nb", near: "not there", line: 2) == 2)
        #expect(offset("a", near: "not there", line: 77) == 0)
        #expect([].withUnsafeBytes { MySQLErrors.offset(in: $0, "no position") } == nil)
        #expect([].withUnsafeBytes { MySQLErrors.offset(in: $0, "' at line 1 near '") } == nil)
    }

    @Test(arguments: [
        ("Duplicate entry '7' for key 'PRIMARY'", "Duplicate entry for key 'PRIMARY'"),
        ("Duplicate entry 'it's' for key 'x' for key 'k'", "Duplicate entry for key 'k'"),
        ("Truncated incorrect DOUBLE value: 'it's'", "Truncated incorrect DOUBLE value"),
        (
            "Incorrect integer value: 'a' for column `d`.`t`.`c` at row 1",
            "Incorrect integer value for column `d`.`t`.`c` at row 1"
        ),
        ("no quotes", "no quotes"), ("one ' quote", "one ' quote"), ("", ""), ("''", ""),
    ])
    func valuesAreNotInMessages(_ said: String, _ shown: String) {
        #expect(MySQLErrors.withoutValue(said) == shown)
    }

    @Test func locations() throws {
        let place = try MySQLLocation(url: "mariadb://u%40x:p%3Aw@a,[::1]:3307/d%20b?ssl_mode=REQUIRED")
        #expect(
            place.user == "u@x" && place.password == "p:w" && place.database == "d b" && place.encryption == .required)
        #expect(place.hosts == [.init(name: "a", port: 0), .init(name: "::1", port: 3307)] && place.socket == nil)
        #expect(!place.label.contains("p:w") && !"\(place)".contains("p:w"))
        #expect(place.secrets == ["p:w"])
        #expect(try MySQLLocation(url: "mysql:///d").socket == MySQLLocation.defaultSocket)
        #expect(try MySQLLocation(url: "mysql://localhost/d").encryption == .disabled)
        #expect(try MySQLLocation(url: "mysql://localhost:3306/d").socket == nil)
        #expect(try MySQLLocation(url: "mysql://h/d").encryption == .preferred)
        #expect(try MySQLLocation(url: "mysql://h/d?ssl-ca=/x").encryption == .verifyIdentity)
    }

    @Test(arguments: [
        "mysql:", "mysql://u:secret@x@h/d", "mysql://u:secret/x@h/d", "mysql://u:secret?x@h/d", "mysql://u:secret%@h/d",
        "mysql://u:secret%+1@h/d", "mysql://u:secret#@h/d", "mysql://u:secret@h:99999/d", "mysql://u:secret@/d?a=b",
        "mysql://u:secret@h\n/d",
    ])
    func locationsThatAreRefused(url: String) {
        let error = #expect(throws: DriverError.self) { try MySQLLocation(url: url) }
        #expect(error?.code == .badRequest)
        #expect(error.map { "\($0.details)".contains("secret") } == false)
    }
}
