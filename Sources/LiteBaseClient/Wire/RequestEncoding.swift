// Requests as frames.

internal import ByteBuffers
internal import WireProtocol

/// Which link to a database a statement uses.
enum Target: Sendable {
    /// A database by name; `nil` is the default one.
    case database(String?)
    /// A session by the name that the server gave.
    case session(String)
}

/// A request, ready to be encoded under the id that the connection gives it.
enum Request: Sendable {
    case healthCheck
    case databaseCheck(String, timeout: Duration?)
    case hello(Introduction)
    case listDatabases
    case stats
    case activity
    case reload
    case connect(SessionOptions)
    case disconnect(session: String)
    case query(sql: String, Parameters, Target, QueryOptions, isPaged: Bool, wantsAllResults: Bool = false)
    case batch([BatchStatement], isAtomic: Bool, Target)
    case describe(sql: String, Target)
    case fetch(id: Int64)
    case cancel(id: Int64)

    var type: RequestType {
        switch self {
        case .healthCheck, .databaseCheck: .healthCheck
        case .hello: .hello
        case .listDatabases: .listDatabases
        case .stats: .stats
        case .activity: .activity
        case .reload: .reload
        case .connect: .dbConnect
        case .disconnect: .dbDisconnect
        case .query: .query
        case .batch: .batch
        case .describe: .describe
        case .fetch: .fetch
        case .cancel: .cancel
        }
    }

    /// Appends the request as one frame.
    /// - Throws: `ClientError.invalidRequest` when it is larger than any server accepts; nothing is appended then.
    func encode(id: Int64, into output: inout ByteBuffer) throws(ClientError) {
        var encoder = RequestEncoder()
        encoder.writer.begin(type: type, id: .integer(id), into: &output)
        encoder.data(of: self, into: &output)
        let byteCount = encoder.writer.byteCount(in: output)
        guard byteCount - 4 <= WireLimits.frameByteCountCeiling else {
            encoder.writer.abandon(in: &output)
            throw .invalidRequest(
                "the request has \(byteCount) bytes, more than the \(WireLimits.frameByteCountCeiling) of any frame; "
                    + "send it in parts")
        }
        encoder.writer.end(into: &output)
    }
}

private struct RequestEncoder {
    var writer = RequestWriter(encoding: .messagePack, framing: .lengthPrefixed)

    mutating func data(of request: Request, into output: inout ByteBuffer) {
        switch request {
        case .healthCheck, .listDatabases, .stats, .activity, .reload: break
        case .databaseCheck(let name, let timeout):
            field("database", name, into: &output)
            if let timeout { field("timeout_ms", max(1, timeout.milliseconds), into: &output) }
        case .hello(let introduction):
            if let name = introduction.name { field("client", name, into: &output) }
            writer.key("notices", into: &output)
            writer.bool(introduction.wantsNotices, into: &output)
        case .connect(let options): session(options, into: &output)
        case .disconnect(let session): field("session", session, into: &output)
        case .query(let sql, let parameters, let target, let options, let isPaged, let wantsAllResults):
            field("sql", sql, into: &output)
            self.parameters(parameters, into: &output)
            self.target(target, into: &output)
            self.options(options, isPaged: isPaged, into: &output)
            if wantsAllResults {
                writer.key("result_sets", into: &output)
                writer.bool(true, into: &output)
            }
        case .batch(let statements, let isAtomic, let target):
            self.target(target, into: &output)
            writer.key("atomic", into: &output)
            writer.bool(isAtomic, into: &output)
            writer.key("statements", into: &output)
            writer.beginArray(into: &output)
            for statement in statements { self.statement(statement, into: &output) }
            writer.endArray(into: &output)
        case .describe(let sql, let target):
            field("sql", sql, into: &output)
            self.target(target, into: &output)
        case .fetch(let id), .cancel(let id): field("request", id, into: &output)
        }
    }

    private mutating func session(_ options: SessionOptions, into output: inout ByteBuffer) {
        switch options.source {
        case .database(let name?): field("database", name, into: &output)
        case .database(nil): break
        case .url(let url): field("url", url, into: &output)
        }
        guard options.isReadOnly else { return }
        writer.key("read_only", into: &output)
        writer.bool(true, into: &output)
    }

    private mutating func target(_ target: Target, into output: inout ByteBuffer) {
        switch target {
        case .database(let name?): field("database", name, into: &output)
        case .database(nil): break
        case .session(let session): field("session", session, into: &output)
        }
    }

    private mutating func options(_ options: QueryOptions, isPaged: Bool, into output: inout ByteBuffer) {
        // Rounded up: a timeout of less than a millisecond is not none.
        if let timeout = options.timeout { field("timeout_ms", max(1, timeout.milliseconds), into: &output) }
        if let maxRows = options.maxRows { field("max_rows", maxRows, into: &output) }
        if isPaged, let pageRows = options.pageRows { field("page_rows", pageRows, into: &output) }
    }

    private mutating func statement(_ statement: BatchStatement, into output: inout ByteBuffer) {
        writer.beginMap(into: &output)
        field("sql", statement.sql, into: &output)
        switch statement.binding {
        case .once(let parameters): self.parameters(parameters, into: &output)
        case .forEachRow(let rows):
            writer.key("param_rows", into: &output)
            writer.beginArray(into: &output)
            for row in rows { values(row, into: &output) }
            writer.endArray(into: &output)
        }
        writer.endMap(into: &output)
    }

    private mutating func parameters(_ parameters: Parameters, into output: inout ByteBuffer) {
        guard !parameters.isEmpty else { return }
        writer.key("params", into: &output)
        switch parameters {
        case .positional(let values): self.values(values, into: &output)
        case .named(let members):
            writer.beginMap(into: &output)
            for (name, value) in members {
                writer.key(name, into: &output)
                self.value(value, into: &output)
            }
            writer.endMap(into: &output)
        }
    }

    private mutating func values(_ values: [Value], into output: inout ByteBuffer) {
        writer.beginArray(into: &output)
        for value in values { self.value(value, into: &output) }
        writer.endArray(into: &output)
    }

    private mutating func value(_ value: Value, into output: inout ByteBuffer) {
        switch value {
        case .null: writer.null(into: &output)
        case .bool(let flag): writer.bool(flag, into: &output)
        case .integer(let number): writer.integer(number, into: &output)
        case .unsigned(let number): writer.unsigned(number, into: &output)
        case .real(let number): writer.real(number, into: &output)
        case .text(let text): writer.text(text, into: &output)
        case .blob(let bytes): bytes.withUnsafeBytes { writer.blob($0, into: &output) }
        }
    }

    private mutating func field(_ key: StaticString, _ text: String, into output: inout ByteBuffer) {
        writer.key(key, into: &output)
        writer.text(text, into: &output)
    }

    private mutating func field(_ key: StaticString, _ number: Int64, into output: inout ByteBuffer) {
        writer.key(key, into: &output)
        writer.integer(number, into: &output)
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
}
