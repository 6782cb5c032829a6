// The names of a catalog as a completion asks for them, against a plain sorted array of the same names.

import Catalog
import Completion
import LiteBaseTesting
import Testing

@testable import Server

/// A relation of the plain array.
private struct PlainRelation: Equatable {
    var namespace: Int
    var name: [UInt8]
    var columns: [[UInt8]]
}

private func folded(_ bytes: [UInt8]) -> [UInt8] { bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 } }

/// The order of a catalog: case counts only between names that are the same otherwise.
private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    let (first, second) = (folded(left), folded(right))
    return first == second ? left.lexicographicallyPrecedes(right) : first.lexicographicallyPrecedes(second)
}

/// Names, the same ones as an index and as arrays.
private struct PlainCatalog {
    var generator: SeededGenerator
    let isCaseSensitive: Bool
    var namespaces: [(name: [UInt8], isDefault: Bool)] = []
    /// Sorted.
    var relations: [PlainRelation] = []

    private static let pieces = [
        "order", "Order", "ORDER", "item", "_", " ", ".", "\"", "\"\"", "'", "`", "[", "]", "\\", "ä", "Ä", "é",
        "e\u{301}", "日本語",
        "🙂", "ß", "İ", "\u{0}", "\n", "\u{feff}", "a", "A", "z", "Z", "1", "42", "oI", "@", "{", "\u{7f}",
    ]
    static let nameByteCountMax = 512

