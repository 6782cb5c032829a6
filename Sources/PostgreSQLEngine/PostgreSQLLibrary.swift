// libpq in this process.

internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases

/// The PostgreSQL client library.
enum PostgreSQLLibrary {
    /// Opens the library at its first use.
    /// - Throws: `driverMissing` that names the package.
    static func load() throws(DriverError) {
        guard let problem = cpostgresql_load() else { return }
        throw DriverError(
            DriverError.Details(
                code: .driverMissing, message: "The PostgreSQL client library is not installed.",
                detail: String(cString: problem),
                hint: "Install the package libpq5 (apt install libpq5), then restart the daemon.", sqlState: "58000"))
    }
}

/// libpq's functions. To be called only after `PostgreSQLLibrary.load` has succeeded; called without this they are not linked.
var libpq: cpostgresql_table {
    @inline(__always) get { cpostgresql_functions().pointee }
}
