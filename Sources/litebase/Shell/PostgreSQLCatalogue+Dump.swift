// What a dump of PostgreSQL has beyond the statements of `.schema`: functions, extensions, values of sequences, rules, policies, comments,
// rights, and the names of what is left out.
//
// Source: https://www.postgresql.org/docs/15/catalogs.html; the order is that of pg_dump (src/bin/pg_dump/pg_dump_sort.c)

/// Queries for PostgreSQL 13 and later, in a session without a search path: `regclass` and the like come out with their schemas.
///
/// The parameter, where there is one, is an array of the relations that are wanted, or null for all and what is beside them.
extension PostgreSQLCatalogue {
    /// What others may need, in two columns: a key of the object and its statement. `DefinitionOrder` puts each behind what it needs.
    static let definitions = """
        WITH RECURSIVE \(dumped)
        SELECT CASE rank WHEN 0 THEN 'n' WHEN 1 THEN 'e' WHEN 2 THEN 't' WHEN 3 THEN 'f' ELSE 'r' END || number % 4294967296, sql FROM (
            \([schemas(all: isWhole), extensions, types, functions, sequences, tables(.empty), views(.empty)]
                .joined(separator: "\nUNION ALL\n"))
        ) AS statement(rank, number, sql) WHERE sql IS NOT NULL ORDER BY rank, number
        """

    /// What comes behind them, in front of the rows.
    static let supplements = dump([attachments, inheritedColumns, columnSettings])

    /// What comes behind the rows: first what sequences need.
    static let sequenceConclusions = dump([identities, sequenceOwners])

    /// The rest, behind the values of sequences.
    static let conclusions = dump([
        refreshes, allIndexes, indexParts, statistics, statisticsTargets, foreignKeys, triggers, triggerStates, rules,
        ruleStates, viewDefaults, rowSecurity, policies, tableSettings, comments, rights,
    ])

    private static let isWhole = "$1::text IS NULL"
    private static let dumped =
        common(wanted: "($1::text IS NULL OR c.oid = ANY ($1::text::oid[]))", hasAllTypes: isWhole)

    private static func dump(_ parts: [String]) -> String {
        """
        WITH RECURSIVE \(dumped)
        SELECT sql FROM (
            \(parts.joined(separator: "\nUNION ALL\n"))
        ) AS statement(rank, number, sql) WHERE sql IS NOT NULL ORDER BY rank, number
        """
    }

    /// The number of a relation by its name; no row if there is none.
    static let relationNumber = """
        SELECT c.oid::text FROM pg_catalog.pg_class c
        WHERE c.oid = pg_catalog.to_regclass($1::text) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
        """

    /// Names of the tables whose definitions and rows are read.
    static let lockedTables = """
        SELECT c.oid::pg_catalog.regclass::text FROM \(relations) AND c.relkind IN ('r', 'p')
        AND ($1::text IS NULL OR c.oid = ANY ($1::text::oid[])) ORDER BY c.oid
        """

    /// Whether the locks of all relations fit into one transaction of a server with usual settings: 64 × 100.
    static let hasFewRelations =
        "SELECT pg_catalog.count(*) < 5000 FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind <> 'c'"

    /// Pairs of keys: the object of the first needs that of the second. What belongs to an object (its row type, its arrays, the rule of a
    /// view, defaults, constraints) counts as that object.
    static let needs = """
        WITH belongs(class, oid, key) AS MATERIALIZED (
            SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, n.oid, 'n' || n.oid FROM pg_catalog.pg_namespace n
            UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'f' || p.oid FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
            UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid,
                CASE c.relkind WHEN 'c' THEN 't' || c.reltype ELSE 'r' || c.oid END
            FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c') AND c.oid >= 16384
            UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
                CASE WHEN c.relkind <> 'c' THEN 'r' || c.oid ELSE 't' || b.oid END
            FROM pg_catalog.pg_type t
            CROSS JOIN LATERAL (SELECT CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END) e(oid)
            CROSS JOIN LATERAL (SELECT coalesce((SELECT d.refobjid FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = e.oid
                AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'i'), e.oid)) b(oid)
            JOIN pg_catalog.pg_type u ON u.oid = b.oid LEFT JOIN pg_catalog.pg_class c ON c.oid = u.typrelid WHERE t.oid >= 16384
            UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 'r' || w.ev_class
            FROM pg_catalog.pg_rewrite w WHERE w.rulename = '_RETURN' AND w.oid >= 16384
            UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid, 'r' || f.adrelid FROM pg_catalog.pg_attrdef f
            UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid,
                CASE k.contypid WHEN 0 THEN 'r' || k.conrelid ELSE 't' || k.contypid END
            FROM pg_catalog.pg_constraint k WHERE k.contype IN ('c', 'p', 'u', 'x')
        )
        SELECT DISTINCT a.key, b.key FROM pg_catalog.pg_depend d
        JOIN belongs a ON a.class = d.classid AND a.oid = d.objid JOIN belongs b ON b.class = d.refclassid AND b.oid = d.refobjid
        WHERE a.key <> b.key AND d.deptype IN ('n', 'a', 'i')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_sequence q
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND q.seqrelid = d.objid)
        """

