// Dates, times and decimals of engines as numbers: what is one, and what is none.

import LiteBaseTesting
import Testing

@testable import Tabular

@Suite struct ValueTextTests {
    private func read<Value>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Value?) -> Value? {
        var text = text
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    @Test func dates() {
        func date(_ text: String) -> Int32? { read(text, ValueText.date) }
        #expect(date("1970-01-01") == 0)
        #expect(date("1969-12-31") == -1)
        #expect(date("2000-02-29") == 11_016)
        #expect(date("1900-02-28") == -25_509)
        #expect(date("9999-12-31") == 2_932_896)
        #expect(date("10000-01-01") == 2_932_897)
        // The year before 0001 is 0000, which PostgreSQL calls 0001 BC.
        #expect(date("0001-01-01") == -719_162)
        #expect(date("0001-12-31 BC") == -719_163)
        for bad in [
            "", "1970", "1970-1-1", "1900-02-29", "2001-02-29", "2000-13-01", "2000-00-10", "0000-00-00", "2000-01-00",
            "infinity", "-infinity", "1970-01-01 ", "1970-01-01x", "1970-01-01 AD", "0000-01-01 BC", "99999999-01-01",
            "9999999-01-01",
        ] {
            #expect(date(bad) == nil, "\(bad)")
        }
    }

    /// Every day has the number behind that of the day before it.
    @Test func daysAreInOrder() {
        var expected: Int32 = -25_567
        for year in 1900...2101 {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            for (month, length) in [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].enumerated() {
                for day in 1...length {
                    let two = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
                    let text = "\(year)-\(two(month + 1))-\(two(day))"
                    guard read(text, ValueText.date) == expected else {
                        Issue.record("\(text) is not \(expected)")
                        return
                    }
                    expected += 1
                }
            }
        }
    }

    @Test func timesAndSpans() {
        #expect(read("00:00:00", ValueText.time) == 0)
        #expect(read("23:59:59.999999", ValueText.time) == 86_399_999_999)
        #expect(read("12:00:00.5", ValueText.time) == 43_200_500_000)
        for bad in [
            "24:00:00", "12:60:00", "12:00:60", "12:00", "-01:00:00", "12:00:00.", "12:00:00.1234567", "1:00:00",
        ] {
            #expect(read(bad, ValueText.time) == nil, "\(bad)")
        }
        #expect(read("-838:59:59.000001", ValueText.duration) == -3_020_399_000_001)
        #expect(read("838:59:59", ValueText.duration) == 3_020_399_000_000)
    }

    @Test func moments() {
        func plain(_ text: String) -> Int64? { read(text) { ValueText.timestamp($0, hasOffset: false) } }
        func zoned(_ text: String) -> Int64? { read(text) { ValueText.timestamp($0, hasOffset: true) } }
        #expect(plain("1970-01-01 00:00:00") == 0)
        #expect(plain("1969-12-31 23:59:59.999999") == -1)
        #expect(plain("2024-02-29T12:30:00.25") == 1_709_209_800_250_000)
        #expect(plain("1970-01-01 00:00:00+00") == nil)
        #expect(plain("294246-12-31 23:59:59.999999") == 9_223_371_244_799_999_999)
        // The last moment of PostgreSQL's, beyond 64 bits of microseconds since 1970.
        #expect(plain("294276-12-31 23:59:59.999999") == nil)
        #expect(zoned("1970-01-01 01:00:00+01") == 0)
        #expect(zoned("1969-12-31 20:30:00-03:30") == 0)
        #expect(zoned("1970-01-01 00:19:32+00:19:32") == 0)
        #expect(zoned("1970-01-01 00:00:00Z") == 0)
        #expect(zoned("0001-01-01 00:00:00+00 BC") == -62_167_219_200_000_000)
        for bad in [
            "1970-01-01 00:00:00", "1970-01-01", "infinity", "1970-01-01 00:00:00+1", "1970-01-01 00:00:00+00:61",
        ] {
            #expect(zoned(bad) == nil, "\(bad)")
        }
    }

    @Test func decimals() {
        func decimal(_ text: String, _ precision: Int, _ scale: Int) -> Int128? {
            read(text) { ValueText.decimal($0, precision: precision, scale: scale) }
        }
        #expect(decimal("1.50", 10, 2) == 150)
        #expect(decimal("-1.5", 10, 2) == -150)
        #expect(decimal("1.500", 10, 2) == 150)
        #expect(decimal("0", 1, 0) == 0)
        #expect(decimal(".5", 2, 1) == 5)
        let nines = String(repeating: "9", count: 38)
        #expect(decimal(nines, 38, 0) == Int128(nines))
        #expect(decimal("-" + nines, 38, 0).map { -$0 } == Int128(nines))
        for (bad, precision, scale) in [
            ("1.501", 10, 2), ("100.0", 3, 1), ("NaN", 10, 2), ("", 10, 2), ("-", 10, 2), (".", 10, 2), ("1e3", 10, 2),
            ("1.5.0", 10, 2), ("9" + nines, 38, 0), (nines, 38, 1), ("+1", 3, 0),
        ] {
            #expect(decimal(bad, precision, scale) == nil, "\(bad)")
        }
    }

    /// No text traps, whatever it has.
    @Test func anyTextIsANumberOrNone() {
        var random = SeededGenerator.fresh
        let letters = Array("0123456789-:. +TZBC9".utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...30, using: &random)
            let bytes = (0..<count).map { _ in letters.randomElement(using: &random) ?? 0 }
            bytes.withUnsafeBytes {
                _ = ValueText.date($0)
                _ = ValueText.time($0)
                _ = ValueText.duration($0)
                _ = ValueText.timestamp($0, hasOffset: Bool.random(using: &random))
                _ = ValueText.decimal($0, precision: 38, scale: Int.random(in: 0...38, using: &random))
            }
        }
    }
}
