// The link to a cluster, of one loop or one session: it sends each run to the node of its keys, and follows what the nodes say.

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

/// Each run goes to the pool of its node, whether within a session or not: a session in a cluster has no state but whether it may write.
///
/// - Thread: the loop of its context.
final class RedisClusterLink: EventSource, DatabaseLink {
    /// Something that waits for a map, or for the end of a pause.
    private struct Wait {
        let timer: TimerID
        /// It waits for a map that is newer than this one; `nil`: for the end of its time.
        let number: UInt64?
        /// Called once, with why there is no map.
        let body: (DriverError?) -> Void
    }

    let cluster: RedisCluster
    let context: DriverContext
    private let isReadOnly: Bool
    /// The connections that the pools keep for this loop are this link's, to be closed with it. Those of a session are others', too.
    private let ownsConnections: Bool
    private var links: [ObjectIdentifier: (node: RedisClusterNode, link: any DatabaseLink)] = [:]
    /// The map by which `links` were looked through.
    private var viewNumber: UInt64 = 0
    private var turn = 0
    /// By the token of the timer.
    private var waits: [UInt64: Wait] = [:]
    private var lastToken: UInt64 = 0
    /// The cluster tells this link when a map has come; once, whatever waits here.
    private var isToBeTold = false
    private(set) var serverVersion = ""

    init(_ cluster: RedisCluster, _ context: DriverContext, isReadOnly: Bool, ownsConnections: Bool) {
        self.cluster = cluster
        self.context = context
        self.isReadOnly = isReadOnly
        self.ownsConnections = ownsConnections
        super.init()
    }

    var databaseName: String { cluster.label }
    var engine: Engine { .redis }
    var transaction: TransactionState { .none }

    /// It holds nothing while its user leaves it idle.
    func pressure(on uid: UInt32) -> LinkPressure { .none }

    /// - Returns: the session, once there is a map of the cluster.
    func open(_ done: @escaping (SessionOpening) -> Void) -> SessionOpening? {
        switch request(behind: 0) {
        case .success: return opened()
        case .failure(let error): return .failure(error)
        case nil:
            _ = wait(behind: 0, milliseconds: cluster.mapMillisecondsMax) { [self] failure in
                done(failure.map { .failure($0) } ?? opened())
            }
            return nil
        }
    }

    private func opened() -> SessionOpening {
        _ = newestView()
        return .success(self)
    }

    func close() {
        if ownsConnections { for entry in links.values { entry.link.close() } }
        links = [:]
    }

    // MARK: Runs

    func start(_ outer: StatementRun, for owner: LinkOwner) -> RunOutcome {
        let run = RedisClusterRun(outer, self, for: owner)
        outer.execution = run
        return goOn(run)
    }

    /// Does what comes next: for a run that was started, or has waited.
    private func goOn(_ run: RedisClusterRun) -> RunOutcome {
        guard let view = newestView() else { return waitForView(run, behind: 0) }
        return run.route == nil ? route(run, view.routing) : send(run, view)
    }

    /// Looks where it has to go.
    private func route(_ run: RedisClusterRun, _ routing: RedisRouting) -> RunOutcome {
        guard TextBound.isLong(run) else {
            do throws(DriverError) {
                run.route = try routing.route(run)
            } catch {
                return end(run, error)
            }
            return goOn(run)
        }
        run.phase = .judging
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let parcel = HandedOver(run)
        context.promptWorkers.submit(for: run.owner.uid) {
            var failure: DriverError?
            do throws(DriverError) {
                parcel.value.route = try routing.route(parcel.value)
            } catch {
                failure = error
            }
            let told = failure
            mailbox.submit { here.wrapped.wasJudged(parcel.value, told) }
        }
        return .pending
    }

    private func wasJudged(_ run: RedisClusterRun, _ failure: DriverError?) {
        run.phase = .deciding
        let outcome =
            if let reason = run.outer.stopReason { end(run, .stopped(reason)) } else if let failure {
                end(run, failure)
            } else { goOn(run) }
        outcome.tell(run.outer)
    }

    /// Sends it to the node that a redirection names, that a walk through all nodes has come to, or that has the slot.
    private func send(_ run: RedisClusterRun, _ view: RedisClusterView) -> RunOutcome {
        run.viewNumber = view.number
        // A node that hangs, or that was taken out, says nothing by which one could know.
        if view.isOld(at: context.loop.now) { _ = cluster.refresh(behind: view.number) }
        if let number = (run.sink as? RedisWalkSink)?.node, run.target == nil {
            guard number < view.nodes.count else { return end(run, .noSuchNode) }
            run.target = view.nodes[number]
        }
        turn &+= 1
        let node = run.target ?? view.node(of: run.route?.slot, turn: turn & 0xffff)
        run.node = node
        let link = link(to: node)
        run.phase = .sent(link)
        return took(link.start(run, for: run.owner), run)
    }

