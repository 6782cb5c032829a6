// The client for programs that wait: one thread, no tasks, no thread of its own.
//
// Here: the connection and how it waits. The requests are in BlockingClient+Requests.swift.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// A connection to the daemon whose calls return when the answer is there.
///
/// Several results may be read alternately; replies find their request by id. Dropping the client closes the connection:
/// the server then cancels what still runs and rolls back open transactions.
/// - Thread: one at a time.
public final class BlockingClient {
    var channel: Channel
    var input = ByteBuffer()
    var output = ByteBuffer()
    var router = ReplyRouter()
    /// The latest request with which a descriptor was passed, until it is answered.
    private var passingID: Int64?
    /// Set once the connection is of no further use.
    private(set) var failure: ClientError?
    var introduction = Introduction()
    var upgrade: LaneUpgrade
    private var noticeHandler: ((Notice) -> Void)?

    /// A descriptor that becomes readable when the current request should be cancelled, such as a signalfd or an
    /// eventfd that a signal handler writes to; `nil` for none. The caller owns it; the client reads it empty.
    ///
    /// The request then ends with the server's error `cancelled`, and the connection stays usable.
    public var cancellationDescriptor: Int32?

    /// Whether a request that is to be cancelled again gives up the connection, which ends with `ClientError.timedOut`: for a program
    /// that has nothing else to do than to wait for a daemon that may stand still. What comes within half a second of the first time
    /// counts as the same.
    public var givesUpWhenCancelledAgain = false

    /// What `cancellationDescriptor` has cancelled last, and when.
    private var lastCancellation: (id: Int64, time: MonotonicInstant)?
    /// It has cancelled a request of the client's own, which cannot be cancelled: the one for which that was sent is meant.
    private var owesCancellation = false

    private static let sameCancellationNanoseconds: Int64 = 500_000_000

    /// How long to wait for an answer that has no time limit of its own; `nil`: without a limit.
    public var timeout: Duration?

    /// Time beyond a statement's own timeout after which the server counts as dead.
    static let graceTime = Duration.seconds(5)

    /// Reads of 64 KiB of a connection that takes nothing more.
    private static let lastReadCountMax = 64

    /// A statement's own timeout with that.
    static func withGrace(_ timeout: Duration) -> Duration {
        // Beyond all clocks, a sum could be more than a duration holds.
        timeout < .seconds(Int64.max / 2) ? timeout + graceTime : timeout
    }

    /// Takes over a connected stream socket.
    init(socket: consuming OwnedDescriptor, transport: Transport = .automatic) {
        channel = Channel(socket)
        upgrade = LaneUpgrade(transport)
    }

    /// Connects.
    /// - Parameters:
    ///   - endpoint: where; `nil` finds the daemon by `Endpoint.discover()`.
    ///   - timeout: how long to keep trying while the daemon's queue is full.
    ///   - trusted: whose daemon it may be.
    ///   - transport: how messages get there. Over TCP it is always the socket.
    /// - Returns: the connected client.
    /// - Throws: `ClientError.noSocket`, `.cannotConnect`, `.untrusted`.
    public static func connect(
        to endpoint: Endpoint? = nil, timeout: Duration = .seconds(10), trusting trusted: TrustedUsers = .standard,
        transport: Transport = .automatic
    ) throws(ClientError) -> BlockingClient {
        let endpoint = if let endpoint { endpoint } else { try Endpoint.discover() }
        let deadline = MonotonicInstant.after(timeout)
        var backoff = Connecting.Backoff()
        while true {
            do throws(ClientError) {
                return BlockingClient(
                    socket: try Connecting.attempt(endpoint, trusting: trusted),
                    transport: endpoint.isLocal ? transport : .socket)
            } catch {
                guard case .cannotConnect(_, .wouldBlock) = error, let deadline, .now < deadline else { throw error }
                _ = Polling.wait((-1, []), -1, until: .after(backoff.next()))
            }
        }
    }

    /// Connects to a Unix socket.
    public static func connect(path: String) throws(ClientError) -> BlockingClient {
        try connect(to: .unix(path: path))
    }
}

