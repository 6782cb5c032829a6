// Replies to the daemon's own questions, as a whole. What a client's commands return is never made a tree: see RedisRows.

internal import CHiredis

/// A reply to one of the daemon's own questions.
enum RedisReply: Equatable, Sendable {
    case nothing
    /// A string or a status.
    case word(String)
    case failure(String)
    case number(Int64)
    case array([RedisReply])

    var isNull: Bool { self == .nothing }
    /// Of a string or status.
    var text: String? { if case .word(let text) = self { text } else { nil } }
    var error: String? { if case .failure(let text) = self { text } else { nil } }
    var integer: Int64? { if case .number(let number) = self { number } else { nil } }
    var elements: [RedisReply] { if case .array(let elements) = self { elements } else { [] } }
}

/// Puts a reply together from its elements, as the reader of hiredis hands them on.
///
/// It reserves nothing for the elements that an array claims to have: what a server announces costs it nothing.
struct RedisReplyBuilder {
    private var arrays: [(missingCount: Int, elements: [RedisReply])] = []
    private var elementCount = 0
    /// The reply, once it is whole.
    private(set) var reply: RedisReply?

    /// COMMAND of Redis 7, the longest reply that the daemon asks for, has about 20,000.
    static let elementCountMax = 1 << 18

    /// - Returns: false if the reply has more elements than are taken.
    mutating func take(_ element: chiredis_element) -> Bool {
        elementCount += 1
        guard elementCount <= Self.elementCountMax else { return false }
        switch element.type {
        case CHIREDIS_NIL: add(.nothing)
        case CHIREDIS_INTEGER: add(.number(element.integer))
        case CHIREDIS_ERROR: add(.failure(Self.text(element)))
        case CHIREDIS_ARRAY where element.count > 0: arrays.append((Int(element.count), []))
        case CHIREDIS_ARRAY: add(.array([]))
        default: add(.word(Self.text(element)))
        }
        return true
    }

    private mutating func add(_ value: RedisReply) {
        var value = value
        while var array = arrays.popLast() {
            array.elements.append(value)
            array.missingCount -= 1
            guard array.missingCount == 0 else { return arrays.append(array) }
            value = .array(array.elements)
        }
        reply = value
    }

    private static func text(_ element: chiredis_element) -> String {
        String(decoding: UnsafeRawBufferPointer(start: element.bytes, count: element.length), as: UTF8.self)
    }
}
