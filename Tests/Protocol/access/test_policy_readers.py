"""Who may only read a database of SQLite, while others write it."""

import os

import pytest

from daemon import counting
from identity import needs_root
from test_policy import ALICE, BOB, EVE, SHOP, policy, table  # noqa: F401 - fixtures among them
from test_read_only import AROUND, NEW_FILES, WRITES, content
from wire import RequestFailed

pytestmark = needs_root


@pytest.fixture
def shop(policy):
    """The database shop with two rows, on one loop: (policy, alice, bob, what stands for {t}, {path}, {directory})."""
    here = policy(SHOP, "--loops=1")
    alice, bob = here.connect(ALICE), here.connect(BOB)
    table(alice, "shop")
    return here, alice, bob, {"t": "t", "path": here.directory / "shop.db", "directory": here.directory}


def long_text(sql):
    """The same beyond 16 KiB, which is prepared on a worker."""
    return sql + " /*" + "x" * 20_000 + "*/"


def test_a_reader_reads_and_writes_nothing(shop):
    here, alice, bob, names = shop
    before = content(names["path"])
    assert bob.query("SELECT * FROM t ORDER BY x", database="shop").rows == [[1, "a"], [2, "b"]]
    for sql in WRITES:
        for text in (sql, long_text(sql)):
            error = bob.query_fails(text.format(**names), database="shop")
            assert error["code"] == ("syntax_error" if sql.startswith("explain_me") else "read_only"), text[:80]
        assert bob.fails("batch", {"statements": [{"sql": sql.format(**names)}], "database": "shop"})["code"] == "read_only"
    assert content(names["path"]) == before
    # The same connection of the loop, for both of them.
    alice.query("INSERT INTO t VALUES (3, 'c')", database="shop")
    assert bob.query("SELECT count(*) FROM t", database="shop").value == 3
    assert bob.query(counting(300_000, "count(*)"), database="shop").value == 300_000, "a long read"


@pytest.mark.parametrize("attempt", [*AROUND, *[[sql] for sql in NEW_FILES]], ids=lambda value: "; ".join(value)[:60])
def test_nothing_gets_a_reader_around_that(shop, attempt):
    here, alice, bob, names = shop
    before, files = content(names["path"]), set(os.listdir(here.directory))
    asked = bob.call("db_connect", {"database": "shop", "read_only": False}).data
    assert asked["read_only"] is True
    for options in ({"database": "shop"}, {"session": asked["session"]}, {"session": bob.session(database="shop")}):
        for sql in attempt:
            for text in (sql, long_text(sql)):
                try:
                    bob.query(text.format(**names), **options)
                except RequestFailed:
                    pass
        try:
            bob.batch([{"sql": sql.format(**names)} for sql in attempt], **options)
        except RequestFailed:
            pass
        assert bob.query_fails("INSERT INTO t VALUES (9, 'z')", **options)["code"] == "read_only"
        assert bob.query("SELECT count(*) FROM t", **options).value == 2
    for session in {asked["session"]}:
        bob.call("db_disconnect", {"session": session})
    assert content(names["path"]) == before
    assert {name for name in set(os.listdir(here.directory)) - files if not name.endswith(("-wal", "-shm"))} <= set()
    alice.query("INSERT INTO t VALUES (9, 'z')", database="shop")


def test_readers_and_writers_take_turns_on_one_loop(shop):
    """Requests of both, mixed in one pipeline each: a reader's never writes, whatever ran before it on its connection."""
    here, alice, bob, names = shop
    for number in range(10, 60):
        ids = [(bob, bob.send_query("INSERT INTO t VALUES (?, 'bob')", [number], database="shop")),
               (alice, alice.send_query("INSERT INTO t VALUES (?, 'alice')", [number], database="shop")),
               (bob, bob.send_query("SELECT y FROM t WHERE x = 1", database="shop"))]
        with pytest.raises(RequestFailed, match="read_only"):
            bob.collect(ids[0][1])
        alice.collect(ids[1][1])
        assert bob.collect(ids[2][1]).value == "a"
    assert alice.query("SELECT count(*), min(y), max(y) FROM t WHERE x >= 10", database="shop").rows == [[50, "alice", "alice"]]


def test_a_reader_of_a_memory_database(policy):
    here = policy(f'[databases.memory]\nurl = "sqlite::memory:"\nusers = ["{ALICE}"]\nread_only_users = ["{BOB}"]\n')
    alice, bob = here.connect(ALICE), here.connect(BOB)
    table(alice, "memory")
    session = bob.session(database="memory")
    for options in ({"database": "memory"}, {"session": session}):
        assert bob.query("SELECT count(*) FROM t", **options).value == 2
        for sql in ("DELETE FROM t", "CREATE TABLE u(x)", "PRAGMA query_only = 0; DELETE FROM t"):
            assert bob.query_fails(sql, **options)["code"] in ("read_only", "permission_denied", "bad_request", "syntax_error")
    assert alice.query("SELECT count(*) FROM t", database="memory").value == 2
    # With other rules it is the same database: what it holds stays.
    here.reload(f'[databases.memory]\nurl = "sqlite::memory:"\nusers = ["{ALICE}", "{EVE}"]\n')
    assert here.connect(EVE).query("SELECT count(*) FROM t", database="memory").value == 2
