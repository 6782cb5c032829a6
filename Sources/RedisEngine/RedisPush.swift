// What a server says to a connection that subscribes: messages, and answers to what it was told.
//
// Source: https://redis.io/docs/latest/develop/pubsub/, "Format of pushed messages" (RESP2)

internal import CHiredis
internal import DatabaseContract

/// What is arriving, element by element.
struct RedisPush {
    enum Content {
        case message(ChannelMessage)
        /// To a command, in the order of the commands; with the server's error.
        case answer(DriverError?)
        /// Nothing that the server should say.
        case nonsense
    }

    private var isArray = false
    private var isTooDeep = false
    private var parts: [[UInt8]] = []
    private var error: DriverError?

    mutating func take(_ element: chiredis_element) {
        if element.depth == 0 {
            self = RedisPush()
            isArray = element.type == CHIREDIS_ARRAY
            if element.type == CHIREDIS_ERROR { error = RedisErrors.error(element) }
            if isArray { return }
        }
        guard element.depth <= 1, element.type != CHIREDIS_ARRAY, parts.count < Self.partCountMax else {
            return isTooDeep = true
        }
        switch element.type {
        case CHIREDIS_STRING, CHIREDIS_STATUS:
            parts.append(Array(UnsafeRawBufferPointer(start: element.bytes, count: element.length)))
        default: parts.append([])
        }
    }

    private static let partCountMax = 4

    /// It is complete.
    var content: Content {
        if let error { return .answer(error) }
        if isTooDeep { return .nonsense }
        guard isArray else { return .answer(nil) }
        switch parts.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "message" where parts.count == 3:
            return .message(ChannelMessage(ChannelName(parts[1]), channel: parts[1], payload: parts[2]))
        case "pmessage" where parts.count == 4:
            return .message(
                ChannelMessage(ChannelName(parts[1], isPattern: true), channel: parts[2], payload: parts[3]))
        case "subscribe", "psubscribe", "unsubscribe", "punsubscribe", "pong": return .answer(nil)
        default: return .nonsense
        }
    }
}
