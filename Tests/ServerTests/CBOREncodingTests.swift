// An encoding and a framing that the daemon does not have are registered, and a real server speaks them: nothing of it is written
// for two encodings. CBOREncoding.swift is all that they are.

import ByteBuffers
import DatabaseContract
import Glibc
import LinuxSystem
import LiteBaseTesting
import Synchronization
import Testing
import WireProtocol

@testable import Server

@Suite("An encoding from outside")
struct CBOREncodingTests {
    private static let item = Framing(CBORItemFraming.self)
    private static let cbor = WireEncoding(CBORFormat.self)

    private static func harness(
        store: (any DescriptorStore)? = nil, kept: [NamedDescriptor] = []
    ) throws -> ServerHarness {
        try ServerHarness(
            engines: EngineRegistry([.toy]), url: "toy:counter", formats: .withCBOR, store: store, kept: kept)
    }

    /// A request as a client sends it.
    private static func request(
        _ type: RequestType, _ id: RequestID, in framing: Framing = item,
        _ data: (inout MessageWriter, inout ByteBuffer) -> Void = { _, _ in }
    ) -> [UInt8] {
        var output = ByteBuffer()
        var writer = MessageWriter(encoding: cbor, framing: framing)
        writer.begin(type: type, id: id, into: &output)
        data(&writer, &output)
        writer.end(into: &output)
        return Array(output.readable)
    }

    private static func query(_ sql: String, _ id: Int64) -> [UInt8] {
        request(QueryRequest.type, .integer(id)) { $0.field("sql", sql, into: &$1) }
    }

    /// The next reply, as a text.
    private static func reply(_ client: RawClient) throws -> String {
        let head = try #require(client.take(7))
        #expect(head[..<3] == [0xd8, 24, 0x5a])
        let byteCount = head[3...].reduce(0) { $0 << 8 | Int($1) }
        return try shown(try #require(client.take(byteCount)))
    }

    private static func shown(_ body: [UInt8]) throws -> String {
        let message = try CBORFormatTests.translated(body)
        return try message.withUnsafeBytes { bytes in
            var reader = MessagePackReader(bytes)
            let text = try shown(&reader)
            #expect(reader.isAtEnd)
            return text
        }
    }

    private static func shown(_ reader: inout MessagePackReader) throws -> String {
        switch try reader.next() {
        case .null: return "null"
        case .bool(let value): return "\(value)"
        case .integer(let value): return "\(value)"
        case .unsigned(let value): return "\(value)"
        case .real(let value): return "\(value)"
        case .text(let text): return String(decoding: text, as: UTF8.self)
        case .binary(let bytes): return "\(Array(bytes))"
        case .ext: return "?"
        case .array(let count):
            var parts: [String] = []
            for _ in 0..<count { parts.append(try shown(&reader)) }
            return "[" + parts.joined(separator: ",") + "]"
        case .map(let count):
            var parts: [String] = []
            for _ in 0..<count { parts.append("\(try shown(&reader)):\(try shown(&reader))") }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    // MARK: Through a server

    @Test func healthIsTold() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        // In one piece, so that the later ones come from the template of the turn.
        let ids: [RequestID] = [.integer(-1), .unsigned(.max), .integer(70_000)]
        client.send(ids.flatMap { Self.request(HealthRequest.type, $0) })
        for id in ["-1", "18446744073709551615", "70000"] {
            let reply = try Self.reply(client)
            #expect(reply.hasPrefix("{id:\(id),type:health_response,timestamp:"), "\(reply)")
            #expect(reply.contains("data:{status:healthy,version:test,protocol:1,"), "\(reply)")
        }
    }

    @Test func rowsAreStreamed() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        // The second has the columns that were kept in another form, if there are any.
        for id in 1...2 as ClosedRange<Int64> {
            client.send(Self.query("count 2500", id))
            let replies = try (0..<3).map { _ in try Self.reply(client) }
            #expect(replies[0].contains("columns:[{name:n,type:integer,declared_type:null}],rows:[[1],[2],"))
            #expect(replies[0].contains("[1000]],more:true}}") && replies[1].contains("rows:[[1001],"))
            #expect(replies[2].contains("[2500]],more:false,row_count:2500,"), "\(replies[2].suffix(200))")
        }
        // Page by page.
        client.send(
            Self.request(QueryRequest.type, .integer(3)) {
                $0.field("sql", "count 3", into: &$1)
                $0.field("page_rows", 2 as Int64, into: &$1)
            })
        #expect(try Self.reply(client).contains("rows:[[1],[2]],more:true"))
        client.send(Self.request(FetchRequest.type, .integer(4)) { $0.field("request", 3 as Int64, into: &$1) })
        #expect(try Self.reply(client).contains("rows:[[3]],more:false"))
    }

    @Test func errorsAreTold() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        client.send(Self.query("SELECT 1", 1))
        let reply = try Self.reply(client)
        for part in ["{id:1,type:error,", "code:syntax_error", "A toy counts or waits.", "sqlstate:42601"] {
            #expect(reply.contains(part), "\(part): \(reply)")
        }
        // A worker decodes what is long.
        client.send(Self.query("count 1" + String(repeating: " ", count: 2 * LongRequest.byteCountMin), 2))
        #expect(try Self.reply(client).contains("rows:[[1]],more:false"))
        // A map that has no end, one that breaks off, and what is no map: the connection goes on.
        for (body, words) in [
            ([0xbf, 0xff], "an item of a known length"), ([0xa1, 0x61], "ends before its last value"),
            ([0x00], "An item holds no CBOR map."),
        ] as [([UInt8], String)] {
            client.send([0xd8, 24, 0x5a, 0, 0, 0, UInt8(body.count)] + body)
            let refusal = try Self.reply(client)
            #expect(refusal.contains("{id:null,type:error,") && refusal.contains("code:bad_frame"), "\(refusal)")
            #expect(refusal.contains(words), "\(refusal)")
        }
        // One that is too long ends it.
        client.send([0xd8, 24, 0x5a, 0xff, 0xff, 0xff, 0xff])
        #expect(try Self.reply(client).contains("code:frame_too_large"))
        #expect(client.take(1) == nil)
    }

