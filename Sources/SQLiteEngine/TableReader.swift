// Rows of a table, read from the pages that a connection has in memory.

internal import CSQLite
internal import DatabaseContract

/// Reads rows as a statement's program would.
///
/// What is not in memory, or not all on one page, or not as expected, is left to SQLite: it reads files, takes locks, and tells of
/// damage.
/// - Thread: any; the pages are those of one connection, on its thread.
final class TableReader: Sendable {
    let program: TableProgram
    private let usableByteCount: Int

    /// More levels than a table can have: a loop of damaged pages ends.
    private static let depthMax = 20

    /// A row in a page.
    struct Place {
        fileprivate var page: TablePage
        fileprivate var index: Int
        /// Between which numbers the rows of the page are, as the pages above say.
        fileprivate var bounds: ClosedRange<Int64>
    }

    /// Which row comes next, where a page has been read.
    enum Next: Equatable {
        /// This one, on the same page.
        case row(Int64)
        /// The first one of the page behind that with rows up to this number.
        case page(behind: Int64)
        /// The page does not say it.
        case unreadable
    }

    /// What came of a look for one row.
    enum Finding {
        case row
        case none
        /// SQLite has to look; nothing was passed on.
        case unknown
    }

    /// The rows that were read, and what was said of the last one.
    struct Rows {
        var count: Int64 = 0
        var last: Int64
        var state = RowSink.State.open
        /// Which row comes behind it.
        var next = Next.unreadable
        /// There are no more rows up to the one that was wanted last.
        var isAtEnd = false
    }

    /// `nil` if the transaction sees another schema, the file's texts are not UTF-8, or its first page is not in memory.
    /// - Parameters:
    ///   - program: of a statement of the connection.
    ///   - pages: of a connection that is within a transaction.
    init?(_ program: TableProgram, _ pages: borrowing PageView) {
        guard let header = pages.header, header.isUTF8, header.schemaVersion == program.schemaVersion else {
            return nil
        }
        self.program = program
        usableByteCount = header.usableByteCount
    }

    /// The number of the row that a run wants.
    func rowNumber(_ run: StatementRun) -> Int64? {
        switch program.access {
        case .all: return nil
        case .row(.constant(let number)): return number
        case .row(.parameter(let place)):
            // The only one, so it does not matter whether it has a name. SQLite converts other values.
            let parameters = run.parameters
            guard place == 1, parameters.count == 1, case .integer(let number) = parameters[0].value else { return nil }
            return number
        }
    }

    /// Passes a row to the sink, up to `endRow`.
    func look(for rowNumber: Int64, _ pages: borrowing PageView, into sink: RowSink) -> Finding {
        guard let place = find(rowNumber, pages) else { return .unknown }
        guard place.index < place.page.cellCount else { return .none }
        guard let (number, record) = place.page.record(place.index) else {
            // It may be a row that goes on elsewhere.
            return place.page.rowNumber(place.index).map { $0 != rowNumber } == true ? .none : .unknown
        }
        guard number == rowNumber else { return .none }
        return push(number, record, to: sink) ? .row : .unknown
    }

    /// The place of a row on which a statement of the connection stands, so that its page is in memory; `nil` if that is not known.
    func place(of rowNumber: Int64, _ pages: borrowing PageView) -> Place? {
        guard let place = find(rowNumber, pages), place.index < place.page.cellCount,
            place.page.rowNumber(place.index) == rowNumber
        else { return nil }
        return place
    }

    /// Whether a row is the one that comes next. If the pages are as they should be, a search for the next number leads to it; if they
    /// are damaged, it may leave rows out, of which SQLite would tell, going from row to row.
    func isNext(_ place: Place?, _ next: Next) -> Bool {
        guard let place else { return false }
        switch next {
        case .row(let number): return place.page.rowNumber(place.index) == number
        case .page(let end): return end < .max && place.index == 0 && place.bounds.lowerBound == end + 1
        case .unreadable: return false
        }
    }

