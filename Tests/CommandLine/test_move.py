"""`litebase move`: a SQLite database into a real PostgreSQL, with its name, and what a death in the middle leaves behind."""

import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from daemon import LITEBASE, Daemon, wait_until
from directories import directory  # noqa: F401
from postgresql import PostgreSQL
from wire import RequestFailed

# It starts a database server.
pytestmark = pytest.mark.slow

REFUSED, NOT_SAME = 65, 1

# Everything that translates, and the values that other programs stumble over.
SCHEMA = """
CREATE TABLE Artist(Id INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT NOT NULL UNIQUE, Born DATE DEFAULT CURRENT_DATE);
CREATE TABLE song(id INTEGER PRIMARY KEY, artist INTEGER NOT NULL REFERENCES Artist ON DELETE CASCADE,
  title TEXT DEFAULT 'it''s', length REAL CHECK (length > 0), price DECIMAL(10,2) DEFAULT 0.5, cover BLOB DEFAULT x'00ff', loose,
  is_live BOOLEAN NOT NULL DEFAULT FALSE, "order" INT, title_length INTEGER GENERATED ALWAYS AS (length(title)) VIRTUAL);
CREATE TABLE played(song INTEGER, at TEXT, n INTEGER, PRIMARY KEY (song, at), UNIQUE (n, at),
  FOREIGN KEY (song) REFERENCES song(id) DEFERRABLE INITIALLY DEFERRED) WITHOUT ROWID;
CREATE TABLE strict_one(a INT, b ANY) STRICT;
CREATE TABLE empty(a);
CREATE INDEX by_length ON song(length DESC, title) WHERE length > 10;
CREATE UNIQUE INDEX by_word ON song(lower(title), id);
CREATE VIEW long_ones AS SELECT s.title, a.name AS artist FROM song s JOIN Artist a ON a.id = s.artist WHERE s.length >= 200;
INSERT INTO Artist(Name) VALUES ('Björk'), ('x'), ('last');
DELETE FROM Artist WHERE Name = 'last';
INSERT INTO song(id, artist, title, length, price, cover, loose, is_live, "order") VALUES
  (1, 1, 'a"b\\c', 200.25, 9.99, x'00ff5c', 1.5, 1, -9223372036854775808), (2, 1, '', 1e300, 1e22, x'', -0.0, 0, 9223372036854775807),
  (3, 2, NULL, NULL, NULL, NULL, NULL, 1, NULL), (7, 2, 'é🎉' || char(8232) || char(10) || char(9) || '\\N', 0.1, 12, zeroblob(70000), 9e999, 0, 0);
INSERT INTO played VALUES (1, '2026-01-01', 1), (1, '2026-01-02', NULL), (7, '', 1);
INSERT INTO strict_one VALUES (1, 'x'), (NULL, 'y'), (NULL, 'y');
"""
# What does not translate, with the kind by which it is accepted.
UNCARRIED = """
CREATE TRIGGER note_it AFTER INSERT ON song BEGIN DELETE FROM empty; END;
CREATE VIRTUAL TABLE words USING fts5(body, title);
INSERT INTO words VALUES ('some words', 'one'), ('more', 'two');
CREATE VIRTUAL TABLE found USING fts5(title, content='song', content_rowid='id');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);
INSERT INTO places VALUES (5, 1.5, 2.5);
CREATE TABLE account(mail TEXT COLLATE NOCASE UNIQUE, kind TEXT CHECK (kind GLOB 'a*'), at TEXT DEFAULT (strftime('%s', 'now')),
  upper_mail TEXT AS (hex(mail)), day TEXT DEFAULT (julianday('now')), mixed INTEGER, parent REFERENCES account(mail),
  k INTEGER UNIQUE ON CONFLICT REPLACE);
INSERT INTO account(mail, kind, mixed, parent, k) VALUES ('A@x', 'abc', 5, NULL, 1), ('b@x', 'a', 'five', 'gone', 2);
CREATE VIEW odd AS SELECT json_group_array(title) FROM song;
CREATE INDEX by_hex ON song(hex(title));
"""
KINDS = {"trigger", "virtual-table", "collation", "check", "default", "generated", "type", "foreign-key", "conflict", "view", "index"}