    private func took(_ outcome: RunOutcome, _ run: RedisClusterRun) -> RunOutcome {
        switch outcome {
        case .pending: .pending
        case .filled: didFill(run)
        case .ended: didEnd(run)
        }
    }

    func didFill(_ run: RedisClusterRun) -> RunOutcome {
        run.tellCounts()
        return .filled
    }

    func resume(_ outer: StatementRun) -> RunOutcome {
        guard let run = outer.execution as? RedisClusterRun, case .sent(let link) = run.phase else { return .pending }
        return took(link.resume(run), run)
    }

    func stop(_ outer: StatementRun, _ reason: StopReason) -> RunOutcome {
        guard let run = outer.execution as? RedisClusterRun else { return .pending }
        outer.requestStop(reason)
        switch run.phase {
        case .sent(let link): return took(link.stop(run, reason), run)
        // The worker reads what belongs to the client.
        case .judging: return .pending
        case .waiting, .deciding: return end(run, .stopped(reason))
        }
    }

    // MARK: What a node has said

    /// A node has done with it.
    func didEnd(_ run: RedisClusterRun) -> RunOutcome {
        if case .sent(let link) = run.phase, !link.serverVersion.isEmpty { serverVersion = link.serverVersion }
        run.phase = .deciding
        if let error = run.error, Self.mayBeOfLostNode(error) { _ = cluster.refresh(behind: run.viewNumber) }
        // One whose outcome is not known has none (`RedisConnection`): it must not be sent again, whatever a node has said of a part of it.
        guard let redirection = run.redirection, run.error?.code != .outcomeUnknown, let view = newestView() else {
            return deliver(run)
        }
        // What is of another slot, no node says by itself.
        guard let slot = run.route?.slot, redirection.slot ?? slot == slot else { return deliver(run) }
        guard run.route?.answersFreely == false else {
            _ = cluster.refresh(behind: run.viewNumber)
            // It may have done something before it answered so.
            if run.outer.stopReason != nil { return end(run, RedisExchange.unknownOutcome("It was stopped")) }
            run.error = run.error?.ofScriptOrNode
            return finish(run)
        }
        if let reason = run.outer.stopReason { return end(run, .stopped(reason)) }
        return follow(redirection, run, slot, view)
    }

    /// Whether another node may have its slots by now: it cannot be reached, or has not answered in time, so that its connections may all
    /// be waiting.
    private static func mayBeOfLostNode(_ error: DriverError) -> Bool {
        [.connectFailed, .outcomeUnknown, .timeout].contains(error.code) || isOfFullPool(error)
    }

    private static func isOfFullPool(_ error: DriverError) -> Bool {
        error.details.limit.map { "\($0.name)" == "pool_connections_max" } ?? false
    }

    private func follow(
        _ redirection: RedisRedirection, _ run: RedisClusterRun, _ slot: UInt16, _ view: RedisClusterView
    ) -> RunOutcome {
        let action = run.trail.next(redirection, slot: slot, sender: run.node?.place.host ?? "") {
            view.map.primary(at: $0, $1)
        }
        switch action {
        case .deliver: return deliver(run)
        case .giveUp:
            _ = cluster.refresh(behind: view.number)
            return end(run, RedisCluster.isUnsettled)
        case .send(let node, let isAsking, let mapIsOld):
            if mapIsOld { _ = cluster.refresh(behind: run.viewNumber) }
            run.beginAgain()
            run.target = view.nodes[node]
            run.isAsking = isAsking
            return send(run, view)
        case .refresh:
            run.beginAgain()
            return waitForView(run, behind: run.viewNumber)
        case .pause(let milliseconds):
            if case .clusterDown = redirection { _ = cluster.refresh(behind: run.viewNumber) }
            run.beginAgain()
            return wait(run, behind: nil, milliseconds: milliseconds)
        }
    }

    // MARK: Ends

    private func deliver(_ run: RedisClusterRun) -> RunOutcome {
        if let error = run.error, RedisErrors.isOfOtherNode(error) {
            run.error = error.with { $0.hint = Self.deliveredHint }
        } else if let error = run.error, Self.isOfFullPool(error), let limit = error.details.limit {
            run.error = error.with { $0.hint = Self.shareHint(limit.value) }
        }
        return finish(run)
    }

    private static let deliveredHint =
        "A script, a command of a module, or one that the server has not told answers so by itself; or the node has not executed this "
        + "command of a batch of which it has executed others. Nothing was sent again."

    private static func shareHint(_ count: Int64) -> String {
        "Try again, or raise limits.pool_connections_max: it is for the whole cluster, and \(count) of it "
            + "\(count == 1 ? "is" : "are") the share of the node that has the keys."
    }

