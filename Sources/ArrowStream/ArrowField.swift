// What the schema of a stream says of its columns.

/// What the values of a column are, for whoever makes a table for them.
public enum ArrowContent: Sendable, Equatable {
    /// Nothing but nulls.
    case null
    case boolean
    /// An integer of at most 64 bits with a sign; one without where it has fewer.
    case integer
    /// One of 64 bits without a sign.
    case unsigned
    case real
    /// So many digits at most, `scale` of them behind the point; negative: zeros before it.
    case decimal(precision: Int, scale: Int)
    case date
    case time
    case timestamp(hasZone: Bool)
    /// A span of time.
    case duration
    case text
    case blob
    /// Something with parts, or of a kind that no table has: its name.
    case other(String)
}

/// A column of a stream.
public struct ArrowField: Sendable {
    /// As it stands in the schema.
    public let name: [UInt8]
    public let content: ArrowContent
    let form: ArrowForm
    /// The dictionary that its values are in, and the form of the numbers that lead there.
    let dictionary: (id: Int64, index: ArrowForm)?
    /// Its own buffers and those of its parts, in the order in which a batch has them.
    let layout: [Layout]

    /// Bytes of memory.
    var heldByteCount: Int {
        MemoryLayout<ArrowField>.stride + name.count + layout.count * MemoryLayout<Layout>.stride
    }

    /// The buffers of one array.
    struct Layout: Sendable {
        var bufferCount: Int
        /// Others follow, whose number the batch tells.
        var hasMore = false
    }
}

/// How the values of an array stand in its buffers.
enum ArrowForm: Sendable, Equatable {
    case null, bool
    case integer(byteCount: Int, isSigned: Bool)
    case real(byteCount: Int)
    case decimal(byteCount: Int, scale: Int)
    /// Days, or milliseconds.
    case date(isDays: Bool)
    case time(ArrowUnit, byteCount: Int)
    case timestamp(ArrowUnit, hasZone: Bool)
    case duration(ArrowUnit)
    /// Behind offsets of 4 or 8 bytes.
    case bytes(isText: Bool, offsetByteCount: Int)
    case fixedBytes(count: Int)
    case views(isText: Bool)
    case other

    /// Bytes of each value in the buffer of values; 0 where it is not that simple.
    var valueByteCount: Int {
        switch self {
        case .integer(let count, _), .real(let count), .decimal(let count, _), .time(_, let count),
            .fixedBytes(let count):
            count
        case .date(let isDays): isDays ? 4 : 8
        case .timestamp, .duration: 8
        case .views: 16
        case .null, .bool, .bytes, .other: 0
        }
    }
}

/// Parts of a second.
enum ArrowUnit: Int16, Sendable {
    case second, millisecond, microsecond, nanosecond

    var perSecond: Int64 {
        switch self {
        case .second: 1
        case .millisecond: 1_000
        case .microsecond: 1_000_000
        case .nanosecond: 1_000_000_000
        }
    }
}

/// Reads the columns of a schema.
///
/// - Source: format/Schema.fbs of Apache Arrow.
struct ArrowSchemaReader {
    /// Columns, with what is within them: a list of references may lead to one place many times.
    private var fieldCount = 0
    /// Of the names of columns: these, too, may all be in one place.
    private var nameByteCount = 0
    private let nameByteCountMax: Int
    private let isOldMetadata: Bool
    private let writesZoneOffsets: Bool

    static let fieldCountMax = 1 << 16
    private static let depthMax = 64

