// The values that JSON has no form for: {"$int":"…"}, {"$real":"…"}, {"$blob":"…"}.

internal import ByteBuffers

/// Replaces tagged values in transcoded output.
enum JSONTag {
    /// Replaces the map of one pair at `header`, the last thing in the output, if its key is a tag.
    static func replace(at header: Int, in output: inout ByteBuffer, jsonOffset: Int) throws(DecodeError) {
        let map = output.readable.slice(header..<output.count)
        // A map32 header has five bytes; the shortest tag with its header has five, too.
        guard map.count > 10 else { return }
        var reader = MessagePackReader(map.slice(5..<map.count))
        guard case .text(let key) = try reader.next(), key.first == UInt8(ascii: "$") else { return }
        if key.equals("$int") {
            guard case .text(let text) = try reader.next(), replaceInteger(text, at: header, in: &output) else {
                throw DecodeError(.badIntegerTag, at: jsonOffset)
            }
        } else if key.equals("$real") {
            guard case .text(let text) = try reader.next(), let value = real(text) else {
                throw DecodeError(.badRealTag, at: jsonOffset)
            }
            output.truncate(to: header)
            output.appendMessagePackReal(value)
        } else if key.equals("$blob") {
            guard case .text(let text) = try reader.next(), replaceBlob(text, at: header, in: &output) else {
                throw DecodeError(.badBlobTag, at: jsonOffset)
            }
        }
    }

    private static func replaceInteger(_ text: UnsafeRawBufferPointer, at header: Int, in output: inout ByteBuffer)
        -> Bool
    {
        let isNegative = text.first == UInt8(ascii: "-")
        guard let magnitude = parseDecimal(text.slice((isNegative ? 1 : 0)..<text.count)) else { return false }
        output.truncate(to: header)
        return output.appendMessagePackInteger(magnitude, isNegative: isNegative)
    }

    private static func real(_ text: UnsafeRawBufferPointer) -> Double? {
        if text.equals("NaN") { return .nan }
        if text.equals("Infinity") { return .infinity }
        if text.equals("-Infinity") { return -.infinity }
        return nil
    }

    /// Decodes in place: the header and the bytes of the bin always end before the Base64 that is still to be read.
    private static func replaceBlob(_ text: UnsafeRawBufferPointer, at header: Int, in output: inout ByteBuffer) -> Bool
    {
        guard let byteCount = Base64.decodedByteCount(text) else { return false }
        guard let start = output.readable.baseAddress, let textStart = text.baseAddress else { return false }
        let source = textStart - start
        output.truncate(to: header)
        output.appendMessagePackBinaryHeader(byteCount)
        let target = output.count
        // Both lie in the storage that was readable before; the text is not moved by what was written since.
        let storage = output.writable(0)
        guard let free = storage.baseAddress else { return false }
        let encoded = UnsafeRawBufferPointer(start: free + (source &- target), count: text.count)
        guard Base64.decode(encoded, to: free) else { return false }
        output.commit(byteCount)
        return true
    }
}
