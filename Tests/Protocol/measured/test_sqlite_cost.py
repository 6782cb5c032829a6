"""Work whose length a client chooses holds no loop and no lock for writing: whatever a statement computes, other users are
answered, and its own client can cancel it."""

import itertools
import math
import os
import pathlib
import sqlite3
import time

import pytest

from loop_probe import serves_meanwhile
from wire import PATIENCE, RequestFailed

MEGABYTE = 1 << 20

# For each function: an expression in which it is as slow as can be found, for an argument of n bytes. `?1` is text of n `a`.
WORST = {
    "->": "('[' || replace(?1, 'a', '1,') || '1]') -> '$[#-1]'", "->>": "('[' || replace(?1, 'a', '1,') || '1]') ->> '$[#-1]'",
    "abs": "abs(replace(?1, 'a', '1'))", "char": "char(" + ", ".join(["?1 || ''"] * 100) + ")", "format": "format('%s%s', ?1, ?1)",
    "glob": "?1 GLOB '*' || substr(printf('%.*c', 900, 'a'), 1, 900) || 'b'", "hex": "hex(?1)",
    "instr": "instr(?1, substr(?1, length(?1) / 2) || 'b')", "instr of blobs": "instr(zeroblob(length(?1)), zeroblob(length(?1) / 2) || x'01')",
    "length": "length(?1)", "like": "?1 LIKE '%' || printf('%.*c', 900, 'a') || 'b'", "lower": "lower(?1)",
    "ltrim": "ltrim(?1, 'a')", "max": "max(?1, ?1 || 'a')", "nullif": "nullif(?1, ?1 || 'a')", "printf": "printf('%.*c', length(?1), 'x')",
    "quote": "quote(replace(?1, 'a', ''''))", "randomblob": "randomblob(length(?1))", "replace": "replace(?1, substr(?1, length(?1) / 2) || 'b', 'x')",
    "replace by more": "replace(?1, 'a', 'bb')", "rtrim": "rtrim(?1, 'a')", "soundex": "soundex(replace(?1, 'a', '1'))",
    "substr": "substr(?1, -1)", "trim": "trim(?1, ?1 || 'é')", "unicode": "unicode(?1)", "upper": "upper(?1)",
    "conversion": "1 + ('0.' || replace(?1, 'a', '1'))", "conversions": " + ".join(["replace(?1, 'a', '1')"] * 100),
    "calls": " || ".join(["upper(?1)"] * 200), "concatenations": "length(" + " || ".join(["?1"] * 20) + ")",
    "strftime": "strftime(replace(?1, 'a', '%J'), 'now')", "date": "date('now', ?1)",
    "json": "json('[' || replace(?1, 'a', '1,') || '1]')", "json_array": "json_array(" + ", ".join(["?1"] * 120) + ")",
    "json_extract": "json_extract('{' || replace(?1, 'a', '\"b\":1,') || '\"c\":1}'" + "".join(f", '$.x{i}'" for i in range(120)) + ")",
    "json_insert": "json_insert('[' || replace(?1, 'a', '1,') || '1]'" + ", '$[#]', 1" * 60 + ")",
    "json_patch": "json_patch('{' || replace(?1, 'a', '\"b\":1,') || '\"c\":1}', '{' || replace(?1, 'a', '\"d\":1,') || '\"e\":1}')",
    "json_quote": "json_quote(replace(?1, 'a', char(1)))", "json_remove": "json_remove('[' || replace(?1, 'a', '1,') || '1]'" + ", '$[0]'" * 120 + ")",
    "json_set": "json_set('{' || replace(?1, 'a', '\"b\":1,') || '\"c\":1}'" + "".join(f", '$.x{i}', 1" for i in range(60)) + ")",
    "json_valid": "json_valid('[' || replace(?1, 'a', '1,') || '1]')",
    "json_each": "(SELECT count(*) FROM json_each('[' || replace(?1, 'a', '1,') || '1]'))",
    "json_group_array": "(SELECT json_group_array(?1) FROM (VALUES (1), (2), (3)))",
    "group_concat": "(SELECT group_concat(?1) FROM (VALUES (1), (2), (3)))", "sum": "(SELECT sum(replace(?1, 'a', '1')))",
    "windows": "(SELECT max(length(x)) FROM (SELECT group_concat(?1) OVER (ORDER BY column1) AS x FROM (VALUES (1), (2), (3))))",
}
# Statements that take long to prepare, or in one step.
STATEMENTS = {
    "doubling CTEs": "WITH a0 AS (SELECT 1 AS x), " + ", ".join(
        f"a{i} AS (SELECT l.x FROM a{i-1} AS l, a{i-1} AS r)" for i in range(1, 21)) + " SELECT * FROM a20",
    "many joins": "SELECT count(*) FROM " + ", ".join(f"big AS b{i}" for i in range(60)) + " WHERE " + " AND ".join(
        f"b{i}.x = b{i+1}.x" for i in range(59)),
    "count": "SELECT count(*) FROM big", "count by index": "SELECT count(*), count(*) FROM big INDEXED BY bigi",
    "integrity_check": "PRAGMA integrity_check", "quick_check": "PRAGMA quick_check", "as a table": "SELECT * FROM pragma_quick_check",
    "dbstat": "SELECT count(*) FROM dbstat", "a column behind a blob": "SELECT y FROM wide",
    "full-text search": "SELECT * FROM words WHERE words MATCH '" + "a OR " * 3_000 + "a'",
    "full-text by value": "SELECT * FROM words WHERE words = '" + "a OR " * 3_000 + "a'",
    "full-text function": "SELECT * FROM words('" + "a OR " * 3_000 + "a')",
    "sorting": "SELECT x FROM big ORDER BY random() LIMIT 1", "distinct": "SELECT count(DISTINCT x || 'a') FROM big",
}


