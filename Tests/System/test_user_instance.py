"""A user's own daemon, by the user's own service manager."""

import pytest

from conftest import install
from machine import wait_until

USER = "stranger"


@pytest.fixture
def as_user(machine):
    """Runs commands as the user, with a service manager of the user's; not in the group litebase."""
    machine.run("loginctl", "enable-linger", USER)
    uid = machine.output("id", "-u", USER)
    runtime = f"/run/user/{uid}"
    wait_until(lambda: machine.path(f"{runtime}/systemd/private").exists(), "the user's service manager")

    def run(*command, **options):
        return machine.run(*command, user=USER, environment=[f"XDG_RUNTIME_DIR={runtime}"], **options)

    run.runtime, run.uid = runtime, uid
    yield run
    run("systemctl", "--user", "stop", "litebase.socket", "litebase.service", check=False)
    machine.run("loginctl", "disable-linger", USER)
    machine.systemctl("stop", f"user@{uid}.service", check=False)


def test_the_socket_outlives_any_number_of_restarts(machine, as_user):
    as_user("systemctl", "--user", "start", "litebase.socket")
    for _ in range(8):
        as_user("systemctl", "--user", "restart", "litebase.socket")
    machine.ping(f"{as_user.runtime}/litebase/litebase.sock", user=USER)


def test_it_serves_the_users_own_files(machine, as_user):
    as_user("systemctl", "--user", "start", "litebase.socket")
    socket = f"{as_user.runtime}/litebase/litebase.sock"
    state = as_user("systemctl", "--user", "is-active", "litebase.service", check=False).stdout.strip()
    assert state == "inactive"
    shown = machine.output("stat", "-c", "%a %U", socket, f"{as_user.runtime}/litebase")
    assert shown.splitlines() == [f"600 {USER}", f"700 {USER}"]

    as_user("litebase", "query", "CREATE TABLE notes(x)")
    as_user("litebase", "query", "INSERT INTO notes VALUES (?)", "mine")
    assert "mine" in as_user("litebase", "query", "SELECT x FROM notes").stdout
    pid = as_user("systemctl", "--user", "show", "-p", "MainPID", "--value", "litebase.service").stdout.strip()
    status = machine.process_status(pid)
    assert set(status["Uid"].split()) == {as_user.uid} and status["NoNewPrivs"] == "1"
    files = machine.output("find", f"/home/{USER}", "-name", "*.db*", "-printf", "%m %U %p\\n").splitlines()
    assert files and all(file.startswith(f"600 {as_user.uid} /home/{USER}/.local/state/litebase/") for file in files), files


def test_the_systems_daemon_is_not_taken_for_the_users(machine):
    """It reads other files: a reload of it would put nothing of the user's in force."""
    machine.ping()
    added = ("litebase", "config", "add-database", "own", "/home/member/own.db")
    refused = machine.run(*added, "--reload", user="member", check=False)
    assert refused.returncode == 69 and "use sudo" in refused.stderr and not machine.path("/home/member/.config/litebase").exists()
    assert machine.run(*added, user="member").stdout.splitlines()[-1].startswith("The system's daemon does not read this file")
    machine.remove("/home/member/.config/litebase")


def test_it_opens_any_file_of_the_user_by_url(machine, as_user):
    as_user("systemctl", "--user", "start", "litebase.socket")
    script = ("import json, wire; client = wire.Client(%r); "
              "session = client.session(url='sqlite:/home/stranger/own.db'); "
              "client.query('CREATE TABLE IF NOT EXISTS t(x)', session=session); client.settle(); print('done')"
              % f"{as_user.runtime}/litebase/litebase.sock")
    done = machine.run("python3", "-c", script, user=USER, environment=["PYTHONPATH=/usr/local/lib/litebase-test"])
    assert done.stdout == "done\n"
    assert machine.output("stat", "-c", "%U", f"/home/{USER}/own.db") == USER
    # The system instance refuses it to the same kind of client: it would open the file with rights of its own.
    refused = machine.run("python3", "-c", script.replace(as_user.runtime, "/run"), user="member", check=False,
                          environment=["PYTHONPATH=/usr/local/lib/litebase-test"])
    assert "permission_denied" in refused.stderr, refused.stderr


def test_it_survives_restart_with_its_connections(machine, as_user):
    as_user("systemctl", "--user", "start", "litebase.socket")
    socket = f"{as_user.runtime}/litebase/litebase.sock"
    script = """
import subprocess, sys, wire
client = wire.Client(sys.argv[1])
first = client.call("health_check").data["pid"]
subprocess.run(["systemctl", "--user", "restart", "litebase.service"], check=True)
assert client.call("health_check").data["pid"] != first
print("stayed")
"""
    done = machine.run("python3", "-c", script, socket, user=USER,
                       environment=["PYTHONPATH=/usr/local/lib/litebase-test", f"XDG_RUNTIME_DIR={as_user.runtime}"])
    assert done.stdout == "stayed\n"


def test_other_users_cannot_reach_it(machine, as_user):
    as_user("systemctl", "--user", "start", "litebase.socket")
    denied = machine.run("litebase", "ping", "-c", "1", "--socket", f"{as_user.runtime}/litebase/litebase.sock", user="member",
                         check=False)
    assert denied.returncode == 77, denied


def test_a_removal_of_the_package_stops_it(machine, as_user):
    """It would run on without a file, and nobody could start it again."""
    as_user("systemctl", "--user", "start", "litebase.socket")
    as_user("litebase", "ping", "-c", "1")
    machine.run("apt-get", "remove", "-y", "-q", "litebase", environment=["DEBIAN_FRONTEND=noninteractive"])
    try:
        assert machine.run("pgrep", "-a", "litebased", check=False).stdout == ""
        units = as_user("systemctl", "--user", "list-units", "--all", "--no-legend", "--plain").stdout
        assert "litebase" not in units
    finally:
        install(machine)
