"""Redis Cluster: commands go to the node of their keys, slots that move are followed, and nothing is lost or done twice meanwhile."""

import contextlib
import itertools
import os
import threading
import time

import pytest

import writers
from daemon import free_port, wait_until
from fake_server import FakeServer
from redis_cluster import Cluster
from redis_server import Networked, read_reply, request_of
from subscription import Subscription
from wire import RequestFailed
from writers import progress


@pytest.fixture(scope="module")
def cluster():
    made = Cluster(replicas=0)
    yield made
    made.discard()


@pytest.fixture
def served(cluster, start_daemon):
    for node in cluster.nodes:
        node.ask("FLUSHALL")
    return start_daemon(databases={"cache": cluster.url()})


@pytest.fixture
def client(served):
    with served.connect() as client:
        yield client


def on(client, sql, params=None, **options):
    return client.query(sql, params, database="cache", **options)


def fails(client, sql, params=None, **options):
    return client.query_fails(sql, params, database="cache", **options)


def entry(client):
    [found] = [one for one in client.call("list_databases").data["databases"] if one["name"] == "cache"]
    return found


# Commands


def test_each_command_goes_to_the_node_of_its_key(cluster, client):
    for number in range(200):
        on(client, "SET", [f"key:{number}", f"value {number}"])
    assert [on(client, f"GET key:{number}").value for number in range(200)] == [f"value {number}" for number in range(200)]
    counts = [node.ask("DBSIZE") for node in cluster.nodes]
    assert sum(counts) == 200 and all(counts), counts
    assert entry(client)["server"]["reachable"] is True


@pytest.mark.parametrize(("sql", "value"), [
    ("MSET {a}1 x {a}2 y", "OK"), ("EVAL \"return redis.call('SET', KEYS[1], ARGV[1])\" 1 a x", {"ok": "OK"}), ("DEL {a}1 {a}2 {a}3", 0),
    ("ZUNIONSTORE {z} 2 {z}1 {z}2", 0), ("XADD s 1-1 f v", "1-1"), ("OBJECT ENCODING nothing", None), ("BLPOP {q}1 {q}2 0.01", None),
    ("SORT b", None), ("EXISTS b", 0), ("EVAL 'return 7' 0", 7), ("PING", "PONG"), ("ECHO x", "x"), ("MEMORY USAGE b", None),
])
def test_keys_are_found_where_the_server_says_they_are(client, sql, value):
    answer = on(client, sql)
    if not isinstance(value, dict):
        assert (answer.rows[0][0] if answer.rows else None) == value


def test_streams_of_one_slot(client):
    on(client, "XADD {s}1 1-1 f v")
    on(client, "XADD {s}2 1-1 f v")
    assert [row[0] for row in on(client, "XREAD COUNT 1 STREAMS {s}1 {s}2 0 0").rows] == ["{s}1", "{s}2"]


@pytest.mark.parametrize("sql", ["MSET a 1 b 2", "DEL a b", "EVAL 'return 1' 2 a b", "SINTERSTORE a {a}1 b", "RENAME a b", "BLPOP a b 1"])
def test_keys_of_several_slots_are_refused_before_anything_is_sent(cluster, client, sql):
    failed = fails(client, sql)
    assert failed["code"] == "bad_request" and "15495 and 3300" in failed["message"] and "{tag}" in failed["hint"], failed
    # A node would have said so.
    assert not any("CROSSSLOT" in node.ask("INFO", "errorstats") for node in cluster.nodes)


@pytest.mark.parametrize("sql", ["SCAN 0", "KEYS *", "DBSIZE", "FLUSHALL", "FLUSHDB", "RANDOMKEY", "SCRIPT LOAD 'return 1'", "CONFIG SET maxmemory 0"])
def test_what_is_about_all_keys_is_refused(client, sql):
    on(client, "SET a 1")
    failed = fails(client, sql)
    assert failed["code"] == "bad_request" and "all keys or all nodes" in failed["message"] and "redis://" in failed["hint"], failed
    assert on(client, "GET a").value == "1"


def test_long_commands(client):
    keys = [f"{{tag}}{number}" for number in range(5_000)]
    on(client, "MSET", list(itertools.chain.from_iterable((key, "x" * 20) for key in keys)))
    assert on(client, "EXISTS", keys).value == 5_000
    assert fails(client, "EXISTS", [*keys, "other"])["code"] == "bad_request"


