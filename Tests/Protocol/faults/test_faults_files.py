"""Files that are deleted or replaced while the daemon has them open (docs/faults.md).

What was acknowledged is in the file that was at the path when it was acknowledged, wherever that file is now. Each test has
another client at work on another database of the same daemon, which must not notice.
"""

import os
import shutil
import signal
import sqlite3
import threading
import time

import pytest

from bystander import Bystander
from daemon import tells_of_crash, wait_until
from wire import ConnectionEnded, RequestFailed


def numbers(path, table="t"):
    """The rows of a file, read without the daemon; the file must be sound."""
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = [row[0] for row in file.execute(f"SELECT x FROM {table} ORDER BY x")]
    file.close()
    return rows


def make(path, rows, table="t", padding=0):
    """A database file that the daemon did not write."""
    with sqlite3.connect(path) as file:
        file.execute(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, filling BLOB)")
        file.executemany(f"INSERT INTO {table} VALUES (?, zeroblob(?))", [(row, padding) for row in rows])
    file.close()
    return path


@pytest.fixture
def served(start_daemon, directory):
    """A daemon with the database `files`, whose log holds three rows, and somebody at work on the default database."""
    instance = start_daemon(databases={"files": f"sqlite:{directory}/files.db",
                                       "strict": f"sqlite:{directory}/strict.db?mode=rw"})
    instance.path = directory / "files.db"
    instance.client = instance.connect("msgpack")
    instance.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    for row in (1, 2, 3):
        instance.client.query("INSERT INTO t VALUES (?, zeroblob(20000))", [row], database="files")
    assert os.path.getsize(f"{instance.path}-wal") > 60000
    with Bystander(instance) as instance.bystander:
        yield instance


def end(served, signal_number=signal.SIGTERM):
    """Ends the daemon; until then the bystander was served."""
    served.bystander.check()
    status = served.terminate(signal_number)
    assert status == (0 if signal_number == signal.SIGTERM else -signal_number), served.log()[-3000:]
    assert not tells_of_crash(served.log()), served.log()[-3000:]


def rows_of(client):
    return [row[0] for row in client.query("SELECT x FROM t ORDER BY x", database="files").rows]


def log_of(directory_path):
    return [directory_path.with_name(directory_path.name + suffix) for suffix in ("-wal", "-shm")]


def replace_by_rename(path):
    os.rename(make(path.with_name("new.db"), [10, 11], padding=9000), path)


def replace_by_removal(path):
    path.unlink()
    shutil.copy(make(path.with_name("new.db"), [10, 11], padding=9000), path)


def replace_everything(path):
    for file in [path, *log_of(path)]:
        file.unlink()
    shutil.copy(make(path.with_name("new.db"), [10, 11], padding=9000), path)


def replace_with_log(path):
    """What a careful administrator does: the log must not be played into the new file."""
    os.rename(make(path.with_name("new.db"), [10, 11], padding=9000), path)
    for file in log_of(path):
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("how", [replace_by_rename, replace_by_removal, replace_everything, replace_with_log])
@pytest.mark.parametrize("first", ["read", "write", "session", "batch"])
def test_a_replaced_file_is_the_one_that_is_used(served, how, first):
    former = served.path.with_name("former.db")
    os.link(served.path, former)
    how(served.path)
    # A statement may still see the former file for a tenth of a second; a write never goes there unseen.
    if first == "read":
        wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")
    elif first == "write":
        served.client.query("INSERT INTO t(x) VALUES (12)", database="files")
    elif first == "batch":
        served.client.batch([{"sql": "INSERT INTO t(x) VALUES (12)"}], database="files")
    else:
        session = served.client.session(database="files")
        assert [row[0] for row in served.client.query("SELECT x FROM t", session=session).rows] == [10, 11]
    served.client.query("INSERT INTO t(x) VALUES (13)", database="files")
    expected = [10, 11, 12, 13] if first in ("write", "batch") else [10, 11, 13]
    assert rows_of(served.client) == expected
    assert served.log().count("was replaced by another file") + served.log().count("was deleted or moved") == 1
    end(served)
    assert numbers(served.path) == expected
    assert numbers(former) == [1, 2, 3], "what was committed came into the file to which it belongs"


@pytest.mark.parametrize("everything", [False, True])
def test_a_deleted_file_is_made_anew(served, everything):
    for file in [served.path, *(log_of(served.path) if everything else [])]:
        file.unlink()
    error = served.client.query_fails("INSERT INTO t(x) VALUES (4)", database="files")
    assert error["code"] == "syntax_error" and "no such table" in error["message"].lower(), error
    served.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    served.client.query("INSERT INTO t(x) VALUES (5)", database="files")
    assert rows_of(served.client) == [5]
    assert served.log().count("was deleted or moved") == 1
    end(served, signal.SIGKILL)
    assert numbers(served.path) == [5]


