// What may come next at a place of a statement.

import SQLText

/// Completion of statements. Pure: it asks a `CompletionSchema`, and keeps nothing.
public enum Completion {
    /// How much of a text is looked at before the cursor and behind it. A longer text is taken up at the first line after its
    /// beginning, as if a statement began there; better at one that follows a semicolon.
    public static let byteCountBefore = 64 << 10
    public static let byteCountBehind = 16 << 10

    /// More items are of no use to a person.
    public static let limitMax = 1_000

    /// Proposes what may stand at the cursor.
    ///
    /// - Parameters:
    ///   - text: any bytes; SQL, or of Redis command lines.
    ///   - cursor: the place in bytes; beyond the end it is the end.
    ///   - dialect: of the text.
    ///   - schema: what is in the database.
    ///   - limit: how many items are wanted at most.
    ///   - recent: names that the user has used lately, the latest first.
    /// - Returns: the items, the best first, and what they replace.
    /// - Cost: linear in the bytes that are looked at, and in the columns of the relations in scope; what the schema costs comes on top
    public static func complete(
        _ text: UnsafeRawBufferPointer, at cursor: Int, dialect: CompletionDialect, schema: any CompletionSchema,
        limit: Int = 50,
        recent: some Sequence<String> = EmptyCollection<String>()
    ) -> CompletionList {
        let window = TextWindow(text, cursor: cursor)
        let limit = min(max(limit, 0), limitMax)
        var list: CompletionList
        if dialect == .redis {
            var completer = CommandCompleter(window.bytes, cursor: window.cursor, schema: schema, recent: recent)
            list = completer.complete(limit)
        } else {
            let statement = StatementTokens(window.bytes, cursor: window.cursor, dialect: dialect)
            var completer = Completer(statement, schema: schema, limit: limit, recent: recent)
            list = completer.complete()
        }
        list.replace = list.replace.lowerBound + window.start..<list.replace.upperBound + window.start
        list.isIncomplete = !schema.isComplete
        return list
    }
}

/// The part of a text that is looked at.
struct TextWindow {
    let bytes: [UInt8]
    let start: Int
    let cursor: Int

    init(_ text: UnsafeRawBufferPointer, cursor: Int) {
        var cursor = min(max(cursor, 0), text.count)
        // A cursor within a character is before it.
        var steps = 0
        while cursor > 0, cursor < text.count, text[cursor] & 0xc0 == 0x80, steps < 3 {
            cursor -= 1
            steps += 1
        }
        let end = text.count - cursor > Completion.byteCountBehind ? cursor + Completion.byteCountBehind : text.count
        let first = cursor > Completion.byteCountBefore ? cursor - Completion.byteCountBefore : 0
        start = first == 0 ? 0 : Self.beginning(UnsafeRawBufferPointer(rebasing: text[first..<cursor])) + first
        bytes = Array(text[start..<end])
        self.cursor = cursor - start
    }

    /// Where a statement may begin: behind the first semicolon that ends a line, or else at the first line.
    private static func beginning(_ text: UnsafeRawBufferPointer) -> Int {
        var firstLine: Int?
        for (index, byte) in text.enumerated() where byte == UInt8(ascii: "\n") {
            if firstLine == nil { firstLine = index + 1 }
            if index > 0, text[index - 1] == UInt8(ascii: ";") { return index + 1 }
        }
        return firstLine ?? 0
    }
}
