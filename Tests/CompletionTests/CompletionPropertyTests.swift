// What holds for every text and every cursor: completion never traps, stays within the text, and takes time that grows with it.

import Completion
import LinuxSystem
import LiteBaseTesting
import Testing

@Suite struct CompletionPropertyTests {
    private func items(_ text: String, at cursor: Int? = nil, in dialect: CompletionDialect = .sqlite) -> CompletionList
    {
        Array(text.utf8).withUnsafeBytes {
            Completion.complete($0, at: cursor ?? $0.count, dialect: dialect, schema: StoreSchema.shop(dialect))
        }
    }

    @Test func corpus() throws {
        #expect(try FuzzCorpus.replay("completion", stride: 1, CompletionChecks.check) >= 10)
        #expect(try FuzzCorpus.replay("scanner", stride: 1, ScannerChecks.check) >= 10)
    }

    /// The texts of some cases at each of their places, read as each dialect; others in each run.
    @Test(arguments: CompletionDialect.allCases) func everyPlace(_ dialect: CompletionDialect) {
        var generator = SeededGenerator.fresh
        let caseCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 60
        for entry in CompletionCase.read(dialect).shuffled(using: &generator).prefix(caseCount) {
            for other in CompletionDialect.allCases {
                let number = UInt8(CompletionDialect.allCases.firstIndex(of: other) ?? 0)
                for cursor in 0...entry.text.count {
                    let input = [number, UInt8(cursor >> 8), UInt8(cursor & 0xff)] + entry.text
                    input.withUnsafeBytes(CompletionChecks.check)
                }
            }
        }
    }

