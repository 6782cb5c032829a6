// What the client of a connection may do. It is decided at every request that names a database; the decision compares a few
// numbers, and none for a database without lists. A session keeps the right by which it was opened, and each reload checks
// that (`adoptRights`), so a reload takes effect at once.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// A configured database, as one client may use it.
struct Grant {
    let entry: CatalogEntry
    let access: DatabaseAccess

    var isReadOnly: Bool { access == .readOnly }
    /// A client with read-only access uses other connections if the engine is a server.
    var database: any Database { isReadOnly ? entry.databaseOfReaders : entry.database }
}

/// The right by which a session was opened.
enum SessionRight {
    /// A configured database, what its client may do with it, and where it was when the session was opened, with which that stays.
    case database(CatalogEntry, DatabaseAccess, opened: any DatabaseLocation)
    /// A URL of the client's.
    case url(any DatabaseLocation)
    /// A new memory database, which everybody may have.
    case none
}

extension Connection {
    /// Root, and the user as whom the daemon runs: they can read the files and end the process, so refusing them
    /// anything would not protect anything.
    var isSuperuser: Bool { owner.mayOpenFiles }

    /// Whether the client sees the data of all users and may make the daemon reload.
    var isAdministrator: Bool {
        isSuperuser || context.databases.service.administrators.contains(peer) { groupIDs }
    }

    /// Whether the configuration names the client as a monitor.
    var isNamedMonitor: Bool { !isSuperuser && context.databases.service.monitors.contains(peer) { groupIDs } }

    /// Whether the client sees what all users hold, without what they do.
    var seesEverybody: Bool { isAdministrator || isMonitor }

    /// Whether a monitor may send such a request.
    func mayMonitor(_ row: RequestRow) -> Bool {
        switch row.access {
        case .everybody: true
        case .usersAndAdministrators, .administrators: isAdministrator
        case .users: false
        }
    }

    /// The error for any other request.
    func refusalOfMonitor() -> RequestError {
        noteDenial(of: .request, nil)
        return RequestError(
            .permissionDenied, "This client may only ask how the daemon is.",
            hint: "For databases, "
                + (client.isFromMonitorSocket
                    ? "connect to the other socket, litebase.sock."
                    : "ask an administrator to take the user out of access.monitors."))
    }

    /// Whether the client may open databases by a URL.
    var mayOpenURLs: Bool { isSuperuser || context.databases.service.adHoc.contains(peer) { groupIDs } }

    /// The client's access to a database, apart from whether it is disabled; `nil`: none, and the client may not know
    /// of it.
    func access(to entry: CatalogEntry) -> DatabaseAccess? {
        if isMonitor { return nil }
        if isSuperuser || entry.isOpen { return entry.access }
        return entry.configuration.rules.access(of: peer, most: entry.access) { groupIDs }
    }

    func grant(_ entry: CatalogEntry) -> Grant? {
        entry.problem == nil ? access(to: entry).map { Grant(entry: entry, access: $0) } : nil
    }

    /// The database of that name, or the default one, with the client's access.
    func findDatabase(_ name: UnsafeRawBufferPointer?) throws(RequestError) -> Grant {
        let entry = if let name { context.databases.find(name) } else { context.databases.defaultEntry }
        guard let entry else { throw denial(of: nil, asked: name) }
        guard let access = access(to: entry) else { throw denial(of: entry, asked: name) }
        if let problem = entry.problem { throw disabled(entry, problem) }
        watch.name(entry)
        return Grant(entry: entry, access: access)
    }

    /// The same for a monitor, who may ask every database whether it answers.
    func findWatchedDatabase(_ name: UnsafeRawBufferPointer?) throws(RequestError) -> Grant {
        let entry = if let name { context.databases.find(name) } else { context.databases.defaultEntry }
        guard let entry else {
            throw name.map { .databaseNotFound($0, among: nameList(context.databases.entries)) } ?? .noDefaultDatabase
        }
        if let problem = entry.problem { throw disabled(entry, problem) }
        return Grant(entry: entry, access: entry.access)
    }

    private func denial(of entry: CatalogEntry?, asked name: UnsafeRawBufferPointer?) -> RequestError {
        // The same text and the same time for a database that does not exist and for one that this client may not use.
        noteDenial(of: .database, entry?.configuration.name)
        let known = context.databases.entries.prefix(Self.suggestedCountMax).filter { access(to: $0) != nil }
        return name.map { .databaseNotFound($0, among: nameList(known)) } ?? .noDefaultDatabase
    }

