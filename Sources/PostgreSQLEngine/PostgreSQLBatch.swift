// Batches: the statements of an atomic one go out before those in front of them are answered, so that a thousand rows do not cost
// a thousand round trips.

internal import DatabaseContract
internal import RemoteDatabases
internal import SQLText

extension PostgreSQLConnection: BatchSender {
    /// Statements of an atomic batch on their way at a time.
    private static let unansweredCountMax = 128

    func beginBatch(_ run: StatementRun, isAtomic: Bool) throws(DriverError) {
        if !isAtomic { current.effect.noteSent(.commits) }
        let batch = BatchController(
            isAtomic: isAtomic, isNested: transaction != .none,
            unansweredCountMax: isAtomic ? Self.unansweredCountMax : 1)
        try begin(batch, run)
    }

    // libpq tells only at the end that the socket is full.
    var hasRoomForBatch: Bool { !mustFlush }

    private var isNested: Bool { batch?.isNested == true }

    func sendBatchBegin() throws(DriverError) {
        try send(.begin(isNested: isNested, isReadOnly: mode.isReadOnly))
    }

    func sendBatchStatement(_ run: StatementRun, _ position: BatchPosition) throws(DriverError) -> Int {
        let isAtomic = batch?.isAtomic == true
        try PostgreSQLDriver.check(run.sql, run.parameters, mode, isInAtomicBatch: isAtomic)
        guard isAtomic else {
            try send(run.sql, run.parameters, position)
            return 0
        }
        let kind = PostgreSQLStatementKind(run.sql)
        takeOver(run.sql, run.parameters, kind)
        try sendRow(run.sql, kind, position)
        return parameters.byteCount
    }

    func flushBatch() throws(DriverError) { try requestAnswers() }

    func sendBatchCommit() throws(DriverError) {
        current.effect.noteSent(isNested ? .changes : .commits)
        try send(.commit(isNested: isNested, isReadOnly: mode.isReadOnly))
    }

    func sendBatchUndo() {
        // Where the connection is lost, that is told where its answers are awaited.
        try? send(.undo(isNested: isNested))
    }
}
