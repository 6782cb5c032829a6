// Reads a statement once, from its first token to its last one, and notes what is named in it and what is open at the cursor.
//
// It accepts every text: what makes no sense at its place is a name or is passed over.

struct QueryScanner {
    let statement: StatementTokens
    private(set) var queries = [Query()]
    private var frames = [Frame(kind: .query, query: 0, statement: 0, opener: -1, origin: .query)]
    /// What is open at the cursor, the innermost last.
    private(set) var framesAtCursor: [Frame] = []
    /// Parentheses deeper than is followed.
    private var excessDepth = 0

    private static let depthMax = 200

    init(_ statement: StatementTokens) {
        self.statement = statement
        for index in statement.tokens.indices {
            if index == statement.cursorIndex { framesAtCursor = frames }
            step(index)
        }
        if statement.cursorIndex >= statement.tokens.count { framesAtCursor = frames }
        while let frame = frames.popLast() { finish(frame) }
    }

    /// The innermost open frame.
    private var top: Frame {
        get { frames[frames.count - 1] }
        _modify { yield &frames[frames.count - 1] }
    }

    private mutating func step(_ index: Int) {
        let token = statement.tokens[index]
        switch token.kind {
        case .open: return open(index)
        case .close: return close(index)
        case .comma: takeComma(index)
        case .assign: top.hasAssignment = true
        case .dot: takeDot(index)
        case .word:
            let keyword = statement.keyword(index)
            if keyword == .none || !takeKeyword(keyword, index) { takeName(index) }
        case .quotedName: takeName(index)
        case .other: takeBracket(token)
        default: break
        }
        top.last = index
        top.isFresh = false
    }

    /// Notes the last entry of a select list.
    private mutating func finish(_ frame: Frame) {
        guard let first = frame.outputStart, let last = frame.last, last >= first else { return }
        queries[frame.query].outputs.append(Output(first: first, last: last))
    }

    private mutating func finishOutput() {
        finish(top)
        top.outputStart = nil
    }
}

// Parentheses.
extension QueryScanner {
    private mutating func open(_ index: Int) {
        guard frames.count < Self.depthMax else {
            excessDepth += 1
            return
        }
        let kind = kindOfParenthesis(index)
        if kind == .expression, top.clause == .relationRead, let last = top.last { noteFunction(last, opener: index) }
        top.last = index
        top.isFresh = false
        var frame = Frame(kind: kind, query: top.query, statement: top.statement, opener: index, origin: kind)
        frame.isConflict = top.isConflict
        frame.isFirstRow = beginsFirstRow(kind, index)
        if kind == .tables {
            frame.clause = .relation
            frame.isLateral = top.isLateral
            top.isLateral = false
        }
        frames.append(frame)
    }

    private func kindOfParenthesis(_ index: Int) -> Frame.Kind {
        let previous = statement.keyword(index - 1)
        if previous == .cast { return .cast }
        if previous == .over { return .window }
        guard top.kind == .query || top.kind == .tables else { return .expression }
        switch top.clause {
        case .relation: return .tables
        case .withName: return .tableExpressionColumns
        case .withAs: return .tableExpressionBody
        case .using: return .usingColumns
        case .conflict: return .conflictColumns
        case .window: return .window
        case .set where !top.hasAssignment: return .setColumns
        case .relationRead: return kindBehindRelation(index)
        case .matched where previous == .insert: return .insertColumns
        case .values where isRowAlias(index - 1): return .rowAliasColumns
        default: return .expression
        }
    }

    /// The first parenthesis behind VALUES, or behind its first ROW.
    private mutating func beginsFirstRow(_ kind: Frame.Kind, _ index: Int) -> Bool {
        guard kind == .expression, top.kind == .query, top.clause == .values, queries[top.query].verb == .values,
            queries[top.query].rowWidth == 0
        else { return false }
        queries[top.query].rowWidth = 1
        queries[top.query].isRowNamed = statement.keyword(index - 1) == .row
        return true
    }

