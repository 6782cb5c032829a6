// A reply that is made of its constant parts is the one that is written field by field.

import ByteBuffers
import Testing
import WireProtocol

@testable import Server

@Suite struct ReplyFormTests {
    private static let formats = FormatList.withCBOR.makeTable()

    /// Every pair of an encoding and a framing in which it may come.
    private static let pairs = formats.encodings.flatMap { encoding in
        formats.framings.filter { encoding.isAllowed(in: $0) }.map { (encoding, $0) }
    }

    private static func health(uptime: Int64) -> HealthReply {
        var health = HealthReply()
        health.status = "healthy"
        health.version = "1.2.3 \"beta\""
        health.protocolVersion = 1
        health.pid = 4_711
        health.activation = "standalone"
        health.uptimeMilliseconds = uptime
        return health
    }

    /// Field by field.
    private static func written(
        _ id: RequestID, _ time: WireTimestamp, uptime: Int64, _ encoding: WireEncoding, _ framing: Framing
    ) -> [UInt8] {
        var output = ByteBuffer()
        var writer = MessageWriter(encoding: encoding, framing: framing)
        writer.begin(type: "health_response", id: id, timestamp: time, into: &output)
        var health = health(uptime: uptime)
        health.writeFields(&writer, &output)
        writer.end(into: &output)
        return Array(output.readable)
    }

    private static func form(
        _ id: RequestID, _ time: WireTimestamp, uptime: Int64, _ encoding: WireEncoding, _ framing: Framing
    ) -> ReplyForm {
        var output = ByteBuffer()
        var writer = MessageWriter(encoding: encoding, framing: framing)
        writer.begin(type: "health_response", id: id, timestamp: time, into: &output)
        var health = health(uptime: uptime)
        let place = health.writeFields(&writer, &output, finding: HealthReply.uptimeKey)
        writer.end(into: &output)
        return ReplyForm(output.readable, writer.places, number: place, framing)
    }

    /// Whatever was left out of the first one, and whatever comes instead: both of any length.
    @Test(arguments: pairs.indices)
    func nothingElseDiffers(_ index: Int) {
        let (encoding, framing) = Self.pairs[index]
        let times = [0, -1, 1_700_000_000_123_456_789, -5_000_000_000].map { WireTimestamp(nanosecondsSince1970: $0) }
        let uptimes: [Int64] = [0, 127, 128, 300, 70_000, 10_000_000_000]
        Array("an \"id\" of text".utf8).withUnsafeBytes { text in
            let ids: [RequestID] = [.none, .integer(1), .integer(-70_000), .unsigned(.max), .string(text)]
            for first in zip(ids, zip(times + times, uptimes)) {
                let form = Self.form(first.0, first.1.0, uptime: first.1.1, encoding, framing)
                for (id, time, uptime) in ids.flatMap({ id in zip(times + times, uptimes).map { (id, $0, $1) } }) {
                    // Behind another one, as in an output.
                    var output = ByteBuffer()
                    output.append("before")
                    let place = form.append(id, time, number: uptime, encoding, framing, to: &output)
                    let expected = Self.written(id, time, uptime: uptime, encoding, framing)
                    #expect(Array(output.readable.dropFirst(6)) == expected)
                    var alone = ByteBuffer()
                    encoding.format.appendID(id, into: &alone)
                    #expect(Array(output.readable[place]) == Array(alone.readable), "where the id is")
                }
            }
        }
    }
}
