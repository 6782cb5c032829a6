"""A pooled connection remembers nothing: all visible state of each engine, before and after a hostile user of the connection.

The state is the server's own list where it has one (pg_settings, SHOW SESSION VARIABLES, CLIENT INFO), and whatever else one
statement can leave for the next: locks, temporary objects, prepared statements, cursors, roles, the current database.
"""

import time

import pytest

from daemon import wait_until
from identity import connect_as, needs_root
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import RequestFailed

STRANGER = 60003
# What a view, a trigger or an operator calls is not seen by the daemon: such a connection is made clean after this time.
UNPROVEN_SECONDS = 1.0


class PostgreSQLState:
    """`hostile` is for sessions; `alone` needs none; `hidden` is what only the server can know."""

    # By the server's clock or by the connection that looks.
    volatile = ()
    identity = "SELECT pg_backend_pid()"
    hostile = [
        ["SET search_path = elsewhere"], ["SET ROLE other"], ["SET SESSION AUTHORIZATION other"], ["SET TIME ZONE 'Asia/Tokyo'"],
        ["SET DateStyle = 'German'"], ["SET standard_conforming_strings = off"], ["SET statement_timeout = 1234"],
        ["SET app.tenant = 'somebody'"], ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"], ["SET client_encoding = 'LATIN1'"],
        ["SET application_name = 'somebody'"], ["CREATE TEMP TABLE leftover(x int)"], ["PREPARE p AS SELECT 1"], ["LISTEN channel"],
        ["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT"], ["SELECT pg_advisory_lock(7)"], ["SELECT setval('counter', 5)"],
        ["BEGIN", "SELECT pg_advisory_xact_lock(8)"], ["BEGIN", "LOCK TABLE thing"], ["BEGIN", "SELECT 1/0"],
        ["SELECT remembers()"], ["DO $$ BEGIN PERFORM remembers(); END $$"], ["SET client_connection_check_interval = 0"]]
    alone = [
        "SELECT pg_advisory_lock(7)", "SELECT pg_try_advisory_lock_shared(1, 2)", "SELECT set_config('search_path', 'elsewhere', false)",
        "SELECT set_config('role', 'other', false)", "SELECT 1 AS x INTO TEMP leftover", "SELECT 1 AS x INTO TEMPORARY TABLE leftover",
        "CREATE TEMP TABLE leftover AS SELECT 1", "SELECT remembers()", "SELECT remembers ()", "SELECT \"remembers\"()",
        "SELECT public . remembers/**/()", "SELECT U&\"remember\\0073\"()", "SELECT U&\"remember!0073\" UESCAPE '!' ()", "CALL keeps()",
        "DO $$ BEGIN PERFORM remembers(); END $$", "EXPLAIN ANALYZE SELECT remembers()", "WITH w AS (SELECT remembers()) SELECT * FROM w",
        "INSERT INTO thing VALUES (remembers())", "UPDATE thing SET x = remembers()", "DELETE FROM thing WHERE x < remembers()",
        "VALUES (remembers())", "SELECT 'a''b', remembers(), 'c'", "SELECT '/*', remembers(), '*/'", "SELECT E'\\'', remembers() -- '",
        "SELECT $a$'$a$, remembers() -- '", "/* ' */ SELECT remembers() -- '", "SELECT /* /* ' */ */ remembers() -- '",
        "SELECT 1 -- '\n, remembers() -- '", "SELECT 1 --\r, remembers()", "SELECT * FROM remembers()", "SELECT * FROM remembers() AS r(x)",
        "SELECT nextval('counter')", "SELECT query_to_xml('SELECT remembers()', true, false, '')", "SELECT x FROM thing ORDER BY remembers()"]
    hidden = ["SELECT * FROM remembering", "INSERT INTO watched VALUES (1)", "SELECT 1 +@ 1", "INSERT INTO filled DEFAULT VALUES"]

    def __init__(self):
        self.server = PostgreSQL()
        self.server.psql("""
            CREATE ROLE other; CREATE ROLE admin LOGIN; GRANT other TO admin; CREATE SCHEMA elsewhere; CREATE SEQUENCE counter; CREATE TABLE thing(x int);
            INSERT INTO thing VALUES (1); GRANT ALL ON thing, counter TO PUBLIC;
            CREATE FUNCTION remembers() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                EXECUTE 'CREATE TEMP TABLE IF NOT EXISTS remembered(x int)'; EXECUTE 'LISTEN remembered';
                PERFORM pg_advisory_lock(11); PERFORM set_config('app.remembered', 'yes', false);
                PERFORM set_config('search_path', 'elsewhere, public', false); PERFORM nextval('public.counter');
                RETURN 1; END $$;
            CREATE PROCEDURE keeps() LANGUAGE plpgsql AS $$ BEGIN PERFORM remembers(); END $$;
            CREATE VIEW remembering AS SELECT remembers();
            CREATE TABLE watched(x int);
            CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.remembers(); RETURN NEW; END $$;
            CREATE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION on_insert();
            CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql AS 'SELECT public.remembers()';
            CREATE OPERATOR +@ (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
            CREATE TABLE filled(x int DEFAULT remembers());
            GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC""")
        # SET SESSION AUTHORIZATION is a superuser's.
        self.server.psql("ALTER ROLE admin SUPERUSER")
        self.url = self.server.url(user="admin")

    def look(self, ask):
        state = {f"setting {name}": value for name, value in ask(
            # A language that was used has settings from then on, with their defaults.
            "SELECT name, setting FROM pg_settings WHERE context <> 'internal' AND name NOT LIKE 'plpgsql.%'")}
        state["users"] = ask("SELECT session_user::text, current_user::text, current_schemas(false)::text")
        # What the look itself holds is not state: the catalogue's own locks.
        state["locks"] = ask("SELECT locktype, objid, mode FROM pg_locks WHERE pid = pg_backend_pid() "
                             "AND (locktype = 'advisory' OR relation::regclass::text IN ('thing', 'watched'))")
        state["temporary"] = ask("SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()")
        state["prepared"] = ask("SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'litebase%'")
        state["cursors"] = ask("SELECT name FROM pg_cursors WHERE name <> ''")
        state["channels"] = ask("SELECT * FROM pg_listening_channels()")
        # A name that was set once is known from then on; its value is gone.
        state["placeholders"] = ask("SELECT nullif(current_setting('app.tenant', true), ''), nullif(current_setting('app.remembered', true), '')")
        return state

    def locks(self):
        return self.server.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").strip()


