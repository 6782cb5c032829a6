// Consecutive failed starts: how long to wait before the next one, and what to report.
//
// systemd starts the service again at once while clients wait; before version 254 it has no increasing pauses
// (RestartSteps=). So the daemon makes the pause: if it can report why it does not start, it exits later and later; if
// it has died without a report, the next process starts later and later. The number of failures, and whether a start is
// under way, are in memory that the descriptor store keeps: no directory is needed, which may be what is missing, and
// after a stop nothing is left.

internal import Configuration
internal import Glibc
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// The number of consecutive starts that have failed.
///
/// - Layout: magic, count, hash of the last message, when it was logged, when the first attempt failed, whether a start is under
///   way, the signal by which the process has ended; each of 8 bytes. A version that has fewer of them leaves the last ones 0.
/// - Thread: the main thread.
final class StartFailures {
    /// Its name in the descriptor store.
    static let name = "failures"
    // "LBFAILED"
    private static let magic: UInt64 = 0x4c42_4641_494c_4544
    private static let byteCount = 4_096
    /// Long enough for an unattended machine, short enough to show that the service is working.
    static let pauseSecondsMax: Int64 = 300
    private static let logIntervalNanoseconds: Int64 = 3_600_000_000_000
    private static let countMax: Int64 = 1_000_000_000

    private var memory: SharedMemory?
    /// Whether systemd has passed something: only then it starts the next process for waiting clients.
    private var isActivated = false
    /// This process has made the memory, and systemd may not have it yet.
    private var isNew = false

    private enum Field: Int, CaseIterable { case magic, count, message, logged, began, underWay, signal }

    private subscript(field: Field) -> Int64 {
        get { memory?.bytes.load(fromByteOffset: field.rawValue * 8, as: Int64.self) ?? 0 }
        set { memory?.bytes.storeBytes(of: newValue, toByteOffset: field.rawValue * 8, as: Int64.self) }
    }

    /// Nanoseconds since a recorded time; none since a time in the future, which no process of ours has recorded.
    private func nanoseconds(since field: Field, _ now: Int64) -> Int64 {
        let (difference, isTooLarge) = now.subtractingReportingOverflow(self[field])
        return isTooLarge ? .max : max(0, difference)
    }

    /// Takes the memory of former processes, if that is what the descriptor is.
    func take(_ descriptor: NamedDescriptor) -> Bool {
        isActivated = true
        guard descriptor.name == Self.name else { return false }
        if memory == nil, let file = descriptor.take(), let mapped = try? SharedMemory(mapping: file),
            mapped.bytes.count >= Self.byteCount, mapped.bytes.load(as: UInt64.self) == Self.magic
        {
            memory = mapped
        }
        return true
    }

    /// The daemon has started: after the notification to the service manager, the next failure is the first one.
    func didStart() {
        guard let memory else { return }
        ServiceManager.afterwards { Self.clear(memory) }
    }

    /// The service was stopped: the next failure is the first one.
    private func forget() {
        if let memory { Self.clear(memory) }
    }

    /// The memory itself stays, so that only the first start costs the service manager anything.
    private static func clear(_ memory: SharedMemory) {
        for field in Field.allCases where field != .magic {
            memory.bytes.storeBytes(of: 0, toByteOffset: field.rawValue * 8, as: Int64.self)
        }
    }

    /// A start begins: the next process will know if this one dies before it serves. If former ones have died, this one
    /// waits as long as is due, since they could not.
    ///
    /// - Parameters:
    ///   - log: the log.
    ///   - watched: files; when one of them changes, the attempt is made at once.
    /// - Returns: an exit status if the service was stopped meanwhile; `nil` to continue.
    /// - Thread: before any other thread was started.
    func begin(_ log: Log, watching watched: [String]) -> Int32? {
        guard isActivated, ServiceManager.isPresent else { return nil }
        // Before other threads. The signals are read here, and later by the daemon.
        Process.block(Self.signals)
        if memory == nil { makeMemory() }
        guard let memory, let place = memory.bytes.baseAddress else { return nil }
        let (hasDied, signal) = (self[.underWay] != 0, Int32(truncatingIfNeeded: self[.signal]))
        (self[.underWay], self[.signal]) = (0, 0)
        // Before any other thread: each thread gets a signal stack when it starts.
        Process.noteDeadlySignal(at: place + Field.signal.rawValue * 8)
        if isNew {
            ServiceManager.keep(memory.descriptorNumber, name: Self.name, isWatched: true)
            ServiceManager.flush()
        }
        if hasDied, !waitAfterDeath(by: signal, log, watched) { return ExitStatus.success }
        self[.underWay] = 1
        return nil
    }

    /// - Returns: false if the service was stopped.
    private func waitAfterDeath(by signal: Int32, _ log: Log, _ watched: [String]) -> Bool {
        let how =
            signal == 0
            ? "was killed (SIGKILL: by somebody, or by the kernel for want of memory)"
            : "crashed (\(Process.signalName(signal)))"
        let message = "the daemon \(how) while it started; please report a crash, with the core file"
        let marks = watched.map(Files.changeMark)
        count()
        logIfDue(message, log) {
            log.write(
                LogRecord(
                    .error, message, fields: signal == 0 ? [] : [("LITEBASE_SIGNAL", "\(signal)")],
                    id: MessageID.startFailed))
        }
        return !pause(message, log) { watched.map(Files.changeMark) != marks }
    }

