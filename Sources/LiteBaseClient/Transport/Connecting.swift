// Opens the socket, patiently: a daemon that is just being started, or many clients at once, are no errors.

internal import Glibc
internal import LinuxSystem

/// Makes connected, non-blocking sockets.
enum Connecting {
    /// How long the wait between two attempts may become.
    static let pauseMax = Duration.milliseconds(100)

    /// Connects once.
    /// - Throws: `.cannotConnect` with `Errno.wouldBlock` when the listener's queue is full; `.untrusted`.
    static func attempt(_ endpoint: Endpoint, trusting trusted: TrustedUsers) throws(ClientError) -> OwnedDescriptor {
        let socket: OwnedDescriptor
        do throws(Errno) {
            socket = try open(endpoint)
        } catch {
            throw .cannotConnect(endpoint, error)
        }
        try trusted.check(socket, endpoint)
        return socket
    }

    private static func open(_ endpoint: Endpoint) throws(Errno) -> OwnedDescriptor {
        let socket: OwnedDescriptor
        switch endpoint {
        case .unix(let path):
            socket = try connectUnix(path)
        case .loopback(let port):
            socket = try Sockets.connectLoopback(port: port)
            Sockets.setNoDelay(socket)
        }
        try Sockets.prepareInherited(socket.number)
        return socket
    }

    /// Connects without waiting for a place in the listener's queue (unix(7): a full one is EAGAIN).
    private static func connectUnix(_ path: String) throws(Errno) -> OwnedDescriptor {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count <= Sockets.pathByteCountMax else { throw .nameTooLong }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let number = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard number >= 0 else { throw Errno.current }
        let descriptor = OwnedDescriptor(number)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result != 0 { throw Errno.current }
        return descriptor
    }

    /// The pauses between attempts while the queue is full: 1 ms, doubled each time, and spread by chance so that many
    /// clients do not return at once.
    struct Backoff {
        private var pause = Duration.milliseconds(1)

        mutating func next() -> Duration {
            defer { pause = min(pause * 2, Connecting.pauseMax) }
            return pause * Double.random(in: 0.5...1)
        }
    }
}

/// Waiting for descriptors (poll(2)).
enum Polling {
    struct Readiness: OptionSet {
        let rawValue: Int16
        static let readable = Readiness(rawValue: Int16(POLLIN))
        static let writable = Readiness(rawValue: Int16(POLLOUT))
    }

    /// Waits until one of two descriptors is ready.
    /// - Parameters:
    ///   - first: a descriptor and what to wait for; errors and hang-ups count as ready.
    ///   - second: a descriptor to read from, −1 for none.
    ///   - deadline: when to give up; `nil` for never.
    /// - Returns: the readiness of the first, and whether the second can be read; both empty after the deadline or a
    ///   signal.
    static func wait(
        _ first: (number: Int32, events: Readiness), _ second: Int32, until deadline: MonotonicInstant?
    ) -> (first: Readiness, second: Bool) {
        var entries = (
            pollfd(fd: first.number, events: first.events.rawValue, revents: 0),
            pollfd(fd: second, events: Int16(POLLIN), revents: 0)
        )
        let timeout = timeoutMilliseconds(until: deadline)
        let count = withUnsafeMutablePointer(to: &entries) {
            $0.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, timeout) }
        }
        guard count > 0 else { return ([], false) }
        let broken = entries.0.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
        let ready = broken ? first.events : Readiness(rawValue: entries.0.revents).intersection(first.events)
        return (ready, entries.1.revents != 0)
    }

    private static func timeoutMilliseconds(until deadline: MonotonicInstant?) -> Int32 {
        guard let deadline else { return -1 }
        let left = max(0, deadline.nanoseconds(since: .now))
        return Int32(clamping: left / 1_000_000 + (left % 1_000_000 > 0 ? 1 : 0))
    }
}

extension MonotonicInstant {
    /// The instant `duration` from now; `nil` for none.
    static func after(_ duration: Duration?) -> MonotonicInstant? {
        duration.map { MonotonicInstant.now.advanced(byMilliseconds: $0.milliseconds) }
    }
}

extension Polling {
    /// Reads from a descriptor of another owner.
    static func read(_ number: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        Glibc.read(number, buffer.baseAddress, buffer.count)
    }
}
