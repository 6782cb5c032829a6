// Prepared statements and the cache that each connection keeps of them.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// A prepared statement, with what was found out while it was prepared.
///
/// - Thread: that of its connection.
final class CachedStatement {
    let handle: OpaquePointer
    let origin: Origin
    let isReadOnly: Bool
    let controlsTransaction: Bool
    let mayCommit: Bool
    let isCheckpoint: Bool
    /// The table into which it inserts.
    let insertTarget: String?
    /// Names of the attached files that it changes, as far as was known when it was prepared first.
    let attachedWrites: [String]
    /// Sets a number in the file's header that programs keep there.
    let changesNumbers: Bool
    /// False if it was prepared without virtual tables, of its triggers apart.
    let mayUseVirtualTables: Bool
    /// Does something by a trigger, as far as was known when it was prepared first.
    let runsTriggers: Bool
    /// For one that inserts several rows of a file: whether they may be written by one execution, once somebody has looked. What
    /// that depends on is the schema, a change of which has SQLite prepare the statement again.
    var rowsMayGoTogether: Bool?
    /// What its running changes, for those who listen.
    private(set) var changes: StatementChanges
    /// `preparationCount` when it was started.
    @exclusivity(unchecked) var preparationCountBefore: Int32 = 0
    /// Changes rows and returns rows (https://sqlite.org/lang_returning.html).
    let writesAndReturns: Bool
    let parameterCount: Int
    /// Length of its text, of which SQLite keeps the copy.
    let sqlByteCount: Int
    /// It never runs on a loop: it reads the whole file in one step, calls something slow, or a loop could not prepare
    /// it.
    @exclusivity(unchecked) private var isAlwaysSlow: Bool
    /// Calls `count`.
    let countsRows: Bool
    /// Compares with LIKE or GLOB.
    let matchesPatterns: Bool
    /// The largest value with which it may run on a loop, in bytes.
    @exclusivity(unchecked) private(set) var loopValueByteCountMax: Int32
    private var weight: SQLiteBudget.Weight
    private var isWeightExact = false
    /// It must be prepared again: the meaning of its names has changed.
    @exclusivity(unchecked) var isOutdated = false
    /// Grows with each use that kept a loop busy for too long, and decreases again: the thread may also have been
    /// preempted.
    @exclusivity(unchecked) private var slowness = 0
    @exclusivity(unchecked) private var quickRunCount = 0
    @exclusivity(unchecked) private var workerStartCount = 0
    /// In use by a run; a second run of the same text prepares its own.
    @exclusivity(unchecked) var isInUse = false
    @exclusivity(unchecked) var lastUse: UInt64 = 0
    @exclusivity(unchecked) private var columnSet: ColumnSet?
    @exclusivity(unchecked) private var columnGeneration: Int32 = 0
    /// Reads its one row; `nil` if it wants something else, or nobody has looked.
    @exclusivity(unchecked) private var rowReader: TableReader?
    /// `preparationCount` when somebody has looked.
    @exclusivity(unchecked) private var readerGeneration: Int32 = -1
    /// The version of the schema that SQLite has seen when it was last stepped: it is prepared for that one, and its columns are those.
    @exclusivity(unchecked) var steppedVersion: Int32?
    /// Whether it may be a statement for one row by its number: it is short, and has at most one parameter.
    let mayReadRow: Bool
    /// Whether it is EXPLAIN, which lists names of tables from memory that a change of the schema frees, and does not look whether there
    /// was one (displayP4 and sqlite3VdbeList in src/vdbeaux.c). EXPLAIN QUERY PLAN has its own copies.
    let listsProgram: Bool

    /// Where it was prepared.
    enum Origin {
        case loop
        case worker
        /// On a worker, because a loop could not: it takes long, or uses virtual tables.
        case workerForLoop
    }

