// A `restore` request on its way: a worker copies the client's file and has it checked, then the engine writes it.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// The client's file, and the engine's copy of it.
///
/// - Thread: that of one worker at a time; `stop` any.
final class RestoreSource: Sendable {
    private struct State {
        var copy: (any RestoredFile)?
        var isStopped = false
    }

    private let file: PassedFile
    private let database: any Database
    private let owner: LinkOwner
    private let state = Mutex(State())

    /// Bytes of one piece of work, behind which other users have their turn.
    private static let partByteCount: Int64 = 64 << 20
    private static let chunkByteCount = 1 << 20

    init(_ file: PassedFile, _ database: any Database, _ owner: LinkOwner) {
        self.file = file
        self.database = database
        self.owner = owner
    }

    /// The copy, once `begin` has made it.
    var copy: (any RestoredFile)? { state.withLock { $0.copy } }

    /// Ends the work soon.
    /// - Parameter workers: end that on the copy: giving the room of a large file back takes its time.
    func stop(_ workers: WorkerPool) {
        file.stop()
        let copy = state.withLock { state in
            state.isStopped = true
            return state.copy
        }
        guard let copy else { return }
        workers.submit(for: owner.uid) { copy.stop() }
    }

    // MARK: What a worker does

    /// Looks at the file, and makes the copy, which is empty.
    /// - Returns: bytes of the file; `nil` for a pipe.
    func begin() throws(DriverError) -> Int64? {
        let total: Int64?
        do throws(PassedFileProblem) {
            total = try file.checkReadable(mustBeUnlocked: true)
        } catch {
            throw DriverError(.file(error))
        }
        let made = try database.makeRestoredFile(byteCount: total, for: owner)
        let isStopped = state.withLock { state in
            state.copy = made
            return state.isStopped
        }
        if isStopped { throw .stopped(.cancelled) }
        return total
    }

    /// Copies a part of the file.
    /// - Returns: how many bytes, and whether they are the last.
    func copyPart() throws(DriverError) -> (byteCount: Int64, isLast: Bool) {
        guard let copy else { preconditionFailure("a restore without a copy") }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunkByteCount, alignment: 4096)
        defer { room.deallocate() }
        var byteCount: Int64 = 0
        while byteCount < Self.partByteCount {
            let count: Int
            do throws(PassedFileProblem) { count = try file.read(into: room) } catch { throw DriverError(.file(error)) }
            if count == 0 { return (byteCount, true) }
            try copy.append(UnsafeRawBufferPointer(rebasing: room[..<count]))
            byteCount += Int64(count)
            // A pipe may bring little at a time, and its client wants to know.
            if count < room.count { break }
        }
        return (byteCount, false)
    }

    func check() throws(DriverError) { try copy?.check() }
}

/// Runs one `restore` request: a statement that has the database opened; the copy, part after part; the check; the write.
///
/// - Thread: its loop's.
final class RestoreLink: FileReadingLink {
    private enum Stage {
        case idle
        case running(InnerRun)
        /// A worker has the file or its copy.
        case working
        case ended
    }

    private let source: RestoreSource
    private let progressMilliseconds: Int64?
    private var stage = Stage.idle
    private(set) var byteCount: Int64 = 0
    private(set) var totalByteCount: Int64?

    init(
        _ source: RestoreSource, _ target: any DatabaseLink, _ context: LoopContext, _ account: UserAccount,
        progressMilliseconds: Int64?
    ) {
        self.source = source
        self.progressMilliseconds = progressMilliseconds
        super.init(target, context, account)
    }

    override func begin() {
        // What is so damaged that it cannot answer may need a restore most; without a file the copy has no place, and says so.
        run(InnerRun("\(engine.pingText)", RowSink(), mayWrite: false)) { _ in self.beginCopying() }
    }

    override func stopWork(_ reason: StopReason) {
        switch stage {
        case .running(let inner): stopStatement(inner, reason)
        case .working:
            source.stop(context.shared.promptWorkers)
            end(.stopped(reason))
        case .idle, .ended: break
        }
    }

    private func run(_ inner: InnerRun, _ done: @escaping (InnerRun) -> Void) {
        stage = .running(inner)
        start(inner) {
            guard case .running = self.stage else { return }
            done(inner)
        }
    }

    /// Has a worker do something, and goes on with what came of it.
    private func work<Answer: Sendable>(
        _ body: @escaping @Sendable () throws(DriverError) -> Answer, then: @escaping (Answer) -> Void
    ) {
        stage = .working
        onWorker { () -> Result<Answer, DriverError> in
            do throws(DriverError) { return .success(try body()) } catch { return .failure(error) }
        } then: { answer in
            switch answer {
            case .success(let value): then(value)
            case .failure(let error): self.end(error)
            }
        }
    }

    private func beginCopying() {
        if let reason = operation?.stopReason { return end(.stopped(reason)) }
        let source = source
        work { () throws(DriverError) in
            try source.begin()
        } then: { total in
            self.totalByteCount = total
            self.copy()
        }
    }

    private func copy() {
        beginWaiting()
        let source = source
        work { () throws(DriverError) in
            try source.copyPart()
        } then: { part in
            self.endWaiting()
            self.byteCount += part.byteCount
            self.tellProgress(each: self.progressMilliseconds, self.progress)
            if part.isLast { self.check() } else { self.copy() }
        }
    }

    private var progress: TransferProgress {
        var answer = TransferProgress()
        answer.byteCount = byteCount
        answer.totalByteCount = totalByteCount
        return answer
    }

    private func check() {
        let source = source
        work { () throws(DriverError) in
            try source.check()
        } then: {
            self.write()
        }
    }

    private func write() {
        guard let copy = source.copy else { return end(.noFileToRestore) }
        let inner = InnerRun("", RowSink(), mayWrite: true)
        inner.kind = .restore(copy)
        run(inner) { inner in
            if inner.error == nil { self.context.shared.catalogs.doubt(self.databaseName) }
            self.end(inner.error)
        }
    }

    private func end(_ error: DriverError?) {
        if case .ended = stage { return }
        stage = .ended
        source.stop(context.shared.promptWorkers)
        finish(error)
    }
}
