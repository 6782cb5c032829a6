// The environment in which systemd tells of descriptors.

internal import LinuxSystem

/// The descriptors that the service manager has opened for this process.
///
/// - Source: sd_listen_fds(3).
enum PassedDescriptors {
    /// The number of the first; the others follow (`SD_LISTEN_FDS_START`).
    static let first: Int32 = 3

    /// The names of all, in the order of their numbers, and removes `LISTEN_*` from the environment.
    ///
    /// They are close-on-exec afterwards. Empty when there are none, or when they are meant for another process.
    /// - Thread: only before any other was started.
    static func takeNames() throws(InheritedSocketError) -> [String] {
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { Process.removeEnvironment(name) } }
        guard let pid = Process.environment("LISTEN_PID"), let count = Process.environment("LISTEN_FDS") else {
            return []
        }
        guard let pid = Int32(pid) else { throw unreadable("LISTEN_PID", pid) }
        guard pid == Process.pid else { return [] }
        guard let count = Int32(count), (1...Int32.max - first).contains(count) else {
            throw unreadable("LISTEN_FDS", count)
        }
        let names = try names(count: Int(count))
        for number in first..<first + count {
            do throws(Errno) {
                try Sockets.closeOnExec(number)
            } catch {
                throw InheritedSocketError(
                    "descriptor \(number) from systemd (LISTEN_FDS=\(count)) cannot be used: \(error)")
            }
        }
        return names
    }

    // Without LISTEN_FDNAMES= they have the name that sd_listen_fds_with_names(3) gives them.
    private static func names(count: Int) throws(InheritedSocketError) -> [String] {
        guard let text = Process.environment("LISTEN_FDNAMES") else { return Array(repeating: "unknown", count: count) }
        let names = text.split(separator: ":", omittingEmptySubsequences: false)
        guard names.count == count else { throw unreadable("LISTEN_FDNAMES", text) }
        return names.map(String.init)
    }

    private static func unreadable(_ name: String, _ value: String) -> InheritedSocketError {
        InheritedSocketError(
            "systemd's list of sockets cannot be read: \(name)=\(value); "
                + "start litebase.socket instead of setting LISTEN_* by hand")
    }
}
