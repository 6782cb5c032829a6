// A listening socket: accepts on the control loop and hands connections to the loops that serve them.

internal import LinuxSystem

/// Accepts clients.
///
/// - Thread: the control loop's.
final class Listener: EventSource {
    private let socket: OwnedDescriptor
    private let loop: EventLoop
    private let observer: Observer
    private let accepted: (consuming OwnedDescriptor) -> Void
    private var isWatched = false
    private var isResumeScheduled = false
    /// The last accept failed: the next success ends the outage, of which only the start was logged.
    private var isFailing = false

    /// Connections accepted in one turn, so that a flood leaves room for other things.
    private static let acceptCountMax = 64
    /// Pause after descriptors or memory have run out: trying again at once would spin (accept(2), EMFILE).
    private static let pauseMilliseconds: Int64 = 100

    init(
        _ socket: consuming OwnedDescriptor, loop: EventLoop, observer: Observer,
        accepted: @escaping (consuming OwnedDescriptor) -> Void
    ) {
        self.socket = socket
        self.loop = loop
        self.observer = observer
        self.accepted = accepted
    }

    func start() throws(Errno) {
        guard !isWatched else { return }
        try loop.register(self, socket, for: .readable)
        isWatched = true
    }

    /// Stops watching; connections wait in the kernel's queue.
    func pause() {
        guard isWatched else { return }
        loop.deregister(self, socket)
        isWatched = false
    }

    override func handle(_ readiness: Readiness) {
        _ = acceptWaiting()
    }

    /// Accepts all waiting connections.
    /// - Returns: how many there were.
    func acceptWaiting() -> Int {
        for count in 0..<Self.acceptCountMax {
            do throws(Errno) {
                guard let connection = try Sockets.accept(socket) else { return count }
                isFailing = false
                accepted(connection)
            } catch {
                // The client left before it was accepted.
                if error == .connectionAborted { continue }
                backOff(error)
                return count
            }
        }
        return Self.acceptCountMax
    }

    private func backOff(_ error: Errno) {
        if !isFailing { observer.observe(.acceptFailed(error, pauseMilliseconds: Self.pauseMilliseconds)) }
        isFailing = true
        pause()
        scheduleResume()
    }

    private func scheduleResume() {
        isResumeScheduled = true
        loop.schedule(self, at: loop.now.advanced(byMilliseconds: Self.pauseMilliseconds))
    }

    /// Watches again after a pause. The cause of the failed accept may make this fail too (epoll_ctl(2): ENOMEM,
    /// ENOSPC); nobody else would try again.
    func resume() {
        do throws(Errno) {
            try start()
        } catch {
            scheduleResume()
        }
    }

    override func timerFired(_ token: UInt64) {
        guard isResumeScheduled else { return }
        isResumeScheduled = false
        resume()
    }

    /// Stops accepting for good; a scheduled resume does nothing.
    func stop() {
        isResumeScheduled = false
        pause()
    }
}
