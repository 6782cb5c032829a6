// The SQL that reads PostgreSQL's catalog: one query for each level, however many tables there are.

internal import DatabaseContract

/// Queries of pg_catalog for PostgreSQL 9.6 and later.
///
/// One connection runs `namespaces`, then `prepare` and the other levels, in one transaction, which may be read-only. `namespaces` comes
/// first since it tells the schema of the login's own `search_path`; it names everything by its schema, operators too, so that nothing
/// that a user has created runs in it. `prepare` leaves only `pg_catalog` in the path until the end of the transaction: from then on
/// names without a schema are PostgreSQL's own, and types, expressions and definitions come out with the schemas of what they name.
///
/// Rows of a group (a key, an index, an enum) follow each other in the order of `ordinal`; groups are ordered by namespace, relation and
/// name, in the order of bytes. `definition` is on the first row of a group. `extra` is a JSON object or null. Booleans are PostgreSQL's
/// (`t`, `f`).
///
/// What the login has no right to is left out: schemas without USAGE or CREATE, relations without any right (with rights on single
/// columns: the other columns), functions without EXECUTE, types without USAGE. Rights of roles that the login inherits count, as
/// everywhere in PostgreSQL. `pg_catalog`, `information_schema` and `pg_toast` are listed with `"system": true`, and what is in them is
/// left out. Temporary tables are listed for the session that has them.
///
/// Columns that a version lacks (`attidentity` of 10, `prokind` of 11, …) are named without a table in a LATERAL subquery: where the
/// catalog has no such column, the name means that of the row `older` outside.
enum PostgreSQLCatalogQueries {
    /// Comes before all queries but `namespaces` and the fingerprints; lasts until the end of the transaction. Compiling the queries (`jit`,
    /// of 11) would take longer than it saves.
    static let prepare = """
        SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
               (SELECT pg_catalog.set_config(s.name, 'off', true) FROM pg_catalog.pg_settings s
                 WHERE s.name OPERATOR(pg_catalog.=) 'jit')
        """

    /// Comes after `prepare` where definitions are wanted: without it `definition` is null everywhere, which is quicker.
    static let wantDefinitions = """
        SELECT pg_catalog.set_config('litebase.definitions', 'on', true)
        """

    // MARK: - Pieces

    /// The schemas whose contents are listed.
    private static let visibleNamespaces = """
        (SELECT oid, nspname FROM pg_catalog.pg_namespace
          WHERE (nspname !~ '^pg_' OR oid = pg_my_temp_schema()) AND nspname <> 'information_schema'
            AND has_schema_privilege(oid, 'USAGE, CREATE'))
        """

    /// Whether the login may do anything with the table `c`.
    private static let tableIsVisible = """
        (pg_has_role(c.relowner, 'USAGE')
         OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
        """

    /// Whether `definition` is wanted; asked once for each query.
    private static let definitionsAreWanted = "(SELECT current_setting('litebase.definitions', true) = 'on')"

    /// What `relations` has of PostgreSQL 10 and cannot do without where it is missing: a function.
    private static let partitionKey: StaticString = "pg_get_partkeydef(c.oid)"

    // MARK: - Levels

    /// name, default, owner, comment, extra. Temporary schemas of other sessions are left out.
    static let namespaces = """
        SELECT n.nspname AS name,
               COALESCE(n.nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema(), false) AS "default",
               pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
               pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment,
               CASE WHEN n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() THEN '{"temporary": true}'
                    WHEN n.nspname OPERATOR(pg_catalog.~) '^pg_'
                         OR n.nspname OPERATOR(pg_catalog.=) 'information_schema' THEN '{"system": true}' END AS extra
          FROM pg_catalog.pg_namespace n
         WHERE (n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
                OR n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
           AND pg_catalog.has_schema_privilege(n.oid, 'USAGE, CREATE')
         ORDER BY n.nspname
        """

