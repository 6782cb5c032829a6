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


@pytest.mark.parametrize("sql", [
    "SCAN 0", "KEYS *", "DBSIZE", "FLUSHALL", "FLUSHDB", "RANDOMKEY", "SCRIPT LOAD 'return 1'", "CONFIG SET maxmemory 0", "CONFIG RESETSTAT",
    "ACL SETUSER strange on", "ACL SAVE", "CLIENT LIST", "CLIENT PAUSE 0", "PUBSUB CHANNELS", "PUBSUB NUMSUB news", "SAVE", "BGREWRITEAOF",
    "CLUSTER FORGET x", "CLUSTER RESET", "SLOWLOG RESET", "LATENCY RESET", "MEMORY PURGE", "FUNCTION FLUSH", "SHUTDOWN NOSAVE",
])
def test_what_is_about_all_keys_is_refused(cluster, client, sql):
    """Or about nodes, of which nothing says which: by itself and in batches, before anything is sent."""
    on(client, "SET a 1")
    words = "cmdstat_" + "|".join(word.lower() for word in sql.split()[:2]) + ":", "cmdstat_" + sql.split()[0].lower() + ":"

    def calls():
        return [line for node in cluster.nodes for line in node.ask("INFO", "commandstats").splitlines() if line.startswith(words)]
    before = calls()
    batch = {"statements": [{"sql": "SET a 2"}, {"sql": sql}], "database": "cache"}
    for failed in (fails(client, sql), client.fails("batch", batch), client.fails("batch", {**batch, "atomic": False})):
        assert failed["code"] == "bad_request" and "all keys or all nodes" in failed["message"] and "redis://" in failed["hint"], failed
    assert on(client, "GET a").value == "1" and calls() == before


@pytest.mark.parametrize("sql", ["INFO server", "CONFIG GET maxmemory", "SLOWLOG GET", "LATENCY LATEST", "MEMORY DOCTOR", "TIME", "PUBLISH news x",
                                 "COMMAND COUNT", "CLUSTER KEYSLOT a", "ACL WHOAMI", "OBJECT HELP", "FUNCTION LIST", "LASTSAVE", "ROLE"])
def test_what_any_node_may_answer(client, sql):
    on(client, sql)


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


@pytest.mark.parametrize("sql", ["MULTI", "EXEC", "DISCARD", "WATCH a", "UNWATCH", "multi", "SELECT 0", "WAIT 1 0", "WAITAOF 1 0 0"])
def test_what_is_the_state_of_a_connection_is_refused(cluster, client, sql):
    """Within a session or not, before anything is sent."""
    session = client.session(database="cache")
    word = sql.split()[0].lower()
    calls = [node.ask("INFO", "commandstats").count(f"cmdstat_{word}:") for node in cluster.nodes]
    for failed in (client.query_fails(sql, session=session), fails(client, sql),
                   client.fails("batch", {"statements": [{"sql": "INCR a"}, {"sql": sql}], "session": session}),
                   client.fails("batch", {"statements": [{"sql": "INCR a"}, {"sql": sql}], "database": "cache"})):
        assert failed["code"] == "bad_request" and failed["sqlstate"] == "0A000" and failed["hint"], failed
        assert not failed.get("retryable"), failed
    if word in ("multi", "exec", "discard"):
        assert "batch" in client.query_fails(sql, session=session)["hint"]
    assert on(client, "EXISTS a").value == 0
    assert calls == [node.ask("INFO", "commandstats").count(f"cmdstat_{word}:") for node in cluster.nodes]
    # The session goes on.
    assert client.query("SET a 1", session=session).value == "OK"


def test_one_session_goes_from_node_to_node(cluster, client):
    session = client.session(database="cache")
    for number in range(30):
        assert client.query(f"SET k{number} {number}", session=session).value == "OK"
        client.batch([{"sql": f"INCR {{k{number}}}n"}, {"sql": f"INCR {{k{number}}}n"}], session=session)
    assert [client.query(f"GET k{number}", session=session).value for number in range(30)] == [str(number) for number in range(30)]
    assert [on(client, f"GET {{k{number}}}n").value for number in range(30)] == ["2"] * 30
    client.call("db_disconnect", {"session": session})


