// The link of one loop to a cluster: it sends each run to the node of its keys, and follows what the nodes say.

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

/// Requests of one loop, without a session: each goes to the pool of its node.
///
/// - Thread: the loop of its context.
class RedisClusterLink: EventSource, DatabaseLink {
    let cluster: RedisCluster
    let context: DriverContext
    private var links: [ObjectIdentifier: (node: RedisClusterNode, link: any DatabaseLink)] = [:]
    /// The map by which `links` were looked through.
    private var viewNumber: UInt64 = 0
    private var turn = 0
    /// What waits, by the token of its timer.
    private var waits: [UInt64: (timer: TimerID, body: (DriverError?) -> Void)] = [:]
    private var lastToken: UInt64 = 0
    private(set) var serverVersion = ""

    init(_ cluster: RedisCluster, _ context: DriverContext) {
        self.cluster = cluster
        self.context = context
        super.init()
    }

    final var databaseName: String { cluster.label }
    final var engine: Engine { .redis }
    var transaction: TransactionState { .none }
    var keptByteCount: Int { 0 }

    func pressure(on uid: UInt32) -> LinkPressure {
        for entry in links.values {
            let pressure = entry.link.pressure(on: uid)
            if case .none = pressure { continue }
            return pressure
        }
        return .none
    }

    func close() {
        for entry in links.values { entry.link.close() }
        links = [:]
    }

    // MARK: What differs in a session

    /// Says what the rules of a session are for a run, before it is sent.
    /// - Returns: the outcome, where no node is needed.
    func judge(_ run: RedisClusterRun) throws(DriverError) -> RunOutcome? { nil }

    /// Sends a run to a node.
    func send(_ run: RedisClusterRun, to node: RedisClusterNode) -> RunOutcome { begin(run, on: link(to: node)) }

    /// A node has refused a run, which is sent again.
    func willSendAgain(_ run: RedisClusterRun) {}

    /// A run has ended, and nothing more of it is done.
    func didFinish(_ run: RedisClusterRun) {}

    // MARK: Runs

    final func start(_ outer: StatementRun, for owner: LinkOwner) -> RunOutcome {
        let run = RedisClusterRun(outer, self, for: owner)
        outer.execution = run
        return route(run)
    }

    /// Looks where it has to go.
    private func route(_ run: RedisClusterRun) -> RunOutcome {
        guard let view = newestView() else { return awaitView(run, behind: 0) { self.route(run) } }
        guard TextBound.isLong(run) else {
            do throws(DriverError) {
                run.route = try view.routing.route(run)
            } catch {
                return end(run, error)
            }
            return send(run)
        }
        run.phase = .judging
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let parcel = HandedOver(run)
        context.promptWorkers.submit(for: run.owner.uid) {
            var failure: DriverError?
            do throws(DriverError) {
                parcel.value.route = try view.routing.route(parcel.value)
            } catch {
                failure = error
            }
            let told = failure
            mailbox.submit { here.wrapped.wasJudged(parcel.value, told) }
        }
        return .pending
    }

    private func wasJudged(_ run: RedisClusterRun, _ failure: DriverError?) {
        run.phase = .waiting
        let outcome =
            if let reason = run.outer.stopReason { end(run, .stopped(reason)) } else if let failure {
                end(run, failure)
            } else { send(run) }
        outcome.tell(run.outer)
    }

    /// Sends it where its route leads.
    private func send(_ run: RedisClusterRun) -> RunOutcome {
        do throws(DriverError) {
            if let outcome = try judge(run) {
                run.outer.execution = nil
                return outcome
            }
        } catch {
            return end(run, error)
        }
        return sendByMap(run)
    }

    private func sendByMap(_ run: RedisClusterRun) -> RunOutcome {
        guard let view = newestView() else { return awaitView(run, behind: 0) { self.sendByMap(run) } }
        run.viewNumber = view.number
        turn &+= 1
        let node = run.target ?? present(run) ?? view.node(of: run.route.slot, turn: turn & 0xffff)
        run.node = node
        return send(run, to: node)
    }

    /// Where a run without keys goes, if that is not any node.
    func present(_ run: RedisClusterRun) -> RedisClusterNode? { nil }

