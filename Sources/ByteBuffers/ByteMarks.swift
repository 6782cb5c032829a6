// Whether some bytes are among others: what decides how a text is written.

/// What a run of bytes has in it.
public struct ByteMarks: Equatable, Sendable {
    /// One of the bytes that were looked for.
    public let hasMarked: Bool
    /// No byte above 0x7f.
    public let isASCII: Bool

    /// Looks for four bytes at once.
    /// - Cost: O(n), eight bytes at a time.
    public init(_ bytes: UnsafeRawBufferPointer, of first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let patterns = (ones &* UInt64(first), ones &* UInt64(second), ones &* UInt64(third), ones &* UInt64(fourth))
        var (found, all): (UInt64, UInt64) = (0, 0)
        @inline(__always)
        func look(_ word: UInt64) {
            // A zero byte borrows from its highest bit (Hacker's Delight, 6-1).
            @inline(__always)
            func zeros(_ difference: UInt64) -> UInt64 { (difference &- ones) & ~difference }
            found |= zeros(word ^ patterns.0) | zeros(word ^ patterns.1)
            found |= zeros(word ^ patterns.2) | zeros(word ^ patterns.3)
            all |= word
        }
        if bytes.count >= 8 {
            var offset = 0
            while bytes.count &- offset > 8 {
                look(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset &+= 8
            }
            // The last ones may have been looked at already.
            look(bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self))
        } else if let last = bytes.last {
            // What is missing is as the last one.
            var word = ones &* UInt64(last)
            for byte in bytes { word = word << 8 | UInt64(byte) }
            look(word)
        }
        hasMarked = found & (ones << 7) != 0
        isASCII = all & (ones << 7) == 0
    }
}
