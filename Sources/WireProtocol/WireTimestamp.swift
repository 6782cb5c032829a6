// The time in a reply's envelope, in either form that the protocol has, by arithmetic alone: no libc, no time zone.

public import ByteBuffers

/// A point in time, as replies carry it.
public struct WireTimestamp: Sendable, Equatable {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    public let seconds: Int64
    /// 0 ..< 1,000,000,000.
    public let nanoseconds: UInt32

    /// Takes the Unix time in nanoseconds, as `clock_gettime(CLOCK_REALTIME)` has it.
    public init(nanosecondsSince1970: Int64) {
        let billion: Int64 = 1_000_000_000
        var (quotient, remainder) = nanosecondsSince1970.quotientAndRemainder(dividingBy: billion)
        if remainder < 0 {
            remainder &+= billion
            quotient &-= 1
        }
        seconds = quotient
        nanoseconds = UInt32(truncatingIfNeeded: remainder)
    }
}

extension ByteBuffer {
    /// Appends the extension type −1: timestamp 64, or timestamp 96 for years before 1970.
    /// - Source: https://github.com/msgpack/msgpack/blob/master/spec.md#timestamp-extension-type
    public mutating func appendMessagePackTimestamp(_ time: WireTimestamp) {
        if time.seconds >= 0 {
            append(0xd7 as UInt8)
            append(0xff as UInt8)
            // 34 bits hold the seconds of 544 years; an Int64 of nanoseconds ends in 2262.
            appendBigEndian(UInt64(time.nanoseconds) &<< 34 | UInt64(truncatingIfNeeded: time.seconds))
        } else {
            append(0xc7 as UInt8)
            append(12 as UInt8)
            append(0xff as UInt8)
            appendBigEndian(time.nanoseconds)
            appendBigEndian(time.seconds)
        }
    }

    /// Appends `"2026-11-22T22:13:58.123456Z"`.
    /// - Source: RFC 3339
    public mutating func appendJSONTimestamp(_ time: WireTimestamp) {
        let secondsPerDay: Int64 = 86_400
        var (day, second) = time.seconds.quotientAndRemainder(dividingBy: secondsPerDay)
        if second < 0 {
            second &+= secondsPerDay
            day &-= 1
        }
        let date = CivilDate(daysSince1970: day)
        append(UInt8(ascii: "\""))
        appendPart(date.year, digitCount: 4, then: "-")
        appendPart(date.month, digitCount: 2, then: "-")
        appendPart(date.day, digitCount: 2, then: "T")
        appendPart(second / 3600, digitCount: 2, then: ":")
        appendPart(second / 60 % 60, digitCount: 2, then: ":")
        appendPart(second % 60, digitCount: 2, then: ".")
        appendPart(Int64(time.nanoseconds / 1000), digitCount: 6, then: "Z\"")
    }

    private mutating func appendPart(_ value: Int64, digitCount: Int, then separator: StaticString) {
        appendDecimal(value.magnitude, digitCount: digitCount)
        append(separator)
    }
}

/// A day of the proleptic Gregorian calendar.
private struct CivilDate {
    let year: Int64
    let month: Int64
    let day: Int64

    /// Counts in eras of 400 years that start on the first of March, so that a leap day is the last day of its year.
    /// - Source: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    init(daysSince1970: Int64) {
        let daysPerEra: Int64 = 146_097
        let shifted = daysSince1970 &+ 719_468
        let era = (shifted >= 0 ? shifted : shifted &- (daysPerEra &- 1)) / daysPerEra
        let dayOfEra = shifted &- era &* daysPerEra
        let yearOfEra = (dayOfEra &- dayOfEra / 1460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
        day = dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1
        month = shiftedMonth < 10 ? shiftedMonth &+ 3 : shiftedMonth &- 9
        year = yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0)
    }
}
