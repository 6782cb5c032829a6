"""`import_rows`: what it reads from, what it says, and what becomes of rows, descriptors and threads when it ends early."""

import asyncio
import contextlib
import functools
import gzip
import io
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import litebase
import litebase.aio

pytestmark = pytest.mark.usefixtures("nothing_stays")

CSV = b"name,people\r\nOslo,717710\r\nBergen,294029\r\n"
ROWS = [("Oslo", 717710), ("Bergen", 294029)]


@pytest.fixture
def city(db):
    db.execute("CREATE TABLE city(name TEXT, people INTEGER)")
    return db


def rows(db):
    return db.execute("SELECT name, people FROM city").fetchall()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"])
def test_engines(engine, connect, request):
    if engine == "sqlite":
        connection = connect(autocommit=True)
    else:
        connection = litebase.connect("server", socket=request.getfixturevalue(engine), autocommit=True)
    with connection as db:
        db.execute("DROP TABLE IF EXISTS city")
        result = db.import_rows(CSV, "city", create=True)
        assert (result.bytes, result.rows, result.rejected_count, result.rejected) == (len(CSV), 2, 0, ())
        assert result.columns == (litebase.ImportedColumn("name", "text"), litebase.ImportedColumn("people", "integer"))
        assert result.sql.startswith("CREATE TABLE")
        assert rows(db) == ROWS
        db.execute("DROP TABLE city")


class Odd:
    """Has `read` and nothing else, and gives little at a time."""

    def __init__(self, content):
        self.content = content

    def read(self, count):
        piece, self.content = self.content[:3], self.content[3:]
        return piece


def packed(content):
    return gzip.open(io.BytesIO(gzip.compress(content)))


SOURCES = {
    "bytes": lambda path: CSV,
    "bytearray": lambda path: bytearray(CSV),
    "memoryview": lambda path: memoryview(CSV),
    "path": lambda path: path,
    "text path": str,
    "raw file": lambda path: path.open("rb", 0),
    "file": lambda path: path.open("rb"),
    "text file": lambda path: path.open(newline=""),
    "file for reading and writing": lambda path: path.open("r+b"),
    "BytesIO": lambda path: io.BytesIO(CSV),
    "StringIO": lambda path: io.StringIO(CSV.decode()),
    "gzip": lambda path: packed(CSV),
    "object": lambda path: Odd(CSV),
    "lines": lambda path: iter(CSV.splitlines(keepends=True)),
    "list of texts": lambda path: CSV.decode().splitlines(keepends=True),
    "empty pieces": lambda path: (piece for piece in (b"", CSV[:7], "", CSV[7:], b"")),
    "a buffer": lambda path: filled_again(CSV),
    "pipe": lambda path: subprocess.Popen(["cat", path], stdout=subprocess.PIPE).stdout,
    "raw pipe": lambda path: subprocess.Popen(["cat", path], stdout=subprocess.PIPE, bufsize=0).stdout,
}


def filled_again(content):
    """Pieces that share a buffer."""
    buffer, file = bytearray(5), io.BytesIO(content)
    while count := file.readinto(buffer):
        yield memoryview(buffer)[:count]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_sources(city, tmp_path, source):
    path = tmp_path / "city.csv"
    path.write_bytes(CSV)
    file = source(path)
    result = city.import_rows(file, "city")
    assert (result.bytes, result.rows, result.sql) == (len(CSV), 2, None)
    assert rows(city) == ROWS
    if hasattr(file, "close"):
        file.close()


def test_open_files_are_read_from_where_they_stand(city, tmp_path):
    path = tmp_path / "city.csv"
    path.write_bytes(b"# a comment\n" + CSV + b"")
    with open(path, "rb") as file:
        assert file.readline() == b"# a comment\n"
        city.import_rows(file, "city")
        assert file.read() == b""
        assert file.tell() == path.stat().st_size
    with open(path, newline="") as text:
        assert text.readline() == "# a comment\n"
        city.import_rows(text, "city")
    descriptor = os.open(path, os.O_RDONLY)
    os.lseek(descriptor, 12, os.SEEK_SET)
    city.import_rows(descriptor, "city")
    os.close(descriptor)
    with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:
        for temporary in (named, spooled):
            temporary.write(CSV)
            temporary.seek(0)
            city.import_rows(temporary, "city")
    memory = os.memfd_create("rows")
    os.write(memory, CSV)
    os.lseek(memory, 0, os.SEEK_SET)
    city.import_rows(memory, "city")
    os.close(memory)
    # What was read ahead of a pipe is not lost.
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"# a comment\n"
        city.import_rows(process.stdout, "city")
    assert rows(city) == ROWS * 7