extension BlockingClient {
    /// Sends the program's name to the server, by which administrators find its sessions; together with the next
    /// request.
    /// - Throws: `ClientError.invalidRequest` for a name that is longer than any request.
    public func introduce(as name: String) throws(ClientError) {
        var changed = introduction
        changed.name = name
        try introduce(changed)
    }

    /// Asks the server for its notices; together with the next request.
    ///
    /// The connection is read only while the client waits for something else, so a notice is taken during the next
    /// request, or in `takeNotices()`. Those of a statement come before its result ends. There is no queue.
    /// - Parameter handler: takes each notice, within a call of this client, which it must not use.
    /// - Throws: `ClientError.disconnected`.
    public func receiveNotices(_ handler: @escaping (Notice) -> Void) throws(ClientError) {
        var changed = introduction
        changed.wantsNotices = true
        try introduce(changed)
        noticeHandler = handler
    }

    /// Takes the notices that have arrived, without waiting for any.
    public func takeNotices() {
        while failure == nil, !router.isFull,
            channel.wait(.readable, -1, until: .now).first.contains(.readable)
        { receive() }
    }

    /// Sends another introduction. One that cannot be sent changes nothing.
    private func introduce(_ changed: Introduction) throws(ClientError) {
        if let failure { throw failure }
        let id = router.makeID()
        do throws(ClientError) {
            try Request.hello(changed).encode(id: id, into: &output)
        } catch {
            router.forget(id)
            throw error
        }
        introduction = changed
    }
}

// Sending and waiting.
extension BlockingClient {
    /// Sends a request.
    /// - Parameters:
    ///   - request: what to send.
    ///   - pageRows: rows of a page, for a paged one.
    ///   - deadline: when to give up where the server takes nothing; the connection is of no use then.
    /// - Returns: its id, to be waited for or abandoned.
    /// - Throws: `ClientError.timedOut`, `.disconnected`, `.invalidRequest`.
    func start(
        _ request: Request, pageRows: Int64? = nil, until deadline: MonotonicInstant?
    ) throws(ClientError) -> Int64 {
        if let failure { throw failure }
        if upgrade.isDue { try openLane(until: deadline) }
        let id = router.open(pageRows: pageRows)
        do throws(ClientError) {
            try request.encode(id: id, into: &output)
        } catch {
            router.forget(id)
            throw error
        }
        try flush(until: deadline)
        // A part of a request may have been sent, and nothing else can follow it.
        if !output.isEmpty { fail(.timedOut) }
        if let failure { throw failure }
        return id
    }

    /// Asks the server to take descriptors, if it was not asked yet.
    /// - Throws: `ClientError.invalidRequest` where it takes none.
    func offerDescriptors() throws(ClientError) {
        if introduction.sendsDescriptors { return }
        var changed = introduction
        changed.sendsDescriptors = true
        let cancelled = lastCancellation?.id
        let answer = HelloReply(try reply(to: .hello(changed)).data)
        owesCancellation = lastCancellation?.id != cancelled
        guard answer.takesDescriptors == true else {
            throw .invalidRequest(
                "the daemon writes no files over this connection: use its Unix socket, and a daemon of this version")
        }
        introduction = changed
    }

    /// Sends a request, and a descriptor with it, which the caller may close then.
    func start(_ request: Request, passing descriptor: Int32) throws(ClientError) -> Int64 {
        let deadline = MonotonicInstant.after(timeout)
        try flush(until: deadline)
        // What was sent before must not get the descriptor.
        if !output.isEmpty { fail(.timedOut) }
        if let failure { throw failure }
        let id = router.open()
        do throws(ClientError) {
            try request.encode(id: id, into: &output)
        } catch {
            router.forget(id)
            throw error
        }
        while true {
            switch channel.send(output.readable, descriptor: descriptor) {
            case .bytes(let count):
                output.consume(count)
                try flush(until: deadline)
                if !output.isEmpty { fail(.timedOut) }
                if let failure { throw failure }
                passingID = id
                return id
            case .wouldBlock:
                let ready = channel.wait([.readable, .writable], -1, until: deadline).first
                if ready.contains(.readable) { receive() }
                if ready.isEmpty, let deadline, .now >= deadline { fail(.timedOut) }
            case .endOfStream: failBehindMessages(.disconnected(nil))
            case .failed(let error):
                // Nothing of the request was sent: the connection stays as it was.
                if let refusal = Self.cannotPass(error) {
                    output.removeAll()
                    router.forget(id)
                    throw refusal
                }
                failBehindMessages(.disconnected(error))
            }
            if let failure { throw failure }
        }
    }

