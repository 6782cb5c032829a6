// What the daemon tells its service manager.

internal import CSystemd
public import LinuxSystem

/// Notifications to systemd; they go nowhere when nobody asked for them (`NOTIFY_SOCKET`).
///
/// - Thread: any, as long as nobody changes the environment.
/// - Source: sd_notify(3).
public enum ServiceManager {
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

    /// The start failed.
    ///
    /// - Parameters:
    ///   - message: why, for `systemctl status`.
    ///   - exitStatus: what the process is going to exit with.
    ///   - errno: the system call's reason, where one is behind it.
    public static func failed(_ message: String, exitStatus: Int32, errno: Errno?) {
        let number = errno.map { "\nERRNO=\($0.rawValue)" } ?? ""
        send("STATUS=\(line(message))\(number)\nEXIT_STATUS=\(exitStatus)")
    }

    /// The end takes longer than TimeoutStopSec= may allow: kill the process only after this time.
    public static func extendTimeout(milliseconds: Int64) { send("EXTEND_TIMEOUT_USEC=\(milliseconds * 1000)") }

    /// Whether somebody listens.
    public static var isPresent: Bool { Process.environment("NOTIFY_SOCKET") != nil }

    // MARK: The descriptor store

    /// Keeps a duplicate of a descriptor for the process that comes after this one.
    ///
    /// It is given back by `InheritedSocket.takeAll`, at a restart but not after a stop (systemd before 254), and closed when
    /// its socket hangs up.
    public static func keep(_ descriptor: Int32, name: String) {
        var descriptor = descriptor
        _ = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=\(name)", &descriptor, 1)
    }

    /// Closes what is kept under a name.
    public static func forget(name: String) { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    /// Waits until the manager has seen everything that was sent, so that it knows the sender still.
    ///
    /// - Source: sd_notify_barrier(3).
    public static func barrier(milliseconds: UInt64) {
        if isPresent { _ = sd_notify_barrier(0, milliseconds * 1000) }
    }

    /// A sign of life.
    public static func watchdog() { send("WATCHDOG=1") }

    /// How often the service manager wants a sign of life, in microseconds; `nil` when it does not.
    ///
    /// - Source: sd_watchdog_enabled(3): send twice as often.
    public static var watchdogMicroseconds: UInt64? {
        var microseconds: UInt64 = 0
        return sd_watchdog_enabled(0, &microseconds) > 0 ? microseconds : nil
    }

    private static func send(_ state: String) { _ = sd_notify(0, state) }

    // A line feed would end the assignment.
    private static func line(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }
}
