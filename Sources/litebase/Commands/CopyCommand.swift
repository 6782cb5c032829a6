// `litebase copy`: a table, or the rows of a statement, of one database into another, of any engine.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy a table, or the rows of a statement, into another database.",
        usage: """
            litebase copy <database>/<table> <database>[/<table>] [<options>]
            litebase copy <database> <database>/<table> --query <sql> [<options>]
            """,
        discussion: """
            The databases may be of different engines. The daemon copies the rows;
            they are committed as they go, or with --atomic all at once. --create
            makes the table, of types that can hold what the columns have; keys,
            indexes and defaults are not copied.

            EXAMPLES:
              litebase copy geo/city archive --create --dry-run
              litebase copy geo/city archive/city_2026 --create --atomic
            """)

    @Argument(help: ArgumentHelp("What to copy.", valueName: "from"))
    var source: String

    @Argument(help: ArgumentHelp("Where to.", valueName: "to"))
    var target: String

    @Option(help: ArgumentHelp("Copy the rows of this statement.", valueName: "sql"))
    var query: String?

    @Flag(help: "Make the table.")
    var create = false

    @Flag(name: .customLong("dry-run"), help: "Only say how the columns would be copied.")
    var isDryRun = false

    @Flag(help: "All rows or none. On SQLite other writers wait until the end.")
    var atomic = false

    @Option(
        name: .customLong("max-rejected"),
        help: ArgumentHelp("Go on behind that many rows that are refused.", valueName: "n"))
    var rejectedCountMax: Int64 = 0

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let (from, to) = (CopyPlace(source), CopyPlace(target))
        if from.database.isEmpty || to.database.isEmpty { throw ValidationError("The name of a database is missing.") }
        if (from.table == nil) == (query == nil) { throw ValidationError("Give either a table to copy or --query.") }
        if from.table == nil, to.table == nil { throw ValidationError("The table to copy into is missing.") }
        if from.table == "" || to.table == "" { throw ValidationError("The name of the table is empty.") }
        if rejectedCountMax < 0 { throw ValidationError("The number of rows must not be negative.") }
    }

    func run() throws {
        let (from, to) = (CopyPlace(source), CopyPlace(target))
        let (reader, writer) = (try connect(), try connect())
        let (name, into) = (from.table, to.table ?? from.table ?? "")
        let sql = try query ?? "SELECT * FROM " + dialect(reader, from.database).quoted(path: name ?? "")
        let (sourceEngine, engine) = (try dialect(reader, from.database), try dialect(writer, to.database))
        let columns = try described { () throws(ClientError) in
            try spelledOut(reader.describe(sql, database: from.database).columns, name, reader, from.database)
        }
        if create, engine == .postgresql, let long = ([into] + columns.map(\.name)).first(where: { $0.utf8.count > 63 })
        {
            throw UsageError(
                "the name \(long) is longer than the 63 bytes that PostgreSQL keeps of one: give --query with other names"
            )
        }
        let definition = engine.definition(of: into, columns, from: sourceEngine)
        if isDryRun { return try show(columns, engine, from: sourceEngine, create ? definition : nil) }
        var options = ImportOptions()
        options.database = to.database
        options.columns = columns.map(\.name)
        options.isAtomic = atomic
        options.rejectedCountMax = rejectedCountMax
        let (namespace, relation) = ImportText.parts(of: into)
        options.namespace = namespace
        let total = query == nil ? rowCount(sql, reader, from.database) : nil
        let start = MonotonicInstant.now
        let progress: (TransferStatus) -> Void = {
            LiveLine.show(TransferProgressText.rows($0.rowCount, of: total, since: start))
        }
        let result: ImportResult
        if create, atomic, engine.makesTablesInTransactions {
            result = try copyWithTable(definition, sql, reader, to: writer, into: relation, options, progress)
        } else {
            if create {
                _ = try described { () throws(ClientError) in
                    try writer.execute(definition, options: QueryOptions(database: to.database))
                }
            }
            result = try described { () throws(ClientError) in
                do throws(ClientError) {
                    return try reader.copyRows(
                        sql, from: from.database, to: writer, into: relation, options: options, progress: progress)
                } catch {
                    throw create ? error.told("The table was made, and stays.") : error
                }
            }
        }
        LiveLine.clear()
        ImportText.complain(result, "row")
        let output = StandardOutput()
        try output.print("\(counted(result.rowCount, "row")) copied")
        try output.flush()
    }

    /// Makes the table and writes the rows in one transaction: of what fails, the table goes, too.
    private func copyWithTable(
        _ definition: String, _ sql: String, _ reader: BlockingClient, to writer: BlockingClient, into relation: String,
        _ options: ImportOptions, _ progress: @escaping (TransferStatus) -> Void
    ) throws -> ImportResult {
        let (from, to) = (CopyPlace(source).database, CopyPlace(target).database)
        do {
            let read = try reader.openSession(SessionOptions(database: from, isReadOnly: true))
            let written = try writer.openSession(SessionOptions(database: to))
            return try written.transaction { session in
                try session.execute(definition)
                return try read.copyRows(sql, to: session, into: relation, options: options, progress: progress)
            }
        } catch let error as ClientError {
            LiveLine.clear()
            throw StatementError(error: error, sql: "", place: nil)
        }
    }

    private func connect() throws -> BlockingClient {
        let client = try connection.connect()
        try client.introduce(as: "litebase copy")
        client.givesUpWhenCancelledAgain = true
        client.cancellationDescriptor = Interrupts.install()
        return client
    }

    /// The columns of a table with the lengths that its definition has and a result does not tell: `decimal(10,2)`, `bit(1)`.
    private func spelledOut(
        _ columns: [Column], _ table: String?, _ client: BlockingClient, _ database: String
    ) throws(ClientError) -> [Column] {
        guard let table, create || isDryRun,
            columns.contains(where: { $0.type == "decimal" || $0.declaredType == "bit" })
        else { return columns }
        var wanted = CatalogOptions(database: database)
        (wanted.namespace, wanted.relation) = ImportText.parts(of: table)
        let rows = try client.catalog("columns", options: wanted).rows
        // Which one of several schemas is meant is not known here.
        guard Set(rows.compactMap { $0["namespace"]?.text }).count == 1 else { return columns }
        var types: [String: String] = [:]
        for row in rows { if let name = row["name"]?.text { types[name] = row["type"]?.text } }
        return columns.map { column in
            guard column.type == "decimal" || column.declaredType == "bit", let type = types[column.name] else {
                return column
            }
            return Column(name: column.name, type: column.type, declaredType: type)
        }
    }

    /// How many rows a table has, where somebody looks on and they are counted soon.
    private func rowCount(_ sql: String, _ client: BlockingClient, _ database: String) -> Int64? {
        guard LiveLine.isShown else { return nil }
        let options = QueryOptions(database: database, timeout: .seconds(2))
        return try? client.query("SELECT count(*) FROM (\(sql)) AS counted", options: options).rows.first?[0].integer
    }

    private func described<Result>(_ body: () throws(ClientError) -> Result) throws -> Result {
        do throws(ClientError) { return try body() } catch {
            LiveLine.clear()
            throw StatementError(error: error, sql: "", place: nil)
        }
    }

    private func dialect(_ client: BlockingClient, _ database: String) throws -> CopyDialect {
        let engine = try client.information(onDatabase: database)?.engine
        guard let engine else { return .sqlite }
        guard let dialect = CopyDialect(rawValue: engine) else {
            throw UsageError("databases of the engine \(engine) have no tables")
        }
        return dialect
    }

    private func show(
        _ columns: [Column], _ engine: CopyDialect, from source: CopyDialect, _ definition: String?
    ) throws {
        let output = StandardOutput()
        for column in columns {
            let type = column.declaredType.flatMap { $0.isEmpty ? nil : $0 } ?? column.type ?? "any"
            let target = engine.type(of: column, from: source)
            try output.print(
                "\(TerminalEscaping.visible(column.name))\t\(TerminalEscaping.visible(type))\t\(target)")
        }
        if let definition { try output.print("\(definition);") }
        try output.flush()
    }
}

