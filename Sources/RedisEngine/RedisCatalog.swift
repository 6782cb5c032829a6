// What is in a Redis database: it has no catalog, so its keys are looked through, and its server is asked for its commands.

internal import Catalog
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// How Redis tells what it holds (`RedisCatalogWalk`).
struct RedisCatalog: CatalogSource {
    let isCaseSensitive = true
    /// A session may be within MULTI, where a command gets no reply of its own.
    let needsOwnConnection = true
    /// The commands of the server are read by a script, which changes nothing.
    let ownConnectionIsReadOnly = false
    /// Keys come and go with every command: they are not counted again each time.
    let trustMilliseconds: Int64 = 10_000
    let batchesMayChange = false

    /// Nothing tells that the keys are still the same.
    func mayBelieveFingerprint(of namespaces: [String]) -> Bool { false }
    func fingerprints(_ wish: CatalogWish) -> [String] { [] }
    func statements(_ wish: CatalogWish) -> [CatalogStatement] { [] }

    func walk(_ wish: CatalogWish) -> (any CatalogWalk)? {
        let place = wish.location as? RedisLocation
        return RedisCatalogWalk(database: Int(place?.database ?? 0), isOfCluster: place?.isOfCluster == true)
    }

    /// Those that empty a database, or put another one in its place, by their names alone: a loop asks, and the rest is as long as a
    /// client likes.
    func mayChange(_ sql: UnsafeRawBufferPointer) -> Bool {
        var words = RedisWords(UnsafeRawBufferPointer(rebasing: sql.prefix(TextBound.byteCountMax)))
        guard let name = try? words.next() else { return sql.count > TextBound.byteCountMax }
        return ["FLUSHDB", "FLUSHALL", "SWAPDB", "DEBUG"].contains(RedisCommand.capitals(name))
    }
}

/// Looks through the keys of a database, and asks for the server's databases and commands.
///
/// SCAN is asked for a few keys at a time, so that the server's other clients wait for none of it; at most so many and for so long as
/// `Limits` says. In a cluster each primary is asked in turn, and has a share of that. The rest is estimated by the number of all keys: the order of SCAN is that of a hash, and so as good as a sample.
/// - Source: https://redis.io/docs/latest/commands/scan/, …/dbsize/, …/info/, …/command-docs/
final class RedisCatalogWalk: CatalogWalk, @unchecked Sendable {
    struct Limits {
        var keyCount: Int64 = 100_000
        var scanCount = 1_000
        var nanoseconds: Int64 = 2_000_000_000
        /// Keys of one SCAN.
        var keysPerScan = 250
        /// The part of these that one primary of a cluster may take: the others are to be seen, too.
        var nodeShare = 16
    }

    /// What has to be left of the limits when a node is begun: so much is its own.
    private struct NodeLimits {
        var keyCount: Int64 = .max
        var scanCount = Int.max
        var end = MonotonicInstant.distantFuture
    }

    private enum Step { case start, size, scan, databases, documents, done }

    private let database: Int
    private let limits: Limits
    private let isOfCluster: Bool
    /// The primary that is asked, by its place in the map of a cluster.
    private var node = -1
    private var nodeLimits = NodeLimits()
    private var hasMoreNodes = true
    /// Not all keys of some node were seen.
    private var hasLeftKeys = false
    private var step = Step.start
    private var start: MonotonicInstant?
    private var cursor = "0"
    private var scanCount = 0
    /// The whole database was looked through.
    private(set) var isWhole = false
    /// The same of the server that is asked.
    private var isNodeWhole = false
    private(set) var keys = RedisKeyTree()
    private var size: Int64 = 0
    private var reply = RedisTextSink(byteCountMax: 64)
    private var scanned = RedisKeySink()
    private var information = ""
    private var documents: [UInt8] = []

    /// Longer ones are left out.
    private static let documentsByteCountMax = 8 << 20
    private static let informationByteCountMax = 64 << 10
    /// No server holds as many keys. All numbers up to here are exact as `Double`, and in a client's JSON.
    static let sizeMax: Int64 = 1 << 53

    /// `return` of a text: the documents are nested more deeply than hiredis reads.
    static let documentsText = "EVAL_RO \"return cjson.encode(redis.call('COMMAND','DOCS'))\" 0"

    init(database: Int, limits: Limits = Limits(), isOfCluster: Bool = false) {
        self.database = database
        self.limits = limits
        self.isOfCluster = isOfCluster
    }

    // MARK: Step by step

