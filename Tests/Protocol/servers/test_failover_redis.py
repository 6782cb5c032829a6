"""Redis by Sentinel: the primary is found, followed when it dies, and left when it is demoted; and what a node of a cluster says."""

import contextlib
import os

import pytest

import writers
from daemon import free_port, wait_until
from fake_server import FakeServer
from redis_server import Networked, Redis, read_reply, request_of
from server_process import ServerProcess, find_programs
from subscription import Subscription
from wire import RequestFailed
from writers import progress

NAME = "shop"


class Sentinel(ServerProcess):
    """A real one."""

    name = "Sentinel"
    users = Redis.users

    def __init__(self, primary):
        self.programs = find_programs("redis-server", "redis-cli")
        self.primary, self.port = primary, free_port()
        super().__init__()

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"

    def set_up(self):
        self.file = self.directory / "sentinel.conf"
        self.file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
                             f"sentinel monitor {NAME} 127.0.0.1 {self.primary.port} 2\n"
                             f"sentinel down-after-milliseconds {NAME} 300\nsentinel failover-timeout {NAME} 2000\n")
        if self.user:
            os.chown(self.file, self.user.pw_uid, self.user.pw_gid)

    def command(self):
        return [self.programs["redis-server"], self.file, "--sentinel"]

    def ask(self, *words):
        return self.run(self.programs["redis-cli"], "-p", self.port, *words).strip()

    def answers(self):
        with contextlib.suppress(Exception):
            return self.ask("PING") == "PONG"
        return False


class FakeSentinel(FakeServer):
    """Says what the test has chosen, to who has said its password if it has one."""

    def __init__(self, reply, password=None):
        self.reply, self.password = reply, password
        self.asked = 0
        self.port = free_port()
        super().__init__(("127.0.0.1", self.port))

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"

    def names(self, server):
        self.reply = request_of("127.0.0.1", server.port)
        return self

    def talk(self, connection, stream):
        known = self.password is None
        while words := read_reply(stream):
            if words[0] == "AUTH":
                known = words[1:] == self.password
                connection.sendall(b"+OK\r\n" if known else b"-WRONGPASS invalid\r\n")
            elif not known:
                connection.sendall(b"-NOAUTH Authentication required.\r\n")
            else:
                self.asked += words == ["SENTINEL", "get-master-addr-by-name", NAME]
                connection.sendall(self.reply)


def url(*sentinels, more=""):
    return f"redis+sentinel://{','.join(sentinel.place for sentinel in sentinels)}/{NAME}{more}"


def host(client):
    [entry] = [one for one in client.call("list_databases").data["databases"] if one["name"] == "cache"]
    return entry["server"].get("host")


class Writer(writers.Writer):
    """Redis answers before a replica has a write: only what was waited for, in the session that has written it, is promised."""

    begin, commit, reading = "MULTI", "EXEC", "PING"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = set()

    def transaction(self, id):
        super().transaction(id)
        with contextlib.suppress(RequestFailed):
            if self.client.query("WAIT 1 100", session=self.session).value == 1:
                self.kept.add(id)


@pytest.fixture
def made():
    """Starts what is discarded in the end."""
    with contextlib.ExitStack() as stack:
        def make(kind, *arguments, **settings):
            server = kind(*arguments, **settings)
            stack.callback(server.discard)
            return server
        yield make


@pytest.fixture(scope="module")
def pair():
    made = [Networked(), Networked()]
    yield made
    for server in made:
        server.discard()


@pytest.fixture
def fresh(pair):
    """Both are primaries of nothing."""
    for server in pair:
        server.ask("REPLICAOF", "NO", "ONE")
        server.ask("FLUSHALL")
    return pair


@pytest.fixture
def sentinel(fresh):
    server = FakeSentinel(b"").names(fresh[0])
    yield server
    server.close()


