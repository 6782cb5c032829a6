// Where a driver pushes the values of a result. The server implements it over an output buffer, so that a value goes from
// the engine's memory to the wire with no object in between. A class, not a protocol: one virtual call for each value.

/// Description of one result column.
public struct ColumnDescription: Sendable, Equatable {
    public var name: [UInt8]
    /// The protocol's name of the type: "integer", "real", "text", "blob", "any", …
    public var type: String
    /// As declared in the table, where the column is one of a table.
    public var declaredType: String?

    public init(name: [UInt8], type: String, declaredType: String?) {
        self.name = name
        self.type = type
        self.declaredType = declaredType
    }
}

/// The columns of a prepared statement; kept with it, together with their encoded forms.
///
/// - Thread: that of the statement.
public final class ColumnSet {
    public let columns: [ColumnDescription]
    /// What a sink made of the columns, by the number of its encoding, so that a repeated statement does not encode them
    /// again; empty where nobody has asked yet. An array: a dictionary would hash a key for each result.
    @exclusivity(unchecked) public var encoded: [[UInt8]] = [[], []]

    public init(_ columns: [ColumnDescription]) {
        self.columns = columns
    }
}

/// Takes the rows of a result, or of several, one after the other.
///
/// - Thread: that of whoever runs the statement at the moment; one at a time.
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

    /// Whether a row may end with `overflow` for what its user has already: nothing was changed, or the driver undoes it. The
    /// driver sets it.
    public final var mayRefuse = false

    public init() {}

    /// Announces the columns of a result, before its first row, also when no row follows.
    open func begin(_ columns: ColumnSet) {}
    /// Completes the last frame of a result behind which there is more; `reopen` and, if that is a result, `begin` follow.
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
    /// Whether a value of that many bytes fits into the row; after false the row ends with `overflow`.
    open func hasRoom(for byteCount: Int) -> Bool { true }

    /// The most bytes of a row, for the error that tells of it.
    open var rowByteCountMax: Int { .max }

    /// Starts the next frame after `full`.
    open func reopen() {}
    /// Drops everything since the start of the run, columns included: the statement will be started again.
    open func restart() {}
    /// Whether a worker may go on after `full` (then with `reopen`) before the server takes what is there: handing over
    /// each single frame would cost more than making it.
    open var hasRoom: Bool { false }
    /// Makes one stream of the whole result, whatever pages were asked for.
    open func ignorePages() {}
    /// Bytes that wait to be taken by the server.
    open var pendingByteCount: Int { 0 }
}