    /// namespace, name, kind, comment, row_estimate, size_bytes, definition, extra.
    ///
    /// The estimate and the size (with long values, and with indexes that are not empty) are those of the last VACUUM or ANALYZE, null
    /// before the first.
    /// `definition` is that of views. `extra`: owner, persistence, partition_key, partition_of, partition_bound, inherits, checks, row_security,
    /// populated, tablespace, options, server and server_options (foreign tables), of_type; sequence and owned_by (sequences).
    static let relations = """
        SELECT n.nspname AS namespace, c.relname AS name,
               CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view'
                    WHEN 'p' THEN 'partitioned_table' WHEN 'f' THEN 'foreign_table' ELSE 'sequence' END AS kind,
               d.description AS comment,
               CASE WHEN known THEN c.reltuples::bigint END AS row_estimate,
               CASE WHEN known AND c.relkind IN ('r', 'm') THEN
                    (c.relpages + COALESCE(toast.relpages, 0) + COALESCE(x.pages, 0)) * current_setting('block_size')::bigint
                    END AS size_bytes,
               CASE WHEN c.relkind IN ('v', 'm') AND \(definitionsAreWanted) THEN
                    format('CREATE%s VIEW %I.%I AS%s%s', CASE c.relkind WHEN 'm' THEN ' MATERIALIZED' END, n.nspname, c.relname,
                           chr(10), pg_get_viewdef(c.oid)) END AS definition,
               json_strip_nulls(json_build_object(
                   'owner', pg_get_userbyid(c.relowner),
                   'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
                   'partition_of', CASE WHEN c.relispartition THEN h.parents -> 0 END,
                   'partition_key', CASE WHEN c.relkind = 'p' THEN \(partitionKey) END,
                   'partition_bound', CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
                   'inherits', CASE WHEN NOT c.relispartition THEN h.parents END,
                   'checks', k.checks,
                   'row_security', CASE WHEN c.relrowsecurity THEN true END,
                   'populated', CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
                   'tablespace', s.spcname,
                   'options', c.reloptions,
                   'server', f.srvname,
                   'server_options', f.ftoptions,
                   'of_type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
                   'sequence', CASE WHEN c.relkind = 'S' AND has_sequence_privilege(c.oid, 'SELECT, UPDATE, USAGE') THEN
                        (SELECT row_to_json(p) FROM pg_sequence_parameters(c.oid) p) END,
                   'owned_by', CASE WHEN c.relkind = 'S' THEN
                        (SELECT json_build_object('namespace', tn.nspname, 'relation', t.relname, 'column', a.attname)
                           FROM pg_catalog.pg_depend o
                           JOIN pg_catalog.pg_class t ON t.oid = o.refobjid
                           JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
                           JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = o.refobjsubid
                          WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                            AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') LIMIT 1) END))::text AS extra
          FROM \(visibleNamespaces) n
         CROSS JOIN (SELECT false AS relispartition, NULL::pg_node_tree AS relpartbound) older
         CROSS JOIN LATERAL (
               SELECT c.oid, relname, relkind, relowner, reltuples, relpages, reltoastrelid, relpersistence, relispartition,
                      relpartbound, relrowsecurity, relispopulated, reltablespace, reloptions, reloftype,
                      relkind IN ('r', 'm', 'p', 'f') AND reltuples >= 0
                      AND (reltuples > 0 OR relpages > 0 OR current_setting('server_version_num')::int >= 140000) AS known
                 FROM pg_catalog.pg_class c
                WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')) c
          LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid AND toast.relkind = 't' AND toast.relpages > 0
          LEFT JOIN (SELECT i.indrelid, sum(ic.relpages)::bigint AS pages
                       FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
                      WHERE ic.relkind = 'i' AND ic.relpages > 1
                      GROUP BY i.indrelid) x ON x.indrelid = c.oid
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
          LEFT JOIN (SELECT i.inhrelid,
                            json_agg(json_build_object('namespace', pn.nspname, 'name', p.relname) ORDER BY i.inhseqno) AS parents
                       FROM pg_catalog.pg_inherits i
                       JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
                       JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                      GROUP BY i.inhrelid) h ON h.inhrelid = c.oid
          LEFT JOIN (SELECT conrelid, json_agg(json_build_object('name', conname, 'expression', pg_get_expr(conbin, conrelid))
                                               ORDER BY conname) AS checks
                       FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0
                      GROUP BY conrelid) k ON k.conrelid = c.oid
          LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
          LEFT JOIN (SELECT ft.ftrelid, ft.ftoptions, fs.srvname
                       FROM pg_catalog.pg_foreign_table ft
                       JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver) f ON f.ftrelid = c.oid
         WHERE CASE WHEN c.relkind = 'S' THEN pg_has_role(c.relowner, 'USAGE') OR has_sequence_privilege(c.oid, 'SELECT, UPDATE, USAGE')
                    ELSE \(tableIsVisible) END
         ORDER BY n.nspname, c.relname
        """

