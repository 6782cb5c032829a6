// What a command that only reads may cost a server. Redis does one thing at a time, and nobody can stop it in the middle: what is
// long keeps those out who write, and a reply is in the server's memory as a whole before any of it is sent.

/// Commands with which a few bytes ask for more than the server has stored: the same thing many times, or a product of sizes.
enum RedisReaderRules {
    /// A value that is asked for as often by one command.
    private static let repetitionCountMax = 8

    /// Why a reader may not run the command; `nil` when he may.
    static func refusal(
        _ command: RedisCommand, _ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) -> DriverError? {
        switch command.name {
        // A table of both lengths' product.
        case "LCS", "STRALGO": return refused("\(command.name) takes time and memory by the product of two lengths.")
        // A negative count: so many members, repeated (https://redis.io/docs/latest/commands/srandmember/).
        case "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER":
            let isNegative = try hasArgument(line, parameters) { index, bytes in
                index == 2 && bytes.first == UInt8(ascii: "-")
            }
            return isNegative ? refused("A negative count gives members as often as one likes.") : nil
        case "MGET", "HMGET", "SINTER", "SUNION", "SDIFF", "SINTERCARD", "ZINTER", "ZUNION", "ZDIFF", "ZINTERCARD",
            "PFCOUNT":
            return try repeats(command, line, parameters)
                ? refused("The command names one thing more than \(repetitionCountMax) times.") : nil
        case "SORT_RO":
            var count = 0
            _ = try hasArgument(line, parameters) { _, bytes in
                if bytes.count == 3, RedisCommand.capitals(bytes) == "GET" { count += 1 }
                return false
            }
            return count > repetitionCountMax ? refused("More than \(repetitionCountMax) times GET.") : nil
        default: return nil
        }
    }

    private static func repeats(
        _ command: RedisCommand, _ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) -> Bool {
        guard command.argumentCount > repetitionCountMax else { return false }
        var counts: [[UInt8]: Int] = [:]
        // Behind the keys of sorted sets there may be equal weights.
        var isBehindKeys = false
        return try hasArgument(line, parameters) { index, bytes in
            if index == 0 || isBehindKeys { return false }
            if command.name.first == "Z",
                ["WEIGHTS", "AGGREGATE", "WITHSCORES", "LIMIT"].contains(RedisCommand.capitals(bytes))
            {
                isBehindKeys = true
                return false
            }
            counts[Array(bytes), default: 0] += 1
            return (counts[Array(bytes)] ?? 0) > repetitionCountMax
        }
    }

    private static func hasArgument(
        _ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter],
        _ isWanted: (Int, UnsafeRawBufferPointer) -> Bool
    ) throws(DriverError) -> Bool {
        var arguments = RedisArguments(line, parameters)
        var index = 0
        while let argument = try arguments.next() {
            if isWanted(index, argument) { return true }
            index += 1
        }
        return false
    }

    private static func refused(_ why: String) -> DriverError {
        DriverError(
            .readOnly,
            "\(why) The server does nothing else meanwhile, so that is not for those who may only read.",
            hint: "Ask for less at a time, or ask an administrator to set read_only_scripts for the database.",
            sqlState: "25006")
    }
}
