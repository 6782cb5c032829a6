// Autocommit requests of one loop: each takes a connection of the pool, and gives it back.

internal import LinuxSystem

/// The way of one loop to one database on a server, without a session.
///
/// - Thread: the loop of its lane.
final class PooledLink: DatabaseLink {
    private let lane: PoolLane
    private var mode: RunMode { RunMode(isReadOnly: lane.database.isReadOnly, isSession: false) }
    private(set) var serverVersion = ""

    init(_ lane: PoolLane) { self.lane = lane }

    var databaseName: String { lane.database.label }
    var engine: Engine { lane.database.engine }
    var transaction: TransactionState { .none }

    func start(_ run: StatementRun, for owner: LinkOwner) {
        do throws(DriverError) {
            try lane.database.driver.check(run, mode)
        } catch {
            return end(run, error)
        }
        if let connection = lane.take(for: owner) { return connection.start(run, mode, for: owner) }
        let request = ConnectionRequest(owner) { [self] result in
            switch result {
            case .success(let connection):
                serverVersion = connection.serverVersion
                connection.start(run, mode, for: owner)
            case .failure(let error): end(run, error)
            }
        }
        run.execution = request
        lane.ask(request)
    }

    private func end(_ run: StatementRun, _ error: DriverError) {
        run.error = error
        run.execution = nil
        run.runDidEnd()
    }

    func resume(_ run: StatementRun) { (run.execution as? ServerConnection)?.resume(run) }

    func stop(_ run: StatementRun, _ reason: StopReason) {
        if let connection = run.execution as? ServerConnection { return connection.stop(run, reason) }
        guard let request = run.execution as? ConnectionRequest else { return }
        lane.withdraw(request)
        run.requestStop(reason)
        end(run, .stopped(reason))
    }

    func pressure(on uid: UInt32) -> LinkPressure { lane.database.pool.isWanted(byOthersThan: uid) ? .place : .none }

    func close() { lane.close() }
}
