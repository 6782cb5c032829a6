"""One client holds no loop, whatever is new each time: texts, queues, cursors, sessions."""

import itertools
import time

import pytest

from daemon import counting, wait_until
from loop_probe import serves_meanwhile
from wire import RequestFailed

# It measures time: nothing else runs beside it.
pytestmark = pytest.mark.alone

NUMBERS = itertools.count(1_000_000)


def holds_no_loop(daemon, attack, limit=20, count=0):
    serves_meanwhile(daemon, lambda: attack(daemon), attack.__name__, wrong=lambda probe: probe.slow_but_for(count, limit))


def ask(client, sql, kind="query", **options):
    try:
        client.call(kind, {"sql": sql, **options})
    except RequestFailed as failure:
        assert failure.code in ("limit_exceeded", "database_error", "cancelled"), failure


def names_in_many_columns():
    """SQLite looks for each name in all columns of all tables, and nobody is asked meanwhile: for four times as long as a loop may be held."""
    return f"SELECT {next(NUMBERS)} FROM z, {', '.join(f'w w{index}' for index in range(20))} WHERE a IN ({'a,' * 2500}1) LIMIT 0"


@pytest.mark.parametrize("kind", ["query", "describe"])
@pytest.mark.parametrize("where", ["pool", "session"])
def test_what_takes_long_to_prepare_is_tried_once(start_daemon, kind, where):
    """Within the search for a name a loop cannot be stopped; who has held it gets no time on it for a while, then. (SlowUsersTests: for
    how long.)"""
    daemon = start_daemon()
    with daemon.connect() as client:
        client.query(f"CREATE TABLE w({', '.join(f'c{index}' for index in range(2000))})")
        client.query("CREATE TABLE z(a)")

    def many_names(daemon):
        with daemon.connect() as client:
            options = {"session": client.session()} if where == "session" else {}
            for _ in range(12):
                ask(client, names_in_many_columns(), kind, **options)

    # The client's loop holds once, and when its time is over, once more; two have it if the probe finds both held at once.
    holds_no_loop(daemon, many_names, count=4)


def test_those_who_leave_the_line_for_writing(start_daemon):
    daemon = start_daemon()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)")

    def leave(daemon):
        with daemon.connect() as holder:
            session = holder.session()
            holder.query("BEGIN IMMEDIATE", session=session)
            clients = [daemon.connect() for _ in range(4)]
            for client in clients:
                client.socket.sendall(b"".join(
                    client.bytes_of("query", {"sql": "INSERT INTO t VALUES (1)"}, id=id)[1] for id in range(1, 1001)))
            wait_until(lambda: holder.call("stats").data["requests_in_flight"] >= 4000, "they wait")
            for client in clients:
                client.socket.close()
                time.sleep(0.1)
            wait_until(lambda: holder.call("stats").data["requests_in_flight"] < 10, "they have left")
            holder.query("ROLLBACK", session=session)

    holds_no_loop(daemon, leave)
    # Those who stay get their turn, in their order.
    with daemon.connect() as holder, daemon.connect() as first, daemon.connect() as second:
        session = holder.session()
        holder.query("BEGIN IMMEDIATE", session=session)
        ids = [(client, client.send_query(f"INSERT INTO t VALUES ({value})"))
               for value, client in enumerate([first, second] * 150)]
        for client, id in ids[::3]:
            client.send("cancel", {"request": id})
        for client, id in ids[::3]:
            with pytest.raises(RequestFailed, match="cancelled"):
                client.collect(id)
        holder.query("COMMIT", session=session)
        for index, (client, id) in enumerate(ids):
            if index % 3:
                client.collect(id)
        rows = [row[0] for row in holder.query("SELECT x FROM t ORDER BY rowid").rows]
        assert sorted(rows) == [value for value in range(300) if value % 3]
        for parity in (0, 1):
            own = [value for value in rows if value % 2 == parity]
            assert own == sorted(own)


@pytest.mark.parametrize("how", ["cancel", "leave"])
def test_a_large_sorter_is_freed_elsewhere(start_daemon, how):
    daemon = start_daemon()

    def sort(daemon):
        for _ in range(2):
            client = daemon.connect()
            id = client.send_query(counting(200_000, f"{next(NUMBERS)}, x, zeroblob(1500)") + " ORDER BY x*7919%60007", page_rows=10)
            client.receive_for(id)
            time.sleep(0.02)
            if how == "cancel":
                client.send("cancel", {"request": id})
                with pytest.raises(RequestFailed, match="cancelled"):
                    client.collect(id)
            client.close()
            time.sleep(0.1)

    holds_no_loop(daemon, sort)


def test_a_position_of_any_length(start_daemon):
    daemon = start_daemon()

    def subscribe(daemon):
        with daemon.connect() as client:
            for _ in range(3):
                id = client.send("subscribe", {"from": "." * 15_000_000})
                assert client.receive_for(id).data["reason"] == "position_unknown"

    holds_no_loop(daemon, subscribe)


FREEING = {
    "temp_store": "PRAGMA temp_store = 1", "detach": "DETACH own", "cache": "PRAGMA cache_size = 10", "commit": "COMMIT", "rollback": "ROLLBACK",
    "rollback to": "ROLLBACK TO place", "release": "RELEASE place",
}


@pytest.mark.parametrize("name", FREEING)
def test_what_a_session_gives_back_at_once(start_daemon, name):
    """Pages of 100 MB, which take longer than a loop has."""
    daemon = start_daemon()
    rows = counting(60_000, "x, zeroblob(1500)")
    table = "own.t" if name == "detach" else "temp.t"

    def give_back(daemon):
        with daemon.connect() as client:
            session = client.session()
            run = [f"PRAGMA temp_store = {2 if name in ('temp_store', 'detach') else 1}", "PRAGMA cache_size = -200000", "ATTACH '' AS own",
                   f"CREATE TABLE {table}(a, b)", f"INSERT INTO {table} {rows}"]
            for round in range(2):
                if name in ("commit", "rollback", "rollback to", "release"):
                    run += ["BEGIN", "SAVEPOINT place", f"UPDATE {table} SET a = a + 1"]
                for sql in run:
                    client.query(sql, session=session)
                time.sleep(0.02)
                client.query(f"{FREEING[name]} /* {next(NUMBERS)} */", session=session)
                time.sleep(0.05)
                if name in ("temp_store", "detach", "cache"):
                    return
                run = [] if name in ("commit", "rollback") else ["COMMIT"]

    holds_no_loop(daemon, give_back, limit=12)