/// A database, and perhaps a table of it.
struct CopyPlace {
    let database: String
    let table: String?

    init(_ text: String) {
        guard let slash = text.firstIndex(of: "/") else {
            (database, table) = (text, nil)
            return
        }
        database = String(text[..<slash])
        table = String(text[text.index(after: slash)...])
    }
}

/// What an engine calls types that can hold what a column of another one has.
enum CopyDialect: String {
    case sqlite, postgresql, mysql

    /// MySQL commits what is open when a table is made.
    var makesTablesInTransactions: Bool { self != .mysql }

    func quoted(_ name: String) -> String {
        let quote: Character = self == .mysql ? "`" : "\""
        let doubled = name.split(separator: quote, omittingEmptySubsequences: false)
        return "\(quote)" + doubled.joined(separator: "\(quote)\(quote)") + "\(quote)"
    }

    /// `schema.table`, each within quotes.
    func quoted(path: String) -> String {
        let (namespace, name) = ImportText.parts(of: path)
        guard let namespace else { return quoted(name) }
        return quoted(namespace) + "." + quoted(name)
    }

    func definition(of table: String, _ columns: [Column], from source: CopyDialect) -> String {
        let list = columns.map { "\(quoted($0.name)) \(type(of: $0, from: source))" }.joined(separator: ", ")
        return "CREATE TABLE \(quoted(path: table))(\(list))"
    }

