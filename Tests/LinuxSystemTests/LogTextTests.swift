// Text of clients in the log: cut to the byte, never torn, never steering a terminal.

import LinuxSystem
import Testing

@Suite struct LogTextTests {
    @Test(arguments: [
        ("short", 5, "short"),
        ("too long", 7, "too …"),
        ("é", 2, "é"),
        ("aé", 2, "…"),
        ("ab\n", 4, "ab\\n"),
        ("abc\n", 4, "a…"),
        ("", 0, ""),
    ])
    func isCutToTheByte(_ text: String, _ byteCountMax: Int, _ expected: String) {
        #expect(LogText.escaped(text, byteCountMax: byteCountMax) == expected)
    }

    /// Bytes at random, control characters and torn UTF-8 among them: the result is never longer, and is printable.
    @Test func bytesOfAnyKindAreTamed() {
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for _ in 0..<2_000 {
            let alphabet: [UInt8] = [0, 9, 10, 27, 65, 0x7f, 0xc3, 0xa9, 0xe2, 0x80, 0xae, 0xf0, 0x9f, 0x99, 0x82, 255]
            let bytes = (0..<Int(next() % 200)).map { _ in alphabet[Int(next() % UInt64(alphabet.count))] }
            let limit = 8 + Int(next() % 150)
            let line = bytes.withUnsafeBytes { LogText.escaped($0, byteCountMax: limit) }
            #expect(line.utf8.count <= limit, "seed \(seed)")
            #expect(
                !line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f || $0.value == 0x202e }, "\(seed)")
        }
    }
}