class MariaDBState:
    volatile = ("timestamp", "pseudo_thread_id", "rand_seed1", "rand_seed2", "last_gtid", "gtid_current_pos", "gtid_binlog_pos",
                "gtid_binlog_state", "gtid_slave_pos", "in_transaction", "error_count", "warning_count")
    identity = "SELECT CONNECTION_ID()"
    hostile = [
        ["USE elsewhere"], ["SET ROLE other"], ["SET @x = 1"], ["SET time_zone = '+09:00'"], ["SET sql_mode = 'ANSI_QUOTES'"],
        ["SET NAMES latin1"], ["SET autocommit = 0"], ["SET SESSION TRANSACTION READ ONLY"], ["SET foreign_key_checks = 0"],
        ["CREATE TEMPORARY TABLE leftover(x int)"], ["PREPARE p FROM 'SELECT 1'"], ["SELECT GET_LOCK('a', 0)"], ["LOCK TABLES thing WRITE"],
        ["FLUSH TABLES thing WITH READ LOCK"], ["HANDLER thing OPEN"], ["BEGIN", "UPDATE thing SET x = 2"], ["SELECT LAST_INSERT_ID(77)"],
        ["INSERT INTO numbered(x) VALUES (1)"], ["SELECT remembers()"], ["CALL keeps()"], ["SET insert_id = 9"], ["SET @@rand_seed1 = 5"],
        ["SET SESSION wait_timeout = 5"], ["SET profiling = 1", "SELECT 1"], ["DROP DATABASE elsewhere", "CREATE DATABASE elsewhere"],
        ["USE elsewhere", "DROP DATABASE elsewhere", "CREATE DATABASE elsewhere"], ["SELECT NEXTVAL(counter)"],
        ["DROP DATABASE lb", "CREATE DATABASE lb"], ["SET character_set_results = NULL"], ["SET default_storage_engine = 'MyISAM'"],
        ["BACKUP LOCK thing"], ["SET SESSION optimizer_trace = 'enabled=on'", "SELECT 1"]]
    alone = [
        "SELECT GET_LOCK('a', 0)", "DO GET_LOCK('a', 0)", "SELECT GET_LOCK ('a', 0)", "SELECT get_lock/**/('a', 0)", "SELECT @x := 5",
        "SELECT 1 INTO @x", "SELECT x INTO @x FROM thing LIMIT 1", "SELECT remembers()", "SELECT `remembers`()", "SELECT lb . remembers ()",
        "SELECT lb.`remembers` ()", "CALL keeps()", "CREATE TEMPORARY TABLE leftover(x int)", "INSERT INTO thing VALUES (remembers())",
        "UPDATE thing SET x = remembers()", "WITH w AS (SELECT remembers()) SELECT * FROM w", "SELECT 'a''b', remembers(), 'c'",
        "SELECT '/*', remembers(), '*/'", "SELECT '\\'', remembers() -- '", "SELECT '\\', remembers() -- '", "/* ' */ SELECT remembers() -- '",
        "SELECT 1 # '\n, remembers() # '", "SELECT 1 /*! , remembers() */", "/*!50000 SELECT remembers() */", "SELECT 1--'\n + remembers() -- '",
        "SELECT LAST_INSERT_ID(77)", "SELECT SETVAL(counter, 5)", "SELECT NEXT VALUE FOR counter", "SELECT * FROM thing PROCEDURE ANALYSE()",
        "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE elsewhere'; END", "BEGIN NOT ATOMIC SET ROLE other; END", "SELECT \"a\", remembers(), \"b\"",
        "INSERT INTO thing VALUES (1) RETURNING remembers()", "VALUES (remembers())", "SELECT SQL_CALC_FOUND_ROWS remembers()",
        "EXPLAIN EXTENDED SELECT (SELECT remembers())", "ANALYZE SELECT remembers()", "DROP DATABASE elsewhere",
        "SET STATEMENT max_statement_time = 5 FOR SELECT remembers()", "FLUSH TABLES WITH READ LOCK", "FLUSH TABLES thing FOR EXPORT"]
    hidden = ["SELECT * FROM remembering", "INSERT INTO watched VALUES (1)", "INSERT INTO filled VALUES ()"]

    def __init__(self, database="lb"):
        self.server = MariaDB()
        self.set_up()
        self.url = self.server.url(user="admin", database=database)

    def set_up(self):
        self.server.sql("CREATE ROLE IF NOT EXISTS other; GRANT other TO admin@localhost; CREATE DATABASE IF NOT EXISTS elsewhere")
        self.server.sql("CREATE TABLE IF NOT EXISTS thing(x int); INSERT INTO thing VALUES (1); CREATE SEQUENCE IF NOT EXISTS counter;\n"
                        "CREATE TABLE IF NOT EXISTS numbered(id int AUTO_INCREMENT PRIMARY KEY, x int);\nDELIMITER //\n"
                        "CREATE OR REPLACE FUNCTION remembers() RETURNS int BEGIN SET @remembered = 1; SET SESSION time_zone = '+05:00';\n"
                        "DO GET_LOCK('remembered', 0); RETURN 1; END//\n"
                        "CREATE OR REPLACE PROCEDURE keeps() BEGIN DO remembers(); SET ROLE other; END//\n"
                        "CREATE OR REPLACE VIEW remembering AS SELECT remembers()//\nCREATE TABLE IF NOT EXISTS watched(x int)//\n"
                        "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW DO remembers()//\n"
                        "CREATE TABLE IF NOT EXISTS filled(x int)//\n"
                        "CREATE OR REPLACE TRIGGER f BEFORE INSERT ON filled FOR EACH ROW DO remembers()//\n", "lb")

    def look(self, ask):
        # First what the looks themselves would change.
        last = ask("SELECT LAST_INSERT_ID(), @@warning_count, @@identity")
        state = {name: value for name, value in ask("SHOW SESSION VARIABLES")}
        state["last"] = [last, ask("SELECT LASTVAL(lb.counter)"), ask("SHOW PROFILES"), ask("SELECT TRACE FROM information_schema.OPTIMIZER_TRACE")]
        state["names"] = [ask("EXECUTE p"), ask("HANDLER thing READ FIRST"), ask("SELECT 1 FROM lb.leftover"), ask("SELECT 1 FROM lb.watched LIMIT 0")]
        state["place"] = ask("SELECT DATABASE(), CURRENT_USER(), CURRENT_ROLE()")
        state["users"] = ask("SELECT @x, @remembered, IS_USED_LOCK('a'), IS_USED_LOCK('remembered')")
        state["transaction"] = ask("SELECT @@in_transaction, @@autocommit")
        return state

    def locks(self):
        return self.server.sql("SELECT CONCAT(IFNULL(IS_USED_LOCK('a'), ''), IFNULL(IS_USED_LOCK('remembered'), ''))") or "0"


