"""The daemon is restarted or killed while lanes are used: the connection goes on over the socket, with the promises of any other."""

import array
import contextlib
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from lane import BELL, DAEMON_SLEEPS, REPLY_WRITTEN, REQUEST_WRITTEN, LaneClient, LaneMemory, LaneSocket, request
from transfers import hello, opened, outcome, send_with
from wire import PATIENCE, Client, ConnectionEnded, RequestFailed

TERM, KILL = signal.SIGTERM, signal.SIGKILL
ROUNDS = int(os.environ.get("LITEBASE_TEST_ROUNDS") or 25)


def kept(daemon, count):
    wait_until(lambda: len(daemon.names("client-")) == count, f"{count} kept connections")
    time.sleep(0.05)


@pytest.mark.parametrize("sig", [TERM, KILL])
@pytest.mark.parametrize("mode", ["msgpack", "lines", "json"])
def test_a_connection_between_requests_goes_on_by_the_socket(manager, mode, sig):
    daemon = manager()
    with LaneClient(daemon.path, mode, int64="string") as client:
        assert client.lane
        first = client.call("health_check").data["pid"]
        kept(daemon, 1)
        for number in range(3):
            daemon.restart(sig)
            assert client.call("health_check").data["pid"] == daemon.pid != first
            assert client.lane is None
            expected = "9007199254740993" if client.encoding == "json" else 9007199254740993
            assert client.query("SELECT 9007199254740993").value == expected
            if number < 2:
                time.sleep(0.05)
                client.ask_for_lane(hello={"int64": "string"})
                assert client.lane, "it may ask again"
                client.settle()
                time.sleep(0.05)


def test_names_of_former_sessions_stay_gone_when_a_lane_is_the_first_thing(manager):
    """On each loop: what the connection was is known to the loop that took it over."""
    daemon = manager("--loops=4")
    clients = [Client(daemon.path) for _ in range(8)]
    sessions = [client.session() for client in clients]
    kept(daemon, 8)
    daemon.restart(TERM)
    for client, session in zip(clients, sessions):
        lane = LaneClient(client.socket)
        error = lane.query_fails("SELECT 1", session=session)
        assert error["code"] == "session_not_found" and "restart" in error["message"], error
        assert lane.session() != session, "no name is given twice"
        lane.close()


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_a_lane_that_was_never_used(manager, sig):
    daemon = manager()
    with LaneClient(daemon.path) as client:
        kept(daemon, 1)
        daemon.restart(sig)
        client.settle()
        assert client.lane is None


def test_what_runs_may_end_before_a_restart(manager):
    daemon = manager()
    with LaneClient(daemon.path) as client:
        kept(daemon, 1)
        id = client.send_query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000000) SELECT count(*) FROM c")
        client.send_delivered(b"")
        daemon.restart(TERM)
        assert client.collect(id).value == 3_000_000
        client.settle()


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_what_runs_without_end(manager, sig):
    # It has so much time, and otherwise five seconds.
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 600\n")
    with LaneClient(daemon.path) as client:
        kept(daemon, 1)
        id = client.send_query(ENDLESS)
        client.send_delivered(b"")
        time.sleep(0.1)
        daemon.restart(sig)
        with pytest.raises(RequestFailed) as failure:
            client.collect(id)
        assert failure.value.code == ("shutting_down" if sig == TERM else "outcome_unknown")
        client.settle()


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_sessions_are_gone(manager, sig):
    daemon = manager()
    with LaneClient(daemon.path) as client:
        session = client.session()
        client.query("BEGIN", session=session)
        kept(daemon, 1)
        daemon.restart(sig)
        assert client.query_fails("COMMIT", session=session)["code"] == "session_not_found"
        client.settle()


def test_requests_sent_while_nobody_is_there(manager):
    """They wait in the ring, more than it holds; the next process reads them from the socket."""
    daemon = manager()
    with LaneClient(daemon.path, sizes=(4096, 4096)) as client:
        client.settle()
        kept(daemon, 1)
        daemon.end(TERM)
        ids = [client.send_query("SELECT ?", [number]) for number in range(30)]
        daemon.start()
        ids += [client.send_query("SELECT ?", [number]) for number in range(30, 300)]
        assert [client.collect(id).value for id in ids] == list(range(300))
        assert client.lane is None


def test_a_half_close_while_nobody_is_there(manager):
    daemon = manager()
    with LaneClient(daemon.path) as client:
        client.settle()
        kept(daemon, 1)
        daemon.end(TERM)
        id = client.send_query("SELECT 7")
        client.half_close()
        daemon.start()
        assert client.collect(id).value == 7
        client.receive_end()


