// The shell's own commands.

import LiteBaseClient
import SQLText

extension Shell {
    /// One row of the help.
    struct DotCommand {
        let name: String
        var arguments = ""
        /// What psql calls it.
        var word = ""
        let help: String
    }

    static let dotCommands = [
        DotCommand(name: ".again", arguments: "[expanded]", word: "\\g", help: "Run the statement before again"),
        DotCommand(name: ".databases", word: "\\l", help: "List databases that you may open"),
        DotCommand(
            name: ".describe", arguments: "[PATTERN]", word: "\\d",
            help: "Show columns, keys, indexes"),
        DotCommand(name: ".dump", arguments: "[TABLE ...]", help: "Write all, or tables, as SQL"),
        DotCommand(name: ".edit", word: "\\e", help: "Edit the statement before, by $EDITOR"),
        DotCommand(
            name: ".expanded", arguments: "[on|off|auto]", word: "\\x",
            help: "Show records; auto: of wide rows"),
        DotCommand(
            name: ".headers", arguments: "[on|off]", word: "\\t",
            help: "Show the names of columns"),
        DotCommand(name: ".help", word: "\\?", help: "Show this"),
        DotCommand(
            name: ".import", arguments: "FILE TABLE",
            help: "Write a file's rows into a table"),
        DotCommand(name: ".indexes", arguments: "[TABLE]", word: "\\di", help: "List indexes"),
        DotCommand(name: ".mode", arguments: "FORMAT", help: "Set the format of results (--help)"),
        DotCommand(name: ".nullvalue", arguments: "TEXT", help: "Show this for NULL"),
        DotCommand(
            name: ".once", arguments: "FILE", word: "\\g FILE",
            help: "Write the next result there, or to |CMD"),
        DotCommand(
            name: ".output", arguments: "[FILE]", word: "\\o",
            help: "Write results there, or to |CMD"),
        DotCommand(name: ".pager", arguments: "[on|off]", help: "Show long results by $PAGER (less)"),
        DotCommand(
            name: ".parameter", arguments: "set NAME VALUE",
            help: "Set :NAME or $1; unset, clear, list"),
        DotCommand(name: ".print", arguments: "TEXT", word: "\\echo", help: "Print a line"),
        DotCommand(name: ".quit", word: "\\q", help: "Leave; so do .exit and Ctrl-D"),
        DotCommand(name: ".read", arguments: "FILE", word: "\\i", help: "Run the statements of a file"),
        DotCommand(name: ".schema", arguments: "[TABLE]", help: "Show the CREATE statements"),
        DotCommand(name: ".tables", arguments: "[PATTERN]", word: "\\dt", help: "List tables and views"),
        DotCommand(name: ".timing", arguments: "[on|off]", word: "\\timing", help: "Show how long statements take"),
        DotCommand(
            name: ".use", arguments: "[DATABASE]", word: "\\c",
            help: "Go to another database, by name or URL"),
        DotCommand(name: ".views", arguments: "[PATTERN]", word: "\\dv", help: "List views"),
        DotCommand(
            name: ".watch", arguments: "[SECONDS]", word: "\\watch",
            help: "Repeat the statement before"),
    ]

    static let dotCommandNames = dotCommands.map(\.name)

    private static var formatNames: String { OutputFormat.allCases.map(\.rawValue).joined(separator: ", ") }

    func run(dotCommand line: String) throws {
        // A semicolon at the end is a habit.
        let line = String(line.reversed().drop { $0.isWhitespace || $0 == ";" }.reversed())
        let given = String(line.prefix { !$0.isWhitespace })
        let argument = String(line.dropFirst(given.count).drop { $0.isWhitespace })
        let name = given.hasPrefix(".") ? ClientWords.equivalents[given] ?? given : given
        if try runOnCatalogue(name, argument) || runOnResults(name, argument) { return }
        switch name {
        case ".quit": isOver = true
        case ".help": try withScreen { try printHelp() }
        case ".use": try use(argument)
        case ".print": try output.print(TerminalEscaping.visible(Self.unquoted(argument)))
        case ".read":
            if argument.isEmpty { throw UsageError(".read needs the name of a file") }
            try read(path: Self.unquoted(argument))
        case ".import": try importFile(argument)
        case ".dump": try dump(argument)
        case ".again": try runAgain(isExpanded: argument == "expanded")
        case ".edit": try edit(nil)
        case ".watch": try watch(argument)
        case ".parameter": try setParameter(argument)
        default:
            throw UsageError(
                ClientWords.refusal(of: TerminalEscaping.visible(given), among: Self.dotCommandNames))
        }
    }