    /// Pieces of statements in any order.
    @Test func anyOrder() {
        var generator = SeededGenerator.fresh
        let pieces = CompletionCase.read(.postgresql).flatMap { $0.text.split(separator: 0x20).map(Array.init) }
        for _ in 0..<3_000 {
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 1...40, using: &generator) {
                text += (pieces.randomElement(using: &generator) ?? []) + [0x20]
            }
            let cursor = Int.random(in: 0...text.count, using: &generator)
            let input = [UInt8.random(in: 0...3, using: &generator), UInt8(cursor >> 8), UInt8(cursor & 0xff)] + text
            input.withUnsafeBytes(CompletionChecks.check)
        }
    }

    @Test func anyBytes() {
        var generator = SeededGenerator.fresh
        for _ in 0..<5_000 {
            let count = Int.random(in: 4...300, using: &generator)
            let input = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            input.withUnsafeBytes(CompletionChecks.check)
        }
    }

    @Test func cursorsOutsideOfTheText() {
        #expect(items("SELECT 1;", at: -5).replace == 0..<0)
        #expect(items("SEL", at: 1_000).replace == 0..<3)
        #expect(items("SEL", at: .max).items.first?.text == "SELECT")
        #expect(items("", at: 0).items.first?.text == "SELECT")
    }

    /// Of the processor: debug builds are some 30 times slower than a release, and what is quadratic takes minutes.
    private static let secondsMax = 5.0 * Double(Patience.factor)

    /// Four times the text takes about four times the time, whatever it is made of.
    @Test(arguments: [
        "(", "SELECT * FROM a, ", "(SELECT ", "\"", "'", "/*", "a.", "CASE ", "$a$ $", "WITH x AS (", "x, ",
        "JOIN a ON b = c ",
    ])
    func timeIsLinear(_ piece: String) {
        for dialect in CompletionDialect.allCases {
            let text = Array(String(repeating: piece, count: (60 << 10) / piece.utf8.count).utf8)
            let schema = StoreSchema.shop(dialect)
            let time = ProcessorTime.seconds {
                text.withUnsafeBytes { _ = Completion.complete($0, at: $0.count, dialect: dialect, schema: schema) }
            }
            #expect(time < Self.secondsMax, "\(dialect) \(piece)")
        }
    }

    /// The same where a statement goes on for long: what is before the bar, and then again and again what is behind it.
    @Test(arguments: [
        "CREATE TABLE t (|a INT, ", "CREATE TABLE t (PRIMARY KEY (|a, ",
        "CREATE TABLE t (a INT, |KEY k (a) USING BTREE, ",
        "SELECT * FROM JSON_TABLE('', '' COLUMNS (|a INT PATH '', ",
        "SELECT * FROM |JSON_TABLE('', '' COLUMNS (a INT PATH '')) a, ",
        "SELECT * FROM f() AS x (|a int, ", "SELECT sum(x) OVER (ORDER BY |a, ",
        "SELECT x FROM t WINDOW |w AS (ORDER BY a), ",
        "MERGE INTO a USING b ON c |WHEN MATCHED AND d = e ", "DELETE |a, ",
        "WITH RECURSIVE t AS (SELECT 1) SEARCH DEPTH FIRST BY |a, ",
        "INSERT INTO t VALUES |(1), ", "INSERT INTO t VALUES (1) |ON CONFLICT (a) WHERE b DO UPDATE SET c = d ",
        "SELECT |/*!50000 a, */ ",
    ])
    func timeOfLongStatementsIsLinear(_ statement: String) {
        let parts = statement.split(separator: "|").map(String.init)
        for dialect in CompletionDialect.allCases {
            let text = Array((parts[0] + String(repeating: parts[1], count: (60 << 10) / parts[1].utf8.count)).utf8)
            let schema = StoreSchema.shop(dialect)
            let time = ProcessorTime.seconds {
                text.withUnsafeBytes { _ = Completion.complete($0, at: $0.count, dialect: dialect, schema: schema) }
            }
            #expect(time < Self.secondsMax, "\(dialect) \(statement)")
        }
    }

    /// The same where a statement has many of two things: each piece again and again, and one cursor at the end.
    @Test(arguments: [
        ["WITH ", "a AS (SELECT 1), ", "a AS (SELECT 1) SELECT * FROM ", "x, ", "x WHERE "],
        ["WITH a AS (SELECT * FROM ", "a, ", "a), ", "a AS (SELECT 1), ", "a AS (SELECT 1) SELECT * FROM a WHERE "],
        ["SELECT ", "*, ", "* FROM ", "x, ", "x ORDER BY "], ["SELECT ", "b.*, ", "b.* FROM ", "x, ", "x ORDER BY "],
        ["SELECT ", "b.*, ", "b.* FROM ", "x b, ", "x b ORDER BY "],
        ["SELECT ", "b.a, ", "b.a FROM ", "x b, ", "x b ORDER BY "],
        ["SELECT ", "a, ", "a FROM ", "x, ", "x ORDER BY "],
        ["SELECT * FROM ", "(", "SELECT 1 FROM ", "x, ", "x WHERE "],
    ]) func timeOfManyNamesIsLinear(_ pieces: [String]) {
        for dialect in CompletionDialect.allCases {
            let repeated = [1, 3].map { String(repeating: pieces[$0], count: (30 << 10) / pieces[$0].utf8.count) }
            let text = Array((pieces[0] + repeated[0] + pieces[2] + repeated[1] + pieces[4]).utf8)
            #expect(time(of: text, dialect) < Self.secondsMax, "\(dialect) \(pieces)")
        }
    }

    /// Each foreign key of what stands before JOIN wants an alias that nothing has yet.
    @Test func aliasesThatAreTakenAreNotAllTried() {
        var schema = StoreSchema()
        schema.add("hub", in: "main", ["id|int"])
        for number in 0..<300 {
            schema.add("c\(number)", in: "main", ["hub|int"])
            schema.refer("c\(number)", ["hub"], to: "hub", ["id"])
        }
        let taken = (2..<2_500).map { "x c\($0), " }.joined()
        let hubs = (0..<20).map { "hub h\($0), " }.joined()
        let text = Array("SELECT * FROM x c, \(taken)\(hubs)hub JOIN ".utf8)
        #expect(time(of: text, .sqlite, schema) < Self.secondsMax)
        let few = Array("SELECT * FROM x c, hub JOIN ".utf8).withUnsafeBytes {
            Completion.complete($0, at: $0.count, dialect: .sqlite, schema: schema).items
        }
        #expect(few.contains { $0.text == "c0 c2 ON c2.hub = hub.id" }, "\(few.map(\.text))")
    }

    private func time(of text: [UInt8], _ dialect: CompletionDialect, _ given: StoreSchema? = nil) -> Double {
        let schema = given ?? StoreSchema.shop(dialect)
        return ProcessorTime.seconds {
            text.withUnsafeBytes { _ = Completion.complete($0, at: $0.count, dialect: dialect, schema: schema) }
        }
    }

    /// Each of many sources has as many columns as its text says: all together are bounded.
    @Test(arguments: [
        "WITH t(" + String(repeating: "a,", count: 4_000) + "a) AS (SELECT 1) ",
        "WITH RECURSIVE t AS (SELECT 1) " + String(repeating: "SET a ", count: 4_000),
        "WITH t AS (SELECT " + String(repeating: "1 a,", count: 4_000) + "1) ",
    ])
    func columnsOfManySourcesAreBounded(_ head: String) {
        for dialect in CompletionDialect.allCases {
            for sources in ["t, ", "(SELECT * FROM t) x, "] {
                let count = (60 << 10 - head.utf8.count) / sources.utf8.count
                let text = Array((head + "SELECT * FROM " + String(repeating: sources, count: count) + "t WHERE ").utf8)
                let schema = StoreSchema.shop(dialect)
                let time = ProcessorTime.seconds {
                    text.withUnsafeBytes { _ = Completion.complete($0, at: $0.count, dialect: dialect, schema: schema) }
                }
                #expect(time < Self.secondsMax, "\(dialect) \(head.prefix(40)) \(sources)")
            }
        }
    }

    // MARK: Long texts

    @Test func longTextIsTakenUpBehindASemicolon() {
        let long = String(repeating: "SELECT 'it', 1;\n", count: 100_000)
        let text = long + "SELECT n FROM customers"
        let list = items(text, at: long.utf8.count + 8)
        #expect(list.items.first?.text == "name")
        #expect(list.replace == long.utf8.count + 7..<long.utf8.count + 8)
    }

    @Test func longTextBehindTheCursorIsCut() {
        let text = "SELECT n FROM customers WHERE id IN (" + String(repeating: "1, ", count: 1_000_000)
        #expect(items(text, at: 8).items.first?.text == "name")
    }

    // MARK: Ranges

    @Test func whatIsReplaced() {
        #expect(items("SELECT na FROM customers", at: 9).replace == 7..<9)
        #expect(items("SELECT name FROM customers", at: 9).replace == 7..<11)
        #expect(items("SELECT  FROM customers", at: 7).replace == 7..<7)
        #expect(items("SELECT \"na FROM customers", at: 10).replace == 7..<10)
        #expect(items("SELECT \"na\" FROM customers", at: 10).replace == 7..<11)
        #expect(items("SELECT * FROM customers", at: 8).replace == 7..<8)
        #expect(items("SELECT c.na FROM customers c", at: 11).replace == 9..<11)
        #expect(items("GET us", in: .redis).replace == 4..<6)
        #expect(items("SELECT @@sql_m", in: .mysql).replace == 9..<14)
    }

    @Test func detailsAndRelations() {
        let column = items("SELECT na FROM customers c", at: 9).items.first
        #expect(column == CompletionItem("name", kind: .column, detail: "text", relation: "customers"))
        let routine = items("SELECT date_t", in: .postgresql).items.first
        #expect(
            routine
                == CompletionItem(
                    "date_trunc(", label: "date_trunc", kind: .routine, detail: "date_trunc(field, source, zone)"))
        let typed = items("SELECT x.n FROM (SELECT c.name AS n FROM customers c) x", at: 10).items.first
        #expect(typed == CompletionItem("n", kind: .column, detail: "text", relation: "x"))
        #expect(
            items("SET k v E", in: .redis).items.first == CompletionItem("EX", kind: .keyword, detail: "EX seconds"))
    }

    @Test func limitAndCompleteness() {
        let text = Array("SELECT * FROM ".utf8)
        var schema = StoreSchema.shop(.sqlite)
        schema.isComplete = false
        for limit in [0, 1, 3, -1, .max] {
            let list = text.withUnsafeBytes {
                Completion.complete($0, at: 14, dialect: .sqlite, schema: schema, limit: limit)
            }
            #expect(list.items.count <= max(limit, 0))
            #expect(list.isIncomplete)
        }
        #expect(!items("SELECT").isIncomplete)
    }
}
