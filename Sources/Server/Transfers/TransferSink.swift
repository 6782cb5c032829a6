// Where an engine writes what goes into a client's file.

internal import ByteBuffers
internal import DatabaseContract
internal import Synchronization

/// Gathers bytes for a file. The subclasses differ in what they make of values.
///
/// - Thread: that of the run.
class TransferSink: RowSink {
    @exclusivity(unchecked) final var buffer = ByteBuffer()
    /// Bytes that there will be in all; 0 while that is not known. Asked by the loop while a worker has the run.
    private let expected = Atomic<Int64>(0)

    /// A buffer goes to the file at the first row that reaches this.
    static let byteCountMax = 1 << 20

    final override func expect(_ byteCount: Int64) { expected.store(byteCount, ordering: .relaxed) }
    final var expectedByteCount: Int64 { expected.load(ordering: .relaxed) }
    final override func endRow() -> State { rowDidEnd() }
    final override var hasRoom: Bool { buffer.count < Self.byteCountMax }
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
}

/// The blobs as they are.
final class PageSink: TransferSink {
    override func blob(_ bytes: UnsafeRawBufferPointer) { buffer.append(bytes) }
}
