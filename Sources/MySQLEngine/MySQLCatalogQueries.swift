// The SQL that reads the catalog of MySQL and MariaDB: one query for each level, however many tables there are.

/// Queries of information_schema for MySQL 5.7 and later and MariaDB 10.5 and later.
///
/// One connection runs `prepare` and then the levels. What only one of the servers or a later version has stands in executable comments:
/// `/*!80013 … */` is read by MySQL from that version on, `/*M!100600 … */` by MariaDB.
///
/// Rows of a group (a key, an index) follow each other in the order of `ordinal`; groups are ordered by namespace, relation and name, in the order of
/// bytes: for the server `T` and `t` are equal in its own catalog, and their rows would be mixed.
/// `extra` is a JSON object or null. Booleans are 1 and 0. What the login has no right to is left out by the server itself.
///
/// `information_schema`, `mysql`, `performance_schema` and `sys` are listed with `"system": true`, and what is in them is left out.
/// MariaDB has no data dictionary: it reads the file of each table for each query. Columns for which it would have to open the table in
/// its engine as well (sizes, numbers of rows, methods of indexes) are in queries of their own, `relationDetails` and `indexesInDetail`:
/// with 100,000 tables they take four times as long.
enum MySQLCatalogQueries {
    /// Comes before the others: lists of parameters are longer than the 1024 bytes that MySQL would give.
    static let prepare = "SET SESSION group_concat_max_len = 1048576"

    // MARK: - Pieces

    /// The databases whose contents are left out.
    private static let system = "('information_schema', 'mysql', 'performance_schema', 'sys')"

    private static let indexColumns = """
        s.TABLE_SCHEMA AS namespace, s.TABLE_NAME AS relation, s.INDEX_NAME AS name, s.NON_UNIQUE = 0 AS `unique`, s.SEQ_IN_INDEX AS ordinal,
               s.COLUMN_NAME AS `column`, COALESCE(NULL /*!80013 , s.EXPRESSION */ , NULL) AS expression
        """

    private static let indexExtra = """
        CASE WHEN s.SEQ_IN_INDEX > 1 THEN '' ELSE CONCAT(
                   CASE WHEN s.INDEX_NAME = 'PRIMARY' THEN ',"constraint":"primary"'
                        WHEN s.NON_UNIQUE = 0 THEN ',"constraint":"unique"' ELSE '' END,
                   CASE WHEN s.INDEX_COMMENT = '' THEN '' ELSE CONCAT(',"comment":', JSON_QUOTE(s.INDEX_COMMENT)) END
                   /*M!100600 , CASE WHEN s.IGNORED = 'YES' THEN ',"ignored":true' ELSE '' END */
                   /*!80000 , CASE WHEN s.IS_VISIBLE = 'NO' THEN ',"visible":false' ELSE '' END */
                   ) END,
                   COALESCE(CONCAT(',"prefix":', s.SUB_PART), '')
        """

    private static let indexRows = """
          FROM information_schema.STATISTICS s
         WHERE s.TABLE_SCHEMA NOT IN \(system)
         ORDER BY CAST(s.TABLE_SCHEMA AS BINARY), CAST(s.TABLE_NAME AS BINARY), CAST(s.INDEX_NAME AS BINARY), s.SEQ_IN_INDEX
        """

    // MARK: - Levels

    /// name, default, owner (null), comment, extra.
    static let namespaces = """
        SELECT s.SCHEMA_NAME AS name, COALESCE(s.SCHEMA_NAME = DATABASE(), 0) AS `default`, NULL AS owner,
               COALESCE(NULL /*M!100500 , NULLIF(s.SCHEMA_COMMENT, '') */ , NULL) AS comment,
               CASE WHEN s.SCHEMA_NAME IN \(system) THEN '{"system": true}'
                    ELSE JSON_OBJECT('character_set', s.DEFAULT_CHARACTER_SET_NAME, 'collation', s.DEFAULT_COLLATION_NAME) END AS extra
          FROM information_schema.SCHEMATA s
         ORDER BY CAST(s.SCHEMA_NAME AS BINARY)
        """