    func next(at now: MonotonicInstant) -> String? {
        takeReply()
        step = following(now)
        switch step {
        case .start, .done: return nil
        case .size:
            node += 1
            reply = RedisTextSink(byteCountMax: 64)
            reply.node = isOfCluster ? node : nil
            return "DBSIZE"
        case .scan:
            scanCount += 1
            scanned.begin()
            scanned.node = isOfCluster ? node : nil
            return "SCAN \(cursor) COUNT \(limits.keysPerScan)"
        case .databases:
            reply = RedisTextSink(byteCountMax: Self.informationByteCountMax)
            return "INFO keyspace"
        case .documents:
            reply = RedisTextSink(byteCountMax: Self.documentsByteCountMax)
            return Self.documentsText
        }
    }

    private func following(_ now: MonotonicInstant) -> Step {
        switch step {
        case .start:
            start = now
            return .size
        case .size:
            guard hasMoreNodes else { return followingNodes() }
            beginNode(now)
            return .scan
        case .scan:
            if !isNodeWhole, !scanned.isOverfull, mayGoOn(now), mayStay(now) { return .scan }
            hasLeftKeys = hasLeftKeys || !isNodeWhole
            return isOfCluster && mayGoOn(now) ? .size : followingNodes()
        case .databases: return .documents
        case .documents, .done: return .done
        }
    }

    private func mayGoOn(_ now: MonotonicInstant) -> Bool {
        let hasTime = start.map { now.nanoseconds(since: $0) < limits.nanoseconds } ?? true
        return hasTime && scanCount < limits.scanCount && keys.keyCount < limits.keyCount
    }

    private func mayStay(_ now: MonotonicInstant) -> Bool {
        now < nodeLimits.end && scanCount < nodeLimits.scanCount && keys.keyCount < nodeLimits.keyCount
    }

    private func beginNode(_ now: MonotonicInstant) {
        cursor = "0"
        guard isOfCluster else { return }
        let share = Int64(limits.nodeShare)
        nodeLimits = NodeLimits(
            keyCount: keys.keyCount + max(1, limits.keyCount / share),
            scanCount: scanCount + max(1, limits.scanCount / limits.nodeShare),
            end: now.advanced(byNanoseconds: max(1, limits.nanoseconds / share)))
    }

    /// There are no more servers whose keys are looked through.
    private func followingNodes() -> Step {
        isWhole = !hasLeftKeys && (!isOfCluster || !hasMoreNodes)
        // The number of keys is known, and of others a cluster has none.
        return isOfCluster ? .documents : .databases
    }

    var sink: RowSink { step == .scan ? scanned : reply }

    private func takeReply() {
        switch step {
        case .start, .done: break
        case .size: size = Self.bounded(size + Self.bounded(reply.integer))
        case .scan:
            scanned.takeKeys(into: &keys)
            isNodeWhole = !scanned.isOverfull && scanned.cursor == "0"
            cursor = scanned.cursor
        case .databases: information = String(decoding: reply.bytes, as: UTF8.self)
        case .documents: documents = reply.bytes
        }
        reply = RedisTextSink(byteCountMax: 0)
    }

    /// What the login may not ask for is not told, nor what is too long. Without the keys there is nothing to tell; the first ones of
    /// too many are some.
    func goesOn(without error: DriverError) -> Bool {
        reply = RedisTextSink(byteCountMax: 0)
        if error.details.sqlState == DriverError.noSuchNodeState {
            hasMoreNodes = false
            // A node that is gone while it is looked through has left keys to others.
            if step == .scan { hasLeftKeys = true }
            return true
        }
        let codes: [DriverError.Code] = [.databaseError, .permissionDenied, .syntaxError, .readOnly, .limitExceeded]
        guard codes.contains(error.code) else { return false }
        return step != .scan || (error.code == .limitExceeded && scanned.isOverfull)
    }

    var byteCount: Int {
        keys.byteCount + scanned.byteCount + information.utf8.count + documents.count + reply.bytes.count
    }

    // MARK: The end

    func finish(into builder: CatalogBuilder) throws(CatalogError) {
        let own = addNamespaces(to: builder)
        let factor = isWhole || keys.keyCount == 0 ? 1 : max(1, Double(size) / Double(keys.keyCount))
        for node in keys.sorted {
            var record = RelationRecord(
                name: node.name.withUnsafeBytes { builder.text($0) }, namespace: own, kind: .keyPrefix)
            record.rowEstimate = Self.estimate(node.keyCount, factor)
            if node.isKey { record.extra = builder.text("{\"key\":true}") }
            if node.hasMore { record.extra = builder.text("{\"more\":true}") }
            builder.add(record)
            try builder.checkSize()
        }
        for command in RedisDocuments.commands(documents) {
            var record = RoutineRecord(namespace: own, name: builder.text(command.name), kind: .function)
            record.arguments = builder.text(command.syntax)
            if let summary = command.summary { record.comment = builder.text(summary) }
            record.extra = builder.text(command.extra)
            builder.add(record)
            try builder.checkSize()
        }
    }

    /// A number of keys as a server tells it: it may tell any.
    private static func bounded(_ count: Int64) -> Int64 { min(max(0, count), sizeMax) }

