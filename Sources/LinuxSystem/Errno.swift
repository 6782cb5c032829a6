// The error type of this layer, and the expected outcomes that are not errors.

internal import Glibc

/// An error number of the kernel or of libc.
///
/// - Source: errno(3).
public struct Errno: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
    /// The number, such as `ENOENT`.
    public let rawValue: Int32

    public init(_ rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The calling thread's `errno`; read it directly after the call that failed.
    public static var current: Errno { Errno(errno) }

    public static let notPermitted = Errno(EPERM)
    public static let noSuchFile = Errno(ENOENT)
    public static let interrupted = Errno(EINTR)
    public static let badDescriptor = Errno(EBADF)
    public static let wouldBlock = Errno(EAGAIN)
    public static let outOfMemory = Errno(ENOMEM)
    public static let permissionDenied = Errno(EACCES)
    public static let fileExists = Errno(EEXIST)
    public static let notADirectory = Errno(ENOTDIR)
    public static let isADirectory = Errno(EISDIR)
    public static let invalidArgument = Errno(EINVAL)
    public static let tooManyFiles = Errno(EMFILE)
    public static let noSpace = Errno(ENOSPC)
    public static let nameTooLong = Errno(ENAMETOOLONG)
    public static let connectionRefused = Errno(ECONNREFUSED)
    public static let connectionReset = Errno(ECONNRESET)
    public static let connectionAborted = Errno(ECONNABORTED)
    public static let brokenPipe = Errno(EPIPE)
    public static let protocolViolation = Errno(EPROTO)
    public static let tooManyReferences = Errno(ETOOMANYREFS)
    public static let addressInUse = Errno(EADDRINUSE)
    public static let readOnlyFileSystem = Errno(EROFS)

    /// The text of strerror(3), such as "No such file or directory".
    public var description: String {
        // The GNU variant may return a static string instead of filling the buffer.
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress, let text = strerror_r_portable(rawValue, base, buffer.count) else {
                return "error \(rawValue)"
            }
            return String(cString: text)
        }
    }

    private func strerror_r_portable(_ number: Int32, _ buffer: UnsafeMutablePointer<CChar>, _ size: Int)
        -> UnsafePointer<CChar>?
    {
        strerror_r(number, buffer, size) == 0 ? UnsafePointer(buffer) : nil
    }
}

/// The outcome of a read or a write on a non-blocking descriptor.
public enum IOOutcome: Equatable, Sendable {
    /// That many bytes were moved, at least one.
    case bytes(Int)
    /// Nothing can be moved now; wait for readiness.
    case wouldBlock
    /// The peer will send nothing more.
    case endOfStream
    /// The peer is gone or the descriptor is unusable.
    case failed(Errno)
}