    private func kindBehindRelation(_ index: Int) -> Frame.Kind {
        let query = queries[top.query]
        let isHint = statement.isSourceModifier(index - 1)
        if query.verb == .insert, top.query == top.statement { return isHint ? .expression : .insertColumns }
        guard let source = query.sources.last, !isHint else { return .expression }
        // `AS (a int)`, behind a function.
        if source.isFunction, statement.keyword(index - 1) == .as { return .aliasColumns }
        return source.alias != nil && statement.tokens[index - 1].isName ? .aliasColumns : .expression
    }

    private func isRowAlias(_ index: Int) -> Bool {
        guard let alias = queries[top.statement].rowAlias else { return false }
        return alias.token == index
    }

    /// `FROM f (…)`
    private mutating func noteFunction(_ last: Int, opener: Int) {
        let count = queries[top.query].sources.count
        guard count > 0, queries[top.query].sources[count - 1].nameToken == last else { return }
        queries[top.query].sources[count - 1].isFunction = true
        queries[top.query].sources[count - 1].argumentsToken = opener
    }

    private mutating func close(_ index: Int) {
        guard excessDepth == 0 else {
            excessDepth -= 1
            return
        }
        guard frames.count > 1, let closed = frames.popLast() else { return }
        if closed.kind == .query { finish(closed) }
        top.last = index
        switch closed.origin {
        case .tables:
            if closed.kind == .query {
                let query = queries[closed.query].firstArm ?? closed.query
                let source = Source(query: query, token: closed.opener, nameToken: index)
                queries[top.query].sources.append(source)
            }
            top.clause = .relationRead
        case .tableExpressionBody:
            let last = queries[top.query].tableExpressions.count - 1
            if last >= 0 { queries[top.query].tableExpressions[last].end = index }
            if closed.kind == .query, last >= 0 {
                queries[top.query].tableExpressions[last].query = queries[closed.query].firstArm ?? closed.query
            }
            top.clause = .withAfter
        case .tableExpressionColumns: top.clause = .withName
        case .usingColumns: top.clause = .relationRead
        default: break
        }
    }

    /// A query begins in parentheses, as their first word.
    private mutating func becomeQuery(_ verb: Query.Verb) {
        let isDerived = top.origin == .tables
        var query = Query(verb: verb, outer: top.query)
        query.seesOuter = !isDerived && top.origin != .tableExpressionBody || top.isLateral
        query.outerEnd = isDerived ? top.opener : .max
        queries.append(query)
        if top.origin == .tableExpressionBody, let last = queries[top.query].tableExpressions.indices.last {
            queries[top.query].tableExpressions[last].query = queries.count - 1
        }
        top.kind = .query
        top.query = queries.count - 1
        top.statement = top.query
    }
}

// Words.
extension QueryScanner {
    private mutating func takeComma(_ index: Int) {
        let isInArray = top.bracketDepth > 0
        if top.isFirstRow, !isInArray { queries[top.query].rowWidth += 1 }
        guard top.kind == .query || top.kind == .tables else { return }
        switch top.clause {
        case .selectList where isInArray, .returning where isInArray: break
        case .selectList, .returning:
            finishOutput()
            top.outputStart = index + 1
        case .relationRead, .on: top.clause = .relation
        case .withAfter where !top.isColumnList: top.clause = .with
        default: break
        }
        top.hasAssignment = false
    }

    private mutating func takeBracket(_ token: Token) {
        switch statement.bytes[token.start] {
        case UInt8(ascii: "["): top.bracketDepth += 1
        case UInt8(ascii: "]"): top.bracketDepth = max(0, top.bracketDepth - 1)
        default: break
        }
    }

    private mutating func takeDot(_ index: Int) {
        guard top.clause == .relationRead, let source = queries[top.query].sources.last, source.nameToken == index - 1,
            source.query == nil, source.alias == nil
        else { return }
        top.clause = .relationDot
    }

