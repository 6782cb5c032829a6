// Rows read from pages in memory are those that SQLite reads.

import CSQLite
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

/// Keeps values as they are.
private final class ExactSink: RowSink {
    enum Value: Equatable {
        case null
        case integer(Int64)
        case real(UInt64)
        case text([UInt8])
        case blob([UInt8])
    }

    private(set) var rows: [[Value]] = []
    private var row: [Value] = []
    /// Rows after which it is full.
    var rowCountMax = Int.max

    override func beginRow() { row = [] }
    override func null() { row.append(.null) }
    override func integer(_ value: Int64) { row.append(.integer(value)) }
    override func real(_ value: Double) { row.append(.real(value.bitPattern)) }
    override func text(_ bytes: UnsafeRawBufferPointer) { row.append(.text(Array(bytes))) }
    override func blob(_ bytes: UnsafeRawBufferPointer) { row.append(.blob(Array(bytes))) }
    override func endRow() -> State {
        rows.append(row)
        return rows.count % rowCountMax == 0 ? .full : .open
    }
}

/// A file with one table `t`, and a reader with a transaction that is held.
private struct TableFile {
    let harness: DriverHarness
    let reader: SQLiteConnection
    let snapshot: HeldSnapshot

    init(_ statements: [String], pageCacheByteCount: Int) throws {
        harness = try DriverHarness()
        var options = harness.database.options
        options.path = "\(harness.directory)/table.db"
        let writer = try SQLiteConnection(options, role: .writer)
        try writer.execute("BEGIN")
        for statement in statements { try writer.execute(statement) }
        try writer.execute("COMMIT")
        reader = try SQLiteConnection(options, role: .reader)
        reader.resizePageCache(pageCacheByteCount)
        snapshot = try #require(HeldSnapshot(reader))
        snapshot.take()
        #expect(snapshot.isHeld)
    }

    func statement(_ sql: String) throws -> CachedStatement {
        CachedStatement(
            try #require(reader.prepareOwn(sql)), sqlByteCount: sql.utf8.count, SQLiteAuthorization(), .worker,
            mayUseVirtualTables: false)
    }

    func program(_ sql: String) throws -> TableProgram? { TableProgram(of: try statement(sql), on: reader) }

    func tableReader(_ sql: String) throws -> TableReader? {
        try program(sql).flatMap { TableReader($0, reader.pages) }
    }

    /// What SQLite reads.
    func rows(_ sql: String, _ number: Int64) throws -> [[ExactSink.Value]] {
        let (sink, statement) = (ExactSink(), try statement(sql))
        sqlite3_bind_int64(statement.handle, 1, number)
        while sqlite3_step(statement.handle) == SQLITE_ROW {
            SQLiteExecution.pushRow(statement.handle, sqlite3_column_count(statement.handle), sink)
            _ = sink.endRow()
        }
        return sink.rows
    }
}

@Suite struct TableReaderTests {
    private static func pick<Value>(_ values: [Value], _ random: inout SeededGenerator) -> Value {
        values[Int.random(in: values.indices, using: &random)]
    }

