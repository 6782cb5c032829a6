// What each Unix user has in use, so that none can take everything.

internal import LinuxSystem
internal import Synchronization

/// How much of something is in use, and was at most.
///
/// - Thread: any.
struct Usage: ~Copyable, Sendable {
    private let now = Atomic<Int>(0)
    private let most = Atomic<Int>(0)

    /// - Returns: how much is in use with that.
    @discardableResult
    func add(_ count: Int) -> Int {
        let value = now.add(count, ordering: .relaxed).newValue
        if value > peak { most.max(value, ordering: .relaxed) }
        return value
    }

    var count: Int { now.load(ordering: .relaxed) }
    var peak: Int { most.load(ordering: .relaxed) }
}

/// What one user has in use, over all loops.
///
/// - Thread: any.
final class UserAccount: Sendable {
    /// `nil` for clients over TCP, which have no user and share one account.
    let uid: UInt32?
    let connections = Usage()
    /// Those of them that the descriptor store keeps.
    let keptConnections = Usage()
    /// Bytes of requests and replies that are under way, to about 32 KiB for each connection, and 8 MiB in all.
    let bufferedBytes = Usage()
    /// Requests that did not end in the turn they came in.
    let requestsInFlight = Usage()
    /// Those that are being opened included.
    let sessions = Usage()
    /// What SQLite has taken for the user.
    let sqlite: MemoryAccount
    /// Requests, replies and connections that were refused for a limit.
    let refusalCount = Atomic<UInt64>(0)

    init(uid: UInt32?) {
        self.uid = uid
        sqlite = MemoryAccount(uid: Self.number(of: uid))
    }

    /// Clients over TCP have no uid, and this one is nobody's (chown(2)).
    static func number(of uid: UInt32?) -> UInt32 { uid ?? .max }

    /// Root and the daemon's own user are to get through when others have taken all that they may.
    var isAdministrator: Bool { uid == 0 || uid == Process.effectiveUID }

    /// How the user is called in messages.
    var name: String {
        guard let uid else { return "TCP clients" }
        guard let name = Process.userName(uid: uid) else { return "uid \(uid)" }
        return "user \(name)"
    }
}

/// All accounts.
///
/// - Thread: any.
final class UserAccounts: Sendable {
    private let accounts = Mutex<[UInt32?: UserAccount]>([:])
    /// Accounts of users who have left are dropped when there are so many.
    private static let accountCountMax = 1_024

    /// The account of a user.
    func account(of uid: UInt32?) -> UserAccount {
        accounts.withLock { accounts in
            if let known = accounts[uid] { return known }
            if accounts.count >= Self.accountCountMax {
                accounts = accounts.filter { $0.value.connections.count > 0 }
            }
            let account = UserAccount(uid: uid)
            accounts[uid] = account
            return account
        }
    }

    /// Those who are connected, by uid; TCP last.
    var connected: [UserAccount] {
        accounts.withLock { Array($0.values) }
            .filter { $0.connections.count > 0 }
            .sorted { ($0.uid ?? .max) < ($1.uid ?? .max) }
    }
}

/// Who is on the other side of a connection.
struct Client: Sendable {
    /// `nil` over TCP.
    let peer: PeerCredentials?
    let account: UserAccount
}

extension UserAccounts {
    /// Counts one more connection of whoever is on the other side; the connection counts itself out at its end.
    /// - Returns: who that is, and how many connections the user has now.
    func admit(_ socket: borrowing OwnedDescriptor) -> (client: Client, connectionCount: Int) {
        let peer = Sockets.peer(of: socket)
        let account = account(of: peer?.uid)
        let count = account.connections.add(1)
        return (Client(peer: peer, account: account), count)
    }
}
