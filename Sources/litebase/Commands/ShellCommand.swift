// `litebase shell`: the arguments; the shell itself is in Shell/.

import ArgumentParser
import LiteBaseClient

struct ShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Run statements interactively, in one session.",
        usage: "litebase shell [<options>]",
        discussion: """
            Statements end with a semicolon and may take several lines. Ctrl-C
            cancels the running statement, Ctrl-D leaves, Tab completes. .help lists
            the shell's own commands; those of psql, mariadb and sqlite3 (\\d, \\x,
            \\G, .tables) are understood. Long results go through $PAGER. A script,
            from stdin or by .read, ends at its first error unless --on-error says
            otherwise.

            EXAMPLES:
              litebase shell
              litebase shell --database geo --read-only
              litebase shell -c .tables
            """)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var limits: StatementLimits
    @OptionGroup var script: ScriptOptions

    @Option(
        name: [.customShort("c"), .customLong("command")],
        help: ArgumentHelp("Run this instead of what is typed; may be repeated.", valueName: "text"))
    var commands: [String] = []

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("Run a file, after every --command; may be repeated.", valueName: "path"))
    var files: [String] = []

    @Flag(name: .customLong("no-startup"), help: "Do not run the startup file.")
    var hasNoStartup = false

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let sources = commands.map(ShellSource.text) + files.map(ShellSource.file)
        let isInteractive = sources.isEmpty && Terminal.inputIsTerminal
        var style = output.style
        if isInteractive, Terminal.outputIsTerminal { style.expansion = .auto }
        let shell = Shell(
            connection: try ShellConnection(connection.endpoint(), trusting: connection.trusted, database),
            settings: ShellSettings(
                format: output.effectiveFormat, style: style, limits: limits.queryOptions(database: nil)),
            errorPolicy: script.errorPolicy, isInteractive: isInteractive)
        shell.sources = sources
        shell.hasStartup = !hasNoStartup
        try shell.run()
        if shell.hasLostTransaction { throw ExitCode(ExitStatus.statementFailed) }
        if !isInteractive, let status = shell.failureStatus { throw ExitCode(status) }
    }
}