def test_sessions_hold_no_connection(cluster, start_daemon, tmp_path):
    config = tmp_path / "litebase.toml"
    config.write_text(f'[limits]\npool_connections_max = 3\n[databases.cache]\nurl = "{cluster.url()}"\n')
    client = start_daemon("--config", config).connect()
    sessions = [client.session(database="cache") for _ in range(12)]
    for session in sessions:
        client.query("SET a 1", session=session)
    for session in sessions:
        client.call("db_disconnect", {"session": session})
    assert on(client, "GET a").value == "1"


def test_a_batch_waits_for_replicas(cluster, client):
    """There are none, so WAIT is an error; what is before it stays."""
    batch = [{"sql": "INCR a"}, {"sql": "WAIT 1 50"}]
    failed = client.fails("batch", {"statements": batch, "atomic": False, "database": "cache"})
    assert failed["code"] == "database_error" and failed["sqlstate"] == "55000" and failed["statement_index"] == 1, failed
    assert "0 of the 1 replicas" in failed["message"] and not failed.get("retryable"), failed
    client.batch([{"sql": "INCR a"}, {"sql": "WAIT", "params": [0, 50]}], atomic=False, database="cache")
    assert on(client, "GET a").value == "2"


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
        client.batch([{"sql": f"INCR {key}session"}, {"sql": f"EVAL \"return redis.call('INCR', KEYS[1])\" 1 {key}session"}], session=session)
        assert client.query(f"GET {key}session", session=session).value == "3"
        # A script that the node has not executed looks like one that says so itself: it is not sent on, but for in an atomic batch.
        failed = fails(client, f"EVAL \"return redis.call('INCR', KEYS[1])\" 1 {key}script")
        assert failed["sqlstate"] == "0A000" and "ASK" in failed["detail"] and not failed.get("retryable"), failed
        assert on(client, f"EXISTS {key}script").value == 0
        # Some here, some there.
        all_keys = f"MGET {key}0 {key}1 {key}2 {key}3 {key}4 {key}5 {key}6 {key}7 {key}8 {key}9"
        failed = fails(client, all_keys)
        assert failed["code"] == "busy" and failed["retryable"] is True, failed
        # What is before it is done by then, and so the batch is not to be repeated.
        here = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1)[0]
        batch = {"statements": [{"sql": f"APPEND {here} ''"}, {"sql": all_keys}], "atomic": False, "database": "cache"}
        failed = client.fails("batch", batch)
        assert failed["code"] == "busy" and failed["statement_index"] == 1 and not failed.get("retryable"), failed
        assert "before you send it again" in failed["hint"], failed

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


@pytest.mark.parametrize("answer", [
    "MOVED 15495 {other}", "ASK 15495 {other}", "TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
])
def test_what_a_script_says_is_not_what_the_node_says(cluster, client, answer):
    """It is executed once, whatever it says, by itself and in batches."""
    other = next(node for node in cluster.nodes if node is not cluster.primary("a")).place
    answer = answer.format(other=other)
    script = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])"
    failed = fails(client, "EVAL", [script, 1, "a", answer])
    assert failed["code"] == "database_error" and not failed.get("retryable"), failed
    assert answer.split()[0] in failed["detail"] and on(client, "GET a").value == "1"
    batch = [{"sql": "INCR {a}b"}, {"sql": "EVAL", "params": [script, 1, "a", answer]}]
    for count, atomic in ((2, True), (3, False)):
        client.fails("batch", {"statements": batch, "atomic": atomic, "database": "cache"})
        assert on(client, "GET a").value == str(count)
        assert on(client, "GET {a}b").value == str(count - 1)
    client.fails("batch", {"statements": batch[1:], "atomic": False, "database": "cache"})
    assert on(client, "GET a").value == "4"


