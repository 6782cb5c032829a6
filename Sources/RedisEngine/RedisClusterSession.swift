// A session in a cluster: a connection to the node of its keys, to another one when nothing binds it.

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// The link of a session.
///
/// - Thread: the loop of its context.
final class RedisClusterSession: RedisClusterLink {
    private struct Home {
        var node: RedisClusterNode
        var link: any DatabaseLink
    }

    private let request: SessionRequest
    private var home: Home?
    private var rules = RedisSessionRules()
    /// The connection was lost together with a transaction.
    private var isLost = false
    /// Of the connection, behind the last run.
    private var lastTransaction = TransactionState.none
    private var isClosed = false

    /// - Returns: the session, once there is a map of the cluster.
    static func open(
        _ request: SessionRequest, _ cluster: RedisCluster, _ context: DriverContext,
        done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        let session = RedisClusterSession(request, cluster, context)
        switch session.awaitView(behind: 0, { done(session.opened($0)) }) {
        case nil: return nil
        case .success: return session.opened(nil)
        case .failure(let error): return .failure(error)
        }
    }

    private init(_ request: SessionRequest, _ cluster: RedisCluster, _ context: DriverContext) {
        self.request = request
        super.init(cluster, context)
    }

    private func opened(_ failure: DriverError?) -> SessionOpening {
        if let failure { return .failure(failure) }
        _ = newestView()
        return .success(self)
    }

    private var connectionTransaction: TransactionState { home?.link.transaction ?? .none }
    override var transaction: TransactionState { rules.shown(connectionTransaction) }
    override var keptByteCount: Int { home?.link.keptByteCount ?? 0 }
    override func pressure(on uid: UInt32) -> LinkPressure { home?.link.pressure(on: uid) ?? .none }

    override func close() {
        isClosed = true
        home?.link.close()
        home = nil
    }

    // MARK: Rules

    override func judge(_ run: RedisClusterRun) throws(DriverError) -> RunOutcome? {
        if case .describe = run.kind { return nil }
        if let number = (run.sink as? RedisWalkSink)?.node {
            guard let view = newestView(), number < view.nodes.count else { throw .noSuchNode }
            run.target = view.nodes[number]
            return nil
        }
        // An idle connection may be lost, too; what follows must not be executed by itself, elsewhere.
        if lastTransaction != .none, connectionTransaction == .none { isLost = true }
        if isLost { throw Self.lost }
        let situation = situation(run)
        let wasAborted = rules.isAborted
        let action = rules.decide(run.route, situation)
        if wasAborted, !rules.isAborted {
            // What became of its first command may not be known yet: nothing of it is to be executed by an EXEC of the next one.
            home?.link.close()
            home = nil
            lastTransaction = .none
        }
        switch action {
        case .answer: return answerOK(run)
        case .refuse(let refusal): throw refusal.error
        case .stay, .move:
            run.isBound = rules.isBound(situation.transaction)
            run.transactionSlot = rules.slot
            run.opensTransaction = rules.willSend(run.route, situation)
            return nil
        }
    }

    private func situation(_ run: RedisClusterRun) -> RedisSessionRules.Situation {
        var situation = RedisSessionRules.Situation(transaction: connectionTransaction)
        if case .batch = run.kind { situation.isBatch = true }
        if let slot = run.route.slot, let home {
            situation.isAtHome =
                newestView()?.map.primary(of: slot).map { cluster.view?.nodes[$0] === home.node } ?? true
        }
        return situation
    }

    /// Says what every server says to MULTI and DISCARD.
    private func answerOK(_ run: RedisClusterRun) -> RunOutcome {
        let outer = run.outer
        outer.sink.begin(RedisRows.columns(.values))
        outer.sink.beginRow()
        Array("OK".utf8).withUnsafeBytes { outer.sink.text($0) }
        _ = outer.sink.endRow()
        outer.rowCount = 1
        outer.summary.transaction = transaction
        return .ended
    }

    /// MULTI has begun a transaction there, which goes with the connection.
    override func willSendAgain(_ run: RedisClusterRun) {
        guard run.opensTransaction else { return }
        home?.link.close()
        home = nil
    }

    override func didFinish(_ run: RedisClusterRun) {
        if case .describe = run.kind { return }
        lastTransaction = connectionTransaction
        let isOfLoss = [.connectFailed, .outcomeUnknown].contains(run.error?.code)
        if run.isBound, isOfLoss, lastTransaction == .none { isLost = true }
        rules.didEnd(run.route, opened: run.opensTransaction, lastTransaction)
        if run.hasMoved, lastTransaction == .none {
            // Whoever repeats from WATCH on goes to the other node.
            rules.forgetWatched()
            home?.link.close()
            home = nil
        }
        run.summary.transaction = transaction
    }

    private static let lost = DriverError(
        .connectFailed,
        "The session has lost its connection to the database; an open transaction was discarded.",
        remedy: .openAnotherSession, sqlState: "08003"
    ).with { $0.isRetryable = false }

    // MARK: Nodes

    /// What has no keys, and what is bound, stays where the session is.
    override func present(_ run: RedisClusterRun) -> RedisClusterNode? {
        run.isBound || run.route.slot == nil ? home?.node : nil
    }

    override func send(_ run: RedisClusterRun, to node: RedisClusterNode) -> RunOutcome {
        if let home, home.node === node { return begin(run, on: home.link) }
        home?.link.close()
        home = nil
        let opening = node.database.openSession(request, context) { [self] opening in
            arrived(opening, node, run)?.tell(run.outer)
        }
        guard let opening else { return .pending }
        return arrived(opening, node, run) ?? .pending
    }

    /// - Returns: `nil` if the run is gone.
    private func arrived(
        _ opening: SessionOpening, _ node: RedisClusterNode, _ run: RedisClusterRun
    ) -> RunOutcome? {
        // It was stopped while the connection was made.
        let isWanted = run.outer.execution === run
        switch opening {
        case .failure(let error):
            guard isWanted else { return nil }
            _ = cluster.refresh(behind: run.viewNumber)
            return end(run, error)
        case .success(let link):
            guard isWanted, !isClosed else {
                link.close()
                return nil
            }
            home?.link.close()
            home = Home(node: node, link: link)
            return begin(run, on: link)
        }
    }
}
