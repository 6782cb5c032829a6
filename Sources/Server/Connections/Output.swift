// The output of a connection. Replies are written one after the other into one buffer. A buffer with a large row is
// moved in as it is, and what follows is written into another one: copying 60 MB would take a loop 30 ms.

internal import ByteBuffers

/// The output of one connection, in the order in which it is sent.
///
/// Bytes for the socket are always the rest of one buffer, and the sent bytes are removed from that same buffer.
/// - Thread: its connection's.
struct Output: ~Copyable {
    /// Carries a buffer in an array.
    private final class Piece {
        @exclusivity(unchecked) var bytes = ByteBuffer()

        /// Takes the bytes of a buffer, which is left without storage.
        init(_ buffer: inout ByteBuffer) { swap(&bytes, &buffer) }
    }

    /// Where replies are written: after everything else.
    var tail = ByteBuffer()
    /// The buffers that are sent before the tail, in order; none is empty.
    private var pieces: [Piece] = []
    private var pieceByteCount = 0

    /// Bytes that are not sent yet.
    var count: Int { pieceByteCount &+ tail.count }
    var isEmpty: Bool { pieceByteCount == 0 && tail.isEmpty }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { tail.append(bytes) }

    /// Appends a buffer without copying it; the buffer is left empty.
    mutating func take(over buffer: inout ByteBuffer) {
        if buffer.isEmpty { return }
        if isEmpty { return swap(&tail, &buffer) }
        pieceByteCount = count + buffer.count
        if !tail.isEmpty { pieces.append(Piece(&tail)) }
        pieces.append(Piece(&buffer))
    }

    /// The next bytes to send, not all of the output. Valid until the output changes.
    var next: UnsafeRawBufferPointer { pieceByteCount == 0 ? tail.readable : pieces[0].bytes.readable }

    /// Removes the sent bytes of `next`.
    /// - Returns: a moved-in buffer that was sent completely, for the caller to free.
    mutating func consume(_ byteCount: Int) -> ByteBuffer? {
        if pieceByteCount == 0 {
            tail.consume(byteCount)
            return nil
        }
        pieces[0].bytes.consume(byteCount)
        pieceByteCount -= byteCount
        return pieces[0].bytes.isEmpty ? removeFirst() : nil
    }

    private mutating func removeFirst() -> ByteBuffer {
        let piece = pieces.removeFirst()
        var spent = ByteBuffer()
        swap(&spent, &piece.bytes)
        return spent
    }

    /// Drops everything.
    mutating func removeAll(disposal dispose: (inout ByteBuffer) -> Void) {
        while !pieces.isEmpty {
            var dropped = removeFirst()
            dispose(&dropped)
        }
        pieceByteCount = 0
        dispose(&tail)
    }

    /// Lends all bytes, in order.
    func forEach(_ body: (UnsafeRawBufferPointer) -> Void) {
        for piece in pieces { body(piece.bytes.readable) }
        if !tail.isEmpty { body(tail.readable) }
    }
}
