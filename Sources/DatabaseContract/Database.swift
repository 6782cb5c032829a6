// A database, whatever its engine: the two kinds of links to it, and what the server asks it.

/// What a session should be like.
public struct SessionRequest: Sendable {
    public var owner: LinkOwner
    /// The session may not write, whatever the database allows.
    public var isReadOnly: Bool
    /// The name that the client gives itself, in printable ASCII, for the server's administrator; `nil` if it gave
    /// none.
    public var clientName: String?

    public init(owner: LinkOwner, isReadOnly: Bool, clientName: String? = nil) {
        self.owner = owner
        self.isReadOnly = isReadOnly
        self.clientName = clientName
    }
}

/// What came of opening a session.
public typealias SessionOpening = Result<any DatabaseLink, DriverError>

/// A database as all loops share it.
///
/// - Thread: any.
public protocol Database: AnyObject, Sendable {
    var engine: Engine { get }
    var location: any DatabaseLocation { get }
    /// True when no client may write, by configuration or by the URL.
    var isReadOnly: Bool { get }
    /// True if its content is lost when nobody uses it any more.
    var isVolatile: Bool { get }
    /// Makes the link for the autocommit requests of one loop.
    func makeSharedLink(_ context: DriverContext) -> any DatabaseLink
    /// Opens a link for one session. `done` is called on the context's loop after this has returned, and only if it has
    /// returned `nil`.
    /// - Returns: what came of it, or `nil` if that takes longer.
    func openSession(
        _ request: SessionRequest, _ context: DriverContext, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening?
    /// Reads that have left their loops and keep a connection: the present number, the peak, and how many had to wait.
    var longReadLoad: (count: Int, peak: Int, delayedCount: UInt64) { get }
    /// How busy the connections to a server are; `nil` for a database without a server.
    var poolLoad: PoolLoad? { get }
    /// What requests have found out about the server; `nil` for a database without one.
    var serverState: ServerState? { get }
    /// Changes when the database has become another one, such as a file that was replaced.
    var contentNumber: UInt64 { get }
    /// What tells its changes; `nil` for a database that cannot.
    var changes: (any ChangeSource)? { get }
    /// What tells messages of the server's channels; `nil` for a database that has none.
    var channels: (any ChannelSource)? { get }
    /// Reports changes of the server's state that were held back before; to be called every few seconds.
    func tellServerChange()
    /// Makes an empty copy for the file that is to become the content of this database, which is open.
    /// - Parameters:
    ///   - byteCount: of the file; `nil` if that is not known.
    ///   - owner: who is charged for it.
    /// - Returns: the copy.
    /// - Throws: `DriverError.noFileToRestore` if it is no file; why there can be none.
    /// - Thread: one that may wait.
    func makeRestoredFile(byteCount: Int64?, for owner: LinkOwner) throws(DriverError) -> any RestoredFile
    /// Writes what is not in its final place yet, before the process ends. `done` is called on any thread.
    func checkpoint(done: @escaping @Sendable () -> Void)
}

extension Database {
    public var longReadLoad: (count: Int, peak: Int, delayedCount: UInt64) { (0, 0, 0) }
    public var poolLoad: PoolLoad? { nil }
    public var serverState: ServerState? { nil }
    public var contentNumber: UInt64 { 0 }
    public var changes: (any ChangeSource)? { nil }
    public var channels: (any ChannelSource)? { nil }
    public func tellServerChange() {}
    public func makeRestoredFile(byteCount: Int64?, for owner: LinkOwner) throws(DriverError) -> any RestoredFile {
        throw .noFileToRestore
    }
}
