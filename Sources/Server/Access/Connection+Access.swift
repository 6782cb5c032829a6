// What the client of a connection may do. Asked at every request and never remembered, so that a reload is in force at
// once; the decision is a comparison of numbers, and for a database without lists not even that.

internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

/// A configured database, as one client may use it.
struct Grant {
    let entry: CatalogEntry
    let access: DatabaseAccess

    var isReadOnly: Bool { access == .readOnly }
    /// Who only reads has connections of his own where the engine is a server.
    var database: any Database { isReadOnly ? entry.databaseOfReaders : entry.database }
}

/// What a session was opened by.
enum SessionRight {
    /// A configured database, and what its client may do with it.
    case database(CatalogEntry, DatabaseAccess)
    /// A URL of the client's.
    case url
    /// A memory database of its own, which everybody may have.
    case none
}

extension Connection {
    /// Root, and the user whom the daemon runs as: they may read the files and end the process, so that nothing is gained
    /// by refusing them what the daemon can do.
    var isSuperuser: Bool { owner.mayOpenFiles }

    /// Whether the client sees what everybody does, and may make the daemon reload.
    var isAdministrator: Bool {
        isSuperuser || context.catalog.service.administrators.contains(peer) { groupIDs }
    }

    /// Whether the client may open databases by a URL.
    var mayOpenURLs: Bool { isSuperuser || context.catalog.service.adHoc.contains(peer) { groupIDs } }

    /// What the client may do with a database, were it not disabled; `nil`: nothing, and he is not to know of it.
    func access(to entry: CatalogEntry) -> DatabaseAccess? {
        if isSuperuser || entry.isOpen { return entry.access }
        return entry.configuration.rules.access(of: peer, most: entry.access) { groupIDs }
    }

    func grant(_ entry: CatalogEntry) -> Grant? {
        entry.problem == nil ? access(to: entry).map { Grant(entry: entry, access: $0) } : nil
    }

    /// The database of that name, or the default one, as the client may use it.
    func findDatabase(_ name: UnsafeRawBufferPointer?) throws(RequestError) -> Grant {
        let entry = if let name { context.catalog.find(name) } else { context.catalog.defaultEntry }
        guard let entry else { throw denial(of: nil, asked: name) }
        guard let access = access(to: entry) else { throw denial(of: entry, asked: name) }
        if let problem = entry.problem { throw disabled(entry, problem) }
        if let watch, watchedEntry != ObjectIdentifier(entry) {
            watchedEntry = ObjectIdentifier(entry)
            watch.name(entry.configuration.name)
        }
        return Grant(entry: entry, access: access)
    }

    private func denial(of entry: CatalogEntry?, asked name: UnsafeRawBufferPointer?) -> RequestError {
        // The same for a database that there is not and for one that is not this client's, in words and in time.
        noteDenial(of: .database, entry?.configuration.name)
        return name.map(RequestError.databaseNotFound) ?? .noDefaultDatabase
    }

    /// Names of others are for those who can read the configuration.
    private func disabled(_ entry: CatalogEntry, _ problem: String) -> RequestError {
        RequestError(
            .connectFailed,
            "The database \"\(entry.configuration.name)\" is disabled by a mistake in the configuration.",
            hint: isAdministrator
                ? "Correct the list, then reload; \"litebased --check-config\" names file and line."
                : "Ask an administrator: \"litebased --check-config\" names the mistake."
        ).with {
            $0.detail = isAdministrator ? "\(entry.configuration.name): \(problem)." : nil
            $0.isRetryable = false
        }
    }

    /// Remembers a denial for the log, which is written elsewhere. Without a name of a database there is none, and nothing
    /// to be logged.
    func noteDenial(of right: DeniedRight, _ database: String?) {
        context.shared.denials.note(
            Denial(
                connection: number, peer: peer, right: right, database: database,
                ageNanoseconds: MonotonicInstant.now.nanoseconds(since: opened)))
    }

    // MARK: Reload

    /// Ends what the client has lost the right to; called when a new catalog is in force on this loop.
    func adoptRights() {
        if sessions.isEmpty && inFlight.isEmpty { return }
        withOutputStorage {
            for session in sessions {
                if let right = renewed(session.right) { session.right = right } else { revoke(session) }
            }
            for operation in inFlight where operation.session == nil && operation.isStoppable {
                guard let name = operation.databaseName else { continue }
                let former: DatabaseAccess = operation.mayWrite ? .readWrite : .readOnly
                if renewed(former, on: name) == nil { stop(operation, .accessRevoked) }
            }
            finishTurn()
        }
    }

    /// The right of a session by the catalog that is in force now; `nil` when it is lost.
    func renewed(_ right: SessionRight) -> SessionRight? {
        switch right {
        case .none: right
        case .url: mayOpenURLs ? right : nil
        case .database(let entry, let former):
            renewed(former, on: entry.configuration.name).map { .database($0, former) }
        }
    }

    private func renewed(_ former: DatabaseAccess, on name: String) -> CatalogEntry? {
        guard let entry = context.catalog.find(name), let access = grant(entry)?.access else { return nil }
        return access == .readWrite || former == .readOnly ? entry : nil
    }

    /// Ends a session at once: what runs is stopped, what waits is not begun, its transaction is rolled back.
    private func revoke(_ session: Session) {
        noteDenial(of: .session, session.link.databaseName)
        session.isRevoked = true
        remember(ended: session.name, .revoked)
        for operation in session.waiting { stop(operation, .accessRevoked) }
        if let active = session.active { stop(active, .accessRevoked) } else { endRevoked(session) }
    }

    /// Gives up a revoked session that has nothing running any more.
    func endRevoked(_ session: Session) {
        guard session.active == nil, session.waiting.isEmpty,
            let index = sessions.firstIndex(where: { $0 === session })
        else { return }
        sessions.remove(at: index)
        context.statistics.sessionsOpen -= 1
        countSessions(-1)
        session.link.close()
    }
}
