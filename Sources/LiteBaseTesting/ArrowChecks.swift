// What must hold for a stream of Arrow, whoever has written it.

internal import ArrowStream
internal import ByteBuffers

/// Traps when something does not hold that must.
public enum ArrowChecks {
    /// Whatever the bytes are: what is found does not depend on the pieces in which they come, texts are UTF-8, and no more memory
    /// is held than was allowed. The pieces have many lengths; the last byte, which means nothing in a stream, chooses the first of them.
    public static func check(_ bytes: UnsafeRawBufferPointer) {
        // Pieces of a byte are the most work: a fuzzer would do nothing else.
        let longest = 61
        check(bytes, in: Pieces(byteCount: 1 + Int(bytes.last ?? 0) % longest, longest: longest))
    }

    /// The same for pieces of each of these lengths.
    public static func check(_ bytes: UnsafeRawBufferPointer, inPiecesOf pieceByteCounts: [Int]) {
        for count in pieceByteCounts { check(bytes, in: Pieces(byteCount: count)) }
    }

    private static func check(_ bytes: UnsafeRawBufferPointer, in pieces: Pieces) {
        precondition(digest(bytes, pieces) == digest(bytes, .whole), "the rows depend on the pieces")
    }

    /// The rows of a stream, each as text.
    /// - Returns: the names of the columns, the rows, and what has ended them.
    public static func rows(of bytes: UnsafeRawBufferPointer) -> (names: [[UInt8]], rows: [[UInt8]], reason: String?) {
        var rows: [[UInt8]] = []
        var walk = Walk(bytes, .whole, byteCountMax: 1 << 20)
        let reason = walk.run { (row, reader) throws(ArrowReadError) -> Int in
            let spelled = try spell(row, reader)
            rows.append(spelled)
            return spelled.count
        }
        return (walk.names, rows, reason)
    }

    /// What was found, in few bytes: a fuzzer compares it some thousand times a second.
    private struct Digest: Equatable {
        var names: [[UInt8]] = []
        var rowCount = 0
        var values = FNV()
        var reason: String?
    }

    private static func digest(_ bytes: UnsafeRawBufferPointer, _ pieces: Pieces) -> Digest {
        var found = Digest()
        var walk = Walk(bytes, pieces, byteCountMax: 64 << 10)
        found.reason = walk.run { (row, reader) throws(ArrowReadError) -> Int in
            found.rowCount += 1
            return try add(row, reader, to: &found.values)
        }
        found.names = walk.names
        return found
    }

    /// - Returns: how many bytes of work it was.
    private static func add(_ row: Int, _ reader: ArrowReader, to values: inout FNV) throws(ArrowReadError) -> Int {
        var byteCount = 0
        for (column, field) in (reader.fields ?? []).enumerated() {
            if case .other = field.content { continue }
            byteCount += 8
            switch checked(try reader.value(row, column)) {
            case .null: values.add(0)
            case .bool(let value): values.add(value ? 1 : 2)
            case .integer(let value): values.add(UInt64(bitPattern: value))
            case .unsigned(let value): values.add(value)
            case .real(let value): values.add(value.bitPattern)
            case .text(let bytes), .blob(let bytes):
                values.add(bytes.prefix(valueByteCountMax))
                byteCount += bytes.count
            case .invalid(.notUTF8): values.add(3)
            case .invalid(.notATime): values.add(4)
            }
        }
        return byteCount
    }

    private static func spell(_ row: Int, _ reader: ArrowReader) throws(ArrowReadError) -> [UInt8] {
        var spelled: [UInt8] = []
        for (column, field) in (reader.fields ?? []).enumerated() {
            if case .other = field.content { continue }
            if !spelled.isEmpty { spelled.append(UInt8(ascii: "|")) }
            switch checked(try reader.value(row, column)) {
            case .null: spelled += "null".utf8
            case .bool(let value): spelled += "\(value)".utf8
            case .integer(let value): spelled += "\(value)".utf8
            case .unsigned(let value): spelled += "\(value)u".utf8
            case .real(let value): spelled += "\(value)".utf8
            case .text(let bytes):
                spelled += "'".utf8
                spelled += bytes.prefix(valueByteCountMax)
            case .blob(let bytes):
                spelled += "x".utf8
                spelled += bytes.prefix(valueByteCountMax)
            case .invalid(let what): spelled += "\(what)".utf8
            }
        }
        return spelled
    }

