// Statements that the server keeps parsed and planned, by a name that only this connection uses.
//
// A text that comes for the first time goes the usual way, unnamed: what is sent once costs nothing more than it did. When
// it comes again it is prepared together with its execution, in the same round trip; from then on it is called by its name.

internal import CPostgreSQL
internal import LinuxSystem

/// A statement that was prepared, or is on its way to be.
///
/// - Thread: that of its connection.
final class PostgreSQLStatement {
    fileprivate let hash: UInt64
    private let sql: [UInt8]
    private let types: [UInt32]
    /// With a NUL behind it.
    let name: ContiguousArray<CChar>
    fileprivate var lastUse: UInt64 = 0
    /// As its first result had them: the server refuses to run it when they would be others now.
    /// - Source: RevalidateCachedQuery in src/backend/utils/cache/plancache.c
    var columns: PostgreSQLColumns?

    fileprivate init(_ key: PostgreSQLStatements.Key, name: String) {
        hash = key.hash
        sql = Array(key.sql)
        types = key.types
        self.name = name.utf8CString
    }

    fileprivate func matches(_ key: PostgreSQLStatements.Key) -> Bool {
        guard sql.count == key.sql.count, types == key.types else { return false }
        guard let text = key.sql.baseAddress else { return sql.isEmpty }
        return sql.withUnsafeBytes { own in own.baseAddress.map { compareBytes($0, text, sql.count) } ?? true }
    }
}

/// The prepared statements of one connection; the least recently used one leaves first.
///
/// - Thread: that of its connection.
struct PostgreSQLStatements {
    /// What makes two statements the same for the server.
    struct Key {
        let sql: UnsafeRawBufferPointer
        /// As they are sent: 0 where the server infers the type.
        let types: [UInt32]
        let hash: UInt64

        init(_ sql: UnsafeRawBufferPointer, types: [UInt32]) {
            self.sql = sql
            self.types = types
            var hash = TextHash.hash(sql)
            for type in types { hash = (hash ^ UInt64(type)) &* 0x0000_0100_0000_01b3 }
            self.hash = hash
        }
    }

    /// How a statement is to be sent.
    enum Way {
        case unnamed
        /// Prepared first; the other one, if there is one, leaves for it.
        case prepare(PostgreSQLStatement, insteadOf: PostgreSQLStatement?)
        case named(PostgreSQLStatement)
    }

    /// Texts beyond this are hardly ever repeated as they are.
    private static let sqlByteCountMax = 16 << 10
    /// Texts that came once and are remembered, by their hashes.
    private static let candidateCountMax = 256

    private let countMax: Int
    /// The server's names for its sessions' statements are one space with those that a client gives by PREPARE.
    private let prefix: String
    private var lastNumber = 0
    private var useCount: UInt64 = 0
    private var statements: [UInt64: PostgreSQLStatement] = [:]
    private var candidates: [UInt64] = []
    private var nextCandidate = 0
    /// Statements that were gone although nobody had dropped them.
    private var lossCount = 0
    private static let lossCountMax = 3

    /// - Parameter countMax: statements that are kept; 0 for none.
    init(countMax: Int) {
        self.countMax = countMax
        prefix = "litebase_" + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    /// Whether any are kept here at all.
    var isOn: Bool { countMax > 0 && lossCount < Self.lossCountMax }

    /// The way of a statement.
    /// - Parameters:
    ///   - key: its text and types.
    ///   - isRepeated: it is known to come more than once, as with the rows of a batch.
    ///   - mayEvict: another one may be dropped for it.
    /// - Returns: how to send it; one that is to be prepared is kept from now on.
    mutating func way(of key: Key, isRepeated: Bool, mayEvict: Bool) -> Way {
        useCount &+= 1
        if let known = statements[key.hash] {
            guard known.matches(key) else { return .unnamed }
            known.lastUse = useCount
            return .named(known)
        }
        guard key.sql.count <= Self.sqlByteCountMax, isRepeated || candidates.contains(key.hash) else {
            return .unnamed
        }
        var evicted: PostgreSQLStatement?
        if statements.count >= countMax {
            guard mayEvict, let oldest = statements.values.min(by: { $0.lastUse < $1.lastUse }) else { return .unnamed }
            statements[oldest.hash] = nil
            evicted = oldest
        }
        lastNumber += 1
        let statement = PostgreSQLStatement(key, name: "\(prefix)_\(lastNumber)")
        statement.lastUse = useCount
        statements[key.hash] = statement
        return .prepare(statement, insteadOf: evicted)
    }

    /// A statement that went unnamed has succeeded.
    mutating func noteSuccess(hash: UInt64) {
        let limit = min(countMax, Self.candidateCountMax)
        guard !candidates.contains(hash) else { return }
        if candidates.count < limit { return candidates.append(hash) }
        candidates[nextCandidate] = hash
        nextCandidate = (nextCandidate + 1) % limit
    }

    /// It was not prepared, or is not usable any more.
    mutating func forget(_ statement: PostgreSQLStatement) {
        if statements[statement.hash] === statement { statements[statement.hash] = nil }
    }

    /// The server has dropped them all.
    mutating func forgetAll() { statements.removeAll(keepingCapacity: true) }

    /// The server does not know one that nobody has dropped by a statement of his. A function may have, once in a while;
    /// or what stands between changes the server's session under us, and it is of no use to go on.
    mutating func noteLoss() {
        forgetAll()
        lossCount += 1
    }
}
