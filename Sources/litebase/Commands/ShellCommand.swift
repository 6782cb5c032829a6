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
              echo ".tables" | litebase shell
            """)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var limits: StatementLimits
    @OptionGroup var script: ScriptOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let isInteractive = Terminal.inputIsTerminal
        var style = output.style
        if isInteractive, Terminal.outputIsTerminal { style.expansion = .auto }
        let shell = Shell(
            connection: try ShellConnection(connection.endpoint(), trusting: connection.trusted, database),
            settings: ShellSettings(
                format: output.effectiveFormat, style: style, limits: limits.queryOptions(database: nil)),
            errorPolicy: script.errorPolicy, isInteractive: isInteractive)
        try shell.run()
        if shell.hasLostTransaction { throw ExitCode(ExitStatus.statementFailed) }
        if !isInteractive, let status = shell.failureStatus { throw ExitCode(status) }
    }
}
