// A pipe whose other end somebody else has, and a thread that copies between it and a file.

internal import CLinux
internal import Glibc
internal import Synchronization

/// Copies between a pipe and a descriptor of any kind.
///
/// - Thread: `finish` and `release` from any, once; `readFailure` from any.
public final class PipeCopy: Sendable {
    private let readTrouble = Mutex<Errno?>(nil)
    private let writeTrouble = Mutex<Errno?>(nil)
    private let end = Semaphore()
    private let mayEnd = Semaphore()

    private static let byteCount = 64 << 10

    /// Whether a descriptor is one that another process may be given to write to: a pipe, or a file that is not in memory.
    public static func isNeeded(for number: Int32) -> Bool {
        var status = stat()
        guard fstat(number, &status) == 0 else { return false }
        switch status.st_mode & S_IFMT {
        case S_IFIFO: return false
        case S_IFREG: return clinux_is_in_memory(number)
        default: return true
        }
    }

    /// Whether a descriptor is one that another process may be given to read from: a pipe or a file.
    public static func isReadable(byOthers number: Int32) -> Bool {
        var status = stat()
        guard fstat(number, &status) == 0 else { return true }
        return [S_IFIFO, S_IFREG].contains(status.st_mode & S_IFMT)
    }

    /// Starts to copy.
    /// - Parameter target: the caller owns it, and may close it at any time.
    /// - Returns: the copy, and the end of the pipe that is to be written.
    /// - Throws: `Errno.tooManyFiles` at the limit; what pthread_create(3) says.
    public static func start(to target: Int32) throws(Errno) -> (copy: PipeCopy, writer: Int32) {
        let own = try OwnedDescriptor.duplicate(of: target)
        let ends = try makePipe()
        let (copy, number) = (PipeCopy(), own.release())
        try Thread.start(name: "litebase-copy", stackByteCount: 256 << 10) {
            copy.run(ends.reader, number)
            _ = Glibc.close(ends.reader)
            _ = Glibc.close(number)
            copy.end.post()
        }
        return (copy, ends.writer)
    }

    /// Starts to copy what a descriptor has, until its end, or until nobody reads the pipe any more.
    ///
    /// Where it cannot be read to its end (`readFailure`), the pipe does not end before `release`: whoever reads it would take what
    /// came until then for the whole.
    /// - Parameter source: the caller owns it, and may close it at any time.
    /// - Returns: the copy, and the end of the pipe that is to be read.
    /// - Throws: `Errno.tooManyFiles` at the limit; what pthread_create(3) says.
    public static func start(from source: Int32) throws(Errno) -> (copy: PipeCopy, reader: Int32) {
        let own = try OwnedDescriptor.duplicate(of: source)
        let ends = try makePipe()
        let (copy, number) = (PipeCopy(), own.release())
        try Thread.start(name: "litebase-copy", stackByteCount: 256 << 10) {
            // Its reader may go away before the end.
            clinux_block_signal(SIGPIPE)
            copy.run(number, ends.writer)
            _ = Glibc.close(number)
            if copy.readFailure != nil { copy.mayEnd.wait() }
            _ = Glibc.close(ends.writer)
        }
        return (copy, ends.reader)
    }

    /// Makes a pipe, whose ends the caller has to close.
    public static func makePipe() throws(Errno) -> (reader: Int32, writer: Int32) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { pipe($0) }
        }
        guard result == 0 else { throw .current }
        for number in [ends.0, ends.1] { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        return ends
    }

    private init() {}

    private func run(_ reader: Int32, _ target: Int32) {
        withUnsafeTemporaryAllocation(byteCount: Self.byteCount, alignment: 16) { run(reader, target, by: $0) }
    }

    private func run(_ reader: Int32, _ target: Int32, by buffer: UnsafeMutableRawBufferPointer) {
        while true {
            let count: Int
            do throws(Errno) {
                count = try Self.read(reader, buffer)
            } catch {
                readTrouble.withLock { $0 = error }
                return
            }
            if count == 0 { return }
            if let error = Self.write(target, UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                writeTrouble.withLock { $0 = error }
                return
            }
        }
    }

    private static func read(_ reader: Int32, _ buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        while true {
            let count = Glibc.read(reader, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            let error = Errno.current
            if error != .interrupted { throw error }
        }
    }

    private static func write(_ target: Int32, _ bytes: UnsafeRawBufferPointer) -> Errno? {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(target, rest.baseAddress, rest.count)
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } else if Errno.current != .interrupted {
                return .current
            }
        }
        return nil
    }

    /// Waits until everything is written: until all writing ends of the pipe are closed.
    public func finish() throws(Errno) {
        while !end.wait(milliseconds: 60_000) {}
        if let error = writeTrouble.withLock({ $0 }) { throw error }
    }

    /// Why the source could not be read to its end; `nil` while that is not so.
    public var readFailure: Errno? { readTrouble.withLock { $0 } }

    /// Lets the pipe end behind a `readFailure`.
    public func release() { mayEnd.post() }
}
