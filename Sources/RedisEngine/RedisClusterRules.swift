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

    // MARK: Commands without keys

    /// Whether any node may get a command that has no keys. Most concern one node, or all, and a client cannot say which; so what is
    /// allowed is listed. `words` are for the error.
    static func checkKeyless(_ command: RedisCommand, _ words: @autoclosure () -> String) throws(DriverError) {
        if keyless.contains(command.name) || keyless.contains("\(command.name)|\(command.subcommand)") { return }
        if case .refused(let error) = command.effect { throw error }
        throw ofUnknownNode(words())
    }

    /// What any node answers for the cluster, and what reads of one node, whichever it is (docs/several-hosts.md). Nothing of it changes a
    /// node, but for WAIT's being within a batch.
    private static let keyless: Set<String> = [
        "PING", "ECHO", "TIME", "LOLWUT", "PUBLISH", "WAIT", "COMMAND",
        "ACL|CAT", "ACL|DRYRUN", "ACL|GENPASS", "ACL|WHOAMI",
        "CLUSTER|INFO", "CLUSTER|KEYSLOT", "CLUSTER|NODES", "CLUSTER|SHARDS", "CLUSTER|SLOTS",
        // Of one node.
        "INFO", "ROLE", "LASTSAVE", "ACL|GETUSER", "ACL|LIST", "ACL|USERS",
        "CLIENT|GETNAME", "CLIENT|ID", "CLIENT|INFO", "CLIENT|GETREDIR", "CLIENT|TRACKINGINFO",
        "CLUSTER|MYID", "CLUSTER|LINKS", "CLUSTER|REPLICAS", "CONFIG|GET", "FUNCTION|DUMP", "FUNCTION|LIST",
        "LATENCY|DOCTOR", "LATENCY|GRAPH", "LATENCY|HISTOGRAM", "LATENCY|HISTORY", "LATENCY|LATEST",
        "MEMORY|DOCTOR", "MEMORY|MALLOC-STATS", "MEMORY|STATS", "MODULE|LIST", "SLOWLOG|GET", "SLOWLOG|LEN",
        // What the server says of its words.
        "ACL|HELP", "CLIENT|HELP", "CLUSTER|HELP", "CONFIG|HELP", "FUNCTION|HELP", "LATENCY|HELP", "MEMORY|HELP",
        "MODULE|HELP", "OBJECT|HELP", "PUBSUB|HELP", "SCRIPT|HELP", "SLOWLOG|HELP", "XGROUP|HELP", "XINFO|HELP",
    ]

    private static func ofUnknownNode(_ words: String) -> DriverError {
        DriverError(
            .badRequest,
            "\(words) is about one node, or about all keys or all nodes, of the Redis Cluster, and without a key nothing says "
                + "where it has to go; nothing was sent.",
            hint: "Send it to each node that it is for by a URL of its own (redis://HOST:PORT), or use "
                + "redis-cli --cluster call.", sqlState: "0A000")
    }

    // MARK: Errors

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
