// Which arguments of a command are keys, as the server describes it.
//
// Source: https://redis.io/docs/latest/develop/reference/key-specs/, and getKeysUsingKeySpecs in src/db.c of Redis 7

internal import DatabaseContract

/// Where some of a command's keys are among its arguments, of which the name has number 0.
struct RedisKeySpec: Equatable, Sendable {
    /// Where to look for them.
    enum Begin: Equatable, Sendable {
        case index(Int)
        /// Behind that word, which is looked for from there on; a negative number counts from the end, backwards.
        case keyword(String, from: Int)
    }

    /// Which arguments they are from there on.
    enum Find: Equatable, Sendable {
        /// Up to that one, or to so many before the end; `limit`: of what is left, that part, where it is 2 or more.
        case range(last: Int, step: Int, limit: Int)
        /// As many as an argument says.
        case count(index: Int, first: Int, step: Int)
    }

    var begin: Begin
    var find: Find

    /// Numbers beyond are no server's.
    private static let numberMax = 1 << 20
    private static let keywordByteCountMax = 64

    init(_ begin: Begin, _ find: Find) {
        self.begin = begin
        self.find = find
    }

    /// As servers before Redis 7 say it; `nil` if there are no keys.
    init?(first: Int, last: Int, step: Int) {
        guard (1...Self.numberMax).contains(first), (1...Self.numberMax).contains(step),
            last.magnitude <= Self.numberMax
        else {
            return nil
        }
        self.init(.index(first), .range(last: last < 0 ? last : max(0, last - first), step: step, limit: 0))
    }

    /// One of the descriptions that COMMAND tells; `nil` if it leaves open where keys are, or makes no sense.
    init?(_ reply: RedisReply) {
        let fields = Self.fields(reply)
        guard let begin = fields["begin_search"].map(Self.fields), let place = begin["spec"].map(Self.fields),
            let find = fields["find_keys"].map(Self.fields), let way = find["spec"].map(Self.fields)
        else { return nil }
        func number(_ reply: RedisReply?) -> Int? {
            reply?.integer.flatMap { $0.magnitude <= Self.numberMax ? Int($0) : nil }
        }
        switch begin["type"]?.text {
        case "index":
            guard let index = number(place["index"]), index > 0 else { return nil }
            self.begin = .index(index)
        case "keyword":
            guard let word = place["keyword"]?.text, word.utf8.count <= Self.keywordByteCountMax,
                let from = number(place["startfrom"]), from != 0
            else { return nil }
            self.begin = .keyword(word.uppercased(), from: from)
        default: return nil
        }
        guard let step = number(way["keystep"]), step > 0 else { return nil }
        switch find["type"]?.text {
        case "range":
            guard let last = number(way["lastkey"]), let limit = number(way["limit"]), limit >= 0 else { return nil }
            self.find = .range(last: last, step: step, limit: limit)
        case "keynum":
            guard let index = number(way["keynumidx"]), let first = number(way["firstkey"]), index >= 0, first >= 0
            else { return nil }
            self.find = .count(index: index, first: first, step: step)
        default: return nil
        }
    }

    /// Names and values in turn, as RESP2 has a map.
    private static func fields(_ reply: RedisReply) -> [String: RedisReply] {
        let elements = reply.elements
        var fields: [String: RedisReply] = [:]
        for index in stride(from: 0, to: elements.count - 1, by: 2) {
            if let name = elements[index].text { fields[name] = elements[index + 1] }
        }
        return fields
    }

    // MARK: The keys of a command

    /// Numbers of arguments.
    struct Range: Equatable {
        var first: Int
        var last: Int
        var step: Int

        func contains(_ index: Int) -> Bool { index >= first && index <= last && (index - first) % step == 0 }
    }