def test_options(city):
    assert city.import_rows(io.StringIO("Oslo;NA\nNA;1\n"), "city", header=False, delimiter=";", null="NA").rows == 2
    assert city.import_rows(["Bergen\t2\r\n"], "city", columns=["name", "people"], format="tsv", header=False).rows == 1
    assert city.import_rows(b"name\n", "city", max_rejected=0, create=False, null=None, columns=("name",)).rows == 0
    [column] = city.import_rows(b'{"people": 3, "other": 1}', "city", columns="people", format="jsonl").columns
    assert column.name == "people"
    for encoding in ("utf-16le", "utf-16be", "latin-1"):
        # Bytes are as they are; text is made of what is said.
        for content in ("name\nTromsø\n".encode(encoding), io.StringIO("name\nTromsø\n")):
            city.import_rows(content, "city", encoding=encoding, namespace="main")
    assert rows(city) == [("Oslo", None), (None, 1), ("Bergen", 2), (None, 3)] + [("Tromsø", None)] * 6


def test_a_dry_run(city):
    text = "name,people\n" + "x,1\n" * 1000 + "y\nz,2.5\n"
    with pytest.raises(litebase.DataError, match="Line 1002"):
        city.import_rows(io.StringIO(text), "city", dry_run=True)
    result = city.import_rows(io.StringIO(text), "other", create=True, dry_run=True, max_rejected=1)
    assert (result.rows, result.rejected_count) == (1001, 1)
    assert result.rejected == (litebase.RejectedLine(1002, "It has 1 field instead of 2."),)
    assert [column.type for column in result.columns] == ["text", "real"]
    assert rows(city) == []


def test_errors_say_the_line_and_what_is_in_the_table(city):
    city.execute("CREATE UNIQUE INDEX one ON city(people)")
    text = "name,people\n" + "".join(f"x,{number}\n" for number in range(1000)) + "y,7\nz,2000\n"
    with pytest.raises(litebase.IntegrityError, match="Line 1002 was refused") as failure:
        city.import_rows(io.StringIO(text), "city")
    assert "1000 rows" in failure.value.detail
    assert len(rows(city)) == 1000
    city.execute("DELETE FROM city")
    with pytest.raises(litebase.IntegrityError, match="Line 1002"):
        city.import_rows(io.StringIO(text), "city", atomic=True)
    assert rows(city) == []
    result = city.import_rows(io.StringIO(text), "city", max_rejected=5)
    assert (result.rows, result.rejected_count, result.rejected[0].line) == (1001, 1, 1002)
    assert "UNIQUE" in result.rejected[0].reason


def test_transactions(connect):
    db = connect()
    db.execute("CREATE TABLE city(name, people)")
    db.commit()
    assert db.import_rows(CSV, "city").rows == 2
    assert db.in_transaction
    db.rollback()
    assert db.execute("SELECT count(*) FROM city").fetchone() == (0,)
    db.rollback()
    db.import_rows(CSV, "city", dry_run=True)
    assert not db.in_transaction
    with db.transaction():
        db.import_rows(CSV, "city")
    assert db.execute("SELECT count(*) FROM city").fetchone() == (2,)


