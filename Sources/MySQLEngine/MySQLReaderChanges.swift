// What those hear who read a database with a login of their own (`read_only_url`): the changes of the writers' login, by names only as long
// as they may read all relations of the database.

internal import CMariaDB
internal import DatabaseContract
internal import RemoteDatabases
internal import Synchronization

/// The changes of one database for its readers.
///
/// Their rights are looked at when somebody begins to listen, and whenever the definitions are read anew, as they are behind each GRANT and
/// REVOKE; until then nobody is told names.
///
/// - Thread: any.
final class MySQLReaderChanges: RemoteChanges {
    private let writer: MySQLChanges
    private let connector: MySQLConnector
    private let mayReadAll = Atomic<Bool>(false)

    init(_ writer: MySQLChanges, _ connector: MySQLConnector) {
        self.writer = writer
        self.connector = connector
        writer.serve(self)
    }

    var feed: ChangeFeed { writer.feed }
    var coverage: ChangeCoverage { writer.coverage }
    /// The connection is counted where the writers' are.
    var isConnected: Bool { false }
    var tellsNames: Bool { mayReadAll.load(ordering: .sequentiallyConsistent) }

    func begin(_ context: DriverContext, _ done: @escaping @Sendable (DriverError?) -> Void) {
        writer.begin(context) { [self] error in
            if let error { return done(error) }
            writer.lookAtReaders { done(nil) }
        }
    }

    /// Nothing is known of their rights any more.
    func forget() { mayReadAll.store(false, ordering: .sequentiallyConsistent) }

    /// Asks the server for their rights, on a connection of theirs. Of one that does not let them in they may read nothing.
    /// - Thread: one that may block.
    func look() {
        mayReadAll.store((try? readsAll()) ?? false, ordering: .sequentiallyConsistent)
    }

    private func readsAll() throws(DriverError) -> Bool {
        let handle = try connector.open().handle
        defer { libmariadb.mysql_close(handle) }
        return try MySQLFactReader(handle, connector.settings, database: connector.place.database ?? "").mayReadAll()
    }
}
