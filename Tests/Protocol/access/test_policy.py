"""Who may open which database, and how: users, groups, administrators, URLs, the log, limits of one database."""

import json
import os
import re
import statistics
import subprocess
import time

import pytest

from daemon import ENDLESS, LITEBASE, environment_for, run_to_end, wait_until
from identity import as_user, connect_as, needs_root, process_as
from postgresql import PostgreSQL
from wire import Client, RequestFailed

pytestmark = needs_root

# None of them is in the user or group database: identity is what the kernel says.
ALICE, BOB, CAROL, EVE = 60001, 60002, 60003, 60004
SALES, ANALYSTS = 61001, 61002

SHOP = f"""
[databases.secret]
url = "sqlite:{{0}}/secret.db"
users = ["{ALICE}"]
[databases.team]
url = "sqlite:{{0}}/team.db"
groups = ["{SALES}"]
[databases.shop]
url = "sqlite:{{0}}/shop.db"
users = ["{ALICE}"]
groups = ["{SALES}"]
read_only_users = ["{BOB}"]
read_only_groups = ["{ANALYSTS}"]
[databases.sealed]
url = "sqlite:{{0}}/shop2.db"
access = "read_only"
users = ["{BOB}"]
[databases.closed]
url = "sqlite:{{0}}/closed.db"
users = []
"""


class Policy:
    """A daemon with a configuration file, to which every user of the machine may connect."""

    def __init__(self, start_daemon, directory, text, *flags):
        self.directory, self.file = directory, directory / "litebase.toml"
        self.write(text)
        os.chmod(directory, 0o755)
        self.daemon = start_daemon("--config", self.file, "--socket-mode=666", *flags, directory=directory)
        self.clients = []

    def write(self, text):
        self.file.write_text(text.replace("{0}", str(self.directory)))

    def reload(self, text):
        self.write(text)
        with self.daemon.connect() as root:
            root.call("reload")

    def connect(self, uid, groups=(), gid=None, mode="msgpack"):
        self.clients.append(connect_as(self.daemon.socket_path, uid, gid, groups, mode))
        return self.clients[-1]

    def denials(self):
        """What the log says of denials."""
        return [line for line in self.daemon.log().splitlines() if " may not " in line]


@pytest.fixture
def policy(start_daemon, directory):
    made = []

    def start(text=SHOP, *flags):
        made.append(Policy(start_daemon, directory, text, *flags))
        return made[-1]

    yield start
    for instance in made:
        for client in instance.clients:
            client.close()


def databases(client):
    return {entry["name"]: entry["access"] for entry in client.call("list_databases").data["databases"]}


def table(client, database, rows=2):
    client.query("CREATE TABLE t(x INTEGER PRIMARY KEY, y)", database=database)
    client.query("INSERT INTO t VALUES (1, 'a'), (2, 'b')", database=database)


# Who is who


def test_everybody_sees_what_is_his(policy, mode):
    here = policy()
    with here.daemon.connect(mode) as root:
        assert databases(root) == {"default": "read_write", "secret": "read_write", "team": "read_write",
                                   "shop": "read_write", "sealed": "read_only", "closed": "read_write"}
    expected = [
        ((ALICE,), {"secret": "read_write", "shop": "read_write"}),
        ((BOB,), {"shop": "read_only", "sealed": "read_only"}),
        ((CAROL,), {}),
        ((CAROL, [SALES]), {"team": "read_write", "shop": "read_write"}),
        ((CAROL, [ANALYSTS]), {"shop": "read_only"}),
        ((CAROL, [SALES, ANALYSTS]), {"team": "read_write", "shop": "read_only"}),
        ((ALICE, [ANALYSTS]), {"secret": "read_write", "shop": "read_write"}),
        ((BOB, [SALES]), {"team": "read_write", "shop": "read_only", "sealed": "read_only"}),
        ((CAROL, (), SALES), {"team": "read_write", "shop": "read_write"}),
        ((CAROL, list(range(70000, 70200)) + [SALES]), {"team": "read_write", "shop": "read_write"}),
    ]
    for identity, names in expected:
        assert databases(here.connect(*identity, mode=mode)) == {"default": "read_write", **names}, identity


def test_command_shows_the_access_of_its_caller(policy):
    here = policy()
    result = subprocess.run([LITEBASE, "databases", "--format", "jsonl", "--socket", here.daemon.socket_path], capture_output=True,
                            text=True, timeout=30, cwd="/", preexec_fn=lambda: as_user(BOB),
                            env=environment_for(here.directory))
    assert result.returncode == 0, result.stderr
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["name"]: row["access"] for row in shown} == {
        "default": "read_write", "shop": "read_only", "sealed": "read_only"}


