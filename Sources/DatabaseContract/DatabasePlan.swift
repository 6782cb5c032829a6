// The parameters for making a database, whatever its engine.

public import LinuxSystem

/// A database that is to be made. Its callbacks are called on any thread.
public struct DatabasePlan: Sendable {
    /// Its name for clients; empty if a client has given its URL.
    public var name: String
    /// No client may write.
    public var isReadOnly = false
    /// It is a configured database: the daemon may change how its file is kept. Otherwise a client has given the URL,
    /// and the database gets nothing of the daemon's own, such as passwords, keys, and settings from files and
    /// environment.
    public var isOurs: Bool
    public var settings: DatabaseSettings
    /// Where the password is, if it is not in the URL.
    public var password: PasswordFile?
    /// The same database with another login, which then reports state changes of the server that both use.
    public var other: (any Database)?
    /// Threads for opening and writing.
    public var promptWorkers: WorkerPool
    /// Returns why a file that was opened may not be used.
    public var refusal: @Sendable (FileIdentity) -> DriverError? = { _ in nil }
    /// Called when its file was opened, or with the reason why it could not be.
    public var onOpen: @Sendable (DriverError?) -> Void = { _ in }
    /// Called with what has become of its files when they are not where they were opened.
    public var onReplaced: @Sendable (String) -> Void = { _ in }
    /// Called when its server becomes reachable or unreachable.
    public var onChange: @Sendable (ServerChange) -> Void = { _ in }

    public init(name: String, isOurs: Bool, settings: DatabaseSettings, promptWorkers: WorkerPool) {
        self.name = name
        self.isOurs = isOurs
        self.settings = settings
        self.promptWorkers = promptWorkers
    }
}

/// Limits and settings of one database; each engine takes what it knows.
public struct DatabaseSettings: Sendable, Equatable {
    /// Of a database in this process.
    public var embedded: EmbeddedSettings
    /// Of a database on a server.
    public var remote: RemoteSettings

    public init(embedded: EmbeddedSettings, remote: RemoteSettings) {
        self.embedded = embedded
        self.remote = remote
    }
}
