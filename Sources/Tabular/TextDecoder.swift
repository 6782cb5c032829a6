// Bytes of a file to UTF-8, by the name of their encoding or by their byte order mark.

/// How a file's text is encoded.
public enum TextEncoding: String, CaseIterable, Sendable {
    case utf8 = "utf-8"
    case utf16LE = "utf-16le"
    case utf16BE = "utf-16be"
    case latin1 = "latin-1"

    /// By its name, with those that are common besides.
    public init?(name: String) {
        switch name.lowercased() {
        case "utf-8", "utf8": self = .utf8
        case "utf-16le": self = .utf16LE
        case "utf-16be": self = .utf16BE
        case "latin-1", "latin1", "iso-8859-1": self = .latin1
        default: return nil
        }
    }

    /// What the first bytes say, and how long the mark is; `nil` while there are too few bytes.
    static func detect(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> (encoding: TextEncoding?, markByteCount: Int)?
    {
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { return (.utf8, 3) }
        if bytes.starts(with: [0xff, 0xfe]) { return (.utf16LE, 2) }
        if bytes.starts(with: [0xfe, 0xff]) { return (.utf16BE, 2) }
        return bytes.count >= 3 || isLast ? (nil, 0) : nil
    }
}

/// Turns a file's bytes into UTF-8. What is UTF-8 already is not looked at.
public struct TextDecoder: Sendable {
    private var encoding: TextEncoding?
    /// The first bytes were looked at.
    public private(set) var isBegun = false
    /// A half of a UTF-16 unit, and half of a pair of these.
    private var halfUnit: UInt8?
    private var lead: UInt16?

    /// - Parameter encoding: `nil` for what the byte order mark says, or UTF-8.
    public init(_ encoding: TextEncoding?) { self.encoding = encoding }

    /// Whether bytes may go into a block as they are: then `begin` alone is needed.
    public var isPlain: Bool { isBegun && encoding == .utf8 }

    /// How much longer the text may be than its bytes.
    public var factor: Int { encoding == .utf8 ? 1 : 2 }

    /// Looks at the first bytes.
    /// - Returns: the length of the mark, to be left out; `nil` if there are too few bytes to tell.
    public mutating func begin(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> Int? {
        guard let found = TextEncoding.detect(bytes, isLast: isLast) else { return nil }
        isBegun = true
        if let wanted = encoding { return found.encoding == wanted ? found.markByteCount : 0 }
        encoding = found.encoding ?? .utf8
        return found.markByteCount
    }

    /// Appends text to a block, which has room for `factor` times the bytes and four more.
    /// - Returns: false if the bytes are not of the encoding.
    public mutating func decode(_ bytes: UnsafeRawBufferPointer, into block: RowBlock, isLast: Bool) -> Bool {
        let room = block.room.bindMemory(to: UInt8.self)
        var target = 0
        var isSound = true
        switch encoding ?? .utf8 {
        case .utf8:
            for byte in bytes {
                room[target] = byte
                target &+= 1
            }
        case .latin1:
            for byte in bytes {
                if byte < 0x80 {
                    room[target] = byte
                    target &+= 1
                } else {
                    room[target] = 0xc0 | byte >> 6
                    room[target &+ 1] = 0x80 | byte & 0x3f
                    target &+= 2
                }
            }
        case .utf16LE, .utf16BE:
            for byte in bytes {
                guard let half = halfUnit else {
                    halfUnit = byte
                    continue
                }
                halfUnit = nil
                let unit =
                    encoding == .utf16LE ? UInt16(byte) << 8 | UInt16(half) : UInt16(half) << 8 | UInt16(byte)
                isSound = append(unit, room, &target) && isSound
            }
            if isLast, halfUnit != nil || lead != nil { isSound = false }
        }
        block.didFill(target)
        return isSound
    }

    private mutating func append(_ unit: UInt16, _ room: UnsafeMutableBufferPointer<UInt8>, _ target: inout Int) -> Bool
    {
        var scalar = UInt32(unit)
        if let first = lead {
            lead = nil
            guard UTF16.isTrailSurrogate(unit) else { return false }
            scalar = 0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(unit) - 0xdc00)
        } else if UTF16.isLeadSurrogate(unit) {
            lead = unit
            return true
        }
        guard let valid = Unicode.Scalar(scalar), let units = UTF8.encode(valid) else { return false }
        for byte in units {
            room[target] = byte
            target &+= 1
        }
        return true
    }
}