    /// `relations` for PostgreSQL 9.6.
    static let relationsBefore10: String = {
        guard let place = relations.range(ofText: partitionKey) else { preconditionFailure("no partition key") }
        var text = relations
        text.replaceSubrange(place, with: "NULL")
        return text
    }()

    /// namespace, relation, name, position, type, nullable, default, generated, identity, hidden, collation, key_position, comment, extra.
    ///
    /// `position` has gaps where columns were dropped. `default` is also the expression of a generated column. `collation` is given where
    /// it is not the type's own. `extra`: inherited, and for types that somebody has created type_kind and type (namespace and name).
    static let columns = """
        SELECT c.nspname AS namespace, c.relname AS relation, a.attname AS name, a.attnum AS position,
               CASE WHEN a.atttypmod = -1 THEN y.type ELSE format_type(a.atttypid, a.atttypmod) END AS type,
               NOT (a.attnotnull OR y.typnotnull) AS nullable,
               CASE WHEN a.atthasdef THEN
                    pg_get_expr(e.adbin, CASE WHEN a.attgenerated = '' THEN 0 ELSE e.adrelid END) END AS "default",
               CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END AS generated,
               CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by_default' END AS identity,
               false AS hidden,
               CASE WHEN a.attcollation <> y.typcollation THEN
                    (SELECT l.collname FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation) END AS collation,
               array_position(c.conkey, a.attnum) AS key_position,
               d.description AS comment,
               CASE WHEN a.attinhcount > 0 THEN COALESCE(left(y.extra, -1) || ',', '{') || '"inherited":true}' ELSE y.extra END AS extra
          FROM (SELECT c.oid, n.nspname::text, c.relname::text, k.conkey, row_number() OVER (ORDER BY n.nspname, c.relname) AS place,
                       pg_has_role(c.relowner, 'USAGE')
                       OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS whole
                  FROM \(visibleNamespaces) n
                  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
                  LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
                 WHERE \(tableIsVisible)) c
         CROSS JOIN (SELECT ''::"char" AS attidentity, ''::"char" AS attgenerated) older
         CROSS JOIN LATERAL (
               SELECT attrelid, attname::text, attnum, atttypid, atttypmod, attnotnull, atthasdef, attcollation, attidentity, attgenerated,
                      attinhcount
                 FROM pg_catalog.pg_attribute
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a
          JOIN (SELECT u.atttypid, format_type(u.atttypid, NULL) AS type, t.typcollation,
                       t.typtype = 'd' AND t.typnotnull AS typnotnull,
                       CASE WHEN t.oid >= 16384 THEN
                            json_strip_nulls(json_build_object(
                                'type_kind', CASE WHEN t.typcategory = 'A' THEN 'array'
                                                  ELSE CASE t.typtype WHEN 'b' THEN 'base' WHEN 'c' THEN 'composite' WHEN 'd' THEN 'domain'
                                                                      WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range'
                                                                      WHEN 'm' THEN 'multirange' END END,
                                'type_namespace', tn.nspname, 'type_name', t.typname))::text END AS extra
                  FROM (SELECT DISTINCT atttypid FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped) u
                  JOIN pg_catalog.pg_type t ON t.oid = u.atttypid
                  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace) y
            ON y.atttypid = a.atttypid
          LEFT JOIN pg_catalog.pg_attrdef e ON a.atthasdef AND e.adrelid = a.attrelid AND e.adnum = a.attnum
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
         WHERE c.whole OR has_column_privilege(a.attrelid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES')
         ORDER BY c.place, a.attnum
        """

    /// namespace, relation, name, kind, ordinal, column, extra. `extra`: comment, deferrable, deferred.
    static let keys = """
        SELECT n.nspname AS namespace, c.relname AS relation, k.conname AS name,
               CASE k.contype WHEN 'p' THEN 'primary' ELSE 'unique' END AS kind, u.ordinal,
               (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = u.attnum) AS "column",
               CASE WHEN k.condeferrable OR d.description IS NOT NULL THEN
                    json_strip_nulls(json_build_object(
                        'comment', d.description,
                        'deferrable', CASE WHEN k.condeferrable THEN true END,
                        'deferred', CASE WHEN k.condeferrable THEN k.condeferred END))::text END AS extra
          FROM \(visibleNamespaces) n
          JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
          JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u')
         CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY u(attnum, ordinal)
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid AND d.objsubid = 0
         WHERE \(tableIsVisible)
         ORDER BY n.nspname, c.relname, k.conname, u.ordinal
        """