def test_a_replica_takes_over(made, start_daemon):
    primary, replica = made(Networked), made(Networked)
    replica.ask("REPLICAOF", "127.0.0.1", primary.port)
    sentinels = [made(Sentinel, primary) for _ in range(3)]
    wait_until(lambda: "OK 3 usable" in sentinels[0].ask("SENTINEL", "CKQUORUM", NAME), "the Sentinels know each other", timeout=20, interval=0.05)
    wait_until(lambda: f":{replica.port}" in sentinels[0].ask("SENTINEL", "REPLICAS", NAME), "they know the replica", timeout=20, interval=0.05)
    daemon = start_daemon(databases={"cache": url(*sentinels)})
    clients = writers.start_writers(daemon, "cache", "HINCRBY written {id} 1", kind=Writer)
    subscription = Subscription(daemon.connect(), database="cache", channels=["news"])
    progress(clients)
    with daemon.connect() as client:
        assert host(client) == primary.place
        client.query("PUBLISH news before", database="cache")
        assert subscription.event()["payload"] == "before"
        # One Sentinel goes with the primary.
        sentinels[0].kill()
        primary.kill()
        progress(clients, more=8)
        writers.finish(clients)
        found = replica.ask("HGETALL", "written")
        kept = set().union(*(writer.kept for writer in clients))
        assert len(kept) >= 5
        writers.check(clients, {int(id): int(count) for id, count in zip(found[::2], found[1::2])}, kept=kept)
        assert host(client) == replica.place
        # Who finds that it is there again may be the one who listens, and does not say where.
        told = (f", at {replica.place}", f" is at {replica.place} now, and was at {primary.place}")
        wait_until(lambda: any(text in daemon.log() for text in told), "the journal tells it")
        assert not [line for line in daemon.log().splitlines() if "reached again" in line and f", at {primary.place}" in line]
        # Who listens is told of the gap, and hears on.
        wait_until(lambda: replica.ask("PUBSUB", "NUMSUB", "news") == ["news", 1], "the daemon listens there")
        client.query("PUBLISH news after", database="cache")
        heard = []
        while "after" not in heard:
            event = subscription.event()
            assert event is not None, heard
            heard.append("resync" if "resync" in event else event["payload"])
        assert heard == ["resync", "after"]


def test_a_server_that_is_demoted_is_left(sentinel, fresh, start_daemon):
    first, second = fresh
    daemon = start_daemon(databases={"cache": url(sentinel, more="/2")})
    with daemon.connect() as client, daemon.connect() as other:
        session = other.session(database="cache")
        other.query("SET b 1", session=session)
        client.query("SET a 1", database="cache")
        first.ask("REPLICAOF", "127.0.0.1", second.port)
        sentinel.names(second)
        failed = client.query_fails("SET a 2", database="cache")
        assert failed["code"] == "connect_failed" and failed["retryable"] is True, failed
        client.query("SET a 2", database="cache")
        assert host(client) == second.place
        failed = other.query_fails("SET b 2", session=session)
        assert failed["code"] == "connect_failed" and not failed.get("retryable"), failed
    with second.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(request_of("SELECT", 2) + request_of("GET", "a"))
        assert [read_reply(stream), read_reply(stream)] == ["OK", "2"]


def test_a_command_that_waits_at_a_server_that_is_demoted(sentinel, fresh, start_daemon):
    first, second = fresh
    daemon = start_daemon(databases={"cache": url(sentinel)})
    with daemon.connect() as client:
        waiting = client.send_query("BLPOP queue 30", database="cache")
        wait_until(lambda: first.blocked() == 1, "it waits")
        first.ask("REPLICAOF", "127.0.0.1", second.port)
        with pytest.raises(RequestFailed) as failed:
            client.collect(waiting)
        assert failed.value.data["code"] == "connect_failed" and failed.value.data["retryable"] is True, failed.value.data


def test_a_server_that_is_not_the_primary_yet(sentinel, fresh, start_daemon):
    first, second = fresh
    first.ask("REPLICAOF", "127.0.0.1", second.port)
    daemon = start_daemon(databases={"cache": url(sentinel)})
    with daemon.connect() as client:
        failed = client.query_fails("PING", database="cache")
        assert failed["code"] == "connect_failed" and failed["retryable"] is True and "replica" in failed["detail"], failed
        first.ask("REPLICAOF", "NO", "ONE")
        wait_until(lambda: answers(client), "it is taken")


