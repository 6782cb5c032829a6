"""Cancelling, time limits, interruptions and connections that are lost: no hang, and never a wrong word of what happened."""

import asyncio
import contextlib
import errno
import functools
import gc
import io
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from daemon import LITEBASED  # noqa: F401 - the daemon's tests are found

import litebase
import litebase.aio
from litebase._blocking import Connection
from litebase._session import CANCEL_PATIENCE_SECONDS

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "src"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
ENDLESS_ROWS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"

MANY_ROWS = ENDLESS_ROWS.replace("FROM c)", "FROM c LIMIT 3000)")


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_another_thread_cancels(connect):
    connection = connect()
    for delay in (0, 0.001, 0.1):
        timer = later(delay, connection.cancel)
        started = time.monotonic()
        # What comes before the statement stops nothing.
        stopper = later(0.5, connection.cancel)
        with pytest.raises(litebase.Cancelled):
            connection.execute(ENDLESS)
        assert time.monotonic() - started < 5
        timer.join()
        stopper.cancel()
        stopper.join()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.cancel()
    assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_cancelled_stream_ends(connect):
    connection = connect()
    cursor = connection.execute(ENDLESS_ROWS)
    connection.cancel()
    with pytest.raises(litebase.Cancelled):
        for _ in cursor:
            pass
    with pytest.raises(litebase.Cancelled):
        cursor.fetchone()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_has_a_time_limit(connect):
    connection = connect(timeout=0.1)
    with pytest.raises(litebase.TimedOut) as failure:
        connection.execute(ENDLESS)
    assert failure.value.code == "timeout"
    assert failure.value.hint == "Raise timeout, or make the statement do less."
    connection.timeout = None
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_signal_interrupts_and_the_connection_goes_on(connect):
    class Interrupted(Exception):
        pass

    def interrupt(number, frame):
        raise Interrupted

    connection = connect()
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        # Not endless: a signal between the two calls leaves rows that the next statement reads into memory.
        many = ENDLESS_ROWS + " LIMIT 3000000"
        for sql in (ENDLESS, many):
            # Again, where the first one comes in the middle of what ignores exceptions, such as a finalizer.
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.3)
            with pytest.raises(Interrupted):
                connection.execute(sql).fetchall()
            signal.setitimer(signal.ITIMER_REAL, 0)
            started = time.monotonic()
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert time.monotonic() - started < 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_interruptions_at_any_moment_leave_a_connection_that_works(connect):
    class Interrupted(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupted

    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    connection = connect()
    connection.execute("CREATE TABLE t(a)")
    connection.commit()
    former = signal.signal(signal.SIGALRM, interrupt)
    interrupted = working = 0
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.000_01, 0.003))
                with contextlib.suppress(litebase.InterfaceError):
                    connection.execute("INSERT INTO t VALUES (1)")
                    connection.execute(MANY_ROWS)
                    connection.executemany("INSERT INTO t VALUES (?)", [(a,) for a in range(100)])
                    connection.rollback()
                time.sleep(0.004)
            except Interrupted:
                interrupted += 1
            if connection.closed:
                # It came while a request was sent, of which half may be there: the connection says so.
                connection = connect()
                connection.execute("CREATE TABLE t(a)")
                connection.commit()
            else:
                working += 1
                connection.rollback()
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,), f"seed {seed}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert min(interrupted, working) > 20, f"seed {seed}"


def test_a_signal_handler_may_cancel(connect):
    connection = connect()
    former = signal.signal(signal.SIGALRM, lambda number, frame: connection.cancel())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(litebase.Cancelled):
            connection.execute(ENDLESS)
        with pytest.raises(litebase.Cancelled):
            while True:
                # Long texts, so that signals come while they are sent, too.
                connection.execute("SELECT length(?)", ("x" * 8_000_000,)).fetchone()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_a_connection_calls_does_not_use_it(connect, postgresql):
    """A signal handler within a statement, a function for notices: they would read replies that others wait for."""
    connection = connect()
    told = []

    def use(number, frame):
        try:
            connection.execute("SELECT 7")
        except litebase.InterfaceError as error:
            told.append(str(error))

    former = signal.signal(signal.SIGALRM, use)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        stopper = later(1, connection.cancel)
        with pytest.raises(litebase.Cancelled):
            connection.execute(ENDLESS)
        stopper.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert len(told) == 1
    assert "cannot use it meanwhile" in told[0]
    assert connection.execute("SELECT 1").fetchone() == (1,)

    def notice(said):
        use(0, None)

    with litebase.connect("server", socket=postgresql, on_notice=notice) as connection:
        connection.execute("DO $$ BEGIN RAISE NOTICE 'x'; END $$")
        assert len(told) == 2
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_interrupted_executemany_leaves_nothing(connect):
    connection = connect(autocommit=True)
    connection.execute("CREATE TABLE t(a)")

    class Interrupted(BaseException):
        pass

    def rows():
        for a in range(100_000):
            if a == 90_000:
                raise Interrupted
            yield (a,)

    with pytest.raises(Interrupted):
        connection.executemany("INSERT INTO t VALUES (?)", rows())
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert not connection.in_transaction


