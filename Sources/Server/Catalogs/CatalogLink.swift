// A `catalog` request on its way: is there a catalog that holds, and if not, filling one; then its rows.

internal import Catalog
internal import DatabaseContract
internal import LinuxSystem

/// What one request wants.
struct CatalogWanted {
    var query: CatalogQuery
    var definitions: Bool
    var refresh: Bool
    /// What the client has from an earlier reply.
    var etag: String?
}

/// Where a catalog comes from.
struct CatalogOrigin {
    /// What runs the statements.
    var link: any DatabaseLink
    var source: any CatalogSource
    /// `nil` for a session on a database without a name.
    var database: (any Database)?
    /// The session in which it runs.
    var session: String?
}

/// Runs one `catalog` request, as a link to the database would: for the connection it is one run, whatever it takes.
///
/// Its stages: the engine is asked for its fingerprint; if no catalog holds, the engine's statements fill one, a worker puts it in
/// order, another one searches it if need be; then its rows go out, a frame at a time. Nothing that grows with the catalog is done
/// on the loop but the rows of one frame.
/// - Thread: its loop's.
final class CatalogLink: DatabaseLink {
    private enum Stage {
        case idle
        /// A statement of the engine's.
        case asking(InnerRun)
        /// Another request fills the catalog.
        case waiting(UInt64)
        /// A worker has the index.
        case working
        case writing
    }

    let origin: CatalogOrigin
    private let context: LoopContext
    private let account: UserAccount
    private let wanted: CatalogWanted
    private var stage = Stage.idle
    private var operation: Operation?
    private var owner = LinkOwner.nobody
    /// What a call returns, while one is under way; otherwise it is told.
    private var result: RunOutcome?
    private var isInCall = false

    private var namespaces: [String] = []
    private var fingerprint = ""
    private var doubts: UInt64 = 0
    /// Where it is to be read anew, the last filling that had begun when that was asked for.
    private var refreshBehind: UInt64?
    /// This request fills the catalog of the key.
    private var filling: CatalogFilling?
    private var rows: CatalogRows?
    /// Of what is read in several frames: it stays for that as it was, whatever the cache has by then.
    private var charge: AccountCharge?
    private(set) var etag = ""
    private(set) var isUnchanged = false

    private var cache: CatalogCache { context.shared.catalogs }
    private var byteCountMax: Int { context.limits.catalogByteCountMax }

    init(_ origin: CatalogOrigin, _ wanted: CatalogWanted, _ context: LoopContext, _ account: UserAccount) {
        self.origin = origin
        self.wanted = wanted
        self.context = context
        self.account = account
    }

    // MARK: As a link

