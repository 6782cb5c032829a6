// The shell's own commands.

import LiteBaseClient
import SQLText

extension Shell {
    /// One row of the help.
    struct DotCommand {
        let name: String
        let arguments: String
        let help: String
    }

    static let dotCommands = [
        DotCommand(name: ".databases", arguments: "", help: "List the databases that you may open"),
        DotCommand(name: ".headers", arguments: "on|off", help: "Show the names of columns (table, csv, tsv)"),
        DotCommand(name: ".help", arguments: "", help: "Show this"),
        DotCommand(name: ".mode", arguments: "FORMAT", help: "Set the format: \(formatNames)"),
        DotCommand(name: ".quit", arguments: "", help: "Leave; so do .exit and Ctrl-D"),
        DotCommand(name: ".read", arguments: "FILE", help: "Run the statements of a file"),
        DotCommand(name: ".schema", arguments: "[TABLE]", help: "Show the CREATE statements"),
        DotCommand(name: ".tables", arguments: "", help: "List tables and views"),
        DotCommand(name: ".timing", arguments: "on|off", help: "Show how long statements take"),
        DotCommand(name: ".use", arguments: "DATABASE", help: "Go to another database, by name or URL"),
    ]

    private static var formatNames: String { OutputFormat.allCases.map(\.rawValue).joined(separator: ", ") }

    func run(dotCommand line: String) throws {
        // A semicolon at the end is a habit.
        let line = String(line.reversed().drop { $0.isWhitespace || $0 == ";" }.reversed())
        let name = String(line.prefix { !$0.isWhitespace })
        let argument = String(line.dropFirst(name.count).drop { $0.isWhitespace })
        switch name {
        case ".quit", ".exit": isOver = true
        case ".help": try printHelp()
        case ".databases": try listDatabases()
        case ".tables":
            if !argument.isEmpty { throw UsageError(".tables takes no argument; .schema \(argument) shows one table") }
            try listTables()
        case ".schema": try showSchema(argument)
        case ".use": try use(argument)
        case ".mode": try setMode(argument)
        case ".timing": settings.showsTiming = try Self.parseSwitch(name, argument)
        case ".headers": settings.style.hasHeader = try Self.parseSwitch(name, argument)
        case ".read":
            if argument.isEmpty { throw UsageError(".read needs the name of a file") }
            try read(path: Self.unquoted(argument))
        default:
            throw UsageError("there is no command \(name); type .help for all")
        }
    }

    /// The name of a file, which may be quoted because of spaces. (Names of tables keep their quotes: the engine reads
    /// them.)
    private static func unquoted(_ argument: String) -> String {
        guard let quote = argument.first, quote == "\"" || quote == "'", argument.count >= 2, argument.last == quote
        else {
            return argument
        }
        return String(argument.dropFirst().dropLast())
    }

    private func printHelp() throws {
        for command in Self.dotCommands {
            let usage = command.name + (command.arguments.isEmpty ? "" : " " + command.arguments)
            try output.print(usage + String(repeating: " ", count: max(1, 20 - usage.count)) + command.help)
        }
        let rule =
            try language() == .commandLines
            ? "Each line is a command, as in redis-cli" : "Statements end with a semicolon"
        try output.print("\(rule). Ctrl-C cancels the running one.")
        try output.flush()
    }

    private func listDatabases() throws {
        let databases = try connection.reachableClient().listDatabases()
        var formatter = settings.format.formatter(settings.style)
        let columns = Columns(["name", "engine", "access", "default"].map { Column(name: $0) })
        formatter.begin(columns, into: &output.buffer)
        let rows = databases.map { database -> [Value] in
            [
                .text(database.name), .text(database.engine),
                .text(database.isReadOnly ? "read_only" : "read_write"), .bool(database.isDefault),
            ]
        }
        for row in RowBatch(columns: columns, rows: rows) { formatter.row(row, into: &output.buffer) }
        formatter.end(StatementSummary(rowCount: rows.count), into: &output.buffer)
    }

    private func use(_ target: String) throws {
        if target.isEmpty { throw UsageError(".use needs the name or the URL of a database") }
        if connection.transaction != .none {
            throw UsageError("a transaction is open, and .use would give it up; COMMIT or ROLLBACK first")
        }
        try connection.use(target, isReadOnly: connection.options.isReadOnly)
    }

    private func setMode(_ name: String) throws {
        guard let format = OutputFormat(rawValue: name) else {
            throw UsageError("the formats are \(Self.formatNames)")
        }
        settings.format = format
    }

    private static func parseSwitch(_ name: String, _ argument: String) throws(UsageError) -> Bool {
        switch argument {
        case "on": true
        case "off": false
        default: throw UsageError("\(name) takes on or off")
        }
    }
}
