// The program: its commands, and how it ends.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

@main
struct LiteBaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "litebase",
        abstract: "Talk to LiteBase, the local database service.",
        discussion: """
            Without --socket, the daemon is looked for at $LITEBASE_SOCKET,
            $XDG_RUNTIME_DIR/litebase/litebase.sock, ~/.local/state/litebase/litebase.sock
            and /run/litebase/litebase.sock. See litebase(1) for formats and exit statuses.

            EXAMPLES:
              litebase ping
              litebase query "SELECT * FROM city WHERE country = ? LIMIT 5" NO
              litebase query --format csv "SELECT * FROM city" > city.csv
              litebase shell
            """,
        version: "litebase \(Product.version)",
        subcommands: [
            PingCommand.self, QueryCommand.self, ExportCommand.self, ImportCommand.self, CopyCommand.self,
            MoveCommand.self,
            BackupCommand.self, RestoreCommand.self, ShellCommand.self,
            RunCommand.self, HistoryCommand.self,
            DatabasesCommand.self, CatalogCommand.self,
            StatusCommand.self,
            WatchCommand.self, ReloadCommand.self, ConfigCommand.self, TopCommand.self, CancelCommand.self,
            BenchCommand.self,
            CompletionsCommand.self,
        ])

    static func main() {
        // A reader that is gone ends the process as it ends every filter, even if SIGPIPE came ignored.
        signal(SIGPIPE, SIG_DFL)
        StandardStreams.occupyClosed()
        // Else each batch of a long result gives its memory back to the system, and the next one gets it page by page.
        Process.limitMemoryArenas(Int32(clamping: Process.coreCount))
        do {
            let arguments = ParameterParsing.protectDashes(Process.arguments)
            var command = try parseAsRoot(arguments)
            try command.run()
        } catch is InterruptedError {
            Signals.die(of: Interrupts.signalNumber)
        } catch {
            let status = report(error)
            if isCancelled(error) { Signals.die(of: Interrupts.signalNumber) }
            Process.exit(status)
        }
    }

    /// Whether it is what became of Ctrl-C, or of another signal that counts as it.
    private static func isCancelled(_ error: any Error) -> Bool {
        guard Interrupts.isRaised else { return false }
        return error is StatementError || error is ClientError
    }

    /// Says what went wrong.
    /// - Returns: the exit status.
    static func report(_ error: any Error) -> Int32 {
        switch error {
        case let error as StatementError:
            ErrorReport.print(error.error, sql: error.sql, place: error.place)
            return ExitStatus.of(error.error)
        case let error as ClientError:
            ErrorReport.print(error)
            return ExitStatus.of(error)
        case let error as OutputError where error.errno == .brokenPipe:
            Signals.die(of: SIGPIPE)
        case let error as OutputError:
            let outcome = error.summary == nil ? "" : "; the statement was carried out"
            Terminal.complain("litebase: cannot write the output: \(error.errno)\(outcome)")
            return ExitStatus.ioError
        case let error as InputError:
            for (index, line) in error.message.split(separator: "\n").enumerated() {
                Terminal.complain(index == 0 ? "litebase: \(line)" : String(line))
            }
            return error.status
        case let error as UsageError:
            Terminal.complain("litebase: \(error.message)")
            return ExitStatus.usage
        default:
            // Help and the version count as errors here; a wrong argument gets its usage line.
            let status = exitCode(for: error)
            guard !status.isSuccess, let text = OptionSuggestion.removed(from: fullMessage(for: error)) else {
                exit(withError: error)
            }
            Terminal.complain(text)
            return status.rawValue
        }
    }
}

/// Input that cannot be read.
struct InputError: Error {
    let message: String
    var status: Int32 = ExitStatus.dataError
}