    private mutating func takeName(_ index: Int) {
        let token = statement.tokens[index]
        let query = top.query
        switch top.kind {
        case .insertColumns, .setColumns: queries[query].listed.append(statement.name(token))
        case .tableExpressionColumns:
            let last = queries[query].tableExpressions.count - 1
            if last >= 0 { queries[query].tableExpressions[last].columnNames.append(statement.name(token)) }
        case .aliasColumns:
            // Types may follow the names, as in `AS t (a int)`.
            let last = queries[query].sources.count - 1
            guard last >= 0, beginsEntry(index) else { return }
            queries[query].sources[last].columnNames.append(statement.name(token))
        case .rowAliasColumns:
            if beginsEntry(index) { queries[top.statement].rowAlias?.columnNames.append(statement.name(token)) }
        case .query, .tables: takeName(token, index, query)
        default: break
        }
    }

    private func beginsEntry(_ index: Int) -> Bool {
        [.open, .comma].contains(statement.token(index - 1)?.kind)
    }

    private mutating func takeName(_ token: Token, _ index: Int, _ query: Int) {
        let last = queries[query].sources.count - 1
        switch top.clause {
        case .relation where statement.isVerbModifier(index): break
        case .relation:
            queries[query].sources.append(Source(name: statement.name(token), token: index, nameToken: index))
            top.clause = .relationRead
        case .relationDot:
            guard last >= 0 else { return }
            queries[query].sources[last].namespace = queries[query].sources[last].name
            queries[query].sources[last].name = statement.name(token)
            queries[query].sources[last].nameToken = index
            top.clause = .relationRead
        case .relationRead:
            guard last >= 0, queries[query].sources[last].alias == nil, index > 0,
                statement.tokens[index - 1].kind != .dot
            else { return }
            if statement.isSourceModifier(index) {
                if token.keyword == .ordinality { queries[query].sources[last].hasOrdinality = true }
                return
            }
            queries[query].sources[last].alias = statement.name(token)
        case .values where statement.dialect == .mysql && statement.keyword(index - 1) == .as: nameRow(token, index)
        case .withAfter: addName(token, index)
        case .with:
            queries[query].tableExpressions.append(TableExpression(name: statement.name(token), token: index))
            top.clause = .withName
        case .set where !top.hasAssignment: queries[query].listed.append(statement.name(token))
        default: break
        }
    }

    /// `VALUES (…) AS new`
    private mutating func nameRow(_ token: Token, _ index: Int) {
        let query = queries[top.statement]
        guard query.verb == .insert, let target = query.sources.last else { return }
        var row = target
        (row.alias, row.token, row.columnNames) = (statement.name(token), index, [])
        queries[top.statement].rowAlias = row
    }

    /// SEARCH adds one column to a common table expression, CYCLE two.
    private static let addedNameCountMax = 3

    /// `SEARCH … SET name`, `CYCLE … SET name … USING name`
    private mutating func addName(_ token: Token, _ index: Int) {
        if token.keyword == .cycle || token.keyword == .by { top.isColumnList = true }
        let last = queries[top.query].tableExpressions.count - 1
        guard last >= 0, [.set, .using].contains(statement.keyword(index - 1)),
            queries[top.query].tableExpressions[last].addedNames.count < Self.addedNameCountMax
        else { return }
        queries[top.query].tableExpressions[last].addedNames.append(statement.name(token))
    }