def test_long_replies_stream(client):
    on(client, "RPUSH list " + " ".join(str(number) for number in range(5_000)))
    assert [row[0] for row in on(client, "LRANGE list 0 -1").rows] == [str(number) for number in range(5_000)]


def test_errors_are_those_of_the_server(client):
    on(client, "SET a text")
    failed = fails(client, "LPUSH a 1")
    assert failed["sqlstate"] == "42804" and failed["detail"] == "Redis: WRONGTYPE", failed
    assert fails(client, "NOSUCHCOMMAND a")["code"] == "syntax_error"
    assert fails(client, "SUBSCRIBE a")["sqlstate"] == "0A000"


def test_the_catalog_is_of_all_primaries(cluster, client):
    for number in range(300):
        on(client, f"SET user:{number}:name x")
    rows = catalog(client, "relations")
    assert rows["user:"] == 300, rows


def catalog(client, level):
    """Names and estimates."""
    id, frames = client.send("catalog", {"database": "cache", "level": level}), []
    while not frames or not frames[-1].terminal:
        frames.append(client.receive_for(id))
        assert frames[-1].type == "catalog_response", frames[-1].data
    names = [column["name"] for column in frames[0].data["columns"]]
    rows = [dict(zip(names, row)) for frame in frames for row in frame.data["rows"]]
    return {row["name"]: row["row_estimate"] for row in rows}


# Batches


def test_batches_are_of_one_slot(client):
    client.batch([{"sql": "INCR {a}n"}, {"sql": "INCR {a}n"}, {"sql": "PING"}], database="cache")
    client.batch([{"sql": "INCR {a}n"}], atomic=False, database="cache")
    assert on(client, "GET {a}n").value == "3"
    failed = client.fails("batch", {"statements": [{"sql": "INCR {a}n"}, {"sql": "PING"}, {"sql": "INCR b"}], "database": "cache"})
    assert failed["code"] == "bad_request" and failed["statement_index"] == 2 and "15495 and 3300" in failed["message"], failed
    assert on(client, "GET {a}n").value == "3"


# Sessions


def test_a_transaction_begins_at_the_node_of_its_first_key(client):
    for key in ("a", "b", "c", "foo"):
        session = client.session(database="cache")
        assert client.query("MULTI", session=session).value == "OK"
        assert client.query(f"INCR {key}", session=session).value == "QUEUED"
        assert client.query(f"INCR {{{key}}}2", session=session).value == "QUEUED"
        assert [row[0] for row in client.query("EXEC", session=session).rows] == [1, 1]
        client.call("db_disconnect", {"session": session})


def test_one_session_goes_from_node_to_node(client):
    session = client.session(database="cache")
    for number in range(30):
        key = f"k{number}"
        client.query(f"WATCH {key}", session=session)
        assert client.query(f"GET {key}", session=session).value is None
        client.query("MULTI", session=session)
        client.query(f"SET {key} {number}", session=session)
        client.query("EXEC", session=session)
    assert [on(client, f"GET k{number}").value for number in range(30)] == [str(number) for number in range(30)]


def test_keys_of_other_slots_are_refused_within_a_transaction(client):
    session = client.session(database="cache")
    client.query("MULTI", session=session)
    client.query("SET a 1", session=session)
    failed = client.query_fails("SET b 1", session=session)
    assert failed["code"] == "bad_request" and "transaction" in failed["message"] and "15495 and 3300" in failed["message"], failed
    # Nothing was sent, so it goes on.
    client.query("SET {a}2 1", session=session)
    client.query("EXEC", session=session)
    assert on(client, "EXISTS a {a}2").value == 2 and on(client, "EXISTS b").value == 0


def test_watched_keys_bind_a_session(client):
    session = client.session(database="cache")
    client.query("WATCH a", session=session)
    failed = client.query_fails("GET b", session=session)
    assert failed["code"] == "bad_request" and "watched" in failed["message"] and "{tag}" in failed["hint"], failed
    on(client, "SET a other")
    client.query("MULTI", session=session)
    client.query("SET {a}2 1", session=session)
    failed = client.query_fails("EXEC", session=session)
    assert failed["code"] == "busy" and failed["sqlstate"] == "40001", failed
    assert client.query("GET b", session=session).value is None


