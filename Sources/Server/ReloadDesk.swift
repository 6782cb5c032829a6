// `reload`: a client asks, the control loop does it (the daemon knows the configuration, the server does not), and the
// answer returns to the client's loop.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The outcome of a request for a reload.
public enum ReloadOutcome: Sendable {
    /// Every loop uses the new configuration, except for these settings; databases named in the problems are disabled.
    case inForce(databaseCount: Int, restartNeeded: [String], problems: [String])
    /// Nothing was changed; each problem is a line that names file and place.
    case refused(problems: [String])
    /// The daemon is stopping.
    case stopping
}

extension Server {
    /// Sets who reloads when a client asks for it; to be called before the first listener is added.
    ///
    /// - Parameter handler: called on the control loop's thread; calls back once, at any time and on any thread.
    public func onReloadRequest(
        _ handler: @escaping (_ answer: @escaping @Sendable (ReloadOutcome) -> Void) -> Void
    ) {
        shared.reloadDesk.open(controlLoop.mailbox, handler)
    }
}

/// Passes reload requests from the loops of connections to the control loop.
///
/// - Thread: any.
final class ReloadDesk: Sendable {
    typealias Answer = @Sendable (ReloadOutcome) -> Void
    typealias Handler = (@escaping Answer) -> Void

    private let receiver = Mutex<(mailbox: LoopMailbox, handler: LoopBound<Handler>)?>(nil)

    func open(_ mailbox: LoopMailbox, _ handler: @escaping Handler) {
        let bound = LoopBound(handler, mailbox)
        receiver.withLock { $0 = (mailbox, bound) }
    }

    func submit(_ answer: @escaping Answer) {
        guard let (mailbox, handler) = receiver.withLock({ $0 }) else {
            return answer(.refused(problems: ["this daemon has no files to read"]))
        }
        mailbox.submit { handler.wrapped(answer) }
    }
}
