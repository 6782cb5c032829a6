// A cursor over bytes of another owner; no read can leave them.

/// Reads integers and runs of bytes from borrowed memory, front to back.
///
/// Every length is compared by subtraction before it is used, so that no sum can overflow.
/// - Thread: any; the memory must outlive the reader.
public struct ByteReader {
    /// The bytes being read.
    public let bytes: UnsafeRawBufferPointer
    @usableFromInline var position: Int
    /// Offset of the next byte.
    @inlinable public var offset: Int { position }

    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        precondition(offset >= 0 && offset <= bytes.count)
        self.bytes = bytes
        position = offset
    }

    /// Bytes not read yet.
    @inlinable @inline(__always) public var remaining: Int { bytes.count &- offset }
    @inlinable public var isAtEnd: Bool { remaining == 0 }

    /// The next byte without moving, `nil` at the end.
    @inlinable
    @inline(__always)
    public func peek() -> UInt8? {
        remaining > 0 ? bytes[offset] : nil
    }

    /// The next byte, `nil` at the end.
    @inlinable
    @inline(__always)
    public mutating func readByte() -> UInt8? {
        guard remaining > 0 else { return nil }
        let byte = bytes[offset]
        advance(1)
        return byte
    }

    /// The next big-endian integer, `nil` when too few bytes remain (then nothing is consumed).
    @inlinable
    @inline(__always)
    public mutating func readBigEndian<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { return nil }
        let value = T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        advance(size)
        return value
    }

    /// The next `byteCount` bytes, `nil` when there are fewer (then nothing is consumed).
    @inlinable
    @inline(__always)
    public mutating func read(_ byteCount: Int) -> UnsafeRawBufferPointer? {
        guard byteCount >= 0, byteCount <= remaining, let base = bytes.baseAddress else {
            return byteCount == 0 ? UnsafeRawBufferPointer(start: nil, count: 0) : nil
        }
        let run = UnsafeRawBufferPointer(start: base + offset, count: byteCount)
        advance(byteCount)
        return run
    }

    @inlinable
    @inline(__always)
    mutating func advance(_ byteCount: Int) {
        position &+= byteCount
    }
}
