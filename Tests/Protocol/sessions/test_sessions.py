"""Sessions: connecting, transactions, isolation, order, what lives in them."""

import pytest

from daemon import count, counting, wait_until
from wire import RequestFailed


# Connecting


def test_connect(client):
    data = client.call("db_connect", {"database": "default"}).data
    assert isinstance(data["session"], str) and data["session"]
    assert (data["engine"], data["read_only"]) == ("sqlite", False)
    assert data["server_version"].startswith("3.")
    assert data["server_version"] == client.query("SELECT sqlite_version()").value


def test_connect_without_a_name_opens_the_default_database(client):
    session = client.call("db_connect").data["session"]  # guess: as for a query with neither
    assert client.query("PRAGMA database_list", session=session).rows[0][2].endswith("default.db")


def test_connect_and_disconnect(client):
    session = client.session()
    assert client.query("SELECT 1", session=session).rows == [[1]]
    assert client.call("db_disconnect", {"session": session}).type == "db_disconnect_response"
    assert client.query_fails("SELECT 1", session=session)["code"] == "session_not_found"
    assert client.fails("db_disconnect", {"session": session})["code"] == "session_not_found"
    client.settle()


@pytest.mark.parametrize("type, data", [
    ("query", {"sql": "SELECT 1", "session": "nothing"}), ("batch", {"statements": [{"sql": "SELECT 1"}], "session": "nothing"}),
    ("describe", {"sql": "SELECT 1", "session": "nothing"}), ("db_disconnect", {"session": "nothing"}),
    ("query", {"sql": "SELECT 1", "session": ""}), ("query", {"sql": "SELECT 1", "session": "x" * 5000}),
], ids=lambda value: str(value)[:50])
def test_unknown_session(client, type, data):
    assert client.fails(type, data)["code"] == "session_not_found"
    client.settle()


@pytest.mark.parametrize("data, codes", [
    ({"database": "nowhere"}, ["database_not_found"]),
    ({"database": 5}, ["bad_request"]),
    ({"database": "default", "read_only": "yes"}, ["bad_request"]),
    ({"database": "default", "url": "sqlite::memory:"}, ["bad_request"]),  # guess
    ({"url": 5}, ["bad_request"]),
    ({"url": ""}, ["bad_request", "connect_failed"]),  # guess
    ({"url": "no url at all"}, ["bad_request", "connect_failed"]),  # guess
    ({"url": "oracle://host/x"}, ["bad_request", "driver_missing"]),  # guess
    ({"url": "sqlite:/no/such/directory/x.db"}, ["connect_failed"]),
    ({"url": "sqlite:/etc?mode=ro"}, ["connect_failed"]),
    ({"url": "sqlite:/etc/passwd?mode=ro"}, ["connect_failed", "database_error"]),
    ({"url": "sqlite:/tmp/no-such-file-here.db?mode=ro"}, ["connect_failed"]),
    ({"url": "sqlite:/tmp/x.db?mode=sideways"}, ["bad_request", "connect_failed"]),  # guess
    ({"url": "sqlite:/tmp/x.db?vfs=memdb"}, ["bad_request", "connect_failed"]),  # guess
], ids=lambda value: str(value)[:60])
def test_connect_errors(client, data, codes):
    error = client.fails("db_connect", data)
    assert error["code"] in codes
    assert error["message"]
    client.settle()


def test_connect_by_url(client, directory):
    path = directory / "by url.db"
    session = client.session(url=f"sqlite:{directory}/by%20url.db")
    client.query("CREATE TABLE t(x)", session=session)
    assert path.is_file() or (directory / "by%20url.db").is_file()  # guess: percent-decoding or none
    other = client.session(url=f"sqlite:{directory}/by%20url.db")
    assert count(client, "t", session=other) == 0


def test_connect_by_url_with_slashes(client, directory):
    session = client.session(url=f"sqlite://{directory}/x.db")
    client.query("CREATE TABLE t(x)", session=session)
    assert (directory / "x.db").is_file()


