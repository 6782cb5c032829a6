// Expressions and SELECTs of SQLite in the words of PostgreSQL: only what means the same there. Whether the types fit, the server says.

/// Why something has no translation.
struct Untranslatable: Error, Equatable {
    let cause: String
    init(_ cause: String) { self.cause = cause }
}

/// Translates word by word; both languages are of one family.
/// - Source: sqlite.org/lang_expr.html, sqlite.org/lang_corefunc.html; PostgreSQL, "Chapter 9. Functions and Operators"
struct ExpressionTranslation {
    let names: Names
    /// Names that may stand in it, in small letters; `nil`: any, since it is a view with names of its own.
    let known: Set<String>?

    /// Words that both read alike.
    private static let keywords: Set = [
        "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CROSS", "CURRENT", "DESC", "DISTINCT", "ELSE", "END",
        "EXCEPT",
        "EXISTS", "FALSE", "FILTER", "FIRST", "FOLLOWING", "FROM", "FULL", "GROUP", "HAVING", "IN", "INNER",
        "INTERSECT",
        "JOIN", "LAST", "LEFT", "LIMIT", "NATURAL", "NOT", "NULL", "NULLS", "OFFSET", "ON", "OR", "ORDER", "OUTER",
        "OVER",
        "PARTITION", "PRECEDING", "RANGE", "RECURSIVE", "RIGHT", "ROW", "ROWS", "SELECT", "THEN", "TRUE", "UNBOUNDED",
        "UNION",
        "USING", "VALUES", "WHEN", "WHERE", "WITH",
    ]
    /// Functions that both have with the same meaning.
    private static let functions: Set = [
        "abs", "coalesce", "count", "dense_rank", "first_value", "lag", "last_value", "lead", "length", "lower",
        "ltrim", "ntile",
        "nullif", "rank", "replace", "row_number", "rtrim", "sum", "trim", "upper",
    ]
    private static let renamed = ["ifnull": "coalesce", "instr": "strpos"]
    private static let moments = [
        "CURRENT_TIMESTAMP": "YYYY-MM-DD HH24:MI:SS", "CURRENT_DATE": "YYYY-MM-DD", "CURRENT_TIME": "HH24:MI:SS",
        "datetime": "YYYY-MM-DD HH24:MI:SS", "date": "YYYY-MM-DD", "time": "HH24:MI:SS",
    ]
    private static let oneWord = ["ISNULL": "IS NULL", "NOTNULL": "IS NOT NULL"]
    /// In a list of values, what is 0 or 1 in SQLite and a boolean in PostgreSQL.
    private static let truthWords: Set = [
        "AND", "BETWEEN", "EXISTS", "FALSE", "IN", "IS", "ISNULL", "LIKE", "NOT", "NOTNULL", "OR", "TRUE",
    ]
    private static let truthSigns: Set = ["=", "==", "<>", "!=", "<", ">", "<=", ">="]
    /// Where the values of a SELECT end.
    private static let valueListEnds: Set = [
        "EXCEPT", "FROM", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "UNION", "WHERE",
    ]
    /// Where the list behind ORDER BY ends.
    private static let orderEnds: Set = ["GROUPS", "LIMIT", "OFFSET", "RANGE", "ROWS"]
    private static let binary = "COLLATE \"C\""

    func translate(_ tokens: some Collection<SQLToken>) throws(Untranslatable) -> String {
        let tokens = Array(tokens)
        var output: [String] = []
        var index = 0
        while index < tokens.count { index = try translate(tokens, at: index, into: &output) }
        return output.joined(separator: " ")
    }

    /// - Returns: where the next word begins.
    private func translate(
        _ tokens: [SQLToken], at index: Int, into output: inout [String]
    ) throws(Untranslatable) -> Int {
        let token = tokens[index]
        switch token.kind {
        case .word: return try translateWord(tokens, at: index, into: &output)
        case .name(let isInDoubleQuotes):
            try append(
                token, isInDoubleQuotes ? "\"\(token.text)\" in double quotes, which may be a text" : nil, &output)
        case .text: output.append(Names.literal(token.text))
        case .blob: output.append("'\\x\(token.text)'::bytea")
        case .number: output.append(try Self.number(token.text))
        case .sign where token.text == "||": return try concatenation(tokens, at: index, into: &output)
        case .sign: output.append(try sign(tokens, at: index))
        }
        return index + 1
    }

    private func append(_ token: SQLToken, _ cause: String?, _ output: inout [String]) throws(Untranslatable) {
        if let known, !known.contains(token.text.lowercased()) {
            throw Untranslatable(cause ?? "the word \(token.text) is not known")
        }
        output.append(names.quoted(token.text))
    }

    private static func number(_ text: String) throws(Untranslatable) -> String {
        guard text.lowercased().hasPrefix("0x") else { return text }
        guard let bits = UInt64(text.dropFirst(2), radix: 16) else { throw Untranslatable("the number \(text)") }
        return String(Int64(bitPattern: bits))
    }

