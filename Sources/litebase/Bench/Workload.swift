// The workloads that `litebase bench` brings along, and the table that they use.

import ArgumentParser
import LiteBaseClient

/// What kind of requests are sent.
enum Workload: String, CaseIterable, ExpressibleByArgument {
    case health
    case pointSelect = "point-select"
    case insert
    case scan

    var needsTable: Bool { self != .health }

    /// The statement and what its placeholders are filled with; `nil` for `health`.
    func statement(rowCount: Int64) -> (sql: String, parameters: [RandomParameter])? {
        let columns = "name, price, stock, tag"
        switch self {
        case .health: return nil
        case .pointSelect:
            return ("SELECT id, \(columns) FROM \(BenchTable.name) WHERE id = ?", [.integer(1...rowCount)])
        case .insert:
            return (
                "INSERT INTO \(BenchTable.name) (\(columns)) VALUES (?, ?, ?, ?)",
                [.text(byteCount: 16), .real(0...1000), .integer(0...999), .text(byteCount: 8)]
            )
        case .scan: return ("SELECT id, \(columns) FROM \(BenchTable.name)", [])
        }
    }
}

/// The table that a run creates and drops, in the database that the user names.
///
/// A mark in its definition, which SQLite stores as written, distinguishes it from a user's table.
/// - Source: https://www.sqlite.org/schematab.html
struct BenchTable {
    static let name = "litebase_bench"
    static let mark = "/* made by litebase bench */"

    let client: BlockingClient
    let database: String

    private var options: QueryOptions { QueryOptions(database: database) }

    /// Creates the table with that many rows; one from an earlier run is replaced.
    /// - Throws: `UsageError` if a user's table has that name.
    func create(rowCount: Int64) throws {
        try checkEngine()
        let found = try client.query(
            "SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?", [.text(Self.name)], options: options)
        if let row = found.rows.first {
            guard case .text(let sql) = row[0], sql.contains(Self.mark) else {
                throw UsageError(
                    "database '\(database)' has a table '\(Self.name)' that litebase bench did not make; "
                        + "rename it, or name another database")
            }
            try remove()
        }
        try client.execute(
            """
            CREATE TABLE \(Self.name) \(Self.mark) (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, \
            tag TEXT)
            """, options: options)
        guard rowCount > 0 else { return }
        try client.execute(
            """
            INSERT INTO \(Self.name) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?) \
            SELECT x, printf('item number %d', x), x * 0.25, x % 1000, printf('tag %d', x % 100) FROM c
            """, [.integer(rowCount)], options: options)
    }

    /// The statements are SQLite's.
    private func checkEngine() throws {
        guard let found = try client.information(onDatabase: database), found.engine != "sqlite" else { return }
        throw UsageError(
            "point-select, insert and scan are for SQLite; database '\(found.name)' is \(found.engine): use --sql")
    }

    func remove() throws {
        try client.execute("DROP TABLE \(Self.name)", options: options)
    }
}
