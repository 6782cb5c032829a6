// What a connection finds out about the other side before it is used.

internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases

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
    /// - Throws: `connectFailed` when it does not answer.
    /// - Thread: one that may block.
    init(_ handshake: PostgreSQLHandshake) throws(DriverError) {
        version = handshake.parameter("server_version") ?? ""
        applicationName = handshake.parameter("application_name") ?? ""
        let isOfBytes = handshake.parameter("server_encoding") == "SQL_ASCII"
        isBytewise = isOfBytes ? try handshake.ask(Self.bytewiseStatement) : false
        var processNumber: Int32?
        var interval = ""
        _ = try handshake.ask(
            """
            SELECT pg_catalog.pg_backend_pid(), \
            pg_catalog.current_setting('client_connection_check_interval', true)
            """
        ) { row in
            guard libpq.PQnfields(row) == 2 else { return }
            processNumber = libpq.PQgetvalue(row, 0, 0).flatMap { Int32(PostgreSQLText.clipped($0, byteCountMax: 16)) }
            interval = libpq.PQgetvalue(row, 0, 1).map { PostgreSQLText.clipped($0, byteCountMax: 16) } ?? ""
        }
        // Of something that speaks the protocol and is no PostgreSQL, as little as possible is taken for granted.
        isBehindPooler = processNumber != handshake.processNumber
        watchesClient = !isBehindPooler && interval == "0" ? try handshake.ask(Self.watchStatement) : false
    }
}
