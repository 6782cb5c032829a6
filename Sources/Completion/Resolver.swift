// What the names of a statement stand for: the columns of what is in scope.

struct Resolver {
    let statement: StatementTokens
    let queries: [Query]
    let schema: any CompletionSchema
    let identifiers: Identifiers
    /// Columns of queries that were asked for already; empty while they are being found, so that a circle ends.
    private var known: [Int: [CompletionColumn]] = [:]
    /// By the token of a source: its columns, and their types by name.
    private var knownSources: [Int: [CompletionColumn]] = [:]
    private var knownTypes: [Int: [String: String]] = [:]
    /// Of a query: its common table expressions by their names, and its sources by what their columns are qualified by. A statement
    /// may have thousands of each, and each of the one leads to some of the other.
    private let expressions: [Int: [String: [TableExpression]]]
    private var knownLabels: [Int: [String: [Source]]] = [:]
    /// Of a query: what `*` stands for in it, by its qualifier, and the types of columns that have no qualifier.
    private var knownStars: [Int: [String?: [CompletionColumn]]] = [:]
    private var knownOwnTypes: [Int: [String: String]] = [:]
    private var depth = 0
    /// How many columns may still be looked at, whatever the statement says.
    private var budget = 20_000

    private static let depthMax = 40
    /// No engine has more columns in one table.
    private static let columnCountMax = 4_096
    /// Sources that are asked for the type of a column.
    private static let typedSourceCountMax = 100

    init(_ scanner: QueryScanner, schema: any CompletionSchema) {
        (statement, queries, self.schema) = (scanner.statement, scanner.queries, schema)
        let identifiers = Identifiers(dialect: scanner.statement.dialect)
        self.identifiers = identifiers
        var expressions: [Int: [String: [TableExpression]]] = [:]
        for (number, query) in queries.enumerated() where !query.tableExpressions.isEmpty {
            expressions[number] = Dictionary(grouping: query.tableExpressions) { identifiers.key($0.name) }
        }
        self.expressions = expressions
    }

    /// The columns of what stands in FROM of `query`.
    mutating func columns(of source: Source, in query: Int) -> [CompletionColumn] {
        if let columns = knownSources[source.token] { return columns }
        let columns = renamed(unnamedColumns(of: source, in: query), source.columnNames)
        // Each place that names something gets columns of its own.
        budget -= columns.count
        knownSources[source.token] = columns
        return columns
    }

    /// The type of the column whose name has that key, if it has one.
    private mutating func type(of key: String, from source: Source, in query: Int) -> String? {
        if let types = knownTypes[source.token] { return types[key] }
        let pairs = columns(of: source, in: query).map { (identifiers.key($0.name), $0.type) }
        let types = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        knownTypes[source.token] = types
        return types[key]
    }

    private mutating func unnamedColumns(of source: Source, in query: Int) -> [CompletionColumn] {
        guard budget > 0, depth < Self.depthMax else { return [] }
        depth += 1
        defer { depth -= 1 }
        if let derived = source.query { return outputs(of: derived) }
        if source.isFunction { return functionColumns(of: source) }
        if source.namespace == nil, let found = tableExpression(source.name, in: query, before: source.token) {
            return columns(of: found)
        }
        return relation(of: source, in: query).map { schema.columns(of: $0) } ?? []
    }

    /// The columns of a common table expression.
    mutating func columns(of expression: TableExpression) -> [CompletionColumn] {
        renamed(expression.query.map { outputs(of: $0) } ?? [], expression.columnNames)
            + expression.addedNames.map { CompletionColumn($0) }
    }

    /// What a function in FROM gives.
    private mutating func functionColumns(of source: Source) -> [CompletionColumn] {
        var columns = Functions.columns(of: source.name, statement.dialect)
        if columns.isEmpty, let opener = source.argumentsToken {
            let defined = TableDefinition(statement, opener: opener, function: source.name)
            budget -= defined.tokenCount
            columns = defined.columns
        }
        // The result of a function that gives single values is called as it is.
        if columns.isEmpty, statement.dialect == .postgresql, !source.label.isEmpty, source.columnNames.isEmpty {
            columns = [CompletionColumn(source.label)]
        } else if columns.isEmpty, source.hasOrdinality {
            columns = source.columnNames.dropLast().map { CompletionColumn($0) }
        }
        return source.hasOrdinality ? columns + [CompletionColumn("ordinality", type: "bigint")] : columns
    }

    private func renamed(_ columns: [CompletionColumn], _ names: [String]) -> [CompletionColumn] {
        if names.isEmpty { return columns }
        var columns = columns
        for (index, name) in names.prefix(Self.columnCountMax).enumerated() {
            if index < columns.count { columns[index].name = name } else { columns.append(CompletionColumn(name)) }
        }
        return columns
    }

    /// The table or view that it is; `nil` for everything that only the statement knows.
    func relation(of source: Source, in query: Int) -> CompletionRelation? {
        guard source.query == nil, !source.isFunction, !source.name.isEmpty else { return nil }
        if source.namespace == nil, tableExpression(source.name, in: query, before: source.token) != nil { return nil }
        return schema.relation(named: source.name, in: source.namespace)
    }

    /// The common table expression of that name, which `query` or one around it declares before a token; the last of several.
    func tableExpression(_ name: String, in query: Int, before token: Int) -> TableExpression? {
        guard !expressions.isEmpty else { return nil }
        let key = identifiers.key(name)
        var next: Int? = query
        while let query = next {
            if let found = expression(key, of: query, before: token) { return found }
            if let arm = queries[query].firstArm, let found = expression(key, of: arm, before: token) { return found }
            next = queries[query].outer
        }
        return nil
    }