@pytest.fixture(scope="module")
def server():
    server = PostgreSQL()
    yield server
    server.discard()


HOLD = """
CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM t) THEN PERFORM pg_advisory_xact_lock(1); END IF; END $$;
CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION hold()
"""


class Held:
    """A lock in PostgreSQL that holds a move where all rows are there, and the transaction is open: at its view."""

    def __init__(self, place):
        self.place = place
        place.psql(HOLD)

    def __enter__(self):
        self.holder = subprocess.Popen([self.place.server.programs["psql"], self.place.server.url("moved"), "-qX"], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.holder.stdin.write("SELECT pg_advisory_lock(1);\n")
        self.holder.stdin.flush()
        wait_until(lambda: self.locks("granted"), "the lock is held")
        return self

    def locks(self, condition):
        return self.place.psql(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {condition}") == "1"

    def start(self, *arguments):
        """A move that waits for it."""
        moving = subprocess.Popen(self.place.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: moving.poll() is not None or self.locks("NOT granted"), "the move waits")
        assert moving.poll() is None, moving.communicate()
        return moving

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdin.close()


VIEWED = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t(v) VALUES ('a'), ('b'); CREATE VIEW w AS SELECT v FROM t"


class Place:
    """A daemon with a SQLite database `shop`, and an empty database of the server, `shop_new`."""

    def __init__(self, directory, server, script=SCHEMA, limits="busy_time_ms_max = 20000", environment=None):  # noqa: F811
        self.directory, self.server = directory, server
        server.psql("DROP DATABASE IF EXISTS moved WITH (FORCE)")
        server.psql("CREATE DATABASE moved")
        self.file = directory / "shop.db"
        with sqlite3.connect(self.file) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.executescript(script)
        made.close()
        (directory / "litebase.toml").write_text(f"[limits]\n{limits}\n")
        self.daemon = None
        (directory / "litebase.toml.d").mkdir()
        self.add("shop", f"sqlite:{self.file}", 'users = ["root"]\n')
        self.add("shop_new", server.url("moved"))
        self.daemon = Daemon("--config", directory / "litebase.toml", directory=directory, environment=environment)

    def add(self, name, url, more=""):
        """As `litebase config add-database` does, without its checks, which take a while."""
        text = f'# Written by "litebase config add-database".\n[databases.{name}]\nurl = "{url}"\n{more}'
        (self.directory / f"litebase.toml.d/{name}.toml").write_text(text)

    def command(self, *arguments):
        return [LITEBASE, "move", "shop", "shop_new", *arguments, "--config", self.directory / "litebase.toml", "--socket",
                self.daemon.socket_path]

    def move(self, *arguments, status=0):
        result = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60)
        assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
        return result

    def tables(self):
        return self.server.psql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') "
                                "ORDER BY 1", "moved").split()

    def dump(self):
        with sqlite3.connect(self.file) as file:
            lines = list(file.iterdump())
        file.close()
        return lines

    def psql(self, sql):
        return self.server.psql(sql, "moved")


@pytest.fixture
def make_place(directory, server):  # noqa: F811
    made = []

    def make(script=SCHEMA, **options):
        made.append(Place(directory, server, script, **options))
        return made[-1]

    yield make
    for place in made:
        place.daemon.finish()


def test_a_plan_changes_nothing(make_place):
    place = make_place()
    before = place.dump()
    plan = place.move("--plan").stdout
    for line in ("song, 4 rows", "id            bigint from INTEGER, gives numbers", "price         numeric from DECIMAL(10,2)",
                 "is_live       bigint from BOOLEAN", "title_length  bigint from INTEGER, generated", "loose         double precision"):
        assert line in plan, plan
    assert "To be accepted" not in plan and "Would lose" not in plan
    assert place.tables() == [] and place.dump() == before


