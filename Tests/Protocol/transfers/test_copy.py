"""`import` with `sql`: the data of a client's COPY … FROM STDIN, which go to PostgreSQL as they are."""

import os
import random
import threading
import time

import pytest

from daemon import wait_until
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import Client, RequestFailed

# It starts database servers.
pytestmark = pytest.mark.slow


@pytest.fixture
def table(passing):
    made = f"t{random.randrange(1 << 40)}"
    passing.query(f"CREATE TABLE {made}(i int, s text)", database="pg")
    yield made
    passing.query(f"DROP TABLE IF EXISTS {made}", database="pg")


@pytest.fixture
def session(passing):
    return passing.session(database="pg")


def rows(client, table):
    return client.query(f"SELECT i, s FROM {table} ORDER BY i", database="pg").rows


def copied(client, directory, session, sql, data, call=transfer, **more):
    (directory / "data").write_bytes(data)
    with opened(directory / "data", os.O_RDONLY) as descriptor:
        return call(client, "import", descriptor, session=session, sql=sql, **more)


def test_data_as_they_are(passing, directory, session, table):
    data = b"1\t\\N\n2\t\\\\.\n3\ta\\tb\n4\t\n"
    reply = copied(passing, directory, session, f"COPY {table} FROM STDIN", data + b"\\.\n")
    assert (reply["row_count"], reply["transaction"], reply["bytes"]) == (4, "none", len(data) + 3)
    assert rows(passing, table) == [[1, None], [2, "\\."], [3, "a\tb"], [4, ""]]
    reply = copied(passing, directory, session, f"copy {table}(s, i) from stdin (format csv, header)", b's,i\r\n"x\n\\.y",5\r\n\\.')
    assert reply["row_count"] == 1 and rows(passing, table)[-1] == [5, "x\n\\.y"]
    assert copied(passing, directory, session, f"COPY {table} FROM STDIN", b"\\.\r\n")["row_count"] == 0


def test_lengths(passing, directory, session, table):
    """Around the size of a piece, by a file and by a pipe whose writer sends little at a time."""
    for count in [1, 2, 3, 4, 5, 6, 262_134, 262_135, 262_136, 262_137, 262_138, 262_139, 262_140, 262_144, 1_000_003]:
        data = b"1\t" + b"x" * count + b"\n\\.\n"
        assert copied(passing, directory, session, f"COPY {table} FROM STDIN", data)["row_count"] == 1
        assert passing.query(f"DELETE FROM {table} RETURNING length(s)", database="pg").rows == [[count]]
    data = b"".join(b"%d\t\\\\.\n" % i for i in range(300)) + b"\\.\n"
    for step in (1, 3, 7):
        reader, writer = os.pipe()
        id = send_with(passing, [reader], "import", {"descriptors": 1, "session": session, "sql": f"COPY {table} FROM STDIN"})
        os.close(reader)
        for start in range(0, len(data), step):
            os.write(writer, data[start:start + step])
        os.close(writer)
        assert outcome(passing, id)[-1]["row_count"] == 300
        assert passing.query(f"DELETE FROM {table} WHERE s = '\\.'", database="pg").last["rows_affected"] == 300


@pytest.mark.parametrize("data", [b"", b"1\ta\n", b"1\ta\\.\n", b"1\ta\n\\.x\n", b"1\ta\n\\", b"1\ta\n\\.\n\n", b"1\t" + b"x" * 300_000 + b"\n"])
def test_without_an_end(passing, directory, session, table, data):
    error = copied(passing, directory, session, f"COPY {table} FROM STDIN", data, transfer_fails)
    assert (error["code"], error["sqlstate"]) == ("bad_request", "22P04") and "no end" in error["message"], error
    assert rows(passing, table) == []
    assert copied(passing, directory, session, f"COPY {table} FROM STDIN", b"1\tb\n\\.\n")["row_count"] == 1


