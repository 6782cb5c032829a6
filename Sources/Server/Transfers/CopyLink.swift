// An `import` whose file goes to a statement as it is (COPY FROM STDIN): a worker reads the next piece, while the engine sends the one
// before.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Reads a client's file, whose data end with a line `\.`: a file that is cut off must not be taken for all of it, nor the end of a
/// program that writes a pipe for the end of its data.
///
/// - Thread: that of one worker at a time; `stop` any.
final class CopySource: @unchecked Sendable {
    /// Bytes of the file.
    ///
    /// - Thread: whoever has it.
    final class Part: @unchecked Sendable {
        var bytes = ByteBuffer()
        var isLast = false
        /// As it was read.
        var byteCount: Int64 = 0
    }

    private let file: PassedFile
    /// What may belong to the last line; behind a line end of our own, so that the first line may be the last one.
    private var held: [UInt8] = [UInt8(ascii: "\n")]
    private var isAtStart = true

    /// Bytes that are read at a time.
    static let pieceByteCount = 256 << 10
    private static let endings = ["\n\\.\n", "\n\\.\r\n", "\n\\."].map { Array($0.utf8) }
    private static let heldByteCount = 5

    init(_ file: PassedFile) { self.file = file }

    func stop() { file.stop() }

    /// - Returns: bytes of the file; `nil` for a pipe.
    func check() throws(DriverError) -> Int64? {
        do throws(PassedFileProblem) { return try file.checkReadable() } catch { throw DriverError(.file(error)) }
    }

    /// Reads on.
    /// - Parameter spare: a part that nobody needs any more.
    /// - Returns: what comes next.
    /// - Throws: that the file cannot be read, or was cut off.
    func readPart(reusing spare: Part?) throws(DriverError) -> Part {
        let part = spare ?? Part()
        part.bytes.removeAll()
        for byte in held { part.bytes.append(byte) }
        do throws(PassedFileProblem) {
            let count = try file.read(into: part.bytes.writable(Self.pieceByteCount))
            part.bytes.commit(count)
            part.byteCount = Int64(count)
        } catch {
            throw DriverError(.file(error))
        }
        part.isLast = part.byteCount == 0
        if part.isLast {
            try dropEnding(of: part)
        } else {
            let count = max(0, part.bytes.count - Self.heldByteCount)
            held = Array(part.bytes.readable[count...])
            part.bytes.truncate(to: count)
        }
        // The one of our own.
        if isAtStart, !part.bytes.isEmpty {
            isAtStart = false
            part.bytes.consume(1)
        }
        return part
    }

    /// Drops the line that ends the data, but for the line end in front of it, which belongs to them.
    private func dropEnding(of part: Part) throws(DriverError) {
        let bytes = part.bytes.readable
        guard let ending = Self.endings.first(where: { bytes.suffix($0.count).elementsEqual($0) }) else {
            throw DriverError(
                .badRequest, "The data have no end: the last line has to be \\.",
                hint: "See whether the file is cut off.", sqlState: "22P04")
        }
        part.bytes.truncate(to: bytes.count - ending.count + 1)
    }
}

/// Runs one such request.
///
/// - Thread: its loop's.
final class CopyLink: FileReadingLink, ImportReplying {
    private enum Stage { case idle, checking, sending, ended }

    private let source: CopySource
    private let inner: InnerRun
    private let input = CopyInput()
    private let progressMilliseconds: Int64?
    private var stage = Stage.idle
    /// The statement waits for more.
    private var isHungry = false
    private var ready: CopySource.Part?
    /// One that was sent.
    private var spare: CopySource.Part?
    private var hasReadAll = false
    /// Why the file has no more, and the statement is stopped.
    private var failure: DriverError?
    private var byteCount: Int64 = 0
    private var totalByteCount: Int64?
    private let charge: AccountCharge

    /// A piece is read, and one is sent.
    private static let pieceCount = 3

