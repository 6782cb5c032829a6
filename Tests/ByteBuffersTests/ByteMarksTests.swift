// What decides how a text is written: at every length and place, against looking at each byte.

import ByteBuffers
import Testing

@Suite struct ByteMarksTests {
    private func marks(_ bytes: [UInt8]) -> ByteMarks {
        bytes.withUnsafeBytes { ByteMarks($0, of: 0x2c, 0x22, 0x0a, 0x0d) }
    }

    @Test(arguments: 0...40)
    func eachByteCountsAtEachPlace(_ count: Int) {
        // Neighbours of the bytes that are looked for, which borrows could be taken for.
        for filler in [0x61, 0x2b, 0x2d, 0x23, 0x21, 0x0b, 0x09, 0x0c, 0x0e, 0x00, 0x7f] as [UInt8] {
            let plain = [UInt8](repeating: filler, count: count)
            #expect(!marks(plain).hasMarked && marks(plain).isASCII)
            for place in 0..<count {
                for byte in [0x2c, 0x22, 0x0a, 0x0d, 0x80, 0xac, 0xa2, 0xff, 0x2b] as [UInt8] {
                    var bytes = plain
                    bytes[place] = byte
                    let found = marks(bytes)
                    let isMarked = [0x2c, 0x22, 0x0a, 0x0d].contains(byte)
                    #expect(found.hasMarked == isMarked, "\(filler), \(byte) at \(place)")
                    #expect(found.isASCII == (byte < 0x80), "\(filler), \(byte) at \(place)")
                }
            }
        }
    }
}
