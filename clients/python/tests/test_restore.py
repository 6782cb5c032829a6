"""`restore`: a database has the content of a file, or the one that it had."""

import asyncio
import io
import sqlite3
import threading

import pytest
from test_lost_transfers import LOST, through

import litebase
import litebase.aio

pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.fixture
def own_daemon(tmp_path):
    from daemon import Daemon

    started = Daemon(databases={"default": f"sqlite://{tmp_path}/default.db"})
    yield started
    started.discard()


@pytest.fixture
def db(own_daemon):
    with litebase.connect(socket=own_daemon.socket_path, autocommit=True) as connection:
        connection.execute("CREATE TABLE t(a)")
        connection.execute("INSERT INTO t VALUES ('former')")
        yield connection


@pytest.fixture
def copy(tmp_path):
    """A database file that another program has made."""
    path = tmp_path / "copy.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t(a)")
        made.executemany("INSERT INTO t VALUES (?)", [("restored" * 100,)] * 2_000)
    made.close()
    return path


def content(db):
    return db.execute("SELECT count(*), substr(min(a), 1, 8) FROM t").fetchone()


FORMER, RESTORED = (1, "former"), (2_000, "restored")


def pieces_of(path):
    with open(path, "rb") as file:
        while piece := file.read(10_000):
            yield piece


def opened(path):
    return open(path, "rb")


@pytest.mark.parametrize(
    "source",
    [str, lambda path: path, lambda path: path.read_bytes(), pieces_of, lambda path: io.BytesIO(path.read_bytes()),
     opened],
    ids=["name", "path", "bytes", "pieces", "object", "file"],
)  # fmt: skip
def test_sources(db, copy, source):
    file = source(copy)
    assert db.restore(file) == litebase.RestoreResult(copy.stat().st_size)
    assert content(db) == RESTORED
    if isinstance(file, io.BufferedReader):
        file.close()


def test_there_and_back_beside_others(db, own_daemon, tmp_path):
    with litebase.connect(socket=own_daemon.socket_path, autocommit=True) as other:
        db.backup(tmp_path / "mine.db")
        other.execute("INSERT INTO t VALUES ('later')")
        told = []
        db.restore(tmp_path / "mine.db", progress=lambda *numbers: told.append(numbers))
        assert content(other) == FORMER
        size = (tmp_path / "mine.db").stat().st_size
        assert all(0 < done <= size and total == size for done, total in told)


def test_who_can_change_nothing_cannot_restore(db, own_daemon, copy):
    with (
        litebase.connect(socket=own_daemon.socket_path, read_only=True) as reading,
        pytest.raises(litebase.OperationalError) as caught,
    ):
        reading.restore(copy)
    assert caught.value.code == "read_only"
    assert content(db) == FORMER


def test_what_is_wrong_is_said(db, connect, postgresql, copy, tmp_path):
    (tmp_path / "none.db").write_bytes(b"no database" * 100)
    with pytest.raises(litebase.DatabaseError) as caught:
        db.restore(tmp_path / "none.db")
    assert caught.value.sqlstate == "22P04"
    with pytest.raises(litebase.DatabaseError):
        db.restore(copy.read_bytes()[:-4096])
    with pytest.raises(litebase.ProgrammingError, match="bytes, not str"):
        db.restore(io.StringIO("text"))
    with pytest.raises(FileNotFoundError):
        db.restore(tmp_path / "not there")
    with db.transaction(), pytest.raises(litebase.ProgrammingError, match="transaction is open"):
        db.restore(copy)
    with pytest.raises(litebase.NotSupportedError):
        connect().restore(copy)
    with litebase.connect("server", socket=postgresql) as server, pytest.raises(litebase.NotSupportedError):
        server.restore(copy)
    assert content(db) == FORMER


def test_what_reading_raises_leaves_the_former_content(db, copy):
    class Failed(Exception):
        pass

    def half():
        yield copy.read_bytes()[:100_000]
        raise Failed

    with pytest.raises(Failed):
        db.restore(half())
    assert content(db) == FORMER


def test_another_thread_cancels(db):
    reading, go_on = threading.Event(), threading.Event()

    def silent():
        reading.set()
        yield b"SQLite format 3\0"
        go_on.wait(30)

    def cancel():
        reading.wait(30)
        db.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(litebase.Cancelled):
            while True:
                # It may have come before the request.
                db.restore(silent())
    finally:
        go_on.set()
        thread.join()
    assert content(db) == FORMER


def test_a_connection_that_ends_at_any_byte(db, own_daemon, copy, tmp_path):
    """It is as it was, or restored; and nobody says that it is as it was when that is not known."""
    saved = tmp_path / "former.db"
    db.backup(saved)
    outcomes = set()

    def work(path):
        begun = False
        try:
            with litebase.connect(socket=path, autocommit=True) as cut:
                begun = True
                cut.restore(copy)
        except LOST as error:
            found = content(db)
            outcomes.add((type(error).__name__, begun))
            assert found == FORMER or (found == RESTORED and isinstance(error, litebase.OutcomeUnknown))
            db.restore(saved)
            return False
        assert content(db) == RESTORED
        db.restore(saved)
        return True

    through(tmp_path, own_daemon, 97, work)
    assert {name for name, begun in outcomes if begun} == {"OutcomeUnknown"}


def test_asyncio(own_daemon, db, copy):
    async def body():
        async with await litebase.aio.connect(socket=own_daemon.socket_path) as connection:

            async def pieces():
                for piece in pieces_of(copy):
                    yield piece

            for file in (copy, pieces()):
                assert (await connection.restore(file)).bytes == copy.stat().st_size
                assert content(db) == RESTORED
            forever = asyncio.Event()

            async def silent():
                yield copy.read_bytes()[:5000]
                await forever.wait()

            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.restore(silent()), 0.1)
            # The connection goes on.
            assert await (await connection.execute("SELECT count(*) FROM t")).fetchone() == (2_000,)

    asyncio.run(body())
