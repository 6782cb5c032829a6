// Numbers of Arrow as the texts that engines read: the reverse of `ValueText`.

/// The text of one value, in memory that is used again for the next one.
///
/// - Thread: one at a time.
struct ArrowLine: ~Copyable {
    private let room: UnsafeMutableRawBufferPointer
    private var count = 0

    /// More than the longest decimal and the longest moment have.
    private static let byteCountMax = 256

    init() { room = .allocate(byteCount: Self.byteCountMax, alignment: 16) }

    deinit { room.deallocate() }

    /// Valid until the next text.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: room[..<count]) }

    // MARK: Dates and times

    /// `2000-12-31`; of a year before the first one `0044-03-15 BC`.
    mutating func write(days: Int64) {
        count = 0
        let isBeforeChrist = append(days: days)
        if isBeforeChrist { append(" BC") }
    }

    /// `23:59:59`, with the digits of the fraction that are needed: none, 6 or 9.
    /// - Returns: false for what is no time of a day.
    mutating func write(time: Int64, _ unit: ArrowUnit) -> Bool {
        count = 0
        guard time >= 0, time / unit.perSecond < 86_400 else { return false }
        append(clock: UInt64(time / unit.perSecond))
        append(fraction: time % unit.perSecond, unit)
        return true
    }

    /// A time, of any number of hours and perhaps behind a sign.
    mutating func write(duration: Int64, _ unit: ArrowUnit) {
        count = 0
        if duration < 0 { append("-") }
        let magnitude = duration.magnitude
        append(clock: magnitude / UInt64(unit.perSecond))
        append(fraction: Int64(magnitude % UInt64(unit.perSecond)), unit)
    }

    /// `2000-12-31 23:59:59`, with the fraction as of a time, and with `+00:00` where it is one in UTC.
    mutating func write(timestamp: Int64, _ unit: ArrowUnit, hasOffset: Bool) {
        count = 0
        let (seconds, fraction) = timestamp.dividedDown(by: unit.perSecond)
        let (days, second) = seconds.dividedDown(by: 86_400)
        let isBeforeChrist = append(days: days)
        append(" ")
        append(clock: UInt64(second))
        append(fraction: fraction, unit)
        if hasOffset { append("+00:00") }
        if isBeforeChrist { append(" BC") }
    }

    /// Appends a day of the Gregorian calendar, continued before its beginning.
    ///
    /// The year begins in March here, so that the leap day is its last.
    /// - Parameter days: since 1970-01-01.
    /// - Returns: whether its year is one before Christ.
    private mutating func append(days: Int64) -> Bool {
        // From the first of March of the year 0; a number of days that is none of a date is far beyond any year.
        let (era, dayOfEra) = (days &+ 719_468).dividedDown(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        append(number: (year > 0 ? year : 1 - year).magnitude, digits: 4)
        append("-")
        append(number: UInt64(month), digits: 2)
        append("-")
        append(number: UInt64(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1), digits: 2)
        return year <= 0
    }

    private mutating func append(clock seconds: UInt64) {
        append(number: seconds / 3_600, digits: 2)
        append(":")
        append(number: seconds / 60 % 60, digits: 2)
        append(":")
        append(number: seconds % 60, digits: 2)
    }

    private mutating func append(fraction: Int64, _ unit: ArrowUnit) {
        guard fraction > 0 else { return }
        let nanoseconds = UInt64(fraction * (1_000_000_000 / unit.perSecond))
        append(".")
        if nanoseconds % 1_000 == 0 {
            append(number: nanoseconds / 1_000, digits: 6)
        } else {
            append(number: nanoseconds, digits: 9)
        }
    }

    // MARK: Decimals

    /// A decimal in two's complement.
    /// - Parameters:
    ///   - limbs: its parts of 64 bits, the lowest one first.
    ///   - scale: digits behind the point; negative: zeros before it.
    mutating func write(decimal limbs: InlineArray<4, UInt64>, scale: Int) {
        count = 0
        var magnitude = limbs
        let isNegative = limbs[3] >> 63 != 0
        if isNegative {
            var carry = true
            for index in 0..<4 {
                let (sum, overflow) = (~magnitude[index]).addingReportingOverflow(carry ? 1 : 0)
                (magnitude[index], carry) = (sum, overflow)
            }
        }
        // The last digit first, up to one before the point.
        var (digits, digitCount) = (InlineArray<160, UInt8>(repeating: 0), 0)
        while digitCount < digits.count, !Self.isZero(magnitude) || digitCount <= max(0, scale) {
            digits[digitCount] = UInt8(Self.divide(&magnitude, by: 10))
            digitCount += 1
        }
        if isNegative { append("-") }
        for index in (0..<digitCount).reversed() {
            if index == scale - 1 { append(".") }
            append(byte: UInt8(ascii: "0") + digits[index])
        }
        let isZero = digitCount == 1 && digits[0] == 0
        if scale < 0, !isZero { for _ in 0..<(-scale) { append("0") } }
    }

    private static func isZero(_ limbs: InlineArray<4, UInt64>) -> Bool {
        limbs[0] | limbs[1] | limbs[2] | limbs[3] == 0
    }

    /// - Returns: the rest.
    private static func divide(_ limbs: inout InlineArray<4, UInt64>, by divisor: UInt64) -> UInt64 {
        var rest: UInt64 = 0
        for index in (0..<4).reversed() where rest > 0 || limbs[index] > 0 {
            (limbs[index], rest) = divisor.dividingFullWidth((rest, limbs[index]))
        }
        return rest
    }

    // MARK: Bytes

    private mutating func append(number: UInt64, digits least: Int) {
        var (place, rest, digitCount) = (room.count, number, 0)
        // From the end of the room, which no text comes near.
        while rest > 0 || digitCount < least {
            place -= 1
            room[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
            digitCount += 1
        }
        for index in 0..<digitCount { append(byte: room[place + index]) }
    }

    private mutating func append(_ text: StaticString) {
        for index in 0..<text.utf8CodeUnitCount { append(byte: text.utf8Start[index]) }
    }

    private mutating func append(byte: UInt8) {
        guard count < room.count else { return }
        room[count] = byte
        count += 1
    }
}

extension Int64 {
    /// The quotient towards the negative, and what is left, which is not negative.
    func dividedDown(by divisor: Int64) -> (quotient: Int64, rest: Int64) {
        let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
        return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
    }
}
