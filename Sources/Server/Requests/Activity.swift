// `activity`: who is connected with open work, and what that work is.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// A request in flight, or a session that waits for one.
struct ActivityEntry: Sendable {
    var connection: UInt64
    /// Of the request; `nil` for a session without one.
    var number: UInt64?
    var hasLane: Bool
    var peer: PeerCredentials?
    var session: String?
    var database: String?
    /// The type of the request, "session" for a session without one.
    var type: StaticString
    var sql: String?
    var state: String
    var transaction: String
    /// When the state began.
    var since: MonotonicInstant
}

/// The answers of the loops about their work.
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

extension ActivityRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        connection.gatherActivity(request)
    }
}

extension Connection {
    func gatherActivity(_ request: ReceivedRequest) -> RequestOutcome {
        let operation = makeOperation(request)
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
        return .pending
    }

    /// Whether it belongs to that user. Clients over TCP have no user: each counts for itself.
    func isOf(_ uid: UInt32?, number: UInt64) -> Bool {
        uid == nil ? self.number == number : peer?.uid == uid
    }

    private func tell(_ activity: inout Activity, except asker: (connection: UInt64, serial: UInt64)) {
        for session in sessions.open where session.active == nil && session.waiting.isEmpty {
            activity.add(
                ActivityEntry(
                    connection: number, number: nil, hasLane: stream.laneState == .open, peer: peer,
                    session: session.name, database: session.link.databaseName,
                    type: "session", sql: nil, state: "idle", transaction: session.link.transaction.name,
                    since: session.lastEnd))
        }
        for operation in inFlight.operations where (number, operation.serial) != asker {
            activity.add(
                ActivityEntry(
                    connection: number, number: operation.serial, hasLane: stream.laneState == .open, peer: peer,
                    session: operation.session?.name,
                    database: operation.databaseName,
                    type: operation.row.type.name,
                    sql: operation.isStatement
                        ? LogText.escaped(operation.firstSQL, byteCountMax: Activity.sqlByteCountMax) : nil,
                    state: operation.progress.name,
                    transaction: operation.session?.link.transaction.name ?? "none", since: operation.clock.started))
        }
    }

    private func reply(_ operation: Operation, _ activity: Activity) {
        var answer = ActivityReply()
        let now = MonotonicInstant.now
        answer.entries = activity.entries.sorted { $0.since < $1.since }.map { ActivityReply.Entry($0, at: now) }
        answer.isTruncated = activity.isTruncated
        reply(answer, to: operation)
    }
}

extension Operation.Progress {
    /// The name in the protocol.
    fileprivate var name: String {
        switch self {
        case .queued: "queued"
        case .waitingForOutput, .waitingForFetch, .waitingForFile: "waiting_for_client"
        case .idle, .starting, .running, .ended: "running"
        }
    }
}

extension ActivityReply.Entry {
    fileprivate init(_ entry: ActivityEntry, at now: MonotonicInstant) {
        self.init()
        connection = entry.connection
        number = entry.number
        transport = "\(entry.hasLane ? HelloRequest.sharedMemory : HelloRequest.socket)"
        uid = entry.peer.map { Int64($0.uid) }
        pid = entry.peer.map { Int64($0.pid) }
        user = entry.peer.flatMap { Process.userName(uid: $0.uid) }
        session = entry.session
        database = entry.database
        type = "\(entry.type)"
        sql = entry.sql
        state = entry.state
        transaction = entry.transaction
        ageMilliseconds = max(0, now.nanoseconds(since: entry.since) / 1_000_000)
    }
}
