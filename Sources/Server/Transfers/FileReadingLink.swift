// What requests have in common that read a client's file: for their connection each is one run on a link, whatever it takes.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Runs one request: statements of its own on the link to its database, and work on the file by workers.
///
/// - Thread: its loop's.
class FileReadingLink: DatabaseLink {
    /// To the database.
    final let target: any DatabaseLink
    final let context: LoopContext
    final let account: UserAccount
    /// `nil` before its start and after its end.
    final private(set) var operation: Operation?
    final private(set) var owner = LinkOwner.nobody
    /// A worker has the file.
    final private(set) var isReading = false
    private var result: RunOutcome?
    private var isInCall = false
    private var lastProgress = MonotonicInstant.now

    init(_ target: any DatabaseLink, _ context: LoopContext, _ account: UserAccount) {
        self.target = target
        self.context = context
        self.account = account
        account.transfers.add(1)
    }

    deinit { account.transfers.add(-1) }

    // MARK: What the requests decide

    private static func isMissing() -> Never { preconditionFailure("\(self) lacks an override") }

    /// Begins its work.
    func begin() { Self.isMissing() }
    /// Ends it soon: `finish` follows.
    func stopWork(_ reason: StopReason) { Self.isMissing() }
    /// What its statements run on.
    var link: any DatabaseLink { target }
    /// Whether a transaction is open for as long as it waits for the file.
    var holdsTransaction: Bool { target.transaction != .none }
    func pressure(on uid: UInt32) -> LinkPressure { .none }

    // MARK: As a link

    final var databaseName: String { target.databaseName }
    final var engine: Engine { target.engine }
    final var serverVersion: String { target.serverVersion }
    final var transaction: TransactionState { target.transaction }
    final func close() {}
    final func resume(_ run: StatementRun) -> RunOutcome { .pending }

    final func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        operation = run as? Operation
        self.owner = owner
        result = nil
        isInCall = true
        begin()
        isInCall = false
        return result ?? .pending
    }

    final func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        run.requestStop(reason)
        isInCall = true
        result = nil
        stopWork(reason)
        isInCall = false
        return result ?? .pending
    }

    /// The request has ended.
    final func finish(_ error: DriverError?) {
        guard let operation else { return }
        if let error { operation.error = error }
        if isInCall {
            result = .ended
        } else {
            RunOutcome.ended.tell(operation)
        }
        self.operation = nil
    }

    // MARK: The file

    /// Does something on a thread that may wait for the file, then goes on here, unless the request has ended.
    final func onWorker<Answer: Sendable>(
        _ work: @escaping @Sendable () -> Answer, then: @escaping (Answer) -> Void
    ) {
        isReading = true
        let mailbox = context.loop.mailbox
        let here = LoopBound(then, mailbox)
        let link = LoopBound(self, mailbox)
        context.shared.transfers.submit(for: owner.uid) {
            let answer = work()
            mailbox.submit {
                link.wrapped.isReading = false
                if link.wrapped.operation == nil { return }
                here.wrapped(answer)
            }
        }
    }

    /// Nothing is done until the file has more: the time is the client's, and others may need what is held.
    final func beginWaiting() {
        guard let operation, let connection = operation.connection, operation.progress == .running else { return }
        connection.move(operation, to: .waitingForFile)
        operation.waitingSince = context.loop.now
        operation.clock.stop(at: .now)
        connection.disarmTimer(operation)
        context.housekeeper.watch(connection)
    }

    final func endWaiting() {
        guard let operation, let connection = operation.connection, operation.progress == .waitingForFile else {
            return
        }
        connection.move(operation, to: .running)
        operation.clock.resume(at: .now)
        connection.armTimer(operation)
    }

    // MARK: Statements

    final func start(_ inner: InnerRun, _ done: @escaping () -> Void) {
        let link = link
        inner.onFill = { [unowned inner] in if link.resume(inner) == .ended { inner.onEnd() } }
        inner.onEnd = { [unowned inner] in
            inner.onFill = {}
            inner.onEnd = {}
            done()
        }
        switch link.start(inner, for: owner) {
        case .pending: break
        case .filled: inner.onFill()
        case .ended: inner.onEnd()
        }
    }

    /// Stops a statement; what was to come at its end comes.
    final func stopStatement(_ inner: InnerRun, _ reason: StopReason) {
        if link.stop(inner, reason) == .ended { inner.onEnd() }
    }

    // MARK: Progress

    /// Tells how far it is, if its client wants to know again and takes it.
    final func tellProgress(each interval: Int64?, _ answer: @autoclosure () -> some ReplyData) {
        guard let interval, let operation, let connection = operation.connection, !connection.isClosed else { return }
        let now = MonotonicInstant.now
        guard now.nanoseconds(since: lastProgress) / 1_000_000 >= interval,
            connection.flow.mayProduce(outputByteCount: connection.stream.output.count)
        else { return }
        lastProgress = now
        connection.tell(answer(), of: operation)
    }
}
