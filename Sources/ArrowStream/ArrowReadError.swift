// Why a stream cannot be read on.

/// What is wrong with a stream as a whole.
public struct ArrowReadError: Error, Sendable, Equatable {
    /// A sentence.
    public let reason: String
    /// What helps; a sentence.
    public let remedy: String?
    /// It was not the stream: whoever reads may not hold so much.
    public let isShortOfRoom: Bool

    public init(_ reason: String, remedy: String? = nil, isShortOfRoom: Bool = false) {
        self.reason = reason
        self.remedy = remedy
        self.isShortOfRoom = isShortOfRoom
    }

    static let damagedMetadata = ArrowReadError("The stream is damaged: the metadata of a message lead nowhere.")
    static let damagedBatch = ArrowReadError("The stream is damaged: a batch does not have the buffers of its columns.")

    /// Something of a column that cannot be so.
    static func damaged(column: Int, _ what: String) -> ArrowReadError {
        ArrowReadError("The stream is damaged: column \(column + 1) has \(what).")
    }

    /// A file that is a stream has nothing else.
    public static let somethingBehind = ArrowReadError(
        "There is something behind the end of the stream.", remedy: "Import one stream at a time.")

    static let cutOff = ArrowReadError(
        "The stream ends without its end: it was cut off, or its writer was not closed.",
        remedy: "Close the writer, or use it in a `with` statement.")

    static let longNames = ArrowReadError("The names of its columns are too long.")

    static func noRoom(_ byteCount: Int) -> ArrowReadError {
        ArrowReadError(
            "A batch or a dictionary of the stream needs \(byteCount) bytes.",
            remedy: "Write smaller batches, such as of 65,536 rows (pyarrow: max_chunksize).", isShortOfRoom: true)
    }

    static let compressed = ArrowReadError(
        "The bodies of the stream are compressed, which is not read.",
        remedy:
            "Write it without: compression=None with pyarrow, \"uncompressed\" with pandas' to_feather and with polars."
    )
}
