// An `import` request on its way: the file is read by a worker, block after block, while the engine writes the rows of the block
// before.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import Tabular
internal import WireProtocol

/// What one request wants.
struct ImportWanted {
    var table: String
    var namespace: String?
    var columns: [String]?
    /// Of a file of text.
    var options: TabularOptions
    /// A stream of Arrow.
    var isArrow = false
    var encoding: TextEncoding?
    var create = false
    var isDryRun = false
    var isAtomic = false
    var rejectedCountMax = 0
    var progressMilliseconds: Int64?

    /// What the parts of the file are called of which each is a row.
    var placeName: String { isArrow ? "Row" : "Line" }
}

/// Where the rows go.
struct ImportPlace {
    /// What runs the statements of a request that is not atomic, or of a session.
    var link: any DatabaseLink
    /// For an atomic one outside of a session.
    var database: (any Database)?
    var isSession: Bool
    var mayWrite: Bool
    var loading: any RowLoading
}

/// Runs one `import` request, as a link to the database would: for the connection it is one run, whatever it takes.
///
/// Its stages: a worker looks at the first row; the engine is asked for the columns of the table, or makes it; then there are two
/// activities side by side: a worker reads and finds rows, and the engine writes those of the block before.
/// - Thread: its loop's.
final class ImportLink: FileReadingLink {
    enum Stage {
        case idle
        /// Until the file has answered.
        case head
        /// A statement around the rows.
        case asking(InnerRun)
        /// A connection of its own is being opened.
        case opening
        /// Rows are read, and written.
        case rows
        case ended
    }

    let wanted: ImportWanted
    let place: ImportPlace
    /// The session had a transaction when it began.
    private var isInOwnersTransaction = false
    let source: any ImportSource
    var stage = Stage.idle

    /// A connection of its own, for one transaction.
    private var ownLink: (any DatabaseLink)?
    /// It has begun a transaction of its own, whatever has come of that.
    private var hasBegunTransaction = false
    /// The table was made, and no rollback takes it away.
    private var hasKeptTable = false
    /// The engine has said that its rollback left rows where they are.
    private var hasKeptRows = false
    /// It counts among the sessions of its user.
    private var countsAsSession = false
    /// The transaction is being rolled back: whoever stops that would leave it open.
    private var isUndoing = false
    var isInTransaction = false
    var isInSavepoint = false
    /// Quoted, as are the columns.
    var table = ""
    var quotedNames: [String] = []
    var names: [String] = []
    /// What the values say of the columns of a table that is to be made.
    var types: [ColumnType]?
    /// The statement that was run last, and for how many rows.
    var lastText: (rowCount: Int, text: String)?
    private(set) var columns: [ImportedColumn] = []
    /// Those of them that are of texts.
    private(set) var textColumns: [Int] = []
    /// What the engine calls their types.
    private var engineTypes: [String?] = []
    private(set) var createText: String?
    var queue: ImportQueue

    /// Rows that were read and are not begun yet.
    var ready: ImportPart?
    /// Of which rows are being written.
    var writing: ImportPart?
    var running: (run: InnerRun, load: RowLoad)?
    var used: RowBlock?
    var byteCount: Int64 = 0
    private(set) var totalByteCount: Int64?
    /// Whether the block's own lines were looked at.
    var isTaken = false
    /// Why rows are written one by one: those of this block only, if one of them was refused.
    var goesSingly: RowLoad.WhySingly?
    /// Statements of encoded rows have not failed.
    var mayUseEncodedStatement = true
    /// One of them is too much: behind the rows before it nothing is written.
    var lineFailure: DriverError?
    /// For the blocks that were read.
    let blockCharge: AccountCharge

