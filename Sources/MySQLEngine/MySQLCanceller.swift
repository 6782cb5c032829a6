// Cancelling: MySQL stops a statement on behalf of another connection, by its number.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import Synchronization

/// A connection beside the pool, kept for cancelling, so that this works when the pool is full.
///
/// - Thread: any that may block.
final class MySQLCanceller: Sendable {
    private struct Idle {
        let handle: UnsafeMutablePointer<MYSQL>
        let hostIndex: Int
        let opened = MonotonicInstant.now
    }

    /// A connection whose statement is to end.
    struct Target {
        /// What the server calls it.
        let number: UInt
        let hostIndex: Int
        let opened: MonotonicInstant
    }

    private let connector: MySQLConnector
    private let idle = Mutex<HandedOver<Idle>?>(nil)

    init(_ connector: MySQLConnector) { self.connector = connector }

    deinit {
        if let idle = idle.withLock({ $0.take() }) { libmariadb.mysql_close(idle.value.handle) }
    }

    /// Makes the server end what a connection does. Where it fails, the connection is closed when it does not settle.
    ///
    /// - Source: https://mariadb.com/kb/en/kill/
    func kill(_ target: Target, noting refusal: MySQLKillRefusal) {
        let kept = idle.withLock { $0.take() }
        if let kept {
            if kept.value.hostIndex == target.hostIndex, kill(target, by: kept.value, refusal) {
                return keep(kept.value)
            }
            libmariadb.mysql_close(kept.value.handle)
        }
        guard let handle = try? connector.reconnect(hostIndex: target.hostIndex) else { return }
        let fresh = Idle(handle: handle, hostIndex: target.hostIndex)
        _ = kill(target, by: fresh, refusal)
        keep(fresh)
    }

    /// - Returns: false when the connection is not to be used any more.
    private func kill(_ target: Target, by own: Idle, _ refusal: MySQLKillRefusal) -> Bool {
        guard mayReach(target, by: own) else { return true }
        let sql = "KILL QUERY \(target.number)"
        let status = sql.withCString { libmariadb.mysql_real_query(own.handle, $0, UInt(sql.utf8.count)) }
        if status == 0 { return true }
        if libmariadb.mysql_errno(own.handle) == MySQLKillRefusal.errorNumber { refusal.note() }
        return !MySQLErrors.isFatal(libmariadb.mysql_errno(own.handle))
    }

    /// Whether both connections may be of one run of the server. One that was started anew numbers its connections from the
    /// beginning: the number is then somebody else's. In one run the later connection has the greater number.
    private func mayReach(_ target: Target, by own: Idle) -> Bool {
        if own.opened < target.opened { return true }
        return libmariadb.mysql_thread_id(own.handle) > target.number
            && connector.mayRun(own.handle, since: target.opened)
    }

    private func keep(_ used: Idle) {
        let parcel = HandedOver(used)
        let surplus = idle.withLock { idle -> HandedOver<Idle>? in
            if idle != nil { return parcel }
            idle = parcel
            return nil
        }
        if let surplus { libmariadb.mysql_close(surplus.value.handle) }
    }
}

/// Whether the server has refused to stop what a connection does.
///
/// While a routine runs with its definer's rights, the connection is the definer's, whom only he and who has CONNECTION ADMIN
/// may stop.
/// - Source: kill_one_thread() in sql/sql_parse.cc of MariaDB
/// - Thread: any.
final class MySQLKillRefusal: Sendable {
    /// ER_KILL_DENIED_ERROR.
    static let errorNumber: UInt32 = 1095
    static let detail =
        "The server refuses to stop it (KILL QUERY, error 1095), as it does while a routine runs with the rights of its definer "
        + "(SQL SECURITY DEFINER) and the login of this database has no CONNECTION ADMIN; it goes on."

    private let flag = Atomic<Bool>(false)

    var wasNoted: Bool { flag.load(ordering: .relaxed) }
    func note() { flag.store(true, ordering: .relaxed) }
    func clear() { flag.store(false, ordering: .relaxed) }
}
