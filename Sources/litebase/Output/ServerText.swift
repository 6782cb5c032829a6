// The state of a database's server, as `litebase status` prints it.

import LiteBaseClient

enum ServerText {
    /// For a person: `reachable for 3 h 2 min, pool 2/10`, `reachable at b:3306 for …`, `cannot be reached for 12 s: …`.
    static func line(_ state: DatabaseInformation.ServerState) -> String {
        let pool =
            "pool \(state.connectionsUsed)/\(state.connectionsMax)"
            + (state.requestsWaiting > 0 ? ", \(state.requestsWaiting) waiting" : "")
        let age = state.age.map { " for \(DurationText.human($0))" } ?? ""
        switch state.isReachable {
        case nil: return "not tried yet, \(pool)"
        case true?:
            let place = state.host.map { " at \($0)" } ?? ""
            guard let error = state.lastError, let since = state.lastErrorAge else {
                return "reachable\(place)\(age), \(pool)"
            }
            return "reachable\(place)\(age), \(pool); last error \(DurationText.human(since)) ago: \(error)"
        case false?: return "cannot be reached\(age), \(pool): \(state.lastError ?? "")"
        }
    }

    /// Null if unknown.
    static func milliseconds(_ duration: Duration?) -> Value {
        let parts = duration?.components
        return parts.map { .integer($0.seconds * 1000 + $0.attoseconds / 1_000_000_000_000_000) } ?? .null
    }

    /// For programs, by the names of the protocol.
    static func members(_ state: DatabaseInformation.ServerState) -> StructuredValue {
        .map([
            ("reachable", .value(state.isReachable.map { .bool($0) } ?? .null)),
            ("since_ms", .value(milliseconds(state.age))),
            ("attempt_ms", .value(milliseconds(state.attemptAge))),
            ("last_error", .value(state.lastError.map { .text($0) } ?? .null)),
            ("last_error_ms", .value(milliseconds(state.lastErrorAge))),
            ("host", .value(state.host.map { .text($0) } ?? .null)),
            (
                "pool",
                .map([
                    ("value", .value(.integer(state.connectionsMax))),
                    ("open", .value(.integer(state.connectionsOpen))),
                    ("used", .value(.integer(state.connectionsUsed))),
                    ("waiting", .value(.integer(state.requestsWaiting))),
                ])
            ),
        ])
    }
}