    /// Why the kernel does not pass a descriptor to the daemon, where that is no end of the connection.
    private static func cannotPass(_ error: Errno) -> ClientError? {
        let reason: String
        switch error {
        case .badDescriptor: reason = "it is not open in this program"
        case .tooManyFiles: reason = "this program has too many files open; close some, or raise its limit (ulimit -n)"
        case .tooManyReferences: reason = "too many are on their way already; wait until the daemon has taken them"
        case .notPermitted: reason = "the daemon takes none over this connection; use its Unix socket"
        default: return nil
        }
        return .invalidRequest("the descriptor cannot be passed to the daemon (\(error)): \(reason)")
    }

    /// Waits for the next event of a request.
    /// - Parameters:
    ///   - id: the request.
    ///   - deadline: when to give up; the request is cancelled then.
    /// - Returns: what has come of it.
    /// - Throws: `ClientError.timedOut`; `.invalidRequest` when other results fill the memory; a connection that ends is an event.
    func next(_ id: Int64, until deadline: MonotonicInstant?) throws(ClientError) -> ReplyEvent {
        if owesCancellation { cancelAsOwed(id) }
        while true {
            if let event = router.take(id) {
                sendDueFetch(id)
                if event.isLast { forgetPassed(with: id) }
                return event
            }
            if router.isFull {
                // Nobody else can take the waiting rows: this call has the only thread.
                abandon(id)
                throw .invalidRequest(
                    "another result of this connection has too many rows unread; read it first, or stream it in pages")
            }
            let wanted: Polling.Readiness = output.isEmpty ? .readable : [.readable, .writable]
            let (ready, isCancelled) = channel.wait(wanted, cancellationDescriptor ?? -1, until: deadline)
            if isCancelled { cancel(id) }
            if ready.contains(.writable) { try? flush(until: .now) }
            if ready.contains(.readable) {
                receive()
                sendDueFetch(id)
                closeStrandedSessions()
            } else if let deadline, .now >= deadline {
                abandon(id)
                throw .timedOut
            }
        }
    }

    /// A request was answered: what was passed with it is closed here.
    func forgetPassed(with id: Int64) {
        guard id == passingID else { return }
        passingID = nil
        channel.forgetPassed()
    }

    /// Waits for an event of a request, which stays its next one.
    /// - Parameters:
    ///   - id: the request.
    ///   - deadline: when to give up.
    ///   - mayCancel: false leaves `cancellationDescriptor` to another wait.
    /// - Returns: false if there is none by then.
    func hasEvent(_ id: Int64, until deadline: MonotonicInstant, mayCancel: Bool = true) -> Bool {
        let cancellation = mayCancel ? cancellationDescriptor ?? -1 : -1
        if mayCancel, owesCancellation { cancelAsOwed(id) }
        while router.peek(id) == nil, failure == nil, !router.isFull {
            let wanted: Polling.Readiness = output.isEmpty ? .readable : [.readable, .writable]
            let (ready, isCancelled) = channel.wait(wanted, cancellation, until: deadline)
            if isCancelled { cancel(id) }
            if ready.contains(.writable) { try? flush(until: .now) }
            if ready.contains(.readable) { receive() } else if .now >= deadline { return false }
        }
        return true
    }

    /// Whether `cancellationDescriptor` says so. It stays so for the next wait, which cancels by it.
    var isCancelled: Bool {
        guard let descriptor = cancellationDescriptor else { return false }
        return Polling.wait((descriptor, .readable), -1, until: .now).first.contains(.readable)
    }

    /// Asks the server to end a request; its terminal frame still comes.
    private func cancel(_ id: Int64) {
        if let descriptor = cancellationDescriptor { Self.drain(descriptor) }
        let now = MonotonicInstant.now
        if givesUpWhenCancelledAgain, let last = lastCancellation, last.id == id {
            if now.nanoseconds(since: last.time) > Self.sameCancellationNanoseconds { fail(.timedOut) }
            return
        }
        lastCancellation = (id, now)
        requestCancel(id)
    }