    private func nameList(_ entries: some Sequence<CatalogEntry>) -> [String] {
        entries.prefix(Self.suggestedCountMax).map(\.configuration.name)
    }

    /// Among so many databases a near name is looked for: each costs the loop up to some microseconds.
    private static let suggestedCountMax = 100

    /// The names in lists are only for those who can read the configuration.
    private func disabled(_ entry: CatalogEntry, _ problem: String) -> RequestError {
        RequestError(
            .connectFailed,
            "The database \"\(entry.configuration.name)\" is disabled by a mistake in the configuration.",
            hint: seesEverybody
                ? "Correct the list, then reload; \"litebased --check-config\" names file and line."
                : "Ask an administrator: \"litebased --check-config\" names the mistake."
        ).with {
            $0.detail = seesEverybody ? "\(entry.configuration.name): \(problem)." : nil
            $0.isRetryable = false
        }
    }

    /// Records a denial for the log, which a worker writes. Without the name of a database, nothing is logged.
    func noteDenial(of right: DeniedRight, _ database: String?) {
        context.shared.denials.note(
            Denial(
                connection: number, peer: peer, right: right, database: database,
                ageNanoseconds: MonotonicInstant.now.nanoseconds(since: client.opened)))
    }

    // MARK: Reload

    /// Ends what the client has lost the right to; called when a new configuration takes effect on this loop.
    func adoptRights() {
        isMonitor = client.isFromMonitorSocket || isNamedMonitor
        if sessions.open.isEmpty && inFlight.isEmpty { return }
        withOutputStorage {
            for session in sessions.open {
                if let right = renewed(session.right) { session.right = right } else { revoke(session) }
            }
            for operation in inFlight.operations
            where operation.session == nil && operation.row.traits.contains(.isStoppable) {
                // A monitor may continue to ask databases whether they answer.
                let isCheck = !operation.isStatement && operation.transfer == nil
                guard let name = operation.databaseName, !isMonitor || !isCheck else { continue }
                let former: DatabaseAccess = operation.mayWrite ? .readWrite : .readOnly
                guard let entry = renewed(former, on: name), let grant = grant(entry),
                    operation.location.map({ mayStay($0, grant, former) }) ?? true
                else {
                    stop(operation, .accessRevoked)
                    continue
                }
                if let link = operation.link as? any ListeningLink, !link.listens(to: grant.database) {
                    stop(operation, .databaseReplaced)
                }
            }
            finishTurn()
        }
    }

    /// The right of a session according to the present configuration; `nil` if it is lost.
    func renewed(_ right: SessionRight) -> SessionRight? {
        switch right {
        case .none: right
        case .url(let location): mayOpenURLs && mayStay(location, nil, .readWrite) ? right : nil
        case .database(let entry, let former, let opened):
            renewed(former, on: entry.configuration.name).flatMap { entry in
                mayStay(opened, grant(entry), former) ? .database(entry, former, opened: opened) : nil
            }
        }
    }

    /// Whether the client may go on with a database that it has open. Its name may have come to mean another one, and the database
    /// may have another name by now, with other users.
    /// - Parameters:
    ///   - location: of what is open.
    ///   - grant: by its name, which may mean something else; `nil` without a name.
    ///   - former: what the client may do with it.
    /// - Returns: false if it is kept from the client by now.
    private func mayStay(_ location: any DatabaseLocation, _ grant: Grant?, _ former: DatabaseAccess) -> Bool {
        if isSuperuser || grant?.database.location.isSame(as: location) == true { return true }
        let entries = context.databases.entries(at: location)
        // Of a database without a name, nobody has said who may use it.
        return entries.isEmpty
            || entries.contains { entry in
                self.grant(entry).map { !$0.isReadOnly || former == .readOnly } ?? false
            }
    }

    private func renewed(_ former: DatabaseAccess, on name: String) -> CatalogEntry? {
        guard let entry = context.databases.find(name), let access = grant(entry)?.access else { return nil }
        return access == .readWrite || former == .readOnly ? entry : nil
    }

    /// Ends a session at once: stops what runs, drops what waits, rolls back its transaction.
    private func revoke(_ session: Session) {
        noteDenial(of: .session, session.link.databaseName)
        revoke(session, .revoked) { stop($0, .accessRevoked) }
    }
}
