// What follows from something else that an engine has told.

extension CatalogBuilder {
    /// Makes primary keys and the places of columns in them agree, and completes foreign keys that name no target columns.
    func completeKeys() {
        // By relation; an array, since most relations have one.
        var primary = primaryKeysByPosition()
        var isKnown = [Bool](repeating: false, count: relations.count)
        for key in keys where key.kind == .primary {
            isKnown[Int(key.relation)] = true
            primary[Int(key.relation)] = key.columns
        }
        let others = keys
        keys = []
        for (relation, columns) in primary.enumerated() where !columns.isNone && !isKnown[relation] {
            add(KeyRecord(relation: UInt32(relation), kind: .primary, columns: columns))
        }
        keys += others
        setPositions(primary)
        // An INTEGER that is only a part of the key is no row number.
        for index in columns.indices where columns[index].identity == .rowID {
            if pool.count(primary[Int(columns[index].relation)]) > 1 { columns[index].identity = .no }
        }
        completeForeignKeys(primary)
    }

    /// The primary keys that follow from the places of columns.
    private func primaryKeysByPosition() -> [CatalogList] {
        var parts: [(relation: UInt32, position: UInt16, name: CatalogText)] = []
        for column in columns where column.keyPosition > 0 {
            parts.append((column.relation, column.keyPosition, column.name))
        }
        let isOrdered = parts.indices.dropFirst().allSatisfy {
            (parts[$0 - 1].relation, parts[$0 - 1].position) <= (parts[$0].relation, parts[$0].position)
        }
        if !isOrdered { parts.sort { ($0.relation, $0.position) < ($1.relation, $1.position) } }
        var found = [CatalogList](repeating: .none, count: relations.count)
        var index = 0
        while index < parts.count {
            let relation = parts[index].relation
            var end = index + 1
            while end < parts.count, parts[end].relation == relation { end += 1 }
            found[Int(relation)] = list(parts[index..<end].map(\.name))
            index = end
        }
        return found
    }

    private func setPositions(_ primary: [CatalogList]) {
        for index in columns.indices where columns[index].keyPosition == 0 {
            let key = primary[Int(columns[index].relation)]
            for place in 0..<pool.count(key) where pool.item(key, place) == columns[index].name {
                columns[index].keyPosition = UInt16(place + 1)
            }
        }
    }

    /// A foreign key without target columns leads to the primary key.
    private func completeForeignKeys(_ primary: [CatalogList]) {
        for index in foreignKeys.indices {
            let key = foreignKeys[index]
            guard (0..<pool.count(key.targetColumns)).contains(where: { pool.item(key.targetColumns, $0).isNone }),
                let target = target(of: key), !primary[Int(target)].isNone,
                pool.count(primary[Int(target)]) == pool.count(key.columns)
            else { continue }
            foreignKeys[index].targetColumns = primary[Int(target)]
        }
    }

    /// The number of the relation that a foreign key leads to.
    private func target(of key: ForeignKeyRecord) -> UInt32? {
        guard let namespace = namespace(named: key.targetNamespace) else { return nil }
        return relation(named: key.targetRelation, in: namespace)
    }
}
