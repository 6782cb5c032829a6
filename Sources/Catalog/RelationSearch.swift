// Looking for relations by what was typed of their names.

/// Finds the relations whose names fit a pattern, the best first, as `CatalogPattern.rank` has them.
///
/// Names that begin with it lie side by side; they are better than its acronyms, and these better than the rest. The rest is looked at
/// only if there are fewer than are wanted.
struct RelationSearch {
    private let index: CatalogIndex
    private let pattern: CatalogPattern
    private let kinds: CatalogKinds
    private let countMax: Int
    /// Rank, then number: so that equal ones stay in the order of the catalog.
    private var found: BestNumbers

    init(_ index: CatalogIndex, _ pattern: CatalogPattern, _ kinds: CatalogKinds, _ countMax: Int) {
        self.index = index
        self.pattern = pattern
        self.kinds = kinds
        self.countMax = countMax
        found = BestNumbers(countMax)
    }

    /// - Parameters:
    ///   - ranges: where to look, each of them of whole namespaces.
    ///   - mayGoOn: asked now and then; false ends the search.
    /// - Returns: `nil` if it was ended.
    /// - Cost: O(log n) for each namespace, and linear in the names that begin with the pattern; if these are too few, linear in all names.
    mutating func numbers(in ranges: [Range<Int>], _ mayGoOn: () -> Bool) -> [UInt32]? {
        guard let prefixed = prefixed(in: ranges, mayGoOn), each(prefixed, mayGoOn, { $0.takePrefixed($1) }) else {
            return nil
        }
        if !found.isFull {
            let others = Self.gaps(of: ranges, without: prefixed)
            guard each(others, mayGoOn, { $0.takeAcronyms($1) }) else { return nil }
            if !found.isFull, !each(others, mayGoOn, { $0.takeOthers($1) }) { return nil }
        }
        return found.sorted().map { UInt32(truncatingIfNeeded: $0) }
    }

    /// Takes some thousand relations at a time.
    /// - Returns: false if it may not go on.
    private mutating func each(
        _ ranges: [Range<Int>], _ mayGoOn: () -> Bool, _ take: (inout RelationSearch, Range<Int>) -> Void
    ) -> Bool {
        for range in ranges {
            var start = range.lowerBound
            while start < range.upperBound {
                guard mayGoOn() else { return false }
                let end = min(start + Self.stepCount, range.upperBound)
                take(&self, start..<end)
                start = end
            }
        }
        return true
    }

    private static let stepCount = 4_096
    /// Looking for a place in the order of one's relations takes some microseconds.
    private static let namespaceStepCount = 256

    // MARK: Where to look

    /// Those whose names begin with the pattern: a range for each namespace.
    /// - Returns: `nil` if it may not go on.
    private func prefixed(in ranges: [Range<Int>], _ mayGoOn: () -> Bool) -> [Range<Int>]? {
        var prefixed: [Range<Int>] = []
        for range in ranges where !range.isEmpty {
            let first = Int(index.relations[range.lowerBound].namespace)
            let last = Int(index.relations[range.upperBound - 1].namespace)
            for namespace in first...last {
                if (namespace - first) % Self.namespaceStepCount == 0, !mayGoOn() { return nil }
                let own = pattern.folded.withUnsafeBytes { index.relations(of: namespace, withPrefix: $0) }
                if !own.isEmpty { prefixed.append(own) }
            }
        }
        return prefixed
    }

    /// What is left of ranges without some that lie within them, both in their order.
    private static func gaps(of ranges: [Range<Int>], without taken: [Range<Int>]) -> [Range<Int>] {
        var gaps: [Range<Int>] = []
        var taken = taken[...]
        for range in ranges {
            var start = range.lowerBound
            while let next = taken.first, next.upperBound <= range.upperBound {
                gaps.append(start..<next.lowerBound)
                start = next.upperBound
                taken.removeFirst()
            }
            gaps.append(start..<range.upperBound)
        }
        return gaps
    }

    // MARK: Taking them

    private mutating func insert(_ class: CatalogPattern.Class, _ rest: Int, _ number: Int) {
        guard kinds == .all || index.isOf(kinds, .relations, number) else { return }
        found.insert(UInt64(CatalogPattern.rank(`class`, rest)) << 32 | UInt64(number))
    }

    private mutating func takePrefixed(_ range: Range<Int>) {
        for number in range {
            let count = index.relationNames.count(number)
            insert(count == pattern.folded.count ? .equal : .prefix, count, number)
        }
    }

    private mutating func takeAcronyms(_ range: Range<Int>) {
        guard let initials = pattern.initials else { return }
        index.relationNames.each(in: range, withInitials: initials) { number in
            guard !initials.isPartial || isAcronym(number) else { return }
            insert(.acronym, index.relationNames.count(number), number)
        }
    }

    private func isAcronym(_ number: Int) -> Bool {
        pattern.isAcronym(of: index.bytes(index.relations[number].name))
    }

    /// What is no acronym: the characters side by side, or at least in their order.
    private mutating func takeOthers(_ range: Range<Int>) {
        index.relationNames.each(in: range, having: pattern) { number, end, isPart in
            // What lies before and between them: how far it is from the start of the name to the last one.
            let rank = CatalogPattern.rank(isPart ? .part : .subsequence, end - pattern.folded.count)
            let key = UInt64(rank) << 32 | UInt64(number)
            guard key < found.limit, !isAcronym(number), kinds == .all || index.isOf(kinds, .relations, number) else {
                return
            }
            found.insert(key)
        }
    }
}
