"""Dumps of databases on servers (`litebase export --format sql`, `.dump`): the server's own client and LiteBase load them, and then both have
what was there."""

import difflib
import os
import re
import subprocess

import pytest

from test_cli import LITEBASE, SANITIZER
from test_dumps import WAYS, dumped, inside, loaded, mariadb, objects, postgresql, tables, without_warnings  # noqa: F401
from test_transfers import run

from daemon import Daemon
from mariadb import MariaDB
from postgresql import PostgreSQL
from server_process import find_programs

# It starts database servers.
pytestmark = pytest.mark.slow

END = b"-- End of the dump.\n"

# Behind what test_dumps.py has: values of sequences, what is older than what it depends on, and everything that comes behind the rows.
MORE = r"""
CREATE SEQUENCE counter START 7 INCREMENT 3 CACHE 5 CYCLE MAXVALUE 1000; SELECT nextval('counter');
CREATE SEQUENCE untouched START 50; SELECT setval('untouched', 77, false);
CREATE TABLE serials(id serial PRIMARY KEY, always int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5), "q ""x" text DEFAULT 'it''s; \' COLLATE "C", n int NOT NULL DEFAULT nextval('counter'), UNIQUE (n, id), CONSTRAINT positive CHECK (n > 0));
INSERT INTO serials("q ""x") VALUES ('a'), (NULL);
CREATE FUNCTION doubled(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2';
CREATE TABLE uses(a int CHECK (doubled(a) > 0), b int GENERATED ALWAYS AS (doubled(a)) STORED, c int DEFAULT doubled(2));
INSERT INTO uses(a) VALUES (4);
CREATE FUNCTION rows_of() RETURNS SETOF uses LANGUAGE sql AS 'SELECT * FROM uses';
CREATE PROCEDURE done(x int) LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE VIEW second AS SELECT 1 AS a;
CREATE VIEW early AS SELECT * FROM second;
CREATE TABLE later(x int, at date NOT NULL);
CREATE OR REPLACE VIEW second AS SELECT count(*)::int AS a FROM later;
CREATE TABLE child(y int) INHERITS (later);
CREATE TABLE orphan(at date NOT NULL, x int, CONSTRAINT own CHECK (x < 100));
ALTER TABLE parted ATTACH PARTITION orphan FOR VALUES FROM ('2030-01-01') TO ('2040-01-01');
INSERT INTO orphan VALUES ('2035-01-01', 5); INSERT INTO child VALUES (1, '2020-01-01', 2); INSERT INTO later VALUES (9, '2020-01-01');
CREATE INDEX of_orphan ON orphan(x); CREATE INDEX of_parted ON parted(at, x);
CREATE TABLE attached(x int); CREATE TABLE above(x int); ALTER TABLE attached INHERIT above;
CREATE UNIQUE INDEX of_kept ON kept(count);
ALTER TABLE plain DISABLE TRIGGER watch;
ALTER TABLE uses ENABLE ROW LEVEL SECURITY; CREATE POLICY "own rows" ON uses FOR SELECT TO PUBLIC USING (a > 1);
COMMENT ON COLUMN serials."q ""x" IS 'c''1'; COMMENT ON INDEX by_said IS 'i'; COMMENT ON SCHEMA "other schema" IS 's'; COMMENT ON TYPE mood IS 't'; COMMENT ON DOMAIN short IS 'd';
COMMENT ON FUNCTION doubled(int) IS 'f'; COMMENT ON TRIGGER watch ON plain IS 'tr'; COMMENT ON CONSTRAINT positive ON serials IS 'k'; COMMENT ON VIEW seen IS 'v'; COMMENT ON SEQUENCE counter IS 'q'; COMMENT ON MATERIALIZED VIEW kept IS 'm';
COMMENT ON CONSTRAINT short_check ON DOMAIN short IS 'dk'; COMMENT ON COLUMN pair.a IS 'pa'; COMMENT ON PROCEDURE done(int) IS 'pr'; COMMENT ON RULE twofold ON parted IS 'ru'; COMMENT ON POLICY "own rows" ON uses IS 'po';
CREATE SCHEMA empty;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA "other schema";
CREATE UNLOGGED TABLE quick(a int) WITH (fillfactor=70);
CREATE TYPE span AS RANGE (SUBTYPE = int8);
CREATE TYPE wraps AS (m mood, p pair[]);
CREATE STATISTICS st ON id, n FROM serials;
ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (y) REFERENCES plain(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID;
CREATE ROLE reader; CREATE ROLE "writer; '$$\"; GRANT USAGE ON SCHEMA "other schema" TO reader; GRANT SELECT, UPDATE ON uses TO reader WITH GRANT OPTION; GRANT INSERT (a) ON uses TO "writer; '$$\";
GRANT USAGE ON SEQUENCE counter TO reader; REVOKE EXECUTE ON FUNCTION doubled(int) FROM PUBLIC; GRANT EXECUTE ON FUNCTION doubled(int) TO reader; REVOKE USAGE ON TYPE mood FROM PUBLIC; GRANT EXECUTE ON PROCEDURE done(int) TO "writer; '$$\";
GRANT CREATE ON SCHEMA public TO reader; REVOKE TRUNCATE ON later FROM lb; CREATE POLICY theirs ON uses AS RESTRICTIVE FOR UPDATE TO reader, "writer; '$$\" USING (b > 1) WITH CHECK (b < 100);
CREATE VIEW base AS SELECT 1 AS a; CREATE FUNCTION of_base() RETURNS SETOF base LANGUAGE sql AS 'SELECT 2'; CREATE VIEW on_function AS SELECT * FROM of_base(); CREATE OR REPLACE VIEW base AS SELECT a FROM uses;
CREATE FUNCTION is_even(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0'; CREATE DOMAIN even AS int CHECK (is_even(VALUE)) DEFAULT 2;
CREATE FUNCTION apart(a time, b time) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT extract(epoch FROM a - b)'; CREATE TYPE times AS RANGE (SUBTYPE = time, SUBTYPE_DIFF = apart, MULTIRANGE_TYPE_NAME = manytimes);
CREATE TABLE hours(h times, hs manytimes, e even, o bool DEFAULT is_even(4)); INSERT INTO hours VALUES ('[10:00,12:00)', '{[1:00,2:00)}', 4);
CREATE TYPE named AS (a int, b text COLLATE "C"); CREATE TABLE typed OF named (a PRIMARY KEY); INSERT INTO typed VALUES (1, 'x'); CREATE TABLE whole(t typed, many later[]); INSERT INTO whole VALUES (ROW(1, 'a'), ARRAY[ROW(1, '2020-01-01')::later]);
CREATE TABLE ranges(a int NOT NULL, b text, c int) PARTITION BY RANGE (a); CREATE TABLE other_order(c int, gone int, b text DEFAULT 'own', a int NOT NULL, CHECK (c > 0)); ALTER TABLE other_order DROP gone; ALTER TABLE ranges ATTACH PARTITION other_order FOR VALUES FROM (0) TO (10);
CREATE TABLE by_default PARTITION OF ranges DEFAULT; ALTER TABLE ranges ADD PRIMARY KEY (a), ADD CHECK (a < 1000), ADD FOREIGN KEY (a) REFERENCES plain(id); INSERT INTO plain(id) VALUES (500), (505); INSERT INTO ranges VALUES (500, 'x', 1), (505, 'y', 2), (5, 'z', 3);
CREATE TABLE heir() INHERITS (uses); ALTER TABLE heir ALTER c SET DEFAULT 9, ALTER a SET NOT NULL; INSERT INTO heir(a) VALUES (8);
CREATE MATERIALIZED VIEW upon AS SELECT count FROM kept WITH NO DATA; CREATE MATERIALIZED VIEW upon_it AS SELECT count + 1 AS n FROM kept; CREATE UNIQUE INDEX of_upon ON upon_it(n); ALTER MATERIALIZED VIEW upon_it CLUSTER ON of_upon;
ALTER TABLE many ALTER said SET STORAGE EXTERNAL, ALTER raw SET COMPRESSION pglz, ALTER id SET STATISTICS 500, ALTER id SET (n_distinct = -0.5); ALTER TABLE many REPLICA IDENTITY USING INDEX many_pkey; ALTER TABLE nothing REPLICA IDENTITY FULL; ALTER TABLE many SET (toast.autovacuum_enabled = off);
ALTER TABLE many CLUSTER ON many_pkey; ALTER STATISTICS st SET STATISTICS 7; ALTER VIEW seen ALTER s SET DEFAULT 'd'; ALTER TABLE parted DISABLE RULE twofold; CREATE VIEW checked WITH (security_barrier) AS SELECT a FROM uses WHERE a > 1 WITH LOCAL CHECK OPTION;
COMMENT ON SCHEMA public IS 'ours'; COMMENT ON STATISTICS st IS 'st'; COMMENT ON INDEX of_upon IS 'iu'; CREATE TABLE generated(g int GENERATED ALWAYS AS (1) STORED); INSERT INTO generated DEFAULT VALUES; INSERT INTO generated DEFAULT VALUES;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watched(); CREATE TRIGGER instead INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION watched();
ALTER TABLE orphan ALTER x SET DEFAULT 5; CREATE TABLE deep(a int, b int) PARTITION BY LIST (a); CREATE TABLE deep1 PARTITION OF deep FOR VALUES IN (1) PARTITION BY LIST (b); CREATE TABLE deep11 PARTITION OF deep1 FOR VALUES IN (1); CREATE INDEX deepi ON deep(a); ALTER TABLE deep ADD UNIQUE (a, b);
REFRESH MATERIALIZED VIEW kept; REFRESH MATERIALIZED VIEW upon_it;
"""

