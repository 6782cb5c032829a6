// Memory functions of libc, where Swift's own loops would be slower.

internal import CLinux
internal import Glibc

/// The heap.
public enum Memory {
    /// Returns free memory to the system (malloc_trim(3)). Takes milliseconds: not for a loop.
    /// - Thread: any.
    public static func trim() { clinux_trim_malloc() }

    /// Reports that much of the heap was allocated, or freed if negative; SQLite's memory is counted elsewhere.
    /// - Thread: any.
    public static func note(_ change: Int) { clinux_note_heap(Int64(change)) }

    /// Starts the thread that returns memory after much of it was freed: the C library keeps everything below memory in
    /// use. No loop and no worker waits for that, and an idle process is not woken.
    /// - Throws: `Errno` if no thread can be created.
    public static func startReturning() throws(Errno) {
        guard clinux_watch_freed_memory() else { return }
        try Thread.start(name: "litebase-memory", stackByteCount: 128 << 10) {
            while true {
                clinux_wait_for_freed_memory()
                // Memory that is freed together is returned together, and a process that frees and allocates all the
                // time does this rarely.
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

/// Length of a C string, at most `byteCountMax`: it reads no further (strnlen(3)).
public func boundedByteCount(of text: UnsafePointer<CChar>, _ byteCountMax: Int) -> Int {
    strnlen(text, max(0, byteCountMax))
}

extension UnsafeRawBufferPointer {
    /// Whether the byte occurs (memchr(3)).
    public func holds(_ byte: UInt8) -> Bool {
        guard let baseAddress, count > 0 else { return false }
        return memchr(baseAddress, Int32(byte), count) != nil
    }

    /// The first position of `part` at or after `start`, in time proportional to the sum of the lengths.
    public func firstIndex(of part: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = baseAddress, let partBase = part.baseAddress, count - start >= part.count else { return nil }
        let offset = clinux_find_bytes(base + start, count - start, partBase, part.count)
        return offset < 0 ? nil : start + offset
    }
}