def test_threads_share_a_connection(connect):
    connection = connect()
    connection.execute("CREATE TABLE t(a)")
    failures = []

    def work(number):
        try:
            for a in range(200):
                connection.execute("INSERT INTO t VALUES (?)", (1000 * number + a,))
                rows = connection.execute("SELECT ?, a FROM t", (number,)).fetchall()
                assert {row[0] for row in rows} == {number}
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (800,)


def test_closing_wakes_who_waits(connect):
    connection = connect()
    later(0.1, connection.close)
    with pytest.raises(litebase.Error):
        connection.execute(ENDLESS)
    with pytest.raises(litebase.InterfaceError):
        connection.execute("SELECT 1")


def test_a_lost_connection_says_what_is_known(own_daemon):
    idle = litebase.connect(socket=own_daemon.socket_path)
    busy = litebase.connect(socket=own_daemon.socket_path)
    busy.execute("CREATE TABLE t(a)")
    later(0.2, own_daemon.process.kill)
    with pytest.raises(litebase.OutcomeUnknown):
        busy.execute(ENDLESS)
    assert busy.closed
    with pytest.raises(litebase.InterfaceError, match="Connect again"):
        busy.execute("SELECT 1")
    with pytest.raises(litebase.OperationalError):
        idle.execute("SELECT 1")
    for connection in (idle, busy):
        connection.close()
    own_daemon.process.wait(10)
    with pytest.raises(litebase.ConnectionLost, match=r"litebase\.sock"):
        litebase.connect(socket=own_daemon.socket_path)