@pytest.mark.parametrize("answer", ["TRYAGAIN x", "CLUSTERDOWN x", "LOADING x", "BUSY x"])
@pytest.mark.parametrize("key", [["1", "a"], ["0"]], ids=["key", "none"])
def test_what_a_script_says_is_no_reason_to_send_it_again(client, answer, key):
    """A server says so that has done nothing, a script at any time."""
    script = ("redis.call('INCR', KEYS[1]) " if key != ["0"] else "") + "return redis.error_reply(ARGV[1])"
    batch = [{"sql": "EVAL", "params": [script, *key, answer]}]
    for failed in (fails(client, **batch[0]),
                   client.fails("batch", {"statements": batch, "atomic": False, "database": "cache"}),
                   client.fails("batch", {"statements": batch, "database": "cache"})):
        assert failed["code"] == "busy" and not failed.get("retryable"), failed
    assert key == ["0"] or on(client, "GET a").value == "3"


class Plain:
    """A user of all nodes, whose rights a test changes."""

    def __init__(self, cluster, *rules):
        self.nodes = cluster.nodes
        self.url = cluster.url(user="plain", password="secret")
        self.may("reset", "on", ">secret", "~*", "&*", "+@all", *rules)

    def may(self, *rules):
        for node in self.nodes:
            node.ask("ACL", "SETUSER", "plain", *rules)

    def discard(self):
        for node in self.nodes:
            node.ask("ACL", "DELUSER", "plain")


def test_a_batch_of_unknown_outcome_is_not_sent_again(cluster, start_daemon):
    """A login loses the right to MULTI, so that what is behind it is executed by itself; whatever a script, or the node, says to a part of
    it, the rest is done, and must not be done again at another node."""
    user = Plain(cluster)
    try:
        client = start_daemon(databases={"cache": user.url}).connect()
        source = cluster.primary("{unknown}")
        target = next(node for node in cluster.nodes if node is not source)
        slot = source.ask("CLUSTER", "KEYSLOT", "{unknown}")
        keys = [f"{{unknown}}{number}" for number in range(10)]
        for key in keys:
            on(client, f"SET {key} 0")

        def check(key, last, executed):
            user.may("+multi")
            client.batch([{"sql": f"SET {key} 0"}], database="cache")
            source.ask("ACL", "SETUSER", "plain", "-multi")
            failed = client.fails("batch", {"statements": [{"sql": f"INCR {key}"}, last], "database": "cache"})
            assert failed["code"] == "outcome_unknown" and not failed.get("retryable"), failed
            assert source.ask("GET", key) == executed

        def between():
            here = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1)[0]
            check(here, {"sql": "MGET " + " ".join(keys)}, "1")
            check(here, {"sql": "GET {unknown}new"}, "1")

        script = {"sql": "EVAL", "params": ["redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])", 1, keys[0],
                                            f"MOVED {slot} {target.place}"]}
        check(keys[0], script, "2")
        cluster.move(slot, source, target, between)
        cluster.move(slot, target, source)
    finally:
        user.discard()


