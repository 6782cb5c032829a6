// A run of the server's own, within an operation that takes several.

internal import DatabaseContract
internal import LinuxSystem

/// A statement that is run for an operation.
///
/// - Thread: as of every run.
final class InnerRun: StatementRun, @unchecked Sendable {
    private let text: UnsafeMutableRawBufferPointer
    /// Bytes that it has besides its text.
    private let valueByteCount: Int
    /// It writes rows of a file.
    var isStrict = false
    /// On the loop.
    var onFill: () -> Void = {}
    var onEnd: () -> Void = {}

    init(_ text: String, _ sink: RowSink, mayWrite: Bool, valueByteCount: Int = 0) {
        let bytes = Array(text.utf8)
        self.text = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
        self.text.copyBytes(from: bytes)
        self.valueByteCount = valueByteCount
        super.init(sink: sink)
        sql = UnsafeRawBufferPointer(rebasing: self.text[..<bytes.count])
        self.mayWrite = mayWrite
    }

    deinit { text.deallocate() }

    override var requestByteCount: Int { sql.count + valueByteCount }
    override var refusesMisfits: Bool { isStrict }
    override func runDidFill() { onFill() }
    override func runDidEnd() { onEnd() }
}
