// Statements that are no queries, as the manuals of the dialects write them.

/// Patterns of statements by their first word, see `Syntax`.
///
/// Names say what is chosen: `table`, `relation`, `view`, `materialized`, `sequence`, `index`, `trigger`, `schema`, `function`,
/// `procedure`, `type`, `attached` and `column` (of the table or relation before it); `old` is what `Completer+Definitions` knows better; all
/// others are the user's own. A word with a plus is optional and proposed together with the one before it; with a minus it is proposed
/// only when it is begun.
enum StatementSyntax {
    static func of(_ first: String, _ dialect: CompletionDialect) -> [Syntax] {
        switch dialect {
        case .sqlite: sqlite[first] ?? []
        case .postgresql: postgresql[first] ?? []
        case .mysql: mysql[first] ?? []
        case .redis: []
        }
    }

    private static let sqlite = table(
        """
        ALTER TABLE table <ADD [+COLUMN] new old | DROP [+COLUMN] column | RENAME TO new | RENAME [+COLUMN] column TO new>
        CREATE TABLE [IF NOT EXISTS] new <AS old | ( old ) [<STRICT | WITHOUT ROWID> [, <STRICT | WITHOUT ROWID> ...]]>
        CREATE VIRTUAL TABLE [IF NOT EXISTS] new USING <fts5! | fts4! | rtree! | geopoly! | dbstat!> [( old )]
        CREATE [UNIQUE] INDEX [-IF NOT EXISTS] new ON table ( old ) [WHERE condition [condition ...]]
        EXPLAIN QUERY PLAN old
        SAVEPOINT new
        ATTACH [+DATABASE] value AS new
        DETACH [+DATABASE] attached
        BEGIN <TRANSACTION | IMMEDIATE [TRANSACTION] | DEFERRED [TRANSACTION] | EXCLUSIVE [TRANSACTION]>
        COMMIT [TRANSACTION]
        END [TRANSACTION]
        ROLLBACK [TO [SAVEPOINT] new] [TRANSACTION [TO [SAVEPOINT] new]]
        RELEASE [+SAVEPOINT] new
        VACUUM [schema] [INTO value]
        REINDEX [<table | index>]
        """)

