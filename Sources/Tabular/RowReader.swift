// Rows of a file, found in one block after the other.

/// How rows stand in a file.
public enum TabularFormat: String, CaseIterable, Sendable {
    case csv, tsv
    case jsonArray = "json"
    case jsonLines = "jsonl"

    public var isDelimited: Bool { self == .csv || self == .tsv }
}

/// What of a format the sender chooses.
public struct TabularOptions: Sendable {
    public var format = TabularFormat.csv
    /// Whether the first line of CSV and TSV has the names of the columns.
    public var hasHeader = true
    /// Between two fields; ASCII.
    public var delimiter: UInt8
    /// What stands for null instead of what the format has for it.
    public var null: [UInt8]?

    public init(_ format: TabularFormat = .csv) {
        self.format = format
        delimiter = UInt8(ascii: format == .tsv ? "\t" : ",")
    }
}

/// What ends an import, whatever is done with single lines.
public enum TabularError: Error, Equatable, Sendable {
    /// The file as a whole is not what it should be.
    case malformed(line: Int64, reason: String)
    /// There is nothing from which columns could be known.
    case noRows
}

/// Reads the rows of one file.
///
/// First the names of its columns are looked at (`readNames`), then the caller says which columns there are (`begin`), then the rows
/// come (`read`), block after block. What it does is linear in the bytes of the file.
/// - Thread: one at a time.
public struct RowReader: Sendable {
    public let options: TabularOptions
    /// The line that comes next.
    public internal(set) var line: Int64 = 1
    var columnCount = 0
    /// Names of the values in JSON, and whether others are left out instead of being refused.
    var keys: [[UInt8]] = []
    var places: [[UInt8]: Int] = [:]
    var ignoresOtherKeys = false
    var arrayPlace = JSONPlace.start
    private var isHeaderDue: Bool
    /// Only the number of fields is wanted: the bytes stay as they are, since they are read again.
    var isCounting = false

    /// Where in a JSON array it is.
    enum JSONPlace: Sendable { case start, first, behindValue, beforeValue, end }

    public init(_ options: TabularOptions) {
        self.options = options
        isHeaderDue = options.hasHeader && options.format.isDelimited
    }

    /// What the first row says of the columns.
    public enum Names: Equatable, Sendable {
        /// More bytes are needed.
        case incomplete
        case names([[UInt8]])
        /// So many, without names.
        case count(Int)
        /// No row at all.
        case none
    }

    /// Looks at the first row, and steps over it if it is only a header.
    public mutating func readNames(_ block: RowBlock, isLast: Bool) throws(TabularError) -> Names {
        switch options.format {
        case .csv, .tsv: try readDelimitedNames(block, isLast: isLast)
        case .jsonArray, .jsonLines: try readJSONNames(block, isLast: isLast)
        }
    }

    private mutating func readDelimitedNames(_ block: RowBlock, isLast: Bool) throws(TabularError) -> Names {
        let (former, start) = (line, block.parsedCount)
        var fields: [[UInt8]] = []
        block.removeRows()
        isCounting = !isHeaderDue
        defer { isCounting = false }
        let outcome =
            options.format == .csv
            ? readCSVRecord(block, at: start, isLast: isLast, columnCount: nil)
            : readTSVRecord(block, at: start, isLast: isLast, columnCount: nil)
        switch outcome {
        case .incomplete: return .incomplete
        case .end: return .none
        case .malformed(let reason, _):
            line = former
            throw .malformed(line: former, reason: reason)
        case .record(let end):
            let count = block.cells.count
            fields = (0..<count).map { index in
                let cell = block.cells[index]
                return cell.kind == .null ? [] : Array(block.bytes(of: cell))
            }
            block.removeRows()
            guard isHeaderDue else {
                line = former
                return .count(count)
            }
            block.parsedCount = end
            isHeaderDue = false
            return .names(fields)
        }
    }

    /// Says which columns there are. For JSON, `names` are the keys of the values, in order.
    public mutating func begin(_ names: [[UInt8]], ignoringOtherKeys: Bool) {
        columnCount = names.count
        keys = names
        places = [:]
        for (place, name) in names.enumerated() where places[name] == nil { places[name] = place }
        ignoresOtherKeys = ignoringOtherKeys
    }

    /// Finds the rows of a block, from where it was read up to; what is left belongs to the next block.
    /// - Parameters:
    ///   - block: the next one.
    ///   - isLast: no bytes follow.
    /// - Throws: what ends everything; the rows that were found before it are there.
    public mutating func read(_ block: RowBlock, isLast: Bool) throws(TabularError) {
        block.removeRows()
        block.columnCount = columnCount
        switch options.format {
        case .csv: readCSV(block, isLast: isLast)
        case .tsv: readTSV(block, isLast: isLast)
        case .jsonLines: readJSONLines(block, isLast: isLast)
        case .jsonArray: try readJSONArray(block, isLast: isLast)
        }
    }

    /// What was found at a place.
    enum Record {
        /// A record, and where the next one begins; its cells were appended.
        case record(Int)
        /// Not a record; and where the next one begins.
        case malformed(String, Int)
        case incomplete
        /// Nothing is left.
        case end
    }

    /// Takes record after record.
    mutating func readRecords(
        _ block: RowBlock, _ next: (inout RowReader, Int) -> Record
    ) {
        while block.cells.count < RowBlock.cellCountMax {
            let (first, cellCount) = (line, block.cells.count)
            switch next(&self, block.parsedCount) {
            case .record(let end):
                block.parsedCount = end
                // A line without anything is no row.
                if block.cells.count > cellCount { block.rowLines.append(first) }
            case .malformed(let reason, let end):
                block.cells.removeLast(block.cells.count - cellCount)
                block.parsedCount = end
                block.reject(first, reason)
            case .incomplete, .end:
                line = first
                return
            }
        }
    }

    /// Fields of one line that are kept: no table has as many columns. Those behind them are only counted.
    static let fieldCountMax = 4_097

    static func wrongCount(_ count: Int, _ wanted: Int) -> String {
        "It has \(count) \(count == 1 ? "field" : "fields") instead of \(wanted)."
    }

    static let notUTF8 = "It is not UTF-8; if it is in another encoding, name that (\"encoding\")."
}
