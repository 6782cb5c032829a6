// What holds for every search text and every name.

import LiteBaseTesting
import Testing

@Suite struct CatalogFuzzTests {
    @Test func corpus() throws {
        #expect(try FuzzCorpus.replay("catalog", CatalogChecks.check) >= 10)
    }

    /// Few characters, so that many names have them in their order.
    @Test func anyNames() {
        var generator = SeededGenerator.fresh
        let characters = Array("aAbB_ :\n\n\"\\\t".utf8) + [0xc3, 0xa4, 0xff, 0]
        for _ in 0..<3_000 {
            let count = Int.random(in: 1...120, using: &generator)
            let input = (0..<count).map { _ in characters[Int.random(in: 0..<characters.count, using: &generator)] }
            input.withUnsafeBytes(CatalogChecks.check)
        }
    }
}
