// Lines of the log cannot be forged.

import LinuxSystem
import Testing

@testable import litebased

@Suite struct LogLineTests {
    @Test(arguments: [
        ("plain text", "plain text"),
        ("two\nlines\ttab", "two\\nlines\\ttab"),
        ("\u{1b}[31mred", "\\u{1b}[31mred"),
        ("nul\0 del\u{7f} c1\u{9b}", "nul\\u{0} del\\u{7f} c1\\u{9b}"),
        ("right\u{202e}left\u{2028}x\u{2066}", "right\\u{202e}left\\u{2028}x\\u{2066}"),
        ("µs – é 🙂", "µs – é 🙂"),
    ])
    func controlCharactersAreEscaped(_ message: String, _ line: String) {
        #expect(LogLine.escaped(message) == line)
    }

    @Test func longMessagesAreCutBelowThePipeLimit() {
        for message in [String(repeating: "x", count: 100_000), String(repeating: "\n", count: 100_000)] {
            let line = LogLine.readable(.error, LogLine.escaped(message), at: 0, colored: true)
            #expect(line.count <= 4_096)
            #expect(line.last == UInt8(ascii: "\n"))
            #expect(String(decoding: line, as: UTF8.self).hasSuffix("…\n"))
        }
    }

    @Test func linesHaveTimeLevelAndMessage() {
        let moment: Int64 = 1_738_324_800_123_456_789
        let line = String(decoding: LogLine.readable(.info, "hello", at: moment, colored: false), as: UTF8.self)
        #expect(line == "2025-01-31T12:00:00.123Z info    hello\n")
        #expect(String(decoding: LogLine.prefixed(.warning, "hello"), as: UTF8.self) == "<4>hello\n")
    }
}
