// What is decided about a Redis Cluster without one: slots, keys of commands, maps, redirections, and what is refused.

import CHiredis
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RedisEngine
@testable import RemoteDatabases

@Suite("Redis Cluster without a server")
struct RedisClusterTests {
    // MARK: Slots

    private func slot(_ key: String) -> UInt16 { Array(key.utf8).withUnsafeBytes { RedisSlot.of($0) } }

    /// The reference value of the specification, and slots as Redis 7 tells them (CLUSTER KEYSLOT).
    @Test func slotsAreThoseOfTheSpecification() {
        #expect(Array("123456789".utf8).withUnsafeBytes { RedisSlot.checksum($0) } == 0x31c3)
        for (key, wanted) in [("a", 15495), ("b", 3300), ("c", 7365), ("foo", 12182), ("hello", 866), ("", 0)] {
            #expect(slot(key) == wanted, "\(key)")
        }
    }

    @Test(arguments: [
        ("{user1000}.following", "user1000"), ("foo{}{bar}", "foo{}{bar}"), ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"), ("}{a}", "a"), ("{a", "{a"), ("a}", "a}"), ("{}", "{}"), ("", ""),
    ])
    func whatStandsInTheFirstBracesCounts(_ key: String, _ wanted: String) {
        Array(key.utf8).withUnsafeBytes { #expect(String(decoding: RedisSlot.hashed($0), as: UTF8.self) == wanted) }
    }

    @Test func everyKeyHasASlot() {
        var random = SeededGenerator.fresh
        for _ in 0..<2_000 {
            let key = (0..<Int.random(in: 0..<20, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random) : Array("{}ab".utf8).randomElement(using: &random)!
            }
            key.withUnsafeBytes { bytes in
                #expect(Int(RedisSlot.of(bytes)) < RedisSlot.count)
                let hashed = Array(RedisSlot.hashed(bytes))
                if hashed.count < key.count { #expect(!hashed.isEmpty && !hashed.contains(UInt8(ascii: "}"))) }
            }
        }
    }

    // MARK: Keys

    private static let first = RedisKeySpec(.index(1), .range(last: 0, step: 1, limit: 0))
    private static let counted = RedisKeySpec(.index(2), .count(index: 0, first: 1, step: 1))

    private static let routing = RedisRouting(
        commands: RedisCommandTable(
            destinations: [
                "GET": .init(keys: [first]), "SET": .init(keys: [first]),
                "DEL": .init(keys: [RedisKeySpec(.index(1), .range(last: -1, step: 1, limit: 0))]),
                "MSET": .init(keys: [RedisKeySpec(.index(1), .range(last: -1, step: 2, limit: 0))]),
                "BLPOP": .init(keys: [RedisKeySpec(.index(1), .range(last: -2, step: 1, limit: 0))]),
                "EVAL": .init(keys: [counted]), "ZUNIONSTORE": .init(keys: [first, counted]),
                "XREAD": .init(keys: [RedisKeySpec(.keyword("STREAMS", from: 1), .range(last: -1, step: 1, limit: 2))]),
                "MIGRATE": .init(keys: [
                    RedisKeySpec(.index(3), .range(last: 0, step: 1, limit: 0)),
                    RedisKeySpec(.keyword("KEYS", from: -2), .range(last: -1, step: 1, limit: 0)),
                ]),
                "OBJECT": .init(),
                "OBJECT|ENCODING": .init(keys: [RedisKeySpec(.index(2), .range(last: 0, step: 1, limit: 0))]),
                "PING": .init(), "DBSIZE": .init(), "KEYS": .init(), "MULTI": .init(),
                "NEW": .init(), "WAIT": .init(), "MODULE.DO": .init(keys: [first]), "MODULE.ALL": .init(),
                "ODD": .init(hasOtherKeys: true),
            ], modules: ["MODULE.DO", "MODULE.ALL"]))

    /// A run with texts of its own.
    private final class Run: StatementRun, @unchecked Sendable {
        private let texts: [UnsafeMutableRawBufferPointer]
        private var next = 0

        init(_ lines: [String], isBatch: Bool = false, isAtomic: Bool = true) {
            texts = lines.map { line in
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, line.utf8.count), alignment: 1)
                bytes.copyBytes(from: line.utf8)
                return UnsafeMutableRawBufferPointer(rebasing: bytes[..<line.utf8.count])
            }
            super.init(sink: RowSink())
            if isBatch { kind = .batch(isAtomic: isAtomic) } else { sql = UnsafeRawBufferPointer(texts[0]) }
        }

        deinit { for text in texts { text.deallocate() } }

        override func nextBatchStatement() throws(DriverError) -> BatchPosition? {
            guard next < texts.count else { return nil }
            sql = UnsafeRawBufferPointer(texts[next])
            next += 1
            return BatchPosition(statementIndex: next - 1, rowIndex: nil)
        }

        override func rewindBatch() { next = 0 }
    }

    private func route(_ lines: String...) throws(DriverError) -> UInt16? {
        try Self.routing.route(Run(lines, isBatch: lines.count > 1)).slot
    }

    @Test(arguments: [
        ("GET a", "a"), ("set a b", "a"), ("DEL {a}1 {a}2 {a}3", "a"), ("MSET {a}1 b {a}2 c", "a"),
        ("BLPOP {a}x {a}y 5", "a"),
        ("EVAL 'return 1' 2 {a}1 {a}2 b c", "a"), ("ZUNIONSTORE {a} 2 {a}1 {a}2 WEIGHTS 1 2", "a"),
        ("XREAD COUNT 2 STREAMS {a}1 {a}2 0 0", "a"), ("XREAD streams a 0", "a"),
        ("MIGRATE h 1 \"\" 0 5 KEYS {a}1 {a}2", "a"), ("MIGRATE h 1 a 0 5", "a"), ("OBJECT ENCODING a", "a"),
        ("EVAL 'return 1' 1 a", "a"),
    ])
    func commandsGoToTheSlotOfTheirKeys(_ line: String, _ key: String) throws {
        #expect(try route(line) == slot(key))
    }

    @Test(arguments: [
        "PING", "EVAL 'return 1' 0", "EVAL 'return 1' -1 a", "EVAL 'return 1' x a", "EVAL 'return 1'",
        "XREAD COUNT 1",
        "OBJECT HELP", "UNKNOWN a", "ODD a", "GET", "EVAL 'return 1' 99999999999999999999 a", "XREAD STREAMS",
    ])
    func commandsWithoutKeysGoAnywhere(_ line: String) throws { #expect(try route(line) == nil) }

    @Test(arguments: [
        ["DEL a b"], ["MSET {a}1 x b y"], ["EVAL 'return 1' 2 a b"], ["EVAL 'return 1' 1000000 a b c"],
        ["GET a", "GET b"],
        ["PING", "GET a", "MSET {a} 1 b 2"],
    ])
    func keysOfSeveralSlotsAreRefused(_ lines: [String]) {
        let error = #expect(throws: DriverError.self) { try Self.routing.route(Run(lines, isBatch: lines.count > 1)) }
        #expect(error?.code == .badRequest && error?.details.message.contains("15495 and 3300") == true)
        #expect(error?.details.hint?.contains("{tag}") == true)
        #expect(error?.details.statementIndex == (lines.count > 1 ? lines.count - 1 : nil))
    }

    @Test(arguments: ["DBSIZE", "KEYS *", "NEW", "MODULE.ALL", "OBJECT FREQ"])
    func commandsAboutAllKeysAreRefused(_ line: String) {
        let error = #expect(throws: DriverError.self) { try route(line) }
        #expect(error?.code == .badRequest && error?.details.message.contains("all") == true)
    }

    /// Where a command goes that the server tells to have no keys, as its words.
    private func routeOfKeyless(_ line: String, toldSubcommands: Bool = true) throws(DriverError) -> UInt16? {
        let words = line.split(separator: " ")
        var destinations = [String(words[0]): RedisCommandTable.Destination()]
        if toldSubcommands, words.count > 1 { destinations["\(words[0])|\(words[1])"] = .init() }
        return try RedisRouting(commands: RedisCommandTable(destinations: destinations)).route(Run([line])).slot
    }

    /// Each of these would have been done by one node, whichever it is, and have looked like done.
    @Test(arguments: [
        "ACL SETUSER x", "ACL DELUSER x", "ACL LOAD", "ACL SAVE", "ACL LOG", "CONFIG SET a 1", "CONFIG REWRITE",
        "CONFIG RESETSTAT", "CLIENT LIST", "CLIENT KILL ID 1", "CLIENT PAUSE 1", "CLIENT UNPAUSE", "CLIENT UNBLOCK 1",
        "CLIENT NO-EVICT ON", "PUBSUB CHANNELS", "PUBSUB NUMSUB a", "PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS", "SAVE",
        "BGSAVE", "BGREWRITEAOF", "SHUTDOWN", "CLUSTER FORGET x", "CLUSTER MEET h 1", "CLUSTER ADDSLOTS 1",
        "CLUSTER SETSLOT 1 STABLE", "CLUSTER RESET", "CLUSTER FAILOVER", "CLUSTER FLUSHSLOTS",
        "CLUSTER GETKEYSINSLOT 1 1", "CLUSTER COUNTKEYSINSLOT 1", "SLOWLOG RESET", "LATENCY RESET", "MEMORY PURGE",
        "SCRIPT LOAD x", "SCRIPT FLUSH", "SCRIPT KILL", "SCRIPT EXISTS x", "FUNCTION LOAD x", "FUNCTION FLUSH",
        "FUNCTION STATS", "FUNCTION KILL", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SCAN 0", "KEYS HELP", "DBSIZE HELP",
        "RANDOMKEY", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "FAILOVER", "DEBUG SLEEP 0", "MODULE LOAD x",
        "MODULE UNLOAD x", "PFSELFTEST", "SYNC", "PSYNC", "MONITOR", "SUBSCRIBE a", "READONLY", "HELLO",
    ])
    func whatIsOfOneNodeOrOfAllIsRefused(_ line: String) {
        for told in [true, false] {
            let error = #expect(throws: DriverError.self) { try routeOfKeyless(line, toldSubcommands: told) }
            #expect(error?.details.sqlState == "0A000" && error?.details.hint != nil, "\(line)")
            let name = line.split(separator: " ").prefix(told ? 2 : 1).joined(separator: " ")
            if error?.code == .badRequest { #expect(error?.details.message.hasPrefix(name + " is") == true, "\(line)") }
        }
    }

    @Test(arguments: [
        "PING", "ECHO x", "TIME", "INFO", "PUBLISH c m", "ROLE", "LASTSAVE", "LOLWUT", "COMMAND", "COMMAND COUNT",
        "CONFIG GET *", "SLOWLOG GET", "LATENCY LATEST", "MEMORY DOCTOR", "ACL WHOAMI", "CLUSTER INFO", "MODULE LIST",
        "CLIENT ID", "FUNCTION LIST", "SCRIPT HELP",
    ])
    func whatReadsOfOneNodeGoesToAny(_ line: String) throws {
        #expect(try routeOfKeyless(line) == nil)
        #expect(try routeOfKeyless(line, toldSubcommands: false) == nil)
    }

    /// Of a session, of none, or of a batch: what would be the state of a connection is refused before anything is sent.
    @Test(arguments: [
        "MULTI", "exec", "DISCARD", "WATCH a", "UNWATCH", "SELECT 0", "WAIT 1 0", "WAITAOF 1 0 0", "\"MULTI\"",
    ])
    func whatIsTheStateOfAConnectionIsRefused(_ line: String) {
        for (lines, isAtomic) in [([line], true), (["SET a 1", line], true), (["SET a 1", line], false)] {
            let run = Run(lines, isBatch: lines.count > 1, isAtomic: isAtomic)
            if line.hasPrefix("WAIT "), lines.count > 1, !isAtomic {
                #expect(throws: Never.self) { try Self.routing.route(run) }
                continue
            }
            let error = #expect(throws: DriverError.self) { try Self.routing.route(run) }
            #expect(error?.code == .badRequest && error?.details.sqlState == "0A000" && error?.details.hint != nil)
            #expect(error?.details.statementIndex == (lines.count > 1 ? 1 : nil))
        }
    }

    /// What a client's program may answer says nothing of what the node has done.
    @Test func scriptsAnswerFreely() throws {
        for (lines, isAtomic, wanted) in [
            (["EVAL 'return 1' 1 a"], true, true), (["FCALL f 1 a"], true, true), (["MODULE.DO a"], true, true),
            (["GET a"], true, false), (["GET a", "EVAL 'return 1' 1 a"], false, true),
            (["GET a", "EVAL 'return 1' 1 a"], true, false), (["GET a", "GET a"], false, false),
            (["UNKNOWN a"], true, true), (["GET a", "UNKNOWN a"], false, true), (["GET a", "UNKNOWN a"], true, false),
        ] {
            let route = try Self.routing.route(Run(lines, isBatch: lines.count > 1, isAtomic: isAtomic))
            #expect(route.answersFreely == wanted, "\(lines)")
        }
    }

    /// As Redis 6 tells its commands: names, numbers and "movablekeys".
    @Test func keysBeforeRedis7() throws {
        func command(_ name: String, _ numbers: [Int64], _ flags: [String] = []) -> RedisReply {
            .array(
                [.word(name), .number(-2), .array(flags.map { .word($0) })] + numbers.map { .number($0) } + [.array([])]
            )
        }
        let table = RedisCommandTable(
            .array([
                command("get", [1, 1, 1]), command("xreadgroup", [1, 1, 1], ["movablekeys"]),
                command("xread", [1, 1, 1], ["movablekeys"]), command("memory", [0, 0, 0], ["movablekeys"]),
                command("migrate", [0, 0, 0], ["movablekeys"]), command("object", [2, 2, 1]),
            ]), withKeys: true)
        let routing = RedisRouting(commands: table)
        for (line, key) in [
            ("GET a", "a"), ("XREADGROUP GROUP streams c COUNT 1 STREAMS a >", "a"),
            ("XREADGROUP GROUP g streams STREAMS {a}1 {a}2 > >", "a"), ("XREAD STREAMS a 0", "a"),
            ("MEMORY USAGE a", "a"), ("MIGRATE h 1 a 0 5", "a"), ("MIGRATE h 1 \"\" 0 5 KEYS {a}1 {a}2", "a"),
            ("OBJECT ENCODING a", "a"),
        ] {
            #expect(try routing.route(Run([line])).slot == slot(key), "\(line)")
        }
        #expect(try routing.route(Run(["MEMORY DOCTOR"])).slot == nil)
    }

    /// A server may tell any number, also one of which there is no positive one.
    @Test(arguments: [Int64.min, .max, 1 << 20 + 1, -(1 << 20) - 1])
    func numbersBeyondAllCommandsAreNone(_ number: Int64) {
        #expect(RedisKeySpec(first: 1, last: Int(number), step: 1) == nil)
        func part(_ type: String, _ fields: [(String, Int64)]) -> RedisReply {
            .array([
                .word("type"), .word(type), .word("spec"),
                .array(fields.flatMap { [RedisReply.word($0.0), .number($0.1)] }),
            ])
        }
        func spec(_ last: Int64) -> RedisKeySpec? {
            RedisKeySpec(
                .array([
                    .word("begin_search"), part("index", [("index", 1)]), .word("find_keys"),
                    part("range", [("lastkey", last), ("keystep", 1), ("limit", 0)]),
                ]))
        }
        #expect(spec(number) == nil && spec(-1) == RedisKeySpec(.index(1), .range(last: -1, step: 1, limit: 0)))
    }

    /// Each run of a server is asked once, and servers that say the same have one table; however many come, few are kept.
    @Test func tablesAreKeptByTheRunOfTheirServer() {
        func made(_ name: String) -> RedisCommandTable {
            RedisCommandTable(destinations: [name: .init(keys: [Self.first])])
        }
        let tables = RedisTables(withKeys: true, serverCountMax: 8)
        let first = tables.remember(made("GET"), of: "1")
        #expect(tables.remember(made("GET"), of: "2") === first)
        #expect(tables.remember(made("SET"), of: "3") !== first)
        #expect(tables.serverCount == 3)
        for number in 0..<100 {
            _ = tables.remember(made("C\(number % 50)"), of: "s\(number)")
            #expect(tables.serverCount <= 8)
        }
    }

    @Test func aBatchIsReadFromItsBeginning() throws {
        let run = Run(["PING", "SET {a}1 1", "SET {a}2 2"], isBatch: true)
        #expect(try Self.routing.route(run).slot == slot("a"))
        #expect(try run.nextBatchStatement()?.statementIndex == 0)
    }

    /// Whatever a client and a server say, no number of an argument is one that is not there.
    @Test func numbersOfKeysStayWithinTheCommand() throws {
        var random = SeededGenerator.fresh
        func number() -> Int {
            [Int.random(in: -5...5, using: &random), 1 << 20, -(1 << 20)].randomElement(using: &random)!
        }
        for _ in 0..<3_000 {
            let begin: RedisKeySpec.Begin =
                Bool.random(using: &random) ? .index(max(1, number())) : .keyword("K", from: number())
            let find: RedisKeySpec.Find =
                Bool.random(using: &random)
                ? .range(last: number(), step: max(1, number()), limit: abs(number()))
                : .count(index: abs(number()), first: abs(number()), step: max(1, number()))
            let words = (0..<Int.random(in: 1...8, using: &random)).map { _ in
                ["k", "1", "3", "9999999", "-1", ""].randomElement(using: &random)!
            }
            let range = try RedisKeySpec(begin, find).keys(count: words.count) { isWanted throws(DriverError) -> Int? in
                for (index, word) in words.enumerated() where Array(word.utf8).withUnsafeBytes({ isWanted(index, $0) })
                {
                    return index
                }
                return nil
            }
            if let range { #expect(range.first > 0 && range.first <= range.last && range.last < words.count) }
        }
    }

    // MARK: Maps

    private static let nodes = """
        07c37df 10.0.0.4:30004@31004,host-4 slave e7d1eec 0 1426238317239 4 connected
        67ed2db 10.0.0.2:30002@31002,host-2 master - 0 1426238316232 2 connected 5461-10922
        292f8b3 10.0.0.3:30003@31003,host-3 master - 0 1426238318243 3 connected 10923-16382 [16383->-67ed2db]
        e7d1eec 10.0.0.1:30001@31001,host-1 myself,master - 0 0 1 connected 0-5460
        aaaaaaa 10.0.0.5:30005@31005,host-5 master - 0 0 0 connected
        bbbbbbb 10.0.0.6:30006@31006 master,fail - 0 0 0 disconnected
        ccccccc :0@0 master,noaddr - 0 0 0 disconnected

        """

    private let asked = RedisLocation.Server.network(host: "10.0.0.9", port: 6379)

    @Test func primariesHaveTheirSlots() throws {
        let map = try RedisSlotMap(Self.nodes, from: asked)
        #expect(map.primaries.map(\.host) == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5"])
        #expect([0, 5460, 5461, 10922, 10923, 16382, 16383].map { map.primary(of: $0) } == [0, 0, 1, 1, 2, 2, nil])
        // One without slots may have been taken out.
        #expect(map.serving == [0, 1, 2])
        #expect(map.primary(of: .max) == nil)
        #expect(map.primary(at: "10.0.0.5", 30005) == 3 && map.primary(at: "host-5", 30005) == 3)
        #expect(map.primary(at: "10.0.0.5", 30004) == nil && map.primary(at: "host-4", 30004) == nil)
    }

    @Test func serversThatTellTheSameHaveOneMap() throws {
        let lines = Self.nodes.split(separator: "\n")
        let map = try RedisSlotMap(Self.nodes, from: asked)
        for _ in 0..<20 { #expect(try RedisSlotMap(lines.shuffled().joined(separator: "\n"), from: asked) == map) }
    }

    @Test func nothingStandsBehindAnAddress() {
        #expect(throws: RedisSlotMap.Problem.address) {
            try RedisSlotMap(
                "a 127.0.0.1\0evil:1@1 master - 0 0 1 connected 0", from: .network(host: "localhost", port: 1))
        }
    }

    @Test func aNodeAloneIsReachedWhereItWasAsked() throws {
        let map = try RedisSlotMap("e9c3a03 :7999@17999 myself,master - 0 0 0 connected 0-16383\n", from: asked)
        #expect(map.primaries == [RedisClusterPlace(host: "10.0.0.9", hostName: nil, port: 7999)])
        let former = try RedisSlotMap("e9c3a03 10.0.0.1:7999 myself,master - 0 0 0 connected 7\n", from: asked)
        #expect(former.primary(of: 7) == 0)
    }

    /// A server that has taken the place of a lost one is one place, whatever the map calls it.
    @Test func oneAddressIsOnePlace() throws {
        let map = try RedisSlotMap(
            """
            a 10.0.0.1:1@1 master,fail - 0 0 1 connected 0-5
            b 10.0.0.1:1@1 master - 0 0 2 connected 6-7
            c 10.0.0.1:2@2 master - 0 0 3 connected 8
            """, from: asked)
        #expect(map.primaries.count == 2 && [0, 6, 8].map { map.primary(of: $0) } == [0, 0, 1])
    }

    private func problem(_ address: String, _ slots: String = "0", from server: RedisLocation.Server? = nil)
        -> RedisSlotMap.Problem?
    {
        do throws(RedisSlotMap.Problem) {
            _ = try RedisSlotMap("a \(address) master - 0 0 0 connected \(slots)", from: server ?? asked)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "127.0.0.1:1", "127.1.2.3:1", "0.0.0.0:1", "::1:1", ":::1", "::ffff:127.0.0.1:1", "::ffff:7f00:1:1",
    ])
    func noOtherMachineLeadsToThisOne(_ address: String) {
        #expect(problem(address) == .address)
        #expect(problem(address, from: .network(host: "127.0.0.1", port: 1)) == nil)
        #expect(problem(address, from: .network(host: "localhost", port: 1)) == nil)
    }

    /// A name is whatever it leads to, this machine too: ip6-localhost, that of the machine itself, any of a DNS server's.
    @Test(arguments: [
        "localhost", "x.LOCALHOST", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "debian",
        "node-7.example",
    ])
    func aNameIsNoAddressUnlessTheURLHasIt(_ name: String) {
        #expect(problem("\(name):1") == .address)
        #expect(problem("\(name):1", from: .network(host: "127.0.0.1", port: 1)) == .address)
        #expect(problem("\(name):1", from: .network(host: "other-name", port: 1)) == .address)
        #expect(problem("\(name):2", from: .network(host: name, port: 1)) == nil)
    }

    @Test func aNameOfTheURLStandsForAnAddressThatIsNotKnown() throws {
        let map = try RedisSlotMap(
            "a :7@17 myself,master - 0 0 0 connected 0\n", from: .network(host: "redis-1.example", port: 7))
        #expect(map.primaries.map(\.host) == ["redis-1.example"])
    }

    @Test(arguments: [
        "", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:-1", ":1", "127.1:1", "2130706433:1",
        "0x7f000001:1",
        "10.0.0.1.:1", "a b:1", "/run/redis.sock:1", "a/b:1", "h\u{e9}:1", "h\0:1", "fe80::1%eth0:1", "a..0x7f:1",
        "...:1",
        String(repeating: "a", count: 256) + ":1",
    ])
    func whatIsNoAddressIsNotUsed(_ address: String) {
        let found = problem(address, from: .network(host: "127.0.0.1", port: 1))
        #expect([.address, .noLine, .noPrimary].contains(found), "\(address)")
    }

    @Test func whatIsNoMapIsRefused() {
        for slots in ["16384", "5-3", "0 0", "0-9 5-12", "-", "0-", "-5", "1-2-3", "x", "99999999999999999999"] {
            let found = problem("10.0.0.1:1", slots)
            #expect(found == .noSlot || found == .slotTwice, "\(slots)")
        }
        for (text, wanted) in [
            ("", RedisSlotMap.Problem.noPrimary), ("a 10.0.0.1:1 myself,master - 0 0 0 connected", .nothingServed),
            ("ERR", .noLine),
            ("a 10.0.0.1:1 slave b 0 0 0 connected", .noPrimary),
            (String(repeating: "x", count: RedisSlotMap.byteCountMax + 1), .tooLong),
            (String(repeating: "x\n", count: 10_000), .tooLong),
            (
                (0...RedisSlotMap.primaryCountMax).map { "a 10.0.0.1:\($0 + 1) master - 0 0 0 connected\n" }.joined(),
                .tooManyPrimaries
            ),
        ] {
            #expect(throws: wanted) { try RedisSlotMap(text, from: asked) }
        }
    }

    /// Whatever a server says, a map has only slots that there are, of primaries that it has.
    @Test func brokenMapsStayWithinTheirBounds() {
        var random = SeededGenerator.fresh
        let original = Array(Self.nodes.utf8)
        let pieces = [
            "master", "-", " ", "\n", "0-16383", "16383", "@", ":", ",", "[", "myself,", "fail", "65535", "::1",
        ]
        for _ in 0..<3_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &random)))
                default: bytes.insert(contentsOf: pieces.randomElement(using: &random)!.utf8, at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            guard let map = try? RedisSlotMap(String(decoding: bytes, as: UTF8.self), from: asked) else { continue }
            #expect((1...RedisSlotMap.primaryCountMax).contains(map.primaries.count))
            for slot in stride(from: 0, to: RedisSlot.count, by: 97) {
                if let owner = map.primary(of: UInt16(slot)) { #expect(owner < map.primaries.count) }
            }
            for place in map.primaries {
                #expect(RedisSlotMap.isAddress(place.host) && place.port > 0)
                #expect(!RedisSlotMap.isOfThisMachine(place.host))
            }
        }
    }

    // MARK: Whom to ask

    private func servers(_ prefix: String, _ count: Int) -> [RedisLocation.Server] {
        (0..<count).map { .network(host: prefix + "\($0 + 1)", port: 6379) }
    }

    /// However many servers a map has, and whatever they answer, the URL's own are asked in each attempt.
    @Test(arguments: [(0, 1), (0, 16), (1, 1), (3, 16), (12, 4), (13, 4), (16, 1), (128, 1), (128, 16), (128, 3)])
    func noMapShutsOutTheServersOfTheURL(_ knownCount: Int, _ seedCount: Int) {
        let (known, seeds) = (servers("10.0.0.", knownCount), servers("10.1.0.", seedCount))
        var asked: [RedisLocation.Server] = []
        var firsts: [RedisLocation.Server] = []
        for attempt in 0..<UInt(256) {
            let order = RedisAskingOrder.servers(known: known, seeds: seeds, attempt: attempt)
            let places = RedisAskingOrder.countMax
            #expect(order.count == min(places, knownCount + seedCount))
            #expect(order.filter(seeds.contains).count >= min(seedCount, RedisAskingOrder.seedCountMin))
            for server in order { #expect(order.count { $0 == server } == 1, "each once") }
            firsts.append(order[0])
            if attempt < 16 { asked += order }
        }
        for server in seeds { #expect(asked.contains(server), "within 16 attempts") }
        for server in known + seeds where !known.isEmpty || seedCount > 1 {
            #expect(firsts.contains(server), "each one comes first at times")
        }
    }

    /// Servers that the map has in common with the URL are asked once, and come first at times, too.
    @Test func aServerOfBothIsAskedOnce() {
        let known = servers("10.0.0.", 20)
        for attempt in 0..<UInt(40) {
            let order = RedisAskingOrder.servers(known: known, seeds: Array(known[..<2]), attempt: attempt)
            #expect(order.count == 16)
            for server in order { #expect(order.count { $0 == server } == 1) }
            if attempt % 8 == 7 { #expect(known[..<2].contains(order[0])) }
        }
    }

    /// What a name leads to may take long to be found out: servers that need no such answer are asked before.
    @Test func addressesAreAskedBeforeNames() {
        let (known, seeds) = (servers("10.0.0.", 20), servers("redis-", 3))
        for attempt in 0..<UInt(40) where attempt % 8 != 7 {
            let order = RedisAskingOrder.servers(known: known + servers("other-", 2), seeds: seeds, attempt: attempt)
            #expect(order.prefix(13).allSatisfy(known.contains) && order.suffix(3).allSatisfy(seeds.contains))
        }
        // A map in which a server has the URL's name.
        let order = RedisAskingOrder.servers(known: seeds, seeds: seeds, attempt: 0)
        #expect(order == seeds)
    }

    // MARK: Asking for maps

    @Test func mapsAreNotAskedForAllTheTime() {
        var refresh = RedisClusterRefresh()
        func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }
        func begin(_ now: MonotonicInstant) -> Int64? {
            if case .begin(let instant) = refresh.want(at: now) { instant.nanoseconds / 1_000_000 } else { nil }
        }
        #expect(begin(at(5)) == 5)
        #expect(begin(at(6)) == nil, "one at a time")
        refresh.didEnd(nil, at: at(10))
        #expect(begin(at(11)) == 10 + RedisClusterRefresh.restMilliseconds)
        refresh.didEnd(DriverError(.connectFailed, "x"), at: at(2_000))
        guard case .failed(let error) = refresh.want(at: at(2_050)) else {
            return #expect(Bool(false), "it has to wait")
        }
        #expect(error.details.retryAfterMilliseconds == 50)
        #expect(begin(at(2_100)) == 2_100)
        for round: Int64 in 1...12 {
            refresh.didEnd(DriverError(.connectFailed, "x"), at: at(3_000 * round))
            let wait = min(Int64(100) << min(round, 10), 5_000)
            #expect(begin(at(3_000 * round + wait - 1)) == nil)
            #expect(begin(at(3_000 * round + wait)) == 3_000 * round + wait)
        }
        refresh.didEnd(nil, at: at(90_000))
        #expect(begin(at(95_000)) == 95_000)
    }

    // MARK: Redirections

    @Test func redirectionsAreRead() {
        #expect(RedisRedirection("MOVED 3999 10.0.0.2:6379") == .moved(slot: 3999, host: "10.0.0.2", port: 6379))
        #expect(RedisRedirection("ASK 1 ::1:1") == .ask(slot: 1, host: "::1", port: 1))
        #expect(RedisRedirection("MOVED 3999 :6381") == .moved(slot: 3999, host: "", port: 6381))
        #expect(RedisRedirection("MOVED 3999 ?:6381") == .moved(slot: 3999, host: "?", port: 6381))
        #expect(RedisRedirection("TRYAGAIN Multiple keys request during rehashing of slot") == .tryAgain)
        for text in [
            "The cluster is down", "The cluster is down and only accepts read commands", "Hash slot not served",
        ] {
            #expect(RedisRedirection("CLUSTERDOWN " + text) == .clusterDown)
        }
        for text in [
            "TRYAGAIN", "TRYAGAIN x", "TRYAGAIN Multiple keys request during rehashing of slot.", "CLUSTERDOWN",
            "CLUSTERDOWN x", "CLUSTERDOWN the cluster is down", "MOVED +1 a:1", "MOVED 1 a:+1",
            "", "MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a", "MOVED 1 a:0", "MOVED 1 a:65536",
            "MOVED  1 a:1",
            "MOVED 1 a:1 x", "MOVED 1 /run/s:1", "MOVED 1 127.1:1", "moved 1 a:1", "MOVED 1 a:1\r\n", "ERR MOVED 1 a:1",
            "MOVED 1 \(String(repeating: "a", count: 300)):1",
        ] {
            #expect(RedisRedirection(text) == nil, "\(text)")
        }
    }

    /// Whatever the nodes say, a command comes to an end, is sent to no address that the map has not, and nothing is waited for long.
    @Test func trailsEnd() {
        var random = SeededGenerator.fresh
        for _ in 0..<500 {
            var trail = RedisTrail()
            var stepCount = 0
            var milliseconds: Int64 = 0
            loop: while true {
                stepCount += 1
                let isKnown = Bool.random(using: &random)
                let host = isKnown ? "a" : "evil"
                let told: RedisRedirection =
                    switch Int.random(in: 0..<8, using: &random) {
                    case 0...2: .moved(slot: 7, host: host, port: 1)
                    case 3...5: .ask(slot: 7, host: host, port: 1)
                    case 6: .tryAgain
                    default: .clusterDown
                    }
                switch trail.next(told, slot: 7, sender: "s", node: { host, _ in host == "a" ? 3 : nil }) {
                case .deliver: #expect(Bool(false), "it is of that slot")
                case .send(let node, let isAsking, let mapIsOld):
                    #expect(node == 3 && isKnown && isAsking != mapIsOld)
                case .refresh: #expect(!isKnown)
                case .pause(let more): milliseconds += more
                case .giveUp: break loop
                }
            }
            #expect(stepCount <= RedisTrail.stepCountMax + 1 && milliseconds < 2_000)
        }
    }

    @Test func aNodeIsNotBelievedWhatIsOfAnotherSlot() {
        var trail = RedisTrail()
        let moved = trail.next(.moved(slot: 8, host: "a", port: 1), slot: 7, sender: "", node: { _, _ in 0 })
        let ask = trail.next(.ask(slot: 8, host: "a", port: 1), slot: 7, sender: "", node: { _, _ in 0 })
        #expect(moved == .deliver && ask == .deliver)
        var asked: [String] = []
        _ = trail.next(
            .moved(slot: 7, host: "", port: 1), slot: 7, sender: "s",
            node: { host, _ in
                asked.append(host); return 0
            })
        #expect(asked == ["s"])
    }

    @Test func onlyWhatHasNotHappenedIsSentAgain() {
        var refusals = RedisRefusals()
        #expect(refusals.redirection(isDivisible: false) == nil)
        refusals.note(nil, isError: false, of: .other)
        refusals.note(.tryAgain, isError: true, of: .ofClient)
        #expect(refusals.redirection(isDivisible: true) == .tryAgain)
        refusals.note(.clusterDown, isError: true, of: .ofClient)
        #expect(refusals.redirection(isDivisible: true) == .tryAgain)
        refusals.note(nil, isError: true, of: .ofClient)
        #expect(refusals.redirection(isDivisible: true) == nil && refusals.redirection(isDivisible: false) == .tryAgain)
    }

    /// A server whose EXEC executes something although it has refused a command before is not believed the refusal.
    @Test func whatExecHasExecutedIsNotSentAgain() {
        var refusals = RedisRefusals()
        refusals.note(.tryAgain, isError: true, of: .ofClient)
        refusals.note(nil, isError: true, of: .commit)
        #expect(refusals.redirection(isDivisible: false) == .tryAgain)
        refusals.note(nil, isError: false, of: .commit)
        #expect(refusals.redirection(isDivisible: false) == nil)
        var late = RedisRefusals()
        late.note(nil, isError: false, of: .ofClient)
        late.note(.clusterDown, isError: true, of: .commit)
        #expect(late.redirection(isDivisible: false) == .clusterDown)
        var own = RedisRefusals()
        own.note(.clusterDown, isError: true, of: .other)
        #expect(own.redirection(isDivisible: false) == nil)
    }

    // MARK: Replies

    /// What a server announces reserves nothing, and what it sends is bounded.
    @Test func repliesArePutTogetherFromTheirElements() {
        func element(_ type: chiredis_kind, depth: Int32 = 0, count: Int32 = 0, integer: Int64 = 0) -> chiredis_element
        {
            var element = chiredis_element()
            (element.type, element.depth, element.count, element.integer) = (type, depth, count, integer)
            return element
        }
        var builder = RedisReplyBuilder()
        for one in [
            element(CHIREDIS_ARRAY, count: 3), element(CHIREDIS_INTEGER, depth: 1, integer: 7),
            element(CHIREDIS_ARRAY, depth: 1, count: 2), element(CHIREDIS_NIL, depth: 2),
            element(CHIREDIS_ARRAY, depth: 2),
        ] {
            let hasRoom = builder.take(one)
            #expect(hasRoom && builder.reply == nil)
        }
        let hasRoom = builder.take(element(CHIREDIS_INTEGER, depth: 1, integer: 8))
        #expect(hasRoom)
        #expect(builder.reply == .array([.number(7), .array([.nothing, .array([])]), .number(8)]))
        var endless = RedisReplyBuilder()
        var count = 0
        _ = endless.take(element(CHIREDIS_ARRAY, count: .max))
        while endless.take(element(CHIREDIS_INTEGER, depth: 1)) { count += 1 }
        #expect(count == RedisReplyBuilder.elementCountMax - 1 && endless.reply == nil)
    }
}