    init(_ generator: SeededGenerator) {
        self.generator = generator
        isCaseSensitive = self.generator.next() & 1 == 0
        let names = [Array("main".utf8), Array("Main".utf8), Array("temp".utf8), name()]
        for (number, name) in names.enumerated()
        where !isTrue(oneOf: 4) && !namespaces.contains(where: { $0.name == name }) {
            namespaces.append((name, number == 0 || isTrue(oneOf: 3)))
        }
        guard !namespaces.isEmpty else { return }
        var known: Set<[UInt8]> = []
        for _ in 0..<number(0...120) {
            let namespace = number(0...namespaces.count - 1)
            let name =
                relations.isEmpty || !isTrue(oneOf: 4)
                ? name() : variant(of: relations[number(0...relations.count - 1)].name)
            guard known.insert([UInt8(namespace)] + name).inserted else { continue }
            relations.append(
                PlainRelation(namespace: namespace, name: name, columns: (0..<number(0...4)).map { _ in self.name() }))
        }
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    mutating func isTrue(oneOf count: Int) -> Bool { number(1...count) == 1 }

    /// Now and then one that is longer than what is shown, just as long, or empty.
    mutating func name() -> [UInt8] {
        switch number(0...30) {
        case 0: return Array(repeating: UInt8(number(0x41...0x7a)), count: Self.nameByteCountMax + number(-1...1))
        case 1: return Array(repeating: 0x78, count: number(1...20_000))
        case 2: return [UInt8(number(0x80...0xff)), UInt8(number(0...0xff))]
        default:
            return Array(
                (0..<number(0...6)).map { _ in Self.pieces.randomElement(using: &generator) ?? "" }.joined().utf8)
        }
    }

    /// The same name in other letters.
    mutating func variant(of name: [UInt8]) -> [UInt8] {
        name.map { byte in
            let isLetter = (0x41...0x5a).contains(byte & 0xdf)
            return isLetter && generator.next() & 1 == 0 ? byte ^ 0x20 : byte
        }
    }

    /// As rows would fill it, in an order of its own; then the array is put in order.
    mutating func fill() -> CatalogIndex {
        let builder = CatalogBuilder(isCaseSensitive: isCaseSensitive, keepsDefinitions: false, byteCountMax: 64 << 20)
        func text(_ bytes: [UInt8]) -> CatalogText { bytes.withUnsafeBytes { builder.text($0) } }
        for (name, isDefault) in namespaces {
            var record = NamespaceRecord(name: text(name))
            record.isDefault = isDefault
            builder.add(record)
        }
        relations.shuffle(using: &generator)
        var columns: [(relation: UInt32, position: Int, name: [UInt8])] = []
        for relation in relations {
            let number = builder.add(
                RelationRecord(name: text(relation.name), namespace: UInt32(relation.namespace), kind: .table))
            for (place, name) in relation.columns.enumerated() { columns.append((number, place + 1, name)) }
        }
        for column in columns {
            builder.add(
                ColumnRecord(
                    relation: column.relation, name: text(column.name), position: UInt16(column.position), type: .none))
        }
        relations.sort { $0.namespace != $1.namespace ? $0.namespace < $1.namespace : precedes($0.name, $1.name) }
        return builder.finish()
    }

    // MARK: What is to be found

    func isSame(_ name: [UInt8], _ other: [UInt8]) -> Bool {
        isCaseSensitive ? name == other : folded(name) == folded(other)
    }

    func namespace(_ name: [UInt8]) -> Int? {
        namespaces.firstIndex { $0.name == name } ?? namespaces.firstIndex { isSame($0.name, name) }
    }

    func relation(_ name: [UInt8], in namespace: Int) -> Int? {
        relations.firstIndex { $0.namespace == namespace && $0.name == name }
            ?? relations.firstIndex { $0.namespace == namespace && isSame($0.name, name) }
    }

    /// The best first: as a search of each name by itself ranks them; without a pattern in their order.
    func ranked(_ numbers: [Int], _ pattern: NamePattern) -> [Int] {
        guard !pattern.isEmpty else { return numbers }
        let wanted = pattern.bytes.withUnsafeBytes { CatalogPattern($0) }
        var found: [(rank: CatalogPattern.Rank, number: Int)] = []
        for number in numbers {
            if let rank = relations[number].name.withUnsafeBytes({ wanted.rank($0) }) { found.append((rank, number)) }
        }
        return found.sorted { $0 < $1 }.map(\.number)
    }

    func numbers(of namespaces: [Int]) -> [Int] {
        namespaces.flatMap { namespace in relations.indices.filter { relations[$0].namespace == namespace } }
    }

    /// Without a namespace, each of the default ones before all others.
    func found(_ pattern: NamePattern, in namespace: [UInt8]?, limit: Int) -> [Int] {
        if let namespace {
            return self.namespace(namespace).map { Array(ranked(numbers(of: [$0]), pattern).prefix(limit)) } ?? []
        }
        let visible = namespaces.indices.filter { namespaces[$0].isDefault }
        let others = namespaces.indices.filter { !namespaces[$0].isDefault }
        let all = visible.flatMap { ranked(numbers(of: [$0]), pattern) } + ranked(numbers(of: others), pattern)
        return Array(all.prefix(limit))
    }

    /// A name that is there, one that differs in case or at its end, or any.
    mutating func wanted() -> [UInt8] {
        guard let relation = relations.randomElement(using: &generator) else { return name() }
        switch number(0...4) {
        case 0: return relation.name
        case 1: return variant(of: relation.name)
        case 2: return Array(variant(of: relation.name).prefix(number(0...relation.name.count)))
        case 3: return relation.name + [UInt8(number(0...0x7f))]
        default: return name()
        }
    }
}

@Suite("Names of a catalog for completion, and a plain sorted array of them")
struct CatalogNamesTests {
    private static let limits = [1, 2, 7, 50, 1_000]

    @Test func findsWhatAnArrayHas() {
        var seeds = SeededGenerator.fresh
        for _ in 0..<12 {
            // A run with LITEBASE_TEST_SEED begins with the seed that a failure tells.
            var plain = PlainCatalog(SeededGenerator(seed: seeds.seed))
            check(&plain)
            seeds = SeededGenerator(seed: seeds.next())
        }
    }

