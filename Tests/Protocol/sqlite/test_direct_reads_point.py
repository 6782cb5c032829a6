"""Single rows by their numbers, asked for so often that the daemon takes any short cut that it has: each reply is SQLite's."""

import contextlib
import shutil
import sqlite3

import pytest

from odd_pages import damaged, is_certain, odd_leaf
from random_tables import (CONSTANT_DEFAULTS, ENCODINGS, INTEGERS, LARGEST, PAGE_SIZES, REALS, SMALLEST, TEXTS, RandomTable, insert, make_file,
                           random_form, random_value)
from reference import (ROUNDS, Reference, Refused, answer, burst, connected, dice_of_test, difference, is_same, require_burst,
                       require_same, send_burst, shortened, telling_of_crashes)
from versions import (COLUMNS, DEFINITION, KEYS, Versions, Writers, by_another_program, by_the_daemon, by_transactions_of_the_daemon, pause, retried,
                      statement_of)
from wire import RequestFailed


@pytest.fixture
def dice():
    return dice_of_test()


@pytest.fixture
def start_daemon(start_daemon):
    """Daemons whose end before that of the test tells why."""
    with telling_of_crashes(start_daemon) as start:
        yield start


# Tables of every form

@pytest.mark.slow
def test_random_tables(start_daemon, directory, dice):
    for turn in range(ROUNDS):
        files, tables = {}, {}
        for number in range(4):
            name = f"d{turn}x{number}"
            files[name] = directory / f"{name}.db"
            with contextlib.closing(make_file(files[name], **random_form(dice))) as database:
                database.execute("BEGIN")
                tables[name] = [RandomTable(dice, f"t{place}", database) for place in range(2)]
                database.execute("COMMIT")
        daemon = start_daemon(databases={name: f"sqlite:{path}" for name, path in files.items()})
        for name, path in files.items():
            with connected(daemon, dice) as client, Reference(path) as reference:
                session = client.session(database=name)
                for table in tables[name]:
                    for options in ({"database": name}, {"database": name}, {"session": session}):
                        require_burst(client, reference, table.point_requests(), **options)
                    for _ in range(3):
                        alter(table, dice, reference)
                        require_burst(client, reference, table.point_requests(), database=name)
        daemon.finish()


