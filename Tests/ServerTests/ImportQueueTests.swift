// Which rows go into which run of an import, and what a refusal does: against an engine that is a set of numbers.

import DatabaseContract
import LiteBaseTesting
import Tabular
import Testing

@testable import Server

@Suite struct ImportQueueTests {
    /// A block with a row for each line that is no empty one; `x,y` is refused by the format.
    private func block(_ text: String) throws -> RowBlock {
        var options = TabularOptions(.csv)
        options.hasHeader = false
        var reader = RowReader(options)
        let block = RowBlock()
        block.room.copyBytes(from: text.utf8)
        block.didFill(text.utf8.count)
        reader.begin([Array("a".utf8)], ignoringOtherKeys: false)
        try reader.read(block, isLast: true)
        return block
    }

    private static let refused = DriverError(.constraintViolation, "It is there already.", sqlState: "23505")

    /// Writes all rows of a block, of which the engine refuses some.
    /// - Returns: the rows that were written, and what ended it.
    private func write(
        _ block: RowBlock, _ queue: inout ImportQueue, refusing bad: Set<Int>, tellsRow: Bool
    ) -> (written: [Int], error: DriverError?, runCount: Int) {
        var (written, runCount): ([Int], Int) = ([], 0)
        _ = queue.take(block)
        while let rows = queue.next() {
            runCount += 1
            let load = RowLoad(block, rows, rejectedCountMax: queue.rejectableCount)
            var failure: DriverError?
            if tellsRow {
                for row in rows {
                    if !bad.contains(row) {
                        written.append(row)
                    } else if load.rejectedCount < load.rejectedCountMax {
                        load.rejected.append((row, Self.refused))
                        load.rejectedCount += 1
                    } else {
                        failure = Self.refused.with { $0.rowIndex = row }
                        break
                    }
                    load.doneCount += 1
                }
            } else if rows.contains(where: bad.contains) {
                failure = Self.refused
            } else {
                written += rows
                load.noteAll()
            }
            if let error = queue.didRun(load, failure) { return (written, error, runCount) }
        }
        return (written, nil, runCount)
    }

    @Test(arguments: [1, 3, 7, 1_000], [true, false])
    func allRowsAreWrittenOnceAndInOrder(_ pieceRowCount: Int, _ tellsRow: Bool) throws {
        let block = try block((0..<100).map { "\($0)\n" }.joined())
        var queue = ImportQueue(rejectedCountMax: 0, pieceRowCountMax: pieceRowCount, tellsRefusedRow: tellsRow)
        let result = write(block, &queue, refusing: [], tellsRow: tellsRow)
        #expect(result.written == Array(0..<100) && result.error == nil && queue.writtenCount == 100)
    }

    /// Whatever the engine tells: the rows before the first one too many are there, and none behind it.
    @Test(arguments: [true, false])
    func theRowsBeforeARefusedOneAreWritten(_ tellsRow: Bool) throws {
        let block = try block((0..<100).map { "\($0)\n" }.joined())
        for seed in 0..<100 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            let bad = Set(
                (0..<Int.random(in: 0...4, using: &random)).map { _ in Int.random(in: 0..<100, using: &random) })
            let allowed = Int.random(in: 0...3, using: &random)
            var queue = ImportQueue(
                rejectedCountMax: allowed, pieceRowCountMax: Int.random(in: 1...120, using: &random),
                tellsRefusedRow: tellsRow)
            let result = write(block, &queue, refusing: bad, tellsRow: tellsRow)
            let last = bad.sorted().dropFirst(allowed).first
            #expect(result.written == (0..<(last ?? 100)).filter { !bad.contains($0) }, "seed \(seed)")
            #expect((result.error == nil) == (last == nil), "seed \(seed)")
            if let last { #expect(result.error?.details.message.hasPrefix("Line \(last + 1) ") == true) }
            #expect(queue.rejected.map(\.line) == bad.sorted().prefix(allowed).map { Int64($0 + 1) }, "seed \(seed)")
            #expect(queue.writtenCount == Int64(result.written.count))
        }
    }

    /// As the link writes for an engine that takes several rows at a time: what no statement takes comes later, in its order; and a
    /// refused row has the rest of its block come singly.
    @Test(arguments: [2, 3, 16])
    func rowsThatGoTogetherComeInOrder(_ width: Int) throws {
        for seed in 0..<50 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            let count = Int.random(in: 1...70, using: &random)
            let block = try block((0..<count).map { "\($0)\n" }.joined())
            let bad = Bool.random(using: &random) ? Int.random(in: 0..<count, using: &random) : nil
            var queue = ImportQueue(rejectedCountMax: 1, pieceRowCountMax: .max, tellsRefusedRow: true)
            #expect(queue.take(block) == nil)
            var (written, goesSingly): ([Int], Bool) = ([], false)
            while var rows = queue.next() {
                var perStatement = 1
                if !goesSingly, rows.count >= width {
                    perStatement = width
                    let end = rows.upperBound - rows.count % width
                    queue.putBack(end..<rows.upperBound)
                    rows = rows.lowerBound..<end
                }
                let load = RowLoad(
                    block, rows, rejectedCountMax: queue.rejectableCount, rowsPerStatement: perStatement)
                if let bad, rows.contains(bad), perStatement > 1 {
                    load.mustGoSingly = .refusal
                    goesSingly = true
                } else {
                    written += rows.filter { $0 != bad }
                    load.noteAll()
                    if let bad, rows.contains(bad) {
                        load.rejected = [(bad, Self.refused)]
                        load.rejectedCount = 1
                    }
                }
                #expect(queue.didRun(load, nil) == nil)
            }
            #expect(written == (0..<count).filter { $0 != bad }, "seed \(seed)")
            #expect(queue.writtenCount == Int64(written.count) && queue.rejectedCount == (bad == nil ? 0 : 1))
        }
    }

    @Test(arguments: [true, false])
    func aLineThatTheFormatRefusesEndsIt(_ tellsRow: Bool) throws {
        let block = try block("0\n1\nx,y\n3\nx,y\n")
        var queue = ImportQueue(rejectedCountMax: 0, pieceRowCountMax: 10, tellsRefusedRow: tellsRow)
        #expect(queue.take(block)?.line == 3)
        let result = write(block, &queue, refusing: [1], tellsRow: tellsRow)
        #expect(result.written == [0] && result.error?.details.message.hasPrefix("Line 2 ") == true)
    }
}