REQUESTS = [
    ("query", {"sql": "SELECT 1"}), ("query", {"sql": "SELECT 1", "page_rows": 1}), ("query", {"sql": "nonsense"}),
    ("query", {"sql": "INSERT INTO t VALUES (1)", "timeout_ms": 5}), ("batch", {"statements": [{"sql": "SELECT 1"}]}),
    ("batch", {"statements": [{"sql": "DELETE FROM t"}], "atomic": False}), ("describe", {"sql": "SELECT 1"}),
    ("db_connect", {}), ("db_connect", {"read_only": True}),
]


def without_name(error, name):
    return json.loads(json.dumps(error).replace(name, "NAME"))


@pytest.mark.parametrize("type, data", REQUESTS, ids=lambda value: str(value)[:40])
def test_a_forbidden_database_looks_as_if_it_were_not_there(policy, mode, type, data):
    here = policy()
    for uid in (EVE, BOB):
        client = here.connect(uid, mode=mode)
        forbidden = client.fails(type, {**data, "database": "secret"})
        unknown = client.fails(type, {**data, "database": "sekret"})
        assert forbidden["code"] == "database_not_found"
        assert without_name(forbidden, "secret") == without_name(unknown, "sekret")
    with here.daemon.connect() as root:
        assert root.call("db_connect", {"database": "closed"}).type == "db_connect_response", "root may always"
    assert not (here.directory / "secret.db").exists(), "it was not even opened"


def test_a_forbidden_database_takes_the_time_of_one_that_is_not_there(policy):
    """Medians of both, in turns, and of one more request behind each; the log is on for the one and not for the other."""
    client = policy(SHOP, "--log-level=info").connect(EVE)
    times = {(name, place): [] for name in ("secret", "sekret") for place in range(2)}
    for _ in range(1500):
        for first in ("secret", "sekret"):
            for place, name in enumerate((first, "nowhere")):
                before = time.perf_counter_ns()
                client.fails("query", {"sql": "SELECT 1", "database": name})
                times[first, place].append(time.perf_counter_ns() - before)
    for place in range(2):
        forbidden, unknown = (statistics.median(times[name, place]) for name in ("secret", "sekret"))
        assert 0.7 < forbidden / unknown < 1.4, (place, forbidden, unknown)


def test_near_names_are_those_that_one_may_know(policy, mode):
    here = policy('[databases.notes]\nurl = "sqlite:{0}/n.db"\n' + SHOP)
    eve, alice = here.connect(EVE, mode=mode), here.connect(ALICE, mode=mode)
    for name in ("NOTES", "nots", "note"):
        assert 'Did you mean "notes"?' in eve.fails("query", {"sql": "SELECT 1", "database": name})["hint"]
    assert 'Did you mean "secret"?' in alice.fails("query", {"sql": "SELECT 1", "database": "sekret"})["hint"]
    for name in ("secret", "sekret", "elephant", "x" * 5000):
        assert "Did you mean" not in eve.fails("query", {"sql": "SELECT 1", "database": name})["hint"]


def test_a_default_database_of_others(policy, mode):
    here = policy(f'[databases.default]\nurl = "sqlite:{{0}}/default.db"\nusers = ["{ALICE}"]\n'
                  '[databases.open]\nurl = "sqlite:{0}/open.db"\n')
    client = here.connect(EVE, mode=mode)
    assert client.call("list_databases").data["databases"] == [
        {"name": "open", "engine": "sqlite", "access": "read_write", "default": False}]
    for type, data in REQUESTS:
        error = client.fails(type, data)
        assert (error["code"], "default.db" in json.dumps(error)) == ("database_not_found", False)
        assert error["message"] == "There is no default database that you may open."
    assert client.query("SELECT 3", database="open").value == 3
    assert here.connect(ALICE).query("SELECT 4").value == 4


def test_clients_over_tcp_are_nobody(policy):
    here = policy(SHOP + f'[access]\nadmins = ["{ALICE}"]\nad_hoc_users = ["0"]\n[socket]\nport = 0\n')
    address = wait_until(lambda: re.search(r"tcp:127\.0\.0\.1:(\d+)", here.daemon.log()), "the port is known")
    with Client(("127.0.0.1", int(address[1]))) as first, Client(("127.0.0.1", int(address[1]))) as second:
        assert databases(first) == {"default": "read_write"}
        assert first.fails("query", {"sql": "SELECT 1", "database": "secret"})["code"] == "database_not_found"
        assert first.fails("db_connect", {"url": f"sqlite:{here.directory}/new.db"})["code"] == "permission_denied"
        assert first.fails("reload")["code"] == "permission_denied"
        assert first.call("hello").data["administrator"] is False
        first.session()
        assert len(first.call("activity").data["entries"]) == 1
        assert second.call("activity").data["entries"] == [], "who has no user sees his own connection alone"


