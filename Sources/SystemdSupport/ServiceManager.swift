// What the daemon tells its service manager.

public import LinuxSystem

/// Notifications to systemd; they go nowhere when nobody asked for them (`NOTIFY_SOCKET`).
///
/// They wait while the queue of the service manager is full, as sd_notify(3) does: it must not miss one.
///
/// - Thread: any, as long as nobody changes the environment.
/// - Source: sd_notify(3), whose protocol is stable and meant to be spoken without a library.
public enum ServiceManager {
    private static let socket = try? DatagramSocket(patienceMilliseconds: nil)

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
    public static var isPresent: Bool { address != nil }

    // Other kinds are for virtual machines and for later versions (sd_notify(3)).
    private static var address: String? {
        guard let address = Process.environment("NOTIFY_SOCKET"), address.hasPrefix("/") || address.hasPrefix("@")
        else {
            return nil
        }
        return address
    }

    // MARK: The descriptor store

    /// Keeps a duplicate of a descriptor for the process that comes after this one.
    ///
    /// It is given back by `InheritedSocket.takeAll`, at a restart but not after a stop (systemd before 254), and closed when
    /// its socket hangs up, unless it is not watched (FDPOLL= in sd_notify(3)).
    public static func keep(_ descriptor: Int32, name: String, isWatched: Bool) {
        send("FDSTORE=1\nFDNAME=\(name)\(isWatched ? "" : "\nFDPOLL=0")", passing: descriptor)
    }

    /// Closes what is kept under a name.
    public static func forget(name: String) { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    /// Waits until the manager has seen everything that was sent, so that it knows the sender still.
    ///
    /// - Source: sd_notify_barrier(3): the manager closes the descriptor when it comes to this message.
    public static func barrier(milliseconds: Int32) {
        guard isPresent, var pipe = try? HangUpPipe() else { return }
        pipe.withOtherEnd { send("BARRIER=1", passing: $0) }
        _ = pipe.wait(milliseconds: milliseconds)
    }

    /// A sign of life.
    public static func watchdog() { send("WATCHDOG=1") }

    /// How often the service manager wants a sign of life, in microseconds; `nil` when it does not.
    ///
    /// - Source: sd_watchdog_enabled(3): send twice as often.
    public static var watchdogMicroseconds: UInt64? {
        guard let text = Process.environment("WATCHDOG_USEC"), let microseconds = UInt64(text), microseconds > 0 else {
            return nil
        }
        // Meant for another process, which did not remove it.
        if let pid = Process.environment("WATCHDOG_PID"), Int32(pid) != Process.pid { return nil }
        return microseconds
    }

    private static func send(_ state: String, passing descriptor: Int32? = nil) {
        guard let address, let socket else { return }
        var state = state
        state.withUTF8 { bytes in
            // A manager that is gone will start us anew; nobody is left to be told.
            try? socket.send(UnsafeRawBufferPointer(bytes), to: address, passing: descriptor)
        }
    }

    // A line feed would end the assignment.
    private static func line(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }
}
