// CREATE, ALTER, DROP and other statements that are no queries.

extension Completer {
    mutating func proposeOther(_ frame: Frame) {
        let previous = statement.keyword(before)
        switch statement.keyword(0) {
        case .pragma: proposePragma()
        case .set, .reset, .show: proposeSetting(frame)
        case .create: proposeCreate(frame, previous)
        case .alter: proposeAlter(frame, previous)
        case .drop: proposeDrop(previous)
        case .grant, .revoke: proposeGrant(previous)
        case .call, .execute: if before == 0 { addProcedures(in: qualifier.last) }
        case .use: if before == 0 { addNamespaces() }
        case .comment: proposeComment(previous)
        case .truncate, .lock, .analyze, .vacuum, .reindex, .describe, .desc, .copy, .refresh, .cluster:
            proposeMaintenance(frame, previous)
        case .begin, .start:
            addKeywords(
                statement.dialect == .sqlite
                    ? "TRANSACTION|IMMEDIATE|DEFERRED|EXCLUSIVE"
                    : "TRANSACTION|ISOLATION LEVEL|READ ONLY|READ WRITE|WORK", tier: Tier.keyword)
        case .commit, .rollback, .release, .savepoint, .end:
            if before == 0 { addKeywords("TRANSACTION|TO SAVEPOINT|SAVEPOINT|WORK", tier: Tier.keyword) }
        default: break
        }
    }

    private mutating func addRelationNames(_ kinds: Set<String>? = nil) {
        addRelations(in: qualifier.last, kinds: kinds)
        if qualifier.isEmpty { addNamespaces() }
    }

    private static let viewKinds: Set<String> = ["view", "materialized_view"]
    private static let tableKinds: Set<String> = ["table", "partitioned_table", "foreign_table", "virtual_table"]

    // MARK: CREATE

    private mutating func proposeCreate(_ frame: Frame, _ previous: Keyword) {
        let object = createdObject
        if previous == .references { return addRelationNames(Self.tableKinds) }
        if previous == .on, object == .index || object == .trigger || object == .policy || object == .rule {
            return addRelationNames()
        }
        if frame.kind != .query { return proposeWithin(frame, object, previous) }
        switch (object, previous) {
        case (nil, .create), (nil, .replace), (nil, .temp), (nil, .temporary), (nil, .unique), (nil, .or):
            proposeCreated(previous)
        case (nil, .virtual): addKeywords("TABLE", tier: Tier.keyword)
        case (nil, _): return
        case (_, .as): addKeywords("SELECT|WITH|VALUES", tier: Tier.keyword)
        case (_, .exists): return
        case (let made?, _) where made == previous: addKeywords("IF NOT EXISTS", tier: Tier.keyword)
        case (.view, _), (.table, _): proposeBehindName(object, previous)
        case (.index, _): addKeywords(statement.token(before)?.kind == .close ? "WHERE" : "ON", tier: Tier.keyword)
        case (.trigger, _): proposeTrigger(previous)
        default: addKeywords("AS", tier: Tier.keyword)
        }
    }

    private static let objects: Set<Keyword> = [
        .table, .view, .index, .trigger, .function, .procedure, .schema, .database, .type, .sequence, .user, .role,
        .domain, .`extension`,
        .policy, .rule, .aggregate, .event,
    ]

    /// What a statement creates, alters or drops: the first word that names such a thing.
    private var createdObject: Keyword? {
        for index in 1..<max(min(7, before + 1), 1) where Self.objects.contains(statement.keyword(index)) {
            return statement.keyword(index)
        }
        return nil
    }

