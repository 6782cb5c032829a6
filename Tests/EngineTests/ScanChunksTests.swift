import LiteBaseTesting
import Testing

@testable import SQLiteEngine

@Suite struct ScanChunksTests {
    /// Reads a table with several threads, in any order, and takes the rows in their order.
    private struct Readers {
        var chunks: ScanChunks
        var random: SeededGenerator
        let rows: [Int64]
        let rowCountMax: Int
        var reading: [ScanChunks.Chunk] = []
        var read: [Int: [Int64]] = [:]
        var taken: [Int64] = []
        var stepCount = 0

        mutating func step() {
            stepCount += 1
            if reading.count < 4, Bool.random(using: &random), let chunk = chunks.take() {
                reading.append(chunk)
            } else if let index = reading.indices.randomElement(using: &random) {
                end(reading.remove(at: index))
            }
            while let id = chunks.popFirst() { taken += read.removeValue(forKey: id) ?? [] }
        }

        /// As a reader does: a chunk ends with the row that fills its part.
        private mutating func end(_ chunk: ScanChunks.Chunk) {
            let found = rows.filter { chunk.rows.contains($0) }
            let part = Array(found.prefix(rowCountMax))
            read[chunk.id] = part
            chunks.end(chunk.id, behind: part.count == rowCountMax ? part.last : nil, byteCount: 10 * part.count)
        }
    }

    private func table(_ random: inout SeededGenerator) -> [Int64] {
        let count = Int.random(in: 1...300, using: &random)
        switch Int.random(in: 0...3, using: &random) {
        case 0: return (0..<Int64(count)).map { $0 + 1 }
        case 1: return Set((0..<count).map { _ in Int64.random(in: .min ... .max, using: &random) }).sorted()
        // A few far away from many.
        case 2: return Set((0..<Int64(count)).map { $0 - 7 } + [.min, .max, 1 << 62, -1 << 61]).sorted()
        default:
            let start = Int64.random(in: .min ... .max - 1_000, using: &random)
            return (0..<Int64(count)).map { start + $0 }
        }
    }

    /// Each row is read once, and rows are taken in their order, however they lie and whoever is how fast.
    @Test func everyRowOnceAndInOrder() throws {
        for _ in 0..<400 {
            var random = SeededGenerator.fresh
            let rows = table(&random)
            let ends = try #require(rows.first)...(try #require(rows.last))
            var readers = Readers(
                chunks: ScanChunks(ends, byteCountWanted: Int.random(in: 1...500, using: &random)), random: random,
                rows: rows, rowCountMax: Int.random(in: 1...40, using: &random))
            while !readers.chunks.isEmpty, readers.stepCount < 100_000 { readers.step() }
            #expect(readers.chunks.isEmpty && readers.taken == rows, "seed \(random.seed)")
        }
    }

    /// A chunk gives about what is wanted after a few, whether numbers are dense or far apart.
    @Test(arguments: [1, 1_000, 1 << 40] as [Int64]) func theWidthFollowsTheRows(distance: Int64) throws {
        var chunks = ScanChunks(0...(distance << 20), byteCountWanted: 10_000)
        var last = 0
        for _ in 0..<60 {
            guard let chunk = chunks.take() else { break }
            let count = chunk.rows.upperBound / distance - (chunk.rows.lowerBound - 1) / distance
            last = 100 * Int(count)
            chunks.end(chunk.id, behind: nil, byteCount: last)
            _ = chunks.popFirst()
        }
        #expect((5_000...20_000).contains(last))
    }
}
