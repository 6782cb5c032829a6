"""Scripts that other programs write, loaded by LiteBase and by the engine's own client: afterwards both databases have the same
objects and rows. What is refused is refused before anything was changed."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
from urllib.parse import quote

import pytest

from test_cli import LITEBASE, SANITIZER

from daemon import Daemon, short_directory
from mariadb import MariaDB, without_warnings
from native import NativePostgreSQL
from postgresql import PostgreSQL
from server_process import find_programs

# It starts database servers.
pytestmark = pytest.mark.slow

HARD = ["it's; a -- 'test' /* \"x\" */", "line\nend\r\nand\ttab\\", "größer 東京 🐟", "", "\\", "$$ $x$", "a\x01b", "'';\n\\.\n\\connect other\n", "NULL", "`#`"]


def loaded(socket, home, way, database, script):
    """Loads a script in one of the ways that there are; returns the finished process."""
    environment = {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": socket, "HOME": str(home), "LC_ALL": "C.UTF-8", **SANITIZER}
    path = home / "script.sql"
    path.write_bytes(script)
    words = ["shell", "-d", database] if way in ("shell", ".read") else ["query", "-d", database, "-"]

    def run(**options):
        return subprocess.run([LITEBASE, *words], env=environment, capture_output=True, timeout=120, **options)
    if way == ".read":
        return run(input=f".read {path}\n".encode())
    if way == "query <":
        with open(path, "rb") as file:
            return run(stdin=file)
    return run(input=script)


WAYS = ["query", "query <", "shell", ".read"]


@pytest.fixture(scope="module")
def natives():
    """What the engine's own programs make with some options, a dump or of a dump: once, in whatever ways LiteBase loads the same dump."""
    made = {}

    def native(engine, options, load):
        key = (engine, *options)
        if key not in made:
            made[key] = load()
        return made[key]

    return native


# SQLite

SQLITE = """
CREATE TABLE plain(id INTEGER PRIMARY KEY AUTOINCREMENT, said TEXT DEFAULT "none", raw BLOB, n REAL, big INTEGER);
CREATE TABLE keyed(a TEXT, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE strict(id INTEGER PRIMARY KEY, x ANY, t TEXT NOT NULL) STRICT;
CREATE TABLE made(id INTEGER PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED, more INT AS (a + 1), z TEXT DEFAULT 'z');
CREATE TABLE "odd ""name; '"("a b" TEXT, "select" INT REFERENCES made(id));
CREATE INDEX said_some ON plain(lower(said)) WHERE n > 1;
CREATE UNIQUE INDEX "odd;index" ON "odd ""name; '"("a b");
CREATE VIEW seen AS SELECT p.id, p.said || ';' AS s FROM plain p JOIN made m ON m.id = p.id;
CREATE TRIGGER watch AFTER INSERT ON made WHEN new.a > 1000 BEGIN UPDATE plain SET n = 1; DELETE FROM keyed WHERE a = 'x;'; END;
CREATE TRIGGER through INSTEAD OF INSERT ON seen BEGIN INSERT INTO plain(said) VALUES (new.s); END;
CREATE VIRTUAL TABLE docs USING fts5(title, body, kept UNINDEXED, tokenize='porter unicode61', prefix='2 3');
CREATE VIRTUAL TABLE outside USING fts5(said, content='plain', content_rowid='id');
CREATE VIRTUAL TABLE "odd docs" USING fts5("a b", c, columnsize=0, detail=column);
CREATE VIRTUAL TABLE letters USING fts4(subject, "to", languageid="lang", notindexed="to", order=desc);
CREATE VIRTUAL TABLE older USING fts3(x, y);
CREATE VIRTUAL TABLE places USING rtree(id, minx, maxx, miny, maxy, +name, +extra);
CREATE VIRTUAL TABLE grid USING rtree_i32(id, low, high);
INSERT INTO docs(docs, rank) VALUES('pgsz', 1000), ('rank', 'bm25(10.0, 5.0)');
"""
SHADOW = ("_data", "_idx", "_docsize", "_config", "_content", "_segments", "_segdir", "_stat", "_node", "_rowid", "_parent")