def test_memory_database_is_private(client):
    first, second = client.session(url="sqlite::memory:"), client.session(url="sqlite::memory:")
    client.query("CREATE TABLE t(x)", session=first)
    client.query("INSERT INTO t VALUES (1)", session=first)
    assert count(client, "t", session=first) == 1
    assert client.query_fails("SELECT * FROM t", session=second)["code"] == "syntax_error"


def test_session_belongs_to_its_connection(daemon, client):
    """A session's name is no key to it: another connection cannot use it."""
    session = client.session()
    stranger = daemon.connect()
    assert stranger.query_fails("SELECT 1", session=session)["code"] == "session_not_found"
    assert stranger.fails("db_disconnect", {"session": session})["code"] == "session_not_found"
    assert client.query("SELECT 1", session=session).rows == [[1]]


def test_many_sessions_on_one_connection(client):
    sessions = [client.session() for _ in range(20)]
    assert len(set(sessions)) == 20
    for number, session in enumerate(sessions):
        client.query(f"CREATE TEMP TABLE mine AS SELECT {number} AS n", session=session)
    for number, session in enumerate(sessions):
        assert client.query("SELECT n FROM mine", session=session).value == number


# Transactions


@pytest.mark.parametrize("begin, end, remains", [
    ("BEGIN", "COMMIT", True), ("BEGIN", "ROLLBACK", False), ("BEGIN IMMEDIATE", "END", True),
    ("BEGIN EXCLUSIVE", "ROLLBACK TRANSACTION", False), ("begin deferred transaction", "commit transaction", True),
    ("SAVEPOINT s", "RELEASE s", True), ("-- comment\nBEGIN", "/* comment */ ROLLBACK", False),
])
def test_transaction(client, session, filled, begin, end, remains):
    assert client.query("SELECT 1", session=session).transaction == "none"
    assert client.query(begin, session=session).transaction == "active"
    assert client.query(f"INSERT INTO {filled} VALUES (3, 'c')", session=session).transaction == "active"
    assert client.query(f"SELECT count(*) FROM {filled}", session=session).rows == [[3]]
    assert client.query(end, session=session).transaction == "none"
    assert count(client, filled) == (3 if remains else 2)


def test_every_reply_of_a_session_carries_the_state(client, session, filled):
    client.query("BEGIN", session=session)
    assert client.query(f"SELECT * FROM {filled}", session=session).last["transaction"] == "active"
    assert client.call("describe", {"sql": "SELECT 1", "session": session}).data["transaction"] == "active"
    assert client.batch([{"sql": "SELECT 1"}], session=session).data["transaction"] == "active"
    assert client.query_fails("SELEC", session=session)["transaction"] == "active"
    assert client.query_fails(f"INSERT INTO {filled} VALUES (1, 'again')", session=session)["transaction"] in ("active", "failed")
    assert client.query("ROLLBACK", session=session).transaction == "none"
    assert client.query_fails("SELEC", session=session)["transaction"] == "none"


def test_sqlite_transaction_goes_on_after_a_failed_statement(client, session, filled):
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {filled} VALUES (3, 'c')", session=session)
    assert client.query_fails(f"INSERT INTO {filled} VALUES (1, 'again')", session=session)["code"] == "constraint_violation"
    assert client.query("COMMIT", session=session).transaction == "none"
    assert count(client, filled) == 3


def test_conflict_clause_that_rolls_back(client, session, filled):
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {filled} VALUES (3, 'c')", session=session)
    error = client.query_fails(f"INSERT OR ROLLBACK INTO {filled} VALUES (1, 'again')", session=session)
    assert error["transaction"] in ("none", "failed"), "the state after the statement, not before it"
    assert count(client, filled) == 2


