// What requests say besides their envelope, whatever their type: for who decodes one before it is known where it goes.

/// The data of one type of request. All bytes point into the request's body.
public protocol RequestContent {
    /// Decodes and checks the data of a body that was checked as a whole.
    init(_ data: UnsafeRawBufferPointer?) throws(DecodeError)
}

extension HealthRequest: RequestContent {}
extension HelloRequest: RequestContent {}
extension ConnectRequest: RequestContent {}
extension DisconnectRequest: RequestContent {}
extension QueryRequest: RequestContent {}
extension BatchRequest: RequestContent {}
extension DescribeRequest: RequestContent {}
extension RequestReference: RequestContent {}

extension RequestHead {
    /// Decodes the data of the request; `nil` for a type that has none.
    public func decodeContent() throws(DecodeError) -> (any RequestContent)? {
        switch type {
        case .healthCheck: try HealthRequest(data)
        case .hello: try HelloRequest(data)
        case .dbConnect: try ConnectRequest(data)
        case .dbDisconnect: try DisconnectRequest(data)
        case .query: try QueryRequest(data)
        case .batch: try BatchRequest(data)
        case .describe: try DescribeRequest(data)
        case .fetch, .cancel: try RequestReference(data)
        case .listDatabases, .stats, .activity, .reload, nil: nil
        }
    }
}
