// Flatbuffers, as far as Arrow's messages need them: written from the start to the end, so that whatever a table refers to
// stands behind it.

/// One flatbuffer.
///
/// - Source: https://flatbuffers.dev/internals/ ; numbers are little-endian, and aligned to their size.
struct FlatBuffer {
    private(set) var bytes: [UInt8] = []

    /// A field of a table, in the order of the schema.
    enum Field {
        /// It has its default.
        case absent
        case byte(UInt8)
        case short(Int16)
        case int(Int32)
        case long(Int64)
        /// It is elsewhere: `refer` says where.
        case reference

        fileprivate var byteCount: Int {
            switch self {
            case .absent: 0
            case .byte: 1
            case .short: 2
            case .int, .reference: 4
            case .long: 8
            }
        }
    }

    /// Where the offset of something else stands.
    struct Reference {
        fileprivate let place: Int
    }

    /// Begins with the reference to the root table.
    init() { append(UInt32(0)) }

    /// The reference to the root table.
    var root: Reference { Reference(place: 0) }

    /// Appends a table.
    /// - Returns: its references, in the order of its fields.
    mutating func table(_ fields: [Field], for reference: Reference) -> [Reference] {
        let headByteCount = 4 + 2 * fields.count
        // The table begins at a multiple of 8 behind its list of offsets, so that all its fields can be aligned.
        align(8, behind: headByteCount)
        var (offsets, end) = ([Int](), 4)
        for field in fields {
            let size = field.byteCount
            guard size > 0 else {
                offsets.append(0)
                continue
            }
            end = (end + size - 1) / size * size
            offsets.append(end)
            end += size
        }
        append(UInt16(truncatingIfNeeded: headByteCount))
        append(UInt16(truncatingIfNeeded: end))
        for offset in offsets { append(UInt16(truncatingIfNeeded: offset)) }
        let start = bytes.count
        refer(reference)
        append(Int32(truncatingIfNeeded: headByteCount))
        var references: [Reference] = []
        for (field, offset) in zip(fields, offsets) where offset > 0 {
            while bytes.count < start + offset { bytes.append(0) }
            switch field {
            case .absent: break
            case .byte(let value): append(value)
            case .short(let value): append(value)
            case .int(let value): append(value)
            case .long(let value): append(value)
            case .reference:
                references.append(Reference(place: bytes.count))
                append(UInt32(0))
            }
        }
        return references
    }

    /// Appends a text.
    mutating func text(_ text: String, for reference: Reference) {
        align(4, behind: 0)
        refer(reference)
        append(UInt32(truncatingIfNeeded: text.utf8.count))
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    /// Appends a list of references.
    mutating func list(_ count: Int, for reference: Reference) -> [Reference] {
        align(4, behind: 0)
        refer(reference)
        append(UInt32(truncatingIfNeeded: count))
        return (0..<count).map { _ in
            defer { append(UInt32(0)) }
            return Reference(place: bytes.count)
        }
    }

    /// Appends a list of pairs of numbers.
    mutating func pairs(_ pairs: [(Int64, Int64)], for reference: Reference) {
        align(8, behind: 4)
        refer(reference)
        append(UInt32(truncatingIfNeeded: pairs.count))
        bytes.reserveCapacity(bytes.count + 16 * pairs.count)
        for (first, second) in pairs {
            append(first)
            append(second)
        }
    }

    private mutating func align(_ size: Int, behind byteCount: Int) {
        while (bytes.count + byteCount) % size != 0 { bytes.append(0) }
    }

    /// What comes next is what the reference is for.
    private mutating func refer(_ reference: Reference) {
        let distance = UInt32(truncatingIfNeeded: bytes.count - reference.place)
        for index in 0..<4 { bytes[reference.place + index] = UInt8(truncatingIfNeeded: distance >> (8 * index)) }
    }

    private mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