    /// Columns that a statement may give, of tables that have rows of their own: schema, table, column, which is
    /// null for a table without.
    static let columnsWithRows = """
        SELECT r.nspname, r.relname, a.attname
        FROM (SELECT c.oid, n.nspname, c.relname FROM \(relations) AND c.relkind = 'r'
            AND ($1::text IS NULL OR c.oid = ANY ($1::text::oid[]))) r
        LEFT JOIN pg_catalog.pg_attribute a
            ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY r.oid, a.attnum
        """

    /// Names of sequences, as they stand in statements and as texts: those that are made by themselves, and those of identities.
    static let sequenceNames = """
        WITH RECURSIVE \(dumped)
        SELECT s.oid::pg_catalog.regclass::text, pg_catalog.quote_literal(s.oid::pg_catalog.regclass::text)
        FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid
        WHERE EXISTS (SELECT FROM relation r WHERE r.oid = s.oid) OR EXISTS (
            SELECT FROM relation r JOIN pg_catalog.pg_attrdef f ON f.adrelid = r.oid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
            WHERE d.refobjid = s.oid) OR EXISTS (
            SELECT FROM relation r JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                AND d.refobjid = r.oid
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype = 'i')
        ORDER BY s.oid
        """

    private static func isOwn(_ catalog: String, _ oid: String, _ kinds: String = "'e', 'i'") -> String {
        """
        \(oid) >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x
            WHERE x.classid = 'pg_catalog.\(catalog)'::pg_catalog.regclass AND x.objid = \(oid) AND x.deptype IN (\(kinds)))
        """
    }

    private static let extensions = """
        SELECT 1, e.oid::bigint, 'CREATE EXTENSION IF NOT EXISTS ' || pg_catalog.quote_ident(e.extname) || ' WITH SCHEMA '
            || pg_catalog.quote_ident(n.nspname)
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname <> 'plpgsql' AND \(isWhole)
        """

    // Bodies are not checked while a dump is loaded, but for those in the form of the SQL standard.
    private static let functions = """
        SELECT 3, p.oid::bigint, pg_catalog.rtrim(pg_catalog.pg_get_functiondef(p.oid), E'\\n')
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind IN ('f', 'p', 'w') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND \(isWhole)
        AND \(isOwn("pg_proc", "p.oid"))
        """

    // Behind the rows: those of GENERATED ALWAYS may be given then.
    private static let identities = """
        SELECT 10, s.oid::bigint, 'ALTER TABLE ' || r.name || ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname) || ' ADD GENERATED '
            || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY (SEQUENCE NAME '
            || s.oid::pg_catalog.regclass || ' ' || \(sequenceOptions) || ')'
        FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attidentity <> ''
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid AND d.refobjsubid = a.attnum
            AND d.deptype = 'i'
        JOIN pg_catalog.pg_sequence q ON q.seqrelid = d.objid JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid
        """

    private static let sequenceOwners = """
        SELECT 11, d.objid::bigint, 'ALTER SEQUENCE ' || d.objid::pg_catalog.regclass || ' OWNED BY ' || r.name || '.'
            || pg_catalog.quote_ident(a.attname)
        FROM relation r JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
            AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'a'
        JOIN pg_catalog.pg_sequence q ON q.seqrelid = d.objid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.refobjsubid
        """

    private static let attachments = """
        SELECT 6, heirs.steps * 4294967296 + r.oid::bigint, 'ALTER TABLE ONLY ' || i.inhparent::pg_catalog.regclass || ' ATTACH PARTITION '
            || r.name || ' ' || pg_catalog.pg_get_expr(r.relpartbound, r.oid)
        FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid JOIN heirs ON heirs.oid = r.oid
        WHERE r.relispartition AND r.relkind IN ('r', 'p')
        """

