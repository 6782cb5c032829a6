// A request that takes long to decode: a worker decodes it, so that others on the loop do not wait for it.

internal import ByteBuffers
internal import WireProtocol

/// A request on its way through a worker.
///
/// - Thread: its loop's, then a worker's, then its loop's again; never shared.
final class LongRequest: @unchecked Sendable {
    /// The result of decoding.
    enum Outcome {
        /// Not decoded yet.
        case none
        /// Not a message.
        case noMessage(DecodeError)
        case noRequest(HeadError)
        case request(RequestHead, Result<(any RequestContent)?, DecodeError>)
    }

    let encoding: WireEncoding
    private let table: RequestTable
    /// Bytes that were charged to the user's account.
    let chargedByteCount: Int
    private(set) var outcome = Outcome.none
    /// First the received bytes, then the request as MessagePack; the outcome points into it.
    private var body: ByteBuffer

    /// The longest request that a loop decodes, in bytes. The worst ones of that length, JSON objects that consist of
    /// keys, take it some 2 ms.
    static let byteCountMin = 32 << 10

    init(_ frame: consuming ByteBuffer, _ encoding: WireEncoding, _ table: RequestTable) {
        self.table = table
        self.encoding = encoding
        chargedByteCount = frame.count + encoding.format.growth * frame.count
        body = frame
    }

    /// - Thread: a worker's.
    func decode() {
        do throws(DecodeError) {
            try encoding.format.translate(&body)
        } catch {
            outcome = .noMessage(error)
            return
        }
        do throws(HeadError) {
            let head = try RequestHead.decode(body.readable)
            outcome = .request(head, content(of: head))
        } catch {
            outcome = .noRequest(error)
        }
    }

    /// There is none of a type that is not known.
    private func content(of head: RequestHead) -> Result<(any RequestContent)?, DecodeError> {
        do throws(DecodeError) {
            return .success(try table.row(named: head.typeName)?.content.init(head.data))
        } catch {
            return .failure(error)
        }
    }

    /// The data of the request.
    /// - Throws: the defect of the request.
    func content() throws(DecodeError) -> (any RequestContent)? {
        guard case .request(_, let content) = outcome else { return nil }
        return try content.get()
    }

    /// Gives the body away; views into it stay valid as long as the new owner keeps it.
    func moveBody(to place: inout ByteBuffer) { swap(&body, &place) }
}

/// The progress of the long request of a connection. There is one at a time.
enum LongRequestStage {
    case none
    /// It is in the input.
    case found(LongFrame)
    /// A worker decodes it; the next requests wait.
    case running(LongRequest)
    /// It is being handled.
    case decoded(LongRequest)

    var isRunning: Bool {
        if case .running = self { true } else { false }
    }

    var isDecoded: Bool {
        if case .decoded = self { true } else { false }
    }
}

/// The position of a long request, counted from the start of the input.
struct LongFrame {
    var body: Range<Int>
    var end: Int
}
