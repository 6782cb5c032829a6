// Hashes with which caches of statements find a text.

internal import DatabaseContract

/// Hashes of statements' texts.
enum TextHash {
    /// FNV-1a over eight bytes at a time: a filter before the comparison, not a defence.
    static func hash(_ sql: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(sql.count)
        var offset = 0
        while sql.count &- offset >= 8 {
            hash = (hash ^ sql.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x0000_0100_0000_01b3
            hash ^= hash >> 29
            offset &+= 8
        }
        while offset < sql.count {
            hash = (hash ^ UInt64(sql[offset])) &* 0x0000_0100_0000_01b3
            offset &+= 1
        }
        return hash
    }
}
