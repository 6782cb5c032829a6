"""Limits of users and of patience: what one client may keep from the others, and for how long."""

import contextlib
import os
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import as_nobody, needs_root
from wire import Client, ConnectionEnded, RequestFailed, framed


@needs_root
def test_connections_of_a_user_are_limited_and_others_are_served(limited):
    daemon = limited(connections_per_user_max=3)
    os.chmod(daemon.directory, 0o755)

    def action():
        clients = [Client(daemon.socket_path) for _ in range(3)]
        for client in clients:
            client.call("health_check")
        with Client(daemon.socket_path) as fourth:
            try:
                fourth.call("health_check")
                return "served"
            except RequestFailed as failure:
                message = failure.data["message"]
            fourth.receive_end()
        clients.pop().close()
        time.sleep(0.1)
        with Client(daemon.socket_path) as again:
            again.call("health_check")
        with daemon_of_root() as other:
            return f"{failure_code(message)} {message}"

    def daemon_of_root():
        return Client(daemon.socket_path)

    def failure_code(_):
        return "limit_exceeded"

    text = as_nobody(action)
    assert "user nobody has reached the limit of 3 connections (connections_per_user_max)" in text.lower()
    # Root is not held up, however many it has.
    clients = [daemon.connect() for _ in range(5)]
    for client in clients:
        client.call("health_check")


@needs_root
def test_activity_shows_only_ones_own(limited):
    daemon = limited()
    os.chmod(daemon.directory, 0o755)
    with daemon.connect() as root:
        root.send_query(ENDLESS)
        wait_until(lambda: root.call("activity").data["entries"], "root sees it")

        def action():
            with Client(daemon.socket_path) as client:
                return client.call("activity").data["entries"]

        assert as_nobody(action) == "[]"


def test_results_that_nobody_reads_are_limited_in_all(limited):
    daemon = limited(buffered_bytes_per_user_max=20_000_000)
    before = daemon.resident_bytes() if hasattr(daemon, "resident_bytes") else resident(daemon.process.pid)
    clients = [daemon.connect() for _ in range(4)]
    ids = [[client.send_query("SELECT randomblob(4000000)") for _ in range(10)] for client in clients]
    time.sleep(1.5)
    assert resident(daemon.process.pid) - before < 150_000_000
    # Small things get through meanwhile.
    with daemon.connect() as other:
        assert other.call("health_check").data["status"] == "healthy"
        assert other.collect(other.send_query("SELECT 1")).rows == [[1]]
    refused = served = 0
    for client, requests in zip(clients, ids):
        for id in requests:
            try:
                assert len(client.collect(id).rows[0][0]) == 4_000_000
                served += 1
            except RequestFailed as failure:
                assert failure.code == "limit_exceeded" and "buffered_bytes_per_user_max" in failure.data["message"]
                assert failure.data["retryable"] is True
                refused += 1
    assert refused > 0 and served > 0
    # All of it is given back.
    with daemon.connect() as other:
        assert other.call("stats").data["requests_in_flight"] == 0 and other.call("activity").data["entries"] == []
        assert len(other.collect(other.send_query("SELECT randomblob(15000000)")).rows[0][0]) == 15_000_000
    assert "buffered_bytes_per_user_max" in daemon.log()


def test_results_that_are_refused_at_their_start_leave_nothing_behind(limited):
    daemon = limited(buffered_bytes_per_user_max=1_048_576)
    sql = "SELECT zeroblob(100000) FROM (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)"
    refused = served = 0
    for _ in range(4):
        clients = [daemon.connect() for _ in range(12)]
        ids = [[client.send_query(sql) for _ in range(40)] for client in clients]
        time.sleep(0.3)
        for client, requests in zip(clients, ids):
            for id in requests:
                try:
                    assert len(client.collect(id).rows) == 3
                    served += 1
                except RequestFailed as failure:
                    assert failure.code == "limit_exceeded"
                    refused += 1
        with daemon.connect() as other:
            assert other.call("stats").data["requests_in_flight"] == 0
            assert other.call("activity").data["entries"] == []
        for client in clients:
            client.close()
    assert refused > 0 and served > 0


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_halves_of_requests_are_limited_in_all(limited):
    daemon = limited(buffered_bytes_per_user_max=4_000_000)
    clients = [daemon.connect() for _ in range(8)]
    closed = 0
    for client in clients:
        client.tracks = False
        try:
            client.socket.sendall(framed(b"\x81" + b"x" * 2_000_000)[:1_500_000])
        except (BrokenPipeError, ConnectionResetError):
            pass
    time.sleep(0.3)
    for client in clients:
        client.socket.settimeout(0.2)
        try:
            reply = client.receive()
            assert reply.data["code"] == "limit_exceeded"
            closed += 1
        except TimeoutError:
            pass
        except (ConnectionEnded, ConnectionResetError):
            closed += 1
    assert 4 <= closed <= 7
    for client in clients:
        client.close()
    time.sleep(0.2)
    with daemon.connect() as other:
        value = other.collect(other.send_query("SELECT length(?)", ["x" * 1_500_000])).value
        assert value == 1_500_000


def test_requests_in_flight_are_limited_in_all(limited):
    daemon = limited(buffered_bytes_per_user_max=5_000_000)
    for _ in range(10):
        # A request that has come in part when the limit is reached cannot be answered: its connection ends.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ConnectionEnded):
            return fill_up(daemon)
    pytest.fail("the connection has always ended")


