// The byte reader never leaves its bytes, and consumes nothing when it cannot read.

import ByteBuffers
import LiteBaseTesting
import Testing

@Suite struct ByteReaderTests {
    @Test func readsFrontToBack() {
        let bytes: [UInt8] = [1, 0x12, 0x34, 0xff, 0xff, 0xff, 0xfe, 9, 8]
        bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            #expect(reader.peek() == 1)
            #expect(reader.readByte() == 1)
            #expect(reader.readBigEndian(UInt16.self) == 0x1234)
            #expect(reader.readBigEndian(Int32.self) == -2)
            #expect(reader.read(2).map(Array.init) == [9, 8])
            #expect(reader.isAtEnd)
            #expect(reader.peek() == nil)
            #expect(reader.readByte() == nil)
        }
    }

    @Test(arguments: [Int.min, -1, 4, Int.max])
    func refusesWhatIsNotThere(_ count: Int) {
        [UInt8]([1, 2, 3]).withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            #expect(reader.read(count) == nil)
            #expect(reader.readBigEndian(UInt32.self) == nil)
            #expect(reader.offset == 0)
            #expect(reader.read(3)?.count == 3)
            #expect(reader.read(0)?.count == 0)
        }
    }

    @Test func anyOrderOfReadsSeesTheSameBytes() {
        var random = SeededGenerator.fresh
        for round in 0..<200 {
            let bytes = (0..<Int.random(in: 0...64, using: &random)).map { UInt8(truncatingIfNeeded: $0) }
            var seen: [UInt8] = []
            bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw)
                while !reader.isAtEnd {
                    let before = reader.offset
                    let wanted = Int.random(in: 0...12, using: &random)
                    if let run = reader.read(wanted) {
                        seen += run
                    } else if let byte = reader.readByte() {
                        seen.append(byte)
                    }
                    #expect(reader.offset + reader.remaining == bytes.count)
                    #expect(reader.offset >= before)
                }
            }
            #expect(seen == bytes, "seed \(random.seed), round \(round)")
        }
    }
}
