// The byte buffer against a plain array, by random operations.

import ByteBuffers
import LiteBaseTesting
import Testing

@Suite struct ByteBufferTests {
    private static func bytes(_ buffer: borrowing ByteBuffer) -> [UInt8] { Array(buffer.readable) }

    private static func randomBytes(_ random: inout SeededGenerator, upTo count: Int) -> [UInt8] {
        (0..<Int.random(in: 0...count, using: &random)).map { _ in .random(in: 0...255, using: &random) }
    }

    /// One random operation on both; reports nothing itself.
    private static func step(_ buffer: inout ByteBuffer, _ model: inout [UInt8], _ random: inout SeededGenerator) {
        switch Int.random(in: 0..<12, using: &random) {
        case 0...2:
            let run = randomBytes(&random, upTo: 700)
            buffer.append(run)
            model += run
        case 3:
            buffer.append(UInt8(7))
            model.append(7)
        case 4:
            let value = UInt32.random(in: 0 ... .max, using: &random)
            buffer.appendBigEndian(value)
            model += withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case 5:
            let value = Int64.random(in: .min ... .max, using: &random)
            buffer.append(tag: 0xd3, bigEndian: value)
            model += [0xd3] + withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case 6, 7:
            let count = Int.random(in: 0...model.count, using: &random)
            buffer.consume(count)
            model.removeFirst(count)
        case 8:
            let count = Int.random(in: 0...model.count, using: &random)
            buffer.truncate(to: count)
            model.removeLast(model.count - count)
        case 9 where model.count >= 2:
            let offset = Int.random(in: 0...model.count - 2, using: &random)
            buffer.patchBigEndian(UInt16(0xabcd), at: offset)
            model.replaceSubrange(offset..<offset + 2, with: [0xab, 0xcd])
        case 10:
            let run = randomBytes(&random, upTo: 90)
            let room = buffer.writable(run.count)
            room.copyBytes(from: run)
            buffer.commit(run.count)
            model += run
        case 11:
            let run = randomBytes(&random, upTo: 40)
            run.withUnsafeBytes { buffer.append(tag: 0xa0, short: $0) }
            model += [0xa0] + run
        default:
            if Int.random(in: 0..<8, using: &random) == 0 {
                buffer.releaseStorage()
                model = []
            }
        }
    }

    @Test func equalsAnArrayAfterEveryStep() {
        var random = SeededGenerator.fresh
        for round in 0..<60 {
            var buffer = ByteBuffer()
            var model: [UInt8] = []
            for index in 0..<200 {
                Self.step(&buffer, &model, &random)
                let now = Self.bytes(buffer)
                if now != model || buffer.count != model.count || buffer.isEmpty != model.isEmpty {
                    Issue.record("seed \(random.seed), round \(round), step \(index): \(now.count) != \(model.count)")
                    return
                }
            }
        }
    }

    @Test func storageIsReusedWhenEverythingIsConsumed() {
        var buffer = ByteBuffer()
        #expect(buffer.capacity == 0)
        for _ in 0..<1_000 {
            buffer.append([UInt8](repeating: 1, count: 300))
            buffer.consume(300)
        }
        #expect(buffer.capacity == 512)
    }

    @Test func storageDoesNotGrowForABoundedQueue() {
        var buffer = ByteBuffer()
        buffer.append([UInt8](repeating: 1, count: 1_000))
        for _ in 0..<10_000 {
            buffer.append([UInt8](repeating: 2, count: 100))
            buffer.consume(100)
        }
        #expect(buffer.count == 1_000)
        #expect(buffer.capacity <= 8_192)
    }

    @Test func textIsAppendedAsUTF8() {
        var buffer = ByteBuffer()
        buffer.append("é")
        buffer.append("a\0b" as String)
        #expect(Array(buffer.readable) == [0xc3, 0xa9, 0x61, 0, 0x62])
    }

    @Test(arguments: 0...40) func shortASCIIIsAppendedAsItIs(_ count: Int) {
        var text = (0..<count).map { UInt8($0 + 65) }
        func append(_ text: [UInt8]) -> [UInt8]? {
            var buffer = ByteBuffer()
            buffer.append([1, 2, 3])
            let isAppended = text.withUnsafeBytes { buffer.append(tag: 0xa5, shortASCII: $0) }
            let bytes = Array(buffer.readable)
            if !isAppended { #expect(bytes == [1, 2, 3]) }
            return isAppended ? bytes : nil
        }
        #expect(append(text) == (1...32 ~= count ? [1, 2, 3, 0xa5] + text : nil))
        for index in text.indices {
            let former = text[index]
            for byte in [0x80, 0xff] as [UInt8] {
                text[index] = byte
                #expect(append(text) == nil, "byte \(index)")
            }
            text[index] = former
        }
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        var buffer = ByteBuffer()
        let isAppended = buffer.append(tag: 0, shortASCII: none)
        #expect(!isAppended)
    }

    @Test func overrunsTrap() async {
        await #expect(processExitsWith: .failure) {
            var buffer = ByteBuffer()
            buffer.append(UInt8(1))
            buffer.consume(2)
        }
        await #expect(processExitsWith: .failure) {
            var buffer = ByteBuffer()
            _ = buffer.writable(10)
            buffer.commit(1_000_000)
        }
        await #expect(processExitsWith: .failure) {
            var buffer = ByteBuffer()
            buffer.append(UInt8(1))
            buffer.patchBigEndian(UInt16(1), at: 0)
        }
    }
}
