// The daemon's copy of a file that is to become the content of a database.

internal import CSQLite
public import DatabaseContract
internal import Glibc
internal import LinuxSystem

/// A file beside the database, without a name: whatever becomes of this process, nothing is left of it. SQLite has it open from
/// the beginning, since it could not be found later.
///
/// What is checked is what is written: the client cannot change the copy, as it could its own file.
///
/// - Thread: one at a time; `stop` any.
final class SQLiteRestoredFile: RestoredFile, @unchecked Sendable {
    /// Reads the copy.
    let connection: SQLiteConnection
    private let file: OwnedDescriptor
    private let owner: LinkOwner
    private let target: Target
    /// What `stop` ends.
    private let checking = StatementRun(sink: RowSink())
    private var byteCount: Int64 = 0
    private var header: SQLiteFileHeader?
    /// It cannot become the content of the database.
    private var isRefused = false

    /// The database whose content it is to become.
    struct Target {
        /// Without links.
        var path: String
        var byteCount: Int64
        /// Of a database with a write-ahead log, whose pages keep their size.
        var pageByteCount: Int?
        /// `nil` if the database is so damaged that it does not say.
        var encoding: String?
    }

    private struct NewFile: ~Copyable {
        let identity: FileIdentity
        let file: OwnedDescriptor
    }

    /// A program of the daemon's user may use the name at the same moment.
    private static let attemptCountMax = 20
    /// Of a frame of the log, beside the page.
    private static let frameHeaderByteCount: Int64 = 24

    /// Makes an empty one.
    init(
        _ target: Target, _ options: SQLiteOptions, byteCount expected: Int64?, _ owner: LinkOwner
    ) throws(DriverError) {
        owner.account.charge()
        guard owner.account.mayOpenFile() else { throw Self.refused() }
        var isMade = false
        defer { if !isMade { owner.account.fileWasClosed() } }
        let path = "\(target.path)-restore"
        var options = options
        (options.path, options.mode, options.usesWAL, options.refusal) = (path, .readOnly, false, { _ in nil })
        let made = try Self.make(path)
        // By its identity: another restore may have taken it for what a dead one has left.
        let companion = SQLiteFileSet.Companion(path: path, file: made.identity)
        defer { companion.remove() }
        do throws(DriverError) {
            connection = try SQLiteConnection(options, role: .session(owner, isReadOnly: true))
        } catch {
            let there = try? Files.status(path, followingLinks: false)
            throw there.map(FileIdentity.init) == made.identity ? error : Self.disturbed
        }
        guard connection.file == made.identity else { throw Self.disturbed }
        file = made.file
        self.owner = owner
        self.target = target
        isMade = true
        if let expected { try requireRoom(for: expected, afterCopying: false) }
    }

    deinit {
        connection.close()
        _ = owner.account.chargeFile(-byteCount)
        owner.account.fileWasClosed()
    }