    /// namespace, name, kind, comment, row_estimate, size_bytes, definition (null), extra (engine, system_versioned).
    ///
    /// On MariaDB and MySQL 5.7 the estimate and the size are null, partitioned tables are tables, and nothing is said of checks: see `relationDetails`.
    static let relations = """
        SELECT t.TABLE_SCHEMA AS namespace, t.TABLE_NAME AS name,
               CASE WHEN t.TABLE_TYPE LIKE '%VIEW' THEN 'view' WHEN t.TABLE_TYPE = 'SEQUENCE' THEN 'sequence'
                    /*!80000 WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN 'partitioned_table' */
                    ELSE 'table' END AS kind,
               CASE WHEN t.TABLE_TYPE LIKE '%VIEW' THEN NULL ELSE NULLIF(t.TABLE_COMMENT, '') END AS comment,
               COALESCE(NULL /*!80000 , t.TABLE_ROWS */ , NULL) AS row_estimate,
               COALESCE(NULL /*!80000 , t.DATA_LENGTH + t.INDEX_LENGTH */ , NULL) AS size_bytes,
               NULL AS definition,
               CASE WHEN t.TABLE_TYPE LIKE '%VIEW' THEN NULL
                    WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' THEN JSON_OBJECT('engine', t.ENGINE, 'system_versioned', true)
                    ELSE JSON_OBJECT('engine', t.ENGINE) END AS extra
          FROM information_schema.TABLES t
         WHERE t.TABLE_SCHEMA NOT IN \(system)
         ORDER BY CAST(t.TABLE_SCHEMA AS BINARY), CAST(t.TABLE_NAME AS BINARY)
        """

    /// namespace, name, kind, row_estimate, size_bytes, extra: of tables, with what `relations` does not have on MariaDB and MySQL 5.7.
    ///
    /// There the server opens each table for it, on MariaDB twice. The size is that of data and indexes. `extra`: as in `relations`, and
    /// checks (not of MySQL before 8.0.16).
    static let relationDetails = """
        SELECT t.TABLE_SCHEMA AS namespace, t.TABLE_NAME AS name,
               CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN 'partitioned_table' ELSE 'table' END AS kind,
               t.TABLE_ROWS AS row_estimate, t.DATA_LENGTH + t.INDEX_LENGTH AS size_bytes,
               CONCAT('{"engine":', COALESCE(JSON_QUOTE(t.ENGINE), 'null'),
                      CASE WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' THEN ',"system_versioned":true' ELSE '' END
                      /*M!100500 , COALESCE(CONCAT(',"checks":[', k.checks, ']'), '') */
                      /*!80016 , COALESCE(CONCAT(',"checks":[', k.checks, ']'), '') */
                      , '}') AS extra
          FROM information_schema.TABLES t
          /*M!100500 LEFT JOIN (
               SELECT CONSTRAINT_SCHEMA AS namespace, CAST(TABLE_NAME AS BINARY) AS name,
                      GROUP_CONCAT(JSON_OBJECT('name', CONSTRAINT_NAME, 'expression', CHECK_CLAUSE) ORDER BY CONSTRAINT_NAME) AS checks
                 FROM information_schema.CHECK_CONSTRAINTS
                GROUP BY CONSTRAINT_SCHEMA, CAST(TABLE_NAME AS BINARY)) k
            ON k.namespace = t.TABLE_SCHEMA AND k.name = CAST(t.TABLE_NAME AS BINARY) */
          /*!80016 LEFT JOIN (
               SELECT c.CONSTRAINT_SCHEMA AS namespace, CAST(o.TABLE_NAME AS BINARY) AS name,
                      GROUP_CONCAT(JSON_OBJECT('name', c.CONSTRAINT_NAME, 'expression', c.CHECK_CLAUSE)
                                   ORDER BY c.CONSTRAINT_NAME) AS checks
                 FROM information_schema.CHECK_CONSTRAINTS c
                 JOIN information_schema.TABLE_CONSTRAINTS o
                   ON o.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND o.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND o.CONSTRAINT_TYPE = 'CHECK'
                GROUP BY c.CONSTRAINT_SCHEMA, CAST(o.TABLE_NAME AS BINARY)) k
            ON k.namespace = t.TABLE_SCHEMA AND k.name = CAST(t.TABLE_NAME AS BINARY) */
         WHERE t.TABLE_SCHEMA NOT IN \(system) AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
         ORDER BY CAST(t.TABLE_SCHEMA AS BINARY), CAST(t.TABLE_NAME AS BINARY)
        """