# What else could tell


def test_no_reply_tells_of_the_work_of_others(policy, mode):
    here = policy()
    alice = here.connect(ALICE)
    session = alice.session(database="secret")
    alice.query("CREATE TABLE hidden(x)", session=session)
    alice.query("BEGIN IMMEDIATE", session=session)
    running = alice.send_query(ENDLESS + " /* very hidden */", database="secret")
    client = here.connect(EVE, mode=mode)
    with here.daemon.connect() as root:
        wait_until(lambda: len(root.call("activity").data["entries"]) >= 2, "alice's work is seen by root")
        assert "very hidden" in json.dumps(root.call("activity").data)
    for type in ("activity", "stats", "hello", "list_databases", "health_check"):
        told = json.dumps(client.call(type).data)
        assert not any(word in told for word in ("secret", "hidden", str(ALICE), "closed", "team")), (type, told)
    for type, data in [("cancel", {"request": running}), ("fetch", {"request": running}),
                       ("db_disconnect", {"session": session}), ("query", {"sql": "SELECT 1", "session": session}),
                       ("db_connect", {"url": f"sqlite:{here.directory}/secret.db"}),
                       ("query", {"sql": "ATTACH 'secret.db' AS s"})]:
        try:
            told = json.dumps(client.call(type, data).data)
        except RequestFailed as failure:
            told = json.dumps(failure.data)
        assert "hidden" not in told and str(ALICE) not in told, (type, told)
    alice.call("cancel", {"request": running})
    with pytest.raises(RequestFailed, match="cancelled"):
        alice.collect(running)


# Administrators and URLs


def test_administrators_see_everything_and_open_nothing_more(policy, mode):
    here = policy(SHOP + f'[access]\nadmins = ["{CAROL}"]\nadmin_groups = ["{ANALYSTS}"]\n')
    here.connect(ALICE).session(database="secret")
    alive = here.clients[-1]
    for identity in ((CAROL,), (EVE, [ANALYSTS])):
        admin = here.connect(*identity, mode=mode)
        assert admin.call("hello").data["administrator"] is True
        assert ALICE in [entry["uid"] for entry in admin.call("activity").data["entries"]]
        assert ALICE in [user["uid"] for user in admin.call("stats").data["users"]]
        assert admin.call("reload").data["databases"] == 6
        assert admin.query_fails("SELECT 1", database="secret")["code"] == "database_not_found"
        assert admin.fails("db_connect", {"url": f"sqlite:{here.directory}/new.db"})["code"] == "permission_denied"
    other = here.connect(EVE, mode=mode)
    assert other.call("hello").data["administrator"] is False
    assert other.fails("reload")["code"] == "permission_denied"
    assert [user["uid"] for user in other.call("stats").data["users"]] == [EVE]
    alive.settle()


def test_urls_are_for_those_who_may_and_lead_around_no_rule(policy):
    here = policy(SHOP + f'[access]\nad_hoc_users = ["{BOB}"]\nad_hoc_groups = ["{SALES}"]\n')
    with here.daemon.connect() as root:
        table(root, "shop")
        root.query("CREATE TABLE t(x)", database="secret")
    (here.directory / "link").symlink_to(here.directory / "secret.db")
    os.link(here.directory / "secret.db", here.directory / "hard.db")
    (here.directory / "around").symlink_to(here.directory)
    eve, bob, seller = here.connect(EVE), here.connect(BOB), here.connect(CAROL, [SALES])
    new = {"url": f"sqlite:{here.directory}/new.db"}
    assert eve.fails("db_connect", new)["code"] == "permission_denied"
    assert eve.call("db_connect", {"url": "sqlite::memory:"}).data["engine"] == "sqlite"
    assert bob.call("db_connect", new).data["read_only"] is False
    assert seller.call("db_connect", new).data["read_only"] is False
    for path in ("secret.db", "link", "hard.db", "around/secret.db", "../" + here.directory.name + "/secret.db"):
        for more in ("", "?mode=ro", "?mode=rw"):
            error = bob.fails("db_connect", {"url": f"sqlite:{here.directory}/{path}{more}"})
            assert error["code"] == "permission_denied", path + more
    for path in ("shop.db", "around/shop.db"):
        data = bob.call("db_connect", {"url": f"sqlite:{here.directory}/{path}"}).data
        assert data["read_only"] is True
        assert bob.query("SELECT count(*) FROM t", session=data["session"]).value == 2
        assert bob.query_fails("DELETE FROM t", session=data["session"])["code"] == "read_only"
        assert bob.query_fails(f"ATTACH '{here.directory}/secret.db' AS s", session=data["session"])["code"] == "permission_denied"
        data = seller.call("db_connect", {"url": f"sqlite:{here.directory}/{path}?mode=ro"}).data
        assert data["read_only"] is True
        assert seller.query_fails("DELETE FROM t", session=data["session"])["code"] == "read_only"
        data = seller.call("db_connect", {"url": f"sqlite:{here.directory}/{path}"}).data
        assert seller.query("UPDATE t SET y = 'c'", session=data["session"]).last["rows_affected"] == 2
    session = seller.session(url=f"sqlite:{here.directory}/new.db")
    error = seller.query_fails(f"ATTACH '{here.directory}/secret.db' AS s", session=session)
    assert error["code"] == "permission_denied", "ATTACH is for root and the daemon's own user"


