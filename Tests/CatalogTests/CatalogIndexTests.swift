import Catalog
import LiteBaseTesting
import Testing

/// A builder that is filled by names.
struct Example {
    let builder: CatalogBuilder

    init(isCaseSensitive: Bool = false, keepsDefinitions: Bool = false) {
        builder = CatalogBuilder(
            isCaseSensitive: isCaseSensitive, keepsDefinitions: keepsDefinitions, byteCountMax: 64 << 20)
    }

    @discardableResult
    func namespace(_ name: String) -> UInt32 { builder.add(NamespaceRecord(name: builder.text(name))) }

    @discardableResult
    func relation(_ name: String, in namespace: UInt32 = 0, _ kind: CatalogKind = .table, _ columns: [String] = [])
        -> UInt32
    {
        let number = builder.add(RelationRecord(name: builder.text(name), namespace: namespace, kind: kind))
        for (place, column) in columns.enumerated() {
            builder.add(
                ColumnRecord(
                    relation: number, name: builder.text(column), position: UInt16(place + 1), type: builder.text("int")
                ))
        }
        return number
    }

    func list(_ names: [String]) -> CatalogList { builder.list(names.map { builder.text($0) }) }
}

extension CatalogIndex {
    func namespace(_ name: String) -> Int? { Array(name.utf8).withUnsafeBytes { namespace(named: $0) } }
    func relation(_ name: String, in namespace: Int = 0) -> Int? {
        Array(name.utf8).withUnsafeBytes { relation(named: $0, in: namespace) }
    }
    func names(of relation: Int) -> [String] { columns(of: relation).map { string(columns[$0].name) } }
    func names(withPrefix prefix: String) -> [String] {
        Array(prefix.utf8).withUnsafeBytes { relations(of: 0, withPrefix: $0) }.map { string(relations[$0].name) }
    }
    func found(_ query: CatalogQuery, countMax: Int = .max) -> [Int] {
        switch select(query, countMax: countMax) {
        case .ranges(let ranges): ranges.flatMap { Array($0) }
        case .numbers(let numbers): numbers.map { Int($0) }
        case nil: []
        }
    }
    func search(_ text: String, _ kinds: CatalogKinds = .all, countMax: Int = .max) -> [String] {
        var query = CatalogQuery(level: .relations)
        query.pattern = pattern(text)
        query.kinds = kinds
        return found(query, countMax: countMax).map { string(relations[$0].name) }
    }
}

func pattern(_ text: String) -> CatalogPattern { Array(text.utf8).withUnsafeBytes { CatalogPattern($0) } }

@Suite struct CatalogIndexTests {
    @Test func whatBelongsToRelationsFollowsTheirOrder() {
        let example = Example()
        example.namespace("main")
        let zebra = example.relation("zebra", in: 0, .table, ["z1", "z2"])
        let ant = example.relation("Ant", in: 0, .view, ["a1"])
        example.builder.add(KeyRecord(relation: zebra, kind: .primary, columns: example.list(["z1"])))
        var reference = ForeignKeyRecord(
            relation: zebra, columns: example.list(["z2"]), targetNamespace: example.builder.text("MAIN"),
            targetRelation: example.builder.text("ANT"), targetColumns: example.list(["a1"]))
        reference.onDelete = example.builder.text("CASCADE")
        example.builder.add(reference)
        example.builder.add(TriggerRecord(relation: ant, name: example.builder.text("t")))
        let index = example.builder.finish()
        #expect(index.relations.map { index.string($0.name) } == ["Ant", "zebra"])
        #expect(index.names(of: 0) == ["a1"])
        #expect(index.names(of: 1) == ["z1", "z2"])
        #expect(index.keys(of: 0).isEmpty)
        #expect(index.keys(of: 1) == 0..<1)
        #expect(index.triggers(of: 0) == 0..<1)
        #expect(index.foreignKeys(to: 0) == [0])
        #expect(index.foreignKeys(to: 1).isEmpty)
        #expect(index.target(of: index.foreignKeys[0]) == 0)
    }

