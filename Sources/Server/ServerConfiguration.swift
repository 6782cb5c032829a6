// What the daemon passes to the server: plain values that were checked before.

public import DatabaseContract

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
    /// The highest access that anybody may have.
    public var access: DatabaseAccess
    /// Another login on the server for read-only access; `nil`: the same.
    public var readOnlyURL: String?
    /// Of a Redis server: users with read-only access may run scripts, which cannot be interrupted.
    public var readOnlyScripts = false
    /// Of SQLite: clients' SQL may use double quotes for strings.
    public var takesDoubleQuotedStrings = true
    /// Who may open it.
    public var rules = AccessRules()
    public var limits = DatabaseLimits()
    /// Absolute path of a file with the password, if it is not in the URL.
    public var passwordFile: String?
    /// Name of a credential of the service with the password, instead of a file.
    public var passwordCredential: String?
    /// Where the password is according to these two, once they were checked.
    public var password: PasswordFile?
    /// The same for `readOnlyURL`, which is another login.
    public var readOnlyPasswordFile: String?
    public var readOnlyPasswordCredential: String?
    public var readOnlyPassword: PasswordFile?

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

/// Everything that the server needs.
public struct ServerConfiguration: Sendable {
    public var version: String
    /// The engines, which know the URLs of databases.
    public var engines: EngineRegistry
    public var activation: Activation
    /// Event loops that serve connections, 1 or more.
    public var loopCount: Int
    /// Time that a loop polls for events before it sleeps, in microseconds, while they arrive quickly; 0: it always
    /// sleeps.
    public var spinMicrosecondsMax: Int
    public var limits: Limits
    /// The first one is the default database.
    public var databases: [DatabaseConfiguration]
    public var service: ServiceAccess

    public init(
        version: String, engines: EngineRegistry, activation: Activation, loopCount: Int, spinMicrosecondsMax: Int = 0,
        limits: Limits,
        databases: [DatabaseConfiguration], service: ServiceAccess = ServiceAccess()
    ) {
        self.service = service
        self.version = version
        self.engines = engines
        self.activation = activation
        self.loopCount = loopCount
        self.spinMicrosecondsMax = spinMicrosecondsMax
        self.limits = limits
        self.databases = databases
    }
}