    // What inherited columns have otherwise than those that they come from.
    private static let inheritedColumns = """
        SELECT 7, r.oid::bigint * 4096 + a.attnum, 'ALTER TABLE ONLY ' || r.name || ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname)
            || ' ' || o.change
        FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            AND NOT a.attislocal
        JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
        LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = r.oid AND f.adnum = a.attnum
        LEFT JOIN pg_catalog.pg_attrdef g ON g.adrelid = i.inhparent AND g.adnum = p.attnum
        CROSS JOIN LATERAL (VALUES (CASE WHEN a.attnotnull AND NOT p.attnotnull THEN 'SET NOT NULL' END),
            (CASE WHEN pg_catalog.pg_get_expr(f.adbin, f.adrelid) IS DISTINCT FROM pg_catalog.pg_get_expr(g.adbin, g.adrelid) THEN
                coalesce('SET DEFAULT ' || pg_catalog.pg_get_expr(f.adbin, f.adrelid), 'DROP DEFAULT') END)) o(change)
        WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND o.change IS NOT NULL
        """

    // How values are kept, which is to be known before rows come, and what ANALYZE is told.
    private static let columnSettings = """
        SELECT 8, r.oid::bigint * 4096 + a.attnum, 'ALTER TABLE ONLY ' || r.name || ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname)
            || ' ' || o.change
        FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        CROSS JOIN LATERAL (VALUES
            (CASE WHEN a.attstorage <> t.typstorage THEN 'SET STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN'
                WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END),
            (CASE pg_catalog.to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'SET COMPRESSION pglz' WHEN 'l' THEN 'SET COMPRESSION lz4' END),
            (CASE WHEN a.attstattarget >= 0 THEN 'SET STATISTICS ' || a.attstattarget END),
            ('SET (' || pg_catalog.array_to_string(a.attoptions, ', ') || ')')) o(change)
        WHERE r.relkind IN ('r', 'p', 'm') AND o.change IS NOT NULL
        """

    // Those that use others come later.
    private static let refreshes = """
        SELECT 14, user_views.steps * 4294967296 + r.oid::bigint, 'REFRESH MATERIALIZED VIEW ' || r.name
        FROM relation r JOIN user_views ON user_views.oid = r.oid WHERE r.relkind = 'm' AND r.relispopulated
        """

    // Of a partitioned table its own alone (ON ONLY): then those of the partitions, which become parts of it. Those of constraints are
    // created by them.
    private static let allIndexes = """
        SELECT 15, i.indexrelid::bigint, pg_catalog.pg_get_indexdef(i.indexrelid)
        FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
        """

    // A part has all of its own parts before it is attached.
    private static let indexParts = """
        SELECT 15, 9000000000000000000 - h.inhparent::bigint, 'ALTER INDEX ' || h.inhparent::pg_catalog.regclass || ' ATTACH PARTITION '
            || h.inhrelid::pg_catalog.regclass
        FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_index i ON i.indexrelid = h.inhrelid JOIN relation r ON r.oid = i.indrelid
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
        """

    private static let statistics = """
        SELECT 16, s.oid::bigint, pg_catalog.pg_get_statisticsobjdef(s.oid)
        FROM pg_catalog.pg_statistic_ext s JOIN relation r ON r.oid = s.stxrelid
        """

    private static let statisticsTargets = """
        SELECT 16, 4294967296 + s.oid::bigint, 'ALTER STATISTICS ' || o.identity || ' SET STATISTICS ' || s.stxstattarget
        FROM pg_catalog.pg_statistic_ext s JOIN relation r ON r.oid = s.stxrelid
        CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0) o
        WHERE s.stxstattarget >= 0
        """

    private static let triggerStates = """
        SELECT 19, t.oid::bigint, 'ALTER TABLE ' || r.name || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA'
            ELSE ' ENABLE ALWAYS' END || ' TRIGGER ' || pg_catalog.quote_ident(t.tgname)
        FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'O'
        """

    private static let rules = """
        SELECT 20, w.oid::bigint, pg_catalog.rtrim(pg_catalog.pg_get_ruledef(w.oid), ';')
        FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
        """

