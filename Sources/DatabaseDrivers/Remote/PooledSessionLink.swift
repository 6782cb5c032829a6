// A session: a connection of the pool that belongs to one client until it is closed.

internal import LinuxSystem

/// A session's way to a database on a server.
///
/// The caller starts one run at a time. A run may come while the one before, whose client was answered already, is still
/// being stopped by the server; then it waits for that.
/// - Thread: the loop of its lane.
final class PooledSessionLink: DatabaseLink, ConnectionHolder {
    private let lane: PoolLane
    private let owner: LinkOwner
    private let mode: RunMode
    /// `nil` when it is lost, or given back.
    private var connection: ServerConnection?
    private var waiting: StatementRun?
    private var isClosed = false
    let serverVersion: String

    static func open(
        _ request: SessionRequest, _ lane: PoolLane, done: @escaping (Result<any DatabaseLink, DriverError>) -> Void
    ) {
        let mode = RunMode(isReadOnly: request.isReadOnly || lane.database.isReadOnly, isSession: true)
        let finish = { (connection: ServerConnection) in
            done(.success(PooledSessionLink(lane, connection, request, mode)))
        }
        if let connection = lane.take(for: request.owner) { return finish(connection) }
        lane.ask(
            ConnectionRequest(request.owner) { result in
                switch result {
                case .success(let connection): finish(connection)
                case .failure(let error): done(.failure(error))
                }
            })
    }

    private init(_ lane: PoolLane, _ connection: ServerConnection, _ request: SessionRequest, _ mode: RunMode) {
        self.lane = lane
        self.connection = connection
        owner = request.owner
        self.mode = mode
        serverVersion = connection.serverVersion
        connection.holder = self
        connection.lastUID = owner.uid
        if let name = request.clientName { connection.introduce(name) }
    }

    var databaseName: String { lane.database.label }
    var engine: Engine { lane.database.engine }
    var transaction: TransactionState { connection?.shownTransaction ?? .none }

    func start(_ run: StatementRun, for owner: LinkOwner) {
        guard let connection else { return end(run, Self.lost) }
        do throws(DriverError) {
            try lane.database.driver.check(run, mode)
        } catch {
            return end(run, error)
        }
        if connection.phase == .idle { return connection.start(run, mode, for: owner) }
        waiting = run
        run.execution = connection
    }

    private func end(_ run: StatementRun, _ error: DriverError) {
        run.error = error
        run.execution = nil
        run.runDidEnd()
    }

    func resume(_ run: StatementRun) { connection?.resume(run) }

    func stop(_ run: StatementRun, _ reason: StopReason) {
        guard waiting === run else {
            connection?.stop(run, reason)
            return
        }
        waiting = nil
        run.requestStop(reason)
        end(run, .stopped(reason))
    }

    func connectionDidSettle(_ connection: ServerConnection) {
        // A cancelled statement leaves the session as it was.
        if isClosed { return giveBack() }
        guard let run = waiting else { return }
        waiting = nil
        connection.start(run, mode, for: owner)
    }

    func connectionDidBreak(_ connection: ServerConnection) {
        self.connection = nil
        lane.connectionDidBreak(connection)
        guard let run = waiting else { return }
        waiting = nil
        end(run, Self.lost)
    }

    func pressure(on uid: UInt32) -> LinkPressure {
        connection != nil && lane.database.pool.isWanted(byOthersThan: uid) ? .place : .none
    }

    /// Rolls back and clears what the session has left; that goes on by itself.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        if connection?.phase == .idle { giveBack() }
    }

    private func giveBack() {
        guard let connection else { return }
        self.connection = nil
        connection.needsReset = true
        lane.release(connection)
    }

    private static let lost = DriverError(
        .connectFailed,
        "The session has lost its connection to the database; an open transaction was rolled back.",
        hint: "Close it and open a new one with db_connect.", sqlState: "08003"
    ).with { $0.isRetryable = false }
}
