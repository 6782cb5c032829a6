// A SQLite database, or one table of it, as the statements that make it again: in the form of sqlite3's `.dump`, so that whatever
// reads that reads this (sqlite3, `litebase query -`).

internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText

/// Writes the statements into a file: the daemon those with rows, this program the others.
///
/// All of it is read in one transaction, so it is the database as it was at one moment.
/// - Source: dump_callback and run_schema_dump_query in src/shell.c.in of SQLite 3.40
struct SQLiteDump {
    let session: BlockingSession
    let descriptor: Int32
    /// Time limit and the like.
    let options: ExportOptions
    /// Whether the schema has been opened for entries of virtual tables.
    private var writesSchema = false

    init(_ session: BlockingSession, to descriptor: Int32, options: ExportOptions) {
        self.session = session
        self.descriptor = descriptor
        self.options = options
    }

    private struct Table {
        let name: String
        let sql: String
    }

    /// - Parameter relation: the one table or view that is wanted, with its indexes and triggers; `nil` for all.
    /// - Throws: `InputError` if there is none of that name, `ClientError`, or `OutputError`.
    mutating func write(only relation: String? = nil) throws {
        try session.execute("BEGIN")
        let tables = try tables(only: relation)
        let others = try session.query(
            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') "
                + "AND (?1 IS NULL OR lower(tbl_name) = lower(?1)) ORDER BY type COLLATE NOCASE DESC, rowid",
            Self.positional(relation)
        ).rows.compactMap { $0[0].text }
        if let relation, tables.isEmpty, others.isEmpty {
            throw InputError(
                message: "there is no table or view \(TerminalEscaping.visible(relation))",
                status: ExitStatus.statementFailed)
        }
        try print("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
        for table in tables { try write(table) }
        for sql in others { try print("\(sql);\n") }
        if writesSchema { try print("PRAGMA writable_schema=OFF;\n") }
        try print("COMMIT;\n")
        try session.execute("COMMIT")
    }

    /// Those of a virtual table are wanted with it; the sequences come last, since others fill their table.
    private func tables(only relation: String?) throws(ClientError) -> [Table] {
        try session.query(
            "SELECT name, sql FROM sqlite_schema s WHERE type = 'table' AND sql NOT NULL AND (?1 IS NULL "
                + "OR lower(name) = lower(?1) OR (name IN (SELECT name FROM pragma_table_list WHERE type = 'shadow') "
                + "AND lower(substr(name, 1, length(?1) + 1)) = lower(?1) || '_')) "
                + "ORDER BY tbl_name = 'sqlite_sequence', rowid",
            Self.positional(relation)
        ).rows.compactMap { row in
            guard let name = row[0].text, let sql = row[1].text else { return nil }
            return Table(name: name, sql: sql)
        }
    }

    private static func positional(_ relation: String?) -> Parameters {
        .positional([relation.map { .text($0) } ?? .null])
    }

    private mutating func write(_ table: Table) throws {
        if table.name == "sqlite_sequence" {
            try print("DELETE FROM sqlite_sequence;\n")
        } else if table.name.hasPrefix("sqlite_stat") {
            // It makes the tables; of others nobody knows how they are made.
            try print("ANALYZE sqlite_schema;\n")
        } else if table.name.hasPrefix("sqlite_") {
            return
        } else if table.sql.hasPrefix("CREATE VIRTUAL TABLE") {
            return try writeEntry(table)
        } else {
            try print(Self.definition(table.sql))
        }
        try writeRows(table)
    }

    /// A virtual table by its entry in the schema: its module would make the tables that follow.
    private mutating func writeEntry(_ table: Table) throws {
        if !writesSchema { try print("PRAGMA writable_schema=ON;\n") }
        writesSchema = true
        let (name, sql) = (Self.quoted(table.name, "'"), Self.quoted(table.sql, "'"))
        try print(
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table',\(name),\(name),0,\(sql));\n")
    }

    /// Tables of virtual tables are made within quotes, and may be there already.
    private static func definition(_ sql: String) -> String {
        let start = "CREATE TABLE "
        guard sql.hasPrefix(start), let quote = sql.dropFirst(start.count).first, quote == "'" || quote == "\"" else {
            return "\(sql);\n"
        }
        return "CREATE TABLE IF NOT EXISTS \(sql.dropFirst(start.count));\n"
    }

    private func writeRows(_ table: Table) throws {
        let columns = try session.query(
            "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid", .positional([.text(table.name)]))
        // 2 and 3 are generated columns.
        let names = columns.rows.filter { $0[1].integer == 0 }.compactMap { $0[0].text }
        guard !names.isEmpty else { return }
        var options = options
        options.format = .sql
        options.into = table.name
        options.hasHeader = names.count < columns.rows.count
        let list = names.map { Self.quoted($0, "\"") }.joined(separator: ", ")
        _ = try session.export(
            "SELECT \(list) FROM \(Self.quoted(table.name, "\""))", to: descriptor, options: options)
    }

    private static func quoted(_ text: String, _ quote: Unicode.Scalar) -> String {
        String(quoting: text, by: UInt8(ascii: quote))
    }

    /// What this program writes, between what the daemon writes into the same file.
    private func print(_ text: String) throws(OutputError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if Errno.current != .interrupted {
                throw OutputError(errno: .current)
            }
        }
    }
}
