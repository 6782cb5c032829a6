// The proposals found so far, and their order.

/// Takes what matches, and puts it into order: what is in scope before the rest, then prefix before acronym before subsequence, then
/// what the user has used lately, then as it was added.
struct Candidates {
    let pattern: NamePattern
    /// Names that the user has used lately, the latest first.
    let recentNames: [String]
    private let ranks: [String: Int]
    private var items: [CompletionItem] = []
    /// For each item: tier, match, rank among the recent ones, and number, each in its bits; the best is the smallest.
    private var keys: [UInt64] = []

    static let countMax = 20_000
    /// Names beyond these are not heeded.
    static let recentCountMax = 200

    init(_ pattern: NamePattern, recent: some Sequence<String>) {
        self.pattern = pattern
        recentNames = Array(recent.prefix(Self.recentCountMax))
        var ranks: [String: Int] = [:]
        for name in recentNames where ranks[name.lowercased()] == nil { ranks[name.lowercased()] = ranks.count }
        self.ranks = ranks
    }

    /// Whether a name fits; asked before an item is made for it.
    func fits(_ name: String) -> Bool { pattern.isEmpty || pattern.match(name) != nil }

    /// Adds an item that is found by `name`.
    mutating func add(_ name: String, tier: Int, _ item: CompletionItem) {
        guard let match = pattern.match(name) else { return }
        var rank = Self.recentCountMax
        if !ranks.isEmpty {
            rank = min(ranks[name.lowercased()] ?? rank, ranks[item.label.lowercased()] ?? rank)
        }
        append(item, tier: tier, match, rank)
    }

    /// A keyword fits only by its beginning, or by the letters of its words.
    mutating func addKeyword(_ phrase: Substring, tier: Int, inSmallLetters: Bool) {
        let phrase = String(phrase)
        guard let match = pattern.match(phrase), match != .subsequence else { return }
        let text = inSmallLetters ? phrase.lowercased() : phrase
        append(CompletionItem(text, kind: .keyword), tier: tier, match, Self.recentCountMax)
    }

    private mutating func append(_ item: CompletionItem, tier: Int, _ match: NameMatch, _ rank: Int) {
        // Nobody chooses `""`.
        guard items.count < Self.countMax, !item.label.isEmpty, !item.text.isEmpty else { return }
        keys.append(UInt64(tier) << 56 | UInt64(match.rawValue) << 48 | UInt64(rank) << 32 | UInt64(items.count))
        items.append(item)
    }

    /// The best ones, each text once.
    func best(_ limit: Int) -> [CompletionItem] {
        var seen: Set<String> = []
        var best: [CompletionItem] = []
        for key in keys.sorted() {
            guard best.count < limit else { break }
            let item = items[Int(key & 0xffff_ffff)]
            if seen.insert(item.text).inserted { best.append(item) }
        }
        return best
    }
}
