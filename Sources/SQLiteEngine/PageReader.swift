// The pages of a database file as they are at one moment, while others write.

internal import CSQLite
internal import DatabaseContract

/// Reads the file of a database as of the moment when this was made.
///
/// A read transaction stays open until the end. In WAL mode it keeps nobody from writing: commits go into the log behind the
/// frames of the snapshot, and no checkpoint copies them, or starts the log anew, before it ends. So a page is the last of its
/// frames in the log that the snapshot has, or else what the database file has, and both stay as they are
/// (https://sqlite.org/walformat.html). SQLite's own backup reads the same pages one by one, through its cache, and writes
/// them to a second database; here long runs of them are read at once. With a rollback journal the transaction's lock keeps
/// writers from committing, as it does in every long read.
///
/// - Thread: that of its connection.
final class PageReader {
    private let connection: SQLiteConnection
    /// A statement that has stepped to its only row: until it is finalized, the transaction is open.
    private let holder: OpaquePointer
    private let pageByteCount: Int
    private let pageCount: Int64
    /// Pages that are in the log, ascending, each with its last frame: the page in the upper half.
    private var frames: [UInt64] = []
    private var nextFrameIndex = 0
    private var nextPage: Int64 = 1
    private let chunk: UnsafeMutableRawBufferPointer

    /// Bytes that are read at once; no less than the largest page.
    private static let chunkByteCount = 1 << 20
    private static let logHeaderByteCount: Int64 = 32
    private static let frameHeaderByteCount = 24
    /// Somebody may commit at the very moment when the transaction begins.
    private static let attemptCountMax = 10_000

    /// Begins the transaction.
    init(_ connection: SQLiteConnection) throws(DriverError) {
        guard sqlite3_txn_state(connection.handle, nil) == SQLITE_TXN_NONE else { throw Self.unreadable }
        self.connection = connection
        let snapshot = try Snapshot(connection)
        holder = snapshot.holder
        pageByteCount = snapshot.pageByteCount
        pageCount = snapshot.pageCount
        chunk = .allocate(byteCount: Self.chunkByteCount, alignment: 4096)
        if let header = snapshot.header { try listFrames(header) }
    }

    deinit {
        sqlite3_finalize(holder)
        chunk.deallocate()
    }

    /// Bytes of all pages.
    var byteCount: Int64 { pageCount * Int64(pageByteCount) }