@pytest.fixture(scope="module")
def target(daemon):
    """A table to write into."""
    with daemon.connect() as client:
        client.query("CREATE TABLE target(x)")


@pytest.fixture(scope="module")
def filled(daemon, target):
    """Tables that are large enough for one step over them to take long."""
    with daemon.connect() as client:
        client.query("CREATE TABLE big(x)")
        client.query("INSERT INTO big WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000000) SELECT x FROM c")
        client.query("CREATE INDEX bigi ON big(x)")
        client.query("CREATE TABLE wide(x, y)")
        client.query("INSERT INTO wide VALUES (zeroblob(60000000), 7)")
        client.query("CREATE VIRTUAL TABLE words USING fts5(x)")
        client.query("INSERT INTO words VALUES ('a')")
        client.query("CREATE TABLE point(id INTEGER PRIMARY KEY, x)")
        client.query("INSERT INTO point VALUES (1, 'one')")


POINT = "SELECT x FROM point WHERE id = 1"


def attack(daemon, sqls, seconds=0.4, **options):
    """Sends them one after the other, and on each loop, for a while; whatever becomes of them.

    After eight times, which is more than a probe leaves out, half of the time is enough.
    """
    clients = [daemon.connect("msgpack") for _ in range(2)]
    start = time.monotonic()
    for round in itertools.count():
        if time.monotonic() - start > (seconds if round < 8 else seconds / 2):
            return
        for sql in sqls:
            identifiers = [(client, client.send_query(sql, timeout_ms=1500, **options)) for client in clients]
            for client, identifier in identifiers:
                try:
                    client.collect(identifier)
                except RequestFailed as failure:
                    assert failure.code in ("limit_exceeded", "timeout", "database_error"), failure


def hold(daemon, sqls, **options):
    """Others are served while the attack goes on."""
    serves_meanwhile(daemon, lambda: attack(daemon, sqls, **options), str(sqls)[:300], POINT)


