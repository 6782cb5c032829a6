// Bounds on how long a client's statement may keep a loop, or the write lock, where SQLite cannot be interrupted: while
// it prepares, and between two jumps of a statement's program. The time of each operation there is proportional to the
// values that it works on. So the values are bounded by what the program could do with them at worst.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// The bounds, in one place.
enum SQLiteBudget {
    /// How long a statement may keep its loop busy. Others on the loop wait at most that long, plus one piece of work
    /// that cannot be interrupted.
    static let loopNanoseconds: Int64 = 250_000
    /// How long it may compute after that: only the computing time shows whether it had a processor before.
    static let loopOvertimeNanoseconds: Int64 = 100_000
    /// How long it may be prepared on a loop; then a worker starts again.
    static let loopPreparationNanoseconds: Int64 = 1_500_000
    /// Named parameters that are bound on a loop.
    static let loopNamedParameterCountMax = 128
    /// A piece of work on a loop that cannot be interrupted.
    static let loopPieceNanoseconds = 2_000_000
    /// The same while the write lock is held.
    static let writePieceNanoseconds = 2_000_000_000
    /// How long preparing a text may delay other writers, apart from reading the schema. A text that is long because of
    /// its data takes some 50 ns for each byte.
    static func writePreparationNanoseconds(_ sqlByteCount: Int) -> Int64 { 250_000_000 + 150 * Int64(sqlByteCount) }
    /// How long a writer may compute for that beyond its time, in which it may have had no processor.
    static let writeOvertimeNanoseconds: Int64 = 100_000_000
    /// Bytes of the names and declared types of a result's columns.
    static let columnByteCountMax = 256 << 10
    /// Bytes of a pattern of LIKE or GLOB on a loop.
    static let loopPatternByteCountMax: Int32 = 64
    /// The same while the lock for writing is held: each is tried in turn, and the longer the patterns, the smaller the values.
    static let writePatternByteCountsMax: [Int32] = [12, 64, SQLiteLimit.patternByteCountMax]
    /// How long a long read computes until it checks whether other users want their share of the processors.
    static let workerTurnNanoseconds: Int64 = 5_000_000
    /// How long a statement may continue after it was stopped, until it gets no memory any more.
    static let stopNanoseconds: Int64 = 200_000_000
    /// Size of the file and its log up to which a scan of a whole table is short enough for a loop.
    static let loopFileByteCountMax: Int64 = 4 << 20

    /// Longest text of a view, a trigger or a table for which the stack of a worker suffices, whatever they say: some
    /// 10 bytes of text for a level, some 100 bytes of stack (sqlite3ExprAddCollateString in src/expr.c, which counts
    /// no depth).
    static let schemaTextByteCountMax = 256 << 10
    /// Most words of a longer statement.
    static let longTextWordCountMax = 25_000

    /// Steps of SQLite's virtual machine between two checks of the clock and the stop flag.
    static let stepsBetweenLooksAtFirst: Int32 = 50
    private static let stepsBetweenLooksMax: Int32 = 1000
    private static let quickNanoseconds: Int64 = 100_000
    private static let slowNanoseconds: Int64 = 2_000_000

    /// The next interval, after one that took so long.
    static func stepsBetweenLooks(_ stepCount: Int32, took nanoseconds: Int64) -> Int32 {
        if nanoseconds > slowNanoseconds { return max(1, stepCount / 4) }
        if nanoseconds < quickNanoseconds { return min(stepsBetweenLooksMax, stepCount * 2) }
        return stepCount
    }

    /// The worst cost of one pass through the program of a statement, for each byte of the largest value.
    struct Weight {
        private var picosecondsPerByte: Int
        private var patternCallCount: Int
        /// Bytes of the longest blob that the text has as `x'…'`, or a definition that it uses; or more, where it is estimated.
        ///
        /// With a lower limit for values, SQLite takes such a blob for NULL, and says nothing (OP_Blob in src/vdbe.c of 3.40).
        private(set) var blobByteCountMax: Int

        /// For each byte of the value and of the pattern (patternCompare in src/func.c).
        private static let picosecondsPerPatternByte = 2_000

        /// Estimated from the size of the statement, at nearly no cost.
        init(estimating statement: OpaquePointer, _ authorization: SQLiteAuthorization) {
            // An operation takes 24 bytes of the program (VdbeOp in src/vdbe.h); the rest of the statement's memory
            // counts as operations too.
            let byteCount = Int(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_MEMUSED, 0))
            let operationCount = byteCount / 24
            picosecondsPerByte = 1000 * max(1, operationCount + authorization.functionNanosecondsPerByte)
            blobByteCountMax = byteCount
            patternCallCount = authorization.patternCallCount
        }

        /// Counted from the operations of the program, as EXPLAIN lists them.
        /// - Parameters:
        ///   - statement: a client's.
        ///   - sqlByteCount: the length of its text.
        ///   - connection: whose statement it is.
        init?(explaining statement: OpaquePointer, sqlByteCount: Int, on connection: SQLiteConnection) {
            guard let text = sqlite3_sql(statement) else { return nil }
            var weight = Weight()
            let isWhole = connection.listOperations(of: text, byteCount: sqlByteCount) { weight.add($0) }
            guard isWhole else { return nil }
            self = weight
        }

        private init() {
            picosecondsPerByte = 1
            patternCallCount = 0
            blobByteCountMax = 0
        }

        /// - Parameter listing: a row of EXPLAIN. Of a function it also has the name and the number of arguments, as `instr(2)`; of a blob
        ///   its length.
        private mutating func add(_ listing: OpaquePointer) {
            guard let operation = sqlite3_column_text(listing, 1) else { return }
            switch String(cString: operation) {
            case "Blob":
                picosecondsPerByte += 200
                blobByteCountMax = max(blobByteCountMax, Int(sqlite3_column_int64(listing, 2)))
            case "Function", "PureFunc", "AggStep", "AggStep1", "AggInverse", "AggValue", "AggFinal":
                let detail = sqlite3_column_text(listing, 5).map { String(cString: $0) }
                let cost = SQLiteFunctions.cost(String(detail?.prefix { $0 != "(" } ?? "")) ?? .linear
                picosecondsPerByte += 1000 * cost.nanosecondsPerByte
                if case .pattern = cost { patternCallCount += 1 }
            // These convert text to numbers.
            case "Add", "Subtract", "Multiply", "Divide", "Remainder", "BitAnd", "BitOr", "BitNot", "ShiftLeft",
                "ShiftRight", "Cast", "Affinity", "NumericAffinity", "RealAffinity", "MustBeInt", "MakeRecord",
                "TypeCheck",
                "Concat":
                picosecondsPerByte += 1000
            // The others copy or compare at most.
            default: picosecondsPerByte += 200
            }
        }

        /// The text and the definitions have none.
        mutating func noteNoBlob() { blobByteCountMax = 0 }

        /// The largest value with which a pass takes no longer than `nanoseconds`.
        func valueByteCountMax(within nanoseconds: Int, patternByteCount: Int32) -> Int32 {
            let patterns = patternCallCount * Int(patternByteCount) * Self.picosecondsPerPatternByte
            return Int32(clamping: nanoseconds * 1000 / (picosecondsPerByte + patterns))
        }
    }
}