    init(
        _ wanted: ImportWanted, _ place: ImportPlace, _ file: PassedFile, _ context: LoopContext,
        _ account: UserAccount
    ) {
        self.wanted = wanted
        self.place = place
        blockCharge = AccountCharge(account)
        let limits = context.limits
        source =
            wanted.isArrow
            ? ArrowImportSource(
                file, rowByteCountMax: limits.rowByteCountMax, writesZoneOffsets: place.loading.takesZoneOffsets,
                account, accountByteCountMax: limits.bufferedByteCountPerUserMax)
            : TextImportSource(
                file, wanted.options, wanted.encoding, rowByteCountMax: limits.rowByteCountMax,
                account, accountByteCountMax: limits.bufferedByteCountPerUserMax)
        queue = ImportQueue(
            rejectedCountMax: wanted.rejectedCountMax, pieceRowCountMax: .max,
            tellsRefusedRow: place.loading.tellsRefusedRow, placeName: wanted.placeName)
        super.init(place.link, context, account)
    }

    // MARK: As a link

    override var link: any DatabaseLink { ownLink ?? place.link }
    override var holdsTransaction: Bool { isInTransaction || super.holdsTransaction }
    override func pressure(on uid: UInt32) -> LinkPressure { link.pressure(on: uid) }

    override func begin() {
        isInOwnersTransaction = place.isSession && place.link.transaction == .active
        stage = .head
        let source = source
        onWorker { () -> Result<ImportHead, ImportFailure> in
            do throws(ImportFailure) { return .success(try source.readHead()) } catch { return .failure(error) }
        } then: {
            self.takeHead($0)
        }
        // Its time is the client's until the file has answered, from when the operation is seen as running.
        let here = LoopBound(self, context.loop.mailbox)
        context.loop.mailbox.submit { if case .head = here.wrapped.stage { here.wrapped.beginWaiting() } }
    }

    override func stopWork(_ reason: StopReason) {
        source.stop()
        if isUndoing, reason == .cancelled || reason == .timeout { return }
        if let running { return stopStatement(running.run, reason) }
        switch stage {
        case .asking(let inner): stopStatement(inner, reason)
        case .head, .rows: fail(.stopped(reason))
        case .idle, .opening, .ended: break
        }
    }

    // MARK: The file

    private func takeHead(_ answer: Result<ImportHead, ImportFailure>) {
        endWaiting()
        switch answer {
        case .failure(let failure): fail(DriverError(failure))
        case .success(let head):
            totalByteCount = head.byteCountInAll
            switch Result<ImportNames, DriverError>(head.columns, wanted) {
            case .failure(let error): fail(error)
            case .success(let found): ask(found)
            }
        }
    }

    // MARK: Before the rows

    private func ask(_ found: ImportNames) {
        table = [wanted.namespace, wanted.table].compactMap { $0.map(place.loading.quoted) }.joined(separator: ".")
        names = found.names ?? []
        if wanted.create {
            if isInOwnersTransaction, !place.loading.makesTablesInTransactions, !wanted.isDryRun {
                return fail(Self.wouldCommit)
            }
            beginReader(found, known: found.names ?? (0..<found.fieldCount).map { "column\($0 + 1)" })
            // Where the file does not say the types, its first rows do.
            types = found.types
            guard types != nil else { return goOn() }
            makeTable()
            return beginWriting()
        }
        run("SELECT * FROM \(table)", kind: .describe, mayWrite: false) { inner in
            if let error = inner.error { return self.fail(error) }
            let all = inner.description?.columns ?? []
            self.beginReader(found, known: found.names ?? all.map { String(decoding: $0.name, as: UTF8.self) })
            var known: [String: ColumnDescription] = [:]
            for column in all { known[String(decoding: column.name, as: UTF8.self).lowercased()] = column }
            let columns = self.names.map { known[$0.lowercased()] }
            self.describe(columns.map { $0?.type })
            self.engineTypes = columns.map { $0?.declaredType }
            self.tellTypes()
            self.beginWriting()
        }
    }