    /// The factor comes from a server's number; a number that `Int64` does not hold would end the process.
    private static func estimate(_ count: Int64, _ factor: Double) -> Int64 {
        let estimate = (Double(count) * factor).rounded()
        return estimate < Double(sizeMax) ? Int64(estimate) : sizeMax
    }

    /// The databases that have keys, and this one.
    /// - Returns: the number of this one.
    private func addNamespaces(to builder: CatalogBuilder) -> UInt32 {
        var counts = Self.counts(information)
        counts[database] = isWhole && size == 0 ? keys.keyCount : size
        var own: UInt32 = 0
        for (number, count) in counts.sorted(by: { $0.key < $1.key }) {
            var record = NamespaceRecord(name: builder.text("\(number)"))
            record.isDefault = number == database
            let isSample = number == database && (!isWhole || keys.hasMore)
            record.extra = builder.text("{\"keys\":\(count)\(isSample ? ",\"more\":true" : "")}")
            let place = builder.add(record)
            if number == database { own = place }
        }
        return own
    }

    /// `db0:keys=3,expires=1,avg_ttl=0` in lines.
    static func counts(_ information: String) -> [Int: Int64] {
        var counts: [Int: Int64] = [:]
        for line in information.split(whereSeparator: \.isNewline) where line.hasPrefix("db") {
            let parts = line.dropFirst(2).split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let number = Int(parts[0]), number >= 0 else { continue }
            let keys = parts[1].split(separator: ",").first { $0.hasPrefix("keys=") }
            counts[number] = bounded(keys.flatMap { Int64($0.dropFirst(5)) } ?? 0)
        }
        return counts
    }
}

// MARK: Replies

/// Takes what a walk has asked for.
class RedisWalkSink: RowSink {
    /// The primary of a cluster that is asked, by its place in the map; `nil` for any server.
    final var node: Int?
}

/// Takes one value, up to a length. What a server sends beyond is refused before it is in memory.
final class RedisTextSink: RedisWalkSink {
    private(set) var bytes: [UInt8] = []
    private(set) var integer: Int64 = 0
    private let byteCountMax: Int
    private var rowCount = 0

    /// Up to here a value that is too long is left out. A longer one costs the connection.
    private static let readByteCountMin = 1 << 20

    init(byteCountMax: Int) { self.byteCountMax = byteCountMax }

    override var rowByteCountMax: Int { max(byteCountMax, Self.readByteCountMin) }

    override func beginRow() { rowCount += 1 }
    override func integer(_ value: Int64) { integer = value }
    override func text(_ bytes: UnsafeRawBufferPointer) { if bytes.count <= byteCountMax { self.bytes = Array(bytes) } }
    override func blob(_ bytes: UnsafeRawBufferPointer) { text(bytes) }
    override func endRow() -> State { rowCount > 1 ? .overflow : .open }

    override func restart() {
        bytes = []
        rowCount = 0
    }
}

/// Takes the reply to SCAN: rows of a cursor and a key.
final class RedisKeySink: RedisWalkSink {
    private(set) var cursor = "0"
    /// There were more rows than are taken of one reply.
    private(set) var isOverfull = false
    private var names: [[UInt8]] = []
    private var nameByteCount = 0
    private var rowCount = 0
    private var isFirst = true

    /// Of one reply. Redis sends about as many keys as it was asked for (`RedisCatalogWalk.Limits.keysPerScan`), but promises nothing.
    static let rowCountMax = 4_096
    /// Far more than keys have: a longer one costs the connection.
    private static let readByteCountMax = 8 << 20

    /// Bytes that it holds.
    var byteCount: Int { names.count * 64 + nameByteCount }

    override var rowByteCountMax: Int { Self.readByteCountMax }

    func begin() {
        forgetNames()
        cursor = "0"
        rowCount = 0
        isOverfull = false
    }

    func takeKeys(into tree: inout RedisKeyTree) {
        for name in names { tree.add(name) }
        forgetNames()
    }

    private func forgetNames() {
        names = []
        nameByteCount = 0
    }

    override func beginRow() {
        isFirst = true
        rowCount += 1
    }

    override func text(_ bytes: UnsafeRawBufferPointer) {
        if isFirst {
            cursor = String(decoding: bytes.prefix(32), as: UTF8.self)
        } else if rowCount <= Self.rowCountMax {
            let name = Array(bytes.prefix(RedisKeyTree.nameByteCountMax + 1))
            names.append(name)
            nameByteCount += name.count
        }
        isFirst = false
    }

    override func blob(_ bytes: UnsafeRawBufferPointer) { text(bytes) }
    override func integer(_ value: Int64) { isFirst = false }
    override func null() { isFirst = false }

    override func endRow() -> State {
        guard rowCount > Self.rowCountMax else { return .open }
        isOverfull = true
        return .overflow
    }

    override func restart() { begin() }
}
