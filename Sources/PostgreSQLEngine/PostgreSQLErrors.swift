// What PostgreSQL's errors mean to a client: our code, with everything that the server said.

internal import ByteBuffers
internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases

/// Translation of error results.
///
/// - Source: https://www.postgresql.org/docs/15/errcodes-appendix.html
enum PostgreSQLErrors {
    /// Fields of an error result.
    private enum Field {
        /// Not translated; PostgreSQL 9.6 and later.
        static let severity = CPOSTGRESQL_SEVERITY
        /// What comes before 9.6 and PgBouncer have instead.
        static let shownSeverity = CPOSTGRESQL_SHOWN_SEVERITY
        static let sqlState = CPOSTGRESQL_SQLSTATE
        static let message = CPOSTGRESQL_MESSAGE
        static let detail = CPOSTGRESQL_DETAIL
        static let hint = CPOSTGRESQL_HINT
        static let position = CPOSTGRESQL_POSITION
        static let context = CPOSTGRESQL_CONTEXT
    }

    /// The error of a result, with its place in `sql`.
    /// - Thread: a worker's, if the text is long.
    static func error(_ result: OpaquePointer, sql: UnsafeRawBufferPointer) -> DriverError {
        let sqlState = sqlState(result)
        let message = message(result)
        let meaning = meaning(sqlState ?? "")
        var details = DriverError.Details(code: meaning.code, message: DriverError.sentence(message))
        details.sqlState = sqlState
        // One SQLSTATE for statement_timeout and for being cancelled; only the words differ, in a server that speaks English.
        if sqlState == "57014", message.contains(text: "timeout") { details.code = .timeout }
        details.detail = field(result, Field.detail)
        details.hint = field(result, Field.hint) ?? meaning.hint
        if details.code == .timeout, details.hint == nil { details.hint = statementTimeoutHint }
        details.isRetryable = meaning.isRetryable
        if let position = field(result, Field.position).flatMap({ Int($0) }) {
            details.place = byteOffset(ofCharacter: position, in: sql).map { TextPlace($0, in: sql) }
        }
        return DriverError(details)
    }

    /// Where the server was: of a COPY, in which line of its data.
    static func context(_ result: OpaquePointer) -> String? { field(result, Field.context) }

    /// Not the client's own timeout, which is the daemon's.
    private static let statementTimeoutHint =
        "It is a limit of the server (SHOW statement_timeout): SET statement_timeout raises it in a session."

    /// What the server calls the error or notice; `nil` when it is one of libpq's own.
    static func sqlState(_ result: OpaquePointer) -> String? { field(result, Field.sqlState) }

    static func message(_ result: OpaquePointer) -> String {
        field(result, Field.message) ?? libpq.PQresultErrorMessage(result).map { PostgreSQLText.clipped($0) } ?? ""
    }

    /// Whether libpq has closed the connection since a message of the server is too long for its kind. Descriptions of
    /// parameters may have 30,000 bytes, which is 7,498 parameters.
    /// - Source: pqParseInput3 and VALID_LONG_MESSAGE_TYPE in src/interfaces/libpq/fe-protocol3.c
    static func isOutOfStep(_ result: OpaquePointer) -> Bool {
        sqlState(result) == nil && message(result).contains(text: "lost synchronization with server")
    }

    /// That of a description.
    static let tooManyToDescribe = DriverError(
        .limitExceeded,
        "PostgreSQL's client library closed the connection, since it takes no description of more than 7,498 parameters.",
        hint: "Run the statement without describing it: a query takes up to 65,535 parameters.", sqlState: "54000")

    /// Whether a proxy reports that it has lost the server. What became of the statement is unknown then.
    /// - Source: disconnect_client in src/objects.c of PgBouncer, which sends FATAL and 08P01
    static func tellsLoss(_ result: OpaquePointer) -> Bool {
        guard let sqlState = sqlState(result), sqlState.hasPrefix("08") else { return false }
        return severity(result) == "FATAL"
    }

    /// Whether it is the last word of the server, which closes the connection when it has put away what belongs to it.
    /// - Source: errfinish in src/backend/utils/error/elog.c
    static func isLastWord(_ result: OpaquePointer) -> Bool { ["FATAL", "PANIC"].contains(severity(result)) }

    private static func severity(_ result: OpaquePointer) -> String? {
        field(result, Field.severity) ?? field(result, Field.shownSeverity)
    }

    /// A notice as the server has put it.
    static func notice(_ result: OpaquePointer) -> DatabaseNotice {
        DatabaseNotice(
            severity: field(result, Field.severity) ?? "NOTICE", message: field(result, Field.message) ?? "",
            sqlState: field(result, Field.sqlState), detail: field(result, Field.detail),
            hint: field(result, Field.hint))
    }

    private static func field(_ result: OpaquePointer, _ field: Int) -> String? {
        libpq.PQresultErrorField(result, Int32(field)).map { PostgreSQLText.clipped($0) }
    }

    /// PostgreSQL counts characters from 1.
    static func byteOffset(ofCharacter position: Int, in sql: UnsafeRawBufferPointer) -> Int? {
        guard position > 0 else { return nil }
        if let offset = sql.offset(ofCharacter: position - 1) { return offset }
        return position == sql.characterCount + 1 ? sql.count : nil
    }

    private struct Meaning {
        var code: DriverError.Code
        var isRetryable = false
        var hint: String?
    }

    private static func meaning(_ sqlState: String) -> Meaning {
        var meaning = Meaning(code: ErrorConditions.code(sqlState))
        switch sqlState {
        // The number of parameters; the connection is as good as before, and the same request will fail again.
        case "08P01": meaning.hint = Hint.parameters
        case "25006": meaning.hint = "Open the database for writing."
        case "25P01": meaning.hint = "Begin a transaction in a session."
        case "25P02": meaning.hint = "End the transaction with ROLLBACK, or go back to a savepoint."
        case "40001", "40P01": (meaning.isRetryable, meaning.hint) = (true, "Repeat the whole transaction.")
        case "55P03":
            (meaning.isRetryable, meaning.hint) = (true, "Another transaction holds the lock; try again.")
        // The server ends the connection; what it did for the statement is rolled back.
        case "57P01", "57P03": (meaning.isRetryable, meaning.hint) = (true, "The server is stopping; try again.")
        default: meaning.isRetryable = sqlState.hasPrefix("08")
        }
        return meaning
    }
}