    private static let ruleStates = """
        SELECT 21, w.oid::bigint, 'ALTER TABLE ' || r.name || CASE w.ev_enabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA'
            ELSE ' ENABLE ALWAYS' END || ' RULE ' || pg_catalog.quote_ident(w.rulename)
        FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN' AND w.ev_enabled <> 'O'
        """

    private static let viewDefaults = """
        SELECT 21, f.oid::bigint, 'ALTER TABLE ' || r.name || ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname) || ' SET DEFAULT '
            || pg_catalog.pg_get_expr(f.adbin, f.adrelid)
        FROM pg_catalog.pg_attrdef f JOIN relation r ON r.oid = f.adrelid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = f.adnum WHERE r.relkind = 'v'
        """

    private static let rowSecurity = """
        SELECT 22, r.oid::bigint, 'ALTER TABLE ' || r.name || ' ' || o.action || ' ROW LEVEL SECURITY'
        FROM relation r CROSS JOIN LATERAL (VALUES ('ENABLE', r.relrowsecurity), ('FORCE', r.relforcerowsecurity)) o(action, is_wanted)
        WHERE o.is_wanted
        """

    private static let policies = """
        SELECT 23, p.oid::bigint, 'CREATE POLICY ' || pg_catalog.quote_ident(p.polname) || ' ON ' || r.name
            || CASE WHEN p.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
            || ' FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                ELSE 'ALL' END
            || ' TO ' || (SELECT pg_catalog.string_agg(CASE WHEN o.oid = 0 THEN 'PUBLIC' ELSE
                pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.oid)) END, ', ') FROM pg_catalog.unnest(p.polroles) o(oid))
            || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
            || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
        FROM pg_catalog.pg_policy p JOIN relation r ON r.oid = p.polrelid
        """

    private static let tableSettings = """
        SELECT 24, r.oid::bigint * 4 + o.number, 'ALTER TABLE ONLY ' || r.name || ' ' || o.change
        FROM relation r CROSS JOIN LATERAL (VALUES
            (0, CASE WHEN r.reloftype <> 0 THEN 'OF ' || pg_catalog.format_type(r.reloftype, NULL) END),
            (1, CASE r.relreplident WHEN 'n' THEN 'REPLICA IDENTITY NOTHING' WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                WHEN 'i' THEN (SELECT 'REPLICA IDENTITY USING INDEX ' || pg_catalog.quote_ident(x.relname)
                    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                    WHERE i.indrelid = r.oid AND i.indisreplident) END),
            (2, (SELECT 'CLUSTER ON ' || pg_catalog.quote_ident(x.relname)
                FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = r.oid AND i.indisclustered))) o(number, change)
        WHERE r.relkind IN ('r', 'p', 'm') AND o.change IS NOT NULL
        """

    private static let comments = """
        SELECT 30, d.objoid::bigint * 4096 + d.objsubid, 'COMMENT ON ' || CASE WHEN o.type LIKE '% column' THEN 'COLUMN ' || o.identity
            WHEN o.type = 'table constraint' THEN 'CONSTRAINT ' || o.identity
            WHEN o.type = 'domain constraint' THEN (SELECT 'CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ON DOMAIN '
                || pg_catalog.format_type(k.contypid, NULL) FROM pg_catalog.pg_constraint k WHERE k.oid = d.objoid)
            WHEN o.type = 'statistics object' THEN 'STATISTICS ' || o.identity
            ELSE pg_catalog.upper(o.type) || ' ' || o.identity END || ' IS ' || pg_catalog.quote_literal(d.description)
        FROM pg_catalog.pg_description d CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) o
        WHERE (d.objoid >= 16384 OR o.identity = 'public' AND o.type = 'schema' AND d.description <> 'standard public schema')
        AND d.classoid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass,
            'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
            'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_namespace'::pg_catalog.regclass,
            'pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_policy'::pg_catalog.regclass,
            'pg_catalog.pg_statistic_ext'::pg_catalog.regclass)
        AND o.type NOT IN ('aggregate', 'foreign table', 'foreign table column') AND o.identity !~ '(^| )pg_temp_[0-9]+[.]'
        AND (\(isWhole) OR EXISTS (SELECT FROM relation r WHERE d.objoid IN (
            SELECT r.oid UNION ALL SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = r.oid
            UNION ALL SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = r.oid
            UNION ALL SELECT t.oid FROM pg_catalog.pg_trigger t WHERE t.tgrelid = r.oid
            UNION ALL SELECT w.oid FROM pg_catalog.pg_rewrite w WHERE w.ev_class = r.oid
            UNION ALL SELECT p.oid FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid
            UNION ALL SELECT s.oid FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = r.oid)))
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')
        """

