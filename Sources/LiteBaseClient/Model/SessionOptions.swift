// How a session is opened.

/// The database of a session, and its access.
public struct SessionOptions: Hashable, Sendable {
    enum Source: Hashable, Sendable {
        case database(String?)
        case url(String)
    }

    let source: Source
    /// Whether the engine refuses every write.
    public let isReadOnly: Bool

    /// A database by name.
    /// - Parameters:
    ///   - database: its name; `nil` is the default one.
    ///   - isReadOnly: whether the engine refuses every write.
    public init(database: String? = nil, isReadOnly: Bool = false) {
        source = .database(database)
        self.isReadOnly = isReadOnly
    }

    /// A database by URL.
    /// - Parameters:
    ///   - url: such as `sqlite:/srv/app.db?mode=ro`; the server decides who may open it.
    ///   - isReadOnly: whether the engine refuses every write.
    public init(url: String, isReadOnly: Bool = false) {
        source = .url(url)
        self.isReadOnly = isReadOnly
    }
}

/// The database to which a new session is connected.
public struct SessionInformation: Hashable, Sendable {
    public let engine: String
    public let serverVersion: String
    public let isReadOnly: Bool
}

/// How a transaction begins.
public enum TransactionMode: String, Sendable {
    /// As the engine does without further words; in SQLite, the lock is taken by the first write.
    case standard = "BEGIN"
    /// Takes SQLite's write lock at once, so that no later statement fails for want of it.
    case immediate = "BEGIN IMMEDIATE"
}
