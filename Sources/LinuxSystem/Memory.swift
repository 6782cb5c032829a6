// Raw memory by libc, where Swift's own loops would be slower.

internal import Glibc

/// Whether `byteCount` bytes are equal (memcmp(3)).
@inline(__always)
public func compareBytes(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ byteCount: Int) -> Bool {
    memcmp(left, right, byteCount) == 0
}
