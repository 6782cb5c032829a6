"""`backup`: a SQLite database as it is at one moment, into a client's file or pipe."""

import os
import resource
import sqlite3
import subprocess
import threading
import time

import pytest

from daemon import counting, wait_until
from transfers import hello, open_paths, opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed


@pytest.fixture
def passing(daemon):
    with daemon.connect() as client:
        yield hello(client)


def verified(path):
    """A connection to the copy, which is whole."""
    copy = sqlite3.connect(path)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return copy


def drain(descriptor, into):
    with open(descriptor, "rb") as pipe, open(into, "wb") as file:
        while piece := pipe.read(1 << 16):
            file.write(piece)


def through_pipe(client, path, **data):
    """A backup into a pipe, from which a thread writes the file."""
    reader, writer = os.pipe()
    thread = threading.Thread(target=drain, args=(reader, path))
    thread.start()
    id = send_with(client, [writer], "backup", {"descriptors": 1, **data})
    os.close(writer)
    try:
        return outcome(client, id)[-1]
    finally:
        thread.join()


@pytest.mark.parametrize("how", ["file", "pipe"])
@pytest.mark.parametrize("state", ["in the log", "checkpointed", "emptied log", "page size"])
def test_it_is_the_database(start_daemon, directory, how, state):
    path = directory / "source.db"
    if state == "page size":
        with sqlite3.connect(path) as made:
            made.execute("PRAGMA page_size = 65536")
            made.execute("CREATE TABLE early(x)")
        made.close()
    daemon = start_daemon(directory=directory, databases={"source": f"sqlite:{path}"})
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, y)", database="source")
        client.query(f"INSERT INTO t {counting(20_000, 'x, hex(randomblob(50))')}", database="source")
        client.query("DELETE FROM t WHERE x % 7 = 0", database="source")
        if state in ("checkpointed", "emptied log"):
            with sqlite3.connect(path) as other:
                mode = "TRUNCATE" if state == "emptied log" else "PASSIVE"
                other.execute(f"PRAGMA wal_checkpoint({mode})")
            other.close()
        if state == "checkpointed":
            # The log begins anew, with frames of the former one behind.
            client.query("UPDATE t SET y = 'new' WHERE x < 10", database="source")
        rows = client.query("SELECT count(*), sum(x), max(y) FROM t", database="source").rows
        copy = directory / "copy.db"
        if how == "file":
            with opened(copy) as descriptor:
                reply = transfer(client, "backup", descriptor, database="source")
        else:
            reply = through_pipe(client, copy, database="source")
        assert reply["bytes"] == reply["total_bytes"] == copy.stat().st_size
        client.settle()
    assert [list(row) for row in verified(copy).execute("SELECT count(*), sum(x), max(y) FROM t")] == rows


def test_a_rollback_journal(start_daemon, directory):
    path = directory / "old.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = DELETE")
        made.execute("CREATE TABLE t AS " + counting(5_000))
    made.close()
    daemon = start_daemon(directory=directory, databases={"old": f"sqlite:{path}?mode=ro"})
    with daemon.connect() as client, opened(directory / "copy") as descriptor:
        transfer(hello(client), "backup", descriptor, database="old")
    assert verified(directory / "copy").execute("SELECT count(*) FROM t").fetchall() == [(5_000,)]
    assert (directory / "copy").read_bytes() == path.read_bytes()


