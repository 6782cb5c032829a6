// What commands ask about the database that they were given.

import LiteBaseClient

extension BlockingClient {
    /// The information about a database that the caller may have.
    /// - Parameter name: of a configured database; `nil` for the default one.
    /// - Returns: `nil` if there is none that the caller may open.
    /// - Throws: the error of the connection.
    func information(onDatabase name: String?) throws(ClientError) -> DatabaseInformation? {
        try listDatabases().first { name == nil ? $0.isDefault : $0.name == name }
    }
}
