// A catalog in memory: what one login sees of one database.

/// The names and properties of everything in a database, immutable and in order.
///
/// Records are found by number. Relations are ordered by namespace, then by name without regard to case; what belongs to
/// relations is in their order, routines and types are ordered as relations are.
/// - Thread: any.
public final class CatalogIndex: @unchecked Sendable {
    let pool: CatalogPool
    public let namespaces: [NamespaceRecord]
    public let relations: [RelationRecord]
    public let columns: [ColumnRecord]
    private let details: [ColumnDetails]
    public let keys: [KeyRecord]
    public let foreignKeys: [ForeignKeyRecord]
    public let indexes: [IndexRecord]
    public let triggers: [TriggerRecord]
    public let routines: [RoutineRecord]
    public let types: [TypeRecord]
    /// By relation, and one more: where its records begin.
    private let columnStarts: [UInt32]
    private let keyStarts: [UInt32]
    private let foreignKeyStarts: [UInt32]
    private let indexStarts: [UInt32]
    private let triggerStarts: [UInt32]
    /// By namespace, and one more.
    private let relationStarts: [UInt32]
    private let routineStarts: [UInt32]
    private let typeStarts: [UInt32]
    /// The names of relations as a search reads them.
    let relationNames: RelationNames
    /// Numbers of foreign keys whose target is known, by their targets.
    private let incoming: [UInt32]
    /// Whether names differ if their letters differ only in case.
    public let isCaseSensitive: Bool
    public let hasDefinitions: Bool
    /// Bytes that it needs.
    public let byteCount: Int
    private let digests: (content: UInt64, definitions: UInt64)

    init(_ builder: CatalogBuilder, etag: (UInt64, UInt64)) {
        let namespaceCount = builder.namespaces.count
        let pool = builder.takePool()
        let relationOrder = NameOrder(builder.relations, pool)
        relations = relationOrder.arranged(builder.relations)
        relationStarts = starts(relations, namespaceCount) { $0.namespace }
        relationNames = RelationNames(relations, pool)
        routines = NameOrder(builder.routines, pool).arranged(builder.routines)
        routineStarts = starts(routines, namespaceCount) { $0.namespace }
        types = NameOrder(builder.types, pool).arranged(builder.types)
        typeStarts = starts(types, namespaceCount) { $0.namespace }
        (columns, columnStarts) = relationOrder.arranged(ofRelations: builder.columns)
        (keys, keyStarts) = relationOrder.arranged(ofRelations: builder.keys)
        (indexes, indexStarts) = relationOrder.arranged(ofRelations: builder.indexes)
        (triggers, triggerStarts) = relationOrder.arranged(ofRelations: builder.triggers)
        namespaces = builder.namespaces
        details = builder.details
        isCaseSensitive = builder.isCaseSensitive
        hasDefinitions = builder.keepsDefinitions
        digests = etag
        var foreignKeys: [ForeignKeyRecord]
        (foreignKeys, foreignKeyStarts) = relationOrder.arranged(ofRelations: builder.foreignKeys)
        let names = NameLookup(namespaces, relations, relationStarts, isCaseSensitive: builder.isCaseSensitive)
        for index in foreignKeys.indices {
            foreignKeys[index].target = names.target(of: foreignKeys[index], pool).map { UInt32($0) } ?? .max
        }
        let targets = foreignKeys
        incoming = targets.indices.filter { targets[$0].target != .max }
            .sorted { (targets[$0].target, $0) < (targets[$1].target, $1) }.map { UInt32($0) }
        self.foreignKeys = foreignKeys
        byteCount = pool.byteCount + builder.recordByteCount + (6 * relations.count + incoming.count) * 4
        self.pool = pool
    }

    // MARK: Texts

    /// The bytes of a text; valid as long as the index. None for null.
    public func bytes(_ text: CatalogText) -> UnsafeRawBufferPointer { pool.bytes(text) }
    public func bytes(_ definition: CatalogDefinition) -> UnsafeRawBufferPointer { pool.bytes(definition) }

    public func string(_ text: CatalogText) -> String { String(decoding: bytes(text), as: UTF8.self) }

    public func count(_ list: CatalogList) -> Int { pool.count(list) }
    public func item(_ list: CatalogList, _ index: Int) -> CatalogText { pool.item(list, index) }
    public func items(_ list: CatalogList) -> [CatalogText] { (0..<count(list)).map { item(list, $0) } }

    public func details(of column: ColumnRecord) -> ColumnDetails {
        column.details == 0 ? ColumnDetails() : details[Int(column.details) - 1]
    }

    // MARK: What belongs to what

    public func relations(of namespace: Int) -> Range<Int> { range(relationStarts, namespace) }
    public func routines(of namespace: Int) -> Range<Int> { range(routineStarts, namespace) }
    public func types(of namespace: Int) -> Range<Int> { range(typeStarts, namespace) }
    public func columns(of relation: Int) -> Range<Int> { range(columnStarts, relation) }
    public func keys(of relation: Int) -> Range<Int> { range(keyStarts, relation) }
    public func foreignKeys(of relation: Int) -> Range<Int> { range(foreignKeyStarts, relation) }
    public func indexes(of relation: Int) -> Range<Int> { range(indexStarts, relation) }
    public func triggers(of relation: Int) -> Range<Int> { range(triggerStarts, relation) }

    private func range(_ starts: [UInt32], _ number: Int) -> Range<Int> {
        Int(starts[number])..<Int(starts[number + 1])
    }

    /// The numbers of the foreign keys that lead to a relation.
    public func foreignKeys(to relation: Int) -> ArraySlice<UInt32> {
        let start = incoming.partition { foreignKeys[Int($0)].target >= relation }
        let end = incoming.partition { foreignKeys[Int($0)].target > relation }
        return incoming[start..<end]
    }

    /// The relation that a foreign key leads to; `nil` if the catalog has none.
    public func target(of foreignKey: ForeignKeyRecord) -> Int? {
        foreignKey.target == .max ? nil : Int(foreignKey.target)
    }

    // MARK: Names

    /// The namespace with that name.
    public func namespace(named name: UnsafeRawBufferPointer) -> Int? {
        names.namespace(named: name, pool)
    }

    /// The relation with that name in a namespace.
    /// - Cost: O(log n).
    public func relation(named name: UnsafeRawBufferPointer, in namespace: Int) -> Int? {
        names.relation(named: name, in: namespace, pool)
    }

    /// The relations of a namespace whose names begin so, whatever the case of letters.
    /// - Cost: O(log n).
    public func relations(of namespace: Int, withPrefix prefix: UnsafeRawBufferPointer) -> Range<Int> {
        names.relations(of: namespace, withPrefix: prefix, pool)
    }

    private var names: NameLookup {
        NameLookup(namespaces, relations, relationStarts, isCaseSensitive: isCaseSensitive)
    }

    // MARK: Whether it has changed

    /// Two indexes with the same mark have the same content.
    public func etag(definitions: Bool) -> String {
        let content = String(digests.content, radix: 16)
        return definitions ? "\(content)-\(String(digests.definitions, radix: 16))" : content
    }
}

/// Where the records of each owner begin, and where the last ones end; the records are in the order of their owners.
private func starts<Record>(_ records: [Record], _ count: Int, _ owner: (Record) -> UInt32) -> [UInt32] {
    var starts = [UInt32](repeating: 0, count: count + 1)
    for record in records { starts[Int(owner(record)) + 1] += 1 }
    for index in 0..<count { starts[index + 1] += starts[index] }
    return starts
}
