// Which thread reads which rows of a table, when several read it in order.

/// The row numbers of a table in chunks. Chunks are read at the same time, and their rows are taken in order.
///
/// Row numbers may be dense in one place and far apart in another one. So how many numbers the next chunk has depends on how many
/// bytes the last ones gave, and a chunk with too many rows ends early: what is left of it is the next chunk.
struct ScanChunks {
    struct Chunk: Equatable {
        let id: Int
        var rows: ClosedRange<Int64>
    }

    private enum Stage { case left, reading, read }

    /// In the order of their rows.
    private var chunks: [(chunk: Chunk, stage: Stage)]
    private var lastID = 0
    /// How many row numbers the next chunk has.
    private(set) var width = firstWidth
    private let byteCountWanted: Int

    /// So few that the other threads begin soon.
    private static let firstWidth: Int64 = 1_024
    /// The width changes by this factor at the most: the next rows may be others.
    private static let growth = 8.0

    /// - Parameters:
    ///   - rows: the least and the greatest row number.
    ///   - byteCountWanted: what a chunk should give.
    init(_ rows: ClosedRange<Int64>, byteCountWanted: Int) {
        chunks = [(Chunk(id: 0, rows: rows), .left)]
        self.byteCountWanted = byteCountWanted
    }

    /// All rows were read and taken.
    var isEmpty: Bool { chunks.isEmpty }
    /// Nobody has begun the rows whose turn it is.
    var isFirstLeft: Bool { chunks.first?.stage == .left }
    /// Whether `take` would give a chunk.
    var hasLeft: Bool { chunks.contains { $0.stage == .left } }

    /// The next chunk that nobody reads.
    mutating func take() -> Chunk? {
        guard let index = chunks.firstIndex(where: { $0.stage == .left }) else { return nil }
        let whole = chunks[index].chunk
        let (last, isBeyond) = whole.rows.lowerBound.addingReportingOverflow(width - 1)
        chunks[index].stage = .reading
        guard !isBeyond, last < whole.rows.upperBound else { return whole }
        chunks[index].chunk.rows = whole.rows.lowerBound...last
        insert((last + 1)...whole.rows.upperBound, at: index + 1)
        return chunks[index].chunk
    }

    /// A chunk was read.
    /// - Parameters:
    ///   - id: of the chunk.
    ///   - last: the last row that was read, if there may be more in the chunk.
    ///   - byteCount: what its rows gave.
    mutating func end(_ id: Int, behind last: Int64?, byteCount: Int) {
        guard let index = chunks.firstIndex(where: { $0.chunk.id == id }) else { return }
        chunks[index].stage = .read
        let rows = chunks[index].chunk.rows
        if let last, last < rows.upperBound {
            chunks[index].chunk.rows = rows.lowerBound...last
            insert((last + 1)...rows.upperBound, at: index + 1)
        }
        adapt(to: chunks[index].chunk.rows, byteCount)
    }

    /// Removes the first chunk if it was read.
    /// - Returns: its id.
    mutating func popFirst() -> Int? {
        guard let first = chunks.first, first.stage == .read else { return nil }
        chunks.removeFirst()
        return first.chunk.id
    }

    private mutating func insert(_ rows: ClosedRange<Int64>, at index: Int) {
        lastID += 1
        chunks.insert((Chunk(id: lastID, rows: rows), .left), at: index)
    }

    private mutating func adapt(to rows: ClosedRange<Int64>, _ byteCount: Int) {
        // As a distance it may be larger than an Int64 has.
        let count = Double(UInt64(bitPattern: rows.upperBound &- rows.lowerBound)) + 1
        let wanted = byteCount > 0 ? count * Double(byteCountWanted) / Double(byteCount) : .infinity
        let bounded = min(max(wanted, Double(width) / Self.growth), Double(width) * Self.growth)
        width = Int64(min(max(bounded, 1), Self.widthMax))
    }

    /// Less than half of all row numbers, so that sums of it are representable as Double and as Int64.
    private static let widthMax = 0x1p61
}
