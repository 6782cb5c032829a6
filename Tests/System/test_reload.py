"""`systemctl reload` waits until the new configuration is in force, drops nobody, and reports what is wrong with it."""

from load import FINE, assert_connected_once, assert_outcomes, assert_rows, total
from machine import SERVICE, rounds, wait_until

DROP_IN = "/etc/litebase/litebase.toml.d/test-reload.toml"


def test_reload_is_synchronous(machine, connect):
    client = connect()
    pid = client.call("health_check").data["pid"]
    for number in range(20):
        machine.write(DROP_IN, f'[databases.added{number}]\nurl = "sqlite::memory:"\n')
        machine.systemctl("reload", SERVICE)
        names = [entry["name"] for entry in client.call("list_databases").data["databases"]]
        assert f"added{number}" in names and f"added{number - 1}" not in names, names
    assert machine.main_pid() == pid
    assert machine.state() == "active"


def test_reload_under_load_drops_nobody(machine, load, figures):
    with load() as running:
        for number in range(rounds(30)):
            machine.write(DROP_IN, f'log_level = "info"\n[databases.added{number}]\nurl = "sqlite::memory:"\n')
            machine.systemctl("reload", SERVICE)
    figures(requests=total(running.report, "ok"), latency=running.report["latency"])
    assert_outcomes(running.report, {kind: {"ok"} for kind in FINE})
    assert_connected_once(running.report, "persistent", "thoughtful", "session", "streaming")
    assert_rows(running.report)


def test_a_bad_configuration_is_reported_and_the_old_one_stays(machine, connect):
    client = connect()
    machine.write(DROP_IN, '[databases.kept]\nurl = "sqlite::memory:"\n')
    client.settle()
    machine.systemctl("reload", SERVICE)
    machine.write(DROP_IN, '[databases.kept]\nurl = "sqlite::memory:"\naccess = "sometimes"\n')
    failed = machine.systemctl("reload", SERVICE, check=False)
    assert failed.returncode != 0
    text = "\n".join(machine.messages(machine.began, "-u", SERVICE))
    assert DROP_IN in text and "sometimes" in text, text
    names = [entry["name"] for entry in client.call("list_databases").data["databases"]]
    assert "kept" in names
    assert machine.state() == "active" and int(machine.property("NRestarts")) == 0
    machine.remove(DROP_IN)
    machine.systemctl("reload", SERVICE)


def test_hangup_reloads_too(machine, connect):
    client = connect()
    client.settle()
    machine.write(DROP_IN, '[databases.by_signal]\nurl = "sqlite::memory:"\n')
    machine.run("kill", "-HUP", machine.main_pid())
    wait_until(lambda: "by_signal" in str(client.call("list_databases").data), "the new database")


def test_what_is_told_to_systemd(machine, connect):
    """RELOADING=1 with MONOTONIC_USEC=, READY=1 again, and STOPPING=1; seen by strace."""
    connect().settle()
    pid = machine.main_pid()
    tracer = machine.start("strace", "-f", "-p", pid, "-e", "trace=sendmsg,sendto", "-s", "400")
    machine.run("sleep", "0.5")
    machine.systemctl("reload", SERVICE)
    machine.systemctl("stop", "litebase.socket", SERVICE)
    said = tracer.communicate(timeout=20)[1]
    for line in said.splitlines():
        if "RELOADING=1" in line:
            assert "MONOTONIC_USEC=" in line, line
            break
    else:
        raise AssertionError(f"no RELOADING=1 in {said}")
    after = said[said.index("RELOADING=1"):]
    assert "READY=1" in after and "STOPPING=1" in after, after
