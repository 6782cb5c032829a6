"""Debian's servers behind the service, set up as docs/databases.md says: they restart, start later, and are removed."""

import json
import shlex

import pytest

import examples
import servers
from machine import SERVICE, wait_until

EXAMPLES = "/usr/share/doc/litebase/examples/systemd"
CONFIGURATION = "/etc/litebase/litebase.toml.d/test-servers.toml"
STATEMENT = {"postgresql": "SELECT 'here'", "mariadb": "SELECT 'here'", "redis": "ECHO here"}
URLS = {("postgresql", "unix"): "postgresql://litebase@/shop?host=/run/postgresql",
        ("postgresql", "tcp"): "postgresql://away:pw@127.0.0.1/shop",
        ("mariadb", "unix"): "mysql://litebase@/shop?socket=/run/mysqld/mysqld.sock",
        ("mariadb", "tcp"): "mysql://away:pw@127.0.0.1/shop",
        ("redis", "unix"): "redis+unix:///run/redis/redis-server.sock?db=0",
        ("redis", "tcp"): "redis://127.0.0.1/0"}
PATIENCE = 20


def guided(machine, *begins):
    """Runs the commands of docs/databases.md that begin so, as root."""
    typed = [command.text for block in examples.blocks("docs/databases.md") if block.language == "console"
             for command in examples.commands(block)]
    for begin in begins:
        found = [text for text in typed if text.startswith(f"sudo {begin}")]
        assert found, f"docs/databases.md does not say: {begin}"
        for text in dict.fromkeys(found):
            as_postgres = text.replace("sudo -u postgres ", "setpriv --reuid=postgres --regid=postgres --init-groups ")
            machine.shell("cd /; " + as_postgres.replace("sudo ", ""))


@pytest.fixture
def served(machine):
    """Sets a server up, its database as `it`, and says how to ask it."""
    running = []

    def set_up(name, way, is_there=True):
        running.append(name)
        servers.make_stock(machine, name)
        if name == "postgresql":
            guided(machine, "-u postgres createuser", "-u postgres createdb")
            machine.run(*servers.POSTGRES, "CREATE ROLE away LOGIN PASSWORD 'pw'")
        elif name == "mariadb":
            guided(machine, "mariadb -e")
            machine.run("mariadb", "-e", "CREATE USER away@'%' IDENTIFIED BY 'pw'; GRANT ALL ON shop.* TO away@'%'")
        elif way == "unix":
            guided(machine, "sed -i", "install -D -m 0644 -t /etc/systemd/system/redis", "install -m 0644", "usermod -aG redis",
                   "systemctl daemon-reload", "systemd-tmpfiles --create redis")
            servers.restart(machine, name)
        guided(machine, "install -D -m 0644 -t /etc/systemd/system/litebase.service.d", "systemctl daemon-reload")
        machine.write(CONFIGURATION, f'[databases.it]\nurl = "{URLS[name, way]}"\n', mode=0o640)
        machine.run("chgrp", "litebase", CONFIGURATION)
        if not is_there:
            servers.stop(machine, name)
        machine.systemctl("restart", SERVICE)

    yield set_up
    for name in running:
        servers.stop(machine, name)


def ask(machine, name):
    return machine.run("litebase", "query", "-d", "it", STATEMENT[name], user="member", check=False, timeout=30)


def is_served(machine, name):
    return wait_until(lambda: "here" in ask(machine, name).stdout, f"{name} is served", PATIENCE, 0.2)


def others_are_served(machine):
    assert machine.run("litebase", "query", "SELECT 7 AS n", user="member").stdout == '{"n":7}\n'


def state(machine):
    lines = machine.output("litebase", "databases", "--format", "jsonl", user="member").splitlines()
    [found] = [row for row in map(json.loads, lines) if row["name"] == "it"]
    return found


