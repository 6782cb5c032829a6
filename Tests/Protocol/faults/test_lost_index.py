"""The index of a database's log (-shm), which SQLite maps, is truncated, replaced or cannot be read (docs/faults.md).

Whoever may write it can make the next access end with SIGBUS. That must cost nobody but the users of that database anything, and
them no more than sessions and reads that go on. What was acknowledged is there, what failed is not, and no reply is wrong.
LITEBASE_INDEX_ROUNDS makes longer storms than the usual ones, LITEBASE_INDEX_SEED others.
"""

import ctypes
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
import time

import pytest

from bystander import Bystander
from daemon import LITEBASED, ROOT, SANITIZER, wait_until
from test_faults import Mounted, needs_root
from test_faults_files import end, make, numbers, rows_of
from wire import ConnectionEnded, RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_INDEX_ROUNDS") or 40)
SEED = int(os.environ.get("LITEBASE_INDEX_SEED") or 20261128)
REGION = 32768


@pytest.fixture
def served(start_daemon, directory):
    """A daemon with the database `files`, whose rows are in its log alone, and somebody at work on the default database."""
    instance = start_daemon(databases={"files": f"sqlite:{directory}/files.db"})
    instance.path = directory / "files.db"
    instance.index = directory / "files.db-shm"
    instance.client = instance.connect("msgpack")
    instance.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    for row in (1, 2, 3):
        instance.client.query("INSERT INTO t VALUES (?, zeroblob(20000))", [row], database="files")
    with Bystander(instance) as instance.bystander:
        yield instance


def told(instance):
    return instance.log().count("the index of the log of")


# How the file is ill-treated.

def empty(path):
    os.truncate(path, 0)


def to_a_byte(path):
    os.truncate(path, 1)


def without_its_last_page(path):
    os.truncate(path, os.path.getsize(path) - 4096)


def replaced(path):
    path.unlink()
    path.write_bytes(bytes(REGION))


def deleted(path):
    path.unlink()


def grown(path):
    os.truncate(path, 10 * REGION)


ILLS = [empty, to_a_byte, without_its_last_page, replaced, deleted, grown]


@pytest.mark.parametrize("ill", ILLS)
@pytest.mark.parametrize("first", ["read", "many_reads", "write", "batch", "session", "describe", "schema"])
def test_requests_are_answered_as_if_nothing_had_happened(served, ill, first):
    client, expected = served.client, [1, 2, 3]
    assert rows_of(client) == expected
    ill(served.index)
    if first == "read":
        assert rows_of(client) == expected
    elif first == "many_reads":
        # So many that they share a transaction, which looks at the index without a lock.
        for _ in range(300):
            assert client.query("SELECT count(*) FROM t", database="files").value == 3
    elif first == "write":
        client.query("INSERT INTO t(x) VALUES (4)", database="files")
        expected.append(4)
    elif first == "batch":
        client.batch([{"sql": "INSERT INTO t(x) VALUES (4)"}, {"sql": "INSERT INTO t(x) VALUES (5)"}], database="files")
        expected += [4, 5]
    elif first == "session":
        session = client.session(database="files")
        assert client.query("SELECT count(*) FROM t", session=session).value == 3
    elif first == "describe":
        assert client.call("describe", {"sql": "SELECT x FROM t", "database": "files"}).data["columns"][0]["name"] == "x"
    else:
        client.query("CREATE TABLE made(x INTEGER)", database="files")
        assert client.query("SELECT count(*) FROM made", database="files").value == 0
    assert rows_of(client) == expected
    if ill is not grown:
        client.query("INSERT INTO t(x) VALUES (9)", database="files")
        expected.append(9)
        assert rows_of(client) == expected
        assert told(served) == 1, "the log says it once"
    end(served)
    assert numbers(served.path) == expected


