// A request that takes long to decode, which a worker's thread does: whatever a client sends, the others on its loop do not
// wait for it.

internal import ByteBuffers
internal import WireProtocol

/// A request on its way through a worker.
///
/// - Thread: its loop's, then a worker's, then its loop's again; never shared.
final class LongRequest: @unchecked Sendable {
    /// What the client sent turned out to be.
    enum Outcome {
        /// Not decoded yet.
        case none
        /// No message at all.
        case noMessage(DecodeError)
        case noRequest(HeadError)
        case request(RequestHead, Result<(any RequestContent)?, DecodeError>)
    }

    let encoding: WireEncoding
    /// Bytes that the user's account knows of.
    let chargedByteCount: Int
    private(set) var outcome = Outcome.none
    /// What the client sent, then the request as MessagePack; the outcome points into it.
    private var body: ByteBuffer

    /// The longest request that a loop decodes itself, in bytes. The worst ones of that length, objects in JSON of nothing but
    /// keys, take it some 2 ms.
    static let byteCountMin = 32 << 10
    /// Bytes that decoding may need for each byte of JSON: what was sent, and what it becomes (`JSONTranscoder`).
    static let growthOfJSON = 3

    init(_ frame: consuming ByteBuffer, _ encoding: WireEncoding) {
        self.encoding = encoding
        chargedByteCount = frame.count + (encoding == .json ? Self.growthOfJSON * frame.count : 0)
        body = frame
    }

    /// - Thread: a worker's.
    func decode() {
        do throws(DecodeError) {
            if encoding == .json { try transcode() }
        } catch {
            outcome = .noMessage(error)
            return
        }
        do throws(HeadError) {
            let head = try RequestHead.decode(body.readable)
            outcome = .request(head, Self.content(of: head))
        } catch {
            outcome = .noRequest(error)
        }
    }

    private func transcode() throws(DecodeError) {
        var message = ByteBuffer()
        try JSONTranscoder.transcode(body.readable, into: &message)
        swap(&body, &message)
    }

    private static func content(of head: RequestHead) -> Result<(any RequestContent)?, DecodeError> {
        do throws(DecodeError) {
            return .success(try head.decodeContent())
        } catch {
            return .failure(error)
        }
    }

    /// The data of the request.
    /// - Throws: what is wrong with it.
    func content() throws(DecodeError) -> (any RequestContent)? {
        guard case .request(_, let content) = outcome else { return nil }
        return try content.get()
    }

    /// Gives the body away; what points into it stays valid as long as the new owner keeps it.
    func moveBody(to place: inout ByteBuffer) { swap(&body, &place) }
}
