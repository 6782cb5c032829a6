"""`kill -9` under load: requests in flight end with an error that says so; connections between requests stay."""

import time

import pytest

from load import CALM_LOAD, FINE, FULL_LOAD, assert_connected_once, assert_outcomes, assert_rows, describe, outcomes, total
from machine import SERVICE, rounds, wait_until

pytestmark = pytest.mark.load

UNKNOWN = {"ok", "error:outcome_unknown"}
# A process that dies with bytes half read or half written leaves a position that nobody knows: that one connection is closed.
# What a client sees of a connection whose position a kill left unknown; a reset, if it was just sending.
CLOSED = {"eof", "cut_reply", "reset"}
# Connections that come faster than systemd may be asked to store them end with the process, those not read by reset.
NOT_STORED = {"reset"}


def allowed(extra):
    return {kind: outcomes | UNKNOWN | extra.get(kind, set()) for kind, outcomes in FINE.items()}


def kill_and_wait(machine):
    pid = machine.main_pid()
    machine.run("kill", "-KILL", pid)
    return machine.wait_restarted(pid)


def kill_often(machine, running, count):
    for _ in range(count):
        time.sleep(0.5)
        kill_and_wait(machine)
    time.sleep(0.5)


def check_kills(machine, report, count, figures):
    """What holds under every load. The outcomes are the caller's."""
    closed = total(report, "eof", "cut_reply", "reset")
    unknown = total(report, "error:outcome_unknown")
    figures(kills=count, requests=total(report, "ok"), outcomes=report["outcomes"], latency=report["latency"],
            closed_in_flight=closed, outcome_unknown=unknown, rows=report["rows"])
    assert_rows(report)
    # One request of each client, or one group of four, is in flight at a time.
    assert unknown + closed <= count * (sum(FULL_LOAD.values()) + 3 * FULL_LOAD["persistent"]), describe(report)
    assert unknown > 0, "no kill hit a request: this shows nothing"
    assert machine.state("litebase.socket") == "active"
    assert int(machine.property("NRestarts")) == count


