// The one growable byte buffer of the project, for data from and to sockets.
//
// It knows no meaning of the bytes. Callers keep the limits; the buffer never overruns.

internal import Glibc

/// A growable run of bytes with a read and a write end.
///
/// Bytes are appended at the write end and consumed at the read end. Storage is raw memory, so that appending costs no
/// reference counting and no uniqueness check; it is given back by `releaseStorage()` when a connection goes idle.
///
/// - Layout: `0 ..< readIndex` is consumed, `readIndex ..< writeIndex` is readable, `writeIndex ..< capacity` is free.
/// - Thread: whoever owns it; one at a time.
public struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutableRawPointer?
    /// Bytes of storage, 0 before the first append.
    public internal(set) var capacity: Int
    @usableFromInline var readIndex: Int
    @usableFromInline var writeIndex: Int

    /// Makes an empty buffer without storage.
    @inlinable
    public init() {
        self.init(base: nil)
    }

    @usableFromInline
    init(base: UnsafeMutableRawPointer?) {
        self.base = base
        capacity = 0
        readIndex = 0
        writeIndex = 0
    }

    deinit {
        base?.deallocate()
    }

    /// Bytes that can be read, in bytes.
    @inlinable public var count: Int { writeIndex &- readIndex }
    @inlinable public var isEmpty: Bool { writeIndex == readIndex }

    /// The readable bytes. Valid until the next mutation.
    @inlinable public var readable: UnsafeRawBufferPointer {
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + readIndex, count: count)
    }

    /// The readable bytes for patching in place. Valid until the next mutation.
    @inlinable public var mutableReadable: UnsafeMutableRawBufferPointer {
        guard let base else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return UnsafeMutableRawBufferPointer(start: base + readIndex, count: count)
    }

    /// Drops `byteCount` bytes from the read end.
    @inlinable
    public mutating func consume(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "consumed more than there is")
        readIndex &+= byteCount
        if readIndex == writeIndex {
            readIndex = 0
            writeIndex = 0
        }
    }

    /// Drops everything after the first `byteCount` readable bytes.
    @inlinable
    public mutating func truncate(to byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "truncated beyond the end")
        writeIndex = readIndex &+ byteCount
    }

    /// Drops all bytes and keeps the storage.
    @inlinable
    public mutating func removeAll() {
        readIndex = 0
        writeIndex = 0
    }

    /// Drops all bytes and frees the storage.
    public mutating func releaseStorage() {
        base?.deallocate()
        base = nil
        capacity = 0
        readIndex = 0
        writeIndex = 0
    }

    /// Makes room for `byteCount` more bytes.
    /// - Cost: amortised O(1) for each appended byte; may move the bytes.
    @inlinable
    public mutating func reserve(_ byteCount: Int) {
        if capacity &- writeIndex < byteCount { grow(by: byteCount) }
    }

    @usableFromInline
    mutating func grow(by byteCount: Int) {
        precondition(byteCount >= 0)
        let used = count
        // Moving to the front is enough when at least half of the storage is consumed.
        if let base, capacity - used >= byteCount, readIndex >= capacity / 2 {
            base.copyMemory(from: base + readIndex, byteCount: used)
        } else {
            let wanted = max(used + byteCount, capacity * 2, 512)
            base = moved(to: wanted)
            capacity = wanted
        }
        readIndex = 0
        writeIndex = used
    }

    /// The readable bytes at the start of new storage of that size; the old storage is freed.
    private func moved(to byteCount: Int) -> UnsafeMutableRawPointer {
        // Large ones are moved by the system, page by page, without being copied (mremap(2)): copying 8 MB takes milliseconds.
        if readIndex == 0, capacity >= Self.movedByteCountMin, let moved = realloc(base, byteCount) { return moved }
        let grown = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
        if let base {
            grown.copyMemory(from: base + readIndex, byteCount: count)
            base.deallocate()
        }
        return grown
    }

    /// Size from which the C library maps memory separately (mallopt(3), M_MMAP_THRESHOLD).
    private static var movedByteCountMin: Int { 128 << 10 }

    /// The free storage after the write end, at least `byteCount` bytes; follow with `commit(_:)`.
    @inlinable
    public mutating func writable(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        reserve(byteCount)
        guard let base else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return UnsafeMutableRawBufferPointer(start: base + writeIndex, count: capacity &- writeIndex)
    }

    /// Makes `byteCount` bytes that were written into `writable(_:)` readable.
    @inlinable
    public mutating func commit(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= capacity &- writeIndex, "committed more than there was room for")
        writeIndex &+= byteCount
    }
}