# What no dump of LiteBase has.
LEFT_OUT = ["DROP AGGREGATE longest(text)", "DROP PUBLICATION news", "DROP OPERATOR ===(int, int)", "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader",
            "ALTER TABLE foreigners OWNER TO lb"]
MAKE_LEFT_OUT = """CREATE PUBLICATION news; CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
CREATE TABLE foreigners(a int); CREATE ROLE somebody; ALTER TABLE foreigners OWNER TO somebody"""


def export(daemon, *arguments, status=0):
    return run(daemon, "export", "-d", "first", *arguments, "--format", "sql", status=status, text=False)


def differences(wanted, found):
    return "\n".join(difflib.unified_diff(wanted, found, lineterm="", n=1))


@pytest.fixture(scope="module")
def rich(postgresql):  # noqa: F811
    """The dump of the database of test_dumps.py and more, what was said of it, and what pg_dump says of the database."""
    postgresql.psql(MORE, "first")
    postgresql.psql(MAKE_LEFT_OUT, "first")
    daemon = Daemon(databases={"first": postgresql.url("first")})
    try:
        done = export(daemon)
        postgresql.psql("; ".join(LEFT_OUT), "first")
        yield done.stdout, done.stderr, objects(postgresql, "first"), sequences(postgresql, "first")
    finally:
        daemon.discard()