    private mutating func proposeCreated(_ previous: Keyword) {
        if previous == .unique { return addKeywords("INDEX", tier: Tier.keyword) }
        if previous == .or { return addKeywords("REPLACE", tier: Tier.keyword) }
        if previous == .replace {
            if statement.dialect == .mysql { addKeywords("TABLE", tier: Tier.keyword) }
            return addKeywords("VIEW|FUNCTION|PROCEDURE|TRIGGER", tier: Tier.keyword)
        }
        if previous == .temp || previous == .temporary {
            addKeywords("TABLE", tier: Tier.keyword)
            if statement.dialect != .mysql { addKeywords("VIEW", tier: Tier.keyword) }
            if statement.dialect == .postgresql { addKeywords("SEQUENCE", tier: Tier.keyword) }
            if statement.dialect == .sqlite { addKeywords("TRIGGER", tier: Tier.keyword) }
            return
        }
        addKeywords("TABLE|VIEW|INDEX|TRIGGER|UNIQUE INDEX", tier: Tier.keyword)
        switch statement.dialect {
        case .sqlite, .redis:
            addKeywords("TEMP TABLE|TEMPORARY TABLE|TEMP VIEW|TEMP TRIGGER|VIRTUAL TABLE", tier: Tier.keyword)
        case .postgresql:
            addKeywords(
                "TEMP TABLE|TEMPORARY TABLE|MATERIALIZED VIEW|FUNCTION|PROCEDURE|OR REPLACE|SCHEMA|TYPE|DOMAIN|SEQUENCE|EXTENSION|ROLE|USER|DATABASE|POLICY|UNLOGGED TABLE|FOREIGN TABLE|AGGREGATE|RULE",
                tier: Tier.keyword)
        case .mysql:
            addKeywords(
                "TEMPORARY TABLE|OR REPLACE|FUNCTION|PROCEDURE|DATABASE|SCHEMA|USER|ROLE|EVENT|SEQUENCE|FULLTEXT INDEX",
                tier: Tier.keyword)
        }
    }

    private mutating func proposeBehindName(_ object: Keyword?, _ previous: Keyword) {
        if statement.token(before)?.kind == .close {
            switch statement.dialect {
            case .sqlite, .redis: addKeywords("STRICT|WITHOUT ROWID|AS", tier: Tier.keyword)
            case .postgresql: addKeywords("AS|PARTITION BY|INHERITS (|WITH (|TABLESPACE|ON COMMIT", tier: Tier.keyword)
            case .mysql:
                addKeywords("ENGINE|AS|DEFAULT CHARSET|COLLATE|COMMENT|AUTO_INCREMENT|PARTITION BY", tier: Tier.keyword)
            }
        } else {
            addKeywords(object == .view ? "AS" : "AS|(", tier: Tier.keyword)
        }
    }

    private mutating func proposeTrigger(_ previous: Keyword) {
        switch previous {
        case .before, .after: addKeywords("INSERT|UPDATE|DELETE|UPDATE OF", tier: Tier.keyword)
        case .instead: addKeywords("OF", tier: Tier.keyword)
        case .of where statement.keyword(before - 1) == .instead:
            addKeywords("INSERT|UPDATE|DELETE", tier: Tier.keyword)
        case .insert, .update, .delete: addKeywords("ON|OF|OR", tier: Tier.keyword)
        case .or: addKeywords("INSERT|UPDATE|DELETE", tier: Tier.keyword)
        case .for: addKeywords("EACH ROW", tier: Tier.keyword)
        case .each: addKeywords("ROW", tier: Tier.keyword)
        case .row:
            addKeywords(
                statement.dialect == .postgresql ? "EXECUTE FUNCTION|WHEN (" : "BEGIN|WHEN (", tier: Tier.keyword)
        case .of where isColumnOfTrigger, .none where isColumnOfTrigger: addColumnsOfTrigger()
        default:
            let hasTable = statement.tokens[..<statement.cursorIndex].contains { $0.keyword == .on }
            addKeywords(
                hasTable
                    ? "FOR EACH ROW|BEGIN|WHEN (|EXECUTE FUNCTION" : "BEFORE|AFTER|INSTEAD OF|INSERT|UPDATE|DELETE",
                tier: Tier.keyword)
        }
    }

    /// Behind `UPDATE OF`, or a comma in its list.
    private var isColumnOfTrigger: Bool {
        let isPlace = statement.keyword(before) == .of || statement.token(before)?.kind == .comma
        let earlier = statement.tokens[..<statement.cursorIndex]
        return isPlace && earlier.contains { $0.keyword == .of } && !earlier.contains { $0.keyword == .on }
    }

