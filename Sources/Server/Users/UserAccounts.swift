// What each Unix user has in use, so that no user can take everything.

internal import LinuxSystem
internal import Synchronization

/// A number in use, and its peak.
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

    /// Adds one, unless so many are in use: loops that ask at the same time get no more than these together.
    /// - Returns: whether it was added.
    func claim(below limit: Int) -> Bool {
        var known = count
        while known < limit {
            let (isMine, original) = now.compareExchange(expected: known, desired: known + 1, ordering: .relaxed)
            if isMine {
                most.max(known + 1, ordering: .relaxed)
                return true
            }
            known = original
        }
        return false
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
    /// Connections that the descriptor store keeps.
    let keptConnections = Usage()
    /// Bytes of requests and replies, exact to about 32 KiB for each connection and 8 MiB in all.
    let bufferedBytes = Usage()
    /// Requests that did not end in the turn in which they came.
    let requestsInFlight = Usage()
    /// Including those that are being opened.
    let sessions = Usage()
    /// Connections through shared memory.
    let lanes = Usage()
    /// Lanes that have ended while their client had not taken everything: it may have the memory still, or the descriptor in
    /// its socket, for as long as it likes.
    let leftLanes = Usage()
    /// Descriptors that the user has sent and that are not closed yet.
    let descriptors = Usage()
    let transfers = Usage()
    /// SQLite's memory for the user.
    let sqlite: MemoryAccount
    /// Requests, replies and connections that were refused because of a limit.
    let refusalCount = Atomic<UInt64>(0)

    init(uid: UInt32?) {
        self.uid = uid
        sqlite = MemoryAccount(uid: Self.number(of: uid))
    }

    /// Clients over TCP have no uid; this number belongs to nobody (chown(2)).
    static func number(of uid: UInt32?) -> UInt32 { uid ?? .max }

    /// Somebody is connected, or has hung up while workers have requests of his.
    var isInUse: Bool { connections.count > 0 || bufferedBytes.count > 0 || descriptors.count > 0 }

    /// Root and the daemon's own user are to get through when others have taken all that they may.
    var isAdministrator: Bool { uid == 0 || uid == Process.effectiveUID }

    /// The user's name in messages.
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
                accounts = accounts.filter { $0.value.isInUse }
            }
            let account = UserAccount(uid: uid)
            accounts[uid] = account
            return account
        }
    }

    /// Those who are connected, or hold something still, by uid; TCP last.
    var inUse: [UserAccount] {
        accounts.withLock { Array($0.values) }
            .filter(\.isInUse)
            .sorted { ($0.uid ?? .max) < ($1.uid ?? .max) }
    }
}

/// The peer of a connection.
struct Client: Sendable {
    /// `nil` over TCP.
    let peer: PeerCredentials?
    let account: UserAccount
    /// It came over the socket for monitors. Such a connection is not kept beyond the process: a version that does not
    /// know that socket would give it all rights.
    var isFromMonitorSocket = false
}

extension UserAccounts {
    /// Counts one more connection of the peer's user; the connection subtracts itself at its end.
    /// - Returns: the user, and the user's number of connections.
    func admit(_ socket: borrowing OwnedDescriptor, isFromMonitorSocket: Bool = false) -> (
        client: Client, connectionCount: Int
    ) {
        let peer = Sockets.peer(of: socket)
        let account = account(of: peer?.uid)
        let count = account.connections.add(1)
        return (Client(peer: peer, account: account, isFromMonitorSocket: isFromMonitorSocket), count)
    }
}
