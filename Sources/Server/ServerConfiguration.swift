// What the daemon tells the server: plain values, checked before they get here.

/// Whether a database may be written.
public enum DatabaseAccess: String, Sendable {
    case readWrite = "read_write"
    case readOnly = "read_only"
}

/// One database that clients can open by name.
public struct DatabaseConfiguration: Sendable, Equatable {
    /// 1 to 64 of `A–Z a–z 0–9 _ - .`
    public var name: String
    /// `sqlite:/absolute/path`, `sqlite:/absolute/path?mode=ro` or `sqlite::memory:`.
    public var url: String
    public var access: DatabaseAccess

    public init(name: String, url: String, access: DatabaseAccess = .readWrite) {
        self.name = name
        self.url = url
        self.access = access
    }
}

/// How the daemon came to its listening sockets (protocol: `health_check`).
public enum Activation: String, Sendable {
    case socket
    case standalone
}

/// Everything that the server needs to know.
public struct ServerConfiguration: Sendable {
    public var version: String
    public var activation: Activation
    /// Event loops that serve connections, 1 or more.
    public var loopCount: Int
    /// Time that a loop looks for events before it sleeps, in microseconds, while they come quickly; 0: it always sleeps.
    public var spinMicrosecondsMax: Int
    public var limits: Limits
    /// The first one is the default database.
    public var databases: [DatabaseConfiguration]

    public init(
        version: String, activation: Activation, loopCount: Int, spinMicrosecondsMax: Int = 0, limits: Limits,
        databases: [DatabaseConfiguration]
    ) {
        self.version = version
        self.activation = activation
        self.loopCount = loopCount
        self.spinMicrosecondsMax = spinMicrosecondsMax
        self.limits = limits
        self.databases = databases
    }
}
