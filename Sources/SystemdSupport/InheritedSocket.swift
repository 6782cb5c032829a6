// Listening sockets from systemd.

internal import CSystemd
internal import Glibc
public import LinuxSystem

/// A listening socket from systemd, checked and ready for a loop.
///
/// A class, because a descriptor has one owner and arrays copy.
public final class InheritedSocket {
    /// `FileDescriptorName=` of the socket unit.
    public let name: String
    /// `unix:/path` or `tcp:127.0.0.1:port`.
    public let address: String
    /// Whether its clients may only watch the daemon.
    public var isForMonitors: Bool { name == Self.monitorName }
    private var descriptor: OwnedDescriptor?

    /// A name that older versions refuse: they do not know what it is for, and would give its clients all rights.
    private static let monitorName = "monitor"

    private init(_ descriptor: consuming OwnedDescriptor, name: String, address: String) {
        self.descriptor = consume descriptor
        self.name = name
        self.address = address
    }

    /// The descriptor, once; non-blocking and close-on-exec.
    public func take() -> OwnedDescriptor {
        guard let descriptor = descriptor.take() else { preconditionFailure("taken twice") }
        return descriptor
    }

    /// Takes the descriptors that systemd passed to this process, and removes `LISTEN_*` from the environment.
    ///
    /// - Parameters:
    ///   - isKept: whether a descriptor comes from the descriptor store, by its name.
    ///   - takeAside: gets each descriptor before any check, and returns whether it has taken it.
    /// - Returns: nothing if nothing was passed, or if it was meant for another process (`LISTEN_PID`).
    /// - Throws: `InheritedSocketError` if one of them cannot be served: a listening socket from which nobody accepts
    ///   would leave its clients waiting, so none is ignored.
    /// - Thread: only before any other thread was started, since the environment changes.
    /// - Source: sd_listen_fds(3), sd_is_socket(3).
    public static func takeAll(isKept: (String) -> Bool, takeAside: (NamedDescriptor) -> Bool = { _ in false })
        throws(InheritedSocketError) -> (sockets: [InheritedSocket], kept: [NamedDescriptor], ignored: [String])
    {
        let passed = try PassedDescriptors.takeNames().enumerated().map { index, name in
            NamedDescriptor(OwnedDescriptor(PassedDescriptors.first + Int32(index)), name: name)
        }
        var sockets: [InheritedSocket] = []
        var kept: [NamedDescriptor] = []
        var ignored: [String] = []
        for named in passed.filter({ !takeAside($0) }) {
            let name = named.name
            if isKept(name) {
                // They were made by a former process, non-blocking.
                kept.append(named)
                continue
            }
            guard let descriptor = named.take() else { continue }
            if !isKnown(name), Kind(of: descriptor.number) == nil {
                // Kept by another version of this program. When the connection ends, the store also closes it.
                Sockets.shutdownBoth(descriptor)
                Sockets.endInput(descriptor)
                ignored.append(name)
            } else {
                sockets.append(try accept(descriptor, name: name))
            }
        }
        return (sockets, kept, ignored)
    }

    // Also for tests: checks one descriptor.
    static func accept(_ descriptor: consuming OwnedDescriptor, name: String) throws(InheritedSocketError)
        -> InheritedSocket
    {
        let number = descriptor.number
        guard isKnown(name) else {
            throw InheritedSocketError(
                "systemd passed a socket named \"\(name)\", which is unknown; use FileDescriptorName=litebase, or none")
        }
        guard let kind = Kind(of: number) else {
            throw InheritedSocketError(
                "descriptor \(number) (\"\(name)\") from systemd is no listening stream socket; "
                    + "use ListenStream= with Accept=no")
        }
        let address = try address(number, kind, name)
        guard name != monitorName || kind == .unix else {
            throw InheritedSocketError(
                "the socket \"\(name)\" from systemd is not a Unix socket, and over TCP nobody is known; use ListenStream= with a path"
            )
        }
        do throws(Errno) {
            try Sockets.prepareInherited(number)
        } catch {
            throw InheritedSocketError("descriptor \(number) from systemd cannot be used: \(error)")
        }
        return InheritedSocket(consume descriptor, name: name, address: address)
    }

    /// The address of a listening stream socket.
    private enum Kind {
        case unix, ipv4, ipv6, other

        /// `nil` if it is not a listening stream socket.
        init?(of number: Int32) {
            let stream = Int32(SOCK_STREAM.rawValue)
            if sd_is_socket_unix(number, stream, 1, nil, 0) > 0 {
                self = .unix
            } else if sd_is_socket_inet(number, AF_INET, stream, 1, 0) > 0 {
                self = .ipv4
            } else if sd_is_socket_inet(number, AF_INET6, stream, 1, 0) > 0 {
                self = .ipv6
            } else if sd_is_socket(number, AF_UNSPEC, stream, 1) > 0 {
                self = .other
            } else {
                return nil
            }
        }
    }

    private static func address(_ number: Int32, _ kind: Kind, _ name: String) throws(InheritedSocketError) -> String {
        switch kind {
        case .unix:
            guard let path = Sockets.path(of: number) else {
                throw InheritedSocketError(
                    "the socket \"\(name)\" from systemd has no path; abstract sockets have no permissions, use a path")
            }
            return "unix:\(path)"
        case .ipv4, .ipv6:
            let port = Sockets.localPort(number)
            guard Sockets.isLoopback(number) else {
                throw InheritedSocketError(
                    "the TCP socket \"\(name)\" from systemd (port \(port)) is not bound to a loopback address; "
                        + "use ListenStream=127.0.0.1:\(port)")
            }
            return kind == .ipv4 ? "tcp:127.0.0.1:\(port)" : "tcp:[::1]:\(port)"
        case .other:
            throw InheritedSocketError(
                "the socket \"\(name)\" from systemd is neither a Unix socket nor TCP; use ListenStream= with a path")
        }
    }

    // Without FileDescriptorName= a socket has the name of its unit, and "unknown" with systemd-socket-activate(1).
    private static func isKnown(_ name: String) -> Bool {
        name == "litebase" || name == monitorName || name.hasPrefix("litebase-") || name.hasSuffix(".socket")
            || name == "unknown"
    }
}

/// Why a socket from systemd cannot be served.
public struct InheritedSocketError: Error, Equatable, Sendable {
    /// One line: cause, semicolon, remedy.
    public var message: String

    init(_ message: String) { self.message = message }
}