    // - Source: https://www.postgresql.org/docs/current/sql-commands.html
    private static let postgresql = table(
        """
        ALTER TABLE [-IF EXISTS] [ONLY] table <\(postgresqlAction)> [, <\(postgresqlAction)> ...]
        ALTER <INDEX index | VIEW view | MATERIALIZED VIEW materialized | SEQUENCE sequence | SCHEMA schema | DATABASE new> <RENAME TO new | OWNER TO role | SET SCHEMA schema>
        ALTER TYPE type <ADD VALUE value [<BEFORE | AFTER> value] | ADD ATTRIBUTE new type | RENAME TO new | RENAME VALUE value TO value | OWNER TO role | SET SCHEMA schema>
        ALTER <FUNCTION function | PROCEDURE procedure | DOMAIN type | ROLE role | USER role | EXTENSION new | POLICY new | TRIGGER trigger> old
        COPY <table [( column [, column ...] )] <FROM <STDIN | PROGRAM value | value> | TO <STDOUT | PROGRAM value | value>> | ( old ) TO <STDOUT | PROGRAM value | value>> [WITH ( <\(copyOption)> [, <\(copyOption)> ...] )] [WHERE old]
        DROP TABLE [-IF EXISTS] table [, table ...] [CASCADE | RESTRICT]
        DROP MATERIALIZED VIEW [-IF EXISTS] materialized [, materialized ...] [CASCADE | RESTRICT]
        DROP SCHEMA [-IF EXISTS] schema [, schema ...] [CASCADE | RESTRICT]
        DROP TRIGGER [-IF EXISTS] trigger ON table [CASCADE | RESTRICT]
        GRANT <\(privilege) [( column [, column ...] )] [, \(privilege) [( column [, column ...] )] ...] | ALL [PRIVILEGES]> ON <[TABLE] relation [, relation ...] | SCHEMA schema [, schema ...] | DATABASE new | SEQUENCE sequence | FUNCTION function [( old )] | PROCEDURE procedure [( old )] | ALL <TABLES | SEQUENCES | FUNCTIONS> IN SCHEMA schema [, schema ...]> TO [GROUP] <PUBLIC | CURRENT_USER | role> [, role ...] [WITH GRANT OPTION]
        REVOKE [-GRANT OPTION FOR] <\(privilege) [( column [, column ...] )] [, \(privilege) ...] | ALL [PRIVILEGES]> ON <[TABLE] relation [, relation ...] | SCHEMA schema [, schema ...] | DATABASE new | SEQUENCE sequence | FUNCTION function [( old )] | ALL <TABLES | SEQUENCES | FUNCTIONS> IN SCHEMA schema [, schema ...]> FROM <PUBLIC | CURRENT_USER | role> [, role ...] [CASCADE | RESTRICT]
        COMMENT ON <TABLE relation | COLUMN old | VIEW view | MATERIALIZED VIEW materialized | INDEX index | SEQUENCE sequence | SCHEMA schema | TYPE type | DOMAIN type | FUNCTION function [( old )] | PROCEDURE procedure [( old )] | DATABASE new | ROLE role | CONSTRAINT new ON table | TRIGGER trigger ON table> IS <value | NULL>
        LOCK [+TABLE] [ONLY] table [, table ...] [IN <ACCESS SHARE | ROW SHARE | ROW EXCLUSIVE | SHARE UPDATE EXCLUSIVE | SHARE | SHARE ROW EXCLUSIVE | EXCLUSIVE | ACCESS EXCLUSIVE> MODE] [NOWAIT]
        VACUUM [( <\(vacuumOption)> [, <\(vacuumOption)> ...] )] [FULL] [FREEZE] [VERBOSE] [ANALYZE] [table [( column [, column ...] )]]
        ANALYZE [VERBOSE] [table [( column [, column ...] )]]
        CLUSTER [VERBOSE] [table [USING index]]
        REINDEX [( old )] <TABLE [CONCURRENTLY] table | INDEX [CONCURRENTLY] index | SCHEMA [CONCURRENTLY] schema | DATABASE new | SYSTEM new>
        REFRESH MATERIALIZED VIEW [CONCURRENTLY] materialized [WITH [NO] DATA]
        TRUNCATE [TABLE] [ONLY] table [, table ...] [RESTART IDENTITY | CONTINUE IDENTITY] [CASCADE | RESTRICT]
        BEGIN [TRANSACTION | WORK] \(transactionModes)
        START TRANSACTION \(transactionModes)
        SET TRANSACTION \(transactionModes)
        SET ROLE <NONE | role>
        COMMIT [TRANSACTION | WORK] [AND CHAIN | AND NO CHAIN]
        ROLLBACK [TO [SAVEPOINT] new] [TRANSACTION | WORK] [AND CHAIN | AND NO CHAIN]
        RELEASE [+SAVEPOINT] new
        TABLE [ONLY] relation
        DISCARD <ALL | PLANS | SEQUENCES | TEMP>
        DEALLOCATE [PREPARE] <ALL | new>
        DECLARE new [BINARY] [SCROLL | NO SCROLL] CURSOR [<WITH | WITHOUT> HOLD] FOR old
        FETCH [NEXT | PRIOR | FIRST | LAST | ABSOLUTE value | RELATIVE value | ALL | FORWARD [ALL] | BACKWARD [ALL]] [FROM | IN] new
        EXPLAIN ( <\(explainOption)> [, <\(explainOption)> ...] ) old
        CREATE TABLE [IF NOT EXISTS] new <AS old | ( old ) [PARTITION BY <RANGE ( defined [, defined ...] ) | LIST ( defined ) | HASH ( defined [, defined ...] )>] [INHERITS ( table [, table ...] )] [WITH ( old )] [TABLESPACE new] [ON COMMIT <PRESERVE ROWS | DELETE ROWS | DROP>] [AS old] | PARTITION OF table <FOR VALUES <FROM ( old ) TO ( old ) | IN ( old ) | WITH ( old )> | DEFAULT | ( old )>>
        CREATE UNLOGGED TABLE [IF NOT EXISTS] new old
        SAVEPOINT new
        EXECUTE new [( old )]
        DO [LANGUAGE <plpgsql! | sql!>] value
        CREATE INDEX [CONCURRENTLY] [-IF NOT EXISTS] [new] ON [ONLY] relation [USING <btree! | hash! | gin! | gist! | brin! | spgist!>] ( old ) [INCLUDE ( old )] [WITH ( old )] [TABLESPACE new] [WHERE condition [condition ...]]
        CREATE UNIQUE INDEX [CONCURRENTLY] [-IF NOT EXISTS] [new] ON [ONLY] relation [USING btree!] ( old ) [INCLUDE ( old )] [WITH ( old )] [TABLESPACE new] [WHERE condition [condition ...]]
        CREATE [OR REPLACE] TRIGGER new <BEFORE | AFTER | INSTEAD OF> <INSERT | UPDATE [OF old] | DELETE | TRUNCATE> [OR <INSERT | UPDATE [OF old] | DELETE | TRUNCATE> ...] ON relation [FROM table] [FOR EACH <ROW | STATEMENT>] [WHEN ( old )] <EXECUTE FUNCTION | EXECUTE PROCEDURE> function
        CREATE SEQUENCE [-IF NOT EXISTS] new [AS type] [INCREMENT [+BY] value] [MINVALUE value | NO MINVALUE] [MAXVALUE value | NO MAXVALUE] [START [+WITH] value] [CACHE value] [CYCLE | NO CYCLE] [OWNED BY <NONE | old>]
        CREATE TYPE new AS <ENUM ( value [, value ...] ) | RANGE ( old ) | ( old )>
        CREATE DOMAIN new AS type [COLLATE old] [DEFAULT old] [CONSTRAINT new] [NOT NULL | NULL | CHECK ( old )]
        CREATE SCHEMA [IF NOT EXISTS] [new] [AUTHORIZATION role]
        CREATE EXTENSION [IF NOT EXISTS] new [WITH] [SCHEMA schema] [VERSION value] [CASCADE]
        CREATE POLICY new ON table [AS <PERMISSIVE | RESTRICTIVE>] [FOR <ALL | SELECT | INSERT | UPDATE | DELETE>] [TO <PUBLIC | CURRENT_USER | role>] [USING ( condition [condition ...] )] [WITH CHECK ( condition [condition ...] )]
        CREATE [OR REPLACE] <FUNCTION | PROCEDURE> new ( old ) [RETURNS type [( old )]] [LANGUAGE <sql! | plpgsql!>] [IMMUTABLE | STABLE | VOLATILE] [STRICT] [SECURITY DEFINER | SECURITY INVOKER] [PARALLEL <SAFE | RESTRICTED | UNSAFE>] [COST value] [ROWS value] [AS value]
        """)

