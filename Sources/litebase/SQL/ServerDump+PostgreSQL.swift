// A database of PostgreSQL as statements, in the order in which they can be run.

import LiteBaseClient

extension ServerDump {
    /// Definitions, rows, and then what is quicker or only possible behind the rows: identities, values of sequences, indexes of their
    /// own, foreign keys, triggers, rules, policies.
    ///
    /// Nothing is in the path in which names are looked up, so that every name comes out with its schema.
    func writePostgreSQL() throws {
        let wanted = try wantedRelations()
        try session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        // Rows that a policy hides end the dump instead of being left out in silence.
        try session.execute(
            """
            SELECT pg_catalog.set_config(s.name, s.value, true)
            FROM (VALUES ('search_path', ''), ('row_security', 'off'), ('jit', 'off'), ('datestyle', 'ISO'),
                ('intervalstyle', 'postgres'), ('extra_float_digits', '1'), ('bytea_output', 'hex')) s(name, value)
            """)
        try lockTables(wanted)
        let isWhole = wanted.isNull
        let isOneTransaction = try texts(PostgreSQLCatalogue.hasFewRelations).first?.first == "true"
        let key = Self.randomKey()
        try file.print("\\restrict \(key)\n")
        try writePostgreSQLHead(isWhole: isWhole, isOneTransaction: isOneTransaction)
        try writeDefinitions(wanted)
        try writeStatements(PostgreSQLCatalogue.supplements, wanted)
        try writePostgreSQLRows(wanted)
        try writeStatements(PostgreSQLCatalogue.sequenceConclusions, wanted)
        try writeSequenceValues(wanted)
        try writeStatements(PostgreSQLCatalogue.conclusions, wanted)
        try file.print((isOneTransaction ? "COMMIT;\n" : "RESET ALL;\n") + "\\unrestrict \(key)\n")
        try session.execute("COMMIT")
    }

