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
