// Tables that a pattern stands for.

import LiteBaseClient
internal import SQLText

/// A name in which `*` or `%` stands for any text; with a point in it, it is about namespace and name.
struct RelationPattern {
    private let parts: [[Character]]
    private let hasNamespace: Bool

    /// `nil` for a plain name, and for one in quotes.
    init?(_ text: String) {
        guard text.contains(where: { $0 == "*" || $0 == "%" }), let first = text.first, !"\"`['".contains(first) else {
            return nil
        }
        parts = text.lowercased().split(omittingEmptySubsequences: false) { $0 == "*" || $0 == "%" }.map(Array.init)
        hasNamespace = text.contains(".")
    }

    /// Whatever the case of letters.
    func matches(_ relation: CatalogRelation) -> Bool {
        matches(Array((hasNamespace ? "\(relation.namespace).\(relation.name)" : relation.name).lowercased()))
    }

    /// The first part at the beginning, the last one at the end, the others in their order, each as early as it can be.
    private func matches(_ name: [Character]) -> Bool {
        let (first, last) = (parts[0], parts[parts.count - 1])
        guard name.count >= first.count + last.count, name.starts(with: first), name.suffix(last.count) == last[...]
        else { return false }
        var rest = name[first.count..<(name.count - last.count)]
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let start = rest.indices.first(where: { rest[$0...].starts(with: part) }) else { return false }
            rest = rest[(start + part.count)...]
        }
        return true
    }
}

/// A relation as the catalog lists it.
struct CatalogRelation {
    var namespace = ""
    let name: String
    let kind: String
    /// As `.describe` reads it.
    let spelling: String

    init(name: String, kind: String, _ engine: String) {
        (self.name, self.kind) = (name, kind)
        spelling = engine == "postgresql" ? String(quoting: name, by: UInt8(ascii: "\"")) : name
    }

    init(_ row: Row, _ engine: String) {
        namespace = row[0].text ?? ""
        name = row[1].text ?? ""
        kind = (row[2].text ?? "table").map { $0 == "_" ? " " : String($0) }.joined()
        guard engine == "postgresql" else {
            spelling = name
            return
        }
        spelling = [namespace, name].map { String(quoting: $0, by: UInt8(ascii: "\"")) }.joined(separator: ".")
    }

    /// With its namespace, where that is not the only one that can be meant.
    var shownName: String { namespace.isEmpty || namespace == "main" ? name : "\(namespace).\(name)" }
}
