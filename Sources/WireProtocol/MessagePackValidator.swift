// Checks a MessagePack body once and completely, so that the decoders after it need only look at types.

internal import ByteBuffers

/// Checks whole values: lengths, depth, UTF-8, keys that are text and occur once.
struct MessagePackValidator: ~Copyable {
    var reader: MessagePackReader
    var keys = KeyStack()

    init(_ body: UnsafeRawBufferPointer) {
        reader = MessagePackReader(body)
    }

    /// Refuses what is larger than the 32 bits in which offsets of keys are kept.
    static func requireSize(_ body: UnsafeRawBufferPointer) throws(DecodeError) {
        guard body.count <= Int(UInt32.max) else { throw DecodeError(.tooLarge, at: 0) }
    }

    /// Checks one value with all that it contains; `depth` containers are open around it.
    mutating func validateValue(depth: Int) throws(DecodeError) {
        let start = reader.offset
        if let count = try reader.readMapIfNext() { return try validateMap(count, at: start, depth: depth) }
        switch try reader.next() {
        case .null, .bool, .integer, .unsigned, .real, .binary, .ext, .map: break
        case .text(let text): try validateText(text)
        case .array(let count):
            guard depth < WireLimits.nestingDepthMax else { throw DecodeError(.tooDeep, at: start) }
            for _ in 0..<count { try validateValue(depth: depth &+ 1) }
        }
    }

    /// Checks the `count` pairs of a map whose header, at `start`, was just read.
    mutating func validateMap(_ count: Int, at start: Int, depth: Int) throws(DecodeError) {
        guard depth < WireLimits.nestingDepthMax else { throw DecodeError(.tooDeep, at: start) }
        if count == 0 { return }
        let keysStart = keys.count
        for _ in 0..<count {
            let keyStart = reader.offset
            try remember(try readKeyText(), at: keyStart)
            try validateValue(depth: depth &+ 1)
        }
        try closeMap(from: keysStart)
    }

    /// Checks a key of the innermost map, which was just read, and remembers it; its header is at `start`.
    mutating func remember(_ key: UnsafeRawBufferPointer, at start: Int) throws(DecodeError) {
        try validateText(key)
        guard keys.push(offset: reader.offset &- key.count, byteCount: key.count) else {
            throw DecodeError(.tooManyKeys, at: start)
        }
    }

    /// Reads the bytes of the next key, unchecked.
    mutating func readKeyText() throws(DecodeError) -> UnsafeRawBufferPointer {
        if let key = reader.readShortText() { return key }
        let start = reader.offset
        guard case .text(let key) = try reader.next() else { throw DecodeError(.keyNotText, at: start) }
        return key
    }

    /// Ends the innermost map, whose keys begin at `start` of the key stack.
    mutating func closeMap(from start: Int) throws(DecodeError) {
        if let duplicate = keys.closeMap(from: start, in: reader.bytes) {
            throw DecodeError(.duplicateKey, at: duplicate)
        }
    }

    func requireEnd() throws(DecodeError) {
        guard reader.isAtEnd else { throw DecodeError(.trailingBytes, at: reader.offset) }
    }

    private func validateText(_ text: UnsafeRawBufferPointer) throws(DecodeError) {
        if let invalid = firstInvalidUTF8Offset(in: text) {
            throw DecodeError(.invalidUTF8, at: reader.offset &- text.count &+ invalid)
        }
    }
}

extension MessagePackReader {
    /// Checks that `body` is one value and nothing else, as strictly as a request is: depth, UTF-8, text keys that occur
    /// once, no trailing byte.
    /// - Cost: O(n log n) at worst, in the number of keys of one map; allocates only for maps of many keys.
    public static func validate(_ body: UnsafeRawBufferPointer) throws(DecodeError) {
        try MessagePackValidator.requireSize(body)
        var validator = MessagePackValidator(body)
        try validator.validateValue(depth: 0)
        try validator.requireEnd()
    }
}
