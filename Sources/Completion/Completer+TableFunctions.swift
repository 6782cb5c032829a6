// The arguments of functions in FROM that define columns, and the columns that an alias defines.

extension Completer {
    /// `AS x (a integer, …)` behind a function of PostgreSQL: types.
    mutating func proposeColumnTypes(_ frame: Frame) {
        guard statement.dialect == .postgresql, let last = statement.token(before), last.isName,
            [.open, .comma].contains(statement.token(before - 1)?.kind),
            let source = scanner.queries[frame.query].sources.last(where: { $0.token < statement.cursorIndex }),
            source.isFunction
        else { return }
        proposeTypes()
    }

    /// Within `JSON_TABLE(` or `XMLTABLE(`.
    /// - Returns: whether nothing else may stand at the cursor.
    mutating func proposeTableFunction() -> Bool {
        guard qualifier.isEmpty else { return false }
        for (depth, frame) in scanner.framesAtCursor.enumerated().reversed() {
            switch function(of: frame) {
            case "json_table" where statement.dialect == .mysql:
                return proposeJSONTable(frame, Array(scanner.framesAtCursor[(depth + 1)...]))
            case "xmltable" where statement.dialect == .postgresql:
                return depth == scanner.framesAtCursor.count - 1 && proposeXMLTable(frame)
            default: break
            }
            // A query in parentheses is another matter.
            if frame.kind == .query { return false }
        }
        return false
    }

    private func function(of frame: Frame) -> String? {
        guard frame.kind == .expression, let name = statement.token(frame.opener - 1), name.kind == .word else {
            return nil
        }
        return statement.text(name).lowercased()
    }

    // MARK: JSON_TABLE

    private mutating func proposeJSONTable(_ frame: Frame, _ inner: [Frame]) -> Bool {
        let isDefining = inner.contains { statement.keyword($0.opener - 1) == .columns }
        if isDefining, let list = inner.last(where: { statement.keyword($0.opener - 1) == .columns }) {
            // Also within the parentheses of a type.
            return propose(Self.jsonColumn, from: beginningOfEntry(in: list))
        }
        guard inner.isEmpty else { return false }
        // Behind the document and the path.
        guard beginningOfEntry(in: frame) > frame.opener + 1, !isOperandExpected else { return false }
        addKeywords("COLUMNS (", tier: Tier.best)
        return true
    }

    // - Source: https://dev.mysql.com/doc/refman/8.4/en/json-table-functions.html, https://mariadb.com/kb/en/json_table/
    private static let jsonColumn = Syntax(
        """
        <NESTED [+PATH] value COLUMNS ( old ) | new <type [( value [, value] )] <PATH value [<NULL | ERROR | DEFAULT value> <ON EMPTY | ON ERROR> [<NULL | ERROR | DEFAULT value> ON ERROR]] | EXISTS PATH value> | FOR ORDINALITY>>
        """)

    // MARK: XMLTABLE

    private mutating func proposeXMLTable(_ frame: Frame) -> Bool {
        let tokens = statement.tokens[(frame.opener + 1)..<max(statement.cursorIndex, frame.opener + 1)]
        if let columns = tokens.lastIndex(where: { $0.keyword == .columns }) {
            return propose(Self.xmlColumn, from: beginningOfEntry(in: frame, from: columns + 1))
        }
        guard !tokens.isEmpty, !isOperandExpected else { return false }
        addKeywords(tokens.contains { $0.keyword == .passing } ? "COLUMNS" : "PASSING", tier: Tier.best)
        return true
    }

    // - Source: https://www.postgresql.org/docs/15/functions-xml.html#FUNCTIONS-XML-PROCESSING-XMLTABLE
    private static let xmlColumn = Syntax(
        "new <type [( value [, value] )] [PATH value] [DEFAULT value] [NOT NULL] [NULL] | FOR ORDINALITY>")
}