    var databaseName: String { origin.link.databaseName }
    var engine: Engine { origin.link.engine }
    var serverVersion: String { origin.link.serverVersion }
    var transaction: TransactionState { origin.link.transaction }
    func pressure(on uid: UInt32) -> LinkPressure { .none }
    func close() {}

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        operation = run as? Operation
        self.owner = owner
        return call { self.begin() }
    }

    func resume(_ run: StatementRun) -> RunOutcome {
        guard case .writing = stage, let operation else { return .pending }
        operation.sink.reopen()
        return call { self.write() }
    }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        run.requestStop(reason)
        return call {
            switch self.stage {
            case .asking(let inner):
                if self.filling?.link.stop(inner, reason) ?? self.origin.link.stop(inner, reason) == .ended {
                    inner.onEnd()
                }
            case .waiting(let number):
                self.cache.stopWaiting(number, for: self.key, of: self.owner.uid)
                self.end(.stopped(reason))
            case .writing: self.end(.stopped(reason))
            // The worker looks at the flag.
            case .idle, .working: break
            }
        }
    }

    /// Calls, and returns what has come of it; what comes later is told.
    private func call(_ body: () -> Void) -> RunOutcome {
        isInCall = true
        result = nil
        body()
        isInCall = false
        return result ?? .pending
    }

    private func settle(_ outcome: RunOutcome) {
        if isInCall {
            result = outcome
        } else if let operation {
            outcome.tell(operation)
        }
    }

    private func end(_ error: DriverError?) {
        if let error { operation?.error = error }
        filling?.close(nil, cache, byteCountMax)
        filling = nil
        stage = .idle
        rows = nil
        charge = nil
        refreshBehind = nil
        settle(.ended)
        operation = nil
    }

    // MARK: Whether a catalog holds

    private var key: CatalogKey {
        CatalogKey(database: origin.database.map { ObjectIdentifier($0) }, session: origin.session)
    }

    /// As everybody sees it who has no session.
    private var sharedKey: CatalogKey? {
        origin.database.map { CatalogKey(database: ObjectIdentifier($0), session: nil) }
    }

    private func begin() {
        doubts = cache.doubts(of: origin.link.databaseName)
        // What is filled for one who wants it read anew does for all who wanted it before that began.
        if wanted.refresh, refreshBehind == nil { refreshBehind = cache.lastFilling }
        if let known = cache.find(key, behind: refreshBehind), known.doubts == doubts, isTrusted(known) {
            return serve(known.index)
        }
        guard origin.session != nil, let text = origin.source.namespaceText else {
            namespaces = origin.source.namespaces ?? []
            return askFingerprints()
        }
        let sink = CatalogTextSink()
        ask(text, sink) {
            self.namespaces = sink.firsts
            self.askFingerprints()
        }
    }

    /// It was found to hold a short time ago.
    private func isTrusted(_ known: CachedCatalog) -> Bool {
        guard origin.source.trustMilliseconds > 0, !wanted.definitions || known.index.hasDefinitions else {
            return false
        }
        return context.loop.now.nanoseconds(since: known.checked) < origin.source.trustMilliseconds * 1_000_000
    }

    private var wish: CatalogWish {
        CatalogWish(
            namespaces: namespaces, definitions: wanted.definitions, serverVersion: origin.link.serverVersion,
            location: origin.database?.location)
    }

    private func askFingerprints() {
        fingerprint = namespaces.joined(separator: "\u{1f}") + "\u{1e}"
        askFingerprint(origin.source.fingerprints(wish)[...]) {
            guard $0 else { return self.compare() }
            self.askFingerprint(self.origin.source.exactFingerprints(self.wish)[...]) { _ in self.compare() }
        }
    }

    /// Asks them one after the other, and passes on whether none had a value.
    private func askFingerprint(_ texts: ArraySlice<String>, isEmpty: Bool = true, _ done: @escaping (Bool) -> Void) {
        guard let text = texts.first else { return done(isEmpty) }
        let sink = CatalogTextSink()
        ask(text, sink) {
            self.fingerprint += sink.text + "\u{1e}"
            self.askFingerprint(texts.dropFirst(), isEmpty: isEmpty && sink.isEmpty, done)
        }
    }

    private func compare() {
        let contentNumber = origin.database?.contentNumber ?? 0
        let mayBelieve = origin.source.mayBelieveFingerprint(of: namespaces)
        for key in [key, sharedKey].compactMap({ $0 }) where mayBelieve {
            guard let known = cache.find(key, behind: refreshBehind), known.fingerprint == fingerprint,
                known.contentNumber == contentNumber,
                known.doubts == doubts,
                !wanted.definitions || known.index.hasDefinitions
            else { continue }
            cache.noteCheck(key, at: context.loop.now)
            return serve(known.index)
        }
        fill()
    }

    /// Runs a statement of the engine's.
    /// - Parameters:
    ///   - text: the statement.
    ///   - sink: takes its rows.
    ///   - goesOn: whether an error of it is no matter.
    ///   - done: called when it was answered.
    private func ask(
        _ text: String, _ sink: RowSink, goesOn: @escaping (DriverError) -> Bool = { _ in false },
        _ done: @escaping () -> Void
    ) {
        let inner = InnerRun(text, sink, mayWrite: origin.session != nil)
        let link = filling?.link ?? origin.link
        stage = .asking(inner)
        inner.onFill = { [unowned inner] in self.goOn(link.resume(inner), inner) }
        inner.onEnd = { [unowned inner] in
            guard case .asking = self.stage else { return }
            self.stage = .idle
            inner.onFill = {}
            let error = inner.error
            inner.onEnd = {}
            self.answered(error.flatMap { goesOn($0) ? nil : $0 }, sink, done)
        }
        goOn(link.start(inner, for: owner), inner)
    }

    private func goOn(_ outcome: RunOutcome, _ inner: InnerRun) {
        switch outcome {
        case .pending: break
        case .filled: inner.onFill()
        case .ended: inner.onEnd()
        }
    }

    private func answered(_ error: DriverError?, _ sink: RowSink, _ done: () -> Void) {
        // The engine may keep the run for its next one.
        defer { (sink as? CatalogSink)?.release() }
        if let reason = operation?.stopReason { return end(.stopped(reason)) }
        if let failure = (sink as? CatalogSink)?.failure { return end(.catalog(failure)) }
        if let error { return end(error) }
        done()
    }

    // MARK: Filling

    private func fill() {
        // A session's own view is not kept while its transaction may still be undone.
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        if let number = cache.beginFilling(key, for: owner.uid, wake: { mailbox.submit { here.wrapped.wake() } }) {
            stage = .waiting(number)
            return
        }
        guard origin.source.needsOwnConnection, let database = origin.database else {
            return fill(origin.link)
        }
        stage = .working
        let session = SessionRequest(owner: owner, isReadOnly: origin.source.ownConnectionIsReadOnly, clientName: nil)
        if let opening = database.openSession(session, context.drivers, done: { self.opened($0) }) { opened(opening) }
    }

    private func opened(_ opening: SessionOpening) {
        switch opening {
        case .success(let link): fill(link)
        case .failure(let error):
            cache.endFilling(key, for: owner.uid, nil, byteCountMax: byteCountMax)
            end(error)
        }
    }

    private func fill(_ link: any DatabaseLink) {
        let filling = CatalogFilling(
            link, isOwn: link !== origin.link, origin, key, owner.uid, wanted, wish, AccountCharge(account),
            byteCountMax)
        self.filling = filling
        stage = .idle
        if let reason = operation?.stopReason { return end(.stopped(reason)) }
        fillLevel(filling.statements[...])
    }

    private func wake() {
        guard case .waiting = stage else { return }
        stage = .idle
        if let reason = operation?.stopReason { return end(.stopped(reason)) }
        begin()
    }

    private func fillLevel(_ statements: ArraySlice<CatalogStatement>) {
        guard let filling else { return }
        let left = statements.drop { $0.isForUntoldColumns && filling.builder.untoldCount == 0 }
        guard let statement = left.first else { return walk() }
        let sink = filling.sink(statement.level)
        ask(statement.text, sink) {
            (sink as? CatalogSink)?.finish()
            if let failure = (sink as? CatalogSink)?.failure { return self.end(.catalog(failure)) }
            self.fillLevel(left.dropFirst())
        }
    }

    /// Asks what the engine finds out step by step.
    private func walk() {
        guard let filling, let walk = filling.walk else { return putInOrder() }
        let text = walk.next(at: context.loop.now)
        filling.charge()
        guard let text else { return putInOrder() }
        ask(text, walk.sink, goesOn: walk.goesOn) { self.walk() }
    }

    /// Has a worker make the index.
    private func putInOrder() {
        guard let filling else { return }
        stage = .working
        let (builder, walk) = (filling.builder, filling.walk)
        onWorker({ () -> Result<CatalogIndex, CatalogError> in
            do throws(CatalogError) { try walk?.finish(into: builder) } catch { return .failure(error) }
            return .success(builder.finish())
        }) { made in
            guard case .success(let index) = made else {
                if case .failure(let error) = made { self.end(.catalog(error)) }
                return
            }
            let catalog = CachedCatalog(
                index: index, fingerprint: self.fingerprint, contentNumber: self.origin.database?.contentNumber ?? 0,
                checked: self.context.loop.now, doubts: self.doubts)
            let isLasting = self.origin.session == nil || self.origin.link.transaction == .none
            filling.close(isLasting ? catalog : nil, self.cache, self.byteCountMax)
            self.filling = nil
            self.serve(index)
        }
    }

    /// Does something on a worker's thread, then goes on here, unless the request was stopped.
    private func onWorker<Result: Sendable>(
        _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        let mailbox = context.loop.mailbox
        let here = LoopBound(then, mailbox)
        let link = LoopBound(self, mailbox)
        context.shared.longReadWorkers.submit(for: owner.uid) {
            let result = work()
            mailbox.submit {
                if let reason = link.wrapped.operation?.stopReason { return link.wrapped.end(.stopped(reason)) }
                here.wrapped(result)
            }
        }
    }

    // MARK: Rows

    private func serve(_ index: CatalogIndex) {
        etag = index.etag(definitions: wanted.definitions)
        if wanted.etag == etag {
            isUnchanged = true
            return end(nil)
        }
        let query = wanted.query
        guard query.needsSearch else { return serve(index, index.select(query) ?? .numbers([])) }
        stage = .working
        let countMax = Int(clamping: operation?.rowCountMax ?? .max)
        guard let operation else { return }
        onWorker({
            index.select(query, countMax: countMax == .max ? countMax : countMax + 1) { operation.stopReason == nil }
        }) {
            self.serve(index, $0 ?? .numbers([]))
        }
    }

    private func serve(_ index: CatalogIndex, _ selection: CatalogSelection) {
        let rows = CatalogRows(index, wanted.query.level, selection, definitions: wanted.definitions)
        self.rows = rows
        stage = .writing
        operation?.sink.mayRefuse = true
        operation?.sink.begin(rows.columns)
        write()
    }

    /// Writes one frame.
    private func write() {
        guard let operation, var rows else { return }
        let sink = operation.rows
        var outcome = RunOutcome.pending
        while outcome == .pending {
            guard let number = rows.next() else {
                outcome = .ended
                break
            }
            if operation.rowCount >= operation.rowCountMax {
                operation.isTruncated = true
                outcome = .ended
                break
            }
            sink.beginRow()
            rows.write(number, to: sink)
            switch sink.endRow() {
            case .open: operation.rowCount += 1
            case .full:
                operation.rowCount += 1
                outcome = .filled
            case .overflow: return end(.catalogRowTooLarge(sink.rowByteCountMax))
            }
        }
        self.rows = rows
        if outcome == .ended { return end(nil) }
        if charge == nil {
            charge = AccountCharge(account)
            charge?.set(rows.index.byteCount)
        }
        settle(outcome)
    }
}

