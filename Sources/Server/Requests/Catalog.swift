// `catalog`: from a decoded request to rows of a catalog.

internal import Catalog
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension CatalogRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startCatalog(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyCatalog(operation) }
}

extension Connection {
    func startCatalog(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(CatalogRequest.self, of: request.head)
        let wanted = try CatalogWanted(content)
        var (route, database) = try namedRoute(content.target)
        // The turn of the session is not needed, nor its connection.
        if let grant = ownGrant(route) { route = self.route(by: grant) }
        let engine = route.link.engine
        guard let source = engine.catalog else { throw Self.noCatalog(engine.name) }
        if content.pageRows != nil { try checkPagedQueryCount() }
        if source.needsOwnConnection, database == nil { throw Self.noName }
        let origin = CatalogOrigin(
            link: route.link, source: source, database: database, session: route.session?.name)
        let operation = makeOperation(request)
        route.link = CatalogLink(origin, wanted, context, account)
        assign(route, to: operation, timeout: content.timeoutMilliseconds)
        operation.rowCountMax = content.maxRows ?? .max
        operation.pageRowCount = content.pageRows
        operation.prepareRows(
            writer(request.encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: context.limits.bufferedByteCountPerUserMax)
        return try submitIfAffordable(operation)
    }

    /// The route of a statement, and the database that it leads to, if that has a name.
    func namedRoute(_ target: Target) throws(RequestError) -> (Route, (any Database)?) {
        guard target.session == nil else {
            let route = try route(target)
            guard case .database(let entry, let access, _) = route.session?.right else { return (route, nil) }
            return (route, Grant(entry: entry, access: access).database)
        }
        let grant = try findDatabase(target.database)
        return (route(by: grant), grant.database)
    }

    /// In a session of which the engine tells nothing that others do not see: the database, as for a request without a session.
    private func ownGrant(_ route: Route) -> Grant? {
        guard let session = route.session, session.link.engine.catalog?.needsOwnConnection == true,
            case .database(let entry, let access, _) = session.right
        else { return nil }
        return Grant(entry: entry, access: access)
    }

    private static let noName = RequestError(
        .badRequest, "The catalog of a server is told of configured databases only.",
        hint: "Ask by the name of a database instead of a session on a URL."
    ).with { $0.sqlState = "0A000" }

    private static func noCatalog(_ engine: String) -> RequestError {
        RequestError(
            .badRequest, "Databases of the engine \(engine) have no catalog that could be asked for.",
            hint: "Ask by statements of the engine's own."
        ).with { $0.sqlState = "0A000" }
    }

    /// A statement for a server may have changed what the catalogs of its database say: that is known before its reply is sent.
    func noteChange(by operation: Operation) {
        guard let link = operation.link, operation.isStatement, link.engine.placement == .server,
            let catalog = link.engine.catalog
        else { return }
        if case .statement = operation.kind {
            guard catalog.mayChange(operation.sql) else { return }
        } else if !catalog.batchesMayChange {
            return
        }
        context.shared.catalogs.doubt(link.databaseName)
    }

    func replyCatalog(_ operation: Operation) {
        guard let link = operation.link as? CatalogLink else { preconditionFailure("a catalog came from nowhere") }
        var answer = CatalogReply()
        answer.rowCount = operation.rowCount
        if operation.isTruncated { answer.isTruncated = true }
        if link.isUnchanged { answer.isUnchanged = true }
        answer.etag = link.etag
        answer.transaction = operation.session?.link.transaction.name
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        operation.rows.finish(answer, hasRows: !link.isUnchanged)
        sendRows(of: operation)
    }
}

extension CatalogWanted {
    /// They are copied on the loop.
    private static let nameByteCountMax = 64 << 10

    /// What a request asks for.
    /// - Throws: the level or a kind is unknown, or the search text too long.
    init(_ content: CatalogRequest) throws(RequestError) {
        let name = String(decoding: content.level, as: UTF8.self)
        guard let level = CatalogLevel(name: name) else {
            throw RequestError(
                .badRequest, "\"level\" must be one of \(CatalogLevel.allCases.map(\.name).joined(separator: ", ")).")
        }
        for (name, text) in [("namespace", content.namespace), ("relation", content.relation), ("etag", content.etag)] {
            guard (text?.count ?? 0) <= Self.nameByteCountMax else {
                throw RequestError(.badRequest, "\"\(name)\" has more than \(Self.nameByteCountMax) bytes.")
            }
        }
        query = CatalogQuery(level: level)
        query.namespace = content.namespace.map { Array($0) }
        query.relation = content.relation.map { Array($0) }
        if let match = content.match, !match.isEmpty {
            guard match.count <= CatalogPattern.byteCountMax else {
                throw RequestError(.badRequest, "\"match\" has more than \(CatalogPattern.byteCountMax) bytes.")
            }
            query.pattern = CatalogPattern(match)
        }
        if let kinds = content.kinds {
            query.kinds = .none
            for kind in kinds where !query.kinds.insert(named: kind) {
                throw RequestError(
                    .badRequest,
                    "\"kinds\" may have \(CatalogKind.allCases.map { "\($0.name)" }.joined(separator: ", ")).")
            }
        }
        definitions = content.definitions
        refresh = content.refresh
        etag = content.etag.map { String(decoding: $0, as: UTF8.self) }
    }
}
