// libmariadb in this process.

internal import CMariaDB
internal import DatabaseContract
internal import RemoteDatabases

/// The client library of MariaDB and MySQL.
enum MySQLLibrary {
    /// Opens the library at its first use.
    /// - Throws: `driverMissing` that names the package.
    static func load() throws(DriverError) {
        guard let problem = cmariadb_load() else { return }
        throw DriverError(
            DriverError.Details(
                code: .driverMissing, message: "The client library of MariaDB and MySQL is not installed.",
                detail: String(cString: problem),
                hint: "Install the package libmariadb3 (apt install libmariadb3), then restart the daemon.",
                sqlState: "58000"))
    }
}

/// libmariadb's functions. To be called only after `MySQLLibrary.load` has succeeded; called without this they are not linked.
var libmariadb: cmariadb_table {
    @inline(__always) get { cmariadb_functions().pointee }
}
