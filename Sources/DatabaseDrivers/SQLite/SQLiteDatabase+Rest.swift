// A database that nobody uses any more gives up its connections: each has descriptors and some ten KiB of schema. It is opened
// again when somebody comes, as after its files were replaced (SQLiteDatabase+Replacement.swift), without anybody's noticing.

internal import LinuxSystem
internal import Synchronization

extension SQLiteDatabase {
    /// Closes all connections unless somebody uses one, or waits for one. A database in memory stays: it would be gone.
    /// - Thread: any.
    func restIfUnused() {
        guard !options.isMemory, state.withLock({ Self.isUnused($0) }) else { return }
        // With the turn to write: who writes looks before and after whether the database is the same.
        let ticket = WriteTicket(
            .session(granted: { [self] in workers.submit(for: LinkOwner.daemon.uid) { [self] in rest() } }), .daemon)
        writes.enqueue(ticket)
    }

    private static func isUnused(_ state: borrowing State) -> Bool {
        guard case .open(_, let generation) = state.opening else { return false }
        return state.openWaiters.isEmpty && state.longReads.count == 0
            && generation.connectionCount.load(ordering: .relaxed) == state.idleReaders.count
    }

    private func rest() {
        // What is taken out of the state is let go outside of the lock.
        let left = state.withLock { state -> (SQLiteGeneration, [SQLiteConnection])? in
            guard Self.isUnused(state), case .open(let writer, let generation) = state.opening else { return nil }
            // Whoever has asked for a connection meanwhile finds another generation when it is open, and begins anew.
            state.opening = .leaving(writer, nil)
            state.hasRested = true
            setCurrentGeneration(0)
            let readers = state.idleReaders
            state.idleReaders = []
            return (generation, readers)
        }
        writes.release()
        for reader in left?.1 ?? [] { reader.close() }
    }
}

/// Looks after some time whether a database is still used; one at a time for each database.
///
/// - Thread: the loop of its context.
final class RestTimer: EventSource {
    private let database: SQLiteDatabase
    private let context: DriverContext

    private init(_ database: SQLiteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
    }

    /// After a session: who uses a database without one looks by itself (`LoopReader`).
    static func start(_ database: SQLiteDatabase, _ context: DriverContext) {
        let idle = database.options.idleMillisecondsMax
        guard idle > 0, !database.options.isMemory, !database.isRestDue.exchange(true, ordering: .relaxed) else {
            return
        }
        let timer = RestTimer(database, context)
        context.loop.schedule(timer, at: context.loop.now.advanced(byMilliseconds: idle))
    }

    override func timerFired(_ token: UInt64) {
        database.isRestDue.store(false, ordering: .relaxed)
        database.restIfUnused()
    }
}
