// `terminate`: ends a request, a session or a connection of the caller's user; an administrator, of anybody.
//
// The loop of the connection ends it, as a cancel, a lost right or the end of the daemon would. The reply says what was told to
// end: a request that has taken effect meanwhile is answered as ever.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// What a `terminate` names.
enum TerminationTarget: Sendable {
    case connection(UInt64)
    case request(UInt64, connection: UInt64)
    case session(String, connection: UInt64)

    /// `nil`: no session can have that name.
    init?(_ target: TerminateRequest.Target) {
        switch target {
        case .connection(let number): self = .connection(UInt64(number))
        case .request(let number, let connection): self = .request(UInt64(number), connection: UInt64(connection))
        case .session(let bytes):
            let name = RequestError.printable(bytes)
            guard let connection = SessionTable.connection(ofSession: name) else { return nil }
            self = .session(name, connection: connection)
        }
    }

    var connection: UInt64 {
        switch self {
        case .connection(let number), .request(_, let number), .session(_, let number): number
        }
    }

    /// In messages.
    var name: String {
        switch self {
        case .connection(let number): "connection \(number)"
        case .request(let number, let connection): "request \(number) of connection \(connection)"
        case .session(let name, _): "session \"\(name)\""
        }
    }
}

/// Who wants something ended.
struct Terminator: Sendable {
    let connection: UInt64
    /// `nil` over TCP.
    let peer: PeerCredentials?
    let isAdministrator: Bool
    /// The request that asks, which cannot end itself.
    let serial: UInt64
}

/// What has become of it, on the loop of the target.
enum Termination: Sendable {
    case ended(EndedWork)
    /// It ends by itself, and cannot be stopped.
    case unstoppable(type: StaticString)
}

/// What was told to end.
struct EndedWork: Sendable {
    var connection: UInt64
    var peer: PeerCredentials?
    var requestCount = 0
    var sessionCount = 0
    var isClosed = false
}

extension TerminateRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.terminate(request)
    }
}

extension Connection {
    func terminate(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(TerminateRequest.self, of: request.head)
        guard let target = TerminationTarget(content.target) else {
            guard case .session(let name) = content.target else { preconditionFailure("only names can be wrong") }
            throw .targetNotFound("session \"\(RequestError.printable(name))\"")
        }
        if case .connection(let number) = target, number == self.number {
            throw RequestError(
                .badRequest, "Connection \(number) is the one that asks.", hint: "Close it; that needs no request.")
        }
        let operation = makeOperation(request)
        let asker = Terminator(
            connection: number, peer: peer, isAdministrator: isAdministrator, serial: operation.serial)
        delegate(for: operation) { context -> Termination? in
            guard let connection = context.connections[target.connection],
                asker.isAdministrator || connection.isOf(asker.peer?.uid, number: asker.connection)
            else { return nil }
            return connection.end(target, for: asker)
        } _: { [self] outcome in
            if !isClosed { withOutputStorage { reply(operation, target, outcome) } }
            operationDidEnd(operation)
        }
        return .pending
    }

    private func reply(_ operation: Operation, _ target: TerminationTarget, _ outcome: Termination?) {
        switch outcome {
        case nil: reply(.targetNotFound(target.name), id: operation.id, encoding: operation.encoding)
        case .unstoppable(let type):
            let error = RequestError(
                .badRequest, "The \(target.name) is a \(type), which cannot be stopped.",
                hint: "It ends soon; or end its connection.")
            reply(error, id: operation.id, encoding: operation.encoding)
        case .ended(let work): reply(TerminateReply(work), to: operation)
        }
    }

    // MARK: On the target's loop

    /// Ends what is named, and logs who wanted it.
    /// - Returns: `nil` if there is no such thing on this connection.
    private func end(_ target: TerminationTarget, for asker: Terminator) -> Termination? {
        guard !isClosed else { return nil }
        var work = EndedWork(connection: number, peer: peer)
        switch target {
        case .connection:
            work.requestCount = inFlight.operations.count { $0.isTerminable }
            work.sessionCount = sessions.open.count
            work.isClosed = true
            observeEnd(nil, for: asker)
            terminate()
        case .session(let name, _):
            guard let session = sessions.open.first(where: { $0.name == name && !$0.isRevoked }) else { return nil }
            work.requestCount = session.waiting.count + (session.active == nil ? 0 : 1)
            work.sessionCount = 1
            observeEnd("session \(name) on \(session.link.databaseName)", for: asker)
            withOutputStorage {
                terminate(session)
                finishTurn()
            }
        case .request(let serial, _):
            let isAsking = asker.connection == number && asker.serial == serial
            guard !isAsking, let operation = inFlight.operation(serial: serial) else { return nil }
            let type = operation.row.type.name
            guard operation.isTerminable else { return .unstoppable(type: type) }
            work.requestCount = 1
            observeEnd("\(type) \(serial)\(operation.databaseName.map { " on \($0)" } ?? "")", for: asker)
            withOutputStorage {
                stop(operation, .terminated)
                finishTurn()
            }
        }
        return .ended(work)
    }

    private func observeEnd(_ what: String?, for asker: Terminator) {
        context.observer.observe(
            .workTerminated(
                connection: asker.connection, peer: asker.peer, what: what, target: number, targetPeer: peer))
    }

    private func terminate(_ session: Session) {
        revoke(session, .terminated) { stop($0, .terminated) }
    }

    /// Ends everything, answers it, and closes: at the latest after a while, since the client may not read, and not all that runs
    /// can be stopped.
    private func terminate() {
        withOutputStorage {
            if let noticeEncoding {
                let message = "This connection was ended by an administrator, or by its user on another connection."
                notify(NoticeMessage("terminated", message), noticeEncoding)
            }
            for session in sessions.open { terminate(session) }
            for operation in inFlight.operations where operation.isTracked && operation.isTerminable {
                stop(operation, .terminated)
            }
            closeSoon()
            finishTurn()
        }
        if isClosed { return }
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: Self.terminationMillisecondsMax)
        context.loop.schedule(self, token: Self.terminationToken, at: deadline)
    }

    /// How long a connection that is ended may take to send what its client still gets.
    private static let terminationMillisecondsMax: Int64 = 2_000
    /// Token of the timer that closes it then; no operation has that serial.
    static let terminationToken = UInt64.max
}

extension Operation {
    /// Whether somebody may end it by itself.
    fileprivate var isTerminable: Bool { row.traits.contains(.isStoppable) }
}

extension TerminateReply {
    fileprivate init(_ work: EndedWork) {
        self.init()
        connection = work.connection
        uid = work.peer.map { Int64($0.uid) }
        pid = work.peer.map { Int64($0.pid) }
        user = work.peer.flatMap { Process.userName(uid: $0.uid) }
        requestCount = Int64(work.requestCount)
        sessionCount = Int64(work.sessionCount)
        isClosed = work.isClosed
    }
}
