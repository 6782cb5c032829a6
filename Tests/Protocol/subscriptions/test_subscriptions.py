"""`subscribe`: who listens hears of every commit, and of nothing that was not committed."""

import contextlib
import os
import pathlib
import sqlite3
import threading
import time

import pytest

from daemon import wait_until
from lane import LaneClient
from subscription import Subscription, growth_kib
from transfers import transfer


@pytest.fixture
def served(directory, start_daemon):
    """A daemon of the test's own: its default database has two tables."""
    daemon = start_daemon(databases={"default": f"sqlite://{directory}/default.db"}, directory=directory)
    with daemon.connect() as client:
        client.query("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        client.query("CREATE TABLE other(x)")
    return daemon


@pytest.fixture
def listen(served):
    """Subscribes, on a connection of its own each time."""
    def start(mode="msgpack", **fields):
        return Subscription(served.connect(mode), **fields)

    return start


@pytest.fixture
def client(served):
    with served.connect() as client:
        yield client


@pytest.fixture
def outside(directory, served):
    """The same file, opened by another program."""
    connection = sqlite3.connect(directory / "default.db", isolation_level=None, timeout=30)
    yield connection
    connection.close()


# What is told

@pytest.mark.parametrize("mode", ["msgpack", "json", "lines"])
def test_the_first_reply_says_what_is_told(listen, mode):
    subscription = listen(mode)
    assert subscription.first["covers"] == "all_writers"
    assert subscription.first["more"] is True
    assert "resync" not in subscription.first


@pytest.mark.parametrize("mode", ["msgpack", "json", "lines"])
def test_a_commit_is_told(listen, client, mode):
    subscription = listen(mode)
    client.query("INSERT INTO item(name) VALUES ('one')")
    event = subscription.event()
    assert event["relations"] == ["item"]
    assert event["more"] is True and "schema" not in event and "resync" not in event


STATEMENTS = {
    "insert": (["INSERT INTO item(name) VALUES ('a')"], {"item"}),
    "update": (["UPDATE item SET name = 'b'"], {"item"}),
    "replace": (["REPLACE INTO item(id, name) VALUES (9, 'seed')"], {"item"}),
    "upsert": (["INSERT INTO item(name) VALUES ('seed') ON CONFLICT(name) DO UPDATE SET name = 'c'"], {"item"}),
    "delete": (["DELETE FROM item WHERE name = 'seed'"], {"item"}),
    "truncating delete": (["DELETE FROM item"], {"item"}),
    "returning": (["UPDATE item SET name = 'd' RETURNING id"], {"item"}),
    "from a select": (["INSERT INTO other SELECT name FROM item"], {"other"}),
    "update from": (["UPDATE item SET name = x FROM other"], {"item"}),
    "common table": (["WITH w(n) AS (VALUES (1)) INSERT INTO other SELECT n FROM w"], {"other"}),
    "capitals": (["insert into ITEM(name) values ('e')"], {"item"}),
    "quoted": (['INSERT INTO "item"(name) VALUES (\'f\')'], {"item"}),
    "schema name": (["INSERT INTO main.item(name) VALUES ('g')"], {"item"}),
    "without rowid": (["INSERT INTO keyed VALUES (1)"], {"keyed"}),
    "trigger": (["INSERT INTO traced VALUES (1)"], {"traced", "trace"}),
    "view": (["INSERT INTO seen VALUES (1)"], {"seen", "trace"}),
    "cascade": (["DELETE FROM parent"], {"parent", "child"}),
    "set null": (["UPDATE parent SET id = 5"], {"parent", "child"}),
    "full text": (["INSERT INTO words VALUES ('hello')"], {"words"}),
    "rectangle": (["INSERT INTO boxes VALUES (1, 0, 1)"], {"boxes"}),
    "create table": (["CREATE TABLE fresh(x)"], {"fresh", "<schema>"}),
    "create as": (["CREATE TABLE fresh AS SELECT 1 AS x"], {"fresh", "<schema>"}),
    "create index": (["CREATE INDEX item_name ON item(name)"], {"item", "<schema>"}),
    "create view": (["CREATE VIEW fresh AS SELECT 1"], {"fresh", "<schema>"}),
    "create trigger": (["CREATE TRIGGER tt AFTER INSERT ON item BEGIN SELECT 1; END"], {"item", "<schema>"}),
    "create virtual": (["CREATE VIRTUAL TABLE fresh USING fts5(t)"], {"fresh", "<schema>"}),
    "drop table": (["DROP TABLE other"], {"other", "<schema>"}),
    "add column": (["ALTER TABLE item ADD COLUMN more"], {"item", "<schema>"}),
    "rename": (["ALTER TABLE other RENAME TO another"], {"other", "<schema>"}),
    "several": (["INSERT INTO other VALUES (1)", "INSERT INTO item(name) VALUES ('h')"], {"item", "other"}),
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("way", ["autocommit", "session", "batch", "atomic"])
def test_every_kind_of_change_is_told(listen, client, name, way):
    for statement in [
            "INSERT INTO item(name) VALUES ('seed')", "INSERT INTO other VALUES ('seen')",
            "CREATE TABLE keyed(k PRIMARY KEY) WITHOUT ROWID", "CREATE TABLE traced(x)", "CREATE TABLE trace(x)",
            "CREATE TRIGGER t AFTER INSERT ON traced BEGIN INSERT INTO trace VALUES (1); END",
            "CREATE VIEW seen AS SELECT x FROM trace",
            "CREATE TRIGGER v INSTEAD OF INSERT ON seen BEGIN INSERT INTO trace VALUES (2); END",
            "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
            "CREATE TABLE child(p REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL)",
            "INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (1)",
            "CREATE VIRTUAL TABLE words USING fts5(t)", "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)",
            "CREATE TABLE last(x)"]:
        client.query(statement)
    statements, expected = STATEMENTS[name]
    subscription = listen()
    if way == "autocommit":
        for statement in statements:
            client.query(statement)
    elif way == "session":
        session = client.session()
        client.query("BEGIN", session=session)
        for statement in statements:
            client.query(statement, session=session)
        assert subscription.hears_nothing(), "told before the commit"
        client.query("COMMIT", session=session)
    else:
        client.batch([{"sql": statement} for statement in statements], atomic=way == "atomic")
    client.query("INSERT INTO last VALUES (1)")
    heard = subscription.heard_before("last")
    # The tables in which a virtual table keeps its rows may be among them.
    shadows = {n for n in heard if n.startswith(("words_", "boxes_", "fresh_"))}
    assert heard - shadows == expected


@pytest.mark.parametrize("end", ["ROLLBACK", "close", "disconnect"])
def test_what_was_rolled_back_is_not_told(listen, served, end):
    subscription = listen()
    with served.connect() as client:
        session = client.session()
        client.query("BEGIN", session=session)
        client.query("INSERT INTO item(name) VALUES ('x')", session=session)
        if end == "ROLLBACK":
            client.query("ROLLBACK", session=session)
            client.query("INSERT INTO other VALUES (1)", session=session)
        elif end == "close":
            client.call("db_disconnect", {"session": session})
    assert subscription.heard() == {"other"} if end == "ROLLBACK" else subscription.hears_nothing()


def test_what_failed_is_not_told(listen, client):
    client.query("INSERT INTO item(name) VALUES ('x')")
    subscription = listen()
    client.query_fails("INSERT INTO item(name) VALUES ('x')")
    client.fails("batch", {"statements": [
        {"sql": "INSERT INTO other VALUES (1)"}, {"sql": "INSERT INTO item(name) VALUES ('x')"}], "atomic": True})
    client.query("SELECT * FROM item")
    client.query("CREATE TABLE IF NOT EXISTS item(x)")
    client.query("UPDATE other SET x = 1")
    assert subscription.hears_nothing()


def test_temporary_tables_are_not_told(listen, client):
    subscription = listen()
    session = client.session()
    client.query("CREATE TEMP TABLE mine(x)", session=session)
    client.query("INSERT INTO mine VALUES (1)", session=session)
    assert subscription.hears_nothing()
    client.query("CREATE TEMP TRIGGER tt AFTER INSERT ON mine BEGIN INSERT INTO other VALUES (1); END", session=session)
    client.query("INSERT INTO mine VALUES (1)", session=session)
    assert subscription.heard() == {"other"}


def test_a_trigger_that_came_later_is_followed(listen, client, served):
    """The writer has the statement prepared; SQLite prepares it again while it runs."""
    for _ in range(3):
        client.query("INSERT INTO item(name) VALUES (?)", [os.urandom(4).hex()])
    with served.connect() as another:
        session = another.session()
        another.query("CREATE TRIGGER tt AFTER INSERT ON item BEGIN INSERT INTO other VALUES (1); END", session=session)
    subscription = listen()
    client.query("INSERT INTO item(name) VALUES (?)", [os.urandom(4).hex()])
    assert subscription.heard() == {"item", "other"}


def test_a_trigger_that_came_later_is_followed_by_an_import(listen, client, served, directory):
    path = directory / "rows.csv"

    def bring():
        with served.connect() as other:
            other.call("hello", {"descriptors": True})
            path.write_text(f"name\n{os.urandom(4).hex()}\n")
            with open(path, "rb") as file:
                transfer(other, "import", file.fileno(), relation="item")

    bring()
    with served.connect() as another:
        session = another.session()
        another.query("CREATE TRIGGER tt AFTER INSERT ON item BEGIN INSERT INTO other VALUES (1); END", session=session)
    subscription = listen()
    bring()
    assert subscription.heard() == {"item", "other"}


def test_a_transaction_that_had_begun_is_told_as_unknown(listen, client):
    session = client.session()
    client.query("BEGIN", session=session)
    client.query("INSERT INTO item(name) VALUES ('early')", session=session)
    subscription = listen()
    client.query("COMMIT", session=session)
    assert subscription.heard() == {"<begun_before>"}


def test_savepoints_of_a_session_are_commits_of_their_own(listen, client):
    subscription = listen()
    session = client.session()
    client.query("SAVEPOINT a", session=session)
    client.query("INSERT INTO item(name) VALUES ('x')", session=session)
    client.query("SAVEPOINT b", session=session)
    client.query("INSERT INTO other VALUES (1)", session=session)
    client.query("RELEASE b", session=session)
    assert subscription.hears_nothing()
    client.query("RELEASE a", session=session)
    assert subscription.heard() == {"item", "other"}


def test_only_wanted_relations_are_told(listen, client):
    subscription = listen(relations=["OTHER"])
    client.query("INSERT INTO item(name) VALUES ('x')")
    assert subscription.event(0.3) is None
    client.query("INSERT INTO other VALUES (1)")
    assert subscription.event()["relations"] == ["other"]
    client.query("CREATE TABLE fresh(x)")
    event = subscription.event()
    assert event["schema"] is True and "relations" not in event


def test_nothing_is_left_of_who_has_gone(served):
    assert growth_kib(served) < 500


def test_changes_are_gathered(listen, client):
    subscription = listen(delay_ms=400)
    started = time.monotonic()
    client.query("INSERT INTO item(name) VALUES ('x')")
    client.query("INSERT INTO other VALUES (1)")
    event = subscription.event()
    assert time.monotonic() - started > 0.35
    assert sorted(event["relations"]) == ["item", "other"]
    assert subscription.event(0.6) is None


def test_a_database_in_memory_tells(start_daemon, directory):
    daemon = start_daemon(databases={"fast": "sqlite::memory:"}, directory=directory)
    with daemon.connect() as client:
        client.query("CREATE TABLE item(x)", database="fast")
        subscription = Subscription(daemon.connect(), database="fast")
        client.query("INSERT INTO item VALUES (1)", database="fast")
        assert subscription.heard() == {"item"}
        session = client.session(database="fast")
        client.query("BEGIN", session=session)
        client.query("INSERT INTO item VALUES (1)", session=session)
        assert subscription.hears_nothing()
        client.query("COMMIT", session=session)
        assert subscription.heard() == {"item"}


# Other programs

def test_a_commit_of_another_program_is_told(listen, outside):
    subscription = listen()
    outside.execute("INSERT INTO item(name) VALUES ('theirs')")
    event = subscription.event()
    assert event["resync"] is True and event["reason"] == "other_program"
    outside.execute("INSERT INTO item(name) VALUES ('more')")
    assert subscription.event()["reason"] == "other_program"


def test_a_transaction_of_another_program_is_told_at_its_end(listen, outside):
    subscription = listen()
    outside.execute("PRAGMA cache_size = 10")
    outside.execute("BEGIN IMMEDIATE")
    # More than its cache: it is written to the log before the commit.
    outside.execute("WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 500) "
                    "INSERT INTO other SELECT randomblob(4000) FROM c")
    assert subscription.event(0.5) is None, "told before the commit"
    outside.execute("COMMIT")
    assert subscription.event()["reason"] == "other_program"


def test_what_another_program_rolls_back_is_not_told(listen, outside, client):
    subscription = listen()
    outside.execute("PRAGMA cache_size = 10")
    outside.execute("BEGIN IMMEDIATE")
    outside.execute("WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 500) "
                    "INSERT INTO other SELECT randomblob(4000) FROM c")
    outside.execute("ROLLBACK")
    assert subscription.hears_nothing(0.5)
    client.query("INSERT INTO item(name) VALUES ('ours')")
    assert subscription.heard() == {"item"}


def test_many_databases_take_few_of_the_users_watches(start_daemon, directory):
    """A user has 128 inotify instances (fs.inotify.max_user_instances), whatever programs use them."""
    names = [f"d{number}" for number in range(12)]
    daemon = start_daemon("--loops", "2", databases={name: f"sqlite://{directory}/{name}.db" for name in names}, directory=directory)
    for name in names:
        with daemon.connect() as client:
            client.query("CREATE TABLE item(x)", database=name)
    subscriptions = {name: Subscription(daemon.connect(), database=name) for name in names}
    links = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()]
    assert 1 <= links.count("anon_inode:inotify") <= 2, links
    for name in names:
        with contextlib.closing(sqlite3.connect(directory / f"{name}.db", isolation_level=None, timeout=30)) as outside:
            outside.execute("INSERT INTO item VALUES (1)")
        assert subscriptions[name].event()["reason"] == "other_program"
    for name in names:
        assert subscriptions[name].event(0.01) is None


def test_own_commits_are_not_taken_for_those_of_others(listen, client, served):
    """Under load from many connections, with sessions and checkpoints."""
    subscription = listen()
    def write(number):
        with served.connect() as client:
            session = client.session() if number % 2 else None
            for turn in range(150):
                fields = {"session": session} if session else {}
                client.query("INSERT INTO other VALUES (randomblob(3000))", **fields)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subscription.heard(0.5) == {"other"}


def test_a_replaced_file_is_told(listen, client, directory, served):
    subscription = listen()
    made = sqlite3.connect(directory / "new.db")
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT)")
    made.commit()
    made.close()
    os.rename(directory / "new.db", directory / "default.db")
    assert subscription.event(10)["reason"] == "replaced"
    wait_until(lambda: client.query("SELECT count(*) FROM item").value == 0, "the new file")
    subscription.events(0.5)
    client.query("INSERT INTO item(name) VALUES ('new')")
    assert subscription.heard() == {"item"}


