// The content of each request type: its names, its data, the data of its reply. Each stands in one
// file, with the client's writing beside the daemon's reading.
//
// In the data of requests, unknown fields are ignored, null is the same as absent, and a wrong type is an error that names the
// field. All bytes point into the request's body.

public import ByteBuffers

/// The data of one type of request. All bytes point into the request's body.
public protocol RequestContent: SendableMetatype {
    /// The data of the reply; for earlier frames, if there are several, see `QueryFrame`.
    associatedtype Reply: ReplyData
    static var type: RequestType { get }
    /// Decodes the data of a body that was checked as a whole.
    init(_ data: UnsafeRawBufferPointer?) throws(DecodeError)
}

extension RequestContent {
    /// The keys in the data of the reply, including those of maps within it.
    public static var replyFieldNames: [String] { Reply.fieldNames }
}

/// The data of a request without fields.
public protocol EmptyRequest: RequestContent {
    init()
}

extension EmptyRequest {
    public init(_ data: UnsafeRawBufferPointer?) { self.init() }
}

/// The data of a reply without fields.
public struct EmptyReply: ReplyData {
    public init() {}
    public mutating func visit(_ visitor: inout some FieldVisitor) {}
}

/// Writes a value into an open message, such as the parameters of a statement.
public typealias ValueWriting = (inout RequestWriter, inout ByteBuffer) -> Void
