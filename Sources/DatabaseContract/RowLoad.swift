// Rows of a file on their way into a table.

public import Tabular

/// Rows of one block that a run is to write (`RunKind.load`), and what has come of them.
///
/// They are written in order, and each row is in the table or is not. The driver may stop between two rows, so that others get their
/// turn: then it says how many are done, and another run follows with the rest.
/// - Thread: that of the run.
public final class RowLoad: @unchecked Sendable {
    public let block: RowBlock
    /// The rows of the block that are to be written.
    public let rows: Range<Int>
    /// Rows that may be refused before the run ends with an error.
    public let rejectedCountMax: Int
    /// Rows that one execution of the statement takes, of which there is a multiple.
    public let rowsPerStatement: Int
    /// The rows as `RowLoading.encoded` has made them, if that was done, and these are all rows of the block.
    public let encoded: (any EncodedRows)?
    /// Why rows have to be written one by one.
    public enum WhySingly: Sendable {
        /// One of these was refused, or what was known of the table did not hold.
        case refusal
        /// The table is one for which the number of rows in a statement makes a difference.
        case table
    }

    /// Nothing of the run was done, since its rows have to go one by one.
    public package(set) var mustGoSingly: WhySingly?
    /// Rows that were written or refused.
    public package(set) var doneCount = 0
    /// Those of them that the table has left out without refusing them: by a trigger, or by ON CONFLICT IGNORE.
    public package(set) var leftOutCount = 0
    public package(set) var rejectedCount = 0
    /// The first of those that were refused, by their number in the block.
    public package(set) var rejected: [(row: Int, error: DriverError)] = []

    public init(
        _ block: RowBlock, _ rows: Range<Int>, rejectedCountMax: Int, rowsPerStatement: Int = 1,
        encoded: (any EncodedRows)? = nil
    ) {
        precondition(rowsPerStatement > 0 && rows.count % rowsPerStatement == 0, "rows that no statement takes")
        self.block = block
        self.rows = rows
        self.rejectedCountMax = rejectedCountMax
        self.rowsPerStatement = rowsPerStatement
        self.encoded = encoded
    }

    /// Rows that are in the table.
    public var writtenCount: Int { doneCount - rejectedCount - leftOutCount }

    /// All rows were written.
    public func noteAll() { doneCount = rows.count }

    /// All rows were sent, and the engine says how many of them are in the table.
    package func noteAll(written count: Int64) {
        doneCount = rows.count
        leftOutCount = max(0, rows.count - Int(clamping: count))
    }

    /// Nothing of it was done, or it was undone.
    package func restart() {
        doneCount = 0
        leftOutCount = 0
        rejectedCount = 0
        rejected = []
    }
}

/// Rows of a block in the form that a driver sends, made while the rows before them are written.
///
/// - Thread: one at a time.
public protocol EncodedRows: AnyObject, Sendable {
    /// Bytes that it holds.
    var byteCount: Int { get }
    /// The statement that takes them, where it is another one than that of `RowLoading.text`. If it fails, whatever the reason, the
    /// rows are to be written by that one, which tells which of them was refused.
    var statement: String? { get }
}

/// A table that takes rows, as far as a driver has to know it to encode them.
public struct LoadTarget: Sendable {
    /// Within quotes, as are the columns in `quotedNames`.
    public var table: String
    public var names: [String]
    public var quotedNames: [String]
    /// What the engine calls the columns' types; `nil` where nobody knows.
    public var types: [String?]

    public init(table: String, names: [String], quotedNames: [String], types: [String?]) {
        (self.table, self.names, self.quotedNames, self.types) = (table, names, quotedNames, types)
    }
}

/// How values stand in statements of an engine, where engines differ; numbers, `NULL` and text within single quotes are the same.
public struct SQLLiterals: Sendable {
    /// What precedes the hexadecimal digits of a blob, behind which a single quote follows.
    public var blobStart: StaticString
    /// Within quotes a backslash begins an escape: of itself, of NUL and of line ends.
    public var escapesByBackslash: Bool
    /// Text with a NUL, or that is not UTF-8, cannot stand within quotes, and text with a CR does not stand there safely, since
    /// programs drop it before a line end: it is a blob that is cast.
    public var castsUnusualText: Bool
    public var infinity: StaticString
    public var negativeInfinity: StaticString
    public var nan: StaticString

