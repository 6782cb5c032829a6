// What commands ask about the database that they were given.

import LiteBaseClient

extension BlockingClient {
    /// What the caller may know of a database.
    /// - Parameter name: of a database of the configuration; `nil` for the default one.
    /// - Returns: `nil` when there is none that the caller may open.
    /// - Throws: what became of the connection.
    func information(onDatabase name: String?) throws(ClientError) -> DatabaseInformation? {
        try listDatabases().first { name == nil ? $0.isDefault : $0.name == name }
    }
}
