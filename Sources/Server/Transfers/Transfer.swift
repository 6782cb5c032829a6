// The data of one request on their way into a file that its client has opened.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem

/// A request's file, and the two buffers: the engine fills one while a worker writes the other.
///
/// - Thread: its connection's loop.
final class Transfer {
    /// Bytes on their way, and the file: of the worker while it writes, else of the transfer.
    private final class Outgoing: @unchecked Sendable {
        @exclusivity(unchecked) var bytes = ByteBuffer()
        let file: PassedFile

        init(_ file: PassedFile) { self.file = file }
    }

    let sink: TransferSink
    /// Who pays for it, until its last reference is gone.
    private let account: UserAccount
    private let outgoing: Outgoing
    private let mustReachDisk: Bool
    /// A worker has the file.
    private(set) var isWorking = false
    /// The engine has nothing more for the file.
    var isDriverDone = false
    private var hasBegunLastPart = false
    /// Everything is in the file.
    private(set) var isComplete = false
    private(set) var byteCount: Int64 = 0
    /// Bytes that a worker is writing.
    private var outgoingByteCount = 0
    /// What long rows take beyond `Transfer.byteCount`, as it is charged.
    private var chargedByteCount = 0
    /// How often the client wants to know; `nil`: never.
    let progressMilliseconds: Int64?
    var lastProgress: MonotonicInstant

    /// Memory of one transfer, in bytes: two buffers, and what an engine reads at a time.
    static let byteCount = 3 * TransferSink.byteCountMax

    /// The work on a file.
    private enum Step { case check, write, finish }

    init(
        _ file: PassedFile, _ sink: TransferSink, mustReachDisk: Bool, progressMilliseconds: Int64?,
        _ account: UserAccount, at now: MonotonicInstant
    ) {
        outgoing = Outgoing(file)
        self.sink = sink
        self.mustReachDisk = mustReachDisk
        self.progressMilliseconds = progressMilliseconds
        self.account = account
        lastProgress = now
        account.transfers.add(1)
    }

    deinit {
        account.transfers.add(-1)
        account.bufferedBytes.add(-chargedByteCount)
    }

    /// Charges for both buffers, where a long row has made them larger than usual.
    /// - Parameter filled: bytes in the engine's one, which is not at work on it.
    private func charge(filled: Int) {
        let buffers = max(0, outgoingByteCount + filled - 2 * TransferSink.byteCountMax)
        let wanted = buffers + max(0, sink.heldByteCount - TransferSink.byteCountMax)
        account.bufferedBytes.add(wanted - chargedByteCount)
        chargedByteCount = wanted
    }

    /// The engine's buffer is full, and a worker still writes the other one.
    func noteFull() { charge(filled: sink.buffer.count) }

    /// Bytes that there will be; `nil` if that is not known.
    var totalByteCount: Int64? {
        let expected = sink.expectedByteCount
        return expected > 0 ? expected : nil
    }

    /// Ends the work on the file soon. If its file system does not answer, the worker keeps it.
    func stop() { outgoing.file.stop() }

    // MARK: Work

    /// Where the work is done, and where its end is told.
    struct Place {
        var workers: WorkerPool
        var uid: UInt32
        var mailbox: LoopMailbox
    }

    /// Checks whether the file can take data.
    func check(at place: Place, done: @escaping @Sendable (PassedFileProblem?) -> Void) {
        work(.check, at: place, done)
    }

    /// Writes what is in the sink, which is empty then.
    func write(at place: Place, done: @escaping @Sendable (PassedFileProblem?) -> Void) {
        swap(&sink.buffer, &outgoing.bytes)
        byteCount += Int64(outgoing.bytes.count)
        outgoingByteCount = outgoing.bytes.count
        charge(filled: 0)
        hasBegunLastPart = isDriverDone
        work(isDriverDone ? .finish : .write, at: place, done)
    }

    private func work(_ step: Step, at place: Place, _ done: @escaping @Sendable (PassedFileProblem?) -> Void) {
        precondition(!isWorking, "a file has two workers")
        isWorking = true
        let (outgoing, mustReachDisk, mailbox) = (outgoing, mustReachDisk, place.mailbox)
        place.workers.submit(for: place.uid) {
            var problem: PassedFileProblem?
            do throws(PassedFileProblem) {
                try Self.run(step, outgoing, mustReachDisk: mustReachDisk)
            } catch {
                problem = error
            }
            mailbox.submit { [problem] in done(problem) }
        }
    }

    private static func run(_ step: Step, _ outgoing: Outgoing, mustReachDisk: Bool) throws(PassedFileProblem) {
        if case .check = step {
            _ = try outgoing.file.checkWritable()
            return
        }
        try outgoing.file.write(outgoing.bytes.readable, reachesDisk: mustReachDisk)
        outgoing.bytes.removeAll()
        if case .finish = step, mustReachDisk { try outgoing.file.synchronize() }
    }

    /// A worker has returned the file.
    func workDidEnd() {
        isWorking = false
        outgoingByteCount = 0
        isComplete = hasBegunLastPart
    }
}
