// Limits and settings of one database, made from the limits of the daemon and the keys of the database.

/// Limits of a database in this process, and of its connections.
public struct EmbeddedSettings: Sendable, Equatable {
    public var busyMillisecondsMax: Int64
    public var readerCountMax: Int
    public var statementCountMax: Int
    /// Longest value and SQL text, in bytes.
    public var valueByteCountMax: Int
    /// Pages that each loop keeps in memory, in bytes.
    public var pageCacheByteCountMax: Int
    /// Time after which unused connections to a file are closed, in milliseconds; 0: never.
    public var idleMillisecondsMax: Int64
    /// Whether a client's SQL may use double quotes for strings, as sqlite3 allows. A schema always may.
    public var takesDoubleQuotedStrings = true

    public init(
        busyMillisecondsMax: Int64, readerCountMax: Int, statementCountMax: Int, valueByteCountMax: Int,
        pageCacheByteCountMax: Int, idleMillisecondsMax: Int64 = 0
    ) {
        self.busyMillisecondsMax = busyMillisecondsMax
        self.readerCountMax = readerCountMax
        self.statementCountMax = statementCountMax
        self.valueByteCountMax = valueByteCountMax
        self.pageCacheByteCountMax = pageCacheByteCountMax
        self.idleMillisecondsMax = idleMillisecondsMax
    }
}

/// Limits of the connections to one database, and what they need to log in.
public struct RemoteSettings: Sendable, Equatable {
    /// Connections to the database at a time, sessions included.
    public var connectionCountMax: Int
    /// Time that a request waits for a connection, in milliseconds.
    public var waitMillisecondsMax: Int64
    /// Time after which an unused connection is closed, in milliseconds.
    public var idleMillisecondsMax: Int64
    /// Age at which a connection is replaced, in milliseconds; 0 means no limit.
    public var lifetimeMillisecondsMax: Int64
    /// Time that connecting to one server may take, in milliseconds.
    public var connectMillisecondsMax: Int64
    /// Whether users with read-only access may run Redis scripts.
    public var mayReadersRunScripts = false
    /// A client has given the URL: connections take nothing of the daemon's, such as passwords, keys, and settings from
    /// its files and environment.
    public var isOfClient = false
    /// Where the password is, if it is not in the URL.
    public var passwordFile: PasswordFile?

    public init(
        connectionCountMax: Int, waitMillisecondsMax: Int64, idleMillisecondsMax: Int64, lifetimeMillisecondsMax: Int64,
        connectMillisecondsMax: Int64
    ) {
        self.connectionCountMax = connectionCountMax
        self.waitMillisecondsMax = waitMillisecondsMax
        self.idleMillisecondsMax = idleMillisecondsMax
        self.lifetimeMillisecondsMax = lifetimeMillisecondsMax
        self.connectMillisecondsMax = connectMillisecondsMax
    }
}