@pytest.mark.parametrize("first", [
    "INSERT INTO kept VALUES (3)", "SELECT count(*) FROM kept", "PRAGMA user_version", "SELECT 1", "describe", "SAVEPOINT inner_one",
])
def test_a_schema_that_has_to_be_read_costs_no_transaction(start_daemon, first):
    """What a loop has no time to prepare it gives up; SQLite must not roll back what is open because of that."""
    client = start_daemon().connect()
    client.batch([{"sql": f"CREATE TABLE t{n}(a, b, c, d, e, f, PRIMARY KEY(a, b))"} for n in range(1000)])
    client.query("CREATE TABLE kept(x)")
    client.query("INSERT INTO kept VALUES (1), (2)")
    for number in range(5):
        session = client.session()
        client.query(f"CREATE TABLE new{number}(x)")
        assert client.query("BEGIN", session=session).transaction == "active"
        if first == "describe":
            client.call("describe", {"sql": "SELECT * FROM kept", "session": session})
        else:
            assert client.query(first, session=session).transaction == "active"
        for sql in ("INSERT INTO kept VALUES (4)", f"SELECT * FROM new{number}", "SAVEPOINT a", "CREATE TABLE undone(x)",
                    "ROLLBACK TO a", "SELECT count(*) FROM kept", "INSERT INTO kept VALUES (5)"):
            assert client.query(sql, session=session).transaction == "active", sql
        assert client.query("ROLLBACK", session=session).transaction == "none"
        assert client.query("SELECT count(*) FROM kept").value == 2
        client.call("db_disconnect", {"session": session})


def test_nested_begin_is_an_error(client, session):
    client.query("BEGIN", session=session)
    error = client.query_fails("BEGIN", session=session)
    assert error["code"] == "database_error" and error["transaction"] == "active"
    assert re_sqlstate(error)


def re_sqlstate(error):
    return len(error["sqlstate"]) == 5 and error["sqlstate"].isalnum()


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "RELEASE no_such_savepoint"])
def test_end_without_a_beginning(client, session, sql):
    error = client.query_fails(sql, session=session)
    assert error["code"] == "database_error" and error["transaction"] == "none"
    assert re_sqlstate(error)


@pytest.mark.parametrize("sql", ["BEGIN", "begin", " BEGIN IMMEDIATE", "BEGIN EXCLUSIVE TRANSACTION", "/* x */ BEGIN", "-- x\nBEGIN;",
                                 "COMMIT", "END", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "\ufeffBEGIN"], ids=repr)
def test_transaction_control_needs_a_session(client, sql):
    error = client.query_fails(sql)
    if sql.startswith("\ufeff") and error["code"] == "syntax_error":
        return
    assert error["code"] == "needs_session"
    assert "db_connect" in error["hint"] or "session" in error["hint"]
    client.settle()


def test_begin_without_a_session_leaves_nothing_open(daemon, client, filled):
    for _ in range(10):
        client.query_fails("BEGIN IMMEDIATE")
    assert daemon.connect().query(f"INSERT INTO {filled} VALUES (3, 'c')").last["rows_affected"] == 1


def test_isolation(daemon, client, session, filled):
    stranger = daemon.connect()
    foreign = stranger.session()
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {filled} VALUES (3, 'c')", session=session)
    assert count(client, filled, session=session) == 3
    assert count(client, filled) == 2, "autocommit statements of the same connection see what is committed"
    assert count(stranger, filled) == 2
    assert count(stranger, filled, session=foreign) == 2
    client.query("COMMIT", session=session)
    assert count(client, filled) == count(stranger, filled) == count(stranger, filled, session=foreign) == 3


def test_snapshot_within_a_transaction(daemon, client, session, filled):
    client.query("BEGIN", session=session)
    assert count(client, filled, session=session) == 2
    daemon.connect().query(f"INSERT INTO {filled} VALUES (3, 'c')")
    assert count(client, filled, session=session) == 2
    client.query("COMMIT", session=session)
    assert count(client, filled, session=session) == 3


def test_two_sessions_of_one_connection_are_independent(client, filled):
    first, second = client.session(), client.session()
    client.query("BEGIN", session=first)
    client.query(f"DELETE FROM {filled}", session=first)
    assert client.query(f"SELECT count(*) FROM {filled}", session=second).rows == [[2]]
    assert client.query("SELECT 1", session=second).transaction == "none"
    client.query("ROLLBACK", session=first)


