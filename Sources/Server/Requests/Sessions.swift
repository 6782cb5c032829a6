// `db_connect` and `db_disconnect`.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension ConnectRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.openSession(request)
    }
}

extension DisconnectRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.closeSession(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.endSession(operation) }
}

extension Connection {
    func openSession(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(ConnectRequest.self, of: request.head)
        try checkSessionCount()
        let target =
            if let url = content.url { try adHocDatabase(url) } else {
                SessionTarget(try findDatabase(content.database))
            }
        let database = target.database
        let isReadOnly = content.readOnly || target.isReadOnly
        let operation = makeOperation(request)
        operation.progress = .running
        track(operation)
        sessions.beginOpening()
        countSessions(1)
        let session = SessionRequest(owner: owner, isReadOnly: isReadOnly, clientName: preferences.name)
        let opened = { [self] (opening: SessionOpening) in
            sessionOpened(operation, opening, target.right, isReadOnly: isReadOnly || database.isReadOnly)
        }
        if let opening = database.openSession(session, context.drivers, done: opened) { opened(opening) }
        return .pending
    }

    /// The database on which a session is opened.
    private struct SessionTarget {
        var database: any Database
        var right: SessionRight
        var isReadOnly: Bool

        init(_ database: any Database, _ right: SessionRight) {
            self.database = database
            self.right = right
            isReadOnly = false
        }

        init(_ grant: Grant) {
            database = grant.database
            right = .database(grant.entry, grant.access, opened: grant.database.location)
            isReadOnly = grant.isReadOnly
        }

        /// The same, read-only if the URL asks for that.
        func readOnly(ifSaidBy location: any DatabaseLocation) -> SessionTarget {
            var target = self
            if location.isReadOnly { target.isReadOnly = true }
            return target
        }
    }

    private func checkSessionCount() throws(RequestError) {
        let limits = context.limits
        let used = sessions.count
        if used >= limits.sessionsPerConnectionMax {
            throw refusal(
                .sessionsPerConnection, used: used,
                "This connection has \(used) sessions; the limit is \(limits.sessionsPerConnectionMax) "
                    + "(sessions_per_connection_max).",
                hint: "Close sessions with db_disconnect.")
        }
        let usedByUser = account.sessions.count
        if usedByUser >= limits.sessionsPerUserMax {
            throw refusal(
                .sessionsPerUser, used: usedByUser,
                "\(account.name.capitalizedFirst) has \(usedByUser) sessions; the limit of one user is "
                    + "\(limits.sessionsPerUserMax) (sessions_per_user_max).",
                hint: "Close sessions with db_disconnect, or connections that are not used.", isRetryable: true,
                isLogged: true)
        }
    }

    private func sessionOpened(
        _ operation: Operation, _ opening: SessionOpening, _ right: SessionRight, isReadOnly: Bool
    ) {
        sessions.endOpening()
        switch opening {
        case .failure(let error):
            countSessions(-1)
            operation.error = error
        case .success(let link):
            if isClosed {
                countSessions(-1)
                link.close()
                break
            }
            // The configuration may have been reloaded since.
            guard let right = renewed(right) else {
                countSessions(-1)
                link.close()
                operation.error = .stopped(.accessRevoked)
                break
            }
            let session = sessions.add(link, right)
            context.statistics.sessionsOpened += 1
            context.statistics.notePeak(.sessionsPerConnection, sessions.open.count)
            context.statistics.sessionsOpen += 1
            withOutputStorage { replySession(operation, session, isReadOnly: isReadOnly) }
        }
        operationDidEnd(operation)
    }

    private func replySession(_ operation: Operation, _ session: Session, isReadOnly: Bool) {
        var answer = ConnectReply()
        answer.session = session.name
        answer.engine = session.link.engine.name
        answer.serverVersion = session.link.serverVersion
        answer.isReadOnly = isReadOnly
        answer.transaction = TransactionState.none.name
        reply(answer, to: operation)
    }

    /// A database that the client names by a URL.
    private func adHocDatabase(_ url: UnsafeRawBufferPointer) throws(RequestError) -> SessionTarget {
        guard url.count <= Self.urlByteCountMax else { throw Self.urlTooLong }
        let text = String(decoding: url, as: UTF8.self)
        do throws(DriverError) {
            let engines = context.shared.engines
            // Only a URL of a trusted client makes the daemon load a client library.
            if engines.isRemote(text), !mayOpenURLs { throw urlDenied() }
            let location = try engines.location(url: text)
            if location.isMemory { return SessionTarget(try adHocDatabase(at: location), .none) }
            if isSuperuser { return try superuserDatabase(at: location) }
            guard mayOpenURLs else { throw urlDenied() }
            // A configured database has its own rules, however it is named.
            let entries = context.databases.entries(at: location)
            if entries.isEmpty { return SessionTarget(try adHocDatabase(at: location), .url(location)) }
            let grants = entries.compactMap(grant)
            guard let grant = grants.first(where: { !$0.isReadOnly }) ?? grants.first else { throw urlDenied() }
            return SessionTarget(grant).readOnly(ifSaidBy: location)
        } catch {
            throw RequestError(error)
        }
    }

    /// A configured database has one write queue, or one pool, however it is named.
    private func superuserDatabase(at location: any DatabaseLocation) throws(DriverError) -> SessionTarget {
        let entry = context.databases.entries.first {
            $0.database.location.isSame(as: location) && $0.access == .readWrite
        }
        if let entry { return SessionTarget(entry.database, .url(location)) }
        return SessionTarget(try adHocDatabase(at: location), .url(location))
    }

    /// A path may have 4,096 bytes (PATH_MAX), each of which may be written with three. To read a URL of megabytes took a loop half a
    /// second, whoever had sent it.
    private static let urlByteCountMax = 16 << 10

    private static let urlTooLong = RequestError(
        .badRequest, "The URL is longer than \(urlByteCountMax >> 10) KiB.",
        hint: "Leave out what it does not need, or have the database configured, and open it by name.")

    private func urlDenied() -> DriverError {
        noteDenial(of: .url, nil)
        return DriverError(
            .permissionDenied, "You may not open this URL.",
            hint: "Open a database by name; \(Remedy.listDatabases.wording)")
    }

    private func adHocDatabase(at location: any DatabaseLocation) throws(DriverError) -> any Database {
        try location.checkClientURL()
        return context.shared.adHocDatabases.database(
            at: location, settings: context.limits.databaseSettings(loopCount: context.shared.loops.count),
            promptWorkers: context.shared.promptWorkers)
    }

    func closeSession(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(DisconnectRequest.self, of: request.head)
        guard let session = sessions.find(content.session) else { throw sessionNotFound(content.session) }
        if session.active != nil { try checkRoom() }
        session.isClosing = true
        let operation = makeOperation(request)
        operation.session = session
        return submit(operation)
    }

    /// A `db_disconnect` has its turn: an open transaction is rolled back.
    func endSession(_ operation: Operation) {
        guard let session = operation.session else { preconditionFailure("no session was named") }
        end(session)
        reply(EmptyReply(), to: operation)
    }
}
