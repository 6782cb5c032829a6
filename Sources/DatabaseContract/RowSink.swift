// Where a driver writes the values of a result. The server implements it over an output buffer, so a value goes from
// the engine's memory to the wire without an object in between. It is a class, not a protocol: one virtual call for
// each value.

/// Description of one result column.
public struct ColumnDescription: Sendable, Equatable {
    public var name: [UInt8]
    /// The protocol's name of the type: "integer", "real", "text", "blob", "any", …
    public var type: String
    /// As declared in the table, if the column is a table's column.
    public var declaredType: String?
    public var detail: ValueDetail

    public init(name: [UInt8], type: String, declaredType: String?, detail: ValueDetail = .none) {
        self.name = name
        self.type = type
        self.declaredType = declaredType
        self.detail = detail
    }
}

/// What an engine knows of a column's values beyond the name of their type.
public enum ValueDetail: Sendable, Equatable {
    case none
    /// Integers from 0 on, also above `Int64.max`.
    case unsigned
    /// Decimals of so many digits, `scale` of them behind the point.
    case decimal(precision: Int, scale: Int)
    /// Times that are spans: they may be negative, and longer than a day.
    case span
}

/// The columns of a prepared statement; kept with it, together with what sinks have made of them.
///
/// - Thread: that of the statement.
public final class ColumnSet {
    public let columns: [ColumnDescription]
    /// What sinks have made of the columns, so that a repeated statement does not make it again: each kind of sink has a place of
    /// its own, with a small number of its choice. Empty where there is nothing yet. An array: a dictionary would hash a key for
    /// each result.
    @exclusivity(unchecked) public private(set) var forms: [[UInt8]] = []

    public init(_ columns: [ColumnDescription]) {
        self.columns = columns
    }

    /// Keeps what a kind of sink has made.
    public func keep(_ form: [UInt8], at number: Int) {
        while forms.count <= number { forms.append([]) }
        forms[number] = form
    }
}

/// Takes the rows of one or several results, one after the other.
///
/// - Thread: that of the current owner of the run; one at a time.
open class RowSink {
    /// What the driver does after a row.
    public enum State: Sendable {
        /// Go on.
        case open
        /// A frame is complete: suspend, or call `reopen()` to go on in the next frame.
        case full
        /// The row is larger than any reply may be.
        case overflow
    }

    /// Whether a row may end with `overflow` because of what its user holds already: nothing was changed, or the driver
    /// undoes it. The driver sets it.
    public final var mayRefuse = false
    /// Whether the rows of one result may be made by several threads at the same time (`makeParts`).
    public final let isDivisible: Bool

    public init(isDivisible: Bool = false) { self.isDivisible = isDivisible }

    /// Announces the columns of a result, before its first row and also if no row follows.
    open func begin(_ columns: ColumnSet) {}
    /// Completes the last frame of a result that others follow; then come `reopen` and, if there is a result, `begin`.
    open func endResult(_ end: ResultEnd) {}
    open func beginRow() {}
    open func null() {}
    open func bool(_ value: Bool) {}
    open func integer(_ value: Int64) {}
    /// An integer above `Int64.max`.
    open func unsigned(_ value: UInt64) {}
    open func real(_ value: Double) {}
    /// Text in the engine's bytes, expected to be UTF-8 but not checked yet. Valid during the call.
    open func text(_ bytes: UnsafeRawBufferPointer) {}
    /// Valid during the call.
    open func blob(_ bytes: UnsafeRawBufferPointer) {}
    open func endRow() -> State { .open }
    /// Whether a value of that size fits into the row; if not, the row ends with `overflow`.
    open func hasRoom(for byteCount: Int) -> Bool { true }

    /// Charges the user for so many bytes that the engine's library holds for the next row, until its frame is complete.
    open func noteHeld(_ byteCount: Int) {}

    /// The most bytes of a row, for the error that tells of it.
    open var rowByteCountMax: Int { .max }

    /// Announces how many bytes of blobs follow in all, where that is known (`RunKind.backup`).
    open func expect(_ byteCount: Int64) {}

    /// Starts the next frame after `full`.
    open func reopen() {}
    /// Drops everything since the start of the run, columns included: the statement starts again.
    open func restart() {}
    /// Whether a worker may continue after `full` (with `reopen`) before the server takes the rows: handing over each
    /// single frame would cost more than producing it.
    open var hasRoom: Bool { false }
    /// Sends the whole result as one stream, whatever pages were requested.
    open func ignorePages() {}
    /// Bytes that the server has not taken yet.
    open var pendingByteCount: Int { 0 }

    // MARK: Parts

    /// Bytes that a part has at the most, but for its last row.
    public static let partByteCountMax = 512 << 10

    /// Sinks of the same kind for rows further on, which other threads may fill meanwhile; called after `begin` and `endPart`.
    /// - Returns: none where that cannot be done.
    open func makeParts(_ count: Int) -> [RowSink] { [] }
    /// The rows since the last `endPart` are those of a part; `pendingByteCount` has all of them.
    open func endPart() {}
    /// Takes the rows of a part that has ended, and that is empty then; and what its `overflow` was, if there was one.
    open func append(_ part: RowSink) {}
}