    // MARK: Rights

    // What has rights: a place, the object as GRANT names it, columns, its owner, its rights, and those that it has had at first.
    private static let rightsHolders = """
        SELECT 1, n.oid, 0, 'SCHEMA ' || pg_catalog.quote_ident(n.nspname), '', n.nspowner, n.nspacl, coalesce((
            SELECT i.initprivs FROM pg_catalog.pg_init_privs i WHERE i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND i.objoid = n.oid), pg_catalog.acldefault('n', n.nspowner))
        FROM pg_catalog.pg_namespace n WHERE \(isWhole) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND d.objid = n.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 2, t.oid, 0, 'TYPE ' || pg_catalog.format_type(t.oid, NULL), '', t.typowner, t.typacl, pg_catalog.acldefault('T', t.typowner)
        FROM pg_catalog.pg_type t WHERE \(isWhole) AND t.typacl IS NOT NULL AND t.typtype IN ('e', 'c', 'd', 'r') AND \(isOwn("pg_type", "t.oid"))
        UNION ALL
        SELECT 3, p.oid, 0, 'ROUTINE ' || p.oid::pg_catalog.regprocedure, '', p.proowner, p.proacl, pg_catalog.acldefault('f', p.proowner)
        FROM pg_catalog.pg_proc p WHERE \(isWhole) AND p.proacl IS NOT NULL AND p.prokind <> 'a' AND \(isOwn("pg_proc", "p.oid"))
        UNION ALL
        SELECT 4, r.oid, 0, CASE r.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || r.name, '', r.relowner, r.relacl,
            pg_catalog.acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", r.relowner)
        FROM relation r WHERE r.relacl IS NOT NULL AND r.relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL
        SELECT 5, r.oid, a.attnum, 'TABLE ' || r.name, ' (' || pg_catalog.quote_ident(a.attname) || ')', r.relowner, a.attacl,
            pg_catalog.acldefault('c', r.relowner)
        FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
        WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped AND r.relkind IN ('r', 'p', 'v', 'm')
        """

    // What has to be taken and given so that rights are what they are. What the owner has, who loads it gets; the rights of a role that is
    // not there are not given, with a warning: else the rest could not be loaded.
    private static let rights = """
        SELECT 31, pg_catalog.row_number() OVER (ORDER BY c.place, c.oid, c.number, c.is_given, c.first), CASE WHEN c.is_named
            THEN 'DO ' || pg_catalog.quote_literal('BEGIN ' || c.sql
                || '; EXCEPTION WHEN undefined_object THEN RAISE WARNING USING MESSAGE = '
                || pg_catalog.quote_literal('there is no such role: ' || c.sql) || '; END') ELSE c.sql END
        FROM (
            SELECT h.place, h.oid, h.number, x.is_given, pg_catalog.min(x.n) AS first, w.is_named,
                CASE WHEN x.is_given THEN 'GRANT ' ELSE 'REVOKE ' END
                || pg_catalog.string_agg(x.privilege || h.columns, ', ' ORDER BY x.n, x.privilege) || ' ON ' || h.target
                || CASE WHEN x.is_given THEN ' TO ' ELSE ' FROM ' END || w.who
                || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS sql
            FROM (\(rightsHolders)) h(place, oid, number, target, columns, owner, acl, initial)
            CROSS JOIN LATERAL (
                SELECT false AS is_given, y.grantee, y.privilege, false AS is_grantable, y.n
                FROM pg_catalog.aclexplode(h.initial) WITH ORDINALITY y(grantor, grantee, privilege, is_grantable, n)
                WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(h.acl) z WHERE z.grantee = y.grantee AND z.privilege_type = y.privilege)
                UNION ALL
                SELECT true, y.grantee, y.privilege, y.is_grantable, y.n
                FROM pg_catalog.aclexplode(h.acl) WITH ORDINALITY y(grantor, grantee, privilege, is_grantable, n)
                WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(h.initial) z WHERE z.grantee = y.grantee
                    AND z.privilege_type = y.privilege AND z.is_grantable = y.is_grantable)
            ) x
            CROSS JOIN LATERAL (
                SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' WHEN x.grantee = h.owner AND h.owner >= 16384 OR x.grantee = h.owner AND h.owner = 10
                    THEN 'CURRENT_USER' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
                    x.grantee <> 0 AND NOT (x.grantee = h.owner AND (h.owner >= 16384 OR h.owner = 10))
            ) w(who, is_named)
            WHERE h.acl IS NOT NULL
            GROUP BY h.place, h.oid, h.number, h.target, h.columns, x.is_given, x.grantee, x.is_grantable, w.who, w.is_named
        ) c
        """

