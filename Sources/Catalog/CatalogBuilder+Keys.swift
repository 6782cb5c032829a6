// What follows from something else that an engine has told.

extension CatalogBuilder {
    /// Makes primary keys and the places of columns in them agree, and completes foreign keys that name no target columns.
    func completeKeys() {
        var primary = primaryKeysByPosition()
        var known = Set<UInt32>()
        for key in keys where key.kind == .primary {
            known.insert(key.relation)
            primary[key.relation] = key.columns
        }
        let others = keys
        keys = []
        for (relation, columns) in primary.sorted(by: { $0.key < $1.key }) where !known.contains(relation) {
            add(KeyRecord(relation: relation, kind: .primary, columns: columns))
        }
        keys += others
        setPositions(primary)
        // An INTEGER that is only a part of the key is no row number.
        for index in columns.indices where columns[index].identity == .rowID {
            if let key = primary[columns[index].relation], pool.count(key) > 1 { columns[index].identity = .no }
        }
        completeForeignKeys(primary)
    }

    /// The primary keys that follow from the places of columns.
    private func primaryKeysByPosition() -> [UInt32: CatalogList] {
        var parts: [(relation: UInt32, position: UInt16, name: CatalogText)] = []
        for column in columns where column.keyPosition > 0 {
            parts.append((column.relation, column.keyPosition, column.name))
        }
        parts.sort { ($0.relation, $0.position) < ($1.relation, $1.position) }
        var found: [UInt32: CatalogList] = [:]
        var index = 0
        while index < parts.count {
            let relation = parts[index].relation
            let end = parts[index...].partition { $0.relation > relation }
            found[relation] = list(parts[index..<end].map(\.name))
            index = end
        }
        return found
    }

    private func setPositions(_ primary: [UInt32: CatalogList]) {
        for index in columns.indices where columns[index].keyPosition == 0 {
            guard let key = primary[columns[index].relation] else { continue }
            for place in 0..<pool.count(key) where pool.item(key, place) == columns[index].name {
                columns[index].keyPosition = UInt16(place + 1)
            }
        }
    }

    /// A foreign key without target columns leads to the primary key.
    private func completeForeignKeys(_ primary: [UInt32: CatalogList]) {
        for index in foreignKeys.indices {
            let key = foreignKeys[index]
            guard (0..<pool.count(key.targetColumns)).contains(where: { pool.item(key.targetColumns, $0).isNone }),
                let target = target(of: key), let columns = primary[target],
                pool.count(columns) == pool.count(key.columns)
            else { continue }
            foreignKeys[index].targetColumns = columns
        }
    }

    /// The number of the relation that a foreign key leads to.
    private func target(of key: ForeignKeyRecord) -> UInt32? {
        guard let namespace = namespace(named: key.targetNamespace) else { return nil }
        return relation(named: key.targetRelation, in: namespace)
    }
}