def test_the_ends_of_empty_transactions(client):
    session = client.session(database="cache")
    client.query("MULTI", session=session)
    assert client.query("DISCARD", session=session).value == "OK"
    client.query("MULTI", session=session)
    assert client.query_fails("MULTI", session=session)["sqlstate"] == "25001"
    assert client.query("EXEC", session=session).rows == []
    assert client.query_fails("EXEC", session=session)["sqlstate"] == "25P01"
    client.query("WATCH a", session=session)
    client.query("MULTI", session=session)
    assert client.query("DISCARD", session=session).value == "OK"
    assert client.query("GET b", session=session).value is None


# Slots that move


def test_moved_and_ask_are_followed(cluster, client):
    source, key = cluster.primary("mine"), "{mine}"
    target = next(node for node in cluster.nodes if node is not source)
    slot = source.ask("CLUSTER", "KEYSLOT", "mine")
    for number in range(10):
        on(client, f"SET {key}{number} {number}")
    session = client.session(database="cache")

    def between():
        # Half of the keys are there; new ones go there, too.
        assert [on(client, f"GET {key}{number}").value for number in range(10)] == [str(number) for number in range(10)]
        on(client, f"SET {key}new 1")
        assert on(client, f"INCR {key}new").value == 2
        client.batch([{"sql": f"INCR {key}batch"}, {"sql": f"INCR {key}batch"}], database="cache")
        client.batch([{"sql": f"INCR {key}batch"}], atomic=False, database="cache")
        client.query(f"SET {key}session 1", session=session)
        client.query("MULTI", session=session)
        client.query(f"INCR {key}session", session=session)
        assert [row[0] for row in client.query("EXEC", session=session).rows] == [2]
        # Some here, some there.
        failed = fails(client, f"MGET {key}0 {key}1 {key}2 {key}3 {key}4 {key}5 {key}6 {key}7 {key}8 {key}9")
        assert failed["code"] == "busy" and failed["retryable"] is True, failed

    cluster.move(slot, source, target, between)
    assert [on(client, f"GET {key}{number}").value for number in range(10)] == [str(number) for number in range(10)]
    assert (on(client, f"GET {key}new").value, on(client, f"GET {key}batch").value) == ("2", "3")
    assert len(on(client, f"MGET {key}0 {key}1 {key}2").rows) == 3
    client.query(f"SET {key}session 3", session=session)
    # The map is a new one soon: the former node is not asked any more.
    time.sleep(1.5)
    on(client, f"GET {key}0")
    time.sleep(1.5)
    before = source.ask("INFO", "commandstats")
    for _ in range(20):
        on(client, f"GET {key}0")
    assert source.ask("INFO", "commandstats").split("cmdstat_get:")[1].split("\n")[0] == before.split("cmdstat_get:")[1].split("\n")[0]
    cluster.move(slot, target, source)


def test_a_transaction_whose_slot_moves_is_repeated_as_a_whole(cluster, client):
    source = cluster.primary("{t}")
    target = next(node for node in cluster.nodes if node is not source)
    slot = source.ask("CLUSTER", "KEYSLOT", "{t}")
    session = client.session(database="cache")
    client.query("MULTI", session=session)
    client.query("INCR {t}1", session=session)
    cluster.move(slot, source, target)
    failed = client.query_fails("EXEC", session=session)
    assert failed["code"] == "busy" and failed["retryable"] is True and "nothing" in failed["message"], failed
    client.query("MULTI", session=session)
    client.query("INCR {t}1", session=session)
    assert [row[0] for row in client.query("EXEC", session=session).rows] == [1]
    cluster.move(slot, target, source)


