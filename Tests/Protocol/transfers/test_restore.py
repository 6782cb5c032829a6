"""`restore`: a file of the client's becomes the content of a SQLite database that is in use."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from daemon import counting, wait_until
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import ConnectionEnded, RequestFailed

READ = os.O_RDONLY
GENERATION = "SELECT DISTINCT generation FROM t UNION SELECT generation FROM one"


@pytest.fixture
def served(start_daemon, directory):
    """A database `music` in whose tables every row says of which generation it is, and a backup of generation 1; it is at 2."""
    daemon = start_daemon(directory=directory, databases={"music": f"sqlite:{directory}/music.db"})
    fill(daemon, directory, 2_000)
    return daemon


def fill(daemon, directory, rows, pad=100):
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, generation, pad)", database="music")
        client.query("CREATE TABLE one(generation)", database="music")
        client.query(f"INSERT INTO t {counting(rows, f'x, 1, randomblob({pad})')}", database="music")
        client.query("INSERT INTO one VALUES (1)", database="music")
        with opened(directory / "backup") as descriptor:
            transfer(client, "backup", descriptor, database="music")
        client.query("CREATE INDEX newer ON t(generation)", database="music")
        next_generation(client, 2)


def next_generation(client, number):
    client.batch([{"sql": "UPDATE t SET generation = ?", "params": [number]},
                  {"sql": "UPDATE one SET generation = ?", "params": [number]}], database="music")


def generation(client):
    rows = client.query(GENERATION, database="music").rows
    assert len(rows) == 1, f"a mixture: {rows}"
    return rows[0][0]


def restored(client, path, **data):
    with opened(path, READ) as descriptor:
        return transfer(client, "restore", descriptor, **{"database": "music", **data})


def refused(client, path, **data):
    with opened(path, READ) as descriptor:
        return transfer_fails(client, "restore", descriptor, **{"database": "music", **data})


def is_whole(path):
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()


def leftovers(directory):
    return [name for name in os.listdir(directory) if "restore" in name]


@pytest.mark.parametrize("how", ["file", "pipe", "byte by byte"])
def test_there_and_back(served, directory, how):
    path = directory / "music.db"
    os.chmod(path, 0o640)
    before = path.stat()
    with served.connect() as client, served.connect() as other:
        hello(client)
        assert generation(other) == 2
        if how == "file":
            reply = restored(client, directory / "backup")
        else:
            reader, writer = os.pipe()
            thread = threading.Thread(target=feed, args=(writer, directory / "backup", how))
            thread.start()
            id = send_with(client, [reader], "restore", {"descriptors": 1, "database": "music"})
            os.close(reader)
            reply = outcome(client, id)[-1]
            thread.join()
        assert reply["bytes"] == reply["total_bytes"] == (directory / "backup").stat().st_size
        for reading in (client, other):
            assert generation(reading) == 1
            assert reading.query("SELECT count(*) FROM sqlite_schema WHERE name = 'newer'", database="music").rows == [[0]]
        assert client.query("PRAGMA journal_mode", database="music").rows == [["wal"]]
        # Everything goes on.
        next_generation(other, 3)
        assert generation(client) == 3
    after = path.stat()
    assert (after.st_ino, after.st_uid, after.st_gid, after.st_mode) == (before.st_ino, before.st_uid, before.st_gid, before.st_mode)
    is_whole(path)
    assert leftovers(directory) == []


def feed(descriptor, path, how):
    with open(descriptor, "wb", buffering=0) as pipe, open(path, "rb") as file:
        if how == "byte by byte":
            for _ in range(200):
                pipe.write(file.read(1))
                time.sleep(0.0005)
        while piece := file.read(1 << 16):
            pipe.write(piece)


def test_the_file_in_memory_and_an_offset(served, directory):
    memory = os.memfd_create("backup")
    os.write(memory, b"something else" + (directory / "backup").read_bytes())
    os.lseek(memory, len(b"something else"), os.SEEK_SET)
    with served.connect() as client:
        hello(client)
        transfer(client, "restore", memory, database="music")
        assert generation(client) == 1
    os.close(memory)


def test_a_catalog_is_not_the_former_one(served, directory):
    with served.connect() as client:
        hello(client)
        etag = client.call("catalog", {"level": "indexes", "database": "music"}).data["etag"]
        restored(client, directory / "backup")
        reply = client.call("catalog", {"level": "indexes", "database": "music", "etag": etag}).data
        assert not reply.get("unchanged") and "newer" not in str(reply)
        with sqlite3.connect(directory / "music.db") as other:
            (version,) = other.execute("PRAGMA schema_version").fetchone()
        other.close()
        restored(client, directory / "backup")
        assert client.query("PRAGMA schema_version", database="music").rows[0][0] > version


def test_other_programs_that_have_it_open(served, directory):
    """SQLite's own: a connection with statements of the former schema, and one whose transaction keeps what it reads."""
    path = directory / "music.db"
    plain, reading = sqlite3.connect(path), sqlite3.connect(path, isolation_level=None)
    assert plain.execute(GENERATION).fetchall() == [(2,)]
    reading.execute("BEGIN")
    assert reading.execute(GENERATION).fetchall() == [(2,)]
    with served.connect() as client:
        hello(client)
        restored(client, directory / "backup")
        assert plain.execute(GENERATION).fetchall() == [(1,)]
        assert reading.execute(GENERATION).fetchall() == [(2,)]
        reading.execute("COMMIT")
        assert reading.execute(GENERATION).fetchall() == [(1,)]
        plain.execute("INSERT INTO one VALUES (1)")
        plain.commit()
        assert generation(client) == 1
    plain.close()
    reading.close()


