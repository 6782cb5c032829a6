// PRAGMA, SET and SHOW, GRANT, and statements that look after relations.

extension Completer {
    // MARK: PRAGMA

    mutating func proposePragma() {
        let tokens = statement.tokens[..<statement.cursorIndex]
        guard let sign = tokens.firstIndex(where: { $0.kind == .assign || $0.kind == .open }) else {
            guard before == 0 else { return }
            for pragma in SettingNames.pragmas {
                candidates.add(
                    pragma.name, tier: Tier.keyword,
                    CompletionItem(pragma.name, kind: .value, detail: pragma.values.joined(separator: " ")))
            }
            if qualifier.isEmpty { addNamespaces() }
            return
        }
        guard before == sign, let token = statement.token(sign - 1) else { return }
        let name = statement.text(token).lowercased()
        guard let pragma = SettingNames.pragmas.first(where: { $0.name == name }) else { return }
        switch pragma.values.first {
        case "TABLE": addRelations(in: qualifier.last)
        case "INDEX":
            for name in schema.objects(.index, matching: candidates.pattern, limit: limit) {
                candidates.add(
                    name, tier: Tier.relation, CompletionItem(written(name), label: name, kind: .value, detail: "index")
                )
            }
        default: addWords(pragma.values, kind: .value, tier: Tier.keyword)
        }
    }

    // MARK: SET, SHOW, RESET

    mutating func proposeSetting(_ frame: Frame) {
        // SET NEW.column = … of a trigger.
        if !statement.header.isEmpty, !qualifier.isEmpty || statement.token(before)?.kind == .assign {
            return proposeExpression(frame)
        }
        guard qualifier.isEmpty else { return }
        statement.dialect == .mysql ? proposeMySQLSetting() : proposePostgreSQLSetting()
    }

    private mutating func proposePostgreSQLSetting() {
        let previous = statement.keyword(before)
        let first = statement.keyword(0)
        if before == 0 || [.session, .local].contains(previous) && before == 1 {
            addWords(SettingNames.postgresql.map(\.name), kind: .value, tier: Tier.column)
            if before == 0, first == .set {
                addKeywords(
                    "SESSION|LOCAL|TIME ZONE|ROLE|TRANSACTION|SESSION AUTHORIZATION|CONSTRAINTS", tier: Tier.keyword)
            }
            if before == 0, first != .set { addKeywords("ALL", tier: Tier.keyword) }
            return
        }
        guard first == .set else { return }
        let isSign = statement.token(before)?.kind == .assign || previous == .to
        guard isSign, let token = statement.token(before - 1), token.isName else {
            if before == 1 || before == 2 && [.session, .local].contains(statement.keyword(1)) {
                addKeywords("TO|=", tier: Tier.keyword)
            }
            return
        }
        let name = statement.name(token)
        if name == "search_path" { addNamespaces() }
        addWords(SettingNames.postgresql.first { $0.name == name }?.values ?? [], kind: .value, tier: Tier.column)
        addKeywords("DEFAULT", tier: Tier.keyword)
    }

    private mutating func proposeMySQLSetting() {
        let previous = statement.keyword(before)
        if statement.keyword(0) == .show { return proposeShow(previous) }
        let isStart = before == 0 || statement.token(before)?.kind == .comma
        if isStart || [.session, .global, .local, .persist].contains(previous) {
            proposeVariables()
            if isStart {
                addKeywords("SESSION|GLOBAL|NAMES|TRANSACTION|PASSWORD|CHARACTER SET|ROLE", tier: Tier.keyword)
            }
            return
        }
        guard statement.token(before)?.kind == .assign, let token = statement.token(before - 1) else { return }
        let name =
            statement.text(token).lowercased().split(whereSeparator: { $0 == "@" || $0 == "." }).last.map(String.init)
            ?? ""
        addWords(SettingNames.mysql.first { $0.name == name }?.values ?? [], kind: .value, tier: Tier.column)
        addKeywords("DEFAULT", tier: Tier.keyword)
    }

    mutating func proposeVariables() {
        addWords(SettingNames.mysql.map(\.name), kind: .value, tier: Tier.column)
    }

    private mutating func proposeShow(_ previous: Keyword) {
        if before == 0 {
            return addKeywords(
                "TABLES|DATABASES|COLUMNS FROM|CREATE TABLE|CREATE VIEW|INDEX FROM|VARIABLES|STATUS|PROCESSLIST|GRANTS|WARNINGS|ERRORS|ENGINES|COLLATION|CHARACTER SET|TRIGGERS|TABLE STATUS|FUNCTION STATUS|PROCEDURE STATUS|FULL COLUMNS FROM|FULL TABLES|GLOBAL VARIABLES|SESSION VARIABLES|PLUGINS|MASTER STATUS|BINARY LOGS",
                tier: Tier.keyword)
        }
        let second = statement.token(1).map { statement.text($0).lowercased() } ?? ""
        switch previous {
        case .table, .view: addRelations(in: qualifier.last)
        case .from, .in:
            if ["tables", "triggers", "table"].contains(second) {
                addNamespaces()
            } else {
                addRelations(in: qualifier.last)
            }
        case .create: addKeywords("TABLE|VIEW|DATABASE|FUNCTION|PROCEDURE|TRIGGER|EVENT|USER", tier: Tier.keyword)
        default:
            addKeywords(["columns", "index", "full"].contains(second) ? "FROM" : "LIKE|FROM|WHERE", tier: Tier.keyword)
        }
    }

