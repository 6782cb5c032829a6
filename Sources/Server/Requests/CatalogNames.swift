// The catalog of a database, as completion asks for its names.

internal import Catalog
internal import Completion

/// Names of a catalog's index; only memory is read.
/// - Thread: any.
struct CatalogNames: CompletionSchema {
    let index: CatalogIndex
    let dialect: CompletionDialect
    let isComplete: Bool

    // MARK: Namespaces and relations

    func namespaces(matching pattern: NamePattern, limit: Int) -> [String] {
        names(.namespaces, matching: pattern, limit: limit)
    }

    func hasNamespace(_ name: String) -> Bool { namespace(name) != nil }

    private func namespace(_ name: String) -> Int? { named(name) { index.namespace(named: $0) } }

    private func named<Found>(_ name: String, _ find: (UnsafeRawBufferPointer) -> Found?) -> Found? {
        var name = name
        return name.withUTF8 { find(UnsafeRawBufferPointer($0)) }
    }

    func relations(matching pattern: NamePattern, in namespace: String?, limit: Int)
        -> [CompletionRelation]
    {
        visibleFirst(.relations, matching: pattern, in: namespace, limit: limit).compactMap { relation($0) }
    }

    /// Without a namespace, those that need none before the others, of which there may be more than are wanted.
    private func visibleFirst(
        _ level: CatalogLevel, matching pattern: NamePattern, in namespace: String?, limit: Int
    ) -> [Int] {
        if let namespace { return numbers(level, matching: pattern, in: Array(namespace.utf8), limit: limit) }
        var found: [Int] = []
        let visible = index.namespaces.filter(\.isDefault)
        for record in visible where found.count < limit {
            found += numbers(
                level, matching: pattern, in: Array(index.bytes(record.name)), limit: limit - found.count)
        }
        if found.count >= limit || visible.count == index.namespaces.count { return found }
        return found
            + numbers(level, matching: pattern, in: nil, isInDefault: false, limit: limit - found.count)
    }

    func relation(named name: String, in namespace: String?) -> CompletionRelation? {
        if let namespace {
            guard let place = self.namespace(namespace) else { return nil }
            return named(name) { index.relation(named: $0, in: place) }.flatMap { relation($0) }
        }
        for isDefault in [true, false] {
            // SQLite looks for a name in every database that is attached; the others know it only with its namespace.
            if !isDefault, dialect != .sqlite { return nil }
            for (place, record) in index.namespaces.enumerated() where record.isDefault == isDefault {
                if let number = named(name, { index.relation(named: $0, in: place) }) {
                    return relation(number)
                }
            }
        }
        return nil
    }

    private func relation(_ number: Int) -> CompletionRelation? {
        let record = index.relations[number]
        let namespace = index.namespaces[Int(record.namespace)]
        guard let name = name(record.name) else { return nil }
        return CompletionRelation(
            namespace: shortened(namespace.name), name: name,
            kind: "\(record.kind.name)",
            isVisible: namespace.isDefault || dialect == .redis, number: number)
    }

    // MARK: What belongs to a relation

    func columns(of relation: CompletionRelation) -> [CompletionColumn] {
        guard index.relations.indices.contains(relation.number) else { return [] }
        return index.columns(of: relation.number).prefix(Self.columnCountMax).compactMap { number in
            let record = index.columns[number]
            guard let name = name(record.name) else { return nil }
            return CompletionColumn(
                name, type: shortened(record.type), isHidden: record.isHidden,
                isGenerated: record.generated != .no || record.identity == .always)
        }
    }

    func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey] {
        guard index.relations.indices.contains(relation.number) else { return [] }
        let own = index.foreignKeys(of: relation.number).prefix(Self.keyCountMax).map { $0 }
        let others = index.foreignKeys(to: relation.number).prefix(Self.keyCountMax).map { Int($0) }
            .filter { !own.contains($0) }
        return (own + others).compactMap { number in
            let record = index.foreignKeys[number]
            guard let target = index.target(of: record), let from = self.relation(Int(record.relation)),
                let to = self.relation(target), let columns = names(record.columns),
                let targetColumns = names(record.targetColumns)
            else { return nil }
            return CompletionForeignKey(from: from, columns, to: to, targetColumns)
        }
    }

    private static let keyCountMax = 200
    private static let keyColumnCountMax = 32
    private static let columnCountMax = 4_096

    // MARK: Bounds

    /// A longer name is nobody's to type, and many of them would be more than the daemon can hold: such a one is left out.
    private static let nameByteCountMax = 512

    private func name(_ text: CatalogText) -> String? {
        index.bytes(text).count <= Self.nameByteCountMax ? index.string(text) : nil
    }

    private func shortened(_ text: CatalogText) -> String {
        String(decoding: index.bytes(text).prefix(Self.nameByteCountMax), as: UTF8.self)
    }

    private func names(_ list: CatalogList) -> [String]? {
        guard index.count(list) <= Self.keyColumnCountMax else { return nil }
        var names: [String] = []
        for item in index.items(list) {
            guard let name = name(item) else { return nil }
            names.append(name)
        }
        return names
    }

    // MARK: Other names

    func routines(matching pattern: NamePattern, in namespace: String?, limit: Int)
        -> [CompletionRoutine]
    {
        visibleFirst(.routines, matching: pattern, in: namespace, limit: limit).map { number in
            let record = index.routines[number]
            let name = shortened(record.name)
            let arguments = shortened(record.arguments)
            let returned = shortened(record.returns)
            let own = index.namespaces[Int(record.namespace)]
            let call = "\(name)(\(arguments))" + (returned.isEmpty ? "" : " \(returned)")
            return CompletionRoutine(
                namespace: index.string(own.name), name: name,
                signature: dialect == .redis ? arguments : call,
                isProcedure: record.kind == .procedure, isVisible: own.isDefault || dialect == .redis)
        }
    }

    func types(matching pattern: NamePattern, limit: Int) -> [String] {
        names(.types, matching: pattern, limit: limit)
    }

    func objects(_ kind: CompletionObject, matching pattern: NamePattern, limit: Int) -> [String] {
        names(kind == .index ? .indexes : .triggers, matching: pattern, limit: limit)
    }

    private func names(_ level: CatalogLevel, matching pattern: NamePattern, limit: Int) -> [String] {
        numbers(level, matching: pattern, in: nil, limit: limit).map { number in
            switch level {
            case .namespaces: shortened(index.namespaces[number].name)
            case .indexes: shortened(index.indexes[number].name)
            case .triggers: shortened(index.triggers[number].name)
            case .types: shortened(index.types[number].name)
            default: ""
            }
        }
    }

    /// Records of a level that fit, the best first.
    private func numbers(
        _ level: CatalogLevel, matching pattern: NamePattern, in namespace: [UInt8]?, isInDefault: Bool? = nil,
        limit: Int
    ) -> [Int] {
        var query = CatalogQuery(level: level)
        query.namespace = namespace
        query.isInDefault = isInDefault
        if !pattern.isEmpty { query.pattern = pattern.bytes.withUnsafeBytes { CatalogPattern($0) } }
        switch index.select(query, countMax: limit) {
        case .ranges(let ranges): return Array(ranges.joined().prefix(limit))
        case .numbers(let numbers): return numbers.prefix(limit).map { Int($0) }
        case nil: return []
        }
    }
}
