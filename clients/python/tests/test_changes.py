"""`changes`: who listens is told of every commit, and whatever ends it leaves nothing behind."""

import asyncio
import contextlib
import functools
import gc
import os
import pathlib
import random
import signal
import sqlite3
import threading
import time

import pytest
from daemon import Daemon, wait_until
from test_lost_transfers import through

import litebase
import litebase.aio
from litebase import _changes
from litebase._address import open_socket


@pytest.fixture
def own_daemon(tmp_path):
    """A daemon for this test alone, whose default database is a file with two tables."""
    path = tmp_path / "default.db"
    started = Daemon(databases={"default": f"sqlite://{path}", "other": f"sqlite://{tmp_path}/other.db"})
    started.path = path
    with litebase.connect(socket=started.socket_path) as db:
        db.execute("CREATE TABLE city (name TEXT)")
        db.execute("CREATE TABLE street (name TEXT)")
    yield started
    started.discard()


@pytest.fixture
def db(own_daemon):
    connection = litebase.connect(socket=own_daemon.socket_path, autocommit=True)
    yield connection
    connection.close()


class Timer:
    """Does something after a while, in a thread."""

    def __init__(self, seconds, action):
        self.thread = threading.Timer(seconds, action)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()


# What is told


def test_every_commit_is_told(db):
    with db.changes() as changes:
        assert changes.covers == "all_writers"
        assert changes.position
        db.execute("INSERT INTO city VALUES ('Oslo')")
        change = next(changes)
        assert change == litebase.Change(changes.position, ("city",))
        db.execute("CREATE TABLE river (name TEXT)")
        assert next(changes).schema is True


def test_a_statement_runs_within_the_loop(db):
    db.execute("INSERT INTO city VALUES ('Oslo')")
    seen = []
    changes = db.changes(["city"])
    db.execute("INSERT INTO city VALUES ('Bergen')")
    for _ in changes:
        seen.append(len(db.execute("SELECT * FROM city").fetchall()))
        if len(seen) == 3:
            break
        db.execute("INSERT INTO city VALUES ('Bergen')")
    assert seen == [2, 3, 4]


def test_what_is_rolled_back_is_not_told(db):
    with db.changes() as changes:
        with pytest.raises(KeyError), db.transaction():
            db.execute("INSERT INTO city VALUES ('Oslo')")
            raise KeyError
        db.execute("INSERT INTO street VALUES ('Karl Johan')")
        assert next(changes).relations == ("street",)


def test_only_named_relations_are_told(db):
    with db.changes("CITY") as changes:
        db.execute("INSERT INTO street VALUES ('Karl Johan')")
        db.execute("INSERT INTO city VALUES ('Oslo')")
        assert next(changes).relations == ("city",)


def test_another_database_is_told(db, own_daemon):
    with db.changes(database="other") as changes, litebase.connect("other", socket=own_daemon.socket_path) as other:
        db.execute("INSERT INTO city VALUES ('Oslo')")
        other.execute("CREATE TABLE lake (name TEXT)")
        other.commit()
        assert "lake" in next(changes).relations


def test_another_program_is_noticed(db, own_daemon):
    with db.changes() as changes:
        outside = sqlite3.connect(own_daemon.path, isolation_level=None, timeout=30)
        outside.execute("INSERT INTO city VALUES ('Oslo')")
        assert next(changes).resync == "other_program"
        outside.close()


def test_one_goes_on_where_another_was(db):
    with db.changes() as changes:
        position = changes.position
    db.execute("INSERT INTO city VALUES ('Oslo')")
    with db.changes(from_position=position) as changes:
        assert next(changes).relations == ("city",)


def test_a_position_that_nobody_knows_is_a_resync(db):
    with db.changes(from_position="0123456789abcdef.7") as changes:
        assert next(changes).resync == "position_unknown"


def test_changes_are_gathered(db):
    with db.changes(delay=0.3) as changes:
        for _ in range(20):
            db.execute("INSERT INTO city VALUES ('Oslo')")
        db.execute("INSERT INTO street VALUES ('Karl Johan')")
        told = set()
        count = 0
        while told != {"city", "street"}:
            told.update(next(changes).relations)
            count += 1
        assert count <= 3