def test_kills_under_calm_load_end_only_what_was_in_flight(machine, load, figures):
    """Everybody is in the store: each request in flight gets its error, and nobody is cut off or connects again."""
    count = rounds(20)
    with load(counts=CALM_LOAD) as running:
        kill_often(machine, running, count)
    report = running.report
    check_kills(machine, report, count, figures)
    # At most one connection in five kills is caught with its bytes in the air.
    assert_outcomes(report, allowed({kind: CLOSED for kind in CALM_LOAD if kind != "thoughtful"}))
    assert total(report, *CLOSED) <= max(2, count // 5), describe(report)
    assert_connected_once(report, "thoughtful")


def test_kills_under_full_load_lose_no_row(machine, load, figures):
    """Short-lived clients may come faster than they can be stored; those that stay lose nothing but requests in flight."""
    count = rounds(20)
    with load(counts=FULL_LOAD) as running:
        kill_often(machine, running, count)
    report = running.report
    check_kills(machine, report, count, figures)
    assert_outcomes(report, allowed({"short": CLOSED | NOT_STORED, "persistent": CLOSED, "session": CLOSED, "streaming": CLOSED}))
    staying = sum(outcomes(report, kind).get(name, 0) for kind in FULL_LOAD if kind != "short" for name in CLOSED)
    assert staying <= max(2, count // 5), describe(report)
    assert_connected_once(report, "thoughtful")


def test_idle_connections_do_not_notice_kills(machine, connect):
    """Fifty connections that have asked once, in all framings, are answered by the next processes on the same connection."""
    clients = [connect(mode=mode) for mode in ("lines", "json", "msgpack") * 17][:50]
    pids = set()
    for _ in range(rounds(5)):
        pids |= {client.call("health_check").data["pid"] for client in clients}
        kill_and_wait(machine)
    pids |= {client.call("health_check").data["pid"] for client in clients}
    assert len(pids) == rounds(5) + 1


def test_a_connection_that_never_spoke_survives(machine, connect):
    machine.ping()
    clients = [connect(mode=mode) for mode in ("lines", "json", "msgpack")]
    time.sleep(0.3)
    kill_and_wait(machine)
    for client in clients:
        assert client.query("SELECT 1").value == 1
    machine.systemctl("restart", SERVICE)
    for client in clients:
        client.settle()


def test_what_was_in_flight_gets_outcome_unknown_on_the_same_connection(machine, connect):
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    clients = {mode: connect(mode=mode) for mode in ("lines", "json", "msgpack")}
    requests = {mode: client.send_query(slow, id=f"slow-{mode}") for mode, client in clients.items()}
    time.sleep(0.5)
    kill_and_wait(machine)
    for mode, client in clients.items():
        reply = client.receive_for(requests[mode])
        assert reply.type == "error" and reply.data["code"] == "outcome_unknown", reply
        assert client.query("SELECT 2").value == 2
        client.settle()


def test_sessions_are_gone_with_a_clear_error(machine, connect):
    client = connect()
    session = client.session()
    client.query("CREATE TABLE IF NOT EXISTS gone(x)", session=session)
    client.query("BEGIN", session=session)
    client.query("INSERT INTO gone VALUES (1)", session=session)
    for replace in (lambda: kill_and_wait(machine), lambda: machine.systemctl("restart", SERVICE)):
        replace()
        error = client.query_fails("COMMIT", session=session)
        assert error["code"] == "session_not_found" and "restart" in (error["message"] + str(error.get("detail"))), error
        assert client.query("SELECT count(*) FROM gone").value == 0
        session = client.session()
        client.query("BEGIN", session=session)
        client.query("INSERT INTO gone VALUES (1)", session=session)


def test_half_a_request_is_answered_or_the_connection_is_closed(machine, connect):
    """The bytes of a request that a dead process had read are gone; the rest must never be taken for a new request."""
    for mode in ("lines", "json", "msgpack"):
        client = connect(mode=mode)
        client.settle()
        id, payload = client.bytes_of("query", {"sql": "SELECT 'whole'"})
        client.send_delivered(payload[:len(payload) // 2])
        kill_and_wait(machine)
        try:
            client.socket.sendall(payload[len(payload) // 2:])
            client.socket.settimeout(5)
            answer = client.socket.recv(1 << 16)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        assert answer == b"" or b"whole" in answer and b"query_response" in answer, (mode, answer)


def test_a_client_that_closes_while_the_daemon_is_away_leaves_nothing(machine, connect):
    client = connect()
    client.settle()
    pid = machine.main_pid()
    machine.run("kill", "-KILL", pid)
    client.close()
    machine.ping()
    wait = time.monotonic() + 10
    while (count := stored(machine)) > 0 and time.monotonic() < wait:
        time.sleep(0.1)
    assert count == 0, f"{count} descriptors left in the store"


def test_an_administrator_who_kills_it_makes_nobody_wait(machine):
    """A crash does: whoever had something running each time may be its reason."""
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"

    def end(*command):
        """Seconds until the user is served again whose request it cut off."""
        running = machine.start("litebase", "query", slow, user="member")
        wait_until(lambda: '"requests_in_flight":1' in machine.output("litebase", "status", "--json"), "it runs")
        pid = machine.main_pid()
        machine.run(*command, pid) if command[0] == "kill" else machine.run(*command)
        machine.wait_restarted(pid)
        began = time.monotonic()
        machine.ping(user="member")
        assert running.wait(timeout=15) != 0
        return time.monotonic() - began

    machine.ping()
    for command in (("kill", "-KILL"), ("systemctl", "kill", "--signal=KILL", SERVICE)) * 2:
        assert end(*command) < 1.5, command
    assert not any("crashes in a row" in text for text in machine.messages(machine.began, "-u", SERVICE))
    assert end("kill", "-SEGV") < 1.5
    assert end("kill", "-ABRT") > 1
    assert any("2 crashes in a row" in text for text in machine.messages(machine.began, "-u", SERVICE))


def stored(machine):
    """Client connections in the descriptor store, besides what the daemon keeps there for itself."""
    machine.ping()
    return int(machine.property("NFileDescriptorStore")) - OWN_STORED


# Its table of connections, what runs for whom, and whether a start is under way.
OWN_STORED = 3
