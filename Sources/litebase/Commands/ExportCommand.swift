// `litebase export`: the rows of a statement into a file, which the daemon writes.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the rows of a statement, or a table, into a file.",
        usage: "litebase export (<sql> [<parameters> ...] | --table <name>) [<options>]",
        discussion: """
            The daemon writes the file itself, by the descriptor that litebase has
            opened. Of a file that is named, nothing is seen before it is whole.

            EXAMPLES:
              litebase export --table city -o city.csv
              litebase export --table city -o city.arrow
              litebase export --format jsonl "SELECT * FROM city WHERE people > ?" 1000
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

    @OptionGroup var limits: StatementLimits
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if (givenSQL == nil) == (table == nil) { throw ValidationError("Give either a statement or --table.") }
        if table?.isEmpty == true { throw ValidationError("The name of the table is empty.") }
    }

    func run() throws {
        let client = try ConnectionOptions.connectForStatements(
            to: try connection.endpoint(), trusting: connection.trusted, as: "litebase export")
        client.cancellationDescriptor = Interrupts.install()
        let sql = try statement(client)
        let values = try ParameterParsing.parameters(parameters, allText: false)
        var options = ExportOptions()
        options.database = database
        options.format = (format ?? output.flatMap { ExportFileFormat(ofFile: $0) } ?? .csv).forDaemon
        options.hasHeader = !hasNoHeader
        options.delimiter = delimiter == "\\t" ? "\t" : delimiter
        options.null = null
        options.textColumns = textColumns
        options.maxRows = limits.maxRows
        options.timeout = limits.queryOptions(database: nil).timeout
        guard let output, output != "-" else {
            return try export(client, sql, values, STDOUT_FILENO, options)
        }
        let file = try NewFile(output, mayReplace: force)
        do {
            try export(client, sql, values, file.descriptor, options)
        } catch {
            file.drop()
            throw error
        }
        try file.keep()
    }

    private func export(
        _ client: BlockingClient, _ sql: String, _ values: Parameters, _ descriptor: Int32, _ options: ExportOptions
    ) throws {
        do throws(ClientError) {
            _ = try client.export(sql, values, to: descriptor, options: options)
        } catch {
            throw StatementError(error: error, sql: sql, place: nil)
        }
    }

    /// The statement as it was given, or one for the whole table, in the quotes of its engine.
    private func statement(_ client: BlockingClient) throws -> String {
        guard let table else { return ParameterParsing.unmarked(givenSQL ?? "") }
        let engine = try client.information(onDatabase: database)?.engine
        let quote = engine == "mysql" ? "`" : "\""
        let parts = table.split(separator: ".", omittingEmptySubsequences: false).map { part in
            let doubled = part.split(separator: Character(quote), omittingEmptySubsequences: false)
            return quote + doubled.joined(separator: quote + quote) + quote
        }
        return "SELECT * FROM " + parts.joined(separator: ".")
    }
}

/// What the daemon writes.
enum ExportFileFormat: String, CaseIterable, ExpressibleByArgument {
    case csv, tsv, json, jsonl, arrow

    var forDaemon: RowFileFormat {
        switch self {
        case .csv: .csv
        case .tsv: .tsv
        case .json: .json
        case .jsonl: .jsonl
        case .arrow: .arrow
        }
    }

    /// The format that the ending of a file's name says.
    init?(ofFile path: String) {
        guard let dot = path.lastIndex(of: ".") else { return nil }
        switch path[path.index(after: dot)...].lowercased() {
        // What the documentation of Arrow calls its streams.
        case "arrows": self = .arrow
        case let ending:
            guard let format = ExportFileFormat(rawValue: ending) else { return nil }
            self = format
        }
    }
}
