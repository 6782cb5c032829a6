// Autocommit requests of one loop: each takes a connection of the pool and returns it.

internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// The link of one loop to one database on a server, without a session.
///
/// - Thread: the loop of its shard.
final class PooledLink: DatabaseLink {
    private let shard: PoolShard
    private let mode: RunMode
    private(set) var serverVersion = ""

    /// `isReadOnly`: nothing may be written over it, whatever the database allows.
    init(_ shard: PoolShard, isReadOnly: Bool = false) {
        self.shard = shard
        mode = RunMode(isReadOnly: isReadOnly || shard.database.isReadOnly, isSession: false)
    }

    var databaseName: String { shard.database.label }
    var engine: Engine { shard.database.engine }
    var transaction: TransactionState { .none }

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        let driver = shard.database.driver
        do throws(DriverError) {
            if !TextBound.isLong(run) { try driver.check(run, mode) }
        } catch {
            return run.end(error)
        }
        if let connection = shard.take(for: owner) { return connection.start(run, mode, for: owner, by: driver) }
        let request = ConnectionRequest(owner) { [self] answer in begin(run, on: answer, for: owner).tell(run) }
        run.execution = request
        return shard.ask(request).map { begin(run, on: $0, for: owner) } ?? .pending
    }

    private func begin(
        _ run: StatementRun, on answer: ConnectionRequest.Answer, for owner: LinkOwner
    ) -> RunOutcome {
        switch answer {
        case .success(let connection):
            serverVersion = connection.serverVersion
            return connection.start(run, mode, for: owner, by: shard.database.driver)
        case .failure(let error): return run.end(error)
        }
    }

    func resume(_ run: StatementRun) -> RunOutcome { (run.execution as? ServerConnection)?.resume(run) ?? .pending }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        if let connection = run.execution as? ServerConnection { return connection.stop(run, reason) }
        guard let request = run.execution as? ConnectionRequest else { return .pending }
        shard.withdraw(request)
        run.requestStop(reason)
        return run.end(.stopped(reason))
    }

    func pressure(on uid: UInt32) -> LinkPressure { shard.database.pool.isWanted(byOthersThan: uid) ? .place : .none }

    func close() { shard.close() }
}

extension StatementRun {
    /// Ends a run that no connection works for.
    func end(_ error: DriverError) -> RunOutcome {
        self.error = error
        execution = nil
        return .ended
    }
}