def test_a_moved_file_keeps_what_was_acknowledged(served):
    """Also when the daemon is killed before anybody tells it to stop."""
    elsewhere = served.path.with_name("elsewhere.db")
    os.rename(served.path, elsewhere)
    wait_until(lambda: try_code(served.client, "SELECT x FROM t", database="files"), "the loss is noticed")
    served.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY)", database="files")
    end(served, signal.SIGKILL)
    assert numbers(elsewhere) == [1, 2, 3]
    assert numbers(served.path) == []


def test_a_file_that_must_not_be_made_is_missed_until_it_is_back(served):
    path = make(served.path.with_name("strict.db"), [1])
    assert served.client.query("SELECT x FROM t", database="strict").rows == [[1]]
    kept = path.with_name("kept.db")
    os.rename(path, kept)
    error = wait_until(lambda: try_code(served.client, "SELECT x FROM t", database="strict"), "the loss is noticed")
    assert error["code"] == "connect_failed" and error.get("retryable", True), error
    assert served.client.query_fails("INSERT INTO t VALUES (2, 0)", database="strict")["code"] == "connect_failed"
    assert not path.exists()
    os.rename(kept, path)
    assert served.client.query("SELECT x FROM t", database="strict").rows == [[1]]
    served.client.query("INSERT INTO t VALUES (2, 0)", database="strict")
    assert numbers(path) == [1, 2]


def try_code(client, sql, **options):
    try:
        client.query(sql, **options)
    except RequestFailed as error:
        return error.data
    return None


