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

/// What makes counted memory run out for a thread before the machine's does: a stack that is nearly used up, and work that
/// has to stop. Allocating is what a library does at each level and each step of work whose extent is the client's choice, and
/// running out of memory is the one thing that it handles everywhere.
///
/// - Thread: each call concerns the calling thread.
public enum AllocationGuard {
    public enum Reason {
        /// There is no room for deeper recursion.
        case stack
        /// The work was told to stop.
        case time
    }

    /// Refuses memory, once `asks` has said true, until `end`. It is asked at each 16th allocation, with `context`.
    public static func begin(
        _ context: UnsafeMutableRawPointer, asks: @escaping @convention(c) (UnsafeMutableRawPointer?) -> Bool
    ) {
        clinux_guard_begin(asks, context)
    }

    /// Why memory was refused since `begin`, or since it was asked last.
    @discardableResult
    public static func end() -> Reason? {
        switch clinux_guard_end() {
        case CLINUX_GUARD_STACK: .stack
        case CLINUX_GUARD_TIME: .time
        default: nil
        }
    }
}