def test_a_stream_that_a_restart_cuts_off(manager):
    """The client has what was written into the ring, whole frames only, and then an error or the end."""
    daemon = manager()
    for sig in (TERM, KILL):
        with LaneClient(daemon.path, sizes=(4096, 16384)) as client:
            kept(daemon, 1)
            id = client.send_query(counting(5_000_000))
            rows = []
            for _ in range(3):
                rows += client.receive_for(id).data["rows"]
            daemon.restart(sig)
            with pytest.raises((RequestFailed, ConnectionEnded)) as failure:
                while True:
                    reply = client.receive_for(id)
                    if reply.type == "error":
                        raise RequestFailed(reply.data)
                    rows += reply.data["rows"]
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
            if failure.type is RequestFailed:
                assert failure.value.code in ("shutting_down", "outcome_unknown")
                client.settle()
        kept(daemon, 0)


def test_descriptors_that_wait(manager, directory):
    """What the daemon has not read is sent again with the descriptor."""
    daemon = manager()
    with LaneClient(daemon.path) as client:
        hello(client)
        kept(daemon, 1)
        daemon.end(TERM)
        with opened(directory / "rows.csv") as descriptor:
            id = send_with(client, [descriptor], "export", {"descriptors": 1, "sql": "SELECT 7", "header": False})
            daemon.start()
            outcome(client, id)
    assert (directory / "rows.csv").read_text() == "7\n"


def test_an_idle_client_is_told(manager):
    """It need not send anything to learn that it has to leave."""
    daemon = manager()
    with LaneClient(daemon.path) as client:
        client.settle()
        kept(daemon, 1)
        daemon.restart(TERM)
        wait_until(lambda: client.lane is None or client.lane.take_bells(), "the order to leave")
        client.settle()


def counted(connection, table):
    return connection.query(f"SELECT count(*), count(DISTINCT x) FROM {table}").rows[0]


@pytest.mark.slow
@pytest.mark.parametrize("sig", [TERM, KILL])
def test_at_every_step(manager, sig):
    """Writes through a lane, killed at random moments: each one that was answered is there, once; none is there twice; who was not
    answered is told so, or his connection is closed."""
    daemon = manager()
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.getrandbits(32))
    print("seed", seed)
    dice = random.Random(seed)
    with Client(daemon.path) as client:
        client.query("CREATE TABLE done(x INTEGER)")
    acknowledged, unknown, number, closed = set(), set(), 0, 0
    for _ in range(ROUNDS):
        with LaneClient(daemon.path, sizes=(4096, 4096)) as client, contextlib.suppress(ConnectionEnded, ConnectionResetError, BrokenPipeError):
            time.sleep(dice.uniform(0, 0.02))
            moment, open_ids, has_restarted = dice.uniform(0, 0.01), {}, False
            began = time.monotonic()
            try:
                while len(open_ids) < 400 and not (has_restarted and client.lane is None and len(open_ids) > 50):
                    number += 1
                    unknown.add(number)
                    open_ids[client.send_query(f"INSERT INTO done VALUES ({number})")] = number
                    if not has_restarted and time.monotonic() - began > moment:
                        daemon.restart(sig)
                        has_restarted = True
                    if dice.random() < 0.3:
                        take(client, open_ids, acknowledged, unknown)
                while open_ids:
                    take(client, open_ids, acknowledged, unknown)
                client.settle()
            except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
                assert sig == KILL, "a restart closes no connection"
                closed += 1
                raise
    assert closed < ROUNDS
    with Client(daemon.path) as client:
        found = [row[0] for row in client.query("SELECT x FROM done ORDER BY x").rows]
    assert len(found) == len(set(found)), "nothing was done twice"
    assert acknowledged <= set(found), "what was answered is there"
    assert set(found) <= acknowledged | unknown
    assert len(acknowledged) > ROUNDS * 10


def take(client, open_ids, acknowledged, unknown):
    """One reply: done, not done, or nobody knows."""
    reply = client.receive()
    number = open_ids.pop(reply.id)
    if reply.type == "query_response":
        acknowledged.add(number)
        unknown.discard(number)
    elif reply.data["code"] != "outcome_unknown":
        assert reply.data["code"] == "shutting_down", reply
        unknown.discard(number)