def test_batch_within_a_transaction(client, session, filled):
    """A failed atomic batch undoes itself, not the transaction around it."""
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {filled} VALUES (3, 'before')", session=session)
    error = client.fails("batch", {"session": session, "statements": [
        {"sql": f"INSERT INTO {filled} VALUES (4, 'in')"}, {"sql": f"INSERT INTO {filled} VALUES (1, 'again')"}]})
    assert (error["statement_index"], error["transaction"]) == (1, "active")
    assert count(client, filled, session=session) == 3
    assert client.batch([{"sql": f"INSERT INTO {filled} VALUES (5, 'in')"}], session=session).data["transaction"] == "active"
    client.query("COMMIT", session=session)
    assert [row[0] for row in client.query(f"SELECT x FROM {filled} ORDER BY x").rows] == [1, 2, 3, 5]


def test_atomic_batch_in_an_idle_session(client, session, filled):
    error = client.fails("batch", {"session": session, "statements": [
        {"sql": f"DELETE FROM {filled}"}, {"sql": "SELEC"}]})
    assert error["transaction"] == "none"
    assert count(client, filled) == 2


@pytest.mark.parametrize("how", ["db_disconnect", "close", "half close"])
def test_rollback_when_a_session_ends(daemon, packed, client, session, filled, how):
    client.query("BEGIN IMMEDIATE", session=session)
    client.query(f"DELETE FROM {filled}", session=session)
    if how == "db_disconnect":
        client.call("db_disconnect", {"session": session})
    elif how == "close":
        client.close()
    else:
        client.half_close()
        client.receive_end()

    def writable():
        try:
            return packed.query(f"INSERT INTO {filled} VALUES (3, 'c')", timeout_ms=1000).last["rows_affected"] == 1
        except RequestFailed:
            return False

    wait_until(writable, "the lock is free", timeout=5)
    assert count(packed, filled) == 3


def test_disconnect_while_a_statement_of_the_session_waits_its_turn(client, session, filled):
    """Pipelined: BEGIN, INSERT, db_disconnect. Order within a session; then rolled back."""
    ids = [client.send_query("BEGIN", session=session),
           client.send_query(f"INSERT INTO {filled} VALUES (9, 'z')", session=session)]
    end = client.send("db_disconnect", {"session": session})
    for id in ids:
        client.collect(id)
    client.answer(end)
    assert count(client, filled) == 2
    client.settle()


# State that lives in a session


def test_temporary_tables(daemon, client, session, table):
    client.query(f"CREATE TEMP TABLE {table}(x)", session=session)
    client.query(f"INSERT INTO {table} VALUES (1)", session=session)
    assert count(client, table, session=session) == 1
    for stranger in (client, daemon.connect()):
        assert stranger.query_fails(f"SELECT * FROM {table}")["code"] == "syntax_error"
    assert client.query_fails(f"SELECT * FROM {table}", session=client.session())["code"] == "syntax_error"


def test_a_new_session_is_clean(client, table):
    """A link that goes back to a pool takes nothing along."""
    first = client.session()
    client.query(f"CREATE TEMP TABLE {table}(x)", session=first)
    client.query("PRAGMA foreign_keys = 0", session=first)
    client.query("PRAGMA case_sensitive_like = 1", session=first)
    client.call("db_disconnect", {"session": first})
    for _ in range(5):
        session = client.session()
        assert client.query_fails(f"SELECT * FROM {table}", session=session)["code"] == "syntax_error"
        assert client.query("PRAGMA foreign_keys", session=session).value == 1
        assert client.query("SELECT 'a' LIKE 'A'", session=session).value == 1
        client.call("db_disconnect", {"session": session})


def test_last_insert_id_lives_in_the_session(client, session, filled):
    client.query(f"INSERT INTO {filled}(y) VALUES ('c')", session=session)
    assert client.query("SELECT last_insert_rowid(), changes()", session=session).rows == [[3, 1]]


def test_order_within_a_session(client, session, table):
    client.query(f"CREATE TABLE {table}(x)", session=session)
    client.query("BEGIN", session=session)
    ids = []
    for number in range(200):
        client.send_query(f"INSERT INTO {table} VALUES (?)", [number], id=f"w{number}", session=session)
        ids.append(client.send_query(f"SELECT count(*), max(x) FROM {table}", session=session))
    order = []
    while len(order) < 400:
        reply = client.receive()
        assert reply.type == "query_response", reply
        order.append(reply.id)
        if reply.id in ids:
            number = ids.index(reply.id)
            assert reply.data["rows"] == [[number + 1, number]]
    assert order == [item for number in range(200) for item in (f"w{number}", ids[number])]
    client.query("ROLLBACK", session=session)