    /// Keys of the names that the text before the cursor has.
    var namesBeforeCursor: Set<String> {
        Set(statement.tokens[..<statement.cursorIndex].filter(\.isName).map { identifiers.key(statement.name($0)) })
    }

    /// Columns of the relation that the text behind the cursor names.
    private mutating func addColumnsOfTrigger() {
        let later = statement.tokens[statement.cursorIndex...]
        guard let on = later.firstIndex(where: { $0.keyword == .on }), let first = statement.token(on + 1), first.isName
        else { return }
        let named = namesBeforeCursor
        var (namespace, name): (String?, String) = (nil, statement.name(first))
        if statement.token(on + 2)?.kind == .dot, let second = statement.token(on + 3), second.isName {
            (namespace, name) = (name, statement.name(second))
        }
        addColumns(of: name, in: namespace, except: named)
    }

    // MARK: Parentheses of CREATE

    private mutating func proposeWithin(_ frame: Frame, _ object: Keyword?, _ previous: Keyword) {
        if object == .table, proposeConstraintOfTable() { return }
        let opener = frame.opener
        switch statement.keyword(opener - 1) {
        case .key, .unique: return addDefinedColumns()
        case .check, .generated: return proposeCheck()
        case .as where object == .table: return proposeCheck()
        case .default: return addRoutines(in: nil)
        default: break
        }
        if object == .index { return addIndexColumns() }
        if let name = referenced(opener) { return addColumns(of: name.name, in: name.namespace) }
        if object == .trigger { return proposeExpression(frame) }
        guard object == .table, scanner.framesAtCursor.count == 2 else { return proposeCheck() }
        proposeColumnDefinition(frame, previous)
    }

    private mutating func proposeCheck() {
        guard isOperandExpected else {
            return proposeOperators(Frame(kind: .expression, query: 0, statement: 0, opener: before))
        }
        addDefinedColumns()
        addKeywords("CASE|NOT|NULL", tier: Tier.keyword)
        addRoutines(in: nil)
    }

    /// The relation before a parenthesis, behind REFERENCES or ON.
    private func referenced(_ opener: Int) -> (namespace: String?, name: String)? {
        guard let last = statement.token(opener - 1), last.isName else { return nil }
        var index = opener - 2
        var namespace: String?
        if statement.token(index)?.kind == .dot, let first = statement.token(index - 1), first.isName {
            namespace = statement.name(first)
            index -= 2
        }
        guard [.references, .on].contains(statement.keyword(index)) else { return nil }
        return (namespace, statement.name(last))
    }

    private mutating func addIndexColumns() {
        let tokens = statement.tokens[..<statement.cursorIndex]
        guard let on = tokens.firstIndex(where: { $0.keyword == .on }) else { return }
        var index = on + 1
        var namespace: String?
        if statement.token(index + 1)?.kind == .dot, let first = statement.token(index) {
            namespace = statement.name(first)
            index += 2
        }
        guard let token = statement.token(index), token.isName else { return }
        if statement.token(before)?.kind == .open || statement.token(before)?.kind == .comma {
            addColumns(of: statement.name(token), in: namespace)
            addRoutines(in: nil)
        } else {
            switch statement.keyword(before) {
            case .nulls: addKeywords("FIRST|LAST", tier: Tier.keyword)
            case .collate:
                _ = proposeFollowers(
                    of: .collate, in: Frame(kind: .expression, query: 0, statement: 0, opener: before))
            default: addKeywords("ASC|DESC|COLLATE|NULLS FIRST|NULLS LAST", tier: Tier.keyword)
            }
        }
    }

    mutating func addColumns(of name: String, in namespace: String?, except named: Set<String> = []) {
        guard let relation = schema.relation(named: name, in: namespace) else { return }
        for column in schema.columns(of: relation) where !named.contains(identifiers.key(column.name)) {
            candidates.add(
                column.name, tier: Tier.column,
                CompletionItem(
                    written(column.name), label: column.name, kind: .column, detail: column.type,
                    relation: relation.name))
        }
    }

