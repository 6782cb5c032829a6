// Writes whole messages, replies and requests, in any encoding by one sequence of calls.
//
// For everything but rows; their values go straight to the bytes of their encoding.

public import ByteBuffers

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
    /// Where its id and its timestamp are.
    public private(set) var places = EnvelopePlaces(id: 0..<0, timestamp: 0..<0)
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
        precondition(encoding.isAllowed(in: framing), "messages of this encoding do not come in this framing")
        self.encoding = encoding
        self.framing = framing
        self.int64Style = int64Style
    }

    // MARK: The message

    /// Begins a reply, up to its opened `data` map.
    /// - Parameters:
    ///   - type: `RequestType.replyName`, or `ErrorReply.typeName`.
    ///   - id: the request's, echoed exactly.
    ///   - timestamp: now.
    ///   - output: what the message is appended to.
    public mutating func begin(
        type: StaticString, id: RequestID, timestamp: WireTimestamp, into output: inout ByteBuffer
    ) {
        begin(type, id, timestamp, into: &output)
    }

    /// Begins a request, up to its opened `data` map.
    public mutating func begin(type: RequestType, id: RequestID, into output: inout ByteBuffer) {
        begin(type.name, id, nil, into: &output)
    }

    private mutating func begin(
        _ type: StaticString, _ id: RequestID, _ timestamp: WireTimestamp?, into output: inout ByteBuffer
    ) {
        precondition(depth == 0, "the last message was not ended")
        frameStart = output.count
        framing.format.open(into: &output)
        places = encoding.format.appendHead(type: type, id: id, timestamp: timestamp, into: &output)
        // The envelope: its fields are counted by the encoding.
        depth = 1
        current = Container(isMap: true)
        beginMap(into: &output)
    }

    /// Ends the message: closes `data` and the envelope, and completes the framing.
    public mutating func end(into output: inout ByteBuffer) {
        precondition(depth == 2, "a container is still open, or no message was begun")
        endMap(into: &output)
        depth = 0
        encoding.format.appendEnd(into: &output)
        framing.format.close(from: frameStart, in: &output)
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

    // MARK: Containers

    public mutating func beginMap(into output: inout ByteBuffer) {
        begin(isMap: true, into: &output)
        encoding.format.openMap(into: &output)
    }

    public mutating func endMap(into output: inout ByteBuffer) {
        let map = close(isMap: true)
        encoding.format.closeMap(at: frameStart &+ Int(map.header), count: map.count, in: &output)
    }

    public mutating func beginArray(into output: inout ByteBuffer) {
        begin(isMap: false, into: &output)
        encoding.format.openArray(into: &output)
    }

    public mutating func endArray(into output: inout ByteBuffer) {
        let array = close(isMap: false)
        encoding.format.closeArray(at: frameStart &+ Int(array.header), count: array.count, in: &output)
    }

    /// Prepares for a container, whose header follows.
    @inline(__always)
    private mutating func begin(isMap: Bool, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        precondition(depth < outer.count, "containers nest too deep")
        outer[depth] = current
        depth &+= 1
        current = Container(header: UInt32(output.count &- frameStart), isMap: isMap)
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
        encoding.format.appendKey(name, into: &output)
    }

    /// Writes a key of the open map; its value must follow.
    @_disfavoredOverload
    public mutating func key(_ name: String, into output: inout ByteBuffer) {
        prepareKey(into: &output)
        var name = name
        name.withUTF8 { encoding.format.appendKey(UnsafeRawBufferPointer($0), into: &output) }
    }

    /// Writes a key of the open map; its value must follow. What is not UTF-8 is replaced by U+FFFD.
    public mutating func key(_ name: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        key(String(decoding: name, as: UTF8.self), into: &output)
    }

    @inline(__always)
    private mutating func prepareKey(into output: inout ByteBuffer) {
        precondition(depth > 0 && current.isMap, "a key outside of a map")
        separate(in: &output)
        current.count &+= 1
    }

    /// Makes room for one value that the caller appends itself: counts it, and writes the comma before it.
    @inline(__always)
    public mutating func prepareValue(into output: inout ByteBuffer) {
        precondition(depth > 0, "a value outside of a message")
        if current.isMap { return }
        separate(in: &output)
        current.count &+= 1
    }

    @inline(__always)
    private func separate(in output: inout ByteBuffer) {
        if encoding.separator != 0 && current.count > 0 { output.append(encoding.separator) }
    }
}