    /// - Parameters:
    ///   - schema: the table `Schema`.
    ///   - columnCountMax: top-level columns.
    ///   - nameByteCountMax: of their names together.
    ///   - isOldMetadata: version 4, where unions have one buffer more.
    ///   - writesZoneOffsets: whether moments in UTC are to say so.
    /// - Returns: the columns, in their order.
    /// - Throws: what is wrong with the schema.
    static func fields(
        of schema: FlatTable, columnCountMax: Int, nameByteCountMax: Int, isOldMetadata: Bool, writesZoneOffsets: Bool
    ) throws(ArrowReadError) -> [ArrowField] {
        guard try schema.number(0) as Int16 == 0 else {
            throw ArrowReadError(
                "The stream is one of big-endian numbers, which is not read.", remedy: "Write it on this machine.")
        }
        let list = try schema.elements(1, byteCount: 4)
        guard list.count <= columnCountMax else {
            throw ArrowReadError("The stream has \(list.count) columns, more than a table may have.")
        }
        guard list.count > 0 else { throw ArrowReadError("The stream has no columns.") }
        var reader = ArrowSchemaReader(nameByteCountMax, isOldMetadata, writesZoneOffsets)
        var fields: [ArrowField] = []
        fields.reserveCapacity(list.count)
        for index in 0..<list.count { fields.append(try reader.field(try list.table(index))) }
        return fields
    }

    private init(_ nameByteCountMax: Int, _ isOldMetadata: Bool, _ writesZoneOffsets: Bool) {
        self.nameByteCountMax = nameByteCountMax
        self.isOldMetadata = isOldMetadata
        self.writesZoneOffsets = writesZoneOffsets
    }

    private mutating func field(_ table: FlatTable) throws(ArrowReadError) -> ArrowField {
        var layout: [ArrowField.Layout] = []
        try addLayout(of: table, depth: 0, to: &layout)
        var (form, content) = try Self.type(of: table)
        if case .timestamp(let unit, true) = form { form = .timestamp(unit, hasZone: writesZoneOffsets) }
        var dictionary: (id: Int64, index: ArrowForm)?
        if let encoding = try table.table(4) {
            var index = ArrowForm.integer(byteCount: 4, isSigned: true)
            if let type = try encoding.table(1) { index = try Self.integer(type).form }
            dictionary = (try encoding.number(0), index)
        }
        return ArrowField(
            name: try name(of: table), content: content, form: form, dictionary: dictionary, layout: layout)
    }

    private mutating func name(of field: FlatTable) throws(ArrowReadError) -> [UInt8] {
        guard let name = try field.text(0) else { return [] }
        nameByteCount += name.count
        guard nameByteCount <= nameByteCountMax else { throw .longNames }
        return Array(name)
    }

    /// Appends the buffers of a field, and those of its parts.
    private mutating func addLayout(
        of field: FlatTable, depth: Int, to layout: inout [ArrowField.Layout]
    ) throws(ArrowReadError) {
        fieldCount += 1
        guard fieldCount <= Self.fieldCountMax, depth <= Self.depthMax else {
            throw ArrowReadError("The columns of the stream have too many parts, or parts that are too deep.")
        }
        if try field.table(4) != nil {
            layout.append(ArrowField.Layout(bufferCount: 2))
            return
        }
        let kind = try Self.kind(of: field)
        layout.append(kind.layout(isOldMetadata: isOldMetadata))
        let children = try field.elements(5, byteCount: 4)
        for index in 0..<children.count {
            try addLayout(of: try children.table(index), depth: depth + 1, to: &layout)
        }
    }

    // MARK: Types

    /// The union `Type`.
    private enum Kind: UInt8 {
        case null = 1
        case integer, real, binary, utf8, bool, decimal, date, time, timestamp, interval, list, structure, union
        case fixedBinary, fixedList, map, duration, largeBinary, largeUTF8, largeList, runEndEncoded, binaryView
        case utf8View, listView, largeListView

        func layout(isOldMetadata: Bool) -> ArrowField.Layout {
            switch self {
            case .null, .runEndEncoded: ArrowField.Layout(bufferCount: 0)
            case .structure, .fixedList: ArrowField.Layout(bufferCount: 1)
            case .union: ArrowField.Layout(bufferCount: isOldMetadata ? 3 : 2)
            case .binary, .utf8, .largeBinary, .largeUTF8, .listView, .largeListView: ArrowField.Layout(bufferCount: 3)
            case .binaryView, .utf8View: ArrowField.Layout(bufferCount: 2, hasMore: true)
            default: ArrowField.Layout(bufferCount: 2)
            }
        }
    }

