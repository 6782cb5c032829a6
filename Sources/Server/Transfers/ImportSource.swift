// The file of an import, read by a worker: its bytes become blocks of rows.

internal import DatabaseContract
internal import LinuxSystem
internal import Tabular

/// Why there are no more rows.
enum ImportFailure: Error {
    case file(PassedFileProblem)
    case content(TabularError)
    case rowTooLong(line: Int64, byteCountMax: Int)
    /// Its user has no room for it.
    case noRoom(line: Int64, byteCountMax: Int)
    case encoding(line: Int64)
}

/// A part of the file: its rows, and whether it is the last.
struct ImportPart: Sendable {
    var block: RowBlock
    var isLast: Bool
    /// What ends the file behind these rows.
    var failure: ImportFailure?
    /// Bytes of the file that were read so far.
    var byteCount: Int64
    /// What the values say of the columns, where the table is to be made and that was not told before.
    var types: [ColumnType]?
}

/// Reads a client's file, which may never answer.
///
/// - Thread: that of one worker at a time; `stop` any.
final class ImportSource: @unchecked Sendable {
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

    /// Ends the work on the file soon.
    func stop() { file.stop() }

    // MARK: What a worker does

    /// What the file says of its columns.
    struct Head: Sendable {
        var names: RowReader.Names
        var byteCountInAll: Int64?
    }

    /// Checks the file, and looks at its first row.
    func readHead() throws(ImportFailure) -> Head {
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
                return Head(names: names, byteCountInAll: total)
            }
            if hasEnded { return Head(names: .none, byteCountInAll: total) }
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
        if count > Self.columnCountMax {
            throw .content(.malformed(line: 1, reason: "It has \(count) fields, more than a table may have columns."))
        }
        if byteCount > Self.nameByteCountMax {
            throw .content(.malformed(line: 1, reason: "The names of the columns are too long."))
        }
    }

    /// MySQL has up to so many, others fewer.
    private static let columnCountMax = 4_096
    /// Of all names together.
    static let nameByteCountMax = 256 << 10

    /// Says which columns there are.
    /// - Parameters:
    ///   - names: keys of JSON's values.
    ///   - ignoringOtherKeys: whether others are left out.
    ///   - infersTypes: whether the rows are to say of which types the columns are.
    ///   - ofAllRows: all rows, not only the first ones.
    func begin(_ names: [[UInt8]], ignoringOtherKeys: Bool, infersTypes: Bool, ofAllRows: Bool) {
        reader.begin(names, ignoringOtherKeys: ignoringOtherKeys)
        if infersTypes { inference = TypeInference(columnCount: names.count) }
        infersAll = ofAllRows
    }

    /// Says of which types the columns are, as far as that is known.
    func setTypes(_ types: [ColumnType?], blobColumns: [Int], makesNumbers: Bool) {
        self.types = types
        self.blobColumns = blobColumns
        self.makesNumbers = makesNumbers
    }

    /// Reads on, until there are rows or the file has ended.
    /// - Parameter used: a block that nobody needs any more.
    /// - Returns: the rows, and what ends them.
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

extension DriverError {
    init(_ failure: ImportFailure) {
        switch failure {
        case .file(.stopped): self = .stopped(.cancelled)
        case .file(let problem):
            let error = RequestError(reading: problem).fields
            self.init(.badRequest, error.message, hint: error.hint)
        case .content(.malformed(let line, let reason)):
            self.init(.badRequest, "Line \(line) of the file: \(reason)", sqlState: "22P04")
        case .content(.noRows):
            self.init(.badRequest, "The file is empty.", sqlState: "22P04")
        case .rowTooLong(let line, let most):
            self = DriverError(
                .limitExceeded, "The row of line \(line) has more than \(most) bytes (row_bytes_max).",
                hint: "See whether a quote in it is not closed.", sqlState: "54000"
            ).with { $0.limit = DriverLimit(name: LimitName.rowBytes.name, value: Int64(most)) }
        case .noRoom(let line, let most):
            self = DriverError(
                .limitExceeded,
                "There is no room for the row of line \(line): what this user's requests hold may have \(most) bytes "
                    + "(buffered_bytes_per_user_max).",
                hint: "Do less at a time; or see whether a quote in it is not closed.", sqlState: "53200"
            ).with { $0.limit = DriverLimit(name: LimitName.bufferedBytesPerUser.name, value: Int64(most)) }
        case .encoding(let line):
            self.init(
                .badRequest, "The file is not in its encoding, behind line \(line).",
                hint: "Name the encoding (\"encoding\").", sqlState: "22021")
        }
    }
}