class RedisState:
    volatile = ("age", "idle", "cmd", "qbuf", "qbuf-free", "argv-mem", "multi-mem", "tot-mem", "obl", "oll", "omem", "rbs", "rbp", "tot-net-in",
                "tot-net-out", "tot-cmds", "fd", "id", "addr", "laddr", "lib-name", "lib-ver", "events")
    identity = "CLIENT ID"
    hostile = [["SELECT 5"], ["MULTI"], ["MULTI", "SET a 1"], ["MULTI", "NOSUCH"], ["WATCH a"], ["SELECT 5", "MULTI", "SELECT 6"],
               ["SELECT 5", "MULTI", "SELECT 6", "EXEC"], ["EVAL \"redis.call('select', 3)\" 0"], ["MULTI", "WATCH a"],
               ["MULTI", "SELECT 4", "DISCARD"]]
    alone = ["EVAL \"redis.call('select', 3)\" 0", "EVAL \"return redis.setresp(3)\" 0"]
    # Nothing of these may be taken, with a session or without.
    refused = ["AUTH x", "HELLO 3", "RESET", "QUIT", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "CLIENT SETNAME x", "CLIENT TRACKING ON",
               "CLIENT CACHING YES", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "CLIENT SETINFO LIB-NAME x", "SUBSCRIBE a", "PSUBSCRIBE a",
               "SSUBSCRIBE a", "MONITOR", "SYNC", "PSYNC ? -1", "REPLCONF listening-port 1", "READONLY", "READWRITE", "ASKING",
               "SCRIPT DEBUG YES", "client  reply  off", "\"CLIENT\" \"REPLY\" \"OFF\""]
    hidden = []

    def __init__(self):
        self.server = Redis()
        self.url = self.server.url(db=2)

    def look(self, ask):
        line = ask("CLIENT INFO")[0][0]
        return dict(item.split("=", 1) for item in line.split())

    def locks(self):
        return "0"


