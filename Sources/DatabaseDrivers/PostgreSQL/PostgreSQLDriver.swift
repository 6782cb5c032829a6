// How connections to PostgreSQL are opened, and what is refused before one is taken.

internal import CPostgreSQL
internal import LinuxSystem

/// The PostgreSQL engine.
///
/// - Thread: any.
struct PostgreSQLDriver: RemoteDriver {
    let place: PostgreSQLLocation
    let settings: RemoteSettings
    let types = PostgreSQLTypes()

    var engine: Engine { .postgresql }
    var location: DatabaseLocation { .remote(.postgresql(place)) }
    var label: String { place.label }
    var secrets: [String] { place.secrets }

    // MARK: Connecting

    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection> {
        try PostgreSQLLibrary.load()
        let handle = connect(password: password)
        guard let handle, pq_status(handle) == PQ_CONNECTION_OK else {
            let error = connectError(handle)
            if let handle { pq_finish(handle) }
            throw error
        }
        cpostgresql_ignore_notices(handle)
        let server = PostgreSQLServerFacts(handle)
        types.load(handle)
        guard pq_setnonblocking(handle, 1) == 0, pq_enterPipelineMode(handle) == 1 else {
            let error = connectError(handle)
            pq_finish(handle)
            throw error
        }
        let statements = PostgreSQLStatements(countMax: server.isBehindPooler ? 0 : settings.statementCountMax)
        return HandedOver(PostgreSQLConnection(handle, types, place, server, statements))
    }

    /// Whole seconds, at least two, is what libpq knows (connect_timeout); the lane counts the milliseconds.
    private var connectSeconds: Int64 { max(2, (settings.connectMillisecondsMax + 999) / 1000) }

    private func connect(password: String?) -> OpaquePointer? {
        // What comes before "dbname" is a default that the URL may change; what comes behind it is not to be changed.
        var settings: [(StaticString, String)] = [
            ("fallback_application_name", "litebase"), ("connect_timeout", "\(connectSeconds)"), ("dbname", place.url),
            ("client_encoding", "UTF8"),
        ]
        if let password { settings.append(("password", password)) }
        let values = settings.map { $0.1.utf8CString }
        var keys: [UnsafePointer<CChar>?] = settings.map {
            UnsafeRawPointer($0.0.utf8Start).assumingMemoryBound(to: CChar.self)
        }
        keys.append(nil)
        var pointers: [UnsafePointer<CChar>?] = []
        return Self.withPointers(values[...], &pointers) { pq_connectdbParams(keys, $0, 1) }
    }

    /// Calls `body` with the addresses of all texts, and a null behind them.
    private static func withPointers(
        _ texts: ArraySlice<ContiguousArray<CChar>>, _ pointers: inout [UnsafePointer<CChar>?],
        _ body: ([UnsafePointer<CChar>?]) -> OpaquePointer?
    ) -> OpaquePointer? {
        guard let first = texts.first else { return body(pointers + [nil]) }
        return first.withUnsafeBufferPointer {
            pointers.append($0.baseAddress)
            return withPointers(texts.dropFirst(), &pointers, body)
        }
    }

    private func connectError(_ handle: OpaquePointer?) -> DriverError {
        let text = handle.flatMap { pq_errorMessage($0) }.map { String(cString: $0) } ?? "out of memory"
        // Further lines of libpq begin with a tab.
        let lines = text.split { $0 == "\n" || $0 == "\t" }.joined(separator: "; ")
        // The server's own word has a severity; libpq's has none, but for the password that it was not given.
        let isRefusal = text.contains(text: "FATAL:") || text.contains(text: "no password supplied")
        return DriverError(
            DriverError.Details(
                code: .connectFailed,
                message: "The PostgreSQL server \(isRefusal ? "did not let the daemon in" : "cannot be reached").",
                detail: lines,
                hint: isRefusal
                    ? "Check the role, the password and the database, and the server's pg_hba.conf."
                    : RemoteErrors.reachHint,
                sqlState: "08001", isRetryable: true))
    }

    // MARK: Before anything is sent

    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError) {
        if case .batch = run.kind { return }
        if case .describe = run.kind {
            // The server describes even nothing.
            var words = SQLWords(run.sql)
            if words.isAtEnd { throw Self.noStatement }
        }
        try Self.check(run.sql, run.parameters, mode, isInAtomicBatch: false)
    }

    /// What cannot be sent, and what would change a connection that others will use.
    static func check(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ mode: RunMode, isInAtomicBatch: Bool
    ) throws(DriverError) {
        if sql.contains(0) {
            throw DriverError(.badRequest, "The SQL text contains a NUL character.", sqlState: "42601")
        }
        if parameters.contains(where: { $0.name != nil }) {
            throw DriverError(
                .badRequest, "PostgreSQL has no named parameters.",
                hint: "Write $1, $2, … in the statement and send params as an array.", sqlState: "42P02")
        }
        for case .text(let text) in parameters.lazy.map(\.value) where text.contains(0) {
            throw DriverError(
                .badRequest, "A text parameter contains a NUL character, which PostgreSQL cannot store.",
                hint: "Send it as a blob.", sqlState: "22021")
        }
        try check(StatementKind(sql), mode, isInAtomicBatch: isInAtomicBatch)
    }

    private static func check(_ kind: StatementKind, _ mode: RunMode, isInAtomicBatch: Bool) throws(DriverError) {
        if kind.controlsTransaction, isInAtomicBatch {
            throw DriverError(
                .badRequest, "An atomic batch is a transaction itself and cannot hold transaction statements.",
                hint: "Leave them out, or set atomic to false in a session.", sqlState: "25001")
        }
        if kind.controlsTransaction || kind == .session, !mode.isSession { throw needsSession }
        if kind == .preparedTransaction, mode.isReadOnly {
            throw DriverError(
                .readOnly, "A read-only session cannot finish prepared transactions.", sqlState: "25006")
        }
        if kind == .copy {
            throw DriverError(
                .databaseError, "COPY is not supported by the protocol.",
                hint: "Use a query, or a batch with param_rows.", sqlState: "0A000")
        }
    }

    static let noStatement = DriverError(
        .badRequest, "The SQL text holds no statement.", hint: "Send one statement in sql.", sqlState: "42601")

    static let needsSession = DriverError(
        .needsSession, "The statement changes the state of a connection, and no session was named.",
        hint: "Open a session with db_connect, or send the statements as one batch.", sqlState: "25001")
}
