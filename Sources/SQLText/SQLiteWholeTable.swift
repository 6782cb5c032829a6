// Statements that read all rows of one table, and nothing else.

/// A `SELECT` of plain columns, or of `*`, from one name: `SELECT a, "b" FROM main.t`.
///
/// Such a statement can be read in parts, each of a range of row numbers, if the name is that of a table that has them: that has
/// to be asked of SQLite, and so has whether the text is correct.
/// - Thread: any.
public struct SQLiteWholeTable {
    /// What stands between SELECT and FROM.
    private let columns: UnsafeRawBufferPointer
    /// What stands behind FROM.
    private let source: UnsafeRawBufferPointer
    /// The name of the table, without quotes.
    public let table: String

    /// `nil` where the statement is another one, or may be: expressions, WHERE, ORDER BY, other databases.
    ///
    /// - Parameter text: the statement, which must stay as long as this is used.
    /// - Cost: linear in the text.
    public init?(_ text: UnsafeRawBufferPointer) {
        // Behind a NUL SQLite reads nothing.
        guard !text.contains(0) else { return nil }
        var tokens = SQLiteDefinitionTokens(text)
        guard tokens.next() == .word, tokens.isWord("select") else { return nil }
        tokens.next()
        let columnsStart = tokens.start
        guard Self.skipColumns(&tokens), tokens.token == .word, tokens.isWord("from") else { return nil }
        columns = tokens.part(columnsStart, tokens.start)
        tokens.next()
        let start = tokens.start
        guard var name = Self.takeName(&tokens) else { return nil }
        if tokens.token == .number {
            guard name.lowercased() == "main", let second = Self.takeNameBehindPoint(&tokens) else { return nil }
            name = second
        }
        // A comment behind it would take what is appended.
        source = tokens.part(start, tokens.lastEnd)
        guard tokens.token == .end else { return nil }
        table = name
    }

    private static func skipColumns(_ tokens: inout SQLiteDefinitionTokens) -> Bool {
        if tokens.isWord("*") {
            tokens.next()
            return true
        }
        while tokens.token == .word || tokens.token == .quoted {
            // Each part would have a time of its own.
            if tokens.token == .word,
                ["current_time", "current_date", "current_timestamp"].contains(where: tokens.isWord)
            {
                return false
            }
            tokens.next()
            guard tokens.token == .comma else { return true }
            tokens.next()
        }
        return false
    }

    private static func takeName(_ tokens: inout SQLiteDefinitionTokens) -> String? {
        guard tokens.token == .word || tokens.token == .quoted, let name = tokens.name else { return nil }
        tokens.next()
        return String(decoding: name, as: UTF8.self)
    }

    /// The tokens take `.name` for a number.
    private static func takeNameBehindPoint(_ tokens: inout SQLiteDefinitionTokens) -> String? {
        if tokens.isWord(".") {
            tokens.next()
            return takeName(&tokens)
        }
        let name = tokens.part(tokens.start + 1, tokens.end)
        guard tokens.part(tokens.start, tokens.start + 1).first == UInt8(ascii: "."), name.allSatisfy({ $0.isOfName }),
            let first = name.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        else { return nil }
        tokens.next()
        return String(decoding: name, as: UTF8.self)
    }

    /// The statement for the rows whose number is from `?1` to `?2`, in their order, with one column more: that number.
    /// - Parameter rowID: what the number is called in the table: `rowid`, or another of SQLite's names for it.
    /// - Returns: the text of the statement.
    public func range(rowID: String) -> String {
        let (columns, source) = (String(decoding: columns, as: UTF8.self), String(decoding: source, as: UTF8.self))
        // An index that has all columns would give them in another order.
        return
            "SELECT \(columns), \(rowID) FROM \(source) NOT INDEXED WHERE \(rowID) BETWEEN ?1 AND ?2 ORDER BY \(rowID)"
    }

    /// The statement for the number of the row behind the first `?1` ones.
    public func place(rowID: String) -> String {
        let source = String(decoding: source, as: UTF8.self)
        return "SELECT \(rowID) FROM \(source) NOT INDEXED ORDER BY \(rowID) LIMIT 1 OFFSET ?1"
    }

    /// The statement for the least and the greatest number; both NULL for a table without rows.
    public func ends(rowID: String) -> String {
        let source = String(decoding: source, as: UTF8.self)
        // In one SELECT SQLite would read all rows.
        return "SELECT (SELECT min(\(rowID)) FROM \(source)), (SELECT max(\(rowID)) FROM \(source))"
    }
}
