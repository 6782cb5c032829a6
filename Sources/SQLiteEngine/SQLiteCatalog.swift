// What is in a SQLite database: a statement for each level, over all of its schemas.

internal import Catalog
internal import DatabaseContract
internal import SQLText

/// The statements that read a catalog of SQLite.
///
/// They join `sqlite_schema` with PRAGMAs as tables (https://sqlite.org/pragma.html#pragfunc), `CROSS JOIN` in the order in which they
/// are written. `PRAGMA table_list` is not used: it looks at all tables again for each view.
struct SQLiteCatalog: CatalogSource {
    let isCaseSensitive = false
    /// Temporary tables and attached files are for sessions only.
    let namespaces: [String]? = ["main"]

    let namespaceText: String? = """
        SELECT name, name = 'main' AS "default" FROM pragma_database_list WHERE name <> 'temp'
        UNION ALL SELECT 'temp', 0 WHERE EXISTS (SELECT 1 FROM temp.sqlite_schema)
        """

    /// The version of an attached file is that of another one, too, which was attached by the same name before.
    func mayBelieveFingerprint(of namespaces: [String]) -> Bool {
        namespaces.allSatisfy { $0 == "main" || $0 == "temp" }
    }

    func fingerprints(_ wish: CatalogWish) -> [String] {
        wish.namespaces.map { "PRAGMA \(Self.quoted($0)).schema_version" }
    }

    func statements(_ wish: CatalogWish) -> [CatalogStatement] {
        let levels: [(CatalogLevel, (Schema) -> String)] = [
            (.relations, \.relations), (.columns, \.columns), (.keys, \.keys), (.foreignKeys, \.foreignKeys),
            (.indexes, \.indexes), (.triggers, \.triggers),
        ]
        let schemas = wish.namespaces.map { Schema(name: Self.quoted($0), text: Self.text($0), wish.definitions) }
        return [CatalogStatement(.namespaces, namespaceText ?? "")]
            + levels.map { level, text -> CatalogStatement in
                var statement = CatalogStatement(level, schemas.map(text).joined(separator: "\nUNION ALL\n"))
                statement.isForUntoldColumns = level == .columns
                return statement
            }
    }

