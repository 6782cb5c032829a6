// The rows of a table with numbers in a range.

internal import CSQLite
internal import DatabaseContract

/// Reads a table, or a part of it, in the order of its row numbers.
///
/// SQLite reads the first row of each page, which brings the page into memory, where the statement's cursor keeps it. The others on it are
/// read from there (`TableReader`), which takes a fraction of what SQLite's virtual machine takes for a row.
/// - Thread: that of the connection, which has a read transaction from one call to the next.
final class TableRange {
    /// Why reading has stopped before the last row.
    enum Failure {
        /// A row is too large for the sink, or refused by it.
        case overflow
        /// Of SQLite.
        case result(Int32)
    }

    /// What was read.
    struct Rows {
        var count: Int64 = 0
        /// The last row, where the sink had no room for more, or there were as many as was wanted.
        var last: Int64?
        /// The sink has no room for more.
        var isFull = false
        var failure: Failure?
    }

    private let connection: SQLiteConnection
    private let statement: CachedStatement
    private var handle: OpaquePointer { statement.handle }
    /// `nil` where SQLite has to read all rows.
    private let reader: TableReader?
    /// What comes behind the last row that was read, for whoever reads from this number on.
    private var following: (number: Int64, next: TableReader.Next)?

    /// `nil` if the statement cannot be prepared.
    /// - Parameters:
    ///   - connection: with a transaction.
    ///   - sql: a statement with the first and the last number as parameters, which returns the rows in their order, with the number as
    ///     their last column.
    ///   - reader: reads what the columns before that are.
    init?(_ connection: SQLiteConnection, _ sql: String, _ reader: TableReader?) {
        guard let handle = connection.prepareOwn(sql) else { return nil }
        (self.connection, self.reader) = (connection, reader)
        statement = CachedStatement(
            handle, sqlByteCount: sql.utf8.count, SQLiteAuthorization(), .worker, mayUseVirtualTables: false)
    }

    /// The columns but the number.
    var columns: ColumnSet { ColumnSet(statement.columns.columns.dropLast()) }

    /// Reads rows into a sink until the last one, or until the sink is full.
    /// - Parameters:
    ///   - rows: the first and the last number.
    ///   - sink: has begun a result.
    ///   - countMax: about how many rows are read at most.
    /// - Returns: what was read, and why not more.
    func read(_ rows: ClosedRange<Int64>, into sink: RowSink, countMax: Int64 = .max) -> Rows {
        let handle = handle
        defer { sqlite3_reset(handle) }
        var read = Rows()
        // Where the order of rows is damaged, it would go on and on.
        var least = rows.lowerBound
        if following?.number != least { following = nil }
        bind(rows)
        while true {
            let result = sqlite3_step(handle)
            guard result == SQLITE_ROW else {
                if result != SQLITE_DONE {
                    read.failure = .result(result)
                } else if leavesOut(through: rows.upperBound) {
                    read.failure = .result(SQLITE_CORRUPT)
                }
                return read
            }
            let valueCount = sqlite3_data_count(handle) - 1
            var last = sqlite3_column_int64(handle, valueCount)
            let place = reader?.place(of: last, connection.pages)
            guard last >= least, following.map({ reader?.isNext(place, $0.next) == true }) != false else {
                read.failure = .result(SQLITE_CORRUPT)
                return read
            }
            SQLiteExecution.pushRow(handle, valueCount, sink)
            read.count += 1
            var state = sink.endRow()
            following = nil
            if let reader, let place {
                var next = reader.next(behind: place)
                if case .open = state {
                    let more = reader.readOn(
                        behind: place, last, through: rows.upperBound, countMax: countMax, into: sink)
                    read.count += more.count
                    (last, state, next) = (more.last, more.state, more.next)
                    if case .open = state, more.isAtEnd { return read }
                    // Going to the next row would be going to one that was read.
                    if more.count > 0, last < rows.upperBound { bind((last + 1)...rows.upperBound) }
                }
                if last < .max { following = (last + 1, next) }
            }
            least = last < .max ? last + 1 : last
            switch state {
            case .open where read.count < countMax: break
            case .open:
                read.last = last
                return read
            case .full:
                (read.last, read.isFull) = (last, true)
                return read
            case .overflow:
                read.failure = .overflow
                return read
            }
        }
    }

    /// Whether there is another row up to this number, although SQLite has found none.
    private func leavesOut(through end: Int64) -> Bool {
        switch following?.next {
        case nil: false
        case .row(let number): number <= end
        case .unreadable: true
        case .page(let last): end == .max && last < .max
        }
    }

    private func bind(_ rows: ClosedRange<Int64>) {
        let handle = handle
        sqlite3_reset(handle)
        sqlite3_bind_int64(handle, 1, rows.lowerBound)
        sqlite3_bind_int64(handle, 2, rows.upperBound)
    }
}
