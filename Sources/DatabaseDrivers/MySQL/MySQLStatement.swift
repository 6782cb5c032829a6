// A statement that the server has prepared.

/// A prepared statement of one connection.
///
/// - Thread: that of its connection.
final class MySQLStatement {
    let handle: OpaquePointer
    /// It calls nothing that could change what it means; `nil` until somebody has looked.
    var isPlain: Bool?

    init(_ handle: OpaquePointer) { self.handle = handle }
}
