// hiredis in this process.

internal import CHiredis
internal import DatabaseContract
internal import RemoteDatabases

/// The Redis client library.
enum RedisLibrary {
    /// Opens the library at its first use.
    /// - Throws: `driverMissing` that names the package.
    static func load() throws(DriverError) {
        guard let problem = chiredis_load() else { return }
        throw DriverError(
            DriverError.Details(
                code: .driverMissing, message: "The Redis client library is not installed.",
                detail: String(cString: problem),
                hint:
                    "Install libhiredis0.14 (Debian 12) or libhiredis1.1.0 (Debian 13), then restart the daemon.",
                sqlState: "58000"))
    }
}
