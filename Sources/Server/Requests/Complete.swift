// `complete`: what may come next in a statement. It is answered from memory; no database is asked for it.

internal import Catalog
internal import Completion
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension CompleteRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError)
        -> RequestOutcome
    {
        try connection.complete(request)
    }
}

/// A `complete` request on its way through a worker.
private struct CompletionTask: @unchecked Sendable {
    /// Within the operation's storage, which stays until it is answered.
    let content: CompleteRequest
    let dialect: CompletionDialect?
    let names: any CompletionSchema & Sendable

    private static let defaultLimit = 50

    /// - Thread: a worker's.
    func run() -> CompletionList {
        guard let dialect else { return CompletionList(replace: content.cursor..<content.cursor) }
        return Completion.complete(
            content.sql, at: content.cursor, dialect: dialect, schema: names,
            limit: content.limit.map { Int(clamping: $0) } ?? Self.defaultLimit,
            recent: content.recent.map { String(decoding: $0, as: UTF8.self) })
    }
}

extension Connection {
    /// A worker looks for the items: how long that takes is up to the text and to the number of names.
    func complete(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(CompleteRequest.self, of: request.head)
        let place = try completionPlace(content.target)
        let operation = makeOperation(request)
        let dialect = CompletionDialect(engine: place.engine.name)
        let task = CompletionTask(
            content: content, dialect: dialect, names: names(place, dialect ?? .sqlite))
        operation.progress = .running
        track(operation)
        let mailbox = context.loop.mailbox
        let here = LoopBound((self, operation), mailbox)
        context.shared.completionWorkers.submit(for: owner.uid) {
            let list = task.run()
            mailbox.submit {
                let (connection, operation) = here.wrapped
                connection.finishCompletion(operation, list)
            }
        }
        return .pending
    }

    private func finishCompletion(_ operation: Operation, _ list: CompletionList) {
        if !isClosed { withOutputStorage { reply(CompleteReply(list), to: operation) } }
        operationDidEnd(operation)
    }

    // MARK: Names

    /// Whose names are wanted.
    private struct CompletionPlace {
        var engine: Engine
        /// `nil` for a session on a database without a name.
        var grant: Grant?
        var session: String?
    }

    private func completionPlace(_ target: Target) throws(RequestError) -> CompletionPlace {
        guard target.session != nil else {
            let grant = try findDatabase(target.database)
            return CompletionPlace(engine: grant.database.engine, grant: grant)
        }
        let route = try route(target)
        var place = CompletionPlace(engine: route.link.engine, session: route.session?.name)
        if case .database(let entry, let access, _) = route.session?.right {
            place.grant = Grant(entry: entry, access: access)
        }
        return place
    }

    /// What is known of a database by now: of a session, as it has asked for it, else as everybody sees it.
    private func names(_ place: CompletionPlace, _ dialect: CompletionDialect) -> any CompletionSchema & Sendable {
        let cache = context.shared.catalogs
        let database = place.grant.map { ObjectIdentifier($0.database) }
        let own = place.session.flatMap { cache.find(CatalogKey(database: database, session: $0)) }
        guard let grant = place.grant, let database, let source = grant.database.engine.catalog else {
            guard let own else { return NoNames(isComplete: true) }
            return CatalogNames(index: own.index, dialect: dialect, isComplete: true)
        }
        let shared = cache.find(CatalogKey(database: database, session: nil))
        let holds = look(at: shared, of: grant, source)
        guard let catalog = own ?? shared else { return NoNames(isComplete: false) }
        return CatalogNames(index: catalog.index, dialect: dialect, isComplete: holds)
    }