    init(
        _ handle: OpaquePointer, sqlByteCount: Int, _ authorization: SQLiteAuthorization, _ origin: Origin,
        mayUseVirtualTables: Bool
    ) {
        self.handle = handle
        self.origin = origin
        self.mayUseVirtualTables = mayUseVirtualTables
        self.sqlByteCount = sqlByteCount
        isReadOnly = sqlite3_stmt_readonly(handle) != 0
        listsProgram = sqlite3_stmt_isexplain(handle) == 1
        controlsTransaction = authorization.controlsTransaction
        mayCommit = authorization.mayCommit
        isCheckpoint = authorization.isCheckpoint
        countsRows = authorization.countsRows
        matchesPatterns = authorization.patternCallCount > 0
        weight = SQLiteBudget.Weight(estimating: handle, authorization)
        loopValueByteCountMax = weight.valueByteCountMax(
            within: SQLiteBudget.loopPieceNanoseconds, patternByteCount: SQLiteBudget.loopPatternByteCountMax)
        isAlwaysSlow =
            authorization.checksFile || authorization.callsSlowFunction || origin == .workerForLoop
            || loopValueByteCountMax < Self.loopValueByteCountMin
        insertTarget = authorization.insertTarget
        attachedWrites = authorization.attachedWrites
        changesNumbers = authorization.changesNumbers
        runsTriggers = authorization.runsTriggers
        changes = authorization.changes
        writesAndReturns = authorization.modifiesRows && sqlite3_column_count(handle) > 0
        parameterCount = Int(sqlite3_bind_parameter_count(handle))
        mayReadRow =
            isReadOnly && parameterCount <= 1 && sqlByteCount <= Self.rowTextByteCountMax && origin != .workerForLoop
    }

    deinit {
        sqlite3_finalize(handle)
    }

    /// The largest value with which it may run on a worker that holds the write lock, in bytes.
    func writeValueByteCountMax(patternByteCount: Int32) -> Int32 {
        weight.valueByteCountMax(within: SQLiteBudget.writePieceNanoseconds, patternByteCount: patternByteCount)
    }

    /// Bytes of the longest blob that its program holds itself, or more: with a lower limit for values it must not be stepped.
    var blobByteCountMax: Int { weight.blobByteCountMax }

    /// Has it start on a worker, where values have no limit, if a loop's limit may be lower than a blob of its own.
    func weighBlobs(on connection: SQLiteConnection) {
        guard !isAlwaysSlow, blobByteCountMax > Int(loopValueByteCountMax) else { return }
        if hasNoBlob(connection) { return weight.noteNoBlob() }
        connection.beginGuard()
        defer { AllocationGuard.end() }
        if weighExactly(on: connection) {
            loopValueByteCountMax = weight.valueByteCountMax(
                within: SQLiteBudget.loopPieceNanoseconds, patternByteCount: SQLiteBudget.loopPatternByteCountMax)
        }
        isAlwaysSlow =
            blobByteCountMax > Int(loopValueByteCountMax) || loopValueByteCountMax < Self.loopValueByteCountMin
    }

    /// Whether neither its text nor any definition has one, as nearly always: the program is just a large one.
    private func hasNoBlob(_ connection: SQLiteConnection) -> Bool {
        // Other connections may have definitions in `temp`, and attached databases.
        guard case .reader = connection.role, let text = sqlite3_sql(handle),
            !SQLiteText.mayHaveBlob(UnsafeRawBufferPointer(start: text, count: sqlByteCount))
        else { return false }
        if connection.blobWatch == nil { connection.blobWatch = BlobWatch(connection) }
        return connection.blobWatch?.findsNone(connection) ?? false
    }

    /// Replaces the estimate of its cost by one from its program.
    /// - Returns: false if that was done before, or could not be done in the time that preparing it may take.
    func weighExactly(on connection: SQLiteConnection) -> Bool {
        guard !isWeightExact,
            let exact = SQLiteBudget.Weight(explaining: handle, sqlByteCount: sqlByteCount, on: connection)
        else { return false }
        isWeightExact = true
        weight = exact
        return true
    }

    /// It was prepared again while it ran: what was found then is added.
    func add(_ more: StatementChanges) { changes.add(more) }

    /// How often SQLite has prepared it again.
    var preparationCount: Int32 { sqlite3_stmt_status(handle, SQLITE_STMTSTATUS_REPREPARE, 0) }