    // MARK: GRANT, COMMENT

    mutating func proposeGrant(_ previous: Keyword) {
        switch previous {
        case .on, .table:
            addRelations(in: qualifier.last)
            if qualifier.isEmpty {
                addNamespaces()
                if previous == .on, statement.dialect == .postgresql {
                    addKeywords("TABLE|SCHEMA|DATABASE|SEQUENCE|FUNCTION|ALL TABLES IN SCHEMA", tier: Tier.keyword)
                }
            }
        case .schema, .database: addNamespaces()
        case .grant, .revoke:
            addKeywords(
                "SELECT|INSERT|UPDATE|DELETE|ALL PRIVILEGES|REFERENCES|TRIGGER|CREATE|EXECUTE|USAGE|TRUNCATE|CONNECT|TEMPORARY",
                tier: Tier.keyword)
        case .to, .from: addKeywords("PUBLIC|CURRENT_USER", tier: Tier.keyword)
        default:
            if statement.token(before)?.kind == .comma {
                return addKeywords("SELECT|INSERT|UPDATE|DELETE|REFERENCES|TRIGGER", tier: Tier.keyword)
            }
            let hasRelation = statement.tokens[..<statement.cursorIndex].contains { $0.keyword == .on }
            addKeywords(hasRelation ? (statement.keyword(0) == .grant ? "TO" : "FROM") : "ON", tier: Tier.keyword)
        }
    }

    mutating func proposeComment(_ previous: Keyword) {
        switch previous {
        case .comment: addKeywords("ON", tier: Tier.keyword)
        case .on:
            addKeywords("TABLE|COLUMN|VIEW|INDEX|FUNCTION|SCHEMA|DATABASE|TYPE|SEQUENCE|CONSTRAINT", tier: Tier.keyword)
        case .table, .view: addRelations(in: qualifier.last)
        case .column:
            if let name = qualifier.last {
                addColumns(of: name, in: qualifier.dropLast().last)
            } else {
                addRelations(in: nil)
            }
        case .schema: addNamespaces()
        default: addKeywords("IS", tier: Tier.keyword)
        }
    }

    // MARK: TRUNCATE, ANALYZE and others

    mutating func proposeMaintenance(_ frame: Frame, _ previous: Keyword) {
        let first = statement.keyword(0)
        let isList = statement.token(before)?.kind == .comma
        let isName = before == 0 || isList || [.table, .only, .view, .analyze, .full, .verbose].contains(previous)
        if frame.kind != .query {
            // COPY t (columns), ANALYZE t (columns), VACUUM (options)
            if let token = statement.token(frame.opener - 1), token.isName {
                addColumns(of: statement.name(token), in: nil)
            }
            return
        }
        guard isName else {
            switch first {
            case .copy:
                addKeywords(
                    statement.token(before)?.kind == .close || before == 1 ? "FROM|TO" : "STDIN|STDOUT|WITH (|PROGRAM",
                    tier: Tier.keyword)
            case .truncate: addKeywords("CASCADE|RESTRICT|RESTART IDENTITY", tier: Tier.keyword)
            case .refresh: addKeywords("VIEW", tier: Tier.keyword)
            case .lock:
                addKeywords(
                    "IN ACCESS SHARE MODE|IN EXCLUSIVE MODE|IN ACCESS EXCLUSIVE MODE|READ|WRITE", tier: Tier.keyword)
            default: break
            }
            return
        }
        if first == .refresh, previous == .refresh { return addKeywords("MATERIALIZED VIEW", tier: Tier.keyword) }
        addRelations(in: qualifier.last, kinds: first == .refresh ? ["materialized_view"] : nil)
        guard qualifier.isEmpty else { return }
        addNamespaces()
        if before == 0 {
            switch first {
            case .truncate, .lock: addKeywords("TABLE", tier: Tier.keyword)
            case .vacuum:
                addKeywords(statement.dialect == .sqlite ? "INTO" : "FULL|FREEZE|ANALYZE|VERBOSE", tier: Tier.keyword)
            case .describe, .desc: addKeywords("SELECT", tier: Tier.keyword)
            case .reindex where statement.dialect == .postgresql:
                addKeywords("TABLE|INDEX|DATABASE|SCHEMA", tier: Tier.keyword)
            default: break
            }
        }
    }
}