    private static let postgresqlAction = """
        ADD [+COLUMN] [-IF NOT EXISTS] new type old | DROP [+COLUMN] [-IF EXISTS] column [CASCADE | RESTRICT] | RENAME TO new | RENAME [+COLUMN] column TO new | ADD CONSTRAINT new <\(constraint)> | ADD <\(constraint)> | RENAME CONSTRAINT new TO new | DROP CONSTRAINT [-IF EXISTS] new [CASCADE | RESTRICT] | ALTER [+COLUMN] column <TYPE type [( value [, value] )] [COLLATE old] [USING condition [condition ...]] | SET DEFAULT old | DROP DEFAULT | SET NOT NULL | DROP NOT NULL | SET DATA TYPE type | DROP IDENTITY [IF EXISTS] | DROP EXPRESSION [IF EXISTS] | ADD GENERATED <ALWAYS | BY DEFAULT> AS IDENTITY | SET STATISTICS value | SET STORAGE <PLAIN | EXTERNAL | EXTENDED | MAIN> | SET GENERATED <ALWAYS | BY DEFAULT>> | OWNER TO <CURRENT_USER | role> | SET SCHEMA schema | ENABLE ROW LEVEL SECURITY | ENABLE TRIGGER <ALL | USER | trigger> | DISABLE ROW LEVEL SECURITY | DISABLE TRIGGER <ALL | USER | trigger> | FORCE ROW LEVEL SECURITY | ATTACH PARTITION table <DEFAULT | FOR VALUES old> | DETACH PARTITION table [CONCURRENTLY | FINALIZE] | VALIDATE CONSTRAINT new | INHERIT table | NO INHERIT table | SET LOGGED | SET UNLOGGED | SET TABLESPACE new | SET ( old ) | CLUSTER ON index | REPLICA IDENTITY <DEFAULT | FULL | NOTHING | USING INDEX index>
        """
    private static let constraint = """
        PRIMARY KEY ( column [, column ...] ) | UNIQUE ( column [, column ...] ) | CHECK ( old ) | FOREIGN KEY ( column [, column ...] ) REFERENCES old | EXCLUDE [USING new] ( old )
        """
    private static let privilege =
        "<SELECT | INSERT | UPDATE | DELETE | TRUNCATE | REFERENCES | TRIGGER | CREATE | CONNECT | TEMPORARY | EXECUTE | USAGE>"
    private static let copyOption = """
        FORMAT <csv! | text! | binary!> | HEADER [true! | false!] | DELIMITER value | NULL value | QUOTE value | ESCAPE value | FREEZE | ENCODING value | FORCE_QUOTE ( column [, column ...] ) | FORCE_NOT_NULL ( column [, column ...] )
        """
    private static let vacuumOption =
        "FULL | FREEZE | VERBOSE | ANALYZE | SKIP_LOCKED | DISABLE_PAGE_SKIPPING | INDEX_CLEANUP | TRUNCATE | PARALLEL value"
    private static let explainOption =
        "ANALYZE | VERBOSE | COSTS | SETTINGS | BUFFERS | WAL | TIMING | SUMMARY | FORMAT <TEXT | JSON | XML | YAML>"
    private static let transactionMode =
        "ISOLATION LEVEL <SERIALIZABLE | REPEATABLE READ | READ COMMITTED | READ UNCOMMITTED> | READ ONLY | READ WRITE | DEFERRABLE | NOT DEFERRABLE"
    private static let transactionModes = "[<\(transactionMode)>] [[,] <\(transactionMode)> ...]"

