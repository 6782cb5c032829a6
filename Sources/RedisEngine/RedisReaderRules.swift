// The cost that a reading command may have for a server. Redis does one thing at a time and cannot be interrupted: a
// long command delays all writers, and a whole reply is in the server's memory before any of it is sent.

internal import DatabaseContract
internal import RemoteDatabases

/// Commands with which a few bytes request more than the server has stored: the same value many times, or a product of
/// sizes.
enum RedisReaderRules {
    /// How often one command may request the same value.
    private static let repetitionCountMax = 8

    /// Why a reader may not run the command; `nil` if allowed.
    static func refusal(
        _ command: RedisCommand, _ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) -> DriverError? {
        switch command.name {
        // A table with the product of both lengths.
        case "LCS", "STRALGO": return refused("\(command.name) takes time and memory by the product of two lengths.")
        // A negative count: that many members, with repetitions (https://redis.io/docs/latest/commands/srandmember/).
        case "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER":
            let isNegative = try hasArgument(line, parameters) { index, bytes in
                index == 2 && bytes.first == UInt8(ascii: "-")
            }
            return isNegative ? refused("A negative count repeats members without limit.") : nil
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
        // A million words would take a hundred times as much memory. Two different words have the same hash once in
        // 2^64 times.
        var numbers: [Int] = []
        numbers.reserveCapacity(command.argumentCount)
        _ = try hasArgument(line, parameters) { index, bytes in
            if index == 0 { return false }
            // After the keys of sorted sets there may be equal weights.
            if command.name.first == "Z",
                ["WEIGHTS", "AGGREGATE", "WITHSCORES", "LIMIT"].contains(RedisCommand.capitals(bytes))
            {
                return true
            }
            var hasher = Hasher()
            hasher.combine(bytes: bytes)
            numbers.append(hasher.finalize())
            return false
        }
        numbers.sort()
        return zip(numbers, numbers.dropFirst(repetitionCountMax)).contains { $0 == $1 }
    }

    private static func hasArgument(
        _ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter],
        _ isWanted: (Int, UnsafeRawBufferPointer) -> Bool
    ) throws(DriverError) -> Bool {
        var arguments = RedisArguments(line, parameters)
        return try arguments.firstIndex(where: isWanted) != nil
    }

    private static func refused(_ why: String) -> DriverError {
        DriverError(
            .readOnly,
            "\(why) The server does nothing else meanwhile, so that is not for those who may only read.",
            hint: "Ask for less at a time, or ask an administrator to set read_only_scripts for the database.",
            sqlState: "25006")
    }
}
