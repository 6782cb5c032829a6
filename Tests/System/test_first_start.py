"""`systemctl start litebase.socket`, and what an administrator sees from then on."""

import re

from machine import SERVICE, SOCKET, wait_until

IDLE_EXIT = "idle_exit_seconds = 1\n"


def test_a_connection_starts_the_service(machine, connect):
    assert machine.state("litebase.socket") == "active"
    assert machine.property("SubState", "litebase.socket") == "listening"
    assert machine.state() == "inactive"
    health = connect().call("health_check").data
    assert health["status"] == "healthy" and health["activation"] == "socket"
    assert machine.state() == "active" and machine.property("SubState") == "running"
    assert machine.property("Type") == "notify"
    assert health["pid"] == machine.main_pid()


def test_status_shows_readiness_and_live_figures(machine, connect):
    clients = [connect() for _ in range(3)]
    for client in clients:
        client.settle()
    status = machine.output("systemctl", "status", "--no-pager", SERVICE)
    assert "active (running)" in status and "TriggeredBy: ● litebase.socket" in status, status
    wait_until(lambda: re.search(r"\b3 connections", machine.property("StatusText")), "the status counts connections")
    assert re.search(r"\d+ database", machine.property("StatusText")), machine.property("StatusText")


def test_the_second_connection_after_an_idle_exit_starts_it_again(machine):
    machine.write("/etc/litebase/litebase.toml.d/test-idle.toml", IDLE_EXIT)
    pids = set()
    for _ in range(3):
        machine.ping()
        pids.add(machine.main_pid())
        machine.wait_state("inactive")
        assert machine.property("Result") == "success"
        assert machine.state("litebase.socket") == "active"
    assert len(pids) == 3


def test_idle_exit_waits_for_the_last_client(machine, connect):
    machine.write("/etc/litebase/litebase.toml.d/test-idle.toml", IDLE_EXIT)
    client = connect()
    client.settle()
    pid = machine.main_pid()
    machine.run("sleep", "2.5")
    assert machine.main_pid() == pid
    client.settle()
    client.close()
    machine.wait_state("inactive")


def test_nothing_is_logged_as_an_error_by_a_clean_run(machine, connect):
    client = connect()
    client.query("SELECT 1")
    client.query_fails("SELEC 1")
    machine.systemctl("reload", SERVICE)
    machine.systemctl("restart", SERVICE)
    machine.ping()
    machine.systemctl("stop", "litebase.socket", SERVICE)
    # The machine's control groups are not those of a real boot: systemd itself complains about them, at warning.
    entries = machine.journal(machine.began, "-p", "err")
    assert not entries, [entry.get("MESSAGE") for entry in entries]


def test_one_socket_no_abstract_name_and_nothing_left_after_stop(machine):
    machine.ping()
    # The daemon has a network of its own, and with it a table of its own; the listening socket is in the machine's.
    tables = [machine.path(f"/proc/{pid}/net/unix").read_text() for pid in (1, machine.main_pid())]
    names = [line.split()[-1] for table in tables for line in table.splitlines()[1:] if len(line.split()) == 8]
    assert SOCKET in names
    assert not [name for name in names if name.startswith("@") and "litebase" in name], names
    machine.systemctl("stop", "litebase.socket", SERVICE)
    assert not machine.path(SOCKET).exists(), "RemoveOnStop= removes the socket"
    assert machine.state() == "inactive"


def test_permissions_of_socket_directory_and_state(machine):
    machine.ping()
    shown = machine.output("stat", "-c", "%n %a %U:%G", "/run/litebase", SOCKET, "/var/lib/litebase", "/etc/litebase")
    assert shown.splitlines() == ["/run/litebase 755 root:root", f"{SOCKET} 660 root:litebase",
                                  "/var/lib/litebase 700 litebase:litebase", "/etc/litebase 750 root:litebase"]
    for file in machine.output("find", "/var/lib/litebase", "-type", "f", "-printf", "%m %u %p\\n").splitlines():
        assert file.startswith("600 litebase "), file
