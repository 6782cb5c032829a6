// Rows of libpq's results on their way into the sink.

internal import ByteBuffers
internal import CNumbers
internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases

/// The columns of a result, and how their values are read.
///
/// - Thread: that of its connection.
final class PostgreSQLColumns {
    let set: ColumnSet
    fileprivate let forms: [ValueForm]

    fileprivate init(_ set: ColumnSet, _ forms: [ValueForm]) {
        self.set = set
        self.forms = forms
    }
}

/// Reads the values of results by their columns.
struct PostgreSQLRows: ~Copyable {
    private var scratch = ByteBuffer()
    /// Types whose names are not known yet; not more than a result of PostgreSQL's has columns.
    /// - Source: MaxTupleAttributeNumber in src/include/access/htup_details.h
    private(set) var unknownTypes: Set<UInt32> = []
    private static let unknownTypeCountMax = 1664

    private static let keptByteCountMax = 64 << 10

    mutating func forgetUnknownTypes() { unknownTypes.removeAll() }

    /// The columns of a result, or of a description.
    mutating func columns(_ result: OpaquePointer, _ types: PostgreSQLTypes) -> PostgreSQLColumns {
        var forms: [ValueForm] = []
        let columns = (0..<libpq.PQnfields(result)).map { index in
            let oid = libpq.PQftype(result, index)
            forms.append(PostgreSQLTypes.form(oid))
            let name = types.name(oid)
            if name == nil, unknownTypes.count < Self.unknownTypeCountMax { unknownTypes.insert(oid) }
            return ColumnDescription(
                name: libpq.PQfname(result, index).map {
                    Array(UnsafeRawBufferPointer(start: $0, count: length(of: $0)))
                }
                    ?? [],
                type: PostgreSQLTypes.protocolName(oid, name),
                declaredType: libpq.PQftable(result, index) == 0 ? nil : name,
                detail: PostgreSQLTypes.detail(oid, modifier: libpq.PQfmod(result, index)))
        }
        return PostgreSQLColumns(ColumnSet(columns), forms)
    }

    private func length(of text: UnsafePointer<CChar>) -> Int {
        var length = 0
        while text[length] != 0 { length += 1 }
        return length
    }

    /// Pushes the one row of a result.
    mutating func push(_ result: OpaquePointer, _ columns: PostgreSQLColumns, into sink: RowSink) -> RowSink.State {
        let row: Int32 = 0
        sink.beginRow()
        for index in columns.forms.indices {
            let column = Int32(truncatingIfNeeded: index)
            let count = Int(libpq.PQgetlength(result, row, column))
            guard count > 0 || libpq.PQgetisnull(result, row, column) == 0,
                let start = libpq.PQgetvalue(result, row, column)
            else {
                sink.null()
                continue
            }
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            push(bytes, columns.forms[index], into: sink)
        }
        if scratch.capacity > Self.keptByteCountMax { scratch.releaseStorage() }
        return sink.endRow()
    }

    private mutating func push(_ bytes: UnsafeRawBufferPointer, _ form: ValueForm, into sink: RowSink) {
        switch form {
        case .text: sink.text(bytes)
        case .bool: sink.bool(bytes.first == UInt8(ascii: "t"))
        case .integer: if let value = Self.integer(bytes) { sink.integer(value) } else { sink.text(bytes) }
        case .real: if let value = Self.real(bytes) { sink.real(value) } else { sink.text(bytes) }
        case .bytes:
            // As text it is twice as long.
            guard sink.hasRoom(for: bytes.count / 2 - 1) else { return }
            decode(bytes)
            sink.blob(scratch.readable)
        }
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = bytes.first == UInt8(ascii: "-")
        var index = isNegative ? 1 : 0
        guard index < bytes.count, bytes.count - index <= digitCountMax else { return nil }
        var value: UInt64 = 0
        while index < bytes.count {
            let digit = bytes[index] &- 0x30
            guard digit <= 9 else { return nil }
            value = value &* 10 &+ UInt64(digit)
            index &+= 1
        }
        // There is one more negative number.
        guard value <= Int64.max.magnitude + (isNegative ? 1 : 0) else { return nil }
        return Int64(truncatingIfNeeded: isNegative ? 0 &- value : value)
    }

    /// Of an integer of 64 bits; so many fit into an unsigned one, whatever they are.
    private static let digitCountMax = 19

    private static func real(_ bytes: UnsafeRawBufferPointer) -> Double? {
        guard let start = bytes.baseAddress else { return nil }
        switch bytes.last {
        case UInt8(ascii: "N"): return .nan
        case UInt8(ascii: "y"): return bytes.first == UInt8(ascii: "-") ? -.infinity : .infinity
        default: break
        }
        var value = 0.0
        guard cnumbers_parse_double(start.assumingMemoryBound(to: CChar.self), bytes.count, &value) == CNUMBERS_OK
        else { return nil }
        return value
    }

    /// The bytes of a `bytea`: `\x` and hexadecimal digits, or what `SET bytea_output = escape` makes of it.
    /// - Source: https://www.postgresql.org/docs/15/datatype-binary.html
    private mutating func decode(_ text: UnsafeRawBufferPointer) {
        scratch.removeAll()
        guard text.count >= 2, text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x") else {
            return decodeEscaped(text)
        }
        let count = (text.count - 2) / 2
        let target = scratch.writable(max(1, count))
        for index in 0..<count {
            target[index] = Self.digit(text[2 + 2 * index]) << 4 | Self.digit(text[3 + 2 * index])
        }
        scratch.commit(count)
    }

    private mutating func decodeEscaped(_ text: UnsafeRawBufferPointer) {
        var index = 0
        while index < text.count {
            let byte = text[index]
            guard byte == UInt8(ascii: "\\") else {
                scratch.append(byte)
                index += 1
                continue
            }
            if index + 3 < text.count, text[index + 1] != byte {
                scratch.append(text[index + 1] << 6 | (text[index + 2] & 7) << 3 | text[index + 3] & 7)
                index += 4
            } else {
                scratch.append(byte)
                index += 2
            }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8 { byte <= UInt8(ascii: "9") ? byte & 15 : (byte & 15) + 9 }
}