    /// - Returns: whether it is one at its place, and no name.
    private mutating func takeKeyword(_ keyword: Keyword, _ index: Int) -> Bool {
        if top.kind != .query, top.isFresh, takeFirst(keyword, index) { return true }
        closeUnfinished(before: keyword, index)
        guard top.kind == .query || top.kind == .tables else { return keyword.isStructural }
        // A name is expected: only what cannot be one is taken for a word. `UPDATE OR REPLACE`, `INSERT IGNORE`.
        switch top.clause {
        case .relation where keyword == .ignore || statement.keyword(index - 1) == .or: return true
        case .relationRead where statement.isSourceModifier(index): return false
        case .withAfter where keyword == .set:
            top.isColumnList = false
            return true
        case .deleteTargets where keyword != .from: return true
        case .relation where !keyword.isStructural && keyword != .only: return false
        case .relationDot where index != statement.cursorIndex || !keyword.isStructural: return false
        case .with where keyword != .recursive: return false
        case .set where !top.hasAssignment && !keyword.isStructural: return false
        default: return takeClause(keyword, index)
        }
    }

    /// Parentheses that nobody has closed yet end where a clause begins that cannot stand in them.
    private mutating func closeUnfinished(before keyword: Keyword, _ index: Int) {
        guard excessDepth == 0, [.expression, .cast, .window].contains(top.kind),
            let outer = frames.last(where: { $0.kind == .query || $0.kind == .tables }),
            isEnd(keyword, index, outer.clause)
        else { return }
        while top.kind != .query, top.kind != .tables, frames.count > 1 {
            frames.removeLast()
            top.last = index - 1
        }
    }

    private func isEnd(_ keyword: Keyword, _ index: Int, _ clause: Frame.Clause) -> Bool {
        switch keyword {
        case .from:
            // IS DISTINCT FROM; EXTRACT (… FROM …)
            let isComparison =
                statement.keyword(index - 1) == .distinct && [.is, .not].contains(statement.keyword(index - 2))
            guard clause == .selectList, !isComparison else { return false }
            let function = statement.token(top.opener - 1).map(statement.text)?.lowercased() ?? ""
            return !["extract", "trim", "substring", "overlay"].contains(function)
        // FILTER (WHERE …)
        case .where:
            return statement.tokens[index - 1].kind != .open
                && (clause == .relationRead || clause == .on || clause == .set)
        case .group:
            return statement.keyword(index + 1) == .by && (clause == .relationRead || clause == .on || clause == .where)
        default: return false
        }
    }

    /// The first word in parentheses may make them a query.
    private mutating func takeFirst(_ keyword: Keyword, _ index: Int) -> Bool {
        guard top.kind == .expression || top.kind == .tables || top.kind == .tableExpressionBody else { return false }
        switch keyword {
        case .select:
            becomeQuery(.select)
            top.clause = .selectList
            top.outputStart = index + 1
        case .values:
            becomeQuery(.values)
            top.clause = .values
        case .with:
            becomeQuery(.none)
            top.clause = .with
        case .insert, .update, .delete, .merge:
            guard top.origin == .tableExpressionBody else { return false }
            becomeQuery(.none)
            return takeClause(keyword, index)
        default: return false
        }
        return true
    }
}

// Clauses.
extension QueryScanner {
    private var isAtStart: Bool { top.clause == .start || top.clause == .withAfter }

    private mutating func takeClause(_ keyword: Keyword, _ index: Int) -> Bool {
        switch keyword {
        case .select: beginSelect(index)
        case .with: beginWith(index)
        case .recursive: queries[top.query].isRecursive = true
        case .as: if top.clause == .withName { top.clause = .withAs }
        case .from: takeFrom(index)
        case .join, .straight_join: if isInFrom { top.clause = .relation }
        case .lateral: top.isLateral = true
        case .on: takeOn(index)
        case .using: takeUsing(index)
        // WITHIN GROUP (ORDER BY …)
        case .group where statement.keyword(index - 1) == .within: break
        case .where, .group, .having, .order, .limit, .offset, .fetch, .window: takeTail(keyword)
        case .union, .intersect, .except, .minus:
            finishOutput()
            top.clause = .setOperation
        case .insert, .replace, .update, .delete, .merge, .into, .values, .set, .returning, .when:
            return takeChange(keyword, index)
        case .create, .alter, .drop, .grant, .revoke, .pragma, .truncate, .show, .reset, .comment, .analyze, .vacuum,
            .reindex,
            .copy, .call, .use, .describe, .desc, .attach, .detach, .lock, .refresh, .execute, .release, .rollback,
            .prepare,
            .declare, .kill, .savepoint, .cluster, .commit, .begin, .start:
            return takeOther(keyword)
        case .do: if top.clause == .conflictWhere { top.clause = .conflict } else { return false }
        case .inner, .left, .right, .full, .outer, .cross, .natural, .for, .only: break
        default: return keyword.isStructural
        }
        return true
    }