def test_replies_stay_behind_a_reset(start_daemon):
    """Killed with a bell in its socket, the daemon leaves a reset; what it has written into the ring is there all the same."""
    daemon = start_daemon()
    client = LaneClient(daemon.socket_path)
    id = client.send("health_check")
    wait_until(lambda: client.lane.memory[REPLY_WRITTEN] > 0, "the reply is in the ring")
    stopped(daemon)
    client.lane.inner.send(BELL)
    os.kill(daemon.pid, signal.SIGKILL)
    with pytest.raises(ConnectionResetError):
        while client.lane.inner.recv(64):
            pass
    assert client.receive_for(id).type == "health_response"


def stopped(daemon):
    """From now on it does nothing, until it is killed."""
    os.kill(daemon.pid, signal.SIGSTOP)
    tasks = list(pathlib.Path(f"/proc/{daemon.pid}/task").iterdir())
    wait_until(lambda: all(" T " in (task / "stat").read_text() for task in tasks), "all threads of the daemon are stopped")


def asked_for(daemon, client):
    """The hello waits in the socket."""
    stopped(daemon)
    asking = threading.Thread(target=client.ask_for_lane)
    asking.start()
    time.sleep(0.05)
    daemon.restart(KILL)
    asking.join(30 * PATIENCE)
    assert client.lane, "the next process gives it"
    client.settle()


def granted(daemon, client):
    """The reply to hello waits in the socket, with the memory."""
    id, payload = client.bytes_of("hello", {"transport": "shared_memory"}, None)
    client.socket.sendall(payload)
    assert select.select([client.socket], [], [], 10 * PATIENCE)[0]
    time.sleep(0.05)
    daemon.restart(KILL)
    head, ancillary, _, _ = client.socket.recvmsg(4, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC | socket.MSG_WAITALL)
    client.buffer += head
    while not has_whole_frame(client.buffer):
        client.buffer += client.socket.recv(1)
    assert client.answer(id).data["transport"] == "shared_memory"
    memory = array.array("i", ancillary[0][2])[0]
    client.socket = LaneSocket(client.socket, LaneMemory(memory))
    os.close(memory)
    client.settle()
    assert client.lane is None


def has_whole_frame(data):
    return len(data) >= 4 and len(data) == 4 + int.from_bytes(data[:4], "big")


def go_over(daemon, client, sizes=None):
    """The client has a lane, and the store knows of it."""
    client.ask_for_lane(sizes)
    client.settle()
    kept(daemon, 1)


def half_written(daemon, client):
    """Half a request is in the ring."""
    go_over(daemon, client)
    stopped(daemon)
    id, payload = client.bytes_of("query", {"sql": "SELECT 7"}, None)
    client.put_raw(payload[:20])
    daemon.restart(KILL)
    client.socket.sendall(payload[20:])
    assert client.collect(id).value == 7
    client.settle()


def half_read(daemon, client):
    """Half a request is in the memory of the daemon: nobody knows where in the stream it was."""
    go_over(daemon, client)
    id, payload = client.bytes_of("query", {"sql": "SELECT 7"}, None)
    client.send_delivered(payload[:20])
    time.sleep(0.05)
    daemon.restart(KILL)
    with pytest.raises((ConnectionEnded, ConnectionResetError, BrokenPipeError)):
        client.socket.sendall(payload[20:])
        client.collect(id)


def written_and_not_rung(daemon, client):
    """The daemon sleeps, and will not hear of it."""
    go_over(daemon, client)
    wait_until(lambda: client.lane.memory[DAEMON_SLEEPS] == 1, "the daemon sleeps")
    id, payload = client.bytes_of("query", {"sql": "SELECT 7"}, None)
    lane = client.lane
    lane.memory.put(lane.written, payload)
    lane.written += len(payload)
    lane.memory[REQUEST_WRITTEN] = lane.written
    daemon.restart(KILL)
    assert client.collect(id).value == 7
    client.settle()


def request_ring_is_full(daemon, client):
    """The client waits for room, and the daemon has read nothing."""
    go_over(daemon, client, (4096, 4096))
    stopped(daemon)
    requests = [client.bytes_of("query", {"sql": "SELECT ?", "params": [number]}, None) for number in range(300)]
    sending = threading.Thread(target=lambda: client.socket.sendall(b"".join(payload for _, payload in requests)))
    sending.start()
    wait_until(lambda: client.lane.room() == 0, "the ring is full")
    daemon.restart(KILL)
    sending.join(30 * PATIENCE)
    assert [client.collect(id).value for id, _ in requests] == list(range(300))
    client.settle()


