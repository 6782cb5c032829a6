// What a connection finds out about the other side before it is used.

internal import CPostgreSQL

/// The server, as it is at the other end of one connection.
struct PostgreSQLServerFacts {
    let version: String
    /// The session may be another one from statement to statement, or become another client's: a pooler makes up the
    /// number of the server's process that it tells its clients.
    let isBehindPooler: Bool
    /// The session was told to look now and then whether its client is still there.
    let watchesClient: Bool

    /// What the session is called before anybody says otherwise: `application_name` of the URL, or "litebase".
    let applicationName: String

    /// The database takes any bytes for text (SQL_ASCII). With another encoding of the client's, the server would check them
    /// and fail rows that hold what is not of it.
    let isBytewise: Bool

    static let bytewiseStatement: StaticString = "SET client_encoding = 'SQL_ASCII'"

    /// Has a long statement end when the daemon is gone, however it went: while it runs the server does not look at its
    /// socket otherwise. Not where the administrator has set another value, nor before PostgreSQL 14.
    static let watchStatement: StaticString = "SET client_connection_check_interval = '2s'"

    /// Asks the server.
    /// - Thread: one that may block.
    init(_ handle: OpaquePointer) {
        version = pq_parameterStatus(handle, "server_version").map { String(cString: $0) } ?? ""
        applicationName = pq_parameterStatus(handle, "application_name").map { String(cString: $0) } ?? ""
        let encoding = pq_parameterStatus(handle, "server_encoding").map { String(cString: $0) }
        isBytewise = encoding == "SQL_ASCII" && Self.run(Self.bytewiseStatement, handle)
        let answer = pq_exec(
            handle,
            """
            SELECT pg_catalog.pg_backend_pid(), \
            pg_catalog.current_setting('client_connection_check_interval', true)
            """)
        guard let answer, pq_ntuples(answer) == 1, let pid = pq_getvalue(answer, 0, 0),
            let interval = pq_getvalue(answer, 0, 1)
        else {
            // Something that speaks the protocol and is no PostgreSQL: as little as possible is taken for granted.
            if let answer { pq_clear(answer) }
            isBehindPooler = true
            watchesClient = false
            return
        }
        defer { pq_clear(answer) }
        isBehindPooler = Int32(String(cString: pid)) != pq_backendPID(handle)
        guard !isBehindPooler, String(cString: interval) == "0" else {
            watchesClient = false
            return
        }
        watchesClient = Self.run(Self.watchStatement, handle)
    }

    private static func run(_ sql: StaticString, _ handle: OpaquePointer) -> Bool {
        let result = pq_exec(handle, UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self))
        defer { pq_clear(result) }
        return result.map { pq_resultStatus($0) == PQ_COMMAND_OK } ?? false
    }
}