    private var isInFrom: Bool {
        switch top.clause {
        case .relationRead, .on, .relation, .using: true
        default: false
        }
    }

    private mutating func takeOther(_ keyword: Keyword) -> Bool {
        guard top.clause == .start else { return false }
        // EXPLAIN ANALYZE SELECT …
        if statement.keyword(0) == .explain, keyword == .analyze { return true }
        top.clause = .other
        queries[top.query].verb = .other
        return true
    }

    private mutating func beginSelect(_ index: Int) {
        if top.clause == .other, statement.keyword(0) == .grant || statement.keyword(0) == .revoke { return }
        finishOutput()
        switch queries[top.query].verb {
        case .none, .other: queries[top.query].verb = .select
        case .select, .values:
            var arm = Query(verb: .select, outer: queries[top.query].outer)
            arm.seesOuter = queries[top.query].seesOuter
            arm.outerEnd = queries[top.query].outerEnd
            arm.firstArm = queries[top.query].firstArm ?? top.query
            queries.append(arm)
            top.query = queries.count - 1
        case .insert, .update, .delete, .merge:
            var rows = Query(verb: .select, outer: top.query)
            rows.seesOuter = false
            queries.append(rows)
            top.query = queries.count - 1
        }
        top.clause = .selectList
        top.outputStart = index + 1
    }

    private mutating func beginWith(_ index: Int) {
        let isAllowed = isAtStart || top.clause == .other && statement.keyword(index - 1) == .as
        if isAllowed || queries[top.query].verb == .insert && top.clause == .relationRead { top.clause = .with }
    }

    private mutating func takeFrom(_ index: Int) {
        // IS DISTINCT FROM
        if statement.keyword(index - 1) == .distinct, statement.keyword(index - 2) != .select { return }
        finishOutput()
        top.bracketDepth = 0
        if takeRowsFrom(index) { return }
        if top.clause == .deleteTargets, statement.tokens[index - 1].keyword != .delete {
            queries[top.query].hasTargetList = !statement.isVerbModifier(index - 1)
        }
        if top.clause != .other { top.clause = .relation }
    }

    /// `FROM ROWS FROM (f(…), g(…))` is one relation.
    private mutating func takeRowsFrom(_ index: Int) -> Bool {
        let last = queries[top.query].sources.count - 1
        guard statement.dialect == .postgresql, top.clause == .relationRead, last >= 0,
            statement.keyword(index - 1) == .rows, queries[top.query].sources[last].nameToken == index - 1
        else { return false }
        queries[top.query].sources[last].isFunction = true
        queries[top.query].sources[last].name = ""
        queries[top.query].sources[last].nameToken = index
        return true
    }

    private mutating func takeOn(_ index: Int) {
        let next = statement.keyword(index + 1)
        let isBehindValue = top.clause == .values || top.clause == .set || top.isConflict && top.clause == .where
        if queries[top.statement].verb == .insert, next == .conflict || next == .duplicate || isBehindValue {
            top.query = top.statement
            top.clause = .conflict
            top.isConflict = true
        } else if isInFrom {
            top.clause = .on
        }
    }

