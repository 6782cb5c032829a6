"""`stats` shows each limit live, and what each user has; an error names the limit that was met."""

import os
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import as_nobody, needs_root
from wire import Client


def limit(client, name):
    return client.call("stats").data["limits"][name]


def user(client):
    [own] = [user for user in client.call("stats").data["users"] if user["uid"] == os.getuid()]
    return own


def test_sessions_are_counted_and_limited_by_user(limited):
    daemon = limited(sessions_per_connection_max=3, sessions_per_user_max=4)
    with daemon.connect() as first, daemon.connect() as second, daemon.connect() as watcher:
        names = [first.session() for _ in range(3)]
        error = first.fails("db_connect", {"database": "default"})
        assert error["code"] == "limit_exceeded"
        assert error["limit"] == {"name": "sessions_per_connection_max", "value": 3, "used": 3, "uid": os.getuid()}
        second.session()
        error = second.fails("db_connect", {"database": "default"})
        assert error["limit"] == {"name": "sessions_per_user_max", "value": 4, "used": 4, "uid": os.getuid()}
        assert "4" in error["message"] and error["retryable"] is True
        assert limit(watcher, "sessions_per_connection_max") == {"value": 3, "used": 3, "peak": 3, "hits": 1}
        assert limit(watcher, "sessions_per_user_max") == {"value": 4, "used": 4, "peak": 4, "hits": 1}
        first.call("db_disconnect", {"session": names[0]})
        assert (user(watcher)["sessions"], user(watcher)["sessions_peak"], user(watcher)["refusals"]) == (3, 4, 2)
        second.session()
        first.close()
        wait_until(lambda: user(watcher)["sessions"] == 2, "sessions end with their connection")
    assert "sessions_per_user_max = 4 is reached" in daemon.log()


def test_sessions_that_cannot_be_opened_are_not_counted(limited):
    daemon = limited(sessions_per_user_max=2)
    with daemon.connect() as client:
        for _ in range(5):
            assert client.fails("db_connect", {"url": "sqlite:/nowhere/at/all.db"})["code"] == "connect_failed"
        assert user(client)["sessions"] == 0


def test_requests_in_flight_are_counted_and_limited_by_user(limited):
    daemon = limited(requests_in_flight_per_user_max=5, requests_in_flight_max=3)
    with daemon.connect() as first, daemon.connect() as second, daemon.connect() as watcher:
        ids = [first.send_query(ENDLESS) for _ in range(3)]
        more = [second.send_query(ENDLESS) for _ in range(2)]
        # Asking counts itself while it is answered: first all must be in.
        assert second.call("health_check").data["status"] == "healthy"
        time.sleep(0.5)
        wait_until(lambda: user(watcher)["requests_in_flight"] == 5, "all run")
        error = second.query_fails("SELECT 1")
        assert error["limit"] == {
            "name": "requests_in_flight_per_user_max", "value": 5, "used": 5, "uid": os.getuid()}
        assert error["retryable"] is True
        # What frees something, and what tells, gets through.
        assert second.call("health_check").data["status"] == "healthy"
        seen = limit(watcher, "requests_in_flight_max")
        assert (seen["used"], seen["hits"]) == (3, 1)
        for id in more:
            assert second.call("cancel", {"request": id}).data["cancelled"]
        assert second.query("SELECT 1").rows == [[1]]
        first.close()
        wait_until(lambda: user(watcher)["requests_in_flight"] == 0, "nothing is left")
        assert ids


def test_buffered_bytes_and_connections_are_counted(limited):
    daemon = limited()
    with daemon.connect() as client, daemon.connect() as watcher:
        client.send_query("SELECT randomblob(3000000)")
        wait_until(lambda: user(watcher)["buffered_bytes"] > 1_000_000, "the result is held")
        assert user(watcher)["connections"] == 2 and limit(watcher, "connections_max")["used"] == 2
        assert limit(watcher, "connections_max")["value"] == 10_000
        client.close()
        wait_until(lambda: user(watcher)["buffered_bytes"] == 0, "nothing is held")
        assert user(watcher)["buffered_bytes_peak"] > 1_000_000 and user(watcher)["connections"] == 1


