// The descriptors that systemd has opened for this process.

internal import CSystemd
internal import Glibc
internal import LinuxSystem

/// The service manager's list of descriptors.
///
/// - Source: sd_listen_fds_with_names(3).
enum PassedDescriptors {
    /// The number of the first; the others follow.
    static let first: Int32 = SD_LISTEN_FDS_START

    /// Returns the names of all descriptors, in the order of their numbers, and removes `LISTEN_*` from the
    /// environment.
    ///
    /// The descriptors are close-on-exec afterwards. Empty if there are none, or if they are meant for another process.
    /// - Thread: only before any other thread was started.
    static func takeNames() throws(InheritedSocketError) -> [String] {
        // For the error message, since they are removed.
        let said = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map { "\($0)=\(Process.environment($0) ?? "")" }
        var list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &list)
        guard count >= 0 else {
            throw InheritedSocketError(
                "systemd's list of sockets cannot be used (\(said.joined(separator: ", "))): \(Errno(-count)); "
                    + "start litebase.socket instead of setting LISTEN_* by hand")
        }
        guard let list else { return [] }
        defer { free(list) }
        return (0..<Int(count)).map { index in
            defer { free(list[index]) }
            return list[index].map { String(cString: $0) } ?? ""
        }
    }
}