    private func beginReader(_ found: ImportNames, known: [String]) {
        names = known
        quotedNames = known.map(place.loading.quoted)
        source.begin(
            found.keys ?? known.map { Array($0.utf8) }, ignoringOtherKeys: wanted.columns != nil,
            infersTypes: wanted.create, ofAllRows: wanted.isDryRun)
        let most = place.loading.statementValueCountMax.map { max(1, $0 / max(1, names.count)) } ?? .max
        queue = ImportQueue(
            rejectedCountMax: wanted.rejectedCountMax, pieceRowCountMax: most,
            tellsRefusedRow: place.loading.tellsRefusedRow, placeName: wanted.placeName)
    }

    private func describe(_ types: [String?]) {
        columns = zip(names, types).map { name, type in
            var column = ImportedColumn()
            column.name = name
            column.type = type
            return column
        }
        textColumns = types.indices.filter { types[$0] == ColumnType.text.name }
    }

    /// The table, as far as it is known: one that is to be made has no types yet.
    var loadTarget: LoadTarget {
        LoadTarget(table: table, names: names, quotedNames: quotedNames, types: engineTypes)
    }

    /// What is known of the columns' types before the rows are read.
    private func tellTypes() {
        let types = columns.map { $0.type.flatMap(ColumnType.init(name:)) }
        let blobs = wanted.options.format == .tsv ? types.indices.filter { types[$0] == .blob } : []
        source.setTypes(types, blobColumns: blobs, makesNumbers: place.loading.takesNumbers)
    }

    /// Opens a transaction if there is to be one of its own.
    func beginWriting() {
        guard !wanted.isDryRun, wanted.isAtomic, place.link.transaction == .none || !place.isSession else {
            return beginTable { self.goOn() }
        }
        guard !place.isSession, let database = place.database else { return beginOwn() }
        let (used, limit) = (account.sessions.count, context.limits.sessionsPerUserMax)
        guard used < limit else { return fail(Self.tooManySessions(account.name, used, limit)) }
        account.sessions.add(1)
        countsAsSession = true
        stage = .opening
        let session = SessionRequest(owner: owner, isReadOnly: false, clientName: nil)
        if let opening = database.openSession(session, context.drivers, done: { self.opened($0) }) { opened(opening) }
    }

    private func opened(_ opening: SessionOpening) {
        switch opening {
        case .success(let link):
            ownLink = link
            if let reason = operation?.stopReason { return fail(.stopped(reason)) }
            beginOwn()
        case .failure(let error): fail(error)
        }
    }

    /// Where making a table commits, what follows it would be in no transaction.
    private func beginOwn() {
        if place.loading.makesTablesInTransactions {
            beginTransaction { self.beginTable { self.goOn() } }
        } else {
            beginTable { self.beginTransaction { self.goOn() } }
        }
    }

    private func beginTransaction(_ then: @escaping () -> Void) {
        run(place.loading.beginText) { inner in
            if let error = inner.error { return self.fail(error) }
            self.isInTransaction = true
            self.hasBegunTransaction = true
            then()
        }
    }

    private func beginTable(_ then: @escaping () -> Void) {
        guard let createText, !wanted.isDryRun else { return then() }
        run(createText) { inner in
            if let error = inner.error { return self.fail(error) }
            self.hasKeptTable = !self.isInTransaction && !self.isInOwnersTransaction
            self.context.shared.catalogs.doubt(self.place.link.databaseName)
            then()
        }
    }

    /// The rows have said of which types the columns are.
    func makeTable() {
        guard let types else { return }
        let loading = place.loading
        let columns = zip(names, types).map { "\(loading.quoted($0)) \(loading.name(of: $1))" }
        createText = "CREATE TABLE \(table)(\(columns.joined(separator: ", ")))"
        describe(types.map(\.name))
        engineTypes = types.map(loading.name)
    }

    /// Runs a statement of ours.
    func run(
        _ text: String, kind: RunKind = .statement, mayWrite: Bool = true, _ done: @escaping (InnerRun) -> Void
    ) {
        let inner = InnerRun(text, RowSink(), mayWrite: mayWrite && place.mayWrite)
        inner.kind = kind
        stage = .asking(inner)
        start(inner) {
            guard case .asking = self.stage else { return }
            self.stage = .rows
            done(inner)
        }
    }

