// The properties of a command by its name: whether it would change a connection that others use, or the protocol of its
// replies.

internal import DatabaseContract
internal import RemoteDatabases

/// A command before it is sent.
struct RedisCommand {
    /// In capitals; empty if it is longer than any command.
    let name: String
    /// The second argument in the same form, which may be a subcommand.
    let subcommand: String
    let argumentCount: Int
    /// WITHSCORES or WITHVALUES is among the arguments after the third one.
    let hasPairs: Bool

    /// The most that the server takes (processMultibulkBuffer in src/networking.c).
    private static let argumentCountMax = 1 << 20
    private static let nameByteCountMax = 64

    /// Scans all arguments.
    init(_ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) throws(DriverError) {
        var arguments = RedisArguments(line, parameters)
        var name = ""
        var subcommand = ""
        var count = 0
        var hasPairs = false
        while let argument = try arguments.next() {
            switch count {
            case 0: name = Self.capitals(argument)
            case 1: subcommand = Self.capitals(argument)
            case 2: break
            default:
                if argument.count == 10 {
                    let option = Self.capitals(argument)
                    hasPairs = hasPairs || option == "WITHSCORES" || option == "WITHVALUES"
                }
            }
            count += 1
            guard count <= Self.argumentCountMax else { throw Self.tooManyArguments }
        }
        guard count > 0 else { throw Self.empty }
        self.name = name
        self.subcommand = subcommand
        self.hasPairs = hasPairs
        argumentCount = count
    }

    static func capitals(_ bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.count <= nameByteCountMax else { return "" }
        return String(unsafeUninitializedCapacity: bytes.count) { target in
            for (index, byte) in bytes.enumerated() {
                target[index] = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte & 0xdf : byte
            }
            return bytes.count
        }
    }

    // MARK: The connection

    enum Effect {
        /// None that outlives the reply.
        case none
        /// Needs a connection of its own, and is undone when that is returned.
        case session
        case refused(DriverError)
    }

    var effect: Effect {
        switch name {
        case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT": .session
        case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR":
            .refused(Self.noMessages)
        case "AUTH", "HELLO", "RESET", "QUIT", "READONLY", "READWRITE", "ASKING", "SYNC", "PSYNC", "REPLCONF":
            .refused(Self.ownConnection)
        case "CLIENT" where !Self.clientSubcommands.contains(subcommand): .refused(Self.ownConnection)
        // The next EVAL on that connection would start a debugger.
        case "SCRIPT" where subcommand == "DEBUG": .refused(Self.ownConnection)
        default: .none
        }
    }

    /// Subcommands that report something or act on other connections. The others change their own connection.
    private static let clientSubcommands: Set<String> = [
        "", "GETNAME", "GETREDIR", "HELP", "ID", "INFO", "KILL", "LIST", "PAUSE", "TRACKINGINFO", "UNBLOCK", "UNPAUSE",
    ]

    /// Whether it controls the transaction of a session.
    var controlsTransaction: Bool {
        switch name {
        case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH": true
        default: false
        }
    }

    /// Whether it runs a client's program, during which the server does nothing else, and which nobody stops: a loop
    /// excludes all other clients.
    var isScript: Bool { Self.scriptNames.contains(name) }
    static let scriptNames: Set<String> = ["EVAL_RO", "EVALSHA_RO", "FCALL_RO", "EVAL", "EVALSHA", "FCALL"]

    /// Whether the server may make it wait for others, until CLIENT UNBLOCK.
    var mayBlock: Bool {
        switch name {
        case "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD",
            "XREADGROUP", "WAIT", "WAITAOF":
            true
        default: false
        }
    }

    /// Whether it changes nothing itself, and waits for what others have changed to be safe.
    var onlyWaits: Bool { name == "WAIT" || name == "WAITAOF" }

