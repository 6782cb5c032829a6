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
        client.cancellationDescriptor = Interrupts.install()
        if let all { return try copyAll(client, all) }
        guard let file, file != "-" else {
            _ = try client.backup(database, to: STDOUT_FILENO)
            return
        }
        try copy(client, database, file, mayReplace: force)
    }

    /// Makes one copy, which has its name when it is whole.
    private func copy(_ client: BlockingClient, _ database: String?, _ path: String, mayReplace: Bool) throws {
        let new = try NewFile(path, mayReplace: mayReplace)
        do {
            _ = try client.backup(database, to: new.descriptor)
            try check(new.partialPath, path)
        } catch {
            new.drop()
            throw error
        }
        try new.keep()
    }

    private func check(_ partialPath: String, _ path: String) throws(InputError) {
        if isUnchecked { return }
        switch SQLiteCheck.check(partialPath) {
        case .whole: break
        case .damaged(let what):
            throw InputError(
                message: "the copy for \(path) is not sound, and was not kept: \(what)", status: ExitStatus.dataError)
        case .unchecked:
            Terminal.complain("litebase: \(path) was not checked: libsqlite3.so.0 is not installed")
        }
    }

    // MARK: All

    /// Copies what can be copied; one that fails does not keep the others from it.
    private func copyAll(_ client: BlockingClient, _ directory: String) throws {
        let now = Self.stamp(time(nil))
        var firstError: (any Error)?
        for database in try client.listDatabases() where database.engine == "sqlite" && database.mayBeOpened {
            do {
                try copy(client, database.name, "\(directory)/\(database.name)-\(now).db", mayReplace: false)
                if let keep { try removeOld(database.name, directory, keep) }
            } catch {
                if Self.isNoFile(error) { continue }
                Terminal.complain("litebase: the database \(TerminalEscaping.visible(database.name)) was not copied:")
                _ = LiteBaseCommand.report(error)
                firstError = firstError ?? error
            }
            if Interrupts.isRaised { break }
        }
        if let firstError { throw firstError }
    }

    /// Databases in memory.
    private static func isNoFile(_ error: any Error) -> Bool {
        (error as? ClientError)?.serverError?.sqlState == "0A000"
    }

    /// UTC, in an order by name that is the order of time.
    static func stamp(_ seconds: time_t) -> String {
        var (seconds, parts) = (seconds, tm())
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        return digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2) + "T"
            + digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2) + "Z"
    }

    /// Whether a file's name is that of a copy of this database.
    static func isCopy(_ file: String, of database: String) -> Bool {
        let prefix = "\(database)-"
        guard file.hasPrefix(prefix), file.hasSuffix(".db") else { return false }
        let stamp = file.dropFirst(prefix.count).dropLast(3)
        let pattern = "dddddddd T dddddd Z".filter { $0 != " " }
        return stamp.count == pattern.count
            && zip(stamp, pattern).allSatisfy { $1 == "d" ? ("0"..."9").contains($0) : $0 == $1 }
    }

    private func removeOld(_ database: String, _ directory: String, _ keep: Int) throws(InputError) {
        guard let stream = opendir(directory) else {
            throw InputError(message: "\(directory): \(Errno.current)", status: ExitStatus.ioError)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if Self.isCopy(name, of: database) { names.append(name) }
        }
        for name in names.sorted().dropLast(keep) { unlink("\(directory)/\(name)") }
    }
}
