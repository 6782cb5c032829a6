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
        if kind == .expression, top.clause == .relationRead, let last = top.last { noteFunction(last) }
        top.last = index
        top.isFresh = false
        var frame = Frame(kind: kind, query: top.query, statement: top.statement, opener: index, origin: kind)
        frame.isConflict = top.isConflict
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
        default: return .expression
        }
    }

    private func kindBehindRelation(_ index: Int) -> Frame.Kind {
        let query = queries[top.query]
        if query.verb == .insert, top.query == top.statement { return .insertColumns }
        guard let source = query.sources.last, source.alias != nil, statement.tokens[index - 1].isName else {
            return .expression
        }
        return .aliasColumns
    }

    /// `FROM f (…)`
    private mutating func noteFunction(_ last: Int) {
        let count = queries[top.query].sources.count
        guard count > 0, queries[top.query].sources[count - 1].nameToken == last else { return }
        queries[top.query].sources[count - 1].isFunction = true
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
        guard top.kind == .query || top.kind == .tables else { return }
        switch top.clause {
        case .selectList, .returning:
            finishOutput()
            top.outputStart = index + 1
        case .relationRead, .on: top.clause = .relation
        case .withAfter: top.clause = .with
        default: break
        }
        top.hasAssignment = false
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
            guard last >= 0, statement.tokens[index - 1].kind != .word else { return }
            queries[query].sources[last].columnNames.append(statement.name(token))
        case .query, .tables: takeName(token, index, query)
        default: break
        }
    }

    private mutating func takeName(_ token: Token, _ index: Int, _ query: Int) {
        let last = queries[query].sources.count - 1
        switch top.clause {
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
            queries[query].sources[last].alias = statement.name(token)
        case .with:
            queries[query].tableExpressions.append(TableExpression(name: statement.name(token), token: index))
            top.clause = .withName
        case .set where !top.hasAssignment: queries[query].listed.append(statement.name(token))
        default: break
        }
    }

    /// - Returns: whether it is one at its place, and no name.
    private mutating func takeKeyword(_ keyword: Keyword, _ index: Int) -> Bool {
        if top.kind != .query, top.isFresh, takeFirst(keyword, index) { return true }
        closeUnfinished(before: keyword, index)
        guard top.kind == .query || top.kind == .tables else { return keyword.isStructural }
        // A name is expected: only what cannot be one is taken for a word. `UPDATE OR REPLACE`, `INSERT IGNORE`.
        switch top.clause {
        case .relation where keyword == .ignore || statement.keyword(index - 1) == .or: return true
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
        case .insert, .update, .delete:
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
        case .using: takeUsing()
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
        if top.clause != .other { top.clause = .relation }
    }

    private mutating func takeOn(_ index: Int) {
        let next = statement.keyword(index + 1)
        if queries[top.statement].verb == .insert, next == .conflict || next == .duplicate || top.clause == .values {
            top.query = top.statement
            top.clause = .conflict
            top.isConflict = true
        } else if isInFrom {
            top.clause = .on
        }
    }

    private mutating func takeUsing() {
        switch (queries[top.query].verb, top.clause) {
        case (.delete, .relationRead) where queries[top.query].sources.count == 1, (.merge, .relationRead):
            top.clause = .relation
        case (_, .relationRead): top.clause = .using
        default: break
        }
    }

    private mutating func takeTail(_ keyword: Keyword) {
        guard top.clause != .other, top.clause != .start else { return }
        if top.clause == .selectList { finishOutput() }
        switch keyword {
        case .where: if top.clause != .conflict { top.clause = .where }
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
        case .delete: if beginsChange(index) { queries[top.query].verb = .delete }
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
        case .when: if queries[top.statement].verb == .merge { top.clause = .matched }
        default: break
        }
        return true
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
