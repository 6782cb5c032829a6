// The writing end of a pipe that another process reads.

internal import Glibc

/// Writes into a pipe without being ended by a reader that goes away, and without waiting for one for ever.
///
/// - Thread: one at a time.
public struct PipeWriter: ~Copyable {
    private let end: OwnedDescriptor

    /// How long a pipe may have no room before it is asked again whether to go on.
    private static let pollMilliseconds: Int32 = 100

    /// Takes over the writing end of a pipe (`PipeCopy.makePipe`).
    public init(_ number: Int32) {
        end = OwnedDescriptor(number)
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    }

    /// Writes all bytes.
    /// - Parameters:
    ///   - bytes: what to write.
    ///   - mayWait: asked while the pipe has no room.
    /// - Returns: false if nobody reads the pipe any more, or it is not to be waited for.
    /// - Throws: what else write(2) says.
    public func write(_ bytes: UnsafeRawBufferPointer, mayWait: () -> Bool) throws(Errno) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = Self.withoutSignal { Glibc.write(end.number, rest.baseAddress, rest.count) }
            if count > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                continue
            }
            switch Errno.current {
            case .interrupted: continue
            case .brokenPipe: return false
            case .wouldBlock:
                if !mayWait() { return false }
                var entry = pollfd(fd: end.number, events: Int16(POLLOUT), revents: 0)
                _ = poll(&entry, 1, Self.pollMilliseconds)
            default: throw .current
            }
        }
        return true
    }

    /// SIGPIPE is for the thread that has written: it is kept from it, and taken away.
    private static func withoutSignal(_ body: () -> Int) -> Int {
        var (blocked, former) = (sigset_t(), sigset_t())
        sigemptyset(&blocked)
        sigaddset(&blocked, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &blocked, &former)
        let count = body()
        let error = errno
        if count < 0, error == EPIPE, sigismember(&former, SIGPIPE) == 0 {
            var now = timespec()
            sigtimedwait(&blocked, nil, &now)
        }
        pthread_sigmask(SIG_SETMASK, &former, nil)
        errno = error
        return count
    }
}
