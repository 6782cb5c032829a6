"""Users take turns: one who asks for everything keeps nobody else waiting for long.

User "nobody" has hundreds of statements under way on many connections; root has a single one, and its time is bounded.
"""

import os
import select
import signal
import time

import msgpack
import pytest

from daemon import ENDLESS, counting, wait_until
from loop_probe import serves_meanwhile
from wire import PATIENCE, Client, framed

# It measures time, or takes much of it: nothing else runs beside it.
pytestmark = [pytest.mark.alone, pytest.mark.skipif(os.getuid() != 0, reason="changes its user")]

NOBODY = 65534

# What a single request of a bystander may take, in seconds: some 0.1 s on two cores with everything else at work, and many
# seconds, or for ever, when it waits for all that the others have asked for.
BOUND = 1.0


@pytest.fixture
def open_daemon(directory, start_daemon):
    """A daemon to which every user may connect."""
    def start(**limits):
        config = directory / "limits.toml"
        config.write_text("[limits]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items()))
        daemon = start_daemon(f"--config={config}", "--socket-mode=666", directory=directory, log_level="info")
        os.chmod(directory, 0o755)
        return daemon

    return start


class Crowd:
    """Another user's process: `count` connections, each with a session if asked for, and requests that nobody awaits."""

    def __init__(self, daemon, count, requests, session=None):
        self.daemon, self.count, self.requests, self.session = daemon, count, requests, session
        ready, signal_ready = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                self.work(signal_ready)
            finally:
                os._exit(1)
        os.close(signal_ready)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read(1) == b"!", "the crowd is at work"

    def work(self, signal_ready):
        sockets = []
        for _ in range(self.count):
            client = Client(self.daemon.socket_path)
            requests = self.requests
            if self.session is not None:
                name = client.call("db_connect", self.session).data["session"]
                requests = [(type, {**data, "session": name}) for type, data in requests]
            body = b"".join(framed(msgpack.packb({"id": id, "type": type, "data": data}))
                            for id, (type, data) in enumerate(requests))
            sockets.append((client.socket, body))
        for peer, body in sockets:
            peer.sendall(body)
        os.write(signal_ready, b"!")
        poll = select.epoll()
        for peer, _ in sockets:
            peer.setblocking(False)
            poll.register(peer.fileno(), select.EPOLLIN)
        while True:
            for number, _ in poll.poll():
                if not os.read(number, 1 << 20):
                    poll.unregister(number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def query(sql, count=1):
    return [("query", {"sql": sql})] * count


def latencies(request, count=5):
    """Seconds that each of `count` requests took."""
    taken = []
    for _ in range(count):
        began = time.monotonic()
        request()
        taken.append(time.monotonic() - began)
    print("seconds:", [round(seconds, 3) for seconds in taken])
    return taken


def test_writes_of_one_user_do_not_keep_another_waiting(open_daemon):
    daemon = open_daemon()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)")
        heavy = "INSERT INTO t " + counting(30_000)
        with Crowd(daemon, 200, query(heavy, 5)):
            taken = latencies(lambda: client.query("INSERT INTO t VALUES (-1)"))
            assert max(taken) < BOUND
            assert client.query("SELECT count(*) FROM t WHERE x = -1").value == 5


def test_sessions_that_write_take_turns_by_user(open_daemon):
    daemon = open_daemon()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)")
        own = client.call("db_connect").data["session"]
        heavy = "INSERT INTO t " + counting(100_000)
        transaction = query("BEGIN IMMEDIATE") + query(heavy) + query("COMMIT")
        with Crowd(daemon, 60, transaction * 5, session={}):
            taken = latencies(lambda: client.query("INSERT INTO t VALUES (-1)", session=own))
            assert max(taken) < BOUND


def test_endless_reads_leave_a_place_for_others(open_daemon):
    daemon = open_daemon(readers_per_database_max=8, worker_threads_max=4)
    with daemon.connect() as client, Crowd(daemon, 200, query(ENDLESS)):
        wait_until(lambda: len(client.call("activity").data["entries"]) >= 200, "they run")
        taken = latencies(lambda: client.query(counting(20_000, "count(*)")), count=3)
        assert max(taken) < BOUND


def test_endless_reads_of_sessions_leave_a_place_for_others(open_daemon):
    daemon = open_daemon(worker_threads_max=4)
    with daemon.connect() as client:
        own = client.call("db_connect").data["session"]
        with Crowd(daemon, 30, query(ENDLESS), session={}):
            wait_until(lambda: len(client.call("activity").data["entries"]) >= 30, "they run")
            taken = latencies(lambda: client.query(counting(20_000, "count(*)"), session=own), count=3)
            assert max(taken) < BOUND


def test_endless_batches_of_readers_do_not_keep_writers_waiting(open_daemon):
    daemon = open_daemon(worker_threads_max=4)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)")
        batch = [("batch", {"statements": [{"sql": ENDLESS}], "atomic": False})]
        with Crowd(daemon, 30, batch, session={"read_only": True}):
            wait_until(lambda: len(client.call("activity").data["entries"]) >= 30, "they run")
            taken = latencies(lambda: client.query("INSERT INTO t VALUES (1)"), count=3)
            assert max(taken) < BOUND


def test_short_reads_of_one_user_do_not_keep_another_waiting(open_daemon):
    daemon = open_daemon()
    with daemon.connect() as client, Crowd(daemon, 200, query(counting(150, "count(*)"), 1000)):
        taken = latencies(lambda: client.query("SELECT 1"), count=20)
        assert max(taken) < BOUND


def test_processors_are_shared_by_user(open_daemon):
    """One statement that computes for a tenth of a second, beside as many endless ones as there are threads."""
    daemon = open_daemon()
    with daemon.connect() as client:
        alone = min(latencies(lambda: client.query(counting(1_000_000, "count(*)")), count=3))
        with Crowd(daemon, 60, query(ENDLESS)):
            wait_until(lambda: len(client.call("activity").data["entries"]) >= 60, "they run")
            taken = latencies(lambda: client.query(counting(1_000_000, "count(*)")), count=5)
        # Half of the machine is his, and of two processors one.
        assert sorted(taken)[2] < max(4 * alone, 0.5) * PATIENCE


def test_many_small_statements_of_workers_hold_no_loop(start_daemon):
    """Each needs a reader, which is neither opened for each nor closed by the loop: so many are done soon, too."""
    daemon = start_daemon()
    count = 1000
    clients = []

    def ask():
        clients[:] = [daemon.connect() for _ in range(45)]
        for client in clients:
            # A virtual table is a worker's.
            requests = (client.bytes_of("query", {"sql": "SELECT value FROM json_each('[7]')"}, id=id) for id in range(count))
            client.socket.sendall(b"".join(payload for _, payload in requests))
        time.sleep(3)

    def wrong(probe):
        # Locks that a worker holds while it waits for a processor count, too.
        seen = len(probe.times["health"])
        return probe.slow(health=15) or (None if seen > 300 else f"only {seen} answers")

    serves_meanwhile(daemon, ask, "many small statements of workers", wrong=wrong)
    for client in clients[:3]:
        assert [client.receive().data["rows"] for _ in range(count)] == [[[7]]] * count
