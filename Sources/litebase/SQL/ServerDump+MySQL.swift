// A database of MySQL or MariaDB as statements: the server itself tells the definitions.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

extension ServerDump {
    /// Tables and sequences, rows, then what uses them. References are not checked meanwhile, so that tables may come in any order;
    /// views, which may use each other, are made first of constants with their columns' names, as mariadb-dump does.
    ///
    /// - Source: https://mariadb.com/kb/en/mariadb-dump/
    func writeMySQL() throws {
        try setIsolation()
        try session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        // Definitions in the quotes of MySQL, times in one zone.
        try session.execute("SET SESSION sql_quote_show_create = 1, sql_mode = '', time_zone = '+00:00'")
        let found = try MySQLRelations(wantedRelations())
        try writeMySQLHead(found)
        for sequence in found.sequences { try writeSequence(sequence) }
        for table in found.tables { try file.print(definition("TABLE", table) + ";\n") }
        try file.print("START TRANSACTION;\n")
        for table in found.tables { try writeManyRows(mysqlRows(table)) }
        try file.print("COMMIT;\n")
        for view in found.views { try file.print(placeholder(view)) }
        if relations.isEmpty { for name in try texts(Self.routineNames) { try writeProgram(name[1], name[0]) } }
        for name in try texts(Self.triggerNames) where relations.isEmpty || found.tables.contains(name[1]) {
            try writeProgram("TRIGGER", name[0])
        }
        for view in found.views {
            try file.print("DROP VIEW \(dialect.quoted(view));\n")
            try writeProgram("VIEW", view)
        }
        if relations.isEmpty { for name in try texts(Self.eventNames) { try writeProgram("EVENT", name[0]) } }
        try file.print(
            """
            SET FOREIGN_KEY_CHECKS = @litebase_foreign_key_checks;
            SET TIME_ZONE = @litebase_time_zone;
            SET SQL_MODE = @litebase_sql_mode;

            """)
        try session.execute("COMMIT")
    }

    /// Without it there is no snapshot, and the server may have another default. (SET TRANSACTION is refused where one may only read.)
    private func setIsolation() throws {
        // MySQL 8 has dropped one of the names, and MariaDB has got the other with 11.1.
        let names = try texts("SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')")
        guard let name = names.last?.first else { return }
        try session.execute("SET SESSION \(name) = 'REPEATABLE-READ'")
    }

    /// What the database has, or what is wanted of it, by kinds.
    private struct MySQLRelations {
        var tables: [String] = []
        var views: [String] = []
        var sequences: [String] = []
        var others: [String] = []
        /// Tables that keep rows of former times, too.
        var versioned: [String] = []
        /// Tables of which there is no snapshot.
        var withoutTransactions: [String] = []

        /// - Parameter rows: name, kind, and whether its engine has transactions.
        init(_ rows: [[String]]) {
            for row in rows {
                switch row[1] {
                case "BASE TABLE", "SYSTEM VERSIONED": tables.append(row[0])
                case "VIEW": views.append(row[0])
                case "SEQUENCE": sequences.append(row[0])
                default: others.append(row[0])
                }
                if row[1] == "SYSTEM VERSIONED" { versioned.append(row[0]) }
                if tables.last == row[0], row[2] != "YES" { withoutTransactions.append(row[0]) }
            }
        }
    }

    private func wantedRelations() throws -> [[String]] {
        let all = try texts(
            """
            SELECT t.table_name, t.table_type, e.transactions FROM information_schema.tables t
            LEFT JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = DATABASE() ORDER BY t.table_name
            """)
        if relations.isEmpty { return all }
        return try relations.map { relation in
            guard let row = all.first(where: { $0[0] == relation }) else { throw DatabaseDump.missing(relation) }
            return row
        }
    }

    private static let triggerNames = """
        SELECT trigger_name, event_object_table FROM information_schema.triggers WHERE trigger_schema = DATABASE()
        ORDER BY event_object_table, event_manipulation, action_timing, action_order
        """
    private static let routineNames = """
        SELECT routine_name, routine_type FROM information_schema.routines
        WHERE routine_schema = DATABASE() AND routine_type IN ('PROCEDURE', 'FUNCTION') ORDER BY routine_type, routine_name
        """
    private static let eventNames =
        "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY event_name"

    private static let packageNames = """
        SELECT routine_type, routine_name FROM information_schema.routines
        WHERE routine_schema = DATABASE() AND routine_type NOT IN ('PROCEDURE', 'FUNCTION') ORDER BY routine_name
        """

    private func writeMySQLHead(_ found: MySQLRelations) throws {
        // Definitions are the server's own words: behind this, the client of MariaDB takes no command such as `system` among them.
        try file.print("/*M!999999\\- enable the sandbox mode */\n")
        try note("A dump of LiteBase, for the engine's own client and `litebase query -`.")
        try note("Not in it: the database itself with its character set, users, rights, and what other databases have.")
        if relations.isEmpty {
            for package in try texts(Self.packageNames) { try leaveOut("\(package[0].lowercased()): \(package[1])") }
        } else {
            try note("Not in it either: routines and other tables, which these may use.")
        }
        for other in found.others { try leaveOut("\(other), which is no table, view or sequence") }
        for table in found.versioned { try leaveOut("former rows of the table \(table) (SYSTEM VERSIONING)") }
        for table in found.withoutTransactions {
            try warn("rows of the table \(table) may be of a later moment: its engine has no transactions")
        }
        try note(
            "Triggers, routines, events and views run as the users that they name (DEFINER), who have to be there.")
        try file.print(
            """
            SET NAMES utf8mb4;
            SET @litebase_sql_mode = @@SQL_MODE, SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO';
            SET @litebase_time_zone = @@TIME_ZONE, TIME_ZONE = '+00:00';
            SET @litebase_foreign_key_checks = @@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS = 0;

            """)
    }

