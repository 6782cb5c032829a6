// Question and answer with a server, on a thread that may block: greeting, authentication, what the server can do.

internal import CHiredis
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A connection to a server on which the daemon asks, and waits for each answer.
///
/// There is one limit for all of it, from connecting to the last answer: a server that sends a byte now and then holds its thread no
/// longer than one that sends nothing. What it may answer is bounded in bytes, in elements and in pieces.
/// - Thread: one that may block.
final class RedisHandshake {
    private let descriptor: OwnedDescriptor
    private let reader: OpaquePointer
    private let limitMilliseconds: Int64
    private let deadline: MonotonicInstant
    private var output = RedisOutput()
    private var answer = RedisReplyBuilder()
    private(set) var greeting: RedisGreeting
    /// It has not told what it was asked, since it runs a script.
    private(set) var wasBusy = false

    private static let chunkByteCount = 32 << 10
    /// Of an answer, unless the question says more.
    static let byteCountMax = 64 << 10
    /// Of a status, an error or a number: hiredis looks for its end from the beginning with each piece.
    private static let lineByteCountMax = 16 << 10
    /// An answer may come in so many pieces, and in one more for so many bytes that it may have.
    private static let pieceCountMin = 64
    private static let bytesPerPiece = 128

    /// Connects. The limit is the time for that and for all answers, in milliseconds.
    /// - Throws: `connectFailed`.
    init(_ server: RedisLocation.Server, limitMilliseconds: Int64) throws(DriverError) {
        deadline = .now.advanced(byMilliseconds: limitMilliseconds)
        self.limitMilliseconds = limitMilliseconds
        greeting = RedisGreeting(server: server)
        let descriptor = try Self.connect(server, limitMilliseconds)
        guard let reader = chiredis_reader_create(redisTakeAnswer) else { throw Self.error("Out of memory.") }
        self.reader = reader
        self.descriptor = descriptor
    }

    deinit { chiredis_reader_free(reader) }

    private static func connect(
        _ server: RedisLocation.Server, _ limitMilliseconds: Int64
    ) throws(DriverError) -> OwnedDescriptor {
        let limit = timeval(
            tv_sec: Int(limitMilliseconds / 1000), tv_usec: Int(limitMilliseconds % 1000) * 1000)
        let made =
            switch server {
            case .network(let host, let port): chiredis_connect(host, Int32(port), limit)
            case .socket(let path): chiredis_connect_unix(path, limit)
            }
        guard let context = made else { throw error("Out of memory.") }
        if let problem = chiredis_context_problem(context) {
            let error = error(String(cString: problem))
            chiredis_free(context)
            throw error
        }
        if case .network = server { chiredis_enable_keep_alive(context) }
        let descriptor = OwnedDescriptor(chiredis_free_keep_descriptor(context))
        do throws(Errno) {
            try Sockets.prepareInherited(descriptor.number)
        } catch {
            throw Self.error("\(error)")
        }
        Sockets.setNoDelay(descriptor)
        return descriptor
    }

    /// Gives the socket away, non-blocking. Nothing is asked afterwards.
    func release() throws(DriverError) -> OwnedDescriptor {
        guard chiredis_reader_is_empty(reader) else { throw Self.unreadable("It says more than it was asked.") }
        do throws(Errno) {
            return try descriptor.duplicate()
        } catch {
            throw failed("\(error)")
        }
    }

    // MARK: Questions

    /// Asks, and waits for the answer, of at most that many bytes.
    /// - Throws: when there is no answer; an error of the server's is one.
    func ask(_ words: [String], byteCountMax: Int = RedisHandshake.byteCountMax) throws(DriverError) -> RedisReply {
        guard chiredis_reader_is_empty(reader) else { throw Self.unreadable("It says more than it was asked.") }
        answer = RedisReplyBuilder()
        output.beginCommand(argumentCount: words.count)
        for word in words { Array(word.utf8).withUnsafeBytes { output.append($0) } }
        var bounds = Bounds(byteCount: byteCountMax)
        while true {
            guard output.send(to: descriptor, byteCountMax: .max) != .lost else { throw failed(Self.closed) }
            if let reply = try receive(&bounds) { return reply }
            let wanted: Readiness = output.isEmpty ? .readable : [.readable, .writable]
            guard Sockets.wait(for: descriptor.number, wanted, until: deadline) else {
                throw failed("The server did not answer within \(limitMilliseconds) ms.")
            }
        }
    }

    /// What of an answer may still come.
    private struct Bounds {
        let byteCountMax: Int
        var byteCount: Int
        var pieceCount: Int

        init(byteCount: Int) {
            byteCountMax = byteCount
            self.byteCount = byteCount
            pieceCount = RedisHandshake.pieceCountMin + byteCount / RedisHandshake.bytesPerPiece
        }
    }

    private static let closed = "The server has closed the connection."

    /// Takes what has come.
    /// - Returns: the answer, if it is whole.
    private func receive(_ bounds: inout Bounds) throws(DriverError) -> RedisReply? {
        while true {
            switch chiredis_reader_read(reader, Unmanaged.passUnretained(self).toOpaque()) {
            case CHIREDIS_REPLY:
                guard let reply = answer.reply else { throw Self.tooManyElements }
                answer = RedisReplyBuilder()
                chiredis_reader_trim(reader)
                return reply
            case CHIREDIS_STOPPED: throw Self.tooManyElements
            case CHIREDIS_NEEDS_MORE: guard try receivePiece(&bounds) else { return nil }
            default: throw Self.unreadable(String(cString: chiredis_reader_problem(reader)))
            }
        }
    }