def test_times_that_run_out_are_counted(limited):
    daemon = limited(statement_time_ms_max=100, busy_time_ms_max=150, idle_transaction_ms_max=700)
    with daemon.connect() as client, daemon.connect() as other:
        error = client.query_fails(ENDLESS)
        assert error["code"] == "timeout" and "100 ms" in error["message"]
        assert error["limit"] == {"name": "statement_time_ms_max", "value": 100}
        # A shorter one of the client's own is no limit of the daemon's.
        assert "limit" not in client.query_fails(ENDLESS, timeout_ms=20)
        client.query("CREATE TABLE t(x)")
        session = client.session()
        client.query("BEGIN IMMEDIATE", session=session)
        error = other.query_fails("INSERT INTO t VALUES (1)", timeout_ms=5_000)
        assert error["code"] == "busy" or error["code"] == "timeout"
        wait_until(lambda: limit(other, "idle_transaction_ms_max")["hits"] == 1, "it is ended")
        assert limit(other, "statement_time_ms_max")["hits"] >= 1
        error = client.query_fails("COMMIT", session=session)
        assert error["limit"] == {"name": "idle_transaction_ms_max", "value": 700} and error["sqlstate"] == "25P03"


@pytest.mark.parametrize("sql, name, value", [
    ("SELECT " + ",".join(["?"] * 40_000), "sqlite_parameters_max", 32_766),
    ("SELECT " + ",".join(["1"] * 2_001), "sqlite_columns_max", 2_000),
    ("SELECT " + "+".join(["1"] * 1_500), "sqlite_expression_depth_max", 1_000),
    (" UNION ALL ".join(["SELECT 1"] * 501), "sqlite_compound_selects_max", 500),
    ("SELECT max(" + ",".join(["1"] * 128) + ")", "sqlite_function_arguments_max", 127),
    ("SELECT 1 FROM " + ",".join(["(SELECT 1)"] * 65), "sqlite_join_tables_max", 64),
    ("SELECT " + "(" * 2_000 + "1" + ")" * 2_000, "sqlite_parser_depth_max", 100),
    ("SELECT 'a' LIKE '" + "%" * 1_001 + "'", "sqlite_like_pattern_bytes_max", 1_000),
    ("SELECT zeroblob(70000000)", "row_bytes_max", 64 << 20),
    (counting(1, "randomblob(40000000), randomblob(40000000)"), "row_bytes_max", 64 << 20),
])
def test_limits_of_sqlite_name_themselves(daemon, packed, sql, name, value):
    error = packed.query_fails(sql)
    assert error["code"] == "limit_exceeded" and error["sqlstate"] == "54000"
    assert error["limit"] == {"name": name, "value": value}
    assert name in error["message"] and str(value) in error["message"]


def test_memory_of_sqlite_is_limited(limited):
    daemon = limited(sqlite_memory_bytes_max=40_000_000, sqlite_memory_bytes_per_user_max=80_000_000)
    with daemon.connect() as client:
        hungry = "SELECT length(hex(randomblob(25000000)))"
        error = client.query_fails(hungry)
        assert error["code"] == "limit_exceeded" and error["retryable"] is True
        assert error["limit"] == {"name": "sqlite_memory_bytes_max", "value": 40_000_000}
        seen = limit(client, "sqlite_memory_bytes_max")
        assert seen["hits"] >= 1 and seen["used"] < 10_000_000 and seen["peak"] <= 40_000_000
        # It goes on as if nothing had been.
        client.query("CREATE TABLE t(x)")
        client.query("INSERT INTO t VALUES (randomblob(1000000))")
        assert client.query("SELECT length(x) FROM t").value == 1_000_000
        (daemon.directory / "limits.toml").write_text("[limits]\nsqlite_memory_bytes_max = 0\n")
        client.call("reload")
        assert client.query(hungry).value == 50_000_000


def test_the_number_of_threads_changes_with_a_reload(limited):
    daemon = limited(worker_threads_max=2)
    with daemon.connect() as client, daemon.connect() as watcher:
        ids = [client.send_query(ENDLESS) for _ in range(6)]
        wait_until(lambda: limit(watcher, "worker_threads_max")["used"] == 2, "two run")
        wait_until(lambda: limit(watcher, "worker_threads_max")["hits"] >= 1, "others wait")
        (daemon.directory / "limits.toml").write_text("[limits]\nworker_threads_max = 5\n")
        assert watcher.call("reload").data["restart_needed"] == []
        wait_until(lambda: limit(watcher, "worker_threads_max")["used"] == 5, "five run")
        for id in ids:
            client.call("cancel", {"request": id})
        wait_until(lambda: limit(watcher, "worker_threads_max")["used"] == 0, "none runs")


@needs_root
def test_others_see_only_themselves(limited):
    daemon = limited()
    os.chmod(daemon.directory, 0o755)
    with daemon.connect() as root:
        root.session()

        def action():
            with Client(daemon.socket_path) as client:
                data = client.call("stats").data
                return [user["user"] for user in data["users"]], data["limits"]["sessions_per_user_max"]["used"]

        assert as_nobody(action) == "(['nobody'], 0)"
        with Client(daemon.socket_path) as _:
            assert [user["user"] for user in root.call("stats").data["users"]] == ["root"]
