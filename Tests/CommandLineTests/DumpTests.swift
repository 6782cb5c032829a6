// Dumps of servers: the order of definitions, and what `.dump` is given.

import LiteBaseTesting
import Testing

@testable import litebase

@Suite struct DumpTests {
    private func order(_ keys: String, _ needs: [(String, String)]) -> DefinitionOrder {
        DefinitionOrder(
            keys.map { DefinitionOrder.Definition(key: String($0), sql: "CREATE \($0)") },
            needs: needs.map { (key: $0.0, needed: $0.1) })
    }

    @Test func definitionsComeBehindWhatTheyNeed() {
        func keys(_ needs: [(String, String)]) -> String { order("abcde", needs).ordered.map(\.key).joined() }
        #expect(keys([]) == "abcde")
        #expect(keys([("a", "d")]) == "dabce")
        #expect(keys([("a", "d"), ("d", "e"), ("a", "b")]) == "bedac")
        // What has no definition, and what an object says of itself, is of no effect.
        #expect(keys([("a", "x"), ("y", "b"), ("c", "c")]) == "abcde")
        #expect(order("abc", [("a", "c")]).circles.isEmpty)
    }

    @Test func circlesAreTold() {
        let found = order("abcd", [("a", "c"), ("c", "b"), ("b", "a")])
        #expect(Set(found.ordered.map(\.key)) == ["a", "b", "c", "d"])
        #expect(found.circles.map(\.key) == ["b"])
    }

    @Test func everyOrderServes() {
        var generator = SeededGenerator.fresh
        for _ in 0..<200 {
            let count = Int.random(in: 1...30, using: &generator)
            // The later one of a hidden order needs the other, so that there is no circle.
            let hidden = Array(0..<count).shuffled(using: &generator)
            let needs = (0..<count * 2).map { _ in
                let one = Int.random(in: 0..<count, using: &generator)
                let other = Int.random(in: 0..<count, using: &generator)
                return (key: "\(hidden[max(one, other)])", needed: "\(hidden[min(one, other)])")
            }
            let definitions = (0..<count).map { DefinitionOrder.Definition(key: "\($0)", sql: "") }
            let found = DefinitionOrder(definitions, needs: needs)
            let places = Dictionary(uniqueKeysWithValues: zip(found.ordered.map(\.key), 0...))
            #expect(places.count == count && found.circles.isEmpty, "seed \(generator.seed)")
            let isServed = needs.allSatisfy { need in
                need.key == need.needed || places[need.key, default: -1] > places[need.needed, default: count]
            }
            #expect(isServed, "seed \(generator.seed)")
        }
    }

    @Test func aLongChainNeedsNoStack() {
        let count = 200_000
        let definitions = (0..<count).map { DefinitionOrder.Definition(key: "\($0)", sql: "") }
        let needs = (1..<count).map { (key: "\($0 - 1)", needed: "\($0)") }
        #expect(DefinitionOrder(definitions, needs: needs).ordered.first?.key == "\(count - 1)")
    }

    @Test(arguments: [
        ("", []), (" a  b ", ["a", "b"]), ("\"a b\" c", ["\"a b\"", "c"]), ("s.\"a \"\" b\"", ["s.\"a \"\" b\""]),
        ("`a b`.c [d e]", ["`a b`.c", "[d e]"]), ("'a", ["'a"]),
    ])
    func namesKeepTheirQuotes(text: String, names: [String]) {
        #expect(DumpArguments.names(text) == names)
    }
}
