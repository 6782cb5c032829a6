// Columns that are read from definitions, against what SQLite itself tells of the same tables.

import CSQLite
import LiteBaseTesting
import SQLText
import Testing

@testable import SQLiteEngine

/// A column as both tell it.
private struct TableColumn: Equatable, CustomStringConvertible {
    var name: String
    var type: String
    var isNullable: Bool
    var defaultValue: String
    var keyPosition: Int
    var hidden = 0

    var description: String { "(\(name), \(type), \(isNullable), \(defaultValue), \(keyPosition), \(hidden))" }
}

/// SQLite, in memory.
private final class Library {
    private var handle: OpaquePointer?

    init() {
        SQLiteLibrary.configure()
        sqlite3_open(":memory:", &handle)
    }
    deinit { sqlite3_close(handle) }

    @discardableResult
    func run(_ text: String) -> Bool { sqlite3_exec(handle, text, nil, nil, nil) == SQLITE_OK }

    private func rows<Row>(_ text: String, _ row: (OpaquePointer) -> Row) -> [Row] {
        var statement: OpaquePointer?
        defer { sqlite3_finalize(statement) }
        guard sqlite3_prepare_v2(handle, text, -1, &statement, nil) == SQLITE_OK, let statement else { return [] }
        var found: [Row] = []
        while sqlite3_step(statement) == SQLITE_ROW { found.append(row(statement)) }
        return found
    }

    private static func text(_ statement: OpaquePointer, _ column: Int32) -> String {
        guard let text = sqlite3_column_text(statement, column) else { return "" }
        let bytes = UnsafeRawBufferPointer(start: text, count: Int(sqlite3_column_bytes(statement, column)))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The only table.
    var definition: String? {
        rows("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'") { Self.text($0, 0) }
            .first
    }

    var columns: [TableColumn] {
        rows(
            """
            SELECT x.name, x.type, NOT x."notnull", x.dflt_value, x.pk, x.hidden
              FROM sqlite_schema s CROSS JOIN pragma_table_xinfo(s.name) x
             WHERE s.type = 'table' AND s.name <> 'sqlite_sequence'
            """
        ) {
            TableColumn(
                name: Self.text($0, 0), type: Self.text($0, 1), isNullable: sqlite3_column_int($0, 2) != 0,
                defaultValue: Self.text($0, 3), keyPosition: Int(sqlite3_column_int($0, 4)),
                hidden: Int(sqlite3_column_int($0, 5)))
        }
    }

    /// Whether a column is another name of the row number: SQLite makes an integer of what is written to it.
    func isRowID(_ column: String) -> Bool {
        let quoted =
            "\"" + column.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
        let table =
            rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'") {
                Self.text($0, 0)
            }.first ?? ""
        let owner =
            "\"" + table.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
        // The plan searches by the row number itself, not by an index.
        let plan = rows("EXPLAIN QUERY PLAN SELECT * FROM \(owner) WHERE \(quoted) = 1") { Self.text($0, 3) }
        return plan.contains { $0.contains("INTEGER PRIMARY KEY") }
    }
}

/// Reads a definition; `nil` where it has to be asked for.
private func read(_ definition: String) -> (columns: [TableColumn], rowID: String?)? {
    Array(definition.utf8).withUnsafeBytes { bytes in
        guard let table = SQLiteTableColumns(bytes) else { return nil }
        func string(_ text: UnsafeRawBufferPointer) -> String { String(decoding: text, as: UTF8.self) }
        let columns = table.columns.map {
            TableColumn(
                name: string($0.name), type: string($0.type), isNullable: $0.isNullable,
                defaultValue: string($0.defaultValue), keyPosition: $0.keyPosition)
        }
        return (columns, table.rowIDColumn.map { columns[$0].name })
    }
}

/// Definitions of everything that the grammar has, and some that are wrong.
private struct RandomTable {
    var generator: SeededGenerator

    mutating func any(_ texts: [String]) -> String { texts.randomElement(using: &generator) ?? "" }
    mutating func isTrue(oneOf count: Int) -> Bool { Int.random(in: 1...count, using: &generator) == 1 }

    /// What stands between two tokens.
    mutating func blank() -> String {
        isTrue(oneOf: 12) ? any(["  ", "\n", "\t", " -- x, ) '\n", " /* , ) */ ", "/**/ ", "\r\n", "\u{c}"]) : " "
    }