def alter(table, dice, reference):
    """Another program changes rows and columns."""
    for _ in range(dice.randrange(1, 4)):
        name = f"n{dice.randrange(1000)}"
        # (Not all of it is legal, as a DEFAULT of a type that the column does not take.)
        with contextlib.suppress(sqlite3.Error):
            kind = dice.randrange(5)
            if kind <= 1:
                type = dice.choice(("INT", "REAL", "TEXT", "BLOB")) if table.is_strict else dice.choice(("", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC"))
                default = "" if dice.random() < 0.4 else f" DEFAULT {dice.choice(CONSTANT_DEFAULTS)}"
                reference.execute(f"ALTER TABLE {table.name} ADD COLUMN {name} {type}{default}")
                table.columns.append(name)
                table.stored.append(name)
            elif kind == 2 and len(table.columns) > 2:
                gone = dice.choice([column for column in table.stored if column != "id"])
                reference.execute(f"ALTER TABLE {table.name} DROP COLUMN \"{gone}\"")
                table.columns.remove(gone)
                table.stored.remove(gone)
            elif kind == 3:
                table.fill(reference, dice.sample(table.numbers, 5))
            else:
                reference.execute("VACUUM")


def served(start_daemon, path, **options):
    return start_daemon(databases={"d": f"sqlite:{path}"}, directory=path.parent, **options)


PARAMETERS = [*INTEGERS, *REALS, *(raw.decode() for raw in TEXTS if raw.isascii()), "５", "7.0", "+7", "7e0", "07", "7\0", "\x0b7", "7 x", "-9223372036854775808",
              "-9223372036854775809", "9223372036854775807.0", "1e18", "1" * 400, None, True, False, b"7", b"", 7.5, 7.0, -7.0, 9007199254740993, 1.5e18]


@pytest.mark.parametrize("key", ["id", "rowid", "_rowid_", "OID"])
def test_parameters_of_all_kinds(start_daemon, directory, dice, key):
    path = directory / "d.db"
    with contextlib.closing(make_file(path)) as database:
        database.execute("CREATE TABLE t(a, b REAL, id INTEGER PRIMARY KEY, c TEXT)")
        for number in {*INTEGERS, 7, -7, 10**18}:
            database.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (number, number, number, number))
    with connected(served(start_daemon, path), dice) as client, Reference(path) as reference:
        for condition in dict.fromkeys(RandomTable.CONDITIONS):
            sql = f"SELECT {key}, b, a, c, b FROM t WHERE {condition.format(K=key, L=abs(dice.choice(INTEGERS)))}"
            parameters = dice.sample(PARAMETERS, 50) if dice.random() < 0.8 else PARAMETERS
            if "key" in condition:
                requests = [(sql, {"key": value}) for value in parameters]
            elif "?" not in condition.split("--")[0]:
                requests = [(sql, None)]
            else:
                requests = [(sql, [value, None] if "IS NULL" in condition else [value]) for value in parameters]
            require_burst(client, reference, requests, count=100, database="d")
        # Too few, too many, none, others.
        sql = f"SELECT a FROM t WHERE {key} = ?"
        require_burst(client, reference, [(sql, [7]), (sql, []), (sql, [7, 8]), (sql, None), (sql, [7])], database="d")
        sql = f"SELECT a FROM t WHERE {key} = :one"
        require_burst(client, reference, [(sql, {"one": 7}), (sql, {"two": 7}), (sql, {"one": -7})], database="d")


OBJECTS = """
CREATE TABLE plain(id INTEGER PRIMARY KEY, a, b REAL, c TEXT);
CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b REAL, c TEXT);
CREATE TABLE down(id INTEGER PRIMARY KEY DESC, a, b REAL, c TEXT);
CREATE TABLE down2(id INTEGER, a, b REAL, c TEXT, PRIMARY KEY(id DESC));
CREATE TABLE short(id INT PRIMARY KEY, a, b REAL, c TEXT);
CREATE TABLE without(id INTEGER PRIMARY KEY, a, b REAL, c TEXT) WITHOUT ROWID;
CREATE TABLE without2(a, id INTEGER, b REAL, c TEXT, PRIMARY KEY(id, c)) WITHOUT ROWID;
CREATE TABLE hidden(id, a, b REAL, c TEXT, rowid REAL);
CREATE TABLE hidden2(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, rowid, oid, _rowid_);
CREATE TABLE strict(id INTEGER PRIMARY KEY, a ANY, b REAL, c TEXT) STRICT;
CREATE TABLE made(a, id INTEGER PRIMARY KEY, v AS (a || '!') VIRTUAL, b REAL, s REAL AS (b + 1) STORED, w AS (v || s), c TEXT);
CREATE TABLE covered(id INTEGER PRIMARY KEY, a, b REAL, c TEXT);
CREATE INDEX covering ON covered(b, c);
CREATE INDEX partial ON covered(a) WHERE a > 5;
CREATE UNIQUE INDEX unique_one ON covered(c, a);
CREATE TABLE collated(id INTEGER PRIMARY KEY COLLATE NOCASE, a COLLATE RTRIM, b REAL COLLATE NOCASE, c TEXT COLLATE NOCASE);
CREATE TABLE defaults(id INTEGER PRIMARY KEY DEFAULT 7, a DEFAULT 5, b REAL DEFAULT 5, c TEXT DEFAULT 5);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE VIEW seen2 AS SELECT id + 1 AS id, a, b, c FROM plain;
CREATE VIEW seen3 AS SELECT * FROM plain UNION ALL SELECT * FROM counted;
CREATE VIRTUAL TABLE words USING fts5(id, a, b, c);
CREATE VIRTUAL TABLE boxes USING rtree(id, a, b);
"""
FILLED = ("plain", "counted", "down", "down2", "short", "without", "without2", "hidden", "hidden2", "strict", "made", "covered", "collated", "words")


def make_objects(path, dice):
    with contextlib.closing(make_file(path, **{**random_form(dice), "is_legacy": False})) as database:
        database.executescript(OBJECTS)
        for table in FILLED:
            for number in range(60):
                a = dice.choice((number, f"a{number}", number / 2, None, b"\0blob"))
                insert(database, table, ("id", "a", "b", "c"), (number, a, dice.choice((number, number / 3, None)), f"c{number % 10}" * (number % 4)))
        for number in range(60):
            database.execute("INSERT INTO boxes VALUES (?, ?, ?)", (number, number, number + 1))
            database.execute("INSERT INTO defaults(id) VALUES (?)", [number])
            database.execute("DELETE FROM covered WHERE id = ? AND id % 7 = 2", [number])
        database.execute("CREATE TABLE copied AS SELECT * FROM plain")
        database.execute("ANALYZE")
        return [name for name, in database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")] + ["sqlite_schema", "sqlite_master"]


def test_all_kinds_of_tables(start_daemon, directory, dice):
    path = directory / "d.db"
    names = make_objects(path, dice)
    with connected(served(start_daemon, path), dice) as client, Reference(path) as reference:
        for name in names:
            for selected, key in (("*", "rowid"), ("rowid, *", "oid"), ("c, b, id, a, rowid, b", "id"), ("*", "id"), ("name, rowid, sql", "rowid")):
                expected = reference.ask(f"SELECT {selected} FROM {name} WHERE {key} = ?", [7])
                if isinstance(expected, Refused):
                    assert isinstance(answer(client, send_burst(client, [(f"SELECT {selected} FROM {name} WHERE {key} = ?", [7])], database="d")[0]), Refused)
                    continue
                sql = f"SELECT {selected} FROM {name} WHERE {key} = ?"
                require_burst(client, reference, [(sql, [number]) for number in (*range(-2, 66, 2), "7", 8.0, None, 7.5)], count=80, database="d")
        sql = "SELECT p.a, c.b FROM plain p JOIN counted c ON c.id = p.id WHERE p.id = ?"
        require_burst(client, reference, [(sql, [number]) for number in range(70)], database="d")
        for sql in ("SELECT a FROM plain WHERE id = ? UNION ALL SELECT b FROM made WHERE id = ?1", "SELECT (SELECT a FROM made WHERE id = ?), 1",
                    "SELECT a FROM plain WHERE id = (SELECT id FROM counted WHERE id = ?)", "SELECT DISTINCT a FROM plain WHERE id = ?",
                    "SELECT count(*), a FROM plain WHERE id = ?", "SELECT a, typeof(b), b FROM plain WHERE id = ?", "SELECT a FROM plain WHERE id = ? AND a IS NOT NULL",
                    "SELECT a FROM plain WHERE id = ? AND id = 7", "SELECT a AS b, b AS a FROM plain WHERE id = ?", "WITH x AS (SELECT * FROM made) SELECT w FROM x WHERE id = ?"):
            require_burst(client, reference, [(sql, [number]) for number in range(0, 70, 3)], count=100, database="d")


def test_columns_that_come_and_go(start_daemon, directory, dice):
    """Rows that were written before a column was added do not have it; those of a dropped one are written anew."""
    path = directory / "d.db"
    with contextlib.closing(make_file(path)) as database:
        database.execute("CREATE TABLE t(a, id INTEGER PRIMARY KEY, b REAL)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", [(f"a{number}", number, number) for number in range(40)])
    with connected(served(start_daemon, path), dice) as client, Reference(path) as reference:
        columns = ["a", "id", "b"]

        def require():
            for sql in ("SELECT * FROM t WHERE id = ?", f"SELECT {', '.join(reversed(columns))} FROM t WHERE rowid = ?", f"SELECT {columns[-1]} FROM t WHERE id = ?"):
                require_burst(client, reference, [(sql, [number]) for number in range(-1, 90, 2)], count=90, what=columns, database="d")

        for number, default in enumerate((*CONSTANT_DEFAULTS, None, "1", "1")):
            type = ("", "REAL", "INTEGER", "TEXT", "BLOB", "NUMERIC")[number % 6]
            by_whom = dice.choice((reference.execute, lambda sql: client.query(sql, database="d")))
            by_whom(f"ALTER TABLE t ADD COLUMN c{number} {type}" + (f" DEFAULT {default}" if default else ""))
            columns.append(f"c{number}")
            require()
            by_whom(f"INSERT OR REPLACE INTO t(id, a, c{number}) VALUES ({dice.randrange(80)}, 'new', {number})")
            by_whom(f"UPDATE t SET a = 'changed' WHERE id = {dice.randrange(40)}")
            if number % 4 == 3:
                by_whom(f"ALTER TABLE t ADD COLUMN g{number} REAL AS (c{number} || 1) VIRTUAL")
                columns.append(f"g{number}")
            if number % 3 == 2:
                by_whom(f"ALTER TABLE t DROP COLUMN {columns.pop(-1 if number % 4 == 3 else dice.choice((-1, -2)))}")
                require()
            if number % 5 == 4:
                place = dice.randrange(3, len(columns))
                # (The column of a generated one is renamed within its expression.)
                by_whom(f"ALTER TABLE t RENAME COLUMN {columns[place]} TO r{number}")
                columns[place] = f"r{number}"
                require()
        by_whom = reference.execute
        by_whom("ALTER TABLE t RENAME TO u")
        for sql in ("SELECT * FROM t WHERE id = ?", "SELECT * FROM u WHERE id = ?"):
            require_burst(client, reference, [(sql, [number]) for number in range(-1, 90, 5)], database="d")


# Pages of every form

def layouts(dice):
    """Each size of pages; each encoding, and each way to keep free pages."""
    for place, page_size in enumerate(PAGE_SIZES):
        yield {**random_form(dice), "page_size": page_size, "reserved": (0, dice.choice((1, 8, 31, 32)))[(place + dice.randrange(2)) % 2],
               "auto_vacuum": dice.randrange(3), "encoding": ENCODINGS[place % 3]}


def test_rows_that_fill_a_page(start_daemon, directory, dice):
    """Around the size from which on a row needs other pages, and beyond; and headers of rows that do."""
    forms = [*layouts(dice)]
    forms = forms if ROUNDS > 1 else dice.sample(forms[:6], 3) + dice.sample(forms[6:], 1)
    for number, form in enumerate(forms):
        path = directory / f"d{number}.db"
        usable = form["page_size"] - form["reserved"]
        sizes = [*range(usable - 60, usable - 25), usable - 1, usable, usable + 1, 2 * usable - 70, 2 * usable, (usable - 12) * 64 // 255 - 23, usable // 4, usable // 2, 0]
        with contextlib.closing(make_file(path, **form)) as database:
            database.execute("BEGIN")
            database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a BLOB, b INT, c TEXT)")
            for place, size in enumerate(sizes):
                database.execute("INSERT INTO t VALUES (?, ?, ?, ?)", [place, dice.randbytes(size), place, f"c{place}"])
            width = 90
            database.execute(f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {', '.join(f'c{place}' for place in range(width))})")
            for place in range(20):
                # Texts of 58 bytes and more have types of two bytes, those of 8,186 of three.
                values = [random_value(dice, 70 if form["page_size"] < 4096 else 20) if dice.random() < 0.3 else "x" * dice.choice((57, 58, 1, 3)) for _ in range(width)]
                insert(database, "wide", ("id", *(f"c{column}" for column in range(width))), (place, *values))
            database.execute("COMMIT")
        daemon = served(start_daemon, path)
        with connected(daemon, dice) as client, Reference(path) as reference:
            numbers = range(-1, len(sizes) + 1)
            for sql in ("SELECT b, c, id FROM t WHERE id = ?", "SELECT id, b FROM t WHERE rowid = ?", "SELECT c FROM t WHERE id = ?"):
                require_burst(client, reference, [(sql, [place]) for place in numbers], count=100, what=form, database="d")
            require_burst(client, reference, [("SELECT a, b FROM t WHERE id = ?", [place]) for place in numbers], count=60, what=form, database="d")
            for sql in ("SELECT * FROM wide WHERE id = ?", "SELECT c89, id, c0 FROM wide WHERE id = ?", "SELECT c40, c41 FROM wide WHERE id = ?"):
                require_burst(client, reference, [(sql, [place]) for place in range(21)], count=60, what=form, database="d")
        daemon.finish()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_deep_trees(start_daemon, directory, dice, is_sparse):
    """Many rows on small pages; then most are deleted, so that inner pages name rows that are gone."""
    path = directory / "d.db"
    rows = 20_000
    numbers = [dice.randrange(SMALLEST, LARGEST + 1) for _ in range(rows)] if is_sparse else list(range(-rows // 2, rows // 2))
    with contextlib.closing(make_file(path, page_size=512, reserved=dice.choice((0, 32)), auto_vacuum=dice.randrange(3))) as database:
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
        database.execute("CREATE TABLE empty(id INTEGER PRIMARY KEY, a, b)")
        database.execute("CREATE TABLE one(id INTEGER PRIMARY KEY, a, b)")
        database.execute("BEGIN")
        database.executemany("INSERT OR IGNORE INTO t VALUES (?, ?, ?)", [(number, number, f"b{number % 1000}") for number in numbers])
        database.execute(f"INSERT INTO one SELECT * FROM t WHERE id = {numbers[7]}")
        database.execute("COMMIT")
    with connected(served(start_daemon, path), dice) as client, Reference(path) as reference:
        def require():
            near = [min(max(number + step, SMALLEST), LARGEST) for number in dice.sample(numbers, 100) for step in (-1, 0, 0, 1)]
            for table in ("t", "t", "empty", "one"):
                chosen = near if table == "t" else [numbers[7], *near[:50]]
                require_burst(client, reference, [(f"SELECT b, id, a FROM {table} WHERE id = ?", [number]) for number in chosen], database="d")

        require()
        reference.execute(f"DELETE FROM t WHERE abs(id) % {dice.choice((2, 3, 50))} <> 1")
        require()
        reference.execute("DELETE FROM t WHERE id > ?", [sorted(numbers)[rows // 3]])
        require()
        reference.execute("VACUUM")
        require()
        client.query("DELETE FROM t", database="d")
        require()


def test_files_without_a_log(start_daemon, directory, dice):
    """Opened to be read only; another program changes it with a rollback journal between bursts."""
    for number in range(3):
        path = directory / f"d{number}.db"
        with contextlib.closing(make_file(path, **random_form(dice), wal=False)) as database:
            tables = [RandomTable(dice, f"t{place}", database) for place in range(2)]
        daemon = start_daemon(databases={"d": f"sqlite:{path}?mode=ro"}, directory=directory)
        with connected(daemon, dice) as client, Reference(path) as reference:
            for table in tables:
                for _ in range(4):
                    require_burst(client, reference, table.point_requests(), database="d")
                    alter(table, dice, reference)
                require_burst(client, reference, table.point_requests(), database="d")
            assert reference.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        daemon.finish()


def test_records_that_nobody_writes(start_daemon, directory, dice):
    """What SQLite reads and never writes: see `odd_pages`."""
    files, names = {}, ("id", "a", "b", "c", "d", "e")
    for number in range(6 * ROUNDS):
        form = {**random_form(dice), "page_size": dice.choice((512, 1024, 4096, 65536))}
        path = directory / f"d{number}.db"
        wal = dice.random() < 0.5
        with contextlib.closing(make_file(path, **form, wal=wal)) as database:
            definition = dice.choice(("id INTEGER PRIMARY KEY, a INT, b REAL, c TEXT, d BLOB, e REAL DEFAULT 5", "a INT, b REAL, c REAL, d TEXT, e DEFAULT 'e', id INTEGER PRIMARY KEY",
                                      "a INT, id INTEGER PRIMARY KEY, b REAL AS (a) STORED, c TEXT, d BLOB AS (a) VIRTUAL, e INT"))
            database.execute(f"CREATE TABLE t({definition})")
            database.execute("INSERT INTO t(id) VALUES (1)")
            root = database.execute("SELECT rootpage FROM sqlite_schema").fetchone()[0]
        numbers = dice.sample(INTEGERS, 30) + [1, 2, 3]
        usable = form["page_size"] - form["reserved"]
        page, taken = odd_leaf(dice, set(numbers), len(names), form["page_size"], usable, usable - 35, are_whole=dice.random() < 0.5)
        with open(path, "r+b") as file:
            file.seek((root - 1) * form["page_size"])
            file.write(page)
        files[f"d{number}"] = (path, taken, wal)
    daemon = start_daemon(databases={name: f"sqlite:{path}{'' if wal else '?mode=ro'}" for name, (path, _, wal) in files.items()})
    for name, (path, taken, _) in files.items():
        with connected(daemon, dice) as client, Reference(path) as reference:
            for selected in ("*", "id, b, e, a", ", ".join(dice.choices(names, k=8)), dice.choice(names)):
                requests = [(f"SELECT {selected} FROM t WHERE id = ?", [number]) for number in taken + [5, 6]]
                require_burst(client, reference, requests, count=120, what=path.name, database=name)


# Changes under way

@pytest.fixture
def watched(start_daemon, directory, dice):
    """A file with the rows of `versions`, a daemon that serves it, and SQLite's own connection to it."""
    path = directory / "d.db"
    with contextlib.closing(make_file(path, page_size=dice.choice((512, 1024, 4096)), auto_vacuum=dice.randrange(3))) as database:
        database.execute(DEFINITION)
        for key in range(KEYS):
            database.execute(*statement_of(key, 0))
        database.execute("CREATE TABLE filler AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 200) SELECT x, randomblob(100) FROM c")
    daemon = served(start_daemon, path)
    with Reference(path, timeout=60) as other:
        yield daemon, other


@pytest.mark.slow
def test_each_row_is_one_that_was_there(watched, dice):
    """Four write, and one of them moves pages, too: each reply is a version that was committed between request and reply, whole."""
    daemon, other = watched
    versions = Versions()
    mine = [[key for key in range(KEYS) if key % 4 == place] for place in range(4)]
    own = daemon.connect()
    works = [by_the_daemon(daemon.connect(), versions, mine[0], dice, database="d"), by_another_program(other, versions, mine[1], dice),
             by_transactions_of_the_daemon(own, versions, mine[2], dice, own.session(database="d"))]
    clients = [connected(daemon, dice) for _ in range(3)]
    sessions = [client.session(database="d") for client in clients]
    with Writers(*works) as writers:
        for _ in writers.last(1.5 * ROUNDS):
            # This thread writes, too: what was answered is seen by whoever asks then.
            written = versions.begin([dice.choice(mine[3])])
            sql, params = statement_of(*written[0])
            clients[0].query(sql, params, database="d")
            versions.acknowledge(written)
            for _ in range(dice.choice((1, 3))):
                read_rows(clients, sessions, versions, dice)
    assert sum(versions.acknowledged) > 100


def read_rows(clients, sessions, versions, dice):
    """Bursts on several connections at a time."""
    some = dice.choices(COLUMNS, k=5)
    selected = dice.choice((COLUMNS, COLUMNS, COLUMNS[::-1], ("id", "a", "e"), ("e", "a"), ("b", "a", "id"), ("d", "c", "a"),
                            ("a", *dict.fromkeys(name for name in some if name != "a"))))
    sql = f"SELECT {', '.join(selected)} FROM t WHERE {dice.choice(('id', 'rowid'))} = ?"
    keys = [dice.randrange(KEYS) for _ in range(dice.choice((20, 70, 200)))]
    ways = [(client, {"session": session} if dice.random() < 0.25 else {"database": "d"}) for client, session in zip(clients, sessions)]
    least = list(versions.acknowledged)
    sent = [(client, send_burst(client, [(sql, [key]) for key in keys], **options), options) for client, options in ways]
    for client, ids, options in sent:
        answers = [answer(client, id) for id in ids]
        most = list(versions.started)
        for key, found in zip(keys, answers):
            assert not isinstance(found, Refused), found
            versions.require(*found, key, least, most, f"{sql} {options}")


def layout(version):
    """Statements that make another table of the same name, in which each row has the version."""
    kind = version % 7
    extra = f"v{version} V{version}"
    many = ", ".join(f"f{number} DEFAULT 7" for number in range(130))
    definitions = {
        0: f"id INTEGER PRIMARY KEY, a INTEGER, b REAL, {extra}",
        1: f"{extra}, b, a REAL, id INTEGER PRIMARY KEY",
        2: f"b, id INTEGER PRIMARY KEY, {extra}, a) WITHOUT ROWID --",
        3: f"a, b AS (a + 0.5), {extra}, id INTEGER PRIMARY KEY",
        5: f"id INT PRIMARY KEY, {extra}, a, b",
        6: f"{many}, a, id INTEGER PRIMARY KEY, b, {extra}",
    }
    values = ["id", "a", f"v{version}"] + (["b"] if kind != 3 else [])
    # (Filled in another order, so that the row's number is not the id where that is none of its names.)
    rows = [[key, version, version, version + 0.5][:len(values)] for key in reversed(range(KEYS))]
    name = "base" if kind == 4 else "t"
    made = [f"CREATE TABLE {name}({definitions[0 if kind == 4 else kind]})"]
    if kind == 4:
        made.append("CREATE VIEW t AS SELECT * FROM base")
    insertion = f"INSERT INTO {name}({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    # (What is dropped and made beside it has the pages of the table move.)
    return [f"DROP TABLE IF EXISTS filler{max(version - 3, 0)}", *made, f"CREATE TABLE filler{version}(x)",
            f"INSERT INTO filler{version} SELECT randomblob(3000)"], (insertion, rows)


def unmade(version):
    return ["DROP VIEW t", "DROP TABLE base"] if version % 7 == 4 else ["DROP TABLE t"]


@pytest.mark.slow
def test_another_table_of_the_same_name(watched, dice):
    """Columns and rows of a reply are of one table, which was there between request and reply."""
    daemon, other = watched
    writer, clients = daemon.connect(), [connected(daemon, dice) for _ in range(2)]
    version = Versions()  # of which only the first is used

    def replace():
        was = version.started[0]
        version.started[0] += 1
        statements, (insertion, rows) = layout(was + 1)
        removed = unmade(was) if was else ["DROP TABLE t"]
        if dice.random() < 0.5:
            retried(writer, lambda client: client.batch([{"sql": sql} for sql in removed + statements] + [{"sql": insertion, "param_rows": rows}], database="d"))
        else:
            other.execute("BEGIN IMMEDIATE")
            # (SQLite says "use DROP VIEW" of what it remembers of t. A statement that is executed has it look.)
            other.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            for sql in removed + statements:
                other.execute(sql)
            other.database.executemany(insertion, rows)
            other.execute("COMMIT")
            if dice.random() < 0.1:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        version.acknowledged[0] += 1
        pause(dice)
        pause(dice)

    replace()
    with Writers(replace) as writers:
        for _ in writers.last(1.5 * ROUNDS):
            sql = dice.choice(("SELECT id, a, b FROM t WHERE id = ?", "SELECT b, a FROM t WHERE id = ?", "SELECT * FROM t WHERE id = ?", "SELECT rowid, a FROM t WHERE rowid = ?",
                               "SELECT * FROM t WHERE rowid = ?"))
            keys = [dice.randrange(KEYS) for _ in range(dice.choice((30, 100)))]
            least = version.acknowledged[0]
            sent = [(client, send_burst(client, [(sql, [key]) for key in keys], database="d")) for client in clients]
            for client, ids in sent:
                for key, id in zip(keys, ids):
                    require_one_table(client, id, key, sql, least, version)


def require_one_table(client, id, key, sql, least, version):
    try:
        found = client.collect(id)
    except RequestFailed as failure:
        # Neither this table nor, here, a view has a rowid.
        possible = range(least, version.started[0] + 1)
        assert failure.code == "syntax_error" and "rowid" in sql and any(number % 7 in (2, 4) for number in possible), f"{sql} [{key}] {possible}: {failure}"
        return
    names, rows, types = found.names, found.rows, [column["declared_type"] for column in found.columns]
    possible = range(least, version.started[0] + 1)
    what = f"{sql} [{key}], versions {possible}: {shortened((names, types, rows))}"
    if not rows and "rowid" in sql:
        # The numbers of rows are those of a table whose id is not its row number; those of a view are NULL.
        assert any(number % 7 in (4, 5) for number in possible), what
        return
    assert len(rows) == 1, what
    row = dict(zip(names, rows[0]))
    assert row["a"] in possible, what
    number = int(row["a"])
    assert row["a"] == number and row.get("b", number + 0.5) == number + 0.5, what
    assert isinstance(row["a"], float if number % 7 == 1 else int), what
    if "rowid" not in sql and "id" in row:
        assert row["id"] == key, what
    if "*" in sql:
        assert row.get(f"v{number}") == number, what
        assert [(name, type) for name, type in zip(names, types) if name.startswith("v")] == [(f"v{number}", f"V{number}")], what
        assert len(names) == len(rows[0]) == (134 if number % 7 == 6 else 4), what


# Sessions

def change(dice, number):
    """Something that a transaction may do."""
    key = dice.randrange(60)
    return dice.choice((
        ("UPDATE plain SET a = ?, b = ? WHERE id = ?", [f"changed {number}", number, key]), ("UPDATE plain SET c = ? WHERE id = ?", ["long " * dice.randrange(2000), key]),
        ("DELETE FROM plain WHERE id = ?", [key]), ("INSERT OR REPLACE INTO plain VALUES (?, ?, ?, ?)", [key + 5, number, number, "new"]),
        ("UPDATE plain SET id = id + 1000 WHERE id = ?", [key]), (f"ALTER TABLE plain ADD COLUMN x{number} DEFAULT {number}", None),
        ("DELETE FROM plain WHERE id BETWEEN ? AND ?", [key, key + 3]), ("INSERT INTO plain(a) SELECT a FROM plain LIMIT 5", None),
        ("SAVEPOINT s", None), ("ROLLBACK TO s", None), ("RELEASE s", None), ("CREATE TEMP TABLE IF NOT EXISTS plain AS SELECT * FROM main.counted", None),
        ("DROP TABLE IF EXISTS temp.plain", None), ("INSERT INTO temp.plain VALUES (?, 't', 1, 'temporary')", [key]), ("UPDATE temp.plain SET a = ?", [number]),
        ("DROP TABLE IF EXISTS other", None), ("CREATE TABLE other(id INTEGER PRIMARY KEY, a)", None), ("INSERT INTO other SELECT id, a FROM plain", None),
        ("CREATE TABLE IF NOT EXISTS aux.plain(id INTEGER PRIMARY KEY, a, b, c)", None), ("INSERT OR REPLACE INTO aux.plain VALUES (?, 'attached', 2, 3)", [key]),
        ("CREATE TEMP VIEW IF NOT EXISTS made AS SELECT id, 'seen' AS a, a AS b, b AS c FROM counted", None), ("DROP VIEW IF EXISTS temp.made", None)))


@pytest.mark.slow
def test_what_a_transaction_sees_of_its_own(start_daemon, directory, dice):
    """A copy of the file has the same done to it by SQLite alone, in a transaction that is not committed either."""
    for turn in range(ROUNDS):
        paths = [directory / f"{name}{turn}.db" for name in ("d", "copy", "aux", "auxcopy")]
        make_objects(paths[0], dice)
        shutil.copy(paths[0], paths[1])
        for path in paths[2:]:
            make_file(path, encoding=("UTF-8", "UTF-16le", "UTF-16be")[int.from_bytes(paths[0].read_bytes()[56:60], "big") - 1]).close()
        daemon = served(start_daemon, paths[0])
        with connected(daemon, dice) as client, Reference(paths[1]) as reference, connected(daemon, dice) as stranger, Reference(paths[0]) as before:
            session = client.session(database="d")
            for at, run in ((paths[2], lambda sql: client.query(sql, session=session)), (paths[3], reference.execute)):
                run(f"ATTACH '{at}' AS aux")

            def do(sql, params=None):
                """The same by both; that it is refused is the same, too."""
                (found,) = burst(client, [(sql, params)], session=session)
                require_same(isinstance(reference.ask(sql, params), Refused), isinstance(found, Refused), f"{sql} {params}: {found}")

            for number in range(30):
                if number % 6 == 0:
                    do("BEGIN")
                for _ in range(dice.randrange(1, 4)):
                    do(*change(dice, number))
                for sql in dice.sample(("SELECT * FROM plain WHERE id = ?", "SELECT c, id, a FROM main.plain WHERE rowid = ?", "SELECT a, b FROM aux.plain WHERE id = ?",
                                        "SELECT * FROM other WHERE id = ?", "SELECT a, id FROM made WHERE id = ?", "SELECT * FROM temp.plain WHERE rowid = ?"), 3):
                    require_burst(client, reference, [(sql, [key]) for key in range(0, 70, 2)], count=100, what=number, session=session)
                # Of what is not committed nobody else sees anything.
                if number % 6 > 1:
                    require_burst(stranger, before, [("SELECT * FROM plain WHERE id = ?", [key]) for key in range(0, 70, 3)], count=50, database="d")
                if number % 6 == 5:
                    do(dice.choice(("COMMIT", "ROLLBACK")))
        daemon.finish()


# Damage

def test_damaged_pages(start_daemon, directory, dice):
    """The daemon says what SQLite says of the same bytes, or that something is wrong; it does not end, and nobody waits."""
    compared, refused, stricter, uncertain = 0, 0, 0, 0
    for turn in range(ROUNDS):
        page_size = dice.choice((512, 512, 1024, 4096))
        original = directory / f"original{turn}.db"
        with contextlib.closing(make_file(original, **{**random_form(dice), "page_size": page_size}, wal=False)) as database:
            database.execute("BEGIN")
            database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d BLOB)")
            for number in range(300 if page_size > 512 else 150):
                insert(database, "t", ("id", "a", "b", "c", "d"), (3 * number, *(random_value(dice, dice.choice((20, 400, 900))) for _ in range(4))))
            database.execute("COMMIT")
        content = original.read_bytes()
        files = {}
        for number in range(16):
            copy, told = damaged(dice, content, page_size)
            name, wal = f"d{turn}x{number}", dice.random() < 0.5
            for path in (directory / f"{name}.db", directory / f"{name}-copy.db"):
                path.write_bytes(copy)
            files[name] = (directory / f"{name}.db", directory / f"{name}-copy.db", wal, told, is_certain(copy, page_size))
        daemon = start_daemon(databases={name: f"sqlite:{path}{'' if wal else '?mode=ro'}" for name, (path, _, wal, *_) in files.items()})
        for name, (_, copy, wal, told, certain) in files.items():
            with connected(daemon, dice) as client, Reference(copy, wal=wal) as reference:
                requests = [(f"SELECT {dice.choice(('*', 'id, a, b, c, d', 'd, a', 'id', 'b, id', 'c'))} FROM t WHERE id = ?", [key])
                            for key in dice.sample(range(0, 900, 3), 50)] * 5
                answers = [answer(client, id, any_error=True) for id in send_burst(client, requests, database=name)]
                for (sql, params), found in zip(requests, answers):
                    expected = reference.ask(sql, params)
                    compared += 1
                    refused += isinstance(expected, Refused)
                    stricter += isinstance(found, Refused) and not isinstance(expected, Refused)
                    if not isinstance(found, Refused) and not is_same(expected, found):
                        assert not certain, f"{name} {sql} {params}, damaged {told}:\n{difference(expected, found)}"
                        uncertain += 1
                client.settle()
        daemon.finish()
    print(f"{compared} compared, {refused} refused by SQLite, {stricter} by the daemon alone, {uncertain} of which SQLite is not certain")
    assert refused < compared and stricter <= compared // 10 and uncertain <= compared // 5
