// A file of text: CSV, tab-separated text, JSON.

internal import LinuxSystem
internal import Tabular

/// Finds the rows in a file of text.
///
/// - Thread: that of one worker at a time; `stop` any.
final class TextImportSource: ImportSource, @unchecked Sendable {
    private let file: PassedFile
    private let rowByteCountMax: Int
    /// What the block holds while it is filled: a row may be long.
    private let charge: AccountCharge
    private let chargedByteCountMax: Int
    private var decoder: TextDecoder
    private var reader: RowReader
    private var block = RowBlock()
    /// Bytes that are not decoded yet.
    private var raw: UnsafeMutableRawBufferPointer?
    private var byteCount: Int64 = 0
    private var hasEnded = false
    private var isBegun = false
    private var inference: TypeInference?
    private var infersAll = false
    private var types: [ColumnType?] = []
    private var blobColumns: [Int] = []
    private var makesNumbers = false

    private static let rawByteCount = 128 << 10
    /// What there must be room for beside a row.
    private static let spareByteCount = 1 << 20

    init(
        _ file: PassedFile, _ options: TabularOptions, _ encoding: TextEncoding?, rowByteCountMax: Int,
        _ account: UserAccount, accountByteCountMax: Int
    ) {
        charge = AccountCharge(account)
        chargedByteCountMax = accountByteCountMax
        self.file = file
        self.rowByteCountMax = rowByteCountMax
        decoder = TextDecoder(encoding)
        reader = RowReader(options)
    }

    deinit { raw?.deallocate() }

    func stop() { file.stop() }

    // MARK: What a worker does

    func readHead() throws(ImportFailure) -> ImportHead {
        let total: Int64?
        do throws(PassedFileProblem) { total = try file.checkReadable() } catch { throw .file(error) }
        while true {
            try fill()
            let names: RowReader.Names
            do throws(TabularError) {
                names = try reader.readNames(block, isLast: hasEnded)
            } catch {
                throw .content(error)
            }
            guard case .incomplete = names else {
                try checkNames(names)
                return ImportHead(columns: .text(names), byteCountInAll: total)
            }
            if hasEnded { return ImportHead(columns: .text(.none), byteCountInAll: total) }
            try makeRoom()
        }
    }

    /// What comes of the names is done on a loop.
    private func checkNames(_ names: RowReader.Names) throws(ImportFailure) {
        let (count, byteCount) =
            switch names {
            case .names(let all): (all.count, all.reduce(0) { $0 + $1.count })
            case .count(let count): (count, 0)
            case .incomplete, .none: (0, 0)
            }
        if count > ImportHead.columnCountMax {
            throw .content(.malformed(line: 1, reason: "It has \(count) fields, more than a table may have columns."))
        }
        if byteCount > ImportHead.nameByteCountMax {
            throw .content(.malformed(line: 1, reason: "The names of the columns are too long."))
        }
    }

    func begin(_ names: [[UInt8]], ignoringOtherKeys: Bool, infersTypes: Bool, ofAllRows: Bool) {
        reader.begin(names, ignoringOtherKeys: ignoringOtherKeys)
        if infersTypes { inference = TypeInference(columnCount: names.count) }
        infersAll = ofAllRows
    }

    func setTypes(_ types: [ColumnType?], blobColumns: [Int], makesNumbers: Bool) {
        self.types = types
        self.blobColumns = blobColumns
        self.makesNumbers = makesNumbers
    }

    func readPart(reusing used: RowBlock?) -> ImportPart {
        let part = isBegun ? nextBlock(used) : block
        isBegun = true
        block = part
        var failure: ImportFailure?
        while true {
            do throws(ImportFailure) {
                try fill()
                try find()
                guard part.rowCount == 0, part.rejectedCount == 0, !isDone else { break }
                // No reader leaves bytes of a file that has ended; if one did, it must not go on for ever.
                if hasEnded { throw ImportFailure.content(.malformed(line: reader.line, reason: "It cannot be read.")) }
                if part.parsedCount == 0 { try makeRoom() } else { block.dropParsed() }
            } catch {
                failure = error
                break
            }
        }
        let types = convert(part)
        // From here on it is charged for as long as the rows are needed.
        charge.set(0)
        return ImportPart(
            block: part, isLast: isDone || failure != nil, failure: failure, byteCount: byteCount, types: types)
    }