def test_a_restore_is_told(listen, client, directory, served):
    client.query("INSERT INTO item(name) VALUES ('kept')")
    copy = directory / "copy.db"
    subscription = listen()
    with served.connect() as other:
        other.call("hello", {"descriptors": True})
        with open(copy, "wb") as file:
            transfer(other, "backup", file.fileno())
        assert subscription.hears_nothing()
        with open(copy, "rb") as file:
            transfer(other, "restore", file.fileno())
    assert subscription.heard() == {"<replaced>"}
    client.query("INSERT INTO item(name) VALUES ('new')")
    assert subscription.heard() == {"item"}


# Positions

def test_a_subscription_goes_on_where_it_was(listen, client):
    subscription = listen()
    client.query("INSERT INTO item(name) VALUES ('one')")
    subscription.event()
    subscription.client.close()
    client.query("INSERT INTO other VALUES (2)")
    again = listen(**{"from": subscription.position})
    assert again.first["position"] == subscription.position and "resync" not in again.first
    assert again.event()["relations"] == ["other"]


@pytest.mark.parametrize("position", ["0.0", "", "x", "1.2.3", "ffff.99999999999999999999", "-1.-1"])
def test_an_unknown_position_is_told_at_once(listen, position):
    first = listen(**{"from": position}).first
    assert first["resync"] is True and first["reason"] == "position_unknown"


