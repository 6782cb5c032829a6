// MessagePack: exact bytes, both directions, and everything that must be refused.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct MessagePackTests {
    /// Every edge between two widths, with the bytes that the specification gives.
    static let integers: [(Int64, [UInt8])] = [
        (0, [0x00]), (127, [0x7f]), (128, [0xcc, 0x80]), (255, [0xcc, 0xff]),
        (256, [0xcd, 0x01, 0x00]), (65535, [0xcd, 0xff, 0xff]),
        (65536, [0xce, 0, 1, 0, 0]), (4_294_967_295, [0xce, 0xff, 0xff, 0xff, 0xff]),
        (4_294_967_296, [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        (.max, [0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (-1, [0xff]), (-32, [0xe0]), (-33, [0xd0, 0xdf]), (-128, [0xd0, 0x80]),
        (-129, [0xd1, 0xff, 0x7f]), (-32768, [0xd1, 0x80, 0x00]),
        (-32769, [0xd2, 0xff, 0xff, 0x7f, 0xff]), (-2_147_483_648, [0xd2, 0x80, 0, 0, 0]),
        (-2_147_483_649, [0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        (.min, [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ]

    @Test(arguments: integers)
    func integersAtTheEdges(value: Int64, bytes: [UInt8]) throws {
        #expect(appended { $0.appendMessagePackInteger(value) } == bytes)
        #expect(try Value(messagePack: bytes) == .integer(value))
    }

    /// A text behind another one, so that each length ends at another place of the storage.
    @Test func textsOfEveryLength() throws {
        let text = (0..<300).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        for count in 0...text.count {
            let part = Array(text[..<count])
            let bytes = appended { output in
                part.withUnsafeBytes { output.appendMessagePackText($0) }
                output.appendMessagePackText("the next" as StaticString)
            }
            let header: [UInt8] =
                count <= 31
                ? [0xa0 | UInt8(count)] : count <= 255 ? [0xd9, UInt8(count)] : [0xda, 1, UInt8(count - 256)]
            #expect(bytes == header + part + [0xa8] + Array("the next".utf8), "\(count) bytes")
        }
        #expect(appended { $0.appendMessagePackText(UnsafeRawBufferPointer(start: nil, count: 0)) } == [0xa0])
    }

    @Test func unsignedAboveInt64() throws {
        for value in [UInt64(Int64.max) + 1, .max] {
            let bytes = appended { $0.appendMessagePackUnsigned(value) }
            #expect(bytes.count == 9)
            #expect(try Value(messagePack: bytes) == .unsigned(value))
        }
        #expect(appended { $0.appendMessagePackUnsigned(UInt64(Int64.max)) }.first == 0xcf)
    }

    /// A sender need not use the shortest form.
    @Test(
        arguments: [
            [0xcc, 5], [0xcd, 0, 5], [0xce, 0, 0, 0, 5], [0xcf, 0, 0, 0, 0, 0, 0, 0, 5], [0xd0, 5], [0xd1, 0, 5],
            [0xd2, 0, 0, 0, 5], [0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
        ] as [[UInt8]])
    func longFormsAreAccepted(bytes: [UInt8]) throws {
        #expect(try Value(messagePack: bytes) == .integer(5))
    }

    @Test(
        arguments: [
            0.0, -0.0, 1.5, .pi, .infinity, -.infinity, .nan, .signalingNaN, .leastNonzeroMagnitude,
            .leastNormalMagnitude, .greatestFiniteMagnitude,
        ] as [Double])
    func realsKeepTheirBits(value: Double) throws {
        let bytes = appended { $0.appendMessagePackReal(value) }
        #expect(bytes.count == 9)
        #expect(try Value(messagePack: bytes) == .double(value))
    }

    @Test func float32IsWidened() throws {
        #expect(try Value(messagePack: [0xca, 0x3f, 0xc0, 0, 0]) == .double(1.5))
    }

    @Test(arguments: [0, 1, 31, 32, 255, 256, 65535, 65536, 1_000_000])
    func lengthsAtTheEdges(count: Int) throws {
        let content = [UInt8](repeating: UInt8(ascii: "x"), count: count)
        let text = Value.text(content)
        let binary = Value.binary(content)
        #expect(try Value(messagePack: text.messagePack) == text)
        #expect(try Value(messagePack: binary.messagePack) == binary)
        let header = count <= 31 ? 1 : count <= 255 ? 2 : count <= 65535 ? 3 : 5
        #expect(text.messagePack.count == count + header)
        #expect(binary.messagePack.count == count + max(header, 2))
    }

    @Test(arguments: [0, 1, 15, 16, 65535, 65536])
    func countsAtTheEdges(count: Int) throws {
        let array = Value.array(Array(repeating: .integer(1), count: count))
        #expect(try Value(messagePack: array.messagePack) == array)
        #expect(array.messagePack.count == count + (count <= 15 ? 1 : count <= 65535 ? 3 : 5))
        let map = Value.map((0..<count).map { .init(key: Array("\($0)".utf8), value: .null) })
        #expect(try Value(messagePack: map.messagePack) == map)
    }

    @Test func extensionsOfAllForms() throws {
        for (header, count) in [([0xd4], 1), ([0xd5], 2), ([0xd6], 4), ([0xd7], 8), ([0xd8], 16)] as [([UInt8], Int)] {
            let content = [UInt8](repeating: 7, count: count)
            #expect(try Value(messagePack: header + [0xfe] + content) == .ext(-2, content))
        }
        #expect(try Value(messagePack: [0xc7, 0, 5]) == .ext(5, []))
        #expect(try Value(messagePack: [0xc8, 0, 1, 5, 9]) == .ext(5, [9]))
        #expect(try Value(messagePack: [0xc9, 0, 0, 0, 1, 5, 9]) == .ext(5, [9]))
    }

    /// Whatever a message is cut to, it is refused, and neither reader nor decoder leaves the bytes.
    @Test func everyTruncationIsRefused() throws {
        let whole = Value.dictionary([
            "id": .string("x"), "type": .string("query"),
            "data": .dictionary(["a": .array([.integer(1 << 40), .double(1), .binary([1, 2]), .unsigned(.max)])]),
            "e": .ext(-1, [1, 2, 3, 4, 5, 6, 7, 8, 9]), "n": .null, "t": .bool(true),
        ]).messagePack
        _ = try Value(messagePack: whole)
        for count in 0..<whole.count {
            // A heap block of exactly this size, so that address sanitizer sees an overrun.
            let cut = Array(whole[..<count])
            #expect(throws: DecodeError.self) { try Value(messagePack: cut) }
        }
    }

    /// The defect of some bytes, with where it lies.
    static func defect(_ bytes: [UInt8]) -> DecodeError? {
        bytes.withUnsafeBytes {
            do throws(DecodeError) {
                try MessagePackReader.validate($0)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test(
        arguments: [
            ([], 0, "ends before"),
            ([0xc1], 0, "0xc1"),
            ([0x01, 0x01], 1, "follows after"),
            ([0xa3, 0x61, 0x62], 0, "ends before"),
            ([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61], 0, "ends before"),
            ([0xc6, 0x7f, 0xff, 0xff, 0xff], 0, "ends before"),
            ([0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0], 0, "ends before"),
            ([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 0x61], 0, "ends before"),
            ([0xdf, 0x80, 0, 0, 0], 0, "ends before"),
            ([0x92, 0xc0], 0, "ends before"),
            ([0x81, 0xa1, 0x61], 3, "ends before"),
            ([0x81, 0x01, 0x02], 1, "keys must be text"),
            ([0x81, 0xc4, 0x01, 0x61, 0x02], 1, "keys must be text"),
            ([0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02], 5, "twice"),
            ([0x91, 0x81, 0xa1, 0x6b, 0x82, 0xd9, 0x01, 0x61, 0x01, 0xa1, 0x61, 0x02], 10, "twice"),
            ([0xa2, 0xc3, 0x28], 1, "not UTF-8"),
            ([0x81, 0xa1, 0xff, 0x01], 2, "not UTF-8"),
            ([0x93, 0x01, 0xa4, 0x61, 0x62, 0xed, 0xa0, 0xc0], 5, "not UTF-8"),
        ] as [([UInt8], Int, String)])
    func malformed(bytes: [UInt8], offset: Int, words: String) throws {
        let error = try #require(Self.defect(bytes))
        #expect(error.message.contains(words), "\(error.message)")
        #expect(error.offset == offset)
        #expect(error.code == .badFrame)
    }

    @Test func depthIsLimited() {
        let deepest = WireLimits.nestingDepthMax
        #expect(Self.defect([UInt8](repeating: 0x91, count: deepest) + [0xc0]) == nil)
        #expect(Self.defect([UInt8](repeating: 0x91, count: deepest + 1) + [0xc0])?.message.contains("deeper") == true)
        let pair: [UInt8] = [0x81, 0xa1, 0x61]
        let maps = (0...deepest).flatMap { _ in pair }
        #expect(Self.defect(maps + [0xc0])?.offset == deepest * 3)
        // Skipping does not recurse, however deep it goes.
        withBytes([UInt8](repeating: 0x91, count: 1_000_000)) {
            var reader = MessagePackReader($0)
            #expect(throws: DecodeError.self) { try reader.skip() }
        }
    }

    /// More keys than are compared pair by pair, more than lie on the stack, and a duplicate at every distance.
    @Test(arguments: [2, 3, 15, 16, 17, 24, 25, 100, 3000])
    func duplicateKeysInLargeMaps(count: Int) {
        var random = SeededRandom(seed: UInt64(count))
        for _ in 0..<10 {
            var keys = (0..<count).map { Array("key number \($0)".utf8) }
            keys.shuffle(using: &random)
            let unique = Value.map(keys.map { .init(key: $0, value: .dictionary(["a": .null, "b": .null])) })
            #expect(Self.defect(unique.messagePack) == nil)
            let copied = Int.random(in: 0..<count - 1, using: &random)
            keys[count - 1] = keys[copied]
            keys.shuffle(using: &random)
            let twice = Value.map(keys.map { .init(key: $0, value: .dictionary(["a": .null, "b": .null])) })
            #expect(Self.defect(twice.messagePack)?.message.contains("twice") == true)
        }
    }

    @Test func tooManyKeysAreRefused() {
        let most = WireLimits.openMapKeyCountMax
        let map = Value.map((0...most).map { .init(key: Array("\($0)".utf8), value: .null) })
        #expect(Self.defect(map.messagePack)?.message.contains("use arrays") == true)
        // Not because of maps that are closed already.
        let small = Value.map((0..<1000).map { .init(key: Array("\($0)".utf8), value: .null) })
        #expect(Self.defect(Value.array(Array(repeating: small, count: 100)).messagePack) == nil)
    }
}
