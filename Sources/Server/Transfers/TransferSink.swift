// Where an engine writes what goes into a client's file.

internal import ByteBuffers
internal import DatabaseContract
internal import Synchronization

/// Gathers bytes for a file. The subclasses differ in what they make of values.
///
/// - Thread: that of the run.
class TransferSink: RowSink {
    @exclusivity(unchecked) final var buffer = ByteBuffer()
    /// Pays for the memory of a part of another sink, for as long as that is there.
    private final let charge: AccountCharge?
    /// A buffer is full at the first row that reaches this.
    private final let bufferByteCountMax: Int
    /// Bytes that there will be in all; 0 while that is not known. Asked by the loop while a worker has the run.
    private let expected = Atomic<Int64>(0)

    /// A buffer goes to the file at the first row that reaches this.
    static let byteCountMax = 1 << 20

    override init(isDivisible: Bool = false) {
        charge = nil
        bufferByteCountMax = Self.byteCountMax
        super.init(isDivisible: isDivisible)
    }

    /// A part of another sink.
    init(partPaidBy charge: AccountCharge) {
        self.charge = charge
        bufferByteCountMax = Self.partByteCountMax
        super.init()
        charge.set(partCost)
    }

    final override func expect(_ byteCount: Int64) { expected.store(byteCount, ordering: .relaxed) }
    final var expectedByteCount: Int64 { expected.load(ordering: .relaxed) }
    final override func endRow() -> State { rowDidEnd() }
    final override var hasRoom: Bool { buffer.count < bufferByteCountMax }
    final override var pendingByteCount: Int { buffer.count }

    /// Nothing of the run has been passed on yet.
    override func restart() { buffer.removeAll() }
    /// A row is complete.
    func rowDidEnd() -> State { hasRoom ? .open : .full }
    /// Everything is there.
    func finish() {}
    /// Bytes of memory that it holds besides its buffer.
    var heldByteCount: Int { 0 }
    /// Why a row ended with `overflow` that is not too large.
    var refusal: DriverError? { nil }

    // MARK: Parts

    /// Who pays for parts, and how much they may hold in all; `nil`: there are none.
    final var payer: (account: UserAccount, byteCountMax: Int)?

    /// What memory a part takes, in bytes, while its rows are not long.
    var partCost: Int { Self.partByteCountMax }

    /// A sink for rows that follow.
    func makePart(_ charge: AccountCharge) -> TransferSink? { nil }

    final override func makeParts(_ count: Int) -> [RowSink] {
        guard let payer else { return [] }
        var parts: [RowSink] = []
        for _ in 0..<count {
            let charge = AccountCharge(payer.account)
            guard charge.mayHold(partCost, of: payer.byteCountMax), let part = makePart(charge) else { return [] }
            parts.append(part)
        }
        return parts
    }

    /// A long row may have made it larger.
    override func endPart() { charge?.set(max(partCost, buffer.count + heldByteCount)) }

    override func append(_ part: RowSink) {
        guard let part = part as? TransferSink else { preconditionFailure("a part of another kind") }
        if buffer.isEmpty {
            swap(&buffer, &part.buffer)
        } else {
            buffer.append(part.buffer.readable)
        }
        part.buffer.removeAll()
        part.charge?.set(part.partCost)
    }
}

/// The blobs as they are.
final class PageSink: TransferSink {
    override func blob(_ bytes: UnsafeRawBufferPointer) { buffer.append(bytes) }
}
