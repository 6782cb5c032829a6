"""A list that names somebody who was deleted: its database is nobody's, everything else is served, and everybody is told."""

import json
import subprocess

import pytest

from daemon import LITEBASE, run_to_end, wait_until
from identity import needs_root
from manager import Manager
from test_policy import ALICE, BOB, EVE, SALES, databases, policy, table  # noqa: F401

pytestmark = needs_root

LISTS = ("users", "groups", "read_only_users", "read_only_groups")
# Alice may write, Bob may read: whatever list the name is missing from.
RULES = {"users": [f"{ALICE}"], "groups": [f"{SALES}"], "read_only_users": [f"{BOB}"], "read_only_groups": ["61009"]}
GONE = "left-the-company"


def shop(gone_from=None):
    """A configuration with two databases, of which one has all four lists."""
    text = '[databases.open]\nurl = "sqlite:{0}/open.db"\n[databases.shop]\nurl = "sqlite:{0}/shop.db"\n'
    for name, list_ in RULES.items():
        text += f"{name} = {json.dumps(list_ + [GONE] if name == gone_from else list_)}\n"
    return text


def disabled(client):
    return [entry["name"] for entry in client.call("list_databases").data["databases"] if entry.get("disabled")]


@pytest.mark.parametrize("name", LISTS)
def test_a_start_serves_all_but_what_names_nobody(policy, name):
    here = policy(shop(name))
    alice, bob, eve, sales = here.connect(ALICE), here.connect(BOB), here.connect(EVE), here.connect(EVE, [SALES])
    for client in (alice, bob, sales):
        client.query("SELECT 1", database="open")
        assert disabled(client) == ["shop"]
        for request in (("query", {"sql": "SELECT 1", "database": "shop"}), ("db_connect", {"database": "shop"}),
                        ("batch", {"statements": [{"sql": "SELECT 1"}], "database": "shop"}),
                        ("describe", {"sql": "SELECT 1", "database": "shop"})):
            error = client.fails(*request)
            assert error["code"] == "connect_failed" and '"shop" is disabled' in error["message"], error
            # Whoever does not come back by itself is not waited for, and who it is is not told to everybody.
            assert not error.get("retryable") and GONE not in json.dumps(error), error
    # Who may not know of it does not learn of it.
    assert eve.fails("query", {"sql": "SELECT 1", "database": "shop"})["code"] == "database_not_found"
    assert "shop" not in databases(eve)
    with here.daemon.connect() as root:
        error = root.fails("query", {"sql": "SELECT 1", "database": "shop"})
        assert f'{name} names "{GONE}"' in error["detail"] and "--check-config" in error["hint"], error
        assert f'{name} names "{GONE}"' in root.call("stats").data["disabled_databases"]["shop"]
    assert "disabled_databases" not in eve.call("stats").data
    said = [line for line in here.daemon.log().splitlines() if "is disabled" in line]
    assert len(said) == 1 and f"{here.file}:" in said[0] and f'databases.shop.{name} names "{GONE}"' in said[0], said


def test_a_check_calls_it_an_error(policy, directory):
    here = policy(shop())
    for name in LISTS:
        here.write(shop(name))
        status, output = run_to_end("--config", here.file, "--check-config", directory=directory)
        assert status == 78 and f'databases.shop.{name} names "{GONE}"' in output
    here.write(f'[access]\nadmins = ["{GONE}"]\n')
    status, output = run_to_end("--config", here.file, "--check-config", directory=directory)
    assert status == 78 and f'access.admins names "{GONE}"' in output


@pytest.mark.parametrize("name", LISTS)
def test_a_reload_takes_it_from_everybody_and_gives_it_back(policy, name):
    here = policy(shop())
    alice, bob = here.connect(ALICE), here.connect(BOB)
    table(alice, "shop")
    session = alice.call("db_connect", {"database": "shop"}).data["session"]
    alice.query("BEGIN", session=session)
    alice.query("INSERT INTO t VALUES (3, 'c')", session=session)
    here.write(shop(name))
    with here.daemon.connect() as root:
        reply = root.call("reload").data
        assert len(reply["problems"]) == 1 and f"{here.file}:" in reply["problems"][0] and GONE in reply["problems"][0], reply
    assert alice.query_fails("SELECT 1", session=session)["code"] == "session_not_found"
    assert bob.fails("query", {"sql": "SELECT 1", "database": "shop"})["code"] == "connect_failed"
    alice.query("SELECT 1", database="open")
    here.reload(shop())
    assert disabled(alice) == []
    assert bob.query("SELECT count(*) FROM t", database="shop").rows == [[2]]


