// Rows whose values are put into a block one by one: those of a format that is no text.

extension RowBlock {
    /// Begins anew: what was there is gone.
    public func beginValues(columnCount: Int) {
        removeRows()
        count = 0
        parsedCount = 0
        rowStart = 0
        self.columnCount = columnCount
    }

    /// Whether it is to have more rows.
    public var takesRows: Bool {
        count < Self.usualByteCount && cells.count < Self.cellCountMax && rejectedCount < Self.cellCountMax
    }

    /// Bytes of the row that is being put in.
    public var rowByteCount: Int { count - rowStart }

    public func appendNull() { cells.append(Cell(.null)) }
    public func append(_ value: Bool) { cells.append(Cell(.bool, bits: value ? 1 : 0)) }
    public func append(_ value: Int64) { cells.append(Cell(.integer, bits: UInt64(bitPattern: value))) }
    public func append(_ value: Double) { cells.append(Cell(.real, bits: value.bitPattern)) }

    /// - Parameter value: above `Int64.max`.
    public func append(unsigned value: UInt64) { cells.append(Cell(.unsigned, bits: value)) }

    /// - Parameter text: UTF-8, for which there is room.
    public func append(text: UnsafeRawBufferPointer) { append(.text, text) }

    /// - Parameter blob: bytes for which there is room.
    public func append(blob: UnsafeRawBufferPointer) { append(.blob, blob) }

    private func append(_ kind: Cell.Kind, _ bytes: UnsafeRawBufferPointer) {
        cells.append(Cell(kind, bits: UInt64(count), byteCount: bytes.count))
        room.copyMemory(from: bytes)
        count += bytes.count
    }

    /// The values since the last row are one.
    /// - Parameter line: its number in the file.
    public func endRow(_ line: Int64) {
        precondition(cells.count == (rowLines.count + 1) * columnCount, "a row with values for other columns")
        rowLines.append(line)
        rowStart = count
        parsedCount = count
    }

    /// The values since the last row are none.
    public func rejectRow(_ line: Int64, _ reason: String) {
        cells.removeLast(cells.count - rowLines.count * columnCount)
        count = rowStart
        reject(line, reason)
    }
}