    /// namespace, relation, name, ordinal, column, target_namespace, target_relation, target_column, on_update, on_delete, extra.
    ///
    /// `extra`: comment, match, deferrable, deferred, valid, and set_columns: the columns that ON DELETE SET NULL or SET DEFAULT sets.
    static let foreignKeys = """
        SELECT n.nspname AS namespace, c.relname AS relation, k.conname AS name, u.ordinal,
               (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = u.attnum) AS "column",
               tn.nspname AS target_namespace, t.relname AS target_relation,
               (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = u.target_attnum) AS target_column,
               CASE k.confupdtype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                    ELSE 'NO ACTION' END AS on_update,
               CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                    ELSE 'NO ACTION' END AS on_delete,
               CASE WHEN k.condeferrable OR NOT k.convalidated OR k.confmatchtype = 'f' OR k.confdelsetcols IS NOT NULL
                         OR d.description IS NOT NULL THEN
                    json_strip_nulls(json_build_object(
                        'comment', d.description,
                        'match', CASE k.confmatchtype WHEN 'f' THEN 'FULL' END,
                        'deferrable', CASE WHEN k.condeferrable THEN true END,
                        'deferred', CASE WHEN k.condeferrable THEN k.condeferred END,
                        'valid', CASE WHEN NOT k.convalidated THEN false END,
                        'set_columns', (SELECT json_agg(sa.attname ORDER BY sa.attnum) FROM pg_catalog.pg_attribute sa
                                         WHERE sa.attrelid = c.oid AND sa.attnum = ANY (k.confdelsetcols))))::text END AS extra
          FROM \(visibleNamespaces) n
          JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
         CROSS JOIN (SELECT NULL::int2[] AS confdelsetcols) older
         CROSS JOIN LATERAL (
               SELECT k.oid, conname, conkey, confkey, confrelid, confupdtype, confdeltype, confmatchtype, condeferrable, condeferred,
                      convalidated, confdelsetcols
                 FROM pg_catalog.pg_constraint k
                WHERE conrelid = c.oid AND contype = 'f') k
         CROSS JOIN LATERAL ROWS FROM (unnest(k.conkey), unnest(k.confkey)) WITH ORDINALITY u(attnum, target_attnum, ordinal)
          JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
          JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid AND d.objsubid = 0
         WHERE \(tableIsVisible)
         ORDER BY n.nspname, c.relname, k.conname, u.ordinal
        """

