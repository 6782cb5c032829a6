"""`kill -9` under load: requests in flight end with an error that says so; connections between requests stay."""

import time

import load as loads
from load import SESSIONS_LOST, assert_outcomes, assert_rows, describe, outcomes, total
from machine import SERVICE, SOCKET, rounds

# The connection of a client that sent or received just when the daemon died may be closed, because nobody knows how much
# of the bytes was read: never in the middle of the thinking time, and for few of all clients.
IN_FLIGHT = {"error:outcome_unknown", "eof", "cut_reply"}
ALLOWED = {"short": {"ok"} | IN_FLIGHT, "persistent": {"ok"} | IN_FLIGHT, "thoughtful": {"ok"} | IN_FLIGHT,
           "session": SESSIONS_LOST | IN_FLIGHT, "streaming": {"ok"} | IN_FLIGHT}


def kill_and_wait(machine):
    pid = machine.main_pid()
    machine.run("kill", "-KILL", pid)
    return machine.wait_restarted(pid)


def test_kills_under_load_end_only_what_was_in_flight(machine, load, figures):
    count = rounds(20)
    with load() as running:
        for _ in range(count):
            time.sleep(0.5)
            kill_and_wait(machine)
        time.sleep(0.5)
    report = running.report
    reconnects = sum(connects - 1 for connects in report["connects"].values())
    closed = total(report, "eof", "cut_reply")
    figures(kills=count, requests=total(report, "ok"), outcomes=report["outcomes"], latency=report["latency"],
            closed_in_flight=closed, reconnects=reconnects, rows=report["rows"])
    assert_outcomes(report, ALLOWED)
    assert_rows(report)
    clients = sum(loads.FULL_LOAD.values())
    unknown = total(report, "error:outcome_unknown")
    # Each client has one request or one group of four in flight at most.
    assert unknown + closed <= count * (clients + 3 * loads.FULL_LOAD["persistent"]), describe(report)
    assert reconnects <= closed, describe(report)
    assert machine.state("litebase.socket") == "active"
    assert int(machine.property("NRestarts")) == count


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


def stored(machine):
    """Client connections in the descriptor store, besides what the daemon keeps there for itself."""
    machine.ping()
    return int(machine.property("NFileDescriptorStore")) - OWN_STORED


OWN_STORED = 1
