"""Files that the daemon writes: what is in them, and what becomes of files, descriptors and threads when something ends early."""

import asyncio
import contextlib
import functools
import gzip
import io
import os
import pathlib
import random
import sqlite3
import subprocess
import tempfile
import threading

import pytest

import litebase
import litebase.aio

pytestmark = pytest.mark.usefixtures("nothing_stays")

ENDLESS_ROWS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"
CITIES = "SELECT 'Oslo' AS name, 717710 AS people UNION ALL SELECT 'Bergen', 294029"
AS_CSV = b"name,people\r\nOslo,717710\r\nBergen,294029\r\n"


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({}, AS_CSV),
        ({"header": False}, AS_CSV.split(b"\n", 1)[1]),
        ({"format": "tsv"}, b"name\tpeople\nOslo\t717710\nBergen\t294029\n"),
        ({"format": "json"}, b'[{"name":"Oslo","people":717710},\n{"name":"Bergen","people":294029}]\n'),
        ({"format": "jsonl"}, b'{"name":"Oslo","people":717710}\n{"name":"Bergen","people":294029}\n'),
        ({"max_rows": 1}, b"name,people\r\nOslo,717710\r\n"),
        ({"delimiter": ";", "header": True}, AS_CSV.replace(b",", b";")),
    ],
    ids=str,
)
def test_formats(db, options, content):
    file = io.BytesIO()
    result = db.export(CITIES, file, **options)
    assert b"".join(file.getvalue().split(b"\n")) == b"".join(content.split(b"\n"))
    assert result == litebase.ExportResult(len(file.getvalue()), 1 if options.get("max_rows") else 2, "max_rows" in options)


def test_what_cannot_be_exported_is_said(db, tmp_path):
    with pytest.raises(litebase.ProgrammingError, match="no format 'xml'"):
        db.export(CITIES, io.BytesIO(), format="xml")
    with pytest.raises(TypeError, match=r"export\(\).*'formt'"):
        db.export(CITIES, io.BytesIO(), formt="csv")
    for file in (io.StringIO(), None, object()):
        with pytest.raises(litebase.InterfaceError):
            db.export(CITIES, file)
    with pytest.raises(litebase.ProgrammingError) as failure:
        db.export("SELEC", tmp_path / "a.csv")
    assert failure.value.code == "syntax_error"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        db.export(CITIES, tmp_path / "none" / "a.csv")
    with open("/dev/null", "rb") as reading, pytest.raises(OSError, match=r"write|descriptor"):
        db.export(CITIES, reading)
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_parameters_and_transactions(connect):
    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.executemany("INSERT INTO t VALUES (?)", ((number,) for number in range(10)))
    # What is not committed is seen: it is the session's own statement.
    file = io.BytesIO()
    file = io.BytesIO()
    assert db.export("SELECT a FROM t WHERE a > ?", file, (7,)).rows == 2
    assert file.getvalue() == b"a\r\n8\r\n9\r\n"
    db.rollback()


def test_a_path_has_the_file_when_it_is_whole(db, tmp_path):
    path = tmp_path / "cities.csv"
    assert db.export(CITIES, path).bytes == len(AS_CSV)
    assert path.read_bytes() == AS_CSV
    with pytest.raises(FileExistsError):
        db.export(CITIES, str(path))
    with pytest.raises(litebase.DatabaseError):
        db.export("SELECT json('{')" + " UNION ALL SELECT 1", path, overwrite=True)
    assert path.read_bytes() == AS_CSV
    db.export(CITIES, path, header=False, overwrite=True)
    assert path.read_bytes() == AS_CSV.split(b"\n", 1)[1]
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    db.export(CITIES, path, overwrite=True)
    assert path.stat().st_mode & 0o777 == 0o640
    assert db.export(CITIES, "/dev/null").rows == 2
    link = tmp_path / "link"
    link.symlink_to(path)
    db.export(CITIES, link, overwrite=True)
    assert link.is_symlink()
    assert path.read_bytes() == AS_CSV
    assert {entry.name for entry in tmp_path.iterdir()} == {"cities.csv", "link"}


