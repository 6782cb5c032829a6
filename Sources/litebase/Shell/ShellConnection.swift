// The shell's session, which survives a daemon that was restarted.

import LiteBaseClient

/// A client and its one session; opened again after the connection was lost.
final class ShellConnection {
    let endpoint: Endpoint
    let trusted: TrustedUsers
    private(set) var options: SessionOptions
    /// The database's name in the prompt.
    private(set) var name: String
    /// State of the session's transaction, as the last reply said.
    var transaction = TransactionState.none
    /// Whether the session may hold settings, temporary tables or locks, which another would not have.
    var holdsState = false
    private var client: BlockingClient?
    private var open: BlockingSession?

    /// Takes what the database says by the way.
    var showNotice: (Notice) -> Void = { $0.complain() }

    /// Readable after Ctrl-C.
    var cancellationDescriptor: Int32? {
        didSet { client?.cancellationDescriptor = cancellationDescriptor }
    }

    init(
        _ endpoint: Endpoint, trusting trusted: TrustedUsers, _ database: DatabaseOptions
    ) throws(ClientError) {
        self.endpoint = endpoint
        self.trusted = trusted
        options = database.sessionOptions
        name = database.url.map(Self.shortName) ?? database.database ?? "default"
        _ = try session()
        if database.url == nil, database.database == nil { name = try defaultName() }
    }

    /// The session; opened when there is none.
    func session() throws(ClientError) -> BlockingSession {
        if let open { return open }
        let client = try reachableClient()
        let session = try client.openSession(options)
        open = session
        transaction = .none
        holdsState = false
        return session
    }

    /// The session if there is one.
    var presentSession: BlockingSession? { open }

    /// For requests outside of the session.
    func reachableClient() throws(ClientError) -> BlockingClient {
        if let client { return client }
        let client = try ConnectionOptions.connectForStatements(to: endpoint, trusting: trusted, as: "litebase shell") {
            [weak self] in self?.showNotice($0)
        }
        client.cancellationDescriptor = cancellationDescriptor
        self.client = client
        return client
    }

    /// Goes to another database, by name or by URL; stays where it is when that cannot be opened.
    func use(_ target: String, isReadOnly: Bool) throws(ClientError) {
        let isURL = target.contains(":") || target.contains("/")
        let newOptions =
            isURL
            ? SessionOptions(url: DatabaseOptions.url(target), isReadOnly: isReadOnly)
            : SessionOptions(database: target, isReadOnly: isReadOnly)
        let session = try reachableClient().openSession(newOptions)
        try? open?.close()
        open = session
        options = newOptions
        name = isURL ? Self.shortName(target) : target
        transaction = .none
        holdsState = false
    }

    /// Runs something that gives up where the daemon does not answer in time. What it answers later is dropped.
    func within<Result>(_ timeout: Duration, _ body: () -> Result) -> Result {
        let client = client
        let former = client?.timeout
        client?.timeout = timeout
        defer { client?.timeout = former }
        return body()
    }

    /// Shows the notices that came while nothing was asked.
    func takeNotices() { client?.takeNotices() }

    /// Forgets a session that the daemon does not know any more.
    func forgetSession() {
        open = nil
        transaction = .none
    }

    /// Forgets a connection that is of no further use.
    func drop() {
        open = nil
        client = nil
        transaction = .none
    }

    func close() {
        try? open?.close()
        drop()
    }

    private func defaultName() throws(ClientError) -> String {
        try reachableClient().listDatabases().first { $0.isDefault }?.name ?? "default"
    }

    /// The URL without scheme, directories and query, for the prompt: `app.db` of `sqlite:/srv/app.db?mode=ro`.
    static func shortName(_ url: String) -> String {
        let path = url.prefix { $0 != "?" }
        let name = path[(path.firstIndex(of: ":").map(path.index(after:)) ?? path.startIndex)...]
        let last = name.split(separator: "/").last ?? name
        return last.isEmpty ? url : String(last)
    }
}