    // - Source: https://dev.mysql.com/doc/refman/8.4/en/sql-statements.html, https://mariadb.com/kb/en/sql-statements/
    private static let mysql = table(
        """
        ALTER TABLE table <\(mysqlAction)> [, <\(mysqlAction)> ...]
        ALTER <DATABASE schema | SCHEMA schema> <CHARACTER SET new | COLLATE new>
        ANALYZE [LOCAL] TABLE table [, table ...]
        OPTIMIZE [LOCAL] TABLE table [, table ...]
        CHECK TABLE table [, table ...] [FOR UPGRADE | QUICK | FAST | MEDIUM | EXTENDED | CHANGED]
        REPAIR [LOCAL] TABLE table [, table ...] [QUICK] [EXTENDED] [USE_FRM]
        RENAME <TABLE table TO new [, table TO new ...] | USER role TO role [, role TO role ...]>
        HANDLER table <OPEN [[AS] new] | READ <FIRST | NEXT | index <FIRST | NEXT | PREV | LAST | = ( old ) >> [WHERE old] [LIMIT value] | CLOSE>
        LOAD <DATA | XML> [LOW_PRIORITY | CONCURRENT] [LOCAL] INFILE value [REPLACE | IGNORE] INTO TABLE table [PARTITION ( old )] [CHARACTER SET new] [<FIELDS | COLUMNS> <TERMINATED BY value | ENCLOSED BY value | ESCAPED BY value | OPTIONALLY ENCLOSED BY value> [<TERMINATED BY value | ENCLOSED BY value | ESCAPED BY value> ...]] [LINES <STARTING BY value | TERMINATED BY value> [<STARTING BY value | TERMINATED BY value> ...]] [IGNORE value <LINES | ROWS>] [( column [, column ...] )] [SET old]
        LOCK <TABLES | TABLE> table [[AS] new] <READ [LOCAL] | [LOW_PRIORITY] WRITE> [, table [[AS] new] <READ [LOCAL] | [LOW_PRIORITY] WRITE> ...]
        UNLOCK TABLES
        TABLE table
        FLUSH [LOCAL] <TABLES [table [, table ...]] [WITH READ LOCK | FOR EXPORT] | PRIVILEGES | LOGS | BINARY LOGS | ERROR LOGS | SLOW LOGS | STATUS | USER_RESOURCES | HOSTS>
        KILL <QUERY | CONNECTION> value
        START TRANSACTION [<READ ONLY | READ WRITE | WITH CONSISTENT SNAPSHOT> [, <READ ONLY | READ WRITE | WITH CONSISTENT SNAPSHOT> ...]]
        BEGIN [WORK]
        COMMIT [WORK] [AND CHAIN | AND NO CHAIN] [RELEASE | NO RELEASE]
        ROLLBACK [TO [SAVEPOINT] new] [WORK] [AND CHAIN | AND NO CHAIN] [RELEASE | NO RELEASE]
        RELEASE SAVEPOINT new
        SET TRANSACTION <ISOLATION LEVEL <REPEATABLE READ | READ COMMITTED | READ UNCOMMITTED | SERIALIZABLE> | READ ONLY | READ WRITE> [, <ISOLATION LEVEL <REPEATABLE READ | READ COMMITTED | READ UNCOMMITTED | SERIALIZABLE> | READ ONLY | READ WRITE> ...]
        SET NAMES <utf8mb4! | utf8mb3! | latin1! | binary! | DEFAULT> [COLLATE old]
        SET PASSWORD <FOR role = value | = value>
        PREPARE new FROM value
        DEALLOCATE PREPARE new
        XA <START value | END value | PREPARE value | COMMIT value [ONE PHASE] | ROLLBACK value | RECOVER>
        EXPLAIN FORMAT = <JSON | TREE | TRADITIONAL> old
        EXPLAIN ANALYZE <old | FORMAT = <TREE | JSON> old>
        ANALYZE FORMAT = JSON old
        GRANT <<\(mysqlPrivilege)> [( old )] [, <\(mysqlPrivilege)> [( old )] ...] | ALL [PRIVILEGES]> ON [TABLE] relation TO role [, role ...] [WITH GRANT OPTION]
        REVOKE <<\(mysqlPrivilege)> [( old )] [, <\(mysqlPrivilege)> [( old )] ...] | ALL [PRIVILEGES]> ON [TABLE] relation FROM role [, role ...]
        CREATE TABLE [IF NOT EXISTS] new <LIKE table | AS old | ( old ) [ENGINE [=] <InnoDB! | MyISAM! | MEMORY! | Aria!>] [AUTO_INCREMENT [=] value] [DEFAULT <CHARSET [=] new | CHARACTER SET [=] new | COLLATE [=] new>] [CHARSET [=] new] [COLLATE [=] new] [COMMENT [=] value] [ROW_FORMAT [=] new] [PARTITION BY <RANGE ( defined ) | LIST ( defined ) | HASH ( defined ) | KEY ( defined [, defined ...] )> old] [AS old]>
        DROP INDEX index ON table
        DROP PROCEDURE [-IF EXISTS] procedureName
        DROP FUNCTION [-IF EXISTS] functionName
        SAVEPOINT new
        EXECUTE new [USING value]
        DO value
        DESCRIBE <SELECT old | UPDATE old | DELETE old | INSERT old | table [column]>
        DESC <SELECT old | UPDATE old | DELETE old | INSERT old | table [column]>
        SHOW CREATE <TABLE relation | VIEW view | DATABASE schema | PROCEDURE procedureName | FUNCTION functionName | TRIGGER trigger | EVENT new | USER role>
        SHOW FULL <COLUMNS FROM relation | TABLES [FROM schema] | PROCESSLIST>
        SHOW TABLE STATUS [FROM schema] [LIKE value]
        SHOW VARIABLES [LIKE value | WHERE old]
        SHOW STATUS [LIKE value | WHERE old]
        SHOW <GLOBAL | SESSION> <VARIABLES | STATUS> [LIKE value | WHERE old]
        SHOW GRANTS [FOR role]
        DROP TRIGGER [-IF EXISTS] trigger
        DROP TABLE [-IF EXISTS] table [, table ...]
        CREATE <INDEX | UNIQUE INDEX | FULLTEXT INDEX | SPATIAL INDEX> new [-USING <BTREE | HASH>] ON table ( old )
        CREATE [OR REPLACE] TRIGGER [-IF NOT EXISTS] new <BEFORE | AFTER> <INSERT | UPDATE | DELETE> ON table FOR EACH ROW [<FOLLOWS | PRECEDES> trigger] old
        CREATE [OR REPLACE] FUNCTION [-IF NOT EXISTS] new ( old ) RETURNS type [( old )] [DETERMINISTIC | NOT DETERMINISTIC] [CONTAINS SQL | NO SQL | READS SQL DATA | MODIFIES SQL DATA] [SQL SECURITY <DEFINER | INVOKER>] [COMMENT value] [RETURN old] [BEGIN]
        """)