    @Test func namesAreFoundWithAndWithoutCase() {
        for isCaseSensitive in [false, true] {
            let example = Example(isCaseSensitive: isCaseSensitive)
            example.namespace("main")
            example.namespace("Temp")
            for name in ["b", "B", "a", "abc", "ABD", "ab"] { example.relation(name) }
            example.relation("b", in: 1)
            let index = example.builder.finish()
            let upper = index.relation("B").map { index.string(index.relations[$0].name) }
            #expect(upper == "B")
            #expect(index.relation("b").map { index.string(index.relations[$0].name) } == "b")
            #expect((index.relation("ABC") == nil) == isCaseSensitive)
            #expect((index.namespace("temp") == nil) == isCaseSensitive)
            #expect(index.relation("nothing") == nil)
            #expect(index.names(withPrefix: "aB") == ["ab", "abc", "ABD"])
            #expect(index.names(withPrefix: "").count == 6)
            #expect(index.names(withPrefix: "zz").isEmpty)
        }
    }

    @Test func textsListsAndMapsComeBack() {
        let example = Example(keepsDefinitions: true)
        let builder = example.builder
        example.namespace("main")
        let long = String(repeating: "x", count: 70_000)
        var relation = RelationRecord(name: builder.text("t"), namespace: 0, kind: .table)
        relation.comment = builder.text(long)
        relation.definition = Array("CREATE".utf8).withUnsafeBytes { builder.definition($0) }
        relation.extra = builder.text("{\"strict\":true}")
        builder.add(KeyRecord(relation: 0, kind: .unique, columns: builder.list([.none, builder.text("")])))
        relation.rowEstimate = 7
        builder.add(relation)
        let index = builder.finish()
        let record = index.relations[0]
        #expect(index.string(record.comment) == long)
        #expect(Array(index.bytes(record.definition)) == Array("CREATE".utf8))
        #expect(record.rowEstimate == 7)
        #expect(record.sizeBytes == nil)
        #expect(index.string(record.extra) == "{\"strict\":true}")
        #expect(index.items(index.keys[0].columns).map(\.isNone) == [true, false])
    }

    @Test func anEtagHoldsAsLongAsTheContent() {
        func made(_ name: String, definition: String = "", keepsDefinitions: Bool = false) -> CatalogIndex {
            let example = Example(keepsDefinitions: keepsDefinitions)
            example.namespace("main")
            var relation = RelationRecord(name: example.builder.text(name), namespace: 0, kind: .view)
            relation.definition = Array(definition.utf8).withUnsafeBytes { example.builder.definition($0) }
            example.builder.add(relation)
            return example.builder.finish()
        }
        #expect(made("a").etag(definitions: false) == made("a").etag(definitions: false))
        #expect(made("a").etag(definitions: false) != made("b").etag(definitions: false))
        let (old, new) = (
            made("a", definition: "SELECT 1", keepsDefinitions: true),
            made("a", definition: "SELECT 2", keepsDefinitions: true)
        )
        #expect(old.etag(definitions: true) != new.etag(definitions: true))
        #expect(old.etag(definitions: false) == made("a").etag(definitions: false))
    }

