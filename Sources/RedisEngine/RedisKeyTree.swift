// The prefixes of keys as a tree: `user:`, `user:1:`.

/// Counts keys by what they begin with, up to each colon. Keys without a colon are counted by their whole name.
///
/// Of each prefix so many longer ones are kept as `childCountMax` says, of all together `nodeCountMax`: whatever the keys are, the tree
/// stays small.
struct RedisKeyTree {
    struct Node {
        var name: [UInt8]
        var keyCount: Int64 = 0
        /// It is a whole key.
        var isKey: Bool
        /// There are longer prefixes, or such keys, that are not kept.
        var hasMore = false
        fileprivate var childCount = 0
    }

    static let childCountMax = 100
    static let nodeCountMax = 20_000
    static let depthMax = 8
    /// Longer prefixes are not kept, nor keys.
    static let nameByteCountMax = 512
    private static let separator = UInt8(ascii: ":")

    /// The first one is the root, which is no prefix.
    private var nodes: [Node] = [Node(name: [], isKey: false)]
    private var numbers: [[UInt8]: Int] = [:]
    private var nameByteCount = 0

    var keyCount: Int64 { nodes[0].keyCount }
    /// There are more than are kept.
    var hasMore: Bool { nodes[0].hasMore }
    var byteCount: Int { nodes.count * 160 + 2 * nameByteCount }

    /// In the order of bytes: a prefix comes before those that it begins.
    var sorted: [Node] { nodes.dropFirst().sorted { $0.name.lexicographicallyPrecedes($1.name) } }

    /// - Parameter key: its first bytes suffice.
    mutating func add(_ key: [UInt8]) {
        nodes[0].keyCount += 1
        var parent = 0
        var depth = 0
        var start = 0
        while depth < Self.depthMax, let end = key[start...].firstIndex(of: Self.separator), end < Self.nameByteCountMax
        {
            start = end + 1
            depth += 1
            guard let number = number(of: key[..<start], isKey: false, in: parent) else { return }
            nodes[number].keyCount += 1
            parent = number
        }
        guard depth == 0, key.count <= Self.nameByteCountMax, let number = number(of: key[...], isKey: true, in: 0)
        else {
            return
        }
        nodes[number].keyCount += 1
    }

    private mutating func number(of name: ArraySlice<UInt8>, isKey: Bool, in parent: Int) -> Int? {
        let name = Array(name)
        if let known = numbers[name] { return known }
        guard nodes[parent].childCount < Self.childCountMax, nodes.count <= Self.nodeCountMax, Self.isText(name) else {
            nodes[parent].hasMore = true
            return nil
        }
        nodes[parent].childCount += 1
        numbers[name] = nodes.count
        nodes.append(Node(name: name, isKey: isKey))
        nameByteCount += name.count
        return nodes.count - 1
    }

    /// Others have no place in a catalog, whose names are texts.
    private static func isText(_ name: [UInt8]) -> Bool { (try? UTF8Span(validating: name.span)) != nil }
}
