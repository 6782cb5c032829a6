// Dates, times and decimals as engines write them, as numbers. What is not exactly such a number is none.

/// Reads texts of PostgreSQL (`DateStyle` ISO) and MySQL.
public enum ValueText {
    /// Digits of the longest decimal.
    public static let digitCountMax = 38

    private static let microsecondsPerSecond: Int64 = 1_000_000
    private static let microsecondsPerDay = 86_400 * microsecondsPerSecond

    /// Days since 1970-01-01.
    public static func date(_ text: UnsafeRawBufferPointer) -> Int32? {
        var cursor = Cursor(text)
        guard let date = cursor.date(), let isBefore = cursor.era(), cursor.isAtEnd else { return nil }
        return days(date, isBeforeChrist: isBefore).flatMap { Int32(exactly: $0) }
    }

    /// Microseconds since midnight.
    public static func time(_ text: UnsafeRawBufferPointer) -> Int64? {
        var cursor = Cursor(text)
        guard let time = cursor.clock(hourMax: 23), cursor.isAtEnd else { return nil }
        return time
    }

    /// Microseconds; hours may be many, and there may be a sign.
    public static func duration(_ text: UnsafeRawBufferPointer) -> Int64? {
        var cursor = Cursor(text)
        let isNegative = cursor.skip("-")
        guard let time = cursor.clock(hourMax: 1_000_000), cursor.isAtEnd else { return nil }
        return isNegative ? -time : time
    }

    /// Microseconds since 1970-01-01 00:00, in UTC where the text has an offset, which it has exactly if `hasOffset`.
    public static func timestamp(_ text: UnsafeRawBufferPointer, hasOffset: Bool) -> Int64? {
        var cursor = Cursor(text)
        guard let date = cursor.date(), cursor.skip(" ") || cursor.skip("T"), let time = cursor.clock(hourMax: 23)
        else { return nil }
        var offset: Int64 = 0
        if hasOffset {
            guard let read = cursor.zoneOffset() else { return nil }
            offset = read
        }
        guard let isBefore = cursor.era(), cursor.isAtEnd, let days = days(date, isBeforeChrist: isBefore) else {
            return nil
        }
        let (start, overflow) = days.multipliedReportingOverflow(by: microsecondsPerDay)
        let (moment, overflow2) = start.addingReportingOverflow(time - offset)
        return overflow || overflow2 ? nil : moment
    }

    /// The digits of a decimal with so many behind the point.
    public static func decimal(_ text: UnsafeRawBufferPointer, precision: Int, scale: Int) -> Int128? {
        var cursor = Cursor(text)
        let isNegative = cursor.skip("-")
        var (value, digitCount, fraction, isInFraction) = (Int128(0), 0, 0, false)
        while let byte = cursor.next() {
            if byte == UInt8(ascii: "."), !isInFraction {
                isInFraction = true
                continue
            }
            guard let digit = Cursor.digit(byte) else { return nil }
            digitCount += 1
            if isInFraction {
                fraction += 1
                if fraction > scale {
                    // What is cut has to be nothing.
                    guard digit == 0 else { return nil }
                    continue
                }
            }
            guard append(digit, to: &value, below: precision) else { return nil }
        }
        guard digitCount > 0 else { return nil }
        while fraction < scale {
            guard append(0, to: &value, below: precision) else { return nil }
            fraction += 1
        }
        return isNegative ? -value : value
    }

    private static func append(_ digit: Int64, to value: inout Int128, below precision: Int) -> Bool {
        // Before it is multiplied: 39 digits do not fit into 127 bits.
        guard value < powers[precision - 1] else { return false }
        value = value * 10 + Int128(digit)
        return true
    }

    private static let powers: [Int128] = (0...digitCountMax).map { exponent in
        (0..<exponent).reduce(Int128(1)) { power, _ in power * 10 }
    }

    /// Days since 1970-01-01 in the Gregorian calendar, continued before its beginning; `nil` for a day that there is not.
    ///
    /// The year begins in March here, so that the leap day is its last.
    private static func days(_ date: Cursor.Date, isBeforeChrist: Bool) -> Int64? {
        let year = isBeforeChrist ? 1 - date.year : date.year
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(date.month), (1...lengths[Int(date.month) - 1]).contains(date.day),
            !isBeforeChrist || date.year > 0
        else { return nil }
        let shifted = date.month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (date.month > 2 ? date.month - 3 : date.month + 9) + 2) / 5 + date.day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        // From the first of March of the year 0.
        return era * 146_097 + dayOfEra - 719_468
    }

    /// A place in a text.
    private struct Cursor {
        private let text: UnsafeRawBufferPointer
        private var offset = 0

        struct Date {
            let (year, month, day): (Int64, Int64, Int64)

            init(_ year: Int64, _ month: Int64, _ day: Int64) { (self.year, self.month, self.day) = (year, month, day) }
        }

        init(_ text: UnsafeRawBufferPointer) { self.text = text }

        var isAtEnd: Bool { offset == text.count }

        static func digit(_ byte: UInt8) -> Int64? {
            let digit = byte &- UInt8(ascii: "0")
            return digit <= 9 ? Int64(digit) : nil
        }

        mutating func next() -> UInt8? {
            guard offset < text.count else { return nil }
            defer { offset += 1 }
            return text[offset]
        }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard offset < text.count, text[offset] == UInt8(ascii: character) else { return false }
            offset += 1
            return true
        }

        private mutating func number(digits: ClosedRange<Int>) -> Int64? {
            var (value, count): (Int64, Int) = (0, 0)
            while offset < text.count, count < digits.upperBound, let digit = Self.digit(text[offset]) {
                value = value * 10 + digit
                count += 1
                offset += 1
            }
            return count >= digits.lowerBound ? value : nil
        }

        mutating func date() -> Date? {
            guard let year = number(digits: 4...7), skip("-"), let month = number(digits: 2...2), skip("-"),
                let day = number(digits: 2...2)
            else { return nil }
            return Date(year, month, day)
        }

        /// Microseconds.
        mutating func clock(hourMax: Int64) -> Int64? {
            guard let hour = number(digits: 2...7), hour <= hourMax, skip(":"), let minute = number(digits: 2...2),
                minute < 60, skip(":"), let second = number(digits: 2...2), second < 60
            else { return nil }
            var fraction: Int64 = 0
            if skip(".") {
                let start = offset
                guard let digits = number(digits: 1...6) else { return nil }
                fraction = (offset - start..<6).reduce(digits) { value, _ in value * 10 }
            }
            return ((hour * 60 + minute) * 60 + second) * microsecondsPerSecond + fraction
        }

        /// Of a zone, in microseconds: `+01`, `-03:30`, `+00:19:32`, `Z`.
        mutating func zoneOffset() -> Int64? {
            if skip("Z") { return 0 }
            let isNegative = skip("-")
            guard isNegative || skip("+"), let hours = number(digits: 2...2) else { return nil }
            var seconds = hours * 3_600
            for unit: Int64 in [60, 1] {
                guard skip(":") else { break }
                guard let number = number(digits: 2...2), number < 60 else { return nil }
                seconds += number * unit
            }
            return (isNegative ? -seconds : seconds) * microsecondsPerSecond
        }

        /// Whether the year is one before Christ.
        mutating func era() -> Bool? {
            if isAtEnd { return false }
            return skip(" ") && skip("B") && skip("C") ? true : nil
        }
    }
}