    /// Definitions are the server's own words: a hostile one could put a command of psql among them, such as `\\!`. Behind
    /// `\\restrict`, psql takes none but `\\unrestrict` with the same key.
    /// - Source: CVE-2025-8714
    private static func randomKey() -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<48).map { _ in letters[Int.random(in: letters.indices)] })
    }

    /// Numbers of the relations that are wanted, as PostgreSQL writes an array; null for all.
    private func wantedRelations() throws -> Value {
        if relations.isEmpty { return .null }
        let numbers = try relations.map { relation in
            for name in ObjectName.postgreSQLNames(of: relation) {
                let path = (name.schema.map { dialect.quoted($0) + "." } ?? "") + dialect.quoted(name.name)
                let found = try texts(PostgreSQLCatalogue.relationNumber, [.text(path)])
                if let number = found.first?.first { return number }
            }
            throw DatabaseDump.missing(relation)
        }
        return .text("{\(numbers.joined(separator: ","))}")
    }

    /// Nobody drops or changes a table between its definition and its rows.
    private func lockTables(_ wanted: Value) throws {
        let names = try texts(PostgreSQLCatalogue.lockedTables, [wanted]).map { $0[0] }
        for start in stride(from: 0, to: names.count, by: 200) {
            let part = names[start..<min(start + 200, names.count)].map { "ONLY \($0)" }
            try session.execute("LOCK TABLE \(part.joined(separator: ", ")) IN ACCESS SHARE MODE")
        }
    }

    private func writeDefinitions(_ wanted: Value) throws {
        let definitions = try texts(PostgreSQLCatalogue.definitions, [wanted]).map {
            DefinitionOrder.Definition(key: $0[0], sql: $0[1])
        }
        let needs = try texts(PostgreSQLCatalogue.needs).map { (key: $0[0], needed: $0[1]) }
        let order = DefinitionOrder(definitions, needs: needs)
        for definition in order.circles {
            let line = definition.sql.prefix { !$0.isNewline }.prefix(100)
            try warn("needs what needs it, and cannot be loaded without changing the dump: \(line)")
        }
        for definition in order.ordered { try file.print(definition.sql + ";\n") }
    }

    private func writeStatements(_ query: String, _ wanted: Value) throws {
        for statement in try texts(query, [wanted]) { try file.print(statement[0] + ";\n") }
    }

    // MARK: Rows

    private func writePostgreSQLRows(_ wanted: Value) throws {
        // Text of such a database may be no UTF-8, which INSERT has as it is.
        let isBytes = try texts("SHOW server_encoding").first?.first == "SQL_ASCII"
        for table in try postgreSQLTables(wanted) {
            if isBytes || table.columns.isEmpty { try writeInsertions(table) } else { try writeCopy(table) }
        }
    }

    /// One statement for all rows, which is read many times as fast as one for each.
    private func writeCopy(_ rows: Rows) throws {
        try file.print("COPY \(quotedName(rows)) (\(columnList(rows))) FROM stdin;\n")
        var options = exportOptions
        // The text format of COPY.
        options.format = .tsv
        options.hasHeader = false
        file.willHaveRows()
        _ = try session.export(selection(rows), to: file.descriptor, options: options)
        try file.print("\\.\n")
    }

    private func postgreSQLTables(_ wanted: Value) throws(ClientError) -> [Rows] {
        var tables: [Rows] = []
        // A row for each column, those of a table one after the other.
        for row in try texts(PostgreSQLCatalogue.columnsWithRows, [wanted]) {
            if tables.last?.namespace != row[0] || tables.last?.table != row[1] {
                let source = "ONLY \(dialect.quoted(row[0])).\(dialect.quoted(row[1]))"
                tables.append(Rows(namespace: row[0], table: row[1], columns: [], source: source))
            }
            // Names are not empty: it has no such column.
            if !row[2].isEmpty { tables[tables.count - 1].columns.append(row[2]) }
        }
        return tables
    }

    /// Also of those that have given no number yet: they may have been set to one.
    private func writeSequenceValues(_ wanted: Value) throws {
        let names = try texts(PostgreSQLCatalogue.sequenceNames, [wanted])
        for start in stride(from: 0, to: names.count, by: 100) {
            let parts = names[start..<min(start + 100, names.count)].enumerated().map { number, name in
                "SELECT \(number) AS number, \(name[1]) AS name, last_value::text, is_called::text FROM \(name[0])"
            }
            let values = try texts(parts.joined(separator: " UNION ALL ") + " ORDER BY number")
            for (name, value) in zip(names[start...], values) {
                try file.print("SELECT pg_catalog.setval(\(name[1]), \(value[2]), \(value[3]));\n")
            }
        }
    }

    // MARK: Head

    private func writePostgreSQLHead(isWhole: Bool, isOneTransaction: Bool) throws {
        try note("A dump of LiteBase, for psql and `litebase query -`.")
        if isWhole {
            try note(
                "Not in it: the database itself with its encoding and settings, roles, and whom things belong to: they")
            try note("belong to who loads it.")
            for kind in try texts(PostgreSQLCatalogue.leftOut) { try leaveOut("\(kind[0]): \(kind[1])") }
        } else {
            try note("Not in it: functions, operators and extensions that these tables use, and other tables.")
        }
        try note("Policies name roles, which have to be there. Rights of roles that are not there are not given.")
        if isOneTransaction {
            try file.print("BEGIN;\n")
        } else {
            try note("It is no single transaction, which would need more locks than a server has: load it into an")
            try note("empty database, and drop that if an error ends it.")
        }
        try writeSettings(isLocal: isOneTransaction)
    }

    private func writeSettings(isLocal: Bool) throws {
        let encoding = try texts("SHOW server_encoding").first?.first == "SQL_ASCII" ? "SQL_ASCII" : "UTF8"
        let settings = [
            "statement_timeout = 0", "lock_timeout = 0", "idle_in_transaction_session_timeout = 0",
            "client_encoding = '\(encoding)'", "standard_conforming_strings = on", "check_function_bodies = false",
            "client_min_messages = warning", "row_security = off", "xmloption = content",
        ]
        for setting in settings { try file.print("SET \(isLocal ? "LOCAL " : "")\(setting);\n") }
        try file.print("SELECT pg_catalog.set_config('search_path', '', \(isLocal));\n")
    }
}