def test_a_program_that_is_busy_is_told_of_much_together(db):
    """Nothing piles up for it, here or in the daemon, and it hears of all of it."""
    with db.changes() as changes:
        for number in range(3_000):
            db.execute(f"INSERT INTO {('city', 'street')[number // 1500]} VALUES ('{number}')")
        db.execute("CREATE TABLE last (a)")
        told = []
        while not told or not told[-1].schema:
            told.append(next(changes))
        assert len(told) < 20
        assert {name for change in told for name in change.relations} >= {"city", "street"}


def test_changes_followed_by_changes():
    one, two = litebase.Change("a.1", ("x", "y")), litebase.Change("a.2", ("y", "z"), True)
    assert one.followed_by(two) == litebase.Change("a.2", ("x", "y", "z"), True)
    resync = litebase.Change("a.3", resync="replaced")
    assert two.followed_by(resync).followed_by(one).resync == "replaced"
    many = litebase.Change("a.4", tuple(map(str, range(1000))))
    assert many.followed_by(two) == litebase.Change("a.2", (), True, "too_many")


def test_a_resync_without_a_reason_is_one():
    assert _changes.change({"position": "a.1", "resync": True}).resync == "unknown"


def test_waiting_has_a_time_limit(db):
    with db.changes() as changes:
        for timeout in (0, 0.01, -1):
            assert changes.wait(timeout) is None
        db.execute("INSERT INTO city VALUES ('Oslo')")
        assert changes.wait(30).relations == ("city",)
        # What comes while nobody waits is there for who does not wait.
        db.execute("INSERT INTO street VALUES ('Karl Johan')")
        wait_until(lambda: changes.wait(0) is not None, "the change")
        # A loop goes on without a limit.
        with Timer(0.1, lambda: db.execute("INSERT INTO city VALUES ('Bergen')")):
            assert next(changes).relations == ("city",)
        assert changes.wait(0.01) is None
        with Timer(0.1, changes.close), pytest.raises(litebase.InterfaceError):
            changes.wait(30)
        with pytest.raises(litebase.InterfaceError):
            changes.wait(0)
        assert next(changes, None) is None


TABLES = ("a", "b", "c", "d")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_connection_that_ends_at_any_byte(db, own_daemon, tmp_path, is_async):
    """It is an error that says so, and nobody listens any more; who goes on at its position is told of each commit once."""
    begun = went_on = 0
    for name in (*TABLES, "last"):
        db.execute(f"CREATE TABLE {name} (name TEXT)")

    def work(path):
        nonlocal begun, went_on
        opener = functools.partial(open_socket, path, (), 10.0)
        changes, told, done = [], [], True
        try:
            if is_async:
                asyncio.run(asyncio.wait_for(listen_async(opener, changes, told), 30))
            else:
                listen(opener, changes, told)
        except litebase.ConnectionLost as error:
            assert error.code is None
            done = False
        wait_until(lambda: connections(own_daemon) == 2, "nobody listens")
        if changes:
            begun += 1
            if not done:
                go_on(changes[0].position, told)
                went_on += 1
            # What is told together has no order.
            assert sorted(told) == list(TABLES)
        return done

    def write():
        for name in TABLES:
            db.execute(f"INSERT INTO {name} VALUES ('x')")

    def add(change, told):
        assert change.resync is None
        told.extend(change.relations)

    def go_on(position, told):
        with db.changes(from_position=position) as others:
            while len(told) < len(TABLES):
                add(others.wait(30), told)
            # Nothing of them comes again.
            db.execute("INSERT INTO last VALUES ('x')")
            assert next(others).relations == ("last",)

    def listen(opener, made, told):
        with litebase.connect(socket=own_daemon.socket_path) as whole:
            whole._open_socket = opener
            with whole.changes() as changes:
                made.append(changes)
                write()
                while len(told) < len(TABLES):
                    add(changes.wait(30) if len(told) % 2 else next(changes), told)

    async def listen_async(opener, made, told):
        async with await litebase.aio.connect(socket=own_daemon.socket_path) as whole:
            whole._open_socket = opener
            async with await whole.changes() as changes:
                made.append(changes)
                write()
                while len(told) < len(TABLES):
                    add(await (changes.wait(30) if len(told) % 2 else changes.__anext__()), told)

    through(tmp_path, own_daemon, 7, work)
    assert begun > 10
    assert went_on > 10