def test_a_file_by_url_has_the_rules_of_its_database(policy):
    here = policy(shop("read_only_users") + f'[access]\nad_hoc_users = ["{ALICE}", "{GONE}"]\n')
    alice = here.connect(ALICE)
    # The list of [access] gives: without the name it gives less, not more, and to the others what it did.
    alice.call("db_connect", {"url": f"sqlite:{here.directory}/elsewhere.db"})
    error = alice.fails("db_connect", {"url": f"sqlite:{here.directory}/shop.db"})
    assert error["code"] == "permission_denied", error


def test_administrators_stay_when_one_has_left(policy):
    here = policy(f'[access]\nadmins = ["{GONE}", "{BOB}"]\nadmin_groups = ["no-such-group"]\n')
    bob, eve = here.connect(BOB), here.connect(EVE)
    assert bob.call("hello").data["administrator"] is True
    assert eve.call("hello").data["administrator"] is False
    assert "access.admins" in here.daemon.log() and "access.admin_groups" in here.daemon.log()
    problems = bob.call("reload").data["problems"]
    assert len(problems) == 2 and not any("is disabled" in line for line in problems), problems


def test_a_list_that_a_later_file_replaces_is_not_looked_at(policy, directory):
    drop_ins = directory / "litebase.toml.d"
    drop_ins.mkdir()
    (drop_ins / "90-shop.toml").write_text(f'[databases.shop]\nusers = ["{ALICE}"]\n')
    here = policy(shop("users"))
    here.connect(ALICE).query("SELECT 1", database="shop")
    status, output = run_to_end("--config", here.file, "--check-config", directory=directory)
    assert status == 0, output


def test_the_default_database_does_not_change(policy):
    here = policy(f'default_database = "shop"\n{shop("users")}')
    alice = here.connect(ALICE)
    assert alice.fails("query", {"sql": "SELECT 1"})["code"] == "connect_failed"
    alice.query("SELECT 1", database="open")


def test_the_command_line_says_it(policy):
    here = policy(shop("users"))

    def run(*arguments, status=0):
        done = subprocess.run([LITEBASE, *arguments, "--socket", here.daemon.socket_path], capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.returncode == status, done.stderr
        return done.stdout

    listed = {entry["name"]: entry["access"] for entry in map(json.loads, run("databases").splitlines())}
    assert listed["shop"] == "disabled" and listed["open"] == "read_write"
    # For who watches the service: 78, EX_CONFIG of sysexits(3).
    assert GONE in run("status", status=78) and GONE in run("reload")
    assert list(json.loads(run("status", "--json", status=78))["stats"]["disabled_databases"]) == ["shop"]
    assert len(json.loads(run("reload", "--json"))["problems"]) == 1
    here.reload(shop())
    assert GONE not in run("status")


def test_the_service_manager_is_told(directory):
    """Under systemd nobody looks at a log of its own: STATUS= is what `systemctl status` shows."""
    file = directory / "litebase.toml"
    file.write_text(shop("groups").replace("{0}", str(directory)) + '[socket]\ngroup = "no-such-group"\n')
    manager = Manager(directory, "--config", str(file))
    try:
        # The group of a socket that systemd has made is no reason to stay away either.
        manager.start().wait_ready()
        ready = next(state for state in manager.states if state.get("READY") == "1")
        assert "1 disabled (shop)" in ready["STATUS"], ready
        with manager.client() as client:
            client.query("SELECT 1", database="open")
        wait_until(lambda: "is disabled" in manager.log(), "the log names it")
    finally:
        manager.discard()


def test_a_user_namespace_of_its_own_disables_what_it_cannot_decide(directory, start_daemon):
    """PrivateUsers=yes, as in sqlite-only.conf: all peers but root are "nobody" there."""
    file = directory / "litebase.toml"
    file.write_text(shop().replace("{0}", str(directory)) + '[databases.roots]\nurl = "sqlite::memory:"\nusers = ["root"]\n')
    daemon = start_daemon("--config", file, directory=directory, prefix=("unshare", "--user", "--map-root-user"))
    with daemon.connect() as root:
        assert disabled(root) == ["shop"]
        root.query("SELECT 1", database="roots")
        assert "user namespace" in root.call("reload").data["problems"][0]
    assert "user namespace" in daemon.log() and "sqlite-only.conf" in daemon.log()