def test_what_cannot_be_imported_is_said(city, tmp_path):
    for wrong in (None, object(), 1.5, {"a": 1}):
        with pytest.raises(litebase.InterfaceError, match="Nothing can be read"):
            city.import_rows(wrong, "city")
    with pytest.raises(litebase.ProgrammingError, match="not tuple"):
        city.import_rows([("Oslo", 1)], "city")
    with pytest.raises(litebase.ProgrammingError, match="no format 'xml'"):
        city.import_rows(CSV, "city", format="xml")
    with pytest.raises(TypeError, match="'colums'"):
        city.import_rows(CSV, "city", colums=["name"])
    with pytest.raises(litebase.ProgrammingError, match="nowhere"):
        city.import_rows(CSV, "nowhere")
    with pytest.raises(litebase.ProgrammingError, match="encoding"):
        city.import_rows(CSV, "city", encoding="ebcdic")
    with pytest.raises(FileNotFoundError):
        city.import_rows(tmp_path / "none.csv", "city")
    with pytest.raises(IsADirectoryError):
        city.import_rows(tmp_path, "city")
    with open(tmp_path / "w", "wb") as writing, pytest.raises(litebase.ProgrammingError, match="reading"):
        city.import_rows(writing.raw, "city")
    with open(tmp_path / "w", "wb") as writing, pytest.raises(litebase.InterfaceError, match="reading"):
        city.import_rows(writing, "city")
    with open(tmp_path / "w", "rb") as closed:
        pass
    for file in (closed, closed.raw):
        with pytest.raises(ValueError, match="closed"):
            city.import_rows(file, "city")
    with pytest.raises(UnicodeEncodeError):
        city.import_rows(["name\n\ud800\n"], "city")
    assert rows(city) == []
    city.close()
    with pytest.raises(litebase.InterfaceError):
        city.import_rows(CSV, "city")


def test_what_reading_raises_is_raised_and_no_half_is_an_import(city):
    def failing(count):
        yield b"name,people\n"
        for number in range(count):
            yield b"x,%d\n" % number
        raise ValueError("no more")

    for count in (0, 1, 1000, 300_000):
        for error_in_read in (False, True):
            source = failing(count)
            if error_in_read:
                reader = Odd(b"")
                reader.read = lambda size, source=source: next(source)
                source = reader
            with pytest.raises(ValueError, match="no more"):
                city.import_rows(source, "city", atomic=True)
            assert rows(city) == []
    assert city.import_rows(CSV, "city").rows == 2


def test_a_source_that_waits_does_not_hold_up_an_end(city):
    is_over = threading.Event()

    def waiting():
        # The daemon reads a MiB before it looks at the table.
        yield b"name,people\n" + b"x,1\n" * 500_000
        is_over.wait(20)
        yield CSV

    try:
        started = time.monotonic()
        with pytest.raises(litebase.ProgrammingError, match="nowhere"):
            city.import_rows(waiting(), "nowhere")
        cancelling = threading.Timer(0.3, city.cancel)
        cancelling.start()
        with pytest.raises(litebase.Cancelled):
            city.import_rows(waiting(), "city", atomic=True)
        assert time.monotonic() - started < 5
        assert rows(city) == []
    finally:
        # Now the threads end, too, and what they still get goes nowhere.
        is_over.set()
        cancelling.join()


def test_nothing_that_an_import_calls_uses_its_connection(city, connect):
    def own():
        yield b"name\n"
        yield b"%d\n" % city.execute("SELECT 1").fetchone()

    def other(another):
        yield b"name\n"
        yield b"%d\n" % another.execute("SELECT 1").fetchone()

    with pytest.raises(litebase.InterfaceError, match="cannot use its connection"):
        city.import_rows(own(), "city")
    assert rows(city) == []
    assert city.import_rows(other(connect()), "city").rows == 1
    # Rows that are here already are no use of it.
    cursor = city.execute("SELECT 1 UNION ALL SELECT 2")
    assert city.import_rows((b"%d\n" % row for row in cursor), "city", header=False, columns=["people"]).rows == 2

    def use(status):
        city.execute("SELECT 1")

    with pytest.raises(litebase.InterfaceError, match="cannot use it meanwhile"):
        city.import_rows((b"x,1\n" * 1000 for _ in range(10_000)), "city", header=False, progress=use)
    assert city.execute("SELECT 1").fetchone() == (1,)


