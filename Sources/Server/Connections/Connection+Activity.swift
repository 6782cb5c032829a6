// `activity`: who is connected with open work, and what that work is.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

/// A request in flight, or a session that waits for one.
struct ActivityEntry: Sendable {
    var connection: UInt64
    var peer: PeerCredentials?
    var session: String?
    var database: String?
    /// The type of the request, "session" for a session without one.
    var type: StaticString
    var sql: String?
    var state: StaticString
    var transaction: StaticString
    /// When the state began.
    var since: MonotonicInstant
}

/// What the loops tell about their work.
struct Activity: Sendable {
    var entries: [ActivityEntry] = []
    var isTruncated = false

    static let entryCountMax = 1_000
    /// Of a statement, as shown.
    static let sqlByteCountMax = 512

    mutating func add(_ entry: ActivityEntry) {
        if entries.count < Self.entryCountMax { entries.append(entry) } else { isTruncated = true }
    }
}

extension Connection {
    func replyActivity(_ head: RequestHead, _ encoding: WireEncoding) {
        let operation = makeOperation(head, .activity, encoding)
        let isAdministrator = isAdministrator
        let uid = peer?.uid
        let asker = (number, operation.serial)
        gather(for: operation, Activity()) { context, activity in
            for connection in context.connections.values
            where isAdministrator || connection.isOf(uid, number: asker.0) {
                connection.tell(&activity, except: asker)
            }
        } _: { [self] activity in
            if !isClosed { withOutputStorage { reply(operation, activity) } }
            operationDidEnd(operation)
        }
    }

    /// Whether it is that user's. Clients over TCP have no user: each is its own.
    private func isOf(_ uid: UInt32?, number: UInt64) -> Bool {
        uid == nil ? self.number == number : peer?.uid == uid
    }

    private func tell(_ activity: inout Activity, except asker: (connection: UInt64, serial: UInt64)) {
        for session in sessions where session.active == nil && session.waiting.isEmpty {
            activity.add(
                ActivityEntry(
                    connection: number, peer: peer, session: session.name, database: session.link.databaseName,
                    type: "session", sql: nil, state: "idle", transaction: session.link.transaction.name,
                    since: session.lastEnd))
        }
        for operation in inFlight where (number, operation.serial) != asker {
            activity.add(
                ActivityEntry(
                    connection: number, peer: peer, session: operation.session?.name,
                    database: operation.databaseName,
                    type: operation.type.name,
                    sql: operation.isStatement
                        ? LogText.escaped(operation.firstSQL, byteCountMax: Activity.sqlByteCountMax) : nil,
                    state: operation.progress.name,
                    transaction: operation.session?.link.transaction.name ?? "none", since: operation.started))
        }
    }

    private func reply(_ operation: Operation, _ activity: Activity) {
        let entries = activity.entries.sorted { $0.since < $1.since }
        let now = MonotonicInstant.now
        reply(RequestType.activity.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writer.key("entries", into: &output)
            writer.beginArray(into: &output)
            for entry in entries { entry.write(at: now, &writer, &output) }
            writer.endArray(into: &output)
            writer.key("truncated", into: &output)
            writer.bool(activity.isTruncated, into: &output)
        }
    }
}

extension Operation.Progress {
    /// The protocol's word.
    fileprivate var name: StaticString {
        switch self {
        case .queued: "queued"
        case .waitingForOutput, .waitingForFetch: "waiting_for_client"
        case .idle, .starting, .running, .ended: "running"
        }
    }
}

extension ActivityEntry {
    fileprivate func write(at now: MonotonicInstant, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.beginMap(into: &output)
        writer.key("connection", into: &output)
        writer.unsigned(connection, into: &output)
        writer.key("uid", into: &output)
        Self.write(peer.map { Int64($0.uid) }, &writer, &output)
        writer.key("pid", into: &output)
        Self.write(peer.map { Int64($0.pid) }, &writer, &output)
        for (key, text) in [
            ("user", peer.flatMap { Process.userName(uid: $0.uid) }), ("session", session), ("database", database),
            ("type", "\(type)"), ("sql", sql), ("state", "\(state)"), ("transaction", "\(transaction)"),
        ] as [(StaticString, String?)] {
            writer.key(key, into: &output)
            if let text { writer.text(text, into: &output) } else { writer.null(into: &output) }
        }
        writer.key("age_ms", into: &output)
        writer.integer(max(0, now.nanoseconds(since: since) / 1_000_000), into: &output)
        writer.endMap(into: &output)
    }

    private static func write(_ number: Int64?, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        if let number { writer.integer(number, into: &output) } else { writer.null(into: &output) }
    }
}
