// Where a database on a server is, whatever its engine. A new engine is a case here, and a folder of its own.

/// A parsed URL of a database on a server.
///
/// It may hold a password; `label` does not.
public enum RemoteLocation: Sendable, Equatable {
    case postgresql(PostgreSQLLocation)
    case mysql(MySQLLocation)
    case redis(RedisLocation)

    /// Whether a URL is of a server.
    static func isMeant(by url: String) -> Bool {
        PostgreSQLLocation.isMeant(by: url) || MySQLLocation.isMeant(by: url) || RedisLocation.isMeant(by: url)
    }

    /// - Throws: `DriverError` with code `badRequest` that says what is wrong with the URL.
    init(url: String) throws(DriverError) {
        if MySQLLocation.isMeant(by: url) {
            self = .mysql(try MySQLLocation(url: url))
        } else if RedisLocation.isMeant(by: url) {
            self = .redis(try RedisLocation(url: url))
        } else {
            self = .postgresql(try PostgreSQLLocation(url: url))
        }
    }

    /// What of the URL is not for clients, where one has named it.
    /// - Throws: `DriverError` with code `badRequest`.
    public func checkClientURL() throws(DriverError) {
        switch self {
        case .postgresql(let place): try place.checkClientURL()
        case .mysql(let place): try place.checkClientURL()
        // The number of the database is all that it can say beside the server and the login.
        case .redis: break
        }
    }

    /// Where it is, without secrets.
    public var label: String {
        switch self {
        case .postgresql(let place): place.label
        case .mysql(let place): place.label
        case .redis(let place): place.label
        }
    }

    /// What opens connections to it.
    func makeDriver(_ settings: RemoteSettings) -> any RemoteDriver {
        switch self {
        case .postgresql(let place): PostgreSQLDriver(place: place, settings: settings)
        case .mysql(let place): MySQLDriver(place: place, settings: settings)
        case .redis(let place): RedisDriver(place: place, settings: settings)
        }
    }
}
