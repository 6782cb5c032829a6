// The search of relations, which reads few names, against one that reads each of them.

import Catalog
import LiteBaseTesting
import Testing

/// Names and search texts from few pieces, so that most texts fit many names in every way.
private struct RandomNames {
    var generator = SeededGenerator.fresh

    private static let pieces = [
        "order", "Order", "ORDER", "item", "Item", "i", "o", "oi", "_", "__", " ", "-", ".", "\"", "'", "`", "]", "1",
        "42", "ä", "Ä", "日本", "é", "🙂", "a\u{301}", "\u{0}", "\t", "x", "XYZ", "customer",
    ]

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    mutating func isTrue(oneOf count: Int) -> Bool { number(1...count) == 1 }

    /// Now and then longer than any word of a search, and with more words than initials are kept.
    mutating func name() -> String {
        let count = isTrue(oneOf: 20) ? number(8...40) : number(0...5)
        return (0..<count).map { _ in Self.pieces.randomElement(using: &generator) ?? "" }.joined()
    }

    /// A text that is made of a name: its beginning, a part, some of its bytes, the first letters of its words, or nothing of it.
    mutating func text(of name: [UInt8]) -> [UInt8] {
        guard !name.isEmpty else { return [] }
        let start = number(0...name.count - 1)
        switch number(0...5) {
        case 0: return Array(name.prefix(start + 1))
        case 1: return Array(name[start...].prefix(number(1...6)))
        case 2: return name.filter { _ in number(1...3) == 1 }
        case 3: return initials(of: name)
        case 4: return Array(self.name().utf8)
        default: return Array(name.prefix(start + 1)).map { $0 &- 0x61 < 26 ? $0 & 0xdf : $0 }
        }
    }

    private mutating func initials(of name: [UInt8]) -> [UInt8] {
        let words = String(decoding: name, as: UTF8.self).split { !$0.isLetter && !$0.isNumber }
        let all = words.compactMap { $0.utf8.first }
        return Array(all.prefix(number(1...max(all.count, 1))))
    }
}

@Suite struct RelationSearchTests {
    /// What a search is to find: every name by itself, then all that fit in order.
    private func plain(_ index: CatalogIndex, _ query: CatalogQuery) -> [Int] {
        guard let pattern = query.pattern else { return [] }
        var found: [(rank: CatalogPattern.Rank, number: Int)] = []
        for (number, relation) in index.relations.enumerated() {
            let namespace = index.namespaces[Int(relation.namespace)]
            if let name = query.namespace, !index.bytes(namespace.name).elementsEqual(name) { continue }
            if let isInDefault = query.isInDefault, namespace.isDefault != isInDefault { continue }
            guard query.kinds.contains(relation.kind), let rank = pattern.rank(index.bytes(relation.name)) else {
                continue
            }
            found.append((rank, number))
        }
        return found.sorted { $0 < $1 }.map(\.number)
    }

    private func index(_ random: inout RandomNames) -> CatalogIndex {
        let builder = CatalogBuilder(isCaseSensitive: true, keepsDefinitions: false, byteCountMax: 64 << 20)
        let namespaceCount = random.number(1...5)
        for number in 0..<namespaceCount {
            var record = NamespaceRecord(name: builder.text("n\(number)"))
            record.isDefault = random.isTrue(oneOf: 2)
            builder.add(record)
        }
        let kinds: [CatalogKind] = [.table, .view, .sequence]
        for _ in 0..<random.number(0...300) {
            let kind = kinds.randomElement(using: &random.generator) ?? .table
            let namespace = UInt32(random.number(0...namespaceCount - 1))
            builder.add(RelationRecord(name: builder.text(random.name()), namespace: namespace, kind: kind))
        }
        return builder.finish()
    }

    private func query(_ index: CatalogIndex, _ random: inout RandomNames) -> CatalogQuery {
        var query = CatalogQuery(level: .relations)
        let name = index.relations.randomElement(using: &random.generator).map { Array(index.bytes($0.name)) } ?? []
        query.pattern = random.text(of: name).withUnsafeBytes { CatalogPattern($0) }
        if random.isTrue(oneOf: 3) { query.namespace = Array("n\(random.number(0...5))".utf8) }
        if random.isTrue(oneOf: 3) { query.isInDefault = random.isTrue(oneOf: 2) }
        if random.isTrue(oneOf: 3) {
            query.kinds = .none
            _ = Array("view".utf8).withUnsafeBytes { query.kinds.insert(named: $0) }
        }
        return query
    }

    @Test func findsWhatALookAtEachNameFinds() {
        var random = RandomNames()
        let seed = random.generator.seed
        for round in 0..<60 {
            let index = index(&random)
            for _ in 0..<20 {
                var query = query(index, &random)
                // A namespace by its name is that one, whatever else is said.
                if query.namespace != nil { query.isInDefault = nil }
                let all = plain(index, query)
                for countMax in [Int.max, 0, 1, random.number(2...400)] {
                    let (found, wanted) = (index.found(query, countMax: countMax), Array(all.prefix(countMax)))
                    guard found != wanted else { continue }
                    Issue.record("seed \(seed), round \(round), \(query), at most \(countMax): \(found), not \(wanted)")
                    return
                }
            }
        }
    }

    /// More names than are looked at in one go, and more that fit than are put in order at once.
    @Test func manyNames() {
        var random = RandomNames()
        let seed = random.generator.seed
        let builder = CatalogBuilder(isCaseSensitive: false, keepsDefinitions: false, byteCountMax: 64 << 20)
        builder.add(NamespaceRecord(name: builder.text("main")))
        for number in 0..<9_000 {
            let name = "\(random.name())\(random.isTrue(oneOf: 2) ? "_\(number)" : "")"
            builder.add(RelationRecord(name: builder.text(name), namespace: 0, kind: .table))
        }
        let index = builder.finish()
        for text in ["", "o", "or", "oi", "ordr", "_", "tm", "42", "xo", "ä", "日", "order_item", "oiii", "oiiiiiiiii"] {
            var query = CatalogQuery(level: .relations)
            query.pattern = pattern(text)
            let all = plain(index, query)
            for countMax in [1, 50, 129, 1_000, Int.max] {
                let isSame = index.found(query, countMax: countMax) == Array(all.prefix(countMax))
                #expect(isSame, "seed \(seed), \(text), at most \(countMax)")
            }
        }
    }
}
