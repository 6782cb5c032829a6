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
        WITH RECURSIVE \(common(wanted: named, hasAllTypes: "false"))
        SELECT sql FROM (
            \([
                schemas(all: "false"), types, sequences, tables(.whole), partitions, views(.whole), indexes, foreignKeys,
                triggers,
            ].joined(separator: "\nUNION ALL\n"))
        ) AS statement(rank, number, sql) ORDER BY rank, number
        """

    private static let named =
        "($1::text IS NULL OR c.relname = $1::text AND ($2::text IS NULL OR n.nspname = $2::text))"

    /// What the parts of a query have in common: the relations, types, and how many steps of inheritance, or of use by views, lead to a
    /// relation: what has more comes later, however old it is.
    ///
    /// - Parameters:
    ///   - wanted: a condition on a relation `c` in the schema `n`.
    ///   - hasAllTypes: a condition: whether types are wanted that no column has.
    /// - Returns: what stands behind WITH RECURSIVE.
    static func common(wanted: String, hasAllTypes: String) -> String {
        """
        relation AS (
            SELECT c.*, c.oid::pg_catalog.regclass::text AS name,
                CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' WHEN 't' THEN 'TEMPORARY ' ELSE '' END AS kind,
                ' WITH (' || pg_catalog.array_to_string(c.reloptions || (SELECT pg_catalog.array_agg('toast.' || o.option)
                    FROM pg_catalog.pg_class t CROSS JOIN LATERAL pg_catalog.unnest(t.reloptions) o(option)
                    WHERE t.oid = c.reltoastrelid), ', ') || ')' AS storage
            FROM \(relations) AND \(wanted)
        ), used(oid) AS (
            SELECT t.oid FROM pg_catalog.pg_type t WHERE \(hasAllTypes) UNION \(usedTypes)
        ), heir(oid, steps) AS (
            SELECT r.oid, 0 FROM relation r WHERE r.relkind IN ('r', 'p', 'f')
            UNION SELECT i.inhrelid, h.steps + 1 FROM heir h JOIN pg_catalog.pg_inherits i ON i.inhparent = h.oid
        ), heirs(oid, steps) AS (SELECT h.oid, max(h.steps) FROM heir h GROUP BY h.oid
        ), user_view(oid, steps) AS (
            SELECT r.oid, 0 FROM relation r WHERE r.relkind IN ('v', 'm')
            UNION SELECT w.ev_class, u.steps + 1 FROM user_view u
            JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = u.oid
                AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
            JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid AND w.rulename = '_RETURN' AND w.ev_class <> u.oid
        ), user_views(oid, steps) AS (SELECT u.oid, max(u.steps) FROM user_view u GROUP BY u.oid)
        """
    }

    /// All except those of the system, of other sessions and of extensions.
    static let relations = """
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

    /// - Parameter all: a condition: whether those are wanted, too, that nothing of the rest is in.
    /// - Returns: a query.
    static func schemas(all: String) -> String {
        """
        SELECT 0, n.oid::bigint, 'CREATE SCHEMA ' || pg_catalog.quote_ident(n.nspname)
        FROM pg_catalog.pg_namespace n
        WHERE n.nspname <> 'public' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND (\(all) OR n.oid IN (SELECT r.relnamespace FROM relation r
            UNION SELECT t.typnamespace FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid))
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid AND d.deptype = 'e')
        """
    }

    // In the order in which they were made, since they may use each other.
    static let types = """
        SELECT 2, t.oid::bigint, CASE t.typtype
            WHEN 'e' THEN 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS ENUM ('
                || (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) || ')'
            WHEN 'c' THEN 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS ('
                || coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
                        || pg_catalog.format_type(a.atttypid, a.atttypmod)
                        || coalesce((SELECT ' COLLATE ' || pg_catalog.quote_ident(s.nspname) || '.'
                                || pg_catalog.quote_ident(o.collname)
                            FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace s ON s.oid = o.collnamespace
                            JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
                            WHERE o.oid = a.attcollation AND o.oid <> b.typcollation), ''), ', ' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
            WHEN 'r' THEN (SELECT 'CREATE TYPE ' || pg_catalog.format_type(t.oid, NULL) || ' AS RANGE (SUBTYPE = '
                    || pg_catalog.format_type(g.rngsubtype, NULL)
                    || coalesce((SELECT ', SUBTYPE_OPCLASS = ' || pg_catalog.quote_ident(s.nspname) || '.'
                            || pg_catalog.quote_ident(o.opcname)
                        FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace s ON s.oid = o.opcnamespace
                        WHERE o.oid = g.rngsubopc AND NOT o.opcdefault), '')
                    || coalesce((SELECT ', COLLATION = ' || pg_catalog.quote_ident(s.nspname) || '.'
                            || pg_catalog.quote_ident(o.collname)
                        FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace s ON s.oid = o.collnamespace
                        JOIN pg_catalog.pg_type b ON b.oid = g.rngsubtype
                        WHERE o.oid = g.rngcollation AND o.oid <> b.typcollation), '')
                    || CASE WHEN g.rngcanonical = 0 THEN '' ELSE ', CANONICAL = ' || g.rngcanonical::pg_catalog.regproc END
                    || CASE WHEN g.rngsubdiff = 0 THEN '' ELSE ', SUBTYPE_DIFF = ' || g.rngsubdiff::pg_catalog.regproc END
                    || coalesce(', MULTIRANGE_TYPE_NAME = ' || pg_catalog.format_type(
                        (pg_catalog.to_jsonb(g) ->> 'rngmultitypid')::oid, NULL), '') || ')'
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
    static let sequences = """
        SELECT 4, s.oid::bigint, 'CREATE ' || CASE s.relpersistence WHEN 'u' THEN 'UNLOGGED ' WHEN 't' THEN 'TEMPORARY '
            ELSE '' END || 'SEQUENCE ' || s.oid::pg_catalog.regclass || ' AS ' || pg_catalog.format_type(q.seqtypid, NULL)
            || ' ' || \(sequenceOptions)
        FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype = 'i')
        AND (EXISTS (SELECT FROM relation r WHERE r.oid = s.oid) OR EXISTS (
            SELECT FROM pg_catalog.pg_attrdef f JOIN relation r ON r.oid = f.adrelid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
            WHERE d.refobjid = s.oid))
        """

    static let sequenceOptions = """
        'INCREMENT BY ' || q.seqincrement || ' MINVALUE ' || q.seqmin || ' MAXVALUE ' || q.seqmax || ' START WITH ' || q.seqstart
            || CASE WHEN q.seqcache > 1 THEN ' CACHE ' || q.seqcache ELSE '' END || CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END
        """

    /// How much of tables and views is written at once.
    enum Form {
        case whole
        /// Rows come later, and then the numbers that columns give; what is part of a table becomes that by a statement of its own, so
        /// that it keeps the order of its columns. Foreign tables, whose rows are elsewhere, are left out.
        case empty
    }

    static func tables(_ form: Form) -> String {
        """
        SELECT 5, heirs.steps * 4294967296 + r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'f' THEN 'FOREIGN ' ELSE r.kind END || 'TABLE ' || r.name
            || ' (' || coalesce((SELECT pg_catalog.string_agg(E'\\n    ' || part.sql, ',' ORDER BY part.rank, part.number)
                FROM (\(columns(form)) UNION ALL \(constraints)) AS part(rank, number, sql)) || E'\\n', '') || ')'
            || coalesce(' INHERITS (' || (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', '
                ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i WHERE i.inhrelid = r.oid AND NOT r.relispartition) || ')', '')
            || \(partitioning) || \(server) || \(accessMethod) || coalesce(r.storage, '')
        FROM relation r JOIN heirs ON heirs.oid = r.oid
        WHERE r.relkind IN ('r', 'p'\(form == .whole ? ", 'f') AND NOT r.relispartition" : ")")
        """
    }

    private static func columns(_ form: Form) -> String {
        """
        SELECT 1, a.attnum::bigint, pg_catalog.quote_ident(a.attname) || ' '
            || pg_catalog.format_type(a.atttypid, a.atttypmod)
            || coalesce((SELECT ' COLLATE ' || pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(o.collname)
                FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace s ON s.oid = o.collnamespace
                JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                WHERE o.oid = a.attcollation AND o.oid <> t.typcollation), '')
            || CASE WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || x.value || ') STORED'
                WHEN a.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || x.value || ') VIRTUAL'
                WHEN a.attidentity = 'a' THEN '\(form == .whole ? " GENERATED ALWAYS AS IDENTITY" : "")'
                WHEN a.attidentity = 'd' THEN '\(form == .whole ? " GENERATED BY DEFAULT AS IDENTITY" : "")'
                ELSE coalesce(' DEFAULT ' || x.value, '') END
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_catalog.pg_attribute a LEFT JOIN LATERAL (SELECT pg_catalog.pg_get_expr(f.adbin, f.adrelid) AS value
            FROM pg_catalog.pg_attrdef f WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum) x ON true
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attislocal OR r.relispartition)
        """
    }

    // Foreign keys may refer to later tables. The others are selected by name, because those of version 18 for NOT NULL
    // are excluded.
    private static let constraints = """
        SELECT 2, k.oid::bigint, 'CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
            || pg_catalog.pg_get_constraintdef(k.oid)
        FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = r.oid AND (k.conislocal OR r.relispartition) AND k.contype IN ('p', 'u', 'c', 'x')
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

    private static let accessMethod = """
        coalesce((SELECT ' USING ' || pg_catalog.quote_ident(m.amname) FROM pg_catalog.pg_am m
            WHERE m.oid = r.relam AND m.amname <> 'heap'), '')
        """

    // They have the columns, constraints and indexes of what they are a part of.
    static let partitions = """
        SELECT 6, heirs.steps * 4294967296 + r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'f' THEN 'FOREIGN ' ELSE r.kind END || 'TABLE ' || r.name
            || ' PARTITION OF ' || i.inhparent::pg_catalog.regclass || ' ' || pg_catalog.pg_get_expr(r.relpartbound, r.oid)
            || \(partitioning) || \(server) || coalesce(r.storage, '')
        FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid JOIN heirs ON heirs.oid = r.oid
        WHERE r.relkind IN ('r', 'p', 'f') AND r.relispartition
        """

    static func views(_ form: Form) -> String {
        """
        SELECT 14, user_views.steps * 4294967296 + r.oid::bigint, 'CREATE ' || CASE r.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE r.kind END || 'VIEW '
            || r.name || coalesce(r.storage, '') || E' AS\\n'
            || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(r.oid, \(form == .whole)), ';')
            || CASE WHEN r.relkind = 'm' AND (\(form == .empty) OR NOT r.relispopulated) THEN E'\\nWITH NO DATA' ELSE '' END
        FROM relation r JOIN user_views ON user_views.oid = r.oid WHERE r.relkind IN ('v', 'm')
        """
    }

    // Those of constraints are created by them, those of partitions by the whole table's.
    static let indexes = """
        SELECT 15, i.indexrelid::bigint, pg_catalog.pg_get_indexdef(i.indexrelid)
        FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
        """

    static let foreignKeys = """
        SELECT 17, k.oid::bigint, 'ALTER TABLE ' || r.name || ' ADD CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
            || pg_catalog.pg_get_constraintdef(k.oid)
        FROM pg_catalog.pg_constraint k JOIN relation r ON r.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0
        """

    static let triggers = """
        SELECT 18, t.oid::bigint, pg_catalog.pg_get_triggerdef(t.oid)
        FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
        """
}
