// A SQLite database, or one table of it, as the statements that make it again: in the form of sqlite3's `.dump`, so that whatever
// reads that reads this (sqlite3, `litebase query -`).

import LiteBaseClient
import SQLText

/// Writes the statements into a file: the daemon those with rows, this program the others.
///
/// All of it is read in one transaction, so it is the database as it was at one moment.
/// - Source: dump_callback and run_schema_dump_query in src/shell.c.in of SQLite 3.40
struct SQLiteDump {
    let session: BlockingSession
    let file: DumpFile
    /// For the rows of a table.
    let timeout: Duration?
    /// Whether the schema has been opened for entries of virtual tables.
    private var writesSchema = false

    init(_ session: BlockingSession, to file: DumpFile, timeout: Duration?) {
        self.session = session
        self.file = file
        self.timeout = timeout
    }

    private struct Table {
        let name: String
        let sql: String
    }

    /// - Parameter relations: the tables and views that are wanted, with their indexes and triggers; empty for all.
    /// - Throws: `InputError` if there is none of that name, `ClientError`, or `OutputError`.
    mutating func write(only relations: [String] = []) throws {
        try session.execute("BEGIN")
        for relation in relations where try !exists(relation) { throw DatabaseDump.missing(relation) }
        let tables = try tables(only: relations)
        let others = try session.query(
            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') "
                + "AND (?1 IS NULL OR \(Self.isAmong("lower(tbl_name)"))) ORDER BY type COLLATE NOCASE DESC, rowid",
            Self.array(relations)
        ).rows.compactMap { $0[0].text }
        try file.print("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
        for table in tables { try write(table) }
        for sql in others { try file.print(Self.ended(sql)) }
        if writesSchema { try file.print("PRAGMA writable_schema=OFF;\n") }
        try file.print("COMMIT;\n")
        try session.execute("COMMIT")
    }

    /// Those of a virtual table are wanted with it; the sequences come last, since others fill their table.
    private func tables(only relations: [String]) throws(ClientError) -> [Table] {
        try session.query(
            "SELECT name, sql FROM sqlite_schema s WHERE type = 'table' AND sql NOT NULL AND (?1 IS NULL "
                + "OR \(Self.isAmong("lower(name)")) OR (name IN (SELECT name FROM pragma_table_list WHERE type = 'shadow') "
                + "AND EXISTS (SELECT 1 FROM json_each(?1) j "
                + "WHERE lower(substr(s.name, 1, length(j.value) + 1)) = lower(j.value) || '_'))) "
                + "ORDER BY tbl_name = 'sqlite_sequence', rowid",
            Self.array(relations)
        ).rows.compactMap { row in
            guard let name = row[0].text, let sql = row[1].text else { return nil }
            return Table(name: name, sql: sql)
        }
    }

    private func exists(_ relation: String) throws(ClientError) -> Bool {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = lower(?)"
        return try !session.query(sql, .positional([.text(relation)])).rows.isEmpty
    }

    private static func isAmong(_ name: String) -> String {
        "\(name) IN (SELECT lower(value) FROM json_each(?1))"
    }

    /// Names as an array of JSON; null for none.
    private static func array(_ names: [String]) -> Parameters {
        let texts = names.map { name in
            let scalars = name.unicodeScalars.map { scalar in
                switch scalar {
                case "\"": "\\\""
                case "\\": "\\\\"
                case "\u{0}"..<" ": "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                default: String(scalar)
                }
            }
            return "\"\(scalars.joined())\""
        }
        return .positional([names.isEmpty ? .null : .text("[\(texts.joined(separator: ","))]")])
    }

    private mutating func write(_ table: Table) throws {
        if table.name == "sqlite_sequence" {
            try file.print("DELETE FROM sqlite_sequence;\n")
        } else if table.name.hasPrefix("sqlite_stat") {
            // It makes the tables; of others nobody knows how they are made.
            try file.print("ANALYZE sqlite_schema;\n")
        } else if table.name.hasPrefix("sqlite_") {
            return
        } else if table.sql.hasPrefix("CREATE VIRTUAL TABLE") {
            return try writeEntry(table)
        } else {
            try file.print(Self.definition(table.sql))
        }
        try writeRows(table)
    }

    /// A virtual table by its entry in the schema: its module would make the tables that follow.
    private mutating func writeEntry(_ table: Table) throws {
        if !writesSchema { try file.print("PRAGMA writable_schema=ON;\n") }
        writesSchema = true
        let (name, sql) = (Self.quoted(table.name, "'"), Self.quoted(table.sql, "'"))
        try file.print(
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table',\(name),\(name),0,\(sql));\n")
    }

    /// Tables of virtual tables are made within quotes, and may be there already.
    private static func definition(_ sql: String) -> String {
        let start = "CREATE TABLE "
        guard sql.hasPrefix(start), let quote = sql.dropFirst(start.count).first, quote == "'" || quote == "\"" else {
            return ended(sql)
        }
        return ended("CREATE TABLE IF NOT EXISTS \(sql.dropFirst(start.count))")
    }

    /// A definition with its semicolon. SQLite keeps the comment that it ends with.
    private static func ended(_ sql: String) -> String { "\(sql)\(StatementSplitter.closing(sql.utf8, .sqlite));\n" }

    private func writeRows(_ table: Table) throws {
        let columns = try session.query(
            "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid", .positional([.text(table.name)]))
        // 2 and 3 are generated columns.
        let names = columns.rows.filter { $0[1].integer == 0 }.compactMap { $0[0].text }
        guard !names.isEmpty else { return }
        var options = ExportOptions()
        options.timeout = timeout
        options.format = .sql
        options.into = table.name
        options.hasHeader = names.count < columns.rows.count
        let list = names.map { Self.quoted($0, "\"") }.joined(separator: ", ")
        file.willHaveRows()
        _ = try session.export(
            "SELECT \(list) FROM \(Self.quoted(table.name, "\""))", to: file.descriptor, options: options)
    }

    private static func quoted(_ text: String, _ quote: Unicode.Scalar) -> String {
        String(quoting: text, by: UInt8(ascii: quote))
    }
}