def fill(connection):
    connection.executescript(SQLITE)
    for number, text in enumerate(HARD):
        connection.execute("INSERT INTO plain(said, raw, n, big) VALUES (?, ?, ?, ?)", (text, bytes(range(256)) + text.encode(), number / 3, 2**63 - 1 - number))
        connection.execute("INSERT INTO keyed VALUES (?, ?)", (text, str(number)))
        connection.execute("INSERT INTO strict VALUES (?, ?, ?)", (number, [None, 1, 2.5, "1", b"\0'"][number % 5], text))
        connection.execute("INSERT INTO made(a) VALUES (?)", (number,))
        connection.execute("""INSERT INTO "odd ""name; '" VALUES (?, ?)""", (text, number + 1))
        connection.execute("INSERT INTO docs(rowid, title, body, kept) VALUES (?, ?, ?, ?)", (number * 7 - 3, text, text * 3, number))
        connection.execute('INSERT INTO "odd docs" VALUES (?, ?)', (text, "tests running"))
        connection.execute("INSERT INTO letters(docid, subject, \"to\", lang) VALUES (?, ?, ?, ?)", (number + 2**40, text, text, number % 3))
        connection.execute("INSERT INTO older VALUES (?, ?)", (text, "y"))
    for number in range(700):
        connection.execute("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?)", (
            (number + 1) * 10**12, number / 7, number / 7 + 1e-3, -1e30 / (number + 1), 3e38, f"n'{number}", [None, 1, b"\xff"][number % 3]))
        connection.execute("INSERT INTO grid VALUES (?, ?, ?)", (-number, -2**31 + number, 2**31 - 1))
    connection.execute("INSERT INTO outside(outside) VALUES ('rebuild')")
    connection.execute("DELETE FROM plain WHERE id > 8")
    connection.execute("INSERT INTO outside(outside) VALUES ('rebuild')")
    connection.execute("DELETE FROM docs WHERE rowid = 4")
    connection.execute("ANALYZE")


