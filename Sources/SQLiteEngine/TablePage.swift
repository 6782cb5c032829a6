// Pages of the B-tree of a table with row numbers.

/// One page of a table's B-tree, whose bytes may be anything: nothing is read outside of it.
///
/// - Source: https://sqlite.org/fileformat2.html#b_tree_pages
struct TablePage {
    private let bytes: UnsafeRawPointer
    /// Behind the last byte that may be read.
    private let end: Int
    let isLeaf: Bool
    let cellCount: Int
    private let headerStart: Int
    private var pointersStart: Int { headerStart + (isLeaf ? 8 : 12) }

    /// `nil` if it is no page of a table.
    /// - Parameters:
    ///   - bytes: the page, which must stay as long as this is used.
    ///   - usableByteCount: of the page.
    ///   - number: of the page.
    init?(_ bytes: UnsafeRawPointer, usableByteCount: Int, number: UInt32) {
        self.bytes = bytes
        end = usableByteCount
        // The file's header stands on the first page.
        headerStart = number == 1 ? 100 : 0
        switch bytes.load(fromByteOffset: headerStart, as: UInt8.self) {
        case 0x0D: isLeaf = true
        case 0x05: isLeaf = false
        default: return nil
        }
        cellCount = Int(bytes.loadUnaligned(fromByteOffset: headerStart + 3, as: UInt16.self).bigEndian)
        guard headerStart + (isLeaf ? 8 : 12) + 2 * cellCount <= end else { return nil }
    }

    /// Where a cell begins; `nil` if that is not within the page.
    @inline(__always)
    private func cellStart(_ index: Int) -> Int? {
        let start = Int(bytes.loadUnaligned(fromByteOffset: pointersStart + 2 * index, as: UInt16.self).bigEndian)
        // No cell is shorter than a child's number, or than two short numbers and the least payload that SQLite writes.
        return start >= pointersStart + 2 * cellCount && start + 4 <= end ? start : nil
    }

    /// The row number in a cell: of the row itself on a leaf, otherwise the greatest one below the cell's child.
    @inline(__always)
    func rowNumber(_ index: Int) -> Int64? {
        guard var place = cellStart(index) else { return nil }
        if isLeaf {
            guard readNumber(&place) != nil else { return nil }
        } else {
            place += 4
        }
        return readNumber(&place).map { Int64(bitPattern: $0) }
    }

    /// The page below a cell, or the last one below this page for the index behind the last cell.
    func child(_ index: Int) -> UInt32? {
        guard index < cellCount else {
            return bytes.loadUnaligned(fromByteOffset: headerStart + 8, as: UInt32.self).bigEndian
        }
        return cellStart(index).map { bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self).bigEndian }
    }

    /// The record in a cell of a leaf; `nil` if it is not all on this page, or is damaged.
    @inline(__always)
    func record(_ index: Int) -> (rowNumber: Int64, record: TableRecord)? {
        guard var place = cellStart(index), let byteCount = readNumber(&place), let rowNumber = readNumber(&place),
            // More than that has its end on other pages (https://sqlite.org/fileformat2.html#cell_payload_overflow_pages).
            byteCount <= UInt64(end - 35), place + Int(byteCount) <= end
        else { return nil }
        return (Int64(bitPattern: rowNumber), TableRecord(bytes + place, byteCount: Int(byteCount)))
    }

    /// Finds a row number.
    ///
    /// Numbers are mostly given one after the other, and then the bounds tell the place at once: each look at a cell is a miss of the
    /// processor's caches.
    /// - Parameters:
    ///   - rowNumber: what is looked for.
    ///   - bounds: between which numbers those of the page are, both included.
    /// - Returns: the first cell whose number is not less than this one, or `cellCount`; `nil` if the page is damaged.
    @inline(__always)
    func search(_ rowNumber: Int64, within bounds: ClosedRange<Int64>) -> Int? {
        // As SQLite does it (sqlite3BtreeTableMoveto in src/btree.c): where numbers are out of order, the way decides what is found.
        var (low, high) = (0, cellCount - 1)
        let (width, isWide) = bounds.upperBound.subtractingReportingOverflow(bounds.lowerBound)
        if !isWide, width == Int64(cellCount) - 1, bounds.contains(rowNumber) {
            let guess = Int(rowNumber - bounds.lowerBound)
            guard let found = self.rowNumber(guess) else { return nil }
            if found == rowNumber { return guess }
            if found < rowNumber { low = guess + 1 } else { high = guess - 1 }
        }
        while low <= high {
            let middle = (low + high) / 2
            guard let found = self.rowNumber(middle) else { return nil }
            if found == rowNumber { return middle }
            if found < rowNumber { low = middle + 1 } else { high = middle - 1 }
        }
        return low
    }

    /// A number of one to nine bytes (https://sqlite.org/fileformat2.html#varint); `nil` if it is not within the page.
    @inline(__always)
    private func readNumber(_ place: inout Int) -> UInt64? { Varint.read(bytes, &place, end: end) }
}

/// SQLite's numbers of variable length.
enum Varint {
    /// Reads one.
    /// - Parameters:
    ///   - bytes: the page, or the record.
    ///   - place: where it begins; afterwards what stands behind it.
    ///   - end: behind the last byte that may be read.
    /// - Returns: `nil` if it does not end before that.
    @inline(__always)
    static func read(_ bytes: UnsafeRawPointer, _ place: inout Int, end: Int) -> UInt64? {
        guard place < end else { return nil }
        let first = bytes.load(fromByteOffset: place, as: UInt8.self)
        place += 1
        if first < 0x80 { return UInt64(first) }
        return readLong(bytes, &place, end, UInt64(first & 0x7F))
    }

    private static func readLong(
        _ bytes: UnsafeRawPointer, _ place: inout Int, _ end: Int, _ first: UInt64
    ) -> UInt64? {
        var value = first
        for index in 1...8 {
            guard place < end else { return nil }
            let byte = bytes.load(fromByteOffset: place, as: UInt8.self)
            place += 1
            // All bits of the ninth byte count.
            if index == 8 { return value << 8 | UInt64(byte) }
            value = value << 7 | UInt64(byte & 0x7F)
            if byte < 0x80 { return value }
        }
        return nil
    }
}
