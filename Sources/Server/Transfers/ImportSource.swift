// The file of an import, read by a worker: its bytes become blocks of rows.

internal import ArrowStream
internal import DatabaseContract
internal import LinuxSystem
internal import Tabular

/// Reads a client's file, which may never answer.
///
/// - Thread: that of one worker at a time; `stop` any.
protocol ImportSource: AnyObject, Sendable {
    /// Ends the work on the file soon.
    func stop()
    /// Checks the file, and looks at what it says of its columns.
    func readHead() throws(ImportFailure) -> ImportHead
    /// Says which columns there are.
    /// - Parameters:
    ///   - names: of JSON's values, or of columns of a schema.
    ///   - ignoringOtherKeys: whether others are left out.
    ///   - infersTypes: whether the rows are to say of which types the columns are.
    ///   - ofAllRows: all rows, not only the first ones.
    func begin(_ names: [[UInt8]], ignoringOtherKeys: Bool, infersTypes: Bool, ofAllRows: Bool)
    /// Says of which types the columns are, as far as that is known.
    func setTypes(_ types: [ColumnType?], blobColumns: [Int], makesNumbers: Bool)
    /// Reads on, until there are rows or the file has ended.
    /// - Parameter used: a block that nobody needs any more.
    /// - Returns: the rows, and what ends them.
    func readPart(reusing used: RowBlock?) -> ImportPart
}

/// What a file says of its columns.
struct ImportHead: Sendable {
    var columns: Columns
    var byteCountInAll: Int64?

    enum Columns: Sendable {
        /// Its first row.
        case text(RowReader.Names)
        /// Its schema.
        case schema([ArrowField])
    }

    /// MySQL has up to so many columns, others fewer.
    static let columnCountMax = 4_096
    /// Of the names of all columns together: what comes of them is done on a loop.
    static let nameByteCountMax = 256 << 10
}

/// Why there are no more rows.
enum ImportFailure: Error {
    case file(PassedFileProblem)
    case content(TabularError)
    case rowTooLong(line: Int64, byteCountMax: Int)
    /// Its user has no room for it.
    case noRoom(line: Int64, byteCountMax: Int)
    case encoding(line: Int64)
    /// A stream of Arrow cannot be read on.
    case stream(ArrowReadError)
    /// A row of such a stream is too long, or its user has no room for it.
    case streamRowTooLong(row: Int64, byteCountMax: Int)
    case noRoomForStream(ArrowReadError, byteCountMax: Int)
}

/// A part of the file: its rows, and whether it is the last.
struct ImportPart: Sendable {
    var block: RowBlock
    var isLast: Bool
    /// What ends the file behind these rows.
    var failure: ImportFailure?
    /// Bytes of the file that were read so far.
    var byteCount: Int64
    /// What the values say of the columns, where the table is to be made and that was not told before.
    var types: [ColumnType]?
    /// Its rows as the driver sends them, and how many they were when that was made.
    var encoded: (rows: any EncodedRows, count: Int)?

    /// Bytes of memory that it holds.
    var heldByteCount: Int { block.heldByteCount + (encoded?.rows.byteCount ?? 0) }
}

extension DriverError {
    init(_ failure: ImportFailure) {
        switch failure {
        case .file(.stopped): self = .stopped(.cancelled)
        case .file(let problem):
            let error = RequestError(reading: problem).fields
            self.init(.badRequest, error.message, hint: error.hint)
        case .content(.malformed(let line, let reason)):
            self.init(.badRequest, "Line \(line) of the file: \(reason)", sqlState: "22P04")
        case .content(.noRows):
            self.init(.badRequest, "The file is empty.", sqlState: "22P04")
        case .rowTooLong(let line, let most):
            self = DriverError(
                .limitExceeded, "The row of line \(line) has more than \(most) bytes (row_bytes_max).",
                hint: "See whether a quote in it is not closed.", sqlState: "54000"
            ).with { $0.limit = DriverLimit(name: LimitName.rowBytes.name, value: Int64(most)) }
        case .noRoom(let line, let most):
            self = DriverError(
                .limitExceeded,
                "There is no room for the row of line \(line): what this user's requests hold may have \(most) bytes "
                    + "(buffered_bytes_per_user_max).",
                hint: "Do less at a time; or see whether a quote in it is not closed.", sqlState: "53200"
            ).with { $0.limit = DriverLimit(name: LimitName.bufferedBytesPerUser.name, value: Int64(most)) }
        case .stream(let error):
            self.init(
                .badRequest, "The file cannot be read: \(error.reason)", hint: error.remedy, sqlState: "22P04")
        case .streamRowTooLong(let row, let most):
            self = DriverError(
                .limitExceeded, "Row \(row) has more than \(most) bytes (row_bytes_max).", sqlState: "54000"
            ).with { $0.limit = DriverLimit(name: LimitName.rowBytes.name, value: Int64(most)) }
        case .noRoomForStream(let error, let most):
            self = DriverError(
                .limitExceeded,
                "\(error.reason) What this user's requests hold may have \(most) bytes (buffered_bytes_per_user_max).",
                hint: error.remedy, sqlState: "53200"
            ).with { $0.limit = DriverLimit(name: LimitName.bufferedBytesPerUser.name, value: Int64(most)) }
        case .encoding(let line):
            self.init(
                .badRequest, "The file is not in its encoding, behind line \(line).",
                hint: "Name the encoding (\"encoding\").", sqlState: "22021")
        }
    }
}
