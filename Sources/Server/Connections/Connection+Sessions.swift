// `db_connect` and `db_disconnect`.

internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    func openSession(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(ConnectRequest.self, of: head)
        try checkSessionCount()
        let opening =
            if let url = request.url { try adHocDatabase(url) } else {
                SessionOpening(try findDatabase(request.database))
            }
        let database = opening.database
        let isReadOnly = request.readOnly || opening.isReadOnly
        let operation = makeOperation(head, .dbConnect, encoding)
        operation.progress = .running
        track(operation)
        countSessions(1)
        let session = SessionRequest(owner: owner, isReadOnly: isReadOnly, clientName: clientName)
        database.openSession(session, context.drivers) { [self] result in
            sessionOpened(operation, result, opening.right, isReadOnly: isReadOnly || database.isReadOnly)
        }
    }

    /// What a session is opened on.
    private struct SessionOpening {
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
            right = .database(grant.entry, grant.access)
            isReadOnly = grant.isReadOnly
        }

        /// The same, for reading only where the URL asks for that.
        func readOnly(ifSaidBy location: DatabaseLocation) -> SessionOpening {
            var opening = self
            if case .sqlite(let file) = location, file.mode == .readOnly { opening.isReadOnly = true }
            return opening
        }
    }

    private func checkSessionCount() throws(RequestError) {
        let limits = context.limits
        let used = sessions.count + inFlight.count { $0.type == .dbConnect }
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
        _ operation: Operation, _ result: Result<any DatabaseLink, DriverError>, _ right: SessionRight, isReadOnly: Bool
    ) {
        switch result {
        case .failure(let error):
            countSessions(-1)
            operation.error = error
        case .success(let link):
            if isClosed {
                countSessions(-1)
                link.close()
                break
            }
            // There may have been a reload since.
            guard let right = renewed(right) else {
                countSessions(-1)
                link.close()
                operation.error = .stopped(.accessRevoked)
                break
            }
            let session = Session(name: nextSessionName(), link: link, right: right)
            sessions.append(session)
            context.statistics.sessionsOpened += 1
            context.statistics.notePeak(.sessionsPerConnection, sessions.count)
            context.statistics.sessionsOpen += 1
            withOutputStorage { replySession(operation, session, isReadOnly: isReadOnly) }
        }
        operationDidEnd(operation)
    }

    private func replySession(_ operation: Operation, _ session: Session, isReadOnly: Bool) {
        reply(RequestType.dbConnect.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writer.key("session", into: &output)
            writer.text(session.name, into: &output)
            writer.key("engine", into: &output)
            writer.text(session.link.engine.rawValue, into: &output)
            writer.key("server_version", into: &output)
            writer.text(session.link.serverVersion, into: &output)
            writer.key("read_only", into: &output)
            writer.bool(isReadOnly, into: &output)
            writer.key("transaction", into: &output)
            writer.text("none", into: &output)
        }
    }

    /// A database that the client names itself.
    private func adHocDatabase(_ url: UnsafeRawBufferPointer) throws(RequestError) -> SessionOpening {
        let text = String(decoding: url, as: UTF8.self)
        do throws(DriverError) {
            // Only a URL of somebody trusted makes the daemon load a client library.
            if DatabaseLocation.isRemote(text), !mayOpenURLs { throw urlDenied() }
            let location = try DatabaseLocation(url: text)
            if location.isMemory { return SessionOpening(try adHocDatabase(at: location), .none) }
            if isSuperuser { return try superuserDatabase(at: location) }
            guard mayOpenURLs else { throw urlDenied() }
            // A configured database is what its rules say, whatever it is called.
            let entries = context.catalog.entries(at: location)
            if entries.isEmpty { return SessionOpening(try adHocDatabase(at: location), .url) }
            let grants = entries.compactMap(grant)
            guard let grant = grants.first(where: { !$0.isReadOnly }) ?? grants.first else { throw urlDenied() }
            return SessionOpening(grant).readOnly(ifSaidBy: location)
        } catch {
            throw RequestError(error)
        }
    }

    /// A database of the configuration has one queue of writers, or one pool, whatever it is called.
    private func superuserDatabase(at location: DatabaseLocation) throws(DriverError) -> SessionOpening {
        let entry = context.catalog.entries.first { $0.database.location == location && $0.access == .readWrite }
        if let entry { return SessionOpening(entry.database, .url) }
        return SessionOpening(try adHocDatabase(at: location), .url)
    }

    private func urlDenied() -> DriverError {
        noteDenial(of: .url, nil)
        return DriverError(
            .permissionDenied, "You may not open this URL.",
            hint: "Open a database by name; \(Hint.databases)")
    }

    private func adHocDatabase(at location: DatabaseLocation) throws(DriverError) -> any Database {
        if case .remote(let server) = location { try server.checkClientURL() }
        return context.shared.adHocDatabases.database(
            at: location, settings: context.limits.driverSettings(loopCount: context.shared.loops.count),
            workers: context.shared.writers)
    }

    func closeSession(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(DisconnectRequest.self, of: head)
        guard
            let session = sessions.first(where: { $0.name.utf8.elementsEqual(request.session) && $0.isOpen })
        else { throw sessionNotFound(request.session) }
        if session.active != nil { try checkRoom() }
        session.isClosing = true
        let operation = makeOperation(head, .dbDisconnect, encoding)
        operation.session = session
        submit(operation)
    }

    /// Ends a session: an open transaction is rolled back.
    func endSession(_ operation: Operation) {
        guard let session = operation.session else { return }
        sessions.removeAll { $0 === session }
        context.statistics.sessionsOpen -= 1
        countSessions(-1)
        session.link.close()
        reply(RequestType.dbDisconnect.replyName, id: operation.id, encoding: operation.encoding) { _, _ in }
        operationDidEnd(operation)
    }
}