    mutating func name(_ number: Int) -> String {
        any([
            "c\(number)", "c\(number)", "C_\(number)", "\"c \(number)\"", "[c ,\(number)]", "`c)\(number)`",
            "'c\(number)'",
            "\"a\"\"\(number)\"", "ä\(number)", "key", "action", "desc", "\"\(number)\"", "[it's \(number)]",
            "\"[\(number)]\"",
            "\"primary\"", "generated", "always", "text", "c$\(number)", "\u{feff}\(number)", "match", "\"\"",
            "initially", "no",
        ])
    }

    mutating func type() -> String {
        let b = blank()
        return any([
            "", "INTEGER", "integer", "Int", "TEXT", "text", "REAL", "blob", "any", "VARCHAR(10)",
            "varchar\(b)(\(b)10 )",
            "DECIMAL(10,\(b)2)", "DOUBLE\(b)PRECISION", "UNSIGNED BIG INT", "numeric(+5, -2)", "\"quoted\"", "'text'",
            "[x y]",
            "datetime", "key", "timestamp with time zone", "float(1.5)", "integer\(b)", "int eger", "text generated",
            "generated always", "cascade", "native character(70)", "ANY", "x", "typenamethatisalways",
            "INTEGER         always",
            "some generated_always", "\"of ten always\"",
        ])
    }

    mutating func value() -> String {
        let b = blank()
        return any([
            "0", "-1", "+\(b)1.5", "1e-5", ".5", "0x1F", "'it''s'", "''", "\"word\"", "x'00ff'", "NULL", "null", "true",
            "FALSE",
            "CURRENT_TIMESTAMP", "current_date", "(1 + 2)", "( 'a)' || \"b\" )", "(\(b)strftime('%s', 'now')\(b))",
            "word", "[a b]",
            "(json('[1, 2]'))", "-0x10", "1.", "1E+10", "`x`", "-\(b)5", "(x'ab')", "((1))", "key",
            "-9223372036854775808",
        ])
    }

    mutating func conflict() -> String {
        isTrue(oneOf: 6) ? " ON CONFLICT " + any(["ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"]) : ""
    }

    mutating func reference() -> String {
        "REFERENCES" + blank() + any(["other", "\"other\"", "'other'"]) + any(["", "(a)", "( a , b )"])
            + any([
                "", " ON DELETE CASCADE", " ON UPDATE SET NULL", " ON DELETE SET DEFAULT ON UPDATE NO ACTION",
                " MATCH full",
            ])
            + any(["", "", " DEFERRABLE", " NOT DEFERRABLE INITIALLY IMMEDIATE", " DEFERRABLE INITIALLY DEFERRED"])
    }

    mutating func constraint() -> String {
        let b = blank()
        switch Int.random(in: 0...13, using: &generator) {
        case 0, 1: return "NOT\(b)NULL" + conflict()
        case 2: return "NULL"
        case 3:
            return "PRIMARY\(b)KEY" + any(["", "", " ASC", " DESC"]) + conflict() + any(["", "", " AUTOINCREMENT"])
        case 4: return "UNIQUE" + conflict()
        case 5: return "CHECK\(b)(" + any(["1", "'a)' <> ')'", "length(x'29') > 0", "(1) AND [c ,0] > 1 -- )\n"]) + ")"
        case 6, 7, 8: return "DEFAULT\(b)" + value()
        case 9: return "COLLATE " + any(["NOCASE", "\"binary\"", "rtrim", "'nocase'"])
        case 10: return reference()
        case 11: return any(["GENERATED ALWAYS AS (1)", "AS (2) STORED", "GENERATED ALWAYS AS (1) VIRTUAL"])
        case 12: return "CONSTRAINT " + any(["x", "\"y z\"", "'w'", "[v]", "key"])
        default: return any(["PRIMARY KEY", "default 1 not null", "ON CONFLICT FAIL", "DEFERRABLE"])
        }
    }

    mutating func column(_ number: Int) -> String {
        var text = name(number) + blank() + type()
        for _ in 0..<Int.random(in: 0...3, using: &generator) { text += blank() + constraint() }
        return text
    }

    mutating func tableConstraint(_ names: [String]) -> String {
        let (first, second) = (any(names), any(names))
        let key = any([
            first, first, "\(first), \(second)", "\(first) DESC",
            "\(first)\(blank())COLLATE nocase ASC,\(blank())\(second)",
            "'\(first)'", first.uppercased(), "\(first) AUTOINCREMENT",
        ])
        return any(["", "", "CONSTRAINT named "])
            + any([
                "PRIMARY KEY(\(key))" + conflict(), "PRIMARY KEY (\(key))", "UNIQUE(\(key))" + conflict(),
                "CHECK (1 > ')') ",
                "FOREIGN KEY(\(first)) " + reference(),
            ])
    }

