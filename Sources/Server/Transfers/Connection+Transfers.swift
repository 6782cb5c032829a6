// The life of requests whose data go into a file of the client's. To the engine they are runs like others; what differs is
// where a full buffer goes, and that the end waits for the file.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Makes an operation whose data go through `sink` into the one file that came with the request.
    func makeTransfer(
        _ request: ReceivedRequest, _ fields: TransferFields, _ sink: TransferSink, mustReachDisk: Bool
    ) throws(RequestError) -> Operation {
        let file = try takeOneFile()
        sink.payer = (account, context.limits.bufferedByteCountPerUserMax)
        let transfer = Transfer(
            file, sink, mustReachDisk: mustReachDisk, progressMilliseconds: fields.progressMilliseconds, account,
            at: context.loop.now)
        return makeOperation(request, transfer)
    }

    /// The one file that came with a request, if its user may have another transfer.
    func takeOneFile() throws(RequestError) -> PassedFile {
        guard let file = passedFiles.first, passedFiles.count == 1 else {
            throw RequestError(
                .badRequest, "The request takes one descriptor, and \(passedFiles.count) were declared.",
                hint: "Send \"descriptors\": 1 and one descriptor.")
        }
        let (used, limit) = (account.transfers.count, Limits.transferCountPerUserMax)
        guard used < limit else {
            account.refusalCount.add(1, ordering: .relaxed)
            throw RequestError(
                .limitExceeded,
                "\(account.name.capitalizedFirst) has \(used) transfers, the limit of one user being \(limit).",
                hint: "Wait until others have ended."
            ).with { $0.isRetryable = true }
        }
        return file
    }

    /// Has the file checked, and starts the operation meanwhile.
    func submitTransfer(_ operation: Operation) throws(RequestError) -> RequestOutcome {
        guard let transfer = operation.transfer else { preconditionFailure("an operation without a file") }
        if let error = refusal(of: operation) {
            // The id of the reply points into them.
            swap(&operation.storage, &context.body)
            context.recycle(operation)
            throw error
        }
        transfer.check(at: place, done: fileDidAnswer(operation, transfer))
        return submit(operation)
    }

    private var place: Transfer.Place {
        Transfer.Place(workers: context.shared.transfers, uid: owner.uid, mailbox: context.loop.mailbox)
    }

    private func fileDidAnswer(
        _ operation: Operation, _ transfer: Transfer
    ) -> @Sendable (PassedFileProblem?) -> Void {
        let all = LoopBound((connection: self, operation: operation, transfer: transfer), context.loop.mailbox)
        return { problem in
            let (connection, operation, transfer) = all.wrapped
            transfer.workDidEnd()
            // It may have been answered meanwhile.
            guard operation.transfer === transfer else { return }
            connection.withOutputStorage {
                connection.fileDidAnswer(operation, transfer, problem)
                connection.finishTurn()
            }
        }
    }

    private func fileDidAnswer(_ operation: Operation, _ transfer: Transfer, _ problem: PassedFileProblem?) {
        if let problem {
            operation.refusal = operation.refusal ?? RequestError(problem, after: transfer.byteCount)
            return stop(operation, .cancelled)
        }
        tellProgress(operation, transfer)
        if transfer.isDriverDone {
            operationDidEnd(operation)
        } else if operation.progress == .waitingForFile {
            move(operation, to: .running)
            operation.clock.resume(at: .now)
            armTimer(operation)
            operationDidGoOn(operation, passOn(operation))
        }
    }

    /// The sink is full.
    func passOn(_ operation: Operation) -> RunOutcome {
        guard let transfer = operation.transfer else { preconditionFailure("an operation without a file") }
        guard !transfer.isWorking else {
            transfer.noteFull()
            move(operation, to: .waitingForFile)
            operation.waitingSince = context.loop.now
            operation.clock.stop(at: .now)
            disarmTimer(operation)
            context.housekeeper.watch(self)
            return .pending
        }
        transfer.write(at: place, done: fileDidAnswer(operation, transfer))
        return operation.link?.resume(operation) ?? .pending
    }

    /// The engine has ended, or a worker has done the last piece of work.
    /// - Returns: whether the operation has ended.
    func endTransfer(_ operation: Operation) -> Bool {
        guard let transfer = operation.transfer else { return true }
        if operation.error != nil || operation.refusal != nil || isClosed {
            // To the engine it was one that is too long.
            if operation.error?.code == .limitExceeded, let refusal = transfer.sink.refusal {
                operation.error = refusal
            }
            transfer.stop()
            return true
        }
        if !transfer.isDriverDone {
            transfer.isDriverDone = true
            transfer.sink.finish()
        }
        if transfer.isComplete { return true }
        move(operation, to: .running)
        if !transfer.isWorking { transfer.write(at: place, done: fileDidAnswer(operation, transfer)) }
        if !operation.isTracked { track(operation) }
        return false
    }

    /// Ends an operation that only waits for its file.
    func stopTransfer(_ operation: Operation, _ reason: StopReason) {
        let error = DriverError.stopped(reason)
        operation.refusal = operation.refusal ?? RequestError(error)
        // What the statement has changed stays.
        if operation.summary.rowsAffected == 0 { operation.error = operation.error ?? error }
        operationDidEnd(operation)
    }

    private func tellProgress(_ operation: Operation, _ transfer: Transfer) {
        // Before the first bytes nothing is known of it.
        guard let interval = transfer.progressMilliseconds, !isClosed, !transfer.isComplete, transfer.byteCount > 0
        else { return }
        let now = MonotonicInstant.now
        guard now.nanoseconds(since: transfer.lastProgress) / 1_000_000 >= interval,
            flow.mayProduce(outputByteCount: stream.output.count)
        else { return }
        transfer.lastProgress = now
        var answer = TransferProgress()
        answer.byteCount = transfer.byteCount
        answer.totalByteCount = transfer.totalByteCount
        reply(answer, operation.row.type.replyName, id: operation.id, encoding: operation.encoding)
    }
}

