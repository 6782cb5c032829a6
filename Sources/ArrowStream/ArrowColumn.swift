// The buffers of one column, into which values are written as they come.

internal import ByteBuffers
internal import CNumbers
internal import Tabular

/// One column of the batch that is being made.
///
/// A value is copied once, from where the engine has it into the buffer that is written. A column whose values decide on its type
/// is one of nulls until the first other one, and takes what fits without a loss until its first batch is written.
struct ArrowColumn: ~Copyable {
    let name: String
    private(set) var type: ArrowType
    /// Whether everything becomes text.
    private let isText: Bool
    /// The values may still change the type.
    private var isOpen: Bool
    private(set) var count = 0
    private(set) var nullCount = 0
    /// A bit for each value, set if it is none; empty as long as there is no null.
    private(set) var validity = ByteBuffer()
    /// Of texts and blobs: where each begins, and the end.
    private(set) var offsets = ByteBuffer()
    private(set) var values = ByteBuffer()

    init(_ plan: ArrowColumnPlan) {
        name = plan.name
        isOpen = plan.type == .byValues
        isText = plan.type == .text
        switch plan.type {
        case .fixed(let wanted): type = wanted
        case .byValues: type = .null
        case .text: type = .utf8
        }
    }

    /// What another column has to be for later values of this one.
    var plan: ArrowColumnPlan { ArrowColumnPlan(name: name, type: isText ? .text : isOpen ? .byValues : .fixed(type)) }

    /// Bytes of memory.
    var capacity: Int { validity.capacity + offsets.capacity + values.capacity }

    var hasOffsets: Bool { type == .utf8 || type == .binary }

    /// Drops the values, whose batch is written: the type stays.
    mutating func removeAll(keepingByteCountMax: Int) {
        isOpen = false
        count = 0
        nullCount = 0
        validity.removeAll()
        offsets.removeAll()
        values.removeAll()
        if capacity > keepingByteCountMax {
            validity.releaseStorage()
            offsets.releaseStorage()
            values.releaseStorage()
        }
    }

    // MARK: Values; each returns whether the column can hold it

    mutating func null() {
        if type != .null {
            if nullCount == 0 { beginValidity() }
            validity.appendBit(false, at: count)
            appendFiller()
        }
        nullCount &+= 1
        count &+= 1
    }

    mutating func bool(_ value: Bool) -> Bool {
        if isText { return asText { $0.append(value ? "true" : "false" as StaticString) } }
        open(as: .bool)
        guard type == .bool else { return false }
        values.appendBit(value, at: count)
        valueDidEnd()
        return true
    }

    mutating func integer(_ value: Int64) -> Bool {
        if type == .int64 {
            appendWord(value)
            return true
        }
        if isText { return asText { $0.appendDecimal(value.magnitude, isNegative: value < 0) } }
        open(as: .int64)
        switch type {
        case .int64: appendWord(value)
        case .uint64 where value >= 0: appendWord(value)
        case .float64:
            guard Self.isExact(value) else { return false }
            appendWord(Double(value).bitPattern)
        default: return false
        }
        return true
    }

    /// An integer above `Int64.max`.
    mutating func unsigned(_ value: UInt64) -> Bool {
        if isText { return asText { $0.appendDecimal(value, isNegative: false) } }
        open(as: .uint64)
        if isOpen, type == .int64, words.allSatisfy({ $0 >= 0 }) { type = .uint64 }
        guard type == .uint64 else { return false }
        appendWord(value)
        return true
    }

    mutating func real(_ value: Double) -> Bool {
        if isText { return asText { $0.appendReal(value) } }
        open(as: .float64)
        if isOpen, type == .int64, words.allSatisfy(Self.isExact) { becomeReal() }
        guard type == .float64 else { return false }
        appendWord(value.bitPattern)
        return true
    }

    /// - Returns: `nil` where the text is not UTF-8.
    mutating func text(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        open(as: .utf8)
        switch type {
        case .utf8:
            guard isValidUTF8(bytes) else { return isText ? blob(bytes) : nil }
            appendBytes(bytes)
        case .decimal128(let precision, let scale):
            guard let value = ValueText.decimal(bytes, precision: precision, scale: scale) else { return false }
            values.appendLittleEndian(value)
            valueDidEnd()
        case .date32:
            guard let value = ValueText.date(bytes) else { return false }
            values.appendLittleEndian(value)
            valueDidEnd()
        case .time64: return appendMoment(ValueText.time(bytes))
        case .duration: return appendMoment(ValueText.duration(bytes))
        case .timestamp(let isUTC): return appendMoment(ValueText.timestamp(bytes, hasOffset: isUTC))
        default: return false
        }
        return true
    }