def sequences(postgresql, database):  # noqa: F811
    with inside(postgresql, database) as rows:
        names = [name for [name] in rows("SELECT oid::regclass FROM pg_class WHERE relkind = 'S' ORDER BY oid::regclass::text")]
        return {name: rows(f"SELECT last_value, is_called FROM {name}") for name in names}


def fresh(postgresql, *names):  # noqa: F811
    for name in names:
        postgresql.psql(f"DROP DATABASE IF EXISTS {name}")
        postgresql.psql(f"CREATE DATABASE {name}")


def compare(postgresql, database, rich):  # noqa: F811
    wanted, numbers = rich[2:]
    found = objects(postgresql, database)
    assert found[0] == wanted[0], differences(wanted[0], found[0])
    assert found[1] == wanted[1] and len(wanted[1]) >= 30
    assert sequences(postgresql, database) == numbers and len(numbers) > 4


def by_psql(postgresql, database, script):  # noqa: F811
    return subprocess.run([postgresql.programs["psql"], postgresql.url(database), "-qX", "-v", "ON_ERROR_STOP=1"], input=script,
                          capture_output=True, timeout=120)


def test_postgresql_by_psql(postgresql, rich):  # noqa: F811
    fresh(postgresql, "native")
    done = by_psql(postgresql, "native", rich[0])
    assert (done.returncode, done.stderr) == (0, b""), done.stderr[:2000]
    compare(postgresql, "native", rich)


@pytest.mark.parametrize("way", [*WAYS, "-f"])
def test_postgresql_by_litebase(postgresql, rich, tmp_path, way):  # noqa: F811
    fresh(postgresql, "second")
    daemon = Daemon(databases={"second": postgresql.url("second")})
    try:
        done = loaded_by(daemon, tmp_path, way, rich[0])
        assert done.returncode == 0 and b"litebase:" not in done.stderr, done
    finally:
        daemon.discard()
    compare(postgresql, "second", rich)


def loaded_by(daemon, home, way, script):
    if way != "-f":
        return loaded(daemon.socket_path, home, way, "second", script)
    path = home / "script.sql"
    path.write_bytes(script)
    return shell(daemon, "second", "-f", path, home=home)


def shell(daemon, database, *arguments, home, **options):
    environment = {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket_path, "HOME": str(home), "LC_ALL": "C.UTF-8", **SANITIZER}
    return subprocess.run([LITEBASE, "shell", "-d", database, *map(str, arguments)], env=environment, capture_output=True, timeout=120, **options)


def test_postgresql_names_what_is_left_out(rich):
    script, said = rich[:2]
    guard, head = script.split(b"\nBEGIN;")[0].split(b"\n", 1)
    # No command of psql among the server's own words is obeyed.
    key = re.fullmatch(rb"\\restrict (\w{48})", guard)[1]
    assert all(line.startswith(b"-- ") for line in head.split(b"\n"))
    assert b"whom things belong to" in head
    for left in (b"aggregate: public.longest(pg_catalog.text)", b"publication: news", b"operator: public.===(integer,integer)", b"owner: somebody",
                 b"default acl: for role lb on tables"):
        assert b"-- Not in it either: " + left + b"\n" in head + b"\n", head
        assert b"litebase: not in the dump: " + left + b"\n" in said, said
    assert head.count(b"Not in it either") == said.count(b"\n")
    assert script.endswith(b"COMMIT;\n\\unrestrict " + key + b"\n" + END)