ENGINES = {"postgresql": PostgreSQLState, "mariadb": MariaDBState, "mariadb without a database": lambda: MariaDBState(""), "redis": RedisState}


class Setting:
    def __init__(self, engine, start_daemon, directory):
        self.engine = engine
        directory.chmod(0o755)
        (directory / "state.toml").write_text(
            f'[limits]\npool_connections_max = 1\n[databases.db]\nurl = "{engine.url}"\n[databases.wide]\nurl = "{engine.url}"\n'
            "pool_connections_max = 4\n")
        self.daemon = start_daemon("--config", directory / "state.toml", "--socket-mode=666", directory=directory)
        self.client = self.daemon.connect()
        self.fresh = self.look(self.client)

    def stranger(self):
        client = connect_as(self.daemon.socket_path, STRANGER)
        self.daemon.clients.append(client)
        return client

    def look(self, client, database="db"):
        """The state that somebody finds who opens a session."""
        session = client.session(database=database)

        def ask(sql):
            try:
                return [list(row) for row in client.query(sql, session=session).rows]
            except RequestFailed as failure:
                return failure.code

        state = self.engine.look(ask)
        client.call("db_disconnect", {"session": session})
        return {name: value for name, value in state.items() if name not in self.engine.volatile}

    def check(self, what):
        found = self.look(self.client)
        left = {name: (self.fresh.get(name), found.get(name)) for name in {*self.fresh, *found} if self.fresh.get(name) != found.get(name)}
        assert not left, f"{what} left: {left}"

    def repair(self):
        if isinstance(self.engine, MariaDBState):
            self.engine.set_up()


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request):
    made = ENGINES[request.param]()
    yield made
    made.server.discard()