# The log


def test_denials_are_logged_with_user_process_and_program(policy):
    here = policy(SHOP, "--log-level=info")
    request = json.dumps({"id": 1, "type": "query", "data": {"sql": "SELECT 1", "database": "secret"}})
    with process_as(here.daemon.socket_path, EVE, request) as (process, reply):
        assert json.loads(reply)["data"]["code"] == "database_not_found"
        lines = wait_until(here.denials, "the denial is in the log")
        assert len(lines) == 1
        program = os.path.realpath("/usr/bin/python3")
        assert f"(uid {EVE}, pid {process.pid}, {program}) may not open database secret" in lines[0]


def test_denials_of_processes_that_are_gone_have_no_program(policy):
    here = policy(SHOP, "--log-level=info")
    client = here.connect(EVE)
    for type, data in [("query", {"sql": "SELECT 1", "database": "team"}), ("query", {"sql": "SELECT 1", "database": "nowhere"}),
                       ("db_connect", {"url": "sqlite:/etc/passwd"}), ("db_connect", {"url": "postgresql://x:Pa55word@/y"}),
                       ("reload", {})]:
        client.fails(type, data)
    lines = wait_until(lambda: len(here.denials()) >= 4 and here.denials(), "the denials are in the log")
    assert [re.sub(r".*\)(?= may)", "", line) for line in lines] == [
        " may not open database team", *[" may not open a database by this URL"] * 2, " may not reload the configuration"]
    assert all(re.search(rf"\(uid {EVE}, pid \d+\) may", line) for line in lines)
    assert "Pa55word" not in here.daemon.log() and "nowhere" not in here.daemon.log()


def test_denials_of_one_user_do_not_flood_the_log(policy):
    here = policy(SHOP, "--log-level=info")
    client, other = here.connect(EVE), here.connect(CAROL)
    for _ in range(20):
        for id in [client.send_query("SELECT 1", database="secret") for _ in range(50)]:
            with pytest.raises(RequestFailed):
                client.collect(id)
    other.fails("query", {"sql": "SELECT 1", "database": "secret"})
    wait_until(lambda: any(f"uid {CAROL}," in line for line in here.denials()), "the other user's denial is in the log")
    assert sum(f"uid {EVE}," in line for line in here.denials()) == 100


# Limits of one database, and the configuration


def test_a_database_has_limits_of_its_own(policy):
    here = policy('[limits]\nstatement_time_ms_max = 60000\n[databases.quick]\nurl = "sqlite:{0}/q.db"\n'
                  "statement_time_ms_max = 150\n")
    with here.daemon.connect() as client:
        session = client.session(database="quick")
        for options in ({"database": "quick"}, {"session": session}):
            before = time.monotonic()
            error = client.query_fails(ENDLESS, **options)
            assert time.monotonic() - before < 5
            assert (error["code"], error["limit"]["value"]) == ("timeout", 150)
            assert "150 ms" in error["message"]
        here.reload('[databases.quick]\nurl = "sqlite:{0}/q.db"\nstatement_time_ms_max = 170\n')
        assert client.query_fails(ENDLESS, session=session)["limit"]["value"] == 170
        id = client.send_query(ENDLESS)
        time.sleep(0.4)
        assert client.call("cancel", {"request": id}).data == {"cancelled": True}
        with pytest.raises(RequestFailed, match="cancelled"):
            client.collect(id)


