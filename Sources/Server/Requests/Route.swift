// Where a statement goes: the link of its session or its database, and the limits there.

internal import DatabaseContract
internal import WireProtocol

extension Connection {
    /// The link for a statement, and its limits.
    struct Route {
        var link: any DatabaseLink
        var session: Session?
        var mayWrite: Bool
        /// The time limit of a statement there, in milliseconds; 0: no limit.
        var milliseconds: Int64
        /// Under which it is counted.
        var databaseNumber: Int
        /// Of a request without a session: a reload looks whether the client may still use what is there.
        var location: (any DatabaseLocation)?
    }

    func route(_ target: Target) throws(RequestError) -> Route {
        if let name = target.session {
            guard let session = sessions.find(name) else {
                throw sessionNotFound(name)
            }
            let (milliseconds, number) =
                if case .database(let entry, _, _) = session.right {
                    (entry.statementTimeMillisecondsMax, entry.number)
                } else {
                    (context.limits.statementTimeMillisecondsMax, DatabaseFigures.adHoc)
                }
            return Route(
                link: session.link, session: session, mayWrite: true, milliseconds: milliseconds,
                databaseNumber: number)
        }
        return route(by: try findDatabase(target.database))
    }

    func route(by grant: Grant) -> Route {
        Route(
            link: context.link(by: grant), session: nil, mayWrite: !grant.isReadOnly,
            milliseconds: grant.entry.statementTimeMillisecondsMax, databaseNumber: grant.entry.number,
            location: grant.database.location)
    }

    /// Sets the link and the limits of an operation.
    func assign(_ route: consuming Route, to operation: Operation, timeout wanted: Int64?) {
        operation.link = route.link
        operation.session = route.session
        operation.mayWrite = route.mayWrite
        operation.databaseNumber = route.databaseNumber
        operation.location = route.location
        operation.timeLimit = route.milliseconds
        operation.clock.timeoutMilliseconds = Self.timeout(wanted, limit: route.milliseconds)
    }

    /// The shorter of the client's and the daemon's time limit; 0 for none.
    private static func timeout(_ wanted: Int64?, limit: Int64) -> Int64 {
        guard let wanted else { return limit }
        return limit > 0 ? min(wanted, limit) : wanted
    }
}
