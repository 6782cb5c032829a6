// Rows as MessagePack arrays.

internal import ByteBuffers
internal import DatabaseContract
internal import WireProtocol

/// - Source: docs/protocol.md, Values, MessagePack column.
final class MessagePackRowSink: WireRowSink {
    override func openRow() { buffer.appendMessagePackArrayHeader(columnCount) }
    override func null() { buffer.appendMessagePackNull() }
    override func bool(_ value: Bool) { buffer.appendMessagePackBool(value) }
    override func integer(_ value: Int64) { buffer.appendMessagePackInteger(value) }
    override func unsigned(_ value: UInt64) { buffer.appendMessagePackUnsigned(value) }
    override func real(_ value: Double) { buffer.appendMessagePackReal(value) }
    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count), !buffer.appendMessagePackShortASCII(bytes) else { return }
        if isValidUTF8(bytes) { buffer.appendMessagePackText(bytes) } else { buffer.appendMessagePackBinary(bytes) }
    }
    override func blob(_ bytes: UnsafeRawBufferPointer) {
        if hasRoom(for: bytes.count) { buffer.appendMessagePackBinary(bytes) }
    }
    override func openList(_ count: Int) { buffer.appendMessagePackArrayHeader(count) }
    override func object(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: 3 * bytes.count) else { return }
        if (try? JSONTranscoder.transcode(bytes, into: &buffer)) == nil { null() }
    }
}