/// A catalog that one request fills.
final class CatalogFilling {
    let link: any DatabaseLink
    private let isOwn: Bool
    let builder: CatalogBuilder
    let statements: [CatalogStatement]
    let walk: (any CatalogWalk)?
    private let source: any CatalogSource
    private let key: CatalogKey
    private let uid: UInt32
    private let accountCharge: AccountCharge

    init(
        _ link: any DatabaseLink, isOwn: Bool, _ origin: CatalogOrigin, _ key: CatalogKey, _ uid: UInt32,
        _ wanted: CatalogWanted, _ wish: CatalogWish, _ charge: AccountCharge, _ byteCountMax: Int
    ) {
        self.link = link
        self.isOwn = isOwn
        source = origin.source
        self.key = key
        self.uid = uid
        accountCharge = charge
        builder = CatalogBuilder(
            isCaseSensitive: source.isCaseSensitive, keepsDefinitions: wanted.definitions, byteCountMax: byteCountMax)
        statements = source.statements(wish)
        walk = source.walk(wish)
    }

    /// Charges for what was found so far.
    func charge() { accountCharge.set(builder.byteCount + (walk?.byteCount ?? 0)) }

    func sink(_ level: CatalogLevel?) -> RowSink {
        guard let level else { return RowSink() }
        return CatalogSink(level, builder, source, accountCharge)
    }

