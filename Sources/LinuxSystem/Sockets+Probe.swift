// Finds out whether a process serves a socket file.

internal import Glibc

/// The owner of the path of a Unix socket.
public enum SocketOwner: Equatable, Sendable {
    /// Nobody: the file was left over.
    case nobody
    /// A process listens; the pid is that of listen(2), 0 if the kernel does not tell (another pid namespace).
    case process(pid: Int32)
    /// It cannot be found out.
    case unknown(Errno)
}

extension Sockets {
    /// Whether a socket has something to be read, its end and errors included, without reading it (recv(2), MSG_PEEK).
    public static func hasInput(_ number: Int32) -> Bool {
        var byte: UInt8 = 0
        let count = recv(number, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        if count >= 0 { return true }
        let error = Errno.current
        return error != .wouldBlock && error != .interrupted
    }

    /// Waits until a socket can be read or written, or has failed (poll(2)).
    /// - Returns: false if that has not happened in time.
    /// - Thread: one that may block.
    public static func wait(for number: Int32, _ wanted: Readiness, until deadline: MonotonicInstant) -> Bool {
        var entry = pollfd(fd: number, events: Int16(truncatingIfNeeded: wanted.rawValue), revents: 0)
        while true {
            let left = deadline.nanoseconds(since: .now)
            guard left > 0 else { return false }
            // Rounded up: otherwise the last millisecond would be spent without waiting.
            let count = poll(&entry, 1, Int32(clamping: (left + 999_999) / 1_000_000))
            if count > 0 || (count < 0 && Errno.current != .interrupted) { return true }
        }
    }

    /// Makes a library give up a connection that it waits for (shutdown(2), SHUT_RDWR).
    public static func shutdownBoth(ofNumber number: Int32) { _ = shutdown(number, Int32(SHUT_RDWR)) }

    /// Connects and leaves again, without ever waiting.
    ///
    /// - Source: connect(2): ECONNREFUSED if nobody listens, EAGAIN if the listener's queue is full.
    public static func owner(ofPath path: String) -> SocketOwner {
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard number >= 0 else { return .unknown(.current) }
        let probe = OwnedDescriptor(number)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count <= pathByteCountMax else { return .unknown(.nameTooLong) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let error = Errno.current
        if result == 0 { return .process(pid: peer(of: probe)?.pid ?? 0) }
        switch error {
        case .connectionRefused, .noSuchFile: return .nobody
        case .wouldBlock: return .process(pid: 0)
        default: return .unknown(error)
        }
    }
}