def test_roles_that_are_not_there(postgresql, rich, tmp_path):  # noqa: F811
    """Rights of such a role are not given, which is said; everything else is."""
    script = rich[0].replace(b"TO reader", b"TO nobody_of_that_name")
    script = b"".join(line for line in script.splitlines(keepends=True) if not line.startswith(b"CREATE POLICY theirs"))
    fresh(postgresql, "native", "second")
    said = by_psql(postgresql, "native", script)
    assert said.returncode == 0 and said.stderr.count(b"WARNING:  there is no such role: GRANT ") > 3, said
    assert postgresql.psql("SELECT relacl FROM pg_class WHERE relname = 'uses'", "native") == ""
    daemon = Daemon(databases={"second": postgresql.url("second")})
    try:
        done = loaded_by(daemon, tmp_path, "query <", script)
        assert done.returncode == 0 and done.stderr.count(b"there is no such role: GRANT ") == said.stderr.count(b"no such role"), done
    finally:
        daemon.discard()
    assert objects(postgresql, "native") == objects(postgresql, "second")


def test_rows_that_a_policy_hides_are_not_left_out_in_silence(postgresql, tmp_path):  # noqa: F811
    fresh(postgresql, "hidden")
    postgresql.psql("CREATE TABLE t(a int); INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL SECURITY; "
                    "CREATE POLICY p ON t USING (a = 1); CREATE ROLE guest LOGIN; GRANT SELECT ON t TO guest", "hidden")
    daemon = Daemon(databases={"first": postgresql.url("hidden", "guest")})
    try:
        # 77 is EX_NOPERM of sysexits(3): the server has refused it with 42501, insufficient_privilege.
        done = run(daemon, "export", "-d", "first", "-o", tmp_path / "hidden.sql", status=77, text=False)
        assert b"row-level security" in done.stderr, done
        assert list(tmp_path.iterdir()) == []
        done = export(daemon, status=77)
        assert not done.stdout.endswith(END)
        # What came before the error begins a transaction that nothing ends.
        fresh(postgresql, "native")
        by_psql(postgresql, "native", done.stdout)
        assert postgresql.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "native") == "0"
    finally:
        daemon.discard()


def test_postgresql_tables_of_a_dump(postgresql, rich, tmp_path):  # noqa: F811
    """`.dump` of some tables, with what they use of types and sequences."""
    fresh(postgresql, "second")
    daemon = Daemon(databases={"first": postgresql.url("first"), "second": postgresql.url("second")})
    try:
        done = shell(daemon, "first", "-c", '.dump serials "other schema"."odd "";name" PUBLIC.plain hours', home=tmp_path)
        assert done.returncode == 0 and done.stderr == b"", done
        assert b"COPY" in done.stdout and b"EXTENSION" not in done.stdout and b"CREATE VIEW" not in done.stdout and b"Not in it: functions" in done.stdout
        postgresql.psql("CREATE FUNCTION is_even(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0'; CREATE FUNCTION watched() RETURNS trigger LANGUAGE plpgsql "
                        "AS 'BEGIN RETURN NEW; END'; CREATE FUNCTION apart(a time, b time) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT extract(epoch FROM a - b)'", "second")
        loaded_now = loaded(daemon.socket_path, tmp_path, "query", "second", done.stdout)
        assert loaded_now.returncode == 0, loaded_now
        first, second = objects(postgresql, "first")[1], objects(postgresql, "second")[1]
        assert second and all(first[name] == sums for name, sums in second.items())
        assert sorted(second) == ['"other schema"."odd "";name"', "hours", "plain", "serials"]
        assert sequences(postgresql, "second").items() <= sequences(postgresql, "first").items() and len(sequences(postgresql, "second")) == 4
        missing = shell(daemon, "first", "-c", ".dump serials nix", home=tmp_path)
        assert missing.returncode == 1 and b"there is no table or view nix" in missing.stderr and missing.stdout == b"", missing
        opened = shell(daemon, "first", "-c", "BEGIN", "-c", ".dump serials", home=tmp_path)
        assert opened.returncode == 1 and b"a transaction is open" in opened.stderr and b"CREATE" not in opened.stdout, opened
    finally:
        daemon.discard()


def without_key(script):
    """Each dump has another one."""
    return re.sub(rb"(?m)^(\\(?:un)?restrict) \w{48}$", rb"\1", script)