    /// namespace, name, definition: the texts of views; where the login may not see one (SHOW VIEW), it is left out.
    static let relationDefinitions = """
        SELECT v.TABLE_SCHEMA AS namespace, v.TABLE_NAME AS name,
               CONCAT('CREATE VIEW `', REPLACE(v.TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(v.TABLE_NAME, '`', '``'), '` AS ',
                      v.VIEW_DEFINITION) AS definition
          FROM information_schema.VIEWS v
         WHERE v.TABLE_SCHEMA NOT IN \(system) AND v.VIEW_DEFINITION <> ''
         ORDER BY CAST(v.TABLE_SCHEMA AS BINARY), CAST(v.TABLE_NAME AS BINARY)
        """

    /// namespace, relation, name, position, type, nullable, default, generated, identity, hidden, collation, key_position, comment, extra.
    ///
    /// `default` is SQL, also the expression of a generated column. `key_position` is null: `keys` has it, and MariaDB would compare each
    /// column with each key here. The columns of MariaDB's sequences are listed too. `extra`: primary (a column of the primary key),
    /// on_update.
    static let columns = """
        SELECT c.TABLE_SCHEMA AS namespace, c.TABLE_NAME AS relation, c.COLUMN_NAME AS name, c.ORDINAL_POSITION AS `position`,
               c.COLUMN_TYPE AS type, c.IS_NULLABLE = 'YES' AS nullable,
               CASE WHEN c.GENERATION_EXPRESSION <> '' THEN c.GENERATION_EXPRESSION
                    /*M!100500 WHEN c.COLUMN_DEFAULT = 'NULL' THEN NULL WHEN 1 = 1 THEN c.COLUMN_DEFAULT */
                    WHEN c.COLUMN_DEFAULT IS NULL OR c.EXTRA LIKE '%DEFAULT_GENERATED%'
                         OR c.COLUMN_DEFAULT LIKE 'CURRENT_TIMESTAMP%' AND c.DATA_TYPE IN ('timestamp', 'datetime')
                         OR c.NUMERIC_PRECISION IS NOT NULL THEN c.COLUMN_DEFAULT
                    ELSE QUOTE(c.COLUMN_DEFAULT) END AS `default`,
               CASE WHEN c.EXTRA LIKE '%VIRTUAL GENERATED%' THEN 'virtual'
                    WHEN c.EXTRA LIKE '%STORED GENERATED%' OR c.EXTRA LIKE '%PERSISTENT%' THEN 'stored' END AS `generated`,
               CASE WHEN c.EXTRA LIKE '%auto_increment%' THEN 'auto_increment' END AS `identity`,
               c.EXTRA LIKE '%INVISIBLE%' AS hidden, c.COLLATION_NAME AS collation,
               NULL AS key_position, NULLIF(c.COLUMN_COMMENT, '') AS comment,
               CASE WHEN c.COLUMN_KEY = 'PRI' THEN '{"primary": true}' WHEN c.EXTRA LIKE '%on update %' THEN
                    JSON_OBJECT('on_update', SUBSTRING(c.EXTRA, LOCATE('on update ', c.EXTRA) + 10)) END AS extra
          FROM information_schema.COLUMNS c
         WHERE c.TABLE_SCHEMA NOT IN \(system)
         ORDER BY CAST(c.TABLE_SCHEMA AS BINARY), CAST(c.TABLE_NAME AS BINARY), c.ORDINAL_POSITION
        """

    /// namespace, relation, name, kind, ordinal, column (null for an expression), extra (null).
    static let keys = """
        SELECT s.TABLE_SCHEMA AS namespace, s.TABLE_NAME AS relation, s.INDEX_NAME AS name,
               CASE WHEN s.INDEX_NAME = 'PRIMARY' THEN 'primary' ELSE 'unique' END AS kind, s.SEQ_IN_INDEX AS ordinal,
               s.COLUMN_NAME AS `column`, NULL AS extra
          FROM information_schema.STATISTICS s
         WHERE s.TABLE_SCHEMA NOT IN \(system) AND s.NON_UNIQUE = 0
         ORDER BY CAST(s.TABLE_SCHEMA AS BINARY), CAST(s.TABLE_NAME AS BINARY), CAST(s.INDEX_NAME AS BINARY), s.SEQ_IN_INDEX
        """

