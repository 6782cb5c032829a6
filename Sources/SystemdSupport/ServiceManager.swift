// Notifications to the service manager, through libsystemd.

internal import CSystemd
internal import Glibc
public import LinuxSystem

/// Notifications to systemd; they are dropped if nobody asked for them (`NOTIFY_SOCKET`).
///
/// sd_notify(3) waits while the manager's queue is full, since the manager must not miss a message. A thread of its own
/// does that and keeps the order: a manager that does not read does not keep the daemon from accepting, serving and
/// ending.
///
/// - Thread: any, as long as nobody changes the environment.
/// - Source: sd_notify(3), sd_pid_notify_with_fds(3), sd_notify_barrier(3), sd_watchdog_enabled(3).
public enum ServiceManager {
    /// More than a full descriptor store needs, with a message for the end of each connection.
    private static let countMax = 4_096
    /// How long a call waits for the manager, if it waits; a manager that reloads its units needs some time.
    private static let patienceMilliseconds: Int64 = 1_000
    private static let thread = DeliveryThread(name: "litebase-notify", byteCountMax: 4 << 20)

    /// The service can be used, or has been reloaded.
    public static func ready(status: String) { send("READY=1\nSTATUS=\(line(status))") }

    /// One line for `systemctl status`.
    public static func status(_ text: String) { send("STATUS=\(line(text))") }

    /// The configuration is being reloaded; `ready` ends that. The time stamp distinguishes it from earlier reloads
    /// (`Type=notify-reload`).
    public static func reloading() {
        send("RELOADING=1\nMONOTONIC_USEC=\(MonotonicInstant.now.nanoseconds / 1000)")
    }

    /// The service stops; from now on TimeoutStopSec= counts.
    public static func stopping(status: String) { send("STOPPING=1\nSTATUS=\(line(status))") }

    /// The start failed, and the process is about to end.
    ///
    /// - Parameters:
    ///   - message: why, for `systemctl status`.
    ///   - exitStatus: what the process is going to exit with.
    ///   - errno: the error of the system call behind it, if any.
    public static func failed(_ message: String, exitStatus: Int32, errno: Errno?) {
        let number = errno.map { "\nERRNO=\($0.rawValue)" } ?? ""
        send("STATUS=\(line(message))\(number)\nEXIT_STATUS=\(exitStatus)")
        thread.finish(patienceMilliseconds: patienceMilliseconds)
    }

    /// The end takes longer than TimeoutStopSec= may allow: the manager should wait this much longer before it kills
    /// the process.
    public static func extendTimeout(milliseconds: Int64) { send("EXTEND_TIMEOUT_USEC=\(milliseconds * 1000)") }

    /// Messages that were dropped because the manager had not read for too long.
    public static var lostCount: Int { thread.lostCount }

    // MARK: The descriptor store

    /// Whether there is a manager that can keep descriptors; they need a Unix socket (sd_notify(3)).
    public static var isPresent: Bool {
        Process.environment("NOTIFY_SOCKET").map { $0.hasPrefix("/") || $0.hasPrefix("@") } ?? false
    }

    /// Keeps a duplicate of a descriptor for the process that comes after this one.
    ///
    /// `InheritedSocket.takeAll` returns it, after a restart but not after a stop (systemd before 254); the manager
    /// closes it when its socket hangs up, unless it is not watched (FDPOLL= in sd_notify(3)).
    public static func keep(_ descriptor: Int32, name: String, isWatched: Bool) {
        // The caller may close its own before the thread has sent it.
        guard let copy = try? OwnedDescriptor.duplicate(of: descriptor) else { return }
        send("FDSTORE=1\nFDNAME=\(name)\(isWatched ? "" : "\nFDPOLL=0")", passing: copy)
    }

    /// Closes the descriptor with that name.
    public static func forget(name: String) { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    /// Calls `body` after everything posted before was sent to the manager; on the sending thread, or not at all if too
    /// much is waiting.
    public static func afterwards(_ body: @escaping @Sendable () -> Void) { post("", body) }

    /// Waits until the manager has read everything that was sent, while it still knows the sender.
    public static func barrier(milliseconds: Int32) {
        guard Process.environment("NOTIFY_SOCKET") != nil else { return }
        thread.start()
        thread.post(countMax: .max) { _ = sd_notify_barrier(0, UInt64(milliseconds) * 1000) }
        thread.flush(milliseconds: Int64(milliseconds), evenIfStuck: true)
    }

    // MARK: The watchdog

    /// Resets the watchdog.
    public static func watchdog() { send("WATCHDOG=1") }

    /// The watchdog interval of the service manager, in microseconds; `nil` without a watchdog. Send twice as often.
    public static var watchdogMicroseconds: UInt64? {
        var microseconds: UInt64 = 0
        return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : nil
    }

    // MARK: Sending

    /// Waits, for a limited time, until everything is on its way to the manager, even if this process ends then.
    public static func flush() { thread.flush(milliseconds: patienceMilliseconds) }

    private static func send(_ state: String) {
        // If the manager is gone, there is nobody to notify.
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

    /// - Returns: false if nobody asked for it, or if it was dropped.
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
