// What must hold for any text that is to be completed: for the fuzzer, and for the tests, which replay its corpus.

internal import Completion

/// Traps when something does not hold that must.
public enum CompletionChecks {
    /// The first byte chooses the dialect, the next two the cursor; the text follows.
    public static func check(_ input: UnsafeRawBufferPointer) {
        guard input.count > 3 else { return }
        let dialect = CompletionDialect.allCases[Int(input[0]) % CompletionDialect.allCases.count]
        let text = UnsafeRawBufferPointer(rebasing: input[3...])
        let cursor = (Int(input[1]) << 8 | Int(input[2])) % (text.count + 2)
        check(text, at: cursor, dialect)
    }

    /// At one place of a text.
    static func check(_ text: UnsafeRawBufferPointer, at cursor: Int, _ dialect: CompletionDialect) {
        let limit = 20
        let list = Completion.complete(text, at: cursor, dialect: dialect, schema: FuzzedSchema(), limit: limit)
        let place = min(cursor, text.count)
        precondition(list.items.count <= limit, "no more items than were wanted")
        precondition(
            list.replace.lowerBound >= 0 && list.replace.upperBound <= text.count, "what is replaced is in the text")
        // A cursor within a character is before it.
        precondition(
            list.replace.lowerBound <= place && list.replace.upperBound + 3 >= place,
            "the cursor is in what is replaced")
        var texts: Set<String> = []
        for item in list.items {
            precondition(!item.text.isEmpty && !item.label.isEmpty, "an item is something")
            precondition(texts.insert(item.text).inserted, "each item is there once")
        }
    }
}

/// A schema in which any name is that of a relation, so that every way through the text leads to names.
struct FuzzedSchema: CompletionSchema {
    var isComplete: Bool { false }

    private let names = ["t", "order", "First Name", "üñï", "a\"b`c]d", "x"]

    func namespaces(matching pattern: NamePattern, limit: Int) -> [String] { Array(names.prefix(limit)) }
    func hasNamespace(_ name: String) -> Bool { name.utf8.count & 1 == 0 }

    func relations(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRelation] {
        names.prefix(limit).enumerated().map {
            CompletionRelation(namespace: "n", name: $1, isVisible: $0 & 1 == 0, number: $0)
        }
    }

    func relation(named name: String, in namespace: String?) -> CompletionRelation? {
        name.isEmpty ? nil : CompletionRelation(namespace: namespace ?? "n", name: name)
    }

    func columns(of relation: CompletionRelation) -> [CompletionColumn] {
        names.map { CompletionColumn($0, type: "int", isHidden: $0 == "x", isGenerated: $0 == "order") }
    }

    func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey] {
        let other = CompletionRelation(namespace: "n", name: "order")
        return [
            CompletionForeignKey(from: relation, ["t", "x"], to: other, ["t", "x"]),
            CompletionForeignKey(from: other, ["t"], to: relation, ["t"]),
            CompletionForeignKey(from: relation, ["t"], to: relation, []),
        ]
    }

    func routines(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRoutine] {
        names.prefix(limit).map {
            CompletionRoutine(namespace: "n", name: $0, signature: "key [key ...] | <x", isVisible: $0 == "t")
        }
    }

    func types(matching pattern: NamePattern, limit: Int) -> [String] { names }
    func objects(_ kind: CompletionObject, matching pattern: NamePattern, limit: Int) -> [String] { names }
}