    /// namespace, relation, name, unique, ordinal, column, expression, method, predicate, definition, extra.
    ///
    /// One of `column` and `expression` is null. `extra` of each row: descending, nulls_first, included (a column of INCLUDE); of the first
    /// row also comment, constraint (`primary`, `unique`, `exclusion`), constraint_definition (of the last), valid, nulls_distinct, clustered.
    static let indexes = """
        SELECT n.nspname AS namespace, c.relname AS relation, x.relname AS name, i.indisunique AS "unique", u.ordinal,
               (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = u.attnum) AS "column",
               CASE WHEN u.attnum = 0 THEN pg_get_indexdef(i.indexrelid, u.ordinal::int, false) END AS expression,
               m.amname AS method,
               CASE WHEN i.indpred IS NOT NULL THEN pg_get_expr(i.indpred, i.indrelid) END AS predicate,
               CASE WHEN u.ordinal = 1 AND \(definitionsAreWanted) THEN pg_get_indexdef(i.indexrelid) END AS definition,
               CASE WHEN u.ordinal > COALESCE(i.indnkeyatts, i.indnatts) THEN '{"included": true}'
                    WHEN o.flags <> 0 OR u.ordinal = 1 AND (k.contype IS NOT NULL OR NOT i.indisvalid OR i.indisclustered
                                                            OR i.indnullsnotdistinct OR d.description IS NOT NULL) THEN
                    json_strip_nulls(json_build_object(
                        'comment', CASE WHEN u.ordinal = 1 THEN d.description END,
                        'descending', CASE WHEN o.flags & 1 <> 0 THEN true END,
                        'nulls_first', CASE WHEN (o.flags & 1) <> (o.flags >> 1) & 1 THEN o.flags & 2 <> 0 END,
                        'constraint', CASE WHEN u.ordinal = 1 THEN
                            CASE k.contype WHEN 'p' THEN 'primary' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion' END END,
                        'constraint_definition', CASE WHEN u.ordinal = 1 AND k.contype = 'x' THEN pg_get_constraintdef(k.oid) END,
                        'valid', CASE WHEN u.ordinal = 1 AND NOT i.indisvalid THEN false END,
                        'nulls_distinct', CASE WHEN u.ordinal = 1 AND i.indnullsnotdistinct THEN false END,
                        'clustered', CASE WHEN u.ordinal = 1 AND i.indisclustered THEN true END))::text END AS extra
          FROM \(visibleNamespaces) n
          JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
         CROSS JOIN (SELECT NULL::int2 AS indnkeyatts, false AS indnullsnotdistinct) older
         CROSS JOIN LATERAL (
               SELECT indexrelid, indrelid, indisunique, indnatts, indnkeyatts, indkey, indoption, indpred, indisvalid, indisclustered,
                      indnullsnotdistinct
                 FROM pg_catalog.pg_index
                WHERE indrelid = c.oid AND indislive) i
          JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          JOIN pg_catalog.pg_am m ON m.oid = x.relam
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY u(attnum, ordinal)
         CROSS JOIN LATERAL (SELECT COALESCE((i.indoption::int2[])[u.ordinal - 1], 0) AS flags) o
          LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_class'::regclass AND d.objoid = i.indexrelid AND d.objsubid = 0
         WHERE c.relkind IN ('r', 'm', 'p') AND \(tableIsVisible)
         ORDER BY n.nspname, c.relname, x.relname, u.ordinal
        """

    /// namespace, relation, name, timing, event, definition, extra.
    ///
    /// `extra`: comment, level (`row`, `statement`), function_namespace, function_name, columns (of UPDATE OF), enabled where it is not `origin`,
    /// constraint, deferrable, deferred.
    static let triggers = """
        SELECT n.nspname AS namespace, c.relname AS relation, g.tgname AS name,
               CASE WHEN g.tgtype & 64 <> 0 THEN 'INSTEAD OF' WHEN g.tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END AS timing,
               v.event,
               CASE WHEN \(definitionsAreWanted) THEN pg_get_triggerdef(g.oid) END AS definition,
               json_strip_nulls(json_build_object(
                   'comment', d.description,
                   'level', CASE WHEN g.tgtype & 1 <> 0 THEN 'row' ELSE 'statement' END,
                   'function_namespace', pn.nspname, 'function_name', p.proname,
                   'columns', CASE WHEN g.tgtype & 16 <> 0 THEN
                        (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum = ANY (g.tgattr::int2[])) END,
                   'enabled', CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END,
                   'constraint', CASE WHEN g.tgconstraint <> 0 THEN true END,
                   'deferrable', CASE WHEN g.tgdeferrable THEN true END,
                   'deferred', CASE WHEN g.tgdeferrable THEN g.tginitdeferred END))::text AS extra
          FROM \(visibleNamespaces) n
          JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
          JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal
          JOIN (VALUES (1, 4, 'INSERT'), (2, 16, 'UPDATE'), (3, 8, 'DELETE'), (4, 32, 'TRUNCATE')) v(place, bit, event)
            ON g.tgtype & v.bit <> 0
          JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
          JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_trigger'::regclass AND d.objoid = g.oid AND d.objsubid = 0
         WHERE \(tableIsVisible)
         ORDER BY n.nspname, c.relname, g.tgname, v.place
        """

