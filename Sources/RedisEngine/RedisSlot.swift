// The slot of a key in a Redis Cluster.
//
// Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Hash tags" and appendix A

/// Slots, of which each server of a cluster has some.
enum RedisSlot {
    static let count = 16_384

    /// The slot of a key.
    static func of(_ key: UnsafeRawBufferPointer) -> UInt16 { checksum(hashed(key)) & UInt16(count - 1) }

    /// What of a key counts: what stands between its first `{` and the first `}` behind that, unless that is nothing.
    static func hashed(_ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard let begin = key.firstIndex(of: UInt8(ascii: "{")),
            let end = key[(begin + 1)...].firstIndex(of: UInt8(ascii: "}")), end > begin + 1
        else { return key }
        return UnsafeRawBufferPointer(rebasing: key[(begin + 1)..<end])
    }

    /// CRC16-CCITT as XMODEM has it: polynomial 1021, from 0, nothing reflected.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        var sum: UInt16 = 0
        for byte in bytes { sum = sum << 8 ^ table[Int(UInt8(truncatingIfNeeded: sum >> 8) ^ byte)] }
        return sum
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var value = UInt16(index) << 8
        for _ in 0..<8 { value = value & 0x8000 != 0 ? value << 1 ^ 0x1021 : value << 1 }
        return value
    }
}