    private func definition(_ kind: String, _ name: String) throws(ClientError) -> String {
        guard let text = try facts(kind, name).first(where: { $0.name.hasPrefix("Create ") })?.text else {
            throw .invalidRequest("the server does not tell this login the definition of \(kind.lowercased()) \(name)")
        }
        return text
    }

    /// What SHOW CREATE says, by the names of its columns.
    private func facts(_ kind: String, _ name: String) throws(ClientError) -> [(name: String, text: String?)] {
        let result = try session.query("SHOW CREATE \(kind) \(dialect.quoted(name))")
        guard let row = result.rows.first else { return [] }
        return result.columns.all.indices.map { (name: result.columns.all[$0].name, text: row[$0].text) }
    }

    private func writeSequence(_ name: String) throws {
        try file.print(definition("SEQUENCE", name) + ";\n")
        let quoted = dialect.quoted(name)
        // With the number of its rounds, a value may be one that comes before the first.
        let values = try texts("SELECT CAST(next_not_cached_value AS CHAR), CAST(cycle_count AS CHAR) FROM \(quoted)")
        for value in values { try file.print("DO SETVAL(\(quoted), \(value[0]), 0, \(value[1]));\n") }
    }

    private func mysqlRows(_ table: String) throws(ClientError) -> Rows {
        let columns = try texts(
            """
            SELECT column_name FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = ? AND COALESCE(generation_expression, '') = ''
            ORDER BY ordinal_position
            """, [.text(table)])
        return Rows(namespace: nil, table: table, columns: columns.map { $0[0] }, source: dialect.quoted(table))
    }

    /// Rows of a table in as few statements as will do.
    private func writeManyRows(_ rows: Rows) throws {
        let list = rows.columns.map { dialect.quoted($0) }.joined(separator: ",")
        let start = "INSERT INTO \(quotedName(rows))(\(list)) VALUES("
        // A line end within a name, which a statement has as it is.
        if rows.columns.isEmpty || start.utf8.contains(10) { return try writeInsertions(rows) }
        let begun: (merge: InsertionMerge, writer: Int32)
        do throws(Errno) {
            begun = try InsertionMerge.begin(start, to: file.descriptor)
        } catch {
            throw OutputError(errno: error)
        }
        var pipe = self
        pipe.file = DumpFile(descriptor: begun.writer)
        let outcome = Result { try pipe.writeInsertions(rows) }
        close(begun.writer)
        // Why it could not be written says more than that the pipe was closed.
        try begun.merge.finish()
        try outcome.get()
    }

    /// A view of constants.
    private func placeholder(_ view: String) throws(ClientError) -> String {
        let columns = try texts(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? "
                + "ORDER BY ordinal_position", [.text(view)])
        let list = columns.map { "1 AS \(dialect.quoted($0[0]))" }.joined(separator: ", ")
        return "CREATE VIEW \(dialect.quoted(view)) AS SELECT \(list);\n"
    }

    /// A trigger, a routine, an event or a view: a text with semicolons, which is to be read as it was read when it was made.
    private func writeProgram(_ kind: String, _ name: String) throws {
        let facts = try facts(kind, name)
        func fact(_ name: String) -> String? { facts.first { $0.name == name }?.text }
        // The first word behind CREATE is not its name: `Create Procedure`, `SQL Original Statement`.
        guard
            let text = facts.first(where: { $0.name.hasPrefix("Create ") || $0.name == "SQL Original Statement" })?.text
        else {
            throw ClientError.invalidRequest(
                "the server does not tell this login the definition of \(kind.lowercased()) \(name)")
        }
        if let mode = fact("sql_mode") { try file.print("SET SQL_MODE = \(Self.literal(mode));\n") }
        if let zone = fact("time_zone") { try file.print("SET TIME_ZONE = \(Self.literal(zone));\n") }
        // Bytes of another character set would not be those of this file.
        let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        if let set = fact("character_set_client"), isASCII { try file.print("SET character_set_client = \(set);\n") }
        if let collation = fact("collation_connection") { try file.print("SET collation_connection = \(collation);\n") }
        let delimiter = Self.delimiter(outside: text)
        // The text may end with a comment, of which a delimiter on the same line would be a part.
        try file.print("DELIMITER \(delimiter)\n\(text)\n\(delimiter)\nDELIMITER ;\n")
        try file.print("SET NAMES utf8mb4;\nSET SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO';\nSET TIME_ZONE = '+00:00';\n")
    }

    private static func literal(_ text: String) -> String {
        "'" + text.map { $0 == "'" ? "''" : String($0) }.joined() + "'"
    }

    /// One that the text does not have.
    private static func delimiter(outside text: String) -> String {
        var delimiter = ";;"
        while text.contains(delimiter) { delimiter += ";" }
        return delimiter
    }
}
