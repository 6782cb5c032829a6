// Replies that differ by their id only.

internal import ByteBuffers
internal import WireProtocol

/// An encoded reply around the place of its id.
struct ReplyTemplate {
    /// The turn of the loop in which it was made; its content is as old as that.
    private(set) var turn = UInt64.max
    private var head: [UInt8] = []
    private var tail: [UInt8] = []

    /// Takes over a reply, whose id is at `idRange`.
    mutating func renew(_ reply: UnsafeRawBufferPointer, idRange: Range<Int>, _ framing: Framing, turn: UInt64) {
        head.removeAll(keepingCapacity: true)
        head.append(contentsOf: reply[..<idRange.lowerBound])
        tail.removeAll(keepingCapacity: true)
        tail.append(contentsOf: reply[idRange.upperBound...].dropLast(framing.format.trailerByteCount))
        self.turn = turn
    }

    /// Appends the reply to a request.
    func append(_ id: RequestID, _ encoding: WireEncoding, _ framing: Framing, to output: inout ByteBuffer) {
        let start = output.count
        output.append(head)
        encoding.format.appendID(id, into: &output)
        output.append(tail)
        framing.format.close(from: start, in: &output)
    }
}

/// A reply in each form that it may have.
struct ReplyTemplates {
    private var templates: [ReplyTemplate]
    private let encodingNumberEnd: Int

    init(_ formats: WireFormats) {
        encodingNumberEnd = formats.encodingNumberEnd
        let framingNumberEnd = 1 + (formats.framings.map { Int($0.number.rawValue) }.max() ?? 0)
        templates = Array(repeating: ReplyTemplate(), count: encodingNumberEnd * framingNumberEnd)
    }

    subscript(encoding: WireEncoding, framing: Framing) -> ReplyTemplate {
        get { templates[place(encoding, framing)] }
        _modify { yield &templates[place(encoding, framing)] }
    }

    private func place(_ encoding: WireEncoding, _ framing: Framing) -> Int {
        Int(framing.number.rawValue) * encodingNumberEnd + Int(encoding.number.rawValue)
    }
}