def test_a_login_that_may_not_ask(cluster, start_daemon):
    """Without the right to ASKING a slot that moves is told with the reason, and at once."""
    user = Plain(cluster, "-asking")
    try:
        client = start_daemon(databases={"cache": user.url}).connect()
        source = cluster.primary("{ask}")
        target = next(node for node in cluster.nodes if node is not source)
        slot = source.ask("CLUSTER", "KEYSLOT", "{ask}")
        for number in range(4):
            on(client, f"SET {{ask}}{number} {number}")

        def between():
            batch = {"statements": [{"sql": "INCR {ask}new"}, {"sql": "INCR {ask}new"}], "database": "cache"}
            for failed in (fails(client, "INCR {ask}new"), client.fails("batch", batch), client.fails("batch", {**batch, "atomic": False})):
                assert failed["code"] == "permission_denied" and "asking" in failed["message"] and "+asking" in failed["hint"], failed
            user.may("+asking")
            assert on(client, "INCR {ask}new").value == 1

        cluster.move(slot, source, target, between)
        cluster.move(slot, target, source)
    finally:
        user.discard()


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
        # The last four are in the first slots, which are moved.
        counters = [Counter(daemon, f"counter:{number}") for number in (*range(8), 22, 26, 31, 35)]
        wait_until(lambda: all(counter.done > 20 for counter in counters), "all count")
        new = cluster.add()
        first = cluster.nodes[0]
        for source, target in ((first, new), (new, first)):
            before = [counter.done for counter in counters]
            cluster.cli("--cluster", "reshard", first.place, "--cluster-from", source.id, "--cluster-to", target.id, "--cluster-slots", 800,
                        "--cluster-yes", "--cluster-pipeline", 5)
            assert all(cluster.primary(counter.key) is target for counter in counters[8:])
            wait_until(lambda: all(counter.done > count + 20 for counter, count in zip(counters, before)), "all go on", timeout=30)
        for counter in counters:
            counter.finish()
            assert counter.unknown == 0 and counter.values == list(range(1, counter.done + 1)), counter.codes
            assert cluster.get(counter.key) == str(counter.done)
        assert sum(counter.done for counter in counters) > 1000
    finally:
        cluster.discard()


