// `db_connect` and `db_disconnect`.

internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    func openSession(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try decoded { () throws(DecodeError) in try ConnectRequest(head.data) }
        try checkSessionCount()
        let database =
            if let url = request.url { try adHocDatabase(url) } else { try findDatabase(request.database).database }
        let isReadOnly = request.readOnly
        let operation = makeOperation(head, .dbConnect, encoding)
        operation.progress = .running
        track(operation)
        countSessions(1)
        database.openSession(SessionRequest(owner: owner, isReadOnly: isReadOnly), context.drivers) { [self] result in
            sessionOpened(operation, result, isReadOnly: isReadOnly || database.isReadOnly)
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
        _ operation: Operation, _ result: Result<any DatabaseLink, DriverError>, isReadOnly: Bool
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
            let session = Session(name: nextSessionName(), link: link)
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
    private func adHocDatabase(_ url: UnsafeRawBufferPointer) throws(RequestError) -> any Database {
        let text = String(decoding: url, as: UTF8.self)
        do throws(DriverError) {
            // Only a URL of somebody trusted makes the daemon load a client library.
            if DatabaseLocation.isRemote(text), !owner.mayOpenFiles { throw Self.mayNotOpenURL }
            let location = try DatabaseLocation(url: text)
            guard location.isMemory || owner.mayOpenFiles else { throw Self.mayNotOpenURL }
            return adHocDatabase(at: location)
        } catch {
            throw RequestError(error)
        }
    }

    private static let mayNotOpenURL = DriverError(
        .permissionDenied, "Only the user whom the daemon runs as may open a URL.",
        hint: "Open a database by name; list_databases names those that you may open.")

    private func adHocDatabase(at location: DatabaseLocation) -> any Database {
        // A configured database has one queue of writers, or one pool, whatever it is called.
        if !location.isMemory,
            let entry = context.catalog.entries.first(where: { $0.database.location == location && !$0.isReadOnly })
        {
            return entry.database
        }
        return context.shared.adHocDatabases.database(
            at: location, settings: context.limits.driverSettings(loopCount: context.shared.loops.count),
            workers: context.shared.writers)
    }

    func closeSession(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try decoded { () throws(DecodeError) in try DisconnectRequest(head.data) }
        guard
            let session = sessions.first(where: { $0.name.utf8.elementsEqual(request.session) && !$0.isClosing })
        else { throw sessionNotFound(request.session) }
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
