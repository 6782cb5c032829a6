// What a table consists of, as .describe shows it, from each engine's catalogue.

import LiteBaseClient

/// Queries on the catalogue of an engine about one table.
///
/// - Source: https://www.sqlite.org/pragma.html#pragma_table_xinfo; https://www.postgresql.org/docs/15/catalogs.html;
///   https://mariadb.com/kb/en/information-schema-tables/
struct TableDescription {
    /// Name, type, whether it may be NULL, default, place in the primary key.
    let columns: String
    /// Two columns: a heading, and a line below it.
    let details: String

    static let columnNames = ["column", "type", "null", "default", "key"]

    /// The parameter is the name.
    static let sqlite = TableDescription(
        columns: """
            SELECT name, type || CASE hidden WHEN 2 THEN ' generated' WHEN 3 THEN ' generated stored' ELSE '' END,
                CASE WHEN "notnull" THEN 'no' ELSE 'yes' END, dflt_value, CASE WHEN pk > 0 THEN 'primary' END
            FROM pragma_table_xinfo(?1) WHERE hidden <> 1
            """,
        details: """
            SELECT 'Indexes', l.name || CASE l.origin WHEN 'pk' THEN ' PRIMARY KEY' ELSE iif(l."unique", ' UNIQUE', '') END
                || ' (' || (SELECT group_concat(coalesce(i.name, 'expression'), ', ') FROM pragma_index_info(l.name) i) || ')'
                || iif(l.partial, ' partial', '')
            FROM pragma_index_list(?1) l
            UNION ALL SELECT 'Foreign keys', '(' || group_concat(f."from", ', ') || ') → ' || f."table"
                || coalesce(' (' || group_concat(f."to", ', ') || ')', '')
                || iif(f.on_delete <> 'NO ACTION', ' ON DELETE ' || f.on_delete, '')
            FROM pragma_foreign_key_list(?1) f GROUP BY f.id
            UNION ALL SELECT 'Referenced by', s.name || ' (' || group_concat(f."from", ', ') || ')'
            FROM sqlite_schema s JOIN pragma_foreign_key_list(s.name) f
            WHERE s.type = 'table' AND f."table" = ?1 COLLATE NOCASE GROUP BY s.name, f.id
            UNION ALL SELECT 'Triggers', name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
            UNION ALL SELECT 'View', sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE
            """)

    /// The parameter is the table's oid.
    static let postgreSQL = TableDescription(
        columns: """
            SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN 'no' ELSE 'yes' END,
                CASE WHEN a.attidentity <> '' THEN 'identity'
                    WHEN a.attgenerated <> '' THEN 'generated: ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                    ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) THEN 'primary' END
            FROM pg_catalog.pg_attribute a
            LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """,
        details: """
            SELECT 'Indexes', c.relname || CASE WHEN i.indisprimary THEN ' PRIMARY KEY' WHEN i.indisunique THEN ' UNIQUE' ELSE '' END
                || ' ' || pg_catalog.substring(pg_catalog.pg_get_indexdef(i.indexrelid), ' USING (.*)$')
            FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = $1::bigint::oid
            UNION ALL SELECT CASE contype WHEN 'c' THEN 'Checks' ELSE 'Foreign keys' END,
                conname || ' ' || pg_catalog.pg_get_constraintdef(oid)
            FROM pg_catalog.pg_constraint WHERE conrelid = $1::bigint::oid AND contype IN ('c', 'f')
            UNION ALL SELECT 'Referenced by',
                conrelid::pg_catalog.regclass || ' ' || conname || ' ' || pg_catalog.pg_get_constraintdef(oid)
            FROM pg_catalog.pg_constraint WHERE confrelid = $1::bigint::oid AND contype = 'f'
            UNION ALL SELECT 'Triggers', tgname::text FROM pg_catalog.pg_trigger
            WHERE tgrelid = $1::bigint::oid AND NOT tgisinternal
            UNION ALL SELECT 'View', pg_catalog.pg_get_viewdef(oid, true) FROM pg_catalog.pg_class
            WHERE oid = $1::bigint::oid AND relkind IN ('v', 'm')
            """)