class Writer(writers.Writer):
    """A cluster answers before a replica has a write: only what was waited for, in the batch that has written it, is promised."""

    reading = "PING"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = set()

    def statement(self, id):
        return {"sql": f"HINCRBY written:{self.number} {id} 1"}

    def transaction(self, id):
        """In a session, and not atomic."""
        if not self.session:
            self.session = self.client.session(database=self.database)
        try:
            self.client.batch([self.statement(id), {"sql": "WAIT 1 100"}], atomic=False, session=self.session)
            self.kept.add(id)
        except RequestFailed as failure:
            # Written, and no replica has it yet.
            if failure.data["sqlstate"] != "55000":
                raise


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
            client.query("SET b 1", session=session)
            node = cluster.primary("a")
            waiting = client.send_query("BLPOP {a}queue 30", database="cache")
            wait_until(lambda: node.blocked() == 1, "it waits")
            node.kill()
            with pytest.raises(RequestFailed) as failed:
                client.collect(waiting)
            assert failed.value.data["code"] == "outcome_unknown", failed.value.data
            # The session had nothing that could be lost.
            assert client.query("GET b", session=session).value == "1"
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

    command = b"*2\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n" \
              b"*6\r\n$4\r\nincr\r\n:2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n"
    information = b"$15\r\nrun_id:00000007\r\n"

    def __init__(self, port, nodes=None, reply=b"+fine\r\n"):
        self.port, self.reply, self.seen, self.connections = port, reply, [], []
        # By command, what it answers instead; how long it takes for what is not the daemon's own.
        self.answers, self.delay = {}, 0
        self.nodes = nodes or f"a 127.0.0.1:{port}@1 myself,master - 0 0 1 connected 0-16383\n"
        super().__init__(("127.0.0.1", port))

    def talk(self, connection, stream):
        while words := read_reply(stream):
            self.seen.append(words)
            self.connections.append(connection)
            answer = {"HELLO": b"*4\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n", "COMMAND": self.command, "INFO": self.information,
                      "CLUSTER": request_of(self.nodes)[4:], "ASKING": b"+OK\r\n"}.get(words[0])
            if not answer:
                time.sleep(self.delay)
            connection.sendall(self.answers.get(words[0]) or answer or self.reply)

    def count(self, *words):
        """How often that came."""
        return sum(one[:len(words)] == list(words) for one in self.seen)


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
        for reply in (b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", b"-CLUSTERDOWN Hash slot not served\r\n"):
            node.reply = reply
            assert fails(client, "GET a")["code"] == "busy"
        # Texts that are no server's are delivered at once.
        count = len(node.seen)
        for reply in (b"-TRYAGAIN x\r\n", b"-CLUSTERDOWN x\r\n"):
            node.reply = reply
            assert fails(client, "GET a")["code"] == "busy"
        assert len([words for words in node.seen[count:] if words[0] == "GET"]) == 2
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
        failed = fails(client, "GET a")
        assert failed["sqlstate"] == "0A000" and "redis+cluster" not in failed["hint"], failed
    assert not victim.seen


@pytest.mark.parametrize("nodes", [
    "", "x", "a 127.0.0.1:1 master - 0 0 1 connected 0-16384", "a 127.0.0.1:1 master - 0 0 1 connected 0 0", "a /run/x:1 master - 0 0 1 connected 0",
    "".join(f"a 127.0.0.1:{port} master - 0 0 1 connected\n" for port in range(1, 200)), "a 127.0.0.1:1 slave b 0 0 1 connected\n" * 5_000,
    "x" * (2 << 20), "a localhost:1@1 master - 0 0 1 connected 0-16383\n", "a ip6-localhost:1@1 master - 0 0 1 connected 0-16383\n",
], ids=["nothing", "word", "slot", "twice", "path", "many", "lines", "long", "name", "other_name"])
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


def nodes_of(*nodes, others=""):
    """A map of which the first node has all slots."""
    lines = [f"a{number} 127.0.0.1:{node.port}@1 {'myself,' if number == 0 else ''}master - 0 0 1 connected{'' if number else ' 0-16383'}\n"
             for number, node in enumerate(nodes)]
    return "".join(lines) + others


def test_more_primaries_change_no_other_connection(start_daemon, fake):
    """Pools are of their servers: when the number of these changes, the others keep theirs, and each server is asked its commands once."""
    node, other = fake(), fake()
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        assert on(client, "GET a").value == "fine"
        own = [connection for words, connection in zip(node.seen, node.connections) if words[0] == "GET"]
        for nodes in (nodes_of(node, other), nodes_of(node), nodes_of(node, other)):
            node.nodes = other.nodes = nodes
            other.nodes = nodes.replace("myself,", "")
            node.reply = b"-MOVED 15495 127.0.0.1:9\r\n"
            fails(client, "GET a", timeout_ms=2500)
            node.reply = b"+fine\r\n"
            assert on(client, "GET a").value == "fine"
        now = [connection for words, connection in zip(node.seen, node.connections) if words[0] == "GET"]
        assert all(connection is own[0] for connection in now), len({id(connection) for connection in now})
    # The map's connection has asked, and the first one of the pool.
    assert len([words for words in node.seen if words[0] == "COMMAND"]) <= 2
    assert len([words for words in node.seen if words == ["CLUSTER", "NODES"]]) >= 3


NOPERM = b"-NOPERM this user has no permissions to run the 'asking' command\r\n"


def test_what_is_executed_in_spite_of_a_refused_asking(start_daemon, fake):
    """The slot has become the target's meanwhile, which needs no ASKING then."""
    source, target = fake(), fake()
    source.nodes = nodes_of(source, target)
    target.nodes = source.nodes.replace("myself,", "")
    source.answers = {"INCR": b"-ASK 15495 127.0.0.1:%d\r\n" % target.port, "MULTI": b"+OK\r\n", "EXEC": b"-EXECABORT no\r\n",
                      "DISCARD": b"+OK\r\n"}
    target.answers = {"ASKING": NOPERM, "INCR": b":1\r\n", "MULTI": b"+OK\r\n", "EXEC": b"*1\r\n:1\r\n", "DISCARD": b"+OK\r\n"}
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{source.port}"})
    with daemon.connect() as client:
        assert on(client, "INCR a").value == 1
        batch = {"statements": [{"sql": "INCR a"}], "database": "cache"}
        client.call("batch", {**batch, "atomic": False})
        for _ in range(2):
            target.answers["INCR"] = b"+QUEUED\r\n"
            client.call("batch", batch)
        assert target.count("INCR") == 4 and target.count("ASKING") == 4
        # It has not: the reason is the right that is missing, and nothing goes to and fro.
        target.answers["INCR"] = b"-MOVED 15495 127.0.0.1:%d\r\n" % source.port
        target.answers["EXEC"] = b"-EXECABORT no\r\n"
        for failed in (fails(client, "INCR a"), client.fails("batch", batch), client.fails("batch", {**batch, "atomic": False})):
            assert failed["code"] == "permission_denied" and "+asking" in failed["hint"], failed
        assert target.count("INCR") == 7
        # Any other error of a command is its own.
        target.answers["INCR"] = b"-WRONGTYPE no\r\n"
        assert fails(client, "INCR a")["sqlstate"] == "42804"


def test_a_map_of_servers_that_are_gone_shuts_out_none_of_the_url(start_daemon, fake):
    """However many servers a map has that do not answer."""
    node = fake()
    node.nodes = "".join(f"b{port} 127.0.0.1:{port}@1 master - 0 0 1 connected{' 0-16383' if port == 1 else ''}\n" for port in range(1, 121))
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        assert fails(client, "GET a")["code"] == "connect_failed"
        node.nodes = f"a 127.0.0.1:{node.port}@1 myself,master - 0 0 1 connected 0-16383\n"
        wait_until(lambda: succeeds(client, "GET a"), "the server of the URL is asked", timeout=12)


def refresh(client, *nodes):
    """Has the daemon ask for a map, which the nodes have changed."""
    for node in nodes:
        node.reply = b"-MOVED 15495 127.0.0.1:9\r\n"
    with contextlib.suppress(RequestFailed):
        on(client, "GET a", timeout_ms=2500)
    for node in nodes:
        node.reply = b"+fine\r\n"


def test_commands_are_asked_for_once_without_the_right_to_info(start_daemon, fake):
    node = fake()
    node.answers = {"INFO": b"-NOPERM this user has no permissions to run the 'info' command\r\n"}
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        for _ in range(2):
            refresh(client, node)
            assert on(client, "GET a").value == "fine"
    assert node.count("CLUSTER", "NODES") >= 3
    # For maps, and for the connection of the pool.
    assert node.count("COMMAND") <= 2, node.seen


def test_what_has_waited_is_counted_when_its_node_is_gone(start_daemon, fake, tmp_path):
    """Counts since the start do not fall; and who waits for a node learns what its share is."""
    node, other = fake(), fake()
    other.nodes = nodes_of(other, node)
    node.nodes = other.nodes.replace("myself,", "")
    config = tmp_path / "litebase.toml"
    config.write_text(f'[limits]\npool_connections_max = 2\npool_wait_ms_max = 500\n[databases.cache]\n'
                      f'url = "redis+cluster://127.0.0.1:{node.port}"\n')
    daemon = start_daemon("--config", config)

    def counts(client):
        [found] = [one for one in client.call("stats").data["pools"] if one["database"] == "cache"]
        return found["hits"], found["refusals"]
    with daemon.connect() as client, daemon.connect() as slow:
        assert on(client, "GET a").value == "fine"
        other.delay = 3
        id = slow.send_query("GET a", database="cache")
        wait_until(lambda: other.count("GET") == 2, "the connection is in use")
        failed = fails(client, "GET a")
        assert failed["code"] == "busy" and failed["limit"]["name"] == "pool_connections_max" and failed["limit"]["value"] == 1, failed
        assert "whole cluster" in failed["hint"] and "share of the node" in failed["hint"], failed
        slow.collect(id)
        other.delay = 0
        before = counts(client)
        assert before[0] >= 1 and before[1] == 1, before
        node.nodes = other.nodes = f"a 127.0.0.1:{node.port}@1 myself,master - 0 0 1 connected 0-16383\n"
        refresh(client, other)
        wait_until(lambda: succeeds(client, "GET a") and node.count("GET") > 0, "the other one is gone")
        assert counts(client)[0] >= before[0] and counts(client)[1] >= before[1], (before, counts(client))


class DribblingNode(FakeNode):
    """Tells its map a byte at a time; `ended`: how long each that has asked has listened."""

    def __init__(self, port):
        self.ended = []
        super().__init__(port)

    def talk(self, connection, stream):
        while words := read_reply(stream):
            if words[0] != "CLUSTER":
                connection.sendall(b"*4\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n")
                continue
            begin = time.monotonic()
            try:
                connection.sendall(b"$100000\r\n")
                while time.monotonic() - begin < 30:
                    connection.sendall(b"x")
                    time.sleep(0.02)
            finally:
                self.ended.append(time.monotonic() - begin)


def test_a_server_that_drips_keeps_no_map_away(start_daemon, fake):
    """One that sends a byte now and then has its time, and the next one is asked."""
    dribbling, node = DribblingNode(free_port()), fake()
    try:
        daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{dribbling.port},127.0.0.1:{node.port}"})
        with daemon.connect() as client:
            begin = time.monotonic()
            assert on(client, "GET a").value == "fine"
            assert time.monotonic() - begin < 6
            wait_until(lambda: dribbling.ended, "the daemon hangs up")
            assert dribbling.ended[0] < 4
    finally:
        dribbling.close()


def test_what_is_stopped_while_it_waits_for_a_map_is_gone(start_daemon):
    """Neither its parameters nor its place in a queue stay, however long the servers take, and nothing of it is sent later."""
    silent = DribblingNode(free_port())
    try:
        daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{silent.port},127.0.0.1:{silent.port}"})
        with daemon.connect() as client, daemon.connect() as leaving:
            assert fails(client, "GET a", timeout_ms=100)["code"] == "timeout"
            before = daemon.memory_kib("VmRSS")
            params, times = list(range(60_000)), []
            for _ in range(40):
                begin = time.monotonic()
                assert client.query_fails("MSET", params, database="cache", timeout_ms=20)["code"] in ("timeout", "connect_failed")
                times.append(time.monotonic() - begin)
            # None waits for the end of what the servers take (4 s); a busy machine may hold up one of them.
            assert sorted(times)[20] < 1.5, times
            leaving.send_query("SET a 1", database="cache")
            leaving.close()
            id = client.send_query("SET a 2", database="cache")
            client.call("cancel", {"request": id})
            with pytest.raises(RequestFailed) as failed:
                client.collect(id)
            assert failed.value.data["code"] in ("cancelled", "connect_failed")
            # Each run's parameters are 4 MB.
            assert daemon.memory_kib("VmRSS") - before < 60 << 10
            assert client.call("health_check").data
    finally:
        silent.close()


@pytest.mark.parametrize("last", [-(1 << 63), (1 << 63) - 1, -(1 << 20) - 1], ids=["least", "greatest", "beyond"])
def test_a_server_may_tell_any_number_of_its_commands(start_daemon, fake, last):
    """Where a server of before Redis 7, and one since, says that the keys of GET are: what makes no sense are no keys."""
    node = fake()
    old = b"*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:%d\r\n:1\r\n" % last
    find = b"*4\r\n+type\r\n+range\r\n+spec\r\n*6\r\n+lastkey\r\n:%d\r\n+keystep\r\n:1\r\n+limit\r\n:0\r\n" % last
    begin = b"*4\r\n+type\r\n+index\r\n+spec\r\n*2\r\n+index\r\n:1\r\n"
    new = b"*10\r\n$3\r\nset\r\n:3\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*1\r\n*4\r\n+begin_search\r\n" + begin + b"+find_keys\r\n" + find + b"*0\r\n"
    node.command = b"*2\r\n" + old + new
    daemon = start_daemon(databases={"cache": f"redis+cluster://127.0.0.1:{node.port}"})
    with daemon.connect() as client:
        assert on(client, "GET a").value == "fine"
        assert on(client, "SET a b").value == "fine"
