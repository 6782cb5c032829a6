// Raw memory by libc, where Swift's own loops would be slower.

internal import CLinux
internal import Glibc

/// The heap.
public enum Memory {
    /// Gives free memory back to the system (malloc_trim(3)). Takes milliseconds: not for a loop.
    /// - Thread: any.
    public static func trim() { clinux_trim_malloc() }

    /// So much of the heap was taken, or freed when it is negative; what SQLite takes is noted by itself.
    /// - Thread: any.
    public static func note(_ change: Int) { clinux_note_heap(Int64(change)) }

    /// Starts the thread that gives memory back when much of it was freed: the C library keeps what lies below anything that is
    /// in use, however much it is. No loop and no worker waits for that, and nothing wakes up an idle process.
    /// - Throws: `Errno` when there is no thread.
    public static func startReturning() throws(Errno) {
        guard clinux_watch_freed_memory() else { return }
        try Thread.start(name: "litebase-memory", stackByteCount: 128 << 10) {
            while true {
                clinux_wait_for_freed_memory()
                // What is freed at once is given back at once, and who frees and takes all the time has it done rarely.
                Process.sleep(microseconds: returnMicroseconds)
                trim()
            }
        }
    }

    private static let returnMicroseconds: UInt32 = 500_000
}

/// Whether `byteCount` bytes are equal (memcmp(3)).
@inline(__always)
public func compareBytes(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ byteCount: Int) -> Bool {
    memcmp(left, right, byteCount) == 0
}

/// Bytes of a C string, at most `byteCountMax`: no more are looked at (strnlen(3)).
public func boundedByteCount(of text: UnsafePointer<CChar>, _ byteCountMax: Int) -> Int {
    strnlen(text, max(0, byteCountMax))
}

extension UnsafeRawBufferPointer {
    /// Whether the byte is there (memchr(3)).
    public func holds(_ byte: UInt8) -> Bool {
        guard let baseAddress, count > 0 else { return false }
        return memchr(baseAddress, Int32(byte), count) != nil
    }

    /// Where `part` first occurs at `start` or behind it, in time that grows with the sum of the lengths.
    public func firstIndex(of part: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = baseAddress, let partBase = part.baseAddress, count - start >= part.count else { return nil }
        let offset = clinux_find_bytes(base + start, count - start, partBase, part.count)
        return offset < 0 ? nil : start + offset
    }
}
