"""Several servers of MariaDB: which one is taken, and what happens when it dies, is demoted, or leaves its cluster."""

import collections
import json
import os
import subprocess

import pytest

import writers
from daemon import LITEBASE, environment_for, free_port, wait_until
from mariadb import MariaDB
from wire import RequestFailed
from writers import progress

GALERA = "/usr/lib/galera/libgalera_smm.so"


class Networked(MariaDB):
    """One that is reached over TCP."""

    def __init__(self, **settings):
        self.port = free_port()
        super().__init__(skip_networking=0, bind_address="127.0.0.1", port=self.port, skip_name_resolve=1, **settings)

    def furnish(self):
        super().furnish()
        self.sql("GRANT ALL ON *.* TO root@'127.0.0.1'")

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def servers():
    made = []

    def make(**settings):
        made.append(Networked(**settings))
        return made[-1]

    yield make
    for server in made:
        server.discard()


@pytest.fixture(scope="module")
def pair():
    """Two that know nothing of each other; a test says which of them takes writes."""
    made = [Networked(), Networked()]
    for server in made:
        server.sql("CREATE TABLE written(id int)", "lb")
    yield made
    for server in made:
        server.discard()


def close(*servers, read_only=1):
    for server in servers:
        server.sql(f"SET GLOBAL read_only = {read_only}")


def url(*servers, target="read-write", user="lb"):
    return f"mysql://{user}@{','.join(server.place for server in servers)}/lb?target_session_attrs={target}"


def port(client, **where):
    return client.query("SELECT @@port", **(where or {"database": "my"})).value


def host(client):
    [entry] = [one for one in client.call("list_databases").data["databases"] if one["name"] == "my"]
    return entry["server"].get("host")


