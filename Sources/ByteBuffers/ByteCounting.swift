// Counting bytes of long texts, which may have many megabytes.

extension UnsafeRawBufferPointer {
    /// Bytes that are counted at a time: no more than fit into a counter of eight bits. So the compiler makes vector instructions
    /// of the loop that need no wider counters, some ten bytes for each nanosecond.
    private static var stride: Int { 240 }

    @inline(__always)
    private func count(from start: Int, where isWanted: (UInt8) -> Bool) -> Int {
        // The caller has checked that there are that many.
        guard let bytes = baseAddress?.advanced(by: start).assumingMemoryBound(to: UInt8.self) else { return 0 }
        var count: UInt8 = 0
        for index in 0..<Self.stride { count &+= isWanted(bytes[index]) ? 1 : 0 }
        return Int(count)
    }

    @inline(__always)
    private func countAll(where isWanted: (UInt8) -> Bool) -> Int {
        var (index, total) = (0, 0)
        while count - index >= Self.stride {
            total += count(from: index, where: isWanted)
            index += Self.stride
        }
        while index < count {
            total += isWanted(self[index]) ? 1 : 0
            index += 1
        }
        return total
    }

    // `number` is the index of the wanted one, from 0.
    @inline(__always)
    private func offset(ofWanted number: Int, where isWanted: (UInt8) -> Bool) -> Int? {
        var (index, left) = (0, number)
        while count - index >= Self.stride {
            let found = count(from: index, where: isWanted)
            if found > left { break }
            left -= found
            index += Self.stride
        }
        while index < count {
            if isWanted(self[index]) {
                if left == 0 { return index }
                left -= 1
            }
            index += 1
        }
        return nil
    }

    /// How often the byte is there.
    public func count(of byte: UInt8) -> Int { countAll { $0 == byte } }

    /// Characters of a text in UTF-8 (Unicode scalars).
    public var characterCount: Int { countAll { $0 & 0xc0 != 0x80 } }

    /// Where the byte is for the time `number`, from 0; `nil` when it is not there as often.
    public func offset(of byte: UInt8, number: Int) -> Int? { offset(ofWanted: number) { $0 == byte } }

    /// Where the character `number` begins, from 0; `nil` when there are fewer.
    public func offset(ofCharacter number: Int) -> Int? { offset(ofWanted: number) { $0 & 0xc0 != 0x80 } }
}
