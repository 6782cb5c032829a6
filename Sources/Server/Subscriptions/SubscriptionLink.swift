// A `subscribe` request on its way: to the connection it is a query without an end, whose frames come when something has changed.
// So the flow control of rows holds it back, too, while its client does not read; what has changed meanwhile is told together.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// What one request wants to hear.
struct SubscriptionWish {
    /// Names in lower case; `nil` for all.
    var relations: Set<String>?
    /// Where an earlier subscription has come to.
    var from: String?
    var delayMilliseconds: Int64

    init(_ request: SubscribeRequest) {
        relations = request.relations.map { Set($0.map { Self.folded(String(decoding: $0, as: UTF8.self)) }) }
        from = request.from.map { PositionText.text($0) }
        delayMilliseconds = request.delayMilliseconds
    }

    /// Bytes of memory that the names take: a short one in a set takes 127.
    var byteCount: Int { relations?.reduce(0) { $0 + 112 + $1.utf8.count } ?? 0 }

    /// The names that are wanted among those.
    func wanted(of names: [String]) -> [String] {
        guard let relations else { return names }
        return names.filter { relations.contains(Self.folded($0)) }
    }

    /// As SQLite compares names: without regard to the case of ASCII's letters.
    private static func folded(_ name: String) -> String {
        String(decoding: name.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}

/// Runs one `subscribe` request.
///
/// - Thread: its loop's.
final class SubscriptionLink: ListeningLink {
    private enum Stage {
        case idle
        /// The source is about to tell.
        case opening
        /// The client has not taken the last frame.
        case telling
        /// Whatever comes is told.
        case listening
        case ended
    }

    let inner: any DatabaseLink
    private let source: any ChangeSource
    private let wish: SubscriptionWish
    private let context: LoopContext
    /// For the names, for as long as it listens.
    private let charge: AccountCharge
    /// Made at the start: what is refused before has registered nothing.
    private lazy var others = LoopSubscriptions.of(source, on: context)
    private var stage = Stage.idle
    private var operation: Operation?
    /// The last change that was told, or need not be.
    private var number: UInt64 = 0
    private lazy var delay = DelayTimer { [unowned self] in delayIsOver() }

    init(
        _ inner: any DatabaseLink, _ source: any ChangeSource, _ wish: SubscriptionWish, _ context: LoopContext,
        _ account: UserAccount
    ) {
        self.inner = inner
        self.source = source
        self.wish = wish
        self.context = context
        charge = AccountCharge(account)
        charge.set(wish.byteCount)
    }

    // MARK: As a link

    func listens(to database: any Database) -> Bool { database.changes === source }

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        operation = run as? Operation
        // The time between two changes is nobody's work.
        operation?.clock.suspend()
        stage = .opening
        // Before the source begins: it ends when it finds nobody who listens.
        others.add(self)
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        source.begin(context.drivers) { error in mailbox.submit { here.wrapped.didBegin(error) } }
        return .pending
    }

    func resume(_ run: StatementRun) -> RunOutcome {
        guard case .telling = stage else { return .pending }
        operation?.clock.suspend()
        stage = .listening
        guard source.feed.number != number else { return .pending }
        if wish.delayMilliseconds > 0 { startDelay() } else { others.lookSoon() }
        return .pending
    }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        run.requestStop(reason)
        end(.stopped(reason))
        return .ended
    }

    private func end(_ error: DriverError) {
        operation?.error = error
        operation = nil
        stage = .ended
        delay.cancel()
        others.remove(self)
    }

    // MARK: What has changed

    private func didBegin(_ error: DriverError?) {
        guard case .opening = stage, let operation else { return }
        if let error {
            end(error)
            return RunOutcome.ended.tell(operation)
        }
        var reply = SubscribeReply()
        reply.covers = source.coverage.rawValue
        let known = wish.from.map(source.feed.number(at:))
        number = (known ?? nil) ?? source.feed.number
        if case .some(nil) = known {
            reply.resync = true
            reply.reason = ChangeGap.positionUnknown.rawValue
        }
        write(reply)
        RunOutcome.filled.tell(operation)
    }

    /// The source has told something.
    func changesDidCome() {
        guard case .listening = stage, let operation else { return }
        if wish.delayMilliseconds > 0 { return startDelay() }
        if tellNews() { RunOutcome.filled.tell(operation) }
    }

    /// Writes what is new, if there is any that is wanted.
    private func tellNews() -> Bool {
        guard let news = source.feed.news(since: number) else { return false }
        number = news.number
        var reply = SubscribeReply()
        let tellsNames = source.tellsNames
        let relations = tellsNames ? wish.wanted(of: news.relations) : []
        if !relations.isEmpty { reply.relations = relations }
        if news.changesSchema { reply.schema = true }
        // Whatever they have asked for: else they would find out names by asking.
        let hidden: ChangeGap? = tellsNames || news.relations.isEmpty ? nil : .unknownRelations
        if let gap = news.gap ?? hidden {
            reply.resync = true
            reply.reason = gap.rawValue
        }
        guard reply.relations != nil || reply.schema != nil || reply.resync != nil else { return false }
        write(reply)
        return true
    }

    private func write(_ reply: SubscribeReply) {
        var reply = reply
        reply.position = source.feed.position(number)
        operation?.rows.write(reply)
        stage = .telling
    }

    // MARK: Gathering

    private func startDelay() {
        delay.start(on: context.loop, at: .now.advanced(byMilliseconds: wish.delayMilliseconds))
    }

    private func delayIsOver() {
        guard case .listening = stage, let operation, tellNews() else { return }
        RunOutcome.filled.tell(operation)
    }
}
