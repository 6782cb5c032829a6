// What can be watched by an event loop.

internal import CLinux

/// Readiness of a descriptor (epoll_ctl(2)).
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 0x001)
    public static let writable = Readiness(rawValue: 0x004)
    public static let failed = Readiness(rawValue: 0x008)
    public static let hangUp = Readiness(rawValue: 0x010)
}

/// Base class of what a loop watches: one object for each descriptor or timer owner.
///
/// A class and not a closure, so that delivering an event allocates nothing and costs one virtual call.
/// - Thread: all methods are called on the thread of the loop that it was registered with.
open class EventSource {
    /// Slot in the loop's table; −1 when not registered.
    final var slot = -1
    /// The loop looks at its memory.
    final var isHot = false
    /// When it last had news there.
    final var lastNews = MonotonicInstant(nanoseconds: 0)

    public init() {}

    /// The descriptor became ready.
    open func handle(_ readiness: Readiness) {}

    /// A timer of this source has fired.
    /// - Parameter token: the argument of `EventLoop.schedule`.
    open func timerFired(_ token: UInt64) {}

    // MARK: Memory that somebody else writes

    /// Whether there is news in such memory, by a load; asked while the source is hot (`EventLoop.heat`).
    open var hasNews: Bool { false }

    /// There is news.
    open func handleNews() {}

    /// The loop looks no more: from now on whoever writes has to make the descriptor ready.
    /// - Returns: false if there is news, and the source stays hot.
    open func fallAsleep() -> Bool { true }
}
