// `litebase export`: the rows of a statement into a file, which the daemon writes.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the rows of a statement, a table, or a database into a file.",
        usage: "litebase export [<sql> [<parameters> ...] | --table <name>] [<options>]",
        discussion: """
            The daemon writes the file itself, by the descriptor that litebase has
            opened. Of a file that is named, nothing is seen before it is whole.

            As sql, a database is written with its schema, for the engine's own
            client or `litebase query -`; what is left out of a server's is named.
            Of a server's --table, the rows are written, as INSERT.

            EXAMPLES:
              litebase export --table city -o city.csv
              litebase export --table city -o city.arrow
              litebase export --format jsonl "SELECT * FROM city WHERE people > ?" 1000
              litebase export -d geo -o geo.sql
            """)

    @Argument(help: ArgumentHelp("The statement.", valueName: "sql"))
    var givenSQL: String?

    @Argument(help: "Values for its placeholders.")
    var parameters: [String] = []

    @Option(help: ArgumentHelp("All of this table or view.", valueName: "name"))
    var table: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name. Default: the daemon's.", valueName: "name"))
    var database: String?

    @Option(
        help: ArgumentHelp("How rows stand in the file. Default: by its ending, else csv.", valueName: "format"))
    var format: ExportFileFormat?

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Where to write. Default: standard output.", valueName: "file"),
        completion: .file())
    var output: String?

    @Flag(help: "Replace a file that exists.")
    var force = false

    @Flag(name: .customLong("no-header"), help: "Leave out the names of columns (csv, tsv).")
    var hasNoHeader = false

    @Option(help: ArgumentHelp("What is between two fields (csv, tsv).", valueName: "character"))
    var delimiter: String?

    @Option(help: ArgumentHelp("What stands for null (csv, tsv).", valueName: "text"))
    var null: String?

    @Option(
        name: .customLong("text-column"),
        help: ArgumentHelp("A column that is to be text, whatever is in it (arrow). Repeatable.", valueName: "name"))
    var textColumns: [String] = []

    @Option(help: ArgumentHelp("The table that the statements name (sql, of a statement).", valueName: "name"))
    var into: String?

    @OptionGroup var limits: StatementLimits
    @OptionGroup var connection: ConnectionOptions

    private var chosenFormat: ExportFileFormat {
        format ?? output.flatMap { ExportFileFormat(ofFile: $0) } ?? .csv
    }

    func validate() throws {
        if format == nil, let ending = output.flatMap(FileEnding.ofOtherFormat) {
            let formats = ExportFileFormat.allValueStrings.joined(separator: ", ")
            throw ValidationError("No export is written as .\(ending). Give --format: \(formats).")
        }
        let isSQL = chosenFormat == .sql
        if givenSQL != nil, table != nil { throw ValidationError("Give either a statement or --table.") }
        if givenSQL == nil, table == nil, !isSQL { throw ValidationError("Give a statement or --table.") }
        if table?.isEmpty == true { throw ValidationError("The name of the table is empty.") }
        if isSQL, givenSQL != nil, into == nil { throw ValidationError("--into is missing: the table to insert into.") }
        if chosenFormat == .xlsx, output == nil || output == "-" { throw ValidationError("xlsx needs -o: a file.") }
        if into != nil, !isSQL || givenSQL == nil { throw ValidationError("--into goes with a statement and sql.") }
        if isSQL, givenSQL == nil, limits.maxRows != nil { throw ValidationError("--max-rows goes with a statement.") }
    }

    func run() throws {
        let client = try ConnectionOptions.connectForStatements(
            to: try connection.endpoint(), trusting: connection.trusted, as: "litebase export")
        client.givesUpWhenCancelledAgain = true
        client.cancellationDescriptor = Interrupts.install()
        var options = ExportOptions()
        options.database = database
        if let format = chosenFormat.forDaemon { options.format = format }
        options.hasHeader = !hasNoHeader
        options.delimiter = delimiter == "\\t" ? "\t" : delimiter
        options.null = null
        options.textColumns = textColumns
        options.maxRows = limits.maxRows
        options.timeout = limits.queryOptions(database: nil).timeout
        (options.namespace, options.into) = into.map(ImportText.parts(of:)) ?? (nil, nil)
        if chosenFormat == .xlsx { return try writeSpreadsheet(client) }
        if chosenFormat == .sql, givenSQL == nil {
            return try toOutput { try dump(client, to: $0, options) }
        }
        let sql = try statement(client)
        let values = try ParameterParsing.parameters(parameters, allText: false)
        try toOutput { descriptor in
            try reported(sql) { () throws(ClientError) in
                _ = try client.export(sql, values, to: descriptor, options: options)
            }
        }
    }

    /// Calls `body` with what is to be written into; a file that is named is there when it is whole.
    private func toOutput(_ body: (Int32) throws -> Void) throws {
        guard let output, output != "-" else { return try body(STDOUT_FILENO) }
        if let special = try NewFile.openSpecial(output, mayBeOthers: force) {
            defer { close(special) }
            return try body(special)
        }
        let file = try NewFile(output, mayReplace: force)
        Interrupts.catchTermination()
        do {
            try body(file.descriptor)
        } catch {
            file.drop()
            throw error
        }
        try file.keep()
    }

    private func reported<Result>(_ sql: String, _ body: () throws(ClientError) -> Result) throws -> Result {
        do throws(ClientError) { return try body() } catch {
            throw StatementError(error: error, sql: sql, place: nil)
        }
    }

    private func dialect(_ client: BlockingClient) throws -> CopyDialect? {
        let engine = try client.information(onDatabase: database)?.engine
        return engine.map { CopyDialect(rawValue: $0) } ?? .sqlite
    }

    /// The statement as it was given, or one for the whole table, in the quotes of its engine.
    private func statement(_ client: BlockingClient) throws -> String {
        guard let table else { return ParameterParsing.unmarked(givenSQL ?? "") }
        return "SELECT * FROM " + (try dialect(client) ?? .sqlite).quoted(path: table)
    }

    /// Reads the rows and writes them here: the library is none of the daemon's.
    private func writeSpreadsheet(_ client: BlockingClient) throws {
        let sql = try statement(client)
        let values = try ParameterParsing.parameters(parameters, allText: false)
        guard let output else { return }
        let file = try NewFile(output, mayReplace: force)
        Interrupts.catchTermination()
        do {
            let session = try client.openSession(SessionOptions(database: database, isReadOnly: true))
            let rows = try session.stream(sql, values, options: limits.queryOptions(database: nil))
            let sheet = try Spreadsheet(file.partialPath, rows.columns, hasHeader: !hasNoHeader)
            while let row = try rows.next() { try sheet.write(row) }
            try sheet.finish()
        } catch let error as ClientError {
            file.drop()
            throw StatementError(error: error, sql: sql, place: nil)
        } catch {
            file.drop()
            throw error
        }
        try file.keep()
    }

    // MARK: SQL

    private func dump(_ client: BlockingClient, to descriptor: Int32, _ options: ExportOptions) throws {
        let dialect = try dialect(client)
        if let table, let dialect, dialect != .sqlite {
            return try insertions(client, table, dialect, to: descriptor, options)
        }
        let session = try client.openSession(SessionOptions(database: database, isReadOnly: true))
        try DatabaseDump.write(session, only: table.map { [$0] } ?? [], to: descriptor, timeout: options.timeout)
    }

    /// The rows of a server's table, without generated columns, which no statement may give.
    private func insertions(
        _ client: BlockingClient, _ table: String, _ dialect: CopyDialect, to descriptor: Int32,
        _ options: ExportOptions
    ) throws {
        var options = options
        (options.namespace, options.into) = ImportText.parts(of: table)
        let list = try givenColumns(client, table, dialect).map { dialect.quoted($0) }.joined(separator: ", ")
        let sql = "SELECT \(list) FROM \(dialect.quoted(path: table))"
        _ = try client.export(sql, .none, to: descriptor, options: options)
    }

    /// Names of the columns of a server's table that are not generated.
    private func givenColumns(
        _ client: BlockingClient, _ table: String, _ dialect: CopyDialect
    ) throws(ClientError) -> [String] {
        let (namespace, name) = ImportText.parts(of: table)
        var wanted = CatalogOptions()
        (wanted.database, wanted.namespace, wanted.relation) = (database, namespace, name)
        let columns = try client.catalog("columns", options: wanted).rows
        if Set(columns.compactMap { $0["namespace"]?.text }).count > 1 {
            throw .invalidRequest("several schemas have a table \(name): give --table schema.\(name)")
        }
        let generated = Set(columns.filter { $0["generated"]?.text != nil }.compactMap { $0["name"]?.text })
        let all = try client.describe("SELECT * FROM \(dialect.quoted(path: table))", database: database).columns
        return all.map(\.name).filter { !generated.contains($0) }
    }
}

/// What is written.
enum ExportFileFormat: String, CaseIterable, ExpressibleByArgument {
    case csv, tsv, json, jsonl, arrow, sql, xlsx

    /// What the daemon writes; `nil` for what this program does.
    var forDaemon: RowFileFormat? {
        switch self {
        case .csv: .csv
        case .tsv: .tsv
        case .json: .json
        case .jsonl: .jsonl
        case .arrow: .arrow
        case .sql: .sql
        case .xlsx: nil
        }
    }

    /// The format that the ending of a file's name says.
    init?(ofFile path: String) {
        switch FileEnding.of(path) {
        // What the documentation of Arrow calls its streams.
        case "arrows": self = .arrow
        case "ndjson": self = .jsonl
        case let ending:
            guard let format = ExportFileFormat(rawValue: ending) else { return nil }
            self = format
        }
    }
}
