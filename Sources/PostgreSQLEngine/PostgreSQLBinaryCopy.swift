// Rows in the binary format of COPY, which spares the server reading texts: it takes a million rows in five sixths of the time.
//
// Each value has to be what the server would have made of its text, and the bytes do not say of which type they are. So a column has
// one of the types below, a value that is written in any unusual way has the whole block go as text, and a second statement, in the
// transaction of the rows, looks whether the columns still have these types: somebody may have altered the table.
//
// Source: https://www.postgresql.org/docs/15/sql-copy.html, Binary Format; the receive functions in src/backend/utils/adt

internal import ByteBuffers
internal import DatabaseContract
internal import Tabular

/// How the rows for a table are written.
struct PostgreSQLBinaryCopy: Sendable {
    /// The statement that takes them, and the one that fails where the columns are of other types.
    let statement: String
    private let forms: [Form]

    private enum Form {
        case bool, int2, int4, int8, float8, text, jsonb, bytes, uuid, date, time, timestamp, timestamptz, numeric
    }

    /// Types by their names, and those by which tables are made here.
    /// - Source: src/include/catalog/pg_type.dat of PostgreSQL 15; these numbers never change.
    private static let types: [String: (oid: UInt32, form: Form)] = [
        "bool": (16, .bool), "boolean": (16, .bool), "bytea": (17, .bytes), "int8": (20, .int8), "bigint": (20, .int8),
        "int2": (21, .int2), "int4": (23, .int4), "text": (25, .text), "json": (114, .text), "float8": (701, .float8),
        "double precision": (701, .float8), "bpchar": (1042, .text), "varchar": (1043, .text), "date": (1082, .date),
        "time": (1083, .time), "timestamp": (1114, .timestamp), "timestamptz": (1184, .timestamptz),
        "numeric": (1700, .numeric), "uuid": (2950, .uuid), "jsonb": (3802, .jsonb),
    ]
    /// With more columns, looking for all of them would take longer than is spared.
    private static let columnCountMax = 100
    private static let header: [UInt8] =
        Array("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0] + [UInt8](repeating: 0, count: 8)

    /// `nil` where a column has another type, or one that is not known.
    init?(_ target: LoadTarget) {
        let count = target.names.count
        guard count > 0, count <= Self.columnCountMax, target.types.count == count else { return nil }
        var (forms, wanted): ([Form], [String]) = ([], [])
        for (name, type) in zip(target.names, target.types) {
            // The digits of numeric(20) are the column's, which the server minds.
            let plain = type.map { $0.prefix { $0 != "(" } }
            guard let plain, let known = Self.types[String(plain)], let literal = Self.literal(name) else { return nil }
            forms.append(known.form)
            wanted.append("(\(literal),\(known.oid))")
        }
        guard let table = Self.literal(target.table) else { return nil }
        self.forms = forms
        statement =
            "COPY \(target.table)(\(target.quotedNames.joined(separator: ","))) FROM STDIN (FORMAT binary);"
            + "SELECT 1/(pg_catalog.count(*)=\(count))::pg_catalog.int4 FROM pg_catalog.pg_attribute "
            + "WHERE attrelid=\(table)::pg_catalog.regclass AND attnum>0 AND NOT attisdropped "
            + "AND (attname,atttypid) IN (\(wanted.joined(separator: ",")))"
    }

    /// `nil` for what is written in another way where a session's `standard_conforming_strings` is off.
    private static func literal(_ text: String) -> String? {
        text.utf8.contains { $0 == UInt8(ascii: "'") || $0 == UInt8(ascii: "\\") } ? nil : "'\(text)'"
    }

    /// Writes all rows.
    /// - Returns: false if a value may mean something else to the server than here; nothing is written then.
    func append(_ rows: RowView, _ numbers: Range<Int>, to bytes: inout ByteBuffer) -> Bool {
        guard rows.columnCount == forms.count else { return false }
        bytes.append(Self.header)
        for row in numbers {
            bytes.appendBigEndian(Int16(forms.count))
            for column in forms.indices {
                guard Self.append(rows.cell(row, column), rows, forms[column], &bytes) else {
                    bytes.removeAll()
                    return false
                }
            }
        }
        bytes.appendBigEndian(Int16(-1))
        return true
    }

    private static func append(_ cell: Cell, _ rows: RowView, _ form: Form, _ bytes: inout ByteBuffer) -> Bool {
        switch (cell.kind, form) {
        case (.null, _):
            bytes.appendBigEndian(Int32(-1))
            return true
        case (.text, .text): return append(rows.bytes(of: cell), &bytes)
        case (.blob, .bytes): return append(rows.bytes(of: cell), &bytes)
        case (.blob, .text):
            return appendCounted(&bytes) {
                $0.append("\\x")
                $0.appendHex(rows.bytes(of: cell))
            }
        case (_, .text): return appendCounted(&bytes) { $0.append(copied: cell) }
        case (.text, .jsonb):
            return appendCounted(&bytes) {
                // The version of what follows.
                $0.append(UInt8(1))
                $0.append(rows.bytes(of: cell))
            }
        case (.bool, .bool): return append(UInt8(cell.bool ? 1 : 0), &bytes)
        case (.integer, .int2): return append(Int16(exactly: cell.integer), &bytes)
        case (.integer, .int4): return append(Int32(exactly: cell.integer), &bytes)
        case (.integer, .int8): return append(cell.integer, &bytes)
        case (.integer, .float8): return append(Double(cell.integer).bitPattern, &bytes)
        case (.real, .float8): return append(cell.real.bitPattern, &bytes)
        case (.text, _): return append(rows.bytes(of: cell), as: form, &bytes)
        default: return false
        }
    }

    /// A value that is read from its text.
    private static func append(_ text: UnsafeRawBufferPointer, as form: Form, _ bytes: inout ByteBuffer) -> Bool {
        switch form {
        case .bool: append(bool(text), &bytes)
        case .int2: append(integer(text).flatMap { Int16(exactly: $0) }, &bytes)
        case .int4: append(integer(text).flatMap { Int32(exactly: $0) }, &bytes)
        case .int8: append(integer(text), &bytes)
        case .float8: append(real(text)?.bitPattern, &bytes)
        case .uuid: append(PostgreSQLBinaryValues.uuid(text), &bytes)
        case .date: append(ValueText.date(text).flatMap { Int32(exactly: Int64($0) - daysBefore2000) }, &bytes)
        case .time: append(ValueText.time(text), &bytes)
        case .timestamp: append(moment(ValueText.timestamp(text, hasOffset: false)), &bytes)
        case .timestamptz: append(moment(ValueText.timestamp(text, hasOffset: true)), &bytes)
        case .numeric: PostgreSQLBinaryValues.appendNumeric(text, to: &bytes)
        case .text, .jsonb, .bytes: false
        }
    }

    // MARK: Values

    /// The server's day 0 is 2000-01-01.
    private static let daysBefore2000: Int64 = 10_957

    private static func moment(_ microseconds: Int64?) -> Int64? {
        guard let (moment, overflow) = microseconds?.subtractingReportingOverflow(daysBefore2000 * 86_400_000_000)
        else { return nil }
        return overflow ? nil : moment
    }

    private static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard let cell = TypeInference.value(text), case .integer = cell.kind else { return nil }
        return cell.integer
    }

