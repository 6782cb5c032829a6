// Replies that hardly differ from each other: what is the same is encoded once.

internal import ByteBuffers
internal import WireProtocol

/// An encoded reply around the places of its id, its timestamp and one number of its data.
///
/// - Thread: its loop's.
struct ReplyForm {
    private let bytes: [UInt8]
    // Where the three belong.
    private let idPlace: Int
    private let timestampPlace: Int
    private let numberPlace: Int

    /// Takes over a reply with the places of what is left out of it.
    init(_ reply: UnsafeRawBufferPointer, _ places: EnvelopePlaces, number: Range<Int>, _ framing: Framing) {
        precondition(places.id.upperBound <= places.timestamp.lowerBound, "the timestamp comes behind the id")
        precondition(places.timestamp.upperBound <= number.lowerBound && !number.isEmpty, "the data come last")
        let head = reply[..<places.id.lowerBound]
        let type = reply[places.id.upperBound..<places.timestamp.lowerBound]
        let data = reply[places.timestamp.upperBound..<number.lowerBound]
        let tail = reply[number.upperBound...].dropLast(framing.format.trailerByteCount)
        bytes = Array(head) + type + data + tail
        idPlace = head.count
        timestampPlace = idPlace + type.count
        numberPlace = timestampPlace + data.count
    }

    /// Appends the reply to a request.
    /// - Returns: where its id is in the output.
    func append(
        _ id: RequestID, _ timestamp: WireTimestamp, number: Int64, _ encoding: WireEncoding, _ framing: Framing,
        to output: inout ByteBuffer
    ) -> Range<Int> {
        let format = encoding.format
        return bytes.withUnsafeBytes { bytes in
            func copy(_ range: Range<Int>) { output.append(UnsafeRawBufferPointer(rebasing: bytes[range])) }
            let start = output.count
            copy(0..<idPlace)
            let idStart = output.count
            format.appendID(id, into: &output)
            let idEnd = output.count
            copy(idPlace..<timestampPlace)
            format.appendTimestamp(timestamp, into: &output)
            copy(timestampPlace..<numberPlace)
            format.appendInteger(number, style: .number, into: &output)
            copy(numberPlace..<bytes.count)
            framing.format.close(from: start, in: &output)
            return idStart..<idEnd
        }
    }
}

/// An encoded reply around the place of its id: for many that are written in one turn of the loop.
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

/// What is made once for each encoding and framing.
struct ByFormat<Value> {
    private var values: [Value]
    private let encodingNumberEnd: Int

    init(_ formats: WireFormats, _ first: Value) {
        encodingNumberEnd = formats.encodingNumberEnd
        let framingNumberEnd = 1 + (formats.framings.map { Int($0.number.rawValue) }.max() ?? 0)
        values = Array(repeating: first, count: encodingNumberEnd * framingNumberEnd)
    }

    subscript(encoding: WireEncoding, framing: Framing) -> Value {
        _read { yield values[place(encoding, framing)] }
        _modify { yield &values[place(encoding, framing)] }
    }

    private func place(_ encoding: WireEncoding, _ framing: Framing) -> Int {
        Int(framing.number.rawValue) * encodingNumberEnd + Int(encoding.number.rawValue)
    }
}
