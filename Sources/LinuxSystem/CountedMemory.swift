// Memory of a library, counted and limited.

internal import CLinux

/// Allocations that are counted in one account, for a library that takes functions for them.
///
/// - Thread: any.
public enum CountedMemory {
    /// - Returns: `nil` when there is no memory, or not within the limit.
    public static func allocate(_ byteCount: Int32) -> UnsafeMutableRawPointer? { clinux_counted_allocate(byteCount) }
    public static func free(_ memory: UnsafeMutableRawPointer?) { clinux_counted_free(memory) }
    /// - Returns: `nil` as for `allocate`; then `memory` is as it was.
    public static func resize(_ memory: UnsafeMutableRawPointer?, _ byteCount: Int32) -> UnsafeMutableRawPointer? {
        clinux_counted_resize(memory, byteCount)
    }
    public static func size(_ memory: UnsafeMutableRawPointer?) -> Int32 { clinux_counted_size(memory) }

    /// The most that may be allocated, in bytes; 0: no limit.
    public static func setLimit(_ byteCount: Int) { clinux_set_counted_limit(Int64(byteCount)) }
    public static var byteCount: Int64 { clinux_counted_bytes() }
    public static var peakByteCount: Int64 { clinux_counted_peak() }
    /// How often the limit was the reason for `nil`.
    public static var refusalCount: UInt64 { clinux_counted_refusals() }
    /// Whether that happened on this thread since it was asked last.
    public static func takeRefusal() -> Bool { clinux_take_counted_refusal() }
}
