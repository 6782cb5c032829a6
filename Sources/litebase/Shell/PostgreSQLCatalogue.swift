// Tables and their CREATE statements from a PostgreSQL server's catalogue. Unlike SQLite and MySQL, it has no statement
// for that; other objects that pg_dump knows (functions, rights, operators) are not shown.
//
// Source: https://www.postgresql.org/docs/15/catalogs.html, https://www.postgresql.org/docs/15/functions-info.html

/// Queries for PostgreSQL 13 and later.
enum PostgreSQLCatalogue {
    /// Names and kinds of what can be read as a table. The parameter is a pattern of their names, or null for all.
    static func tables(kinds: String) -> String {
        """
        SELECT c.oid::pg_catalog.regclass::text AS name, CASE c.relkind WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS type
        FROM \(relations) AND c.relkind IN (\(kinds)) AND ($1::text IS NULL OR c.relname LIKE $1) ORDER BY 1
        """
    }

    /// One statement in each row, in an order in which they can be run: schemas, types, sequences, tables, views, indexes,
    /// foreign keys, triggers. The parameters are the name of one relation, or null for all, and its schema, or null for any.
    static let statements = """
        WITH RECURSIVE relation AS (
            SELECT c.*, c.oid::pg_catalog.regclass::text AS name,
                CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' WHEN 't' THEN 'TEMPORARY ' ELSE '' END AS kind,
                ' WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')' AS storage
            FROM \(relations)
            AND ($1::text IS NULL OR c.relname = $1 AND ($2::text IS NULL OR n.nspname = $2))
        ), used(oid) AS (
            \(usedTypes)
        )
        SELECT sql FROM (
            \([schemas, types, sequences, tablesWithColumns, partitions, views, indexes, foreignKeys, triggers]
                .joined(separator: "\nUNION ALL\n"))
        ) AS statement(rank, number, sql) ORDER BY rank, number
        """

    /// All except those of the system, of other sessions and of extensions.
    private static let relations = """
        pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' OR n.oid = pg_catalog.pg_my_temp_schema())
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
        """

    /// Types of columns, and the types that they consist of.
    private static let usedTypes = """
        SELECT a.atttypid FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION SELECT part.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid CROSS JOIN LATERAL (
            SELECT t.typelem UNION ALL SELECT t.typbasetype
            UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid
            UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = t.typrelid AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped
        ) part(oid) WHERE part.oid <> 0
        """

    private static let schemas = """
        SELECT 0, n.oid::bigint, 'CREATE SCHEMA ' || pg_catalog.quote_ident(n.nspname)
        FROM pg_catalog.pg_namespace n
        WHERE n.nspname <> 'public' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND n.oid IN (SELECT r.relnamespace FROM relation r
            UNION SELECT t.typnamespace FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid AND d.deptype = 'e')
        """

    // In the order in which they were made, since they may use each other.
    private static let types = """
        SELECT 1, t.oid::bigint, CASE t.typtype
            WHEN 'e' THEN 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS ENUM ('
                || (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) || ')'
            WHEN 'c' THEN 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS ('
                || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
                        || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) || ')'
            WHEN 'r' THEN (SELECT 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS RANGE (SUBTYPE = '
                    || pg_catalog.format_type(g.rngsubtype, NULL) || ')'
                FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid)
            ELSE 'CREATE DOMAIN ' || pg_catalog.format_type(t.oid, NULL) || ' AS '
                || pg_catalog.format_type(t.typbasetype, t.typtypmod)
                || coalesce((SELECT ' COLLATE ' || pg_catalog.quote_ident(s.nspname) || '.'
                        || pg_catalog.quote_ident(o.collname)
                    FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace s ON s.oid = o.collnamespace
                    JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
                    WHERE o.oid = t.typcollation AND o.oid <> b.typcollation), '')
                || coalesce(' DEFAULT ' || t.typdefault, '') || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
                || coalesce((SELECT pg_catalog.string_agg(' CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
                        || pg_catalog.pg_get_constraintdef(k.oid), '' ORDER BY k.oid)
                    FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '')
            END
        FROM pg_catalog.pg_type t JOIN used u ON u.oid = t.oid
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        WHERE (t.typtype IN ('e', 'd', 'r')
            OR t.typtype = 'c' AND (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid) = 'c')
        AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e')
        """

