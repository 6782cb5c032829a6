// What one loop has counted of one database.

/// The figures of a database since the start, and its present use.
///
/// A database has a number of its own (`ConfiguredDatabases.numbers`), by which its loop finds them without a search; those that
/// clients name by a URL have the number 0 together.
struct DatabaseFigures: Sendable {
    /// Requests that have ended.
    var requests: UInt64 = 0
    /// Those of them that ended with an error.
    var errors: UInt64 = 0
    /// Rows that were sent, or written to a file.
    var rows: UInt64 = 0
    /// Bytes of the replies with rows.
    var bytes: UInt64 = 0
    /// Time that the daemon has worked on the requests.
    var microseconds: UInt64 = 0
    /// Present ones, counted when somebody asks.
    var sessionsOpen = 0
    var requestsInFlight = 0

    /// Of requests that need no database.
    static let none = -1
    /// Of all databases that clients name by a URL.
    static let adHoc = 0

    mutating func add(_ other: DatabaseFigures) {
        requests &+= other.requests
        errors &+= other.errors
        rows &+= other.rows
        bytes &+= other.bytes
        microseconds &+= other.microseconds
        sessionsOpen += other.sessionsOpen
        requestsInFlight += other.requestsInFlight
    }
}
