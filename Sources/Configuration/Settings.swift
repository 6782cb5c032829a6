// What can be configured, as plain values with their defaults. SettingTable.swift names them for files and flags.

public import LinuxSystem
public import Server

/// The values of one start or reload. The initial ones are the documented defaults.
public struct Settings: Sendable, Equatable {
    public var logLevel = LogLevel.info
    public var statementLog = StatementLog()
    /// `nil`: by the rule of `StandardPaths.socketPath`.
    public var socketPath: String?
    public var socketMode: UInt32 = 0o600
    /// Name or number of the socket's group; `nil` leaves the process's own.
    public var socketGroup: String?
    /// Loopback TCP port, 0 for one that the kernel chooses; `nil`: no TCP.
    public var port: UInt16?
    /// Seconds without clients after which an activated daemon leaves; 0: it stays.
    public var idleExitSeconds = 0
    /// 0: one for each core, at most four.
    public var loopCount = 0
    /// Time that a loop looks for events before it sleeps, in microseconds.
    public var spinMicrosecondsMax = 50
    public var defaultDatabase = "default"
    public var limits = Limits()
    public var service = ServiceAccess()

    public init() {}
}

/// Where the listening sockets come from.
public enum ListenMode: String, CaseIterable, Sendable {
    /// From systemd where it handed some over, else our own.
    case auto
    /// From systemd; without them the start fails.
    case systemd
    /// Our own.
    case standalone
}
