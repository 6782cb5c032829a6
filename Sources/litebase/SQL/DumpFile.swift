// A database, or tables of it, as the statements that make them again: for `litebase export` and for `.dump` of the shell.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// What both kinds of dumps are written into: the daemon writes rows into the same descriptor, this program what is between them.
struct DumpFile {
    let descriptor: Int32

    /// What comes next makes rows, for which one waits long: Ctrl-C that a statement has heard as it ended is heard by this one.
    func willHaveRows() { Interrupts.tellAgain() }

    func print(_ text: String) throws(OutputError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if Errno.current != .interrupted {
                throw OutputError(errno: .current)
            }
        }
    }
}

enum DatabaseDump {
    /// Writes all of a database, or some of its relations, as of one moment.
    /// - Parameters:
    ///   - session: one of its own, since a transaction and settings are begun in it; what it has open is lost with it.
    ///   - relations: names of tables and views as the engine reads them; empty for all.
    ///   - descriptor: a file or a pipe.
    ///   - timeout: for the rows of a table.
    /// - Throws: `InputError` if there is no such table, `UsageError` if the engine has none, `ClientError`, `OutputError`.
    static func write(
        _ session: BlockingSession, only relations: [String] = [], to descriptor: Int32, timeout: Duration?
    ) throws {
        let file = DumpFile(descriptor: descriptor)
        switch CopyDialect(rawValue: session.information.engine) {
        case .sqlite?:
            var dump = SQLiteDump(session, to: file, timeout: timeout)
            try dump.write(only: relations)
        case let dialect?:
            let dump = ServerDump(
                session: session, file: file, timeout: timeout, dialect: dialect, relations: relations)
            try dump.write()
        case nil: throw UsageError("the engine of this database has no tables")
        }
    }

    static func missing(_ relation: String) -> InputError {
        InputError(
            message: "there is no table or view \(TerminalEscaping.visible(relation))",
            status: ExitStatus.statementFailed)
    }
}
