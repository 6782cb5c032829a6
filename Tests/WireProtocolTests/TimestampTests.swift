// The time in a reply's envelope.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct TimestampTests {
    static func text(_ nanoseconds: Int64) -> String {
        appendedText { $0.appendJSONTimestamp(WireTimestamp(nanosecondsSince1970: nanoseconds)) }
    }

    /// Made with `date -u -d @SECONDS`.
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_795_385_638_123_456_789, "2026-11-22T22:13:58.123456Z"),
            (951_782_399_999_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_800_000_001_000, "2000-03-01T00:00:00.000001Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
            (1_735_689_599_000_000_000, "2024-12-31T23:59:59.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (-86_400_000_000_000, "1969-12-31T00:00:00.000000Z"),
            (.max, "2262-04-11T23:47:16.854775Z"),
            (.min, "1677-09-21T00:12:43.145224Z"),
        ] as [(Int64, String)])
    func text(nanoseconds: Int64, expected: String) {
        #expect(Self.text(nanoseconds) == "\"\(expected)\"")
    }

    @Test func messagePackForms() throws {
        func bytes(_ nanoseconds: Int64) -> [UInt8] {
            appended { $0.appendMessagePackTimestamp(WireTimestamp(nanosecondsSince1970: nanoseconds)) }
        }
        #expect(bytes(1_000_000_000) == [0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 1])
        #expect(bytes(1) == [0xd7, 0xff, 0, 0, 0, 4, 0, 0, 0, 0])
        #expect(bytes(-1) == [0xc7, 12, 0xff, 0x3b, 0x9a, 0xc9, 0xff] + [UInt8](repeating: 0xff, count: 8))
        _ = try Value(messagePack: bytes(.max))
        _ = try Value(messagePack: bytes(.min))
    }

    /// Every day of the range has a date of its own, one after the other.
    @Test func daysFollowEachOther() {
        var last = ""
        for day in stride(from: Int64(-100_000), through: 100_000, by: 1) {
            let date = String(Self.text(day * 86_400_000_000_000).dropFirst().prefix(10))
            #expect(date > last)
            last = date
        }
    }
}