extension RequestError {
    /// What is wrong with a client's file that is to be read.
    init(reading problem: PassedFileProblem) {
        switch problem {
        case .failed(let error):
            self.init(
                .badRequest, "The client's file could not be read: \(error).", hint: "See whether it can be read.")
        default: self.init(problem, after: 0)
        }
    }

    /// What is wrong with a client's file.
    init(_ problem: PassedFileProblem, after byteCount: Int64) {
        let partial = byteCount > 0 ? " It may have a part of the data." : ""
        switch problem {
        case .notWritable:
            self.init(
                .badRequest, "The descriptor is not open for writing.", hint: "Open the file with O_WRONLY or O_RDWR.")
        case .notReadable:
            self.init(
                .badRequest, "The descriptor is not open for reading.", hint: "Open the file with O_RDONLY or O_RDWR.")
        case .wrongKind:
            self.init(
                .badRequest, "The descriptor is neither a file nor a pipe.",
                hint: "Send a regular file or a pipe; from a pipe the client can copy to anything.")
        case .inMemory:
            self.init(
                .badRequest, "The file is in memory (tmpfs, memfd), which would be the daemon's.",
                hint: "Send a file on a disk, or a pipe, from which the client writes the file itself.")
        case .locked:
            self.init(
                .badRequest, "A program has locks on the file: it may be a database that is in use.",
                hint: "Write into a new file; to restore what it has, make a backup of it first, and restore that.")
        case .noReader:
            self.init(.cancelled, "Nobody reads the pipe any more.", hint: nil)
        case .stopped: self.init(DriverError.stopped(.cancelled))
        case .failed(let error):
            self.init(
                .cancelled, "The client's file could not be written: \(error).\(partial)",
                hint: "See whether its disk is full, or its size limited.")
        }
    }
}
