// Why a connection is told that there are too many.

/// Which limit of connections is reached.
enum ConnectionRefusal: Sendable {
    case total
    case ofUser

    var name: LimitName {
        switch self {
        case .total: .connections
        case .ofUser: .connectionsPerUser
        }
    }

    /// As in the configuration.
    var limitName: StaticString { name.name }

    func limit(_ limits: Limits) -> Int {
        switch self {
        case .total: limits.connectionCountMax
        case .ofUser: limits.connectionCountPerUserMax
        }
    }
}
