// Records: the rows of a table as they are in its file.

internal import DatabaseContract

/// One row, all on one page, whose bytes may be anything: nothing is read outside of it.
///
/// - Source: https://sqlite.org/fileformat2.html#record_format
struct TableRecord {
    private let bytes: UnsafeRawPointer
    private let byteCount: Int

    /// A field: its serial type, and where its value begins.
    struct Field {
        var type: UInt32
        var start: UInt32
    }

    init(_ bytes: UnsafeRawPointer, byteCount: Int) {
        (self.bytes, self.byteCount) = (bytes, byteCount)
    }

    /// Finds the first fields.
    /// - Parameter fields: room for as many as are wanted.
    /// - Returns: how many there are; fewer than wanted in rows that are older than a column. `nil` if the record is damaged, or has
    ///   a type that the format's description reserves.
    @inline(__always)
    func find(_ fields: UnsafeMutableBufferPointer<Field>) -> Int? {
        var place = 0
        guard let headerByteCount = Varint.read(bytes, &place, end: byteCount), headerByteCount <= UInt64(byteCount),
            headerByteCount > 0
        else { return nil }
        let headerEnd = Int(headerByteCount)
        var (start, count) = (headerEnd, 0)
        while count < fields.count, place < headerEnd {
            guard let type = Varint.read(bytes, &place, end: headerEnd), type <= UInt64(2 * byteCount + 13) else {
                return nil
            }
            fields[count] = Field(type: UInt32(type), start: UInt32(start))
            guard let length = Self.byteCount(UInt32(type)) else { return nil }
            start += length
            guard start <= byteCount else { return nil }
            count += 1
        }
        // SQLite takes a record for damaged that has more bytes than its fields (OP_Column in src/vdbe.c).
        return place >= headerEnd && start != byteCount ? nil : count
    }

    @inline(__always)
    private static func byteCount(_ type: UInt32) -> Int? {
        if type >= 12 { return Int(type - 12) / 2 }
        // Of 0 to 9; 10 and 11 are reserved.
        return type < 10 ? Int(0x8864_3210 as UInt64 >> UInt64(4 * type) & 15) : nil
    }

    /// Passes a field's value to the sink.
    /// - Parameters:
    ///   - field: from `find`.
    ///   - isReal: the column has real affinity; SQLite stores whole numbers of it as integers (RealAffinity in its programs).
    ///   - sink: has begun a row.
    /// - Returns: false if there is no room for it in the row, which ends with `overflow` then.
    @inline(__always)
    func push(_ field: Field, isReal: Bool, to sink: RowSink) -> Bool {
        let start = Int(field.start)
        switch field.type {
        case 0: sink.null()
        case 7:
            let value = Double(bitPattern: load(start, UInt64.self))
            // SQLite takes what is not a number for NULL (serialGet in src/vdbeaux.c).
            value.isNaN ? sink.null() : sink.real(value)
        case 1...9:
            let value = integer(field.type, start)
            isReal ? sink.real(Double(value)) : sink.integer(value)
        default:
            let value = UnsafeRawBufferPointer(start: bytes + start, count: Int(field.type - 12) / 2)
            if field.type & 1 == 1 {
                sink.text(value)
            } else {
                guard sink.hasRoom(for: value.count) else { return false }
                sink.blob(value)
            }
        }
        return true
    }

    @inline(__always)
    private func integer(_ type: UInt32, _ start: Int) -> Int64 {
        switch type {
        case 1: Int64(bytes.load(fromByteOffset: start, as: Int8.self))
        case 2: Int64(Int16(bitPattern: load(start, UInt16.self)))
        case 3: Int64(bytes.load(fromByteOffset: start, as: Int8.self)) << 16 | Int64(load(start + 1, UInt16.self))
        case 4: Int64(Int32(bitPattern: load(start, UInt32.self)))
        case 5: Int64(Int16(bitPattern: load(start, UInt16.self))) << 32 | Int64(load(start + 2, UInt32.self))
        case 6: Int64(bitPattern: load(start, UInt64.self))
        default: Int64(type - 8)
        }
    }

    @inline(__always)
    private func load<Number: FixedWidthInteger>(_ start: Int, _ type: Number.Type) -> Number {
        bytes.loadUnaligned(fromByteOffset: start, as: type).bigEndian
    }
}
