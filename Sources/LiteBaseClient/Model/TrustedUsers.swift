// The users whose daemon is trusted. A path does not show who listens there, and requests may contain passwords and
// data; the kernel knows the user.

public import LinuxSystem

/// The users whose daemons a client talks to: root, the user `litebase`, the client's own, and those that are named.
///
/// - Source: unix(7), SO_PEERCRED: on the connecting side, the user who called listen(2). Under systemd that is the
///   service manager: root for the system's socket, the user for a user's own.
public struct TrustedUsers: Sendable, Equatable {
    /// Names or numbers.
    public var others: [String]

    /// Root, the user `litebase`, the caller's own, and those in `$LITEBASE_TRUSTED_USERS`, separated by commas.
    public static var standard: TrustedUsers { TrustedUsers() }

    /// The usual ones, and some more by name or number.
    public init(adding others: [String] = []) {
        let named = Process.environment("LITEBASE_TRUSTED_USERS")?.split(separator: ",") ?? []
        self.others = named.map(String.init) + others
    }

    /// The service's own user, whose daemon may have been started without systemd's socket.
    private static let serviceUser = "litebase"

    /// Checks the user at the other end of a connected socket. TCP has no users: giving a port is a decision to trust
    /// it.
    /// - Throws: `ClientError.untrusted`.
    public func check(_ socket: borrowing OwnedDescriptor, _ endpoint: Endpoint) throws(ClientError) {
        guard case .unix = endpoint else { return }
        guard let peer = Sockets.peer(of: socket) else { throw .cannotConnect(endpoint, .current) }
        if !contains(uid: peer.uid) {
            throw .untrusted(endpoint, uid: peer.uid, user: Process.userName(uid: peer.uid))
        }
    }

    func contains(uid: UInt32) -> Bool {
        // The user database is asked last: reading it costs more than the connection.
        uid == 0 || uid == Process.effectiveUID || uid == Process.userID(Self.serviceUser)
            || others.contains { Process.userID($0) == uid }
    }
}
