// The values of a message's data.

public import ByteBuffers

extension MessageWriter {
    public mutating func null(into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendNull(into: &output)
    }

    public mutating func bool(_ value: Bool, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendBool(value, into: &output)
    }

    public mutating func integer(_ value: Int64, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendInteger(value, style: int64Style, into: &output)
    }

    public mutating func unsigned(_ value: UInt64, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendUnsigned(value, style: int64Style, into: &output)
    }

    public mutating func real(_ value: Double, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendReal(value, into: &output)
    }

    /// Writes text; bytes that are not UTF-8 become a blob, never altered.
    public mutating func text(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        guard isValidUTF8(bytes) else {
            blob(bytes, into: &output)
            return
        }
        prepareValue(into: &output)
        encoding.format.appendText(bytes, into: &output)
    }

    public mutating func text(_ text: StaticString, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        let utf8 = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        encoding.format.appendText(utf8, into: &output)
    }

    @_disfavoredOverload
    public mutating func text(_ text: String, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        // In place: `withUTF8` needs a copy, which counts a reference.
        let wasWritten: Void? = text.utf8.withContiguousStorageIfAvailable {
            encoding.format.appendText(UnsafeRawBufferPointer($0), into: &output)
        }
        if wasWritten != nil { return }
        var copy = text
        copy.withUTF8 { encoding.format.appendText(UnsafeRawBufferPointer($0), into: &output) }
    }

    public mutating func blob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendBlob(bytes, into: &output)
    }

    /// Writes one value that is already in this writer's encoding, such as the columns of a prepared statement.
    public mutating func encoded(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        output.append(bytes)
    }

    /// Writes a request's id as a value, such as the `request` of `fetch` and `cancel`.
    public mutating func id(_ id: RequestID, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        encoding.format.appendID(id, into: &output)
    }
}