    /// - Returns: false if nothing has come.
    private func receivePiece(_ bounds: inout Bounds) throws(DriverError) -> Bool {
        guard bounds.byteCount > 0, chiredis_reader_awaited(reader) <= Int64(bounds.byteCountMax),
            chiredis_reader_line_begun(reader) <= Self.lineByteCountMax
        else { throw Self.unreadable("It is longer than such an answer is.") }
        guard bounds.pieceCount > 0 else { throw Self.unreadable("It comes in more pieces than such an answer does.") }
        var outcome = IOOutcome.wouldBlock
        let isTaken = withUnsafeTemporaryAllocation(byteCount: Self.chunkByteCount, alignment: 1) { chunk in
            outcome = SystemCalls.read(descriptor, into: chunk)
            guard case .bytes(let count) = outcome else { return true }
            return chiredis_reader_feed(reader, chunk.baseAddress, count)
        }
        guard isTaken else { throw failed("Out of memory.") }
        switch outcome {
        case .bytes(let count):
            bounds.byteCount -= count
            bounds.pieceCount -= 1
            return true
        case .wouldBlock: return false
        case .endOfStream, .failed: throw failed(Self.closed)
        }
    }

    fileprivate func take(_ element: chiredis_element) -> Bool { answer.take(element) }

    /// Makes the server know the user, and the connection's name.
    /// - Source: https://redis.io/docs/latest/commands/hello/ (Redis 6)
    func greet(user: String?, password: String?) throws(DriverError) {
        var words = ["HELLO", "2"]
        if user != nil || password != nil { words += ["AUTH", user ?? "default", password ?? ""] }
        let reply = try ask(words + ["SETNAME", Self.name])
        guard let error = reply.error else {
            greeting.take(reply.elements)
            return
        }
        guard error.hasPrefix("ERR unknown command") else { throw refused(error) }
        try greetOldServer(user: user, password: password)
    }

    private static let name = "litebase"

    private func greetOldServer(user: String?, password: String?) throws(DriverError) {
        guard user == nil else { throw failed("Users came with Redis 6; this server is older.") }
        if let password, let error = try ask(["AUTH", password]).error { throw refused(error) }
        if let error = try ask(["CLIENT", "SETNAME", Self.name]).error { throw refused(error) }
        greeting.clientID = try ask(["CLIENT", "ID"]).integer
        greeting.version = try information("redis_version") ?? ""
    }

    private static let runIDByteCountMax = 64

    /// What tells this run of the server from all others; `nil` where the user may not know.
    func runID() throws(DriverError) -> String? {
        let id = try information("run_id")
        return (id?.utf8.count ?? 0) <= Self.runIDByteCountMax ? id : nil
    }

    private func information(_ key: String) throws(DriverError) -> String? {
        let lines = try told(["INFO", "server"])?.text?.split { $0.isNewline } ?? []
        return lines.first { $0.hasPrefix(key + ":") }.map { String($0.dropFirst(key.count + 1)) }
    }

    /// - Returns: the answer; `nil` if the user may not ask, the server does not know the question, or is busy.
    /// - Throws: also for another error: what it would have told is not known, and must not be taken for nothing.
    func told(_ words: [String], byteCountMax: Int = RedisHandshake.byteCountMax) throws(DriverError) -> RedisReply? {
        let reply = try ask(words, byteCountMax: byteCountMax)
        guard let error = reply.error else { return reply }
        if error.hasPrefix("BUSY ") { wasBusy = true }
        guard ["BUSY ", "NOPERM", "ERR unknown command"].contains(where: error.hasPrefix) else { throw failed(error) }
        return nil
    }

    // MARK: Errors

    func failed(_ problem: String) -> DriverError { Self.error(problem) }

    /// The server has answered with an error; it does not repeat what it was told.
    func refused(_ text: String) -> DriverError {
        let isAboutUser = ["NOAUTH", "WRONGPASS", "NOPERM", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH"]
            .contains(where: text.hasPrefix)
        return Self.error(text).with {
            $0.message = "The Redis server did not let the daemon in."
            $0.hint = "Check the user, the password and the number of the database, and the rights of the user."
            $0.isRetryable = !isAboutUser
            if isAboutUser { $0.sqlState = "28000" }
        }
    }

    private static let tooManyElements = unreadable("It has more elements than such an answer has.")

    /// What has come is no answer to what was asked.
    static func unreadable(
        _ detail: String, message: String = "What the Redis server answers the daemon is not understood.",
        hint: String = "Check that the URL names a Redis server."
    ) -> DriverError {
        DriverError(.connectFailed, message, hint: hint, sqlState: "08P01").with {
            $0.detail = detail
            $0.isRetryable = true
        }
    }

    private static func error(_ detail: String) -> DriverError {
        DriverError(
            DriverError.Details(
                code: .connectFailed, message: "The Redis server cannot be reached.", detail: detail,
                hint: RemoteErrors.reachHint(detail), sqlState: "08001", isRetryable: true))
    }
}

/// Passes elements on from hiredis, within `chiredis_reader_read`.
private let redisTakeAnswer: chiredis_take = { context, element in
    guard let context, let element else { return false }
    return Unmanaged<RedisHandshake>.fromOpaque(context).takeUnretainedValue().take(element.pointee)
}
