// What the requests have in common that take a file of the client's.

internal import ByteBuffers

/// A request that takes descriptors.
public protocol TransferRequest: RequestContent {
    var transfer: TransferFields { get }
}

/// Fields of every request that takes descriptors.
public struct TransferFields {
    /// How many descriptors came with the request.
    public private(set) var descriptorCount: Int64 = 0
    /// How often the client wants to be told how far it is.
    public private(set) var progressMilliseconds: Int64?

    init() {}

    /// Reads the value if the field is one of these; returns whether it is.
    mutating func readField(_ name: UnsafeRawBufferPointer, from fields: inout FieldReader) throws(DecodeError) -> Bool
    {
        if name.equals("descriptors") {
            descriptorCount = try fields.optionalPositive("descriptors") ?? 0
        } else if name.equals("progress_ms") {
            progressMilliseconds = try fields.optionalPositive("progress_ms")
        } else {
            return false
        }
        return true
    }

    func check() throws(DecodeError) {
        if descriptorCount == 0 { throw DecodeError(.missing(field: "descriptors"), at: 0) }
    }

    static func write(
        progressMilliseconds: Int64?, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("descriptors", Int64(1), into: &output)
        writer.optional("progress_ms", progressMilliseconds, into: &output)
    }
}

/// How far a transfer is: the data of its replies before the last.
public struct TransferProgress: ReplyData {
    public var byteCount: Int64 = 0
    /// `nil` if it is not known.
    public var totalByteCount: Int64?
    public var more = true

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("bytes", &byteCount)
        visitor.optional("total_bytes", &totalByteCount)
        visitor.field(QueryFrame.more, &more)
    }
}
