// Which records of a level are wanted, and in which order.

/// What to look for in one level.
public struct CatalogQuery: Sendable {
    public var level: CatalogLevel
    /// The exact name of the namespace; `nil` for all.
    public var namespace: [UInt8]?
    /// Only what is in namespaces that names without one are looked up in, or only what is in the others; `nil` for all.
    public var isInDefault: Bool?
    /// The exact name of the relation; `nil` for all.
    public var relation: [UInt8]?
    /// Names that fit, the best first; `nil` for all, in the order of the catalog.
    public var pattern: CatalogPattern?
    /// Kinds of relations, keys, routines or types; of what belongs to a relation, the kinds of that, but for keys.
    public var kinds = CatalogKinds.all

    public init(level: CatalogLevel) { self.level = level }

    /// Whether finding the records takes more than looking up names.
    public var needsSearch: Bool { pattern != nil || kinds != .all }
}

/// Records that were found, by number.
public enum CatalogSelection: Sendable {
    /// Several runs, since more than one namespace may have a relation of that name.
    case ranges([Range<Int>])
    case numbers([UInt32])

    public var count: Int {
        switch self {
        case .ranges(let ranges): ranges.reduce(0) { $0 + $1.count }
        case .numbers(let numbers): numbers.count
        }
    }
}

extension CatalogIndex {
    /// The records that a query wants.
    /// - Parameters:
    ///   - query: what is wanted.
    ///   - countMax: the most that are wanted.
    ///   - mayGoOn: asked now and then; false ends the search.
    /// - Returns: `nil` if it was ended.
    /// - Cost: linear in the records of the level, some 10 ns each; without `needsSearch` O(log n). Of relations some ns each, and those
    ///   whose names begin so are found by O(log n).
    public func select(
        _ query: CatalogQuery, countMax: Int = .max, mayGoOn: () -> Bool = { true }
    ) -> CatalogSelection? {
        let ranges = ranges(query)
        guard query.needsSearch else { return .ranges(ranges) }
        if query.level == .relations, query.relation == nil, let pattern = query.pattern {
            var search = RelationSearch(self, pattern, query.kinds, countMax)
            return search.numbers(in: ranges, mayGoOn).map { .numbers($0) }
        }
        var search = Search(query, countMax)
        for range in ranges {
            for number in range {
                if number & 0xfff == 0, !mayGoOn() { return nil }
                search.look(at: number, in: self)
            }
        }
        return .numbers(search.numbers())
    }

    /// Where the records are that namespace and relation leave.
    private func ranges(_ query: CatalogQuery) -> [Range<Int>] {
        let wanted = wantedNamespaces(query)
        if query.level == .namespaces { return query.relation == nil ? wanted : [] }
        guard let relation = query.relation else {
            return wanted.map {
                range(query.level, ofNamespace: $0.lowerBound)
                    .lowerBound..<range(query.level, ofNamespace: $0.upperBound - 1).upperBound
            }
        }
        guard query.level == .relations || query.level.isOfRelation else { return [] }
        return wanted.joined().compactMap { namespace in
            relation.withUnsafeBytes { self.relation(named: $0, in: namespace) }
                .map { range(query.level, ofRelation: $0) }
        }
    }

