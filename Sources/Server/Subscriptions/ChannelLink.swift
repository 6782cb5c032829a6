// A `subscribe` request for channels on its way. Messages are told one by one and in order; what its client has not read waits
// here, in a queue with bounds, and beyond the flow control of rows.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// What one request wants to hear.
struct ChannelWish {
    /// Each once.
    var names: [ChannelName]
    /// Where an earlier subscription has come to.
    var from: String?

    /// - Returns: `nil` if the request names no channels.
    init?(_ request: SubscribeRequest) {
        let channels = request.channels.map { $0.map { ChannelName($0) } } ?? []
        let patterns = request.patterns.map { $0.map { ChannelName($0, isPattern: true) } } ?? []
        guard !channels.isEmpty || !patterns.isEmpty else { return nil }
        names = Array(Set(channels + patterns))
        from = request.from.map { PositionText.text($0) }
    }
}

/// Runs one `subscribe` request that names channels.
///
/// - Thread: its loop's.
final class ChannelLink: ListeningLink {
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
    private let source: any ChannelSource
    private let wish: ChannelWish
    private let context: LoopContext
    /// Made at the start: what is refused before has registered nothing.
    private lazy var others = LoopChannels.of(source, on: context)
    private let charge: AccountCharge
    /// The source's number for it.
    private var number: UInt64 = 0
    private var stage = Stage.idle
    private var operation: Operation?
    private var queue = ChannelQueue()
    /// The last event that was taken, or need not be.
    private var takenNumber: UInt64 = 0
    /// It is among those that the loop has to have tell something.
    var isDue = false

    /// Written before the connection sends it.
    private static let writtenByteCountMax = 64 << 10

    init(
        _ inner: any DatabaseLink, _ source: any ChannelSource, _ wish: ChannelWish, _ context: LoopContext,
        _ account: UserAccount
    ) {
        self.inner = inner
        self.source = source
        self.wish = wish
        self.context = context
        charge = AccountCharge(account)
    }

    func listens(to database: any Database) -> Bool { database.channels === source }

    // MARK: As a link

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        // The time between two messages is nobody's work.
        let operation = run as? Operation
        operation?.clock.suspend()
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        do throws(DriverError) {
            // The loop keeps up with the feed before anything is told for this link.
            others.join()
            number = try source.add(wish.names, for: owner.uid) { outcome in
                mailbox.submit { here.wrapped.didBegin(outcome) }
            }
        } catch {
            others.leave(self, [])
            operation?.error = error
            return .ended
        }
        self.operation = operation
        stage = .opening
        chargeQueue()
        return .pending
    }

    func resume(_ run: StatementRun) -> RunOutcome {
        guard case .telling = stage else { return .pending }
        operation?.clock.suspend()
        stage = .listening
        return write()
    }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        run.requestStop(reason)
        end(.stopped(reason))
        return .ended
    }

    private func end(_ error: DriverError) {
        guard let operation else { return }
        operation.error = error
        self.operation = nil
        stage = .ended
        queue = ChannelQueue()
        charge.set(0)
        others.leave(self, wish.names)
        source.remove(number)
    }

    // MARK: Beginning

    private func didBegin(_ outcome: Result<ChannelStart, DriverError>) {
        guard case .opening = stage, let operation else { return }
        switch outcome {
        case .success(let start):
            begin(start)
            RunOutcome.filled.tell(operation)
        case .failure(let error):
            end(error)
            RunOutcome.ended.tell(operation)
        }
    }

    private func begin(_ start: ChannelStart) {
        var reply = SubscribeReply()
        reply.covers = ChangeCoverage.channels.rawValue
        takenNumber = start.number
        if let from = wish.from {
            if let number = source.feed.number(at: from), number >= start.completeSince {
                takenNumber = number
            } else {
                reply.resync = true
                reply.reason = ChangeGap.positionUnknown.rawValue
            }
        }
        reply.position = source.feed.position(takenNumber)
        operation?.rows.write(reply)
        stage = .telling
        catchUp()
        others.add(self, wish.names)
    }

    /// Takes what the loop has seen already and this link has not.
    private func catchUp() {
        guard takenNumber < others.number else { return }
        let first = takenNumber + 1
        guard let events = source.feed.events(since: takenNumber, upTo: others.number) else {
            queue.drop(upTo: others.number)
            return takenNumber = others.number
        }
        let names = Set(wish.names)
        for (number, event) in zip(first..., events) {
            switch event {
            case .message(let message) where !names.contains(message.name): takenNumber = number
            case .refused: takenNumber = number
            case .message, .gap: _ = take(event, number)
            }
        }
    }

    // MARK: Messages

    /// Keeps an event until the client reads.
    /// - Returns: whether it is to tell something.
    func take(_ event: ChannelEvent, _ number: UInt64) -> Bool {
        guard operation != nil, number > takenNumber else { return false }
        takenNumber = number
        queue.append(event, number) {
            charge.mayHold($0 + namesByteCount, of: context.limits.bufferedByteCountPerUserMax)
        }
        chargeQueue()
        return true
    }

    /// Tells what is there, if the client has taken the last frame.
    func tell() {
        guard case .listening = stage, let operation else { return }
        write().tell(operation)
    }

    private func write() -> RunOutcome {
        guard let operation else { return .pending }
        if let refusal = queue.refusalIsNext {
            end(refusal)
            return .ended
        }
        var hasWritten = false
        while operation.rows.buffer.count < Self.writtenByteCountMax, queue.refusalIsNext == nil,
            let item = queue.next()
        {
            operation.rows.write(reply(item))
            hasWritten = true
        }
        chargeQueue()
        guard hasWritten else { return .pending }
        stage = .telling
        return .filled
    }

    private func reply(_ item: ChannelQueue.Item) -> SubscribeReply {
        var reply = SubscribeReply()
        reply.position = source.feed.position(item.number)
        switch item.event {
        case .message(let message):
            reply.channel = TextBytes(message.channel)
            if message.name.isPattern { reply.pattern = TextBytes(message.name.bytes) }
            reply.payload = TextBytes(message.payload)
            reply.pid = message.pid.map { Int64($0) }
        case .gap(let gap):
            reply.resync = true
            reply.reason = gap.rawValue
        case .refused: break
        }
        return reply
    }

    // MARK: What its user pays for

    private lazy var namesByteCount = wish.names.reduce(0) { $0 + 64 + $1.bytes.count }

    private func chargeQueue() { charge.set(namesByteCount + queue.byteCount) }
}