    private func sign(_ tokens: [SQLToken], at index: Int) throws(Untranslatable) -> String {
        switch tokens[index].text {
        case "==": return "="
        case "!=": return "<>"
        case "->", "->>": throw Untranslatable("the operator \(tokens[index].text) for JSON in text")
        case "/", "%":
            // By zero it is null there and an error here.
            let divisor = index + 1 < tokens.count ? tokens[index + 1] : nil
            guard let divisor, divisor.kind == .number, divisor.text.contains(where: { ("1"..."9").contains($0) })
            else {
                throw Untranslatable("a division, which by zero is null in SQLite and an error in PostgreSQL")
            }
            return tokens[index].text
        case "(", ")", ",", ".", "+", "-", "*", "<", ">", "<=", ">=", "=", "<>", "&", "|", "~", "<<", ">>":
            return tokens[index].text
        case ";": return ""
        default: throw Untranslatable("the sign \(tokens[index].text)")
        }
    }

    private func translateWord(
        _ tokens: [SQLToken], at index: Int, into output: inout [String]
    ) throws(Untranslatable) -> Int {
        let token = tokens[index]
        let next = index + 1 < tokens.count ? tokens[index + 1] : nil
        if let next, next.isSign("."), ["MAIN", "TEMP"].contains(token.keyword) { return index + 2 }
        // Behind a point, and as a name of the table, keywords are names.
        if index > 0, tokens[index - 1].isSign(".") { return try name(token, index, &output) }
        if let words = Self.oneWord[token.keyword] {
            output.append(words)
            return index + 1
        }
        if let form = Self.moments[token.keyword] {
            output.append(Self.moment(form))
            return index + 1
        }
        switch token.keyword {
        case "NOT" where next?.keyword == "NULL" && index > 0:
            output.append("IS NOT NULL")
            return index + 2
        case "IS": return comparison(tokens, at: index, into: &output)
        case "LIKE": return try pattern(tokens, at: index, into: &output)
        case "GLOB", "REGEXP", "MATCH": throw Untranslatable("the operator \(token.keyword)")
        case "COLLATE":
            guard next?.text.uppercased() == "BINARY" else { throw Untranslatable("COLLATE \(next?.text ?? "")") }
            output.append(Self.binary)
            return index + 2
        case "ORDER" where next?.keyword == "BY": return try order(tokens, at: index, into: &output)
        case "SELECT": try checkValues(tokens, from: index + 1)
        default: break
        }
        if Self.keywords.contains(token.keyword) {
            output.append(token.keyword)
            return index + 1
        }
        if next?.isSign("(") == true, let close = tokens.closing(index + 1) {
            output.append(try call(token.text.lowercased(), tokens[(index + 2)..<close]))
            return close + 1
        }
        return try name(token, index, &output)
    }

    private func name(_ token: SQLToken, _ index: Int, _ output: inout [String]) throws(Untranslatable) -> Int {
        if ["ROWID", "OID", "_ROWID_"].contains(token.keyword), known?.contains(token.text.lowercased()) != true {
            throw Untranslatable("the rowid, which PostgreSQL does not have")
        }
        try append(token, nil, &output)
        return index + 1
    }

    /// The present time in UTC, as text.
    private static func moment(_ form: String) -> String { "to_char(now() AT TIME ZONE 'UTC', '\(form)')" }

    /// IS compares any two values in SQLite.
    private func comparison(_ tokens: [SQLToken], at index: Int, into output: inout [String]) -> Int {
        let isNegated = index + 1 < tokens.count && tokens[index + 1].keyword == "NOT"
        let place = isNegated ? index + 2 : index + 1
        let start = isNegated ? "IS NOT" : "IS"
        guard place < tokens.count else { return place }
        if ["NULL", "TRUE", "FALSE", "DISTINCT"].contains(tokens[place].keyword) {
            output.append(start)
        } else {
            output.append(isNegated ? "IS DISTINCT FROM" : "IS NOT DISTINCT FROM")
        }
        return place
    }

    /// LIKE does not heed the case of ASCII letters, as ILIKE with the collation "C" does not, and has no escape unless it is given.
    private func pattern(
        _ tokens: [SQLToken], at index: Int, into output: inout [String]
    ) throws(Untranslatable) -> Int {
        guard index + 1 < tokens.count, tokens[index + 1].kind == .text else {
            throw Untranslatable("LIKE with a pattern that is no text")
        }
        output += ["ILIKE", Names.literal(tokens[index + 1].text)]
        guard index + 3 < tokens.count, tokens[index + 2].keyword == "ESCAPE", tokens[index + 3].kind == .text else {
            output.append("ESCAPE ''")
            return index + 2
        }
        output += ["ESCAPE", Names.literal(tokens[index + 3].text)]
        return index + 4
    }

    /// Texts alone: reals have other digits in PostgreSQL. It gives a collation to nothing else, and so refuses the rest.
    private func concatenation(
        _ tokens: [SQLToken], at index: Int, into output: inout [String]
    ) throws(Untranslatable) -> Int {
        guard !output.isEmpty, let end = Self.operandEnd(tokens, index + 1) else {
            throw Untranslatable("the operator || with something else than names, texts and functions")
        }
        let operand = try translate(tokens[(index + 1)..<end])
        if output.last != Self.binary { output.append(Self.binary) }
        output += ["||", operand, Self.binary]
        return end
    }