@pytest.mark.alone
@pytest.mark.parametrize("name", WORST)
def test_functions_hold_no_loop(daemon, filled, name):
    for byte_count in (MEGABYTE // 64, MEGABYTE):
        hold(daemon, [f"SELECT length({WORST[name]})"], params=["a" * byte_count], seconds=0.15)


# What SQLite needs seconds for when the argument is a megabyte, and is known by its length; for shorter ones SQLite says whether it is.
KNOWN = {
    "calls": lambda count: "A" * (200 * count), "conversions": lambda count: math.inf if count > 400 else None, "glob": lambda count: 0,
    "instr": lambda count: 0, "instr of blobs": lambda count: 0, "like": lambda count: 0, "replace": lambda count: "a" * count,
}


def native_answer(native, name, byte_count):
    """SQLite's own."""
    known = KNOWN[name](byte_count) if name in KNOWN else None
    if known is not None and byte_count == MEGABYTE:
        return known
    answer = native.execute(f"SELECT {WORST[name]}", ["a" * byte_count]).fetchone()[0]
    assert known is None or answer == known, (name, byte_count)
    return answer


@pytest.mark.parametrize("name", [name for name in WORST if name not in ("random", "randomblob", "strftime", "date", "json_patch")])
def test_functions_of_large_values_are_right(daemon, target, name):
    """Wherever a statement runs, and whatever bounds hold there: an answer is SQLite's own, or an error."""
    native = sqlite3.connect(":memory:")
    for byte_count in (100, 3_000, 20_000, 100_000, MEGABYTE):
        with daemon.connect() as client:
            value = ["a" * byte_count]
            expected = native_answer(native, name, byte_count)
            for statement in (f"SELECT {WORST[name]}", f"INSERT INTO target SELECT {WORST[name]} RETURNING x"):
                try:
                    assert client.query(statement, params=value).value == expected, (byte_count, statement[:6])
                except RequestFailed as failure:
                    # Of what is written and computes much; or the result is longer than values may be.
                    assert failure.code == "limit_exceeded" and byte_count >= 20_000, failure
                    assert statement.startswith("INSERT") or len(expected) > 64 * MEGABYTE, failure


@pytest.mark.alone
@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_hold_no_loop(daemon, filled, name):
    hold(daemon, [STATEMENTS[name]])


@pytest.mark.alone
@pytest.mark.parametrize("where", ["pool", "session", "temporary"])
def test_no_statement_follows_a_large_value_on_a_loop(daemon, filled, where):
    """Not even once: each statement is another one, so nobody can have learnt what it costs."""
    numbers = itertools.count()

    def attack_by_new_statements():
        with daemon.connect() as client:
            options = {} if where == "pool" else {"session": client.call("db_connect").data["session"]}
            if where == "temporary":
                client.query("CREATE TEMP TABLE deep(x, y)", **options)
                client.query("INSERT INTO deep VALUES (zeroblob(60000000), 7)", **options)
            table = "deep" if where == "temporary" else "wide"
            for _ in range(6):
                assert client.query(f"SELECT y, {next(numbers)} FROM {table}", **options).rows[0][0] == 7

    serves_meanwhile(daemon, attack_by_new_statements, where, POINT, lambda probe: probe.slow_but_for(0, 5))


# Values that are long, whatever they are made of.
MADE = {
    "printf": "printf('%.*c', {count}, 'x')", "format": "format('%{count}d', 1)", "printf of a number": "printf('%.{count}f', 1.5)",
    "printf of texts": "printf('%s%{count}s', 'a', 'b')", "randomblob": "randomblob({count})", "hex": "hex(zeroblob({count} / 2))",
    "quote": "quote(zeroblob({count} / 2))", "cast": "CAST(zeroblob({count}) AS TEXT)", "concatenation": "zeroblob({count}) || 'x'",
    "upper": "upper(zeroblob({count}))", "replace": "replace(hex(zeroblob(3000)), '0', hex(zeroblob({count} / 10000)))",
    "replace twice": "replace(replace(replace('aaaaaaaaaa', 'a', hex(zeroblob(500))), '0', hex(zeroblob(150))), '0', '{count}')",
    "json_array": "json_array(hex(zeroblob({count} / 2)))", "json_set": "json_set('[]', '$[0]', hex(zeroblob({count} / 2)))",
    "max": "max(zeroblob({count}), x'01')", "sum": "sum(CAST(zeroblob({count}) AS TEXT))", "substr": "substr(zeroblob({count}), 2)",
    "trim": "trim(zeroblob({count}), x'00')", "instr": "instr(zeroblob({count}), x'01')", "group_concat": "group_concat(zeroblob({count}))",
}
# Of these, which SQLite needs 0.2 s for when they have 50 MB, fewer bytes take three times as long as a loop may be held, too.
COUNTS = {"printf": 20_000_000, "randomblob": 30_000_000, "json_array": 20_000_000, "json_set": 20_000_000}


@pytest.mark.alone
@pytest.mark.parametrize("name", MADE)
def test_a_new_statement_that_makes_a_large_value_holds_no_loop(start_daemon, name):
    """Not once, on a connection that is new and on one that has run another of the kind."""
    daemon = start_daemon()
    counts = itertools.count(COUNTS.get(name, 50_000_000))

    def attack_by_new_statements():
        for _ in range(2):
            with daemon.connect() as client:
                for _ in range(2):
                    attack(daemon, [f"SELECT length({MADE[name].format(count=next(counts))})"], seconds=0.001)
                    assert client.query(POINT.replace("FROM point", "FROM (SELECT 1 AS id, 2 AS x)")).value == 2

    serves_meanwhile(daemon, attack_by_new_statements, name, wrong=lambda probe: probe.slow_but_for(0, 20))


@pytest.mark.alone
@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_of_sessions_hold_no_loop(daemon, filled, name):
    def attack_in_sessions():
        sessions = [daemon.connect("msgpack") for _ in range(2)]
        deadline = time.monotonic() + 0.25
        while time.monotonic() < deadline:
            for client in sessions:
                session = client.call("db_connect").data["session"]
                for _ in range(3):
                    # (describe has no timeout.)
                    for kind, data in (("query", {"timeout_ms": 100}), ("describe", {}))[:1 if "doubling" in name else 2]:
                        try:
                            client.call(kind, {"sql": STATEMENTS[name], "session": session, **data})
                        except RequestFailed:
                            pass
                client.call("db_disconnect", {"session": session})

    serves_meanwhile(daemon, attack_in_sessions, name, POINT)


@pytest.mark.alone
@pytest.mark.parametrize("name", WORST)
def test_functions_do_not_keep_the_lock(daemon, filled, name):
    """While somebody writes what they make of a megabyte, others write."""
    attacker, writer = daemon.connect("msgpack"), daemon.connect("msgpack")
    identifier = attacker.send_query(f"INSERT INTO target SELECT length({WORST[name]})", params=["a" * MEGABYTE])
    start = time.monotonic()
    writer.query("INSERT INTO target VALUES (1)")
    assert time.monotonic() - start < 3 * PATIENCE
    try:
        attacker.collect(identifier)
    except RequestFailed as failure:
        assert failure.code in ("limit_exceeded", "database_error"), failure


@pytest.mark.alone
@pytest.mark.parametrize("sql", [
    # 23 s in SQLite's own instr.
    "SELECT instr(zeroblob(1600000), zeroblob(800000) || x'01')",
    "SELECT length(replace(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b', ''))",
    STATEMENTS["doubling CTEs"].replace("20", "30"), "SELECT length(trim(printf('%.*c', 30000000, 'é'), 'éàèùçâêîôû'))",
])
def test_it_can_be_cancelled(daemon, filled, sql):
    for options in ({}, "session"):
        with daemon.connect() as client:
            if options == "session":
                options = {"session": client.call("db_connect").data["session"]}
            for timeout in (50, None):
                start = time.monotonic()
                identifier = client.send_query(sql, **options, **({"timeout_ms": timeout} if timeout else {}))
                if timeout is None:
                    time.sleep(0.05)
                    client.call("cancel", {"request": identifier})
                try:
                    client.collect(identifier)
                except RequestFailed as failure:
                    assert failure.code in ("timeout", "cancelled"), failure
                assert time.monotonic() - start < 1.0 * PATIENCE, f"{sql[:60]} went on for {time.monotonic() - start:.1f} s"


@pytest.mark.alone
@pytest.mark.parametrize("sql", ["SELECT * FROM pragma_table_info('doubling')", "SELECT * FROM pragma_table_xinfo('doubling')",
                                 "ALTER TABLE seedling RENAME COLUMN x TO y", "ALTER TABLE seedling RENAME TO grown"])
def test_what_is_prepared_within_a_step_can_be_cancelled(start_daemon, directory, sql):
    """A view of 2^28 subqueries is prepared while another statement is stepped."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        client.query("CREATE TABLE seedling(x)")
        client.query("CREATE VIEW doubling AS WITH a0 AS (SELECT 1 AS x), " + ", ".join(
            f"a{i} AS (SELECT l.x FROM a{i-1} AS l, a{i-1} AS r)" for i in range(1, 29)) + " SELECT * FROM a28")
        for options in ({}, {"session": client.call("db_connect").data["session"]}):
            start = time.monotonic()
            with pytest.raises(RequestFailed) as failure:
                client.query(sql, timeout_ms=100, **options)
            assert failure.value.code in ("timeout", "limit_exceeded")
            assert time.monotonic() - start < 2 * PATIENCE
        client.query("INSERT INTO seedling(x) VALUES (1)")


@pytest.mark.alone
def test_names_of_parameters_hold_no_loop(daemon, filled):
    names = [f":p{i}" for i in range(1_700)]
    sql = "SELECT " + "+".join(names[:900]) + ", " + "+".join(names[900:])

    def attack_by_names():
        with daemon.connect() as client:
            deadline = time.monotonic() + 0.6
            while time.monotonic() < deadline:
                assert client.query(sql, params={name: 1 for name in names}).rows == [[900, 800]]
                client.call("describe", {"sql": sql})

    serves_meanwhile(daemon, attack_by_names, "names", POINT)


def test_a_statement_comes_back_to_its_loop(start_daemon, directory):
    """What a loop could not prepare for once, since it had to read the schema, is not sent to a worker for ever."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client, sqlite3.connect(directory / "state" / "default.db") as other:
        client.query("SELECT 1")
        for index in range(400):
            other.execute(f"CREATE TABLE wide{index}(" + ", ".join(f"column{i} TEXT" for i in range(100)) + ")")
        other.commit()
        for _ in range(4):
            client.query("SELECT 4711")
        threads = {f"/proc/{daemon.pid}/task/{task}" for task in os.listdir(f"/proc/{daemon.pid}/task")
                   if "worker" in pathlib.Path(f"/proc/{daemon.pid}/task/{task}/comm").read_text()}

        def turns():
            return sum(int(line.split()[1]) for task in threads if os.path.exists(task)
                       for line in pathlib.Path(task, "status").read_text().splitlines() if line.startswith("voluntary"))

        before = turns()
        for _ in range(200):
            client.query("SELECT 4711")
        assert turns() - before < 50


def test_large_values_are_still_read_and_written(daemon):
    """The bounds are for what computes; plain rows may be as large as they may."""
    with daemon.connect() as client:
        client.query("CREATE TABLE large(id INTEGER PRIMARY KEY, x, y)")
        for byte_count in (10_000, 100_000, MEGABYTE, 8 * MEGABYTE):
            client.query("INSERT INTO large(x, y) VALUES (?, ?)", params=["é" * (byte_count // 2), byte_count])
            rows = client.query("SELECT x, y, length(x) FROM large WHERE y = ?", params=[byte_count]).rows
            assert rows == [["é" * (byte_count // 2), byte_count, byte_count // 2]]
        client.query("INSERT INTO large(x) VALUES (zeroblob(63000000))")
        assert client.query("SELECT length(x) FROM large WHERE y IS NULL").value == 63_000_000
        assert client.query("UPDATE large SET x = lower(x) || 'x' WHERE y = ?", params=[8 * MEGABYTE]).last["rows_affected"] == 1
        assert client.query("SELECT count(*) FROM large WHERE x LIKE '%éx'").value == 1
        assert client.query("UPDATE large SET y = 1 WHERE x LIKE '%éx'").last["rows_affected"] == 1
        client.query("DROP TABLE large")


def test_names_that_become_virtual_tables(daemon):
    """A statement that a loop has prepared without them goes on with them."""
    with daemon.connect() as client:
        session = client.call("db_connect").data["session"]
        for options in ({}, {"session": session}):
            client.query("CREATE TABLE changing(x)", **options)
            client.query("INSERT INTO changing VALUES ('table')", **options)
            for _ in range(3):
                assert client.query("SELECT x FROM changing", **options).rows == [["table"]]
            client.query("DROP TABLE changing", **options)
            client.query("CREATE VIRTUAL TABLE changing USING fts5(x)", **options)
            client.query("INSERT INTO changing VALUES ('virtual')", **options)
            for _ in range(3):
                assert client.query("SELECT x FROM changing", **options).rows == [["virtual"]]
            client.query("DROP TABLE changing", **options)
            with pytest.raises(RequestFailed):
                client.query("SELECT x FROM changing", **options)


@pytest.mark.alone
def test_a_view_that_is_replaced_is_weighed_anew(daemon):
    with daemon.connect() as client:
        client.query("CREATE TABLE seed(x)")
        client.query("INSERT INTO seed VALUES (?)", params=["1" * 20_000])

    def replace_views():
        with daemon.connect() as client:
            for _ in range(10):
                client.query("CREATE VIEW weighed AS SELECT 1 AS x")
                for _ in range(3):
                    client.query("SELECT x FROM weighed")
                client.query("DROP VIEW weighed")
                client.query("CREATE VIEW weighed AS SELECT " + " + ".join(["x"] * 900) + " AS x FROM seed")
                client.query("SELECT x FROM weighed")
                client.query("DROP VIEW weighed")

    serves_meanwhile(daemon, replace_views, "a view")


@pytest.mark.alone
def test_a_schema_of_many_tables_holds_no_loop(start_daemon, directory):
    """Another program changes it: each connection has to read it anew, which takes a second."""
    path = directory / "many.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE point(id INTEGER PRIMARY KEY, x)")
        made.execute("INSERT INTO point VALUES (1, 'one')")
        # One by one they would take a minute, since SQLite looks through all of them for each. Nobody reads these, so they share a page.
        sql = "CREATE TABLE {}(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c REAL, d BLOB, e)"
        made.execute(sql.format("t0"))
        [[page]] = made.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't0'").fetchall()
        made.execute("PRAGMA writable_schema = ON")
        made.executemany("INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, ?3, ?2)",
                         [(f"t{index}", sql.format(f"t{index}"), page) for index in range(1, 20_000)])
        made.execute("PRAGMA writable_schema = RESET")
    daemon = start_daemon(directory=directory, databases={"many": f"sqlite:{path}"})
    numbers = itertools.count()

    def change_the_schema():
        with daemon.connect() as client, sqlite3.connect(path) as other:
            assert client.query("SELECT x FROM point", database="many").value == "one"
            for _ in range(3):
                other.execute(f"CREATE TABLE more{next(numbers)}(x)")
                other.commit()
                for _ in range(3):
                    assert client.query(POINT, database="many").value == "one"

    serves_meanwhile(daemon, change_the_schema, "a schema of 20,000 tables")


@pytest.mark.alone
def test_many_names_hold_the_lock_for_writing_no_longer_than_they_are_asked_to(daemon, table):
    """SQLite compares each name with all others."""
    count = 8_000
    names = [f"name{'x' * 400}{i}" for i in range(count)]
    took = []
    with daemon.connect() as client:
        client.query(f"CREATE TABLE {table}(x)")
        sql = f"INSERT INTO {table} VALUES " + ", ".join(f"($" + name + ")" for name in names)
        for _ in range(3):
            start = time.monotonic()
            try:
                client.query(sql, params={name: 1 for name in names}, timeout_ms=30_000)
                took.append(time.monotonic() - start)
            except RequestFailed as failure:
                # Whoever gets no processor meanwhile is taken for one who computes.
                assert failure.code == "limit_exceeded", failure
        assert took and min(took) < 1.5
        assert client.query(f"SELECT count(*) FROM {table}").value == len(took) * count


@pytest.mark.alone
def test_a_checkpoint_keeps_nobody_waiting(daemon, table):
    """One that waits for readers has the lock for writing meanwhile."""
    with daemon.connect() as reader, daemon.connect() as other:
        other.query(f"CREATE TABLE {table}(x)")
        session = reader.call("db_connect").data["session"]
        reader.query("BEGIN", session=session)
        reader.query(f"SELECT count(*) FROM {table}", session=session)
        other.query(f"INSERT INTO {table} VALUES (1)")
        for mode in ("TRUNCATE", "RESTART", "FULL"):
            start = time.monotonic()
            assert reader.query(f"PRAGMA Wal_Checkpoint({mode})").rows[0][0] == 1
            other.query(f"INSERT INTO {table} VALUES (2)")
            assert time.monotonic() - start < 1
        reader.query("COMMIT", session=session)
        assert reader.query("PRAGMA wal_checkpoint(TRUNCATE)").rows[0][0] == 0
