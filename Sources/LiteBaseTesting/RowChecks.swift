// What must hold for the rows of any file.

internal import Tabular

/// Traps when something does not hold that must.
public enum RowChecks {
    /// The rows of a file, as they were found.
    private struct Found: Equatable {
        var rows: [[UInt8]] = []
        var rejections: [Rejection] = []
        var hasFailed = false
    }

    /// Whatever the bytes are: the rows do not depend on where blocks end, and values lie in their block. The first byte
    /// says how the file is read.
    public static func check(_ bytes: UnsafeRawBufferPointer) {
        guard let choice = bytes.first else { return }
        let text = Array(bytes.dropFirst())
        var options = TabularOptions(TabularFormat.allCases[Int(choice & 3)])
        options.hasHeader = choice & 4 != 0
        if choice & 8 != 0 { options.null = Array("N".utf8) }
        if choice & 16 != 0 { options.delimiter = UInt8(ascii: ";") }
        let encoding: TextEncoding? = choice & 32 != 0 ? .utf16LE : choice & 64 != 0 ? .latin1 : nil
        let whole = find(text, options, encoding, blockByteCount: 1 << 16)
        let small = find(text, options, encoding, blockByteCount: 24)
        precondition(whole == small, "the rows depend on where blocks end")
    }

    private static func find(
        _ text: [UInt8], _ options: TabularOptions, _ encoding: TextEncoding?, blockByteCount: Int
    ) -> Found {
        var (decoder, reader, found) = (TextDecoder(encoding), RowReader(options), Found())
        guard let mark = text.withUnsafeBytes({ decoder.begin($0, isLast: true) }) else { return found }
        var rest = text[mark...]
        var block = RowBlock(byteCount: blockByteCount)
        func fill() -> Bool {
            while !rest.isEmpty, block.room.count >= 16 {
                let count = min(rest.count, (block.room.count - 8) / decoder.factor)
                let isSound = rest.prefix(count).withUnsafeBytes {
                    decoder.decode($0, into: block, isLast: count == rest.count)
                }
                rest = rest.dropFirst(count)
                if !isSound { return false }
            }
            return true
        }
        do throws(TabularError) {
            var names = RowReader.Names.incomplete
            repeat {
                guard fill() else { return Found(hasFailed: true) }
                names = try reader.readNames(block, isLast: rest.isEmpty)
                if names == .incomplete, rest.isEmpty { return found }
                if names == .incomplete { block.grow(to: 2 * block.capacity) }
            } while names == .incomplete
            reader.begin(columns(names), ignoringOtherKeys: false)
            while true {
                guard fill() else { return Found(hasFailed: true) }
                try reader.read(block, isLast: rest.isEmpty)
                take(block, &found)
                if rest.isEmpty, block.parsedCount == block.count { return found }
                let next = RowBlock(byteCount: blockByteCount)
                next.begin(with: block, byteCountMax: 1 << 30)
                if next.room.count < 16 { next.grow(to: 2 * next.capacity + 16) }
                block = next
            }
        } catch {
            return Found(hasFailed: true)
        }
    }

    private static func columns(_ names: RowReader.Names) -> [[UInt8]] {
        switch names {
        case .names(let names): names
        case .count(let count): (0..<count).map { Array("\($0)".utf8) }
        case .incomplete, .none: []
        }
    }

    private static func take(_ block: RowBlock, _ found: inout Found) {
        let rows = block.view
        for row in 0..<block.rowCount {
            var spelled: [UInt8] = []
            for column in 0..<rows.columnCount {
                let cell = rows.cell(row, column)
                spelled.append(cell.kind.rawValue)
                switch cell.kind {
                case .null: break
                case .bool, .integer, .unsigned, .real: spelled += "\(cell.integer)".utf8
                case .text, .blob: spelled += rows.bytes(of: cell)
                }
            }
            found.rows.append(spelled)
        }
        found.rejections += block.rejections
        precondition(block.rejectedCount >= block.rejections.count, "what is told is counted")
    }
}
