// Signals that a thread waits for by itself, where there is no loop.

internal import CLinux
internal import Glibc

extension Process {
    /// Blocks the calling thread until one of the signals comes, which is blocked from now on (sigtimedwait(2)).
    ///
    /// - Parameters:
    ///   - signals: their numbers.
    ///   - milliseconds: how long at most.
    /// - Returns: the signal; `nil` when none came.
    public static func waitForSignal(_ signals: [Int32], milliseconds: Int64) -> Int32? {
        let number = clinux_wait_for_signal(signals, Int32(signals.count), milliseconds)
        return number > 0 ? number : nil
    }
}
