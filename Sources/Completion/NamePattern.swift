// How a name is found by what was typed of it.

/// How well a name fits; the smaller the better.
public enum NameMatch: UInt8, Comparable, Sendable {
    /// The name begins with what was typed.
    case prefix
    /// What was typed are the first letters of its words: `oi` of `order_items` and `OrderItems`.
    case acronym
    /// The typed letters occur in it, in their order.
    case subsequence

    public static func < (left: NameMatch, right: NameMatch) -> Bool { left.rawValue < right.rawValue }
}

/// What was typed of a name; letters of ASCII match in both cases.
public struct NamePattern: Equatable, Sendable {
    /// In small letters.
    public let bytes: [UInt8]

    /// Longer ones match nothing better, and would make a comparison long.
    public static let byteCountMax = 128

    public init(_ text: some Sequence<UInt8>) { bytes = text.prefix(Self.byteCountMax).map(Self.lowered) }
    public init(_ text: String) { self.init(text.utf8) }

    public var isEmpty: Bool { bytes.isEmpty }

    /// `nil` when the name does not fit. A single letter fits only as a beginning: nearly every name contains it.
    public func match(_ name: String) -> NameMatch? {
        if isEmpty { return .prefix }
        var name = name
        return name.withUTF8 { match($0) }
    }

    public func match(_ name: UnsafeBufferPointer<UInt8>) -> NameMatch? {
        guard bytes.count <= name.count else { return nil }
        if isPrefix(of: name) { return .prefix }
        guard bytes.count > 1 else { return nil }
        if isAcronym(of: name) { return .acronym }
        return isSubsequence(of: name) ? .subsequence : nil
    }

    @inline(__always)
    static func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }

    private func isPrefix(of name: UnsafeBufferPointer<UInt8>) -> Bool {
        for (index, byte) in bytes.enumerated() where Self.lowered(name[index]) != byte { return false }
        return true
    }

    private func isAcronym(of name: UnsafeBufferPointer<UInt8>) -> Bool {
        var matched = 0
        var isAtWord = true
        var previous: UInt8 = 0
        for byte in name {
            let isCapital = (0x41...0x5a).contains(byte)
            let isLetter = isCapital || (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte >= 0x80
            if isLetter, isAtWord || isCapital && (0x61...0x7a).contains(previous) {
                guard Self.lowered(byte) == bytes[matched] else { return false }
                matched += 1
                if matched == bytes.count { return true }
            }
            isAtWord = !isLetter
            previous = byte
        }
        return false
    }

    private func isSubsequence(of name: UnsafeBufferPointer<UInt8>) -> Bool {
        var matched = 0
        for byte in name where Self.lowered(byte) == bytes[matched] {
            matched += 1
            if matched == bytes.count { return true }
        }
        return false
    }
}
