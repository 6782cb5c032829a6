// Tab-separated text as PostgreSQL's COPY has it: a line is a record, a backslash begins what cannot stand as it is, `\N` is null.

internal import ByteBuffers
internal import Glibc

private let backslash = UInt8(ascii: "\\")

extension RowReader {
    mutating func readTSV(_ block: RowBlock, isLast: Bool) {
        let count = columnCount
        readRecords(block) { reader, start in
            reader.readTSVRecord(block, at: start, isLast: isLast, columnCount: count)
        }
    }

    mutating func readTSVRecord(_ block: RowBlock, at start: Int, isLast: Bool, columnCount: Int?) -> Record {
        let (count, base) = (block.count, block.start)
        guard start < count else { return isLast ? .end : .incomplete }
        guard let (lineEnd, next) = Self.lineEnd(base, start, count, isLast: isLast) else { return .incomplete }
        line += 1
        let delimiter = options.delimiter
        let firstCell = block.cells.count
        // Every program that writes this format has something in a line of several columns.
        if lineEnd == start, let columnCount, columnCount != 1 { return .record(next) }
        var (index, allBits): (Int, UInt8) = (start, 0)
        while true {
            let field = index
            var hasEscapes = false
            while index < lineEnd, base[index] != delimiter {
                allBits |= base[index]
                if base[index] == backslash {
                    hasEscapes = true
                    // What follows is no delimiter.
                    index &+= index + 1 < lineEnd ? 2 : 1
                } else {
                    index &+= 1
                }
            }
            if block.cells.count - firstCell == Self.fieldCountMax {
                return .malformed("It has more fields than a table may have columns.", next)
            }
            block.cells.append(self.field(base, field, index, hasEscapes: hasEscapes))
            guard index < lineEnd else { break }
            index &+= 1
        }
        let fieldCount = block.cells.count - firstCell
        if let columnCount, fieldCount != columnCount {
            return .malformed(Self.wrongCount(fieldCount, columnCount), next)
        }
        for index in firstCell..<block.cells.count
        where block.cells[index].kind == .text && !isValidUTF8(block.bytes(of: block.cells[index])) {
            return .malformed(Self.notUTF8, next)
        }
        return .record(next)
    }

    /// Where a line ends, without its CR, and where the next one begins; `nil` if its end is not there yet.
    static func lineEnd(
        _ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ count: Int, isLast: Bool
    ) -> (end: Int, next: Int)? {
        let found = memchr(base + start, 10, count - start)
        guard let found else { return isLast ? (count, count) : nil }
        let end = found.assumingMemoryBound(to: UInt8.self) - UnsafeMutablePointer(base)
        let hasReturn = end > start && base[end - 1] == UInt8(ascii: "\r")
        return (hasReturn ? end - 1 : end, end + 1)
    }

    private func field(
        _ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ end: Int, hasEscapes: Bool
    ) -> Cell {
        let byteCount = end - start
        if let null = options.null {
            if UnsafeBufferPointer(start: base + start, count: byteCount).elementsEqual(null) { return Cell(.null) }
        } else if byteCount == 2, base[start] == backslash, base[start + 1] == UInt8(ascii: "N") {
            return Cell(.null)
        }
        guard hasEscapes, !isCounting else { return Cell(.text, bits: UInt64(start), byteCount: byteCount) }
        return Cell(.text, bits: UInt64(start), byteCount: Self.unescape(base + start, byteCount))
    }

    /// Replaces what backslashes begin.
    /// - Returns: bytes that are left.
    private static func unescape(_ base: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        var (source, target) = (0, 0)
        while source < count {
            var byte = base[source]
            source &+= 1
            if byte == backslash, source < count {
                byte = base[source]
                source &+= 1
                switch byte {
                case UInt8(ascii: "b"): byte = 8
                case UInt8(ascii: "t"): byte = 9
                case UInt8(ascii: "n"): byte = 10
                case UInt8(ascii: "v"): byte = 11
                case UInt8(ascii: "f"): byte = 12
                case UInt8(ascii: "r"): byte = 13
                default: break
                }
            }
            base[target] = byte
            target &+= 1
        }
        return target
    }
}
