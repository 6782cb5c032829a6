// Clocks.

internal import CLinux

/// A point in time that no clock change moves, in nanoseconds (clock_gettime(2), CLOCK_MONOTONIC).
public struct MonotonicInstant: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static var now: MonotonicInstant { MonotonicInstant(nanoseconds: clinux_monotonic_ns()) }
    public static let distantFuture = MonotonicInstant(nanoseconds: .max)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `nanoseconds` later; stays at the distant future instead of overflowing.
    @inlinable
    public func advanced(byNanoseconds nanoseconds: Int64) -> MonotonicInstant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return MonotonicInstant(nanoseconds: overflow ? .max : sum)
    }

    @inlinable
    public func advanced(byMilliseconds milliseconds: Int64) -> MonotonicInstant {
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? .distantFuture : advanced(byNanoseconds: product)
    }

    /// Nanoseconds from `earlier` to this instant.
    @inlinable
    public func nanoseconds(since earlier: MonotonicInstant) -> Int64 { nanoseconds &- earlier.nanoseconds }
}

/// The wall clock.
public enum WallClock {
    /// Nanoseconds since 1970, UTC.
    public static var nanosecondsSince1970: Int64 { clinux_realtime_ns() }
}

/// The processor time of one thread.
public enum ThreadClock {
    /// Nanoseconds that the calling thread has computed; a system call, unlike the other clocks.
    public static var nanoseconds: Int64 { clinux_thread_cpu_ns() }
}
