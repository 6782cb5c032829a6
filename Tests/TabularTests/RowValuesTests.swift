// Rows whose values are put into a block one by one.

import Testing

@testable import Tabular

@Suite struct RowValuesTests {
    private func append(_ text: String, to block: RowBlock) {
        Array(text.utf8).withUnsafeBytes { block.append(text: $0) }
    }

    @Test func valuesAreThoseThatWerePutIn() {
        let block = RowBlock(byteCount: 16)
        block.beginValues(columnCount: 3)
        block.append(Int64.min)
        append("abc", to: block)
        block.appendNull()
        block.endRow(1)
        block.append(unsigned: .max)
        append("lost", to: block)
        #expect(block.rowByteCount == 4)
        block.rejectRow(2, "It has no third value.")
        block.append(0.5)
        block.append(true)
        append("", to: block)
        block.endRow(3)
        let rows = block.view
        #expect(block.rowCount == 2 && block.line(1) == 3)
        #expect(rows.cell(0, 0).integer == .min && rows.cell(0, 2).kind == .null)
        #expect(rows.bytes(of: rows.cell(0, 1)).elementsEqual("abc".utf8))
        #expect(rows.cell(1, 0).real == 0.5 && rows.cell(1, 1).bool && rows.cell(1, 2).byteCount == 0)
        #expect(block.rejections == [Rejection(line: 2, reason: "It has no third value.")])
        #expect(block.count == 3)
        block.beginValues(columnCount: 1)
        #expect(block.rowCount == 0 && block.count == 0 && block.rejectedCount == 0)
    }

    @Test func aBlockIsFullAtSomePoint() {
        let block = RowBlock()
        block.beginValues(columnCount: 1_000)
        var line: Int64 = 0
        while block.takesRows {
            for value in 0..<1_000 as Range<Int64> { block.append(value) }
            line += 1
            block.endRow(line)
        }
        #expect(line == 132)
        // Rows that are refused leave nothing in it, and end it all the same.
        block.beginValues(columnCount: 1)
        line = 0
        while block.takesRows {
            block.appendNull()
            line += 1
            block.rejectRow(line, "It is none.")
        }
        #expect(line == 131_072 && block.rejections.count == RowBlock.rejectionCountMax)
    }
}
