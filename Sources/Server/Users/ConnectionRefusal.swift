// Why a connection is told that there are too many.

/// Which limit of connections is reached.
enum ConnectionRefusal: Sendable {
    case total
    case ofUser

    /// As in the configuration.
    var limitName: StaticString {
        switch self {
        case .total: "connections_max"
        case .ofUser: "connections_per_user_max"
        }
    }

    func limit(_ limits: Limits) -> Int {
        switch self {
        case .total: limits.connectionCountMax
        case .ofUser: limits.connectionCountPerUserMax
        }
    }
}