def test_sessions(limited, directory):
    """One that reads keeps its snapshot; one that writes is waited for, for as long as any write waits."""
    daemon = limited(busy_time_ms_max=300)
    with daemon.connect() as client, daemon.connect() as others:
        hello(client)
        client.query("CREATE TABLE t(x)")
        client.query("INSERT INTO t VALUES (1)")
        with opened(directory / "backup") as descriptor:
            transfer(client, "backup", descriptor)
        client.query("UPDATE t SET x = 2")
        reading, writing = others.session(), others.session()
        others.query("BEGIN", session=reading)
        assert others.query("SELECT x FROM t", session=reading).rows == [[2]]
        others.query("BEGIN IMMEDIATE", session=writing)
        others.query("UPDATE t SET x = 3", session=writing)
        with opened(directory / "backup", READ) as descriptor:
            error = transfer_fails(client, "restore", descriptor)
        assert error["code"] == "busy" and error["retryable"] is True, error
        others.query("COMMIT", session=writing)
        assert client.query("SELECT x FROM t").rows == [[3]]
        with opened(directory / "backup", READ) as descriptor:
            transfer(client, "restore", descriptor)
        assert client.query("SELECT x FROM t").rows == [[1]]
        assert others.query("SELECT x FROM t", session=reading).rows == [[2]]
        # Its snapshot is not the present: what it would write has no place.
        assert others.query_fails("INSERT INTO t VALUES (4)", session=reading)["code"] == "busy"
        others.query("ROLLBACK", session=reading)
        assert others.query("SELECT x FROM t", session=reading).rows == [[1]]


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
count = 0
print("ready", flush=True)
while not sys.stdin.readline().startswith("end"):
    for _ in range(50):
        rows = connection.execute(sys.argv[2]).fetchall()
        assert len(rows) == 1, rows
        count += 1
    print(count, flush=True)
