// Requests as frames.

internal import ByteBuffers
internal import WireProtocol

/// Which link to a database a statement uses.
typealias Target = TargetName

/// A request, ready to be encoded under the id that the connection gives it.
enum Request: Sendable {
    case healthCheck
    case databaseCheck(String, timeout: Duration?)
    case hello(Introduction)
    case listDatabases
    case stats
    case activity
    case terminate(TerminationTarget)
    case reload
    case connect(SessionOptions)
    case disconnect(session: String)
    case query(sql: String, Parameters, Target, QueryOptions, isPaged: Bool, wantsAllResults: Bool = false)
    case batch([BatchStatement], isAtomic: Bool, Target)
    case describe(sql: String, Target)
    case complete(CompletionPlace, Target)
    case catalog(level: String, Target, CatalogOptions)
    case backup(database: String?, progressMilliseconds: Int64?)
    case restore(database: String?, timeout: Duration?, progressMilliseconds: Int64?)
    case export(sql: String, Parameters, Target, ExportRequest.Options)
    case importRows(relation: String, Target, ImportRequest.Options)
    case copy(sql: String, Target)
    case subscribe(SubscriptionOptions)
    case fetch(id: Int64)
    case cancel(id: Int64)

    var type: RequestType {
        switch self {
        case .healthCheck, .databaseCheck: HealthRequest.type
        case .hello: HelloRequest.type
        case .listDatabases: ListDatabasesRequest.type
        case .stats: StatsRequest.type
        case .activity: ActivityRequest.type
        case .terminate: TerminateRequest.type
        case .reload: ReloadRequest.type
        case .connect: ConnectRequest.type
        case .disconnect: DisconnectRequest.type
        case .query: QueryRequest.type
        case .batch: BatchRequest.type
        case .describe: DescribeRequest.type
        case .complete: CompleteRequest.type
        case .catalog: CatalogRequest.type
        case .backup: BackupRequest.type
        case .restore: RestoreRequest.type
        case .export: ExportRequest.type
        case .importRows, .copy: ImportRequest.type
        case .subscribe: SubscribeRequest.type
        case .fetch: FetchRequest.type
        case .cancel: CancelRequest.type
        }
    }

    /// Appends the request as one frame.
    /// - Throws: `ClientError.invalidRequest` when it is larger than any server accepts; nothing is appended then.
    func encode(id: Int64, into output: inout ByteBuffer) throws(ClientError) {
        var writer = RequestWriter(encoding: .messagePack, framing: .lengthPrefixed)
        writer.begin(type: type, id: .integer(id), into: &output)
        writeData(&writer, &output)
        let byteCount = writer.byteCount(in: output)
        guard byteCount - 4 <= WireLimits.frameByteCountCeiling else {
            writer.abandon(in: &output)
            throw .invalidRequest(
                "the request has \(byteCount) bytes, more than the \(WireLimits.frameByteCountCeiling) of any frame; "
                    + "send it in parts")
        }
        writer.end(into: &output)
    }

    private func writeData(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        switch self {
        case .healthCheck, .listDatabases, .stats, .activity, .reload: break
        case .databaseCheck(let name, let timeout):
            HealthRequest.write(
                database: name, timeoutMilliseconds: timeout?.timeoutMilliseconds, &writer, &output)
        case .hello(let introduction):
            HelloRequest.write(
                client: introduction.name, notices: introduction.wantsNotices,
                descriptors: introduction.sendsDescriptors,
                sharedMemory: introduction.wantsSharedMemory, &writer, &output)
        case .terminate(let target): target.write(&writer, &output)
        case .connect(let options): options.write(&writer, &output)
        case .disconnect(let session): DisconnectRequest.write(session: session, &writer, &output)
        case .query(let sql, let parameters, let target, let options, let isPaged, let wantsAllResults):
            QueryRequest.write(
                sql: sql, parameters: parameters.writing, target: target,
                options: options.wireOptions(isPaged: isPaged, wantsAllResults: wantsAllResults), &writer, &output)
        case .batch(let statements, let isAtomic, let target):
            BatchRequest.write(
                isAtomic: isAtomic, target: target,
                statements: { writer, output in
                    for statement in statements { statement.write(&writer, &output) }
                }, &writer, &output)
        case .describe(let sql, let target): DescribeRequest.write(sql: sql, target: target, &writer, &output)
        case .complete(let place, let target):
            CompleteRequest.write(
                sql: place.text, cursor: Int64(place.cursor), target: target, limit: place.limit, recent: place.recent,
                &writer, &output)
        case .catalog(let level, let target, let options):
            CatalogRequest.write(level: level, target: target, options: options.wireOptions, &writer, &output)
        case .subscribe(let options): SubscribeRequest.write(options: options.wireOptions, &writer, &output)
        case .backup(let database, let progress):
            DatabaseFileFields.write(database: database, progressMilliseconds: progress, &writer, &output)
        case .restore(let database, let timeout, let progress):
            DatabaseFileFields.write(
                database: database, timeoutMilliseconds: timeout?.timeoutMilliseconds, progressMilliseconds: progress,
                &writer, &output)
        case .export(let sql, let parameters, let target, let options):
            ExportRequest.write(
                sql: sql, parameters: parameters.writing, target: target, options: options, &writer, &output)
        case .importRows(let relation, let target, let options):
            ImportRequest.write(relation: relation, target: target, options: options, &writer, &output)
        case .copy(let sql, let target): ImportRequest.write(sql: sql, target: target, &writer, &output)
        case .fetch(let id), .cancel(let id): RequestReference.write(request: id, &writer, &output)
        }
    }
}

