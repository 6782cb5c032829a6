// The arrays of a batch: where their buffers are in its body, and their values.

internal import ByteBuffers

/// A value of a column. Its bytes are valid until the next one is asked for.
public enum ArrowValue {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Only above `Int64.max`.
    case unsigned(UInt64)
    case real(Double)
    /// UTF-8; a decimal, a date or a time as engines write it.
    case text(UnsafeRawBufferPointer)
    case blob(UnsafeRawBufferPointer)
    /// Something that its type does not allow.
    case invalid(Invalid)

    /// What it is.
    public enum Invalid: Sendable { case notUTF8, notATime }
}

/// A buffer within a body.
struct ArrowBuffer {
    let start: Int
    let byteCount: Int
}

/// An array, all of whose buffers lie in the body of its batch.
struct ArrowArray {
    let form: ArrowForm
    /// Of the dictionary's values that it has the numbers of.
    let dictionary: ArrowDictionary?
    private let count: Int
    /// A bit for each value, 0 for none; `nil`: there are no nulls.
    private let validity: ArrowBuffer?
    private let offsets: ArrowBuffer
    private let values: ArrowBuffer
    /// What views lead into.
    private let others: [ArrowBuffer]

    /// Checks that the buffers are there, and long enough for the values.
    /// - Parameters:
    ///   - form: of the values, of a dictionary the form of their numbers.
    ///   - dictionary: what these numbers are for.
    ///   - count: values.
    ///   - hasNulls: whether some are null.
    ///   - buffers: the first ones are those of the form, in their order, behind them those of views.
    /// - Throws: `ArrowReadError.damagedBatch`.
    init(
        _ form: ArrowForm, _ dictionary: ArrowDictionary?, count: Int, hasNulls: Bool,
        _ buffers: ArraySlice<ArrowBuffer>
    ) throws(ArrowReadError) {
        self.form = form
        self.dictionary = dictionary
        self.count = count
        var rest = buffers
        let none = ArrowBuffer(start: 0, byteCount: 0)
        guard form != .null else {
            (validity, offsets, values, others) = (nil, none, none, [])
            return
        }
        let bits = rest.popFirst() ?? none
        let bitsByteCount = count / 8 + (count % 8 > 0 ? 1 : 0)
        guard !hasNulls || bits.byteCount >= bitsByteCount else { throw .damagedBatch }
        validity = hasNulls ? bits : nil
        if case .bytes(_, let offsetByteCount) = form {
            offsets = rest.popFirst() ?? none
            // An array without values may have no offset at all.
            guard count == 0 || offsets.byteCount / offsetByteCount > count else { throw .damagedBatch }
        } else {
            offsets = none
        }
        values = rest.popFirst() ?? none
        others = Array(rest)
        if form == .bool {
            guard values.byteCount >= bitsByteCount else { throw .damagedBatch }
        } else if form.valueByteCount > 0 {
            guard values.byteCount / form.valueByteCount >= count else { throw .damagedBatch }
        }
    }

    /// Checks that the offsets only grow and stay within the values, so that all texts together are not longer than these.
    func checkOffsets(in body: UnsafeRawPointer) -> Bool {
        guard case .bytes(_, let offsetByteCount) = form, count > 0 else { return true }
        var former: Int64 = 0
        var isSound = true
        for index in 0...count {
            let offset = offset(index, offsetByteCount, in: body)
            isSound = isSound && offset >= former
            former = offset
        }
        return isSound && former <= Int64(values.byteCount)
    }

    @inline(__always)
    private func offset(_ index: Int, _ byteCount: Int, in body: UnsafeRawPointer) -> Int64 {
        byteCount == 4
            ? Int64(Self.number(body, offsets.start + 4 * index, as: Int32.self))
            : Self.number(body, offsets.start + 8 * index, as: Int64.self)
    }

    /// A number at a place that was checked.
    @inline(__always)
    private static func number<Number: FixedWidthInteger>(
        _ body: UnsafeRawPointer, _ place: Int, as type: Number.Type
    ) -> Number {
        Number(littleEndian: body.loadUnaligned(fromByteOffset: place, as: Number.self))
    }

    // MARK: Values

    private static let millisecondsPerDay: Int64 = 86_400_000

    /// - Parameters:
    ///   - index: less than `count`.
    ///   - body: of the batch.
    ///   - line: where texts are made.
    /// - Returns: `nil` for a value that leads out of its buffers or of its dictionary.
    func value(_ index: Int, in body: UnsafeRawPointer, _ line: inout ArrowLine) -> ArrowValue? {
        if let validity,
            body.load(fromByteOffset: validity.start + index >> 3, as: UInt8.self) >> UInt8(index & 7) & 1 == 0
        {
            return .null
        }
        guard let dictionary else { return plainValue(index, in: body, &line) }
        switch plainValue(index, in: body, &line) {
        case .integer(let place)?: return dictionary.value(Int(place))
        default: return nil
        }
    }