    private func expression(_ key: String, of query: Int, before token: Int) -> TableExpression? {
        guard let named = expressions[query]?[key] else { return nil }
        // SQLite needs no RECURSIVE.
        let isRecursive = statement.dialect == .sqlite || queries[query].isRecursive
        // They stand in the order of their tokens.
        var (first, end) = (0, named.count)
        while first < end {
            let middle = (first + end) / 2
            if named[middle].token < token { first = middle + 1 } else { end = middle }
        }
        return named[..<end].last { isSeen($0, from: token, isRecursive: isRecursive) }
    }

    /// All that can be named in a query, the innermost first.
    func tableExpressions(in query: Int, before token: Int, isRecursive: Bool = false) -> [TableExpression] {
        var found: [TableExpression] = []
        var next: Int? = query
        while let query = next, found.count < Self.columnCountMax {
            let places = [query] + (queries[query].firstArm.map { [$0] } ?? [])
            for place in places {
                let isRecursive = isRecursive || queries[place].isRecursive
                found += queries[place].tableExpressions.reversed().filter {
                    isSeen($0, from: token, isRecursive: isRecursive)
                }
            }
            next = queries[query].outer
        }
        return found
    }

    /// One that is being written is known within itself only if it is recursive.
    private func isSeen(_ expression: TableExpression, from token: Int, isRecursive: Bool) -> Bool {
        guard expression.token < token else { return false }
        if isRecursive { return true }
        return expression.end.map { $0 < token } ?? false
    }

    /// The columns that a query gives.
    mutating func outputs(of query: Int) -> [CompletionColumn] {
        if let columns = known[query] { return columns }
        known[query] = []
        var columns: [CompletionColumn] = []
        for output in queries[query].outputs where columns.count < Self.columnCountMax {
            columns += self.columns(of: output, in: query)
        }
        if columns.isEmpty, queries[query].verb == .values { columns = rowColumns(of: queries[query]) }
        budget -= columns.count
        known[query] = columns
        return columns
    }

    /// The columns of VALUES, which have names of their own; those of MariaDB's form are the values.
    private func rowColumns(of query: Query) -> [CompletionColumn] {
        let numbers = 0..<min(query.rowWidth, Self.columnCountMax)
        guard statement.dialect == .mysql else { return numbers.map { CompletionColumn("column\($0 + 1)") } }
        return query.isRowNamed ? numbers.map { CompletionColumn("column_\($0)") } : []
    }

    private mutating func columns(of output: Output, in query: Int) -> [CompletionColumn] {
        guard let last = statement.token(output.last) else { return [] }
        if last.kind == .star { return expansion(of: output, in: query) }
        if last.isName, statement.keyword(output.last) != .end {
            return [CompletionColumn(statement.name(last), type: type(of: output, in: query))]
        }
        // PostgreSQL calls the result of a function by the function's name.
        guard last.kind == .close, statement.dialect == .postgresql, let first = statement.token(output.first),
            first.isName,
            statement.token(output.first + 1)?.kind == .open
        else { return [] }
        return [CompletionColumn(statement.name(first))]
    }

    private mutating func expansion(of output: Output, in query: Int) -> [CompletionColumn] {
        var qualifier: String?
        if output.last - 2 >= output.first, statement.tokens[output.last - 1].kind == .dot {
            qualifier = statement.name(statement.tokens[output.last - 2])
        }
        let key = qualifier.map(identifiers.key)
        if let columns = knownStars[query]?[key] { return columns }
        let meant = key.map { sources(labelled: $0, in: query) } ?? queries[query].sources
        let columns = shownColumns(of: meant, in: query)
        knownStars[query, default: [:]][key] = columns
        return columns
    }

    private mutating func shownColumns(of sources: [Source], in query: Int) -> [CompletionColumn] {
        var columns: [CompletionColumn] = []
        for source in sources where columns.count < Self.columnCountMax {
            columns += self.columns(of: source, in: query).filter { !$0.isHidden }
        }
        return columns
    }

    /// The sources of a query whose label has that key, in their order.
    private mutating func sources(labelled key: String, in query: Int) -> [Source] {
        if let labels = knownLabels[query] { return labels[key] ?? [] }
        let labels = Dictionary(grouping: queries[query].sources) { [identifiers] in identifiers.key($0.label) }
        knownLabels[query] = labels
        return labels[key] ?? []
    }

    /// The type of `column`, `table.column`, and either with a new name.
    private mutating func type(of output: Output, in query: Int) -> String {
        let tokens = statement.tokens
        guard tokens[output.first].isName else { return "" }
        var index = output.first
        var qualifier: String?
        if index + 2 <= output.last, tokens[index + 1].kind == .dot, tokens[index + 2].isName {
            qualifier = statement.name(tokens[index])
            index += 2
        }
        let rest = output.last - index
        guard rest == 0 || rest == 1 || rest == 2 && statement.keyword(index + 1) == .as else { return "" }
        let key = identifiers.key(statement.name(tokens[index]))
        guard let qualifier else { return ownTypes(of: query)[key] ?? "" }
        for source in sources(labelled: identifiers.key(qualifier), in: query).prefix(Self.typedSourceCountMax) {
            if let type = type(of: key, from: source, in: query) { return type }
        }
        return ""
    }

    /// The types of the columns that a query can name without a qualifier; that of the first source counts.
    private mutating func ownTypes(of query: Int) -> [String: String] {
        if let types = knownOwnTypes[query] { return types }
        var types: [String: String] = [:]
        for source in queries[query].sources.prefix(Self.typedSourceCountMax) {
            for column in columns(of: source, in: query) {
                let key = identifiers.key(column.name)
                if types[key] == nil { types[key] = column.type }
            }
        }
        knownOwnTypes[query] = types
        return types
    }
}