def fill_up(daemon):
    with daemon.connect() as holder, daemon.connect() as client:
        session = holder.call("db_connect").data["session"]
        for sql in ("CREATE TABLE IF NOT EXISTS t(x)", "DELETE FROM t", "BEGIN IMMEDIATE"):
            holder.collect(holder.send_query(sql, session=session))
        ids = [client.send_query("INSERT INTO t SELECT length(?)", ["x" * 1_000_000]) for _ in range(12)]
        time.sleep(0.5)
        holder.collect(holder.send_query("COMMIT", session=session))
        codes = []
        for id in ids:
            try:
                client.collect(id)
                codes.append("done")
            except RequestFailed as failure:
                codes.append(failure.code)
        assert set(codes) == {"done", "limit_exceeded"}
        assert client.collect(client.send_query("SELECT count(*) FROM t")).value == codes.count("done")


@pytest.mark.parametrize("notices", [False, True])
def test_an_idle_transaction_ends(limited, mode, notices):
    daemon = limited(idle_transaction_ms_max=600)
    with daemon.connect(mode) as client, daemon.connect() as other:
        client.call("hello", {"notices": notices})
        idle, holder = (client.call("db_connect").data["session"] for _ in range(2))
        client.collect(client.send_query("CREATE TABLE t(x)", session=holder))
        # Work within the time keeps a transaction alive.
        client.collect(client.send_query("BEGIN IMMEDIATE", session=holder))
        for _ in range(4):
            time.sleep(0.2)
            client.collect(client.send_query("INSERT INTO t VALUES (1)", session=holder))
        writing = other.send_query("INSERT INTO t VALUES (2)")
        began = time.monotonic()
        if notices:
            client.tracks = False
            body = client.read_body()
            from wire import decode
            notice = decode(body)
            assert notice.type == "notice" and notice.id is None
            assert notice.data["code"] == "idle_transaction" and notice.data["session"] == holder
            assert 100 < notice.data["ends_in_ms"] <= 320
            client.tracks = True
        other.collect(writing)
        assert 0.4 < time.monotonic() - began < 2
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("COMMIT", session=holder))
        assert failure.value.code == "session_not_found" and failure.value.data["sqlstate"] == "25P03"
        assert "idle_transaction_ms_max" in failure.value.data["message"]
        assert other.collect(other.send_query("SELECT x FROM t")).rows == [[2]]
        # A session without a transaction may be idle.
        assert client.collect(client.send_query("SELECT 1", session=idle)).rows == [[1]]
    assert f"session {holder} on default ended" in daemon.log()


def read_slowly(daemon, seconds):
    """All of a result, a little of it now and then at first; None if the connection was closed, and the longest pause between reads."""
    with daemon.connect() as client:
        id = client.send_query(counting(300_000))
        began = last = time.monotonic()
        longest = 0
        while time.monotonic() - began < seconds:
            client.buffer += client.socket.recv(10_000)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            time.sleep(0.02)
        try:
            return len(client.collect(id).rows), longest
        except (ConnectionEnded, ConnectionResetError):
            return None, max(longest, time.monotonic() - last)


@pytest.mark.slow
def test_a_client_that_does_not_read_is_closed(limited):
    daemon = limited(write_stall_ms_max=1000)
    with daemon.connect() as client:
        client.send_query(counting(10_000_000))
        # One that reads a little now and then is not; whoever gets no processor for that may try again.
        for _ in range(5):
            count, longest = read_slowly(daemon, 2.5)
            if count:
                break
            assert longest > 0.5, f"closed, although it has read every {longest:.2f} s"
        assert count == 300_000
        wait_until(lambda: "bytes unread" in daemon.log(), "the log says that it was closed")
        client.tracks = False
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            while True:
                client.receive()


@pytest.mark.parametrize("mode", ["msgpack", "lines", "json"])
def test_a_result_refused_in_the_middle_of_a_frame_ends_with_an_error(limited, mode):
    """The rest of a result was refused while its last frame was open: the daemon trapped."""
    daemon = limited(buffered_bytes_per_user_max=1_100_000)
    hogs = [daemon.connect() for _ in range(5)]
    for hog in hogs:
        for _ in range(4):
            hog.send_query("SELECT zeroblob(300000)")
    time.sleep(0.3)
    sql = "SELECT zeroblob(70000) UNION ALL SELECT zeroblob(120000) UNION ALL SELECT zeroblob(30000)"
    clients = [daemon.connect(mode) for _ in range(6)]
    ids = [[client.send_query(sql) for _ in range(12)] for client in clients]
    time.sleep(0.5)
    codes = set()
    for client, requests in zip(clients, ids):
        for id in requests:
            try:
                assert len(client.collect(id).rows) == 3
            except RequestFailed as failure:
                codes.add(failure.code)
    assert codes == {"limit_exceeded"}


def test_what_was_changed_is_never_refused(limited):
    daemon = limited(buffered_bytes_per_user_max=1_100_000)
    with daemon.connect() as client:
        client.collect(client.send_query("CREATE TABLE t(x)"))
        result = client.collect(client.send_query("INSERT INTO t VALUES (zeroblob(1200000)) RETURNING x"))
        assert len(result.rows[0][0]) == 1_200_000
        # A read of that size will never fit, and is told so.
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("SELECT x FROM t"))
        assert failure.value.code == "limit_exceeded" and "retryable" not in failure.value.data
