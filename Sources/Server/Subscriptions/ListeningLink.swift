// What the links of `subscribe` share: to the connection each is a query without an end.

internal import DatabaseContract

/// A link that runs nothing on its database, and tells what comes from there.
///
/// - Thread: its loop's.
protocol ListeningLink: DatabaseLink {
    /// The loop's link to that database.
    var inner: any DatabaseLink { get }
    /// Whether a client who may use that database now hears what this tells.
    func listens(to database: any Database) -> Bool
}

extension ListeningLink {
    var databaseName: String { inner.databaseName }
    var engine: Engine { inner.engine }
    var serverVersion: String { inner.serverVersion }
    var transaction: TransactionState { .none }
    func pressure(on uid: UInt32) -> LinkPressure { .none }
    func close() {}
}
