// Whether a connection is within the handling of a request.

/// Whether requests are being processed: then nothing may flush, close, or change the bytes that are being read.
enum RequestAttention {
    case none
    case request
    /// The same for the last request that was received.
    case lastRequest
}