def test_one_moment_under_writers(start_daemon, directory):
    """Two sums that every commit keeps equal are equal in every copy, and commits between the start and the reply's are whole."""
    daemon = start_daemon(directory=directory)
    stop = threading.Event()
    with daemon.connect() as client:
        client.query("CREATE TABLE a(id INTEGER PRIMARY KEY, x)")
        client.query("CREATE TABLE b(id INTEGER PRIMARY KEY, x, pad)")
        client.query(f"INSERT INTO a {counting(1_000, 'x, 0')}")
        client.query(f"INSERT INTO b {counting(1_000, 'x, 0, zeroblob(2000)')}")
    written, longest = [], [0.0]

    def write(number):
        with daemon.connect() as writer:
            while not stop.is_set():
                start = time.monotonic()
                row = 1 + (len(written) * 7 + number) % 1_000
                writer.batch([{"sql": "UPDATE a SET x = x + 1 WHERE id = ?", "params": [row]},
                              {"sql": "UPDATE b SET x = x + 1, pad = randomblob(2000) WHERE id = ?", "params": [1 + row % 999]}])
                longest[0] = max(longest[0], time.monotonic() - start)
                written.append(1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        with daemon.connect() as client:
            hello(client)
            for turn in range(20):
                before = len(written)
                copy = directory / f"copy{turn}"
                if turn % 2:
                    through_pipe(client, copy)
                else:
                    with opened(copy) as descriptor:
                        transfer(client, "backup", descriptor)
                (a,), (b,) = verified(copy).execute("SELECT sum(x) FROM a UNION ALL SELECT sum(x) FROM b").fetchall()
                assert a == b >= before, (turn, a, b, before)
                copy.unlink()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(written) > 20, "the writers went on"


def test_progress(daemon, passing, directory, table):
    passing.query(f"CREATE TABLE {table} AS {counting(3_000, 'x, zeroblob(4000)')}")
    reader, writer = os.pipe()
    id = send_with(passing, [writer], "backup", {"descriptors": 1, "progress_ms": 1})
    os.close(writer)
    with open(reader, "rb") as pipe:
        while pipe.read(1 << 16):
            time.sleep(0.001)
    replies = outcome(passing, id)
    assert len(replies) > 2
    sizes = [reply["bytes"] for reply in replies]
    assert sizes == sorted(sizes) and all(reply["total_bytes"] == sizes[-1] for reply in replies)


def stalled(client, **data):
    """A backup whose pipe nobody reads."""
    reader, writer = os.pipe()
    id = send_with(client, [writer], "backup", {"descriptors": 1, **data})
    os.close(writer)
    return id, reader


@pytest.fixture
def large(passing, table):
    passing.query(f"CREATE TABLE {table} AS {counting(3_000, 'x, zeroblob(4000)')}")
    return table


def test_cancel_of_a_stalled_one(daemon, passing, large):
    id, reader = stalled(passing)
    wait_until(lambda: "waiting_for_client" in [e["state"] for e in passing.call("activity").data["entries"]], "it waits")
    assert passing.call("cancel", {"request": id}).data["cancelled"] is True
    with pytest.raises(RequestFailed) as cancelled:
        outcome(passing, id)
    assert cancelled.value.code == "cancelled"
    os.close(reader)
    passing.settle()


def test_timeout_counts_the_daemons_work_only(passing, large, directory):
    with opened(directory / "copy") as descriptor:
        assert transfer(passing, "backup", descriptor, timeout_ms=60_000)["bytes"] > 0


def test_a_reader_that_goes_away(passing, large):
    id, reader = stalled(passing)
    os.close(reader)
    with pytest.raises(RequestFailed) as gone:
        outcome(passing, id)
    assert "pipe" in gone.value.data["message"]
    passing.settle()


def test_a_client_that_goes_away(daemon, large):
    readers = []
    for _ in range(5):
        with daemon.connect() as client:
            readers.append(stalled(hello(client))[1])
    for reader in readers:
        def ended():
            os.set_blocking(reader, False)
            try:
                while os.read(reader, 1 << 20):
                    pass
                return True
            except BlockingIOError:
                return False
        wait_until(ended, "the pipe was closed by the daemon")
        os.close(reader)


def test_stalled_ones_hurt_nobody_else(daemon, passing, large, directory):
    """As many as one user may have; the next is refused, and everything else goes on."""
    stuck = [stalled(passing) for _ in range(8)]
    with opened(directory / "one more") as descriptor:
        error = transfer_fails(passing, "backup", descriptor)
    assert error["code"] == "limit_exceeded" and error["retryable"] is True
    with daemon.connect() as other:
        other.query(f"INSERT INTO {large} SELECT 1, 2")
        other.settle()
    for id, reader in stuck:
        passing.send("cancel", {"request": id})
        os.close(reader)
    for id, _ in stuck:
        with pytest.raises(RequestFailed):
            outcome(passing, id)

    def accepted():
        with opened(directory / "one more") as descriptor:
            try:
                return transfer(passing, "backup", descriptor)["bytes"]
            except RequestFailed:
                return 0
    wait_until(accepted, "there is room again")


def test_a_full_disk_and_a_size_limit(start_daemon, directory):
    """Of the daemon's own RLIMIT_FSIZE: SIGXFSZ would end the process."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        hello(client)
        client.query(f"CREATE TABLE t AS {counting(2_000, 'x, zeroblob(4000)')}")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with opened(directory / "copy") as descriptor:
            error = transfer_fails(client, "backup", descriptor)
        assert "File too large" in error["message"] and "part" in error["message"], error
        client.settle()


def test_appending(daemon, passing, large, directory):
    """O_APPEND is the client's choice: as with a shell's >>."""
    path = directory / "appended"
    path.write_bytes(b"")
    with opened(path, os.O_WRONLY | os.O_APPEND) as descriptor:
        assert transfer(passing, "backup", descriptor)["bytes"] == path.stat().st_size
    verified(path)


def test_memory_and_servers_have_none(start_daemon, directory):
    daemon = start_daemon(directory=directory, databases={"memory": "sqlite::memory:", "server": "redis://127.0.0.1:1"})
    with daemon.connect() as client, opened(directory / "copy") as descriptor:
        hello(client)
        for name in ("memory", "server"):
            error = transfer_fails(client, "backup", descriptor, database=name)
            assert error["sqlstate"] == "0A000", error
        client.settle()


def test_memory_stays_flat(start_daemon, directory):
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(x)")
        for _ in range(10):
            client.query(f"INSERT INTO t {counting(2_500, 'zeroblob(4000)')}")
        before = resident(daemon)
        with opened(directory / "copy") as descriptor:
            assert transfer(client, "backup", descriptor)["bytes"] > 90 << 20
        assert resident(daemon) - before < 8 << 20


def resident(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


def test_a_log_that_grows_is_not_held_for_a_stalled_pipe(limited, directory):
    """`idle_hold_ms_max`: a snapshot that keeps the log from starting anew, for a client that does not read."""
    daemon = limited(idle_hold_ms_max=500)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(x)")
        client.query(f"INSERT INTO t {counting(1_000, 'zeroblob(4000)')}")
        id, reader = stalled(client)
        with daemon.connect() as writer:
            for _ in range(30):
                writer.query(f"INSERT INTO t {counting(1_000, 'zeroblob(4000)')}")
            with pytest.raises(RequestFailed) as ended:
                outcome(client, id)
        assert ended.value.data["sqlstate"] == "57P05", ended.value
        os.close(reader)
        client.settle()


def test_it_is_closed_when_the_reply_comes(daemon, passing, large, directory):
    path = directory / "copy"
    with opened(path) as descriptor:
        transfer(passing, "backup", descriptor)
    wait_until(lambda: open_paths(daemon.process.pid, path) == 0, "it is closed")
    assert subprocess.run(["sqlite3", path, "PRAGMA quick_check"], capture_output=True, text=True).stdout == "ok\n"
