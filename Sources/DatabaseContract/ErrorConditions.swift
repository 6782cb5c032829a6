// The meaning of a SQLSTATE for clients: one table for all engines, so that a client learns it once.
//
// Engines add what a state does not tell: hints, and whether a retry may succeed. docs/errors.md shows the table; tests
// compare the two, and provoke each row that an engine can produce.

/// Codes by SQLSTATE.
///
/// - Source: ISO/IEC 9075-2, "Status codes"; https://www.postgresql.org/docs/15/errcodes-appendix.html
package enum ErrorConditions {
    /// Whole states and classes (the first two characters), in the order of the document.
    package static let table: [(states: String, code: DriverError.Code)] = [
        ("07", .badRequest),
        ("08", .connectFailed), ("08P01", .badRequest), ("08007", .outcomeUnknown),
        ("21S01", .syntaxError),
        ("23", .constraintViolation), ("44", .constraintViolation),
        ("25006", .readOnly),
        ("28", .connectFailed),
        ("40", .busy), ("40000", .transactionRolledBack), ("40002", .constraintViolation), ("40003", .outcomeUnknown),
        ("42", .syntaxError),
        ("42501", .permissionDenied),
        // An object that exists already is not a syntax error, and neither is a value of another type than the stored
        // one.
        ("42701", .databaseError), ("42710", .databaseError), ("42712", .databaseError), ("42723", .databaseError),
        ("42P03", .databaseError), ("42P04", .databaseError), ("42P05", .databaseError), ("42P06", .databaseError),
        ("42P07", .databaseError), ("42S01", .databaseError), ("42S11", .databaseError), ("42S21", .databaseError),
        ("42804", .databaseError),
        ("53300", .connectFailed), ("53400", .limitExceeded),
        ("54", .limitExceeded),
        ("55P03", .busy),
        ("57014", .cancelled),
        ("57P01", .connectFailed), ("57P02", .connectFailed), ("57P03", .connectFailed), ("57P04", .connectFailed),
        ("57P05", .connectFailed),
    ]

    private static let codes = Dictionary(table.map { ($0.states, $0.code) }) { first, _ in first }

    /// The code of a state: its own, else that of its class, else `database_error`.
    package static func code(_ sqlState: String) -> DriverError.Code {
        codes[sqlState] ?? codes[String(sqlState.prefix(2))] ?? .databaseError
    }
}
