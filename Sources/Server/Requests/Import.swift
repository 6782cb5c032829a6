// `import`: from a decoded request to rows of a file in a table.

internal import DatabaseContract
internal import LinuxSystem
internal import Tabular
internal import WireProtocol

extension ImportRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startImport(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyImport(operation) }
}

extension Connection {
    func startImport(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(ImportRequest.self, of: request.head)
        if let sql = content.sql { return try startCopy(request, content, sql) }
        let wanted = try ImportWanted(content)
        let (found, database) = try namedRoute(content.target)
        var route = found
        guard let loading = route.link.engine.loading else { throw RequestError(DriverError.noTables) }
        guard route.mayWrite || wanted.isDryRun else {
            throw RequestError(
                .readOnly, "You may only read this database, and an import is for writing.",
                hint: "\"dry_run\" shows what an import would do."
            ).with { $0.sqlState = "25006" }
        }
        let file = try takeOneFile()
        let place = ImportPlace(
            link: route.link, database: database, isSession: route.session != nil, mayWrite: route.mayWrite,
            loading: loading)
        route.link = ImportLink(wanted, place, file, context, account)
        let operation = makeOperation(request)
        assign(route, to: operation, timeout: content.timeoutMilliseconds)
        return try submitIfAffordable(operation)
    }

    /// The bytes of the file go to a statement of a session, as they are.
    private func startCopy(
        _ request: ReceivedRequest, _ content: ImportRequest, _ sql: UnsafeRawBufferPointer
    ) throws(RequestError) -> RequestOutcome {
        guard content.target.session != nil, content.relation.isEmpty else {
            throw RequestError(
                .badRequest, "An import with \"sql\" needs a session, and has no \"relation\".",
                hint: "Open a session (db_connect) and name it.")
        }
        guard sql.count <= ImportHead.nameByteCountMax else {
            throw RequestError(.badRequest, "\"sql\" has more than \(ImportHead.nameByteCountMax) bytes.")
        }
        var route = try route(content.target)
        guard route.link.engine.loading?.copiesBytes == true else { throw RequestError(DriverError.noCopy) }
        route.link = CopyLink(
            String(decoding: sql, as: UTF8.self), try takeOneFile(), route.link, context, account,
            progressMilliseconds: content.transfer.progressMilliseconds)
        let operation = makeOperation(request)
        assign(route, to: operation, timeout: content.timeoutMilliseconds)
        return try submitIfAffordable(operation)
    }

    func replyImport(_ operation: Operation) {
        guard let link = operation.link as? any ImportReplying else {
            preconditionFailure("an import came from nowhere")
        }
        var answer = link.importReply
        answer.transaction = operation.session?.link.transaction.name ?? "none"
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        reply(answer, to: operation)
    }

    /// Tells how far an operation is, outside of a turn.
    func tell(_ answer: some ReplyData, of operation: Operation) {
        withOutputStorage {
            reply(answer, operation.row.type.replyName, id: operation.id, encoding: operation.encoding)
            finishTurn()
        }
    }
}

/// What has done an import, and says how.
protocol ImportReplying: AnyObject {
    /// But for the state of the transaction, and the time.
    var importReply: ImportReply { get }
}

extension ImportLink: ImportReplying {
    var importReply: ImportReply {
        var answer = ImportReply()
        answer.byteCount = byteCount
        answer.totalByteCount = totalByteCount
        answer.rowCount = queue.writtenCount
        answer.rejectedCount = Int64(queue.rejectedCount)
        answer.rejected = queue.rejected.map { rejection in
            var line = RejectedLine()
            line.line = rejection.line
            line.reason = rejection.reason
            return line
        }
        answer.columns = columns
        answer.sql = createText
        return answer
    }
}

extension ImportWanted {
    /// They are copied on the loop.
    private static let nameByteCountMax = 64 << 10

    init(_ content: ImportRequest) throws(RequestError) {
        for (name, text) in [
            ("relation", content.relation), ("namespace", content.namespace), ("null", content.rowFormat.null),
        ] {
            guard (text?.count ?? 0) <= Self.nameByteCountMax else {
                throw RequestError(.badRequest, "\"\(name)\" has more than \(Self.nameByteCountMax) bytes.")
            }
        }
        guard !content.relation.isEmpty else { throw RequestError(.badRequest, "\"relation\" is empty.") }
        guard (content.columns ?? []).reduce(0, { $0 + $1.count }) <= ImportHead.nameByteCountMax else {
            throw RequestError(.badRequest, "The names in \"columns\" are too long.")
        }
        table = String(decoding: content.relation, as: UTF8.self)
        namespace = content.namespace.map { String(decoding: $0, as: UTF8.self) }
        columns = content.columns.map { $0.map { String(decoding: $0, as: UTF8.self) } }
        options = TabularOptions(TabularFormat(rawValue: content.rowFormat.format.rawValue) ?? .csv)
        isArrow = content.rowFormat.format == .arrow
        options.hasHeader = content.rowFormat.hasHeader
        if let delimiter = content.rowFormat.delimiter { options.delimiter = delimiter }
        options.null = content.rowFormat.null.map { Array($0) }
        if let name = content.encoding {
            guard let known = TextEncoding(name: String(decoding: name.prefix(64), as: UTF8.self)) else {
                throw RequestError(
                    .badRequest,
                    "\"encoding\" must be one of \(TextEncoding.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            encoding = known
        }
        create = content.create
        isDryRun = content.isDryRun
        isAtomic = content.isAtomic
        rejectedCountMax = Int(clamping: content.rejectedCountMax)
        progressMilliseconds = content.transfer.progressMilliseconds
    }
}
