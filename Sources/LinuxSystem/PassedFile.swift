// Files that a client has opened and passed to this process: checking, writing, closing. All of it may take as long as the
// client likes, since the file system may be the client's own (FUSE), or the pipe one that nobody reads; so none of it is
// done on a loop.

internal import CLinux
internal import Glibc
internal import Synchronization

/// Why a file that was passed is of no use.
public enum PassedFileProblem: Error, Equatable, Sendable {
    /// It is open for reading only.
    case notWritable
    /// It is open for writing only.
    case notReadable
    /// Neither a file nor a pipe.
    case wrongKind
    /// In memory (tmpfs): what is written there would be this process's memory.
    case inMemory
    /// Programs have locks on it: a database that is in use.
    case locked
    /// Nobody reads the pipe any more.
    case noReader
    case failed(Errno)
    /// The work on it was stopped.
    case stopped
}

/// A file that a client has opened.
///
/// - Thread: one at a time; `stop` from any.
public final class PassedFile: Sendable {
    private let number: Int32
    private let mustStop = Atomic<Bool>(false)
    private let kind = Mutex<Kind?>(nil)
    private let close: @Sendable (Int32) -> Void

    private enum Kind { case regular, pipe }

    /// The most bytes of one write: between two of them, `stop` is noticed.
    private static let writeByteCountMax = 1 << 20
    /// How long a pipe may have no room before `stop` is looked at again.
    private static let pollMilliseconds: Int32 = 100

    /// Takes over a descriptor.
    /// - Parameters:
    ///   - number: the descriptor.
    ///   - close: closes it, at the end of the last reference, on a thread that may wait (`PassedFiles.close`).
    public init(_ number: Int32, close: @escaping @Sendable (Int32) -> Void) {
        self.number = number
        self.close = close
    }

    deinit { close(number) }

    /// Ends the work on it soon, but for a file system that does not answer.
    /// - Thread: any.
    public func stop() { mustStop.store(true, ordering: .relaxed) }

    // MARK: Checking