    mutating func blob(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isText {
            return asText {
                $0.append("\\x")
                $0.appendHex(bytes)
            }
        }
        open(as: .binary)
        guard type == .binary else { return false }
        appendBytes(bytes)
        return true
    }

    // MARK: Buffers

    @inline(__always)
    private mutating func appendWord<Word: FixedWidthInteger>(_ word: Word) {
        values.appendLittleEndian(word)
        valueDidEnd()
    }

    private mutating func appendMoment(_ value: Int64?) -> Bool {
        guard let value else { return false }
        appendWord(value)
        return true
    }

    @inline(__always)
    private mutating func appendBytes(_ bytes: UnsafeRawBufferPointer) {
        if offsets.isEmpty { offsets.appendLittleEndian(Int32(0)) }
        values.append(bytes)
        endBytes()
    }

    private mutating func asText(_ write: (inout ByteBuffer) -> Void) -> Bool {
        if offsets.isEmpty { offsets.appendLittleEndian(Int32(0)) }
        write(&values)
        endBytes()
        return true
    }

    @inline(__always)
    private mutating func endBytes() {
        // Whoever writes limits the bytes of a batch.
        offsets.appendLittleEndian(Int32(truncatingIfNeeded: values.count))
        valueDidEnd()
    }

    @inline(__always)
    private mutating func valueDidEnd() {
        if nullCount > 0 { validity.appendBit(true, at: count) }
        count &+= 1
    }

    /// There is a first null: all before it are values.
    private mutating func beginValidity() {
        for index in 0..<count { validity.appendBit(true, at: index) }
    }

    /// What stands in the place of a null.
    private mutating func appendFiller() {
        switch type {
        case .null: break
        case .bool: values.appendBit(false, at: count)
        case .date32: values.appendLittleEndian(Int32(0))
        case .decimal128: values.appendLittleEndian(Int128(0))
        case .utf8, .binary:
            if offsets.isEmpty { offsets.appendLittleEndian(Int32(0)) }
            offsets.appendLittleEndian(Int32(truncatingIfNeeded: values.count))
        default: values.appendLittleEndian(Int64(0))
        }
    }

    // MARK: Types that the values decide on

    /// The first value that is no null.
    @inline(__always)
    private mutating func open(as wanted: ArrowType) {
        if type == .null, isOpen { become(wanted) }
    }

    private mutating func become(_ wanted: ArrowType) {
        let before = count
        type = wanted
        count = 0
        nullCount = 0
        for _ in 0..<before { null() }
    }

    private mutating func becomeReal() {
        let integers = words
        type = .float64
        values.removeAll()
        for value in integers { values.appendLittleEndian(Double(value).bitPattern) }
    }

    private var words: [Int64] {
        let bytes = values.readable
        return (0..<count).map { Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) }
    }

    /// Whether a double has the value and no other integer has the same double.
    private static func isExact(_ value: Int64) -> Bool { value.magnitude <= 1 << 53 }
}

extension ByteBuffer {
    /// Appends a bit to those before it, the lowest of a byte first.
    @inline(__always)
    fileprivate mutating func appendBit(_ bit: Bool, at index: Int) {
        if index & 7 == 0 { append(UInt8(0)) }
        guard bit else { return }
        let bytes = mutableReadable
        bytes[index >> 3] |= 1 << UInt8(truncatingIfNeeded: index & 7)
    }

    fileprivate mutating func appendDecimal(_ magnitude: UInt64, isNegative: Bool) {
        if isNegative { append(UInt8(ascii: "-")) }
        append(String(magnitude))
    }

    /// The shortest digits that read back as the same double; of others their names.
    fileprivate mutating func appendReal(_ value: Double) {
        guard value.isFinite else {
            return append(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity" as StaticString)
        }
        let target = writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = target.baseAddress else { return }
        commit(cnumbers_format_double(value, start.assumingMemoryBound(to: CChar.self)))
    }

    /// Appends bytes that have no meaning.
    mutating func appendZeros(_ count: Int) { for _ in 0..<count { append(UInt8(0)) } }
}