def test_a_move(make_place):
    place = make_place()
    before = place.dump()
    moved = place.move().stdout
    assert "5 tables and 12 rows moved and compared" in moved and "shop is in use as before" in moved
    assert place.dump() == before
    assert place.tables() == ["artist", "empty", "long_ones", "played", "song", "strict_one"]
    assert place.psql("SELECT id, title, length, price, encode(substr(cover, 1, 3), 'hex'), length(cover), loose, is_live, \"order\", "
                      "title_length FROM song WHERE id < 4 ORDER BY id") == (
        "1|a\"b\\c|200.25|9.99|00ff5c|3|1.5|1|-9223372036854775808|5\n2||1e+300|10000000000000000000000||0|-0|0|9223372036854775807|0\n"
        "3|||||||1||")
    assert place.psql("SELECT title = E'é🎉\\u2028\\n\\t\\\\N', length(cover), loose FROM song WHERE id = 7") == "t|70000|Infinity"
    # Sequences go on behind what was given, also behind what was deleted.
    assert place.psql("INSERT INTO artist(name) VALUES ('new') RETURNING id, length(born)") == "4|10"
    assert place.psql("INSERT INTO song(artist, title, length) VALUES (4, 'next', 300) RETURNING id, price, encode(cover, 'hex'), is_live") == (
        "8|0.5|00ff|0")
    assert place.psql("SELECT * FROM long_ones ORDER BY artist") == "a\"b\\c|Björk\n|Björk\nnext|new"
    # Keys and constraints are there.
    for wrong in ("INSERT INTO artist(name) VALUES ('x')", "UPDATE song SET length = -1", "INSERT INTO song(artist) VALUES (99)",
                  "INSERT INTO song(artist, title, id) VALUES (4, 'NEXT', 8)", "INSERT INTO played VALUES (1, '2026-01-01', 9)",
                  "INSERT INTO played VALUES (7, 'x', 1), (1, 'x', 1)"):
        with pytest.raises(subprocess.CalledProcessError):
            place.psql(wrong)
    assert place.psql("DELETE FROM played; DELETE FROM artist WHERE id = 1; SELECT count(*) FROM song") == "3"
    definitions = place.psql("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'by%' ORDER BY 1")
    assert "(length DESC, title) WHERE" in definitions and "lower(title), id)" in definitions
    assert place.psql("SELECT count(*) FROM pg_constraint WHERE condeferred") == "1"
    assert "already exists" in place.move(status=REFUSED).stderr


def test_what_does_not_translate_is_listed_and_accepted(make_place):
    place = make_place(SCHEMA + UNCARRIED)
    before = place.dump()
    refused = place.move(status=REFUSED)
    for piece in ("trigger note_it: the trigger on song", "virtual-table words: the virtual table of fts5 becomes an ordinary one",
                  "virtual-table found: ", "virtual-table places: ", "collation account.mail: ", "check account: CHECK (kind GLOB a*)",
                  "default account.at: the default is not carried over: the function strftime()", "generated account.upper_mail: ",
                  "type account.mixed: its values are 1 integer, 1 text", "foreign-key account: 1 of its rows", "conflict account: ",
                  "view odd: ", "index by_hex: "):
        assert f"  {piece}" in refused.stdout, refused.stdout
    assert "nothing was changed" in refused.stderr and set(refused.stderr.split()[-1].split(",")) == KINDS
    assert place.tables() == [] and place.dump() == before
    assert "--accept view" in place.move("--accept", ",".join(KINDS - {"view"}), status=REFUSED).stderr
    place.move("--accept", "all")
    assert place.psql("SELECT * FROM account ORDER BY mail") .split("\n")[0].startswith("A@x|abc|")
    assert place.psql("SELECT mixed, upper_mail FROM account ORDER BY mail") == "5|414078\nfive|624078"
    assert place.psql("SELECT * FROM words ORDER BY rowid") == "1|some words|one\n2|more|two"
    assert place.psql("SELECT * FROM places") == "5|1.5|2.5"
    # NOCASE stays in what is unique.
    with pytest.raises(subprocess.CalledProcessError):
        place.psql("INSERT INTO account(mail) VALUES ('a@X')")