    /// Columns of the table that the statement creates: the names at the beginning of its definitions.
    mutating func addDefinedColumns() {
        guard let open = statement.tokens.firstIndex(where: { $0.kind == .open }) else { return }
        var depth = 0
        var isFirst = true
        for index in (open + 1)..<max(statement.tokens.count, open + 1) {
            let token = statement.tokens[index]
            switch token.kind {
            case .open: depth += 1
            case .close:
                if depth == 0 { return }
                depth -= 1
            case .comma where depth == 0:
                isFirst = true
                continue
            case .word, .quotedName:
                if isFirst, depth == 0, !TableConstraints.begins(statement, at: index) {
                    let name = statement.name(token)
                    candidates.add(
                        name, tier: Tier.column,
                        CompletionItem(written(name), label: name, kind: .column, detail: definedType(index + 1)))
                }
            default: break
            }
            isFirst = false
        }
    }

    private func definedType(_ index: Int) -> String {
        guard let token = statement.token(index), token.kind == .word else { return "" }
        return statement.text(token)
    }

    /// `name type constraints`, or a constraint of the table.
    private mutating func proposeColumnDefinition(_ frame: Frame, _ previous: Keyword) {
        guard let last = statement.token(before) else { return }
        if last.kind == .open || last.kind == .comma {
            addKeywords("PRIMARY KEY (|FOREIGN KEY (|UNIQUE (|CHECK (|CONSTRAINT", tier: Tier.keyword)
            return addKeywords(TableConstraints.others(statement.dialect), tier: Tier.keyword)
        }
        let isBehindName = last.isName && [.open, .comma].contains(statement.token(before - 1)?.kind)
        if isBehindName, ![.primary, .foreign, .constraint].contains(previous) { return proposeTypes() }
        proposeConstraints(previous)
    }

    private mutating func proposeConstraints(_ previous: Keyword) {
        switch previous {
        case .primary, .foreign: return addKeywords("KEY", tier: Tier.keyword)
        case .not: return addKeywords("NULL", tier: Tier.keyword)
        case .default:
            return addKeywords("NULL|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|TRUE|FALSE|(", tier: Tier.keyword)
        case .on where statement.dialect == .sqlite && [.key, .unique, .null].contains(statement.keyword(before - 1)):
            return addKeywords("CONFLICT", tier: Tier.keyword)
        case .conflict: return addKeywords("ROLLBACK|ABORT|FAIL|IGNORE|REPLACE", tier: Tier.keyword)
        case .on: return addKeywords("DELETE|UPDATE", tier: Tier.keyword)
        case .set: return addKeywords("NULL|DEFAULT", tier: Tier.keyword)
        case .by where statement.keyword(before - 1) == .generated:
            return addKeywords("DEFAULT AS IDENTITY", tier: Tier.keyword)
        case .delete, .update: return addKeywords("CASCADE|SET NULL|SET DEFAULT|RESTRICT|NO ACTION", tier: Tier.keyword)
        case .collate:
            _ = proposeFollowers(of: .collate, in: Frame(kind: .expression, query: 0, statement: 0, opener: before))
            return
        case .generated: return addKeywords("ALWAYS AS (|ALWAYS AS IDENTITY|BY DEFAULT AS IDENTITY", tier: Tier.keyword)
        case .constraint: return
        default: break
        }
        switch statement.token(before).map(statement.text)?.uppercased() {
        case "INITIALLY": return addKeywords("DEFERRED|IMMEDIATE", tier: Tier.keyword)
        case "DEFERRABLE": return addKeywords("INITIALLY DEFERRED|INITIALLY IMMEDIATE", tier: Tier.keyword)
        default: break
        }
        if statement.keyword(before - 1) == .constraint,
            [.comma, .open].contains(statement.token(before - 2)?.kind)
        {
            addKeywords("PRIMARY KEY (|UNIQUE (|CHECK (|FOREIGN KEY (", tier: Tier.keyword)
            if statement.dialect == .postgresql { addKeywords("EXCLUDE", tier: Tier.keyword) }
            return
        }
        addKeywords(
            "NOT NULL|PRIMARY KEY|UNIQUE|DEFAULT|REFERENCES|CHECK (|COLLATE|GENERATED ALWAYS AS (|CONSTRAINT|NULL|ON DELETE|ON UPDATE",
            tier: Tier.keyword)
        switch statement.dialect {
        case .sqlite, .redis: addKeywords("AUTOINCREMENT|DEFERRABLE|STORED|VIRTUAL", tier: Tier.keyword)
        case .postgresql:
            addKeywords(
                "STORED|GENERATED ALWAYS AS IDENTITY|GENERATED BY DEFAULT AS IDENTITY|DEFERRABLE", tier: Tier.keyword)
        case .mysql: addKeywords("AUTO_INCREMENT|UNSIGNED|COMMENT|CHARACTER SET|STORED|VIRTUAL", tier: Tier.keyword)
        }
    }