    /// The numbers of the arguments that are keys; `nil` if there are none. `count`: of all arguments; `firstIndex` looks for one that
    /// satisfies a condition, and returns its number.
    func keys(
        count: Int, firstIndex: ((Int, UnsafeRawBufferPointer) -> Bool) throws(DriverError) -> Int?
    ) throws(DriverError) -> Range? {
        let start: Int
        switch begin {
        case .index(let index): start = index
        case .keyword(let word, let from):
            guard let found = try place(of: word, from, count, firstIndex) else { return nil }
            start = found + 1
        }
        guard start > 0, start < count else { return nil }
        switch find {
        case .range(let last, let step, let limit):
            let end =
                if last >= 0 { start + last } else if limit <= 1 { count + last } else {
                    start + (count - start) / limit + last
                }
            return Self.keys(start, end, step, count)
        case .count(let index, let first, let step):
            var number = 0
            _ = try firstIndex { place, bytes in
                guard place == start + index else { return false }
                number = Self.number(bytes)
                return true
            }
            return Self.keys(start + first, start + first + (number - 1) * step, step, count)
        }
    }

    private static func keys(_ first: Int, _ last: Int, _ step: Int, _ count: Int) -> Range? {
        last >= first && first < count ? Range(first: first, last: min(last, count - 1), step: step) : nil
    }

    private func place(
        of word: String, _ from: Int, _ count: Int,
        _ firstIndex: ((Int, UnsafeRawBufferPointer) -> Bool) throws(DriverError) -> Int?
    ) throws(DriverError) -> Int? {
        let length = word.utf8.count
        if from > 0 {
            return try firstIndex { $0 >= from && $1.count == length && RedisCommand.capitals($1) == word }
        }
        var found: Int?
        _ = try firstIndex { index, bytes in
            if index > 0, index <= count + from, bytes.count == length, RedisCommand.capitals(bytes) == word {
                found = index
            }
            return false
        }
        return found
    }

    /// How many keys a client says there are; 0 if that is no number.
    private static func number(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard bytes.count <= 7, !bytes.isEmpty else { return 0 }
        var number = 0
        for byte in bytes {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return 0 }
            number = 10 * number + Int(byte - UInt8(ascii: "0"))
        }
        return number
    }

    // MARK: Servers before Redis 7

    /// Of the commands whose keys stand where an argument says, of which such servers say no more than that there are some.
    static let movable: [String: [RedisKeySpec]] = {
        let script = [RedisKeySpec(.index(2), .count(index: 0, first: 1, step: 1))]
        let counted = [RedisKeySpec(.index(1), .count(index: 0, first: 1, step: 1))]
        let target = RedisKeySpec(.index(1), .range(last: 0, step: 1, limit: 0))
        let streams = [RedisKeySpec(.keyword("STREAMS", from: 1), .range(last: -1, step: 1, limit: 2))]
        // A group, or a consumer, may have that name, too.
        let groupStreams = [RedisKeySpec(.keyword("STREAMS", from: 4), .range(last: -1, step: 1, limit: 2))]
        let waiting = [RedisKeySpec(.index(2), .count(index: 0, first: 1, step: 1))]
        let migrated = [
            RedisKeySpec(.index(3), .range(last: 0, step: 1, limit: 0)),
            RedisKeySpec(.keyword("KEYS", from: -2), .range(last: -1, step: 1, limit: 0)),
        ]
        return [
            "EVAL": script, "EVALSHA": script, "ZUNION": counted, "ZINTER": counted, "ZDIFF": counted,
            "ZUNIONSTORE": [target] + script, "ZINTERSTORE": [target] + script, "ZDIFFSTORE": [target] + script,
            "XREAD": streams, "XREADGROUP": groupStreams, "LMPOP": counted, "ZMPOP": counted, "BLMPOP": waiting,
            "BZMPOP": waiting, "MIGRATE": migrated,
        ]
    }()

    /// MEMORY USAGE KEY
    static let memoryUsage = [RedisKeySpec(.index(2), .range(last: 0, step: 1, limit: 0))]
}
