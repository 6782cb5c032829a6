// Batches: statement after statement, those of one text by one prepared statement.

internal import DatabaseContract
internal import RemoteDatabases

extension MySQLConnection: BatchSender {
    var hasRoomForBatch: Bool { true }

    func beginBatch(_ run: StatementRun, isAtomic: Bool) throws(DriverError) {
        try begin(BatchController(isAtomic: isAtomic, isNested: transaction != .none), run)
    }

    func sendBatchBegin() { exchange.planBatchBegin() }

    func sendBatchStatement(_ run: StatementRun, _ position: BatchPosition) throws(DriverError) -> Int {
        try MySQLDriver.check(run.sql, run.parameters, mode, isInAtomicBatch: batch?.isAtomic == true)
        exchange.planStatement(run.sql, position, isInTransaction: isInTransaction)
        return 0
    }

    func sendBatchCommit() {
        current.effect.noteSent(batch?.isNested == true ? .changes : .commits)
        exchange.planBatchCommit()
    }

    func sendBatchUndo() { exchange.planBatchUndo() }
}