    /// Checks whether the file can take data.
    /// - Returns: whether it is a pipe.
    public func checkWritable() throws(PassedFileProblem) -> Bool {
        let flags = fcntl(number, F_GETFL)
        guard flags >= 0 else { throw .failed(.current) }
        guard flags & CLINUX_PATH_ONLY == 0, flags & O_ACCMODE != O_RDONLY else { throw .notWritable }
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .failed(.current) }
        switch status.st_mode & S_IFMT {
        case S_IFIFO: kind.withLock { $0 = .pipe }
        case S_IFREG:
            // The kernel charges its pages to whoever writes them first, for as long as the file is there.
            if clinux_is_in_memory(number) { throw .inMemory }
            guard clinux_is_stored(number) else { throw .wrongKind }
            if clinux_is_locked(number) { throw .locked }
            kind.withLock { $0 = .regular }
        default: throw .wrongKind
        }
        return isPipe
    }

    private var isPipe: Bool { kind.withLock { $0 == .pipe } }

    // MARK: Reading

    /// Checks whether data can be read.
    /// - Parameter mustBeUnlocked: whether no program may have locks on it, as on a database that is in use.
    /// - Returns: bytes that there are; `nil` for a pipe.
    /// - Throws: why it cannot be read.
    public func checkReadable(mustBeUnlocked: Bool = false) throws(PassedFileProblem) -> Int64? {
        let flags = fcntl(number, F_GETFL)
        guard flags >= 0 else { throw .failed(.current) }
        guard flags & CLINUX_PATH_ONLY == 0, flags & O_ACCMODE != O_WRONLY else { throw .notReadable }
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .failed(.current) }
        switch status.st_mode & S_IFMT {
        case S_IFIFO:
            kind.withLock { $0 = .pipe }
            return nil
        case S_IFREG:
            guard clinux_is_in_memory(number) || clinux_is_stored(number) else { throw .wrongKind }
            if mustBeUnlocked, clinux_is_locked(number) { throw .locked }
            kind.withLock { $0 = .regular }
            return max(0, Int64(status.st_size) - Int64(lseek(number, 0, SEEK_CUR)))
        default: throw .wrongKind
        }
    }

    /// Reads from the place where the client's descriptor stands, as read(2) does; of a pipe, what comes first.
    /// - Returns: bytes that were read; 0 at the end.
    public func read(into room: UnsafeMutableRawBufferPointer) throws(PassedFileProblem) -> Int {
        let isPipe = isPipe
        while true {
            if mustStop.load(ordering: .relaxed) { throw .stopped }
            if isPipe, try !hasInput() { continue }
            let count = Glibc.read(number, room.baseAddress, min(room.count, Self.writeByteCountMax))
            if count >= 0 { return count }
            let error = Errno.current
            guard error == .interrupted || error == .wouldBlock else { throw .failed(error) }
        }
    }

    /// Waits a little for bytes in a pipe, or for its end.
    private func hasInput() throws(PassedFileProblem) -> Bool {
        var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        let count = try wait(&entry)
        return count > 0 && entry.revents != 0
    }

    // MARK: Writing

    /// Writes all bytes at the place where the client's descriptor stands, as write(2) does.
    /// - Parameters:
    ///   - bytes: what to write.
    ///   - reachesDisk: `synchronize` follows, after more bytes: have the disk begin with these.
    /// - Throws: what is wrong with the file, which may have a part of them.
    public func write(_ bytes: UnsafeRawBufferPointer, reachesDisk: Bool) throws(PassedFileProblem) {
        let isPipe = isPipe
        var rest = bytes
        while !rest.isEmpty {
            if mustStop.load(ordering: .relaxed) { throw .stopped }
            if isPipe, try !hasRoom() { continue }
            let part = min(rest.count, Self.writeByteCountMax)
            let count =
                isPipe
                ? clinux_write_to_pipe(number, rest.baseAddress, part) : Glibc.write(number, rest.baseAddress, part)
            if count > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                if reachesDisk, !isPipe { clinux_write_out(number, count) }
            } else {
                let error = Errno.current
                switch error {
                // Its client may have made it non-blocking.
                case .interrupted, .wouldBlock: break
                case .brokenPipe: throw .noReader
                default: throw .failed(count == 0 ? .noSpace : error)
                }
            }
        }
    }

    /// Waits a little for room in a pipe.
    private func hasRoom() throws(PassedFileProblem) -> Bool {
        var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        let count = try wait(&entry)
        guard count > 0 else { return false }
        if entry.revents & Int16(POLLERR) != 0 { throw .noReader }
        return entry.revents & Int16(POLLOUT) != 0
    }

    /// Waits a little for the other end of a pipe.
    private func wait(_ entry: inout pollfd) throws(PassedFileProblem) -> Int32 {
        let count = poll(&entry, 1, Thread.mayBlock ? Self.pollMilliseconds : 0)
        if count < 0, Errno.current != .interrupted { throw .failed(.current) }
        // A loop that replaces a thread which could not be made: nobody else would ever tell it to stop.
        if count == 0, !Thread.mayBlock { throw .failed(.wouldBlock) }
        return count
    }

    /// Returns when what was written is on the disk.
    public func synchronize() throws(PassedFileProblem) {
        if isPipe { return }
        if mustStop.load(ordering: .relaxed) { throw .stopped }
        guard fdatasync(number) != 0 else { return }
        throw .failed(.current)
    }
}

/// Closing what clients have passed.
public enum PassedFiles {
    /// Files on which programs have locks: closing any descriptor of a file ends the locks that the process has on it
    /// (fcntl(2)), and the process may have it open as a database.
    private static let kept = Mutex<[UInt32: [(number: Int32, closed: @Sendable () -> Void)]]>([:])

    /// Closes a descriptor, or keeps it until nobody has a lock on its file.
    /// - Parameters:
    ///   - number: the descriptor.
    ///   - uid: the user who has passed it; what was kept of the same user is looked at again.
    ///   - closed: called when it is closed: at once, or in a later call.
    /// - Thread: one that may wait.
    public static func close(_ number: Int32, of uid: UInt32, closed: @escaping @Sendable () -> Void) {
        if clinux_is_locked(number) { return kept.withLock { $0[uid, default: []].append((number, closed)) } }
        closeNow(number, closed)
        // Taken out while they are looked at: a file system that does not answer holds up its own user only.
        let others = kept.withLock { $0.removeValue(forKey: uid) ?? [] }
        for entry in others {
            if clinux_is_locked(entry.number) {
                kept.withLock { $0[uid, default: []].append(entry) }
            } else {
                closeNow(entry.number, entry.closed)
            }
        }
    }

    private static func closeNow(_ number: Int32, _ closed: () -> Void) {
        clinux_do_not_linger(number)
        _ = Glibc.close(number)
        closed()
    }
}