class HalfDaemon(threading.Thread):
    """Answers a connection as the daemon does, up to a number of bytes; then it closes."""

    def __init__(self, directory, upstream, byte_count):
        super().__init__(daemon=True)
        self.path, self.upstream, self.byte_count = str(directory / "half.sock"), upstream, byte_count
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()

    def run(self):
        client, _ = self.listener.accept()
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(self.upstream)
        threading.Thread(target=self.forward, args=(client, daemon), daemon=True).start()
        left = self.byte_count
        while left > 0:
            data = daemon.recv(min(left, 65536))
            if not data:
                break
            client.sendall(data)
            left -= len(data)
        for end in (client, daemon):
            # Not close(2) alone, which waits for the other thread's recv(2).
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.listener.close()

    @staticmethod
    def forward(client, daemon):
        with contextlib.suppress(OSError):
            while (received := socket.recv_fds(client, 65536, 4))[0]:
                data, descriptors, *_ = received
                daemon.sendall(data[:-1])
                socket.send_fds(daemon, [data[-1:]], descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
            daemon.shutdown(socket.SHUT_WR)


def test_a_connection_that_ends_at_any_byte_is_an_error_and_no_hang(daemon, tmp_path):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for number in range(25):
        directory = tmp_path / str(number)
        directory.mkdir()
        half = HalfDaemon(directory, daemon.socket_path, chance.randrange(1, 3_000))
        half.start()
        try:
            connection = litebase.connect(url="sqlite::memory:", socket=half.path)
            connection.execute("CREATE TABLE t(a)")
            while True:
                connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
                connection.execute("SELECT a FROM t").fetchall()
                connection.commit()
        except (litebase.OperationalError, litebase.InterfaceError) as error:
            assert error.code is None, f"seed {seed}"
        half.join(10)
        assert not half.is_alive(), f"seed {seed}"


@pytest.fixture
def silent(own_daemon, tmp_path):
    """A socket at which somebody answers as a daemon does, of each connection so many requests, and then says nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "silent.sock"))
    listener.listen()
    ends = []

    def frame(source):
        head = source.recv(4, socket.MSG_WAITALL)
        return head + source.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if len(head) == 4 else b""

    def serve(counts):
        with contextlib.suppress(OSError):
            for count in counts:
                client, _ = listener.accept()
                daemon = socket.socket(socket.AF_UNIX)
                ends.extend((client, daemon))
                daemon.connect(own_daemon.socket_path)
                for _ in range(count):
                    daemon.sendall(frame(client))
                    client.sendall(frame(daemon))

    def begin(*counts):
        threading.Thread(target=serve, args=(counts,), daemon=True).start()
        return listener.getsockname()

    yield begin
    # Wakes who accepts.
    listener.shutdown(socket.SHUT_RDWR)
    for end in (listener, *ends):
        end.close()
    # What asyncio leaves to be found later, where an interruption of another test would be lost.
    gc.collect()


@pytest.mark.parametrize("answered", [0, 1], ids=["nothing", "hello"])
@pytest.mark.parametrize("is_async", [False, True])
def test_who_does_not_open_a_session_is_waited_for_no_longer_than_was_said(silent, answered, is_async):
    path = silent(answered)
    began = time.monotonic()
    with pytest.raises(litebase.ConnectionLost, match=r"0\.2 s"):
        if is_async:
            asyncio.run(litebase.aio.connect(socket=path, connect_timeout=0.2))
        else:
            litebase.connect(socket=path, connect_timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 20


@pytest.mark.parametrize("answered", [0, 1], ids=["nothing", "hello"])
@pytest.mark.parametrize("is_async", [False, True])
def test_who_does_not_tell_changes_is_waited_for_no_longer_than_was_said(silent, answered, is_async):
    # They have a connection of their own.
    path = silent(2, answered)

    async def listen():
        async with await litebase.aio.connect(socket=path, connect_timeout=0.2) as db:
            await db.changes()

    with pytest.raises(litebase.ConnectionLost, match=r"0\.2 s"):
        if is_async:
            asyncio.run(asyncio.wait_for(listen(), 20))
        else:
            with litebase.connect(socket=path, connect_timeout=0.2) as db:
                db.changes()


@pytest.mark.parametrize("is_async", [False, True])
def test_who_does_not_answer_a_cancellation_is_given_up(silent, is_async):
    path = silent(2)
    began = time.monotonic()

    async def whole():
        async with await litebase.aio.connect(socket=path, autocommit=True) as db:
            asyncio.get_running_loop().call_later(0.05, db.cancel)
            with pytest.raises(litebase.OutcomeUnknown):
                await db.execute("DELETE FROM t")
            with pytest.raises(litebase.InterfaceError, match="answer a cancellation"):
                await db.execute("SELECT 1")

    if is_async:
        asyncio.run(asyncio.wait_for(whole(), 30))
    else:
        with litebase.connect(socket=path, autocommit=True) as db:
            later(0.05, db.cancel)
            with pytest.raises(litebase.OutcomeUnknown):
                db.execute("DELETE FROM t")
            with pytest.raises(litebase.InterfaceError, match="answer a cancellation"):
                db.execute("SELECT 1")
    assert time.monotonic() - began < 20


def test_who_has_answered_a_cancellation_is_not_given_up(own_daemon):
    """However late somebody reads that answer."""

    async def whole():
        connect = functools.partial(litebase.aio.connect, socket=own_daemon.socket_path)
        async with await connect() as left, await connect() as cut:
            for db in (left, cut):
                await db.execute("CREATE TEMP TABLE mine(a)")
            cursor = await left.execute(ENDLESS_ROWS)
            await cursor.fetchone()
            await cursor.close()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(cut.execute(ENDLESS), 0.2)
            await asyncio.sleep(CANCEL_PATIENCE_SECONDS + 1)
            for db in (left, cut):
                await db.rollback()
                assert await (await db.execute("SELECT 1")).fetchone() == (1,)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_who_does_not_answer_an_interruption_is_given_up_by_the_next_statement(silent, interrupted):
    with litebase.connect(socket=silent(2), autocommit=True) as db:
        interrupted(0.05, lambda: db.execute("DELETE FROM t"))
        began = time.monotonic()
        with pytest.raises(litebase.InterfaceError, match="answer a cancellation"):
            db.execute("SELECT 1")
        assert time.monotonic() - began < 20


class OtherSystem(socket.socket):
    """A socket of a system whose `struct timeval` has numbers of so many bits, whatever a C `long` has there."""

    bits = 64
    taken = b""

    def getsockopt(self, level, name, *length):
        if name != socket.SO_RCVTIMEO:
            return super().getsockopt(level, name, *length)
        return bytes(self.bits // 4)[: length[0]]

    def setsockopt(self, level, name, value):
        if name != socket.SO_RCVTIMEO:
            super().setsockopt(level, name, value)
        elif len(value) < self.bits // 4:
            raise OSError(errno.EINVAL, "Invalid argument")  # As sock_set_timeout in the kernel.
        else:
            self.taken = value


@pytest.mark.parametrize("bits", [32, 64])
def test_a_second_is_written_as_the_system_reads_it(bits, monkeypatch):
    monkeypatch.setattr(OtherSystem, "bits", bits)
    with OtherSystem(socket.AF_UNIX) as opened:
        Connection(opened)
        assert opened.taken == (1).to_bytes(bits // 8, sys.byteorder) + bytes(bits // 8)


def test_closing_does_not_wait_for_who_takes_nothing(silent):
    path = silent(2)

    async def whole():
        db = await litebase.aio.connect(socket=path, autocommit=True)
        task = asyncio.create_task(db.execute("SELECT ?", ("x" * 8_000_000,)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await db.close()
        assert db.closed

    asyncio.run(asyncio.wait_for(whole(), 20))


SIGPIPE_ENDS_IT = """
import os, signal, sys
import litebase
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with litebase.connect(socket=sys.argv[1], autocommit=True) as db:
    os.kill(int(sys.argv[2]), signal.SIGKILL)
    while True:
        try:
            db.execute("SELECT 1").fetchone()
        except litebase.OperationalError as error:
            print(type(error).__name__)
            break
"""


def test_a_program_that_sigpipe_ends_is_told_of_a_lost_connection(own_daemon):
    """As those that write into pipes have it (`signal(SIGPIPE, SIG_DFL)`): the daemon's end is none of these."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", SIGPIPE_ENDS_IT, own_daemon.socket_path, str(own_daemon.pid)]
    for _ in range(5):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
        assert (done.returncode, done.stdout.strip() in ("ConnectionLost", "OutcomeUnknown")) == (0, True), done
        own_daemon.process.wait()
        own_daemon.launch()
        own_daemon.wait_ready()
        command[-1] = str(own_daemon.pid)


def test_requests_that_change_nothing_end_at_any_byte_with_that_known(own_daemon, tmp_path):
    """Catalogs, completions and copies; of an export, it may be unknown what its statement did. No part of a file stays."""
    with litebase.connect(socket=own_daemon.socket_path) as db:
        db.execute("CREATE TABLE t(a, b)")
    requests = (
        lambda db: db.catalog("columns").fetchall(),
        lambda db: db.complete("SELECT "),
        lambda db: db.backup(tmp_path / "copy.db"),
        lambda db: db.export("SELECT 1", tmp_path / "a.csv"),
        lambda db: db.export("SELECT 1", io.BytesIO()),
    )
    for number, request in enumerate(requests):
        for byte_count in range(1, 10_000, 61):
            with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as directory:
                half = HalfDaemon(pathlib.Path(directory), own_daemon.socket_path, byte_count)
                half.start()
                is_whole = False
                try:
                    connection = litebase.connect(socket=half.path, autocommit=True)
                    request(connection)
                    is_whole = True
                except litebase.OutcomeUnknown:
                    assert number > 2
                except litebase.ConnectionLost as error:
                    assert error.code is None
                if not is_whole:
                    assert list(tmp_path.iterdir()) == []
                else:
                    connection.close()
                half.join(10)
                assert not half.is_alive()
            for path in tmp_path.iterdir():
                path.unlink()
            if is_whole:
                break
        else:
            raise AssertionError("it never ends")
    assert [thread.name for thread in threading.enumerate() if "export" in thread.name] == []


def test_a_forked_process_needs_a_connection_of_its_own(connect):
    connection = connect()
    child = os.fork()
    if child == 0:
        try:
            connection.execute("SELECT 1")
        except litebase.InterfaceError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_whoever_listens_elsewhere_is_sent_nothing(tmp_path):
    """A socket of another user, in a place where the client looks."""
    if os.geteuid() != 0:
        pytest.skip("another user's socket needs root")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != tmp_path.anchor and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path = tmp_path / "s"
    script = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print('ready', flush=True)\n"
        "c, _ = s.accept(); print(c.recv(100))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as impostor:
        assert impostor.stdout.readline() == "ready\n"
        with pytest.raises(litebase.Untrusted, match="nobody"):
            litebase.connect(socket=str(path))
        assert impostor.communicate(timeout=10)[0] == "b''\n"


def test_the_socket_is_looked_for_where_the_protocol_says(daemon, monkeypatch):
    # A short path, since that of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as home:
        look_in(pathlib.Path(home), daemon, monkeypatch)


def look_in(home, daemon, monkeypatch):
    for name in ("LITEBASE_SOCKET", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(litebase.ConnectionLost, match=r"state/litebase/litebase\.sock"):
        litebase.connect()
    state = home / ".local/state/litebase"
    state.mkdir(parents=True)
    (state / "litebase.sock").symlink_to(daemon.socket_path)
    litebase.connect().close()
    monkeypatch.setenv("LITEBASE_SOCKET", str(home / "nothing"))
    with pytest.raises(litebase.ConnectionLost, match="nothing"):
        litebase.connect()
