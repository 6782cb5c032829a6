// What MySQL's errors mean to a client: our code, with everything that the server said.

internal import ByteBuffers
internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// Translation of errors.
///
/// - Source: https://mariadb.com/kb/en/mariadb-error-codes/
enum MySQLErrors {
    /// The error of a connection's last call.
    static func error(_ connection: UnsafeMutablePointer<MYSQL>) -> DriverError {
        error(
            libmariadb.mysql_errno(connection), libmariadb.mysql_error(connection).map { String(cString: $0) } ?? "",
            libmariadb.mysql_sqlstate(connection).map { String(cString: $0) } ?? "")
    }

    /// The error of a statement's last call.
    static func error(ofStatement statement: UnsafeMutablePointer<MYSQL_STMT>) -> DriverError {
        error(
            libmariadb.mysql_stmt_errno(statement),
            libmariadb.mysql_stmt_error(statement).map { String(cString: $0) } ?? "",
            libmariadb.mysql_stmt_sqlstate(statement).map { String(cString: $0) } ?? "")
    }

    private static func error(_ number: UInt32, _ message: String, _ sqlState: String) -> DriverError {
        var meaning = meaning(number, sqlState)
        // The client has a database that it may write to; its server has none.
        if number == 1836 || (number == 1290 && isAboutReadOnly(message)) { meaning.hint = readOnlyHint }
        let shown = quotingNumbers.contains(number) ? withoutValue(message) : message
        var details = DriverError.Details(code: meaning.code, message: DriverError.sentence(shown))
        // As PostgreSQL has it: the value is for its client.
        if shown != message { details.detail = message }
        details.sqlState = meaning.sqlState ?? sqlState
        details.vendorCode = Int32(bitPattern: number)
        details.hint = meaning.hint
        details.remedy = meaning.remedy
        details.isRetryable = meaning.isRetryable
        return DriverError(details)
    }

    /// Errors whose text quotes the value that they are about: ER_DUP_ENTRY, ER_TRUNCATED_WRONG_VALUE, the same for a field,
    /// ER_ILLEGAL_VALUE_FOR_TYPE, ER_WRONG_VALUE_FOR_TYPE, ER_WRONG_VALUE, and a duplicate key in a foreign one.
    private static let quotingNumbers: Set<UInt32> = [1062, 1292, 1366, 1367, 1411, 1525, 1557, 1586, 1761, 1762]

    /// The text without what stands in its first quotes. The value may hold quotes itself: it ends at the last one that is
    /// followed by what the server says behind a value, or at the last one of all.
    static func withoutValue(_ message: String) -> String {
        guard let start = message.range(ofText: "'"),
            let end = message.range(ofText: "' for ", last: true) ?? message.range(ofText: "'", last: true),
            start.upperBound <= end.lowerBound
        else { return message }
        let head = message[..<start.lowerBound]
        let kept = head.hasSuffix(": ") ? head.dropLast(2) : head.hasSuffix(" ") ? head.dropLast() : head
        return String(kept) + message[message.utf8.index(after: end.lowerBound)...]
    }

    /// Whether nothing more can come over the connection.
    ///
    /// - Source: errmsg.h of Connector/C: CR_SERVER_GONE_ERROR, CR_SERVER_LOST, CR_SERVER_LOST_EXTENDED and what is said
    ///   of packets that are not understood; of the server's, those after which it closes.
    static func isFatal(_ number: UInt32) -> Bool {
        switch number {
        case 2006, 2013, 2014, 2020, 2026, 2027, 2055, 1053, 1927, 1152, 1153, 1155...1161, 4031: true
        default: false
        }
    }

    // MARK: Servers that take no writes

    /// Whether the server has refused a write because it is read-only: ER_OPTION_PREVENTS_STATEMENT, which is also about other
    /// options, and ER_READ_ONLY_MODE.
    static func isOfReadOnlyServer(_ error: DriverError) -> Bool {
        switch error.details.vendorCode {
        case 1290: isAboutReadOnly(error.details.message)
        case 1836: true
        default: false
        }
    }

    private static func isAboutReadOnly(_ message: String) -> Bool {
        message.contains(text: "read-only") || message.contains(text: "read_only")
    }

    /// Whether a node of Galera has lost its cluster: ER_UNKNOWN_COM_ERROR, which no other server says of what the daemon sends.
    static func isOfLoneNode(_ error: DriverError) -> Bool {
        error.details.vendorCode == 1047 && error.details.message.contains(text: "WSREP")
    }

    /// The error of a statement that its server has refused since it is not the wanted one any more.
    static func ofLostRole(_ error: DriverError, isSession: Bool, isDivisible: Bool) -> DriverError {
        guard isOfLoneNode(error) else { return error.ofLostRole(isSession: isSession, isDivisible: isDivisible) }
        let cause = "The server has lost its cluster and takes no statements until it has it again"
        return error.ofLostRole(
            isSession: isSession, isDivisible: isDivisible,
            message: isDivisible ? "\(cause)." : "\(cause); nothing of this one has happened.")
    }

    // MARK: Positions

    /// Whether the server quotes the text where the error is.
    static func hasPlace(_ error: DriverError) -> Bool { error.details.vendorCode == 1064 }