    /// Passes the rows behind one on its page to the sink.
    ///
    /// - Parameters:
    ///   - place: of that row.
    ///   - rowNumber: its number.
    ///   - end: the last number that is wanted.
    ///   - countMax: the most rows that are read.
    ///   - sink: where they go.
    /// - Returns: how many there were, which was the last, and what the sink has said of it.
    func readOn(
        behind place: Place, _ rowNumber: Int64, through end: Int64, countMax: Int64, into sink: RowSink
    ) -> Rows {
        var (rows, place) = (Rows(last: rowNumber), place)
        while rows.count < countMax, place.index + 1 < place.page.cellCount {
            guard let number = place.page.rowNumber(place.index + 1), number > rows.last,
                number <= place.bounds.upperBound
            else { break }
            if number > end {
                rows.isAtEnd = true
                break
            }
            guard let (_, record) = place.page.record(place.index + 1), push(number, record, to: sink) else { break }
            place.index += 1
            rows.count += 1
            rows.last = number
            rows.state = sink.endRow()
            guard case .open = rows.state else { break }
        }
        rows.next = next(behind: place)
        if rows.last == end { rows.isAtEnd = true }
        return rows
    }

    /// Which row comes behind one.
    func next(behind place: Place) -> Next {
        guard place.index + 1 < place.page.cellCount else { return .page(behind: place.bounds.upperBound) }
        return place.page.rowNumber(place.index + 1).map { .row($0) } ?? .unreadable
    }

    /// The place of a row, or where it would be; `nil` if that is not known.
    @inline(__always)
    private func find(_ rowNumber: Int64, _ pages: borrowing PageView) -> Place? {
        var (number, bounds) = (program.rootPage, Int64.min...Int64.max)
        for _ in 0..<Self.depthMax {
            guard let bytes = pages[number],
                let page = TablePage(bytes, usableByteCount: usableByteCount, number: number),
                let index = page.search(rowNumber, within: bounds)
            else { return nil }
            if page.isLeaf { return Place(page: page, index: index, bounds: bounds) }
            guard let child = page.child(index), let below = Self.bounds(of: index, page, bounds) else { return nil }
            (number, bounds) = (child, below)
        }
        return nil
    }

    /// Between which numbers those below a cell are.
    @inline(__always)
    private static func bounds(of index: Int, _ page: TablePage, _ bounds: ClosedRange<Int64>) -> ClosedRange<Int64>? {
        var (low, high) = (bounds.lowerBound, bounds.upperBound)
        if index < page.cellCount {
            guard let last = page.rowNumber(index) else { return nil }
            high = min(high, last)
        }
        if index > 0 {
            guard let before = page.rowNumber(index - 1), before < .max else { return nil }
            low = max(low, before + 1)
        }
        return low <= high ? low...high : nil
    }

    /// - Returns: false without passing anything on, if SQLite has to read the row.
    @inline(__always)
    private func push(_ number: Int64, _ record: TableRecord, to sink: RowSink) -> Bool {
        let program = program
        return withUnsafeTemporaryAllocation(of: TableRecord.Field.self, capacity: program.fieldCount) { fields in
            guard let count = record.find(fields), count == program.fieldCount || !program.hasDefault(from: count)
            else {
                return false
            }
            sink.beginRow()
            for column in program.columns {
                switch column {
                case .rowNumber: sink.integer(number)
                case .field(let index, let isReal, _):
                    if index >= count {
                        sink.null()
                    } else if !record.push(fields[index], isReal: isReal, to: sink) {
                        return true
                    }
                }
            }
            return true
        }
    }
}

extension TableProgram {
    /// Whether one of the columns behind the first `count` fields has a value where a record has none.
    fileprivate func hasDefault(from count: Int) -> Bool {
        columns.contains {
            if case .field(let index, _, hasDefault: true) = $0 { index >= count } else { false }
        }
    }
}