"""


def test_under_readers_and_writers(served, directory):
    """Nobody ever reads a mixture, within the daemon and by SQLite's own."""
    stop, failures, counts = threading.Event(), [], {"read": 0, "written": 0, "outside": 0}

    def reads():
        with served.connect() as client:
            while not stop.is_set():
                generation(client)
                counts["read"] += 1

    def writes():
        with served.connect() as client:
            number = 10
            while not stop.is_set():
                number += 1
                next_generation(client, number)
                counts["written"] += 1

    def reads_outside():
        with subprocess.Popen([sys.executable, "-c", READER, directory / "music.db", GENERATION], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as program:
            program.stdout.readline()
            while not stop.is_set():
                program.stdin.write("on\n")
                program.stdin.flush()
                counts["outside"] = int(program.stdout.readline())
            program.communicate("end\n")
            assert program.returncode == 0

    def kept(work):
        try:
            work()
        except BaseException as failure:  # noqa: B036
            failures.append(failure)

    threads = [threading.Thread(target=kept, args=(work,)) for work in (reads, reads, writes, reads_outside)]
    for thread in threads:
        thread.start()
    try:
        with served.connect() as client:
            hello(client)
            for _ in range(20):
                restored(client, directory / "backup")
                time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert min(counts.values()) > 20, counts
    is_whole(directory / "music.db")


def test_killed_at_any_moment(start_daemon, directory):
    """After it, the database is the former one or the restored one, and of the restore nothing is left."""
    daemon = start_daemon(directory=directory, databases={"music": f"sqlite:{directory}/music.db"})
    fill(daemon, directory, 3_000, pad=4_000)
    dice = random.Random(20260817)
    seen = {1: 0, 2: 0}
    with daemon.connect() as client:
        hello(client)
        start = time.monotonic()
        restored(client, directory / "backup")
        duration = time.monotonic() - start
    for _ in range(20):
        with daemon.connect() as client:
            hello(client)
            next_generation(client, 2)
            with opened(directory / "backup", READ) as descriptor:
                send_with(client, [descriptor], "restore", {"descriptors": 1, "database": "music"})
            time.sleep(dice.uniform(0, 1.3) * duration)
            assert daemon.terminate(signal.SIGKILL) == -signal.SIGKILL
        assert [name for name in leftovers(directory) if os.path.getsize(directory / name) > 0] == []
        daemon.close_clients()
        daemon.launch()
        daemon.wait_ready()
        with daemon.connect() as client:
            seen[generation(client)] += 1
            assert client.query("PRAGMA quick_check", database="music").rows == [["ok"]]
    print(f"{duration:.3f} s for a restore; after a kill {seen}")
    with daemon.connect() as client:
        restored(hello(client), directory / "backup")
    assert leftovers(directory) == []


def damaged(bytes):
    """Zeros where there were pages of the table."""
    middle = len(bytes) // 2 // 4096 * 4096
    return bytes[:middle] + bytes_of_zeros(8192) + bytes[middle + 8192:]


def bytes_of_zeros(count):
    return b"\0" * count


def made(directory, *pragmas):
    path = directory / "made"
    with sqlite3.connect(path) as other:
        for pragma in pragmas:
            other.execute(pragma)
        other.execute("CREATE TABLE t(x)")
    other.close()
    return path.read_bytes()


UNFIT = {
    "empty": (lambda good, directory: b"", "empty"),
    "text": (lambda good, directory: b"CREATE TABLE t(x);\n" * 100, "not a SQLite database"),
    "short": (lambda good, directory: good[:50], "not a SQLite database"),
    "random": (lambda good, directory: random.Random(7).randbytes(100_000), "not a SQLite database"),
    "header only": (lambda good, directory: good[:100], "cut off"),
    "half a page less": (lambda good, directory: good[:-2048], "cut off"),
    "half": (lambda good, directory: good[: len(good) // 8192 * 4096], "cut off"),
    "damaged": (lambda good, directory: damaged(good), "damaged"),
    "damaged schema": (lambda good, directory: good[:100] + random.Random(7).randbytes(3_996) + good[4096:], "damaged"),
    "page size": (lambda good, directory: made(directory, "PRAGMA page_size = 1024"), "pages have 1024 bytes"),
    "encoding": (lambda good, directory: made(directory, "PRAGMA encoding = 'UTF-16le'"), "UTF-16le"),
    "strange header": (lambda good, directory: good[:16] + b"\0\3" + good[18:], "not a SQLite database"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_is_no_backup(served, directory, what):
    make, reason = UNFIT[what]
    (directory / "file").write_bytes(make((directory / "backup").read_bytes(), directory))
    with served.connect() as client:
        error = refused(hello(client), directory / "file")
        assert (error["code"], error["sqlstate"]) == ("bad_request", "22P04") and reason in error["message"], error
        assert generation(client) == 2
        client.settle()
    is_whole(directory / "music.db")
    assert leftovers(directory) == []


def test_random_damage(served, directory):
    """Either it is refused, or what it becomes is whole; nothing traps."""
    good, dice = (directory / "backup").read_bytes(), random.Random(11)
    with served.connect() as client:
        hello(client)
        for _ in range(40):
            bytes = bytearray(good)
            for _ in range(dice.choice([1, 10, 100])):
                bytes[dice.randrange(dice.choice([100, 4096, len(bytes)]))] = dice.randrange(256)
            (directory / "file").write_bytes(bytes)
            try:
                restored(client, directory / "file")
            except RequestFailed as failure:
                assert failure.code == "bad_request", failure.data
            assert client.query("PRAGMA quick_check", database="music").rows == [["ok"]]
    assert leftovers(directory) == []


def test_who_may_not(daemon, directory):
    (directory / "file").write_bytes(b"")
    with daemon.connect() as client:
        hello(client)
        error = refused(client, directory / "file", database="sealed")
        assert (error["code"], error["sqlstate"]) == ("read_only", "25006"), error
        error = refused(client, directory / "file", database="nothing")
        assert error["code"] == "database_not_found", error
        with opened(directory / "file", os.O_WRONLY) as descriptor:
            assert "not open for reading" in transfer_fails(client, "restore", descriptor, database="second")["message"]
        client.settle()


def test_memory_and_servers_have_none(start_daemon, directory):
    daemon = start_daemon(directory=directory, databases={"memory": "sqlite::memory:", "server": "redis://127.0.0.1:1"})
    with daemon.connect() as client, opened(directory / "file", os.O_RDWR | os.O_CREAT) as descriptor:
        hello(client)
        for name in ("memory", "server"):
            error = transfer_fails(client, "restore", descriptor, database=name)
            assert error["sqlstate"] == "0A000", error
        client.settle()


def test_cancel_while_the_file_is_silent(served, directory):
    reader, writer = os.pipe()
    with served.connect() as client:
        hello(client)
        id = send_with(client, [reader], "restore", {"descriptors": 1, "database": "music"})
        os.close(reader)
        os.write(writer, (directory / "backup").read_bytes()[:10_000])
        wait_until(lambda: "waiting_for_client" in [e["state"] for e in client.call("activity").data["entries"]], "it waits")
        assert client.call("cancel", {"request": id}).data["cancelled"] is True
        with pytest.raises(RequestFailed) as cancelled:
            outcome(client, id)
        assert cancelled.value.code == "cancelled"
        assert generation(client) == 2
    os.close(writer)
    wait_until(lambda: leftovers(directory) == [], "nothing is left")


def test_cancel_at_any_moment(start_daemon, directory):
    """The database is the former one if the answer is that it was cancelled, and else the restored one."""
    daemon = start_daemon(directory=directory, databases={"music": f"sqlite:{directory}/music.db"})
    fill(daemon, directory, 3_000, pad=4_000)
    dice, seen = random.Random(5), {1: 0, 2: 0}
    with daemon.connect() as client:
        hello(client)
        start = time.monotonic()
        restored(client, directory / "backup")
        duration = time.monotonic() - start
        for _ in range(30):
            next_generation(client, 2)
            with opened(directory / "backup", READ) as descriptor:
                id = send_with(client, [descriptor], "restore", {"descriptors": 1, "database": "music"})
            time.sleep(dice.uniform(0, 1.1) * duration)
            cancel = client.send("cancel", {"request": id})
            try:
                outcome(client, id)
                expected = 1
            except RequestFailed as failure:
                assert failure.code == "cancelled", failure.data
                expected = 2
            client.receive_for(cancel)
            assert generation(client) == expected
            seen[expected] += 1
    assert min(seen.values()) > 0, seen
    is_whole(directory / "music.db")


def test_a_client_that_goes_away(served, directory):
    reader, writer = os.pipe()
    with served.connect() as client:
        send_with(hello(client), [reader], "restore", {"descriptors": 1, "database": "music"})
        os.close(reader)
        os.write(writer, (directory / "backup").read_bytes()[:10_000])
    def ended():
        try:
            os.set_blocking(writer, False)
            os.write(writer, b"x")
            return False
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    wait_until(ended, "the pipe was closed by the daemon")
    os.close(writer)
    with served.connect() as client:
        assert generation(client) == 2


def test_a_timeout(served, directory):
    with served.connect() as client:
        hello(client)
        assert restored(client, directory / "backup", timeout_ms=60_000)["bytes"] > 0
        client.query("UPDATE one SET generation = 2", database="music")
        session = client.session(database="music")
        client.query("BEGIN IMMEDIATE", session=session)
        error = refused(client, directory / "backup", timeout_ms=100)
        assert error["code"] == "timeout", error
        client.query("ROLLBACK", session=session)
        assert client.query("SELECT generation FROM one", database="music").rows == [[2]]


@pytest.mark.parametrize("where", ["copy", "log"])
def test_no_room(served, directory, where):
    """A file may not grow: the copy, or the log of the database, which the restore goes through."""
    size = (directory / "backup").stat().st_size
    with served.connect() as client:
        hello(client)
        # The log has a header for each page.
        limit = size // 2 if where == "copy" else size + 24
        with sqlite3.connect(directory / "music.db") as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        error = refused(client, directory / "backup")
        assert error["code"] == "database_error" and error["sqlstate"] in ("53100", "58030"), error
        assert generation(client) == 2
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        restored(client, directory / "backup")
        assert generation(client) == 1
    is_whole(directory / "music.db")
    assert leftovers(directory) == []


def test_the_copy_is_the_users(limited, directory):
    daemon = limited(temporary_bytes_per_user_max=1 << 20)
    with daemon.connect() as client:
        hello(client)
        client.query(f"CREATE TABLE t AS {counting(1_000, 'x, zeroblob(4000)')}")
        with opened(directory / "backup") as descriptor:
            transfer(client, "backup", descriptor)
        for _ in range(3):
            with opened(directory / "backup", READ) as descriptor:
                error = transfer_fails(client, "restore", descriptor)
            assert error["code"] == "limit_exceeded" and "temporary_bytes_per_user_max" in error["message"], error
        # The worker that has filled it may still be about to close it.
        wait_until(lambda: client.call("stats").data["users"][0]["temporary_bytes"] == 0, "the copy is given back")
        client.settle()


def test_a_name_that_is_taken(served, directory):
    """By what a process has left that was killed, or by somebody's file."""
    taken = directory / "music.db-restore"
    taken.write_bytes(b"")
    with served.connect() as client:
        hello(client)
        restored(client, directory / "backup")
        assert not taken.exists()
        taken.write_bytes(b"somebody's")
        error = refused(client, directory / "backup")
        assert str(taken) in error["message"] and taken.read_bytes() == b"somebody's", error


def test_several_at_a_time(served, directory):
    """Of one database: one after the other; all are done, or say that they have met."""
    with served.connect() as client:
        hello(client)
        ids = []
        for _ in range(6):
            with opened(directory / "backup", READ) as descriptor:
                ids.append(send_with(client, [descriptor], "restore", {"descriptors": 1, "database": "music"}))
        done = 0
        for id in ids:
            try:
                outcome(client, id)
                done += 1
            except RequestFailed as failure:
                assert failure.code == "busy", failure.data
        assert done > 0 and generation(client) == 1
    is_whole(directory / "music.db")
    assert leftovers(directory) == []


def test_a_damaged_database(served, directory):
    """A restore is what it needs: its pages are written anew."""
    with served.connect() as client:
        client.query("PRAGMA wal_checkpoint(TRUNCATE)", database="music")
    served.close_clients()
    assert served.terminate() == 0
    path = directory / "music.db"
    path.write_bytes(damaged(path.read_bytes()))
    served.launch()
    served.wait_ready()
    with served.connect() as client:
        assert client.query_fails("SELECT sum(length(pad)) FROM t", database="music")["sqlstate"] == "XX001"
        restored(hello(client), directory / "backup")
        assert generation(client) == 1
        assert client.query("SELECT count(length(pad)) FROM t", database="music").rows == [[2_000]]
    is_whole(path)


def test_memory_stays_flat(start_daemon, directory):
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(x)")
        for _ in range(10):
            client.query(f"INSERT INTO t {counting(2_500, 'zeroblob(4000)')}")
        with opened(directory / "copy") as descriptor:
            transfer(client, "backup", descriptor)
        daemon.reset_peak()
        before = daemon.memory_kib()
        with opened(directory / "copy", READ) as descriptor:
            assert transfer(client, "restore", descriptor)["bytes"] > 90 << 20
        assert daemon.memory_kib("VmHWM") - before < 24 << 10


def test_progress(served, directory):
    reader, writer = os.pipe()
    thread = threading.Thread(target=feed, args=(writer, directory / "backup", "byte by byte"))
    thread.start()
    with served.connect() as client:
        id = send_with(hello(client), [reader], "restore", {"descriptors": 1, "database": "music", "progress_ms": 1})
        os.close(reader)
        replies = outcome(client, id)
        thread.join()
    sizes = [reply["bytes"] for reply in replies]
    assert len(sizes) > 3 and sizes == sorted(sizes)


def test_the_daemon_stops_meanwhile(served, directory):
    reader, writer = os.pipe()
    with served.connect() as client:
        id = send_with(hello(client), [reader], "restore", {"descriptors": 1, "database": "music"})
        os.close(reader)
        os.write(writer, (directory / "backup").read_bytes()[:10_000])
        served.process.send_signal(signal.SIGTERM)
        try:
            with pytest.raises(RequestFailed) as stopped:
                outcome(client, id)
            assert stopped.value.code == "shutting_down", stopped.value
        except ConnectionEnded:
            pytest.fail("a request without an answer")
    os.close(writer)
    assert served.process.wait(20) == 0
    is_whole(directory / "music.db")
    assert leftovers(directory) == []
