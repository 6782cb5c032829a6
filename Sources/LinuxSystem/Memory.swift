// Raw memory by libc, where Swift's own loops would be slower.

internal import CLinux
internal import Glibc

/// The heap.
public enum Memory {
    /// Gives free memory back to the system (malloc_trim(3)). Takes milliseconds: not for a loop.
    /// - Thread: any.
    public static func trim() { clinux_trim_malloc() }
}

/// Whether `byteCount` bytes are equal (memcmp(3)).
@inline(__always)
public func compareBytes(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ byteCount: Int) -> Bool {
    memcmp(left, right, byteCount) == 0
}

extension UnsafeRawBufferPointer {
    /// Where `part` first occurs at `start` or behind it, in time that grows with the sum of the lengths.
    public func firstIndex(of part: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = baseAddress, let partBase = part.baseAddress, count - start >= part.count else { return nil }
        let offset = clinux_find_bytes(base + start, count - start, partBase, part.count)
        return offset < 0 ? nil : start + offset
    }
}