    /// namespace, relation, name, ordinal, column, target_namespace, target_relation, target_column, on_update, on_delete, extra (null).
    ///
    /// MariaDB and MySQL 5.7 open each table for it, twice. The rules are null where the login may only SELECT.
    static let foreignKeys = """
        SELECT k.TABLE_SCHEMA AS namespace, k.TABLE_NAME AS relation, k.CONSTRAINT_NAME AS name, k.ORDINAL_POSITION AS ordinal,
               k.COLUMN_NAME AS `column`, k.REFERENCED_TABLE_SCHEMA AS target_namespace, k.REFERENCED_TABLE_NAME AS target_relation,
               k.REFERENCED_COLUMN_NAME AS target_column, r.UPDATE_RULE AS on_update, r.DELETE_RULE AS on_delete, NULL AS extra
          FROM (SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION, COLUMN_NAME, REFERENCED_TABLE_SCHEMA,
                       REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
                  FROM information_schema.KEY_COLUMN_USAGE
                 WHERE TABLE_SCHEMA NOT IN \(system) AND REFERENCED_TABLE_NAME IS NOT NULL) k
          LEFT JOIN (SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE
                       FROM information_schema.REFERENTIAL_CONSTRAINTS
                      WHERE CONSTRAINT_SCHEMA NOT IN \(system)) r
            ON r.CONSTRAINT_SCHEMA = k.TABLE_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
         ORDER BY CAST(k.TABLE_SCHEMA AS BINARY), CAST(k.TABLE_NAME AS BINARY), CAST(k.CONSTRAINT_NAME AS BINARY), k.ORDINAL_POSITION
        """

    /// namespace, relation, name, unique, ordinal, column, expression, method, predicate (null), definition (null), extra.
    ///
    /// `extra`: prefix (how many characters of the column); on the first row constraint (`primary`, `unique`), comment, ignored (MariaDB),
    /// visible (MySQL). On MariaDB and MySQL 5.7 the method is null, and nothing is said of descending columns: see `indexesInDetail`.
    static let indexes = """
        SELECT \(indexColumns),
               COALESCE(NULL /*!80000 , LOWER(s.INDEX_TYPE) */ , NULL) AS method, NULL AS predicate, NULL AS definition,
               NULLIF(CONCAT('{', SUBSTRING(CONCAT(\(indexExtra)
                   /*!80000 , CASE WHEN s.COLLATION = 'D' THEN ',"descending":true' ELSE '' END */
                   ), 2), '}'), '{}') AS extra
        \(indexRows)
        """

    /// `indexes` with everything. MariaDB and MySQL 5.7 open each table for it.
    static let indexesInDetail = """
        SELECT \(indexColumns),
               LOWER(s.INDEX_TYPE) AS method, NULL AS predicate, NULL AS definition,
               NULLIF(CONCAT('{', SUBSTRING(CONCAT(\(indexExtra)
                   , CASE WHEN s.COLLATION = 'D' THEN ',"descending":true' ELSE '' END
                   ), 2), '}'), '{}') AS extra
        \(indexRows)
        """

    /// namespace, relation, name, timing, event, definition, extra (level, order).
    ///
    /// `definition` is null where the login may not see it (TRIGGER).
    static let triggers = """
        SELECT g.EVENT_OBJECT_SCHEMA AS namespace, g.EVENT_OBJECT_TABLE AS relation, g.TRIGGER_NAME AS name, g.ACTION_TIMING AS timing,
               g.EVENT_MANIPULATION AS `event`,
               CONCAT('CREATE TRIGGER `', REPLACE(g.TRIGGER_SCHEMA, '`', '``'), '`.`', REPLACE(g.TRIGGER_NAME, '`', '``'), '` ',
                      g.ACTION_TIMING, ' ', g.EVENT_MANIPULATION, ' ON `', REPLACE(g.EVENT_OBJECT_SCHEMA, '`', '``'), '`.`',
                      REPLACE(g.EVENT_OBJECT_TABLE, '`', '``'), '` FOR EACH ROW ', g.ACTION_STATEMENT) AS definition,
               JSON_OBJECT('level', 'row', 'order', g.ACTION_ORDER) AS extra
          FROM information_schema.TRIGGERS g
         WHERE g.EVENT_OBJECT_SCHEMA NOT IN \(system)
         ORDER BY CAST(g.EVENT_OBJECT_SCHEMA AS BINARY), CAST(g.EVENT_OBJECT_TABLE AS BINARY), CAST(g.TRIGGER_NAME AS BINARY)
        """

