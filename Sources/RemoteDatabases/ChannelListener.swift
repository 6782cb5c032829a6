// The connection on which the messages of one database come, for all who listen, on a thread of its own: what a server sends
// holds up no loop, and connecting may block.

internal import DatabaseContract
internal import LinuxSystem

/// Keeps the connection as long as somebody listens.
///
/// - Thread: its own, which is its loop's.
final class ChannelListener: EventSource {
    private final class Open {
        let connection: any ChannelConnection
        let descriptor: OwnedDescriptor

        init(_ connection: any ChannelConnection) throws(Errno) {
            self.connection = connection
            descriptor = try OwnedDescriptor.duplicate(of: connection.socketNumber)
        }
    }

    private enum Token {
        static let attempt: UInt64 = 0
        static let end: UInt64 = 1
        static let ping: UInt64 = 2
        static let read: UInt64 = 3
    }

    private let channels: RemoteChannels
    private let loop: EventLoop
    private var open: Open?
    /// Why the last attempt failed, and when the next one is due.
    private var failure: (error: DriverError, until: MonotonicInstant)?
    private var backoff = Backoff()
    /// What those who listen have to be told when they can hear again.
    private var loss: ChangeGap?
    /// Timers that have not fired yet.
    private var timers: Set<UInt64> = []
    /// Something has come since it was asked whether the server is there.
    private var hasHeard = false
    /// Messages that were read, and for which the feed has no room yet.
    private var untold: ArraySlice<ChannelMessage> = []

    /// The time between two attempts to connect.
    private struct Backoff {
        private var milliseconds = first
        private static let first: Int64 = 100
        private static let last: Int64 = 5_000

        mutating func next() -> Int64 {
            defer { milliseconds = min(2 * milliseconds, Self.last) }
            return milliseconds
        }

        mutating func reset() { milliseconds = Self.first }
    }

    /// A server of which nothing was heard for so long is asked whether it is there, in milliseconds.
    private static let pingMilliseconds: Int64 = 30_000
    /// Time after which is looked again whether the loops have taken what was told, in milliseconds.
    private static let restMilliseconds: Int64 = 1
    /// Messages that are told at a time: fewer than the feed keeps beyond what it has room for.
    private static let toldCountMax = 256

    private init(_ channels: RemoteChannels, _ loop: EventLoop) {
        self.channels = channels
        self.loop = loop
    }

    /// Works for `channels` until nobody listens any more.
    static func run(_ channels: RemoteChannels) {
        let loop: EventLoop
        do throws(Errno) { loop = try EventLoop() } catch { return channels.threadFailed(error) }
        let listener = ChannelListener(channels, loop)
        let mailbox = loop.mailbox
        let here = LoopBound(listener, mailbox)
        channels.threadBegan { mailbox.submit { here.wrapped.update() } }
        listener.update()
        loop.run()
    }

    // MARK: What is wanted

    /// Somebody begins or ceases to listen, or a time has come.
    private func update() {
        if let open {
            listen(on: open)
        } else if channels.isUsed {
            if let failure, failure.until > .now { channels.fail(failure.error) } else { connect() }
        }
        if open == nil, !channels.isUsed { channels.didLose() }
        // Who asks for a server that was not reached a moment ago is told so, and has no thread and no attempt of its own.
        if let failure, failure.until > .now { return schedule(Token.attempt, at: failure.until) }
        if channels.endIfUnused() { return end() }
        if let next = channels.nextEnd { schedule(Token.end, at: next) }
    }

    private func end() {
        close()
        loop.stop()
    }

    private func listen(on open: Open) {
        let change = channels.takeChange()
        do throws(DriverError) {
            var refusals: [ChannelName: DriverError] = [:]
            if !change.isEmpty {
                refusals = try open.connection.change(beginning: change.beginning, ending: change.ending)
            }
            // Behind the change: whoever reads again now is told of everything that this reading does not see.
            if let gap = loss.take() { channels.feed.tell(CollectionOfOne(.gap(gap))) }
            channels.didBegin(change.beginning, refusals: refusals)
            if !refusals.isEmpty { channels.feed.tell(refusals.map { .refused($0.key, $0.value) }) }
            if !change.isEmpty { try take(from: open) }
        } catch {
            lose(error)
        }
    }

