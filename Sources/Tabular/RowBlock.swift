// A part of a file, and the rows that were found in it: the values stay where they are in the file's bytes.

/// A value of a row: 16 bytes, so that a megabyte of short fields takes a few megabytes.
public struct Cell: Sendable {
    /// What it is.
    public enum Kind: UInt8, Sendable {
        case null, bool, integer, real, text, blob
        /// An integer above `Int64.max`.
        case unsigned
    }

    /// The integer, the pattern of the real, or where the bytes begin in the block.
    @usableFromInline var bits: UInt64
    @usableFromInline var byteCount: UInt32
    public let kind: Kind

    @inlinable
    init(_ kind: Kind, bits: UInt64 = 0, byteCount: Int = 0) {
        self.kind = kind
        self.bits = bits
        self.byteCount = UInt32(truncatingIfNeeded: byteCount)
    }

    @inlinable public var unsigned: UInt64 { bits }
    @inlinable public var integer: Int64 { Int64(bitPattern: bits) }
    @inlinable public var real: Double { Double(bitPattern: bits) }
    @inlinable public var bool: Bool { bits != 0 }
}

/// The cells of a block: an array would be checked and counted at each of them.
struct CellStorage {
    private(set) var base: UnsafeMutablePointer<Cell>
    private(set) var count = 0
    private(set) var capacity: Int

    init(capacity: Int) {
        base = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    func deallocate() { base.deallocate() }

    @inline(__always)
    mutating func append(_ cell: Cell) {
        if count == capacity { grow() }
        base[count] = cell
        count &+= 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Cell>.allocate(capacity: 2 * capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }

    mutating func removeLast(_ number: Int = 1) { count -= number }
    mutating func removeAll() { count = 0 }

    @inline(__always)
    subscript(_ index: Int) -> Cell {
        get { base[index] }
        nonmutating set { base[index] = newValue }
    }
}

/// The rows of a block, to be looked at one after the other; valid until the block changes.
public struct RowView {
    @usableFromInline let base: UnsafeRawPointer
    @usableFromInline let cells: UnsafePointer<Cell>
    public let columnCount: Int

    init(base: UnsafeRawPointer, cells: UnsafePointer<Cell>, columnCount: Int) {
        self.base = base
        self.cells = cells
        self.columnCount = columnCount
    }

    /// A value; its bytes are those of `bytes(of:)`.
    @inlinable public func cell(_ row: Int, _ column: Int) -> Cell { cells[row &* columnCount &+ column] }

    /// The bytes of a text or blob.
    @inlinable public func bytes(of cell: Cell) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Int(cell.bits), count: Int(cell.byteCount))
    }
}

/// What is wrong with a line, and where it begins.
public struct Rejection: Sendable, Equatable {
    /// The first line is 1.
    public var line: Int64
    public var reason: String

    public init(line: Int64, reason: String) {
        self.line = line
        self.reason = reason
    }
}

/// Bytes of a file, and the rows in them.
///
/// - Thread: one at a time.
public final class RowBlock: @unchecked Sendable {
    /// Where the bytes are.
    @exclusivity(unchecked) private(set) var base: UnsafeMutableRawPointer
    /// Bytes for which there is room.
    public private(set) var capacity: Int
    /// Bytes of the file that are there.
    @exclusivity(unchecked) public internal(set) var count = 0
    /// Bytes whose rows were found; the others belong to the next block.
    @exclusivity(unchecked) public internal(set) var parsedCount = 0
    /// The values of all rows, one row after the other.
    @exclusivity(unchecked) var cells = CellStorage(capacity: 1 << 10)
    /// Of each row.
    @exclusivity(unchecked) var rowLines: [Int64] = []
    public internal(set) var columnCount = 0
    /// Of values that are put in one by one: where the bytes of their row begin.
    @exclusivity(unchecked) var rowStart = 0
    public internal(set) var rejections: [Rejection] = []
    /// Lines that were rejected, also those that are not told.
    public internal(set) var rejectedCount = 0

    /// Bytes that are read at a time.
    public static let usualByteCount = 1 << 20
    /// Values of one block at most, unless a single row has more.
    static let cellCountMax = 1 << 17
    /// Rejections that are told with their reasons.
    public static let rejectionCountMax = 100

    public init(byteCount: Int = RowBlock.usualByteCount) {
        base = .allocate(byteCount: byteCount, alignment: 16)
        capacity = byteCount
    }

    deinit {
        base.deallocate()
        cells.deallocate()
    }

    // MARK: Rows

    public var rowCount: Int { rowLines.count }
    /// The line with which a row begins.
    public func line(_ row: Int) -> Int64 { rowLines[row] }

    /// The rows.
    public var view: RowView {
        RowView(base: UnsafeRawPointer(base), cells: UnsafePointer(cells.base), columnCount: columnCount)
    }

    func bytes(of cell: Cell) -> UnsafeRawBufferPointer { view.bytes(of: cell) }

