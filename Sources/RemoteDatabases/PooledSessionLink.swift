// A session: a connection of the pool that belongs to one client until it is closed.

internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// The link of a session to a database on a server.
///
/// The caller starts one run at a time. A run may come while the server still stops the previous one, whose client was
/// answered already; then it waits.
/// - Thread: the loop of its shard.
final class PooledSessionLink: DatabaseLink, ConnectionHolder {
    private let shard: PoolShard
    private let owner: LinkOwner
    private let mode: RunMode
    /// `nil` if it is lost or returned.
    private var connection: ServerConnection?
    private var waiting: StatementRun?
    private var isClosed = false
    let serverVersion: String

    static func open(
        _ request: SessionRequest, _ shard: PoolShard, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        let mode = RunMode(isReadOnly: request.isReadOnly || shard.database.isReadOnly, isSession: true)
        let make = { (answer: ConnectionRequest.Answer) -> SessionOpening in
            answer.map { PooledSessionLink(shard, $0, request, mode) }
        }
        if let connection = shard.take(for: request.owner) { return make(.success(connection)) }
        return shard.ask(ConnectionRequest(request.owner) { done(make($0)) }).map(make)
    }

    private init(_ shard: PoolShard, _ connection: ServerConnection, _ request: SessionRequest, _ mode: RunMode) {
        self.shard = shard
        self.connection = connection
        owner = request.owner
        self.mode = mode
        serverVersion = connection.serverVersion
        connection.holder = self
        connection.lastUID = owner.uid
        if let name = request.clientName { connection.introduce(name) }
    }

    var databaseName: String { shard.database.label }
    var engine: Engine { shard.database.engine }
    var keptByteCount: Int { connection?.keptByteCount ?? 0 }
    var transaction: TransactionState { connection?.shownTransaction ?? .none }

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        guard let connection else { return run.end(Self.lost) }
        do throws(DriverError) {
            if !TextBound.isLong(run) { try shard.database.driver.check(run, mode) }
        } catch {
            return run.end(error)
        }
        if connection.phase == .idle { return start(run, on: connection) }
        waiting = run
        run.execution = connection
        return .pending
    }

    func resume(_ run: StatementRun) -> RunOutcome { connection?.resume(run) ?? .pending }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        guard waiting === run else { return connection?.stop(run, reason) ?? .pending }
        waiting = nil
        run.requestStop(reason)
        return run.end(.stopped(reason))
    }

    func connectionDidSettle(_ connection: ServerConnection) {
        // A cancelled statement leaves the session unchanged.
        if isClosed { return giveBack() }
        guard let run = waiting else { return }
        waiting = nil
        start(run, on: connection).tell(run)
    }

    private func start(_ run: StatementRun, on connection: ServerConnection) -> RunOutcome {
        connection.start(run, mode, for: owner, by: shard.database.driver)
    }

    func connectionDidBreak(_ connection: ServerConnection) {
        self.connection = nil
        shard.connectionDidBreak(connection)
        guard let run = waiting else { return }
        waiting = nil
        run.end(Self.lost).tell(run)
    }

    func pressure(on uid: UInt32) -> LinkPressure {
        connection != nil && shard.database.pool.isWanted(byOthersThan: uid) ? .place : .none
    }

    /// Rolls back and resets what the session has left, in the background.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        if connection?.phase == .idle { giveBack() }
    }

    private func giveBack() {
        guard let connection else { return }
        self.connection = nil
        connection.needsReset = true
        shard.release(connection)
    }

    private static let lost = DriverError(
        .connectFailed,
        "The session has lost its connection to the database; an open transaction was rolled back.",
        remedy: .openAnotherSession, sqlState: "08003"
    ).with { $0.isRetryable = false }
}