    /// Makes a file that has a name until SQLite has opened it. One that is there is what a process has left that was killed at
    /// that moment.
    private static func make(_ path: String) throws(DriverError) -> NewFile {
        for _ in 0..<attemptCountMax {
            do throws(Errno) {
                let file = try Files.open(path, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
                return NewFile(identity: FileIdentity(try Files.status(of: file)), file: file)
            } catch {
                guard error == .fileExists else {
                    throw DriverError(
                        .databaseError, "No file can be made beside the database: \(error).",
                        hint: "The daemon's user has to be able to write the directory of the database.",
                        sqlState: "58030")
                }
            }
            guard let status = try? Files.status(path, followingLinks: false) else { continue }
            guard status.kind == .regular, status.byteCount == 0, status.ownerUID == Process.effectiveUID else {
                throw DriverError(
                    .databaseError, "There is a file \(path), whose name a restore needs.",
                    hint: "Move it away, or give it another name.", sqlState: "58030")
            }
            SQLiteFileSet.Companion(path: path, file: FileIdentity(status)).remove()
        }
        throw disturbed
    }

    private static let disturbed = DriverError(
        .busy, "Another restore of the database began at the same moment.", hint: "Try again.", sqlState: "55P03"
    ).with { $0.isRetryable = true }

    // MARK: Its bytes

    func append(_ bytes: UnsafeRawBufferPointer) throws(DriverError) {
        owner.account.charge()
        guard owner.account.chargeFile(Int64(bytes.count)) else { throw Self.refused() }
        byteCount += Int64(bytes.count)
        do throws(Errno) { try Files.writeAll(file, bytes) } catch { throw Self.failed(error) }
        if header == nil, byteCount >= Int64(SQLiteFileHeader.byteCount) { try readHeader() }
    }

    /// The client's limit of temporary files.
    private static func refused() -> DriverError {
        DriverError(.limitExceeded, "There is no room for the copy of the file.").with {
            _ = SQLiteMemory.explainRefusal(&$0)
            $0.hint = "A restore keeps a copy of its file; raise limits.temporary_bytes_per_user_max."
        }
    }

    private static func failed(_ error: Errno) -> DriverError {
        DriverError(
            .databaseError, "The copy of the file beside the database could not be written: \(error).",
            hint: "Free some space on the disk of the database; it is as it was.", sqlState: "53100")
    }

    /// What cannot be restored is refused before all of it has come.
    private func readHeader() throws(DriverError) {
        let number = file.number
        let found: Result<SQLiteFileHeader, DriverError> = withUnsafeTemporaryAllocation(
            byteCount: SQLiteFileHeader.byteCount, alignment: 8
        ) { bytes in
            let count = pread(number, bytes.baseAddress, bytes.count, 0)
            guard count >= 0 else { return .failure(Self.failed(.current)) }
            do throws(DriverError) {
                return .success(try SQLiteFileHeader(UnsafeRawBufferPointer(rebasing: bytes[..<count])))
            } catch {
                return .failure(error)
            }
        }
        let header = try found.get()
        if let wanted = target.pageByteCount, header.pageByteCount != wanted {
            throw .unfitFile(
                "its pages have \(header.pageByteCount) bytes, and those of the database \(wanted), which cannot be "
                    + "changed while it is in use",
                hint:
                    "Give a copy of the file such pages: sqlite3 FILE \"PRAGMA journal_mode = DELETE; PRAGMA page_size "
                    + "= \(wanted); VACUUM\"")
        }
        if let wanted = target.encoding, let encoding = header.encoding, encoding != wanted {
            throw .unfitFile(
                "its texts are in \(encoding), and those of the database in \(wanted), which programs that have it open "
                    + "rely on",
                hint: "Put the file in the place of the database while nobody uses it (docs/operations.md, Backup and "
                    + "restore).")
        }
        self.header = header
    }

    // MARK: Checking

    func stop() {
        checking.requestStop(.cancelled)
        connection.interrupt(checking)
        // SQLite does not look at anything else while it checks; without pages it ends at once.
        _ = ftruncate(file.number, 0)
    }

    func check() throws(DriverError) {
        owner.account.charge()
        guard byteCount > 0 else {
            throw .unfitFile("it is empty", hint: "See whether the backup was made without an error.")
        }
        if header == nil { try readHeader() }
        guard let header else { throw Self.failed(.current) }
        let pageByteCount = Int64(header.pageByteCount)
        if byteCount % pageByteCount != 0 || byteCount < (header.pageCount ?? 0) * pageByteCount {
            throw .unfitFile(
                "it is cut off: it has \(byteCount) bytes"
                    + (header.pageCount.map { ", and begins as one of \($0 * pageByteCount)" } ?? ""),
                hint: "See whether the backup was made, and copied, without an error.")
        }
        try makeOrdinary()
        try requireRoom(for: byteCount, afterCopying: true)
        if let damage = try damage() {
            throw .unfitFile(
                "it is damaged: \(damage)", hint: "Use another backup; .recover of sqlite3 may save some of it.")
        }
        if let reason = checking.stopReason { throw .stopped(reason) }
    }

    /// Changes the copy's header so that SQLite reads what is in the file, and does not look for a log beside it; and so that it
    /// reads the schema, which it has read of the empty file. The database gets values of its own in these places.
    private func makeOrdinary() throws(DriverError) {
        let changes: [(offset: off_t, bytes: [UInt8])] = [(18, [1, 1]), (40, [0, 0, 0, 1])]
        for (offset, bytes) in changes {
            let count = bytes.withUnsafeBytes { pwrite(file.number, $0.baseAddress, $0.count, offset) }
            guard count == bytes.count else { throw Self.failed(.current) }
        }
    }

    /// All of it goes through the log of the database before it is in its file.
    private func requireRoom(for expected: Int64, afterCopying isCopied: Bool) throws(DriverError) {
        guard let free = try? Files.freeByteCount(of: file) else { return }
        let pageByteCount = Int64(header?.pageByteCount ?? 4_096)
        let log = expected + expected / pageByteCount * Self.frameHeaderByteCount
        let growth = max(0, expected - target.byteCount)
        let needed = (isCopied ? 0 : expected) + log + growth
        guard needed > free else { return }
        throw DriverError(
            .databaseError,
            "The restore needs \(needed) bytes on the disk of the database, for a while, and \(free) are free there.",
            hint: "Free some space; the database is as it was.", sqlState: "53100")
    }

    /// What SQLite finds wrong with it; `nil` if nothing.
    private func damage() throws(DriverError) -> String? {
        connection.begin(checking, nil)
        // It reads a schema that anybody may have made.
        connection.beginGuard()
        defer {
            AllocationGuard.end()
            connection.end()
        }
        guard let statement = connection.prepareOwn("PRAGMA quick_check(1)") else { return try reason(SQLITE_ERROR) }
        defer { sqlite3_finalize(statement) }
        let result = sqlite3_step(statement)
        guard result == SQLITE_ROW, let text = sqlite3_column_text(statement, 0) else { return try reason(result) }
        if let reason = checking.stopReason { throw .stopped(reason) }
        let found = String(cString: text)
        return found == "ok" ? nil : found
    }

    /// Why it could not be checked; `nil` if that is nothing against it.
    private func reason(_ result: Int32) throws(DriverError) -> String? {
        if let reason = checking.stopReason { throw .stopped(reason) }
        let error = SQLiteErrors.error(connection.handle, result)
        // Of an application that makes it: what needs it cannot be checked here, nor is it damaged.
        if error.details.message.hasPrefix("No such collation sequence") { return nil }
        guard error.details.sqlState == "XX001" || error.code == .databaseError || error.code == .syntaxError else {
            throw error
        }
        return error.details.message
    }
}

extension SQLiteDatabase {
    public func makeRestoredFile(byteCount: Int64?, for owner: LinkOwner) throws(DriverError) -> any RestoredFile {
        guard !options.isMemory else { throw .noFileToRestore }
        let reader = try openReader(mayBlock: true)
        defer { reader.close() }
        let path = sqlite3_db_filename(reader.handle, "main").map { String(cString: $0) } ?? options.path
        let usesWAL = reader.usesWAL
        let target = SQLiteRestoredFile.Target(
            path: path, byteCount: (try? Files.status(path))??.byteCount ?? 0,
            pageByteCount: usesWAL ? reader.answer("PRAGMA page_size").flatMap { Int($0) } : nil,
            encoding: reader.answer("PRAGMA encoding"))
        return try SQLiteRestoredFile(target, options, byteCount: byteCount, owner)
    }
}

extension SQLiteConnection {
    /// The only value of a statement of our own; `nil` if it fails.
    fileprivate func answer(_ sql: String) -> String? {
        guard let statement = prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let text = sqlite3_column_text(statement, 0) else { return nil }
        return String(cString: text)
    }
}
