// Prepared statements of one connection, kept for their next use: preparing costs a round trip.

internal import CMariaDB

/// A statement that the server has prepared.
///
/// - Thread: that of its connection.
final class MySQLStatement {
    let handle: OpaquePointer
    let sql: [UInt8]
    fileprivate let hash: UInt64

    init(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer) {
        self.handle = handle
        self.sql = Array(sql)
        hash = TextHash.hash(sql)
    }
}

/// The prepared statements of a connection, the one used last at the end.
///
/// - Thread: that of its connection.
struct MySQLStatementCache {
    let countMax: Int
    private var statements: [MySQLStatement] = []

    /// Longer texts are hardly ever sent again, and would take much memory here.
    private static let textByteCountMax = 16 << 10

    init(countMax: Int) { self.countMax = countMax }

    /// Takes a statement out; it is put back after its use.
    mutating func take(_ sql: UnsafeRawBufferPointer) -> MySQLStatement? {
        if statements.isEmpty { return nil }
        let hash = TextHash.hash(sql)
        let position = statements.lastIndex { $0.hash == hash && $0.sql.elementsEqual(sql) }
        return position.map { statements.remove(at: $0) }
    }

    /// Keeps a statement.
    /// - Returns: the one that has to be closed for it.
    mutating func put(_ statement: MySQLStatement) -> MySQLStatement? {
        guard countMax > 0, statement.sql.count <= Self.textByteCountMax else { return statement }
        statements.append(statement)
        return statements.count > countMax ? statements.removeFirst() : nil
    }

    /// Takes all out.
    mutating func removeAll() -> [MySQLStatement] {
        defer { statements = [] }
        return statements
    }
}