    private func end(_ run: RedisClusterRun, _ error: DriverError) -> RunOutcome {
        run.error = error
        return finish(run)
    }

    private func finish(_ run: RedisClusterRun) -> RunOutcome {
        if case .waiting(let token) = run.phase { _ = takeWait(token) }
        run.phase = .deciding
        run.tellOutcome()
        run.outer.execution = nil
        return .ended
    }

    // MARK: Maps and nodes

    /// The newest map. Connections to nodes that are not in it are closed.
    private func newestView() -> RedisClusterView? {
        guard let view = cluster.view else { return nil }
        if view.number != viewNumber { adopt(view) }
        return view
    }

    private func adopt(_ view: RedisClusterView) {
        viewNumber = view.number
        if serverVersion.isEmpty { serverVersion = view.version }
        let kept = Set(view.nodes.map { ObjectIdentifier($0) })
        for (key, entry) in links where !kept.contains(key) {
            entry.link.close()
            links[key] = nil
        }
    }

    private func link(to node: RedisClusterNode) -> any DatabaseLink {
        let key = ObjectIdentifier(node)
        if let known = links[key] { return known.link }
        let link = node.database.makeSharedLink(context, isReadOnly: isReadOnly)
        links[key] = (node, link)
        return link
    }

    // MARK: Waiting

    /// Goes on when there is a newer map than that; `run` ends if there can be none.
    private func waitForView(_ run: RedisClusterRun, behind number: UInt64) -> RunOutcome {
        switch request(behind: number) {
        case .success: goOn(run)
        case .failure(let error): end(run, error)
        case nil: wait(run, behind: number, milliseconds: cluster.mapMillisecondsMax)
        }
    }

    private func wait(_ run: RedisClusterRun, behind number: UInt64?, milliseconds: Int64) -> RunOutcome {
        run.phase = .waiting(
            wait(behind: number, milliseconds: milliseconds) { [self] failure in
                run.phase = .deciding
                (failure.map { end(run, $0) } ?? goOn(run)).tell(run.outer)
            })
        return .pending
    }

    /// Waits for a limited time: servers may answer as slowly as they like.
    /// - Returns: the number of the wait.
    private func wait(
        behind number: UInt64?, milliseconds: Int64, _ body: @escaping (DriverError?) -> Void
    ) -> UInt64 {
        lastToken += 1
        let timer = context.loop.schedule(
            self, token: lastToken, at: context.loop.now.advanced(byMilliseconds: milliseconds))
        waits[lastToken] = Wait(timer: timer, number: number, body: body)
        return lastToken
    }

    /// What waits here, for tests.
    var waitCount: Int { waits.count }

    private func takeWait(_ token: UInt64) -> Wait? {
        guard let wait = waits.removeValue(forKey: token) else { return nil }
        context.loop.cancel(wait.timer)
        return wait
    }

    override func timerFired(_ token: UInt64) {
        guard let wait = waits.removeValue(forKey: token) else { return }
        wait.body(wait.number == nil ? nil : cluster.mapTimeout)
    }

    /// Has a newer map than that asked for, and this link told when it is there.
    /// - Returns: what came of it, if that is known at once.
    private func request(behind number: UInt64) -> Result<RedisClusterView, DriverError>? {
        if isToBeTold { return cluster.refresh(behind: number) }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let known = cluster.refresh(behind: number) { failure in
            mailbox.submit { here.wrapped.refreshDidEnd(failure) }
        }
        isToBeTold = known == nil
        return known
    }

    private func refreshDidEnd(_ failure: DriverError?) {
        isToBeTold = false
        for token in waits.keys.sorted() {
            guard let number = waits[token]?.number else { continue }
            if let failure {
                takeWait(token)?.body(failure)
                continue
            }
            // One that has come to wait meanwhile may be for the next map.
            switch request(behind: number) {
            case .success: takeWait(token)?.body(nil)
            case .failure(let error): takeWait(token)?.body(error)
            case nil: break
            }
        }
    }
}

extension DriverError {
    /// What a script has said, or a node in place of it, which look the same.
    fileprivate var ofScriptOrNode: DriverError {
        with {
            $0.detail = [$0.detail, $0.message].compactMap(\.self).joined(separator: ": ")
            $0.code = .databaseError
            $0.message =
                "The node of the Redis Cluster did not execute the script (or command of a module, or one that the server has not told), "
                + "or that itself answers so; it was not sent again."
            $0.hint =
                "If it has no such answer of its own, nothing has happened: send it again. "
                + "In an atomic batch it is sent on by itself, since there the node's answer is another one than the script's."
            $0.sqlState = "0A000"
            $0.isRetryable = false
        }
    }
}