@pytest.mark.parametrize("name, way", list(URLS))
def test_a_server_that_restarts_and_one_that_starts_later(machine, served, name, way):
    served(name, way)
    assert is_served(machine, name)
    pid = machine.main_pid()
    for _ in range(2):
        servers.restart(machine, name)
        assert is_served(machine, name)
    assert machine.main_pid() == pid, "nothing of the daemon had to be restarted"
    # The daemon is there first.
    servers.stop(machine, name)
    machine.systemctl("restart", SERVICE)
    failed = ask(machine, name)
    assert failed.returncode == 69, failed
    others_are_served(machine)
    servers.start(machine, name)
    assert is_served(machine, name)


@pytest.mark.parametrize("name, way", [("redis", "unix"), ("mariadb", "tcp")])
def test_the_state_of_a_server_is_seen(machine, served, name, way):
    served(name, way)
    began = machine.cursor()
    assert state(machine)["reachable"] is None
    shown = machine.output("litebase", "ping", "-d", "it", user="member")
    assert shown.startswith("healthy from database it: ") and " ms" in shown
    assert state(machine)["reachable"] is True
    servers.stop(machine, name)
    failed = wait_until(lambda: (done := machine.run("litebase", "ping", "-d", "it", user="member", check=False)).returncode and done,
                        "it is lost")
    assert failed.returncode == 69 and failed.stdout.startswith("connect_failed from database it: time=")
    seen = state(machine)
    assert seen["reachable"] is False and seen["last_error"] and seen["since_ms"] < 60_000
    assert "server of it" in machine.output("litebase", "status", user="member")
    wait_until(lambda: ", 1 cannot be reached;" in machine.property("StatusText"), "systemctl status says so", 15)
    for _ in range(20):
        ask(machine, name)
    servers.start(machine, name)
    assert is_served(machine, name)
    wait_until(lambda: "cannot be reached" not in machine.property("StatusText"), "systemctl status says so", 15)
    told = [text for text in machine.messages(began, "-u", SERVICE) if text.startswith("Database it ")]
    lost, back = [text for text in told if "cannot be reached" in text], [text for text in told if "again after" in text]
    assert (len(lost), len(back)) == (1, 1), told
    assert "pw" not in "".join(told).replace("Password", "")


@pytest.mark.parametrize("name, package", [("redis", "redis-server"), ("mariadb", "mariadb-server"), ("postgresql", "postgresql-15")])
def test_a_server_that_is_removed(machine, served, name, package):
    """Last, because it is really gone then. Neither its user and group nor its directory may be needed."""
    served(name, "unix")
    if name == "mariadb":
        # Without its socket unit, as the package leaves it: who asks for it would start it again while it is taken away.
        servers.stop(machine, name)
        machine.systemctl("start", "mariadb.service")
    assert is_served(machine, name)
    began = machine.cursor()
    # Meanwhile, somebody who uses it and somebody who does not.
    uses = machine.start("sh", "-c", f"until [ -e /tmp/over ]; do litebase query -d it {shlex.quote(STATEMENT[name])}; done >/dev/null 2>&1",
                         user="member")
    other = machine.start("sh", "-c", "until [ -e /tmp/over ]; do litebase query 'SELECT 7' >/dev/null || exit 1; done", user="member")
    machine.run("apt-get", "purge", "-y", "-q", package, "redis-tools" if name == "redis" else package, timeout=120,
                environment=["DEBIAN_FRONTEND=noninteractive"])
    if name == "redis":
        machine.run("userdel", "redis", check=False)
        machine.run("groupdel", "redis", check=False)
        machine.remove("/run/redis")
    others_are_served(machine)
    assert ask(machine, name).returncode == 69
    told = [text for text in machine.messages(began, "-u", SERVICE) if text.startswith("Database it cannot be reached")]
    assert len(told) == 1, told
    machine.systemctl("restart", SERVICE)
    others_are_served(machine)
    assert ask(machine, name).returncode == 69
    machine.write("/tmp/over", "")
    errors = other.communicate(timeout=20)[1]
    assert other.returncode == 0, errors
    uses.communicate(timeout=20)
    machine.remove("/tmp/over")
