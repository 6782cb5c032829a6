// Whole value trees through every codec: what is written is what is read.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct PropertyTests {
    /// Fixed seeds, and one that is new in every run; it is printed by the failing test's arguments.
    static let seeds: [UInt64] = Array(1...60) + [UInt64.random(in: .min ... .max)]

    @Test(arguments: seeds)
    func messagePackRoundTrip(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<20 {
            let value = random.map(depthMax: 4)
            #expect(try Value(messagePack: value.messagePack) == value)
        }
    }

    @Test(arguments: seeds, [WireEncoding.messagePack, .json])
    func writerToReader(seed: UInt64, encoding: WireEncoding) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<10 {
            let value = random.value(depthMax: 4)
            let id = random.integer()
            var output = ByteBuffer()
            output.append("before")
            var writer = MessageWriter(encoding: encoding, framing: .lengthPrefixed)
            writer.begin(
                type: "error", id: .integer(id), timestamp: WireTimestamp(nanosecondsSince1970: 0), into: &output)
            writer.key("value", into: &output)
            value.write(by: &writer, into: &output)
            writer.end(into: &output)

            output.consume(6)
            let byteCount = Int(UInt32(bigEndian: output.readable.loadUnaligned(as: UInt32.self)))
            #expect(byteCount == output.count - 4)
            let body = Array(output.readable.dropFirst(4))
            let message = encoding == .json ? try Value(messagePack: transcoded(body)) : try Value(messagePack: body)
            #expect(message["id"] == .integer(id))
            #expect(message["type"] == .string("error"))
            #expect(message["data"]?["value"] == (encoding == .json ? value.afterJSON : value))
        }
    }

    /// JSON has one NaN; and a map of one pair whose key is a tag is what the tag stands for.
    @Test(arguments: seeds)
    func doublesKeepTheirBits(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            let value = random.double(finite: true)
            let text = appendedText { $0.appendJSONReal(value) }
            #expect(text.contains { ".e".contains($0) })
            #expect(try Value(json: "{\"v\":\(text)}")["v"] == .double(value), "\(text)")
            #expect(Double(text)?.bitPattern == value.bitPattern, "\(text)")
            #expect(text.count <= 24)
        }
    }

    /// Swift's own description has the shortest digits too, and between these magnitudes the same form.
    @Test(arguments: seeds)
    func shortDecimalsAreWrittenShortest(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var wrong: [String] = []
        for _ in 0..<2_000 {
            let scale: [Double] = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7]
            let digits = UInt64.random(in: 0..<(1 << 50), using: &random) >> UInt64.random(in: 0..<50, using: &random)
            let value = Double(digits) / scale[Int.random(in: 0..<scale.count, using: &random)]
            for near in [value, -value, value.nextUp, value.nextDown] where (1e-4..<1e15).contains(near.magnitude) {
                let text = appendedText { $0.appendJSONReal(near) }
                // (Not an expectation for each: half a million of them would take half a minute.)
                if text != "\(near)" { wrong.append("\(text) for \(near)") }
            }
        }
        #expect(wrong.isEmpty, "seed \(seed)")
    }
}

extension Value {
    /// What comes back after JSON: the bits of a NaN are lost.
    fileprivate var afterJSON: Value {
        switch self {
        case .real(let bits) where Double(bitPattern: bits).isNaN: .double(.nan)
        case .array(let elements): .array(elements.map(\.afterJSON))
        case .map(let pairs): .map(pairs.map { Pair(key: $0.key, value: $0.value.afterJSON) })
        case .null, .bool, .integer, .unsigned, .real, .text, .binary, .ext: self
        }
    }
}