    private static let mysqlAction = """
        ADD [+COLUMN] [-IF NOT EXISTS] new old | DROP [+COLUMN] [-IF EXISTS] column | RENAME TO new | RENAME [+COLUMN] column TO new | RENAME INDEX index TO new | ADD PRIMARY KEY ( column [, column ...] ) | ADD <INDEX | KEY> [new] ( column [, column ...] ) | ADD UNIQUE [INDEX | KEY] [new] ( column [, column ...] ) | ADD FULLTEXT [INDEX | KEY] [new] ( column [, column ...] ) | ADD FOREIGN KEY [new] ( column [, column ...] ) REFERENCES old | ADD CHECK ( old ) | ADD CONSTRAINT new <\(mysqlConstraint)> | DROP <INDEX | KEY> index | DROP PRIMARY KEY | DROP FOREIGN KEY new | DROP CONSTRAINT new | ALTER [+COLUMN] column <SET DEFAULT old | DROP DEFAULT> | MODIFY [+COLUMN] column type old | CHANGE [+COLUMN] column new type old | ENGINE [=] <InnoDB! | MyISAM! | MEMORY! | Aria!> | CONVERT TO CHARACTER SET new [COLLATE old] | ORDER BY column [ASC | DESC] | AUTO_INCREMENT [=] value | COMMENT [=] value | DISABLE KEYS | ENABLE KEYS | FORCE | DEFAULT CHARACTER SET [=] new | TRUNCATE PARTITION new | DROP PARTITION new
        """
    private static let mysqlConstraint =
        "PRIMARY KEY ( column [, column ...] ) | UNIQUE ( column [, column ...] ) | CHECK ( old ) | FOREIGN KEY ( column [, column ...] ) REFERENCES old"
    private static let mysqlPrivilege =
        "SELECT | INSERT | UPDATE | DELETE | CREATE | DROP | ALTER | INDEX | REFERENCES | TRIGGER | EXECUTE | CREATE VIEW | SHOW VIEW | CREATE ROUTINE | ALTER ROUTINE | EVENT | LOCK TABLES | CREATE USER | PROCESS | RELOAD | FILE | USAGE"

    private static func table(_ text: String) -> [String: [Syntax]] {
        Dictionary(grouping: text.split(separator: "\n")) { String($0.prefix { $0 != " " }) }
            .mapValues { $0.map { Syntax(String($0)) } }
    }
}
