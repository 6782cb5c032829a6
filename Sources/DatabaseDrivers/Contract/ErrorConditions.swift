// What a condition is to a client, by its SQLSTATE: one table for all engines, so that a client that knows one knows all.
//
// Engines add what a state cannot say: hints, and whether the same may succeed later. docs/errors.md shows the table, and
// tests compare the two and try each row that an engine can be brought to.

/// Codes by SQLSTATE.
///
/// - Source: ISO/IEC 9075-2, "Status codes"; https://www.postgresql.org/docs/15/errcodes-appendix.html
enum ErrorConditions {
    /// Whole states and classes (the first two characters), in the order of the document.
    static let table: [(states: String, code: DriverError.Code)] = [
        ("07", .badRequest),
        ("08", .connectFailed), ("08P01", .badRequest), ("08007", .outcomeUnknown),
        ("21S01", .syntaxError),
        ("23", .constraintViolation), ("44", .constraintViolation),
        ("25006", .readOnly),
        ("28", .connectFailed),
        ("40", .busy), ("40002", .constraintViolation), ("40003", .outcomeUnknown),
        ("42", .syntaxError),
        ("42501", .permissionDenied),
        // Names that are there already are no mistake of writing, nor are values of another type than what is stored.
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
    static func code(_ sqlState: String) -> DriverError.Code {
        codes[sqlState] ?? codes[String(sqlState.prefix(2))] ?? .databaseError
    }
}
