// A database of a server as the statements that make it again, for the server's own client and for `litebase query -`.

import LiteBaseClient

/// Writes definitions, rows, and what follows upon rows: the daemon the rows, this program the others.
///
/// Rows are read in one transaction. What is not written is named in comments at the head, and on standard error.
struct ServerDump {
    let session: BlockingSession
    var file: DumpFile
    /// For the rows of a table.
    let timeout: Duration?
    let dialect: CopyDialect
    /// Names of tables and views that are wanted; empty for all, and for what the database has beside them.
    let relations: [String]

    /// A table whose rows are written.
    struct Rows {
        var namespace: String?
        var table: String
        /// Those that a statement may give.
        var columns: [String]
        /// Behind FROM.
        var source: String
    }

    /// The last line: where it is missing, the dump is cut off.
    static let end = "-- End of the dump.\n"

    func write() throws {
        switch dialect {
        case .postgresql: try writePostgreSQL()
        case .mysql: try writeMySQL()
        case .sqlite: preconditionFailure("SQLite has a dump of its own")
        }
        try file.print(Self.end)
    }

    // MARK: Steps

    /// Texts of the columns of a query, empty for null.
    func texts(_ sql: String, _ parameters: [Value] = []) throws(ClientError) -> [[String]] {
        var rows: [[String]] = []
        for row in try session.query(sql, .positional(parameters)).rows {
            var texts: [String] = []
            for value in row { texts.append(try text(value)) }
            rows.append(texts)
        }
        return rows
    }

    private func text(_ value: Value) throws(ClientError) -> String {
        switch value {
        case .null: return ""
        case .text(let text): return text
        case .integer(let number): return String(number)
        case .bool(let flag): return flag ? "true" : "false"
        default: throw .invalidRequest("a definition is not UTF-8 text, and cannot be written")
        }
    }

    /// Writes an INSERT for each row.
    func writeInsertions(_ rows: Rows) throws {
        if rows.columns.isEmpty { return try writeEmpty(rows) }
        var options = exportOptions
        options.format = .sql
        options.namespace = rows.namespace
        options.into = rows.table
        file.willHaveRows()
        _ = try session.export(selection(rows), to: file.descriptor, options: options)
    }

    /// Nothing but the time limit is the caller's: a dump has its own form.
    var exportOptions: ExportOptions {
        var options = ExportOptions()
        options.timeout = timeout
        return options
    }

    func selection(_ rows: Rows) -> String { "SELECT \(columnList(rows)) FROM \(rows.source)" }

    func columnList(_ rows: Rows) -> String { rows.columns.map { dialect.quoted($0) }.joined(separator: ", ") }

    func quotedName(_ rows: Rows) -> String {
        let name = dialect.quoted(rows.table)
        return rows.namespace.map { "\(dialect.quoted($0)).\(name)" } ?? name
    }

    /// Rows of a table of generated columns, or of none: no list of values makes them.
    func writeEmpty(_ rows: Rows) throws {
        let count = try session.query("SELECT count(*) FROM \(rows.source)").rows.first?[0].integer ?? 0
        let values = dialect == .mysql ? "() VALUES ()" : " DEFAULT VALUES"
        for _ in 0..<count { try file.print("INSERT INTO \(quotedName(rows))\(values);\n") }
    }

    /// A comment of one line, whatever stands in the text.
    func note(_ text: String) throws {
        let line = String(text.map { $0.isNewline ? " " : $0 })
        try file.print("-- \(TerminalEscaping.visible(line))\n")
    }

    /// Names something that is not written, in the dump and on standard error.
    func leaveOut(_ what: String) throws {
        try note("Not in it either: \(what)")
        Terminal.complain("litebase: not in the dump: \(what)")
    }

    /// Something about how it can be loaded that its reader and who makes it have to know.
    func warn(_ text: String) throws {
        try note("Warning: \(text)")
        Terminal.complain("litebase: \(text)")
    }
}