def contents(path):
    """Objects, checksums of tables, and what their indexes find."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        objects = sorted(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"), key=repr)
        sums = {}
        for kind, name, _, _ in objects:
            if kind == "table" and not (name.endswith(SHADOW) or name.startswith("sqlite_auto")):
                quoted = '"' + name.replace('"', '""') + '"'
                hidden = ", docid, lang" if name == "letters" else ", rowid" if "docs" in name else ""
                rows = sorted(repr(row) for row in connection.execute(f"SELECT *{hidden} FROM {quoted}"))
                sums[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
        found = [sorted(connection.execute(sql), key=repr) for sql in (
            "SELECT rowid FROM docs WHERE docs MATCH 'tests OR end'", "SELECT rowid, rank FROM docs WHERE docs MATCH 'te*'",
            "SELECT rowid FROM outside WHERE outside MATCH 'größer'", 'SELECT rowid FROM "odd docs" WHERE "odd docs" MATCH \'running\'',
            "SELECT docid FROM letters WHERE letters MATCH 'test' AND lang = 0", "SELECT docid FROM older WHERE older MATCH 'y'",
            "SELECT id FROM places WHERE minx > 3 AND maxx < 20", "SELECT id FROM grid WHERE low < -2147483600",
            "SELECT k, v FROM docs_config")]
    with sqlite3.connect(path) as connection:
        checks = [connection.execute("PRAGMA integrity_check").fetchall(), connection.execute("SELECT rtreecheck('places'), rtreecheck('grid')").fetchall()]
        for name in ("docs", "outside", '"odd docs"', "letters", "older"):
            connection.execute(f"INSERT INTO {name}({name}) VALUES('integrity-check')")
        connection.rollback()
    return objects, sums, found, checks


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sqlite")
    with sqlite3.connect(directory / "first.db") as connection:
        fill(connection)
    made = subprocess.run(["sqlite3", directory / "first.db", ".dump"], capture_output=True, check=True, timeout=60).stdout
    assert b"writable_schema=ON" in made and made.count(b"CREATE VIRTUAL TABLE") == 7
    subprocess.run(["sqlite3", directory / "native.db"], input=made, capture_output=True, check=True, timeout=60)
    return made, contents(directory / "native.db"), contents(directory / "first.db")


@pytest.fixture
def sqlite(tmp_path):
    directory = short_directory()
    instance = Daemon(directory=directory, databases={"default": f"sqlite:{directory}/second.db"})
    yield lambda way, script: (loaded(instance.socket_path, tmp_path, way, "default", script), directory / "second.db")
    instance.discard()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("way", WAYS)
def test_sqlites_dump(sqlite, dump, way):
    script, native, first = dump
    done, path = sqlite(way, script)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b""), done
    objects, sums, found, checks = contents(path)
    assert checks == [[("ok",)], [("ok", "ok")]]
    assert sums == native[1] == first[1] and len(sums) > 12
    assert objects == native[0]
    assert found == native[2] and all(found)


@pytest.mark.parametrize("way", ["query", ".read"])
@pytest.mark.parametrize("table", ["CREATE VIRTUAL TABLE bare USING fts5(a, content='')", "CREATE VIRTUAL TABLE bare USING fts4(a, content=\"\")",
                                   "CREATE VIRTUAL TABLE bare USING geopoly(a)"])
def test_what_cannot_be_made_anew_is_refused_before_anything_was_changed(sqlite, tmp_path, way, table):
    with sqlite3.connect(tmp_path / "first.db") as connection:
        try:
            connection.executescript(f"CREATE TABLE before(a); INSERT INTO before VALUES (1); {table};")
        except sqlite3.OperationalError as error:
            pytest.skip(str(error))
    script = subprocess.run(["sqlite3", tmp_path / "first.db", ".dump"], capture_output=True, check=True, timeout=60).stdout
    done, path = sqlite(way, script)
    assert done.returncode == 1 and b"bare" in done.stderr and b", line " in done.stderr, done
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]


@pytest.mark.parametrize("script", [
    b"PRAGMA writable_schema=ON;\nUPDATE sqlite_schema SET sql = 'x';", b"PRAGMA writable_schema = ON;", b"PRAGMA writable_schema=ON;\nSELECT 1;",
    b"PRAGMA writable_schema=ON;\nINSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','x','x',3,'CREATE TABLE x(a)');",
    b"CREATE VIRTUAL TABLE d USING fts5(a);\nINSERT INTO d_data VALUES(1, x'00');\nSELECT 1;",
    b"CREATE VIRTUAL TABLE d USING fts5(a);\nDELETE FROM d_content;"])
def test_nothing_else_is_written_past_a_module(sqlite, script):
    done, _ = sqlite("query", script)
    assert done.returncode != 0 and b"litebase: stdin, line " in done.stderr and b'{"1":1}' not in done.stdout, done


# MariaDB

MYSQL = r"""
CREATE TABLE plain(id int PRIMARY KEY AUTO_INCREMENT, said text, tiny varchar(20) CHARACTER SET latin1, raw longblob, bits bit(9),
    fixed decimal(30,10), n double, f float(7,3), at datetime(6), stamp timestamp NULL, day date, clock time(3), y year, e enum('a;','b'), s set('x','y'),
    bin binary(4), vb varbinary(300), g point, j json);
