// UTF-8 validation against the standard library's.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct UTF8Tests {
    /// What the standard library says: a repaired text is another one.
    static func isValidByStandardLibrary(_ bytes: [UInt8]) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }

    static func isValid(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { isValidUTF8($0) }
    }

    /// All leads with the edges of all continuation ranges.
    @Test func everySequenceOfTwoAndThree() {
        let edges: [UInt8] = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]
        for lead in UInt8.min...UInt8.max {
            #expect(Self.isValid([lead]) == (lead < 0x80))
            for second in edges {
                #expect(Self.isValid([lead, second]) == Self.isValidByStandardLibrary([lead, second]))
                for third in edges {
                    let bytes = [lead, second, third]
                    if Self.isValid(bytes) != Self.isValidByStandardLibrary(bytes) { Issue.record("\(bytes)") }
                    for fourth in edges {
                        let bytes = bytes + [fourth]
                        if Self.isValid(bytes) != Self.isValidByStandardLibrary(bytes) { Issue.record("\(bytes)") }
                    }
                }
            }
        }
    }

    /// Where in a text the defect lies must not matter, as it is searched in blocks.
    @Test func defectsAtEveryOffset() {
        for length in 0...80 {
            let text = [UInt8](repeating: UInt8(ascii: "a"), count: length)
            #expect(Self.isValid(text))
            for offset in 0..<length {
                var broken = text
                broken[offset] = 0x80
                #expect(!Self.isValid(broken))
                let euro: [UInt8] = [0xe2, 0x82, 0xac]
                #expect(Self.isValid(Array(text[..<offset]) + euro + Array(text[offset...])))
                #expect(!Self.isValid(Array(text[..<offset]) + euro.dropLast()))
            }
        }
    }

    @Test(arguments: PropertyTests.seeds)
    func randomTexts(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var bytes = random.text()
            #expect(Self.isValid(bytes))
            guard !bytes.isEmpty else { continue }
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
            #expect(Self.isValid(bytes) == Self.isValidByStandardLibrary(bytes), "\(bytes)")
        }
    }
}