    /// Has the catalog of a database compared with what the engine says of its state, and filled if it differs; nobody waits for it. A
    /// file says it at once, for each request; servers are asked once in a while.
    /// - Returns: whether the catalog is known to hold.
    private func look(at known: CachedCatalog?, of grant: Grant, _ source: any CatalogSource) -> Bool {
        let database = ObjectIdentifier(grant.database)
        let doubts = context.shared.catalogs.doubts(of: context.link(by: grant).databaseName)
        let isFile = source.trustMilliseconds == 0
        let holds = !isFile && known?.doubts == doubts
        let refreshes = context.shared.completionRefreshes
        let now = context.loop.now
        guard refreshes.begin(database, isFile: isFile, doubts: doubts, known: known?.checked, at: now) else {
            return holds
        }
        let origin = CatalogOrigin(
            link: context.link(by: grant), source: source, database: grant.database, session: nil)
        let wanted = CatalogWanted(
            query: CatalogQuery(level: .namespaces), definitions: false, refresh: false,
            etag: known?.index.etag(definitions: false))
        let link = CatalogLink(origin, wanted, context, account)
        _ = link.start(InnerRun("", RowSink(), mayWrite: false), for: owner)
        guard link.isUnchanged else { return holds }
        refreshes.end(database)
        return true
    }
}

/// When the catalogs of databases were last looked at for completion: whatever is typed, a catalog that cannot be filled is not tried
/// at each key.
/// - Thread: any.
final class CompletionRefreshes: Sendable {
    private struct Look {
        var time: MonotonicInstant
        var doubts: UInt64
        /// When the catalog that there was had been found to hold.
        var known: MonotonicInstant?
        /// It was found to hold at once.
        var isEnded = false
    }

    private let looks = Mutex<[ObjectIdentifier: Look]>([:])

    private static let intervalNanoseconds: Int64 = 1_000_000_000
    /// While there is none.
    private static let emptyIntervalNanoseconds: Int64 = 5_000_000_000
    private static let countMax = 4_096

    /// - Returns: whether it is time to look.
    func begin(
        _ database: ObjectIdentifier, isFile: Bool, doubts: UInt64, known: MonotonicInstant?, at now: MonotonicInstant
    ) -> Bool {
        looks.withLock { looks in
            if let last = looks[database], last.doubts == doubts, !(isFile && (last.isEnded || last.known != known)) {
                let interval = known == nil ? Self.emptyIntervalNanoseconds : Self.intervalNanoseconds
                if now.nanoseconds(since: last.time) < interval { return false }
            }
            // A database that is gone is not looked at again.
            if looks.count >= Self.countMax { looks.removeAll() }
            looks[database] = Look(time: now, doubts: doubts, known: known)
            return true
        }
    }

    /// The catalog was found to hold.
    func end(_ database: ObjectIdentifier) { looks.withLock { $0[database]?.isEnded = true } }
}

/// Nothing is known of the database, only its language.
private struct NoNames: CompletionSchema {
    let isComplete: Bool

    func namespaces(matching pattern: NamePattern, limit: Int) -> [String] { [] }
    func hasNamespace(_ name: String) -> Bool { false }
    func relations(matching pattern: NamePattern, in namespace: String?, limit: Int)
        -> [CompletionRelation]
    { [] }
    func relation(named name: String, in namespace: String?) -> CompletionRelation? { nil }
    func columns(of relation: CompletionRelation) -> [CompletionColumn] { [] }
    func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey] { [] }
    func routines(matching pattern: NamePattern, in namespace: String?, limit: Int)
        -> [CompletionRoutine]
    { [] }
    func types(matching pattern: NamePattern, limit: Int) -> [String] { [] }
}

extension CompleteReply {
    fileprivate init(_ list: CompletionList) {
        self.init()
        replace.from = Int64(list.replace.lowerBound)
        replace.to = Int64(list.replace.upperBound)
        items = list.items.map(Item.init)
        isIncomplete = list.isIncomplete ? true : nil
    }
}

extension CompleteReply.Item {
    fileprivate init(_ item: CompletionItem) {
        self.init()
        text = item.text
        label = item.label
        kind = item.kind.rawValue
        detail = item.detail.isEmpty ? nil : item.detail
        relation = item.relation.isEmpty ? nil : item.relation
    }
}