    // MARK: Connecting

    private func connect() {
        do throws(DriverError) {
            let open = try makeOpen()
            self.open = open
            failure = nil
            channels.isConnected = true
            channels.noteOpened(nil)
            schedule(Token.ping, at: .now.advanced(byMilliseconds: Self.pingMilliseconds))
            listen(on: open)
        } catch {
            channels.noteOpened(error)
            didFail(error)
        }
    }

    private func makeOpen() throws(DriverError) -> Open {
        let connection = try channels.driver.connectChannels()
        do throws(Errno) {
            let open = try Open(connection)
            try loop.register(self, open.descriptor, for: .readable)
            return open
        } catch {
            throw DriverError(.connectFailed, "The daemon has no room for a connection: \(error).", sqlState: "53300")
        }
    }

    /// The connection is lost: what is sent from now on is missed.
    private func lose(_ error: DriverError) {
        guard let lost = open else { return }
        if channels.isPromised { loss = loss ?? lost.connection.lossReason }
        // Some of it may be forgotten before it is heard, which the gap tells, too.
        tell(untold)
        close()
        didFail(error)
    }

    private func didFail(_ error: DriverError) {
        channels.didLose()
        channels.fail(error)
        let until = MonotonicInstant.now.advanced(byMilliseconds: backoff.next())
        failure = (error, until)
        schedule(Token.attempt, at: until)
    }

    private func close() {
        guard let open = open.take() else { return }
        channels.isConnected = false
        loop.deregister(self, open.descriptor)
    }

    // MARK: Messages

    override func handle(_ readiness: Readiness) {
        guard let open else { return }
        do throws(DriverError) { try take(from: open) } catch { lose(error) }
    }

    private func take(from open: Open) throws(DriverError) {
        // Else it is called again when these are told.
        guard untold.isEmpty else { return }
        let messages = try open.connection.read()
        hasHeard = true
        if !messages.isEmpty { backoff.reset() }
        // What it was not asked for is no message.
        untold += messages.filter { channels.isHeard($0.name) }
        tellSome(to: open)
    }

    /// Tells as much as there is room for. Meanwhile nothing is read: the server keeps it.
    private func tellSome(to open: Open) {
        while !untold.isEmpty, channels.feed.hasRoom { tell(untold.prefix(Self.toldCountMax)) }
        loop.setInterest(self, open.descriptor, untold.isEmpty ? .readable : [])
        if !untold.isEmpty { schedule(Token.read, at: .now.advanced(byMilliseconds: Self.restMilliseconds)) }
    }

    private func tell(_ messages: ArraySlice<ChannelMessage>) {
        channels.feed.tell(messages.lazy.map { .message($0) })
        untold = untold.dropFirst(messages.count)
        // Else it would keep those that are told.
        if untold.isEmpty { untold = [] }
    }

    private func ping() {
        guard let open else { return }
        schedule(Token.ping, at: .now.advanced(byMilliseconds: Self.pingMilliseconds))
        backoff.reset()
        if hasHeard {
            hasHeard = false
            return
        }
        do throws(DriverError) {
            try open.connection.ping()
            try take(from: open)
            hasHeard = false
        } catch {
            lose(error)
        }
    }

    // MARK: Timers

    /// Each kind of timer runs once at a time, and looks what is to be done.
    private func schedule(_ token: UInt64, at deadline: MonotonicInstant) {
        guard timers.insert(token).inserted else { return }
        loop.schedule(self, token: token, at: deadline)
    }

    override func timerFired(_ token: UInt64) {
        timers.remove(token)
        switch token {
        case Token.ping: ping()
        case Token.read:
            if let open { tellSome(to: open) }
            handle(.readable)
        default: update()
        }
    }
}