    // Those of identity columns are created with their tables.
    private static let sequences = """
        SELECT 2, s.oid::bigint, 'CREATE ' || CASE s.relpersistence WHEN 'u' THEN 'UNLOGGED ' WHEN 't' THEN 'TEMPORARY '
            ELSE '' END || 'SEQUENCE ' || s.oid::pg_catalog.regclass || ' AS ' || pg_catalog.format_type(q.seqtypid, NULL)
            || ' INCREMENT BY ' || q.seqincrement || ' MINVALUE ' || q.seqmin || ' MAXVALUE ' || q.seqmax
            || ' START WITH ' || q.seqstart || CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END
        FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype = 'i')
        AND (EXISTS (SELECT FROM relation r WHERE r.oid = s.oid) OR EXISTS (
            SELECT FROM pg_catalog.pg_attrdef f JOIN relation r ON r.oid = f.adrelid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
            WHERE d.refobjid = s.oid))
        """

    private static let tablesWithColumns = """
        SELECT 3, r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'f' THEN 'FOREIGN ' ELSE r.kind END || 'TABLE ' || r.name
            || ' (' || coalesce((SELECT pg_catalog.string_agg(E'\\n    ' || part.sql, ',' ORDER BY part.rank, part.number)
                FROM (\(columns) UNION ALL \(constraints)) AS part(rank, number, sql)) || E'\\n', '') || ')'
            || coalesce(' INHERITS (' || (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', '
                ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i WHERE i.inhrelid = r.oid) || ')', '')
            || \(partitioning) || \(server) || coalesce(r.storage, '')
        FROM relation r WHERE r.relkind IN ('r', 'p', 'f') AND NOT r.relispartition
        """

    private static let columns = """
        SELECT 1, a.attnum::bigint, pg_catalog.quote_ident(a.attname) || ' '
            || pg_catalog.format_type(a.atttypid, a.atttypmod)
            || coalesce((SELECT ' COLLATE ' || pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(o.collname)
                FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace s ON s.oid = o.collnamespace
                JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                WHERE o.oid = a.attcollation AND o.oid <> t.typcollation), '')
            || CASE WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || x.value || ') STORED'
                WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
                WHEN a.attidentity = 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY'
                ELSE coalesce(' DEFAULT ' || x.value, '') END
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_catalog.pg_attribute a LEFT JOIN LATERAL (SELECT pg_catalog.pg_get_expr(f.adbin, f.adrelid) AS value
            FROM pg_catalog.pg_attrdef f WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum) x ON true
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attislocal
        """

    // Foreign keys may refer to later tables. The others are selected by name, because those of version 18 for NOT NULL
    // are excluded.
    private static let constraints = """
        SELECT 2, k.oid::bigint, 'CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
            || pg_catalog.pg_get_constraintdef(k.oid)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = r.oid AND k.conislocal AND k.contype IN ('p', 'u', 'c', 'x')
        """

    private static let partitioning =
        "CASE r.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(r.oid) ELSE '' END"

    private static let server = """
        coalesce((SELECT ' SERVER ' || pg_catalog.quote_ident(s.srvname) || coalesce(' OPTIONS (' || (
                SELECT pg_catalog.string_agg(pg_catalog.quote_ident(o.option_name) || ' '
                    || pg_catalog.quote_literal(o.option_value), ', ')
                FROM pg_catalog.pg_options_to_table(f.ftoptions) o) || ')', '')
            FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
            WHERE f.ftrelid = r.oid), '')
        """

    // They have the columns, constraints and indexes of what they are a part of.
    private static let partitions = """
        SELECT 3, r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'f' THEN 'FOREIGN ' ELSE r.kind END || 'TABLE ' || r.name
            || ' PARTITION OF ' || i.inhparent::pg_catalog.regclass || ' ' || pg_catalog.pg_get_expr(r.relpartbound, r.oid)
            || \(partitioning) || \(server) || coalesce(r.storage, '')
        FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
        WHERE r.relkind IN ('r', 'p', 'f') AND r.relispartition
        """

    private static let views = """
        SELECT 4, r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE r.kind END || 'VIEW '
            || r.name || coalesce(r.storage, '') || E' AS\\n' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(r.oid, true), ';')
        FROM relation r WHERE r.relkind IN ('v', 'm')
        """

    // Those of constraints are created by them, those of partitions by the whole table's.
    private static let indexes = """
        SELECT 5, i.indexrelid::bigint, pg_catalog.pg_get_indexdef(i.indexrelid)
        FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
        """

    private static let foreignKeys = """
        SELECT 6, k.oid::bigint, 'ALTER TABLE ' || r.name || ' ADD CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
            || pg_catalog.pg_get_constraintdef(k.oid)
        FROM pg_catalog.pg_constraint k JOIN relation r ON r.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0
        """

    private static let triggers = """
        SELECT 7, t.oid::bigint, pg_catalog.pg_get_triggerdef(t.oid)
        FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
        """
}
