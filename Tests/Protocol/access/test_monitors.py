"""Who may only watch the daemon: by the socket for that, or by a list; whoever it is, no database is open."""

import os
import socket

import pytest

from daemon import ENDLESS, wait_until
from identity import connect_as, needs_root
from manager import Manager
from test_policy import ALICE, BOB, CAROL, EVE, SALES, policy  # noqa: F401
from wire import Client, RequestFailed

pytestmark = needs_root

# Every request there is, with what it takes to be understood.
WATCHING = [("health_check", {}), ("health_check", {"database": "default"}), ("hello", {}), ("list_databases", {}), ("stats", {}),
            ("cancel", {"request": 99})]
ADMINISTERING = [("activity", {}), ("reload", {})]
ENDING = ("terminate", {"connection": 1 << 40})
USING = [("query", {"sql": "SELECT 1"}), ("batch", {"statements": [{"sql": "SELECT 1"}]}), ("describe", {"sql": "SELECT 1"}),
         ("db_connect", {}), ("db_connect", {"url": "sqlite::memory:"}), ("db_disconnect", {"session": "s1-1"}),
         ("fetch", {"request": 98})]
TWO = f"""
[databases.default]
url = "sqlite:{{0}}/default.db"
[databases.hers]
url = "sqlite:{{0}}/hers.db"
users = ["{ALICE}"]
[databases.broken]
url = "sqlite:{{0}}/broken.db"
users = ["nobody-of-that-name"]
"""


def assert_watches(client, administers=False):
    """It is told everything about the daemon, and nothing else is done for it."""
    for type, data in WATCHING + (ADMINISTERING if administers else []):
        client.call(type, data)
    for type, data in USING + ([] if administers else ADMINISTERING):
        error = client.fails(type, data)
        assert error["code"] == "permission_denied" and error["hint"], (type, error)
    assert client.fails(*ENDING)["code"] == ("target_not_found" if administers else "permission_denied")
    hello = client.call("hello").data
    assert hello["monitor"] is True and hello["administrator"] is administers
    client.settle()


def seen(client):
    return {entry["name"]: entry["access"] for entry in client.call("list_databases").data["databases"]}


@pytest.mark.parametrize("identity", [(BOB,), (EVE, [SALES])])
def test_who_is_listed_sees_how_everything_is_and_opens_nothing(policy, mode, identity):  # noqa: F811
    here = policy(TWO + f'[access]\nmonitors = ["{BOB}"]\nmonitor_groups = ["{SALES}"]\n')
    alice = here.connect(ALICE)
    alice.query("CREATE TABLE t(x)", database="hers")
    assert "monitor" not in alice.call("hello").data
    monitor = here.connect(*identity, mode=mode)
    assert_watches(monitor)
    assert seen(monitor) == {"default": "none", "hers": "none", "broken": "none"}
    # A database that is somebody's answers to it, too; nothing is said of what is in it.
    health = monitor.call("health_check", {"database": "hers"}).data["database"]
    assert set(health) == {"name", "engine", "server_version", "elapsed_us"}
    assert monitor.fails("health_check", {"database": "none"})["code"] == "database_not_found"
    assert "nobody-of-that-name" in monitor.fails("health_check", {"database": "broken"})["detail"]
    stats = monitor.call("stats").data
    assert ALICE in [user["uid"] for user in stats["users"]] and "broken" in stats["disabled_databases"]
    wait_until(lambda: "may only ask how the daemon is" in here.daemon.log(), "the denial is in the log")


def test_lists_of_databases_and_of_urls_open_nothing_to_who_is_listed(policy, mode):  # noqa: F811
    here = policy(TWO + f'[access]\nmonitors = ["{ALICE}", "{CAROL}", "0"]\nadmins = ["{CAROL}"]\nad_hoc_users = ["{ALICE}"]\n')
    assert_watches(here.connect(ALICE, mode=mode))
    assert_watches(here.connect(CAROL, mode=mode), administers=True)
    with here.daemon.connect(mode) as root:
        assert root.query("SELECT 1").value == 1 and "monitor" not in root.call("hello").data


def test_a_reload_takes_and_gives_it(policy, mode):  # noqa: F811
    here = policy(TWO)
    alice = here.connect(ALICE, mode=mode)
    session = alice.session(database="hers")
    running = alice.send_query(ENDLESS, database="hers")
    wait_until(lambda: any(entry["type"] == "query" for entry in alice.call("activity").data["entries"]), "it runs")
    here.reload(TWO + f'[access]\nmonitors = ["{ALICE}"]\n')
    with pytest.raises(RequestFailed) as failed:
        alice.collect(running)
    assert failed.value.code == "permission_denied"
    assert alice.query_fails("SELECT 1", session=session)["code"] == "permission_denied"
    assert_watches(alice)
    # Its own question goes on, whatever is reloaded.
    here.reload(TWO + f'[access]\nmonitors = ["{ALICE}", "{BOB}"]\n')
    alice.call("health_check", {"database": "hers"})
    here.reload(TWO)
    assert alice.query("SELECT 1", database="hers").value == 1


class Watched(Manager):
    """A service manager that passes the socket for monitoring as well."""

    def __init__(self, directory, *flags):
        os.chmod(directory, 0o755)
        super().__init__(directory, *flags)
        self.monitor_path = str(directory / "monitor.sock")
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.bind(self.monitor_path)
        self.monitor.listen()
        os.chmod(self.monitor_path, 0o666)
        self.sockets.append(("monitor", self.monitor))


@pytest.fixture
def watched(directory):
    (directory / "litebase.toml").write_text(
        f'[databases.default]\nurl = "sqlite:{directory}/default.db"\n[access]\nadmins = ["{CAROL}"]\n')
    manager = Watched(directory, "--config", str(directory / "litebase.toml"))
    manager.start().wait_ready()
    yield manager
    manager.discard()
    manager.monitor.close()


def test_nobody_opens_a_database_by_the_socket_for_monitoring(watched, mode):
    with watched.client() as root:
        root.query("CREATE TABLE t(x)")
        for uid, administers in ((EVE, False), (CAROL, True), (0, True)):
            with connect_as(watched.monitor_path, uid, mode=mode) as monitor:
                assert_watches(monitor, administers)
                assert 0 in [user["uid"] for user in monitor.call("stats").data["users"]]
        root.query("INSERT INTO t VALUES (1)")


def test_a_connection_for_monitoring_ends_with_the_process(watched):
    """Kept, it would be an ordinary one to a version that does not know the socket, or to a process without it."""
    with watched.client() as root, Client(watched.monitor_path) as monitor:
        root.call("hello")
        monitor.call("stats")
        wait_until(lambda: len(watched.names("client-")) == 1, "the one is kept")
        watched.restart().wait_ready()
        assert root.query("SELECT 1").value == 1
        monitor.socket.settimeout(5)
        assert monitor.socket.recv(1) == b""
    with Client(watched.monitor_path) as monitor:
        assert_watches(monitor, administers=True)


def test_over_tcp_there_is_no_socket_for_monitoring(directory):
    manager = Manager(directory)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        manager.sockets.append(("monitor", listener))
        manager.start()
        wait_until(lambda: "is not a Unix socket" in manager.log(), "it is refused")
        manager.discard()