    private func check(_ plain: inout PlainCatalog) {
        let index = plain.fill()
        let seed = "LITEBASE_TEST_SEED=\(plain.generator.seed)"
        #expect(
            index.relations.map { Array(index.bytes($0.name)) } == plain.relations.map(\.name), "\(seed): the order")
        let dialect: CompletionDialect = plain.isCaseSensitive ? .postgresql : .sqlite
        let names = CatalogNames(index: index, dialect: dialect, isComplete: true)
        for _ in 0..<10 {
            let wanted = plain.wanted()
            checkLookups(plain, names, wanted, seed)
            checkPrefixes(plain, index, wanted, seed)
            checkSearches(plain, names, wanted, seed)
        }
        checkColumns(plain, names, seed)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Only a name that is text can be asked for.
    private func isText(_ bytes: [UInt8]) -> Bool { Array(text(bytes).utf8) == bytes }

    /// What is shown: longer names are left out.
    private func shown(_ plain: PlainCatalog, _ numbers: [Int]) -> [Int] {
        numbers.filter { plain.relations[$0].name.count <= PlainCatalog.nameByteCountMax }
    }

    private func checkLookups(_ plain: PlainCatalog, _ names: CatalogNames, _ wanted: [UInt8], _ seed: String) {
        guard isText(wanted) else { return }
        #expect(names.hasNamespace(text(wanted)) == (plain.namespace(wanted) != nil), "\(seed): namespace \(wanted)")
        for (number, namespace) in plain.namespaces.enumerated() where isText(namespace.name) {
            let found = names.relation(named: text(wanted), in: text(namespace.name))
            let expected = shown(plain, [plain.relation(wanted, in: number)].compactMap(\.self)).first
            #expect(found?.number == expected, "\(seed): \(wanted) in \(namespace.name)")
            guard let found, let expected else { continue }
            #expect(found.name == text(plain.relations[expected].name), "\(seed): \(wanted)")
            #expect(found.isVisible == namespace.isDefault, "\(seed): \(wanted)")
        }
        let order =
            plain.namespaces.indices.filter { plain.namespaces[$0].isDefault }
            + (plain.isCaseSensitive ? [] : plain.namespaces.indices.filter { !plain.namespaces[$0].isDefault })
        let first = order.lazy.compactMap { plain.relation(wanted, in: $0) }.first
        #expect(
            names.relation(named: text(wanted), in: nil)?.number == shown(plain, [first].compactMap(\.self)).first,
            "\(seed): \(wanted) anywhere")
    }

    private func checkPrefixes(_ plain: PlainCatalog, _ index: CatalogIndex, _ prefix: [UInt8], _ seed: String) {
        for number in plain.namespaces.indices {
            let found = prefix.withUnsafeBytes { index.relations(of: number, withPrefix: $0) }
            let expected = plain.relations.indices.filter {
                plain.relations[$0].namespace == number && folded(plain.relations[$0].name).starts(with: folded(prefix))
            }
            #expect(Array(found) == expected, "\(seed): prefix \(prefix) in \(number)")
        }
    }

    private func checkSearches(_ plain: PlainCatalog, _ names: CatalogNames, _ wanted: [UInt8], _ seed: String) {
        for pattern in [NamePattern(wanted), NamePattern([])] {
            for namespace in plain.namespaces.map({ Optional($0.name) }) + [nil, Array("nowhere".utf8)] {
                guard namespace.map(isText) ?? true else { continue }
                for limit in Self.limits {
                    let found = names.relations(matching: pattern, in: namespace.map(text), limit: limit)
                    let expected = plain.found(pattern, in: namespace, limit: limit)
                    #expect(
                        found.map(\.number) == shown(plain, expected),
                        "\(seed): \(limit) of \(pattern.bytes) in \(namespace.map(text) ?? "all")")
                }
            }
        }
    }

    private func checkColumns(_ plain: PlainCatalog, _ names: CatalogNames, _ seed: String) {
        for (number, relation) in plain.relations.enumerated() {
            let found = names.columns(of: CompletionRelation(namespace: "", name: "", number: number))
            let expected = relation.columns.filter { $0.count <= PlainCatalog.nameByteCountMax }
            #expect(found.map(\.name) == expected.map(text), "\(seed): columns of \(relation.name)")
        }
        #expect(names.columns(of: CompletionRelation(namespace: "", name: "", number: plain.relations.count)).isEmpty)
    }
}
