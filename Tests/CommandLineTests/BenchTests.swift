import ByteBuffers
import LinuxSystem
import LiteBaseTesting
import Testing
import WireProtocol

@testable import LiteBaseClient
@testable import litebase

@Suite("Load of bench")
struct BenchTests {
    // MARK: Parameters

    @Test(arguments: [
        ("int:1..10", RandomParameter.integer(1...10)), ("int:-5..-5", .integer(-5 ... -5)),
        ("real:-1.5..2", .real(-1.5...2)), ("text:16", .text(byteCount: 16)), ("blob:0", .blob(byteCount: 0)),
        ("serial:-3", .serial(from: -3)),
    ])
    func readsParameters(word: String, parameter: RandomParameter) throws {
        #expect(try RandomParameter(word) == parameter)
    }

    @Test(arguments: [
        "", "int", "int:", "int:1", "int:1..", "int:2..1", "int:1...2", "int:1..2..3", "real:0..inf", "real:nan..1",
        "text:-1", "text:1048577", "text:x", "serial:", "uuid:1", "int :1..2",
    ])
    func refusesOtherParameters(word: String) {
        #expect(throws: UsageError.self) { try RandomParameter(word) }
    }

    @Test func valuesAreInTheirRanges() throws {
        let seed = UInt64.random(in: 0 ... .max)
        let parameters: [RandomParameter] = [
            .integer(.min ... .max), .integer(-2...2), .real(-1...1), .text(byteCount: 21), .blob(byteCount: 9),
            .serial(from: 5),
        ]
        let template = RequestTemplate.query("SELECT ?", parameters, database: "x")
        var source = ParameterSource(seed: seed, threadIndex: 1, threadCount: 3)
        var small: Set<Int64> = []
        for round in 0..<200 {
            var frame = ByteBuffer()
            frame.append(7)  // A request need not stand at the beginning of the buffer.
            template.append(id: UInt32(round), &source, into: &frame)
            frame.consume(1)
            let values = try Self.parameters(of: frame.readable, id: Int64(round))
            guard case .integer = values[0], case .integer(let second) = values[1], case .real(let third) = values[2],
                case .text(let text) = values[3], case .blob(let blob) = values[4], case .integer(let last) = values[5]
            else {
                Issue.record("seed \(seed): \(values)")
                return
            }
            small.insert(second)
            #expect(abs(second) <= 2 && abs(third) <= 1, "seed \(seed)")
            #expect(
                text.utf8.count == 21
                    && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x32...0x37).contains($0) })
            #expect(blob.count == 9)
            #expect(last == 5 + 1 + 3 * Int64(round))
        }
        #expect(small.count == 5, "seed \(seed)")
    }

    /// What a server reads of a request: the parameters of a frame that holds exactly one message.
    private static func parameters(of frame: UnsafeRawBufferPointer, id: Int64) throws -> [Value] {
        let length = frame.loadUnaligned(as: UInt32.self).bigEndian
        #expect(Int(length) == frame.count - 4)
        var reader = MessagePackReader(UnsafeRawBufferPointer(rebasing: frame[4...]))
        var values: [Value] = []
        for _ in 0..<(try reader.readMap("message")) {
            let key = String(decoding: try reader.readText("key"), as: UTF8.self)
            if key == "id" {
                guard case .integer(id) = try reader.next() else { throw UsageError("another id") }
            } else if key == "data" {
                for _ in 0..<(try reader.readMap("data")) {
                    guard try reader.readText("key").equals("params") else {
                        try reader.skip()
                        continue
                    }
                    for _ in 0..<(try reader.readArray("params")) {
                        switch try reader.next() {
                        case .integer(let number): values.append(.integer(number))
                        case .real(let number): values.append(.real(number))
                        case .text(let text): values.append(.text(String(decoding: text, as: UTF8.self)))
                        case .binary(let bytes): values.append(.blob(Array(bytes)))
                        default: throw UsageError("another kind of value")
                        }
                    }
                }
            } else {
                try reader.skip()
            }
        }
        #expect(reader.isAtEnd)
        return values
    }

    // MARK: Replies

    private static func reply(
        _ type: StaticString, id: RequestID = .integer(9), _ fields: (inout MessageWriter, inout ByteBuffer) -> Void
    ) throws -> (ScannedReply, (code: String, message: String)) {
        var writer = MessageWriter(encoding: .messagePack, framing: .lengthPrefixed)
        var frame = ByteBuffer()
        writer.begin(type: type, id: id, timestamp: WireTimestamp(nanosecondsSince1970: 0), into: &frame)
        fields(&writer, &frame)
        writer.end(into: &frame)
        let body = UnsafeRawBufferPointer(rebasing: frame.readable[4...])
        return (try ScannedReply(body), ScannedReply.error(in: body))
    }

    @Test(arguments: [true, false])
    func seesWhetherMoreFollows(more: Bool) throws {
        let (reply, _) = try Self.reply("query_response") { writer, frame in
            writer.key("rows", into: &frame)
            writer.beginArray(into: &frame)
            writer.beginArray(into: &frame)
            // A value that looks like the end of a frame with more to come.
            writer.text("more", into: &frame)
            writer.bool(true, into: &frame)
            writer.endArray(into: &frame)
            writer.endArray(into: &frame)
            writer.key("more", into: &frame)
            writer.bool(more, into: &frame)
            writer.key("row_count", into: &frame)
            writer.integer(300, into: &frame)
        }
        #expect(reply.id == 9 && reply.isLast == !more && reply.rowCount == 300 && !reply.isError)
    }

    @Test func seesErrors() throws {
        let (reply, error) = try Self.reply("error") { writer, frame in
            writer.key("code", into: &frame)
            writer.text("busy", into: &frame)
            writer.key("message", into: &frame)
            writer.text("Locked.", into: &frame)
        }
        #expect(reply.isError && reply.isLast && reply.id == 9)
        #expect(error.code == "busy" && error.message == "Locked.")
    }

    @Test func anIdOfAnotherKindIsNone() throws {
        #expect(try Self.reply("health_response", id: .none) { _, _ in }.0.id == nil)
        #expect(try Self.reply("health_response", id: .integer(-1)) { _, _ in }.0.id == nil)
    }

    // MARK: Plans and reports

    @Test func sharesAddUp() {
        var plan = LoadPlan(
            template: .healthCheck, extent: .requests(1001), warmUpNanoseconds: 0, connectionCount: 7, pipelineDepth: 1,
            threadCount: 3, seed: 1)
        #expect((0..<3).map(plan.connectionCount(ofThread:)) == [3, 2, 2])
        #expect((0..<3).map { plan.requestCount(ofThread: $0) } == [334, 334, 333])
        plan.extent = .nanoseconds(1)
        #expect(plan.requestCount(ofThread: 0) == nil)
    }

    @Test func figuresReadWell() {
        #expect(BenchReport.rate(0) == "0.0/s")
        #expect(BenchReport.rate(812.4) == "812/s")
        #expect(BenchReport.rate(120_940) == "120.9 k/s")
        #expect(BenchReport.rate(2_500_000) == "2.50 M/s")
        #expect(BenchReport.bytes(999) == "999 B/s")
        #expect(BenchReport.bytes(1_500_000) == "1.5 MB/s")
        #expect(BenchReport.duration(1_250_000) == "1.25 ms")
        #expect(BenchReport.duration(2_500_000_000) == "2.50 s")
        #expect(BenchReport.decimal(0.05, 2) == "0.05")
        #expect(BenchReport.decimal(-1.25, 1) == "-1.3")
    }
}