    /// Looks at the values for their types, and makes of them what is known to be better.
    private func convert(_ part: RowBlock) -> [ColumnType]? {
        for column in blobColumns { part.makeBlobs(inColumn: column) }
        if makesNumbers { part.makeNumbers(types) }
        guard inference != nil, part.rowCount > 0 else { return nil }
        inference?.note(part)
        let types = inference?.types
        if !infersAll { inference = nil }
        return types
    }

    private var isDone: Bool { hasEnded && block.parsedCount == block.count }

    private func nextBlock(_ used: RowBlock?) -> RowBlock {
        let most = rowByteCountMax + Self.spareByteCount
        // The last one itself, which has the rest of the file's bytes.
        if used === block {
            block.dropParsed()
            block.grow(to: min(2 * block.count, most))
            charge.set(block.heldByteCount)
            return block
        }
        let next = used ?? RowBlock()
        next.begin(with: block, byteCountMax: most)
        return next
    }

    private func find() throws(ImportFailure) {
        do throws(TabularError) {
            try reader.read(block, isLast: hasEnded)
        } catch {
            throw .content(error)
        }
    }

    /// A row needs more room than the block has.
    private func makeRoom() throws(ImportFailure) {
        guard block.room.count < RowBlock.usualByteCount / 2 else { return }
        let most = rowByteCountMax + Self.spareByteCount
        guard block.capacity < most else {
            throw .rowTooLong(line: reader.line, byteCountMax: rowByteCountMax)
        }
        let wanted = min(most, 2 * block.capacity)
        guard charge.mayHold(block.heldByteCount + wanted - block.capacity, of: chargedByteCountMax) else {
            throw .noRoom(line: reader.line, byteCountMax: chargedByteCountMax)
        }
        block.grow(to: wanted)
        charge.set(block.heldByteCount)
    }

    /// Fills the block, as far as the file has bytes.
    private func fill() throws(ImportFailure) {
        while !hasEnded {
            if decoder.isPlain {
                guard block.room.count > 0 else { return }
                let count = try read(block.room)
                block.didFill(count)
            } else if try !decodeMore() {
                return
            }
        }
    }

    private func read(_ room: UnsafeMutableRawBufferPointer) throws(ImportFailure) -> Int {
        let count: Int
        do throws(PassedFileProblem) { count = try file.read(into: room) } catch { throw .file(error) }
        if count == 0 { hasEnded = true }
        byteCount += Int64(count)
        return count
    }

    /// Reads what has to be decoded, or the first bytes.
    /// - Returns: false if there is no room.
    private func decodeMore() throws(ImportFailure) -> Bool {
        let buffer = raw ?? .allocate(byteCount: Self.rawByteCount, alignment: 16)
        raw = buffer
        // Not more than there is room for, whatever it becomes.
        let most = min(buffer.count, (block.room.count - 8) / decoder.factor)
        guard most >= 8 else { return false }
        var count = 0
        var markByteCount = 0
        if !decoder.isBegun {
            while true {
                count += try read(UnsafeMutableRawBufferPointer(rebasing: buffer[count..<most]))
                let first = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                if let length = decoder.begin(first, isLast: hasEnded) {
                    markByteCount = length
                    break
                }
            }
        } else {
            count = try read(UnsafeMutableRawBufferPointer(rebasing: buffer[..<most]))
        }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[markByteCount..<count])
        guard decoder.decode(bytes, into: block, isLast: hasEnded) else { throw .encoding(line: reader.line) }
        return true
    }
}
