// The files of a database, and whether they still are where they were opened. SQLite finds a file by its path once,
// when it opens it, and the log (`-wal`) by the database's path; in WAL mode it does not check again. So after a
// database was deleted or replaced, writes would go on to the old file, and a new file in its place would be used with
// the log of the old one (https://sqlite.org/howtocorrupt.html, section 4).

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The files of an open database, by path and identity.
struct SQLiteFileSet: Sendable {
    /// A file beside the database.
    struct Companion: Sendable {
        var path: String
        var file: FileIdentity

        /// Deletes it, unless another file is at the path now.
        func remove() { _ = litebase_sqlite3_remove_file(path, file.device, file.inode) }

        /// Renames it to an unused name beside it, unless another file is at the path now.
        /// - Returns: the new name.
        func setAside() throws(Errno) -> String {
            let number = litebase_sqlite3_set_aside(path, file.device, file.inode, ".left")
            guard number > 0 else { throw .current }
            return number == 1 ? "\(path).left" : "\(path).left\(number)"
        }

        /// Whether it is at its path.
        var isInPlace: Bool { FileIdentity(path: path) == file }
    }

    /// As configured; may be a symbolic link.
    let path: String
    private let main: FileIdentity?
    /// The write-ahead log, if the daemon keeps one.
    private let log: Companion?
    private let sharedMemory: Companion?
    /// The mapped index of the log, and the length of its file: while it is mapped, it does not get shorter. 0: none is
    /// mapped.
    private let index: (number: UInt64, byteCount: Int64)

    /// The files of a connection that was just opened and has read or written.
    init(_ connection: SQLiteConnection) {
        path = connection.options.path
        main = connection.file
        let resolved = sqlite3_db_filename(connection.handle, "main").map { String(cString: $0) } ?? path
        (log, sharedMemory) = (Self.companion("\(resolved)-wal"), Self.companion("\(resolved)-shm"))
        let status = sharedMemory.flatMap { try? Files.status($0.path) }
        index = (litebase_sqlite3_index(connection.handle), status?.byteCount ?? 0)
    }

    private static func companion(_ path: String) -> Companion? {
        FileIdentity(path: path).map { Companion(path: path, file: $0) }
    }

    /// Whether there is a write-ahead log.
    var hasLog: Bool { index.number != 0 }

    /// Whether the database file is still at its path.
    /// - Cost: a stat(2), about 1 µs on a local file system.
    var isFileInPlace: Bool { main != nil && FileIdentity(path: path) == main }

    private var isLogInPlace: Bool { log?.isInPlace ?? true }

    private enum IndexState { case whole, replaced, shortened }

    private var indexState: IndexState {
        guard index.number != 0, let sharedMemory else { return .whole }
        guard let status = try? Files.status(sharedMemory.path),
            sharedMemory.file == FileIdentity(status)
        else { return .replaced }
        return status.byteCount < index.byteCount ? .shortened : .whole
    }

    /// Whether the file is still at its path, and its log and index beside it.
    /// - Cost: three stat(2).
    var areInPlace: Bool { isFileInPlace && isLogInPlace && indexState == .whole }

    /// Whether a commit is found by whoever opens the path: a lost index is made again from the log. With another
    /// index, somebody else may write into the log at the same time.
    var keepCommits: Bool { isFileInPlace && isLogInPlace && indexState != .replaced }

    /// Whether a connection in this process has found the index to be lost.
    var isIndexLost: Bool { index.number != 0 && litebase_sqlite3_is_index_lost(index.number) != 0 }

    /// Whether a connection has the common file open: it may have been opened while another file was at the path for a
    /// moment.
    func isOf(_ connection: SQLiteConnection) -> Bool { connection.file == main }

    /// Length of the log file, in bytes.
    /// - Cost: a stat(2).
    var logByteCount: Int64 { log.flatMap { try? Files.status($0.path) }?.byteCount ?? 0 }

    /// Marks the index as lost for all in this process that have the same one, even if none has needed the missing
    /// part.
    func loseIndex() {
        if index.number != 0 { litebase_sqlite3_lose_index(index.number) }
    }

    /// What has happened to the files, for people, and whether it concerns the index of the log alone.
    var change: (text: String, isIndex: Bool) {
        let isLogInPlace = isLogInPlace
        let what =
            switch FileIdentity(path: path) {
            case nil: "\(path) was deleted or moved"
            case main: isLogInPlace ? changeOfIndex : "the log of \(path) (-wal) was deleted or replaced"
            default: "\(path) was replaced by another file"
            }
        let text = "\(what) while it was open; its sessions end, and what is there now is opened"
        return (text, isFileInPlace && isLogInPlace)
    }

    private var changeOfIndex: String {
        let index = "the index of the log of \(path) (-shm)"
        return switch indexState {
        case .replaced: "\(index) was deleted or replaced"
        case .shortened: "\(index) was shortened by another program"
        case .whole: "\(index) was shortened by another program, or its disk has no space or fails,"
        }
    }

