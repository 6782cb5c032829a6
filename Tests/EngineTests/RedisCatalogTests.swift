// What a Redis database holds, found out step by step against a simulated server: bounded whatever it answers.

import Catalog
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RedisEngine

@Suite("The catalog of Redis")
struct RedisCatalogTests {
    private func tree(_ keys: [String]) -> [String: Int64] {
        var tree = RedisKeyTree()
        for key in keys { tree.add(Array(key.utf8)) }
        return Dictionary(
            uniqueKeysWithValues: tree.sorted.map { (String(decoding: $0.name, as: UTF8.self), $0.keyCount) })
    }

    @Test func prefixesAreCounted() {
        #expect(
            tree(["user:1:a", "user:1:b", "user:2", "x", ":", "::a"])
                == ["user:": 3, "user:1:": 2, "x": 1, ":": 2, "::": 1])
        #expect(tree([]) == [:])
    }

    @Test func anOrderOfBytes() {
        var tree = RedisKeyTree()
        for key in ["b:1", "a:2:3", "a:10:3", "a:1"] { tree.add(Array(key.utf8)) }
        #expect(tree.sorted.map { String(decoding: $0.name, as: UTF8.self) } == ["a:", "a:10:", "a:2:", "b:"])
    }

    /// Keys of any shape: the tree stays within its bounds, and no key is lost.
    @Test func theTreeStaysSmall() {
        var generator = SeededGenerator.fresh
        var tree = RedisKeyTree()
        let count = 60_000
        for _ in 0..<count {
            let parts = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                String(Int.random(in: 0...300, using: &generator), radix: 36)
            }
            tree.add(Array(parts.joined(separator: ":").utf8))
        }
        #expect(tree.keyCount == count)
        #expect(tree.sorted.count <= RedisKeyTree.nodeCountMax)
        #expect(tree.hasMore && tree.byteCount < 8 << 20)
        #expect(tree.sorted.allSatisfy { $0.name.count { $0 == UInt8(ascii: ":") } <= RedisKeyTree.depthMax })
        let tops = tree.sorted.filter { $0.name.firstIndex(of: UInt8(ascii: ":")) == $0.name.count - 1 || $0.isKey }
        #expect(tops.count <= RedisKeyTree.childCountMax && tops.reduce(0) { $0 + $1.keyCount } <= count)
    }

    @Test func whatIsNoTextOrTooLongIsCountedAbove() {
        var tree = RedisKeyTree()
        tree.add(Array("a:".utf8) + [0xff, UInt8(ascii: ":"), 1])
        tree.add(Array("a:".utf8) + Array(repeating: 0x61, count: 600) + [UInt8(ascii: ":")])
        tree.add(Array(repeating: 0x61, count: 600))
        #expect(tree.sorted.map(\.keyCount) == [2] && tree.keyCount == 3)
        #expect(tree.sorted[0].hasMore && !tree.hasMore)
    }

    // MARK: The walk

    private let limits = RedisCatalogWalk.Limits(keyCount: 100, scanCount: 20, nanoseconds: 1_000, keysPerScan: 10)

    /// Walks with a server that answers by `reply`: rows of a cursor and a key, or one value.
    /// - Returns: the commands that were sent.
    private func play(
        _ walk: RedisCatalogWalk, nanosecondsPerStep: Int64 = 1, _ reply: (String, RowSink) -> DriverError?
    ) -> [String] {
        var sent: [String] = []
        var now: Int64 = 0
        while let text = walk.next(at: MonotonicInstant(nanoseconds: now)) {
            sent.append(text)
            now += nanosecondsPerStep
            if let error = reply(text, walk.sink), !walk.goesOn(without: error) { return sent }
            if sent.count > 10_000 { break }
        }
        return sent
    }

    @discardableResult
    private func tell(_ cells: [String], to sink: RowSink) -> RowSink.State {
        sink.beginRow()
        for cell in cells { Array(cell.utf8).withUnsafeBytes { sink.text($0) } }
        return sink.endRow()
    }

    private func index(_ walk: RedisCatalogWalk) throws -> CatalogIndex {
        let builder = CatalogBuilder(isCaseSensitive: true, keepsDefinitions: false, byteCountMax: 1 << 24)
        try walk.finish(into: builder)
        return builder.finish()
    }

    @Test func eachPrimaryOfAClusterIsLookedThrough() throws {
        let walk = RedisCatalogWalk(database: 0, limits: .init(nanoseconds: 1_000), isOfCluster: true)
        var asked: [Int?] = []
        let sent = play(walk) { text, sink in
            let node = (sink as? RedisWalkSink)?.node
            asked.append(node)
            guard node != 3 else { return .noSuchNode }
            if text == "DBSIZE" { sink.integer(2) }
            if text.hasPrefix("SCAN 0") { tell(["9", "a:\(node ?? 0)"], to: sink) }
            if text.hasPrefix("SCAN 9") { tell(["0", "b:\(node ?? 0)"], to: sink) }
            return nil
        }
        #expect(asked == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, nil] && walk.isWhole)
        #expect(sent.last == RedisCatalogWalk.documentsText)
        #expect(walk.keys.keyCount == 6)
    }

    /// One that never ends keeps the others from nothing.
    @Test func aPrimaryThatNeverEndsIsLeftForTheNext() throws {
        let walk = RedisCatalogWalk(
            database: 0, limits: .init(scanCount: 64, nanoseconds: 1_000_000), isOfCluster: true)
        var counts: [Int: Int] = [:]
        _ = play(walk) { text, sink in
            guard let node = (sink as? RedisWalkSink)?.node, text != "DBSIZE" else {
                return (sink as? RedisWalkSink)?.node == 3 ? .noSuchNode : nil
            }
            counts[node, default: 0] += 1
            tell([node == 0 ? "7" : "0", "k:\(text.utf8.count)"], to: sink)
            return nil
        }
        #expect(counts == [0: 4, 1: 1, 2: 1] && !walk.isWhole)
    }

    @Test func aClusterWithoutEndIsLeft() {
        let walk = RedisCatalogWalk(database: 0, limits: limits, isOfCluster: true)
        let sent = play(walk) { text, sink in
            if text.hasPrefix("SCAN") { tell(["7", "k:\(text.utf8.count)"], to: sink) }
            return nil
        }
        #expect(sent.filter { $0.hasPrefix("SCAN") }.count <= limits.scanCount && !walk.isWhole)
    }

    @Test func aServerThatNeverEndsIsLeft() throws {
        let walk = RedisCatalogWalk(database: 0, limits: limits)
        let sent = play(walk) { text, sink in
            if text.hasPrefix("SCAN") { tell(["7", "k:\(text.utf8.count)"], to: sink) }
            return nil
        }
        #expect(sent.filter { $0.hasPrefix("SCAN") }.count == limits.scanCount && !walk.isWhole)
        #expect(sent.first == "DBSIZE" && sent.last == RedisCatalogWalk.documentsText)
    }

    @Test func keysAreEnoughAndTheRestIsEstimated() throws {
        let walk = RedisCatalogWalk(database: 3, limits: limits)
        let sent = play(walk) { text, sink in
            if text == "DBSIZE" { sink.integer(1_000) }
            if text.hasPrefix("SCAN") {
                for number in 0..<20 { tell(["9", number % 4 == 0 ? "a:\(number)" : "b:\(number)"], to: sink) }
            }
            if text == "INFO keyspace" {
                tell(["# Keyspace\r\ndb0:keys=4,expires=1\r\ndb3:keys=7,expires=0\r\ndbx:keys=1\r\ndb9\r\n"], to: sink)
            }
            return nil
        }
        #expect(sent.filter { $0 == "SCAN 9 COUNT 10" }.count == 4)
        let index = try index(walk)
        #expect(index.relations.map(\.rowEstimate) == [250, 750])
        #expect(index.namespaces.map { index.string($0.name) } == ["0", "3"])
        #expect(index.namespaces.map(\.isDefault) == [false, true])
        #expect(index.namespaces.map { index.string($0.extra) } == ["{\"keys\":4}", "{\"keys\":1000,\"more\":true}"])
    }

    /// The server chooses the number of all keys, and how many of them SCAN shows: what is made of them has to be a number.
    @Test(
        arguments: [
            (Int64.max, 9_007_199_254_740_992), (9_007_199_254_740_993, 9_007_199_254_740_992),
            (9_007_199_254_740_991, 9_007_199_254_740_991), (1_000_000, 1_000_000), (0, 1), (-1, 1), (Int64.min, 1),
        ] as [(Int64, Int64)])
    func anyNumberOfKeysMayBeTold(_ told: Int64, _ estimate: Int64) throws {
        let walk = RedisCatalogWalk(database: 0, limits: limits)
        var scanCount = 0
        _ = play(walk) { text, sink in
            if text == "DBSIZE" { sink.integer(told) }
            if text.hasPrefix("SCAN") {
                scanCount += 1
                if scanCount == 1 {
                    tell(["1", "a:b:1"], to: sink)
                } else {
                    sink.beginRow()
                    Array("1".utf8).withUnsafeBytes { sink.text($0) }
                    sink.null()
                    _ = sink.endRow()
                }
            }
            if text == "INFO keyspace" {
                tell(["db1:keys=\(told)\r\ndb2:keys=99999999999999999999\r\ndb99999999999999999999:keys=1"], to: sink)
            }
            return nil
        }
        #expect(scanCount == limits.scanCount && !walk.isWhole)
        let index = try index(walk)
        #expect(index.relations.map(\.rowEstimate) == [estimate, estimate])
        let shown = told < 0 ? 0 : min(told, RedisCatalogWalk.sizeMax)
        #expect(
            index.namespaces.map { index.string($0.extra) }
                == ["{\"keys\":\(shown),\"more\":true}", "{\"keys\":\(shown)}", "{\"keys\":0}"])
    }

    /// What a connection makes of a sink that takes no more.
    private let tooMuch = DriverError(.limitExceeded, "Too much.", sqlState: "54000")

    /// A server may answer SCAN with all its keys at once: the first ones are enough, and the rest is estimated.
    @Test func tooManyKeysOfOneScanAreRefused() throws {
        let walk = RedisCatalogWalk(database: 0)
        let countMax = RedisKeySink.rowCountMax
        var taken = 0
        let sent = play(walk) { text, sink in
            if text == "DBSIZE" { sink.integer(Int64(countMax) * 2) }
            guard text.hasPrefix("SCAN") else { return nil }
            // The cursor says that it was all.
            while tell(["0", "a:\(taken)"], to: sink) == .open {
                taken += 1
                if taken > countMax * 2 { return nil }
            }
            #expect(walk.byteCount > countMax * 64)
            return tooMuch
        }
        #expect(taken == countMax && !walk.isWhole && walk.keys.keyCount == Int64(countMax))
        #expect(sent.filter { $0.hasPrefix("SCAN") }.count == 1 && sent.last == RedisCatalogWalk.documentsText)
        #expect(try index(walk).relations.map(\.rowEstimate) == [Int64(countMax) * 2])
    }

    /// hiredis would keep whatever length a server announces in memory.
    @Test func longAndManyValuesAreRefused() throws {
        let walk = RedisCatalogWalk(database: 0, limits: limits)
        var refusedCount = 0
        let sent = play(walk) { text, sink in
            #expect(sink.rowByteCountMax <= 8 << 20)
            if text.hasPrefix("SCAN") {
                tell(["0", "a:1"], to: sink)
                return nil
            }
            guard tell(["1"], to: sink) == .open, tell(["1"], to: sink) == .overflow else { return nil }
            refusedCount += 1
            return tooMuch
        }
        #expect(refusedCount == 3 && sent.count == 4)
        #expect(try index(walk).relations.map(\.rowEstimate) == [1])
        #expect(!RedisCatalogWalkAt.scan().goesOn(without: tooMuch))
    }

    @Test func timeIsBounded() {
        let walk = RedisCatalogWalk(database: 0, limits: limits)
        let sent = play(walk, nanosecondsPerStep: 400) { text, sink in
            if text.hasPrefix("SCAN") { tell(["1", "k"], to: sink) }
            return nil
        }
        #expect(sent.filter { $0.hasPrefix("SCAN") }.count == 2)
    }

    @Test func whatIsRefusedIsLeftOutButNotTheKeys() throws {
        let refused = DriverError(.permissionDenied, "No.", sqlState: "42501")
        let walk = RedisCatalogWalk(database: 0, limits: limits)
        _ = play(walk) { text, sink in
            guard text.hasPrefix("SCAN") else { return refused }
            tell(["0", "a:1"], to: sink)
            return nil
        }
        let index = try index(walk)
        #expect(index.relations.map { index.string($0.name) } == ["a:"] && index.routines.isEmpty)
        #expect(!RedisCatalogWalkAt.scan().goesOn(without: refused))
        let lost = DriverError(.outcomeUnknown, "Lost.", sqlState: "08006")
        #expect(!RedisCatalogWalkAt.size().goesOn(without: lost))
    }

    // MARK: Commands

    private func commands(_ text: String) -> [String] {
        RedisDocuments.commands(Array(text.utf8)).map { $0.syntax.isEmpty ? $0.name : "\($0.name) \($0.syntax)" }
    }

    @Test func commandsAreWrittenAsInTheManual() {
        #expect(
            commands(
                """
                ["set",["summary","Sets","arguments",[["name","key","type","key"],["name","value","type","string"],
                ["name","condition","type","oneof","flags",[{"ok":"optional"}],"arguments",[["name","nx","type","pure-token","token","NX"],
                ["name","xx","type","pure-token","token","XX"]]],["name","expiration","type","oneof","flags",["optional"],"arguments",
                [["name","seconds","type","integer","token","EX"],["name","keepttl","type","pure-token","token","KEEPTTL"]]]]],
                "config",["summary","c","subcommands",["config|get",["arguments",[["name","parameter","type","string","flags",[{"ok":"multiple"}]]]],
                "config|help",[]]],"time",{}]
                """.split(separator: "\n").joined()) == [
                    "CONFIG GET parameter [parameter ...]", "CONFIG HELP",
                    "SET key value [NX | XX] [EX seconds | KEEPTTL]", "TIME",
                ])
        #expect(
            commands(
                [
                    #"["x",["arguments",[["name","order","type","oneof","arguments",["#,
                    #"["name","a","type","pure-token","token","A"],["name","b","type","block","token","B","arguments","#,
                    #"[["name","lower bound","type","integer"],["name","upper","type","integer"]]]]],"#,
                    #"["name","p","type","pattern","token","GET","flags",["optional","multiple","multiple_token"]]]]]"#,
                ].joined()
            ) == ["X <A | B lower-bound upper> [GET p [GET p ...]]"])
    }

    @Test func whatIsUnderstoodOfExtra() {
        let command = RedisDocuments.commands(
            Array(
                #"["get",["summary","Say \"it\"","since","1.0.0","group","string","complexity","O(1)","history",[["7","x"]]]]"#
                    .utf8)
        ).first
        #expect(command?.summary == #"Say "it""#)
        #expect(command?.extra == #"{"group":"string","since":"1.0.0","complexity":"O(1)"}"#)
    }

    /// Blocks that may be repeated are written twice each: fifteen of them, one in the other, would write 32,768 values.
    @Test func nestedRepetitionsAreNoText() {
        func nested(_ count: Int) -> RedisDocument {
            var document = RedisDocument.list([.text("name"), .text("value")])
            for _ in 0..<count {
                document = .list([
                    .text("type"), .text("block"), .text("flags"), .list([.text("multiple")]), .text("arguments"),
                    .list([document]),
                ])
            }
            return document
        }
        #expect(RedisDocuments.argument(nested(1), depth: 0) == "value [value ...]")
        #expect(RedisDocuments.argument(nested(15), depth: 0) == nil)
        let long = String(repeating: "n", count: RedisDocuments.syntaxByteCountMax)
        #expect(RedisDocuments.argument(.list([.text("name"), .text(long)]), depth: 0) == long)
        #expect(RedisDocuments.argument(.list([.text("name"), .text(long + "n")]), depth: 0) == nil)
        #expect(
            commands(#"["x",["arguments",[["name","a"],["name","\#(long)"]]],"y",["arguments",[["name","a"]]]]"#) == [
                "X", "Y a",
            ])
    }

    /// Two bytes of text make a value, which takes more than that.
    @Test func tooManyValuesAreNoDocument() {
        func list(_ count: Int) -> [UInt8] {
            Array("[\(String(repeating: "1,", count: count - 1))1]".utf8)
        }
        #expect(RedisDocumentReader.read(list(1_000)).items.count == 1_000)
        #expect(RedisDocumentReader.read(list(RedisDocumentReader.valueCountMax)) == .other)
    }

    /// By the name of the command, whatever comes behind it.
    @Test(arguments: [
        ("flushall", true), ("FlushDB ASYNC", true), ("\"SWAPDB\" 0 1", true), ("  DEBUG RELOAD", true),
        ("DEL flushall", false),
        ("GET \"", false), ("", false), ("'", false), ("DEL " + String(repeating: "a", count: 100_000), false),
        ("FLUSHALL" + String(repeating: " ", count: 100_000), true),
        (String(repeating: " ", count: 100_000) + "FLUSHALL", true),
    ])
    func whatMayChangeIt(_ command: String, _ mayChange: Bool) {
        #expect(Array(command.utf8).withUnsafeBytes { RedisCatalog().mayChange($0) } == mayChange)
    }

    /// Anything may be the reply.
    @Test func brokenDocuments() {
        let whole = Array(
            #"["a",["summary","s","arguments",[["name","k","type","key","flags",[{"ok":"multiple"}]]]],"b",{}]"#.utf8)
        for end in 0...whole.count { _ = RedisDocuments.commands(Array(whole[..<end])) }
        var generator = SeededGenerator.fresh
        for _ in 0..<2_000 {
            var text = whole
            let marks = Array("[]{}\",:\\u0x".utf8)
            for _ in 0..<3 {
                let mark = marks[Int.random(in: 0..<marks.count, using: &generator)]
                text[Int.random(in: 0..<text.count, using: &generator)] = mark
            }
            _ = RedisDocuments.commands(text)
        }
        #expect(RedisDocuments.commands(Array(repeating: UInt8(ascii: "["), count: 100_000)).isEmpty)
    }
}

/// Walks that wait for the reply to one of their statements.
private enum RedisCatalogWalkAt {
    static func size() -> RedisCatalogWalk {
        let walk = RedisCatalogWalk(database: 0)
        _ = walk.next(at: MonotonicInstant(nanoseconds: 0))
        return walk
    }
    static func scan() -> RedisCatalogWalk {
        let walk = size()
        _ = walk.next(at: MonotonicInstant(nanoseconds: 0))
        return walk
    }
}
