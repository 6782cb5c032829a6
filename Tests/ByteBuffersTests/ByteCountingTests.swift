import Testing

@testable import ByteBuffers

@Suite struct ByteCountingTests {
    /// Lengths on both sides of what is counted at a time.
    @Test(arguments: [0, 1, 239, 240, 241, 479, 480, 481, 1_000, 70_000])
    func countsAsASimpleLoopDoes(length: Int) {
        // Characters of one to four bytes, and new lines now and then.
        let pattern = Array("aü\n€𝄞xyz\n".utf8)
        let bytes = (0..<length).map { pattern[$0 * 7 % pattern.count] }
        let newlines = bytes.indices.filter { bytes[$0] == 0x0a }
        let characters = bytes.indices.filter { bytes[$0] & 0xc0 != 0x80 }
        bytes.withUnsafeBytes { text in
            #expect(text.count(of: 0x0a) == newlines.count)
            #expect(text.characterCount == characters.count)
            for number in [0, 1, newlines.count / 2, newlines.count - 1, newlines.count] where number >= 0 {
                #expect(text.offset(of: 0x0a, number: number) == (number < newlines.count ? newlines[number] : nil))
            }
            for number in [0, 1, characters.count / 2, characters.count - 1, characters.count] where number >= 0 {
                #expect(
                    text.offset(ofCharacter: number) == (number < characters.count ? characters[number] : nil))
            }
        }
    }

    @Test func everyByteIsWanted() {
        let bytes = [UInt8](repeating: 0x0a, count: 10_000)
        bytes.withUnsafeBytes { text in
            #expect(text.count(of: 0x0a) == 10_000)
            #expect((0..<10_000).allSatisfy { text.offset(of: 0x0a, number: $0) == $0 })
            #expect(text.offset(of: 0x0a, number: 10_000) == nil)
        }
    }
}