extension SessionOptions {
    fileprivate func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        switch source {
        case .database(let name): ConnectRequest.write(database: name, readOnly: isReadOnly, &writer, &output)
        case .url(let url): ConnectRequest.write(url: url, readOnly: isReadOnly, &writer, &output)
        }
    }
}

extension TerminationTarget {
    fileprivate func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        switch self {
        case .connection(let number): TerminateRequest.write(connection: number, &writer, &output)
        case .request(let number, let connection):
            TerminateRequest.write(number: number, connection: connection, &writer, &output)
        case .session(let name): TerminateRequest.write(session: name, &writer, &output)
        }
    }
}

extension QueryOptions {
    fileprivate func wireOptions(isPaged: Bool, wantsAllResults: Bool) -> QueryRequest.Options {
        var options = QueryRequest.Options()
        options.timeoutMilliseconds = timeout?.timeoutMilliseconds
        options.maxRows = maxRows
        options.pageRows = isPaged ? pageRows : nil
        options.resultSets = wantsAllResults
        return options
    }
}

extension BatchStatement {
    fileprivate func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        let (parameters, rows): (ValueWriting?, ValueWriting?) =
            switch binding {
            case .once(let list): (list.writing, nil)
            case .forEachRow(let lists):
                (nil, { writer, output in for list in lists { list.write(&writer, &output) } })
            }
        WireProtocol.BatchStatement.write(sql: sql, parameters: parameters, rows: rows, &writer, &output)
    }
}

extension Parameters {
    /// Writes the values; `nil` where there are none.
    fileprivate var writing: ValueWriting? {
        if isEmpty { return nil }
        return { writer, output in
            switch self {
            case .positional(let values): values.write(&writer, &output)
            case .named(let members):
                writer.beginMap(into: &output)
                for (name, value) in members {
                    writer.key(name, into: &output)
                    value.write(&writer, &output)
                }
                writer.endMap(into: &output)
            }
        }
    }
}

extension [Value] {
    fileprivate func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.beginArray(into: &output)
        for value in self { value.write(&writer, &output) }
        writer.endArray(into: &output)
    }
}

extension Value {
    fileprivate func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        switch self {
        case .null: writer.null(into: &output)
        case .bool(let flag): writer.bool(flag, into: &output)
        case .integer(let number): writer.integer(number, into: &output)
        case .unsigned(let number): writer.unsigned(number, into: &output)
        case .real(let number): writer.real(number, into: &output)
        case .text(let text): writer.text(text, into: &output)
        case .blob(let bytes): bytes.withUnsafeBytes { writer.blob($0, into: &output) }
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up; the most that there are where they do not fit.
    var milliseconds: Int64 {
        guard self < .seconds(Int64.max / 1001) else { return .max }
        guard self > .seconds(Int64.min / 1001) else { return .min }
        let (seconds, attoseconds) = components
        let perMillisecond: Int64 = 1_000_000_000_000_000
        return seconds * 1000 + (attoseconds + perMillisecond - 1) / perMillisecond
    }

    /// Rounded up: a timeout of less than a millisecond is not none.
    fileprivate var timeoutMilliseconds: Int64 { max(1, milliseconds) }
}
