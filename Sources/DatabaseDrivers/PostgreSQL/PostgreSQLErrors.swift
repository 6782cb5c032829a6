// What PostgreSQL's errors mean to a client: our code, with everything that the server said.

internal import ByteBuffers
internal import CPostgreSQL

/// Translation of error results.
///
/// - Source: https://www.postgresql.org/docs/15/errcodes-appendix.html
enum PostgreSQLErrors {
    /// Fields of an error result (postgres_ext.h).
    private enum Field {
        /// Not translated; PostgreSQL 9.6 and later.
        static let severity = Int32(UInt8(ascii: "V"))
        /// What comes before 9.6 and PgBouncer have instead.
        static let shownSeverity = Int32(UInt8(ascii: "S"))
        static let sqlState = Int32(UInt8(ascii: "C"))
        static let message = Int32(UInt8(ascii: "M"))
        static let detail = Int32(UInt8(ascii: "D"))
        static let hint = Int32(UInt8(ascii: "H"))
        static let position = Int32(UInt8(ascii: "P"))
    }

    /// The error of a result.
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
        details.isRetryable = meaning.isRetryable
        if let position = field(result, Field.position).flatMap({ Int($0) }) {
            details.offset = byteOffset(ofCharacter: position, in: sql)
        }
        return DriverError(details)
    }

    /// What the server calls the error or notice; `nil` when it is one of libpq's own.
    static func sqlState(_ result: OpaquePointer) -> String? { field(result, Field.sqlState) }

    static func message(_ result: OpaquePointer) -> String {
        field(result, Field.message) ?? pq_resultErrorMessage(result).map { PostgreSQLText.clipped($0) } ?? ""
    }

    static func isDivisionByZero(_ result: OpaquePointer) -> Bool { sqlState(result) == "22012" }

    /// Whether somebody between, who has lost the server, says so and hangs up. What the server did then, he does not know.
    /// - Source: disconnect_client in src/objects.c of PgBouncer, which sends FATAL and 08P01
    static func tellsLoss(_ result: OpaquePointer) -> Bool {
        guard let sqlState = sqlState(result), sqlState.hasPrefix("08") else { return false }
        return (field(result, Field.severity) ?? field(result, Field.shownSeverity)) == "FATAL"
    }

    /// A notice as the server has put it.
    static func notice(_ result: OpaquePointer) -> DatabaseNotice {
        DatabaseNotice(
            severity: field(result, Field.severity) ?? "NOTICE", message: field(result, Field.message) ?? "",
            sqlState: field(result, Field.sqlState), detail: field(result, Field.detail),
            hint: field(result, Field.hint))
    }

    private static func field(_ result: OpaquePointer, _ field: Int32) -> String? {
        pq_resultErrorField(result, field).map { PostgreSQLText.clipped($0) }
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