def test_who_only_watches_opens_nothing(policy):
    """A monitoring account has to be in the socket's group; it sees everything, and no database, `default` included."""
    here = policy(f'''
[databases.default]
url = "sqlite:{{0}}/default.db"
groups = ["{SALES}"]
[access]
admins = ["{BOB}"]
''')
    bob, sales = here.connect(BOB), here.connect(EVE, [SALES])
    sales.query("CREATE TABLE t(x)")
    assert databases(bob) == {} and bob.call("hello").data["administrator"] is True
    assert bob.call("stats").data["users"] and bob.call("activity").data["entries"] is not None
    for request in (("query", {"sql": "DELETE FROM t"}), ("db_connect", {}), ("db_connect", {"url": f"sqlite:{here.directory}/default.db"})):
        assert bob.fails(*request)["code"] in ("database_not_found", "permission_denied")


@pytest.mark.parametrize("text, problem", [
    ('[databases.x]\nurl = "sqlite:/x"\nusers = "root"\n', "databases.x.users has the wrong type (string)"),
    ('[databases.x]\nurl = "sqlite:/x"\nread_only_url = "sqlite:/y"\n', "databases.x.read_only_url is for databases on servers"),
    ('[databases.x]\nurl = "sqlite:/x"\npool_connections_max = 0\n', "databases.x.pool_connections_max is out of range"),
])
def test_mistakes_stop_the_start_and_change_nothing_at_a_reload(policy, directory, text, problem):
    here = policy("# empty\n")
    here.write(text)
    status, output = run_to_end("--config", here.file, "--check-config", directory=directory)
    assert status == 78 and problem in output
    with here.daemon.connect() as root:
        error = root.fails("reload")
        assert error["code"] == "configuration_invalid" and problem in error["detail"]
        assert databases(root) == {"default": "read_write"}


@pytest.mark.parametrize("text, problem", [
    ('[databases.x]\nurl = "sqlite:/x"\nusers = ["rooot"]\n', 'databases.x.users names "rooot", which is no user of this machine'),
    ('[databases.x]\nurl = "sqlite:/x"\nread_only_groups = ["0", "no such"]\n',
     'databases.x.read_only_groups names "no such", which is no group of this machine'),
    ('[access]\nadmins = ["rooot"]\n', 'access.admins names "rooot", which is no user of this machine'),
    ('[databases.x]\nurl = "sqlite:/x"\nusers = ["4294967295"]\n', 'databases.x.users names "4294967295"'),
    ('[databases.x]\nurl = "sqlite:/x"\nusers = ["-1"]\n', 'databases.x.users names "-1"'),
])
def test_a_check_finds_names_that_nobody_has(directory, text, problem):
    """A daemon is not stopped by them: test_unknown_names.py."""
    file = directory / "litebase.toml"
    file.write_text(text)
    status, output = run_to_end("--config", file, "--check-config", directory=directory)
    assert status == 78 and problem in output


def test_check_config_shows_it_all_without_secrets(directory):
    text = SHOP.replace("{0}", str(directory)) + f"""
[databases.server]
url = "postgresql://lb:Pa55word@/x?host=/tmp"
read_only_url = "postgresql://reader:Pa55word@/x?host=/tmp"
read_only_users = ["root", "{BOB}"]
pool_connections_max = 3
statement_time_ms_max = 5000
[access]
admins = ["root"]
ad_hoc_groups = []
"""
    file = directory / "litebase.toml"
    file.write_text(text)
    status, output = run_to_end("--config", file, "--check-config", directory=directory)
    assert status == 0 and "Pa55word" not in output
    for line in ('admins = ["root"]', "ad_hoc_groups = []", f'read_only_users = ["root", "{BOB}"]', "pool_connections_max = 3",
                 'read_only_url = "postgresql://reader:***@/x?host=/tmp"', f'users = ["{ALICE}"]', "users = []"):
        assert f"\n{line}\n" in output, line
    file.write_text(output)
    again = run_to_end("--config", file, "--check-config", directory=directory)
    assert again == (0, output)


# Servers


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    yield instance
    instance.discard()


@pytest.mark.slow
def test_a_server_of_others_is_not_even_connected_to(policy, server):
    here = policy(f'[databases.pg]\nurl = "{server.url()}"\nusers = ["{ALICE}"]\nread_only_users = ["{BOB}"]\n')
    eve = here.connect(EVE)
    assert eve.fails("query", {"sql": "SELECT 1", "database": "pg"})["code"] == "database_not_found"
    assert eve.fails("db_connect", {"url": server.url()})["code"] == "permission_denied"
    assert server.backends() == []