def test_the_shell_dumps_what_export_dumps(postgresql, rich, tmp_path):  # noqa: F811
    daemon = Daemon(databases={"first": postgresql.url("first")})
    try:
        wanted = without_key(export(daemon).stdout)
        assert without_key(shell(daemon, "first", "-c", ".dump", home=tmp_path).stdout) == wanted
        done = shell(daemon, "first", home=tmp_path, input=f"SET search_path = 'pg_catalog';\n.once {tmp_path}/once\n.dump\n.once |wc -c\n.dump\nSHOW search_path;\n".encode())
        assert done.returncode == 0 and without_key((tmp_path / "once").read_bytes()) == wanted, done
        # The session of the shell is as it was.
        assert done.stdout.split()[0] == str(len(wanted) + 2 * 49).encode() and b"pg_catalog" in done.stdout, done
        # A dump has its own form, whatever is said of other files.
        run(daemon, "export", "-d", "first", "-o", tmp_path / "file.sql", "--null", "a", "--delimiter", ",", "--no-header")
        assert without_key((tmp_path / "file.sql").read_bytes()) == wanted
    finally:
        daemon.discard()


def test_one_moment_of_postgresql(postgresql, tmp_path):  # noqa: F811
    """What others write meanwhile is not in it; and nobody drops a table of which only the definition was read."""
    fresh(postgresql, "first2", "second")
    postgresql.psql("CREATE TABLE a(x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 30000); CREATE TABLE zzz(n int); INSERT INTO zzz VALUES (0)", "first2")
    daemon = Daemon(databases={"first": postgresql.url("first2")})
    try:
        running = subprocess.Popen([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=subprocess.PIPE)
        start = running.stdout.read(1 << 16)
        postgresql.psql("UPDATE zzz SET n = 1; DELETE FROM a", "first2")
        with pytest.raises(subprocess.CalledProcessError):
            postgresql.psql("SET lock_timeout = 100; DROP TABLE zzz", "first2")
        script = start + running.stdout.read()
        assert running.wait(60) == 0
    finally:
        daemon.discard()
    assert by_psql(postgresql, "second", script).returncode == 0
    assert postgresql.psql("SELECT n, (SELECT count(*) FROM a) FROM zzz", "second") == "0|30000"


def test_a_dump_that_is_cut(postgresql, tmp_path):  # noqa: F811
    """It leaves no file under its name, and of what went into a pipe nothing is loaded."""
    fresh(postgresql, "first2", "native")
    postgresql.psql("CREATE TABLE a(x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 30000)", "first2")
    daemon = Daemon(databases={"first": postgresql.url("first2", application_name="cut")})
    try:
        reader, writer = os.pipe()
        with subprocess.Popen([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=writer, stderr=subprocess.PIPE) as running:
            os.close(writer)
            with open(reader, "rb") as pipe:
                start = pipe.read(1 << 16)
                postgresql.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'first2' AND pid <> pg_backend_pid()")
                script = start + pipe.read()
            assert running.wait(60) not in (0, 64) and b"litebase:" in running.stderr.read()
        assert b"COPY" in script and not script.endswith(END)
        by_psql(postgresql, "native", script)
        assert postgresql.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "native") == "0"
        postgresql.psql("DROP TABLE a; CREATE TABLE a(x text); CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'", "first2")
        done = run(daemon, "export", "-d", "first", "-o", tmp_path / "no" / "there.sql", status=74, text=False)
        assert done.stderr
    finally:
        daemon.discard()


def flat_export(daemon):
    """Reads a dump of more than 100 MB, and looks at the memory of the command and of the daemon meanwhile."""
    daemon.reset_peak()
    before = daemon.memory_kib()
    with subprocess.Popen([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=subprocess.PIPE) as running:
        count = peak = 0
        while data := running.stdout.read(1 << 20):
            count += len(data)
            if not SANITIZER and running.poll() is None:
                with open(f"/proc/{running.pid}/status") as status:
                    peak = max([peak, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
        assert running.wait(60) == 0 and count > 100_000_000 and peak < 40 << 10, (count, peak)
    assert daemon.memory_kib("VmHWM") - before < 24 << 10


def test_memory_for_a_dump_of_postgresql_stays_flat(postgresql):  # noqa: F811
    fresh(postgresql, "first2")
    postgresql.psql("CREATE TABLE a(x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 100000)", "first2")
    daemon = Daemon(databases={"first": postgresql.url("first2")})
    try:
        flat_export(daemon)
    finally:
        daemon.discard()


def test_more_objects_than_one_transaction_can_have(postgresql, tmp_path):  # noqa: F811
    """Each object of a transaction has a lock, of which a server has 64 for each of its connections, and this one 60. (5,000 are taken for too many.)"""
    fresh(postgresql, "many_objects", "native", "second")
    postgresql.psql("DO $$BEGIN FOR i IN 1..5100 LOOP EXECUTE format('CREATE VIEW v%s AS SELECT 1 AS a', i); IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END$$", "many_objects")
    postgresql.psql("CREATE TABLE t(a int PRIMARY KEY); INSERT INTO t VALUES (1)", "many_objects")
    daemon = Daemon(databases={"first": postgresql.url("many_objects"), "second": postgresql.url("second")})
    try:
        script = export(daemon).stdout
        assert b"COMMIT;" not in script and b"is no single transaction" in script and script.endswith(END)
        assert by_psql(postgresql, "native", script).returncode == 0
        assert loaded(daemon.socket_path, tmp_path, "query <", "second", script).returncode == 0
    finally:
        daemon.discard()
    for name in ("native", "second"):
        assert postgresql.psql("SELECT (SELECT count(*) FROM pg_views WHERE schemaname = 'public'), (SELECT a FROM t)", name) == "5100|1"


def test_a_circle_is_told(postgresql):  # noqa: F811
    fresh(postgresql, "first2")
    postgresql.psql("CREATE TABLE t(a int); CREATE FUNCTION next_of() RETURNS int BEGIN ATOMIC SELECT max(a) + 1 FROM t; END; ALTER TABLE t ALTER a SET DEFAULT next_of()", "first2")
    daemon = Daemon(databases={"first": postgresql.url("first2")})
    try:
        done = export(daemon)
        assert b"litebase: needs what needs it" in done.stderr and b"-- Warning: needs what needs it" in done.stdout, done
    finally:
        daemon.discard()


def test_a_database_without_an_encoding(tmp_path):
    """Text of SQL_ASCII need not be UTF-8: it is written as it is."""
    server = PostgreSQL(encoding="SQL_ASCII")
    daemon = Daemon(databases={"first": server.url()})
    try:
        server.psql("CREATE TABLE t(a text, b int GENERATED ALWAYS AS IDENTITY); INSERT INTO t(a) VALUES (E'caf\\351'), (E'\\\\x00'), ('tab\t'), (NULL)")
        script = export(daemon).stdout
        assert b"'caf\xe9'" in script
        server.psql("CREATE DATABASE native")
        done = by_psql(server, "native", script)
        assert done.returncode == 0, done
        rows = "SELECT md5(string_agg(t::text, ' ' ORDER BY b)), max(b) FROM t"
        assert server.psql(rows) == server.psql(rows, "native")
    finally:
        daemon.discard()
        server.discard()


# MariaDB


def by_mariadb(mariadb, database, script):  # noqa: F811
    return subprocess.run([*mariadb.client(database), "--binary-mode"], input=script, capture_output=True, timeout=120)


def mariadbs_own(mariadb, database):  # noqa: F811
    """What mariadb-dump says of a database, but for moments and the name of the database."""
    said = subprocess.run([find_programs("mariadb-dump")["mariadb-dump"], "--no-defaults", f"--socket={mariadb.socket}", "--user=admin", "--routines", "--events",
                           "--single-transaction", "--skip-comments", "--skip-extended-insert", "--hex-blob", database], capture_output=True, check=True, timeout=60).stdout
    return re.sub(rb"CREATED=\S+|`%b`\\." % database.encode(), b"", said).split(b"\n")


def test_mariadb(mariadb, tmp_path):  # noqa: F811
    mariadb.sql("CREATE SEQUENCE round START 100 MINVALUE 1 MAXVALUE 101 CYCLE NOCACHE; SELECT NEXTVAL(round), NEXTVAL(round), NEXTVAL(round); "
                "CREATE TABLE generated(g int GENERATED ALWAYS AS (1) STORED); INSERT INTO generated VALUES (), ()", "first")
    wanted, own = tables(mariadb, "first"), mariadbs_own(mariadb, "first")
    daemon = Daemon(databases={"first": mariadb.url("first", "admin"), "second": mariadb.url("second", "admin")})
    try:
        done = export(daemon)
        script = done.stdout
        assert script.endswith(END)
        mariadb.sql("DROP DATABASE IF EXISTS native; CREATE DATABASE native CHARACTER SET utf8mb4")
        loading = by_mariadb(mariadb, "native", script)
        assert loading.returncode == 0, loading.stderr[:2000]
        found = tables(mariadb, "native")
        for name, definition in wanted.items():
            assert found[name] == definition, name
        assert found.keys() == wanted.keys() and len(wanted) == 13
        assert mariadbs_own(mariadb, "native") == own
        for way in [*WAYS, "-f"]:
            mariadb.sql("DROP DATABASE IF EXISTS second; CREATE DATABASE second CHARACTER SET utf8mb4")
            loading = loaded_by(daemon, tmp_path, way, script)
            assert (loading.returncode, without_warnings(loading.stderr)) == (0, b""), loading
            assert tables(mariadb, "second") == wanted and mariadbs_own(mariadb, "second") == own
        head = script.split(b"\nSET NAMES")[0]
        assert b"users, rights" in head and b"DEFINER" in head
    finally:
        daemon.discard()


PROGRAMS = {"PROCEDURE": "p", "FUNCTION": "f", "TRIGGER": "tr", "EVENT": "ev"}
COMMENTED = b"""CREATE TABLE t(a int);
DELIMITER //
CREATE PROCEDURE p() SELECT 1 -- c
//
CREATE FUNCTION f() RETURNS int RETURN 1 # it's
//
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1 -- c
//
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO DELETE FROM t -- x
//
"""


def test_programs_of_mariadb_that_end_with_a_comment(mariadb, tmp_path):  # noqa: F811
    """A delimiter behind the comment would be a part of it."""
    for name in ("commented", "native", "second"):
        mariadb.sql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4")
    subprocess.run([*mariadb.client("commented"), "--comments"], input=COMMENTED, check=True, timeout=60)

    def bodies(database):
        found = {}
        for kind, name in PROGRAMS.items():
            columns = mariadb.beside.rows(f"SHOW CREATE {kind} {database}.{name}")[0]
            found[kind] = next(text for text in columns if text.startswith("CREATE ")).replace(f"`{database}`.", "").strip()
        return found

    wanted = bodies("commented")
    assert any("-- c" in text for text in wanted.values()), wanted
    daemon = Daemon(databases={"first": mariadb.url("commented", "admin"), "second": mariadb.url("second", "admin")})
    try:
        script = export(daemon).stdout
        native = subprocess.run([*mariadb.client("native"), "--comments"], input=script, capture_output=True, timeout=60)
        assert native.returncode == 0, native.stderr
        done = loaded(daemon.socket_path, tmp_path, "query", "second", script)
        assert (done.returncode, without_warnings(done.stderr)) == (0, b""), done
        assert bodies("native") == bodies("second") == wanted
    finally:
        daemon.discard()


def test_mariadb_names_what_is_left_out(mariadb, tmp_path):  # noqa: F811
    mariadb.sql("DROP DATABASE IF EXISTS second; CREATE DATABASE second; CREATE DATABASE IF NOT EXISTS odd")
    mariadb.sql("CREATE TABLE former(a int) WITH SYSTEM VERSIONING; INSERT INTO former VALUES (1); UPDATE former SET a = 2; CREATE TABLE old(a int) ENGINE=MyISAM; INSERT INTO old VALUES (3)", "odd")
    for statement in ("USE odd", "SET sql_mode = ORACLE", "CREATE OR REPLACE PACKAGE pack AS FUNCTION f RETURN INT; END", "SET sql_mode = DEFAULT"):
        mariadb.beside.rows(statement)
    daemon = Daemon(databases={"first": mariadb.url("odd", "admin")})
    try:
        done = export(daemon)
        for left in (b"package: pack", b"former rows of the table former (SYSTEM VERSIONING)"):
            assert b"-- Not in it either: " + left + b"\n" in done.stdout and b"litebase: not in the dump: " + left + b"\n" in done.stderr, done
        assert b"litebase: rows of the table old may be of a later moment" in done.stderr, done
        assert by_mariadb(mariadb, "second", done.stdout).returncode == 0
        assert mariadb.sql("SELECT (SELECT a FROM former), (SELECT a FROM old)", "second").split() == ["2", "3"]
        some = shell(daemon, "first", "-c", ".dump `old`", home=tmp_path)
        assert some.returncode == 0 and b"former" not in some.stdout and b"CREATE TABLE `old`" in some.stdout, some
        missing = shell(daemon, "first", "-c", ".dump old nix", home=tmp_path)
        assert missing.returncode == 1 and b"there is no table or view nix" in missing.stderr and missing.stdout == b"", missing
    finally:
        daemon.discard()


def test_memory_for_a_dump_of_mariadb_stays_flat(mariadb):  # noqa: F811
    mariadb.sql("DROP DATABASE IF EXISTS tall; CREATE DATABASE tall; USE tall; CREATE TABLE a(x varchar(1000)); INSERT INTO a SELECT repeat('x', 1000) FROM seq_1_to_110000")
    daemon = Daemon(databases={"first": mariadb.url("tall", "admin")})
    try:
        flat_export(daemon)
    finally:
        daemon.discard()


def test_a_full_disk_and_a_reader_that_leaves(mariadb, postgresql):  # noqa: F811
    """Either ends a dump, and is an error, whoever writes then: the command, a thread of it, or the daemon."""
    mariadb.sql("DROP DATABASE IF EXISTS tall; CREATE DATABASE tall; USE tall; CREATE TABLE a(x varchar(1000)); INSERT INTO a SELECT repeat('x', 1000) FROM seq_1_to_20000")
    fresh(postgresql, "first2")
    postgresql.psql("CREATE TABLE a(x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 20000)", "first2")
    for url in (mariadb.url("tall", "admin"), postgresql.url("first2")):
        daemon = Daemon(databases={"first": url})
        try:
            with open("/dev/full", "wb") as full:
                done = subprocess.run([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=full, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 74 and b"No space left" in done.stderr, done
            with subprocess.Popen([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
                assert len(running.stdout.read(300_000)) == 300_000
                running.stdout.close()
                assert running.wait(60) != 0, running.stderr.read()
            # The daemon is none the worse, and a whole dump can be had.
            assert export(daemon).stdout.endswith(END)
        finally:
            daemon.discard()


def test_one_moment_of_mariadb(tmp_path):
    """Also where the server begins transactions without a snapshot by itself."""
    server = MariaDB(transaction_isolation="READ-COMMITTED")
    server.sql("CREATE TABLE a(x varchar(1000)); INSERT INTO a SELECT repeat('x', 1000) FROM seq_1_to_30000; CREATE TABLE zzz(n int); INSERT INTO zzz VALUES (0); CREATE DATABASE second; "
               "CREATE TABLE wide(x longtext, y longblob, `odd``\n);` int); INSERT INTO wide SELECT repeat(concat('x\\'', seq, ');\\n'), 60000), repeat(');\\n', 60000), seq FROM seq_1_to_9; "
               "CREATE TABLE tall LIKE wide; ALTER TABLE tall DROP `odd``\n);`; INSERT INTO tall SELECT x, y FROM wide", "lb")
    sums = "SELECT count(*), sum(crc32(x)), sum(crc32(y)) FROM wide UNION ALL SELECT count(*), sum(crc32(x)), sum(crc32(y)) FROM tall"
    daemon = Daemon(databases={"first": server.url()})
    try:
        running = subprocess.Popen([LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=subprocess.PIPE)
        start = running.stdout.read(1 << 16)
        server.sql("UPDATE zzz SET n = 1; DELETE FROM a", "lb")
        script = start + running.stdout.read()
        assert running.wait(60) == 0
        assert by_mariadb(server, "second", script).returncode == 0
        assert server.sql("SELECT n, (SELECT count(*) FROM a) FROM zzz", "second").split() == ["0", "30000"]
        assert server.sql(sums, "second") == server.sql(sums, "lb")
        # Many rows are one statement, but it has an end.
        assert 50 < script.count(b"INSERT INTO `a`") < 200 and script.count(b"INSERT INTO `tall`") == 9
        # What is cut off has no rows, and no end.
        server.sql("DROP DATABASE second; CREATE DATABASE second")
        by_mariadb(server, "second", script[:len(script) // 2])
        assert server.sql("SELECT count(*) FROM a", "second") == "0"
    finally:
        daemon.discard()
        server.discard()


# SQLite, and what has no tables


def test_the_shell_dumps_sqlite_and_nothing_of_redis(tmp_path):
    daemon = Daemon(databases={"first": f"sqlite:{tmp_path}/first.db"})
    try:
        made = shell(daemon, "first", home=tmp_path, input=b"CREATE TABLE a(x); CREATE TABLE \"b c\"(y); CREATE INDEX i ON a(x); INSERT INTO a VALUES (1); CREATE TABLE d(z);\n")
        assert made.returncode == 0, made
        assert shell(daemon, "first", "-c", ".dump", home=tmp_path).stdout == export(daemon).stdout
        some = shell(daemon, "first", "-c", ".dump A \"b c\"", home=tmp_path)
        wanted = b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE a(x);\nINSERT INTO \"a\" VALUES(1);\nCREATE TABLE IF NOT EXISTS \"b c\"(y);\nCREATE INDEX i ON a(x);\nCOMMIT;\n"
        assert (some.returncode, some.stdout) == (0, wanted), some
        missing = shell(daemon, "first", home=tmp_path, input=b".dump a nix\nSELECT 1;\n")
        assert missing.returncode == 1 and b"there is no table or view nix" in missing.stderr, missing
        memory = subprocess.run([LITEBASE, "shell", "--socket", daemon.socket_path, "--url", "sqlite::memory:"], capture_output=True, timeout=60,
                                input=b"CREATE TABLE here(a);\n.dump\n.dump nix\n")
        assert b"CREATE TABLE here(a);" in memory.stdout and b"nix" in memory.stderr, memory
    finally:
        daemon.discard()
