// How blocks of rows become runs of an engine: pieces, and what is done when one of them fails. A value without I/O.

internal import DatabaseContract
internal import Tabular

/// The rows of one block that are still to be written, and what was refused.
///
/// An engine that does not tell which row it has refused gets a failed piece again in two halves, until the row is alone.
struct ImportQueue {
    /// Rows of the block, the first ones last.
    private var pieces: [Range<Int>] = []
    /// Lines that were refused, of all blocks: the first of them with their reasons.
    private(set) var rejected: [Rejection] = []
    private(set) var rejectedCount = 0
    /// Rows that are in the table.
    private(set) var writtenCount: Int64 = 0
    /// Rows that the table has left out, perhaps for something else that its triggers have done.
    private(set) var leftOutCount: Int64 = 0
    let rejectedCountMax: Int
    /// Rows of one run at most.
    private let pieceRowCountMax: Int
    private let tellsRefusedRow: Bool
    /// What a row's number counts.
    private let placeName: String

    init(rejectedCountMax: Int, pieceRowCountMax: Int, tellsRefusedRow: Bool, placeName: String = "Line") {
        self.rejectedCountMax = rejectedCountMax
        self.pieceRowCountMax = max(1, pieceRowCountMax)
        self.tellsRefusedRow = tellsRefusedRow
        self.placeName = placeName
    }

    /// Takes the rows of a block; the former one has none left.
    /// - Returns: the line that is one too many to be refused; only the rows before it are to be written.
    mutating func take(_ block: RowBlock) -> Rejection? {
        let tooMany = note(block.rejections, block.rejectedCount)
        var start = tooMany.map { Self.rowCount(before: $0.line, in: block) } ?? block.rowCount
        pieces.removeAll(keepingCapacity: true)
        // From the end.
        let remainder = start % pieceRowCountMax
        if remainder > 0 {
            pieces.append((start - remainder)..<start)
            start -= remainder
        }
        while start > 0 {
            pieces.append((start - pieceRowCountMax)..<start)
            start -= pieceRowCountMax
        }
        return tooMany
    }

    /// Lines only grow.
    private static func rowCount(before line: Int64, in block: RowBlock) -> Int {
        var (low, high) = (0, block.rowCount)
        while low < high {
            let middle = (low + high) / 2
            if block.line(middle) < line { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Rows for a dry run.
    mutating func count(_ block: RowBlock) -> Rejection? {
        writtenCount += Int64(block.rowCount)
        return note(block.rejections, block.rejectedCount)
    }

    private mutating func note(_ found: [Rejection], _ count: Int) -> Rejection? {
        guard count > 0 else { return nil }
        let first = rejectedCount
        rejectedCount += count
        rejected.append(contentsOf: found.prefix(max(0, RowBlock.rejectionCountMax - rejected.count)))
        guard rejectedCount > rejectedCountMax, let last = found.last else { return nil }
        let index = max(0, rejectedCountMax - first)
        return index < found.count ? found[index] : last
    }

    /// The next rows to be written; `nil` when the block has none left.
    mutating func next() -> Range<Int>? { pieces.popLast() }

    /// Puts rows back in front of the others.
    mutating func putBack(_ rows: Range<Int>) { if !rows.isEmpty { pieces.append(rows) } }

    /// Rows that a run may refuse by itself.
    var rejectableCount: Int { max(0, rejectedCountMax - rejectedCount) }

    /// A run has ended.
    /// - Returns: why nothing more is to be written.
    mutating func didRun(_ load: RowLoad, _ error: DriverError?) -> DriverError? {
        writtenCount += Int64(load.writtenCount)
        leftOutCount += Int64(load.leftOutCount)
        let refusals = load.rejected.map { Rejection(line: load.block.line($0.row), reason: $0.error.details.reason) }
        _ = note(refusals, load.rejectedCount)
        let rest = (load.rows.lowerBound + load.doneCount)..<load.rows.upperBound
        guard let error else {
            if !rest.isEmpty { pieces.append(rest) }
            return nil
        }
        guard error.isOfRow else { return error }
        if tellsRefusedRow {
            return error.refused("\(placeName) \(load.block.line(error.details.rowIndex ?? rest.lowerBound))")
        }
        if rest.count > 1 {
            let middle = rest.lowerBound + rest.count / 2
            pieces.append(middle..<rest.upperBound)
            pieces.append(rest.lowerBound..<middle)
            return nil
        }
        let line = load.block.line(rest.lowerBound)
        if note([Rejection(line: line, reason: error.details.reason)], 1) == nil { return nil }
        rejectedCount -= 1
        if !rejected.isEmpty, rejected.last?.line == line { rejected.removeLast() }
        return error.refused("\(placeName) \(line)")
    }
}

extension DriverError {
    /// Classes of SQLSTATEs that say something of values, by SQL's standard: warnings that are errors, data, integrity, WITH CHECK
    /// OPTION; and what triggers raise, in MySQL and PostgreSQL.
    private static let rowClasses: Set<String> = ["01", "22", "23", "44", "45", "P0"]

    /// Whether another statement for the same rows may succeed, or tell more.
    var isOfStatement: Bool {
        [.databaseError, .constraintViolation, .syntaxError].contains(code) && !details.isRetryable
    }

    /// Whether another row may be written all the same. A full disk or a column that is not there concerns all of them.
    fileprivate var isOfRow: Bool {
        if details.rowIndex != nil || code == .constraintViolation { return true }
        return code == .databaseError && Self.rowClasses.contains(String(details.sqlState?.prefix(2) ?? ""))
    }

    /// The same error, with the place of the row in the file.
    fileprivate func refused(_ place: String) -> DriverError {
        with {
            $0.message = "\(place) was refused: \($0.message)"
            $0.rowIndex = nil
            $0.place = nil
        }
    }
}