def test_the_log_is_deleted(served):
    """`rm *-wal *-shm`: nothing that was or will be acknowledged may be lost, even if the daemon is killed."""
    for file in log_of(served.path):
        file.unlink()
    for row in range(4, 8):
        served.client.query("INSERT INTO t(x) VALUES (?)", [row], database="files")
    assert "the log of" in served.log()
    end(served, signal.SIGKILL)
    assert numbers(served.path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_log_that_cannot_be_written_back_is_kept(served):
    """Another process reads an old state: what came after it stays in the log, which must not be lost, nor played elsewhere."""
    reader = sqlite3.connect(served.path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (3,)
    served.client.query("INSERT INTO t(x) VALUES (4)", database="files")
    former = served.path.with_name("former.db")
    os.link(served.path, former)
    replace_by_rename(served.path)
    wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")
    left = f"{served.path}-wal.left"
    assert f"is kept as {left}" in served.log()
    # It does not take the place of one that is kept already.
    second_reader = sqlite3.connect(served.path, isolation_level=None)
    second_reader.execute("BEGIN")
    assert second_reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
    served.client.query("INSERT INTO t(x) VALUES (12)", database="files")
    second = served.path.with_name("second.db")
    os.link(served.path, second)
    replace_by_rename(served.path)
    wait_until(lambda: rows_of(served.client) == [10, 11], "the third file is read")
    assert f"is kept as {left}2" in served.log()
    reader.close()
    second_reader.close()
    os.rename(left, f"{former}-wal")
    os.rename(f"{left}2", f"{second}-wal")
    end(served)
    assert numbers(former) == [1, 2, 3, 4] and numbers(second) == [10, 11, 12] and numbers(served.path) == [10, 11]


def test_a_log_that_cannot_be_put_aside_is_played_into_no_other_file(start_daemon, directory):
    """With `.left` behind it, its name would be too long."""
    path = make(directory / ("n" * 244 + ".db"), [1, 2, 3])
    served = start_daemon(databases={"files": f"sqlite:{path}"})
    served.client = served.connect()
    assert rows_of(served.client) == [1, 2, 3]
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (3,)
    served.client.query("INSERT INTO t(x) VALUES (4)", database="files")
    former = path.with_name("former.db")
    os.link(path, former)
    replace_by_rename(path)
    wait_until(lambda: try_code(served.client, "SELECT x FROM t", database="files"), "it is not opened")
    assert "nor given another name" in served.log()
    error = try_code(served.client, "SELECT x FROM t", database="files")
    assert error["code"] == "connect_failed" and f"{path}-wal" in error["hint"], error
    reader.close()
    # As the administrator is told.
    os.rename(f"{path}-wal", f"{former}-wal")
    assert rows_of(served.client) == [10, 11]
    served.finish()
    assert numbers(former) == [1, 2, 3, 4] and numbers(path) == [10, 11]


def test_a_link_that_leads_elsewhere(start_daemon, directory):
    make(directory / "a.db", [1])
    make(directory / "b.db", [2])
    os.symlink("a.db", directory / "link.db")
    instance = start_daemon(databases={"files": f"sqlite:{directory}/link.db"})
    client = instance.connect()
    client.query("INSERT INTO t(x) VALUES (10)", database="files")
    os.symlink("b.db", directory / "link.new")
    os.rename(directory / "link.new", directory / "link.db")
    client.query("INSERT INTO t(x) VALUES (20)", database="files")
    assert rows_of(client) == [2, 20]
    instance.terminate()
    assert (numbers(directory / "a.db"), numbers(directory / "b.db")) == ([1, 10], [2, 20])


@pytest.mark.parametrize("state", ["idle", "reading", "writing", "waiting"])
def test_a_session_is_told(served, state):
    with served.connect("msgpack") as client, served.connect("msgpack") as other:
        session = client.session(database="files")
        if state != "idle":
            client.query("BEGIN" if state in ("reading", "waiting") else "BEGIN IMMEDIATE", session=session)
            client.query("SELECT * FROM t", session=session)
        if state == "writing":
            client.query("INSERT INTO t(x) VALUES (99)", session=session)
        if state == "waiting":
            blocker = other.session(database="files")
            other.query("BEGIN IMMEDIATE", session=blocker)
            waiting = client.send_query("INSERT INTO t(x) VALUES (98)", session=session)
        replace_by_rename(served.path)
        if state == "waiting":
            error = wait_until(lambda: try_code(other, "SELECT 1", session=blocker), "the session is told")
            assert error["code"] == "connect_failed"
            with pytest.raises(RequestFailed) as failure:
                client.collect(waiting)
            assert failure.value.code == "connect_failed"
        # Others find the new file while the session has not said anything.
        wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")
        served.client.query("INSERT INTO t(x) VALUES (12)", database="files")
        for sql in ("SELECT * FROM t", "INSERT INTO t(x) VALUES (97)", "COMMIT"):
            error = client.query_fails(sql, session=session)
            assert error["code"] == "connect_failed" and error.get("retryable", True), error
            assert "session has ended" in error["message"] and "rolled back" in error["message"]
        client.call("db_disconnect", {"session": session})
        session = client.session(database="files")
        client.query("INSERT INTO t(x) VALUES (13)", session=session)
        assert rows_of(served.client) == [10, 11, 12, 13]


@pytest.mark.parametrize("length", [100, 20_000], ids=["prepared on the loop", "prepared by a worker"])
def test_a_write_that_waits_goes_into_the_new_file(served, length):
    with served.connect("msgpack") as client, served.connect("msgpack") as other:
        blocker = other.session(database="files")
        other.query("BEGIN IMMEDIATE", session=blocker)
        waiting = client.send_query("INSERT INTO t(x) VALUES (12)".ljust(length), database="files")
        time.sleep(0.3)  # Nothing tells from outside that it has come to the queue.
        replace_by_rename(served.path)
        wait_until(lambda: try_code(other, "SELECT 1", session=blocker), "the session is told")
        client.collect(waiting)
        assert rows_of(served.client) == [10, 11, 12]


def test_a_commit_into_a_deleted_file_is_no_success(served):
    session = served.client.session(database="files")
    served.client.query("BEGIN IMMEDIATE", session=session)
    served.client.query("INSERT INTO t(x) VALUES (50)", session=session)
    replace_by_rename(served.path)
    error = served.client.query_fails("COMMIT", session=session)
    assert error["code"] in ("connect_failed", "outcome_unknown"), error
    wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")


def test_a_read_that_goes_on_ends_with_an_error(served):
    """Nobody takes the rows of a long read; it must not keep the others from the new file."""
    with served.connect("msgpack") as slow:
        endless = ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT c.x, t.x, t.filling FROM c CROSS JOIN t")
        request = slow.send_query(endless, database="files")
        slow.receive_for(request)
        replace_by_rename(served.path)
        wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")
        with pytest.raises(RequestFailed) as failure:
            slow.collect(request)
        assert failure.value.code == "connect_failed" and failure.value.data["retryable"] is True
        assert slow.query("SELECT count(*) FROM t", database="files").value == 2


def test_the_directory_goes_and_comes_back(start_daemon, directory):
    (directory / "place").mkdir()
    instance = start_daemon(databases={"files": f"sqlite:{directory}/place/files.db"})
    with Bystander(instance):
        client = instance.connect()
        client.query("CREATE TABLE t(x INTEGER PRIMARY KEY)", database="files")
        client.query("INSERT INTO t VALUES (1)", database="files")
        os.rename(directory / "place", directory / "away")
        error = client.query_fails("INSERT INTO t VALUES (2)", database="files")
        assert error["code"] == "connect_failed" and error.get("retryable", True), error
        assert numbers(directory / "away" / "files.db") == [1]
        os.rename(directory / "away", directory / "place")
        client.query("INSERT INTO t VALUES (3)", database="files")
        assert rows_of(client) == [1, 3]


def test_a_read_only_file_is_replaced(start_daemon, directory):
    path = make(directory / "fixed.db", [1])
    instance = start_daemon(databases={"files": f"sqlite:{path}?mode=ro"})
    client = instance.connect()
    assert rows_of(client) == [1]
    os.rename(make(directory / "other.db", [2]), path)
    wait_until(lambda: rows_of(client) == [2], "the new file is read")


def test_a_file_that_a_client_named_is_replaced(start_daemon, directory):
    """Files in rollback mode, in which SQLite itself refuses to write into what was moved."""
    path = make(directory / "own.db", [1])
    instance = start_daemon()
    client = instance.connect()
    session = client.session(url=f"sqlite:{path}")
    client.query("INSERT INTO t(x) VALUES (2)", session=session)
    os.rename(make(directory / "other.db", [10]), path)
    assert client.query_fails("INSERT INTO t(x) VALUES (3)", session=session)["code"] == "connect_failed"
    again = client.session(url=f"sqlite:{path}")
    client.query("INSERT INTO t(x) VALUES (11)", session=again)
    assert numbers(path) == [10, 11]


@pytest.mark.parametrize("kind", ["autocommit", "session", "batch"])
def test_nothing_acknowledged_is_lost_in_a_storm(served, kind):
    """The file is replaced 25 times under eight writers. Whatever was acknowledged is in one of the files."""
    client, path = served.client, served.path
    client.query("DELETE FROM t", database="files")
    acknowledged, unknown, failures, stop = [], [], [], threading.Event()

    def write(worker):
        with served.connect("msgpack") as connection:
            session, number = None, worker * 1_000_000
            while not stop.is_set():
                number += 1
                try:
                    if kind == "autocommit":
                        connection.query("INSERT INTO t(x) VALUES (?)", [number], database="files")
                    elif kind == "batch":
                        connection.batch([{"sql": "INSERT INTO t(x) VALUES (?)", "params": [number]}], database="files")
                    else:
                        session = session or connection.session(database="files")
                        connection.query("INSERT INTO t(x) VALUES (?)", [number], session=session)
                    acknowledged.append(number)
                except RequestFailed as error:
                    if error.code == "outcome_unknown":
                        unknown.append(number)
                    elif error.code != "connect_failed":
                        failures.append(error)
                    session = None
                except (ConnectionEnded, OSError) as error:
                    failures.append(error)
                    return

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for writer in writers:
        writer.start()
    formers = []
    for index in range(25):
        time.sleep(0.04)
        fresh = make(path.with_name("fresh.db"), [])
        formers.append(path.with_name(f"former{index}.db"))
        os.link(path, formers[-1])
        os.rename(fresh, path)
    time.sleep(0.1)
    stop.set()
    for writer in writers:
        writer.join(30)
        assert not writer.is_alive()
    assert not failures, failures[:3]
    client.query("SELECT count(*) FROM t", database="files")
    end(served)
    found = [numbers(file) for file in [*formers, path]]
    there = set().union(*found)
    assert len(there) == sum(map(len, found)), "no row is in two files"
    lost = set(acknowledged) - there
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged rows are lost: {sorted(lost)[:5]}"
    assert there - set(acknowledged) <= set(unknown)
    assert len(acknowledged) > 50 and sum(1 for rows in found if rows) > 5, "it was a storm"


def test_a_page_that_a_loop_made_does_not_keep_a_replaced_file(served):
    """Its reader is between two pages, which hold the former file: the new one is served at once, and the query is told."""
    for row in range(4, 40):
        served.client.query("INSERT INTO t VALUES (?, zeroblob(100))", [row], database="files")
    other = served.connect("msgpack")
    other.send("query", {"sql": "SELECT x FROM t ORDER BY x", "database": "files", "page_rows": 2}, id=7)
    first = other.receive()
    assert first.data["more"], first
    replace_by_rename(served.path)
    start = time.monotonic()
    wait_until(lambda: rows_of(served.client) == [10, 11], "the new file is read")
    assert time.monotonic() - start < 2
    ended = other.receive()
    assert ended.type == "error" and ended.data["code"] == "connect_failed", ended
    end(served)