    /// Behind a text, a name, a call, or what is in parentheses.
    private static func operandEnd(_ tokens: [SQLToken], _ start: Int) -> Int? {
        guard start < tokens.count else { return nil }
        let token = tokens[start]
        if token.isSign("(") { return tokens.closing(start).map { $0 + 1 } }
        if token.kind == .text { return start + 1 }
        guard token.isName, !keywords.contains(token.keyword) else { return nil }
        var end = start + 1
        if end < tokens.count, tokens[end].isSign("(") { return tokens.closing(end).map { $0 + 1 } }
        while end + 1 < tokens.count, tokens[end].isSign("."), tokens[end + 1].isName { end += 2 }
        return end
    }

    // MARK: Parts of SELECT

    /// Nulls are less than everything in SQLite, and greater in PostgreSQL.
    private func order(
        _ tokens: [SQLToken], at index: Int, into output: inout [String]
    ) throws(Untranslatable) -> Int {
        var (end, depth) = (index + 2, 0)
        while end < tokens.count {
            if tokens[end].isSign("(") { depth += 1 }
            if tokens[end].isSign(")") { depth -= 1 }
            if depth < 0 || tokens[end].isSign(";") { break }
            if depth == 0, Self.orderEnds.contains(tokens[end].keyword) { break }
            end += 1
        }
        var items: [String] = []
        for item in tokens[(index + 2)..<end].listItems {
            var text = try translate(item)
            if !item.contains(where: { $0.keyword == "NULLS" }) {
                text += item.last?.keyword == "DESC" ? " NULLS LAST" : " NULLS FIRST"
            }
            items.append(text)
        }
        output.append("ORDER BY \(items.joined(separator: ", "))")
        return end
    }

    /// Refuses comparisons among the values of a SELECT, but for conditions. Those of a SELECT within are looked at when its turn
    /// comes.
    private func checkValues(_ tokens: [SQLToken], from start: Int) throws(Untranslatable) {
        var (index, depth) = (start, 0)
        while index < tokens.count {
            let token = tokens[index]
            if token.isSign("(") {
                if isSkipped(tokens, parenthesis: index), let close = tokens.closing(index) {
                    index = close
                } else {
                    depth += 1
                }
            } else if token.isSign(")") {
                depth -= 1
                if depth < 0 { return }
            } else if token.keyword == "WHEN", let then = tokens[index...].firstIndex(where: { $0.keyword == "THEN" }) {
                index = then
            } else if tokens[index - 1].isSign(".") {
                // A name.
            } else if depth == 0, Self.valueListEnds.contains(token.keyword) {
                return
            } else if Self.truthWords.contains(token.keyword)
                || (token.kind == .sign && Self.truthSigns.contains(token.text))
            {
                throw Untranslatable(
                    "\(token.text) among the values of a SELECT gives 0 and 1 in SQLite, and a boolean in PostgreSQL")
            }
            index += 1
        }
    }

    /// Whether no value of this SELECT is in it: another SELECT, a condition, a window.
    private func isSkipped(_ tokens: [SQLToken], parenthesis index: Int) -> Bool {
        if ["FILTER", "OVER"].contains(tokens[index - 1].keyword) { return true }
        return index + 1 < tokens.count && ["SELECT", "VALUES", "WITH"].contains(tokens[index + 1].keyword)
    }

    // MARK: Functions

    private func call(_ function: String, _ tokens: ArraySlice<SQLToken>) throws(Untranslatable) -> String {
        switch function {
        case "cast":
            throw Untranslatable(
                "CAST, which in SQLite takes the number at the beginning of a text, cuts a fraction off and writes reals with "
                    + "other digits")
        case "iif":
            let parts = tokens.listItems
            guard parts.count == 3 else { break }
            return "CASE WHEN \(try translate(parts[0])) THEN \(try translate(parts[1])) "
                + "ELSE \(try translate(parts[2])) END"
        case "substr", "substring":
            // A negative place counts from the end there.
            guard !tokens.contains(where: { $0.isSign("-") }) else { break }
            return "substr(\(try translate(tokens)))"
        case "min", "max":
            // With several values they are null where one is; GREATEST and LEAST leave those out.
            guard tokens.listItems.count == 1 else { break }
            return "\(function)(\(try translate(tokens)))"
        case "avg": return "CAST(avg(\(try translate(tokens))) AS double precision)"
        case "datetime", "date", "time":
            guard tokens.count == 1, tokens.first == SQLToken(.text, "now"), let form = Self.moments[function] else {
                break
            }
            return Self.moment(form)
        case _ where Self.functions.contains(function): return "\(function)(\(try translate(tokens)))"
        default:
            if let name = Self.renamed[function] { return "\(name)(\(try translate(tokens)))" }
        }
        throw Untranslatable("the function \(function)() as SQLite has it")
    }
}
