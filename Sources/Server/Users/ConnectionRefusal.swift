// Why a connection is refused because of too many.

/// The limit of connections that was reached.
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