    private static let valueByteCountMax = 1 << 20

    private static func checked(_ value: ArrowValue) -> ArrowValue {
        switch value {
        case .unsigned(let value): precondition(value > UInt64(Int64.max), "an integer that has a sign")
        case .text(let bytes): precondition(isValidUTF8(bytes), "a text that is not UTF-8")
        default: break
        }
        return value
    }
}

/// How long the pieces are in which bytes come.
private struct Pieces {
    var byteCount: Int
    /// `nil`: all of them have the same length.
    var longest: Int?

    static let whole = Pieces(byteCount: .max)

    mutating func advance() {
        if let longest { byteCount = 1 + (5 * byteCount + 3) % longest }
    }
}

/// One way through a stream.
private struct Walk {
    private(set) var names: [[UInt8]] = []
    private let bytes: UnsafeRawBufferPointer
    private var pieces: Pieces
    /// Of all values: a few bytes of a stream may claim very many.
    private let byteCountMax: Int

    private static let heldByteCountMax = 1 << 20
    private static let nameByteCountMax = 64 << 10
    private static let rowCountMax = 200

    init(_ bytes: UnsafeRawBufferPointer, _ pieces: Pieces, byteCountMax: Int) {
        (self.bytes, self.pieces, self.byteCountMax) = (bytes, pieces, byteCountMax)
    }

    /// - Parameter takeRow: looks at a row, and says how many bytes it has.
    /// - Returns: why there are no more rows; `nil` at the end of the stream, and where enough have been looked at.
    mutating func run(_ takeRow: (Int, ArrowReader) throws(ArrowReadError) -> Int) -> String? {
        var (offset, rowCount, byteCount) = (0, 0, 0)
        let reader = ArrowReader(columnCountMax: 1_000, nameByteCountMax: Self.nameByteCountMax) {
            $0 <= Self.heldByteCountMax
        }
        do throws(ArrowReadError) {
            while rowCount < Self.rowCountMax, byteCount < byteCountMax {
                precondition(reader.heldByteCount <= Self.heldByteCountMax, "more is held than is allowed")
                switch reader.state {
                case .ended: return nil
                case .waiting:
                    let room = try reader.room()
                    precondition(!room.isEmpty, "there is no room for what is wanted")
                    let count = min(room.count, pieces.byteCount, bytes.count - offset)
                    pieces.advance()
                    room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
                    offset += count
                    if count == 0 { try reader.end() } else { try reader.didFill(count) }
                    if names.isEmpty, let fields = reader.fields { takeNames(fields) }
                case .rows:
                    for row in 0..<min(reader.rowCount, Self.rowCountMax) where byteCount <= byteCountMax {
                        byteCount += try takeRow(row, reader)
                        rowCount += 1
                    }
                    reader.nextBatch()
                }
            }
        } catch {
            return error.reason
        }
        return nil
    }

    private mutating func takeNames(_ fields: [ArrowField]) {
        names = fields.map(\.name)
        precondition(names.reduce(0) { $0 + $1.count } <= Self.nameByteCountMax, "names are longer than is allowed")
    }
}

/// A number that stands for many: the hash of Fowler, Noll and Vo, by words.
private struct FNV: Equatable {
    private var hash: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ word: UInt64) { hash = (hash ^ word) &* 0x100_0000_01b3 }

    mutating func add(_ bytes: Slice<UnsafeRawBufferPointer>) {
        add(UInt64(bytes.count))
        for byte in bytes { add(UInt64(byte)) }
    }
}
