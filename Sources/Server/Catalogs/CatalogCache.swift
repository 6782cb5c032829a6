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
    /// Users do not wait for one another: each has his statements run in his own turn, which may be long in coming.
    private struct Filling: Hashable {
        var key: CatalogKey
        var uid: UInt32
    }

    /// A filling under way.
    private struct Work {
        /// Fillings are numbered in the order in which they begin.
        let number: UInt64
        /// Who waits for it, by number.
        var waiters: [UInt64: @Sendable () -> Void] = [:]
    }

    private struct Entry {
        var catalog: CachedCatalog
        /// The number of its filling.
        var filling: UInt64
        var lastUse: UInt64
    }

    private struct State {
        var entries: [CatalogKey: Entry] = [:]
        /// Those that are being filled.
        var fillings: [Filling: Work] = [:]
        var lastFilling: UInt64 = 0
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

    /// The number of the last filling that has begun.
    var lastFilling: UInt64 { state.withLock { $0.lastFilling } }

    /// The catalog of a key, whether or not it still holds.
    /// - Parameters:
    ///   - key: whose catalog.
    ///   - filling: where it has to be read anew, the last filling that had begun when that was asked for.
    /// - Returns: the catalog; `nil` if there is none.
    func find(_ key: CatalogKey, behind filling: UInt64? = nil) -> CachedCatalog? {
        state.withLock { state in
            guard let entry = state.entries[key], filling.map({ entry.filling > $0 }) ?? true else { return nil }
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
                state.lastFilling += 1
                state.fillings[filling] = Work(number: state.lastFilling)
                return nil
            }
            state.lastWaiter += 1
            state.fillings[filling]?.waiters[state.lastWaiter] = wake
            return state.lastWaiter
        }
    }

    func stopWaiting(_ number: UInt64, for key: CatalogKey, of uid: UInt32) {
        state.withLock { $0.fillings[Filling(key: key, uid: uid)]?.waiters[number] = nil }
    }

    /// Ends a filling, with a catalog to be kept if there is one, and lets those look again who wait.
    func endFilling(_ key: CatalogKey, for uid: UInt32, _ catalog: CachedCatalog?, byteCountMax: Int) {
        let waiters = state.withLock { state -> [UInt64: @Sendable () -> Void] in
            guard let work = state.fillings.removeValue(forKey: Filling(key: key, uid: uid)) else { return [:] }
            if let catalog {
                state.remove(key)
                state.lastUse += 1
                state.entries[key] = Entry(catalog: catalog, filling: work.number, lastUse: state.lastUse)
                state.byteCount += catalog.index.byteCount
                state.shrink(to: byteCountMax)
                state.peak = max(state.peak, state.byteCount)
            }
            return work.waiters
        }
        for wake in waiters.values { wake() }
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
