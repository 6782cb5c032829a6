// The order of relations by name, and the place of everything else in it.

/// A permutation: which record comes first, second, and so on.
struct NameOrder {
    private let order: [UInt32]
    private let isIdentity: Bool

    /// Orders records by namespace, then by name without regard to case, then by name; equal ones stay as they are.
    init<Record: RecordOfNamespace>(_ records: [Record], _ pool: borrowing CatalogPool) {
        // Most names differ in their first eight bytes, which are compared as one number.
        var keys: [(namespace: UInt32, number: UInt32, start: UInt64)] = []
        keys.reserveCapacity(records.count)
        for (number, record) in records.enumerated() {
            keys.append((record.namespace, UInt32(number), pool.bytes(record.name).foldedStart))
        }
        func precedes(
            _ left: (namespace: UInt32, number: UInt32, start: UInt64),
            _ right: (namespace: UInt32, number: UInt32, start: UInt64)
        ) -> Bool {
            if left.namespace != right.namespace { return left.namespace < right.namespace }
            if left.start != right.start { return left.start < right.start }
            let (first, second) = (
                pool.bytes(records[Int(left.number)].name), pool.bytes(records[Int(right.number)].name)
            )
            let comparison = first.compared(to: second)
            return comparison == 0 ? left.number < right.number : comparison < 0
        }
        let isOrdered = keys.indices.dropFirst().allSatisfy { !precedes(keys[$0], keys[$0 - 1]) }
        if !isOrdered { keys.sort(by: precedes) }
        order = keys.map(\.number)
        isIdentity = isOrdered
    }

    func arranged<Record>(_ records: [Record]) -> [Record] { isIdentity ? records : order.map { records[Int($0)] } }

    /// Puts what belongs to the records in their order, and gives it their new numbers.
    /// - Returns: also where those of each begin, and where the last ones end.
    func arranged<Record: RecordOfRelation>(ofRelations records: [Record]) -> (records: [Record], starts: [UInt32]) {
        var places = [UInt32](repeating: 0, count: order.count)
        for (place, number) in order.enumerated() { places[Int(number)] = UInt32(place) }
        var starts = [UInt32](repeating: 0, count: order.count + 1)
        for record in records { starts[Int(places[Int(record.relation)]) + 1] += 1 }
        for index in order.indices { starts[index + 1] += starts[index] }
        var next = starts
        guard var arranged = records.first.map({ [Record](repeating: $0, count: records.count) }) else {
            return ([], starts)
        }
        for var record in records {
            record.relation = places[Int(record.relation)]
            arranged[Int(next[Int(record.relation)])] = record
            next[Int(record.relation)] += 1
        }
        return (arranged, starts)
    }
}

/// Finding relations by name in that order.
struct NameLookup {
    private let namespaces: [NamespaceRecord]
    private let relations: [RelationRecord]
    private let starts: [UInt32]
    private let isCaseSensitive: Bool

    init(
        _ namespaces: [NamespaceRecord], _ relations: [RelationRecord], _ starts: [UInt32], isCaseSensitive: Bool
    ) {
        self.namespaces = namespaces
        self.relations = relations
        self.starts = starts
        self.isCaseSensitive = isCaseSensitive
    }

    func namespace(named name: UnsafeRawBufferPointer, _ pool: borrowing CatalogPool) -> Int? {
        if let exact = namespaces.firstIndex(where: { pool.bytes($0.name).elementsEqualFast(name) }) { return exact }
        guard !isCaseSensitive else { return nil }
        return namespaces.firstIndex { pool.bytes($0.name).comparedFolded(to: name) == 0 }
    }

    private func range(_ namespace: Int) -> Range<Int> { Int(starts[namespace])..<Int(starts[namespace + 1]) }

    /// The exact one; where case is nothing, another one that differs only in that.
    func relation(
        named name: UnsafeRawBufferPointer, in namespace: Int, _ pool: borrowing CatalogPool
    ) -> Int? {
        let range = range(namespace)
        let exact = relations[range].partition { pool.bytes($0.name).compared(to: name) >= 0 }
        if exact < range.upperBound, pool.bytes(relations[exact].name).elementsEqualFast(name) { return exact }
        guard !isCaseSensitive else { return nil }
        let other = relations[range].partition { pool.bytes($0.name).comparedFolded(to: name) >= 0 }
        guard other < range.upperBound, pool.bytes(relations[other].name).comparedFolded(to: name) == 0 else {
            return nil
        }
        return other
    }

    func relations(
        of namespace: Int, withPrefix prefix: UnsafeRawBufferPointer, _ pool: borrowing CatalogPool
    ) -> Range<Int> {
        let range = relations[range(namespace)]
        let start = range.partition { pool.bytes($0.name).start(prefix.count).comparedFolded(to: prefix) >= 0 }
        let end = range.partition { pool.bytes($0.name).start(prefix.count).comparedFolded(to: prefix) > 0 }
        return start..<end
    }

    func target(of foreignKey: ForeignKeyRecord, _ pool: borrowing CatalogPool) -> Int? {
        guard let namespace = namespace(named: pool.bytes(foreignKey.targetNamespace), pool) else { return nil }
        return relation(named: pool.bytes(foreignKey.targetRelation), in: namespace, pool)
    }
}

extension RandomAccessCollection where Index == Int {
    /// The first place from which on the elements are `later`, which all behind one of them are.
    func partition(_ later: (Element) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if later(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension UnsafeRawBufferPointer {
    /// The first eight bytes in lower case, the first of them first in the order of numbers.
    var foldedStart: UInt64 {
        var word: UInt64 = 0
        for index in 0..<8 { word = word << 8 | (index < count ? UInt64(self[index].folded) : 0) }
        return word
    }

    func start(_ byteCount: Int) -> UnsafeRawBufferPointer {
        count <= byteCount ? self : UnsafeRawBufferPointer(rebasing: self[..<byteCount])
    }

    /// Negative when it comes before the other, 0 when they are equal: case of ASCII letters counts for nothing.
    func comparedFolded(to other: UnsafeRawBufferPointer) -> Int {
        for index in 0..<Swift.min(count, other.count) {
            let (left, right) = (self[index].folded, other[index].folded)
            if left != right { return Int(left) - Int(right) }
        }
        return count - other.count
    }

    /// The same, and case decides between what is equal otherwise.
    func compared(to other: UnsafeRawBufferPointer) -> Int {
        let folded = comparedFolded(to: other)
        if folded != 0 { return folded }
        for index in 0..<count where self[index] != other[index] { return Int(self[index]) - Int(other[index]) }
        return 0
    }
}

extension UInt8 {
    /// In lower case, if it is a letter of ASCII.
    @inline(__always)
    var folded: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}