    /// namespace, name, kind, arguments, returns, language, comment, definition, extra.
    ///
    /// Overloaded routines are rows with the same name, in the order of their arguments. `returns` is null for procedures. `definition` is
    /// null for aggregates. `extra`: owner, identity (the argument types that tell it from others, as DROP wants them), volatility, strict,
    /// security_definer, parallel, returns_set, extension.
    static let routines = """
        SELECT n.nspname AS namespace, p.proname AS name,
               CASE WHEN p.prokind = 'p' THEN 'procedure' WHEN p.prokind = 'a' OR p.proisagg THEN 'aggregate'
                    WHEN p.prokind = 'w' OR p.proiswindow THEN 'window' ELSE 'function' END AS kind,
               pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS returns, l.lanname AS language,
               d.description AS comment,
               CASE WHEN p.prokind <> 'a' AND NOT p.proisagg AND \(definitionsAreWanted) THEN pg_get_functiondef(p.oid) END AS definition,
               json_strip_nulls(json_build_object(
                   'owner', pg_get_userbyid(p.proowner),
                   'identity', pg_get_function_identity_arguments(p.oid),
                   'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
                   'strict', CASE WHEN p.proisstrict THEN true END,
                   'security_definer', CASE WHEN p.prosecdef THEN true END,
                   'parallel', CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END,
                   'returns_set', CASE WHEN p.proretset THEN true END,
                   'extension', e.extname))::text AS extra
          FROM \(visibleNamespaces) n
         CROSS JOIN (SELECT ''::"char" AS prokind, false AS proisagg, false AS proiswindow) older
         CROSS JOIN LATERAL (
               SELECT p.oid, proname, prokind, proisagg, proiswindow, prolang, proowner, provolatile, proisstrict, prosecdef,
                      proparallel, proretset
                 FROM pg_catalog.pg_proc p
                WHERE pronamespace = n.oid) p
          JOIN pg_catalog.pg_language l ON l.oid = p.prolang
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid AND d.objsubid = 0
          LEFT JOIN pg_catalog.pg_depend o
                 ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid AND o.objsubid = 0 AND o.deptype = 'e'
                AND o.refclassid = 'pg_extension'::regclass
          LEFT JOIN pg_catalog.pg_extension e ON e.oid = o.refobjid
         WHERE pg_has_role(p.proowner, 'USAGE') OR has_function_privilege(p.oid, 'EXECUTE')
         ORDER BY n.nspname, p.proname, pg_get_function_identity_arguments(p.oid) COLLATE "C"
        """

    /// namespace, name, kind, base, ordinal, label, comment, extra.
    ///
    /// An enum has a row for each label, or one without; a composite a row for each attribute, `label` its name and `base` its type. A
    /// domain has one row with the type that it restricts, a range one with that of its bounds. `extra`: owner; for domains not_null,
    /// default, collation, checks; for composites attributes (name and type); for ranges multirange.
    static let types = """
        SELECT n.nspname AS namespace, t.typname AS name,
               CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' ELSE 'range' END AS kind,
               CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) WHEN 'r' THEN format_type(r.rngsubtype, NULL)
                    WHEN 'c' THEN format_type(m.type, m.modifier) END AS base,
               m.ordinal, m.label, d.description AS comment,
               CASE WHEN COALESCE(m.ordinal, 1) = 1 THEN json_strip_nulls(json_build_object(
                   'owner', pg_get_userbyid(t.typowner),
                   'not_null', CASE WHEN t.typtype = 'd' AND t.typnotnull THEN true END,
                   'default', CASE WHEN t.typtype = 'd' THEN t.typdefault END,
                   'collation', CASE WHEN t.typtype = 'd' THEN
                        (SELECT l.collname FROM pg_catalog.pg_collation l, pg_catalog.pg_type b
                          WHERE l.oid = t.typcollation AND b.oid = t.typbasetype AND b.typcollation <> t.typcollation) END,
                   'checks', CASE WHEN t.typtype = 'd' THEN
                        (SELECT json_agg(json_build_object('name', k.conname, 'expression', pg_get_expr(k.conbin, 0)) ORDER BY k.conname)
                           FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c') END,
                   'attributes', CASE WHEN t.typtype = 'c' THEN
                        (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod))
                                         ORDER BY a.attnum)
                           FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
                   'multirange', CASE WHEN r.rngmultitypid <> 0 THEN format_type(r.rngmultitypid, NULL) END))::text END AS extra
          FROM \(visibleNamespaces) n
          JOIN (SELECT oid, typname, typnamespace, typtype, typowner, typbasetype, typtypmod, typnotnull, typdefault, typcollation,
                       typrelid
                  FROM pg_catalog.pg_type WHERE typtype IN ('e', 'd', 'r')
                UNION ALL
                SELECT ct.oid, typname, typnamespace, typtype, typowner, typbasetype, typtypmod, typnotnull, typdefault, typcollation,
                       typrelid
                  FROM pg_catalog.pg_class cc JOIN pg_catalog.pg_type ct ON ct.oid = cc.reltype
                 WHERE cc.relkind = 'c') t ON t.typnamespace = n.oid
         CROSS JOIN (SELECT 0::oid AS rngmultitypid) older
          LEFT JOIN LATERAL (SELECT rngsubtype, rngmultitypid FROM pg_catalog.pg_range WHERE rngtypid = t.oid) r ON true
          LEFT JOIN (SELECT enumtypid AS owner, row_number() OVER (PARTITION BY enumtypid ORDER BY enumsortorder) AS ordinal,
                            enumlabel AS label, NULL::oid AS type, NULL::int4 AS modifier
                       FROM pg_catalog.pg_enum
                     UNION ALL
                     SELECT ct.oid, row_number() OVER (PARTITION BY ct.oid ORDER BY a.attnum), a.attname, a.atttypid, a.atttypmod
                       FROM pg_catalog.pg_class cc
                       JOIN pg_catalog.pg_type ct ON ct.oid = cc.reltype
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = cc.oid AND a.attnum > 0 AND NOT a.attisdropped
                      WHERE cc.relkind = 'c') m ON m.owner = t.oid
          LEFT JOIN pg_catalog.pg_description d
                 ON d.classoid = 'pg_type'::regclass AND d.objoid = t.oid AND d.objsubid = 0
         WHERE pg_has_role(t.typowner, 'USAGE') OR has_type_privilege(t.oid, 'USAGE')
         ORDER BY n.nspname, t.typname, m.ordinal
        """

