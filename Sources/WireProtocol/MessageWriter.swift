// Writes whole messages, replies and requests, in either encoding by one sequence of calls.
//
// For everything but rows; those go value by value through Value+MessagePack.swift and Value+JSON.swift.

public import ByteBuffers

/// Writes replies, for the server.
public typealias ReplyWriter = MessageWriter
/// Writes requests, for clients.
public typealias RequestWriter = MessageWriter

/// Writes one message after the other into a connection's output buffer.
///
/// `begin`, then keys and values of the `data` map, then `end`. Between the two nothing may be consumed from the
/// buffer. It holds no memory; a copy is independent. Misuse (a key in an array, an unclosed container) traps.
/// - Thread: the buffer's owner.
public struct MessageWriter {
    public let encoding: WireEncoding
    public let framing: Framing
    /// How JSON shows large integers; `hello` may change it.
    public var int64Style: Int64Style
    /// Where the message begins, in bytes from the buffer's first readable one.
    public private(set) var frameStart = 0
    /// The innermost open container. Apart from `outer`, so that a value does not touch the whole array.
    private var current = Container()
    /// The containers around it, outermost first; the first element is no container.
    private var outer = InlineArray<12, Container>(repeating: Container())
    private var depth = 0

    private struct Container {
        /// Where its header is, in bytes from the frame's start.
        var header: UInt32 = 0
        var count: UInt32 = 0
        var isMap = false
    }

    public init(encoding: WireEncoding, framing: Framing, int64Style: Int64Style = .tagged) {
        precondition(encoding == .json || framing == .lengthPrefixed, "lines hold JSON only")
        self.encoding = encoding
        self.framing = framing
        self.int64Style = int64Style
    }

    // MARK: The message

    /// Begins a reply, up to its opened `data` map.
    /// - Parameters:
    ///   - type: `RequestType.replyName`, or `RequestType.errorReplyName`.
    ///   - id: the request's, echoed exactly.
    ///   - timestamp: now.
    ///   - output: what the message is appended to.
    public mutating func begin(
        type: StaticString, id: RequestID, timestamp: WireTimestamp, into output: inout ByteBuffer
    ) {
        beginEnvelope(type: type, id: id, into: &output)
        key("timestamp", into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackTimestamp(timestamp)
        case .json: output.appendJSONTimestamp(timestamp)
        }
        key("data", into: &output)
        beginMap(into: &output)
    }

    /// Begins a request, up to its opened `data` map.
    public mutating func begin(type: RequestType, id: RequestID, into output: inout ByteBuffer) {
        beginEnvelope(type: type.name, id: id, into: &output)
        key("data", into: &output)
        beginMap(into: &output)
    }

    /// Ends the message: closes `data` and the envelope, and completes the framing.
    public mutating func end(into output: inout ByteBuffer) {
        precondition(depth == 2, "a container is still open, or no message was begun")
        endMap(into: &output)
        endMap(into: &output)
        switch framing {
        case .lines: output.append(UInt8(ascii: "\n"))
        case .lengthPrefixed:
            let byteCount = output.count &- frameStart &- 4
            precondition(byteCount <= Int(UInt32.max), "a frame holds less than 4 GiB")
            output.patchBigEndian(UInt32(truncatingIfNeeded: byteCount), at: frameStart)
        }
    }

    /// Takes a message back that was begun and not ended.
    public mutating func abandon(in output: inout ByteBuffer) {
        output.truncate(to: frameStart)
        depth = 0
    }

    /// How many bytes the message has so far, framing included.
    public func byteCount(in output: borrowing ByteBuffer) -> Int {
        output.count &- frameStart
    }

    private mutating func beginEnvelope(type: StaticString, id: RequestID, into output: inout ByteBuffer) {
        precondition(depth == 0, "the last message was not ended")
        frameStart = output.count
        if framing == .lengthPrefixed { output.appendBigEndian(UInt32(0)) }
        beginMap(into: &output)
        key("id", into: &output)
        self.id(id, into: &output)
        key("type", into: &output)
        text(type, into: &output)
    }

    // MARK: Containers

    public mutating func beginMap(into output: inout ByteBuffer) {
        begin(isMap: true, tag: 0xde, json: UInt8(ascii: "{"), into: &output)
    }

    public mutating func endMap(into output: inout ByteBuffer) {
        let map = close(isMap: true)
        switch encoding {
        case .json: output.append(UInt8(ascii: "}"))
        case .messagePack:
            precondition(map.count <= UInt32(UInt16.max), "a written map has at most 65,535 keys")
            output.patchBigEndian(UInt16(truncatingIfNeeded: map.count), at: frameStart &+ Int(map.header) &+ 1)
        }
    }

    public mutating func beginArray(into output: inout ByteBuffer) {
        begin(isMap: false, tag: 0xdd, json: UInt8(ascii: "["), into: &output)
    }

    public mutating func endArray(into output: inout ByteBuffer) {
        let array = close(isMap: false)
        switch encoding {
        case .json: output.append(UInt8(ascii: "]"))
        case .messagePack: output.patchBigEndian(array.count, at: frameStart &+ Int(array.header) &+ 1)
        }
    }

    /// Opens a container whose count is patched when it ends: a map16 or an array32.
    private mutating func begin(isMap: Bool, tag: UInt8, json: UInt8, into output: inout ByteBuffer) {
        if depth > 0 { prepareValue(into: &output) }
        precondition(depth < outer.count, "containers nest too deep")
        outer[depth] = current
        depth &+= 1
        current = Container(header: UInt32(output.count &- frameStart), isMap: isMap)
        switch encoding {
        case .json: output.append(json)
        case .messagePack:
            isMap ? output.append(tag: tag, bigEndian: UInt16(0)) : output.append(tag: tag, bigEndian: UInt32(0))
        }
    }

    private mutating func close(isMap: Bool) -> Container {
        precondition(depth > 0 && current.isMap == isMap, "another container is open")
        let closed = current
        depth &-= 1
        current = outer[depth]
        return closed
    }

    // MARK: Keys and the place of values

    /// Writes a key of the open map; its value must follow. The text must be ASCII without quotes or backslashes.
    public mutating func key(_ name: StaticString, into output: inout ByteBuffer) {
        prepareKey(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackText(name)
        case .json:
            output.append(UInt8(ascii: "\""))
            output.append(name)
            output.append("\":")
        }
    }

    /// Writes a key of the open map; its value must follow.
    @_disfavoredOverload
    public mutating func key(_ name: String, into output: inout ByteBuffer) {
        prepareKey(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackText(name)
        case .json:
            output.appendJSONText(name)
            output.append(UInt8(ascii: ":"))
        }
    }

    /// Writes a key of the open map; its value must follow. What is not UTF-8 is replaced by U+FFFD.
    public mutating func key(_ name: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        key(String(decoding: name, as: UTF8.self), into: &output)
    }

    @inline(__always)
    private mutating func prepareKey(into output: inout ByteBuffer) {
        precondition(depth > 0 && current.isMap, "a key outside of a map")
        if encoding == .json && current.count > 0 { output.append(UInt8(ascii: ",")) }
        current.count &+= 1
    }

    /// Makes room for one value that the caller appends itself: counts it, and writes the comma before it.
    @inline(__always)
    public mutating func prepareValue(into output: inout ByteBuffer) {
        precondition(depth > 0, "a value outside of a message")
        if current.isMap { return }
        if encoding == .json && current.count > 0 { output.append(UInt8(ascii: ",")) }
        current.count &+= 1
    }
}
