// Signals as events of a loop.

internal import CLinux
internal import Glibc

/// Turns signals into calls on the loop's thread (signalfd(2)).
///
/// Make it before any thread is started: the signals are blocked in the making thread and in those it starts.
public final class SignalSource: EventSource {
    private let descriptor: OwnedDescriptor
    private let onSignal: (_ signal: Int32, _ sender: Int32) -> Void

    /// `onSignal` is called with the signal's number and the pid of the sender (0: the kernel).
    public init(_ signals: [Int32], onSignal: @escaping (Int32, Int32) -> Void) throws(Errno) {
        descriptor = OwnedDescriptor(
            Int32(try SystemCalls.call(.signalfd) { Int(clinux_signalfd(signals, Int32(signals.count))) }))
        self.onSignal = onSignal
    }

    public func register(with loop: EventLoop) throws(Errno) {
        try loop.register(self, descriptor, for: .readable)
    }

    public override func handle(_ readiness: Readiness) {
        var sender: Int32 = 0
        while true {
            let signal = clinux_signalfd_read(descriptor.number, &sender)
            if signal <= 0 { return }
            onSignal(signal, sender)
        }
    }
}