    private func cancelAsOwed(_ id: Int64) {
        owesCancellation = false
        lastCancellation = (id, .now)
        requestCancel(id)
    }

    /// The same, whatever `cancellationDescriptor` says.
    func requestCancel(_ id: Int64) {
        sendQuietly(.cancel(id: id), id: router.makeID())
    }

    /// Gives up a request; whatever it still answers is dropped.
    func abandon(_ id: Int64) {
        if router.abandon(id) { sendQuietly(.cancel(id: id), id: router.makeID()) }
        closeStrandedSessions()
    }

    private func closeStrandedSessions() {
        while let name = router.takeStrandedSession() { sendQuietly(.disconnect(session: name), id: router.makeID()) }
    }

    /// Lets a request run to its end without waiting for its answer.
    func abandonQuietly(_ id: Int64) {
        _ = router.abandon(id)
    }

    private func sendDueFetch(_ id: Int64) {
        guard let fetchID = router.nextFetch(for: id) else { return }
        sendQuietly(.fetch(id: id), id: fetchID)
    }

    /// Sends a small request whose failure shows in the replies; bytes that the server does not take now are sent while
    /// the client waits for something.
    private func sendQuietly(_ request: Request, id: Int64) {
        guard failure == nil else { return }
        try? request.encode(id: id, into: &output)
        try? flush(until: .now)
    }

    /// Sends the output, and receives meanwhile: a server that waits for its reader must not wait forever. After the
    /// deadline the rest stays.
    func flush(until deadline: MonotonicInstant?) throws(ClientError) {
        while !output.isEmpty {
            if let failure { throw failure }
            switch channel.send(output.readable) {
            case .bytes(let count):
                output.consume(count)
            case .wouldBlock:
                let ready = channel.wait([.readable, .writable], -1, until: deadline).first
                if ready.contains(.readable) { receive() }
                if ready.isEmpty, let deadline, .now >= deadline { return }
            case .endOfStream: failBehindMessages(.disconnected(nil))
            case .failed(let error): failBehindMessages(.disconnected(error))
            }
        }
    }

    /// Fails the connection, behind what the server has sent until then: its last messages are more useful than a broken pipe.
    private func failBehindMessages(_ error: ClientError) {
        // More than the buffers of a socket hold, and than the largest ring.
        for _ in 0..<Self.lastReadCountMax where failure == nil && !router.isFull {
            guard channel.wait(.readable, -1, until: .now).first.contains(.readable) else { break }
            receive()
        }
        fail(error)
    }

    /// Takes in what has arrived.
    func receive() {
        guard failure == nil else { return }
        let target = input.writable(65536)
        switch channel.read(into: target) {
        case .bytes(let count):
            input.commit(count)
            dispatchFrames()
        case .wouldBlock: break
        case .endOfStream: fail(.disconnected(nil))
        case .failed(let error): fail(.disconnected(error))
        }
    }

    private func dispatchFrames() {
        do throws(ClientError) {
            while let (reply, byteCount) = try takeReply() { try dispatch(reply, byteCount: byteCount) }
        } catch {
            fail(error)
        }
    }

    /// Takes the first whole frame off the input; `nil` while there is none.
    func takeReply() throws(ClientError) -> (Reply, byteCount: Int)? {
        guard let body = try Frames.first(in: input.readable) else { return nil }
        let reply = try Reply(body)
        let byteCount = body.count
        input.consume(4 + byteCount)
        return (reply, byteCount)
    }

    func dispatch(_ reply: Reply, byteCount: Int) throws(ClientError) {
        if reply.isNotice {
            noticeHandler?(Notice(reply.data))
        } else {
            _ = try router.receive(reply, byteCount: byteCount)
        }
    }

    func fail(_ error: ClientError) {
        guard failure == nil else { return }
        failure = error
        output.removeAll()
        router.fail(error)
    }

    private static func drain(_ descriptor: Int32) {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { buffer in
            _ = Polling.read(descriptor, into: buffer)
        }
    }
}