def test_in_a_transaction(passing, directory, session, table):
    passing.query("BEGIN", session=session)
    assert copied(passing, directory, session, f"COPY {table} FROM STDIN", b"1\ta\n\\.\n")["transaction"] == "active"
    assert rows(passing, table) == []
    error = copied(passing, directory, session, f"COPY {table} FROM STDIN", b"2\tb\nthree\tc\n\\.\n", transfer_fails)
    assert error["sqlstate"] == "22P02" and f"COPY {table}, line 2, column i" in error["detail"] and error["transaction"] == "failed", error
    passing.query("ROLLBACK", session=session)
    assert rows(passing, table) == []


def test_what_is_no_such_copy(passing, directory, session, table):
    for sql in ("SELECT 1", f"COPY {table} TO STDOUT", "COPY (SELECT 'x' FROM stdin) TO STDOUT", f"INSERT INTO {table} VALUES (1)", "", "COPY"):
        error = copied(passing, directory, session, sql, b"1\ta\n\\.\n", transfer_fails)
        assert error["code"] == "bad_request" and error["sqlstate"] == "0A000", (sql, error)
    error = copied(passing, directory, session, f"COPY {table} FROM STDIN; DROP TABLE {table}", b"1\ta\n\\.\n", transfer_fails)
    assert error["sqlstate"] == "42601", error
    with opened(directory / "data", os.O_RDONLY) as descriptor:
        error = transfer_fails(passing, "import", descriptor, sql=f"COPY {table} FROM STDIN", database="pg")
        assert error["code"] == "bad_request" and "session" in error["message"], error
        error = transfer_fails(passing, "import", descriptor, sql="x", relation=table, session=session)
        assert error["code"] == "bad_request", error
        for name in ("my", "default"):
            with passing_session(passing, name) as other:
                error = transfer_fails(passing, "import", descriptor, sql=f"COPY {table} FROM STDIN", session=other)
                assert error["sqlstate"] == "0A000", error
    reading = passing.session(database="pg", read_only=True)
    assert copied(passing, directory, reading, f"COPY {table} FROM STDIN", b"1\ta\n\\.\n", transfer_fails)["sqlstate"] == "25006"
    assert rows(passing, table) == []


class passing_session:
    def __init__(self, client, name):
        self.client, self.name = client, name

    def __enter__(self):
        self.session = self.client.session(database=self.name)
        return self.session

    def __exit__(self, *_):
        self.client.call("db_disconnect", {"session": self.session})


def begun(client, session, table, data=b"1\ta\n" * 1000):
    """A COPY that waits for more, and the end of its pipe."""
    reader, writer = os.pipe()
    id = send_with(client, [reader], "import", {"descriptors": 1, "session": session, "sql": f"COPY {table} FROM STDIN"})
    os.close(reader)
    os.write(writer, data)
    wait_until(lambda: "waiting_for_client" in [entry["state"] for entry in client.call("activity").data["entries"]], "it waits")
    return id, writer


def is_cancelled(passing, session, table):
    """Cancels a COPY. A busy server may not confirm it within the 80 ms that the daemon waits for it: then nobody knows."""
    id, writer = begun(passing, session, table)
    is_confirmed = passing.call("cancel", {"request": id}).data["cancelled"]
    with pytest.raises(RequestFailed) as cancelled:
        outcome(passing, id)
    os.close(writer)
    assert cancelled.value.code == ("cancelled" if is_confirmed else "outcome_unknown"), cancelled.value
    assert passing.query("SELECT 1", session=session).rows == [[1]] and rows(passing, table) == []
    return is_confirmed


def test_cancel(passing, session, table):
    assert any(is_cancelled(passing, session, table) for _ in range(5)), "the server confirms it in time"


@pytest.fixture
def refusing(passing, table):
    """A table that refuses all rows, or waits, when the server has said that it takes them, and before it reads any."""
    passing.query(f"""CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM {table} WHERE i = -1) THEN PERFORM pg_sleep(60); END IF;
        RAISE 'not today'; END $$""", database="pg")
    passing.query(f"CREATE TABLE {table}_refusing(i int, s text)", database="pg")
    passing.query(f"CREATE TRIGGER refuse BEFORE INSERT ON {table}_refusing EXECUTE FUNCTION {table}_refuse()", database="pg")
    yield f"{table}_refusing"
    passing.query(f"DROP TABLE {table}_refusing", database="pg")
    passing.query(f"DROP FUNCTION {table}_refuse", database="pg")