    /// The error with its place in the text.
    /// - Thread: a worker's, if the text is long.
    static func located(_ error: DriverError, in sql: UnsafeRawBufferPointer) -> DriverError {
        guard let offset = offset(in: sql, error.details.message) else { return error }
        return error.with {
            $0.place = TextPlace(offset, in: sql)
            // Without any value the statement is not prepared, and a placeholder is no SQL.
            if offset < sql.count, sql[offset] == UInt8(ascii: "?") { $0.hint = Hint.parameters }
        }
    }

    /// Where a syntax error is: the server quotes the text from there on, and says in which line that begins.
    static func offset(in sql: UnsafeRawBufferPointer, _ message: String) -> Int? {
        guard let end = message.range(ofText: "' at line ", last: true),
            let line = Int(message[end.upperBound...].prefix { $0.isASCII && $0.isNumber }),
            let start = message.range(ofText: "near '")
        else { return nil }
        guard start.upperBound <= end.lowerBound else { return nil }
        let near = Array(message[start.upperBound..<end.lowerBound].utf8)
        let lineStart = Self.lineStart(line, in: sql)
        // At the end of the text there is nothing to be quoted.
        if near.isEmpty { return sql.count }
        return near.withUnsafeBytes { sql.firstIndex(of: $0, from: lineStart) } ?? lineStart
    }

    private static func lineStart(_ line: Int, in sql: UnsafeRawBufferPointer) -> Int {
        guard line > 1, let newline = sql.offset(of: 0x0a, number: line - 2) else { return 0 }
        return newline + 1
    }

    // MARK: Meanings

    private static let readOnlyHint =
        "The server takes no writes (read_only): name the one that does in the URL, or all of them with "
        + "target_session_attrs=read-write."

    private struct Meaning {
        var code: DriverError.Code
        var isRetryable = false
        var hint: String?
        var remedy: Remedy?
        /// Where the server has none but HY000.
        var sqlState: String?
    }

    private static func meaning(_ number: UInt32, _ sqlState: String) -> Meaning {
        switch number {
        case 1022, 1048, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762, 3819, 4025:
            return Meaning(code: .constraintViolation, sqlState: sqlState == "HY000" ? "23000" : nil)
        // A value that is none of the column's type.
        case 1366: return Meaning(code: .databaseError, sqlState: "22007")
        // A column without a default.
        case 1364: return Meaning(code: .constraintViolation, sqlState: "23502")
        case 1205:
            return Meaning(
                code: .busy, isRetryable: true, hint: "Another transaction holds the lock; try again.",
                sqlState: "55P03")
        case 1213: return Meaning(code: .busy, isRetryable: true, hint: "Repeat the whole transaction.")
        case 1020, 1614:
            return Meaning(code: .busy, isRetryable: true, hint: "Repeat the whole transaction.", sqlState: "40001")
        case 1290, 1792, 1836:
            return Meaning(code: .readOnly, hint: "Open the database for writing.", sqlState: "25006")
        case 1044, 1045, 1142, 1143, 1227, 1370, 1410, 1698: return Meaning(code: .permissionDenied, sqlState: "42501")
        case 1317: return Meaning(code: .cancelled, sqlState: "57014")
        // Not the client's own timeout, which is the daemon's.
        case 1969:
            return Meaning(
                code: .timeout, hint: "It is a limit of the server: SET max_statement_time raises it in a session.",
                sqlState: "57014")
        case 3024:
            return Meaning(
                code: .timeout, hint: "It is a limit of the server: SET max_execution_time raises it in a session.",
                sqlState: "57014")
        case 1295:
            return Meaning(
                code: .databaseError, hint: "Send the statement without parameters: write the values into it.",
                sqlState: "0A000")
        case 1065: return Meaning(code: .badRequest, remedy: .sendOneStatement, sqlState: "42601")
        default: return resourceMeaning(number, sqlState)
        }
    }

    private static func resourceMeaning(_ number: UInt32, _ sqlState: String) -> Meaning {
        switch number {
        case 1040, 1203, 1226:
            return Meaning(
                code: .connectFailed, isRetryable: true,
                hint: "Raise max_connections of the server, or lower limits.pool_connections_max.", sqlState: "53300")
        case 1021, 1114: return Meaning(code: .databaseError, sqlState: "53100")
        case 1037, 1038, 1041: return Meaning(code: .databaseError, sqlState: "53200")
        case 1153, 1301, 2020: return Meaning(code: .limitExceeded, hint: packetHint, sqlState: "54000")
        // The server ends the connection; what it did for the statement is rolled back.
        case 1053, 1927, 4031:
            return Meaning(
                code: .connectFailed, isRetryable: true, hint: "The server has ended the connection; try again.",
                sqlState: "57P01")
        case 2057: return Meaning(code: .databaseError, hint: "Send the statement again.", sqlState: "0A000")
        default: break
        }
        // A name that is there already, of an index or a routine, for which the server has no state of its own.
        if number == 1061 || number == 1304 {
            return Meaning(code: ErrorConditions.code("42710"), sqlState: "42710")
        }
        // A name that two tables have, whose state is else that of a constraint.
        if number == 1052 { return Meaning(code: ErrorConditions.code("42702"), sqlState: "42702") }
        // Numbers of columns that do not match, whose state is else that of a subquery with too many rows.
        if number == 1222 || number == 1241 {
            return Meaning(code: ErrorConditions.code("42000"), sqlState: "42000")
        }
        return Meaning(code: ErrorConditions.code(sqlState), isRetryable: sqlState.hasPrefix("08"))
    }

    static let packetHint = "Raise max_allowed_packet of the server, or send less at a time."
}