class Counter(threading.Thread):
    """Increments a key of its own; `unknown`: how many may or may not have been done."""

    def __init__(self, daemon, key):
        super().__init__(daemon=True)
        self.client, self.key = daemon.connect(), key
        self.done = self.unknown = 0
        self.values, self.codes = [], {}
        self.ending, self.problem = threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                self.once()
        except BaseException as problem:  # noqa: BLE001  told by `finish`
            self.problem = problem

    def once(self):
        try:
            self.values.append(on(self.client, f"INCR {self.key}").value)
            self.done += 1
        except RequestFailed as failure:
            code = failure.data["code"]
            self.codes[code] = self.codes.get(code, 0) + 1
            self.unknown += code == "outcome_unknown"
            assert code == "outcome_unknown" or failure.data.get("retryable"), failure.data
            time.sleep(failure.data.get("retry_after_ms", 10) / 1000)

    def finish(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive(), "a counter hangs"
        if self.problem:
            raise self.problem


def test_slots_move_under_load(start_daemon):
    """To a new node and back, by redis-cli: each increment that was acknowledged is there once, and no other one."""
    cluster = Cluster(replicas=0)
    try:
        daemon = start_daemon(databases={"cache": cluster.url()})
        counters = [Counter(daemon, f"counter:{number}") for number in range(12)]
        wait_until(lambda: all(counter.done > 20 for counter in counters), "all count")
        new = cluster.add()
        first = cluster.nodes[0]
        for source, target in ((first, new), (new, first)):
            before = [counter.done for counter in counters]
            cluster.cli("--cluster", "reshard", first.place, "--cluster-from", source.id, "--cluster-to", target.id, "--cluster-slots", 3000,
                        "--cluster-yes", "--cluster-pipeline", 5)
            wait_until(lambda: all(counter.done > count + 20 for counter, count in zip(counters, before)), "all go on", timeout=30)
        for counter in counters:
            counter.finish()
            assert counter.unknown == 0 and counter.values == list(range(1, counter.done + 1)), counter.codes
            assert cluster.get(counter.key) == str(counter.done)
        assert sum(counter.done for counter in counters) > 1000
    finally:
        cluster.discard()


class Writer(writers.Writer):
    """A cluster answers before a replica has a write: only what was waited for, in the session that has written it, is promised."""

    begin, commit, reading = "MULTI", "EXEC", "PING"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = set()

    def statement(self, id):
        return {"sql": f"HINCRBY written:{self.number} {id} 1"}

    def transaction(self, id):
        super().transaction(id)
        with contextlib.suppress(RequestFailed):
            if self.client.query("WAIT 1 100", session=self.session).value == 1:
                self.kept.add(id)


def test_a_replica_takes_over(start_daemon):
    cluster = Cluster()
    try:
        daemon = start_daemon(databases={"cache": cluster.url()})
        subscription = Subscription(daemon.connect(), database="cache", channels=["news"])
        clients = writers.start_writers(daemon, "cache", "", kind=Writer)
        progress(clients)
        primary = cluster.primary(f"written:{clients[1].number}")
        replica = cluster.replica(primary)
        primary.kill()
        wait_until(lambda: replica.ask("ROLE")[0] == "master", "the replica takes over", timeout=30, interval=0.05)
        progress(clients, more=8)
        writers.finish(clients)
        for writer in clients:
            found = cluster.get(f"written:{writer.number}", "HGETALL")
            found = {int(id): int(count) for id, count in zip(found[::2], found[1::2])}
            # The others' acknowledged writes are those of servers that were there all the time.
            lost = cluster.primary(f"written:{writer.number}") is replica
            writers.check([writer], found, kept=writer.kept if lost else None)
        assert len(set().union(*(writer.kept for writer in clients))) >= 5
        with daemon.connect() as client:
            on(client, "PUBLISH news after")
            heard = []
            while "after" not in heard:
                event = subscription.event()
                assert event is not None, heard
                heard.append("resync" if "resync" in event else event["payload"])
            assert on(client, f"HLEN written:{clients[1].number}").value > 0
            wait_until(lambda: entry(client)["server"]["reachable"], "it can be reached")
    finally:
        cluster.discard()


def test_a_cluster_that_is_down_is_busy(start_daemon):
    """A part of the slots is nobody's: what is of them waits a moment, and gets an error that says that nothing has happened."""
    cluster = Cluster(replicas=0)
    try:
        daemon = start_daemon(databases={"cache": cluster.url()})
        with daemon.connect() as client:
            on(client, "SET a 1")
            for node in cluster.nodes:
                with contextlib.suppress(ValueError):
                    node.ask("CLUSTER", "DELSLOTS", 15495)
            begin = time.monotonic()
            failed = fails(client, "SET a 2")
            assert failed["code"] == "busy" and failed["retryable"] is True, failed
            assert 0.5 < time.monotonic() - begin < 10
            begin = time.monotonic()
            assert fails(client, "SET a 2", timeout_ms=200)["code"] == "timeout"
            assert time.monotonic() - begin < 1
            cluster.nodes[0].ask("CLUSTER", "ADDSLOTS", 15495)
            wait_until(lambda: succeeds(client, "SET a 3"), "it is up again", timeout=30)
    finally:
        cluster.discard()


def succeeds(client, sql):
    with contextlib.suppress(RequestFailed):
        on(client, sql)
        return True
    return False


# Logins, readers, limits


def test_passwords_are_for_all_nodes(start_daemon):
    cluster = Cluster(replicas=0, requirepass="Xq7hidden", masterauth="Xq7hidden")
    try:
        daemon = start_daemon(databases={"cache": cluster.url(password="Xq7hidden"), "stranger": cluster.url()})
        with daemon.connect() as client:
            for key in ("a", "b", "c", "foo"):
                on(client, f"SET {key} 1")
            failed = client.query_fails("GET a", database="stranger")
            assert failed["code"] == "connect_failed" and failed["sqlstate"] == "28000", failed
        assert "Xq7hidden" not in daemon.log()
    finally:
        cluster.discard()


def test_who_may_only_read(cluster, served, client):
    on(client, "SET a 1")
    session = client.session(database="cache", read_only=True)
    assert client.query("GET a", session=session).value == "1"
    assert client.query_fails("SET b 1", session=session)["code"] == "read_only"


def test_connections_are_those_of_one_database(cluster, start_daemon, tmp_path):
    """However many wait, all nodes together get no more connections than one server would."""
    config = tmp_path / "litebase.toml"
    config.write_text(f'[limits]\npool_connections_max = 6\n[databases.cache]\nurl = "{cluster.url()}"\n')
    daemon = start_daemon("--config", config)
    clients = [daemon.connect() for _ in range(24)]
    keys = ["a", "b", "c", "foo", "hello", "x"]
    ids = [client.send_query(f"BLPOP queue:{keys[number % 6]} 3", database="cache") for number, client in enumerate(clients)]
    time.sleep(0.8)
    count = sum(len(node.clients()) for node in cluster.nodes)
    assert 3 <= count <= 6, count
    for client, id in zip(clients, ids):
        with contextlib.suppress(RequestFailed):
            client.collect(id)


def test_a_command_that_waits_is_cancelled(cluster, client):
    begin = time.monotonic()
    assert fails(client, "BLPOP nothing 0", timeout_ms=200)["code"] == "timeout"
    assert time.monotonic() - begin < 2
    wait_until(lambda: sum(node.blocked() for node in cluster.nodes) == 0, "it does not wait any more")


def test_a_lost_connection_leaves_it_open_what_was_done(start_daemon):
    cluster = Cluster(replicas=0)
    try:
        daemon = start_daemon(databases={"cache": cluster.url()})
        with daemon.connect() as client:
            on(client, "SET a 1")
            session = client.session(database="cache")
            client.query("MULTI", session=session)
            client.query("SET a 2", session=session)
            node = cluster.primary("a")
            waiting = client.send_query("BLPOP {a}queue 30", database="cache")
            wait_until(lambda: node.blocked() == 1, "it waits")
            node.kill()
            with pytest.raises(RequestFailed) as failed:
                client.collect(waiting)
            assert failed.value.data["code"] == "outcome_unknown", failed.value.data
            # What follows in the session is not executed by itself, here or elsewhere.
            for sql in ("SET b 2", "SET a 3", "EXEC"):
                lost = client.query_fails(sql, session=session)
                assert lost["code"] in ("connect_failed", "bad_request") and not lost.get("retryable"), lost
            assert on(client, "EXISTS b").value == 0
            failed = fails(client, "GET a")
            assert failed["code"] == "connect_failed" and node.place in failed["detail"], failed
            assert entry(client)["server"]["reachable"] is False
            node.start()
            wait_until(lambda: succeeds(client, "GET a"), "it is there again", timeout=30)
    finally:
        cluster.discard()


# Servers that mean ill


def test_a_server_that_is_not_there(start_daemon):
    daemon = start_daemon(databases={"cache": "redis+cluster://127.0.0.1:1"})
    with daemon.connect() as client:
        failed = fails(client, "GET a")
        assert failed["code"] == "connect_failed" and failed["retryable"] is True and failed["retry_after_ms"] > 0, failed
        assert client.fails("db_connect", {"database": "cache"})["code"] == "connect_failed"
        assert entry(client)["server"]["reachable"] is False


def test_a_server_without_a_cluster(start_daemon):
    server = Networked()
    try:
        daemon = start_daemon(databases={"cache": f"redis+cluster://{server.place}"})
        with daemon.connect() as client:
            failed = fails(client, "GET a")
            assert failed["code"] == "connect_failed" and "not part of a cluster" in failed["message"] and not failed.get("retryable"), failed
    finally:
        server.discard()


class FakeNode(FakeServer):
    """Tells the map that the test has chosen, and answers other commands by `reply`."""

    command = b"*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"

    def __init__(self, port, nodes=None, reply=b"+fine\r\n"):
        self.port, self.reply, self.seen = port, reply, []
        self.nodes = nodes or f"a 127.0.0.1:{port}@1 myself,master - 0 0 1 connected 0-16383\n"
        super().__init__(("127.0.0.1", port))

    def talk(self, connection, stream):
        while words := read_reply(stream):
            self.seen.append(words)
            answer = {"HELLO": b"*4\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n", "COMMAND": self.command, "INFO": b"$0\r\n\r\n",
                      "CLUSTER": request_of(self.nodes)[4:], "ASKING": b"+OK\r\n"}.get(words[0])
            connection.sendall(answer or self.reply)


@pytest.fixture
def fake():
    made = []

    def make(**settings):
        made.append(FakeNode(free_port(), **settings))
        return made[-1]
    yield make
    for node in made:
        node.close()


def test_redirections_come_to_an_end(start_daemon, fake):
    node = fake()
    node.reply = b"-MOVED 15495 127.0.0.1:%d\r\n" % node.port
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        failed = fails(client, "GET a")
        assert failed["code"] == "busy" and failed["retryable"] is True, failed
        assert len([words for words in node.seen if words[0] == "GET"]) <= 17
        for reply in (b"-TRYAGAIN x\r\n", b"-CLUSTERDOWN x\r\n"):
            node.reply = reply
            assert fails(client, "GET a")["code"] == "busy"
        assert len([words for words in node.seen if words[0] == "CLUSTER"]) < 12


def test_a_redirection_leads_to_no_server_that_the_cluster_does_not_name(start_daemon, fake):
    """A script can say MOVED, too: whoever may run one must not have the daemon log in at a place of their choice."""
    victim = fake()
    node = fake()
    daemon = start_daemon(databases={"cache": f"redis+cluster://:Xq7hidden@127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        for word in (b"MOVED", b"ASK"):
            node.reply = b"-%s 15495 127.0.0.1:%d\r\n" % (word, victim.port)
            assert fails(client, "GET a")["code"] == "busy"
        node.reply = b"-MOVED 1 127.0.0.1:%d\r\n" % victim.port
        assert fails(client, "GET a")["sqlstate"] == "0A000"
    assert not victim.seen


@pytest.mark.parametrize("nodes", [
    "", "x", "a 127.0.0.1:1 master - 0 0 1 connected 0-16384", "a 127.0.0.1:1 master - 0 0 1 connected 0 0", "a /run/x:1 master - 0 0 1 connected 0",
    "".join(f"a 127.0.0.1:{port} master - 0 0 1 connected\n" for port in range(1, 200)), "a 127.0.0.1:1 slave b 0 0 1 connected\n" * 5_000,
    "x" * (2 << 20),
], ids=["nothing", "word", "slot", "twice", "path", "many", "lines", "long"])
def test_what_a_server_may_tell_of_its_cluster(start_daemon, fake, nodes):
    node = fake(nodes=nodes or "\n")
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        failed = fails(client, "GET a")
        assert failed["code"] == "connect_failed" and failed["sqlstate"] == "08P01", failed
        assert client.call("health_check").data


def descriptor_count(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def test_a_map_that_is_always_another_one(start_daemon, fake):
    """The daemon keeps neither nodes nor connections of former maps."""
    node = fake()
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        on(client, "GET a")
        before = descriptor_count(daemon)
        for round in range(4):
            others = "".join(f"b 127.0.0.1:{1 + 20 * round + number} master - 0 0 1 connected\n" for number in range(20))
            node.nodes = f"a 127.0.0.1:{node.port}@1 myself,master - 0 0 1 connected 0-16383\n" + others
            node.reply = b"-MOVED 15495 127.0.0.1:9\r\n"
            fails(client, "GET a", timeout_ms=1500)
            node.reply = b"+fine\r\n"
            assert on(client, "GET a").value == "fine"
        assert descriptor_count(daemon) <= before + 8
