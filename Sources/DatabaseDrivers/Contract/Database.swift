// A database, whatever its engine: where it is, and the two ways to it.

/// Names of the engines (protocol: `engine`).
public enum Engine: String, Sendable {
    case sqlite
    case postgresql
    case mysql
    case redis

    /// Values that one execution of a statement may be given by every engine.
    public static let commonParameterCountMax = 32_766

    /// Values that one execution of a statement may be given. SQLite: SQLITE_LIMIT_VARIABLE_NUMBER, which `SQLiteLimit` sets.
    /// PostgreSQL and MySQL count them in 16 bits (Bind; COM_STMT_PREPARE_OK). Redis takes more; nothing needs more.
    public var parameterCountMax: Int {
        switch self {
        case .sqlite: Self.commonParameterCountMax
        case .postgresql, .mysql, .redis: 65_535
        }
    }

    /// A statement that asks for nothing but an answer: of a server one round trip, of a file a look into it.
    public var pingText: StaticString {
        switch self {
        case .sqlite: "SELECT 1 FROM sqlite_schema LIMIT 1"
        case .postgresql, .mysql: "SELECT 1"
        case .redis: "PING"
        }
    }

    /// The error of a statement that is given so many values; `nil` when it may be.
    public func refusal(ofParameters count: Int) -> DriverError? {
        guard count > parameterCountMax else { return nil }
        let limitName: StaticString = self == .sqlite ? "sqlite_parameters_max" : "parameters_max"
        return DriverError(
            .limitExceeded,
            "A statement was given \(count) values; the engine takes \(parameterCountMax) (\(limitName)).",
            hint: "Send them in several statements, or in rows of parameters of a batch.", sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: limitName, value: Int64(parameterCountMax)) }
    }
}

/// Where a database is: a parsed URL.
///
/// - Source: docs/protocol.md, URLs.
public enum DatabaseLocation: Sendable, Equatable {
    case sqlite(SQLiteLocation)
    case remote(RemoteLocation)

    /// - Throws: `DriverError` with code `badRequest` that says what is wrong with the URL.
    public init(url: String) throws(DriverError) {
        if RemoteLocation.isMeant(by: url) {
            self = .remote(try RemoteLocation(url: url))
        } else {
            self = .sqlite(try SQLiteLocation(url: url))
        }
    }

    /// Whether the URL is of a server.
    public static func isRemote(_ url: String) -> Bool { RemoteLocation.isMeant(by: url) }

    /// Whether the URL of a server holds a password to log in with.
    public static func hasPassword(_ url: String) -> Bool { isRemote(url) && RemoteURL.hasPassword(url) }

    /// The URL as it may be shown to anybody: without passwords.
    public static func withoutSecrets(_ url: String) -> String {
        // A path may have any character; what is none of SQLite's may be a URL that somebody got wrong.
        let isPath = (url.hasPrefix("sqlite:") || url.hasPrefix("/")) && !url.contains(text: "://")
        return isPath ? url : RemoteURL.withoutSecrets(url)
    }
}

/// What a session is to be like.
public struct SessionRequest: Sendable {
    public var owner: LinkOwner
    /// The session may not write, whatever the database allows.
    public var isReadOnly: Bool
    /// What the client calls itself, in printable ASCII, for the server's administrator; `nil` when it has not said.
    public var clientName: String?

    public init(owner: LinkOwner, isReadOnly: Bool, clientName: String? = nil) {
        self.owner = owner
        self.isReadOnly = isReadOnly
        self.clientName = clientName
    }
}

/// A database as all loops share it.
///
/// - Thread: any.
public protocol Database: AnyObject, Sendable {
    var engine: Engine { get }
    var location: DatabaseLocation { get }
    /// True when no client may write, by configuration or by the URL.
    var isReadOnly: Bool { get }
    /// True when what it holds is gone when nobody uses it any more.
    var isVolatile: Bool { get }
    /// A way for the autocommit requests of one loop.
    func makeSharedLink(_ context: DriverContext) -> any DatabaseLink
    /// Opens a way for one session. `done` is called on the context's loop, perhaps before this returns.
    func openSession(
        _ request: SessionRequest, _ context: DriverContext,
        done: @escaping (Result<any DatabaseLink, DriverError>) -> Void)
    /// Reads that have left their loops and keep a connection: now, at most so far, and how many had to wait for that.
    var longReadLoad: (count: Int, peak: Int, delayedCount: UInt64) { get }
    /// The connections to a database on a server; `nil` for one that has none.
    var poolLoad: PoolLoad? { get }
    /// What requests have seen of the server; `nil` of a database that has none.
    var serverState: ServerState? { get }
    /// Tells of the server what there was no room for before: to be called every few seconds.
    func tellServerChange()
    /// Brings to its place what is not there yet, before the process ends. `done` is called on any thread.
    func checkpoint(done: @escaping @Sendable () -> Void)
}

extension Database {
    public var longReadLoad: (count: Int, peak: Int, delayedCount: UInt64) { (0, 0, 0) }
    public var poolLoad: PoolLoad? { nil }
    public var serverState: ServerState? { nil }
    public func tellServerChange() {}
}