    /// The oid of what a name means; the parameters are the name and its schema, or null for the one in the search path.
    static let postgreSQLIdentity = """
        SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c') AND ($2::text IS NULL OR n.nspname = $2)
        ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC, n.nspname LIMIT 1
        """

    /// The parameter is the name, once for each placeholder.
    static let mysql = TableDescription(
        columns: """
            SELECT column_name, column_type, LOWER(is_nullable),
                NULLIF(CONCAT_WS(' ', NULLIF(column_default, 'NULL'), NULLIF(extra, '')), ''),
                CASE column_key WHEN 'PRI' THEN 'primary' WHEN 'UNI' THEN 'unique' WHEN 'MUL' THEN 'index' END
            FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position
            """,
        details: """
            SELECT 'Indexes', CONCAT(index_name, IF(index_name = 'PRIMARY', ' KEY', IF(non_unique, '', ' UNIQUE')), ' (',
                GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ', '), ')')
            FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?
            GROUP BY index_name, non_unique
            UNION ALL SELECT 'Foreign keys', CONCAT('(', GROUP_CONCAT(column_name ORDER BY ordinal_position SEPARATOR ', '),
                ') → ', MAX(referenced_table_name), ' (',
                GROUP_CONCAT(referenced_column_name ORDER BY ordinal_position SEPARATOR ', '), ')')
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = ? AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name
            UNION ALL SELECT 'Referenced by', CONCAT(table_name, ' (',
                GROUP_CONCAT(column_name ORDER BY ordinal_position SEPARATOR ', '), ')')
            FROM information_schema.key_column_usage
            WHERE referenced_table_schema = DATABASE() AND referenced_table_name = ? GROUP BY table_name, constraint_name
            UNION ALL SELECT 'Triggers', trigger_name FROM information_schema.triggers
            WHERE event_object_schema = DATABASE() AND event_object_table = ?
            UNION ALL SELECT 'View', view_definition FROM information_schema.views
            WHERE table_schema = DATABASE() AND table_name = ?
            """)

    static let mysqlDetailCount = 5
}

/// What lists objects by name.
enum ObjectList {
    case tables, views, indexes

    /// - Returns: a statement whose parameters are a pattern of LIKE, or null for all, and for MySQL the same again.
    func sql(_ engine: String) -> String? {
        switch (self, engine) {
        case (.indexes, "sqlite"):
            """
            SELECT name, tbl_name AS "table" FROM sqlite_schema
            WHERE type = 'index' AND (?1 IS NULL OR tbl_name LIKE ?1 OR name LIKE ?1) ORDER BY tbl_name, name
            """
        case (_, "sqlite"):
            """
            SELECT name, type FROM sqlite_schema
            WHERE type IN ('view', '\(self == .views ? "view" : "table")') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            AND (?1 IS NULL OR name LIKE ?1) ORDER BY name
            """
        case (.indexes, "mysql"):
            """
            SELECT index_name AS name, table_name AS "table", IF(MAX(non_unique), '', 'unique') AS kind,
                GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ', ') AS "columns"
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND (? IS NULL OR table_name LIKE ?)
            GROUP BY table_name, index_name ORDER BY table_name, index_name
            """.replacingDoubleQuotes
        case (_, "mysql"):
            """
            SELECT table_name AS name, LOWER(REPLACE(table_type, 'BASE ', '')) AS type
            FROM information_schema.tables
            WHERE table_schema = DATABASE() AND (? IS NULL OR table_name LIKE ?)\
            \(self == .views ? " AND table_type = 'VIEW'" : "") ORDER BY table_name
            """
        case (.indexes, "postgresql"):
            """
            SELECT indexname::text AS name, tablename::text AS "table", indexdef AS definition
            FROM pg_catalog.pg_indexes WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'
            AND ($1::text IS NULL OR tablename LIKE $1 OR indexname LIKE $1) ORDER BY 2, 1
            """
        case (_, "postgresql"):
            PostgreSQLCatalogue.tables(kinds: self == .views ? "'v', 'm'" : "'r', 'p', 'f', 'v', 'm'")
        default: nil
        }
    }
}

extension String {
    /// In MySQL's quotes of names.
    fileprivate var replacingDoubleQuotes: String { String(map { $0 == "\"" ? "`" : $0 }) }
}
