// Unix and loopback TCP sockets: bind, listen, accept, connect, credentials of the peer.

internal import CLinux
internal import Glibc

/// Identity of the process that connected.
///
/// - Source: unix(7), SO_PEERCRED: the values at the time of connect(2).
public struct PeerCredentials: Equatable, Sendable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32

    public init(pid: Int32, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }
}

/// The kind of a socket, from the kernel.
public enum SocketFamily: Equatable, Sendable {
    case unix, ipv4, ipv6, other
}

/// Socket calls. Paths are limited to `pathByteCountMax`.
public enum Sockets {
    /// Longest path of a Unix socket, in bytes (unix(7): `sun_path` holds 108 with the NUL).
    public static let pathByteCountMax = 107

    /// Binds a non-blocking, close-on-exec Unix stream socket; not yet listening. Its file never has other permission bits.
    /// - Throws: `.addressInUse` when the path exists, `.nameTooLong` over the limit, whatever bind(2) says.
    public static func bindUnix(path: String, mode: UInt32 = 0o600) throws(Errno) -> OwnedDescriptor {
        var path = path
        return OwnedDescriptor(
            Int32(try SystemCalls.call(.bind) { path.withUTF8 { Int(clinux_bind_unix($0.cString, $0.count, mode)) } }))
    }

    /// Binds a non-blocking TCP socket on 127.0.0.1; not yet listening.
    public static func bindLoopback(port: UInt16) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(Int32(try SystemCalls.call(.bind) { Int(clinux_bind_loopback(port, false)) }))
    }

    /// Starts listening (listen(2)); the kernel clips `backlog` to somaxconn.
    public static func listen(_ socket: borrowing OwnedDescriptor, backlog: Int32 = 4096) throws(Errno) {
        let number = socket.number
        _ = try SystemCalls.call(.listen) { Int(Glibc.listen(number, backlog)) }
    }

    /// Accepts one connection, non-blocking and close-on-exec.
    /// - Returns: `nil` when none waits.
    public static func accept(_ listener: borrowing OwnedDescriptor) throws(Errno) -> OwnedDescriptor? {
        let number = listener.number
        do throws(Errno) {
            return OwnedDescriptor(Int32(try SystemCalls.call(.accept) { Int(clinux_accept(number)) }))
        } catch {
            if error == .wouldBlock { return nil }
            throw error
        }
    }

    /// Connects a blocking Unix stream socket; waits while the listener's queue is full.
    /// - Throws: `.noSuchFile`, `.connectionRefused`, `.permissionDenied`.
    public static func connectUnix(path: String) throws(Errno) -> OwnedDescriptor {
        var path = path
        return OwnedDescriptor(
            Int32(try SystemCalls.call(.connect) { path.withUTF8 { Int(clinux_connect_unix($0.cString, $0.count)) } }))
    }

    /// Connects a blocking TCP socket to 127.0.0.1.
    public static func connectLoopback(port: UInt16) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(Int32(try SystemCalls.call(.connect) { Int(clinux_connect_loopback(port)) }))
    }

    /// Credentials of the peer; `nil` for a TCP socket.
    public static func peer(of socket: borrowing OwnedDescriptor) -> PeerCredentials? {
        guard family(of: socket.number) == .unix else { return nil }
        var peer = clinux_peer_credentials()
        guard clinux_peer_of(socket.number, &peer) == 0 else { return nil }
        return PeerCredentials(pid: peer.pid, uid: peer.uid, gid: peer.gid)
    }

    /// Groups of the peer at connect(2): from the kernel or, without SO_PEERGROUPS, from the group database.
    public static func groups(of socket: borrowing OwnedDescriptor, _ peer: PeerCredentials) -> [UInt32] {
        let number = socket.number
        let told = GroupList.read { clinux_peer_groups_of(number, $0, &$1) == 0 }
        return [peer.gid] + (told ?? Process.groupIDs(uid: peer.uid, gid: peer.gid))
    }

    /// Family of a descriptor that somebody else may own; `.other` where it is no socket.
    public static func family(of number: Int32) -> SocketFamily {
        switch clinux_socket_family(number) {
        case AF_UNIX: .unix
        case AF_INET: .ipv4
        case AF_INET6: .ipv6
        default: .other
        }
    }

    public static func isLoopback(_ number: Int32) -> Bool { clinux_socket_is_loopback(number) }

    /// Port of a bound TCP socket, 0 where it is none.
    public static func localPort(_ number: Int32) -> UInt16 { UInt16(clinux_local_port(number)) }

    /// Path that a Unix socket is bound to, `nil` for an unnamed or foreign one.
    public static func path(of number: Int32) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 112) { buffer in
            guard let base = buffer.baseAddress, clinux_socket_path(number, base, 112) > 0 else { return nil }
            return String(cString: base)
        }
    }

    /// Sets O_NONBLOCK and FD_CLOEXEC on a descriptor that was inherited.
    public static func prepareInherited(_ number: Int32) throws(Errno) {
        _ = try SystemCalls.call(.setSocketOption) { Int(clinux_set_nonblocking(number)) }
        _ = try SystemCalls.call(.setSocketOption) { Int(clinux_set_cloexec(number)) }
    }

    /// Sends small TCP segments at once (tcp(7), TCP_NODELAY).
    public static func setNoDelay(_ socket: borrowing OwnedDescriptor) {
        _ = clinux_set_nodelay(socket.number)
    }

    /// Bytes, as the kernel accounts for them, that were sent and not yet read by a local peer, or acknowledged by TCP.
    ///
    /// - Source: unix(7) and tcp(7), SIOCOUTQ.
    public static func queuedByteCount(_ socket: borrowing OwnedDescriptor) -> Int {
        Int(max(0, clinux_queued_byte_count(socket.number)))
    }

    /// Bytes that have arrived and were not read.
    ///
    /// - Source: unix(7) and tcp(7), SIOCINQ.
    public static func unreadByteCount(_ socket: borrowing OwnedDescriptor) -> Int {
        Int(max(0, clinux_unread_byte_count(socket.number)))
    }

    /// Wakes whoever blocks on the socket: both directions end (shutdown(2), SHUT_RDWR).
    public static func shutdownBoth(_ socket: borrowing OwnedDescriptor) {
        _ = shutdown(socket.number, Int32(SHUT_RDWR))
    }
}

extension UnsafeBufferPointer<UInt8> {
    fileprivate var cString: UnsafePointer<CChar>? {
        UnsafeRawPointer(baseAddress)?.assumingMemoryBound(to: CChar.self)
    }
}
