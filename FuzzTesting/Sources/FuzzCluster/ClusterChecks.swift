// What must hold for anything that a server tells of a Redis Cluster and of its commands. EngineTests replays the corpus with this, too.

@testable import DatabaseContract
@testable import RedisEngine

/// Traps when something does not hold that must.
enum ClusterChecks {
    static func check(_ bytes: UnsafeRawBufferPointer) {
        checkTexts(bytes, isHere: false, slots: 0..<RedisSlot.count)
        checkTexts(bytes, isHere: true, slots: 0..<RedisSlot.count)
        checkCommands(bytes)
    }

    /// One of these alone, so that a fuzzer comes to more inputs: the length chooses it.
    static func checkPart(_ bytes: UnsafeRawBufferPointer) {
        let slots = stride(from: bytes.count % 61, to: RedisSlot.count, by: 61)
        switch bytes.count % 3 {
        case 0: checkTexts(bytes, isHere: false, slots: slots)
        case 1: checkTexts(bytes, isHere: true, slots: slots)
        default: checkCommands(bytes)
        }
    }

    private static func checkTexts(_ bytes: UnsafeRawBufferPointer, isHere: Bool, slots: some Sequence<Int>) {
        let text = String(decoding: bytes, as: UTF8.self)
        checkRedirection(text)
        checkMap(text, from: .network(host: isHere ? "127.0.0.1" : "10.0.0.9", port: 6379), isHere: isHere, slots)
    }

    /// A map has only slots that there are, of primaries that it has, each of which is at one address.
    private static func checkMap(
        _ text: String, from asked: RedisLocation.Server, isHere: Bool, _ slots: some Sequence<Int>
    ) {
        guard let map = try? RedisSlotMap(text, from: asked) else { return }
        precondition((1...RedisSlotMap.primaryCountMax).contains(map.primaries.count), "primaries are bounded")
        for slot in slots {
            let owner = map.primary(of: UInt16(slot))
            precondition(owner.map { map.primaries.indices.contains($0) } ?? true, "a slot is of a primary")
        }
        for (index, place) in map.primaries.enumerated() {
            precondition(place.port > 0 && RedisSlotMap.isAddress(place.host), "a place has an address in numbers")
            precondition(isHere || !RedisSlotMap.isOfThisMachine(place.host), "no other machine leads to this one")
            precondition(map.primary(at: place.host, place.port) == index, "an address is of one place")
        }
    }

    private static func checkRedirection(_ text: String) {
        switch RedisRedirection(text) {
        case .moved(let slot, let host, let port), .ask(let slot, let host, let port):
            precondition(slot < RedisSlot.count && port > 0, "a redirection names a slot and a port")
            precondition(
                host.isEmpty || host == "?" || RedisSlotMap.isHost(host), "a redirection names a host, or none")
        case .tryAgain, .clusterDown:
            precondition(text.hasPrefix("TRYAGAIN ") || text.hasPrefix("CLUSTERDOWN "), "a refusal says what it is")
        case nil: break
        }
    }

    // MARK: Commands

    private static let lines = [
        "GET a", "SET {a}1 b", "EVAL x 2 {a}1 {a}2 b", "XREAD COUNT 1 STREAMS a b 0 0", "MGET a b c", "K K 9999999 k",
        "OBJECT ENCODING a",
    ]

    /// The reply to COMMAND, as the bytes describe it: whatever a server says where keys are, they are arguments that are there.
    private static func checkCommands(_ bytes: UnsafeRawBufferPointer) {
        var source = ReplySource(rest: bytes[...])
        let names = ["get", "set", "eval", "xread", "mget", "k", "object"]
        let commands = names.map { name -> RedisReply in
            let described: [RedisReply] = [.word(name), .number(-2), source.reply(depth: 2)]
            let numbers = (0..<3).map { _ in RedisReply.number(source.number()) }
            let specs = (0..<2).map { _ in source.spec() }
            return .array(
                described + numbers + [.array([]), source.reply(depth: 2), .array(specs), source.reply(depth: 3)])
        }
        check(specs: commands)
        let routing = RedisRouting(commands: RedisCommandTable(.array(commands), withKeys: true))
        for line in lines { check(line, routing) }
    }

    private static func check(_ line: String, _ routing: RedisRouting) {
        var line = line
        line.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            guard let command = try? RedisCommand(text, []) else { return }
            do throws(DriverError) {
                let slot = try routing.slot(of: command, text, [])
                precondition((slot ?? 0) < RedisSlot.count, "a slot is one that there is")
            } catch {
                precondition(error.code == .badRequest, "a command is refused for its slots alone")
            }
        }
    }

    private static func check(specs commands: [RedisReply]) {
        let words = ["k", "K", "3", "9999999", "-1", "", "streams"]
        for reply in commands.flatMap({ $0.elements[8].elements }) {
            guard let spec = RedisKeySpec(reply) else { continue }
            for count in 1...words.count {
                let range = try? spec.keys(count: count) { isWanted throws(DriverError) -> Int? in
                    words[..<count].enumerated().first { index, word in
                        Array(word.utf8).withUnsafeBytes { isWanted(index, $0) }
                    }?.offset
                }
                guard let range else { continue }
                precondition(range.first > 0 && range.first <= range.last && range.last < count, "keys are arguments")
            }
        }
    }
}

/// Makes replies of bytes.
private struct ReplySource {
    var rest: Slice<UnsafeRawBufferPointer>

    private mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func number() -> Int64 {
        let byte = byte()
        return byte < 250 ? Int64(byte) - 120 : [.min, .max, 1 << 20, -(1 << 20), 1 << 32, 0][Int(byte) - 250]
    }

    private mutating func word() -> RedisReply {
        let known = ["index", "keyword", "range", "keynum", "K", "STREAMS", "readonly", "", "request_policy:all_nodes"]
        return .word(known[Int(byte()) % known.count])
    }

    mutating func reply(depth: Int) -> RedisReply {
        switch byte() % 6 {
        case 0: return .nothing
        case 1, 2: return .number(number())
        case 3: return word()
        default: return depth == 0 ? word() : .array((0..<Int(byte() % 4)).map { _ in reply(depth: depth - 1) })
        }
    }

    /// As a server describes keys, or nearly.
    mutating func spec() -> RedisReply {
        guard byte() % 8 != 7 else { return reply(depth: 4) }
        func part(_ type: RedisReply, _ fields: [(String, RedisReply)]) -> RedisReply {
            .array([
                .word("type"), type, .word("spec"), .array(fields.flatMap { [RedisReply.word($0.0), $0.1] }),
            ])
        }
        let begin = part(
            word(), [("index", .number(number())), ("keyword", word()), ("startfrom", .number(number()))])
        let find = part(
            word(),
            ["lastkey", "keystep", "limit", "keynumidx", "firstkey"].map { ($0, RedisReply.number(number())) })
        return .array([.word("begin_search"), begin, .word("find_keys"), find])
    }
}
