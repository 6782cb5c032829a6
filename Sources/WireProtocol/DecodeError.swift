// Why received bytes are not a message, or not the expected one.

/// A defect of a body that was received.
///
/// It owns no memory, so throwing it allocates nothing. Its texts are safe to send and to log: they never contain what
/// the peer sent.
public struct DecodeError: Error, Sendable {
    public let kind: Kind
    /// Where in the body, in bytes from its start. For fields of a JSON request it counts in the transcoded body.
    public let offset: Int
    /// The statement of a `batch`, from 0.
    public internal(set) var statementIndex: Int?

    @inlinable
    public init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }

    /// The kinds of defect.
    public enum Kind: Sendable {
        // The body is not a message.
        case empty, notAMap
        // Encoding, both.
        case truncated, trailingBytes, invalidUTF8, tooDeep, duplicateKey, tooManyKeys, tooLarge
        // MessagePack.
        case reservedByte, keyNotText
        // JSON.
        case unexpected(wanted: StaticString)
        case controlCharacter, badEscape, loneSurrogate, badNumber, integerTooLarge, realTooLarge
        case badIntegerTag, badRealTag, badBlobTag
        // The meaning of the message. The name of a nested field is dotted.
        case missing(field: StaticString)
        case wrongType(field: StaticString, wanted: StaticString)
        case outOfRange(field: StaticString, wanted: StaticString)
        case conflict(field: StaticString, other: StaticString)
        case tooMany(field: StaticString, limit: Int)
        case idTooLong
    }

    /// The code of the `error` reply.
    public var code: ErrorCode {
        switch kind {
        case .missing, .wrongType, .outOfRange, .conflict, .idTooLong: .badRequest
        case .tooMany: .limitExceeded
        case .empty, .notAMap, .truncated, .trailingBytes, .invalidUTF8, .tooDeep, .duplicateKey, .tooManyKeys,
            .tooLarge, .reservedByte, .keyNotText, .unexpected, .controlCharacter, .badEscape, .loneSurrogate,
            .badNumber, .integerTooLarge, .realTooLarge, .badIntegerTag, .badRealTag, .badBlobTag:
            .badFrame
        }
    }

    /// One sentence a person can act on.
    public var message: String {
        let defect = "\(defect)."
        return code != .badFrame ? defect : "Byte \(offset): \(defect)"
    }

    private var defect: String {
        switch kind {
        case .missing, .wrongType, .outOfRange, .conflict, .idTooLong, .tooMany: fieldDefect
        case .unexpected, .controlCharacter, .badEscape, .loneSurrogate, .badNumber, .integerTooLarge, .realTooLarge,
            .badIntegerTag, .badRealTag, .badBlobTag:
            jsonDefect
        case .empty: "the message is empty; send a map with id and type"
        case .notAMap: "a message must be a map with id, type and data"
        case .truncated: "the message ends before its last value does"
        case .trailingBytes: "something follows after the message's end"
        case .invalidUTF8: "text is not UTF-8; send other bytes as a blob"
        case .tooDeep: "arrays and maps nest deeper than \(WireLimits.nestingDepthMax) levels"
        case .duplicateKey: "a map has this key twice"
        case .tooManyKeys: "maps have more than \(WireLimits.openMapKeyCountMax) keys; use arrays"
        case .tooLarge: "the message is larger than any may be"
        case .reservedByte: "0xc1 never occurs in MessagePack"
        case .keyNotText: "a map's keys must be text (MessagePack str)"
        }
    }

    private var jsonDefect: String {
        switch kind {
        case .unexpected(let wanted): "\(wanted) was expected here"
        case .controlCharacter: "a control character in a string must be escaped, as \\n or \\u000a"
        case .badEscape: "after a backslash comes one of \" \\ / b f n r t, or u and four hexadecimal digits"
        case .loneSurrogate: "half of a surrogate pair stands alone; a character above U+FFFF needs both"
        case .badNumber: "this is not a JSON number"
        case .integerTooLarge: "an integer does not fit in 64 bits; send it as text"
        case .realTooLarge: "a number is too large for a double; send it as text, or {\"$real\":\"Infinity\"}"
        case .badIntegerTag: "$int takes a string of decimal digits that fit in 64 bits"
        case .badRealTag: "$real takes \"NaN\", \"Infinity\" or \"-Infinity\""
        case .badBlobTag: "$blob takes a string of padded Base64 (RFC 4648, section 4)"
        default: "the message is malformed"
        }
    }

    private var fieldDefect: String {
        switch kind {
        case .missing(let field): "The field \(field) is missing"
        case .wrongType(let field, let wanted): "The field \(field) must be \(wanted)"
        case .outOfRange(let field, let wanted): "The field \(field) must be \(wanted)"
        case .conflict(let field, let other): "Give either \(field) or \(other), not both"
        case .tooMany(let field, let limit): "The field \(field) has more than \(limit) elements"
        case .idTooLong: "The field id must be at most \(WireLimits.requestIDByteCountMax) bytes long"
        default: "The request is malformed"
        }
    }
}