def replicate(primary, replica):
    for server in (primary, replica):
        server.sql("RESET MASTER")
    primary.sql("CREATE USER repl@'127.0.0.1'; GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'")
    replica.sql(f"CHANGE MASTER TO master_host='127.0.0.1', master_port={primary.port}, master_user='repl', master_use_gtid=slave_pos;"
                "START SLAVE")
    primary.sql("SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC', GLOBAL rpl_semi_sync_master_timeout = 60000,"
                "GLOBAL rpl_semi_sync_master_enabled = 1")
    wait_until(lambda: primary.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'").endswith("\t1"), "the replica is synchronous")


def promote(replica):
    """As an administrator would: what has arrived is applied, then the server takes writes."""
    replica.sql("STOP SLAVE IO_THREAD")
    wait_until(lambda: "has read all relay log" in replica.sql("SHOW SLAVE STATUS"), "everything is applied")
    replica.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0")


def test_a_replica_takes_over(servers, start_daemon):
    """With semi-synchronous replication a commit is answered when the replica has it: so nothing that was acknowledged is lost."""
    common = {"log_bin": "bin", "binlog_format": "ROW", "rpl_semi_sync_slave_enabled": 1}
    primary = servers(server_id=1, **common)
    replica = servers(server_id=2, read_only=1, **common)
    replicate(primary, replica)
    primary.sql("CREATE TABLE written(id int)", "lb")
    daemon = start_daemon(databases={"my": url(replica, primary)})
    clients = writers.start_writers(daemon, "my", "INSERT INTO written VALUES (?)")
    progress(clients)
    with daemon.connect() as client:
        assert host(client) == primary.place
        primary.kill()
        # There is none that takes writes: every one that cannot be reached or is a replica is named.
        wait_until(lambda: "detail" in client.query_fails("SELECT 1", database="my"), "it is lost")
        failed = client.query_fails("SELECT 1", database="my")
        assert failed["code"] == "connect_failed" and failed["retryable"] is True, failed
        assert f"{replica.place}: it is read-only" in failed["detail"] and f"{primary.place}: " in failed["detail"], failed
        promote(replica)
        progress(clients, more=20)
        writers.finish(clients)
        rows = replica.sql("SELECT id, count(*) FROM written GROUP BY id", "lb")
        writers.check(clients, {int(id): int(count) for id, count in (line.split("\t") for line in rows.splitlines())})
        assert host(client) == replica.place and port(client) == replica.port


def test_one_that_takes_writes_is_chosen(pair, start_daemon):
    first, second = pair
    close(first)
    close(second, read_only=0)
    daemon = start_daemon(databases={"my": url(first, second)})
    with daemon.connect() as client:
        assert host(client) is None and port(client) == second.port and host(client) == second.place


def test_the_command_line_names_the_server(pair, start_daemon, directory):
    first, second = pair
    close(first)
    close(second, read_only=0)
    path = limits(first, second)
    daemon = start_daemon("--config", path, databases={})

    def run(*arguments):
        return subprocess.run([LITEBASE, *map(str, arguments)], capture_output=True, text=True, timeout=60, cwd="/", check=True,
                              env=environment_for(directory)).stdout

    assert json.loads(run("config", "test", "my", "--json", "--config", path))["host"] == second.place
    at = ("--socket", daemon.socket_path)
    run("query", "-d", "my", "SELECT 1", *at)
    assert f"reachable at {second.place} for" in run("status", *at)
    assert json.loads(run("status", "--json", *at))["servers"]["my"]["host"] == second.place
    [row] = [row for row in map(json.loads, run("databases", "--format", "jsonl", *at).splitlines()) if row["name"] == "my"]
    assert row["host"] == second.place


@pytest.mark.parametrize(("target", "closed", "wanted"), [
    ("any", [0, 1], 0), ("read-only", [1], 1), ("prefer-standby", [1], 1), ("prefer-standby", [], 0), ("prefer-standby", [0, 1], 0),
])
def test_the_target(pair, start_daemon, target, closed, wanted):
    close(*pair, read_only=0)
    close(*(pair[index] for index in closed))
    daemon = start_daemon(databases={"my": url(*pair, target=target)})
    with daemon.connect() as client:
        assert port(client) == pair[wanted].port


@pytest.mark.parametrize(("target", "read_only", "told"), [("read-write", 1, "takes writes"), ("read-only", 0, "is read-only")])
def test_none_is_the_wanted_one(pair, start_daemon, target, read_only, told):
    close(*pair, read_only=read_only)
    daemon = start_daemon(databases={"my": url(*pair, target=target)})
    with daemon.connect() as client:
        failed = client.query_fails("SELECT 1", database="my")
    assert failed["code"] == "connect_failed" and failed["retryable"] is True and told in failed["message"], failed
    assert all(server.place in failed["detail"] for server in pair), failed


def test_a_server_that_is_demoted_is_left(pair, start_daemon):
    """Its first refusal of a write says so; nothing of the statement has happened, and no other connection to it is used again."""
    first, second = pair
    for server in pair:
        server.sql("TRUNCATE written", "lb")
    close(first, read_only=0)
    close(second)
    daemon = start_daemon("--config", limits(first, second), databases={})
    with daemon.connect() as client, daemon.connect() as other:
        session = other.session(database="my")
        ids = [client.send_query("SELECT @@port, SLEEP(0.2)", database="my") for _ in range(4)]
        for id in ids:
            assert client.collect(id).rows[0][0] == first.port
        close(first)
        close(second, read_only=0)
        failed = client.query_fails("INSERT INTO written VALUES (1)", database="my")
        assert failed["code"] == "connect_failed" and failed["retryable"] is True and failed["vendor_code"] == 1290, failed
        client.query("INSERT INTO written VALUES (1)", database="my")
        assert [port(client) for _ in range(6)] == [second.port] * 6
        wait_until(lambda: f"Database my is at {second.place} now, and was at {first.place}" in daemon.log(), "the log tells it")
        # A session keeps its connection: what it holds cannot be taken elsewhere.
        failed = other.query_fails("INSERT INTO written VALUES (2)", session=session)
        assert failed["code"] == "connect_failed" and not failed.get("retryable") and "hint" in failed, failed
        assert port(other, session=session) == first.port
        other.call("db_disconnect", {"session": session})
        session = other.session(database="my")
        other.query("INSERT INTO written VALUES (2)", session=session)
    assert second.sql("SELECT GROUP_CONCAT(id ORDER BY id) FROM written", "lb") == "1,2" and first.sql("SELECT COUNT(*) FROM written", "lb") == "0"


def test_a_switch_under_load(pair, start_daemon):
    """One is made read-only, then the other is opened: each number is on one of them, once."""
    first, second = pair
    for server in pair:
        server.sql("TRUNCATE written", "lb")
    close(first, read_only=0)
    close(second)
    daemon = start_daemon(databases={"my": url(*pair)})
    clients = writers.start_writers(daemon, "my", "INSERT INTO written VALUES (?)")
    for former, next in ((first, second), (second, first)):
        progress(clients)
        close(former)
        close(next, read_only=0)
        progress(clients, more=10)
    writers.finish(clients)
    found = collections.Counter(int(id) for server in pair for id in server.sql("SELECT id FROM written", "lb").splitlines())
    assert writers.check(clients, found) == 0


def limits(*servers):
    """A configuration with the pair as `my`."""
    path = servers[0].directory / "litebase.toml"
    path.write_text(f'[databases.my]\nurl = "{url(*servers)}"\n')
    path.chmod(0o644)
    return path


def test_the_server_in_use_stays_in_use(pair, start_daemon):
    """A former primary that comes back and believes that it is one is not asked while the present one takes writes."""
    first, second = pair
    close(first)
    close(second, read_only=0)
    daemon = start_daemon(databases={"my": url(first, second)})
    with daemon.connect() as client:
        assert port(client) == second.port
        close(first, read_only=0)
        second.sql("; ".join(f"KILL {id}" for id in second.sql(
            "SELECT id FROM information_schema.processlist WHERE user = 'lb'").splitlines()))
        wait_until(lambda: answered(client) == second.port, "a new connection is made")


def answered(client, database="my"):
    try:
        return port(client, database=database)
    except RequestFailed:
        return None


def test_a_server_that_refuses_writes_is_named(pair, start_daemon):
    """Without a wanted role the error stays what it is, and says what to do."""
    first, _ = pair
    close(first)
    daemon = start_daemon(databases={"my": f"mysql://lb@{first.place}/lb"})
    with daemon.connect() as client:
        failed = client.query_fails("INSERT INTO written VALUES (1)", database="my")
    assert failed["code"] == "read_only" and "target_session_attrs=read-write" in failed["hint"], failed


@pytest.mark.skipif(not os.path.exists(GALERA), reason="galera-4 is not installed")
def test_a_node_of_galera_that_is_not_in_step(servers, pair, start_daemon):
    _, second = pair
    close(second, read_only=0)
    base = free_port()
    node = servers(wsrep_on="ON", wsrep_provider=GALERA, wsrep_cluster_address="gcomm://", binlog_format="ROW",
                   innodb_autoinc_lock_mode=2, wsrep_node_address="127.0.0.1", wsrep_sst_method="rsync",
                   wsrep_provider_options=f"base_host=127.0.0.1;base_port={base};gmcast.listen_addr=tcp://127.0.0.1:{base}")
    wait_until(lambda: node.sql("SHOW STATUS LIKE 'wsrep_local_state'").endswith("\t4"), "the node is in step")
    daemon = start_daemon(databases={"my": url(node, second), "any": url(node, second, target="any")})
    with daemon.connect() as client:
        assert port(client) == node.port
        node.sql("SET GLOBAL wsrep_desync = ON")
        wait_until(lambda: node.sql("SHOW STATUS LIKE 'wsrep_local_state'").endswith("\t2"), "the node is out of step")
        fresh = start_daemon(databases={"my": url(node, second)})
        with fresh.connect() as other:
            assert port(other) == second.port
        node.sql("SET GLOBAL wsrep_desync = OFF")
        # It answers nothing that needs a table: connections to it are left, and none is made.
        node.sql("CREATE TABLE written(id int)", "lb")
        count = "SELECT count(*) FROM written"
        client.query(count, database="any")
        assert port(client, database="any") == node.port
        node.sql("SET GLOBAL wsrep_reject_queries = ALL")
        failed = client.query_fails(count, database="any")
        assert failed["vendor_code"] == 1047 and failed["retryable"] is True, failed
        assert failed["code"] == "connect_failed" and "lost its cluster" in failed["message"] and "WSREP" in failed["detail"], failed
        client.query(count, database="any")
        assert port(client, database="any") == second.port
        # The same without its cluster, where it also ends its connections.
        node.sql("SET GLOBAL wsrep_reject_queries = NONE")
        fresh = start_daemon(databases={"my": url(node, second, target="any")})
        with fresh.connect() as other:
            other.query(count, database="my")
            assert port(other) == node.port
            node.sql("SET GLOBAL wsrep_cluster_address = ''")
            wait_until(lambda: answered(other) == second.port, "the other server is taken")
            other.query(count, database="my")


@pytest.mark.parametrize("target", ["primary", "Read-Write", "", "read-write&target_session_attrs=any"])
def test_a_target_that_is_none(start_daemon, target):
    daemon = start_daemon()
    with daemon.connect() as client:
        failed = client.fails("db_connect", {"url": f"mysql://u@h/d?target_session_attrs={target}"})
    assert failed["code"] == "bad_request" and "target" in failed["message"], failed


def test_a_server_that_cannot_be_furnished_is_ended():
    """Else the tests leave one running for each failure, and the machine gets slower until somebody looks."""
    made = []

    class Unfurnished(MariaDB):
        def set_up(self):
            made.append(self)

        def command(self):
            return ["sleep", "60"]

        def answers(self):
            return True

        def sql(self, sql, database=""):
            raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        Unfurnished()
    [server] = made
    try:
        assert server.process.poll() is not None
        assert not server.directory.exists()
    finally:
        server.discard()