    // MARK: - Whether something has changed

    /// One text, null where the server counts nothing (`track_counts = off`): how many rows of the catalog's tables were ever inserted,
    /// updated and deleted in this database. It costs the same however many tables there are.
    ///
    /// It changes with every DDL, also with one that was rolled back, and with temporary tables; never with DML, VACUUM or ANALYZE. The
    /// server learns of it when the session that ran the DDL reports what it has counted: at the end of a transaction, but at most once a
    /// second (0.5 s before 15), or, where that session then does nothing, 10 s later (before 15: not before its next transaction).
    static let fingerprint = """
        SELECT CASE WHEN pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on' THEN
               (SELECT pg_catalog.string_agg(pg_catalog.concat(pg_catalog.pg_stat_get_tuples_inserted(c.oid), '.',
                                                               pg_catalog.pg_stat_get_tuples_updated(c.oid), '.',
                                                               pg_catalog.pg_stat_get_tuples_deleted(c.oid)), ' ' ORDER BY c.relname)
                  FROM pg_catalog.pg_class c
                 WHERE c.relnamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid
                   AND c.relname OPERATOR(pg_catalog.=) ANY (CAST(ARRAY[
                       'pg_attrdef', 'pg_attribute', 'pg_auth_members', 'pg_authid', 'pg_class', 'pg_collation', 'pg_constraint',
                       'pg_description', 'pg_enum', 'pg_foreign_table', 'pg_index', 'pg_inherits', 'pg_namespace', 'pg_partitioned_table',
                       'pg_proc', 'pg_range', 'pg_rewrite', 'pg_sequence', 'pg_trigger', 'pg_type'] AS pg_catalog.name[]))) END
        """

    /// One text that changes with every DDL that was committed, at once, at the price of reading the larger tables of the catalog: for
    /// servers where `fingerprint` is null.
    static let exactFingerprint = """
        SELECT pg_catalog.string_agg(pg_catalog.concat(t.n, '.', t.x), ' ' ORDER BY t.place)
          FROM (SELECT 0 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_class
                UNION ALL SELECT 1 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_attribute
                UNION ALL SELECT 2 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_attrdef
                UNION ALL SELECT 3 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_constraint
                UNION ALL SELECT 4 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_description
                UNION ALL SELECT 5 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_enum
                UNION ALL SELECT 6 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_inherits
                UNION ALL SELECT 7 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_namespace
                UNION ALL SELECT 8 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_proc
                UNION ALL SELECT 9 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_rewrite
                UNION ALL SELECT 10 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_trigger
                UNION ALL SELECT 11 AS place, pg_catalog.count(*) AS n, pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8) AS x FROM pg_catalog.pg_type) t
        """
}