    /// Literals of every serial type, at its limits.
    private static func literal(_ random: inout SeededGenerator, _ byteCountMax: Int) -> String {
        let integers: [Int64] = [
            0, 1, -1, 2, 127, -128, 128, 32767, -32768, 32768, 8_388_607, -8_388_608, 8_388_608, 2_147_483_647,
            -2_147_483_648, 2_147_483_648, 140_737_488_355_327, -140_737_488_355_328, 140_737_488_355_328, .max,
            .min + 1,
        ]
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return "NULL"
        case 1: return "\(pick(integers, &random))"
        case 2: return "\(Int64.random(in: -99_999...99_999, using: &random))"
        case 3:
            return pick(["1.5", "-0.0", "9e999", "-9e999", "3.0", "1e300", "123456789012.0"], &random)
        case 4: return "'\(String(repeating: "ä", count: Int.random(in: 0...20, using: &random)))'"
        case 5: return "CAST(x'00ff61c3' AS TEXT)"
        case 6: return "randomblob(\(Int.random(in: 0...byteCountMax, using: &random)))"
        default: return "hex(randomblob(\(Int.random(in: 0...byteCountMax / 2, using: &random))))"
        }
    }

    private static let types = ["", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "DOUBLE DEFAULT 7", "INT DEFAULT -5"]

    private static func statements(_ random: inout SeededGenerator) -> [String] {
        let pageByteCount = 512 << Int.random(in: 0...3, using: &random)
        var columnCount = Int.random(in: 1...12, using: &random)
        let key = Bool.random(using: &random) ? "k INTEGER PRIMARY KEY, " : ""
        let columns = (0..<columnCount).map { "c\($0) \(pick(types, &random))" }
        var made = ["CREATE TABLE t(\(key)\(columns.joined(separator: ", ")))"]
        let isDense = Bool.random(using: &random)
        let (count, byteCountMax) = (
            Int.random(in: 0...400, using: &random), Int.random(in: 0...pageByteCount / 2, using: &random)
        )
        var number: Int64 = isDense ? 0 : -5_000
        for index in 0..<count {
            number += isDense ? 1 : Int64.random(in: 1...50, using: &random)
            let values = (0..<columnCount).map { _ in literal(&random, byteCountMax) }
            let names = (0..<columnCount).map { "c\($0)" }
            made.append(
                "INSERT INTO t(rowid, \(names.joined(separator: ", "))) VALUES (\(number), \(values.joined(separator: ", ")))"
            )
            if index == count / 2, Bool.random(using: &random) {
                made.append("ALTER TABLE t ADD COLUMN c\(columnCount) \(pick(types, &random))")
                columnCount += 1
            }
            if !isDense, Int.random(in: 0..<10, using: &random) == 0 {
                made.append("DELETE FROM t WHERE rowid = \(number)")
            }
        }
        if Bool.random(using: &random) {
            made += ["\(Int64.max)", "\(Int64.min + 1)"].map { "INSERT OR REPLACE INTO t(rowid) VALUES (\($0))" }
        }
        return ["PRAGMA page_size = \(pageByteCount)"] + made
    }

    @Test func rowsAreThoseOfSQLite() throws {
        var random = SeededGenerator.fresh
        var (knownCount, rowCount) = (0, 0)
        let roundCount = Int(Process.environment("LITEBASE_TEST_ROUNDS") ?? "") ?? 6
        for _ in 0..<roundCount {
            let seed = random.seed
            let file = try TableFile(
                Self.statements(&random), pageCacheByteCount: Bool.random(using: &random) ? 8 << 20 : 4 << 10)
            let numbers = try file.rows("SELECT rowid FROM t ORDER BY 1", 0).map { $0[0] }
            for columns in ["*", "rowid, *", "c0, rowid, c0", "c0"] {
                let point = "SELECT \(columns) FROM t WHERE rowid = ?1"
                let reader = try #require(try file.tableReader(point), "seed \(seed)")
                for case .integer(let there) in numbers {
                    for number in [there &- 1, there, there &+ 1] {
                        let (sink, expected) = (ExactSink(), try file.rows(point, number))
                        rowCount += 1
                        switch reader.look(for: number, file.reader.pages, into: sink) {
                        case .unknown:
                            #expect(sink.rows.isEmpty)
                            continue
                        case .none: #expect(expected.isEmpty, "row \(number), seed \(seed)")
                        case .row:
                            _ = sink.endRow()
                            #expect(sink.rows == expected, "row \(number), seed \(seed)")
                        }
                        knownCount += 1
                    }
                }
            }
            try compareRanges(file, numbers.count, &random)
        }
        #expect(rowCount > 100 * roundCount && knownCount > rowCount / 10, "\(knownCount) of \(rowCount)")
    }

    private func compareRanges(_ file: TableFile, _ count: Int, _ random: inout SeededGenerator) throws {
        let range = "SELECT *, rowid FROM t NOT INDEXED WHERE rowid BETWEEN ?1 AND ?2 ORDER BY rowid"
        let program = try #require(try file.program("SELECT * FROM t"))
        #expect(program.access == .all)
        let plain = try #require(TableRange(file.reader, range, nil))
        let direct = try #require(TableRange(file.reader, range, TableReader(program, file.reader.pages)))
        let everything = ExactSink()
        #expect(plain.read(.min...(.max), into: everything).count == Int64(count))
        for _ in 0..<5 {
            let sink = ExactSink()
            if Bool.random(using: &random) { sink.rowCountMax = Int.random(in: 1...50, using: &random) }
            var (next, read) = (Int64.min, Int64(0))
            while true {
                let rows = direct.read(
                    next...(.max), into: sink,
                    countMax: Bool.random(using: &random) ? .max : Int64.random(in: 1...100, using: &random))
                read += rows.count
                #expect(rows.failure == nil)
                guard let last = rows.last, last < .max else { break }
                next = last + 1
            }
            #expect(sink.rows == everything.rows && read == Int64(count), "seed \(random.seed)")
        }
        let (first, last) = (Int64.random(in: -200...100, using: &random), Int64.random(in: 101...400, using: &random))
        let (some, all) = (ExactSink(), ExactSink())
        let counts = (direct.read(first...last, into: some).count, plain.read(first...last, into: all).count)
        #expect(some.rows == all.rows && counts.0 == counts.1, "seed \(random.seed)")
    }

    /// While others write, and the reader's transaction begins again: the pages in memory are those of the transaction.
    @Test func pagesAreThoseOfTheTransaction() throws {
        var random = SeededGenerator.fresh
        let file = try TableFile(
            ["CREATE TABLE t(k INTEGER PRIMARY KEY, v, w)"] + (1...2_000).map { "INSERT INTO t VALUES (\($0), 0, 0)" },
            pageCacheByteCount: 1 << 20)
        let point = "SELECT v, w FROM t WHERE k = ?1"
        let reader = try #require(try file.tableReader(point))
        let writer = try SQLiteConnection(file.reader.options, role: .writer)
        var foundCount = 0
        for version in 1...40 {
            let number = Int64.random(in: 1...2_000, using: &random)
            try writer.execute(
                "UPDATE t SET v = \(version), w = \(version) WHERE k BETWEEN \(number) AND \(number + 50)")
            if version % 7 == 0 { try? writer.execute("PRAGMA wal_checkpoint(RESTART)") }
            if version % 3 == 0 {
                file.snapshot.release()
                file.snapshot.take()
            }
            for looked in number..<min(number + 50, 2_000) {
                let (sink, expected) = (ExactSink(), try file.rows(point, looked))
                guard case .row = reader.look(for: looked, file.reader.pages, into: sink) else { continue }
                _ = sink.endRow()
                #expect(sink.rows == expected, "row \(looked), version \(version), seed \(random.seed)")
                foundCount += 1
            }
        }
        #expect(foundCount > 500)
    }

    @Test func nothingIsReadWithAnotherSchema() throws {
        let file = try TableFile(["CREATE TABLE t(k INTEGER PRIMARY KEY, v)"], pageCacheByteCount: 1 << 20)
        let program = try #require(try file.program("SELECT v FROM t WHERE k = 1"))
        let before = TableReader(program, file.reader.pages)
        #expect(before != nil)
        let writer = try SQLiteConnection(file.reader.options, role: .writer)
        try writer.execute("CREATE TABLE u(a)")
        file.snapshot.release()
        file.snapshot.take()
        let after = TableReader(program, file.reader.pages)
        #expect(after == nil)
    }

    @Test func onlyUTF8IsRead() throws {
        let file = try TableFile(
            ["PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t(k INTEGER PRIMARY KEY, v)"], pageCacheByteCount: 1 << 20)
        #expect(try file.program("SELECT v FROM t WHERE k = 1") != nil)
        #expect(try file.tableReader("SELECT v FROM t WHERE k = 1") == nil)
    }
}

