// A semaphore, because `Mutex` has no condition variable.

internal import CLinux

/// A semaphore of this process.
///
/// - Thread: any.
/// - Source: sem_overview(7).
public final class Semaphore: Sendable {
    private struct Handle: @unchecked Sendable {
        let pointer: UnsafeMutableRawPointer
    }

    private let handle: Handle

    public init() {
        guard let made = clinux_semaphore_make() else { preconditionFailure("no memory") }
        handle = Handle(pointer: made)
    }

    /// Nobody may wait for it any more.
    deinit { clinux_semaphore_free(handle.pointer) }

    /// Lets one more waiter pass.
    public func post() { clinux_semaphore_post(handle.pointer) }

    /// Waits for a `post`.
    public func wait() { _ = clinux_semaphore_wait(handle.pointer, -1) }

    /// Waits for a `post`, by the monotonic clock, which cannot be set.
    /// - Returns: false after that time without a `post`.
    public func wait(milliseconds: Int64) -> Bool { clinux_semaphore_wait(handle.pointer, max(0, milliseconds)) }
}