def test_a_table_that_sqlite_takes_for_one_of_its_index_is_moved(make_place):
    """The documentation of FTS5 itself names such tables so."""
    place = make_place("CREATE TABLE docs_content(id INTEGER PRIMARY KEY, body TEXT); INSERT INTO docs_content VALUES (1, 'a'), (2, 'b');"
                       "CREATE VIRTUAL TABLE docs USING fts5(body, content = 'docs_content', content_rowid='id');"
                       "INSERT INTO docs(docs) VALUES ('rebuild');"
                       "CREATE VIRTUAL TABLE bare USING fts5(body, content=''); CREATE TABLE bare_content(v); INSERT INTO bare_content VALUES (5);"
                       "CREATE VIRTUAL TABLE own USING fts5(body); INSERT INTO own VALUES ('x')")
    place.move("--accept", "all", "--switch")
    assert place.psql("SELECT * FROM docs_content ORDER BY id") == "1|a\n2|b" and place.psql("SELECT v FROM bare_content") == "5"
    assert place.tables() == ["bare_content", "docs_content", "own"]


LOSSES = {
    "CREATE TABLE a(v TEXT); INSERT INTO a VALUES ('a' || char(0) || 'b')": "value a.v: 1 of its texts have the character 0",
    "CREATE TABLE b(v TEXT); INSERT INTO b VALUES (CAST(x'61ff' AS TEXT)), ('é')": "value b.v: 1 of its texts are not UTF-8",
    "CREATE TABLE c(v); INSERT INTO c VALUES (x'00'), ('text')": "value c.v: its values are 1 text, 1 blob",
    "CREATE TABLE d(v); INSERT INTO d VALUES (0.1 + 0.2), ('text')": "value d.v: its values are 1 real, 1 text",
    f'CREATE TABLE e(v, "{"n" * 64}")': "has more than 63 bytes",
}


def test_what_would_lose_data_is_refused(make_place):
    place = make_place(";".join(LOSSES))
    refused = place.move("--accept", "all", status=REFUSED)
    for cause in LOSSES.values():
        assert cause in refused.stdout, refused.stdout
    assert "5 of the above would lose data" in refused.stderr and place.tables() == []


def test_tables_that_postgresql_cannot_have_are_listed_together(make_place):
    place = make_place("CREATE TABLE t(ctid INTEGER); CREATE TABLE pg_class(a INTEGER PRIMARY KEY); INSERT INTO pg_class VALUES (1);"
                       "CREATE TABLE e(\"\" TEXT); CREATE TABLE many(" + ", ".join(f"c{n} INT" for n in range(1700)) + ")")
    for arguments in (["--plan"], ["--accept", "all"]):
        refused = place.move(*arguments, status=REFUSED)
        for piece in ("name t: PostgreSQL refuses it: ", "name pg_class: PostgreSQL has one of its own with this name", "name e: PostgreSQL refuses",
                      "value many: a table of PostgreSQL has 1600 columns at most"):
            assert f"  {piece}" in refused.stdout, refused.stdout
        assert "4 of the above would lose data" in refused.stderr and "name many" not in refused.stdout, refused
        assert place.tables() == []


def test_a_table_may_have_the_name_of_a_sequence(make_place):
    place = make_place("CREATE TABLE a(id INTEGER PRIMARY KEY); INSERT INTO a VALUES (5); CREATE TABLE A_id_seq(x INT); INSERT INTO a_id_seq VALUES (3)")
    place.move()
    assert place.psql("INSERT INTO a DEFAULT VALUES RETURNING id") == "6" and place.psql("SELECT x FROM a_id_seq") == "3"


def test_rows_that_do_not_fit_stop_the_move_and_name_the_table(make_place):
    place = make_place("CREATE TABLE wide(" + ", ".join(f"c{n} TEXT" for n in range(1500)) + ");"
                       "INSERT INTO wide VALUES (" + ", ".join(["'twenty characters!!!'"] * 1500) + ")")
    failed = place.move("--switch", status=REFUSED)
    assert "nothing was changed: the rows of wide were refused: Row is too big" in failed.stderr and place.tables() == []


