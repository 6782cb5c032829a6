// Flatbuffers that others have written: nothing in them is believed.

extension UnsafeRawBufferPointer {
    /// The number at an offset; `nil` where its bytes are not all there.
    @inline(__always)
    func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self) -> Number? {
        guard offset >= 0, offset <= count - MemoryLayout<Number>.size else { return nil }
        return Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}

/// A table of a flatbuffer.
///
/// Whatever the bytes are, nothing outside of them is read. References only lead onwards, so none leads back; but several may lead
/// to the same place, so whoever follows them has to count.
/// - Source: https://flatbuffers.dev/internals/
struct FlatTable {
    private let bytes: UnsafeRawBufferPointer
    private let start: Int
    /// Bytes of the table.
    private let byteCount: Int
    /// Where the list of the fields' offsets is, and its bytes.
    private let list: (start: Int, byteCount: Int)

    /// The table that the first number refers to.
    init(rootOf bytes: UnsafeRawBufferPointer) throws(ArrowReadError) {
        guard let start = bytes.number(at: 0, as: UInt32.self) else { throw .damagedMetadata }
        try self.init(bytes, at: Int(start))
    }

    fileprivate init(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(ArrowReadError) {
        guard let distance = bytes.number(at: start, as: Int32.self) else { throw .damagedMetadata }
        let listStart = start - Int(distance)
        guard let listByteCount = bytes.number(at: listStart, as: UInt16.self),
            let byteCount = bytes.number(at: listStart + 2, as: UInt16.self),
            listByteCount >= 4, Int(listByteCount) <= bytes.count - listStart,
            byteCount >= 4, Int(byteCount) <= bytes.count - start
        else { throw .damagedMetadata }
        self.bytes = bytes
        self.start = start
        self.byteCount = Int(byteCount)
        list = (listStart, Int(listByteCount))
    }

    /// Where a field is; `nil` for one that has its default.
    private func place(of field: Int, byteCount fieldByteCount: Int) throws(ArrowReadError) -> Int? {
        let slot = 4 + 2 * field
        guard slot + 2 <= list.byteCount, let offset = bytes.number(at: list.start + slot, as: UInt16.self), offset > 0
        else { return nil }
        guard offset >= 4, Int(offset) + fieldByteCount <= byteCount else { throw .damagedMetadata }
        return start + Int(offset)
    }

    func number<Number: FixedWidthInteger>(
        _ field: Int, default other: Number = 0
    ) throws(ArrowReadError) -> Number {
        guard let place = try place(of: field, byteCount: MemoryLayout<Number>.size) else { return other }
        guard let number = bytes.number(at: place, as: Number.self) else { throw .damagedMetadata }
        return number
    }

    func flag(_ field: Int) throws(ArrowReadError) -> Bool { try number(field) as UInt8 != 0 }

    /// Where what a field refers to is.
    private func target(_ field: Int) throws(ArrowReadError) -> Int? {
        guard let place = try place(of: field, byteCount: 4) else { return nil }
        guard let distance = bytes.number(at: place, as: UInt32.self), distance > 0 else { throw .damagedMetadata }
        return place + Int(distance)
    }

    func table(_ field: Int) throws(ArrowReadError) -> FlatTable? {
        guard let target = try target(field) else { return nil }
        return try FlatTable(bytes, at: target)
    }

    /// A table that has to be there.
    func neededTable(_ field: Int) throws(ArrowReadError) -> FlatTable {
        guard let table = try table(field) else { throw .damagedMetadata }
        return table
    }

    func text(_ field: Int) throws(ArrowReadError) -> UnsafeRawBufferPointer? {
        guard let list = try self.list(field, elementByteCount: 1) else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[list.start..<(list.start + list.count)])
    }

    /// A list of elements of so many bytes; one without elements where there is none.
    func elements(_ field: Int, byteCount: Int) throws(ArrowReadError) -> FlatList {
        let found = try list(field, elementByteCount: byteCount) ?? (0, 0)
        return FlatList(bytes: bytes, start: found.start, count: found.count)
    }

    private func list(
        _ field: Int, elementByteCount: Int
    ) throws(ArrowReadError) -> (start: Int, count: Int)? {
        guard let target = try target(field) else { return nil }
        guard let count = bytes.number(at: target, as: UInt32.self),
            Int(count) <= (bytes.count - target - 4) / elementByteCount
        else { throw .damagedMetadata }
        return (target + 4, Int(count))
    }
}

/// The elements of a list, all of which are there.
struct FlatList {
    fileprivate let bytes: UnsafeRawBufferPointer
    fileprivate let start: Int
    let count: Int

    /// Of a list of references.
    func table(_ index: Int) throws(ArrowReadError) -> FlatTable {
        let place = start + 4 * index
        guard index < count, let distance = bytes.number(at: place, as: UInt32.self), distance > 0 else {
            throw .damagedMetadata
        }
        return try FlatTable(bytes, at: place + Int(distance))
    }

    /// Of a list of numbers, or of structures of them: the one that begins after so many bytes.
    func long(atByte offset: Int) throws(ArrowReadError) -> Int64 {
        guard let number = bytes.number(at: start + offset, as: Int64.self) else { throw .damagedMetadata }
        return number
    }
}