    /// Writes what was committed into the file to which it belongs, wherever that is now, and moves the log away from a
    /// path where it would be taken for another file's.
    ///
    /// Nobody else in this process may have the files open, and none of them may have been opened again.
    func settle(_ writer: SQLiteConnection) -> Settlement {
        let isIndexLost = writer.findsLoss()
        let isComplete = !isIndexLost && writer.checkpoint()
        // The same file: closing the last connection checkpoints it, or the next one continues with its log. (SQLite
        // says so, too, if it cannot find out.)
        guard writer.hasMoved, !isFileInPlace else {
            return Settlement(
                trouble: isComplete || isIndexLost ? nil : "the log of \(path) could not be written back")
        }
        sharedMemory?.remove()
        guard let log, log.isInPlace else { return Settlement() }
        if isComplete {
            log.remove()
            return Settlement()
        }
        let what = "the log of the former \(path) could not be written back"
        do throws(Errno) {
            let kept = try log.setAside()
            return Settlement(trouble: "\(what), and is kept as \(kept)")
        } catch {
            return Settlement(
                trouble: "\(what), nor given another name (\(error)); as long as it is at \(log.path), where it would "
                    + "be taken for that of the file that is there now, that is not opened: move it away",
                strandedLog: log)
        }
    }

    /// The state of the files that were left.
    struct Settlement {
        /// What an administrator must know about it.
        var trouble: String?
        /// The log of an old file that is still at its path, and would be played into another file.
        var strandedLog: Companion?
    }
}

extension FileIdentity {
    /// The database file that this thread has opened last; `nil` if the library was not set up (`SQLiteLibrary`), as in
    /// tests of the driver alone.
    static var openedLast: FileIdentity? {
        var (device, inode): (UInt64, UInt64) = (0, 0)
        litebase_sqlite3_opened_file(&device, &inode)
        return inode == 0 ? nil : FileIdentity(device: device, inode: inode)
    }
}

extension SQLiteConnection {
    /// Whether the path leads to another file than the open one (SQLITE_FCNTL_HAS_MOVED; a symbolic link counts as its
    /// target at opening).
    var hasMoved: Bool {
        var answer: Int32 = 0
        return sqlite3_file_control(handle, "main", SQLITE_FCNTL_HAS_MOVED, &answer) == SQLITE_OK && answer != 0
    }

    /// Writes the log into the file, without waiting for others.
    /// - Returns: whether all of it is there.
    func checkpoint() -> Bool {
        mayBlock = false
        var (frameCount, doneCount): (Int32, Int32) = (-1, -1)
        let result = sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_TRUNCATE, &frameCount, &doneCount)
        // Busy: others still read, but nothing is only in the log.
        return result == SQLITE_OK || (result & 0xff == SQLITE_BUSY && frameCount >= 0 && frameCount == doneCount)
    }
}

/// The time of a database from one opening to the next. All its connections but the writer's hold a reference; after
/// the last one is released, nobody uses the files any more.
final class SQLiteGeneration: Sendable {
    let number: UInt64
    /// `nil` for a database in memory.
    let files: SQLiteFileSet?
    /// Connections apart from the writer's.
    let connectionCount = Atomic<Int>(0)
    /// A connection has found the index of the log to be lost.
    let isIndexLost = Atomic<Bool>(false)
    private let onEnd: @Sendable () -> Void

    init(_ number: UInt64, _ files: SQLiteFileSet?, onEnd: @escaping @Sendable () -> Void) {
        self.number = number
        self.files = files
        self.onEnd = onEnd
    }

    deinit { onEnd() }
}

extension DriverError {
    private static let replacedState = "08006"

    /// The error of a session whose file is gone.
    static let sessionReplaced = DriverError(
        .connectFailed,
        "The database file was deleted or replaced while the session was open; the session has ended, and an open "
            + "transaction was rolled back.",
        remedy: .repeatTransaction, sqlState: replacedState
    ).with { $0.isRetryable = true }

    /// A commit into a file that was not at its path any more afterwards.
    static let writtenIntoReplaced = DriverError(
        .outcomeUnknown,
        "The database file was deleted or replaced while this request ran; whether its change is in the file that is "
            + "there now is not known.",
        hint: "Look whether its change is there before you send it again.", sqlState: "08007")

    private static let hintOfIndex =
        "Only root and the daemon's user should be able to write its directory, whose disk needs some space."

    private static func messageOfIndex(_ path: String) -> String {
        "The index of the log of \(path) (-shm) was shortened or replaced by another program, or its disk has no space or "
            + "fails"
    }

    /// A statement met an index with which it cannot continue; it has changed nothing.
    static func indexLost(_ path: String) -> DriverError {
        DriverError(
            .connectFailed, "\(messageOfIndex(path)); the database is being opened anew.",
            hint: "Send the request again. \(hintOfIndex)", sqlState: replacedState
        ).with { $0.isRetryable = true }
    }

    /// The error of a session in that case.
    static func sessionIndexLost(_ path: String) -> DriverError {
        DriverError(
            .connectFailed,
            "\(messageOfIndex(path)); the session has ended, and an open transaction was rolled back.",
            hint: hintOfIndex, remedy: .repeatTransaction, sqlState: replacedState
        ).with { $0.isRetryable = true }
    }

    /// A commit that was written to the log and failed afterwards.
    static let writtenWithLostIndex = DriverError(
        .outcomeUnknown,
        "The index of the database's log (-shm) was lost while this request was committed, and its disk failed; whether its "
            + "change is there is not known.",
        hint: "Look whether its change is there before you send it again.", sqlState: "08007")

    /// The log of an old file would be played into the present one.
    static func logStranded(_ path: String) -> DriverError {
        DriverError(
            .connectFailed, "The database file was replaced, and its former log (-wal) could not be put aside.",
            hint: "An administrator has to move \(path) away: it belongs to the former file.", sqlState: "58030")
    }

    /// Whether the error says that the database has to be opened again.
    var isReplacement: Bool { code == .connectFailed && details.sqlState == Self.replacedState }
}
