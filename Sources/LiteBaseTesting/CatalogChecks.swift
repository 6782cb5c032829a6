// What must hold for any name, search text and extra of a catalog: for the fuzzer, and for the tests, which replay its corpus.

internal import Catalog

/// Traps when something does not hold that must.
public enum CatalogChecks {
    private static let nameCountMax = 200

    /// Lines: the first one is a search text, the others are names of relations, their comments and extras.
    public static func check(_ input: UnsafeRawBufferPointer) {
        let lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).prefix(nameCountMax)
            .map(UnsafeRawBufferPointer.init(rebasing:))
        guard let wanted = lines.first, wanted.count <= CatalogPattern.byteCountMax else { return }
        let pattern = CatalogPattern(wanted)
        for name in lines.dropFirst() { check(pattern, wanted, name) }
        check(CatalogPattern(wanted), wanted, index(of: Array(lines.dropFirst())))
    }

    /// One name alone.
    private static func check(
        _ pattern: CatalogPattern, _ wanted: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer
    ) {
        let rank = pattern.rank(name)
        precondition((rank != nil) == hasInOrder(name, wanted), "a name fits if it has the characters in their order")
        guard let rank else { return }
        let own = CatalogPattern(name).rank(name)
        precondition(own.map { $0 <= rank } ?? false, "nothing fits better than the name itself")
        precondition(
            isSame(name, wanted) == (own == rank && name.count == wanted.count), "only the name is equal to it")
    }

    private static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    private static func hasInOrder(_ name: UnsafeRawBufferPointer, _ wanted: UnsafeRawBufferPointer) -> Bool {
        var found = 0
        for byte in name where found < wanted.count && folded(byte) == folded(wanted[found]) { found += 1 }
        return found == wanted.count
    }

    private static func isSame(_ name: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        name.count == other.count && zip(name, other).allSatisfy { folded($0) == folded($1) }
    }

    /// All of them as an index, by the way of an engine's rows.
    private static func index(of names: [UnsafeRawBufferPointer]) -> CatalogIndex {
        let builder = CatalogBuilder(isCaseSensitive: true, keepsDefinitions: true, byteCountMax: 1 << 22)
        let spaces = CatalogFeed(.namespaces, into: builder)
        spaces.begin([Array("name".utf8), Array("default".utf8)])
        feed(spaces) {
            $0.set(.name, "main")
            $0.set(.isDefault, "1")
        }
        let relations = CatalogFeed(.relations, into: builder)
        for name in names {
            feed(relations) {
                $0.set(.namespace, "main")
                $0.set(.kind, "table")
                $0.set(.name, name)
                $0.set(.comment, name)
                $0.set(.extra, CatalogBuilder.quoted(String(decoding: name, as: UTF8.self)))
            }
        }
        return builder.finish()
    }

    private static func feed(_ feed: CatalogFeed, _ fill: (CatalogFeed) -> Void) {
        feed.beginRow()
        fill(feed)
        do throws(CatalogError) { try feed.endRow() } catch { preconditionFailure("a row fits: \(error)") }
    }

    /// A search finds what fits, the best first.
    private static func check(_ pattern: CatalogPattern, _ wanted: UnsafeRawBufferPointer, _ index: CatalogIndex) {
        for relation in index.relations {
            let extra = index.bytes(relation.extra)
            precondition(!extra.contains { $0 < 0x20 }, "an extra is one line")
        }
        guard !pattern.isEmpty else { return }
        var query = CatalogQuery(level: .relations)
        query.pattern = pattern
        // Each name alone, and all of them in order.
        var plain: [(rank: CatalogPattern.Rank, number: UInt32)] = []
        for (number, relation) in index.relations.enumerated() {
            if let rank = pattern.rank(index.bytes(relation.name)) { plain.append((rank, UInt32(number))) }
        }
        let all = plain.sorted { $0 < $1 }.map(\.number)
        for countMax in [Int.max, 1, 3, 50] {
            guard case .numbers(let found)? = index.select(query, countMax: countMax) else {
                preconditionFailure("a search finds numbers")
            }
            precondition(found == Array(all.prefix(countMax)), "everything that fits is found, the best first")
        }
    }
}
