// The rows of a level, from an index to a reply.

internal import Catalog
internal import DatabaseContract

/// Writes records as rows.
///
/// - Source: docs/protocol.md, Catalog.
struct CatalogRows {
    let index: CatalogIndex
    private let level: CatalogLevel
    private let fields: [CatalogField]
    private let selection: CatalogSelection
    /// The next one, and within which run.
    private var place = 0
    private var run = 0

    init(_ index: CatalogIndex, _ level: CatalogLevel, _ selection: CatalogSelection, definitions: Bool) {
        self.index = index
        self.level = level
        self.selection = selection
        fields = level.columns.filter { definitions || $0 != .definition }
    }

    var columns: ColumnSet {
        ColumnSet(
            fields.map { ColumnDescription(name: Array($0.name.utf8), type: Self.type(of: $0), declaredType: nil) })
    }

    private static func type(of field: CatalogField) -> String {
        switch field.shape {
        case .text: "text"
        case .integer: "integer"
        case .bool: "boolean"
        case .list: "array"
        case .map: "map"
        }
    }

    /// The number of the next record; `nil` behind the last one.
    mutating func next() -> Int? {
        switch selection {
        case .numbers(let numbers):
            guard place < numbers.count else { return nil }
            defer { place += 1 }
            return Int(numbers[place])
        case .ranges(let ranges):
            while run < ranges.count {
                if place < ranges[run].count {
                    defer { place += 1 }
                    return ranges[run].lowerBound + place
                }
                run += 1
                place = 0
            }
            return nil
        }
    }

    // MARK: One row

    func write(_ number: Int, to sink: WireRowSink) {
        switch level {
        case .namespaces: write(index.namespaces[number], sink)
        case .relations: write(index.relations[number], sink)
        case .columns: write(index.columns[number], sink)
        case .keys: write(index.keys[number], sink)
        case .foreignKeys: write(index.foreignKeys[number], sink)
        case .indexes: write(index.indexes[number], sink)
        case .triggers: write(index.triggers[number], sink)
        case .routines: write(index.routines[number], sink)
        case .types: write(index.types[number], sink)
        }
    }

    private func write(_ record: NamespaceRecord, _ sink: WireRowSink) {
        text(record.name, sink)
        sink.bool(record.isDefault)
        text(record.owner, sink)
        text(record.comment, sink)
        map(record.extra, sink)
    }

    private func write(_ record: RelationRecord, _ sink: WireRowSink) {
        text(index.namespaces[Int(record.namespace)].name, sink)
        text(record.name, sink)
        word(record.kind.name, sink)
        text(record.comment, sink)
        integer(record.rowEstimate, sink)
        integer(record.sizeBytes, sink)
        definition(record.definition, sink)
        map(record.extra, sink)
    }

    private func write(_ record: ColumnRecord, _ sink: WireRowSink) {
        owner(record.relation, sink)
        text(record.name, sink)
        sink.integer(Int64(record.position))
        text(record.type, sink)
        sink.bool(record.isNullable)
        let details = index.details(of: record)
        text(details.defaultValue, sink)
        if record.generated == .no { sink.null() } else { word(record.generated.name, sink) }
        if record.identity == .no { sink.null() } else { word(record.identity.name, sink) }
        sink.bool(record.isHidden)
        text(details.collation, sink)
        integer(record.keyPosition == 0 ? nil : Int64(record.keyPosition), sink)
        text(details.comment, sink)
        map(details.extra, sink)
    }

    private func write(_ record: KeyRecord, _ sink: WireRowSink) {
        owner(record.relation, sink)
        text(record.name, sink)
        word(record.kind.name, sink)
        list(record.columns, sink)
        map(record.extra, sink)
    }

    private func write(_ record: ForeignKeyRecord, _ sink: WireRowSink) {
        owner(record.relation, sink)
        text(record.name, sink)
        list(record.columns, sink)
        text(record.targetNamespace, sink)
        text(record.targetRelation, sink)
        list(record.targetColumns, sink)
        text(record.onUpdate, sink)
        text(record.onDelete, sink)
        map(record.extra, sink)
    }

    private func write(_ record: IndexRecord, _ sink: WireRowSink) {
        owner(record.relation, sink)
        text(record.name, sink)
        sink.bool(record.isUnique)
        list(record.columns, sink)
        text(record.method, sink)
        text(record.predicate, sink)
        definition(record.definition, sink)
        map(record.extra, sink)
    }

    private func write(_ record: TriggerRecord, _ sink: WireRowSink) {
        owner(record.relation, sink)
        text(record.name, sink)
        text(record.timing, sink)
        list(record.events, sink)
        definition(record.definition, sink)
        map(record.extra, sink)
    }

    private func write(_ record: RoutineRecord, _ sink: WireRowSink) {
        text(index.namespaces[Int(record.namespace)].name, sink)
        text(record.name, sink)
        word(record.kind.name, sink)
        text(record.arguments, sink)
        text(record.returns, sink)
        text(record.language, sink)
        text(record.comment, sink)
        definition(record.definition, sink)
        map(record.extra, sink)
    }

    private func write(_ record: TypeRecord, _ sink: WireRowSink) {
        text(index.namespaces[Int(record.namespace)].name, sink)
        text(record.name, sink)
        word(record.kind.name, sink)
        list(record.labels, sink)
        text(record.base, sink)
        text(record.comment, sink)
        definition(record.definition, sink)
        map(record.extra, sink)
    }

    // MARK: Values

    private func owner(_ relation: UInt32, _ sink: WireRowSink) {
        let record = index.relations[Int(relation)]
        text(index.namespaces[Int(record.namespace)].name, sink)
        text(record.name, sink)
    }

    private func text(_ text: CatalogText, _ sink: WireRowSink) {
        if text.isNone { sink.null() } else { sink.text(index.bytes(text)) }
    }

    private func word(_ name: StaticString, _ sink: WireRowSink) {
        sink.text(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    private func integer(_ value: Int64?, _ sink: WireRowSink) {
        if let value { sink.integer(value) } else { sink.null() }
    }

    private func definition(_ definition: CatalogDefinition, _ sink: WireRowSink) {
        guard fields.contains(.definition) else { return }
        if definition.isNone { sink.null() } else { sink.text(index.bytes(definition)) }
    }

    private func map(_ map: CatalogText, _ sink: WireRowSink) {
        if map.isNone { sink.null() } else { sink.object(index.bytes(map)) }
    }

    private func list(_ list: CatalogList, _ sink: WireRowSink) {
        if list.isNone { return sink.null() }
        let count = index.count(list)
        sink.openList(count)
        for place in 0..<count { text(index.item(list, place), sink) }
        sink.closeList()
    }
}
