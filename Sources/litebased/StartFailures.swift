// Starts that fail one after the other: how long to wait before the process ends, and what to say.
//
// systemd starts the service again at once, as long as clients wait, and before version 254 it knows no longer and longer pauses
// (RestartSteps=). So the daemon makes the pause: it ends later and later. How often it has failed is in memory that the
// descriptor store keeps: no directory is needed, which may be what is missing, and after a stop nothing is left.

internal import Configuration
internal import Glibc
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// How often in a row the daemon could not start.
///
/// - Layout: magic, count, hash of the last message, when it was logged, when the first attempt failed; each of 8 bytes.
/// - Thread: the main thread.
final class StartFailures {
    /// Its name in the descriptor store.
    static let name = "failures"
    // "LBFAILED"
    private static let magic: UInt64 = 0x4c42_4641_494c_4544
    private static let byteCount = 4_096
    /// Long enough for a machine that nobody looks after, short enough to see that the service is at work.
    static let pauseSecondsMax: Int64 = 300
    private static let logIntervalNanoseconds: Int64 = 3_600_000_000_000

    private var memory: SharedMemory?
    /// Whether systemd has passed something: only then it starts the next process for those who wait.
    private var isActivated = false

    private enum Field: Int { case magic, count, message, logged, began }

    private subscript(field: Field) -> Int64 {
        get { memory?.bytes.load(fromByteOffset: field.rawValue * 8, as: Int64.self) ?? 0 }
        set { memory?.bytes.storeBytes(of: newValue, toByteOffset: field.rawValue * 8, as: Int64.self) }
    }

    /// Takes what former processes have left, if it is that.
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

    /// The daemon has started.
    func forget() {
        if memory != nil { ServiceManager.forget(name: Self.name) }
        memory = nil
    }

    /// Seconds that the process waits before it ends: none the first time, so that whoever has asked for the start is told at
    /// once.
    static func pauseSeconds(count: Int64) -> Int64 {
        count < 2 ? 0 : min(pauseSecondsMax, 1 << min(count - 2, 16))
    }

    /// Tells the log and the service manager that a start has failed, and waits as long as it is due.
    ///
    /// - Parameters:
    ///   - message: why.
    ///   - status: what the process is to exit with.
    ///   - error: the system call's reason, where one is behind it.
    ///   - log: the log.
    ///   - watched: files; when one of them changes, the next attempt may succeed.
    ///   - say: writes the records.
    /// - Returns: the exit status: success when the service was stopped meanwhile.
    func report(
        _ message: String, status: Int32, error: Errno?, _ log: Log, watching watched: [String], say: () -> Void
    ) -> Int32 {
        guard isActivated, ServiceManager.isPresent else {
            say()
            ServiceManager.failed(message, exitStatus: status, errno: error)
            return status
        }
        let marks = watched.map(Files.changeMark)
        let isNew = memory == nil
        if isNew { begin() }
        self[.count] += 1
        logIfDue(message, log, say)
        let seconds = Self.pauseSeconds(count: self[.count])
        if isNew, let memory {
            ServiceManager.keep(memory.descriptorNumber, name: Self.name, isWatched: true)
            // A message of a process that is gone may be dropped.
            ServiceManager.barrier(milliseconds: 1_000)
        }
        if seconds > 0 {
            ServiceManager.status(
                "\(message) (attempt \(self[.count]) to start; the next in \(seconds) s, or when a file changes)")
            ServiceManager.extendTimeout(milliseconds: (seconds + 60) * 1_000)
            ServiceManager.flush()
            log.start()
            if wait(seconds: seconds, { watched.map(Files.changeMark) != marks }) {
                // The next start is somebody's wish, and is answered at once.
                forget()
                ServiceManager.flush()
                return ExitStatus.success
            }
        }
        ServiceManager.failed(message, exitStatus: status, errno: error)
        return status
    }

    private func begin() {
        memory = try? SharedMemory(name: "litebase-failures", byteCount: Self.byteCount)
        self[.magic] = Int64(Self.magic)
        self[.began] = MonotonicInstant.now.nanoseconds
    }

    /// Once, again where the reason is another one, and else each hour.
    private func logIfDue(_ message: String, _ log: Log, _ say: () -> Void) {
        let (now, hash) = (MonotonicInstant.now.nanoseconds, Self.hash(message))
        let isOld = now - self[.logged] >= Self.logIntervalNanoseconds
        guard memory == nil || self[.count] == 1 || self[.message] != hash || isOld else { return }
        say()
        if self[.count] > 1 {
            let minutes = (now - self[.began]) / 60_000_000_000
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
            switch Process.waitForSignal([SIGTERM, SIGINT, SIGHUP], milliseconds: Self.lookMilliseconds) {
            case SIGTERM, SIGINT: return true
            case .some: return false
            case nil: if isMended() { return false }
            }
        }
        return false
    }

    private static let lookMilliseconds: Int64 = 500

    // FNV-1a: the same in every process.
    private static func hash(_ text: String) -> Int64 {
        Int64(bitPattern: text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 })
    }
}

extension CommandLineOptions {
    /// Files that a start depends on, as far as they are known before it has read any.
    var filesOfStart: [String] {
        let paths = StandardPaths.current
        let main = configFile ?? paths.configurationDirectory + "/litebase.toml"
        let dropIns = ((try? Files.names(in: main + ".d")) ?? []).map { "\(main).d/\($0)" }
        return [main, main + ".d"] + dropIns + [paths.configurationDirectory, "/etc/passwd", "/etc/group"]
            + (paths.stateDirectory.map { [$0] } ?? [])
    }
}