def test_a_daemon_that_dies_ends_the_waiting(db, own_daemon):
    with db.changes() as changes:
        with Timer(0.1, own_daemon.process.kill), pytest.raises(litebase.ConnectionLost):
            changes.wait(30)
        assert changes.closed


# What cannot be


def test_a_database_that_does_not_tell_says_so(own_daemon):
    with (
        litebase.connect(url="sqlite::memory:", socket=own_daemon.socket_path) as memory,
        pytest.raises(litebase.NotSupportedError, match="configuration"),
    ):
        memory.changes()


def test_a_postgresql_server_does_not_tell(postgresql):
    with litebase.connect("server", socket=postgresql) as db, pytest.raises(litebase.DatabaseError) as caught:
        db.changes()
    assert caught.value.sqlstate == "0A000"


def test_a_mariadb_server_tells_what_goes_through_the_daemon(mariadb):
    with litebase.connect("server", socket=mariadb, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS told")
        db.execute("CREATE TABLE told (name TEXT)")
        with db.changes(["told"]) as changes:
            assert changes.covers == "daemon_writers"
            db.execute("INSERT INTO told VALUES ('Oslo')")
            change = changes.wait(30)
            assert change is not None
            assert change.relations == ("told",)
        db.execute("DROP TABLE told")


def test_the_daemon_says_what_is_wrong(db):
    with pytest.raises(litebase.Error) as caught:
        db.changes(database="no such")
    assert caught.value.code == "database_not_found"
    with pytest.raises(litebase.ProgrammingError, match="delay_ms"):
        db.changes(delay=-1)
    assert db.execute("SELECT 1").fetchone() == (1,)


# How it ends


def connections(daemon):
    """How many the daemon has."""
    return daemon.socket_count()


def test_leaving_the_loop_ends_it(db, own_daemon):
    before = connections(own_daemon)
    changes = db.changes()
    assert connections(own_daemon) > before
    db.execute("INSERT INTO city VALUES ('Oslo')")
    for _ in changes:
        break
    del changes
    gc.collect()
    wait_until(lambda: connections(own_daemon) <= before, "the subscription's connection is closed")


def test_closing_it_ends_a_loop_in_another_thread(db):
    for end in (lambda changes: changes.close(), lambda _: db.close()):
        changes = db.changes()
        with Timer(0.2, lambda end=end, changes=changes: end(changes)):
            assert list(changes) == []
        assert changes.closed
        with pytest.raises(StopIteration):
            next(changes)


def test_a_closed_connection_has_no_changes(db):
    db.close()
    with pytest.raises(litebase.InterfaceError):
        db.changes()


def test_a_daemon_that_dies_is_an_error_and_what_it_told_is_no_position_of_the_next(db, own_daemon):
    changes = db.changes()
    db.execute("INSERT INTO city VALUES ('Oslo')")
    position = next(changes).position
    with Timer(0.2, lambda: os.kill(own_daemon.pid, signal.SIGKILL)), pytest.raises(litebase.ConnectionLost):
        next(changes)
    assert changes.closed
    own_daemon.process.wait()
    own_daemon.launch()
    own_daemon.wait_ready()
    with (
        litebase.connect(socket=own_daemon.socket_path, autocommit=True) as again,
        again.changes(from_position=position) as changes,
    ):
        assert next(changes).resync == "position_unknown"
        again.execute("INSERT INTO city VALUES ('Bergen')")
        assert next(changes).relations == ("city",)


def test_a_daemon_that_stops_says_so(db, own_daemon):
    changes = db.changes()
    with Timer(0.2, lambda: os.kill(own_daemon.pid, signal.SIGTERM)), pytest.raises(litebase.ConnectionLost) as caught:
        next(changes)
    assert caught.value.code == "shutting_down"
    assert caught.value.retryable


def test_a_signal_ends_it_and_the_connection_goes_on(db):
    changes = db.changes()
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            next(changes)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert changes.closed
    assert list(changes) == []
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_interruptions_at_any_moment_leave_nothing_behind(db, own_daemon):
    class Interrupted(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupted

    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    before = connections(own_daemon)
    former = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    writing = threading.Event()

    def write():
        with litebase.connect(socket=own_daemon.socket_path, autocommit=True) as other:
            while not writing.wait(0.001):
                other.execute("INSERT INTO city VALUES ('Oslo')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            changes = None
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.000_01, 0.006))
                changes = db.changes()
                for change in changes:
                    assert change.relations == ("city",), seed
            except Interrupted:
                interrupted += 1
            if changes is not None and not changes.closed:
                # It came outside of the driver.
                assert next(changes).relations == ("city",), seed
                changes.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        writing.set()
        writer.join()
    assert interrupted == 200
    assert db.execute("SELECT 1").fetchone() == (1,), seed
    del changes
    gc.collect()
    wait_until(lambda: connections(own_daemon) <= before, "no subscription is left")


def test_a_forked_process_does_not_take_its_changes(db):
    changes = db.changes()
    child = os.fork()
    if child == 0:
        try:
            next(changes)
        except litebase.InterfaceError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    db.execute("INSERT INTO city VALUES ('Oslo')")
    assert next(changes).relations == ("city",)


# asyncio


@pytest.fixture
def run(own_daemon):
    def run_with_connection(body):
        async def whole():
            async with await litebase.aio.connect(socket=own_daemon.socket_path, autocommit=True) as connection:
                await asyncio.wait_for(body(connection), 30)

        asyncio.run(whole())

    return run_with_connection


def test_tasks_are_told(run):
    async def body(db):
        told = []

        async def listen(changes):
            async for change in changes:
                told.append(change)

        changes = await db.changes(["city"])
        assert changes.covers == "all_writers"
        task = asyncio.create_task(listen(changes))
        await db.execute("INSERT INTO street VALUES ('Karl Johan')")
        await db.execute("INSERT INTO city VALUES ('Oslo')")
        while not told:
            await asyncio.sleep(0.01)
        assert [change.relations for change in told] == [("city",)]
        assert told[0].position == changes.position
        await changes.close()
        await task
        assert changes.closed

    run(body)


def test_tasks_wait_with_a_time_limit(run):
    async def body(db):
        async with await db.changes() as changes:
            for timeout in (0, 0.01, -1):
                assert await changes.wait(timeout) is None
            await db.execute("INSERT INTO city VALUES ('Oslo')")
            assert (await changes.wait(30)).relations == ("city",)
            # One that is cancelled misses none.
            task = asyncio.create_task(changes.wait(30))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await db.execute("INSERT INTO street VALUES ('Karl Johan')")
            assert (await changes.wait(30)).relations == ("street",)
            task = asyncio.create_task(changes.wait(30))
            await asyncio.sleep(0.01)
        with pytest.raises(litebase.InterfaceError):
            await task

    run(body)


def test_a_cancelled_task_misses_nothing(run):
    async def body(db):
        async with await db.changes() as changes:
            for delay in (0, 0.001, 0.05):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(changes.__anext__(), delay)
                await db.execute("INSERT INTO city VALUES ('Oslo')")
                assert (await changes.__anext__()).relations == ("city",)

    run(body)


def test_closing_the_connection_ends_a_loop(run):
    async def body(db):
        changes = await db.changes()

        async def listen():
            return [change async for change in changes]

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        await db.close()
        assert await task == []

    run(body)


def test_a_cancelled_start_leaves_no_connection(run, own_daemon):
    async def body(db):
        before = connections(own_daemon)
        for step in range(60):
            task = asyncio.create_task(db.changes())
            for _ in range(step % 12):
                await asyncio.sleep(0)
            await asyncio.sleep(step % 5 * 0.000_3)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).close()
            del task
        deadline = time.monotonic() + 10
        while connections(own_daemon) > before:
            assert time.monotonic() < deadline
            gc.collect()
            await asyncio.sleep(0.02)

    run(body)


def test_a_daemon_that_dies_is_an_error_for_tasks(run, own_daemon):
    async def body(db):
        changes = await db.changes()
        asyncio.get_running_loop().call_later(0.1, os.kill, own_daemon.pid, signal.SIGKILL)
        with pytest.raises(litebase.ConnectionLost):
            await changes.__anext__()
        assert changes.closed

    run(body)


def test_a_program_that_never_reads_needs_no_memory(run):
    def memory():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    async def body(db):
        changes = await db.changes()
        await db.execute("INSERT INTO city VALUES ('Oslo')")
        before = memory()
        for _ in range(4_000):
            await db.execute("INSERT INTO city VALUES ('Oslo')")
        assert memory() - before < 8 << 20
        change = await changes.__anext__()
        assert change.relations == ("city",)
        await changes.close()

    run(body)
