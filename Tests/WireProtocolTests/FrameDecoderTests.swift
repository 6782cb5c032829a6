// How a connection's bytes become messages.

import LiteBaseTesting
import Testing
import WireProtocol

@Suite struct FrameDecoderTests {
    /// Feeds a stream in chunks, as a connection would; returns the bodies and what ended it.
    static func split(
        _ stream: [UInt8], chunk: Int, byteCountMax: Int = 1000, closed: Bool = true
    ) -> (bodies: [String], failure: FrameFailure?, left: Int) {
        var decoder = FrameDecoder(frameByteCountMax: byteCountMax, formats: .all)
        var pending: [UInt8] = []
        var rest = stream[...]
        var bodies: [String] = []
        while true {
            let step = pending.withUnsafeBytes {
                rest.isEmpty && closed ? decoder.finish(in: $0) : decoder.next(in: $0)
            }
            switch step {
            case .incomplete:
                if rest.isEmpty { return (bodies, nil, pending.count) }
                pending += rest.prefix(chunk)
                rest = rest.dropFirst(chunk)
            case .frame(let body, let consumed):
                bodies.append(String(decoding: pending[body], as: UTF8.self))
                pending.removeFirst(consumed)
            case .skip(let consumed):
                pending.removeFirst(consumed)
            case .failure(let failure):
                return (bodies, failure, pending.count)
            }
        }
    }

    static func frame(_ body: String) -> [UInt8] {
        withUnsafeBytes(of: UInt32(body.utf8.count).bigEndian) { Array($0) } + Array(body.utf8)
    }

    @Test func framesAtEveryBoundary() {
        let stream = Self.frame("{\"id\":1}") + Self.frame("") + Self.frame(String(repeating: "x", count: 300))
        for chunk in 1...stream.count {
            let result = Self.split(stream, chunk: chunk)
            #expect(result.bodies == ["{\"id\":1}", "", String(repeating: "x", count: 300)])
            #expect(result.failure == nil && result.left == 0)
        }
    }

    @Test func linesAtEveryBoundary() {
        let stream = Array("\r\n \t\n{\"a\":1}\n\n  {\"b\":2}\r\nrubbish\n \n{\"c\":3}".utf8)
        for chunk in 1...stream.count {
            let result = Self.split(stream, chunk: chunk)
            #expect(result.bodies == ["{\"a\":1}", "{\"b\":2}", "rubbish", "{\"c\":3}"])
            #expect(result.failure == nil && result.left == 0)
        }
    }

    @Test func lastLineWithoutLineFeedNeedsTheEnd() {
        let stream = Array("{\"a\":1}".utf8)
        #expect(Self.split(stream, chunk: 3, closed: false).bodies.isEmpty)
        #expect(Self.split(stream, chunk: 3).bodies == ["{\"a\":1}"])
        #expect(Self.split(Array(" \r\n \t".utf8), chunk: 2).left == 0)
    }

    @Test func tornFrameIsNoFrame() {
        let stream = Array(Self.frame("abc").dropLast())
        let result = Self.split(stream, chunk: 1)
        #expect(result.bodies.isEmpty && result.left == stream.count)
        var decoder = FrameDecoder(frameByteCountMax: 10, formats: .all)
        let step = stream.withUnsafeBytes { decoder.finish(in: $0) }
        guard case .incomplete(byteCountNeeded: 1) = step else {
            Issue.record("\(step)")
            return
        }
    }

    @Test(arguments: [0x00, 0x01, 0x02, 0x03, 0x04, 0x20, 0x09, 0x0d, 0x0a, 0x7b] as [UInt8])
    func firstByteDecides(byte: UInt8) {
        var decoder = FrameDecoder(frameByteCountMax: WireLimits.frameByteCountCeiling, formats: .all)
        #expect(decoder.framing == nil)
        _ = [byte].withUnsafeBytes { decoder.next(in: $0) }
        #expect(decoder.framing == (byte <= 4 ? .lengthPrefixed : .lines))
    }

