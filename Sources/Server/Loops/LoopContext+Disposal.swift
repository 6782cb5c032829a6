// A thread of its own frees large storage: the system unmaps it page by page, which takes a loop 10 ms for 60 MB
// (munmap(2)).

internal import ByteBuffers
internal import DatabaseContract

extension LoopContext {
    /// Smaller storage is freed at once, within 0.2 ms.
    private static let disposedByteCountMin = 1 << 20

    /// The same for a large buffer; others stay unchanged.
    func disposeOfLarge(_ buffer: inout ByteBuffer) {
        if buffer.capacity >= Self.disposedByteCountMin { dispose(of: &buffer) }
    }

    /// Carries storage to the thread that frees it; nobody else uses it from then on.
    private final class Disposal: @unchecked Sendable {
        @exclusivity(unchecked) var buffer = ByteBuffer()
    }

    /// Drops all bytes of a buffer and frees its storage, soon if it is large.
    func dispose(of buffer: inout ByteBuffer) {
        guard buffer.capacity >= Self.disposedByteCountMin else { return buffer.releaseStorage() }
        let disposal = Disposal()
        swap(&disposal.buffer, &buffer)
        shared.disposers.submit(for: 0) { disposal.buffer.releaseStorage() }
    }
}