    /// namespace, name, kind, arguments, returns, language, comment, definition, extra.
    ///
    /// `definition` is null where the login may not see the body. MariaDB's aggregates are functions, and its packages are left out. `extra`: definer, security_definer, deterministic, data_access.
    static let routines = """
        SELECT r.ROUTINE_SCHEMA AS namespace, r.ROUTINE_NAME AS name, LOWER(r.ROUTINE_TYPE) AS kind, COALESCE(p.arguments, '') AS arguments,
               NULLIF(r.DTD_IDENTIFIER, '') AS returns, COALESCE(r.EXTERNAL_LANGUAGE, r.ROUTINE_BODY) AS language,
               NULLIF(r.ROUTINE_COMMENT, '') AS comment,
               CONCAT('CREATE ', r.ROUTINE_TYPE, ' `', REPLACE(r.ROUTINE_SCHEMA, '`', '``'), '`.`', REPLACE(r.ROUTINE_NAME, '`', '``'), '`(',
                      COALESCE(p.arguments, ''), ')', COALESCE(CONCAT(' RETURNS ', NULLIF(r.DTD_IDENTIFIER, '')), ''),
                      CASE WHEN r.IS_DETERMINISTIC = 'YES' THEN ' DETERMINISTIC' ELSE '' END,
                      CASE WHEN r.SQL_DATA_ACCESS = 'CONTAINS SQL' THEN '' ELSE CONCAT(' ', r.SQL_DATA_ACCESS) END,
                      CASE WHEN r.SECURITY_TYPE = 'INVOKER' THEN ' SQL SECURITY INVOKER' ELSE '' END,
                      CASE WHEN r.ROUTINE_COMMENT = '' THEN '' ELSE CONCAT(' COMMENT ', QUOTE(r.ROUTINE_COMMENT)) END,
                      ' ', r.ROUTINE_DEFINITION) AS definition,
               CONCAT('{"definer":', JSON_QUOTE(r.DEFINER), ',"security_definer":', IF(r.SECURITY_TYPE = 'DEFINER', 'true', 'false'),
                      ',"deterministic":', IF(r.IS_DETERMINISTIC = 'YES', 'true', 'false'), ',"data_access":"', LOWER(r.SQL_DATA_ACCESS),
                      '"}') AS extra
          FROM information_schema.ROUTINES r
          LEFT JOIN (SELECT a.SPECIFIC_SCHEMA, a.SPECIFIC_NAME, a.ROUTINE_TYPE,
                            GROUP_CONCAT(IF(a.ROUTINE_TYPE = 'FUNCTION', '', CONCAT(a.PARAMETER_MODE, ' ')), '`',
                                         REPLACE(a.PARAMETER_NAME, '`', '``'), '` ', a.DTD_IDENTIFIER
                                         ORDER BY a.ORDINAL_POSITION SEPARATOR ', ') AS arguments
                       FROM information_schema.PARAMETERS a
                      WHERE a.SPECIFIC_SCHEMA NOT IN \(system) AND a.ORDINAL_POSITION > 0
                      GROUP BY a.SPECIFIC_SCHEMA, a.SPECIFIC_NAME, a.ROUTINE_TYPE) p
            ON p.SPECIFIC_SCHEMA = r.ROUTINE_SCHEMA AND p.SPECIFIC_NAME = r.SPECIFIC_NAME AND p.ROUTINE_TYPE = r.ROUTINE_TYPE
         WHERE r.ROUTINE_SCHEMA NOT IN \(system) AND r.ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE')
         ORDER BY CAST(r.ROUTINE_SCHEMA AS BINARY), CAST(r.ROUTINE_NAME AS BINARY), r.ROUTINE_TYPE
        """

    /// namespace, name, kind, base, ordinal, label, comment, extra: none, since enums belong to their columns here.
    static let types = """
        SELECT NULL AS namespace, NULL AS name, NULL AS kind, NULL AS base, NULL AS ordinal, NULL AS label, NULL AS comment, NULL AS extra
          FROM DUAL WHERE 1 = 0
        """

    // MARK: - Whether something has changed

    /// Rows of a name and a number: how many statements of DDL the server has run since its start, for all databases. All rows together are
    /// the fingerprint. It costs the same however many tables there are, and needs no privilege.
    ///
    /// It changes at once with every DDL, also with one that has failed or that somebody ran in another database; on MySQL with temporary
    /// tables too. After a restart of the server it begins again: what was read before then does not count.
    static let fingerprint = """
        SHOW GLOBAL STATUS WHERE Variable_name REGEXP '^Com_(alter|create|drop|rename|grant|revoke)'
        AND Variable_name NOT REGEXP '_(temporary_table|user|server|event)$'
        """
}
