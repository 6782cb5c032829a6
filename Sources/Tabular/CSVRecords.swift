// CSV: RFC 4180, and what programs make of it.
//
// A field that begins with a quote ends at the next single one, and a doubled quote is one of its own; quotes elsewhere are
// ordinary characters. A line ends in LF or CR LF. Null is an empty field without quotes, a blob a field `\x…` without quotes.

internal import ByteBuffers

private let quote = UInt8(ascii: "\"")
private let lineFeed = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")

extension RowReader {
    mutating func readCSV(_ block: RowBlock, isLast: Bool) {
        let count = columnCount
        readRecords(block) { reader, start in
            reader.readCSVRecord(block, at: start, isLast: isLast, columnCount: count)
        }
    }

    /// Reads one record. Nothing of the block's bytes is changed before all of it is there.
    /// - Parameters:
    ///   - block: has the bytes, and takes the cells.
    ///   - start: where the record begins.
    ///   - isLast: no bytes follow.
    ///   - columnCount: `nil` for as many as there are.
    /// - Returns: what was found.
    mutating func readCSVRecord(_ block: RowBlock, at start: Int, isLast: Bool, columnCount: Int?) -> Record {
        let (count, base) = (block.count, block.start)
        guard start < count else { return isLast ? .end : .incomplete }
        let firstCell = block.cells.count
        let delimiter = options.delimiter
        var droppedCount = 0
        func keep(_ cell: Cell) {
            if block.cells.count - firstCell < Self.fieldCountMax {
                block.cells.append(cell)
            } else {
                droppedCount += 1
            }
        }
        var index = start
        var problem: String?
        var (allBits, lineCount): (UInt8, Int64) = (0, 0)
        var hasDoubledQuotes = false
        record: while true {
            var byte: UInt8 = 0
            if index < count, base[index] == quote {
                // In quotes.
                let content = index + 1
                index = content
                var isDoubled = false
                while true {
                    while index < count, base[index] != quote {
                        byte = base[index]
                        allBits |= byte
                        if byte == lineFeed { lineCount += 1 }
                        index &+= 1
                    }
                    // The quote may be the first half of two.
                    guard index + 1 < count || (isLast && index < count) else {
                        if !isLast { return dropCells(block, firstCell) }
                        line += lineCount
                        return .malformed("A quote in it is never closed.", count)
                    }
                    guard index + 1 < count, base[index + 1] == quote else { break }
                    isDoubled = true
                    index &+= 2
                }
                // A cell of the kind `bool` is one whose quotes are to be halved; none of these leaves this function.
                keep(Cell(isDoubled ? .bool : .text, bits: UInt64(content), byteCount: index - content))
                hasDoubledQuotes = hasDoubledQuotes || isDoubled
                index &+= 1
                if index < count, base[index] == carriageReturn {
                    guard index + 1 < count || isLast else { return dropCells(block, firstCell) }
                    if index + 1 == count || base[index + 1] == lineFeed { index &+= 1 }
                }
                if index < count, base[index] != delimiter, base[index] != lineFeed {
                    problem = "There is something behind a closing quote."
                    while index < count, base[index] != delimiter, base[index] != lineFeed { index &+= 1 }
                }
            } else {
                let field = index
                while index < count {
                    byte = base[index]
                    if byte == delimiter || byte == lineFeed { break }
                    allBits |= byte
                    index &+= 1
                }
                var end = index
                if index < count ? byte == lineFeed : isLast, end > field, base[end - 1] == carriageReturn { end &-= 1 }
                if index < count || isLast { keep(plainField(base, field, end)) }
            }
            guard index < count else {
                if !isLast { return dropCells(block, firstCell) }
                break record
            }
            if base[index] == lineFeed {
                index &+= 1
                lineCount += 1
                break record
            }
            index &+= 1
        }
        line += max(1, lineCount)
        let isBlank = index - start <= 2 && (base[start] == lineFeed || base[start] == carriageReturn)
        if isBlank, let columnCount, columnCount != 1 {
            block.cells.removeLast()
            return .record(index)
        }
        if droppedCount > 0 {
            return .malformed(Self.wrongCount(block.cells.count - firstCell + droppedCount, columnCount ?? 0), index)
        }
        return finishCSV(block, firstCell, index, problem, allBits, hasDoubledQuotes, columnCount)
    }

    private func dropCells(_ block: RowBlock, _ firstCell: Int) -> Record {
        block.cells.removeLast(block.cells.count - firstCell)
        return .incomplete
    }

    private func finishCSV(
        _ block: RowBlock, _ firstCell: Int, _ end: Int, _ problem: String?, _ allBits: UInt8, _ hasDoubledQuotes: Bool,
        _ columnCount: Int?
    ) -> Record {
        if let problem { return .malformed(problem, end) }
        let fieldCount = block.cells.count - firstCell
        if let columnCount, fieldCount != columnCount {
            return .malformed(Self.wrongCount(fieldCount, columnCount), end)
        }
        if isCounting { return .record(end) }
        for index in firstCell..<block.cells.count {
            let cell = block.cells[index]
            switch cell.kind {
            case .blob:
                let (start, byteCount) = (Int(cell.bits), Int(cell.byteCount))
                block.cells[index] =
                    block.hexBlob(start, byteCount) ?? Cell(.text, bits: cell.bits, byteCount: byteCount)
            case .bool where hasDoubledQuotes: block.cells[index] = halveQuotes(block, cell)
            default: break
            }
        }
        guard allBits & 0x80 != 0 else { return .record(end) }
        for index in firstCell..<block.cells.count
        where block.cells[index].kind == .text && !isValidUTF8(block.bytes(of: block.cells[index])) {
            return .malformed(Self.notUTF8, end)
        }
        return .record(end)
    }

    @inline(__always)
    private func plainField(_ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ end: Int) -> Cell {
        let byteCount = end &- start
        if let null = options.null {
            let field = UnsafeBufferPointer(start: base + start, count: byteCount)
            if field.elementsEqual(null) { return Cell(.null) }
        } else if byteCount == 0 {
            return Cell(.null)
        }
        // It may be a blob: looked at when all of the record is there.
        let mayBeBlob = byteCount > 1 && base[start] == UInt8(ascii: "\\") && base[start + 1] == UInt8(ascii: "x")
        return Cell(mayBeBlob ? .blob : .text, bits: UInt64(start), byteCount: byteCount)
    }

    private func halveQuotes(_ block: RowBlock, _ cell: Cell) -> Cell {
        let base = block.start + Int(cell.bits)
        let count = Int(cell.byteCount)
        var (source, target) = (0, 0)
        while source < count {
            let byte = base[source]
            base[target] = byte
            target &+= 1
            source &+= byte == quote ? 2 : 1
        }
        return Cell(.text, bits: cell.bits, byteCount: target)
    }
}
