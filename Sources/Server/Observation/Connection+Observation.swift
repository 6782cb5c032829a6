// What a connection reports to the observer about its requests. For a quick statement without an error that costs one
// comparison; texts and fields are made only if somebody wants them.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Counts a request that has ended, and reports it if necessary.
    func record(_ operation: Operation) {
        let now = MonotonicInstant.now
        let microseconds = operation.clock.stop(at: now) / 1000
        operation.elapsedMicroseconds = microseconds
        operation.session?.lastEnd = now
        context.statistics.latency[Int(operation.row.number)].record(microseconds)
        let rows = operation.isStatement ? UInt64(operation.rowCount) : 0
        context.statistics.rowsSent &+= rows
        if operation.databaseNumber >= 0 {
            context.statistics.count(
                database: operation.databaseNumber, rows: rows, microseconds: UInt64(microseconds),
                isError: operation.hasError || operation.refusal != nil)
        }
        // Through the context: a reference of its own to the shared state is counted on a cache line that all loops
        // write.
        let isSlow = operation.isStatement && context.observer.isSlow(microseconds: microseconds)
        let isTrouble = operation.hasError && operation.error?.isTrouble == true
        guard isSlow || isTrouble || context.observer.wants(.debug) else { return }
        observeEnd(operation, isSlow: isSlow, isTrouble: isTrouble)
    }

    @inline(never)
    private func observeEnd(_ operation: Operation, isSlow: Bool, isTrouble: Bool) {
        let observer = context.observer
        let facts = facts(of: operation)
        if observer.wants(.debug) {
            observer.observe(operation.error == nil ? .requestFinished(facts) : .requestFailed(facts))
        }
        if isSlow { observer.observe(.slowStatement(facts, sql: text(of: operation))) }
        if isTrouble, let error = operation.error {
            observer.observe(.databaseTrouble(facts, reason: error.details.message))
        }
    }

    private func facts(of operation: Operation) -> RequestFacts {
        var facts = facts(operation.id, operation.row.type.name)
        facts.database = operation.databaseName
        facts.microseconds = operation.elapsedMicroseconds
        if operation.isStatement {
            facts.rowCount = operation.rowCount
            facts.rowsAffected = operation.rowsAffected
        }
        if let error = operation.error {
            facts.code = ErrorCode(error.code).name
            facts.sqlState = error.details.sqlState
        }
        return facts
    }

    /// SQL may contain something that its author would not show elsewhere, so it is shown only if the administrator has
    /// asked for it. Parameters are never shown.
    private func text(of operation: Operation) -> String? {
        let byteCountMax = context.observer.textByteCountMax
        guard byteCountMax > 0 else { return nil }
        return LogText.escaped(operation.firstSQL, byteCountMax: byteCountMax)
    }

    private func facts(_ id: RequestID, _ type: StaticString) -> RequestFacts {
        RequestFacts(connection: number, peer: peer, request: id.text, type: type)
    }

    /// A request was understood. Ask `Observer.wants` first.
    func observeStart(_ head: RequestHead, _ type: RequestType) {
        context.observer.observe(.requestStarted(facts(head.id, type.name)))
    }

    /// A request failed before it started. Ask `Observer.wants` first.
    func observeRefusal(_ head: RequestHead, _ type: RequestType, _ error: RequestError) {
        var facts = facts(head.id, type.name)
        facts.code = error.code.name
        facts.sqlState = error.fields.sqlState
        context.observer.observe(.requestFailed(facts))
    }
}

extension RequestID {
    /// For the log.
    fileprivate var text: String {
        switch self {
        case .string(let bytes): LogText.escaped(bytes, byteCountMax: RequestFacts.requestByteCountMax)
        case .integer(let value): "\(value)"
        case .unsigned(let value): "\(value)"
        case .none: "-"
        }
    }
}

extension Operation {
    /// Whether it runs SQL of the client's.
    var isStatement: Bool { row.traits.contains(.isStatement) }

    /// The name of its database in the log; `nil` without a database.
    var databaseName: String? { link?.databaseName ?? session?.link.databaseName }

    fileprivate var rowsAffected: Int64 {
        batchSummaries.isEmpty ? summary.rowsAffected : batchSummaries.reduce(0) { $0 &+ $1.rowsAffected }
    }
}

extension DriverError {
    /// Whether the error is not due to the statement or the client, but something for an administrator: a full disk, a
    /// damaged file, too little memory (SQLSTATE classes 53, 58, XX), or a defect of the daemon. Errors of opening a
    /// database are reported when it is opened.
    fileprivate var isTrouble: Bool {
        switch code {
        case .internalError: true
        case .databaseError: ["53", "58", "XX"].contains { details.sqlState?.hasPrefix($0) ?? false }
        case .badRequest, .needsSession, .permissionDenied, .connectFailed, .driverMissing, .syntaxError,
            .outcomeUnknown, .constraintViolation, .readOnly, .busy, .timeout, .cancelled, .limitExceeded,
            .shuttingDown, .transactionRolledBack:
            false
        }
    }
}