    // MARK: ALTER, DROP

    private mutating func proposeAlter(_ frame: Frame, _ previous: Keyword) {
        if previous == .references { return addRelationNames(Self.tableKinds) }
        if frame.kind != .query {
            if let name = referenced(frame.opener) { return addColumns(of: name.name, in: name.namespace) }
        }
        guard createdObject == .table else {
            if before == 0 {
                addKeywords("TABLE|VIEW|INDEX|DATABASE|USER|ROLE|SCHEMA|SEQUENCE|TYPE|FUNCTION", tier: Tier.keyword)
            }
            if previous == .view { addRelationNames(Self.viewKinds) }
            if previous == .index { addObjects(.index) }
            return
        }
        if previous == .table || previous == .only || previous == .exists && before < 5 {
            if previous != .exists { addKeywords("IF EXISTS", tier: Tier.elsewhere) }
            return addRelationNames(Self.tableKinds)
        }
        guard let name = alteredTable else { return }
        if frame.kind != .query { return addColumns(of: name.name, in: name.namespace) }
        proposeAction(previous, name)
    }

    /// The table behind ALTER TABLE.
    private var alteredTable: (namespace: String?, name: String, end: Int)? {
        guard var index = statement.tokens.firstIndex(where: { $0.keyword == .table }) else { return nil }
        index += 1
        while [.if, .exists, .only].contains(statement.keyword(index)) { index += 1 }
        guard let first = statement.token(index), first.isName, index < statement.cursorIndex else { return nil }
        guard statement.token(index + 1)?.kind == .dot, let second = statement.token(index + 2), second.isName else {
            return (nil, statement.name(first), index)
        }
        return (statement.name(first), statement.name(second), index + 2)
    }

    private mutating func proposeAction(_ previous: Keyword, _ table: (namespace: String?, name: String, end: Int)) {
        let verb = actionVerb(behind: table.end)
        switch (previous, verb) {
        case _ where before == table.end:
            addKeywords("ADD COLUMN|DROP COLUMN|RENAME TO|RENAME COLUMN|ADD|DROP", tier: Tier.keyword)
            if statement.dialect != .sqlite {
                addKeywords("ALTER COLUMN|ADD CONSTRAINT|DROP CONSTRAINT", tier: Tier.keyword)
            }
            if statement.dialect == .postgresql {
                addKeywords(
                    "OWNER TO|SET SCHEMA|ENABLE ROW LEVEL SECURITY|ATTACH PARTITION|DETACH PARTITION",
                    tier: Tier.keyword)
            }
            if statement.dialect == .mysql {
                addKeywords("MODIFY COLUMN|CHANGE COLUMN|ADD INDEX|ENGINE|CONVERT TO CHARACTER SET", tier: Tier.keyword)
            }
        case (.add, _):
            addKeywords("COLUMN|CONSTRAINT|PRIMARY KEY (|FOREIGN KEY (|UNIQUE (|CHECK (", tier: Tier.keyword)
        case (.drop, _), (.rename, _), (.alter, _):
            addColumns(of: table.name, in: table.namespace)
            addKeywords(previous == .rename ? "TO|COLUMN" : "COLUMN|CONSTRAINT", tier: Tier.keyword)
        case (.column, .drop?), (.column, .rename?), (.column, .alter?), (.column, nil):
            addColumns(of: table.name, in: table.namespace)
        case (.type, _): proposeTypes()
        case (.column, _), (.to, _): break
        case (_, .add?): proposeAdded(previous, table.end)
        case (_, .rename?): addKeywords("TO", tier: Tier.keyword)
        case (_, .alter?): addKeywords("TYPE|SET DEFAULT|DROP DEFAULT|SET NOT NULL|DROP NOT NULL", tier: Tier.keyword)
        case (_, nil):
            // MODIFY and CHANGE of MySQL.
            if let last = statement.token(before), ["modify", "change"].contains(statement.text(last).lowercased()) {
                addKeywords("COLUMN", tier: Tier.keyword)
                addColumns(of: table.name, in: table.namespace)
            } else {
                proposeTypes()
            }
        default: break
        }
    }

