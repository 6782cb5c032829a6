// The proposals found so far, and their order.

/// Takes what matches, and puts it into order: what is in scope before the rest, then prefix before acronym before subsequence, then
/// what the user has used lately, then as it was added.
struct Candidates {
    private struct Entry {
        var tier: Int
        var match: NameMatch
        var recent: Int
        var item: CompletionItem
    }

    let pattern: NamePattern
    private let recent: [String: Int]
    private var entries: [Entry] = []

    static let countMax = 20_000
    /// Names in `recent` beyond these are not heeded.
    static let recentCountMax = 200

    init(_ pattern: NamePattern, recent: some Sequence<String>) {
        self.pattern = pattern
        var ranks: [String: Int] = [:]
        for name in recent.prefix(Self.recentCountMax) where ranks[name.lowercased()] == nil {
            ranks[name.lowercased()] = ranks.count
        }
        self.recent = ranks
    }

    var isEmpty: Bool { entries.isEmpty }

    /// Names that the user has used lately.
    var recentNames: some Sequence<String> { recent.keys }

    /// Adds an item that is found by `name`; its place is among those of the same tier, the smallest first.
    mutating func add(_ name: String, tier: Int, _ item: CompletionItem) {
        guard entries.count < Self.countMax, let match = pattern.match(name) else { return }
        var rank = Int.max
        if !recent.isEmpty { rank = min(recent[name.lowercased()] ?? .max, recent[item.label.lowercased()] ?? .max) }
        entries.append(Entry(tier: tier, match: match, recent: rank, item: item))
    }

    /// A keyword fits only by its beginning, or by the letters of its words.
    mutating func addKeyword(_ phrase: Substring, tier: Int, inSmallLetters: Bool) {
        guard let match = pattern.match(String(phrase)), match != .subsequence else { return }
        let text = inSmallLetters ? phrase.lowercased() : String(phrase)
        entries.append(Entry(tier: tier, match: match, recent: .max, item: CompletionItem(text, kind: .keyword)))
    }

    /// The best ones, each text once.
    func best(_ limit: Int) -> [CompletionItem] {
        let order = entries.indices.sorted { left, right in
            let (one, other) = (entries[left], entries[right])
            if one.tier != other.tier { return one.tier < other.tier }
            if one.match != other.match { return one.match < other.match }
            if one.recent != other.recent { return one.recent < other.recent }
            return left < right
        }
        var seen: Set<String> = []
        var items: [CompletionItem] = []
        for index in order {
            guard items.count < limit else { break }
            if seen.insert(entries[index].item.text).inserted { items.append(entries[index].item) }
        }
        return items
    }
}