def test_a_position_of_another_process_is_unknown(served, listen):
    position = listen().position
    served.restart()
    first = listen(**{"from": position}).first
    assert first["reason"] == "position_unknown"


def test_too_many_relations_are_told_as_that(listen, client):
    subscription = listen(delay_ms=1000)
    client.batch([{"sql": f"CREATE TABLE t{number}(x)"} for number in range(1_100)], atomic=True)
    assert "<too_many>" in subscription.heard(2)


def test_long_names_take_no_memory(client, listen, served):
    """They are as long as a client likes, and each prepared statement has those of all tables that it changes."""
    name = "n" * 60_000
    client.query("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    client.batch([{"sql": f"CREATE TABLE {name}{number}(p REFERENCES parent ON DELETE CASCADE)"} for number in range(100)], atomic=True)
    before = served.memory_kib()
    subscription = listen()
    for number in range(60):
        client.query(f"DELETE FROM parent WHERE id = {number}")
    client.query("INSERT INTO parent VALUES (1)")
    client.query("DELETE FROM parent WHERE id + 0 = 1")
    assert "<too_many>" in subscription.heard(1)
    assert served.memory_kib() - before < 100 << 10


def test_a_crowd_that_listens_holds_up_nobody(served, client):
    """Many subscriptions of one user: others have their turn in between."""
    clients = [served.connect() for _ in range(20)]
    for one in clients:
        subscriptions = [one.send("subscribe", {}) for _ in range(50)]
        for id in subscriptions:
            one.receive_for(id)
    slowest = 0
    for _ in range(20):
        client.query("INSERT INTO other VALUES (1)")
        started = time.monotonic()
        client.call("health_check")
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 0.5
    for one in clients:
        one.close()


# Ends

def test_cancel_ends_it(listen, client):
    subscription = listen()
    assert subscription.cancel()["code"] == "cancelled"
    client.query("INSERT INTO item(name) VALUES ('x')")
    subscription.client.settle()


def test_the_daemon_does_not_wait_for_it_when_it_stops(served, listen):
    subscription = listen()
    started = time.monotonic()
    served.terminate()
    assert time.monotonic() - started < 5
    reply = subscription.client.receive_for(subscription.id)
    assert reply.type == "error" and reply.data["code"] == "shutting_down" and reply.data["retryable"] is True


def test_errors(client, start_daemon, directory):
    assert client.fails("subscribe", {"database": "nowhere"})["code"] == "database_not_found"
    for fields in [{"relations": []}, {"relations": "item"}, {"delay_ms": -1}, {"delay_ms": 10**9}, {"from": 5}]:
        assert client.fails("subscribe", fields)["code"] == "bad_request"


def test_a_client_that_does_not_read_costs_nothing(listen, client, served):
    """Its events are put together until it reads again."""
    subscription = listen()
    before = served.memory_kib()
    for number in range(3_000):
        client.query("INSERT INTO other VALUES (1)" if number % 2 else "UPDATE item SET name = name")
    client.query("INSERT INTO item(name) VALUES ('x')")
    assert served.memory_kib() - before < 8 << 10
    assert subscription.heard(1) == {"item", "other"}


def test_a_lane_tells_as_a_socket_does(served, client):
    with LaneClient(served.socket_path) as lane:
        subscription = Subscription(lane)
        client.query("INSERT INTO item(name) VALUES ('x')")
        assert subscription.event()["relations"] == ["item"]
        lane.query("INSERT INTO other VALUES (1)")
        assert subscription.event()["relations"] == ["other"]
        assert subscription.cancel()["code"] == "cancelled"


def test_other_requests_run_beside_it(listen):
    subscription = listen()
    subscription.client.query("INSERT INTO item(name) VALUES ('mine')")
    assert subscription.event()["relations"] == ["item"]
    assert subscription.client.query("SELECT count(*) FROM item").value == 1