def test_an_error_before_any_data_are_read(passing, directory, session, table, refusing):
    """The connection goes on: the server has answered each question once."""
    for _ in range(20):
        error = copied(passing, directory, session, f"COPY {refusing} FROM STDIN", b"1\ta\n\\.\n", transfer_fails)
        assert (error["code"], error["sqlstate"]) == ("database_error", "P0001") and error["message"] == "Not today.", error
        assert passing.query("SELECT 1", session=session).rows == [[1]]
        assert copied(passing, directory, session, f"COPY {table} FROM STDIN", b"1\ta\n\\.\n")["row_count"] == 1
    assert len(rows(passing, table)) == 20


def test_a_cancel_before_any_data_are_read(passing, session, table, refusing):
    passing.query(f"INSERT INTO {table} VALUES (-1)", database="pg")
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def is_cancelled():
        id, writer = begun(passing, session, refusing, b"1\ta\n")
        wait_until(lambda: passing.query(asleep, database="pg").value == 1, "it sleeps")
        is_confirmed = passing.call("cancel", {"request": id}).data["cancelled"]
        os.close(writer)
        with pytest.raises(RequestFailed) as cancelled:
            outcome(passing, id)
        assert cancelled.value.code == ("cancelled" if is_confirmed else "outcome_unknown"), cancelled.value
        for _ in range(3):
            assert passing.query("SELECT 1", session=session).rows == [[1]]
        return is_confirmed

    for _ in range(5):
        assert any(is_cancelled() for _ in range(5)), "the server confirms it in time"


def test_the_clients_time_does_not_count(passing, session, table):
    reader, writer = os.pipe()
    id = send_with(passing, [reader], "import", {"descriptors": 1, "session": session, "sql": f"COPY {table} FROM STDIN", "timeout_ms": 300})
    os.close(reader)
    for number in range(5):
        os.write(writer, b"%d\ta\n" % number)
        time.sleep(0.15)
    os.write(writer, b"\\.\n")
    os.close(writer)
    assert outcome(passing, id)[-1]["row_count"] == 5


def test_a_client_that_goes_away(passing, session, table):
    with passing_client(passing) as other:
        theirs = other.session(database="pg")
        _, writer = begun(other, theirs, table)
    # Also where its pipe ends before its connection does.
    os.close(writer)
    busy = f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY {table}%'"
    wait_until(lambda: passing.query(busy, database="pg").rows == [[0]], "it is over")
    assert rows(passing, table) == []


class passing_client:
    """Another client of the same daemon."""

    def __init__(self, client):
        self.address = client.socket.getpeername()

    def __enter__(self):
        self.client = Client(self.address)
        return hello(self.client)

    def __exit__(self, *_):
        self.client.close()


def test_the_server_ends_the_connection(passing, session, table):
    id, writer = begun(passing, session, table)
    end = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'COPY {table}%'"
    wait_until(lambda: passing.query(end, database="pg").value == 1, "the server knows of it")
    try:
        for _ in range(100):
            os.write(writer, b"1\ta\n" * 1000)
        os.write(writer, b"\\.\n")
    except BrokenPipeError:
        pass
    os.close(writer)
    with pytest.raises(RequestFailed) as lost:
        outcome(passing, id)
    assert lost.value.code in ("connect_failed", "outcome_unknown", "database_error"), lost.value
    assert rows(passing, table) == []


def test_progress(passing, session, table):
    reader, writer = os.pipe()
    id = send_with(passing, [reader], "import", {"descriptors": 1, "session": session, "sql": f"COPY {table} FROM STDIN", "progress_ms": 1})
    os.close(reader)

    def feed():
        with open(writer, "wb") as pipe:
            for _ in range(300):
                pipe.write((b"1\t" + b"x" * 1000 + b"\n") * 100)
            pipe.write(b"\\.\n")

    thread = threading.Thread(target=feed)
    thread.start()
    replies = outcome(passing, id)
    thread.join()
    assert replies[-1]["row_count"] == 30_000
    sizes = [reply["bytes"] for reply in replies]
    assert len(sizes) > 3 and sizes == sorted(sizes)
