// Encodings and the types of columns.

import Tabular
import Testing

@Suite struct TextAndTypeTests {
    private func decoded(_ bytes: [UInt8], _ encoding: TextEncoding?) -> String? {
        var decoder = TextDecoder(encoding)
        return bytes.withUnsafeBytes { raw in
            guard let mark = decoder.begin(raw, isLast: true) else { return nil }
            let block = RowBlock()
            var isSound = true
            // Byte by byte: what is cut is kept.
            let start = block.room.baseAddress
            for index in mark..<max(mark, raw.count) {
                let byte = UnsafeRawBufferPointer(rebasing: raw[index...index])
                isSound = decoder.decode(byte, into: block, isLast: index == raw.count - 1) && isSound
            }
            let text = String(decoding: UnsafeRawBufferPointer(start: start, count: block.count), as: UTF8.self)
            return isSound ? text : nil
        }
    }

    @Test func encodingsAreNamedOrMarked() {
        #expect(decoded(Array("é".utf8), nil) == "é")
        #expect(decoded([0xef, 0xbb, 0xbf, 0x61], nil) == "a")
        #expect(decoded([0xff, 0xfe, 0x61, 0, 0x3d, 0xd8, 0, 0xde], nil) == "a😀")
        #expect(decoded([0xfe, 0xff, 0, 0x61, 0xd8, 0x3d, 0xde, 0], nil) == "a😀")
        #expect(decoded([0x61, 0], .utf16LE) == "a")
        #expect(decoded([0xe9, 0x61], .latin1) == "éa")
    }

    @Test func halvesAreNoText() {
        #expect(decoded([0xff, 0xfe, 0x61], nil) == nil)
        #expect(decoded([0x3d, 0xd8, 0x61, 0], .utf16LE) == nil)
        #expect(decoded([0, 0xde], .utf16LE) == nil)
    }

    @Test func typesAreTheNarrowestThatHold() throws {
        let text = "1,1,007,a,,-0,1e5,\\x00,1\n-2,2.5,8,1,,3,.5,\\x01,9223372036854775808\n"
        var reader = RowReader(
            {
                var options = TabularOptions(.csv)
                options.hasHeader = false
                return options
            }())
        let block = RowBlock()
        block.room.copyBytes(from: text.utf8)
        block.didFill(text.utf8.count)
        _ = try reader.readNames(block, isLast: true)
        reader.begin((0..<9).map { Array("\($0)".utf8) }, ignoringOtherKeys: false)
        try reader.read(block, isLast: true)
        var inference = TypeInference(columnCount: 9)
        inference.note(block)
        #expect(inference.types == [.integer, .real, .text, .text, .text, .integer, .text, .blob, .text])
    }
}