    mutating func text() -> String {
        let count = Int.random(in: 1...6, using: &generator)
        let columns = (0..<count).map { column($0) }
        let names = columns.map { String($0.prefix { $0 != " " && $0 != "\n" && $0 != "\t" }) }
        var parts = columns
        for _ in 0..<(isTrue(oneOf: 2) ? 0 : Int.random(in: 1...2, using: &generator)) {
            parts.append(tableConstraint(names))
        }
        return "CREATE TABLE" + blank() + any(["t", "\"t u\"", "[t]", "IF NOT EXISTS t", "'t'", "main.t"]) + blank()
            + "("
            + blank() + parts.joined(separator: "," + blank()) + blank() + ")" + blank()
            + any([
                "", "", "", "", "STRICT", "WITHOUT ROWID", "without\(blank())rowid, strict",
                "STRICT, WITHOUT\nROWID /* ) */",
            ])
    }

    /// What changes the definition that SQLite keeps.
    mutating func change(_ table: String) -> String {
        let changed = any([
            "ADD COLUMN added " + type(), "ADD added" + blank() + type() + " " + constraint(),
            "RENAME TO \"other name\"",
            "RENAME COLUMN c0 TO \"new \"\"name\"\"\"", "DROP COLUMN c1",
        ])
        return "ALTER TABLE \(table) \(changed)"
    }
}

@Suite("Columns of tables of SQLite by their definitions")
struct SQLiteTableColumnsTests {
    private func compare(_ library: Library, _ context: String) -> Bool? {
        guard let definition = library.definition else { return nil }
        guard let found = read(definition) else { return false }
        #expect(found.columns == library.columns, "\(context): \(definition)")
        if let rowID = found.rowID {
            #expect(library.isRowID(rowID), "\(context): \(rowID) of \(definition)")
        } else if let key = found.columns.first(where: { $0.keyPosition == 1 }), key.type == "INTEGER",
            !found.columns.contains(where: { $0.keyPosition == 2 })
        {
            #expect(!library.isRowID(key.name), "\(context): \(key.name) of \(definition)")
        }
        return true
    }

    /// What is read is what SQLite tells; and most of what people write is read.
    @Test func readsWhatSQLiteTells() {
        var random = RandomTable(generator: .fresh)
        var (made, read) = (0, 0)
        for round in 0..<8_000 {
            let library = Library()
            let text = random.text()
            guard library.run(text) else { continue }
            let context = "seed \(random.generator.seed), round \(round)"
            for _ in 0...Int.random(in: 0...2, using: &random.generator) {
                guard let isRead = compare(library, context) else { break }
                made += 1
                if isRead { read += 1 }
                library.run(random.change("t"))
            }
        }
        #expect(made > 500, "seed \(random.generator.seed): SQLite takes \(made)")
        #expect(read * 3 > made, "seed \(random.generator.seed): \(read) of \(made) are read")
    }

    @Test(arguments: [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name varchar(20) NOT NULL DEFAULT '', at datetime DEFAULT (datetime('now')))",
        "CREATE TABLE t(id integer primary key autoincrement, a int references o(x) on delete set null, unique(a), check(a > 0))",
        "CREATE TABLE t(a TEXT, b INT, PRIMARY KEY(b, a)) WITHOUT ROWID",
        "CREATE TABLE t(\"first name\" TEXT COLLATE NOCASE, [order] REAL DEFAULT -1.5, key, CONSTRAINT k PRIMARY KEY (key))",
        "CREATE TABLE t AS SELECT 1 AS a, 'x' AS \"b c\", 1.5 AS d",
        "CREATE TABLE t(a /* first */ INT, -- second\n b DOUBLE PRECISION)",
    ])
    func readsWhatPeopleWrite(_ text: String) {
        let library = Library()
        #expect(library.run(text))
        #expect(compare(library, text) == true, "it is read")
    }

    @Test(arguments: [
        "CREATE TABLE t(a INT, b INT AS (a))", "CREATE TABLE t(z, a INT GENERATED ALWAYS AS (1))",
        "CREATE TABLE t(a \"INT\")",
        "CREATE TABLE t(\"a\"\"b\" INT)", "CREATE TABLE t(a INTEGER PRIMARY KEY DESC)",
    ])
    func leavesOthersToSQLite(_ text: String) {
        let library = Library()
        #expect(library.run(text))
        #expect(compare(library, text) == false)
    }

    /// Whatever stands in a file: no byte of it leads out of the text.
    @Test func endsWithTheText() {
        var random = RandomTable(generator: .fresh)
        for _ in 0..<2_000 {
            let bytes = Array(random.text().utf8)
            let cut = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random.generator)))
            cut.withUnsafeBytes { _ = SQLiteTableColumns($0) }
        }
    }
}
