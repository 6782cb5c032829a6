// `litebase backup`: copies of SQLite databases while they are in use.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy a SQLite database while it is in use.",
        usage: """
            litebase backup [-d <name>] <file> [<options>]
            litebase backup --all <directory> [--keep <n>] [<options>]
            """,
        discussion: """
            The copy is the database as it is at one moment; nobody who writes to it
            waits. It is checked (quick_check) before it gets its name. litebase restore
            puts it back.

            EXAMPLES:
              litebase backup -d geo geo-copy.db
              litebase backup --all /var/backups/litebase --keep 14
            """)

    @Argument(help: ArgumentHelp("The copy; - is standard output.", valueName: "file"), completion: .file())
    var file: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name. Default: the daemon's.", valueName: "name"))
    var database: String?

    @Option(
        help: ArgumentHelp("Copy every SQLite database, each into a new file there.", valueName: "directory"),
        completion: .directory)
    var all: String?

    @Option(help: ArgumentHelp("With --all, how many copies of each database stay. Default: all.", valueName: "n"))
    var keep: Int?

    @Flag(help: "Replace a file that exists.")
    var force = false

    @Flag(name: .customLong("no-check"), help: "Do not check the copy.")
    var isUnchecked = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if (file == nil) == (all == nil) { throw ValidationError("Give either a file or --all with a directory.") }
        if all != nil, database != nil { throw ValidationError("Give either --database or --all, not both.") }
        if keep != nil, all == nil { throw ValidationError("--keep needs --all.") }
        if let keep, keep < 1 { throw ValidationError("The number of copies must be at least 1.") }
    }

    func run() throws {
        let client = try connection.connect()
        try client.introduce(as: "litebase backup")
        client.givesUpWhenCancelledAgain = true
        client.cancellationDescriptor = Interrupts.install()
        Interrupts.catchTermination()
        if let all { return try copyAll(client, all) }
        guard let file, file != "-" else {
            _ = try client.backup(database, to: STDOUT_FILENO)
            return
        }
        try copy(client, database, file, mayReplace: force)
    }

    /// Makes one copy, which has its name when it is whole.
    private func copy(_ client: BlockingClient, _ database: String?, _ path: String, mayReplace: Bool) throws {
        let new = try NewFile(path, mayReplace: mayReplace, isDatabase: true)
        do {
            _ = try client.backup(database, to: new.descriptor)
            // It was not open before, where this is the copied one.
            if mayReplace { try SQLiteCompanions.refuseUsed(new.path) }
            try check(new.partialPath, path)
            if Interrupts.isRaised { throw InterruptedError() }
        } catch {
            new.drop()
            throw error
        }
        try new.keep()
    }

    private func check(_ partialPath: String, _ path: String) throws {
        if isUnchecked { return }
        switch SQLiteCheck.check(partialPath) {
        case .whole: break
        case .damaged(let what):
            throw InputError(
                message: "the copy for \(path) is not sound, and was not kept: \(what)", status: ExitStatus.dataError)
        case .interrupted: throw InterruptedError()
        case .uncheckable(let what):
            Terminal.complain("litebase: \(path) was not checked: \(what)")
        case .unchecked:
            Terminal.complain("litebase: \(path) was not checked: libsqlite3.so.0 is not installed")
        }
    }

    // MARK: All

    /// Copies what can be copied; one that fails does not keep the others from it.
    private func copyAll(_ client: BlockingClient, _ path: String) throws {
        let directory = BackupDirectory(path: path)
        let now = time(nil)
        var firstError: (any Error)?
        func note(_ error: any Error, _ what: String) {
            Terminal.complain("litebase: \(what):")
            _ = LiteBaseCommand.report(error)
            firstError = firstError ?? error
        }
        for database in try client.listDatabases() where database.engine == "sqlite" && database.mayBeOpened {
            let name = BackupDirectory.name(of: database.name, at: now)
            let shown = TerminalEscaping.visible(database.name)
            do {
                try directory.removeLeft(of: database.name)
                try copy(client, database.name, "\(path)/\(name)", mayReplace: false)
            } catch {
                if Self.isNoFile(error) { continue }
                // It was never used, unless there are copies of it.
                if Self.isMissingFile(error), try !directory.hasCopy(of: database.name) { continue }
                note(error, "the database \(shown) was not copied")
                if Interrupts.isRaised { throw InterruptedError() }
                continue
            }
            do {
                if let keep { warn(of: try directory.removeOld(database.name, before: name, keeping: keep), shown) }
            } catch {
                note(error, "not all older copies of the database \(shown) were deleted")
            }
            if Interrupts.isRaised { throw InterruptedError() }
        }
        if let firstError { throw firstError }
    }

    /// Says that copies are there whose times have not come yet.
    private func warn(of later: [String], _ database: String) {
        guard let first = later.first else { return }
        let others = later.count == 1 ? "" : ", and \(later.count - 1) more"
        Terminal.complain(
            "litebase: the copy \(TerminalEscaping.visible(first))\(others) of \(database) is named after a later time than the one "
                + "just made: a clock was wrong; it stays, and is not counted")
    }

    /// The first statement would make it.
    private static func isMissingFile(_ error: any Error) -> Bool {
        (error as? ClientError)?.serverError?.sqlState == "58P01"
    }

    /// Databases in memory.
    private static func isNoFile(_ error: any Error) -> Bool {
        (error as? ClientError)?.serverError?.sqlState == "0A000"
    }
}