    /// Columns and options of a table, the time of a trigger, the condition of an index.
    func complete(_ row: CatalogFeed) {
        if row.definition.isEmpty { return }
        row.definition.withUnsafeBytes { text in
            switch row.level {
            case .relations:
                let options = SQLiteToldColumns.tell(row, text) ?? SQLiteDefinition.tableOptions(text)
                if !options.isEmpty { row.set(.extra, "{\(options.map { "\"\($0)\":true" }.joined(separator: ","))}") }
            case .triggers:
                let trigger = SQLiteDefinition.trigger(text)
                row.set(.timing, trigger.timing)
                row.set(.event, trigger.event)
            case .indexes:
                if let predicate = SQLiteDefinition.predicate(text) { row.set(.predicate, predicate) }
            case .namespaces, .columns, .keys, .foreignKeys, .routines, .types: break
            }
        }
    }

    private static func quoted(_ name: String) -> String { String(quoting: name, by: UInt8(ascii: "\"")) }
    private static func text(_ name: String) -> String { String(quoting: name, by: UInt8(ascii: "'")) }

    /// Whether a text has a word, whatever the case of letters. LIKE makes no copy of the text, which is a third of the time; in a
    /// session with `PRAGMA case_sensitive_like` it has a meaning of its own.
    private static func has(_ word: String, in text: String) -> String {
        "CASE WHEN 'a' LIKE 'A' THEN \(text) LIKE '%\(word)%' ELSE instr(upper(\(text)), '\(word)') END"
    }

    /// The statements for one schema. `columns` leaves out the tables whose definitions tell them (`SQLiteToldColumns`).
    private struct Schema {
        let name: String
        let text: String
        let definitions: Bool

        init(name: String, text: String, _ definitions: Bool) {
            self.name = name
            self.text = text
            self.definitions = definitions
        }

        /// SQLite's own tables are not listed.
        private let isListed = "s.type IN ('table', 'view') AND s.name NOT GLOB '[Ss][Qq][Ll][Ii][Tt][Ee]_*'"
        /// Views and virtual tables.
        private let mayBeDefective = "(s.type = 'view' OR s.rootpage = 0)"

        var relations: String {
            """
            SELECT \(text) AS namespace, s.name AS name,
                   CASE WHEN s.type = 'view' THEN 'view' WHEN s.rootpage = 0 THEN 'virtual_table' ELSE 'table' END AS kind,
                   s.sql AS definition,
                   CASE WHEN \(mayBeDefective) THEN
                        (SELECT json_object('broken', json('true'), 'reason', d.reason)
                           FROM (SELECT litebase_defect(\(text), s.name) AS reason) d WHERE d.reason IS NOT NULL) END AS extra
              FROM \(name).sqlite_schema s WHERE \(isListed)
            """
        }

        /// A column INTEGER PRIMARY KEY DESC is no row number, and has an index.
        private var hasKeyIndex: String {
            "(\(SQLiteCatalog.has("DESC", in: "s.sql")) "
                + "AND EXISTS (SELECT 1 FROM pragma_index_list(s.name, \(text)) l WHERE l.origin = 'pk'))"
        }

        var columns: String {
            """
            SELECT \(text) AS namespace, s.name AS relation, x.name AS name, x.cid + 1 AS position, nullif(x.type, '') AS type,
                   NOT x."notnull" AS nullable, x.dflt_value AS "default",
                   CASE x.hidden WHEN 2 THEN 'virtual' WHEN 3 THEN 'stored' END AS generated,
                   CASE WHEN x.pk = 1 AND upper(x.type) = 'INTEGER' AND s.type = 'table' AND s.rootpage > 0 THEN
                        CASE WHEN \(SQLiteCatalog.has("AUTOINCREMENT", in: "s.sql")) THEN 'auto_increment'
                             WHEN NOT \(SQLiteCatalog.has("WITHOUT", in: "substr(s.sql, -64)")) AND NOT \(hasKeyIndex) THEN 'rowid'
                             END END AS identity,
                   x.hidden = 1 AS hidden, x.pk AS key_position
              FROM \(name).sqlite_schema s CROSS JOIN pragma_table_xinfo(s.name, \(text)) x
             WHERE \(isListed) AND CASE WHEN \(mayBeDefective) THEN litebase_defect(\(text), s.name) IS NULL
                                    ELSE NOT \(SQLiteToldColumns.function)(s.sql) END
            """
        }

        var keys: String {
            """
            SELECT \(text) AS namespace, s.tbl_name AS relation, NULL AS name, 'unique' AS kind, i.seqno + 1 AS ordinal,
                   i.name AS "column"
              FROM \(name).sqlite_schema s CROSS JOIN pragma_index_list(s.tbl_name, \(text)) l
              CROSS JOIN pragma_index_info(l.name, \(text)) i
             WHERE s.type = 'index' AND s.sql IS NULL AND l.name = s.name AND l.origin = 'u'
            """
        }

        var foreignKeys: String {
            """
            SELECT \(text) AS namespace, s.name AS relation, NULL AS name, f.seq + 1 AS ordinal, f."from" AS "column",
                   \(text) AS target_namespace, f."table" AS target_relation, f."to" AS target_column, f.on_update AS on_update,
                   f.on_delete AS on_delete,
                   CASE WHEN f.match <> 'NONE' THEN json_object('match', f.match) END AS extra
              FROM \(name).sqlite_schema s CROSS JOIN pragma_foreign_key_list(s.name, \(text)) f
             WHERE s.type = 'table' AND s.rootpage > 0 AND \(SQLiteCatalog.has("REFERENCES", in: "s.sql"))
            """
        }

        var indexes: String {
            """
            SELECT \(text) AS namespace, s.tbl_name AS relation, s.name AS name, l."unique" AS "unique", i.seqno + 1 AS ordinal,
                   i.name AS "column", CASE WHEN l.partial OR \(definitions ? 1 : 0) THEN s.sql END AS definition,
                   CASE WHEN l.origin <> 'c' AND i.seqno = 0 THEN
                        json_object('constraint', CASE l.origin WHEN 'u' THEN 'unique' ELSE 'primary' END)
                        WHEN i."desc" THEN json_object('descending', json('true')) END AS extra
              FROM \(name).sqlite_schema s CROSS JOIN pragma_index_list(s.tbl_name, \(text)) l
              CROSS JOIN pragma_index_xinfo(s.name, \(text)) i
             WHERE s.type = 'index' AND l.name = s.name AND i.key
            """
        }

        var triggers: String {
            """
            SELECT \(text) AS namespace, s.tbl_name AS relation, s.name AS name, s.sql AS definition
              FROM \(name).sqlite_schema s WHERE s.type = 'trigger'
            """
        }
    }
}
