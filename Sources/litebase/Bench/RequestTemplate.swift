// A request that is encoded once and sent a million times.

internal import ByteBuffers
internal import WireProtocol

/// A frame with places for the id and the parameters, which are overwritten for each request.
struct RequestTemplate: Sendable {
    private struct Place: Sendable {
        /// Of the value's first byte, from the frame's start.
        var offset: Int
        var parameter: RandomParameter
    }

    private var bytes: [UInt8] = []
    private var places: [Place] = []

    var byteCount: Int { bytes.count }

    /// `{"id": …, "type": …}` up to the id's four bytes: length, map of 2 or 3, "id", uint32.
    private static let idOffset = 4 + 1 + 3 + 1

    /// A request without data.
    static let healthCheck: RequestTemplate = {
        var frame = ByteBuffer()
        beginFrame(type: HealthRequest.type, keyCount: 2, &frame)
        return RequestTemplate(finishing: &frame, places: [])
    }()

    /// A statement with parameters for its placeholders, by position; no database is the daemon's default.
    static func query(_ sql: String, _ parameters: [RandomParameter], database: String?) -> RequestTemplate {
        var frame = ByteBuffer()
        var places: [Place] = []
        beginFrame(type: QueryRequest.type, keyCount: 3, &frame)
        frame.appendMessagePackText("data")
        frame.append(0x80 | UInt8(1 + (database == nil ? 0 : 1) + (parameters.isEmpty ? 0 : 1)))
        frame.appendMessagePackText("sql")
        frame.appendMessagePackText(sql)
        if let database {
            frame.appendMessagePackText("database")
            frame.appendMessagePackText(database)
        }
        if !parameters.isEmpty {
            frame.appendMessagePackText("params")
            frame.appendMessagePackArrayHeader(parameters.count)
            for parameter in parameters {
                parameter.appendPlace(into: &frame)
                places.append(Place(offset: frame.count - parameter.valueByteCount, parameter: parameter))
            }
        }
        return RequestTemplate(finishing: &frame, places: places)
    }

    private static func beginFrame(type: RequestType, keyCount: UInt8, _ frame: inout ByteBuffer) {
        frame.appendBigEndian(UInt32(0))
        frame.append(0x80 | keyCount)
        frame.appendMessagePackText("id")
        frame.append(tag: 0xce, bigEndian: UInt32(0))
        frame.appendMessagePackText("type")
        frame.appendMessagePackText(type.name)
    }

    private init(finishing frame: inout ByteBuffer, places: [Place]) {
        frame.patchBigEndian(UInt32(frame.count - 4), at: 0)
        bytes = Array(frame.readable)
        self.places = places
    }

    /// Appends one request.
    @inline(__always)
    func append(id: UInt32, _ source: inout ParameterSource, into output: inout ByteBuffer) {
        let start = output.count
        output.append(bytes)
        output.patchBigEndian(id, at: start &+ Self.idOffset)
        if places.isEmpty { return }
        let target = output.mutableReadable
        for place in places { source.fill(target, at: start &+ place.offset, with: place.parameter) }
        source.advance()
    }
}