def test_what_the_rows_do_not_allow_stops_the_move_until_that_alone_is_accepted(make_place):
    """1 and '1' are different in SQLite, and the same text."""
    place = make_place("CREATE TABLE \"it's\"(a UNIQUE); INSERT INTO \"it's\" VALUES (1), ('1')")
    refused = place.move("--accept", "all", status=REFUSED).stderr
    assert "nothing was changed" in refused and "key it's (a): the key is not carried over" in refused, refused
    assert "--accept 'key:it'\\''s (a)'" in refused and place.tables() == []
    moved = place.move("--accept", "type", "--accept", "key:it's (a)").stdout
    assert "Left out, since the rows do not allow it:\n  key it's (a): " in moved, moved
    assert place.tables() == ["it's"]
    assert "nonsense:a" in place.move("--accept", "nonsense:a", status=64).stderr


def test_names_may_keep_their_case(make_place):
    place = make_place('CREATE TABLE "Ta""ble"(Id INTEGER PRIMARY KEY, "Two Words" TEXT); INSERT INTO "Ta""ble" VALUES (3, \'x\')')
    place.move("--keep-case")
    assert place.psql('INSERT INTO "Ta""ble"("Two Words") VALUES (\'y\') RETURNING "Id"') == "4"


def test_what_is_asked_wrongly(make_place):
    place = make_place()
    base = ["--config", place.directory / "litebase.toml", "--socket", place.daemon.socket_path]
    for arguments, piece in ((["shop_new", "shop"], "engine postgresql"), (["shop", "shop"], "engine sqlite"),
                             (["shop", "shop_new", "--accept", "nonsense"], "nonsense"),
                             (["shop", "shop_new", "--switch", "--retire"], "only one"),
                             (["shop", "shop_new", "--plan", "--switch"], "--plan")):
        result = subprocess.run([LITEBASE, "move", *arguments, *base], capture_output=True, text=True, timeout=30)
        assert result.returncode == 64 and piece in result.stderr, result
    # Files that are not those of the daemon.
    place.add("shop", f"sqlite:{place.directory}/other.db")
    failed = place.move("--switch", status=64)
    assert f"the daemon has shop in {place.file}" in failed.stderr and "--config" in failed.stderr
    # A file that was written by hand is not edited, which is said before anything is copied.
    written = place.directory / "litebase.toml.d/shop.toml"
    written.write_text(f'[databases.shop]\nurl = "sqlite:{place.file}"\n')
    assert "--retire" in place.move("--switch", status=64).stderr
    assert place.tables() == []


def test_the_same_by_url_and_retired(make_place):
    place = make_place("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    moved = subprocess.run([LITEBASE, "move", "shop", place.server.url("moved"), "--retire", "--socket", place.daemon.socket_path],
                           capture_output=True, text=True, timeout=30)
    assert moved.returncode == 0 and "takes no more writes" in moved.stdout, moved
    again = place.move("--accept", "all", status=REFUSED).stderr
    assert "shop was moved before" in again and "SELECT name FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'" in again
    for connect in (lambda: sqlite3.connect(place.file, isolation_level=None).execute("DELETE FROM t"),
                    lambda: place.daemon.connect().query("INSERT INTO t VALUES (2)", database="shop")):
        with pytest.raises((sqlite3.IntegrityError, RequestFailed), match="moved to PostgreSQL"):
            connect()


def test_a_password_by_the_former_name_is_kept(make_place, directory):  # noqa: F811
    """docs/databases.md: a credential NAME.password needs no key, as long as the name is that."""
    secrets = directory / "secrets"
    secrets.mkdir()
    (secrets / "shop_new.password").write_text("secret")
    (secrets / "shop_new.password").chmod(0o400)
    place = make_place("CREATE TABLE t(a); INSERT INTO t VALUES (1)", environment={"CREDENTIALS_DIRECTORY": secrets})
    refused = subprocess.run([LITEBASE, "move", "shop", place.server.url("moved"), *place.command("--switch")[4:]], capture_output=True,
                             text=True, timeout=30)
    assert refused.returncode == 64 and "shop_new" in refused.stderr and place.tables() == [], refused
    place.move("--switch")
    assert 'password_credential = "shop_new.password"' in (place.directory / "litebase.toml.d/shop.toml").read_text()
    assert place.daemon.connect().query("SELECT a FROM t", database="shop").rows == [[1]]