    // MARK: The end

    func commit() {
        if createText == nil { makeTable() }
        if wanted.create, createText == nil {
            return fail(
                DriverError(
                    .badRequest, "The file has no rows that could say of which types columns are.",
                    hint: "Make the table first, and import without \"create\". Lines end with LF or CR LF.",
                    sqlState: "22P04"))
        }
        guard isInTransaction else { return leaveSavepoint { self.end(nil) } }
        run("COMMIT") { inner in
            // SQLite keeps a transaction whose references are not met, and one whose COMMIT was stopped before it began.
            if let error = inner.error, error.code != .outcomeUnknown, self.link.transaction != .none {
                return self.fail(error)
            }
            self.isInTransaction = false
            self.end(inner.error)
        }
    }

    /// Ends with an error; what one transaction was to have is undone.
    func fail(_ error: DriverError) {
        source.stop()
        guard running == nil else { return end(error) }
        isUndoing = true
        guard isInTransaction else { return leaveSavepoint { self.end(error) } }
        isInTransaction = false
        run("ROLLBACK") { undone in
            // The only warning that it has: something changed had no transactions.
            self.hasKeptRows = undone.error == nil && undone.summary.warningCount > 0
            self.end(error)
        }
    }

    /// Nothing of ours stays in a transaction of the client's.
    private func leaveSavepoint(_ then: @escaping () -> Void) {
        guard isInSavepoint, place.link.transaction == .active else { return then() }
        isInSavepoint = false
        run("RELEASE SAVEPOINT litebase_import") { _ in then() }
    }

    private static let wouldCommit = DriverError(
        .badRequest, "The engine would commit the session's transaction: it makes no table within one.",
        hint: "Make the table before the transaction begins, and import into that.", sqlState: "25001")

    private static func tooManySessions(_ user: String, _ used: Int, _ limit: Int) -> DriverError {
        DriverError(
            .limitExceeded,
            "An import of all rows or none has a session of its own, and \(user) has \(used); the limit of one user is "
                + "\(limit) (sessions_per_user_max).",
            hint: "Close sessions, or import without \"atomic\".", sqlState: "53300"
        ).with {
            $0.limit = DriverLimit(name: LimitName.sessionsPerUser.name, value: Int64(limit))
            $0.isRetryable = true
        }
    }

    private func end(_ error: DriverError?) {
        if error != nil, hasBegunTransaction, !hasKeptRows { operation?.summary.rowsAffected = 0 }
        let error = error.map { leftovers.told(by: $0) }
        stage = .ended
        ownLink?.close()
        ownLink = nil
        if countsAsSession { account.sessions.add(-1) }
        countsAsSession = false
        ready = nil
        writing = nil
        used = nil
        running = nil
        charge()
        finish(error)
    }

    /// What is there if it ends now, with an error.
    private var leftovers: ImportLeftovers {
        var left = ImportLeftovers()
        guard !wanted.isDryRun else { return left }
        left.hasTable = hasKeptTable
        if hasKeptRows {
            left.rows = .notUndone
        } else if isInOwnersTransaction, place.link.transaction == .none {
            left.rows = .rolledBack
        } else if hasBegunTransaction || queue.writtenCount + queue.leftOutCount == 0 {
            left.rows = .none
        } else if isInOwnersTransaction || (place.isSession && place.link.transaction == .active) {
            // Without autocommit, MySQL begins one by itself.
            left.rows = place.link.transaction == .active ? .inTransaction(queue.writtenCount) : .rolledBack
        } else {
            left.rows = .committed(queue.writtenCount)
        }
        return left
    }

    func tellProgress() { tellProgress(each: wanted.progressMilliseconds, progress) }

    private var progress: ImportProgress {
        var answer = ImportProgress()
        answer.byteCount = byteCount
        answer.totalByteCount = totalByteCount
        answer.rowCount = queue.writtenCount
        answer.rejectedCount = Int64(queue.rejectedCount)
        return answer
    }
}
