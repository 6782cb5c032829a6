// Rows as JSON arrays.

internal import ByteBuffers
internal import DatabaseContract
internal import WireProtocol

/// - Source: docs/protocol.md, Values, JSON column.
final class JSONRowSink: WireRowSink {
    private var isFirst = true

    override func openRow() {
        buffer.append(UInt8(ascii: "["))
        isFirst = true
    }
    override func closeRow() { buffer.append(UInt8(ascii: "]")) }

    @inline(__always)
    private func separate() {
        if isFirst { isFirst = false } else { buffer.append(UInt8(ascii: ",")) }
    }

    override func null() {
        separate()
        buffer.appendJSONNull()
    }
    override func bool(_ value: Bool) {
        separate()
        buffer.appendJSONBool(value)
    }
    override func integer(_ value: Int64) {
        separate()
        buffer.appendJSONInteger(value, style: writer.int64Style)
    }
    override func unsigned(_ value: UInt64) {
        separate()
        buffer.appendJSONUnsigned(value, style: writer.int64Style)
    }
    override func real(_ value: Double) {
        separate()
        buffer.appendJSONReal(value)
    }
    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        separate()
        if isValidUTF8(bytes) { buffer.appendJSONText(bytes) } else { buffer.appendJSONBlob(bytes) }
    }
    override func blob(_ bytes: UnsafeRawBufferPointer) {
        // Base64 makes four bytes of three.
        guard hasRoom(for: bytes.count / 3 * 4) else { return }
        separate()
        buffer.appendJSONBlob(bytes)
    }

    override func openList(_ count: Int) {
        separate()
        buffer.append(UInt8(ascii: "["))
        isFirst = true
    }
    override func closeList() {
        buffer.append(UInt8(ascii: "]"))
        isFirst = false
    }
    override func object(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        // What an engine says is JSON need not be.
        var scratch = ByteBuffer()
        guard (try? JSONTranscoder.transcode(bytes, into: &scratch)) != nil else { return null() }
        separate()
        buffer.append(bytes)
    }
}
