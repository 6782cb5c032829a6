// A statement that the server has prepared.

internal import CMariaDB

/// A prepared statement of one connection.
///
/// - Thread: that of its connection.
final class MySQLStatement {
    let handle: UnsafeMutablePointer<MYSQL_STMT>
    /// It calls nothing that could change what it means; `nil` until somebody has looked.
    var isPlain: Bool?

    init(_ handle: UnsafeMutablePointer<MYSQL_STMT>) { self.handle = handle }
}