@pytest.mark.parametrize("ill", [empty, without_its_last_page])
@pytest.mark.parametrize("state", ["idle", "reading", "writing"])
def test_a_session_is_told(served, ill, state):
    with served.connect("msgpack") as client:
        session = client.session(database="files")
        client.query("SELECT count(*) FROM t", session=session)
        if state != "idle":
            client.query("BEGIN" if state == "reading" else "BEGIN IMMEDIATE", session=session)
            client.query("SELECT count(*) FROM t", session=session)
        if state == "writing":
            client.query("INSERT INTO t(x) VALUES (99)", session=session)
        ill(served.index)
        # Somebody looks within a tenth of a second, if nobody needs just what is missing.
        wait_until(lambda: rows_of(served.client) == [1, 2, 3] and told(served), "the loss is noticed")
        for sql in ("SELECT * FROM t", "INSERT INTO t(x) VALUES (97)", "COMMIT"):
            error = client.query_fails(sql, session=session)
            assert error["code"] == "connect_failed" and error["retryable"] is True, error
            assert f"{served.path} (-shm) was shortened" in error["message"], error
            assert "session has ended" in error["message"] and "rolled back" in error["message"]
            assert "should be able to write its directory" in error["hint"]
        client.call("db_disconnect", {"session": session})
        session = client.session(database="files")
        client.query("INSERT INTO t(x) VALUES (13)", session=session)
        assert rows_of(served.client) == [1, 2, 3, 13]
        client.call("db_disconnect", {"session": session})
    end(served)
    assert numbers(served.path) == [1, 2, 3, 13]


@pytest.mark.parametrize("spills", [False, True])
def test_a_transaction_is_not_committed_by_halves(served, spills):
    """Its rows are in the log already, where the cache was too small for them, when the index is lost before COMMIT."""
    with served.connect("msgpack") as client:
        session = client.session(database="files")
        client.query("BEGIN IMMEDIATE", session=session)
        count = 400 if spills else 4
        client.query(f"WITH RECURSIVE c(x) AS (SELECT 10 UNION ALL SELECT x+1 FROM c LIMIT {count}) "
                     "INSERT INTO t SELECT x, zeroblob(20000) FROM c", session=session)
        assert (os.path.getsize(f"{served.path}-wal") > 4_000_000) == spills
        empty(served.index)
        error = client.query_fails("COMMIT", session=session)
        assert error["code"] == "connect_failed", error
        assert rows_of(served.client) == [1, 2, 3]
        served.client.query("INSERT INTO t(x) VALUES (9)", database="files")
    end(served, signal.SIGKILL)
    assert numbers(served.path) == [1, 2, 3, 9]


def test_a_read_that_goes_on_ends_with_an_error(served):
    with served.connect("msgpack") as slow:
        endless = ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT c.x, t.x, t.filling FROM c CROSS JOIN t")
        request = slow.send_query(endless, database="files")
        slow.receive_for(request)
        empty(served.index)
        assert rows_of(served.client) == [1, 2, 3]
        with pytest.raises(RequestFailed) as failure:
            slow.collect(request)
        assert failure.value.code == "connect_failed" and failure.value.data["retryable"] is True
        assert "(-shm) was shortened" in failure.value.data["message"]
        assert slow.query("SELECT count(*) FROM t", database="files").value == 3


