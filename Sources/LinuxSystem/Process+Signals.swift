// Signals for which a thread without a loop waits, and signals that end the process.

internal import CLinux
internal import Glibc

extension Process {
    /// Blocks the calling thread until one of the signals arrives; they stay blocked from now on (sigtimedwait(2)).
    ///
    /// - Parameters:
    ///   - signals: their numbers.
    ///   - milliseconds: how long at most.
    /// - Returns: the signal; `nil` if none came.
    public static func waitForSignal(_ signals: [Int32], milliseconds: Int64) -> Int32? {
        let number = clinux_wait_for_signal(signals, Int32(signals.count), milliseconds)
        return number > 0 ? number : nil
    }

    /// Blocks signals for a later reader, also in threads that are started afterwards.
    public static func block(_ signals: [Int32]) { clinux_block_signals(signals, Int32(signals.count)) }

    /// Records the number of the signal that ends this process, if the process causes it itself (a fault, abort(3), a
    /// forbidden system call), or if it is SIGABRT of a service manager whose watchdog has run out. SIGKILL cannot be
    /// recorded.
    ///
    /// - Parameter place: four bytes that exist as long as the process; there may be a few such places.
    /// - Source: sigaction(2), sigaltstack(2).
    public static func noteDeadlySignal(at place: UnsafeMutableRawPointer) {
        _ = clinux_note_deadly_signal(place.assumingMemoryBound(to: UInt32.self))
    }

    /// The name of a signal, such as `SIGSEGV`.
    public static func signalName(_ number: Int32) -> String {
        clinux_signal_name(number).map { "SIG" + String(cString: $0) } ?? "signal \(number)"
    }
}