    /// Reads, although the server does not say so: its `readonly` is about keys. CONFIG GET is not one of them: it
    /// shows the password of the server (requirepass), with which a reader could write.
    var isHarmless: Bool {
        switch name {
        case "PING", "ECHO", "TIME", "INFO", "COMMAND", "LASTSAVE", "ROLE", "MULTI", "EXEC", "DISCARD", "WATCH",
            "UNWATCH",
            "SELECT":
            true
        case "CLIENT": ["GETNAME", "ID", "INFO", "LIST"].contains(subcommand)
        case "SLOWLOG": ["GET", "LEN"].contains(subcommand)
        case "ACL": subcommand == "WHOAMI"
        default: false
        }
    }

    /// How many replicas a WAIT asks for; `nil` for any other command, and where that is no number.
    func replicaCount(_ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) throws(DriverError) -> Int64? {
        guard name == "WAIT" else { return nil }
        var arguments = RedisArguments(line, parameters)
        guard try arguments.next() != nil, let count = try arguments.next(), count.count <= 20 else { return nil }
        return Int64(String(decoding: count, as: UTF8.self))
    }

    // MARK: The reply

    var shape: RedisShape {
        switch name {
        case "HGETALL": .pairs("field", "value")
        case "HRANDFIELD" where hasPairs: .pairs("field", "value")
        case "ZPOPMIN", "ZPOPMAX": .pairs("member", "score")
        case "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZUNION", "ZINTER", "ZDIFF", "ZRANDMEMBER":
            hasPairs ? .pairs("member", "score") : .values
        case "CONFIG" where subcommand == "GET": .pairs("name", "value")
        case "MEMORY" where subcommand == "STATS": .pairs("name", "value")
        case "XINFO" where subcommand == "STREAM": .pairs("name", "value")
        case "PUBSUB" where subcommand == "NUMSUB": .pairs("channel", "subscribers")
        case "BLPOP", "BRPOP": .row(["key", "value"])
        case "BZPOPMIN", "BZPOPMAX": .row(["key", "member", "score"])
        case "XRANGE", "XREVRANGE": .records("id", "fields")
        case "XREAD", "XREADGROUP": .records("stream", "messages")
        case "SCAN": .scan(["key"])
        case "SSCAN": .scan(["member"])
        case "HSCAN": .scan(["field", "value"])
        case "ZSCAN": .scan(["member", "score"])
        case "EXEC": .results
        default: .values
        }
    }

    // MARK: Errors

    private static let empty = DriverError(
        .badRequest, "The request holds no command.", hint: "Write it as for redis-cli: SET greeting 'hello world'.",
        sqlState: "42601")

    private static let tooManyArguments = DriverError(
        .limitExceeded, "The command has more than \(argumentCountMax) arguments, the most that a Redis server takes.",
        hint: "Send it in parts, or as a batch.", sqlState: "54000")

    static let noMessages = DriverError(
        .databaseError, "Messages of channels and of MONITOR do not come as replies to a command.",
        hint: "A stream (XADD, XREAD BLOCK) or a list (LPUSH, BRPOP) keeps them for those who are away.",
        remedy: .subscribeToChannels, sqlState: "0A000")

    static let ownConnection = DriverError(
        .databaseError, "The command would change what the daemon itself needs of its connection.",
        hint: "User, password and settings of connections belong to the database's configuration.", sqlState: "0A000")

    static let needsSession = DriverError(
        .needsSession, "The command changes the state of a connection, and no session was named.",
        remedy: .openSessionOrBatch(of: "commands"), sqlState: "25001")
}

/// How a reply becomes rows. Used if the reply has that form; otherwise `values`, so that nothing is lost.
enum RedisShape: Equatable {
    /// A row for each element, or one row for a reply that is not an array.
    case values
    /// A row for every two elements.
    case pairs(String, String)
    /// One row.
    case row([String])
    /// A row for each element, which is an array of two.
    case records(String, String)
    /// A cursor and an array: a row for each of its elements, or for every two, with the cursor in front.
    case scan([String])
    /// A row for each element, which may be an error.
    case results

    var columns: [String] {
        switch self {
        case .values: ["value"]
        case .pairs(let first, let second), .records(let first, let second): [first, second]
        case .row(let names): names
        case .scan(let names): ["cursor"] + names
        case .results: ["value", "error"]
        }
    }
}