@Suite struct TableProgramTests {
    private static let schema = [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER DEFAULT 7, b TEXT, c REAL)", "CREATE TABLE u(a, b)",
        "CREATE TABLE w(id INTEGER PRIMARY KEY, a) WITHOUT ROWID", "CREATE INDEX i ON u(a)",
        "CREATE TABLE g(id INTEGER PRIMARY KEY, a, b AS (a + 1), c AS (a + 2) STORED)",
        "CREATE VIEW v AS SELECT b, id FROM t",
        "CREATE TABLE wide(id INTEGER PRIMARY KEY, \((0..<300).map { "c\($0)" }.joined(separator: ", ")))",
    ]

    private static let (a, b) = (
        TableProgram.Column.field(1, isReal: false, hasDefault: true),
        TableProgram.Column.field(2, isReal: false, hasDefault: false)
    )
    private static let c = TableProgram.Column.field(3, isReal: true, hasDefault: false)

    @Test func knownPrograms() throws {
        let file = try TableFile(Self.schema, pageCacheByteCount: 1 << 20)
        let (a, b, c) = (Self.a, Self.b, Self.c)
        let cases: [(String, TableProgram.Access, [TableProgram.Column])] = [
            ("SELECT * FROM t WHERE id = ?", .row(.parameter(1)), [.rowNumber, a, b, c]),
            ("SELECT c, b FROM t WHERE rowid = :number", .row(.parameter(1)), [c, b]),
            ("SELECT b, b, id, oid FROM t AS x WHERE x.id = 5", .row(.constant(5)), [b, b, .rowNumber, .rowNumber]),
            ("SELECT b FROM t WHERE id = -5000000000", .row(.constant(-5_000_000_000)), [b]),
            ("SELECT b FROM t WHERE id = ? LIMIT 1", .row(.parameter(1)), [b]),
            ("SELECT b FROM t WHERE id = ? ORDER BY c", .row(.parameter(1)), [b]),
            ("SELECT b FROM v WHERE id = ?", .row(.parameter(1)), [b]),
            ("SELECT a FROM g WHERE id = ?", .row(.parameter(1)), [.field(1, isReal: false, hasDefault: false)]),
            // A column that is computed has no field.
            ("SELECT c FROM g WHERE id = ?", .row(.parameter(1)), [.field(2, isReal: false, hasDefault: false)]),
            ("SELECT * FROM t", .all, [.rowNumber, a, b, c]), ("SELECT b FROM t ORDER BY id", .all, [b]),
            ("SELECT b FROM u", .all, [.field(1, isReal: false, hasDefault: false)]),
        ]
        for (sql, access, columns) in cases {
            let program = try #require(try file.program(sql), "\(sql)")
            #expect(program.access == access && program.columns == columns, "\(sql)")
            #expect(program.schemaVersion == file.snapshot.schemaVersion)
        }
    }

    @Test(arguments: [
        "SELECT b FROM t WHERE id = ? + 1", "SELECT b FROM t WHERE id = ? AND a = 1",
        "SELECT b FROM t WHERE id IN (?, 2)",
        "SELECT b || 'x' FROM t WHERE id = ?", "SELECT length(b) FROM t WHERE id = ?", "SELECT typeof(b) FROM t",
        "SELECT 1 FROM t WHERE id = ?", "SELECT b, ? FROM t WHERE id = 1", "SELECT b FROM t WHERE id > ?",
        "SELECT b FROM t WHERE id = ? LIMIT 0", "SELECT b FROM t WHERE id = ? LIMIT ?",
        "SELECT b FROM t WHERE id = ? LIMIT 1 OFFSET 1",
        "SELECT b FROM t LIMIT 5", "SELECT b FROM t ORDER BY id DESC", "SELECT DISTINCT b FROM t", "SELECT a FROM u",
        "SELECT count(*) FROM t", "SELECT max(id) FROM t", "SELECT * FROM w WHERE id = ?", "SELECT * FROM w",
        "SELECT b FROM g WHERE id = ?",
        "SELECT t.b FROM t JOIN u ON u.rowid = t.id", "SELECT b FROM t UNION ALL SELECT b FROM u",
        "SELECT b FROM t WHERE id = 1.5",
        "SELECT b FROM t WHERE id = '5'", "SELECT c0, c299 FROM wide WHERE id = ?", "SELECT 1", "PRAGMA user_version",
        "VALUES (1)", "SELECT b FROM t WHERE EXISTS (SELECT 1 FROM u) AND id = 1",
        "SELECT b FROM t INDEXED BY i WHERE id = 1",
    ])
    func otherPrograms(_ sql: String) throws {
        let file = try TableFile(Self.schema, pageCacheByteCount: 1 << 20)
        guard file.reader.prepareOwn(sql) != nil else { return }
        #expect(try file.program(sql) == nil)
    }

    /// Whatever is missing, or more, or has another operand: it is another program.
    @Test(arguments: [
        "SELECT id, a, b, c FROM t WHERE id = ?", "SELECT a, c, id FROM t WHERE id = 77 LIMIT 2", "SELECT * FROM t",
    ])
    func everyOperandCounts(_ sql: String) throws {
        let file = try TableFile(Self.schema, pageCacheByteCount: 1 << 20)
        var operations: [TableProgram.Operation] = []
        let isWhole = sql.withCString { text in
            file.reader.listOperations(of: text, byteCount: sql.utf8.count) {
                operations.append(TableProgram.Operation($0))
            }
        }
        #expect(isWhole)
        let known = try #require(TableProgram(operations))
        for index in operations.indices {
            var changed = operations
            changed.remove(at: index)
            // Without a column it may be the program of fewer columns, if the rest fits; it never does.
            #expect(TableProgram(changed) == nil, "without \(operations[index])")
            changed = operations
            changed[index].name = "Noop"
            #expect(TableProgram(changed) == nil || operations[index].name == "RealAffinity", "\(operations[index])")
            for operand in [\TableProgram.Operation.p1, \.p2, \.p3, \.p5] {
                changed = operations
                changed[index][keyPath: operand] += 1
                guard let made = TableProgram(changed) else { continue }
                // What is still taken is another program that means what it says, or an operand that means nothing.
                let means = [
                    ("Transaction", \TableProgram.Operation.p3), ("OpenRead", \.p2), ("Column", \.p2),
                    ("Variable", \.p1), ("Integer", \.p1),
                ].contains { $0.0 == operations[index].name && $0.1 == operand }
                let isUnused =
                    made.access == known.access && made.columns == known.columns && made.rootPage == known.rootPage
                #expect(means || isUnused, "\(changed[index])")
            }
        }
    }
}