    /// Runs of namespaces, none of them empty.
    private func wantedNamespaces(_ query: CatalogQuery) -> [Range<Int>] {
        if let name = query.namespace {
            return name.withUnsafeBytes { namespace(named: $0) }.map { [$0..<$0 + 1] } ?? []
        }
        guard let isInDefault = query.isInDefault else { return namespaces.isEmpty ? [] : [namespaces.indices] }
        var runs: [Range<Int>] = []
        for number in namespaces.indices where namespaces[number].isDefault == isInDefault {
            if let last = runs.last, last.upperBound == number {
                runs[runs.count - 1] = last.lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
        return runs
    }

    private func range(_ level: CatalogLevel, ofNamespace number: Int) -> Range<Int> {
        switch level {
        case .namespaces: return number..<number + 1
        case .relations: return relations(of: number)
        case .routines: return routines(of: number)
        case .types: return types(of: number)
        case .columns, .keys, .foreignKeys, .indexes, .triggers:
            let own = relations(of: number)
            // Where others begin: without relations of its own it has nothing there.
            guard let last = own.last else {
                let place =
                    own.lowerBound < relations.count
                    ? range(level, ofRelation: own.lowerBound).lowerBound : count(level)
                return place..<place
            }
            return range(level, ofRelation: own.lowerBound).lowerBound..<range(level, ofRelation: last).upperBound
        }
    }

    private func range(_ level: CatalogLevel, ofRelation number: Int) -> Range<Int> {
        switch level {
        case .columns: columns(of: number)
        case .keys: keys(of: number)
        case .foreignKeys: foreignKeys(of: number)
        case .indexes: indexes(of: number)
        case .triggers: triggers(of: number)
        case .namespaces, .relations, .routines, .types: number..<number + 1
        }
    }

    /// How many records a level has.
    public func count(_ level: CatalogLevel) -> Int {
        switch level {
        case .namespaces: namespaces.count
        case .relations: relations.count
        case .columns: columns.count
        case .keys: keys.count
        case .foreignKeys: foreignKeys.count
        case .indexes: indexes.count
        case .triggers: triggers.count
        case .routines: routines.count
        case .types: types.count
        }
    }

    /// What a record is called; keys and foreign keys need not have a name.
    func name(_ level: CatalogLevel, _ number: Int) -> CatalogText {
        switch level {
        case .namespaces: namespaces[number].name
        case .relations: relations[number].name
        case .columns: columns[number].name
        case .keys: keys[number].name
        case .foreignKeys: foreignKeys[number].name
        case .indexes: indexes[number].name
        case .triggers: triggers[number].name
        case .routines: routines[number].name
        case .types: types[number].name
        }
    }

    func isOf(_ kinds: CatalogKinds, _ level: CatalogLevel, _ number: Int) -> Bool {
        switch level {
        case .namespaces: true
        case .relations: kinds.contains(relations[number].kind)
        case .columns: kinds.contains(relations[Int(columns[number].relation)].kind)
        case .keys: kinds.contains(keys[number].kind)
        case .foreignKeys: kinds.contains(relations[Int(foreignKeys[number].relation)].kind)
        case .indexes: kinds.contains(relations[Int(indexes[number].relation)].kind)
        case .triggers: kinds.contains(relations[Int(triggers[number].relation)].kind)
        case .routines: kinds.contains(routines[number].kind)
        case .types: kinds.contains(types[number].kind)
        }
    }
}

/// Looks at one record after the other and keeps the best.
private struct Search {
    private let query: CatalogQuery
    /// Rank, then number: so that equal ones stay in the order of the catalog.
    private var found: BestNumbers
    /// Columns of one name often follow each other, and so do their ranks.
    private var lastRanks: [(name: CatalogText, rank: CatalogPattern.Rank?)]

    init(_ query: CatalogQuery, _ countMax: Int) {
        self.query = query
        found = BestNumbers(countMax)
        lastRanks = Array(repeating: (.none, nil), count: 256)
    }

    mutating func look(at number: Int, in index: CatalogIndex) {
        if query.kinds != .all, !index.isOf(query.kinds, query.level, number) { return }
        guard let pattern = query.pattern else {
            return found.insert(UInt64(number))
        }
        guard let rank = rank(index.name(query.level, number), pattern, index) else { return }
        found.insert(UInt64(rank) << 32 | UInt64(number))
    }

    private mutating func rank(
        _ name: CatalogText, _ pattern: CatalogPattern, _ index: CatalogIndex
    ) -> CatalogPattern.Rank? {
        let place = Int(name.place) & 255
        if !name.isNone, lastRanks[place].name == name { return lastRanks[place].rank }
        let rank = pattern.rank(index.bytes(name))
        lastRanks[place] = (name, rank)
        return rank
    }

    mutating func numbers() -> [UInt32] { found.sorted().map { UInt32(truncatingIfNeeded: $0) } }
}