    private func plainValue(_ index: Int, in body: UnsafeRawPointer, _ line: inout ArrowLine) -> ArrowValue? {
        let place = values.start + index * form.valueByteCount
        switch form {
        case .null: return .null
        case .bool:
            return .bool(
                body.load(fromByteOffset: values.start + index >> 3, as: UInt8.self) >> UInt8(index & 7) & 1 == 1)
        case .integer(let byteCount, let isSigned): return Self.integer(body, place, byteCount, isSigned)
        case .real(let byteCount): return .real(Self.real(body, place, byteCount))
        case .decimal(let byteCount, let scale):
            line.write(decimal: Self.limbs(body, place, byteCount), scale: scale)
        case .date(let isDays):
            line.write(
                days: isDays
                    ? Int64(Self.number(body, place, as: Int32.self))
                    : Self.number(body, place, as: Int64.self).dividedDown(by: Self.millisecondsPerDay).quotient)
        case .time(let unit, let byteCount):
            let time =
                byteCount == 4
                ? Int64(Self.number(body, place, as: Int32.self)) : Self.number(body, place, as: Int64.self)
            guard line.write(time: time, unit) else { return .invalid(.notATime) }
        case .timestamp(let unit, let hasZone):
            line.write(timestamp: Self.number(body, place, as: Int64.self), unit, hasOffset: hasZone)
        case .duration(let unit): line.write(duration: Self.number(body, place, as: Int64.self), unit)
        case .bytes(let isText, let offsetByteCount):
            let (start, end) = (offset(index, offsetByteCount, in: body), offset(index + 1, offsetByteCount, in: body))
            // They were checked, of a batch.
            guard start >= 0, end >= start, end <= Int64(values.byteCount) else { return nil }
            return Self.bytes(body + values.start + Int(start), Int(end - start), isText: isText)
        case .fixedBytes(let byteCount): return Self.bytes(body + place, byteCount, isText: false)
        case .views(let isText): return view(body, place, isText: isText)
        case .other: return nil
        }
        return .text(line.bytes)
    }

    private static func integer(
        _ body: UnsafeRawPointer, _ place: Int, _ byteCount: Int, _ isSigned: Bool
    ) -> ArrowValue {
        switch (byteCount, isSigned) {
        case (1, true): return .integer(Int64(number(body, place, as: Int8.self)))
        case (2, true): return .integer(Int64(number(body, place, as: Int16.self)))
        case (4, true): return .integer(Int64(number(body, place, as: Int32.self)))
        case (1, false): return .integer(Int64(number(body, place, as: UInt8.self)))
        case (2, false): return .integer(Int64(number(body, place, as: UInt16.self)))
        case (4, false): return .integer(Int64(number(body, place, as: UInt32.self)))
        case (_, true): return .integer(number(body, place, as: Int64.self))
        case (_, false):
            let value = number(body, place, as: UInt64.self)
            return Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
        }
    }

    private static func real(_ body: UnsafeRawPointer, _ place: Int, _ byteCount: Int) -> Double {
        switch byteCount {
        case 2: half(number(body, place, as: UInt16.self))
        case 4: Double(Float(bitPattern: number(body, place, as: UInt32.self)))
        default: Double(bitPattern: number(body, place, as: UInt64.self))
        }
    }

    /// The value of a float of 16 bits: a sign, 5 bits of exponent, 10 of fraction.
    private static func half(_ bits: UInt16) -> Double {
        let (exponent, fraction) = (Int(bits >> 10 & 31), Double(bits & 0x3ff))
        let magnitude: Double =
            switch exponent {
            case 0: fraction * 0x1p-24
            case 31: fraction == 0 ? .infinity : .nan
            default: (1_024 + fraction) * Double(sign: .plus, exponent: exponent - 25, significand: 1)
            }
        return bits >> 15 == 0 ? magnitude : -magnitude
    }

    /// The number at a place, with as many bits as the widest has.
    private static func limbs(_ body: UnsafeRawPointer, _ place: Int, _ byteCount: Int) -> InlineArray<4, UInt64> {
        if byteCount == 4 {
            let value = Int64(number(body, place, as: Int32.self))
            let sign = UInt64(bitPattern: value >> 63)
            return [UInt64(bitPattern: value), sign, sign, sign]
        }
        var limbs = InlineArray<4, UInt64>(repeating: 0)
        for index in 0..<(byteCount / 8) { limbs[index] = number(body, place + 8 * index, as: UInt64.self) }
        let isNegative = limbs[byteCount / 8 - 1] >> 63 != 0
        for index in (byteCount / 8)..<4 { limbs[index] = isNegative ? .max : 0 }
        return limbs
    }

    private static func bytes(_ start: UnsafeRawPointer, _ count: Int, isText: Bool) -> ArrowValue {
        let bytes = UnsafeRawBufferPointer(start: start, count: count)
        guard isText else { return .blob(bytes) }
        return isValidUTF8(bytes) ? .text(bytes) : .invalid(.notUTF8)
    }

    /// A length, and the bytes, or their first ones, a buffer's number and a place in it.
    private func view(_ body: UnsafeRawPointer, _ place: Int, isText: Bool) -> ArrowValue? {
        let count = Int(Self.number(body, place, as: Int32.self))
        guard count > 12 else { return count >= 0 ? Self.bytes(body + place + 4, count, isText: isText) : nil }
        let (buffer, offset) = (
            Int(Self.number(body, place + 8, as: Int32.self)), Int(Self.number(body, place + 12, as: Int32.self))
        )
        guard others.indices.contains(buffer), offset >= 0, count <= others[buffer].byteCount - offset else {
            return nil
        }
        return Self.bytes(body + others[buffer].start + offset, count, isText: isText)
    }
}

extension ArrowValue {
    /// Bytes of a text or a blob.
    var byteCount: Int {
        switch self {
        case .text(let bytes), .blob(let bytes): bytes.count
        default: 0
        }
    }
}
