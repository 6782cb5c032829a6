// The messages of a stream, out of bytes that come in pieces of any size.

/// Reads a stream of Arrow's IPC format, or the stream within a file of that format.
///
/// Whoever has bytes puts them into `room`, and says so (`didFill`), until there is a schema, and then rows: those are asked for by
/// `value`. A batch is held as a whole. The stream may come from anybody: counts, lengths and places are checked before they are
/// used, and memory is taken as bytes come, not as the stream claims, and only if its owner has allowed it.
/// - Thread: one at a time.
/// - Source: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
public final class ArrowReader: @unchecked Sendable {
    /// What there is.
    public enum State: Sendable {
        /// Nothing without more bytes.
        case waiting
        /// Rows of a batch, `rowCount` of them.
        case rows
        /// No more rows. What follows in the file, if `hasFooter`, has no meaning here.
        case ended
    }

    public private(set) var state = State.waiting
    /// The columns; `nil` until the schema was read.
    public private(set) var fields: [ArrowField]?
    /// Rows of the batch.
    public private(set) var rowCount = 0
    /// Whether it is a file of Arrow's, which has a list of its batches behind the stream.
    public private(set) var hasFooter = false

    /// What the next bytes are.
    private enum Part {
        /// The first 8 bytes of a file of Arrow's, of which the first 4 are known.
        case magic
        /// 4 bytes: a sign that a length follows, or a length.
        case sign
        case length
        case metadata
        case body
    }

    private var part = Part.sign
    private var isFirst = true
    /// Bytes of the part, and how many of them are there.
    private var wanted = 4
    private var filled = 0
    /// The metadata of a message, and what precedes them.
    private var head = ArrowStorage()
    private var body = ArrowStorage()
    private var message = ArrowMessage.none
    private var isOldMetadata = false
    /// The buffers of all columns.
    private var layout: [ArrowField.Layout] = []
    /// Of `fields` and `layout`.
    private var schemaByteCount = 0
    private var arrays: [ArrowArray] = []
    private var line = ArrowLine()

    private let columnCountMax: Int
    private let nameByteCountMax: Int
    private let writesZoneOffsets: Bool
    /// Whether so many bytes may be held in all.
    private let mayHold: (Int) -> Bool
    private var dictionaries: [Int64: ArrowDictionary] = [:]

    /// Bytes of the metadata of one message: those of 4,096 columns take less than a MiB.
    private static let metadataByteCountMax = 16 << 20
    /// Bytes for which there is room at first.
    private static let roomByteCount = 256 << 10
    /// Rows of a batch that have no bytes, as those of nulls only.
    private static let emptyRowCountMax = 1 << 20

    /// - Parameters:
    ///   - columnCountMax: more columns are refused.
    ///   - nameByteCountMax: of the names of all columns together; more are refused.
    ///   - writesZoneOffsets: whether the text of a moment in UTC ends in `+00:00`.
    ///   - mayHold: asked before more memory is taken, with the bytes that it would be in all.
    public init(
        columnCountMax: Int, nameByteCountMax: Int, writesZoneOffsets: Bool = true, mayHold: @escaping (Int) -> Bool
    ) {
        self.writesZoneOffsets = writesZoneOffsets
        self.columnCountMax = columnCountMax
        self.nameByteCountMax = nameByteCountMax
        self.mayHold = mayHold
    }

    /// Bytes of memory.
    public var heldByteCount: Int {
        head.capacity + body.capacity + schemaByteCount + message.heldByteCount
            + dictionaries.values.reduce(0) { $0 + $1.heldByteCount }
    }

    // MARK: Bytes

    /// Room for the next bytes of the stream; not empty while it is `waiting`.
    public func room() throws(ArrowReadError) -> UnsafeMutableRawBufferPointer {
        guard case .waiting = state else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        let isBody = part == .body
        let capacity = isBody ? body.capacity : head.capacity
        if filled == capacity {
            // Twice as much, as bytes have come for the half of it.
            let next = min(max(wanted, 4_096), max(Self.roomByteCount, 2 * capacity))
            guard mayHold(heldByteCount - capacity + next) else { throw .noRoom(wanted) }
            if isBody { body.grow(to: next) } else { head.grow(to: next) }
        }
        let storage = isBody ? body.room : head.room
        return UnsafeMutableRawBufferPointer(rebasing: storage[filled..<min(wanted, storage.count)])
    }

    /// So many bytes were put into `room`.
    public func didFill(_ byteCount: Int) throws(ArrowReadError) {
        precondition(byteCount >= 0 && byteCount <= wanted - filled, "more bytes than there was room for")
        filled += byteCount
        while case .waiting = state, filled == wanted { try takePart() }
    }