@pytest.fixture
def setting(engine, start_daemon, directory):
    return Setting(engine, start_daemon, directory)


def run(client, sql, **options):
    """Whether the server has taken it."""
    try:
        client.query(sql, **options)
        return True
    except RequestFailed:
        return False


def test_a_session_leaves_nothing(setting, engine):
    taken = 0
    for statements in engine.hostile:
        session = setting.client.session(database="db")
        if isinstance(engine, MariaDBState):
            run(setting.client, "USE lb", session=session)
        taken += [run(setting.client, sql, session=session) for sql in statements].count(True)
        setting.client.call("db_disconnect", {"session": session})
        if any("DROP DATABASE" in sql for sql in statements):
            setting.repair()
        setting.check(statements)
    assert taken > sum(map(len, engine.hostile)) * 0.7, "most of what was tried is a statement of that server"


def test_a_statement_without_a_session_leaves_nothing(setting, engine):
    for sql in engine.alone:
        run(setting.client, sql, database="db")
        if "DROP DATABASE" in sql:
            setting.repair()
        setting.check(sql)


def test_a_lock_is_gone_with_its_reply(setting, engine):
    """Another connection of the pool must not wait for what an idle one holds."""
    for sql in engine.alone:
        run(setting.client, sql, database="wide")
        assert engine.locks() == "0", sql


def test_what_the_server_calls_by_itself_stays_a_second_at_most(setting, engine):
    for sql in engine.hidden:
        for _ in range(3):
            run(setting.client, sql, database="wide")
        wait_until(lambda: engine.locks() == "0", sql, timeout=UNPROVEN_SECONDS + 1)


def test_what_the_server_calls_by_itself_ends_on_a_busy_connection_too(setting, engine):
    if not engine.hidden:
        pytest.skip("scripts of Redis leave nothing")
    run(setting.client, engine.hidden[0], database="db")
    deadline = time.monotonic() + UNPROVEN_SECONDS + 1
    while engine.locks() != "0":
        assert time.monotonic() < deadline
        for _ in range(20):
            run(setting.client, "SELECT 1", database="db")


@needs_root
def test_another_user_finds_nothing_even_at_once(setting, engine):
    stranger = setting.stranger()
    for sql in engine.hidden + engine.alone:
        run(setting.client, sql, database="db")
        if "DROP DATABASE" in sql:
            setting.repair()
        found = setting.look(stranger)
        assert found == setting.fresh, sql


def test_plain_statements_keep_their_connection_as_it_is(setting, engine):
    """What is allowed to stay costs no reset: the server has nothing else to do behind it."""
    if not isinstance(engine, PostgreSQLState):
        pytest.skip("shown by pg_stat_activity")
    last = "SELECT query FROM pg_stat_activity WHERE application_name LIKE 'litebase%' ORDER BY query_start DESC LIMIT 1"
    for sql, stays in [("SELECT count(*), max(x), coalesce(sum(x), 0) FROM thing WHERE x IN (1, 2) AND (x > $1)", True),
                       ("INSERT INTO thing (x) VALUES ($1)", True), ("UPDATE thing SET x = abs(x) WHERE x = $1", True),
                       ("SELECT nextval('counter') + $1", False)]:
        setting.client.query(sql, [1], database="db")
        assert (engine.server.psql(last) == sql) is stays


def test_redis_refuses_what_would_change_the_connection(start_daemon, directory):
    engine = RedisState()
    try:
        setting = Setting(engine, start_daemon, directory)
        session = setting.client.session(database="db")
        for sql in engine.refused:
            for options in ({"database": "wide"}, {"session": session}):
                assert not run(setting.client, sql, **options), sql
        setting.client.call("db_disconnect", {"session": session})
        setting.check("refusals")
    finally:
        engine.server.discard()