CREATE TABLE made(a int, twice int AS (a * 2) STORED, more int AS (a + 1) VIRTUAL, INDEX (twice));
CREATE TABLE child(p int, CONSTRAINT fk FOREIGN KEY (p) REFERENCES plain(id) ON DELETE CASCADE);
CREATE TABLE `odd``name; '`(`a b` int COMMENT 'it''s; --');
INSERT INTO made(a) VALUES (1), (2), (NULL);
CREATE VIEW above AS SELECT id, CONCAT(said, ';') AS s FROM plain;
CREATE VIEW a_first AS SELECT s FROM above;
CREATE TRIGGER watch BEFORE INSERT ON made FOR EACH ROW BEGIN SET NEW.a = NEW.a + 0; IF NEW.a > 99 THEN SET NEW.a = 99; END IF; END;
CREATE PROCEDURE p(IN a int) BEGIN DECLARE x int DEFAULT 0; WHILE x < a DO SET x = x + 1; END WHILE; SELECT ';' AS x; END;
CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a * 2;
CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO DELETE FROM made WHERE a = -1;
CREATE SEQUENCE seq START WITH 5;
"""


@pytest.fixture(scope="module")
def mariadb():
    instance = MariaDB()
    instance.sql("CREATE DATABASE first CHARACTER SET utf8mb4")
    subprocess.run([*instance.client("first"), "--delimiter=%%"], input="%%\n".join(
        part for part in MYSQL.replace("\nCREATE", "\n@CREATE").replace("\nINSERT", "\n@INSERT").split("\n@")).encode() + b"%%\n",
        check=True, timeout=60)
    for number, text in enumerate(HARD):
        every, said = bytes(range(256)).hex(), text.encode().hex()
        instance.sql(f"INSERT INTO plain VALUES (NULL, x'{said}', 'caf\u00e9 {number}', x'{every}{said}', {number * 50}, 99999999999999999.99 - {number}, "
                     f"{number}/3, {number}.125, '2026-11-28 10:00:00.{number:06}', '2026-03-29 03:30:00', '2026-01-0{number % 9 + 1}', '-12:00:00.5', "
                     f"20{number:02}, 'a;', 'x,y', x'00ff5c27', x'{every}', POINT({number}, 1), '{{\"a\": [1, null]}}')", "first")
    instance.sql("INSERT INTO child SELECT id FROM plain; INSERT INTO `odd``name; '` VALUES (1); SELECT NEXTVAL(seq); SET GLOBAL event_scheduler = OFF", "first")
    yield instance
    instance.discard()


def tables(mariadb, database):
    """Definitions of all objects and the checksums of all tables."""
    def said(sql, *, but_last=0):
        """What a statement answers, as text; so many columns at the end are left out."""
        return "\n".join("\t".join(row[:len(row) - but_last]) for row in mariadb.beside.rows(sql))

    mariadb.beside.rows(f"USE {database}")
    made = {}
    for name, kind in mariadb.beside.rows(
            f"SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = '{database}' ORDER BY 1"):
        quoted = "`" + name.replace("`", "``") + "`"
        made[name] = said(f"SHOW CREATE TABLE {quoted}").replace(f"`{database}`.", "")
        if kind == "BASE TABLE":
            made[name] += said(f"CHECKSUM TABLE {quoted} EXTENDED").split("\t")[-1] + said(f"SELECT count(*) FROM {quoted}")
    for kind, name in (("TRIGGER", "watch"), ("PROCEDURE", "p"), ("FUNCTION", "f"), ("EVENT", "e")):
        # A trigger has the moment at which it was created.
        made[kind] = said(f"SHOW CREATE {kind} {name}", but_last=kind == "TRIGGER")
    made["seq"] += said("SELECT next_not_cached_value FROM seq")
    return made


@pytest.mark.parametrize("way, options", [(way, []) for way in WAYS] + [("query", options) for options in (
    ["--hex-blob"], ["--skip-extended-insert"], ["--complete-insert", "--skip-quick"], ["--skip-opt", "--create-options"], ["--replace"],
    ["--no-autocommit", "--single-transaction"], ["--default-character-set=utf8mb4", "--tz-utc"], ["--add-drop-trigger", "--skip-comments"], ["--order-by-primary", "--insert-ignore"])])
def test_mariadbs_dump(mariadb, natives, tmp_path, way, options):
    script = subprocess.run([find_programs("mariadb-dump")["mariadb-dump"], "--no-defaults", f"--socket={mariadb.socket}", "--user=admin",
                             "--routines", "--events", *options, "first"], capture_output=True, check=True, timeout=60).stdout
    if "--hex-blob" not in options:
        with pytest.raises(UnicodeDecodeError):
            script.decode()
    def load_natively():
        mariadb.sql("DROP DATABASE IF EXISTS native; CREATE DATABASE native CHARACTER SET utf8mb4")
        subprocess.run([*mariadb.client("native"), "--binary-mode"], input=script, check=True, timeout=60)
        return tables(mariadb, "native")

    native = natives("mariadb", options, load_natively)
    mariadb.sql("DROP DATABASE IF EXISTS second; CREATE DATABASE second CHARACTER SET utf8mb4")
    daemon = Daemon(databases={"second": mariadb.url("second", "admin")})
    try:
        done = loaded(daemon.socket_path, tmp_path, way, "second", script)
        assert (done.returncode, without_warnings(done.stderr)) == (0, b""), done
    finally:
        daemon.discard()
    second = tables(mariadb, "second")
    assert second == native and len(second) == 11


def test_bytes_that_are_no_text_are_refused_before_anything_was_changed(mariadb, tmp_path):
    mariadb.sql("DROP DATABASE IF EXISTS second; CREATE DATABASE second")
    daemon = Daemon(databases={"second": mariadb.url("second", "admin")})
    try:
        done = loaded(daemon.socket_path, tmp_path, "query <", "second", b"CREATE TABLE t(a text);\n\nINSERT INTO caf\xe9 VALUES (1);\n")
        assert done.returncode == 65 and b"stdin, line 3: " in done.stderr and b"--hex-blob" in done.stderr, done
        assert mariadb.sql("SHOW TABLES", "second") == ""
    finally:
        daemon.discard()


# PostgreSQL

# The rows of `many` are 9 MB in a dump, more than any buffer on their way has.
PG = r"""
CREATE TYPE mood AS ENUM ('sad', 'it''s; ok');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 99);
CREATE TYPE pair AS (a int, b text);
CREATE SCHEMA "other schema";
CREATE TABLE plain(id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, said text, raw bytea, n numeric, d double precision, at timestamptz, many text[],
    m mood, p pair, s short, j jsonb, r int4range, b bit varying(9), twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE "other schema"."odd "";name"("a b" int REFERENCES plain DEFERRABLE);
CREATE TABLE parted(at date, x int) PARTITION BY RANGE (at);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE INDEX by_said ON plain (lower(said)) WHERE id > 1;
CREATE VIEW seen AS SELECT id, said || ';' AS s FROM plain;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM plain;
CREATE FUNCTION quoted(a int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $body$ BEGIN RETURN 'a;' || $$b;$$; END $body$;
CREATE FUNCTION atomic(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN a END; SELECT a * 2; END;
CREATE FUNCTION watched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION watched();
CREATE RULE twofold AS ON DELETE TO parted DO ALSO (UPDATE plain SET said = 'x;'; SELECT 1);
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
COMMENT ON TABLE plain IS '/* ; -- ''';
GRANT SELECT ON plain TO PUBLIC;
INSERT INTO parted VALUES ('2026-01-01', 1), ('2026-01-02', NULL);
CREATE TABLE many(id bigint PRIMARY KEY, said text, raw bytea);
INSERT INTO many SELECT i, CASE WHEN i % 7 = 0 THEN NULL WHEN i % 5 = 0 THEN '' WHEN i % 3 = 0 THEN E'\\.' ELSE repeat(E'tab\tline\n\\', i % 9) END,
    decode(md5(i::text), 'hex') FROM generate_series(1, 130000) i;
CREATE TABLE nothing(a int, b text);
CREATE TABLE bare();
INSERT INTO bare DEFAULT VALUES;
CREATE TABLE every(a smallint, b real, c money, d char(5), e varchar(9), f date, g time, h timetz, i timestamp, k interval, l boolean, m point, n box, o path,
    p polygon, q circle, r line, s lseg, t inet, u cidr, v macaddr, w uuid, x xml, y json, z tsvector, aa tsquery, ab int8range, ac nummultirange, ad oid,
    ae name, af "char", ag bit(3), ah int[][], ai pg_lsn);
INSERT INTO every VALUES (-32768, 'NaN', 1.5, 'a', E'\\N', 'infinity', '23:59:59.999999', '01:02:03+04', '-infinity', '-1 mon 3 days', true, '(1,2)', '(1,2),(3,4)',
    '[(1,2),(3,4)]', '((1,2),(3,4))', '<(1,2),3>', '{1,2,3}', '[(1,2),(3,4)]', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '00000000-0000-0000-0000-000000000001',
    '<a b="c">\</a>', '{"a" : "\u00e9\\n"}', 'a:1 ''b c'':2', 'a & !b', '[1,5)', '{[1.5,2],(3,)}', 4294967295, 'n', '\', B'101', '{{1,2},{3,NULL}}', '16/B374D848'),
    (NULL, 'Infinity', NULL, '', '', NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    'empty', '{}', 0, '', '', NULL, '{}', NULL);
"""


@pytest.fixture(scope="module")
def postgresql():
    instance = PostgreSQL()
    instance.psql("CREATE DATABASE first")
    instance.psql(PG, "first")
    for number, text in enumerate(HARD):
        raw = (bytes(range(256)) + text.encode()).hex()
        quoted = text.replace("\\", "\\\\").replace("'", "''")
        instance.psql(f"INSERT INTO plain(said, raw, n, d, at, many, m, p, s, j, r, b) VALUES (E'{quoted}', '\\x{raw}', 99999999999999999.99, {number}/3.0, "
                      f"'2026-11-28 10:00:00.{number:06}+01', ARRAY[E'{quoted}', NULL, '{{}}'], 'it''s; ok', ROW({number}, E'{quoted}'), 'short', "
                      f"'{{\"a\": [1, null]}}', '[1,{number + 2})', B'101')", "first")
    instance.psql('INSERT INTO "other schema"."odd "";name" SELECT id FROM plain; REFRESH MATERIALIZED VIEW kept', "first")
    yield instance
    instance.discard()


def dumped(postgresql, program, *options):
    path = find_programs(program)[program]
    where = ["-h", str(postgresql.directory), "-U", "lb"]
    return subprocess.run([path, *where, *options], capture_output=True, check=True, timeout=60).stdout


TEXT_SUM = "md5(string_agg(t::text, E'\\n' ORDER BY t::text))"
# Of types that have one form for each value (bigint, text, bytea), the rows need neither be written as text nor sorted: a quarter of the time.
# (The hash of a row is linear in those of its columns: without another one about it, values of a column might change their rows.)
ROW_SUM = {"many": "sum(hashint8extended(hash_record_extended(t, 0), 1))"}


@contextlib.contextmanager
def inside(postgresql, database):
    """What asks a database for the rows of a statement: by one connection, since each run of psql takes as long as many a checksum."""
    connection = NativePostgreSQL(postgresql.url(database))
    try:
        yield lambda sql: connection.run(sql).rows
    finally:
        connection.close()


def objects(postgresql, database):
    """Everything of a database, as pg_dump tells it, and the checksum of each table."""
    with inside(postgresql, database) as rows:
        names = [name for [name] in rows(
            "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'm', 'p') AND relispopulated AND relnamespace NOT IN "
            "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND relnamespace::regnamespace::text !~ '^pg_' ORDER BY 1")]
        sums = {name: rows(f"SELECT count(*), {ROW_SUM.get(name, TEXT_SUM)} FROM {name} t") for name in names}
    schema = dumped(postgresql, "pg_dump", "--schema-only", database).decode()
    return [line for line in schema.split("\n") if not line.startswith(("\\restrict", "\\unrestrict"))], sums


@pytest.mark.parametrize("way, options", [(way, options) for way in WAYS for options in ([], ["--inserts", "--exclude-table-data=many"])]
                         + [("query", options) for options in (
    ["--disable-triggers"], ["--quote-all-identifiers", "--clean", "--if-exists"], ["--load-via-partition-root"], ["--no-owner", "--no-privileges"],
    ["--encoding=UTF8"], ["--column-inserts", "--exclude-table-data=many"], ["--rows-per-insert=5000"],
    ["--inserts", "--quote-all-identifiers", "--exclude-table-data=many"],
    ["--inserts", "--disable-triggers", "--no-comments", "--exclude-table-data=many"])])
def test_postgresqls_dump(postgresql, natives, tmp_path, way, options):
    script = natives("pg_dump", options, lambda: dumped(postgresql, "pg_dump", *options, "first"))

    def make_empty(name):
        postgresql.psql(f"DROP DATABASE IF EXISTS {name}")
        postgresql.psql(f"CREATE DATABASE {name}")

    def load_natively():
        make_empty("native")
        subprocess.run([postgresql.programs["psql"], postgresql.url("native"), "-qX", "-v", "ON_ERROR_STOP=1"], input=script, check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        return objects(postgresql, "native")

    native = natives("postgresql", options, load_natively)
    make_empty("second")
    daemon = Daemon(databases={"second": postgresql.url("second")})
    try:
        done = loaded(daemon.socket_path, tmp_path, way, "second", script)
        assert done.returncode == 0 and b"litebase:" not in done.stderr, done
    finally:
        daemon.discard()
    assert objects(postgresql, "second") == native


@pytest.mark.parametrize("way", ["query <", ".read"])
@pytest.mark.parametrize("program, options, reason", [
    ("pg_dump", ["--create", "first"], b"connect"), ("pg_dumpall", [], b"connect")])
def test_what_is_refused_is_refused_before_anything_was_changed(postgresql, tmp_path, way, program, options, reason):
    script = dumped(postgresql, program, *options)
    # Into a server that has none of it.
    script = script.replace(b"DATABASE first", b"DATABASE never").replace(b"ROLE lb", b"ROLE never")
    postgresql.psql("DROP DATABASE IF EXISTS second")
    postgresql.psql("CREATE DATABASE second")
    before = dumped(postgresql, "pg_dumpall", "--schema-only").split(b"\n")
    daemon = Daemon(databases={"second": postgresql.url("second")})
    try:
        done = loaded(daemon.socket_path, tmp_path, way, "second", script)
        assert done.returncode == 1 and reason in done.stderr and b", line " in done.stderr and b"nothing of the script was run" in done.stderr, done
    finally:
        daemon.discard()
    after = dumped(postgresql, "pg_dumpall", "--schema-only").split(b"\n")
    assert [line for line in after if b"restrict" not in line] == [line for line in before if b"restrict" not in line]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["second", "it's \\ \"odd\""])
def test_a_dump_that_connects_to_the_database_that_is_open(postgresql, tmp_path, way, name):
    """pg_dump --create, as psql loads it where the database is there already: CREATE DATABASE fails, and the rest goes on."""
    quoted = name.replace('"', '""')
    postgresql.psql(f'DROP DATABASE IF EXISTS "{quoted}"')
    postgresql.psql(f'CREATE DATABASE "{quoted}"')
    postgresql.psql("CREATE TABLE t(x int); INSERT INTO t VALUES (1), (2)", name)
    script = dumped(postgresql, "pg_dump", "--create", f"--dbname={quoted_conninfo(name)}")
    postgresql.psql("DROP TABLE t", name)
    script = b"\n".join(line for line in script.split(b"\n") if not line.startswith(b"CREATE DATABASE"))
    assert b"\\connect" in script
    daemon = Daemon(databases={"second": postgresql.url(quote(name))})
    try:
        done = loaded(daemon.socket_path, tmp_path, way, "second", script)
        assert done.returncode == 0 and b"litebase:" not in done.stderr, done
    finally:
        daemon.discard()
    assert postgresql.psql("SELECT sum(x) FROM t", name) == "3"


def quoted_conninfo(name):
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def test_memory_for_a_dump_stays_flat(postgresql, tmp_path):
    postgresql.psql("DROP DATABASE IF EXISTS second")
    postgresql.psql("CREATE DATABASE second")
    postgresql.psql("CREATE TABLE t(x text)", "second")
    daemon = Daemon(databases={"second": postgresql.url("second")})
    try:
        environment = {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket_path, "HOME": str(tmp_path)}
        daemon.reset_peak()
        before = daemon.memory_kib()
        with subprocess.Popen([LITEBASE, "query", "-d", "second", "-"], stdin=subprocess.PIPE, env=environment) as program:
            program.stdin.write(b"COPY t FROM stdin;\n")
            for _ in range(5_000):
                program.stdin.write((b"x" * 1000 + b"\n") * 10)
            program.stdin.flush()
            if not SANITIZER:
                with open(f"/proc/{program.pid}/status") as status:
                    assert next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) < 40 << 10
            program.stdin.write(b"\\.\n")
            program.stdin.close()
            assert program.wait(60) == 0
        assert daemon.memory_kib("VmHWM") - before < 24 << 10
    finally:
        daemon.discard()
    assert postgresql.psql("SELECT count(*) FROM t", "second") == "50000"


def test_a_script_with_a_mark_that_says_that_it_is_utf8(sqlite):
    for way in WAYS:
        done, _ = sqlite(way, b"\xef\xbb\xbf" + "SELECT 'größer' AS x;\n".encode())
        assert (done.returncode, done.stdout.decode()) == (0, '{"x":"größer"}\n'), done
    done, _ = sqlite(".read", b"\xef\xbb\xbf.mode csv\nSELECT 1 AS x;\n")
    assert (done.returncode, done.stdout) == (0, b"x\r\n1\r\n"), done
    done, _ = sqlite("query", "SELECT 1;".encode("utf-16"))
    assert done.returncode == 65 and b"UTF-16" in done.stderr, done