    /// There are no more bytes.
    public func end() throws(ArrowReadError) {
        if case .waiting = state { throw fields == nil && isFirst ? Self.notArrow : .cutOff }
    }

    /// The rows of the batch are done with.
    public func nextBatch() {
        guard case .rows = state else { return }
        rowCount = 0
        arrays = []
        state = .waiting
        expect(.sign, 4)
    }

    private func expect(_ part: Part, _ byteCount: Int) {
        self.part = part
        wanted = byteCount
        filled = 0
    }

    private func takePart() throws(ArrowReadError) {
        let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(head.room)[..<min(filled, head.capacity)])
        switch part {
        case .sign: try takeSign(bytes.number(at: 0) ?? 0)
        case .magic:
            // W1, of "ARROW1", and two bytes without a meaning.
            guard bytes.number(at: 0, as: UInt16.self) == 0x3157 else { throw Self.notArrow }
            hasFooter = true
            expect(.sign, 4)
        case .length: try takeLength(bytes.number(at: 0) ?? 0)
        case .metadata:
            try takeMetadata(bytes)
            guard mayHold(heldByteCount) else { throw .noRoom(heldByteCount) }
            expect(.body, message.bodyByteCount)
        case .body:
            try takeBody()
            if case .waiting = state { expect(.sign, 4) }
        }
    }

    /// The sign is there since version 0.15 of Arrow; before it, the length stands there.
    private func takeSign(_ number: UInt32) throws(ArrowReadError) {
        if isFirst {
            switch number {
            // ARRO, FEA1, PAR1.
            case 0x4f52_5241 where !hasFooter: return expect(.magic, 4)
            case 0x3141_4546:
                throw ArrowReadError("The file is of the first version of Feather.", remedy: Self.conversion)
            case 0x3152_4150: throw ArrowReadError("The file is one of Parquet.", remedy: Self.conversion)
            default: break
            }
        }
        if number == .max { return expect(.length, 4) }
        try takeLength(number)
    }

    private func takeLength(_ number: UInt32) throws(ArrowReadError) {
        if number == 0 {
            guard fields != nil else { throw ArrowReadError("The stream ends before its schema.") }
            body.release()
            head.release()
            state = .ended
            return
        }
        guard number <= Self.metadataByteCountMax, number >= 8 else {
            throw isFirst
                ? hasFooter ? Self.noStreamWithin : Self.notArrow
                : ArrowReadError("The stream is damaged: a message has \(number) bytes of metadata.")
        }
        isFirst = false
        expect(.metadata, Int(number))
    }

    private static let conversion =
        "Write it as a stream of Arrow's: pyarrow.ipc.new_stream, or DuckDB's and polars' ways to Arrow."
    /// polars has the schema without its length there.
    private static let noStreamWithin = ArrowReadError(
        "The file is one of Arrow's, but has no stream within it.",
        remedy: "Write a stream: polars' write_ipc_stream, pyarrow.ipc.new_stream.")
    private static let notArrow = ArrowReadError(
        "The file does not begin with a message of Arrow's IPC format.", remedy: conversion)

    // MARK: Messages

    /// Looks at a message before its body is there.
    private func takeMetadata(_ bytes: UnsafeRawBufferPointer) throws(ArrowReadError) {
        let table = try FlatTable(rootOf: bytes)
        let version: Int16 = try table.number(0)
        guard (3...4).contains(version) else {
            throw ArrowReadError("The stream is of version \(Int(version) + 1) of Arrow's metadata; 4 and 5 are read.")
        }
        isOldMetadata = version == 3
        let (kind, bodyByteCount): (UInt8, Int64) = (try table.number(1), try table.number(3))
        guard let bodyByteCount = Int(exactly: bodyByteCount), bodyByteCount >= 0 else { throw .damagedMetadata }
        let header = try table.neededTable(2)
        guard fields != nil else {
            guard kind == 1, bodyByteCount == 0 else {
                throw ArrowReadError("The stream does not begin with its schema.")
            }
            message = .none
            return try takeSchema(header)
        }
        switch kind {
        case 1: throw ArrowReadError("The stream has a second schema.")
        case 2:
            let id: Int64 = try header.number(0)
            let batch = try header.neededTable(1)
            // Of a part of a column that nobody can take.
            guard let dictionary = dictionaries[id] else {
                message = .unused(bodyByteCount)
                return
            }
            message = .dictionary(
                dictionary, isDelta: try header.flag(2),
                try ArrowBatchHead(
                    batch, [Self.layout(of: dictionary.form)], bodyByteCount: bodyByteCount,
                    emptyRowCountMax: Self.emptyRowCountMax))
        case 3:
            message = .rows(
                try ArrowBatchHead(
                    header, layout, bodyByteCount: bodyByteCount,
                    emptyRowCountMax: Self.emptyRowCountMax))
        default: throw ArrowReadError("The stream has a message of kind \(kind), which has no rows.")
        }
    }

    private func takeSchema(_ schema: FlatTable) throws(ArrowReadError) {
        let fields = try ArrowSchemaReader.fields(
            of: schema, columnCountMax: columnCountMax, nameByteCountMax: nameByteCountMax,
            isOldMetadata: isOldMetadata, writesZoneOffsets: writesZoneOffsets)
        for field in fields {
            guard let id = field.dictionary?.id else { continue }
            let known = dictionaries[id] ?? ArrowDictionary(field.form)
            guard known.form == field.form else { throw .damagedMetadata }
            dictionaries[id] = known
        }
        layout = fields.flatMap(\.layout)
        schemaByteCount =
            fields.reduce(0) { $0 + $1.heldByteCount } + layout.count * MemoryLayout<ArrowField.Layout>.stride
        self.fields = fields
    }

    /// The buffers of a dictionary's values, which have no parts: others are never looked up.
    private static func layout(of form: ArrowForm) -> ArrowField.Layout {
        switch form {
        case .null, .other: ArrowField.Layout(bufferCount: 0)
        case .bytes: ArrowField.Layout(bufferCount: 3)
        case .views: ArrowField.Layout(bufferCount: 2, hasMore: true)
        default: ArrowField.Layout(bufferCount: 2)
        }
    }

    private func takeBody() throws(ArrowReadError) {
        switch message {
        case .none, .unused: break
        case .dictionary(let dictionary, let isDelta, let head):
            if !isDelta { dictionary.removeAll() }
            try add(head, to: dictionary)
        case .rows(let head):
            var arrays: [ArrowArray] = []
            arrays.reserveCapacity(fields?.count ?? 0)
            var node = 0
            for (column, field) in (fields ?? []).enumerated() {
                let form = field.dictionary?.index ?? field.form
                let array = try head.array(node, form, field.dictionary.flatMap { dictionaries[$0.id] })
                guard array.checkOffsets(in: body.base) else {
                    throw .damaged(column: column, "offsets that lead out of its values")
                }
                arrays.append(array)
                node += field.layout.count
            }
            self.arrays = arrays
            rowCount = head.rowCount
            if rowCount > 0 { state = .rows }
        }
        message = .none
    }

    private func add(_ head: ArrowBatchHead, to dictionary: ArrowDictionary) throws(ArrowReadError) {
        let damaged = ArrowReadError("The stream is damaged: a dictionary has a value that leads nowhere.")
        guard dictionary.form != .other else { return }
        let array = try head.array(0, dictionary.form, nil)
        guard array.checkOffsets(in: body.base) else { throw damaged }
        for index in 0..<head.rowCount {
            guard let value = array.value(index, in: body.base, &line) else { throw damaged }
            let (former, next) = (dictionary.heldByteCount, dictionary.heldByteCount(with: value.byteCount))
            if next > former {
                let wanted = heldByteCount - former + next
                guard mayHold(wanted) else { throw .noRoom(wanted) }
            }
            dictionary.append(value)
        }
    }

    // MARK: Rows

    /// A value of the batch.
    /// - Parameters:
    ///   - row: less than `rowCount`.
    ///   - column: its place in `fields`; none whose content is `other`.
    /// - Returns: the value, whose bytes are valid until the next one is asked for.
    /// - Throws: `ArrowReadError`, where it leads out of its buffers or of its dictionary.
    public func value(_ row: Int, _ column: Int) throws(ArrowReadError) -> ArrowValue {
        precondition(row >= 0 && row < rowCount, "a row that is not there")
        guard let value = arrays[column].value(row, in: body.base, &line) else {
            throw .damaged(
                column: column,
                "a value that leads nowhere" + (arrays[column].dictionary == nil ? "" : " in its dictionary"))
        }
        return value
    }
}

/// A message whose body is still to come.
private enum ArrowMessage {
    case none
    /// It has a body of so many bytes that is of no use.
    case unused(Int)
    case dictionary(ArrowDictionary, isDelta: Bool, ArrowBatchHead)
    case rows(ArrowBatchHead)

    /// Bytes of memory for what was read of the metadata.
    var heldByteCount: Int {
        switch self {
        case .none, .unused: 0
        case .dictionary(_, _, let head), .rows(let head): head.heldByteCount
        }
    }

    var bodyByteCount: Int {
        switch self {
        case .none: 0
        case .unused(let count): count
        case .dictionary(_, _, let head), .rows(let head): head.bodyByteCount
        }
    }
}
