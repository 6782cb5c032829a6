// Cancelling: MySQL stops a statement on behalf of another connection, by its number.

internal import CMariaDB
internal import Synchronization

/// A connection beside the pool, kept for cancelling, so that this works when the pool is full.
///
/// - Thread: any that may block.
final class MySQLCanceller: Sendable {
    private struct Idle {
        var handle: OpaquePointer
        var hostIndex: Int
    }

    private let connector: MySQLConnector
    private let idle = Mutex<HandedOver<Idle>?>(nil)

    init(_ connector: MySQLConnector) { self.connector = connector }

    deinit {
        if let idle = idle.withLock({ $0.take() }) { my_close(idle.value.handle) }
    }

    /// Makes the server end what that connection does. Where it fails, the connection is closed when it does not settle.
    ///
    /// - Source: https://mariadb.com/kb/en/kill/
    func kill(_ number: UInt, hostIndex: Int) {
        let kept = idle.withLock { $0.take() }
        if let kept {
            if kept.value.hostIndex == hostIndex, kill(number, kept.value.handle) { return keep(kept.value) }
            my_close(kept.value.handle)
        }
        guard let fresh = try? connector.reconnect(hostIndex: hostIndex) else { return }
        _ = kill(number, fresh.handle)
        keep(Idle(handle: fresh.handle, hostIndex: hostIndex))
    }

    /// - Returns: false when the connection is not to be used any more.
    private func kill(_ number: UInt, _ handle: OpaquePointer) -> Bool {
        let sql = "KILL QUERY \(number)"
        let status = sql.withCString { my_real_query(handle, $0, UInt(sql.utf8.count)) }
        return status == 0 || !MySQLErrors.isFatal(my_error_number(handle))
    }

    private func keep(_ used: Idle) {
        let parcel = HandedOver(used)
        let surplus = idle.withLock { idle -> HandedOver<Idle>? in
            if idle != nil { return parcel }
            idle = parcel
            return nil
        }
        if let surplus { my_close(surplus.value.handle) }
    }
}
