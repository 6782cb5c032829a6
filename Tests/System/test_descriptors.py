"""The descriptor limit and the descriptor store."""

import os
import signal
import time

import pytest

import wire
from machine import SERVICE, wait_until

pytestmark = pytest.mark.load

LIMIT = 40


def is_served(path):
    try:
        with wire.Client(path, timeout=10) as client:
            client.settle()
        return True
    except wire.RequestFailed as failure:
        assert failure.data["limit"]["name"] == "connections_max", failure
        return False


def test_running_out_of_descriptors_neither_spins_nor_kills(machine, figures):
    machine.drop_in("limit", f"[Service]\nLimitNOFILE={LIMIT}\n")
    machine.ping()
    pid = machine.main_pid()
    path = machine.socket_path()
    first = wire.Client(path)
    first.settle()
    idle = [wire.Client(path, timeout=10) for _ in range(2 * LIMIT)]
    time.sleep(1)
    before, started = machine.cpu_seconds(pid), time.monotonic()
    time.sleep(2)
    share = (machine.cpu_seconds(pid) - before) / (time.monotonic() - started)
    first.settle()
    for client in idle:
        client.close()
    # It may have to notice first who has gone.
    wait_until(lambda: is_served(path), "there is room for a connection")
    for _ in range(20):
        with wire.Client(path, timeout=10) as client:
            client.settle()
    first.close()
    figures(processor_share=round(share, 3))
    assert share < 0.05, f"{share:.0%} of a processor while out of descriptors"
    assert machine.main_pid() == pid and int(machine.property("NRestarts")) == 0


def test_connections_beyond_the_store_are_served_all_the_same(machine, figures):
    """Those that do not fit into the store are closed by a restart, the others survive it; nobody is refused."""
    machine.drop_in("store", "[Service]\nFileDescriptorStoreMax=20\n")
    machine.ping()
    path = machine.socket_path()
    clients = [wire.Client(path, timeout=15) for _ in range(40)]
    for client in clients:
        client.settle()
    machine.systemctl("restart", SERVICE)
    survived = 0
    for client in clients:
        try:
            client.settle()
            survived += 1
        except (wire.ConnectionEnded, ConnectionResetError, BrokenPipeError):
            pass
        client.close()
    figures(survived=survived)
    assert 10 <= survived <= 20, survived
    machine.ping()


def test_the_store_empties_when_clients_leave(machine):
    machine.ping()
    before = stored(machine)
    clients = [wire.Client(machine.socket_path()) for _ in range(100)]
    for client in clients:
        client.settle()
    wait_until(lambda: stored(machine) >= before + 100, "connections are kept in the store")
    for client in clients:
        client.close()
    wait_until(lambda: stored(machine) <= before, "they have left the store")


def test_the_peer_sees_the_end_when_the_daemon_closes(machine):
    """A descriptor that stays in the store would keep the connection open for the peer: it would wait for ever."""
    client = wire.Client(machine.socket_path(), mode="lines", timeout=5)
    client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert client.socket.recv(1 << 16).startswith(b"HTTP/1.1 400")
    client.receive_end(timeout=5)
    client.close()
    half = wire.Client(machine.socket_path(), mode="lines", timeout=5)
    half.socket.sendall(b'{"id":1,"type":"health_check"}\n')
    half.half_close()
    assert b"healthy" in half.socket.recv(1 << 16)
    half.receive_end(timeout=5)
    half.close()


def test_a_storm_of_connections_leaves_systemd_responsive(machine, load, figures):
    """systemd looks at messages of services before all else: too many descriptors to store would occupy it for good.

    It copes as long as nothing holds it up. After three seconds in which it was (stopped here; a daemon-reload of a large
    machine can do it), it must catch up again, and not be buried for as long as the load lasts.
    """
    answers, counts = [], []
    with load(counts={"short": 64}):
        time.sleep(2)
        os.kill(machine.leader, signal.SIGSTOP)
        time.sleep(3)
        os.kill(machine.leader, signal.SIGCONT)
        for _ in range(12):
            time.sleep(1)
            started = time.monotonic()
            counts.append(stored(machine))
            answers.append(round(time.monotonic() - started, 2))
    figures(answered_after_seconds=answers, stored=counts)
    text = "\n".join(machine.messages(machine.began, "_PID=1"))
    assert "Cannot store" not in text and "Looping too fast" not in text
    # 64 connections are open at most, and what was closed is soon forgotten.
    assert max(answers[3:]) < 3, answers
    assert max(counts[3:]) < 300, counts


@pytest.fixture
def small_database(machine, full):
    """A database named "small" on a file system of its own: of 1 MiB if it is to be full soon."""
    directory, owner = "/var/lib/litebase/small", machine.output("id", "-u", "litebase")
    machine.run("mkdir", "-p", directory)
    machine.run("mount", "-t", "tmpfs", "-o", f"size={'1M' if full else '64M'},mode=0700,uid={owner}", "tmpfs", directory)
    machine.write("/etc/litebase/litebase.toml.d/test-small.toml", f'[databases.small]\nurl = "sqlite:{directory}/small.db"\n')
    yield
    machine.systemctl("stop", "litebase.socket", SERVICE)
    machine.run("umount", directory)
    machine.run("rmdir", directory)


@pytest.mark.parametrize("full", [False, True])
def test_a_full_disk_is_an_error_not_an_end(machine, small_database, full, connect):
    """`full=False` is the negative: with room, the same statements succeed."""
    client = connect()
    client.query("CREATE TABLE filling(content)", database="small")
    pid = client.call("health_check").data["pid"]
    acknowledged, codes = 0, set()
    for _ in range(40):
        try:
            client.query("INSERT INTO filling VALUES (randomblob(100000))", database="small")
            acknowledged += 1
        except wire.RequestFailed as error:
            codes.add((error.code, error.data.get("sqlstate")))
    assert bool(codes) == full, codes
    assert client.query("SELECT count(*) FROM filling", database="small").value == acknowledged
    assert client.query("PRAGMA integrity_check", database="small").value == "ok"
    assert client.call("health_check").data["pid"] == pid and machine.main_pid() == pid
    if full:
        assert any(int(entry["PRIORITY"]) <= 4 for entry in machine.journal(machine.began, "-u", SERVICE)), "the log says it"


def stored(machine):
    return int(machine.property("NFileDescriptorStore"))
