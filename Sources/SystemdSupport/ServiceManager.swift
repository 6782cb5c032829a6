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