def test_back_again(make_place):
    """As docs/scaling.md has it."""
    place = make_place("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    place.move("--switch")
    drop_ins = place.directory / "litebase.toml.d"
    (drop_ins / "shop.toml.before-move").rename(drop_ins / "shop.toml")
    socket = ["--socket", place.daemon.socket_path]
    subprocess.run([LITEBASE, "reload", *socket], check=True, capture_output=True, timeout=30)
    query = [LITEBASE, "query", "-d", "shop", *socket]
    assert "moved to PostgreSQL" in subprocess.run([*query, "DELETE FROM t"], capture_output=True, text=True, timeout=30).stderr
    document = (Path(__file__).resolve().parents[2] / "docs/scaling.md").read_text()
    [drop] = re.findall(r"^\$ (litebase query .*DROP TRIGGER.*)$", document, re.M)
    subprocess.run(drop.replace("litebase query", f"{LITEBASE} query"), shell=True, check=True, capture_output=True, timeout=30,
                   env=dict(os.environ, LITEBASE_SOCKET=place.daemon.socket_path))
    subprocess.run([*query, "DELETE FROM t"], check=True, capture_output=True, timeout=30)


def test_a_program_that_writes_meanwhile_loses_nothing(make_place):
    place = make_place("CREATE TABLE t(id INTEGER PRIMARY KEY, writer INT, n INT); "
                       "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000) "
                       "INSERT INTO t(writer, n) SELECT 0, x FROM c")
    acknowledged, errors, stop = [], [], threading.Event()

    def write(number):
        client = place.daemon.connect()
        n = 0
        while not stop.is_set():
            n += 1
            try:
                # The same statement for both engines.
                client.query(f"INSERT INTO t(writer, n) VALUES ({number}, {n})", database="shop")
                acknowledged.append((number, n))
            except RequestFailed as error:
                errors.append(error.data["message"])

    # Who has a session would go on reading what nobody writes any more.
    reader = place.daemon.connect()
    session = reader.call("db_connect", {"database": "shop"}).data["session"]
    assert reader.query("SELECT 1", session=session).rows == [[1]]
    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        wait_until(lambda: len(acknowledged) > 20, "rows are written")
        moved = place.move("--switch").stdout
        count = len(acknowledged)
        wait_until(lambda: len(acknowledged) > count + 20, "rows are written into PostgreSQL")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert reader.query_fails("SELECT 1", session=session)["code"] == "session_not_found" and "1 session of before ended" in moved
    assert "has waited for" in moved and "Configuration reloaded" in moved and f"Stays, for reading: {place.file}\n" in moved
    there = {tuple(map(int, line.split("|"))) for line in place.psql("SELECT writer, n FROM t WHERE writer > 0").split("\n")}
    assert set(acknowledged) <= there
    assert all("moved to PostgreSQL" in error for error in errors), errors[:3]
    # Who may use it stays, and what it was is kept.
    entry = (place.directory / "litebase.toml.d/shop.toml").read_text()
    assert 'users = ["root"]' in entry and "postgresql://" in entry
    assert "sqlite:" in (place.directory / "litebase.toml.d/shop.toml.before-move").read_text()
    assert place.daemon.connect().call("list_databases").data["databases"]
    [engine] = [one["engine"] for one in place.daemon.connect().call("list_databases").data["databases"] if one["name"] == "shop"]
    assert engine == "postgresql"


def test_a_reload_that_fails_is_left_to_be_made(make_place):
    """Somebody writes nonsense into the configuration meanwhile; the rows are moved, and the entry is written."""
    place = make_place(VIEWED)
    with Held(place) as held:
        moving = held.start("--switch")
        (place.directory / "litebase.toml.d/other.toml").write_text("nonsense")
    output, errors = moving.communicate(timeout=30)
    assert moving.returncode != 0 and "Next: litebase reload" in output, (output, errors)
    assert "postgresql://" in (place.directory / "litebase.toml.d/shop.toml").read_text()


@pytest.mark.parametrize("change, difference", [("UPDATE t SET v = 'z' WHERE id = 1", "t: 2 rows, of which some have other values"),
                                                ("DELETE FROM t WHERE id = 1", "t: 2 rows in SQLite, 1 in PostgreSQL")])
def test_what_is_not_the_same_is_not_kept(make_place, change, difference):
    """Somebody else's trigger changes what was copied."""
    place = make_place(VIEWED)
    place.psql(HOLD.replace("PERFORM pg_advisory_xact_lock(1)", change))
    failed = place.move("--switch", status=NOT_SAME)
    assert difference in failed.stderr and place.tables() == []
    place.daemon.connect().query("INSERT INTO t(v) VALUES ('c')", database="shop")


def test_a_view_that_shows_something_else_has_to_be_accepted(make_place):
    """Computed by both: what is the same, what differs in its last digits only, and what is not the same."""
    place = make_place("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER, x REAL);"
                       "INSERT INTO t(v, n, x) VALUES ('a', 1, 0.1), ('b', 2, 0.2), ('B', 2, NULL), (NULL, 7, 1e300);"
                       "CREATE VIEW counted AS SELECT n, count(*) AS c, avg(n + x) AS a, sum(n) AS s, avg(x) / 3 AS ax, min(v) AS m FROM t GROUP BY n;"
                       "CREATE VIEW bare AS SELECT * FROM t WHERE n > 100;"
                       "CREATE VIEW \"it's Upper\" AS SELECT upper(v) AS u, n / 2 AS half FROM t;"
                       "CREATE VIEW w AS SELECT v FROM t;"
                       "CREATE VIEW shown AS SELECT n || '' AS n, x || '' AS x FROM t WHERE x < 1;"
                       "CREATE VIEW unnamed AS SELECT max(n) FROM t;"
                       "CREATE VIEW beyond AS SELECT abs(-9223372036854775807 - n) AS a FROM t;"
                       "CREATE VIEW broken AS SELECT v FROM t WHERE id IN (SELECT id FROM gone)")
    # Somebody else's trigger has one view show something else.
    place.psql(HOLD.replace("PERFORM pg_advisory_xact_lock(1)",
                            "CREATE OR REPLACE RULE \"_RETURN\" AS ON SELECT TO w DO INSTEAD SELECT upper(v) AS v FROM t")
               .replace("FROM t)", "FROM t) AND to_regclass('w') IS NOT NULL"))
    accepted = ("--accept", "view:broken", "--accept", "view:shown")
    failed = place.move("--switch", *accepted, status=NOT_SAME)
    assert place.tables() == [] and "view counted" not in failed.stderr and "Upper" not in failed.stderr, failed.stderr
    for piece in ("views show something else\n", "view w: of its 4 rows, some have other values in PostgreSQL; read it in both",
                  "view unnamed: its column max(n) is called max in PostgreSQL; ", "view beyond: PostgreSQL cannot read it: "):
        assert piece in failed.stderr, failed.stderr
    ending = "--accept 'view:w' --accept 'view:unnamed' --accept 'view:beyond'"
    assert failed.stderr.endswith(f"to take them as they are: {ending}\n"), failed.stderr
    place.daemon.connect().query("INSERT INTO t(v) VALUES ('c')", database="shop")
    place.move(*accepted, *ending.replace("'", "").split())
    assert place.psql("SELECT max(v) FROM w") == "C"


@pytest.mark.parametrize("victim", ["command", "Ctrl-C", "daemon", "server"])
def test_a_death_in_the_middle_leaves_nothing(make_place, victim):
    place = make_place(VIEWED)
    before = place.dump()
    with Held(place) as held:
        moving = held.start("--switch")
        if victim == "command":
            moving.kill()
        elif victim == "Ctrl-C":
            moving.send_signal(signal.SIGINT)
        elif victim == "daemon":
            place.daemon.process.send_signal(signal.SIGKILL)
            place.daemon.process.wait()
        else:
            place.server.kill()
        moving.communicate(timeout=30)
        assert moving.returncode != 0
    if victim == "daemon":
        place.daemon.launch()
        place.daemon.wait_ready()
    if victim == "server":
        place.server.start()
    wait_until(lambda: place.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'moved' AND xact_start IS NOT NULL "
                                  "AND pid <> pg_backend_pid()") == "0", "nothing is open")
    assert place.tables() == [] and place.dump() == before
    place.daemon.connect().query("INSERT INTO t(v) VALUES ('c')", database="shop")
    place.move("--switch")
    assert place.psql("SELECT count(*) FROM t") == "3"