def test_progress_is_told_and_may_end_it(city, tmp_path):
    path = tmp_path / "many.csv"
    path.write_bytes(b"name,people\n" + b"x,1\n" * 2_000_000)
    told = []
    assert city.import_rows(path, "city", progress=told.append).rows == 2_000_000
    assert told == sorted(told, key=lambda status: status.rows)
    assert all(0 < status.bytes <= status.total_bytes == path.stat().st_size for status in told)
    for error in (ValueError("enough"), KeyboardInterrupt()):

        def stop(status, error=error):
            raise error

        for source in (path, gzip_of(path)):
            with pytest.raises(type(error)):
                city.import_rows(source, "city", progress=stop)
        assert city.execute("SELECT 1").fetchone() == (1,)


def gzip_of(path):
    return io.BufferedReader(packed(path.read_bytes()))


def test_another_thread_cancels(city):
    def endless():
        yield b"name,people\n"
        while True:
            yield b"x,1\n" * 1000

    is_over = threading.Event()

    def cancel():
        while not is_over.wait(0.1):
            city.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(litebase.Cancelled) as failure:
            city.import_rows(endless(), "city")
    finally:
        is_over.set()
        thread.join()
    count = len(rows(city))
    assert count == 0 or f"{count} rows" in failure.value.detail


def test_interruptions_at_any_moment_leave_a_connection_that_works(city, connect, tmp_path, interrupted):
    chance = random.Random(seed := random.randrange(1 << 32))
    path = tmp_path / "many.csv"
    path.write_bytes(b"name,people\n" + b"x,1\n" * 500_000)
    working = 0
    rounds = int(os.environ.get("LITEBASE_TEST_INTERRUPTIONS", "100"))
    for turn in range(rounds):
        if city.closed:
            city = connect(autocommit=True)
            city.execute("CREATE TABLE city(name TEXT, people INTEGER)")
        source = (path, open(path, "rb"), (line for line in [b"name,people\n"] + [b"x,1\n" * 100] * 2000), CSV)[turn % 4]  # noqa: SIM115
        work = functools.partial(city.import_rows, source, "city", atomic=True)
        with contextlib.suppress(litebase.Error):
            interrupted(chance.uniform(0.000_05, 0.003 if turn % 8 < 4 else 0.02), work)
        del source, work
        if not city.closed:
            count = len(rows(city))
            assert count in (0, 2, 200_000, 500_000), seed
            city.execute("DELETE FROM city")
            working += 1
    assert working > rounds // 2, seed


def test_a_daemon_that_dies(own_daemon, tmp_path):
    def endless():
        yield b"name,people\n"
        while True:
            yield b"x,1\n" * 1000

    for options, error in (({}, litebase.OutcomeUnknown), ({"dry_run": True}, litebase.ConnectionLost)):
        db = litebase.connect(socket=own_daemon.socket_path, autocommit=True)
        db.execute("CREATE TABLE IF NOT EXISTS city(name, people)")
        timer = threading.Timer(0.2, own_daemon.process.kill)
        timer.start()
        with pytest.raises(error):
            db.import_rows(endless(), "city", **options)
        timer.join()
        assert db.closed
        with pytest.raises(litebase.InterfaceError):
            db.import_rows(CSV, "city")
        db.close()
        own_daemon.process.wait(10)
        own_daemon.launch()
        own_daemon.wait_ready()


def sleeping_child():
    """A forked process that has what was open, for two seconds."""
    child = os.fork()
    if child == 0:
        time.sleep(2)
        os._exit(0)
    return child


def test_processes_that_are_forked_meanwhile_hold_nothing_up(city, tmp_path):
    children = []

    def forking():
        yield CSV
        children.append(sleeping_child())

    class Forking:
        def write(self, data):
            children.append(sleeping_child())

    started = time.monotonic()
    try:
        assert city.import_rows(forking(), "city").rows == 2
        assert city.export("SELECT * FROM city", Forking()).rows == 2
        assert time.monotonic() - started < 1.5
    finally:
        for child in children:
            os.waitpid(child, 0)
    assert len(children) == 2


