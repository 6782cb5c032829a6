// Which credentials the service of a running daemon has; not what is in them.

internal import LinuxSystem

enum DaemonCredentials {
    private static let variable = Array("CREDENTIALS_DIRECTORY=".utf8)

    /// Whether a daemon finds a credential, as its own process sees the files.
    /// - Parameters:
    ///   - credential: its name.
    ///   - pid: the daemon's.
    /// - Returns: whether there is one.
    /// - Throws: `Errno` if that cannot be known, as by another user.
    /// - Source: systemd.exec(5), "CREDENTIALS"; proc_pid_environ(5), proc_pid_root(5)
    static func has(_ credential: String, pid: Int64) throws(Errno) -> Bool {
        let environment = try Files.read("/proc/\(pid)/environ", byteCountMax: 4 << 20)
        guard let entry = environment.split(separator: 0).first(where: { $0.starts(with: variable) }) else {
            return false
        }
        let value = String(decoding: entry.dropFirst(variable.count), as: UTF8.self)
        guard let directory = value.split(separator: ":").first, directory.hasPrefix("/") else { return false }
        return try Files.status("/proc/\(pid)/root\(directory)/\(credential)") != nil
    }
}