    private func actionVerb(behind index: Int) -> Keyword? {
        var next = index + 1
        var verb: Keyword?
        while next <= before {
            if statement.token(next)?.kind == .comma { verb = nil }
            if verb == nil, [.add, .drop, .rename, .alter].contains(statement.keyword(next)) {
                verb = statement.keyword(next)
            }
            next += 1
        }
        return verb
    }

    /// Behind `ADD COLUMN name`: a type, then constraints.
    private mutating func proposeAdded(_ previous: Keyword, _ end: Int) {
        let place = before - end
        let hasWord = statement.keyword(end + 2) == .column
        if place == (hasWord ? 3 : 2) { proposeTypes() } else { proposeConstraints(previous) }
    }

    mutating func addObjects(_ kind: CompletionObject) {
        for name in schema.objects(kind, matching: candidates.pattern, limit: limit) {
            candidates.add(
                name, tier: Tier.relation,
                CompletionItem(written(name), label: name, kind: .value, detail: kind == .index ? "index" : "trigger"))
        }
    }

    private mutating func proposeDrop(_ previous: Keyword) {
        if before == 0 {
            addKeywords("TABLE|VIEW|INDEX|TRIGGER", tier: Tier.keyword)
            if statement.dialect != .sqlite {
                addKeywords("SCHEMA|DATABASE|FUNCTION|PROCEDURE|SEQUENCE|USER|ROLE", tier: Tier.keyword)
            }
            if statement.dialect == .postgresql {
                addKeywords("MATERIALIZED VIEW|TYPE|DOMAIN|EXTENSION|POLICY|RULE|OWNED", tier: Tier.keyword)
            }
            return
        }
        let object = createdObject
        let isList = statement.token(before)?.kind == .comma
        guard previous == object || previous == .exists || isList else {
            if previous == .if { return addKeywords("EXISTS", tier: Tier.keyword) }
            if [.index, .trigger, .policy, .rule].contains(object), previous == .on { return addRelationNames() }
            if statement.dialect == .postgresql { addKeywords("CASCADE|RESTRICT", tier: Tier.keyword) }
            if [.index, .trigger].contains(object), statement.dialect != .sqlite {
                addKeywords("ON", tier: Tier.keyword)
            }
            return
        }
        if previous == object { addKeywords("IF EXISTS", tier: Tier.elsewhere) }
        switch object {
        case .table: addRelationNames(Self.tableKinds)
        case .view: addRelationNames(Self.viewKinds)
        case .sequence: addRelationNames(["sequence"])
        case .index: addObjects(.index)
        case .trigger: addObjects(.trigger)
        case .schema, .database: addNamespaces()
        case .function, .procedure:
            for routine in schema.routines(matching: candidates.pattern, in: qualifier.last, limit: limit) {
                add(routine, in: qualifier.last)
            }
        case .type, .domain:
            for name in schema.types(matching: candidates.pattern, limit: limit) {
                candidates.add(name, tier: Tier.relation, CompletionItem(written(name), label: name, kind: .type))
            }
        default: break
        }
    }
}