    private mutating func takeUsing(_ index: Int) {
        switch (queries[top.query].verb, top.clause) {
        case (.delete, .relationRead) where beginsSources(index):
            // MySQL names again what is deleted.
            if statement.dialect == .mysql { queries[top.query].sources = [] }
            top.clause = .relation
        case (.merge, .relationRead): top.clause = .relation
        case (_, .relationRead): top.clause = .using
        default: break
        }
    }

    /// Whether USING is that of `DELETE FROM a USING b`, and not of a join.
    private func beginsSources(_ index: Int) -> Bool {
        let sources = queries[top.query].sources
        guard statement.dialect == .mysql else { return sources.count == 1 }
        guard !queries[top.query].hasTargetList, statement.token(index + 1)?.kind != .open, let last = sources.last
        else {
            return false
        }
        return statement.keyword(last.token - 1) != .join
    }

    private mutating func takeTail(_ keyword: Keyword) {
        guard top.clause != .other, top.clause != .start else { return }
        if top.clause == .selectList { finishOutput() }
        switch keyword {
        case .where: top.clause = top.clause == .conflict ? .conflictWhere : .where
        case .group: top.clause = .group
        case .having: top.clause = .having
        case .order: top.clause = .order
        case .window: top.clause = .window
        default: top.clause = .limit
        }
    }
}

// Statements that change rows.
extension QueryScanner {
    private mutating func takeChange(_ keyword: Keyword, _ index: Int) -> Bool {
        switch keyword {
        case .insert, .replace: return takeInsert(keyword, index)
        case .update: takeUpdate(index)
        case .delete: takeDelete(index)
        case .merge: if beginsChange(index) { queries[top.query].verb = .merge }
        case .into: takeInto()
        case .values: takeValues(index)
        case .set: takeSet()
        case .returning:
            finishOutput()
            top.query = top.statement
            top.clause = .returning
            top.isConflict = false
            top.outputStart = index + 1
        case .when: takeWhen()
        default: break
        }
        return true
    }

    private mutating func takeDelete(_ index: Int) {
        guard beginsChange(index) else { return }
        queries[top.query].verb = .delete
        if statement.dialect == .mysql { top.clause = .deleteTargets }
    }

    private mutating func takeWhen() {
        guard queries[top.statement].verb == .merge else { return }
        top.clause = .matched
        queries[top.statement].listed = []
    }

    /// Whether a statement may begin here.
    private func beginsChange(_ index: Int) -> Bool {
        isAtStart || top.clause == .other && statement.keyword(index - 1) == .as
    }

    private mutating func takeInsert(_ keyword: Keyword, _ index: Int) -> Bool {
        guard beginsChange(index) else { return keyword == .insert }
        queries[top.query].verb = .insert
        // MySQL needs no INTO.
        if statement.dialect == .mysql { top.clause = .relation }
        return true
    }

    private mutating func takeInto() {
        switch queries[top.query].verb {
        case .insert, .merge:
            queries[top.query].sources = []
            top.clause = .relation
        default: break
        }
    }

    private mutating func takeUpdate(_ index: Int) {
        if beginsChange(index) {
            queries[top.query].verb = .update
            top.clause = .relation
        } else if top.clause == .conflict, statement.keyword(index - 1) == .key {
            top.clause = .set
            top.hasAssignment = false
            queries[top.query].listed = []
        }
    }

    private mutating func takeValues(_ index: Int) {
        switch queries[top.query].verb {
        case .none where isAtStart:
            queries[top.query].verb = .values
            top.clause = .values
        case .insert where top.clause == .relationRead: top.clause = .values
        case .merge: top.clause = .values
        default: break
        }
    }

    private mutating func takeSet() {
        switch (queries[top.query].verb, top.clause) {
        case (.update, .relationRead), (.insert, .conflict), (.insert, .relationRead), (.merge, .matched),
            (.update, .on):
            top.clause = .set
            top.hasAssignment = false
            queries[top.query].listed = []
        case (.none, .start):
            top.clause = .other
            queries[top.query].verb = .other
        default: break
        }
    }
}
