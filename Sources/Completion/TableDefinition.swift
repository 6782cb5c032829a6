// Columns that a function in FROM defines among its arguments.

/// `JSON_TABLE(… COLUMNS (a INT PATH '$.a', NESTED PATH '$.b' COLUMNS (…)))` of MySQL, `XMLTABLE(… COLUMNS a int PATH 'a', …)` of
/// PostgreSQL.
/// - Cost: linear in the tokens between the parentheses.
struct TableDefinition {
    private(set) var columns: [CompletionColumn] = []
    private(set) var tokenCount = 0

    private static let columnCountMax = 4_096

    /// Reads the arguments behind `opener`, the parenthesis that follows the name of `function`.
    init(_ statement: StatementTokens, opener: Int, function: String) {
        switch (statement.dialect, function.lowercased()) {
        case (.mysql, "json_table"), (.postgresql, "xmltable"): read(statement, opener)
        default: break
        }
    }

    private mutating func read(_ statement: StatementTokens, _ opener: Int) {
        // At which depths the entries of lists are columns.
        var depth = 0
        var depths: Set<Int> = []
        var index = opener
        while let token = statement.token(index), columns.count < Self.columnCountMax {
            tokenCount += 1
            let next = index + 1
            switch token.kind {
            case .open: depth += 1
            case .close:
                depths.remove(depth)
                depth -= 1
                if depth == 0 { return }
            case .comma where depths.contains(depth): add(statement, next)
            case .word where statement.keyword(index) == .columns && index > opener:
                let isList = statement.token(next)?.kind == .open
                depths.insert(isList ? depth + 1 : depth)
                add(statement, isList ? next + 1 : next)
            default: break
            }
            index = next
        }
    }

    private mutating func add(_ statement: StatementTokens, _ index: Int) {
        guard let name = statement.token(index), name.isName, statement.keyword(index) != .nested else { return }
        let type = statement.token(index + 1).map { $0.kind == .word ? statement.text($0) : "" } ?? ""
        columns.append(CompletionColumn(statement.name(name), type: type.uppercased() == "FOR" ? "" : type))
    }
}
