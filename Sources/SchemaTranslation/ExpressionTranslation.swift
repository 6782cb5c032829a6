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
    private static let types = [
        "INTEGER": "bigint", "INT": "bigint", "BIGINT": "bigint", "TEXT": "text", "REAL": "double precision",
        "BLOB": "bytea",
        "NUMERIC": "numeric",
    ]

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
        case "(", ")", ",", ".", "+", "-", "*", "<", ">", "<=", ">=", "=", "<>", "||", "&", "|", "~", "<<", ">>":
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
            output.append("COLLATE \"C\"")
            return index + 2
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

    // MARK: Functions

    private func call(_ function: String, _ tokens: ArraySlice<SQLToken>) throws(Untranslatable) -> String {
        switch function {
        case "cast": return try cast(tokens)
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

    private func cast(_ tokens: ArraySlice<SQLToken>) throws(Untranslatable) -> String {
        guard let place = tokens.lastIndex(where: { $0.keyword == "AS" }), place + 2 == tokens.endIndex,
            let type = Self.types[tokens[place + 1].keyword]
        else { throw Untranslatable("a CAST to a type that PostgreSQL does not have") }
        return "CAST(\(try translate(tokens[..<place])) AS \(type))"
    }
}