    /// Ends the use by a run: it holds no lock and no snapshot any more.
    func release() {
        sqlite3_reset(handle)
        isInUse = false
    }

    /// The columns; made anew when the statement was prepared again because the schema changed.
    var columns: ColumnSet {
        let generation = preparationCount
        if let columnSet, generation == columnGeneration { return columnSet }
        // Beyond what `hasShortColumns` allows, they have grown since the statement was prepared: names may be of any
        // length.
        var room = SQLiteBudget.columnByteCountMax
        let made = ColumnSet((0..<sqlite3_column_count(handle)).map { describeColumn($0, &room) })
        columnSet = made
        columnGeneration = generation
        return made
    }

    private func describeColumn(_ index: Int32, _ room: inout Int) -> ColumnDescription {
        let name = Self.text(sqlite3_column_name(handle, index), &room)
        let declared = sqlite3_column_decltype(handle, index).map { Self.text($0, &room) }
        return ColumnDescription(
            name: Array(name.utf8), type: SQLiteTypes.name(declared), declaredType: declared)
    }

    private static func text(_ pointer: UnsafePointer<CChar>?, _ room: inout Int) -> String {
        guard let pointer else { return "" }
        let byteCount = boundedByteCount(of: pointer, room)
        room -= byteCount
        return pointer.withMemoryRebound(to: UInt8.self, capacity: byteCount) {
            String(decoding: UnsafeBufferPointer(start: $0, count: byteCount), as: UTF8.self)
        }
    }

    /// Whether the names and types of its columns are short enough to be kept, and to be written on a loop: a client
    /// chooses them, and their number.
    var hasShortColumns: Bool {
        var room = SQLiteBudget.columnByteCountMax
        for index in 0..<sqlite3_column_count(handle) {
            for text in [sqlite3_column_name(handle, index), sqlite3_column_decltype(handle, index)] {
                guard let text else { continue }
                room -= boundedByteCount(of: text, room + 1)
                if room < 0 { return false }
            }
        }
        return true
    }

    /// Whether the next run should start on a worker; now and then a slow statement gets another try on the loop.
    func startsOnWorker() -> Bool {
        guard isAlwaysSlow || slowness >= Self.slownessLimit else { return false }
        workerStartCount += 1
        let hasAnotherChance = workerStartCount % Self.workerStartCountMax == 0
        // The next run prepares it again: the first use of that code, or of the schema, may have been the slow part.
        if hasAnotherChance, origin == .workerForLoop { isOutdated = true }
        return isAlwaysSlow || !hasAnotherChance
    }

    /// Records whether a run on the loop took too long.
    func noteLoopRun(tookTooLong: Bool) {
        slowness = tookTooLong ? min(slowness + 4, Self.slownessLimit + 4) : max(slowness - 1, 0)
        quickRunCount = tookTooLong ? 0 : min(quickRunCount + 1, Self.quickRunCountMin)
    }

    /// What reads its row; looked for when it has run often enough that this pays.
    /// - Parameters:
    ///   - connection: with a transaction.
    ///   - schemaVersion: what the transaction sees.
    /// - Returns: `nil` if it wants something else than a row by its number, or is not known well enough yet.
    func rowReader(on connection: SQLiteConnection, schemaVersion: Int32) -> TableReader? {
        guard isQuick, steppedVersion == schemaVersion else { return nil }
        let generation = preparationCount
        if generation != readerGeneration {
            readerGeneration = generation
            rowReader = TableProgram(of: self, on: connection).flatMap {
                $0.access == .all ? nil : TableReader($0, connection.pages)
            }
        }
        return rowReader
    }

    private static let rowTextByteCountMax = 4 << 10

    /// Whether it was quick on a loop often enough to rely on it.
    var isQuick: Bool { quickRunCount == Self.quickRunCountMin }

    private static let slownessLimit = 8
    private static let workerStartCountMax = 64
    private static let quickRunCountMin = 16
    /// A statement that computes so much that values would have to be smaller does not run on a loop.
    static let loopValueByteCountMin: Int32 = 256