def test_order_within_a_session_with_slow_statements_between(client, session):
    slow = [client.send_query(counting(200_000, "max(x)"), session=session) for _ in range(3)]
    quick = client.send_query("SELECT 1", session=session)
    finished = [client.receive().id for _ in range(4)]
    assert finished == [*slow, quick]


def test_a_slow_session_does_not_hold_up_others(client):
    slow, other = client.session(), client.session()
    id = client.send_query(counting(3_000_000, "max(x)"), session=slow)
    for _ in range(20):
        assert client.query("SELECT 1", session=other).rows == [[1]]
        assert client.query("SELECT 2").rows == [[2]]
    assert client.waiting[id] == 1 and not client.stash[id], "20 quick ones overtake a slow one"
    assert client.collect(id).value == 3_000_000


def test_failed_statement_does_not_stop_the_pipeline_behind_it(client, session):
    bad = client.send_query("SELEC", session=session)
    good = client.send_query("SELECT 1", session=session)
    with pytest.raises(RequestFailed):
        client.collect(bad)
    assert client.collect(good).rows == [[1]]


def test_constraint_that_is_checked_at_commit(client, session, filled):
    client.query(f"CREATE TABLE {filled}_child(x REFERENCES {filled} DEFERRABLE INITIALLY DEFERRED)")
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {filled}_child VALUES (77)", session=session)
    error = client.query_fails("COMMIT", session=session)
    assert (error["code"], error["transaction"]) == ("constraint_violation", "active")
    assert client.query("ROLLBACK", session=session).transaction == "none"


def test_a_transaction_that_begins_with_a_write_has_no_older_snapshot(start_daemon):
    """What is looked for before the first write of a daemon must not begin a transaction's snapshot: others commit until it has the lock."""
    daemon = start_daemon()
    with daemon.connect() as setter:
        setter.query("CREATE TABLE t(a)")
    for _ in range(20):
        # Nobody knows then whether there are triggers.
        with daemon.connect() as client, daemon.connect() as other:
            other.query("CREATE TRIGGER litebase_moved_x BEFORE INSERT ON t BEGIN SELECT 1; END")
            other.query("DROP TRIGGER litebase_moved_x")
            first, second = (client.call("db_connect", {"database": "default"}).data["session"] for _ in range(2))
            for session in (first, second):
                client.query("BEGIN", session=session)
            client.query("INSERT INTO t VALUES (1)", session=first)
            waiting = client.send("query", {"sql": "INSERT INTO t VALUES (1)", "session": second})
            client.call("health_check")
            client.query("COMMIT", session=first)
            reply = client.receive_for(waiting)
            assert reply.type == "query_response", reply
            client.query("COMMIT", session=second)


@pytest.mark.parametrize("begin", ["", "BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a"])
@pytest.mark.parametrize("what", ["query", "batch", "rows"])
def test_the_first_write_of_a_daemon_may_be_of_any_kind(start_daemon, begin, what):
    """Before it, somebody has to look whether the database was moved."""
    daemon = start_daemon()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(a)")
        client.query("CREATE TRIGGER litebase_moved_x BEFORE INSERT ON t BEGIN SELECT 1; END")
        client.query("DROP TRIGGER litebase_moved_x")
        session = client.call("db_connect", {"database": "default"}).data["session"]
        if begin:
            client.query(begin, session=session)
        statement = {"sql": "INSERT INTO t VALUES (?)"}
        data = {"query": {**statement, "params": [1]}, "batch": {"statements": [{**statement, "params": [1]}]},
                "rows": {"statements": [{**statement, "param_rows": [[1]]}]}}[what]
        client.call("query" if what == "query" else "batch", {**data, "session": session})
        if begin:
            client.query("RELEASE a" if "SAVEPOINT" in begin else "COMMIT", session=session)
        assert client.query("SELECT * FROM t").rows == [[1]]
