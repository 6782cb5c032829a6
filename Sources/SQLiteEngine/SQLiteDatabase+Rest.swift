// A database that nobody uses any more closes its connections: each has descriptors and some ten KiB of schema. It is
// opened again when somebody needs it, as after its files were replaced (SQLiteDatabase+Replacement.swift); clients do
// not notice.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

extension SQLiteDatabase {
    /// Closes all connections unless somebody uses one, or waits for one. A memory database stays open: it would be
    /// lost.
    /// - Thread: any.
    func restIfUnused() {
        guard !options.isMemory, state.withLock({ Self.isUnused($0) }) else { return }
        // With the write turn: writers check before and after whether the database is the same.
        let ticket = WriteTicket(
            .session(granted: { [self] in promptWorkers.submit(for: LinkOwner.daemon.uid) { [self] in rest() } }),
            .daemon)
        writes.enqueue(ticket)
    }

    private static func isUnused(_ state: borrowing State) -> Bool {
        guard case .open(_, let generation) = state.opening else { return false }
        return state.openWaiters.isEmpty && state.longReads.count == 0
            && generation.connectionCount.load(ordering: .relaxed) == state.idleReaders.count
    }

    private func rest() {
        // What is removed from the state is released outside of the lock.
        let left = state.withLock { state -> (SQLiteGeneration, [SQLiteConnection])? in
            guard Self.isUnused(state), case .open(let writer, let generation) = state.opening else { return nil }
            // A connection that was requested meanwhile finds another generation when it is open, and starts again.
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

/// Checks after some time whether a database is still used; one at a time for each database.
///
/// - Thread: the loop of its context.
final class RestTimer: EventSource {
    private let database: SQLiteDatabase
    private let context: DriverContext

    private init(_ database: SQLiteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
    }

    /// After a session; other users of a database check by themselves (`LoopReader`).
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
