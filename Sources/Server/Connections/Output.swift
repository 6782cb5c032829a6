// What is to be sent on a connection. Replies are written one behind the other into one buffer; a buffer with a large row is handed
// over as it is, and what comes behind it is written into another one: a loop would copy 60 MB for 30 ms.

internal import ByteBuffers

/// The output of one connection, in the order in which it is sent.
///
/// What is given to the socket is always the rest of one buffer, and what the socket has taken is taken off that same buffer.
/// - Thread: its connection's.
struct Output: ~Copyable {
    /// Carries a buffer in an array.
    private final class Piece {
        @exclusivity(unchecked) var bytes = ByteBuffer()

        /// Takes the bytes of a buffer, which is left without storage.
        init(_ buffer: inout ByteBuffer) { swap(&bytes, &buffer) }
    }

    /// Where replies are written: behind everything else.
    var tail = ByteBuffer()
    /// What is sent before the tail, the first one first; none is empty.
    private var pieces: [Piece] = []
    private var pieceByteCount = 0

    /// Bytes that are not sent yet.
    var count: Int { pieceByteCount &+ tail.count }
    var isEmpty: Bool { pieceByteCount == 0 && tail.isEmpty }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { tail.append(bytes) }

    /// Puts the bytes of a buffer behind all others without copying them; the buffer is left empty.
    mutating func take(over buffer: inout ByteBuffer) {
        if buffer.isEmpty { return }
        if isEmpty { return swap(&tail, &buffer) }
        pieceByteCount = count + buffer.count
        if !tail.isEmpty { pieces.append(Piece(&tail)) }
        pieces.append(Piece(&buffer))
    }

    /// What is to be sent next; not all of the output. Valid until that changes.
    var next: UnsafeRawBufferPointer { pieceByteCount == 0 ? tail.readable : pieces[0].bytes.readable }

    /// Takes off what was sent of `next`.
    /// - Returns: a buffer that was handed over and of which nothing is left, to be disposed of.
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

    /// Lends everything, in order.
    func forEach(_ body: (UnsafeRawBufferPointer) -> Void) {
        for piece in pieces { body(piece.bytes.readable) }
        if !tail.isEmpty { body(tail.readable) }
    }
}
