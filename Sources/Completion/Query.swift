// What the scanner finds of a statement.

/// A SELECT, or a statement that changes rows; also what is neither, as a place for the names that are known there.
struct Query {
    enum Verb { case none, select, values, insert, update, delete, merge, other }

    var verb = Verb.none
    /// The query around it.
    var outer: Int?
    /// Whether the relations of `outer` can be named here: not in FROM, without LATERAL.
    var seesOuter = true
    /// Only those of `outer` that are declared before this token.
    var outerEnd = Int.max
    /// The first arm of the UNION that it is an arm of.
    var firstArm: Int?
    var sources: [Source] = []
    var tableExpressions: [TableExpression] = []
    var isRecursive = false
    var outputs: [Output] = []
    /// Columns that are named where columns get values: INSERT's list, the left sides of SET.
    var listed: [String] = []
    /// Of VALUES: how many values the first row has, and whether ROW stands before it.
    var rowWidth = 0
    var isRowNamed = false
    /// `VALUES (…) AS new (a, b)` of MySQL: what ON DUPLICATE KEY UPDATE calls the new row.
    var rowAlias: Source?
    /// `DELETE a, b FROM` of MySQL names what is deleted before FROM.
    var hasTargetList = false
}

/// What stands in FROM, or is the target of a change.
struct Source {
    var namespace: String?
    var name = ""
    /// The query in parentheses that it is.
    var query: Int?
    var isFunction = false
    /// The parenthesis behind the name of the function.
    var argumentsToken: Int?
    /// `WITH ORDINALITY`
    var hasOrdinality = false
    var alias: String?
    /// `AS t (a, b)`.
    var columnNames: [String] = []
    /// The token with its name, or with the parenthesis before it.
    var token: Int
    var nameToken: Int

    /// By what its columns are qualified.
    var label: String { alias ?? name }
}

/// `WITH name (columns) AS (query)`.
struct TableExpression {
    var name: String
    var columnNames: [String] = []
    /// Columns that SEARCH and CYCLE add.
    var addedNames: [String] = []
    var query: Int?
    var token: Int
    /// The parenthesis that closes its query.
    var end: Int?
}

/// An entry of a select list.
struct Output {
    var first: Int
    var last: Int
}

/// What is open at a place: an open parenthesis, or the statement as a whole.
struct Frame {
    enum Kind {
        /// The statement, or a query in parentheses.
        case query
        /// Other parentheses: arguments, rows of values, what groups an expression.
        case expression
        /// `CAST(`
        case cast
        /// `OVER (`
        case window
        /// `FROM (`: joins, or what becomes a derived table.
        case tables
        /// `WITH x AS (`, before its query.
        case tableExpressionBody
        /// Lists of names: of INSERT, of SET, behind USING, ON CONFLICT, WITH x, and an alias.
        case insertColumns, setColumns, usingColumns, conflictColumns, tableExpressionColumns, aliasColumns
        /// `VALUES (…) AS new (`
        case rowAliasColumns
    }

    enum Clause {
        case start, other
        case with, withName, withAs, withAfter
        case selectList, relation, relationDot, relationRead, on, using
        case `where`, group, having, order, limit, window, setOperation
        case values, conflict, set, returning, matched
        /// `DELETE`, before FROM
        case deleteTargets
        /// `ON CONFLICT (…) WHERE`: which index is meant.
        case conflictWhere
    }

    var kind: Kind
    var query: Int
    /// The query of the statement itself, where a SELECT belongs to an INSERT.
    var statement: Int
    var clause = Clause.start
    var opener: Int
    /// What it was opened as, before it turned out to be a query.
    var origin = Kind.expression
    var outputStart: Int?
    /// The last token at this depth.
    var last: Int?
    /// Whether an `=` stands behind the last target of SET.
    var hasAssignment = false
    var isLateral = false
    /// The first row of VALUES.
    var isFirstRow = false
    /// Brackets that are open, as of `ARRAY[1, 2]`.
    var bracketDepth = 0
    /// Within a list of columns behind SEARCH … BY or CYCLE.
    var isColumnList = false
    /// SET of ON CONFLICT or ON DUPLICATE KEY: `excluded` is known.
    var isConflict = false
    var isFresh = true
}
