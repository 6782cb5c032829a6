// Messages of PUBLISH, on a connection that does nothing else.

internal import CHiredis
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

extension RedisDriver: ChannelDriver {
    private static let nameByteCountMax = 1_024

    func check(_ name: ChannelName) throws(DriverError) {
        guard (1...Self.nameByteCountMax).contains(name.bytes.count) else {
            throw DriverError(
                .badRequest, "The name of a channel, or a pattern, has 1 to \(Self.nameByteCountMax) bytes here.",
                hint: "Shorten it; in a pattern, * stands for any characters.", sqlState: "42602")
        }
    }

    /// Channels belong to the server, whatever the number of the database.
    func openChannels(password: String?) throws(DriverError) -> any ChannelConnection {
        let handshake = try greet(password: password, limit: settings.connectMillisecondsMax)
        // For an administrator; whoever may not say it has listened all the same.
        _ = try handshake.ask(["CLIENT", "SETNAME", "litebase-subscribe"])
        guard let reader = chiredis_reader_create(redisTakePush) else { throw handshake.failed("Out of memory.") }
        do throws(DriverError) {
            let watch = place.isOfCluster ? membership(of: handshake.greeting.server, password) : nil
            return RedisChannels(try handshake.release(), reader, settings.connectMillisecondsMax, watch)
        } catch {
            chiredis_reader_free(reader)
            throw error
        }
    }

    /// Whether a server is still in its cluster, asked on another connection: a subscriber's takes no questions. Where it cannot be
    /// asked, that is no reason to leave it.
    private func membership(of server: RedisLocation.Server, _ password: String?) -> RedisChannels.Watch {
        { () throws(DriverError) in
            guard let handshake = try? greet(server, password: password, limit: settings.connectMillisecondsMax) else {
                return
            }
            try RedisCluster.checkMembership(handshake)
        }
    }
}

/// A connection that subscribes.
///
/// - Thread: one that may block.
final class RedisChannels: ChannelConnection {
    /// Throws where the server is not to be listened to any more.
    typealias Watch = () throws(DriverError) -> Void

    private let watch: Watch?
    private let descriptor: OwnedDescriptor
    private let reader: OpaquePointer
    private let limitMilliseconds: Int64
    private var output = RedisOutput()
    private var push = RedisPush()
    private var messages: [ChannelMessage] = []
    /// Since the last commands were sent.
    private var answers: [DriverError?] = []
    private(set) var lossReason = ChangeGap.connectionLost

    private static let chunkByteCount = 32 << 10
    /// Chunks that are read before what is in them is told.
    private static let chunkCountMax = 16
    private static let messageByteCountMax = 1 << 20

    /// The server has been greeted on `descriptor`, which does not block. The connection owns it, and the reader.
    init(
        _ descriptor: consuming OwnedDescriptor, _ reader: OpaquePointer, _ limitMilliseconds: Int64, _ watch: Watch?
    ) {
        self.watch = watch
        self.descriptor = descriptor
        self.reader = reader
        self.limitMilliseconds = limitMilliseconds
    }

    deinit { chiredis_reader_free(reader) }

    var socketNumber: Int32 { descriptor.number }

    // MARK: Commands

    /// Each name has a command of its own, so that one without a right keeps no other from being heard.
    func change(
        beginning: [ChannelName], ending: [ChannelName]
    ) throws(DriverError) -> [ChannelName: DriverError] {
        for name in ending { queue(name.isPattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE", name.bytes) }
        for name in beginning { queue(name.isPattern ? "PSUBSCRIBE" : "SUBSCRIBE", name.bytes) }
        let found = try converse(answerCount: ending.count + beginning.count).dropFirst(ending.count)
        var refusals: [ChannelName: DriverError] = [:]
        for (name, refusal) in zip(beginning, found) { if let refusal { refusals[name] = refusal } }
        return refusals
    }

    func ping() throws(DriverError) {
        queue("PING", nil)
        _ = try converse(answerCount: 1)
        try watch?()
    }

    private func queue(_ command: StaticString, _ argument: [UInt8]?) {
        output.beginCommand(argumentCount: argument == nil ? 1 : 2)
        output.append(command)
        argument?.withUnsafeBytes { output.append($0) }
    }

    /// Sends what is queued, and waits for the answers.
    private func converse(answerCount: Int) throws(DriverError) -> [DriverError?] {
        answers = []
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: limitMilliseconds)
        while true {
            if output.send(to: descriptor, byteCountMax: .max) == .lost { throw Self.lost("It was closed.") }
            try receive()
            if answers.count >= answerCount { return answers }
            let wanted: Readiness = output.isEmpty ? .readable : [.readable, .writable]
            guard Sockets.wait(for: descriptor.number, wanted, until: deadline) else {
                throw Self.lost("The server did not answer within \(limitMilliseconds) ms (connect_ms_max).")
            }
        }
    }

    // MARK: Messages

    func read() throws(DriverError) -> [ChannelMessage] {
        try receive()
        defer { messages = [] }
        return messages
    }

    /// Takes what has come.
    private func receive() throws(DriverError) {
        var chunkCount = 0
        while true {
            switch chiredis_reader_read(reader, Unmanaged.passUnretained(self).toOpaque()) {
            case CHIREDIS_REPLY: try takeContent()
            case CHIREDIS_NEEDS_MORE:
                guard chunkCount < Self.chunkCountMax, try receiveChunk() else {
                    if chiredis_reader_is_empty(reader) { chiredis_reader_trim(reader) }
                    return
                }
                chunkCount += 1
            default: throw Self.lost(String(cString: chiredis_reader_problem(reader)))
            }
        }
    }

    private func takeContent() throws(DriverError) {
        switch push.content {
        case .message(let message): messages.append(message)
        case .answer(let refusal): answers.append(refusal)
        case .nonsense: throw Self.lost("It says what no server of Redis's says to a subscriber.")
        }
    }

    /// - Returns: false if nothing has come.
    private func receiveChunk() throws(DriverError) -> Bool {
        // hiredis keeps a string as a whole.
        if max(chiredis_reader_awaited(reader), Int64(chiredis_reader_line_begun(reader))) > Self.messageByteCountMax {
            lossReason = .tooLarge
            throw Self.lost("A message is larger than \(Self.messageByteCountMax >> 20) MiB.")
        }
        var outcome = IOOutcome.wouldBlock
        let isTaken = withUnsafeTemporaryAllocation(byteCount: Self.chunkByteCount, alignment: 1) { chunk in
            outcome = SystemCalls.read(descriptor, into: chunk)
            guard case .bytes(let count) = outcome else { return true }
            return chiredis_reader_feed(reader, chunk.baseAddress, count)
        }
        guard isTaken else { throw Self.lost("Out of memory.") }
        switch outcome {
        case .bytes: return true
        case .wouldBlock: return false
        case .endOfStream, .failed: throw Self.lost("It was closed.")
        }
    }

    fileprivate func take(_ element: chiredis_element) { push.take(element) }

    private static func lost(_ detail: String) -> DriverError {
        DriverError(
            .connectFailed, "The connection to the Redis server was lost.", hint: "Try again.", sqlState: "08006"
        ).with { ($0.detail, $0.isRetryable) = (detail, true) }
    }
}

/// Passes elements on from hiredis, within `chiredis_reader_read`.
private let redisTakePush: chiredis_take = { context, element in
    guard let context, let element else { return false }
    Unmanaged<RedisChannels>.fromOpaque(context).takeUnretainedValue().take(element.pointee)
    return true
}
