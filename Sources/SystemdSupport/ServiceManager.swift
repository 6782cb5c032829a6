// What the daemon tells its service manager, by libsystemd.

internal import CSystemd
internal import Glibc
public import LinuxSystem

/// Notifications to systemd; they go nowhere when nobody asked for them (`NOTIFY_SOCKET`).
///
/// sd_notify(3) waits while the manager's queue is full, since it must not miss one. That is left to a thread of its own, which
/// keeps the order: a manager that does not read keeps nobody from accepting, serving and ending.
///
/// - Thread: any, as long as nobody changes the environment.
/// - Source: sd_notify(3), sd_pid_notify_with_fds(3), sd_notify_barrier(3), sd_watchdog_enabled(3).
public enum ServiceManager {
    /// Beyond what a full descriptor store takes, with a message for each end.
    private static let countMax = 4_096
    /// How long a call waits for the manager, where it does; a manager that reloads its units needs some time.
    private static let patienceMilliseconds: Int64 = 1_000
    private static let thread = DeliveryThread(name: "litebase-notify", byteCountMax: 4 << 20)

    /// The service can be used, or has been reloaded.
    public static func ready(status: String) { send("READY=1\nSTATUS=\(line(status))") }

    /// One line for `systemctl status`.
    public static func status(_ text: String) { send("STATUS=\(line(text))") }

    /// The configuration is being reloaded; `ready` ends it. The time stamp tells it from older ones
    /// (`Type=notify-reload`).
    public static func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(MonotonicInstant.now.nanoseconds / 1000)")
    }

    /// The service leaves; from now on TimeoutStopSec= counts.
    public static func stopping(status: String) { send("STOPPING=1\nSTATUS=\(line(status))") }

    /// The start failed, and the process is about to end.
    ///
    /// - Parameters:
    ///   - message: why, for `systemctl status`.
    ///   - exitStatus: what the process is going to exit with.
    ///   - errno: the system call's reason, where one is behind it.
    public static func failed(_ message: String, exitStatus: Int32, errno: Errno?) {
        let number = errno.map { "\nERRNO=\($0.rawValue)" } ?? ""
        send("STATUS=\(line(message))\(number)\nEXIT_STATUS=\(exitStatus)")
        thread.finish(patienceMilliseconds: patienceMilliseconds)
    }

    /// The end takes longer than TimeoutStopSec= may allow: kill the process only after this time.
    public static func extendTimeout(milliseconds: Int64) { send("EXTEND_TIMEOUT_USEC=\(milliseconds * 1000)") }

    /// Messages that the manager did not take for so long that there was no room for them.
    public static var lostCount: Int { thread.lostCount }

    // MARK: The descriptor store

    /// Whether somebody listens who may keep descriptors; they travel by a Unix socket only (sd_notify(3)).
    public static var isPresent: Bool {
        Process.environment("NOTIFY_SOCKET").map { $0.hasPrefix("/") || $0.hasPrefix("@") } ?? false
    }

    /// Keeps a duplicate of a descriptor for the process that comes after this one.
    ///
    /// It is given back by `InheritedSocket.takeAll`, at a restart but not after a stop (systemd before 254), and closed when
    /// its socket hangs up, unless it is not watched (FDPOLL= in sd_notify(3)).
    public static func keep(_ descriptor: Int32, name: String, isWatched: Bool) {
        // The caller may close its own before the thread comes to it.
        guard let copy = try? OwnedDescriptor.duplicate(of: descriptor) else { return }
        send("FDSTORE=1\nFDNAME=\(name)\(isWatched ? "" : "\nFDPOLL=0")", passing: copy)
    }

    /// Closes what is kept under a name.
    public static func forget(name: String) { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    /// Waits until the manager has seen everything that was sent, so that it knows the sender still.
    public static func barrier(milliseconds: Int32) {
        guard Process.environment("NOTIFY_SOCKET") != nil else { return }
        thread.start()
        thread.post(countMax: .max) { _ = sd_notify_barrier(0, UInt64(milliseconds) * 1000) }
        thread.flush(milliseconds: Int64(milliseconds), evenIfStuck: true)
    }

    // MARK: The watchdog

    /// A sign of life.
    public static func watchdog() { send("WATCHDOG=1") }

    /// How often the service manager wants a sign of life, in microseconds; `nil` when it does not. Send twice as often.
    public static var watchdogMicroseconds: UInt64? {
        var microseconds: UInt64 = 0
        return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : nil
    }

    // MARK: Sending

    /// Waits, not for long, until everything is on its way to the manager, whatever becomes of this process.
    public static func flush() { thread.flush(milliseconds: patienceMilliseconds) }

    private static func send(_ state: String) {
        // A manager that is gone will start us anew; nobody is left to be told.
        post(state) { _ = sd_notify(0, state) }
    }

    private static func send(_ state: String, passing descriptor: consuming OwnedDescriptor) {
        let number = descriptor.release()
        let isTaken = post(state) {
            withUnsafePointer(to: number) { _ = sd_pid_notify_with_fds(0, 0, state, $0, 1) }
            OwnedDescriptor(number).close()
        }
        if !isTaken { OwnedDescriptor(number).close() }
    }

    /// - Returns: false when nobody asked for it, or when it is lost.
    @discardableResult
    private static func post(_ state: String, _ deliver: @escaping @Sendable () -> Void) -> Bool {
        guard Process.environment("NOTIFY_SOCKET") != nil else { return false }
        thread.start()
        return thread.post(byteCount: state.utf8.count, countMax: countMax, deliver)
    }

    // A line feed would end the assignment.
    private static func line(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }
}
