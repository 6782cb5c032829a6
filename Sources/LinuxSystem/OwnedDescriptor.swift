// The owner of a file descriptor.

internal import CLinux
internal import Glibc

/// A file descriptor that is closed exactly once, when its owner is destroyed.
///
/// - Thread: whoever owns it; moving it to another thread is a hand-over.
/// - Source: close(2): the number is free again whatever `close` returns, so errors are not retried.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number. Borrow it for a call, never keep it.
    public let number: Int32

    /// Takes over `number`, which nobody else may close.
    public init(_ number: Int32) {
        precondition(number >= 0, "not a descriptor")
        self.number = number
    }

    deinit {
        _ = Glibc.close(number)
    }

    /// Closes it now.
    public consuming func close() {}

    /// Gives up ownership.
    /// - Returns: the number, which the caller must close.
    public consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    /// A second descriptor for the same open file, close-on-exec.
    /// - Throws: `Errno.tooManyFiles` at the limit.
    public borrowing func duplicate() throws(Errno) -> OwnedDescriptor { try Self.duplicate(of: number) }

    /// A descriptor of our own for a file that a library has opened and keeps open.
    /// - Throws: `Errno.tooManyFiles` at the limit.
    public static func duplicate(of number: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(Int32(try SystemCalls.call(.duplicate) { Int(fcntl(number, F_DUPFD_CLOEXEC, 3)) }))
    }
}
