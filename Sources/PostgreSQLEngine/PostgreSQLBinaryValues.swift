// Values of PostgreSQL whose binary form is more than a number.

internal import ByteBuffers
internal import Tabular

enum PostgreSQLBinaryValues {
    /// Of the usual form, 8-4-4-4-12 digits; `nil` for others that the server reads, too.
    static func uuid(_ text: UnsafeRawBufferPointer) -> UInt128? {
        guard text.count == 36 else { return nil }
        var value: UInt128 = 0
        for (index, byte) in text.enumerated() {
            if [8, 13, 18, 23].contains(index) {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = Hex.value(byte) else { return nil }
            value = value << 4 | UInt128(digit)
        }
        return value
    }

    private static let numericDigitCountMax = 1_000

    /// The field of a numeric: its digits in groups of four, of which the first one has `weight` groups behind it before the point.
    /// - Returns: false for what is not plain digits with a point among them at most, of which nothing is written.
    /// - Source: numeric_recv and set_var_from_str in src/backend/utils/adt/numeric.c of PostgreSQL 15
    static func appendNumeric(_ text: UnsafeRawBufferPointer, to bytes: inout ByteBuffer) -> Bool {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = UnsafeRawBufferPointer(rebasing: text.dropFirst(isNegative ? 1 : 0))
        let point = digits.firstIndex(of: UInt8(ascii: ".")) ?? digits.count
        let scale = max(0, digits.count - point - 1)
        guard point > 0, digits.count <= numericDigitCountMax, point == digits.count || scale > 0,
            digits.indices.allSatisfy({ $0 == point || (48...57).contains(digits[$0]) })
        else { return false }
        func group(_ number: Int) -> UInt16 {
            // Of the places 4 × number and the three behind it, counted from the point; those before it are negative.
            (0..<4).reduce(0) { value, place in
                let place = 4 * number + place
                let index = place < 0 ? point + place : point + 1 + place
                let isThere = place < 0 ? index >= 0 : index < digits.count
                return value * 10 + (isThere ? UInt16(digits[index] - 48) : 0)
            }
        }
        var groups = -((point + 3) / 4)..<((scale + 3) / 4)
        while let first = groups.first, group(first) == 0 { groups = (first + 1)..<groups.upperBound }
        while let last = groups.last, group(last) == 0 { groups = groups.lowerBound..<last }
        bytes.appendBigEndian(Int32(8 + 2 * groups.count))
        bytes.appendBigEndian(Int16(groups.count))
        bytes.appendBigEndian(Int16(groups.isEmpty ? 0 : -1 - groups.lowerBound))
        bytes.appendBigEndian(Int16(isNegative && !groups.isEmpty ? 0x4000 : 0))
        bytes.appendBigEndian(Int16(scale))
        for number in groups { bytes.appendBigEndian(group(number)) }
        return true
    }
}
