// `fetch` and `cancel`, which refer to an earlier request.

public import ByteBuffers

/// The data of both: the earlier request.
public struct RequestReference {
    public let request: RequestID

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var request: RequestID?
        while let name = try fields.nextName() {
            if name.equals("request") {
                request = try RequestID.read(&fields.reader, field: "request")
            } else {
                try fields.reader.skip()
            }
        }
        guard let request else { throw DecodeError(.missing(field: "request"), at: 0) }
        self.request = request
    }

    /// Writes the data of a request.
    public static func write(request: Int64, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.field("request", request, into: &output)
    }
}

/// `fetch`: requests the next page of a paged query.
public struct FetchRequest: RequestContent {
    public typealias Reply = EmptyReply
    public static var type: RequestType { RequestType("fetch", reply: "fetch_response") }

    /// The query.
    public let request: RequestID

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) { request = try RequestReference(data).request }
}

/// `cancel`: ends a request soon.
public struct CancelRequest: RequestContent {
    public typealias Reply = CancelReply
    public static var type: RequestType { RequestType("cancel", reply: "cancel_response") }

    /// The request to end.
    public let request: RequestID

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) { request = try RequestReference(data).request }
}

/// The result of a cancel.
public struct CancelReply: ReplyData {
    /// False if the request had ended, or ended without the cancel.
    public var wasCancelled = false

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("cancelled", &wasCancelled)
    }
}