def test_a_long_log(served):
    """Its index has several parts, which are lost together: a checkpoint that finds half of them would call the log copied."""
    client = served.client
    reader = sqlite3.connect(served.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    for first in range(10, 90, 10):
        client.query(f"WITH RECURSIVE c(x) AS (SELECT {first} UNION ALL SELECT x+1 FROM c LIMIT 10) "
                     "INSERT INTO t SELECT x, zeroblob(700000) FROM c", database="files")
    reader.close()
    assert os.path.getsize(served.index) >= 4 * REGION
    expected = [1, 2, 3, *range(10, 90)]
    os.truncate(served.index, 2 * REGION)
    # The next commit is followed by a checkpoint of all of it.
    client.query("INSERT INTO t(x) VALUES (5)", database="files")
    assert rows_of(client) == sorted([*expected, 5])
    empty(served.index)
    end(served)
    assert numbers(served.path) == sorted([*expected, 5])


def test_an_index_that_lies(served):
    """It tells of frames that nobody has written, in slots that point behind it. Replies may be wrong; nobody else notices."""
    with open(served.index, "r+b") as file:
        words = list(struct.unpack("=12I", file.read(48)))
        words[4] = 70_000
        words[10:] = checksum(words[:10])
        file.seek(0)
        file.write(struct.pack("=12I", *words) * 2 + struct.pack("=6I", 0, 0, 70_000, *[0xffffffff] * 3))
        file.seek(REGION // 2)
        file.write(b"\xff" * (REGION // 2))
        file.truncate(20 * REGION)
    for _ in range(20):
        try_count(served.client)
    served.bystander.check()
    # Truncated, it is made anew.
    empty(served.index)
    wait_until(lambda: try_count(served.client) == 3, "it is opened again")
    end(served)
    assert numbers(served.path) == [1, 2, 3]


def checksum(words):
    """https://sqlite.org/walformat.html#checksum_algorithm"""
    first = second = 0
    for one, other in zip(words[::2], words[1::2]):
        first = (first + one + second) & 0xffffffff
        second = (second + other + first) & 0xffffffff
    return [first, second]


@pytest.mark.parametrize("ill", [empty, without_its_last_page])
def test_the_daemon_ends_with_a_lost_index(served, ill):
    """Closing the last connection makes a checkpoint, without any locks, and deletes the log."""
    ill(served.index)
    end(served)
    assert numbers(served.path) == [1, 2, 3]


def test_one_file_by_two_names(start_daemon, directory):
    """SQLite maps the index once for both; neither may keep the other from a new one."""
    path = directory / "files.db"
    instance = start_daemon(databases={"files": f"sqlite:{path}", "again": f"sqlite:{path}"})
    client = instance.connect()
    client.query("CREATE TABLE t(x INTEGER PRIMARY KEY)", database="files")
    client.query("INSERT INTO t VALUES (1)", database="again")
    for row in range(2, 12):
        empty(directory / "files.db-shm")
        client.query("INSERT INTO t VALUES (?)", [row], database="files" if row % 2 else "again")
        assert client.query("SELECT count(*) FROM t", database="again" if row % 2 else "files").value == row


def test_a_read_only_file(start_daemon, directory):
    path = directory / "fixed.db"
    # Ends without closing it, so that the log stays.
    subprocess.run([sys.executable, "-c", f"""
import os, sqlite3
file = sqlite3.connect({str(path)!r}, isolation_level=None)
file.execute("PRAGMA journal_mode = WAL")
file.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")
file.execute("INSERT INTO t VALUES (1), (2)")
os._exit(0)"""], check=True)
    assert os.path.getsize(f"{path}-wal") > 0
    instance = start_daemon(databases={"files": f"sqlite:{path}?mode=ro"})
    client = instance.connect()
    for _ in range(5):
        assert rows_of(client) == [1, 2]
        empty(directory / "fixed.db-shm")
    assert rows_of(client) == [1, 2]


def shorten(path, chance, unit=4096):
    """Never longer than it is: to fill it with zeros would be to write into it."""
    length = os.path.getsize(path)
    rest = chance.choice([0, 0, unit, max(0, length - unit), chance.randrange(length + 1)])
    os.truncate(path, min(length, rest) // unit * unit)


class Storm:
    """Writers and readers of a database, until it is over."""

    def __init__(self, served, kinds, may_miss_rows=False):
        self.served, self.stop, self.may_miss_rows = served, threading.Event(), may_miss_rows
        self.acknowledged, self.unknown, self.refused, self.failures = set(), set(), set(), []
        self.read_count = 0
        work = [threading.Thread(target=self.write, args=(index, kind)) for index, kind in enumerate(kinds)]
        self.threads = [*work, threading.Thread(target=self.read, args=("autocommit",)),
                        threading.Thread(target=self.read, args=("session",))]
        for thread in self.threads:
            thread.start()

    def write(self, index, kind):
        try:
            with self.served.connect("msgpack") as client:
                session, number = None, index * 1_000_000
                while not self.stop.is_set():
                    number += 1
                    try:
                        if kind == "session":
                            session = session or client.session(database="files")
                        self.write_row(client, kind, number, session)
                        self.acknowledged.add(number)
                    except RequestFailed as error:
                        self.note(error, number)
                        session = self.leave(client, session)
        except (ConnectionEnded, OSError) as error:
            self.failures.append(error)

    @staticmethod
    def write_row(client, kind, number, session):
        row, sql = [number], "INSERT INTO t VALUES (?, zeroblob(9000))"
        if kind == "autocommit":
            client.query(sql, row, database="files")
        elif kind == "returning":
            assert client.query(f"{sql} RETURNING x", row, database="files").value == number
        elif kind == "batch":
            client.batch([{"sql": sql, "params": row}, {"sql": "UPDATE t SET filling = 'x' WHERE x = ?", "params": row}],
                         database="files")
        else:
            client.query("BEGIN IMMEDIATE", session=session)
            client.query(sql, row, session=session)
            client.query("COMMIT", session=session)

    @staticmethod
    def leave(client, session):
        """One that has ended counts until it is given back."""
        if session:
            client.call("db_disconnect", {"session": session})

    def note(self, error, number):
        if error.code == "outcome_unknown":
            self.unknown.add(number)
        elif error.code in ("connect_failed", "bad_session"):
            self.refused.add(number)
        else:
            self.failures.append(error.data)

    def read(self, kind):
        """No reply may know of fewer rows than were acknowledged before it was asked for."""
        with self.served.connect("msgpack") as client:
            session = None
            while not self.stop.is_set():
                before = len(self.acknowledged)
                try:
                    if kind == "session":
                        session = session or client.session(database="files")
                    place = {"session": session} if session else {"database": "files"}
                    count = client.query("SELECT count(*) FROM t", **place).value
                    if count < before and not self.may_miss_rows:
                        self.failures.append(f"{count} rows were seen by {kind}, {before} were acknowledged")
                    self.read_count += 1
                except RequestFailed as error:
                    session = self.leave(client, session)
                    if error.code not in ("connect_failed", "bad_session") and not self.may_miss_rows:
                        self.failures.append(error.data)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.failures, self.failures[:3]


@pytest.mark.parametrize("unit", [4096, 1], ids=["pages", "bytes"])
@pytest.mark.parametrize("kinds", [["autocommit"] * 4, ["session"] * 3, ["batch"] * 3,
                                   ["autocommit", "returning", "session", "batch"]], ids=lambda kinds: "+".join(sorted(set(kinds))))
def test_nothing_acknowledged_is_lost_in_a_storm(served, kinds, unit):
    """The index is truncated at random times, to random lengths, under writers and readers.

    Cut off within a page, the rest of it reads as zeros, and short reads may miss rows until somebody looks.
    """
    print(f"LITEBASE_INDEX_SEED={SEED}")
    chance = random.Random(f"{SEED} {kinds} {unit}")
    served.client.query("DELETE FROM t", database="files")
    storm = Storm(served, kinds, may_miss_rows=unit < 4096)
    for _ in range(ROUNDS):
        time.sleep(chance.choice([0.001, 0.01, 0.03, 0.06]) * chance.random())
        try:
            shorten(served.index, chance, unit)
        except FileNotFoundError:
            pass  # just between two openings
    storm.end()
    wait_until(lambda: try_count(served.client) is not None, "it is opened again")
    losses = told(served)
    end(served, chance.choice([signal.SIGTERM, signal.SIGKILL]))
    there = set(numbers(served.path))
    lost = storm.acknowledged - there
    assert not lost, f"{len(lost)} of {len(storm.acknowledged)} acknowledged rows are lost: {sorted(lost)[:5]}"
    assert not storm.refused & there, "what failed has changed nothing"
    assert there <= storm.acknowledged | storm.unknown
    assert not storm.unknown, "whether a commit is there is always known"
    assert len(storm.acknowledged) > 4 and storm.read_count > 10 and losses > 3, "it was a storm"


def try_count(client):
    try:
        return client.query("SELECT count(*) FROM t", database="files").value
    except RequestFailed:
        return None


@needs_root
def test_the_disk_has_no_space_for_the_index(start_daemon, directory):
    """A page of the file that is not there any more, since somebody has cut a hole into it, cannot be made when it is read."""
    disk = Mounted(start_daemon, directory, f"mount -t tmpfs -o size=2m tmpfs {directory}/disk", mode="rwc")
    disk.client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, filling BLOB)", database="files")
    with Bystander(disk.daemon):
        done = [disk.insert(row) for row in range(10)]
        punch_hole(disk.inside / "files.db-shm", 4096, REGION - 4096)
        disk.fill()
        for _ in range(5):
            try:
                assert disk.rows() == done
            except RequestFailed as error:
                assert error.data["code"] in ("connect_failed", "database_error"), error.data
        assert told(disk.daemon) >= 1
        os.unlink(disk.inside / "filling")
        wait_until(lambda: try_count(disk.client) is not None, "it is opened again")
        done.append(disk.insert(300))
        assert disk.rows() == done
        assert disk.client.query("PRAGMA integrity_check", database="files").value == "ok"


def punch_hole(path, offset, byte_count):
    keep_size, hole = 1, 2
    with open(path, "r+b") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
        assert libc.fallocate(file.fileno(), keep_size | hole, offset, byte_count) == 0, os.strerror(ctypes.get_errno())


@pytest.fixture(scope="module")
def before_each_call(tmp_path_factory):
    program = tmp_path_factory.mktemp("lost") / "lost_index"
    sources = ROOT / "Sources/CSQLiteFiles"
    subprocess.run(["cc", "-O1", f"-I{sources}/include", f"-I{sources}", f"-I{ROOT}/Sources/CLinux/include", "-o", program,
                    ROOT / "Tests/Protocol/faults/lost_index.c", ROOT / "Sources/CLinux/AllocationGuard.c",
                    *sorted(sources.glob("*.c")), "-lsqlite3", "-lpthread"], check=True, capture_output=True)
    return program


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no compiler of C")
@pytest.mark.parametrize("length", [0, 1, 4096, 28672, 32000])
def test_nothing_is_lost_before_whichever_call(before_each_call, tmp_path, length):
    """LITEBASE_INDEX_ROUNDS of 1000 and more: before every call."""
    step = max(1, 1000 // ROUNDS)
    done = subprocess.run([before_each_call, tmp_path / "files.db", str(length), str(step)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert int(done.stdout.split()[2]) > 10, done.stdout


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer reports the signal and ends the program by itself")
def test_another_bus_error_ends_the_daemon(start_daemon):
    """As it did: what catches those of the index lets nothing else pass."""
    instance = start_daemon()
    with instance.connect() as client:
        assert client.query("SELECT 1").value == 1
    assert instance.terminate(signal.SIGBUS) == -signal.SIGBUS


def test_nothing_else_is_mapped_that_others_can_shorten(served):
    """Programs, libraries and what they bring are root's; memory that is handed over is sealed; the rest are indexes of logs."""
    client = served.client
    session = client.session(database="files")
    client.query("CREATE TEMP TABLE big AS SELECT zeroblob(3000000) AS x", session=session)
    client.query("SELECT x, count(*) FROM t GROUP BY x ORDER BY filling", session=session)
    others = []
    for line in pathlib.Path(f"/proc/{served.pid}/maps").read_text().splitlines():
        _, access, _, device, inode, *path = line.split(None, 5)
        path = path[0] if path else ""
        if inode == "0" or path.startswith(("/usr/", "/lib", "/etc/")) or path == os.path.realpath(LITEBASED):
            continue
        if not path.startswith(str(served.directory)) and os.path.exists(path) and not os.stat(path).st_mode & stat.S_IWOTH:
            continue  # where a development build has its libraries
        if not re.search(r"\.db-shm( \(deleted\))?$", path) and not path.startswith("/memfd:"):
            others.append(line)
    assert not others, others
