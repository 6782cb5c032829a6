// Turns a JSON message into the MessagePack that it stands for, so that requests have one decoder.
//
// Structure is here; strings and numbers are in JSONTranscoder+Scalars.swift, the tags ($int, $real, $blob) in
// JSONTranscoder+Tags.swift.

public import ByteBuffers

/// Transcodes JSON requests.
public enum JSONTranscoder {
    /// Appends the MessagePack of one JSON object to `output`; on an error `output` is as before.
    ///
    /// Strict: RFC 8259, UTF-8, every key once in its object, nothing after the object. `{"$int":"…"}`, `{"$real":"…"}`
    /// and `{"$blob":"…"}` become an integer, a double and a bin. What it appends always passes
    /// `MessagePackReader.validate`, and has at most 2.5 times the bytes of `json`.
    /// - Cost: O(n log n) at worst; allocates only for objects of many keys, and for `output`.
    public static func transcode(
        _ json: UnsafeRawBufferPointer, into output: inout ByteBuffer
    ) throws(DecodeError) {
        if let invalid = firstInvalidUTF8Offset(in: json) { throw DecodeError(.invalidUTF8, at: invalid) }
        let start = output.count
        var parser = JSONParser(json, outputStart: start)
        do throws(DecodeError) {
            try parser.parseMessage(into: &output)
        } catch {
            output.truncate(to: start)
            throw error
        }
    }
}

/// The state of one transcoding.
struct JSONParser: ~Copyable {
    var reader: ByteReader
    /// Offset of the first byte of this message in the output's readable bytes.
    let outputStart: Int
    private var keys = KeyStack()

    init(_ json: UnsafeRawBufferPointer, outputStart: Int) {
        reader = ByteReader(json)
        self.outputStart = outputStart
    }

    mutating func parseMessage(into output: inout ByteBuffer) throws(DecodeError) {
        skipBlanks()
        guard let first = reader.peek() else { throw DecodeError(.empty, at: 0) }
        guard first == UInt8(ascii: "{") else { throw DecodeError(.notAMap, at: reader.offset) }
        try parseObject(depth: 0, into: &output)
        skipBlanks()
        guard reader.isAtEnd else { throw DecodeError(.trailingBytes, at: reader.offset) }
    }

    /// Parses one value; `depth` containers are open around it.
    private mutating func parseValue(depth: Int, into output: inout ByteBuffer) throws(DecodeError) {
        guard let first = reader.peek() else { throw DecodeError(.truncated, at: reader.offset) }
        switch first {
        case UInt8(ascii: "\""): _ = try parseString(into: &output)
        case UInt8(ascii: "{"): try parseObject(depth: depth, into: &output)
        case UInt8(ascii: "["): try parseArray(depth: depth, into: &output)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try parseNumber(into: &output)
        case UInt8(ascii: "n"): try parseWord("null", as: 0xc0, into: &output)
        case UInt8(ascii: "t"): try parseWord("true", as: 0xc3, into: &output)
        case UInt8(ascii: "f"): try parseWord("false", as: 0xc2, into: &output)
        default: throw DecodeError(.unexpected(wanted: "a value"), at: reader.offset)
        }
    }

    private mutating func parseArray(depth: Int, into output: inout ByteBuffer) throws(DecodeError) {
        try open(depth: depth)
        let header = output.count
        output.append(tag: 0xdd, bigEndian: UInt32(0))
        var count: UInt32 = 0
        skipBlanks()
        if reader.peek() == UInt8(ascii: "]") {
            _ = reader.readByte()
        } else {
            repeat {
                skipBlanks()
                try parseValue(depth: depth &+ 1, into: &output)
                count &+= 1
            } while try separator(orEnd: UInt8(ascii: "]"), wanted: "a comma or a closing bracket")
        }
        output.patchBigEndian(count, at: header &+ 1)
    }

    private mutating func parseObject(depth: Int, into output: inout ByteBuffer) throws(DecodeError) {
        let start = reader.offset
        try open(depth: depth)
        let header = output.count
        let keysStart = keys.count
        output.append(tag: 0xdf, bigEndian: UInt32(0))
        var count: UInt32 = 0
        skipBlanks()
        if reader.peek() == UInt8(ascii: "}") {
            _ = reader.readByte()
        } else {
            repeat {
                try parsePair(depth: depth, into: &output)
                count &+= 1
            } while try separator(orEnd: UInt8(ascii: "}"), wanted: "a comma or a closing brace")
        }
        output.patchBigEndian(count, at: header &+ 1)
        guard keys.closeMap(from: keysStart, in: message(in: output)) == nil else {
            throw DecodeError(.duplicateKey, at: start)
        }
        // The message itself is never a tagged value.
        if count == 1, depth > 0 { try JSONTag.replace(at: header, in: &output, jsonOffset: start) }
    }

    private mutating func parsePair(depth: Int, into output: inout ByteBuffer) throws(DecodeError) {
        skipBlanks()
        let start = reader.offset
        guard reader.peek() == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
        let key = try parseString(into: &output)
        guard keys.push(offset: key.lowerBound &- outputStart, byteCount: key.count) else {
            throw DecodeError(.tooManyKeys, at: start)
        }
        skipBlanks()
        guard reader.peek() == UInt8(ascii: ":") else { throw unexpected("a colon") }
        _ = reader.readByte()
        skipBlanks()
        try parseValue(depth: depth &+ 1, into: &output)
    }

    /// Enters an array or an object.
    private mutating func open(depth: Int) throws(DecodeError) {
        guard depth < WireLimits.nestingDepthMax else { throw DecodeError(.tooDeep, at: reader.offset) }
        _ = reader.readByte()
    }

    /// Reads a comma, or the end of the array or object; returns whether it was a comma.
    private mutating func separator(orEnd end: UInt8, wanted: StaticString) throws(DecodeError) -> Bool {
        skipBlanks()
        guard let byte = reader.peek(), byte == end || byte == UInt8(ascii: ",") else { throw unexpected(wanted) }
        _ = reader.readByte()
        return byte != end
    }

    private mutating func parseWord(
        _ word: StaticString, as tag: UInt8, into output: inout ByteBuffer
    ) throws(DecodeError) {
        let start = reader.offset
        guard let bytes = reader.read(word.utf8CodeUnitCount), bytes.equals(word) else {
            throw DecodeError(.unexpected(wanted: "a value"), at: start)
        }
        output.append(tag)
    }

    /// Skips what JSON calls whitespace.
    private mutating func skipBlanks() {
        while let byte = reader.peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): _ = reader.readByte()
            default: return
            }
        }
    }

    /// The error for another byte than `wanted`, or for the end of the body.
    func unexpected(_ wanted: StaticString) -> DecodeError {
        DecodeError(reader.isAtEnd ? .truncated : .unexpected(wanted: wanted), at: reader.offset)
    }

    private func message(in output: borrowing ByteBuffer) -> UnsafeRawBufferPointer {
        let readable = output.readable
        return readable.slice(outputStart..<readable.count)
    }
}