    public init(
        blobStart: StaticString = "x'", escapesByBackslash: Bool = false, castsUnusualText: Bool = false,
        infinity: StaticString = "'Infinity'", negativeInfinity: StaticString = "'-Infinity'",
        nan: StaticString = "'NaN'"
    ) {
        self.blobStart = blobStart
        self.escapesByBackslash = escapesByBackslash
        self.castsUnusualText = castsUnusualText
        self.infinity = infinity
        self.negativeInfinity = negativeInfinity
        self.nan = nan
    }
}

/// How rows of a file get into a table of an engine.
///
/// - Thread: any.
public protocol RowLoading: Sendable {
    /// Whether a run writes a whole block (`RunKind.load`). If not, it is a statement with many values; so many at most.
    var statementValueCountMax: Int? { get }
    /// How many rows one execution takes in a run that writes a whole block (`RunKind.load`). Where one of them is refused, the run
    /// says that they must go singly.
    func rowsPerStatement(columnCount: Int) -> Int
    /// Whether a driver writes the rows before one that is refused, and tells which one it is; if not, nothing of the run is done.
    var tellsRefusedRow: Bool { get }
    /// Whether texts that are numbers are to be given as such, for columns of numbers: the engine would look at each.
    var takesNumbers: Bool { get }
    /// Whether a column of texts takes no blobs: the server would make a text of its bytes, or of what stands for them.
    var keepsBlobsFromTexts: Bool { get }
    /// Whether a moment may have the offset of its zone (`+00:00`), which of an import is that of UTC.
    var takesZoneOffsets: Bool { get }
    /// Whether a transaction in which something has failed needs a savepoint to go on.
    var needsSavepoint: Bool { get }
    /// Whether it has statements that take the bytes of a file as they are (`RunKind.copy`).
    var copiesBytes: Bool { get }
    /// Whether a table is made within a transaction. If not, making one commits what is open.
    var makesTablesInTransactions: Bool { get }
    /// What begins a transaction that writes.
    var beginText: String { get }
    /// A name within the quotes of the engine.
    func quoted(_ name: String) -> String
    /// How values stand in statements.
    var literals: SQLLiterals { get }
    /// What the engine calls a type.
    func name(of type: ColumnType) -> String
    /// All rows of a block as a driver sends them, so that the engine need not wait until they are made; `nil` where a driver needs
    /// nothing of the kind.
    func encoded(_ block: RowBlock, for target: LoadTarget) -> (any EncodedRows)?
    /// The statement of a run of so many rows; `table` and `columns` are within quotes.
    func text(table: String, columns: [String], rowCount: Int) -> String
}

extension RowLoading {
    public var statementValueCountMax: Int? { nil }
    public func rowsPerStatement(columnCount: Int) -> Int { 1 }
    public func encoded(_ block: RowBlock, for target: LoadTarget) -> (any EncodedRows)? { nil }
    public var tellsRefusedRow: Bool { false }
    public var needsSavepoint: Bool { false }
    public var takesNumbers: Bool { false }
    public var keepsBlobsFromTexts: Bool { false }
    public var takesZoneOffsets: Bool { true }
    public var copiesBytes: Bool { false }
    public var makesTablesInTransactions: Bool { true }

    /// A name within quotes, those of its own doubled.
    package func quoted(_ name: String, in quote: UInt8) -> String {
        var bytes: [UInt8] = [quote]
        bytes.reserveCapacity(name.utf8.count + 2)
        for byte in name.utf8 {
            bytes.append(byte)
            if byte == quote { bytes.append(byte) }
        }
        bytes.append(quote)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `INSERT` with a placeholder for each value.
    package func insertText(_ table: String, _ columns: [String], rowCount: Int) -> String {
        let row = "(" + [String](repeating: "?", count: columns.count).joined(separator: ",") + ")"
        let rows = [String](repeating: row, count: rowCount).joined(separator: ",")
        return "INSERT INTO \(table)(\(columns.joined(separator: ","))) VALUES \(rows)"
    }
}

extension DriverValue {
    /// A value of a file. Its bytes are the block's.
    public init(_ cell: Cell, in rows: RowView) {
        switch cell.kind {
        case .null: self = .null
        case .bool: self = .bool(cell.bool)
        case .integer: self = .integer(cell.integer)
        case .unsigned: self = .unsigned(cell.unsigned)
        case .real: self = .real(cell.real)
        case .text: self = .text(rows.bytes(of: cell))
        case .blob: self = .blob(rows.bytes(of: cell))
        }
    }
}

extension DriverError {
    /// An engine that has no tables, or cannot be given rows in this way.
    public static let noTables = DriverError(
        .badRequest, "The engine has no tables into which rows could be imported.", sqlState: "0A000")
}