@Suite("View of top")
struct TopTests {
    private static func sample(pid: Int64 = 1, uptime: Int64, queries: Int64, at seconds: Int64) throws -> TopSample {
        let stats: [(key: String, value: StructuredValue)] = [
            ("uptime_ms", .value(.integer(uptime))),
            ("requests", .map([("query", .value(.integer(queries))), ("stats", .value(.integer(3)))])),
        ]
        return TopSample(
            health: Health(.map([("pid", .value(.integer(pid)))])), stats: .map(stats), activity: nil,
            time: MonotonicInstant(nanoseconds: seconds * 1_000_000_000))
    }

    @Test func ratesAreDifferences() throws {
        let first = try Self.sample(uptime: 1000, queries: 100, at: 10)
        let second = try Self.sample(uptime: 3000, queries: 150, at: 12)
        let rates = try #require(TopRates(from: first, to: second))
        #expect(rates.requests.map(\.name) == ["query"])
        #expect(rates.requestTotal == 25)
    }

    @Test func anotherProcessHasNoRatesYet() throws {
        let first = try Self.sample(uptime: 9000, queries: 100, at: 10)
        #expect(TopRates(from: first, to: try Self.sample(pid: 2, uptime: 9500, queries: 150, at: 12)) == nil)
        #expect(TopRates(from: first, to: try Self.sample(uptime: 100, queries: 150, at: 12)) == nil)
    }

    @Test func agesReadWell() {
        #expect(TopView.age(.milliseconds(12)) == "12 ms")
        #expect(TopView.age(.milliseconds(3449)) == "3.4 s")
        #expect(TopView.age(.seconds(302)) == "5 min 2 s")
    }
}
