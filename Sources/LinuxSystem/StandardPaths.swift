// The places of the service's socket, configuration and databases: one rule for the daemon and its clients.

/// Directories that systemd or the XDG Base Directory Specification name for this process.
///
/// - Source: systemd.exec(5) for `CONFIGURATION_DIRECTORY` and `STATE_DIRECTORY`; XDG Base Directory Specification 0.8:
///   variables that hold relative paths are ignored.
public struct StandardPaths: Sendable {
    private let isRoot: Bool
    private let home: String?
    private let variable: @Sendable (String) -> String?

    /// - Parameters:
    ///   - isRoot: whether the process runs as root, who has the directories of the system.
    ///   - home: home directory, `nil` where there is none.
    ///   - variable: value of an environment variable.
    public init(isRoot: Bool, home: String?, variable: @escaping @Sendable (String) -> String?) {
        self.isRoot = isRoot
        self.home = home
        self.variable = variable
    }

    /// The paths of this process.
    public static var current: StandardPaths {
        StandardPaths(isRoot: Process.effectiveUID == 0, home: Process.homeDirectory) { Process.environment($0) }
    }

    /// Directory of `litebase.toml`.
    public var configurationDirectory: String {
        if let given = firstDirectory("CONFIGURATION_DIRECTORY") { return given }
        if isRoot { return "/etc/litebase" }
        return user("XDG_CONFIG_HOME", ".config") ?? "/etc/litebase"
    }

    /// Directory of the embedded database; `nil` for a user without a home.
    public var stateDirectory: String? {
        if let given = firstDirectory("STATE_DIRECTORY") { return given }
        return isRoot ? "/var/lib/litebase" : user("XDG_STATE_HOME", ".local/state")
    }

    /// Directory of the secrets that the service manager provides for this service (systemd.exec(5),
    /// `LoadCredential=`); `nil` if there are none.
    public var credentialsDirectory: String? { firstDirectory("CREDENTIALS_DIRECTORY") }

    /// The daemon's socket: in the directory for sockets or, for a user without one, in that for state. Never where
    /// others may create files, such as `/tmp`. `nil` for a user with neither.
    public var socketPath: String? {
        if isRoot { return "/run/litebase/litebase.sock" }
        if let parent = variable("XDG_RUNTIME_DIR"), parent.hasPrefix("/"),
            (try? Files.status(parent))??.kind == .directory
        {
            return parent + "/litebase/litebase.sock"
        }
        return user("XDG_STATE_HOME", ".local/state").map { $0 + "/litebase.sock" }
    }

    /// Directory of the locks of sockets in directories where others may create files. It does not depend on how the
    /// user has logged in, so two daemons of one user find the same one.
    public var lockDirectory: String? { isRoot ? "/run/litebase" : user("XDG_STATE_HOME", ".local/state") }

    // Several directories are separated by colons (systemd.exec(5)); the first one is used.
    private func firstDirectory(_ name: String) -> String? {
        guard let first = variable(name)?.split(separator: ":").first, first.hasPrefix("/") else { return nil }
        return String(first)
    }

    private func user(_ name: String, _ fallback: String) -> String? {
        if let base = variable(name), base.hasPrefix("/") { return base + "/litebase" }
        return home.map { "\($0)/\(fallback)/litebase" }
    }
}