def test_writers_wait_longer_than_a_session_may_lie_idle(make_place):
    """What holds the lock is kept, although others need it and PostgreSQL takes its time."""
    place = make_place(VIEWED, limits="busy_time_ms_max = 20000\nidle_hold_ms_max = 2500")
    with Held(place) as held:
        moving = held.start("--switch")
        client = place.daemon.connect()
        began = time.monotonic()
        writing = client.send("query", {"sql": "INSERT INTO t(v) VALUES ('late')", "database": "shop"})
        wait_until(lambda: time.monotonic() - began > 4, "the time has passed")
        assert moving.poll() is None, moving.communicate()
    assert moving.wait(30) == 0, moving.communicate()
    moving.communicate()
    reply = client.receive_for(writing)
    assert reply.type == "error" and "moved to PostgreSQL" in reply.data["message"]
    assert place.psql("SELECT count(*) FROM t") == "2"


@pytest.mark.parametrize("script", ["CREATE VIRTUAL TABLE note USING fts5(body); INSERT INTO note VALUES ('a')", "CREATE VIEW v AS SELECT 1 AS x"],
                         ids=["virtual", "none"])
def test_a_database_without_ordinary_tables_is_closed(make_place, script):
    """Virtual tables have no triggers: there is a table for them."""
    place = make_place(script)
    place.move("--accept", "all", "--retire")
    with place.daemon.connect() as client:
        for sql in ("INSERT INTO note VALUES ('b')", "CREATE TABLE t(a)"):
            if "note" in script or "note" not in sql:
                assert client.query_fails(sql, database="shop")["code"] == "read_only"