    /// The next pages, valid until the next call; `nil` behind the last one.
    func next() throws(DriverError) -> UnsafeRawBufferPointer? {
        let count = min(Int64(Self.chunkByteCount / pageByteCount), pageCount - nextPage + 1)
        guard count > 0 else { return nil }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: chunk[..<(Int(count) * pageByteCount)])
        try read(fromLog: false, bytes, at: (nextPage - 1) * Int64(pageByteCount))
        while nextFrameIndex < frames.count {
            let (page, frame) = (Int64(frames[nextFrameIndex] >> 32), Int64(frames[nextFrameIndex] & 0xffff_ffff))
            guard page < nextPage + count else { break }
            nextFrameIndex += 1
            let start = Int(page - nextPage) * pageByteCount
            try read(
                fromLog: true, UnsafeMutableRawBufferPointer(rebasing: bytes[start..<(start + pageByteCount)]),
                at: place(ofFrame: frame) + Int64(Self.frameHeaderByteCount))
        }
        if nextPage == 1 { Self.makeOrdinary(bytes) }
        nextPage += count
        return UnsafeRawBufferPointer(bytes)
    }

    /// All of the log is in the copy. It says so, so that SQLite makes none beside it: where nobody may write, it could not be read.
    /// - Source: https://sqlite.org/fileformat2.html, 1.3.3
    private static func makeOrdinary(_ bytes: UnsafeMutableRawBufferPointer) {
        for place in [18, 19] where place < bytes.count && bytes[place] == 2 { bytes[place] = 1 }
    }

    // MARK: The log

    private func place(ofFrame frame: Int64) -> Int64 {
        Self.logHeaderByteCount + (frame - 1) * Int64(Self.frameHeaderByteCount + pageByteCount)
    }

    /// Finds the last frame of each page.
    private func listFrames(_ header: litebase_wal_header) throws(DriverError) {
        var header = header
        let count = Int64(litebase_wal_header_frames(&header))
        frames.reserveCapacity(Int(count))
        try withUnsafeTemporaryAllocation(byteCount: Self.frameHeaderByteCount, alignment: 4) {
            (head) throws(DriverError) in
            for frame in 1...max(1, count) where frame <= count {
                try read(fromLog: true, head, at: place(ofFrame: frame))
                guard hasSalts(of: &header, head) else { throw Self.unreadable }
                let page = UInt32(bigEndian: head.load(as: UInt32.self))
                guard page > 0 else { throw Self.unreadable }
                frames.append(UInt64(page) << 32 | UInt64(frame))
            }
        }
        keepLastFrames()
    }

    // Those of a log that was started anew differ (https://sqlite.org/walformat.html, 4).
    private func hasSalts(of header: inout litebase_wal_header, _ head: UnsafeMutableRawBufferPointer) -> Bool {
        guard let salts = litebase_wal_header_salts(&header) else { return false }
        return UnsafeRawBufferPointer(head)[8..<16].elementsEqual(UnsafeBufferPointer(start: salts, count: 8))
    }

    private func keepLastFrames() {
        frames.sort()
        var kept = 0
        for index in frames.indices {
            let isLast = index + 1 == frames.count || frames[index + 1] >> 32 != frames[index] >> 32
            // The file was longer once.
            guard isLast, Int64(frames[index] >> 32) <= pageCount else { continue }
            frames[kept] = frames[index]
            kept += 1
        }
        frames.removeLast(frames.count - kept)
    }

    private func read(
        fromLog isLog: Bool, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int64
    ) throws(DriverError) {
        let result = litebase_sqlite3_read_file(
            connection.handle, isLog ? 1 : 0, buffer.baseAddress, Int32(buffer.count), offset)
        // The last pages of a file may be in the log only.
        if result == SQLITE_OK || (result == litebase_sqlite3_short_read && !isLog) { return }
        throw isLog ? Self.unreadable : SQLiteErrors.error(nil, result)
    }

    /// A read transaction, and what the file is in it.
    private struct Snapshot {
        var holder: OpaquePointer
        var pageByteCount: Int
        var pageCount: Int64
        /// Of the log's index; `nil` if everything is in the database file.
        var header: litebase_wal_header?

        init(_ connection: SQLiteConnection) throws(DriverError) {
            let usesWAL = connection.usesWAL
            guard let holder = connection.prepareOwn("PRAGMA schema_version") else {
                throw SQLiteErrors.error(connection.handle, SQLITE_ERROR)
            }
            do throws(DriverError) {
                if usesWAL {
                    header = try Self.beginInLog(connection, holder)
                } else {
                    try Self.step(connection, holder)
                }
                pageByteCount = Int(try Self.number("PRAGMA page_size", connection))
                pageCount = try Self.number("PRAGMA page_count", connection)
                guard (512...65536).contains(pageByteCount), pageCount >= 0 else { throw PageReader.unreadable }
                if var known = header {
                    guard Int(litebase_wal_header_page_size(&known)) == pageByteCount,
                        Int64(litebase_wal_header_pages(&known)) == pageCount
                    else { throw PageReader.unreadable }
                }
            } catch {
                sqlite3_finalize(holder)
                throw error
            }
            self.holder = holder
        }

        /// Begins when nobody commits at that moment.
        /// - Returns: the header of the log's index in this transaction; `nil` if a checkpoint has copied all of the log,
        ///   which may then be started anew at any time.
        private static func beginInLog(
            _ connection: SQLiteConnection, _ holder: OpaquePointer
        ) throws(DriverError) -> litebase_wal_header? {
            guard let shared = litebase_sqlite3_wal_header(connection.handle) else { throw PageReader.unreadable }
            let header = UnsafeRawPointer(shared)
            for _ in 0..<PageReader.attemptCountMax {
                var before = litebase_wal_header_copy(header)
                try step(connection, holder)
                // Read before the comparison: a log that is started anew begins with 0 again.
                let copiedCount = litebase_wal_copied_frames(header)
                if litebase_wal_header_equals(header, &before) != 0 {
                    return copiedCount >= litebase_wal_header_frames(&before) ? nil : before
                }
                sqlite3_reset(holder)
            }
            throw PageReader.unreadable
        }

        private static func step(_ connection: SQLiteConnection, _ holder: OpaquePointer) throws(DriverError) {
            let result = sqlite3_step(holder)
            guard result == SQLITE_ROW else { throw SQLiteErrors.error(connection.handle, result) }
        }

        private static func number(_ sql: String, _ connection: SQLiteConnection) throws(DriverError) -> Int64 {
            guard let statement = connection.prepareOwn(sql) else {
                throw SQLiteErrors.error(connection.handle, SQLITE_ERROR)
            }
            defer { sqlite3_finalize(statement) }
            try step(connection, statement)
            return sqlite3_column_int64(statement, 0)
        }
    }

    private static let unreadable = DriverError(
        .databaseError, "The database's log cannot be read as it is at one moment.",
        hint: "Try again; if it stays, see whether the database's files are intact (PRAGMA quick_check).",
        sqlState: "58030"
    ).with { $0.isRetryable = true }
}