    /// Names of the first parameters, `nil` for one by position. SQLite searches all of them for each.
    func parameterNames(_ countMax: Int) -> [String?] {
        (0..<Int32(min(parameterCount, countMax))).map {
            sqlite3_bind_parameter_name(handle, $0 + 1).map { String(cString: $0) }
        }
    }
}

/// The protocol's names of declared types.
enum SQLiteTypes {
    /// By the rules of https://sqlite.org/datatype3.html#determination_of_column_affinity; numeric affinity guarantees
    /// nothing about the values, so it is "any", as for an expression.
    static func name(_ declared: String?) -> String {
        guard let declared else { return "any" }
        var name = "any"
        // The last four bytes, in lower case.
        var window: UInt32 = 0
        for byte in declared.utf8 {
            window = window << 8 | UInt32((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
            if window & 0xFF_FFFF == int { return "integer" }
            switch window {
            case char, clob, text: name = "text"
            case blob where name != "text": name = "blob"
            case real where name == "any", floa where name == "any", doub where name == "any": name = "real"
            default: break
            }
        }
        return name
    }

    private static let int = word("int")
    private static let (char, clob, text) = (word("char"), word("clob"), word("text"))
    private static let (blob, real, floa, doub) = (word("blob"), word("real"), word("floa"), word("doub"))

    private static func word(_ letters: String) -> UInt32 { letters.utf8.reduce(0) { $0 << 8 | UInt32($1) } }
}

extension String {
    /// Whether `part` occurs in the text, compared as bytes.
    func containsBytes(of part: String) -> Bool {
        let (text, part) = (Array(utf8), Array(part.utf8))
        guard text.count >= part.count else { return false }
        return (0...(text.count - part.count)).contains { text[$0..<($0 + part.count)].elementsEqual(part) }
    }
}

/// The statements that a connection keeps prepared, by their text; the least recently used one is dropped first.
///
/// A scan over a few dozen hashes is faster than a dictionary and needs no `String`.
/// - Thread: that of its connection.
final class StatementCache {
    @exclusivity(unchecked) private var hashes: [UInt64] = []
    @exclusivity(unchecked) private var entries: [CachedStatement] = []
    @exclusivity(unchecked) private var useCount: UInt64 = 0
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = max(1, countMax)
        hashes.reserveCapacity(min(self.countMax, 64))
        entries.reserveCapacity(min(self.countMax, 64))
    }

    /// An unused statement with this text.
    func find(_ sql: UnsafeRawBufferPointer, hash: UInt64) -> CachedStatement? {
        for index in hashes.indices where hashes[index] == hash {
            let entry = entries[index]
            if entry.isOutdated, !entry.isInUse {
                remove(at: index)
                return nil
            }
            guard !entry.isInUse, entry.sqlByteCount == sql.count, matches(entry, sql) else { continue }
            useCount &+= 1
            entry.lastUse = useCount
            return entry
        }
        return nil
    }

    func insert(_ statement: CachedStatement, hash: UInt64) {
        useCount &+= 1
        statement.lastUse = useCount
        if entries.count >= countMax {
            guard let oldest = entries.indices.min(by: { rank($0) < rank($1) }), !entries[oldest].isInUse else {
                return
            }
            remove(at: oldest)
        }
        hashes.append(hash)
        entries.append(statement)
    }

    private func remove(at index: Int) {
        hashes.swapAt(index, hashes.count - 1)
        entries.swapAt(index, entries.count - 1)
        hashes.removeLast()
        entries.removeLast()
    }

    func removeAll() {
        hashes.removeAll()
        entries.removeAll()
    }

    /// All of them must be prepared again.
    func outdateAll() {
        for entry in entries { entry.isOutdated = true }
    }

    private func rank(_ index: Int) -> UInt64 { entries[index].isInUse ? .max : entries[index].lastUse }

    private func matches(_ entry: CachedStatement, _ sql: UnsafeRawBufferPointer) -> Bool {
        guard let text = sqlite3_sql(entry.handle), let base = sql.baseAddress else { return false }
        return compareBytes(text, base, sql.count)
    }
}