    private static func real(_ text: UnsafeRawBufferPointer) -> Double? {
        guard let cell = TypeInference.value(text) else { return nil }
        let value = cell.kind == .integer ? Double(cell.integer) : cell.real
        if value.isNormal { return value }
        // What is too small for a double is an error of the server's; a zero has a sign.
        guard value == 0,
            !text.prefix(while: { $0 | 0x20 != UInt8(ascii: "e") }).contains(where: { (49...57).contains($0) })
        else { return nil }
        return text[0] == UInt8(ascii: "-") ? -0.0 : 0
    }

    private static func bool(_ text: UnsafeRawBufferPointer) -> UInt8? {
        guard text.count == 1 else { return nil }
        return text[0] == UInt8(ascii: "t") ? 1 : text[0] == UInt8(ascii: "f") ? 0 : nil
    }

    // MARK: Fields: how many bytes, and these

    private static func append<Number: FixedWidthInteger>(_ number: Number?, _ bytes: inout ByteBuffer) -> Bool {
        guard let number else { return false }
        bytes.appendBigEndian(Int32(MemoryLayout<Number>.size))
        bytes.appendBigEndian(number)
        return true
    }

    private static func append(_ value: UnsafeRawBufferPointer, _ bytes: inout ByteBuffer) -> Bool {
        guard let count = Int32(exactly: value.count) else { return false }
        bytes.appendBigEndian(count)
        bytes.append(value)
        return true
    }

    private static func appendCounted(_ bytes: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void) -> Bool {
        let start = bytes.count
        bytes.appendBigEndian(Int32(0))
        write(&bytes)
        guard let count = Int32(exactly: bytes.count - start - 4) else { return false }
        bytes.patchBigEndian(count, at: start)
        return true
    }
}