def test_a_collation_in_any_case(make_place):
    place = make_place("CREATE TABLE t(a TEXT COLLATE nocase UNIQUE, b TEXT COLLATE RTrim UNIQUE); INSERT INTO t VALUES ('a', 'b')")
    place.move("--accept", "all")
    for refused in ("INSERT INTO t VALUES ('A', 'c')", "INSERT INTO t VALUES ('c', 'b ')"):
        with pytest.raises(subprocess.CalledProcessError):
            place.psql(refused)


def test_a_trial_that_is_stopped_is_no_refusal(make_place):
    """What was not tried to its end is not left out: with everything accepted, the index would be missing."""
    place = make_place("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t(v); INSERT INTO t(v) VALUES ('a')")
    place.psql("CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); END $$; "
               "CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION hold()")
    before = place.dump()
    moving = subprocess.Popen(place.command("--accept", "all", "--retire"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: place.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND state = 'active'") == "1",
               "the index is being tried")
    moving.send_signal(signal.SIGINT)
    output, errors = moving.communicate(timeout=30)
    assert moving.returncode != 0 and "moved" not in output, (output, errors)
    assert place.tables() == [] and place.dump() == before


def test_a_signal_between_two_statements_stops_a_move(make_place):
    many = "".join(f"CREATE TABLE t{n}(id INTEGER PRIMARY KEY, a INT UNIQUE, b TEXT UNIQUE); INSERT INTO t{n} VALUES (1, 1, 'x');" for n in range(100))
    place = make_place(many)
    for share in (0.3, 0.6):
        start = time.monotonic()
        place.move("--accept", "all", "--plan")
        took = time.monotonic() - start
        moving = subprocess.Popen(place.command("--accept", "all", "--retire"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(share * took)
        moving.send_signal(signal.SIGINT)
        output, errors = moving.communicate(timeout=60)
        assert moving.returncode != 0 and place.tables() == [], (output, errors)
