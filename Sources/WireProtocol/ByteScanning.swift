// Comparing and searching runs of bytes, eight at a time. No libc here: the module is pure.

/// A word with every byte 0x01; times `n` it has every byte `n`.
@inlinable var everyByte: UInt64 { 0x0101_0101_0101_0101 }
/// The highest bit of every byte of a word.
@inlinable var everyHighBit: UInt64 { 0x8080_8080_8080_8080 }

/// Marks the zero bytes of a word by their high bit. Bytes above the lowest marked one may be marked wrongly.
/// - Source: https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
@inlinable
@inline(__always)
func markZeroBytes(_ word: UInt64) -> UInt64 {
    (word &- everyByte) & ~word & everyHighBit
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are exactly the text's.
    @inlinable
    @inline(__always)
    public func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let expected = text.utf8Start
        for index in 0..<count where self[index] != expected[index] { return false }
        return true
    }

    /// Whether the bytes are the same as the other's.
    func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        count == other.count && firstDifference(from: other) == count
    }

    /// Whether the bytes sort before the other's, which must be as many.
    func precedes(_ other: UnsafeRawBufferPointer) -> Bool {
        let offset = firstDifference(from: other)
        return offset < count && self[offset] < other[offset]
    }

    /// The offset of the first byte that differs from the other's, which must be as many; `count` when none does.
    private func firstDifference(from other: UnsafeRawBufferPointer) -> Int {
        var index = 0
        while count &- index >= 8 {
            let left = UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let right = UInt64(littleEndian: other.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            if left != right { return index &+ (left ^ right).trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < count, self[index] == other[index] { index &+= 1 }
        return index
    }

    /// The offset of the first such byte at or after `start`, `nil` when there is none.
    func firstOffset(of byte: UInt8, from start: Int) -> Int? {
        var index = start
        let pattern = everyByte &* UInt64(byte)
        while count &- index >= 8 {
            let word = UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let marks = markZeroBytes(word ^ pattern)
            if marks != 0 { return index &+ marks.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < count {
            if self[index] == byte { return index }
            index &+= 1
        }
        return nil
    }

    /// The bytes at these offsets, which must be in bounds.
    @inlinable
    func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range])
    }
}