    /// Lets others fill it, or use what was filled.
    func close(_ catalog: CachedCatalog?, _ cache: CatalogCache, _ byteCountMax: Int) {
        cache.endFilling(key, for: uid, catalog, byteCountMax: byteCountMax)
        // What its connection has open is undone.
        if isOwn { link.close() }
    }
}

extension DriverError {
    static func catalog(_ error: CatalogError) -> DriverError {
        switch error {
        case .tooLarge(let byteCountMax):
            DriverError(
                .limitExceeded,
                "What is in the database takes more than \(byteCountMax) bytes of memory (catalog_bytes_max).",
                hint: "Ask an administrator to raise limits.catalog_bytes_max.", sqlState: "53200"
            ).with { $0.limit = DriverLimit(name: LimitName.catalogBytes.name, value: Int64(byteCountMax)) }
        case .unfit(let level, let column):
            DriverError(
                .internalError, "The database tells something of \(level.name) that is not understood: \(column).",
                sqlState: "XX000")
        }
    }

    static func catalogRowTooLarge(_ byteCountMax: Int) -> DriverError {
        DriverError(
            .limitExceeded, "A row of the catalog is longer than \(byteCountMax) bytes (row_bytes_max).",
            hint: "Ask without definitions.", sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: LimitName.rowBytes.name, value: Int64(byteCountMax)) }
    }
}
