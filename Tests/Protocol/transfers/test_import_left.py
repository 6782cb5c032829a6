"""What an `import` leaves that ends in the middle, and what its error says of that."""

import contextlib
import os
import sqlite3
import threading
import time

import pytest

from transfers import hello, outcome, send_with
from wire import RequestFailed


def begun(client, relation, lines=b"", **data):
    """An import from a pipe into which `lines` were written: its id, and the writing end."""
    reader, writer = os.pipe()
    id = send_with(client, [reader], "import",
                   {"descriptors": 1, "relation": relation, "header": False, "progress_ms": 1, **data})
    os.close(reader)
    feed(writer, lines)
    return id, writer


def feed(writer, lines):
    """Writes all of it; returns whether somebody has read it."""
    rest = memoryview(lines)
    with contextlib.suppress(BrokenPipeError):
        while rest:
            rest = rest[os.write(writer, rest[:65_536]):]
    return not rest


def rows_are_written(client, id):
    """Waits for the progress that says so."""
    while client.receive_for(id).data["row_count"] == 0:
        pass


def fails(client, id):
    with pytest.raises(RequestFailed) as failed:
        outcome(client, id)
    return failed.value.data


LINES = b"".join(b"%d,%s\n" % (n, b"x" * 60) for n in range(40_000))


def test_nobody_is_told_to_repeat_what_has_written_rows(limited):
    """Another program has taken the lock meanwhile: `busy` would be tried again, and the first rows be there twice."""
    daemon = limited(busy_time_ms_max=300)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a, b)")
        other = sqlite3.connect(client.query("SELECT file FROM pragma_database_list").value, isolation_level=None)
        id, writer = begun(client, "t", LINES)
        rows_are_written(client, id)
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=feed, args=(writer, LINES))
        thread.start()
        error = fails(client, id)
        thread.join()
        os.close(writer)
        other.execute("ROLLBACK")
        other.close()
        count = client.query("SELECT count(*) FROM t").value
        assert error["code"] == "busy" and count > 0, error
        assert f"The {count} rows before it are in the table." in error["detail"], error
        assert "retryable" not in error and "retry_after_ms" not in error, error
        assert "what is left of the file" in error["hint"], error


@pytest.mark.parametrize("how", ["atomic", "in a session"])
def test_a_pipe_that_is_silent_in_a_transaction(limited, how):
    """It would keep everybody else from writing, for as long as its client likes."""
    daemon = limited(idle_transaction_ms_max=4_000, busy_time_ms_max=200)
    with daemon.connect() as client, daemon.connect() as other:
        hello(client)
        client.query("CREATE TABLE t(a, b)")
        place = {"atomic": True}
        if how == "in a session":
            place = {"session": client.session()}
            client.query("BEGIN IMMEDIATE", **place)
        id, writer = begun(client, "t", LINES, **place)
        rows_are_written(client, id)
        with pytest.raises(RequestFailed) as busy:
            other.query("INSERT INTO t VALUES (0, 0)")
        assert busy.value.code == "busy"
        error = fails(client, id)
        os.close(writer)
        assert (error["code"], error["sqlstate"]) == ("timeout", "25P03"), error
        assert error["limit"]["name"] == "idle_transaction_ms_max" and "retryable" not in error, error
        if how == "in a session":
            count = client.query("SELECT count(*) FROM t", **place).value
            assert count > 0 and f"The transaction has the {count} rows before it." in error["detail"], error
            client.query("ROLLBACK", **place)
        other.query("INSERT INTO t VALUES (0, 0)")
        assert other.query("SELECT count(*) FROM t").value == 1
        # What is in no transaction may wait.
        id, writer = begun(client, "t", LINES)
        rows_are_written(client, id)
        time.sleep(5)
        os.close(writer)
        assert outcome(client, id)[-1]["row_count"] == 40_000


def test_a_slow_pipe_is_not_a_silent_one(limited):
    daemon = limited(idle_transaction_ms_max=4_000)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a, b)")
        id, writer = begun(client, "t", atomic=True)
        for _ in range(4):
            feed(writer, LINES)
            time.sleep(1.5)
        os.close(writer)
        assert outcome(client, id)[-1]["row_count"] == 160_000