    /// Seconds that the process waits before it exits: none the first time, so that whoever requested the start gets
    /// the result at once.
    static func pauseSeconds(count: Int64) -> Int64 {
        count < 2 ? 0 : min(pauseSecondsMax, 1 << min(count - 2, 16))
    }

    /// Reports to the log and the service manager that a start has failed, and waits as long as is due.
    ///
    /// - Parameters:
    ///   - message: why.
    ///   - status: the exit status.
    ///   - error: the error of the system call behind it, if any.
    ///   - log: the log.
    ///   - watched: files; when one of them changes, the next attempt may succeed.
    ///   - say: writes the records.
    /// - Returns: the exit status: success if the service was stopped meanwhile.
    func report(
        _ message: String, status: Int32, error: Errno?, _ log: Log, watching watched: [String], say: () -> Void
    ) -> Int32 {
        guard isActivated, ServiceManager.isPresent else {
            say()
            ServiceManager.failed(message, exitStatus: status, errno: error)
            return status
        }
        let marks = watched.map(Files.changeMark)
        self[.underWay] = 0
        count()
        logIfDue(message, log, say)
        // A message of a process that is gone may be dropped.
        if isNew { ServiceManager.barrier(milliseconds: 1_000) }
        if pause(message, log, { watched.map(Files.changeMark) != marks }) { return ExitStatus.success }
        ServiceManager.failed(message, exitStatus: status, errno: error)
        return status
    }

    private func makeMemory() {
        memory = try? SharedMemory(name: "litebase-failures", byteCount: Self.byteCount)
        self[.magic] = Int64(Self.magic)
        isNew = memory != nil
    }

    private func count() {
        if self[.count] == 0 { self[.began] = MonotonicInstant.now.nanoseconds }
        // Whatever value a file has that only looks like ours.
        self[.count] = min(max(self[.count], 0), Self.countMax) + 1
    }

    /// Waits as long as is due, and reports that to the service manager.
    /// - Returns: whether the service was stopped.
    private func pause(_ message: String, _ log: Log, _ isMended: () -> Bool) -> Bool {
        let seconds = Self.pauseSeconds(count: self[.count])
        if seconds == 0 { return false }
        ServiceManager.status(
            "\(message) (attempt \(self[.count]) to start; the next in \(seconds) s, or when a file changes)")
        ServiceManager.extendTimeout(milliseconds: (seconds + 60) * 1_000)
        ServiceManager.flush()
        log.start()
        guard wait(seconds: seconds, isMended) else { return false }
        // The next start is requested by somebody, and is made at once.
        forget()
        return true
    }

    /// At the first two attempts, and if the reason has changed, and otherwise each hour. journald looks up the unit of
    /// a message when it reads it: that of the first process, which exits at once, may be unknown by then, and missing
    /// from `journalctl -u`.
    private func logIfDue(_ message: String, _ log: Log, _ say: () -> Void) {
        let (now, hash) = (MonotonicInstant.now.nanoseconds, Self.hash(message))
        let isOld = nanoseconds(since: .logged, now) >= Self.logIntervalNanoseconds
        guard memory == nil || self[.count] <= 2 || self[.message] != hash || isOld else { return }
        say()
        if self[.count] > 2 {
            let minutes = nanoseconds(since: .began, now) / 60_000_000_000
            log.write(
                LogRecord(
                    .error, "\(self[.count]) attempts to start have failed in \(minutes) min",
                    fields: [("LITEBASE_ATTEMPTS", "\(self[.count])")], id: MessageID.startFailed))
        }
        self[.message] = hash
        self[.logged] = now
    }

    /// - Returns: whether the service was stopped.
    private func wait(seconds: Int64, _ isMended: () -> Bool) -> Bool {
        let end = MonotonicInstant.now.advanced(byMilliseconds: seconds * 1_000)
        while .now < end {
            switch Process.waitForSignal(Self.signals, milliseconds: Self.lookMilliseconds) {
            case SIGTERM, SIGINT: return true
            case .some: return false
            case nil: if isMended() { return false }
            }
        }
        return false
    }

    private static let signals = [SIGTERM, SIGINT, SIGHUP]
    private static let lookMilliseconds: Int64 = 500

    // FNV-1a: the same in every process.
    private static func hash(_ text: String) -> Int64 {
        Int64(bitPattern: text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 })
    }
}

extension CommandLineOptions {
    /// The files on which a start depends, as far as they are known before any is read.
    var filesOfStart: [String] {
        let paths = StandardPaths.current
        let main = configFile ?? paths.configurationDirectory + "/litebase.toml"
        let dropIns = ((try? Files.names(in: main + ".d")) ?? []).map { "\(main).d/\($0)" }
        return [main, main + ".d"] + dropIns + [paths.configurationDirectory, "/etc/passwd", "/etc/group"]
            + (paths.stateDirectory.map { [$0] } ?? [])
    }
}