    /// Others are spoken beside it, on one connection where the framing allows that.
    @Test func othersAreSpokenBesideIt() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let lines = try harness.client()
        #expect(lines.ask(#"{"id":1,"type":"health_check"}"#)?.contains("healthy") == true)
        let client = try harness.client()
        let json = Array(#"{"id":1,"type":"health_check"}"#.utf8)
        client.send([0, 0, 0, UInt8(json.count)] + json)
        client.send(Self.request(HealthRequest.type, .integer(2), in: .lengthPrefixed))
        let bodies = try (0..<2).map { _ in
            let byteCount = try #require(client.take(4)).reduce(0) { $0 << 8 | Int($1) }
            return try #require(client.take(byteCount))
        }
        #expect(bodies[0].starts(with: #"{"id":1,"type":"health_response""#.utf8))
        #expect(try Self.shown(bodies[1]).hasPrefix("{id:2,type:health_response,"))
    }

    /// A server that was not told of it refuses it.
    @Test func nobodyElseSpeaksIt() throws {
        let harness = try ServerHarness()
        defer { harness.stop() }
        let client = try harness.client()
        client.send(Self.request(HealthRequest.type, .integer(1)))
        #expect(client.line()?.contains("The first byte, 216, starts neither") == true)
    }

    // MARK: From process to process

    /// Keeps nothing but the table, in which it can be read what a later process would be told.
    private final class TableStore: DescriptorStore {
        private let file = Mutex<Int32?>(nil)

        func keep(_ descriptor: Int32, name: String, isWatched: Bool) {
            if KeptName(name) == .table { file.withLock { $0 = dup(descriptor) } }
        }
        func forget(name: String) {}
        func flush() {}

