// What a cluster does not do for a client, since its commands go over connections that others use, too.

internal import DatabaseContract

/// The commands that are refused before anything is sent, whether within a session or not.
///
/// A transaction, watched keys and the number of a database are the state of one connection to one node. Where the commands go is known
/// by their keys, one by one; so there is no connection that such state could be on.
enum RedisClusterRules {
    /// Where a command stands.
    enum Place { case alone, batch, atomicBatch }

    static func check(_ command: RedisCommand, _ place: Place) throws(DriverError) {
        switch command.name {
        case "MULTI", "EXEC", "DISCARD": throw noTransactions(command.name)
        case "WATCH", "UNWATCH": throw noWatching
        case "SELECT": throw noOtherDatabase
        case "WAIT" where place != .batch: throw waitsForNothing
        case "WAITAOF": throw waitsForNothing
        default: break
        }
    }

    private static func noTransactions(_ name: String) -> DriverError {
        DriverError(
            .badRequest, "\(name) is not sent to a Redis Cluster: a transaction is of one node, which its keys decide.",
            hint: "Send all its commands as one batch, which is MULTI … EXEC on the node of its keys; or as a script "
                + "(EVAL); or name the node by a URL of its own (redis://HOST:PORT).", sqlState: "0A000")
    }

    private static let noWatching = DriverError(
        .badRequest, "Keys are not watched in a Redis Cluster: that is the state of a connection to one node.",
        hint: "Let a script (EVAL) read and write; or name the node by a URL of its own (redis://HOST:PORT).",
        sqlState: "0A000")

    private static let noOtherDatabase = DriverError(
        .badRequest, "A Redis Cluster has no database but 0.", hint: "Leave SELECT out.", sqlState: "0A000")

    private static let waitsForNothing = DriverError(
        .badRequest, "WAIT is about the writes of one connection, and here it would be another one.",
        hint: "Send WAIT behind the writes in one batch with atomic: false. Fewer replicas than it asks for are an "
            + "error of it.",
        sqlState: "0A000")
}