    @Test func aBuilderKnowsItsLimit() {
        let builder = CatalogBuilder(isCaseSensitive: true, keepsDefinitions: false, byteCountMax: 10_000)
        builder.add(NamespaceRecord(name: builder.text("main")))
        #expect(throws: CatalogError.tooLarge(byteCountMax: 10_000)) {
            for number in 0..<1_000 {
                builder.add(RelationRecord(name: builder.text("table \(number)"), namespace: 0, kind: .table))
                try builder.checkSize()
            }
        }
    }

    /// Against dictionaries of names, whatever the order in which an engine tells them.
    @Test func equalsAModel() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            let example = Example(isCaseSensitive: true)
            let namespaces = Int.random(in: 1...4, using: &generator)
            for number in 0..<namespaces { example.namespace("n\(number)") }
            var model: [[String: [String]]] = Array(repeating: [:], count: namespaces)
            for _ in 0..<Int.random(in: 0...60, using: &generator) {
                let length = Int.random(in: 1...10, using: &generator)
                let name = String((0..<length).map { _ in "abAB_".randomElement(using: &generator) ?? "a" })
                let namespace = Int.random(in: 0..<namespaces, using: &generator)
                guard model[namespace][name] == nil else { continue }
                let columns = (0..<Int.random(in: 0...4, using: &generator)).map { "\(name)\($0)" }
                model[namespace][name] = columns
                example.relation(name, in: UInt32(namespace), .table, columns)
            }
            let index = example.builder.finish()
            #expect(index.relations.count == model.reduce(0) { $0 + $1.count })
            for (namespace, relations) in model.enumerated() {
                #expect(index.relations(of: namespace).count == relations.count)
                for (name, columns) in relations {
                    guard let number = index.relation(name, in: namespace) else { Issue.record("\(name)"); continue }
                    #expect(index.names(of: number) == columns)
                }
                var query = CatalogQuery(level: .columns)
                query.namespace = Array("n\(namespace)".utf8)
                let owners = index.found(query).map { Int(index.relations[Int(index.columns[$0].relation)].namespace) }
                #expect(owners == Array(repeating: namespace, count: relations.reduce(0) { $0 + $1.value.count }))
            }
        }
    }
}

@Suite struct CatalogSearchTests {
    private func index(_ names: [String]) -> CatalogIndex {
        let example = Example()
        example.namespace("main")
        for name in names { example.relation(name) }
        return example.builder.finish()
    }

    @Test func prefixBeforeAcronymBeforeSubsequence() {
        let index = index(["zoological_index", "oi", "OrderItems", "order_items", "oil", "soil", "other"])
        #expect(index.search("oi") == ["oi", "oil", "OrderItems", "order_items", "soil", "zoological_index"])
        #expect(index.search("OI").first == "oi")
        #expect(index.search("oi", countMax: 2) == ["oi", "oil"])
        #expect(index.search("xyz").isEmpty)
        #expect(index.search("").count == 7)
    }

    @Test func kindsAreASet() {
        let example = Example()
        example.namespace("main")
        example.relation("t", in: 0, .table, ["c"])
        example.relation("v", in: 0, .view, ["d"])
        let index = example.builder.finish()
        var kinds = CatalogKinds.none
        for (name, isKnown) in [("view", true), ("sequence", true), ("nothing", false)] {
            let known = Array(name.utf8).withUnsafeBytes { kinds.insert(named: $0) }
            #expect(known == isKnown)
        }
        #expect(index.search("", kinds) == ["v"])
        var query = CatalogQuery(level: .columns)
        query.kinds = kinds
        #expect(index.found(query).map { index.string(index.columns[$0].name) } == ["d"])
    }

    @Test func aSearchCanBeEnded() {
        let index = index(["a", "b"])
        var query = CatalogQuery(level: .relations)
        query.pattern = pattern("a")
        #expect(index.select(query, mayGoOn: { false }) == nil)
    }

    /// A name fits if and only if it has the characters in their order.
    @Test func fitsAsAModelSays() {
        func isSubsequence(_ pattern: String, of name: String) -> Bool {
            var rest = pattern.lowercased()[...]
            for character in name.lowercased() where character == rest.first { rest.removeFirst() }
            return rest.isEmpty
        }
        var generator = SeededGenerator(seed: 11)
        func word(_ range: ClosedRange<Int>) -> String {
            String(
                (0..<Int.random(in: range, using: &generator)).map { _ in
                    "abC_ Z1é".randomElement(using: &generator) ?? "a"
                })
        }
        for _ in 0..<5_000 {
            let (text, name) = (word(0...4), word(0...12))
            let rank = Array(name.utf8).withUnsafeBytes { pattern(text).rank($0) }
            #expect((rank != nil) == isSubsequence(text, of: name), "\(text) in \(name)")
            let found = index([name]).search(text)
            #expect(found.isEmpty == (rank == nil), "\(text) in \(name)")
        }
    }
}
