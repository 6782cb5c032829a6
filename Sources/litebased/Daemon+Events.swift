// Events of a running daemon: signals, and the timers for status, watchdog, idle exit and a drain that takes too long.

internal import Configuration
internal import Glibc
internal import LinuxSystem
internal import Server
internal import SystemdSupport

extension Daemon {
    enum Timer: UInt64 { case status, watchdog, idle, deadline, patience, names }

    private static let statusIntervalMilliseconds: Int64 = 5_000
    private static let namesIntervalMilliseconds: Int64 = 30_000
    // Time for the end in addition to the drain: rollbacks and checkpoints.
    private static let deadlineMarginMilliseconds: Int64 = 10_000
    // How often the drain extends systemd's timeout: TimeoutStopSec= is too short for a long drain.
    private static let patienceIntervalMilliseconds: Int64 = 2_000

    func scheduleTimers() {
        schedule(.status, afterMilliseconds: Self.statusIntervalMilliseconds)
        if let microseconds = ServiceManager.watchdogMicroseconds {
            schedule(.watchdog, afterMilliseconds: max(1, Int64(clamping: microseconds / 2000)))
        }
        scheduleIdleExit()
        scheduleLookUp()
    }

    /// Looks names up again while some are unknown.
    func scheduleLookUp() {
        if let namesTimer { loop.cancel(namesTimer) }
        namesTimer = nil
        if configuration.unknownNames.isEmpty || stopRequestCount > 0 { return }
        namesTimer = schedule(.names, afterMilliseconds: Self.namesIntervalMilliseconds)
    }

    /// Starts to check for idleness, as often as the configuration requires.
    func scheduleIdleExit() {
        if let idleTimer { loop.cancel(idleTimer) }
        idleTimer = nil
        guard isActivated, stopRequestCount == 0, configuration.settings.idleExitSeconds > 0 else { return }
        idleTimer = schedule(.idle, afterMilliseconds: idleIntervalMilliseconds)
    }

    // Fine enough for the wanted time, and few wake-ups for long ones.
    private var idleIntervalMilliseconds: Int64 {
        min(10_000, max(100, Int64(configuration.settings.idleExitSeconds) * 100))
    }

    @discardableResult
    private func schedule(_ timer: Timer, afterMilliseconds milliseconds: Int64) -> TimerID {
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: milliseconds)
        return loop.schedule(self, token: timer.rawValue, at: deadline)
    }

    func fired(_ timer: Timer?) {
        switch timer {
        case .status:
            refreshStatus()
            reportLostNotifications()
            server.tellServerChanges()
            observer.reportSuppressed()
            schedule(.status, afterMilliseconds: Self.statusIntervalMilliseconds)
        case .watchdog:
            guard let microseconds = ServiceManager.watchdogMicroseconds else { return }
            giveSignOfLife()
            schedule(.watchdog, afterMilliseconds: max(1, Int64(clamping: microseconds / 2000)))
        case .idle:
            idleTimer = nil
            leaveIfIdle()
            scheduleIdleExit()
        case .names:
            namesTimer = nil
            lookNamesUpAgain()
        case .patience:
            ServiceManager.extendTimeout(milliseconds: 5 * Self.patienceIntervalMilliseconds)
            schedule(.patience, afterMilliseconds: Self.patienceIntervalMilliseconds)
        case .deadline:
            log.write(
                LogRecord(
                    .error, "The drain has not ended in time; leaving all the same", id: MessageID.drainTimedOut))
            abandon(ExitStatus.software)
        case nil: break
        }
    }

    // A loop that hangs does not answer; then no message is sent, and systemd restarts the daemon.
    private func giveSignOfLife() {
        if isVisitingLoops {
            if hasReportedStall { return }
            hasReportedStall = true
            log.write(
                LogRecord(
                    .error, "A loop does not answer: no sign of life to systemd until it does", id: MessageID.loopHung))
            return
        }
        isVisitingLoops = true
        server.visitLoops { [weak self] in
            self?.isVisitingLoops = false
            self?.hasReportedStall = false
            ServiceManager.watchdog()
        }
    }

    /// Tells the service manager what has changed since it was told last.
    func refreshStatus() {
        let now = status
        if now == lastStatus || stopRequestCount > 0 { return }
        lastStatus = now
        ServiceManager.status(now)
    }

    private func reportLostNotifications() {
        let count = ServiceManager.lostCount
        if count == lostNotificationCount { return }
        log.write(
            LogRecord(
                .warning,
                "\(count - lostNotificationCount) messages to systemd were lost: it does not read them, and connections that "
                    + "it does not keep end with the daemon",
                fields: [("LITEBASE_LOST", "\(count - lostNotificationCount)")], id: MessageID.notificationsLost))
        lostNotificationCount = count
    }

    // The last check of the queues comes after the decision, on the thread that accepts: a later connection waits in
    // systemd's queue and starts the next process.
    private func leaveIfIdle() {
        if server.connectionCount > 0 || server.requestsInFlight > 0 || server.acceptedCount != lastAcceptedCount {
            lastAcceptedCount = server.acceptedCount
            lastBusy = .now
            return
        }
        let seconds = Int64(configuration.settings.idleExitSeconds)
        guard seconds > 0, stopRequestCount == 0,
            MonotonicInstant.now.nanoseconds(since: lastBusy) >= seconds * 1_000_000_000
        else { return }
        guard server.pauseAcceptingIfQuiet() else {
            lastBusy = .now
            return
        }
        log.write(LogRecord(.info, "Leaving: idle for \(seconds) seconds", id: MessageID.idleExit))
        drain()
    }

    /// A signal arrived.
    ///
    /// - Parameters:
    ///   - signal: its number.
    ///   - sender: pid of the process that sent it, 0 for the kernel.
    func handle(signal: Int32, sender: Int32) {
        // The kernel sends SIGHUP when the terminal goes away; a process sends it to request a reload (tty_ioctl(4),
        // daemon(7)).
        if signal == SIGHUP && sender != 0 {
            reload()
            return
        }
        let name = signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "the end of the terminal"
        switch stopRequestCount {
        case 0:
            let from = sender > 0 ? " from pid \(sender)" : ""
            log.write(LogRecord(.info, "Stopping after \(name)\(from)", id: MessageID.stopRequested))
            drain()
        case 1:
            log.write(LogRecord(.notice, "Stopping at once after a second \(name)", id: MessageID.stopRequested))
            drain()
        default:
            abandon(ExitStatus.software)
        }
    }

    // The second call cancels what still runs.
    private func drain() {
        stopRequestCount += 1
        if stopRequestCount == 1 {
            ServiceManager.stopping(status: "Stopping")
            let patience = configuration.settings.limits.drainTimeMillisecondsMax + Self.deadlineMarginMilliseconds
            schedule(.deadline, afterMilliseconds: patience)
            fired(.patience)
        } else {
            schedule(.deadline, afterMilliseconds: 1_000)
        }
        server.drain { [weak self] in
            self?.observer.reportSuppressed(isLast: true)
            self?.observer.observe(.stopped)
            // systemd must have the descriptors before their sender is gone.
            ServiceManager.barrier(milliseconds: 5_000)
            self?.finish(ExitStatus.success)
        }
    }
}