def answered(daemon, client):
    """The reply is in the ring, and the client has not read it."""
    client.ask_for_lane()
    client.settle()
    before = client.lane.memory[REPLY_WRITTEN]
    id = client.send_query("SELECT 7")
    wait_until(lambda: client.lane.memory[REPLY_WRITTEN] > before, "the reply is in the ring")
    kept(daemon, 1)
    daemon.restart(KILL)
    assert client.collect(id).value == 7
    client.settle()


def told_to_leave(daemon, client):
    """The client has not looked at the socket, so the next process has the same to tell."""
    client.ask_for_lane()
    client.settle()
    for number in range(3):
        kept(daemon, 1)
        daemon.restart(TERM if number == 1 else KILL)
        wait_until(lambda: select.select([client.lane.inner], [], [], 0)[0], "the order to leave")
    id = client.send_query("SELECT 7")
    assert client.collect(id).value == 7
    assert client.lane is None
    client.settle()


def left(daemon, client):
    """What the client sends again waits in the socket."""
    go_over(daemon, client)
    stopped(daemon)
    id = client.send_query("SELECT 7")
    daemon.restart(KILL)
    wait_until(lambda: select.select([client.lane.inner], [], [], 0)[0], "the order to leave")
    kept(daemon, 1)
    stopped(daemon)
    client.lane.take_bells()
    assert client.lane is None
    daemon.restart(KILL)
    assert client.collect(id).value == 7
    client.settle()


def half_closed(daemon, client):
    """No more requests come; the last one was not read."""
    go_over(daemon, client)
    stopped(daemon)
    id = client.send_query("SELECT 7")
    client.half_close()
    daemon.restart(KILL)
    assert client.collect(id).value == 7
    client.receive_end()


@pytest.mark.parametrize("step", [asked_for, granted, half_written, half_read, written_and_not_rung, request_ring_is_full, answered,
                                  told_to_leave, left, half_closed], ids=lambda step: step.__name__)
def test_a_daemon_that_is_killed_at_every_step(manager, step):
    """What it had not begun the next process does; what it had answered was answered. (While it runs a request: above.)"""
    daemon = manager()
    client = LaneClient.__new__(LaneClient)
    Client.__init__(client, daemon.path)
    with client:
        client.settle()
        kept(daemon, 1)
        step(daemon, client)
    with LaneClient(daemon.path) as other:
        other.settle()


@pytest.mark.slow
def test_a_client_that_is_killed_at_random_moments(start_daemon, sleeper):
    """In the middle of whatever it does with eight lanes: the daemon serves others, and has nothing left of it."""
    daemon = start_daemon(log_level="info")
    dice = random.Random(seed := int(os.environ.get("LITEBASE_TEST_SEED") or random.getrandbits(32)))
    print("seed", seed)
    for _ in range(2 * ROUNDS):
        client = subprocess.Popen([sleeper, daemon.socket_path, "8", "100000000"], stdout=subprocess.DEVNULL)
        time.sleep(dice.choice([0.001, 0.01, 0.1]) * dice.random())
        assert client.poll() is None, "it goes on until it is killed"
        client.kill()
        client.wait()
    wait_until(lambda: not any("litebase-lane" in line for line in open(f"/proc/{daemon.pid}/maps")), "no memory is left")
    with LaneClient(daemon.socket_path) as other:
        other.settle()


@pytest.mark.parametrize("step", range(8))
def test_a_client_that_vanishes_at_every_step(manager, step):
    """Of the negotiation, a request, a reply, a restart: the daemon has nothing left of it."""
    daemon = manager()

    def lanes():
        return sum("litebase-lane" in line for line in open(f"/proc/{daemon.pid}/maps"))

    for _ in range(5):
        client = Client(daemon.path) if step < 2 else LaneClient(daemon.path, sizes=(4096, 4096))
        if step < 2:
            client.socket.sendall(request("hello", {"transport": "shared_memory"})[:None if step else 20])
        elif step == 3:
            client.put_raw(request("health_check")[:10])
        elif step == 4:
            client.put_raw(request("health_check"))
        elif step == 5:
            client.put_raw(request("query", {"sql": counting(100_000)}))
            client.lane.recv(100)
        elif step == 6:
            client.put_raw(request("query", {"sql": ENDLESS}))
            client.send_delivered(b"")
        elif step == 7:
            daemon.restart(TERM)
        client.close()
    wait_until(lambda: lanes() == 0, "no memory is left")
    kept(daemon, 0)
    with LaneClient(daemon.path) as client:
        client.settle()
