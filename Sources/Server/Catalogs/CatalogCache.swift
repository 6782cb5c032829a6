// The catalogs that somebody has asked for, shared by all connections.

internal import Catalog
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// Whose catalog it is: a database with one login, as everybody sees it or as a session does.
struct CatalogKey: Hashable, Sendable {
    /// `nil` for a session on a database that has no name.
    var database: ObjectIdentifier?
    /// The name of the session that sees more than others do, or other things.
    var session: String?
}

/// A catalog, and what it is known to be true of.
struct CachedCatalog: Sendable {
    var index: CatalogIndex
    /// What the engine said of the database's state before it was read.
    var fingerprint: String
    /// Which database it was, such as which file.
    var contentNumber: UInt64
    /// When the fingerprint was last found to hold.
    var checked: MonotonicInstant
    /// What had made the catalogs of its database doubtful by then.
    var doubts: UInt64
}

/// All of them, bounded.
///
/// - Thread: any.
final class CatalogCache: Sendable {
    /// Who waits for another's filling.
    struct Waiter: Sendable {
        var number: UInt64
        var wake: @Sendable () -> Void
    }

    /// Users do not wait for one another: each has his statements run in his own turn, which may be long in coming.
    private struct Filling: Hashable {
        var key: CatalogKey
        var uid: UInt32
    }

    private struct Entry {
        var catalog: CachedCatalog
        var lastUse: UInt64
    }

    private struct State {
        var entries: [CatalogKey: Entry] = [:]
        /// Those that are being filled, and who waits.
        var fillings: [Filling: [Waiter]] = [:]
        var byteCount = 0
        var peak = 0
        var lastUse: UInt64 = 0
        var lastWaiter: UInt64 = 0
        var doubts: [String: UInt64] = [:]
        var lastDoubt: UInt64 = 0

        mutating func remove(_ key: CatalogKey) {
            guard let entry = entries.removeValue(forKey: key) else { return }
            byteCount -= entry.catalog.index.byteCount
        }

        /// Makes room; the least recently used go first.
        mutating func shrink(to byteCountMax: Int) {
            while byteCount > byteCountMax, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
                remove(oldest.key)
            }
        }
    }

    private let state = Mutex(State())

    /// The catalog of a key, whether or not it still holds.
    func find(_ key: CatalogKey) -> CachedCatalog? {
        state.withLock { state in
            guard let entry = state.entries[key] else { return nil }
            state.lastUse += 1
            state.entries[key]?.lastUse = state.lastUse
            return entry.catalog
        }
    }

    /// Bytes of all, and the most there were.
    var use: (byteCount: Int, peak: Int) { state.withLock { ($0.byteCount, $0.peak) } }

    /// A catalog was found to hold.
    func noteCheck(_ key: CatalogKey, at now: MonotonicInstant) {
        state.withLock { $0.entries[key]?.catalog.checked = now }
    }

    // MARK: Filling

    /// Claims the filling of a key for a user.
    /// - Returns: `nil` for the request that has to fill it; for others of the same user the number by which they wait: `wake` is
    ///   called once, on any thread.
    func beginFilling(_ key: CatalogKey, for uid: UInt32, wake: @escaping @Sendable () -> Void) -> UInt64? {
        let filling = Filling(key: key, uid: uid)
        return state.withLock { state in
            guard state.fillings[filling] != nil else {
                state.fillings[filling] = []
                return nil
            }
            state.lastWaiter += 1
            state.fillings[filling]?.append(Waiter(number: state.lastWaiter, wake: wake))
            return state.lastWaiter
        }
    }

    func stopWaiting(_ number: UInt64, for key: CatalogKey, of uid: UInt32) {
        state.withLock { $0.fillings[Filling(key: key, uid: uid)]?.removeAll { $0.number == number } }
    }

    /// Ends a filling, with a catalog to be kept if there is one, and lets those look again who wait.
    func endFilling(_ key: CatalogKey, for uid: UInt32, _ catalog: CachedCatalog?, byteCountMax: Int) {
        let waiters = state.withLock { state in
            if let catalog {
                state.remove(key)
                state.lastUse += 1
                state.entries[key] = Entry(catalog: catalog, lastUse: state.lastUse)
                state.byteCount += catalog.index.byteCount
                state.shrink(to: byteCountMax)
                state.peak = max(state.peak, state.byteCount)
            }
            return state.fillings.removeValue(forKey: Filling(key: key, uid: uid)) ?? []
        }
        for waiter in waiters { waiter.wake() }
    }

    // MARK: What does not hold any more

    /// What has made a database's catalogs doubtful last.
    func doubts(of database: String) -> UInt64 { state.withLock { $0.doubts[database] ?? 0 } }

    /// A statement may have changed a database's catalog: it is not believed any more.
    func doubt(_ database: String) {
        state.withLock { state in
            if state.entries.isEmpty, state.fillings.isEmpty { return }
            state.lastDoubt += 1
            state.doubts[database] = state.lastDoubt
            guard state.doubts.count > Self.doubtCountMax else { return }
            for key in state.entries.keys { state.remove(key) }
            state.doubts = [:]
        }
    }

    /// Names of databases that clients have chosen.
    private static let doubtCountMax = 10_000

    /// A session has ended.
    func remove(session: String) {
        state.withLock { state in
            if state.entries.isEmpty { return }
            for key in state.entries.keys where key.session == session { state.remove(key) }
        }
    }

    /// The configuration has only these databases.
    func keep(databases: Set<ObjectIdentifier>) {
        state.withLock { state in
            for key in state.entries.keys {
                if let database = key.database, !databases.contains(database) { state.remove(key) }
            }
        }
    }
}
