// The files that SQLite makes beside a database, and takes for a part of it.

internal import Glibc
internal import LinuxSystem

enum SQLiteCompanions {
    private static let endings = ["-wal", "-shm", "-journal"]

    /// Those that are there.
    static func of(_ path: String) -> [String] {
        endings.map { path + $0 }.filter { access($0, F_OK) == 0 }
    }

    /// Refuses a file that has only a part of the database that it is.
    /// - Throws: `InputError` if a log has more of it, or a journal has what belongs in its place.
    static func refuseParts(_ given: String) throws(InputError) {
        let path = (try? Files.resolved(given)) ?? given
        if let log = (try? Files.status(path + "-wal"))?.byteCount, log > 0 {
            throw incomplete(given, "\(given)-wal has more of this database")
        }
        // One of a transaction that has ended is empty, or begins with zeros (PRAGMA journal_mode).
        guard let journal = fopen(path + "-journal", "r") else { return }
        defer { fclose(journal) }
        let first = fgetc(journal)
        if first != EOF, first != 0 {
            throw incomplete(given, "\(given)-journal is of a transaction that was cut off, or goes on")
        }
    }

    private static func incomplete(_ path: String, _ what: String) -> InputError {
        InputError(
            message:
                "\(what), and the file is not whole without it. Copy it with litebase backup, or sqlite3's .backup, and restore the copy",
            status: ExitStatus.dataError)
    }

    /// Refuses to take the place of a database that a program has open.
    static func refuseUsed(_ path: String) throws(InputError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard Files.isLocked(descriptor) else { return }
        throw InputError(
            message: "\(path) is a database that a program has open; write elsewhere", status: ExitStatus.usage)
    }
}