    /// Bytes that the block takes.
    public var heldByteCount: Int {
        capacity + cells.capacity * MemoryLayout<Cell>.stride + rowLines.capacity * MemoryLayout<Int64>.stride
    }

    // MARK: Filling

    var start: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }

    /// Room for more bytes.
    public var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + count, count: capacity - count)
    }

    /// So many bytes were put into `room`.
    public func didFill(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= capacity - count, "more bytes than there was room for")
        count += byteCount
    }

    /// Makes room for more, keeping what is there.
    public func grow(to wanted: Int) {
        guard wanted > capacity else { return }
        let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
        capacity = wanted
    }

    /// Begins with what another block has not used.
    /// - Parameters:
    ///   - other: the block before it.
    ///   - byteCountMax: bytes that it may grow to.
    public func begin(with other: RowBlock, byteCountMax: Int) {
        removeRows()
        count = 0
        parsedCount = 0
        let rest = other.count - other.parsedCount
        if rest <= Self.usualByteCount / 2, capacity > 2 * Self.usualByteCount { replaceStorage(Self.usualByteCount) }
        // Room for as much again: else a long row would be looked at for each piece of it.
        let wanted = max(rest, min(2 * rest, byteCountMax))
        if wanted > capacity { replaceStorage(wanted) }
        base.copyMemory(from: other.base + other.parsedCount, byteCount: rest)
        count = rest
    }

    /// Drops what was used, where no row was found in it.
    public func dropParsed() {
        removeRows()
        let rest = count - parsedCount
        base.copyMemory(from: base + parsedCount, byteCount: rest)
        count = rest
        parsedCount = 0
    }

    private func replaceStorage(_ byteCount: Int) {
        base.deallocate()
        base = .allocate(byteCount: byteCount, alignment: 16)
        capacity = byteCount
    }

    func removeRows() {
        cells.removeAll()
        rowLines.removeAll(keepingCapacity: true)
        rejections.removeAll()
        rejectedCount = 0
    }

    func reject(_ line: Int64, _ reason: @autoclosure () -> String) {
        rejectedCount += 1
        if rejections.count < Self.rejectionCountMax { rejections.append(Rejection(line: line, reason: reason())) }
    }

    /// Rejects the rows that have a blob in a column of texts, where a server would make a text of it.
    /// - Parameters:
    ///   - columns: the columns of texts.
    ///   - name: what one of them is called.
    public func rejectBlobs(inColumns columns: [Int], _ name: (Int) -> String) {
        var keptCount = 0
        for row in 0..<rowCount {
            let place = row * columnCount
            if let column = columns.first(where: { cells[place + $0].kind == .blob }) {
                reject(rowLines[row], "It has a blob in the column \(name(column)), which has texts.")
                continue
            }
            if keptCount < row {
                for column in 0..<columnCount { cells[keptCount * columnCount + column] = cells[place + column] }
                rowLines[keptCount] = rowLines[row]
            }
            keptCount += 1
        }
        cells.removeLast((rowCount - keptCount) * columnCount)
        rowLines.removeLast(rowCount - keptCount)
        rejections.sort { $0.line < $1.line }
    }

    /// Makes a text of bytes beginning with `\x` a blob, if it is one: of a column that has blobs, where the format does
    /// not tell one from the other.
    public func makeBlobs(inColumn column: Int) {
        for row in 0..<rowCount {
            let place = row * columnCount + column
            guard cells[place].kind == .text else { continue }
            if let blob = hexBlob(Int(cells[place].bits), Int(cells[place].byteCount)) { cells[place] = blob }
        }
    }

    /// Makes texts numbers where they are written as one: of columns whose type would have the engine do it.
    public func makeNumbers(_ types: [ColumnType?]) {
        for (column, type) in types.enumerated() where type == .integer || type == .real {
            for row in 0..<rowCount {
                let place = row * columnCount + column
                guard cells[place].kind == .text else { continue }
                if let number = TypeInference.value(bytes(of: cells[place])) { cells[place] = number }
            }
        }
    }

    /// The blob that stands as `\x` and hexadecimal digits; its bytes take their place.
    /// - Returns: `nil` if it is something else; then nothing was changed.
    func hexBlob(_ start: Int, _ byteCount: Int) -> Cell? {
        guard byteCount >= 2, byteCount % 2 == 0 else { return nil }
        let text = self.start + start
        guard text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x") else { return nil }
        for index in 2..<max(2, byteCount) where Hex.value(text[index]) == nil { return nil }
        for index in 1..<max(1, byteCount / 2) {
            let (high, low) = (Hex.value(text[2 * index]) ?? 0, Hex.value(text[2 * index + 1]) ?? 0)
            text[index - 1] = high << 4 | low
        }
        return Cell(.blob, bits: UInt64(start), byteCount: byteCount / 2 - 1)
    }
}

public enum Hex {
    /// What a hexadecimal digit of either case is; `nil` for another byte.
    public static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