def test_a_million_rows_in_constant_memory(city):
    """From an iterator: the program has a piece at a time."""
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pieces = (b"a name that is not short,%d\n" % number for number in range(1_000_000))
    assert city.import_rows(pieces, "city", header=False).rows == 1_000_000
    assert city.execute("SELECT count(*), sum(people) FROM city").fetchone() == (1_000_000, 499_999_500_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_standard_input(daemon, tmp_path):
    program = (
        "import litebase, sys\n"
        f"with litebase.connect(url='sqlite::memory:', socket={daemon.socket_path!r}) as db:\n"
        "    print(db.import_rows(sys.stdin.buffer, 'city', create=True).rows, db.execute('SELECT * FROM city').fetchall())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(litebase.__file__))}
    run = subprocess.run([sys.executable, "-c", program], input=CSV, capture_output=True, env=environment, timeout=60)
    assert run.stdout.decode() == f"2 {ROWS}\n", run.stderr.decode()


def test_asyncio(daemon, tmp_path):
    path = tmp_path / "city.csv"
    path.write_bytes(CSV)

    def failing():
        yield CSV
        raise ValueError("no more")

    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            assert (await db.import_rows(path, "city", create=True)).rows == 2
            told = []
            many = (b"x,1\n" * 1000 for _ in range(1000))
            assert (await db.import_rows(many, "city", header=False, progress=told.append)).rows == 1_000_000
            assert all(status.total_bytes is None for status in told)
            with pytest.raises(ValueError, match="no more"):
                await db.import_rows(failing(), "city", atomic=True)
            with pytest.raises(litebase.DataError, match="Line 2"):
                await db.import_rows(b"name\nx,y\n", "city")
            with pytest.raises(TypeError):
                await db.import_rows(CSV, "city", nonsense=1)
            assert await (await db.execute("SELECT count(*) FROM city")).fetchone() == (1_000_002,)
            # Side by side: each in its turn, with its own file.
            await db.execute("DELETE FROM city")
            await asyncio.gather(*(db.import_rows(b"name\n%d\n" % number, "city") for number in range(20)))
            cursor = await db.execute("SELECT name FROM city ORDER BY people, CAST(name AS INTEGER)")
            assert [name async for (name,) in cursor] == [str(number) for number in range(20)]

    asyncio.run(body())


def test_tasks_that_are_cancelled_at_any_moment(daemon, tmp_path):
    chance = random.Random(seed := random.randrange(1 << 32))
    path = tmp_path / "many.csv"
    path.write_bytes(b"name,people\n" + b"x,1\n" * 500_000)

    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            await db.execute("CREATE TABLE city(name, people)")
            for turn in range(100):
                source = path if turn % 2 else (b"name,people\n" if n == 0 else b"x,1\n" * 100 for n in range(5001))
                task = asyncio.ensure_future(db.import_rows(source, "city", atomic=True))
                await asyncio.sleep(chance.choice([0, 0.0005, 0.002, 0.01]))
                task.cancel()
                await asyncio.wait([task], timeout=10)
                assert task.done(), seed
                (count,) = await (await db.execute("SELECT count(*) FROM city")).fetchone()
                assert count in (0, 500_000), seed
                await db.execute("DELETE FROM city")

    asyncio.run(body())


def test_asynchronous_iterators(daemon, wait_for):
    closed = []

    async def lines(count, error=None):
        try:
            yield "name,people\n"
            for number in range(count):
                if number % 100 == 0:
                    await asyncio.sleep(0)
                yield b"x,%d\n" % number
            if error:
                raise error
        finally:
            closed.append(count)

    async def endless():
        yield CSV
        await asyncio.sleep(60)

    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            assert (await db.import_rows(lines(10_000), "city", create=True)).rows == 10_000
            with pytest.raises(ValueError, match="no more"):
                await db.import_rows(lines(1000, ValueError("no more")), "city", atomic=True)
            with pytest.raises(litebase.ProgrammingError, match="nowhere"):
                await db.import_rows(lines(100), "nowhere")
            for delay in (0, 0.001, 0.1):
                started = time.monotonic()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(db.import_rows(endless(), "city", atomic=True), delay)
                assert time.monotonic() - started < 5
            process = await asyncio.create_subprocess_exec("printf", "%s", CSV.decode(), stdout=asyncio.subprocess.PIPE)
            assert (await db.import_rows(process.stdout, "city")).rows == 2
            await process.wait()
            assert await (await db.execute("SELECT count(*) FROM city")).fetchone() == (10_002,)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(body())
    assert closed == [10_000, 1000, 100]
