// Batches: commands are sent before the replies to earlier ones arrive. An atomic batch is a transaction: MULTI, EXEC.

internal import DatabaseContract
internal import RemoteDatabases

extension RedisConnection: BatchSender {
    /// Commands without a reply at a time.
    private static let unansweredCountMax = 1024
    /// Bytes that wait to be sent.
    private static let unsentByteCountMax = 64 << 10

    func beginBatch(_ run: StatementRun, isAtomic: Bool) throws(DriverError) {
        let batch = BatchController(
            isAtomic: isAtomic, unansweredCountMax: Self.unansweredCountMax, keepsOnBehindFailure: true)
        try begin(batch, run)
    }

    var hasRoomForBatch: Bool { unsentByteCount < Self.unsentByteCountMax && !exchange.mustAwaitBegin }

    func sendBatchBegin() throws(DriverError) {
        guard transaction == .none else {
            throw DriverError(
                .badRequest, "A transaction is open, and Redis cannot nest an atomic batch in it.",
                hint: "Set atomic to false, or end the transaction first.", sqlState: "25001")
        }
        // Until the end of the transaction, since that is one command for the server.
        if clusterRun?.isAsking == true { queue(.asking) }
        queue(.multi)
    }

    func sendBatchStatement(_ run: StatementRun, _ position: BatchPosition) throws(DriverError) -> Int {
        let command = try RedisCommand(run.sql, run.parameters)
        try RedisDriver.check(command, isSession: mode.isSession, isInAtomicBatch: batch?.isAtomic == true)
        let isAsking = batch?.isAtomic == false && clusterRun?.isAsking == true
        try queue(command, run.sql, run.parameters, position, behind: isAsking ? [.asking] : [])
        return 0
    }

    func sendBatchCommit() {
        current.effect.noteSent(.commits)
        queue(.exec)
    }

    /// The commands that are queued at the server are not executed.
    func sendBatchUndo() { queue(.discard) }
}
