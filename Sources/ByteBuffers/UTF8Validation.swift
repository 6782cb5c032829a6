// Whether bytes are UTF-8, as RFC 3629 has it.

/// Whether the bytes are well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
/// - Cost: O(n), does not allocate; ASCII goes 32 bytes at a time.
public func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    firstInvalidUTF8Offset(in: bytes) == nil
}

/// Where the first ill-formed sequence starts, `nil` when all is well-formed.
/// - Source: RFC 3629, section 4; The Unicode Standard, table 3-7
public func firstInvalidUTF8Offset(in bytes: UnsafeRawBufferPointer) -> Int? {
    var offset = 0
    while true {
        offset = skipASCII(bytes, from: offset)
        if offset == bytes.count { return nil }
        let length = sequenceLength(bytes, at: offset)
        if length == 0 { return offset }
        offset &+= length
    }
}

/// The offset of the first byte that is not ASCII, or the end.
@inline(__always)
private func skipASCII(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    var offset = start
    let count = bytes.count
    while count &- offset >= 32 {
        let first = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
        let any = (first.x | first.y) | (first.z | first.w)
        if any & everyHighBit != 0 { break }
        offset &+= 32
    }
    while count &- offset >= 8 {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        let marks = word & everyHighBit
        if marks != 0 { return offset &+ marks.trailingZeroBitCount &>> 3 }
        offset &+= 8
    }
    while offset < count, bytes[offset] < 0x80 { offset &+= 1 }
    return offset
}

/// The length of the well-formed sequence of two to four bytes at `offset`, 0 when it is ill-formed.
@inline(__always)
private func sequenceLength(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
    let remaining = bytes.count &- offset
    let lead = bytes[offset]
    guard remaining >= 2 else { return 0 }
    let second = bytes[offset &+ 1]
    switch lead {
    case 0xc2...0xdf:
        return isContinuation(second) ? 2 : 0
    case 0xe0...0xef:
        guard remaining >= 3, isContinuation(bytes[offset &+ 2]) else { return 0 }
        let low: UInt8 = lead == 0xe0 ? 0xa0 : 0x80
        let high: UInt8 = lead == 0xed ? 0x9f : 0xbf
        return second >= low && second <= high ? 3 : 0
    case 0xf0...0xf4:
        guard remaining >= 4, isContinuation(bytes[offset &+ 2]), isContinuation(bytes[offset &+ 3]) else { return 0 }
        let low: UInt8 = lead == 0xf0 ? 0x90 : 0x80
        let high: UInt8 = lead == 0xf4 ? 0x8f : 0xbf
        return second >= low && second <= high ? 4 : 0
    default:
        return 0
    }
}

@inline(__always)
private func isContinuation(_ byte: UInt8) -> Bool {
    byte & 0xc0 == 0x80
}

private var everyHighBit: UInt64 { 0x8080_8080_8080_8080 }