def test_whoever_takes_the_name_meanwhile_keeps_it(db, tmp_path):
    path = tmp_path / "a.csv"

    def take(written, total):
        path.write_text("mine")

    with pytest.raises(FileExistsError):
        db.export(ENDLESS_ROWS + " LIMIT 3000000", path, progress=take)
    assert path.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_open_files_are_written_from_where_they_stand(db, tmp_path):
    path = tmp_path / "a.csv"
    with open(path, "wb") as file:
        file.write(b"before\n")
        db.export(CITIES, file)
        file.write(b"after\n")
    assert path.read_bytes() == b"before\n" + AS_CSV + b"after\n"
    with open(path, "w") as text:
        text.write("before\n")
        db.export(CITIES, text, header=False)
    assert path.read_bytes() == b"before\n" + AS_CSV.split(b"\n", 1)[1]
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    db.export(CITIES, descriptor)
    os.close(descriptor)
    assert path.read_bytes() == AS_CSV
    with tempfile.NamedTemporaryFile() as temporary, tempfile.SpooledTemporaryFile() as spooled:
        for file in (temporary, spooled):
            db.export(CITIES, file)
            file.seek(0)
            assert file.read() == AS_CSV


def test_what_is_no_file_gets_a_thread_that_writes(db, tmp_path):
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        db.export(ENDLESS_ROWS + " LIMIT 200000", packed)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).count(b"\n") == 200_001
    with subprocess.Popen(["wc", "-l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as counting:
        db.export(ENDLESS_ROWS + " LIMIT 100000", counting.stdin)
        counting.stdin.close()
        assert int(counting.stdout.read()) == 100_001
    with open("/dev/null", "wb") as nothing:
        assert db.export(CITIES, nothing).bytes == len(AS_CSV)

    class Little(io.RawIOBase):
        """Takes three bytes at a time."""

        def __init__(self):
            self.taken = b""

        def writable(self):
            return True

        def write(self, data):
            self.taken += bytes(data[:3])
            return min(3, len(data))

    little = Little()
    db.export(CITIES, little)
    assert little.taken == AS_CSV


def test_an_error_of_the_program_s_own_object_is_raised(db):
    class Full:
        def write(self, data):
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        db.export(ENDLESS_ROWS, Full())
    with pytest.raises(OSError, match="full"):
        db.export(CITIES, Full())
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_progress_is_told_and_may_end_it(db, tmp_path):
    told = []
    db.export(ENDLESS_ROWS + " LIMIT 5000000", tmp_path / "a.csv", progress=lambda *numbers: told.append(numbers))
    assert told == sorted(told)
    assert told[0][0] > 0
    assert told[0][1] is None
    for error in (ValueError("enough"), litebase.DataError("enough"), KeyboardInterrupt()):

        def stop(written, total, error=error):
            raise error

        with pytest.raises(type(error)):
            db.export(ENDLESS_ROWS, tmp_path / "b.csv", progress=stop)
        assert db.execute("SELECT 1").fetchone() == (1,)
    assert not (tmp_path / "b.csv").exists()


def test_what_an_export_calls_does_not_use_its_connection(db, tmp_path):
    class Using:
        def write(self, data):
            db.execute("SELECT 1")

    with pytest.raises(litebase.InterfaceError, match="cannot use its connection"):
        db.export(CITIES, Using())
    with pytest.raises(litebase.InterfaceError, match="cannot use it meanwhile"):
        db.export(ENDLESS_ROWS, tmp_path / "a.csv", progress=lambda written, total: db.execute("SELECT 1"))
    assert db.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no tmpfs at /dev/shm")
def test_files_in_memory_are_written_by_the_program(db, own_daemon):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = pathlib.Path(folder) / "a.csv"
        assert db.export(CITIES, path).bytes == len(AS_CSV)
        assert path.read_bytes() == AS_CSV
        with pytest.raises(litebase.ProgrammingError):
            db.export("SELEC", path, overwrite=True)
        assert path.read_bytes() == AS_CSV
        with litebase.connect(socket=own_daemon.socket_path) as other:
            assert other.backup(path, overwrite=True).bytes == path.stat().st_size
        with tempfile.TemporaryFile(dir=folder) as file:
            db.export(CITIES, file)
            file.seek(0)
            assert file.read() == AS_CSV
        assert [entry.name for entry in pathlib.Path(folder).iterdir()] == ["a.csv"]
    memory = os.memfd_create("rows")
    db.export(CITIES, memory)
    assert os.pread(memory, 100, 0) == AS_CSV
    os.close(memory)


def test_backup_is_a_database(own_daemon, tmp_path):
    with litebase.connect(socket=own_daemon.socket_path) as db:
        db.execute("CREATE TABLE t(a)")
        db.executemany("INSERT INTO t VALUES (?)", ((str(number) * 100,) for number in range(20_000)))
        db.commit()
        told = []
        copied = db.backup(tmp_path / "copy.db", progress=lambda *numbers: told.append(numbers))
        assert copied.bytes == (tmp_path / "copy.db").stat().st_size
        assert all(0 < written <= total for written, total in told)
        with sqlite3.connect(tmp_path / "copy.db") as copy:
            assert copy.execute("SELECT count(*) FROM t").fetchone() == (20_000,)
            assert copy.execute("PRAGMA quick_check").fetchone() == ("ok",)
        copy.close()
        with pytest.raises(FileExistsError):
            db.backup(tmp_path / "copy.db")
        packed = io.BytesIO()
        assert db.backup(packed).bytes == len(packed.getvalue())


def test_what_has_no_file_is_not_copied(connect, postgresql, tmp_path):
    with pytest.raises(litebase.NotSupportedError):
        connect().backup(tmp_path / "copy.db")
    with litebase.connect("server", socket=postgresql) as db, pytest.raises(litebase.NotSupportedError):
        db.backup(tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_servers(engine, request):
    with litebase.connect("server", socket=request.getfixturevalue(engine), autocommit=True) as db:
        file = io.BytesIO()
        db.export("SELECT 1.50 AS a, NULL AS b, 'x,y' AS c", file)
        assert file.getvalue() == b'a,b,c\r\n1.50,,"x,y"\r\n'


def test_another_thread_cancels(db, tmp_path):
    for file in (tmp_path / "a.csv", io.BytesIO()):
        is_over = threading.Event()

        def cancel(is_over=is_over):
            # Again, where the first one came before the request was sent.
            while not is_over.wait(0.1):
                db.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            with pytest.raises(litebase.Cancelled):
                db.export(ENDLESS_ROWS, file)
        finally:
            is_over.set()
            thread.join()
    assert not list(tmp_path.iterdir())
    db.timeout = 0.1
    with pytest.raises(litebase.TimedOut):
        db.export(ENDLESS_ROWS, tmp_path / "a.csv")


@pytest.fixture
def without_unnamed_files(monkeypatch):
    """As on a file system that has none: O_DIRECTORY alone is refused for writing."""
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)


@pytest.mark.parametrize("named", [False, True])
def test_interruptions_at_any_moment_leave_no_file_and_a_connection_that_works(
    db, connect, tmp_path, interrupted, named, request, wait_for
):
    if named:
        request.getfixturevalue("without_unnamed_files")
    chance = random.Random(seed := random.randrange(1 << 32))
    rounds = int(os.environ.get("LITEBASE_TEST_INTERRUPTIONS", "100"))
    path = tmp_path / "a.csv"
    working = 0
    for turn in range(rounds):
        if db.closed:
            db = connect(autocommit=True)
        file = path if turn % 2 else open(os.devnull, "wb", 0)  # noqa: SIM115
        # Of four rounds with a path, three are about its beginning and its end. None is endless: finalizers ignore exceptions.
        sql, seconds = (CITIES, 0.003) if turn % 8 > 1 and turn % 2 else (ENDLESS_ROWS + " LIMIT 1000000", 0.02)
        export = functools.partial(db.export, sql, file, overwrite=turn % 4 == 1)
        with contextlib.suppress(litebase.Error, FileExistsError):
            interrupted(chance.uniform(0.000_05, seconds), export)
        # The thread that removes what nobody has any more needs a moment.
        del file, export
        wait_for(lambda: {entry.name for entry in tmp_path.iterdir()} <= {"a.csv"}, f"no part is left, seed {seed}")
        if path.exists():
            assert path.read_bytes().endswith((AS_CSV, b"\r\n1000000\r\n")), seed
        if turn % 4 == 3:
            path.unlink(missing_ok=True)
        if not db.closed:
            working += db.execute("SELECT 7").fetchone() == (7,)
    assert working > rounds // 2, seed


def test_a_daemon_that_dies_leaves_no_part_of_a_file(own_daemon, tmp_path):
    for file in (tmp_path / "a.csv", io.BytesIO()):
        db = litebase.connect(socket=own_daemon.socket_path, autocommit=True)
        timer = threading.Timer(0.2, own_daemon.process.kill)
        timer.start()
        with pytest.raises(litebase.OutcomeUnknown):
            db.export(ENDLESS_ROWS, file)
        timer.join()
        assert db.closed
        with pytest.raises(litebase.InterfaceError):
            db.export(ENDLESS_ROWS, tmp_path / "a.csv")
        db.close()
        own_daemon.process.wait(10)
        own_daemon.launch()
        own_daemon.wait_ready()
    assert list(tmp_path.iterdir()) == []


def test_a_lost_connection_says_what_is_known():
    """Of what changes nothing, it is known that nothing was done."""
    for kind in ("catalog", "complete", "backup"):
        link = litebase._link.Link()
        assert isinstance(link.judged(litebase.ConnectionLost("x"), kind), litebase.ConnectionLost)
    assert isinstance(link.judged(litebase.ConnectionLost("x"), "export"), litebase.OutcomeUnknown)


def test_asyncio(daemon, tmp_path):
    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            told = []
            assert (await db.export(CITIES, tmp_path / "a.csv")).rows == 2
            assert (tmp_path / "a.csv").read_bytes() == AS_CSV
            file = io.BytesIO()
            await db.export(ENDLESS_ROWS + " LIMIT 3000000", file, progress=lambda *numbers: told.append(numbers))
            assert file.getvalue().count(b"\n") == 3_000_001
            assert told
            with pytest.raises(FileExistsError):
                await db.export(CITIES, tmp_path / "a.csv")
            with pytest.raises(litebase.NotSupportedError):
                await db.backup(tmp_path / "b.db")
            # Side by side: each in its turn, with its own file.
            files = [io.BytesIO() for _ in range(20)]
            await asyncio.gather(*(db.export("SELECT ?", file, (number,)) for number, file in enumerate(files)))
            assert [file.getvalue() for file in files] == [b"?\r\n%d\r\n" % number for number in range(20)]

    asyncio.run(body())


def test_tasks_that_are_cancelled_at_any_moment(daemon, tmp_path):
    chance = random.Random(seed := random.randrange(1 << 32))

    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            for turn in range(100):
                what = (
                    lambda turn: db.export(ENDLESS_ROWS, tmp_path / "b.csv" if turn % 2 else io.BytesIO()),
                    lambda turn: db.catalog("columns"),
                    lambda turn: db.complete("SELECT "),
                )[0 if turn % 4 else turn % 3]
                task = asyncio.ensure_future(what(turn))
                await asyncio.sleep(chance.choice([0, 0.0005, 0.002, 0.01]))
                task.cancel()
                await asyncio.wait([task], timeout=10)
                assert task.done(), seed
                assert await (await db.execute("SELECT 7")).fetchone() == (7,), seed

    asyncio.run(body())
    assert not (tmp_path / "b.csv").exists(), seed