    // MARK: What is left out

    /// Kind and names of objects that are not written.
    static let leftOut: String = {
        let catalogs = [
            "pg_operator", "pg_opclass", "pg_opfamily", "pg_cast", "pg_collation", "pg_conversion", "pg_ts_config",
            "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_foreign_data_wrapper", "pg_foreign_server",
            "pg_language", "pg_am", "pg_event_trigger", "pg_publication", "pg_transform", "pg_default_acl",
        ]
        let objects =
            catalogs.map { (catalog: $0, condition: "true") } + [
                ("pg_proc", "o.prokind = 'a'"), ("pg_class", "o.relkind = 'f'"),
                ("pg_type", "o.typtype = 'b' AND o.typcategory <> 'A'"),
                (
                    "pg_subscription",
                    "o.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
                ),
            ]
        let parts = objects.map {
            """
            SELECT 'pg_catalog.\($0.catalog)'::pg_catalog.regclass AS class, o.oid FROM pg_catalog.\($0.catalog) o
            WHERE \($0.condition) AND \(isOwn($0.catalog, "o.oid"))
            """
        }
        return """
            SELECT i.type, CASE WHEN pg_catalog.length(i.names) > 300 THEN pg_catalog.left(i.names, 300) || ' …' ELSE i.names END
            FROM (SELECT o.type, pg_catalog.string_agg(o.identity, ', ' ORDER BY o.identity) AS names
                FROM (\(parts.joined(separator: " UNION ALL "))) x
                CROSS JOIN LATERAL pg_catalog.pg_identify_object(x.class, x.oid, 0) o GROUP BY o.type
                UNION ALL SELECT 'large object', pg_catalog.count(*)::text FROM pg_catalog.pg_largeobject_metadata
                HAVING pg_catalog.count(*) > 0
                UNION ALL \(leftOutOfWhatIsWritten)) i WHERE i.names IS NOT NULL ORDER BY 1
            """
    }()
    /// The same of what objects have that are written.
    private static let leftOutOfWhatIsWritten = """
        SELECT 'owner', pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.owner)), ', ')
        FROM (SELECT c.relowner AS owner FROM \(relations) UNION SELECT p.proowner FROM pg_catalog.pg_proc p WHERE \(isOwn("pg_proc", "p.oid"))
            UNION SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.oid >= 16384) o
        WHERE pg_catalog.pg_get_userbyid(o.owner) <> CURRENT_USER
        UNION ALL SELECT 'tablespace of', pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ' ORDER BY c.oid)
        FROM \(relations) AND c.reltablespace <> 0
        UNION ALL SELECT 'security label', CASE WHEN pg_catalog.count(*) > 0 THEN pg_catalog.count(*)::text END FROM pg_catalog.pg_seclabel
        UNION ALL SELECT 'rows of a table of an extension', pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ' ORDER BY c.oid)
        FROM pg_catalog.pg_extension e CROSS JOIN LATERAL pg_catalog.unnest(e.extconfig) c(oid)
        UNION ALL SELECT 'rights on what belongs to an extension', pg_catalog.string_agg(o.identity, ', ' ORDER BY o.identity)
        FROM (
            SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, p.oid, p.proacl AS acl FROM pg_catalog.pg_proc p
            UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relacl FROM pg_catalog.pg_class c
        ) h JOIN pg_catalog.pg_depend d ON d.classid = h.class AND d.objid = h.oid AND d.deptype = 'e'
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(h.class, h.oid, 0) o
        WHERE h.acl IS NOT NULL AND h.acl IS DISTINCT FROM (SELECT i.initprivs FROM pg_catalog.pg_init_privs i
            WHERE i.classoid = h.class AND i.objoid = h.oid AND i.objsubid = 0)
        """
}