    private static func kind(of field: FlatTable) throws(ArrowReadError) -> Kind {
        let number: UInt8 = try field.number(2)
        guard let kind = Kind(rawValue: number) else {
            throw ArrowReadError("The stream has a column of type number \(number), which is not known.")
        }
        return kind
    }

    /// A type with the values of a field; what has no table gets its defaults from one without fields.
    private static func type(
        of field: FlatTable
    ) throws(ArrowReadError) -> (form: ArrowForm, content: ArrowContent) {
        let kind = try kind(of: field)
        let type = try field.neededTable(3)
        switch kind {
        case .null: return (.null, .null)
        case .bool: return (.bool, .boolean)
        case .integer: return try integer(type)
        case .real:
            let precision: Int16 = try type.number(0)
            guard (0...2).contains(precision) else { throw .damagedMetadata }
            return (.real(byteCount: 2 << Int(precision)), .real)
        case .decimal: return try decimal(type)
        case .date:
            let unit: Int16 = try type.number(0, default: 1)
            guard (0...1).contains(unit) else { throw .damagedMetadata }
            return (.date(isDays: unit == 0), .date)
        case .time:
            let (unit, bitCount) = (try timeUnit(type, default: 1), try type.number(1, default: 32) as Int32)
            guard bitCount == (unit.perSecond > 1_000 ? 64 : 32) else { throw .damagedMetadata }
            return (.time(unit, byteCount: Int(bitCount) / 8), .time)
        case .timestamp:
            let hasZone = !(try type.text(1)?.isEmpty ?? true)
            return (.timestamp(try timeUnit(type, default: 0), hasZone: hasZone), .timestamp(hasZone: hasZone))
        case .duration: return (.duration(try timeUnit(type, default: 1)), .duration)
        case .utf8: return (.bytes(isText: true, offsetByteCount: 4), .text)
        case .largeUTF8: return (.bytes(isText: true, offsetByteCount: 8), .text)
        case .binary: return (.bytes(isText: false, offsetByteCount: 4), .blob)
        case .largeBinary: return (.bytes(isText: false, offsetByteCount: 8), .blob)
        case .utf8View: return (.views(isText: true), .text)
        case .binaryView: return (.views(isText: false), .blob)
        case .fixedBinary:
            let count: Int32 = try type.number(0)
            guard count >= 0 else { throw .damagedMetadata }
            return (.fixedBytes(count: Int(count)), .blob)
        case .interval: return (.other, .other("an interval"))
        case .list, .largeList, .fixedList, .listView, .largeListView: return (.other, .other("a list"))
        case .structure: return (.other, .other("a struct"))
        case .map: return (.other, .other("a map"))
        case .union: return (.other, .other("a union"))
        case .runEndEncoded: return (.other, .other("run-end encoded"))
        }
    }

    private static func integer(
        _ type: FlatTable
    ) throws(ArrowReadError) -> (form: ArrowForm, content: ArrowContent) {
        let bitCount: Int32 = try type.number(0)
        let isSigned = try type.flag(1)
        guard [8, 16, 32, 64].contains(bitCount) else { throw .damagedMetadata }
        return (
            .integer(byteCount: Int(bitCount) / 8, isSigned: isSigned),
            bitCount == 64 && !isSigned ? .unsigned : .integer
        )
    }

    private static func decimal(
        _ type: FlatTable
    ) throws(ArrowReadError) -> (form: ArrowForm, content: ArrowContent) {
        let (precision, scale): (Int32, Int32) = (try type.number(0), try type.number(1))
        let bitCount: Int32 = try type.number(2, default: 128)
        guard [32, 64, 128, 256].contains(bitCount), precision > 0, precision <= ArrowType.readDigitCountMax,
            abs(Int64(scale)) <= ArrowType.readDigitCountMax
        else { throw .damagedMetadata }
        return (
            .decimal(byteCount: Int(bitCount) / 8, scale: Int(scale)),
            .decimal(precision: Int(precision), scale: Int(scale))
        )
    }

    private static func timeUnit(_ type: FlatTable, default other: Int16) throws(ArrowReadError) -> ArrowUnit {
        guard let unit = ArrowUnit(rawValue: try type.number(0, default: other)) else { throw .damagedMetadata }
        return unit
    }
}