def answers(client):
    try:
        return client.query("PING", database="cache").value == "PONG"
    except RequestFailed:
        return False


def test_a_sentinel_that_is_late(sentinel, fresh, start_daemon):
    """It names a replica still; another one knows better. The next time that one is asked first."""
    first, second = fresh
    first.ask("REPLICAOF", "127.0.0.1", second.port)
    better = FakeSentinel(b"").names(second)
    daemon = start_daemon(databases={"cache": url(sentinel, better)})
    with daemon.connect() as client:
        client.query("SET a 1", database="cache")
        assert host(client) == second.place
    better.close()


@pytest.mark.parametrize(("reply", "told"), [
    (b"*-1\r\n", "knows a primary"), (b"-ERR unknown command 'SENTINEL'\r\n", "unknown command"), (b"+OK\r\n", "no address"),
    (b"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "no address"), (b"*2\r\n$1\r\na\r\n$1\r\n0\r\n", "no address"), (b"?\r\n", "rotocol error"),
])
def test_what_a_sentinel_may_say(fresh, start_daemon, reply, told):
    sentinel = FakeSentinel(reply)
    daemon = start_daemon(databases={"cache": url(sentinel)})
    with daemon.connect() as client:
        failed = client.query_fails("PING", database="cache")
    sentinel.close()
    assert failed["code"] == "connect_failed" and told in failed["message"] + failed.get("detail", ""), failed


@pytest.mark.parametrize(("login", "is_let_in"), [
    ("?sentinel_password=se%40same", True), ("?sentinel_user=ada&sentinel_password=se%40same", True), ("", False), ("?sentinel_password=no", False),
])
def test_a_sentinel_with_a_password(fresh, start_daemon, login, is_let_in):
    sentinel = FakeSentinel(b"", password=["ada", "se@same"] if "user" in login else ["se@same"]).names(fresh[0])
    daemon = start_daemon(databases={"cache": url(sentinel, more=login)})
    with daemon.connect() as client:
        if is_let_in:
            assert client.query("PING", database="cache").value == "PONG"
        else:
            failed = client.query_fails("PING", database="cache")
            assert failed["code"] == "connect_failed" and not failed.get("retryable") and "sentinel_password" in failed["hint"], failed
    sentinel.close()
    assert "same" not in daemon.log()


@pytest.mark.parametrize("text", [
    "redis+sentinel://", "redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h,/n", "redis+sentinel://h/n/x", "redis+sentinel://h/n/1/2",
    "redis+sentinel://h:0/n", "redis+sentinel://h/n?sentinel_user=a", "redis+sentinel://h/n?sentinel_password=", "redis+sentinel://h/n?x=1",
    "redis+sentinel://" + ",".join(["h"] * 17) + "/n",
])
def test_a_url_that_is_none(start_daemon, text):
    with start_daemon().connect() as client:
        assert client.fails("db_connect", {"url": text})["code"] == "bad_request"


def test_a_node_of_a_cluster_says_so(made, start_daemon):
    """Two nodes with half of the slots each. Nothing is followed, and nothing has happened."""
    buses = [free_port(), free_port()]
    nodes = [made(Networked, cluster_enabled="yes", cluster_port=bus) for bus in buses]
    for node, slots in zip(nodes, (("0", "8191"), ("8192", "16383"))):
        node.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
    nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, buses[1])
    wait_until(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes), "the cluster is ready", timeout=20, interval=0.05)
    daemon = start_daemon(databases={"cache": f"redis://{nodes[0].place}"})
    with daemon.connect() as client:
        moved = client.query_fails("SET a 1", database="cache")  # slot 15495
        assert moved["sqlstate"] == "0A000" and "slot 15495 of a Redis Cluster" in moved["message"] and nodes[1].place in moved["message"], moved
        assert "redis+cluster://" in moved["hint"] and not moved.get("retryable")
        client.query("SET b 1", database="cache")  # slot 3300
        crossed = client.query_fails("MSET b 1 c 2", database="cache")  # slot 7365
        assert "{tag}" in crossed["hint"], crossed
        client.query("MSET {b}x 1 {b}y 2", database="cache")
