// `litebase restore`: a SQLite database gets the content of a file while it is in use.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Give a SQLite database the content of a backup while it is in use.",
        usage: "litebase restore <database> <file> [--yes] [<options>]",
        discussion: """
            The daemon reads the file itself, and checks it (quick_check) before it
            changes anything. Programs that have the database open see the former
            content until the end, and the restored one then; those that write wait
            meanwhile. If it fails or is interrupted, the database is as it was.

            EXAMPLES:
              litebase restore geo geo-copy.db
              zstd -dc geo.db.zst | litebase restore geo - --yes
            """)

    @Argument(help: ArgumentHelp("The database, by name.", valueName: "database"))
    var database: String

    @Argument(
        help: ArgumentHelp("The file, such as litebase backup makes; - is standard input.", valueName: "file"),
        completion: .file())
    var file: String

    @Flag(help: "Do not ask. Without a terminal nothing is asked.")
    var yes = false

    @Option(help: ArgumentHelp("Give up after that time of work.", valueName: "seconds"))
    var timeout: Double?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let timeout, !(timeout > 0 && timeout <= 86_400_000) {
            throw ValidationError("The timeout must be a positive number of seconds.")
        }
    }

    func run() throws {
        if file == "-", Terminal.inputIsTerminal {
            throw ValidationError("Standard input is a terminal: give a file, or send one into standard input.")
        }
        let descriptor = file == "-" ? STDIN_FILENO : try ImportText.open(file)
        if file != "-" { try SQLiteCompanions.refuseParts(file) }
        let client = try connection.connect()
        try client.introduce(as: "litebase restore")
        guard isConfirmed() else {
            throw InputError(message: "nothing was changed", status: ExitStatus.usage)
        }
        client.givesUpWhenCancelledAgain = true
        client.cancellationDescriptor = Interrupts.install()
        let start = MonotonicInstant.now
        let result: TransferResult
        do throws(ClientError) {
            let limit = timeout.map { Duration.milliseconds(Int64(($0 * 1000).rounded(.up))) }
            result = try client.restore(database, from: descriptor, timeout: limit) { status in
                let isRead = status.byteCount == status.totalByteCount
                LiveLine.show(
                    isRead
                        ? "\(TransferProgressText.megabytes(Double(status.byteCount))) read; it is checked and written"
                        : TransferProgressText.line(status, since: start))
            }
        } catch {
            LiveLine.clear()
            throw error
        }
        LiveLine.clear()
        let output = StandardOutput()
        try output.print("\(database) restored, \(TransferProgressText.megabytes(Double(result.byteCount)))")
        try output.flush()
    }

    /// Asks whoever sits at a terminal, as a shell's `rm -i` does.
    private func isConfirmed() -> Bool {
        if yes || !Terminal.inputIsTerminal { return true }
        let (name, path) = (TerminalEscaping.visible(database), TerminalEscaping.visible(file))
        Terminal.ask("Replace all that is in the database \(name) by \(path)? [y/N] ")
        let answer = readLine() ?? ""
        return ["y", "yes"].contains(answer.lowercased())
    }
}
