// A stream of Arrow: columns by the batch, which become rows.

internal import ArrowStream
internal import LinuxSystem
internal import Tabular

/// Takes rows out of the batches of a stream.
///
/// - Source: docs/protocol.md, Arrow.
/// - Thread: that of one worker at a time; `stop` any.
final class ArrowImportSource: ImportSource, @unchecked Sendable {
    private let file: PassedFile
    private let reader: ArrowReader
    private let rowByteCountMax: Int
    private let chargedByteCountMax: Int
    /// What the reader holds: a batch, and dictionaries.
    private let batchCharge: AccountCharge
    /// What the block holds while it is filled: a row may be long.
    private let blockCharge: AccountCharge
    /// Places of the columns in the schema.
    private var columns: [Int] = []
    private var types: [ColumnType?] = []
    private var makesNumbers = false
    /// Rows of former batches, and those of this one that were taken.
    private var rowsBefore: Int64 = 0
    private var nextRow = 0
    private var byteCount: Int64 = 0
    private var hasEnded = false

    /// Of the list of batches behind a stream.
    private static let footerRoomByteCount = 64 << 10

    init(
        _ file: PassedFile, rowByteCountMax: Int, writesZoneOffsets: Bool, _ account: UserAccount,
        accountByteCountMax: Int
    ) {
        self.file = file
        self.rowByteCountMax = rowByteCountMax
        chargedByteCountMax = accountByteCountMax
        blockCharge = AccountCharge(account)
        let charge = AccountCharge(account)
        batchCharge = charge
        reader = ArrowReader(
            columnCountMax: ImportHead.columnCountMax, nameByteCountMax: ImportHead.nameByteCountMax,
            writesZoneOffsets: writesZoneOffsets
        ) { byteCount in
            guard charge.mayHold(byteCount, of: accountByteCountMax) else { return false }
            charge.set(byteCount)
            return true
        }
    }

    func stop() { file.stop() }

    // MARK: What a worker does

    func readHead() throws(ImportFailure) -> ImportHead {
        let total: Int64?
        do throws(PassedFileProblem) { total = try file.checkReadable() } catch { throw .file(error) }
        while true {
            if let fields = reader.fields {
                return ImportHead(columns: .schema(fields), byteCountInAll: total)
            }
            try readMore()
        }
    }

    func begin(_ names: [[UInt8]], ignoringOtherKeys: Bool, infersTypes: Bool, ofAllRows: Bool) {
        var places: [[UInt8]: Int] = [:]
        for (place, field) in (reader.fields ?? []).enumerated() where places[field.name] == nil {
            places[field.name] = place
        }
        columns = names.compactMap { places[$0] }
    }

    func setTypes(_ types: [ColumnType?], blobColumns: [Int], makesNumbers: Bool) {
        self.types = types
        self.makesNumbers = makesNumbers
    }

    func readPart(reusing used: RowBlock?) -> ImportPart {
        let block = used ?? RowBlock()
        block.beginValues(columnCount: columns.count)
        var failure: ImportFailure?
        do throws(ImportFailure) {
            while block.takesRows, !hasEnded {
                switch reader.state {
                case .waiting: try readMore()
                case .rows: try takeRows(block)
                case .ended: try readFooter()
                }
            }
        } catch {
            failure = error
        }
        if makesNumbers { block.makeNumbers(types) }
        // From here on it is charged for as long as the rows are needed.
        blockCharge.set(0)
        return ImportPart(block: block, isLast: hasEnded || failure != nil, failure: failure, byteCount: byteCount)
    }

    // MARK: Bytes

    private func readMore() throws(ImportFailure) {
        let room: UnsafeMutableRawBufferPointer
        do throws(ArrowReadError) { room = try reader.room() } catch { throw failure(error) }
        let count = try read(into: room)
        do throws(ArrowReadError) {
            if count > 0 { try reader.didFill(count) } else { try reader.end() }
        } catch {
            throw failure(error)
        }
        // A long batch is charged for as long as it is there.
        batchCharge.set(reader.heldByteCount)
    }

    /// Reads what follows the stream in a file of Arrow's; a stream has nothing behind it.
    private func readFooter() throws(ImportFailure) {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.footerRoomByteCount, alignment: 16)
        defer { room.deallocate() }
        while !hasEnded {
            hasEnded = try read(into: room) == 0
            guard reader.hasFooter || hasEnded else { throw .stream(.somethingBehind) }
        }
    }

    private func read(into room: UnsafeMutableRawBufferPointer) throws(ImportFailure) -> Int {
        let count: Int
        do throws(PassedFileProblem) { count = try file.read(into: room) } catch { throw .file(error) }
        byteCount += Int64(count)
        return count
    }

    private func failure(_ error: ArrowReadError) -> ImportFailure {
        if error.isShortOfRoom { return .noRoomForStream(error, byteCountMax: chargedByteCountMax) }
        return byteCount == 0 ? .content(.noRows) : .stream(error)
    }

    // MARK: Rows

    private func takeRows(_ block: RowBlock) throws(ImportFailure) {
        while block.takesRows, nextRow < reader.rowCount {
            let number = rowsBefore + Int64(nextRow) + 1
            let problem = try takeRow(block, number)
            if let problem { block.rejectRow(number, problem) } else { block.endRow(number) }
            nextRow += 1
        }
        guard nextRow == reader.rowCount else { return }
        rowsBefore += Int64(nextRow)
        nextRow = 0
        reader.nextBatch()
    }

    /// - Returns: why the row is none.
    private func takeRow(_ block: RowBlock, _ number: Int64) throws(ImportFailure) -> String? {
        for column in columns {
            let value: ArrowValue
            do throws(ArrowReadError) { value = try reader.value(nextRow, column) } catch { throw failure(error) }
            switch value {
            case .null: block.appendNull()
            case .bool(let value): block.append(value)
            case .integer(let value): block.append(value)
            case .unsigned(let value): block.append(unsigned: value)
            case .real(let value): block.append(value)
            case .text(let bytes):
                try makeRoom(block, bytes.count, number)
                block.append(text: bytes)
            case .blob(let bytes):
                try makeRoom(block, bytes.count, number)
                block.append(blob: bytes)
            case .invalid(let what): return Self.reason(what, name(of: column))
            }
        }
        return nil
    }

    private func name(of column: Int) -> String {
        String(decoding: (reader.fields?[column].name ?? []).prefix(Self.shownNameByteCount), as: UTF8.self)
    }

    private static let shownNameByteCount = 100

    private static func reason(_ what: ArrowValue.Invalid, _ name: String) -> String {
        switch what {
        case .notUTF8: "The text in \"\(name)\" is not UTF-8."
        case .notATime: "The number in \"\(name)\" is no time of a day."
        }
    }

    private func makeRoom(_ block: RowBlock, _ byteCount: Int, _ row: Int64) throws(ImportFailure) {
        guard byteCount <= rowByteCountMax - block.rowByteCount else {
            throw .streamRowTooLong(row: row, byteCountMax: rowByteCountMax)
        }
        let shortage = byteCount - block.room.count
        guard shortage > 0 else { return }
        let wanted = max(block.capacity + shortage, 2 * block.capacity)
        guard blockCharge.mayHold(block.heldByteCount + wanted - block.capacity, of: chargedByteCountMax) else {
            throw failure(ArrowReadError("There is no room for row \(row).", isShortOfRoom: true))
        }
        block.grow(to: wanted)
        blockCharge.set(block.heldByteCount)
    }
}
