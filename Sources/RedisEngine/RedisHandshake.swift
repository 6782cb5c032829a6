// Question and answer with a server, on a thread that may block: greeting, authentication, what the server can do.

internal import CHiredis
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A connection to a server by hiredis, blocking.
///
/// - Thread: one that may block.
final class RedisHandshake {
    /// redisContext.
    private var context: OpaquePointer?
    private(set) var greeting: RedisGreeting

    /// Connects. The limit is the time for that, and then for each answer.
    /// - Throws: `connectFailed`.
    init(_ server: RedisLocation.Server, limitMilliseconds: Int64) throws(DriverError) {
        greeting = RedisGreeting(server: server)
        let limit = timeval(
            tv_sec: Int(limitMilliseconds / 1000), tv_usec: Int(limitMilliseconds % 1000) * 1000)
        switch server {
        case .network(let host, let port): context = chiredis_connect(host, Int32(port), limit)
        case .socket(let path): context = chiredis_connect_unix(path, limit)
        }
        guard let context else { throw failed("Out of memory.") }
        guard chiredis_context_problem(context) == nil else {
            let error = failed(problem)
            chiredis_free(context)
            self.context = nil
            throw error
        }
        chiredis_set_timeout(context, limit)
        if case .network = server { chiredis_enable_keep_alive(context) }
    }

    deinit { if let context { chiredis_free(context) } }

    /// Gives the socket away, non-blocking.
    func release() throws(DriverError) -> OwnedDescriptor {
        guard let context else { throw failed("The connection was given away.") }
        self.context = nil
        let descriptor = OwnedDescriptor(chiredis_free_keep_descriptor(context))
        do throws(Errno) {
            try Sockets.prepareInherited(descriptor.number)
        } catch {
            throw failed("\(error)")
        }
        Sockets.setNoDelay(descriptor)
        return descriptor
    }

    // MARK: Questions

    /// - Throws: when there is no answer; an error of the server's is one.
    func ask(_ words: [String]) throws(DriverError) -> RedisReply {
        let texts = words.map { Array($0.utf8CString) }
        // Without the NUL.
        let lengths = texts.map { $0.count - 1 }
        var pointers: [UnsafePointer<CChar>?] = []
        let reply = Self.withPointers(texts[...], &pointers) { pointers in
            var pointers = pointers
            return chiredis_command(context, Int32(words.count), &pointers, lengths)
        }
        guard let reply else { throw failed(problem) }
        return RedisReply(reply)
    }

    private static func withPointers(
        _ texts: ArraySlice<[CChar]>, _ pointers: inout [UnsafePointer<CChar>?],
        _ body: ([UnsafePointer<CChar>?]) -> OpaquePointer?
    ) -> OpaquePointer? {
        guard let first = texts.first else { return body(pointers) }
        return first.withUnsafeBufferPointer {
            pointers.append($0.baseAddress)
            return withPointers(texts.dropFirst(), &pointers, body)
        }
    }

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

    /// What tells this run of the server from all others; `nil` where the user may not know.
    func runID() throws(DriverError) -> String? { try information("run_id") }

    private func information(_ key: String) throws(DriverError) -> String? {
        let lines = try ask(["INFO", "server"]).text?.split { $0.isNewline } ?? []
        return lines.first { $0.hasPrefix(key + ":") }.map { String($0.dropFirst(key.count + 1)) }
    }

    // MARK: Errors

    private var problem: String {
        guard let context else { return "The connection was given away." }
        return chiredis_context_problem(context).map { String(cString: $0) } ?? ""
    }

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

    private static func error(_ detail: String) -> DriverError {
        DriverError(
            DriverError.Details(
                code: .connectFailed, message: "The Redis server cannot be reached.", detail: detail,
                hint: RemoteErrors.reachHint(detail), sqlState: "08001", isRetryable: true))
    }
}

/// A reply to one of the daemon's own questions.
struct RedisReply {
    private final class Owner {
        /// redisReply.
        let reply: OpaquePointer

        init(_ reply: OpaquePointer) { self.reply = reply }

        deinit { chiredis_free_reply(reply) }
    }

    private let owner: Owner
    private let reply: chiredis_reply_view

    init(_ reply: OpaquePointer) {
        owner = Owner(reply)
        self.reply = chiredis_view(reply)
    }

    private init(_ owner: Owner, _ reply: OpaquePointer) {
        self.owner = owner
        self.reply = chiredis_view(reply)
    }

    var isNull: Bool { reply.type == CHIREDIS_NIL }
    /// Of a string or status.
    var text: String? {
        reply.type == CHIREDIS_STRING || reply.type == CHIREDIS_STATUS ? string : nil
    }
    var error: String? { reply.type == CHIREDIS_ERROR ? string : nil }
    var integer: Int64? { reply.type == CHIREDIS_INTEGER ? reply.integer : nil }

    var elements: [RedisReply] {
        guard reply.type == CHIREDIS_ARRAY, let first = reply.elements else { return [] }
        return (0..<reply.count).compactMap { index in first[index].map { RedisReply(owner, $0) } }
    }

    private var string: String? {
        reply.bytes.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: reply.length), as: UTF8.self) }
    }
}