    @Test func foreignFirstBytes() {
        let known: Set<UInt8> = [0, 1, 2, 3, 4, 0x20, 0x09, 0x0d, 0x0a, 0x7b]
        for byte in UInt8.min...UInt8.max where !known.contains(byte) {
            let result = Self.split([byte, 0x21], chunk: 1)
            #expect(result.failure == .unknownFirstByte(byte))
            #expect(result.failure?.code == .badFrame)
        }
    }

    @Test(arguments: ["GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "PRI "])
    func httpIsRecognised(method: String) {
        let stream = Array("\(method)/ HTTP/1.1\r\n\r\n".utf8)
        for chunk in 1...stream.count { #expect(Self.split(stream, chunk: chunk).failure == .httpRequest) }
        // Half a method is none.
        #expect(Self.split(Array(method.utf8.dropLast()), chunk: 1).failure == .unknownFirstByte(stream[0]))
    }

    @Test func httpRefusalSaysItsLength() throws {
        let lines = "\(FrameFailure.httpRefusal)".split(separator: "\r\n", omittingEmptySubsequences: false)
        let body = try #require(lines.last)
        #expect(lines.first == "HTTP/1.1 400 Bad Request")
        #expect(lines.contains("Content-Length: \(body.utf8.count)"))
        #expect(lines.dropLast().last == "")
    }

    @Test func longFrameFailsBeforeItsBodyArrives() {
        let header: [UInt8] = [0, 0, 0x03, 0xe9]
        #expect(Self.split(header, chunk: 4).failure == .tooLarge(byteCount: 1001, byteCountMax: 1000))
        #expect(Self.split([4, 0, 0, 0], chunk: 4).failure == .tooLarge(byteCount: 64 << 20, byteCountMax: 1000))
        #expect(Self.split(Self.frame(String(repeating: "x", count: 1000)), chunk: 4).bodies.count == 1)
    }

    @Test func longLineFails() {
        let fits = String(repeating: " ", count: 992) + "{\"a\":10}"
        #expect(Self.split(Array("\(fits)\n".utf8), chunk: 7).bodies == ["{\"a\":10}"])
        for chunk in [1, 7, 5000] {
            let result = Self.split(Array("{}\n \(fits)\n{}\n".utf8), chunk: chunk)
            #expect(result.bodies == ["{}"])
            #expect(result.failure?.code == .frameTooLarge)
            // Without a line feed the failure comes as soon as the limit is passed.
            #expect(Self.split(Array(" \(fits)".utf8), chunk: chunk, closed: false).failure?.code == .frameTooLarge)
        }
    }

    @Test func lineInSingleBytesIsSearchedOnce() {
        // Would need 5 * 10^11 steps if every byte searched the line anew.
        let line = [UInt8(ascii: "{")] + [UInt8](repeating: UInt8(ascii: " "), count: 1_000_000)
        var decoder = FrameDecoder(frameByteCountMax: 2_000_000, formats: .all)
        line.withUnsafeBytes { bytes in
            for count in 1...bytes.count {
                guard case .incomplete = decoder.next(in: UnsafeRawBufferPointer(rebasing: bytes[..<count])) else {
                    Issue.record("a line without its end")
                    return
                }
            }
        }
    }

    @Test func encodingOfABody() {
        func encoding(_ byte: UInt8, _ framing: Framing = .lengthPrefixed) -> WireEncoding? {
            [byte].withUnsafeBytes { WireFormats.all.encoding(of: $0, in: framing) }
        }
        for byte in UInt8.min...UInt8.max {
            let isMap = (0x80...0x8f).contains(byte) || byte == 0xde || byte == 0xdf
            #expect(encoding(byte) == (isMap ? .messagePack : byte == 0x7b ? .json : nil))
            #expect(encoding(byte, .lines) == (byte == 0x7b ? .json : nil))
        }
        #expect(WireFormats.all.encoding(of: UnsafeRawBufferPointer(start: nil, count: 0), in: .lengthPrefixed) == nil)
    }

    @Test func limitAboveTheCeilingTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = FrameDecoder(frameByteCountMax: WireLimits.frameByteCountCeiling + 1, formats: .all)
        }
    }
}