    private func runOnCatalogue(_ name: String, _ argument: String) throws -> Bool {
        switch name {
        case ".databases": try listDatabases()
        case ".tables": try list(.tables, name, argument)
        case ".views": try list(.views, name, argument)
        case ".indexes": try list(.indexes, name, argument)
        case ".describe" where argument.isEmpty: try list(.tables, name, argument)
        case ".describe": try withScreen { try describe(argument) }
        case ".schema": try withScreen { try showSchema(argument) }
        default: return false
        }
        return true
    }

    private func runOnResults(_ name: String, _ argument: String) throws -> Bool {
        switch name {
        case ".mode": try setMode(argument)
        case ".expanded": try setExpansion(argument)
        case ".headers": settings.style.hasHeader = try toggled(name, argument, settings.style.hasHeader)
        case ".timing":
            settings.showsTiming = try toggled(name, argument, settings.showsTiming)
            if argument.isEmpty { say("Timing is \(settings.showsTiming ? "on" : "off").") }
        case ".pager": settings.hasPager = try toggled(name, argument, settings.hasPager)
        case ".nullvalue": settings.style.nullText = TerminalEscaping.visible(Self.unquoted(argument))
        case ".output": try redirect(argument, isForOne: false)
        case ".once":
            if argument.isEmpty { throw UsageError(".once needs the name of a file, or a command behind a |") }
            try redirect(argument, isForOne: true)
        default: return false
        }
        return true
    }

    /// Answers somebody who types.
    private func say(_ line: String) { if isInteractive { tell(line) } }

    /// The name of a file, which may be quoted because of spaces. (Names of tables keep their quotes: the engine reads
    /// them.)
    static func unquoted(_ argument: String) -> String {
        guard let quote = argument.first, quote == "\"" || quote == "'", argument.count >= 2, argument.last == quote
        else {
            return argument
        }
        return String(argument.dropFirst().dropLast())
    }

    private func printHelp() throws {
        for command in Self.dotCommands {
            let usage = command.name + (command.arguments.isEmpty ? "" : " " + command.arguments)
            let left = usage + String(repeating: " ", count: max(1, 27 - usage.count)) + command.word
            try output.print(left + String(repeating: " ", count: max(1, 37 - left.count)) + command.help)
        }
        let rule =
            try language() == .commandLines
            ? "Each line is a command, as in redis-cli" : "Statements end with a semicolon or \\g, records with \\G"
        try output.print("\(rule).\nCtrl-C cancels the running one, Tab completes, Ctrl-R searches.")
        try output.flush()
    }

    private func listDatabases() throws {
        let databases = try connection.reachableClient().listDatabases()
        try show(
            ["name", "engine", "access", "default"],
            databases.map { database in
                [
                    .text(database.name), .text(database.engine),
                    .text(database.isReadOnly ? "read_only" : "read_write"), .bool(database.isDefault),
                ]
            })
    }

    private func use(_ target: String) throws {
        if target.isEmpty {
            let engine = try connection.session().information.engine
            return try output.print(
                TerminalEscaping.visible("\(connection.name) (\(engine)), connected to \(connection.endpoint)"))
        }
        if connection.transaction != .none {
            throw UsageError("a transaction is open, and .use would give it up; COMMIT or ROLLBACK first")
        }
        try connection.use(target, isReadOnly: connection.options.isReadOnly)
    }

    /// Names of formats in sqlite3 and psql.
    private static let formatWords: [String: OutputFormat] = [
        "line": .record, "vertical": .record, "expanded": .record, "column": .table, "box": .table, "aligned": .table,
        "list": .tsv, "tabs": .tsv, "unaligned": .tsv,
    ]

    private func setMode(_ name: String) throws {
        guard let format = OutputFormat(rawValue: name) ?? Self.formatWords[name] else {
            let near = NearName.of(name, among: OutputFormat.allCases.map(\.rawValue)).map { "; \($0) may be meant" }
            throw UsageError("the formats are \(Self.formatNames)\(near ?? "")")
        }
        settings.format = format
    }

    private func setExpansion(_ argument: String) throws {
        // psql's \x goes back and forth.
        let isOn = settings.format == .record || settings.style.expansion == .on
        guard let expansion = argument.isEmpty ? (isOn ? .off : .on) : Expansion(rawValue: argument) else {
            throw UsageError(".expanded takes on, off or auto")
        }
        if settings.format == .record || argument.isEmpty || expansion != .off { settings.format = .table }
        settings.style.expansion = expansion
        switch expansion {
        case .off: say("Rows are lines of a table.")
        case .on: say("Rows are records.")
        case .auto: say("Rows are records where a table is too wide.")
        }
    }

    private func toggled(_ name: String, _ argument: String, _ present: Bool) throws(UsageError) -> Bool {
        switch argument {
        case "on": return true
        case "off": return false
        case "" where isInteractive: return !present
        default: throw UsageError("\(name) takes on or off")
        }
    }
}
