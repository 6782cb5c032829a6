// Whole messages, byte by byte.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct MessageWriterTests {
    static let time = WireTimestamp(nanosecondsSince1970: 1_795_385_638_123_456_789)

    static func healthReply(_ encoding: WireEncoding, _ framing: Framing) -> [UInt8] {
        appended { output in
            var writer = MessageWriter(encoding: encoding, framing: framing)
            writer.begin(type: HealthRequest.type.replyName, id: .integer(1), timestamp: time, into: &output)
            writer.key("status", into: &output)
            writer.text("healthy", into: &output)
            writer.key("list", into: &output)
            writer.beginArray(into: &output)
            writer.integer(1, into: &output)
            writer.beginMap(into: &output)
            writer.endMap(into: &output)
            writer.endArray(into: &output)
            writer.end(into: &output)
        }
    }

    @Test func jsonLine() {
        let line = """
            {"id":1,"type":"health_response","timestamp":"2026-11-22T22:13:58.123456Z",\
            "data":{"status":"healthy","list":[1,{}]}}

            """
        #expect(String(decoding: Self.healthReply(.json, .lines), as: UTF8.self) == line)
        let frame = Self.healthReply(.json, .lengthPrefixed)
        #expect(frame == [0, 0, 0, UInt8(line.utf8.count - 1)] + Array(line.utf8.dropLast()))
    }

    @Test func messagePackFrame() {
        let body = joined(
            [0xde, 0, 4, 0xa2], utf8("id"), [0x01, 0xa4], utf8("type"), [0xaf], utf8("health_response"),
            [0xa9], utf8("timestamp"), [0xd7, 0xff, 0x1d, 0x6f, 0x34, 0x54, 0x6b, 0x03, 0x69, 0x26],
            [0xa4], utf8("data"), [0xde, 0, 2, 0xa6], utf8("status"), [0xa7], utf8("healthy"),
            [0xa4], utf8("list"), [0xdd, 0, 0, 0, 2, 0x01, 0xde, 0, 0])
        #expect(Self.healthReply(.messagePack, .lengthPrefixed) == [0, 0, 0, UInt8(body.count)] + body)
    }

    @Test func requestsHaveNoTimestamp() throws {
        let bytes = appended { output in
            var writer = RequestWriter(encoding: .messagePack, framing: .lengthPrefixed)
            writer.begin(type: QueryRequest.type, id: .unsigned(.max), into: &output)
            writer.key("sql", into: &output)
            writer.text("SELECT 1", into: &output)
            writer.end(into: &output)
        }
        let expected = Value.dictionary([
            "id": .unsigned(.max), "type": .string("query"), "data": .dictionary(["sql": .string("SELECT 1")]),
        ])
        #expect(try Value(messagePack: Array(bytes.dropFirst(4))) == expected)
    }

    /// Bytes that are not UTF-8 are never altered: they go as a blob.
    @Test func textThatIsNotUTF8() throws {
        for encoding in [WireEncoding.json, .messagePack] {
            let bytes = appended { output in
                var writer = MessageWriter(encoding: encoding, framing: .lengthPrefixed)
                writer.begin(type: "x", id: .none, timestamp: Self.time, into: &output)
                writer.key("v", into: &output)
                withBytes([0x61, 0xff]) { writer.text($0, into: &output) }
                writer.end(into: &output)
            }
            let body = Array(bytes.dropFirst(4))
            let message = try Value(messagePack: encoding == .json ? transcoded(body) : body)
            #expect(message["data"]?["v"] == .binary([0x61, 0xff]))
            #expect(message["id"] == .null)
        }
    }

    /// Rows are written by their caller, between other frames in the same buffer.
    @Test(arguments: [WireEncoding.json, .messagePack])
    func preparedAndEncodedValues(encoding: WireEncoding) throws {
        let bytes = appended { output in
            var writer = MessageWriter(encoding: encoding, framing: .lengthPrefixed)
            writer.begin(type: "query_response", id: .integer(1), timestamp: Self.time, into: &output)
            writer.key("columns", into: &output)
            let columns = encoding == .json ? Array("[{}]".utf8) : [0x91, 0x80]
            columns.withUnsafeBytes { writer.encoded($0, into: &output) }
            writer.key("rows", into: &output)
            writer.beginArray(into: &output)
            for row in 0..<3 {
                writer.prepareValue(into: &output)
                if encoding == .json {
                    output.append("[\(row)]")
                } else {
                    output.appendMessagePackArrayHeader(1)
                    output.appendMessagePackInteger(Int64(row))
                }
            }
            writer.endArray(into: &output)
            #expect(writer.byteCount(in: output) == output.count)
            writer.end(into: &output)
        }
        let body = Array(bytes.dropFirst(4))
        let message = try Value(messagePack: encoding == .json ? transcoded(body) : body)
        #expect(message["data"]?["columns"] == .array([.map([])]))
        #expect(message["data"]?["rows"] == .array((0..<3).map { .array([.integer($0)]) }))
    }

    @Test func abandonedMessageLeavesTheOnesBefore() {
        let bytes = appended { output in
            var writer = MessageWriter(encoding: .json, framing: .lines)
            writer.begin(type: "a", id: .none, timestamp: Self.time, into: &output)
            writer.end(into: &output)
            let whole = output.count
            writer.begin(type: "b", id: .none, timestamp: Self.time, into: &output)
            writer.key("rows", into: &output)
            writer.beginArray(into: &output)
            #expect(writer.frameStart == whole)
            writer.abandon(in: &output)
            #expect(output.count == whole)
            writer.begin(type: "c", id: .none, timestamp: Self.time, into: &output)
            writer.end(into: &output)
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].contains("\"a\"") && lines[1].contains("\"c\""))
    }

    @Test func keysOfAllKinds() throws {
        let bytes = appended { output in
            var writer = MessageWriter(encoding: .json, framing: .lines)
            writer.begin(type: "a", id: .none, timestamp: Self.time, into: &output)
            writer.key("quo\"te" as String, into: &output)
            writer.bool(true, into: &output)
            withBytes([0x61, 0xff]) { writer.key($0, into: &output) }
            writer.null(into: &output)
            writer.end(into: &output)
        }
        let message = try Value(messagePack: transcoded(bytes))
        #expect(message["data"] == .dictionary(["quo\"te": .bool(true), "a\u{fffd}": .null]))
    }

    @Test func misuseTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = MessageWriter(encoding: .messagePack, framing: .lines)
        }
        await #expect(processExitsWith: .failure) {
            var output = ByteBuffer()
            var writer = MessageWriter(encoding: .json, framing: .lines)
            writer.key("k", into: &output)
        }
        await #expect(processExitsWith: .failure) {
            var output = ByteBuffer()
            var writer = MessageWriter(encoding: .json, framing: .lines)
            writer.begin(type: StatsRequest.type, id: .none, into: &output)
            writer.beginArray(into: &output)
            writer.end(into: &output)
        }
        await #expect(processExitsWith: .failure) {
            var output = ByteBuffer()
            var writer = MessageWriter(encoding: .json, framing: .lines)
            writer.begin(type: StatsRequest.type, id: .none, into: &output)
            writer.key("k", into: &output)
            for _ in 0...WireLimits.writerDepthMax { writer.beginArray(into: &output) }
        }
    }
}