extension ByteBuffer {
    @inlinable
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        base.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: writeIndex, as: UInt8.self)
        writeIndex &+= 1
    }

    @inlinable
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (base.unsafelyUnwrapped + writeIndex).copyMemory(from: source, byteCount: bytes.count)
        writeIndex &+= bytes.count
    }

    /// Appends a tag byte and its big-endian value.
    @inlinable
    @inline(__always)
    public mutating func append(tag: UInt8, short bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count &+ 1)
        let target = base.unsafelyUnwrapped + writeIndex
        target.storeBytes(of: tag, as: UInt8.self)
        writeIndex &+= bytes.count &+ 1
        if let source = bytes.baseAddress { Self.copyShort(from: source, to: target + 1, bytes.count) }
    }

    /// Copies by two moves that may overlap: names are too short to be worth a call of memcpy.
    @inlinable
    @inline(__always)
    static func copyShort(from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ byteCount: Int) {
        func copyEnds<Word: FixedWidthInteger>(_ word: Word.Type) {
            let end = byteCount &- MemoryLayout<Word>.size
            let last = source.loadUnaligned(fromByteOffset: end, as: Word.self)
            target.storeBytes(of: source.loadUnaligned(as: Word.self), as: Word.self)
            target.storeBytes(of: last, toByteOffset: end, as: Word.self)
        }
        switch byteCount {
        case 8...16: copyEnds(UInt64.self)
        case 4..<8: copyEnds(UInt32.self)
        case 17...32: copyEnds(UInt128.self)
        case 2...3: copyEnds(UInt16.self)
        default: target.copyMemory(from: source, byteCount: byteCount)
        }
    }

    /// Appends a tag byte and a text of at most 32 bytes, if it is ASCII.
    ///
    /// Most texts of rows are: so they are looked at and copied at once.
    /// - Returns: false if it is not; then nothing was appended.
    @inlinable
    @inline(__always)
    public mutating func append(tag: UInt8, shortASCII bytes: UnsafeRawBufferPointer) -> Bool {
        reserve(bytes.count &+ 1)
        let target = base.unsafelyUnwrapped + writeIndex
        guard let source = bytes.baseAddress, Self.copyShortASCII(from: source, to: target + 1, bytes.count) else {
            return false
        }
        target.storeBytes(of: tag, as: UInt8.self)
        writeIndex &+= bytes.count &+ 1
        return true
    }

    /// Copies by two moves that may overlap, as `copyShort` does.
    /// - Returns: false if not all bytes are ASCII, or if there are none, or more than 32.
    @inlinable
    @inline(__always)
    static func copyShortASCII(
        from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ byteCount: Int
    ) -> Bool {
        func copyEnds<Word: FixedWidthInteger>(_ word: Word.Type, _ highBits: Word) -> Bool {
            let end = byteCount &- MemoryLayout<Word>.size
            let first = source.loadUnaligned(as: Word.self)
            let last = source.loadUnaligned(fromByteOffset: end, as: Word.self)
            target.storeBytes(of: first, as: Word.self)
            target.storeBytes(of: last, toByteOffset: end, as: Word.self)
            return (first | last) & highBits == 0
        }
        switch byteCount {
        case 8...16: return copyEnds(UInt64.self, 0x8080_8080_8080_8080)
        case 4..<8: return copyEnds(UInt32.self, 0x8080_8080)
        case 17...32: return copyEnds(UInt128.self, 0x8080_8080_8080_8080_8080_8080_8080_8080)
        case 2...3: return copyEnds(UInt16.self, 0x8080)
        case 1: return copyEnds(UInt8.self, 0x80)
        default: return false
        }
    }

    @inlinable
    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inlinable
    public mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends text as UTF-8. A literal goes to the overload for `StaticString`, which needs no reference counting.
    @_disfavoredOverload
    @inlinable
    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends two hexadecimal digits for each byte, in small letters.
    public mutating func appendHex(_ bytes: UnsafeRawBufferPointer) {
        func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }
        let target = writable(2 * bytes.count)
        for (index, byte) in bytes.enumerated() {
            target[2 * index] = digit(byte >> 4)
            target[2 * index + 1] = digit(byte & 15)
        }
        commit(2 * bytes.count)
    }

    /// Appends an integer, most significant byte first.
    @inlinable
    public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
        let size = MemoryLayout<T>.size
        reserve(size)
        base.unsafelyUnwrapped.storeBytes(of: value.bigEndian, toByteOffset: writeIndex, as: T.self)
        writeIndex &+= size
    }

    /// Appends an integer, least significant byte first.
    @inlinable
    @inline(__always)
    public mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
        let size = MemoryLayout<T>.size
        reserve(size)
        base.unsafelyUnwrapped.storeBytes(of: value.littleEndian, toByteOffset: writeIndex, as: T.self)
        writeIndex &+= size
    }

    /// Appends a tag byte and an integer, most significant byte first.
    @inlinable
    public mutating func append<T: FixedWidthInteger>(tag: UInt8, bigEndian value: T) {
        let size = MemoryLayout<T>.size
        reserve(size &+ 1)
        let target = base.unsafelyUnwrapped + writeIndex
        target.storeBytes(of: tag, as: UInt8.self)
        target.storeBytes(of: value.bigEndian, toByteOffset: 1, as: T.self)
        writeIndex &+= size &+ 1
    }

    /// Overwrites an integer that was appended earlier, most significant byte first; `offset` counts from the first
    /// readable byte.
    @inlinable
    public mutating func patchBigEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset <= count &- MemoryLayout<T>.size, "patched outside of the buffer")
        base.unsafelyUnwrapped.storeBytes(of: value.bigEndian, toByteOffset: readIndex &+ offset, as: T.self)
    }
}