        func table() -> HandoverTable? {
            let file = file.withLock { $0.take() }
            return file.flatMap { HandoverTable(formerProcess: OwnedDescriptor($0)) }
        }
    }

    @Test func whereItStandsIsWrittenDown() throws {
        let store = TableStore()
        let harness = try Self.harness(store: store)
        defer { harness.stop() }
        let client = try harness.client()
        client.send(Self.request(HelloRequest.type, .integer(1)) { $0.field("notices", true, into: &$1) })
        _ = try Self.reply(client)
        client.send(Self.query("wait", 8))
        let table = try #require(store.table())
        let slot = try #require((0..<table.slotCount).compactMap(table.slot).first { $0.state != .free })
        // It is written when the turn ends.
        for _ in 0..<20_000 where slot.state != .known || slot.unanswered?.isEmpty != false { usleep(1_000) }
        #expect(slot.framing == Self.item.number && slot.noticeEncoding == Self.cbor.number)
        #expect(slot.unanswered?.map(\.encoding) == [Self.cbor.number])
        #expect(slot.unanswered?.map(\.id) == [.integer(8)])
        client.send(Self.request(CancelRequest.type, .integer(9)) { $0.field("request", 8 as Int64, into: &$1) })
        #expect(try Self.reply(client).contains("code:cancelled"))
        #expect(try Self.reply(client).contains("cancelled:true"))
        withExtendedLifetime(table) {}
    }

    /// What a former process has left of a connection, and the client's end of it.
    private static func kept(_ encoding: FormatNumber) throws -> ([NamedDescriptor], RawClient) {
        let table = try HandoverTable(slotCount: 2)
        let slot = try #require(table.take(number: 5))
        slot.record(
            framing: item.number, int64Style: .tagged, noticeEncoding: nil, sessionCount: 0, requestCount: 1
        ) { _ in UnansweredRequest(id: .integer(7), encoding: encoding) }
        var ends: [Int32] = [-1, -1]
        let result = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &ends)
        try #require(result == 0)
        _ = fcntl(ends[1], F_SETFL, 0)
        let descriptors = [
            NamedDescriptor(OwnedDescriptor(dup(table.memory.descriptorNumber)), name: KeptName.table.text),
            NamedDescriptor(
                OwnedDescriptor(ends[0]), name: KeptName.client(slot: slot.index, number: 5).text),
        ]
        return (descriptors, RawClient(socket: ends[1]))
    }

    @Test func aLaterProcessGoesOn() throws {
        let (kept, client) = try Self.kept(Self.cbor.number)
        let harness = try Self.harness(store: TableStore(), kept: kept)
        defer { harness.stop() }
        let reply = try Self.reply(client)
        #expect(reply.hasPrefix("{id:7,type:error,") && reply.contains("code:outcome_unknown"), "\(reply)")
        client.send(Self.query("count 2", 8))
        #expect(try Self.reply(client).contains("rows:[[1],[2]],more:false"))
    }

    /// Nor does a process that does not speak it, and one whose framing cannot hold it.
    @Test func aLaterProcessWithoutItCloses() throws {
        let (kept, client) = try Self.kept(Self.cbor.number)
        let former = FormerProcess(kept, FormatList.standard.makeTable())
        #expect(former.connections.isEmpty && former.closedCount == 1)
        #expect(client.take(1) == nil)
        let (mixed, second) = try Self.kept(WireEncoding.messagePack.number)
        #expect(FormerProcess(mixed, FormatList.withCBOR.makeTable()).closedCount == 1)
        #expect(second.take(1) == nil)
    }
}

@Suite struct CBORFormatTests {
    /// A message as MessagePack.
    static func translated(_ body: [UInt8]) throws -> [UInt8] {
        var message = ByteBuffer()
        var failure: DecodeError?
        body.withUnsafeBytes { bytes in
            do throws(DecodeError) {
                try CBORFormat.translate(bytes, into: &message)
            } catch {
                failure = error
            }
        }
        let output = Array(message.readable)
        guard let failure else { return output }
        #expect(output.isEmpty, "what is refused leaves nothing behind")
        throw failure
    }