    init(
        _ sql: String, _ file: PassedFile, _ target: any DatabaseLink, _ context: LoopContext, _ account: UserAccount,
        progressMilliseconds: Int64?
    ) {
        source = CopySource(file)
        inner = InnerRun(sql, RowSink(), mayWrite: true)
        inner.kind = .copy(input)
        self.progressMilliseconds = progressMilliseconds
        charge = AccountCharge(account)
        super.init(target, context, account)
        charge.set(Self.pieceCount * CopySource.pieceByteCount)
    }

    var importReply: ImportReply {
        var answer = ImportReply()
        answer.byteCount = byteCount
        answer.totalByteCount = totalByteCount
        answer.rowCount = inner.summary.rowsAffected
        return answer
    }

    override func pressure(on uid: UInt32) -> LinkPressure { link.pressure(on: uid) }

    override func begin() {
        stage = .checking
        let source = source
        work { () throws(DriverError) in
            try source.check()
        } then: { total in
            self.totalByteCount = total
            self.read()
        }
    }

    override func stopWork(_ reason: StopReason) {
        source.stop()
        switch stage {
        case .checking: end(.stopped(reason))
        case .sending: stopStatement(inner, reason)
        case .idle, .ended: break
        }
    }

    /// Has a worker do something, and goes on with what came of it.
    private func work<Answer: Sendable>(
        _ body: @escaping @Sendable () throws(DriverError) -> Answer, then: @escaping (Answer) -> Void
    ) {
        onWorker { () -> Result<Answer, DriverError> in
            do throws(DriverError) { return .success(try body()) } catch { return .failure(error) }
        } then: { answer in
            switch answer {
            case .success(let value): then(value)
            case .failure(let error): self.fail(error)
            }
        }
    }

    /// The file has no more. What the statement has got is undone.
    private func fail(_ error: DriverError) {
        guard case .sending = stage else { return end(error) }
        // The statement was stopped with the reading, and its end says why.
        if operation?.stopReason != nil { return }
        failure = error
        endWaiting()
        stopStatement(inner, .cancelled)
    }

    private func read() {
        guard ready == nil, !hasReadAll, !isReading else { return }
        if isHungry || stage == .checking { beginWaiting() }
        let (source, used) = (source, spare)
        spare = nil
        work { () throws(DriverError) in
            try source.readPart(reusing: used)
        } then: { part in
            self.take(part)
        }
    }

    private func take(_ part: CopySource.Part) {
        byteCount += part.byteCount
        hasReadAll = part.isLast
        ready = part
        tellProgress(each: progressMilliseconds, progress)
        endWaiting()
        if case .checking = stage { return send() }
        if isHungry { feed() }
        read()
    }

    private var progress: ImportProgress {
        var answer = ImportProgress()
        answer.byteCount = byteCount
        answer.totalByteCount = totalByteCount
        return answer
    }

    /// Gives the statement what was read.
    private func feed() {
        guard let part = ready.take() else { return }
        isHungry = false
        fill(part)
        follow(link.resume(inner))
    }

    private func fill(_ part: CopySource.Part) {
        swap(&input.bytes, &part.bytes)
        input.isLast = part.isLast
        spare = part
    }

    private func send() {
        guard let part = ready.take() else { return }
        stage = .sending
        fill(part)
        inner.onFill = { [unowned self] in self.follow(.filled) }
        inner.onEnd = { [unowned self] in self.follow(.ended) }
        follow(link.start(inner, for: owner))
        if case .sending = stage { read() }
    }

    private func follow(_ outcome: RunOutcome) {
        switch outcome {
        case .pending: break
        case .filled:
            isHungry = true
            if ready != nil { feed() } else if isReading { beginWaiting() }
            if case .sending = stage { read() }
        case .ended:
            operation?.summary = inner.summary
            operation?.rowCount = inner.summary.rowsAffected
            end(failure ?? inner.error)
        }
    }

    private func end(_ error: DriverError?) {
        if case .ended = stage { return }
        stage = .ended
        source.stop()
        inner.onFill = {}
        inner.onEnd = {}
        ready = nil
        charge.set(0)
        endWaiting()
        finish(error)
    }
}
