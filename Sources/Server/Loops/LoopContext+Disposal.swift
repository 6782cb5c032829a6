// Large storage is freed by a thread of its own: the system takes its pages away one by one, which keeps a loop busy for
// 10 ms with 60 MB (munmap(2)).

internal import ByteBuffers
internal import DatabaseDrivers

extension LoopContext {
    /// Storage below this is freed at once, within 0.2 ms.
    private static let disposedByteCountMin = 1 << 20

    /// The same for a large one; others stay as they are.
    func disposeOfLarge(_ buffer: inout ByteBuffer) {
        if buffer.capacity >= Self.disposedByteCountMin { dispose(of: &buffer) }
    }

    /// Carries storage to the thread that frees it; nobody else looks at it from then on.
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