    private static let ones = [UInt8](repeating: 0xff, count: 8)
    /// Items and the MessagePack that they stand for.
    /// - Source: RFC 8949, appendix A
    private static let examples: [(cbor: [UInt8], messagePack: [UInt8])] = [
        ([0xa1, 0x61, 0x62, 0x82, 0x02, 0x03], [0x81, 0xa1, 0x62, 0x92, 0x02, 0x03]),
        ([0x39, 0x03, 0xe7], [0xd1, 0xfc, 0x18]),
        ([0x18, 0x64], [0x64]),
        ([0x1b] + ones, [0xcf] + ones),
        ([0x62, 0xc3, 0xbc], [0xa2, 0xc3, 0xbc]),
        ([0x44, 1, 2, 3, 4], [0xc4, 4, 1, 2, 3, 4]),
        ([0xf6], [0xc0]),
        ([0xf5], [0xc3]),
        ([0xf9, 0x3e, 0x00], [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
        ([0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0], [0xce, 0x51, 0x4b, 0x67, 0xb0]),
    ]

    @Test func itemsBecomeMessagePack() throws {
        for example in Self.examples {
            let found = try Self.translated(example.cbor)
            #expect(found == example.messagePack, "\(example.cbor)")
        }
    }

    /// Each beginning of a message is refused; so is what follows one, what no integer holds, and what nests without end.
    @Test func whatIsBrokenIsRefused() {
        let whole: [UInt8] = [0xa1, 0x61, 0x61, 0x82, 0x44, 1, 2, 3, 4, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0]
        var broken: [[UInt8]] = (0..<whole.count).map { Array(whole[..<$0]) }
        broken.append(whole + [0])
        broken.append([0x3b] + Self.ones)
        broken.append([0x9b] + Self.ones)
        broken.append([UInt8](repeating: 0x81, count: 100_000))
        broken.append([UInt8](repeating: 0xc1, count: 100_000))
        for body in broken {
            #expect(throws: DecodeError.self, "\(body.prefix(20))") { try Self.translated(body) }
        }
    }

    private static func written(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
        var output = ByteBuffer()
        body(&output)
        return Array(output.readable)
    }

    /// - Source: RFC 8949, appendix A
    @Test func valuesAreWritten() {
        let negative = Self.written { CBORFormat.appendInteger(-1000, style: .number, into: &$0) }
        #expect(negative == [0x39, 0x03, 0xe7])
        let small = Self.written { CBORFormat.appendInteger(23, style: .number, into: &$0) }
        #expect(small == [0x17])
        let million = Self.written { CBORFormat.appendInteger(1_000_000, style: .number, into: &$0) }
        #expect(million == [0x1a, 0, 0x0f, 0x42, 0x40])
        let real = Self.written { CBORFormat.appendReal(1.1, into: &$0) }
        #expect(real == [0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a])
        let text = Self.written { CBORFormat.appendKey("IETF", into: &$0) }
        #expect(text == [0x64, 0x49, 0x45, 0x54, 0x46])
    }
}

@Suite struct FormatListTests {
    /// The tests of the protocol and the fuzzers go by the same list.
    @Test func everyFormatIsTested() {
        let table = FormatList.standard.makeTable()
        #expect(table.encodings == WireFormats.all.encodings && table.framings == WireFormats.all.framings)
    }

    /// They are in memory that a later version reads.
    @Test func numbersStayWhatTheyAre() {
        #expect(WireEncoding.messagePack.number.rawValue == 0 && WireEncoding.json.number.rawValue == 1)
        #expect(Framing.lines.number.rawValue == 0 && Framing.lengthPrefixed.number.rawValue == 1)
    }
}
