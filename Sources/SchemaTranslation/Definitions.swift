// What only the text of a definition says: the pragmas of SQLite tell columns and keys, but no CHECK, no expression, no collation.

/// The text of `CREATE TABLE`.
/// - Source: sqlite.org/lang_createtable.html
struct TableDefinition {
    struct Column {
        var collation: String?
        /// Of a generated column.
        var expression: [SQLToken]?
    }

    /// By their names in small letters.
    private(set) var columns: [String: Column] = [:]
    private(set) var checks: [[SQLToken]] = []
    /// Whether each foreign key is looked at when the transaction is committed; in the order of the text.
    private(set) var deferredReferences: [Bool] = []
    /// REPLACE, IGNORE and others, which say what becomes of rows that a constraint refuses.
    private(set) var conflictRules: [String] = []

    private static let constraintWords: Set = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]

    init(_ sql: String) {
        let tokens = SQLToken.all(of: sql)
        guard let open = tokens.firstIndex(where: { $0.isSign("(") }), let close = tokens.closing(open) else { return }
        for item in tokens[(open + 1)..<close].listItems {
            guard let first = item.first else { continue }
            let isConstraint = Self.constraintWords.contains(first.keyword)
            let column = read(isConstraint ? item : item.dropFirst())
            if !isConstraint { columns[first.text.lowercased()] = column }
        }
    }

    private mutating func read(_ tokens: ArraySlice<SQLToken>) -> Column {
        var column = Column()
        var index = tokens.startIndex
        while index < tokens.endIndex {
            let next = index + 1
            switch tokens[index].keyword {
            case "CHECK", "AS":
                guard next < tokens.endIndex, tokens[next].isSign("("), let close = tokens.closing(next) else { break }
                let expression = Array(tokens[(next + 1)..<close])
                if tokens[index].keyword == "AS" { column.expression = expression } else { checks.append(expression) }
            case "COLLATE" where next < tokens.endIndex: column.collation = tokens[next].text.uppercased()
            case "CONFLICT" where next < tokens.endIndex: conflictRules.append(tokens[next].text.uppercased())
            case "REFERENCES": deferredReferences.append(false)
            case "DEFERRED" where !deferredReferences.isEmpty: deferredReferences[deferredReferences.count - 1] = true
            default: break
            }
            // What is within parentheses has been read, or is a default, a list of columns, the size of a type.
            index = tokens[index].isSign("(") ? (tokens.closing(index) ?? index) + 1 : next
        }
        return column
    }
}

/// The text of `CREATE INDEX`.
/// - Source: sqlite.org/lang_createindex.html
struct IndexDefinition {
    struct Item {
        var expression: ArraySlice<SQLToken>
        var collation: String?
        var isDescending = false
    }

    private(set) var items: [Item] = []
    /// Which rows are in it; `nil`: all.
    private(set) var condition: [SQLToken]?

    init(_ sql: String) {
        let tokens = SQLToken.all(of: sql)
        guard let open = tokens.firstIndex(where: { $0.isSign("(") }), let close = tokens.closing(open) else { return }
        items = tokens[(open + 1)..<close].listItems.map(Self.item)
        let rest = tokens[(close + 1)...]
        if let place = rest.firstIndex(where: { $0.keyword == "WHERE" }) {
            condition = Array(rest[(place + 1)...])
        }
    }

    private static func item(_ tokens: ArraySlice<SQLToken>) -> Item {
        var item = Item(expression: tokens)
        if let last = item.expression.last, ["ASC", "DESC"].contains(last.keyword) {
            item.isDescending = last.keyword == "DESC"
            item.expression.removeLast()
        }
        if item.expression.count > 2, item.expression[item.expression.endIndex - 2].keyword == "COLLATE" {
            item.collation = item.expression.last?.text.uppercased()
            item.expression.removeLast(2)
        }
        return item
    }
}