    /// - Parameters:
    ///   - column: a column of a result; of a decimal, the declared type has the precision where it is known.
    ///   - source: the engine that it is of.
    /// - Returns: the type of this engine; empty for none.
    func type(of column: Column, from source: CopyDialect) -> String {
        if self == .mysql, column.type == "decimal" { return Self.mysqlDecimal(column.declaredType) }
        let row: Names =
            if source == .mysql, column.type == "integer", let wide = Self.wideInteger(column.declaredType) {
                wide
            } else {
                Self.types[column.type ?? "any"] ?? ("TEXT", "text", "longtext")
            }
        return switch self {
        case .sqlite: row.sqlite
        case .postgresql: row.postgresql
        case .mysql: row.mysql
        }
    }

    private typealias Names = (sqlite: String, postgresql: String, mysql: String)

    /// Types for integers of MySQL that may be beyond 2^63-1. Of such a one, INTEGER of SQLite would make a real number: without a type it
    /// stays what it was sent as, which is text.
    /// - Parameter declared: `nil` for an expression, of which nobody tells whether it has a sign.
    /// - Returns: `nil` for others.
    private static func wideInteger(_ declared: String?) -> Names? {
        switch declared {
        case nil: ("", "bigint", "bigint")
        case "bigint unsigned", "bit", "bit(64)": ("", "numeric(20)", "bigint unsigned")
        default: nil
        }
    }

    /// A decimal of MySQL with a precision and scale that it has; text for another one, and where they are not known, since MySQL rounds
    /// what has more digits.
    /// - Source: https://dev.mysql.com/doc/refman/8.4/en/fixed-point-types.html
    private static func mysqlDecimal(_ declared: String?) -> String {
        let words = (declared ?? "").split(whereSeparator: { "(,) ".contains($0) })
        guard words.count >= 2, words[0] == "decimal" || words[0] == "numeric", let precision = Int(words[1]) else {
            return "longtext"
        }
        let scale = words.count > 2 ? Int(words[2]) ?? 0 : 0
        let isKnown = (1...65).contains(precision) && (0...min(precision, 30)).contains(scale)
        return isKnown ? "decimal(\(precision),\(scale))" : "longtext"
    }

    /// What MySQL makes of a decimal is not among them.
    private static let types: [String: Names] = [
        "integer": ("INTEGER", "bigint", "bigint"), "real": ("REAL", "double precision", "double"),
        "boolean": ("INTEGER", "boolean", "boolean"), "blob": ("BLOB", "bytea", "longblob"),
        "text": ("TEXT", "text", "longtext"), "decimal": ("TEXT", "numeric", "longtext"),
        "date": ("TEXT", "date", "date"), "time": ("TEXT", "time", "time(6)"),
        "timestamp": ("TEXT", "timestamp", "datetime(6)"), "datetime": ("TEXT", "timestamp", "datetime(6)"),
        "timestamptz": ("TEXT", "timestamptz", "longtext"), "uuid": ("TEXT", "uuid", "char(36)"),
        "json": ("TEXT", "json", "json"), "jsonb": ("TEXT", "jsonb", "json"),
        // Of SQLite: each value has a type of its own.
        "any": ("", "text", "longtext"),
    ]
}

extension ClientError {
    /// The same error, with a further sentence for what is there now.
    fileprivate func told(_ sentence: String) -> ClientError {
        guard case .server(var error) = self else { return self }
        error.detail = [error.detail, sentence].compactMap(\.self).joined(separator: " ")
        return .server(error)
    }
}