    final func begin(_ run: RedisClusterRun, on link: any DatabaseLink) -> RunOutcome {
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

    final func didFill(_ run: RedisClusterRun) -> RunOutcome {
        run.tellCounts()
        return .filled
    }

    /// A node has done with it.
    final func didEnd(_ run: RedisClusterRun) -> RunOutcome {
        if case .sent(let link) = run.phase, !link.serverVersion.isEmpty { serverVersion = link.serverVersion }
        run.phase = .waiting
        if run.error?.code == .connectFailed || run.error?.code == .outcomeUnknown {
            // Another node may have its slots by now.
            _ = cluster.refresh(behind: run.viewNumber)
        }
        guard let redirection = run.redirection, let view = newestView() else { return finish(run) }
        if let reason = run.outer.stopReason { return end(run, .stopped(reason)) }
        return follow(redirection, run, view)
    }

    private func follow(
        _ redirection: RedisRedirection, _ run: RedisClusterRun, _ view: RedisClusterView
    ) -> RunOutcome {
        let slot = run.route.slot ?? run.transactionSlot
        let action = run.trail.next(redirection, slot: slot, sender: run.node?.place.host ?? "") {
            view.map.primary(at: $0, $1)
        }
        if action == .deliver { return finish(run) }
        if action != .giveUp, run.isBound {
            run.hasMoved = true
            return end(run, .slotMoved, behind: view)
        }
        switch action {
        case .deliver, .giveUp: return end(run, RedisCluster.isUnsettled, behind: view)
        case .send(let node, let isAsking, let mapIsOld):
            if mapIsOld { _ = cluster.refresh(behind: run.viewNumber) }
            beginAgain(run)
            run.target = view.nodes[node]
            run.isAsking = isAsking
            return sendByMap(run)
        case .refresh:
            let number = run.viewNumber
            beginAgain(run)
            return awaitView(run, behind: number) { self.sendByMap(run) }
        case .pause(let milliseconds):
            if case .clusterDown = redirection { _ = cluster.refresh(behind: run.viewNumber) }
            beginAgain(run)
            _ = wait(milliseconds: milliseconds) { [self] _ in goOn(run) { sendByMap(run) } }
            return .pending
        }
    }

    private func beginAgain(_ run: RedisClusterRun) {
        willSendAgain(run)
        run.beginAgain()
    }

    /// Goes on with a run that has waited, unless it was stopped meanwhile.
    private func goOn(_ run: RedisClusterRun, _ body: () -> RunOutcome) {
        guard run.outer.execution === run, case .waiting = run.phase else { return }
        body().tell(run.outer)
    }

    final func resume(_ outer: StatementRun) -> RunOutcome {
        guard let run = outer.execution as? RedisClusterRun, case .sent(let link) = run.phase else { return .pending }
        return took(link.resume(run), run)
    }

    final func stop(_ outer: StatementRun, _ reason: StopReason) -> RunOutcome {
        guard let run = outer.execution as? RedisClusterRun else { return .pending }
        outer.requestStop(reason)
        switch run.phase {
        case .sent(let link): return took(link.stop(run, reason), run)
        // The worker reads what belongs to the client.
        case .judging: return .pending
        case .waiting: return end(run, .stopped(reason))
        }
    }

    // MARK: Ends

    private func end(_ run: RedisClusterRun, _ error: DriverError, behind view: RedisClusterView) -> RunOutcome {
        _ = cluster.refresh(behind: view.number)
        return end(run, error)
    }

    final func end(_ run: RedisClusterRun, _ error: DriverError) -> RunOutcome {
        run.error = error
        return finish(run)
    }

    private func finish(_ run: RedisClusterRun) -> RunOutcome {
        didFinish(run)
        run.tellOutcome()
        run.outer.execution = nil
        return .ended
    }

    // MARK: Maps and nodes

    /// The newest map. Connections to nodes that are not in it are closed.
    final func newestView() -> RedisClusterView? {
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
        let link = node.database.makeSharedLink(context)
        links[key] = (node, link)
        return link
    }

    /// Goes on when there is a newer map than that; `run` ends if there can be none.
    private func awaitView(
        _ run: RedisClusterRun, behind number: UInt64, _ next: @escaping () -> RunOutcome
    ) -> RunOutcome {
        let known = awaitView(behind: number) { [self] failure in
            goOn(run) { failure.map { end(run, $0) } ?? next() }
        }
        switch known {
        case nil: return .pending
        case .success: return next()
        case .failure(let error): return end(run, error)
        }
    }

    // MARK: Waiting

    /// Waits for a map that is newer than that, for a limited time: servers may answer as slowly as they like.
    /// - Returns: what came of it, if that is known at once; else `done` is called, once.
    final func awaitView(
        behind number: UInt64, _ done: @escaping (DriverError?) -> Void
    ) -> Result<RedisClusterView, DriverError>? {
        let token = wait(milliseconds: cluster.mapMillisecondsMax) { done($0) }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let known = cluster.refresh(behind: number) { failure in
            mailbox.submit { here.wrapped.endWait(token, failure) }
        }
        if known != nil, let wait = waits.removeValue(forKey: token) { context.loop.cancel(wait.timer) }
        return known
    }

    /// - Returns: the number of the wait.
    private func wait(milliseconds: Int64, _ body: @escaping (DriverError?) -> Void) -> UInt64 {
        lastToken += 1
        let timer = context.loop.schedule(
            self, token: lastToken, at: context.loop.now.advanced(byMilliseconds: milliseconds))
        waits[lastToken] = (timer, body)
        return lastToken
    }

    private func endWait(_ token: UInt64, _ failure: DriverError?) {
        guard let wait = waits.removeValue(forKey: token) else { return }
        context.loop.cancel(wait.timer)
        wait.body(failure)
    }

    final override func timerFired(_ token: UInt64) { waits.removeValue(forKey: token)?.body(cluster.mapTimeout) }
}

extension DriverError {
    /// A slot has moved away from the node where its transaction, or its watched keys, are.
    static let slotMoved = DriverError(
        .busy,
        "The slot of the keys was moved to another node of the Redis Cluster; nothing of the transaction is executed.",
        hint: "Repeat the whole transaction, from WATCH or MULTI on.", sqlState: "40001"
    ).with { $0.isRetryable = true }
}
