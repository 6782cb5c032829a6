"""Memory, descriptors and time that clients take: everything is bounded, charged to a user, and given back."""

import contextlib
import json
import os
import random
import select
import struct
import threading
import time

import msgpack
import pytest

from bystander import Bystander
from daemon import counting, wait_until
from identity import as_nobody, needs_root
from wire import PATIENCE, Client, RequestFailed, framed

MIB = 1 << 20
BODY_BYTES = 15 * MIB


@pytest.fixture
def single_loop(directory, start_daemon):
    """Daemons with one loop, so that whoever waits is on the same one."""
    def start(**limits):
        config = directory / "memory.toml"
        config.write_text("loops = 1\n[limits]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items()))
        return start_daemon(f"--config={config}", "--socket-mode=666", directory=directory, log_level="info")

    return start


def array(count):
    """The header of a MessagePack array."""
    return b"\xdd" + struct.pack(">I", count)


def pairs(count):
    return b"\xdf" + struct.pack(">I", count)


def pack(value):
    return msgpack.packb(value)


def request(kind, *fields):
    """A MessagePack request with the fields (name and packed value) as data."""
    data = pairs(len(fields)) + b"".join(pack(name) + value for name, value in fields)
    return pairs(3) + pack("id") + pack(1) + pack("type") + pack(kind) + pack("data") + data


def one_statement(*fields):
    return array(1) + pairs(len(fields)) + b"".join(pack(name) + value for name, value in fields)


def names(count, value=b"\x01"):
    return pairs(count) + b"".join(pack(f"{index:x}") + value for index in range(count))


def json_request(kind, data):
    return b'{"id":1,"type":"%s","data":%s}' % (kind.encode(), data)


ONES = array(BODY_BYTES) + b"\x01" * BODY_BYTES
SQL = ("sql", pack("SELECT 1"))
#: Requests of many megabytes that have many parts, in every place where there can be some.
HOSTILE = {
    "parameters": lambda: request("query", SQL, ("params", ONES)),
    "named parameters": lambda: request("query", SQL, ("params", names(65_000))),
    "parameters of a batch": lambda: request("batch", ("statements", one_statement(SQL, ("params", ONES)))),
    "empty rows": lambda: request("batch", ("statements", one_statement(
        ("sql", pack("SELECT ?1")), ("param_rows", array(BODY_BYTES) + b"\x90" * BODY_BYTES)))),
    "rows": lambda: request("batch", ("statements", one_statement(
        SQL, ("param_rows", array(BODY_BYTES // 8) + (b"\x97" + b"\x01" * 7) * (BODY_BYTES // 8))))),
    "statements": lambda: request("batch", ("statements", array(BODY_BYTES // 6) + (
        b"\x81\xa3sql\xa0") * (BODY_BYTES // 6))),
    "an unknown field": lambda: request("query", SQL, ("unknown", ONES)),
    "deep arrays": lambda: request("query", SQL, ("unknown", array(BODY_BYTES // 50) + (
        b"\x91" * 49 + b"\x01") * (BODY_BYTES // 50))),
    "maps": lambda: request("describe", SQL, ("unknown", array(BODY_BYTES // 6) + (
        b"\x82\xa0\x01\xa1a\x01") * (BODY_BYTES // 6))),
    "versions": lambda: request("hello", ("protocol", ONES)),
    "an id": lambda: pairs(2) + pack("type") + pack("query") + pack("id") + ONES,
    "text": lambda: request("query", SQL, ("unknown", pack("é" * (BODY_BYTES // 2)))),
    "a long statement": lambda: request("query", ("sql", pack("SELECT 1" + " " * BODY_BYTES))),
    "parameters, JSON": lambda: json_request("query", b'{"sql":"SELECT 1","params":[%s1]}' % (b"1," * (BODY_BYTES // 2))),
    "keys, JSON": lambda: json_request("query", b'{"sql":"SELECT 1","x":{%s}}' % b",".join(
        b'"%x":1' % index for index in range(65_000))),
    "deep arrays, JSON": lambda: json_request("query", b'{"sql":"SELECT 1","x":[%s1]}' % (
        (b"[" * 40 + b"]" * 40 + b",") * (BODY_BYTES // 81))),
    "escapes, JSON": lambda: json_request("query", b'{"sql":"SELECT 1","x":"%s"}' % (b"\\u00e9" * (BODY_BYTES // 6))),
}


def loop_time(daemon):
    """Processor time of the daemon's loop, in seconds; proc(5), schedstat."""
    for task in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{task}/comm") as name:
            if name.read().startswith("litebase-loop"):
                with open(f"/proc/{daemon.pid}/task/{task}/schedstat") as times:
                    return int(times.read().split()[0]) / 1e9
    raise AssertionError("the daemon has no loop")


def longest_turn(daemon, body):
    """The most processor time that the loop took before it answered `health_check`, while the request was served.

    Not the time that a client waited: the machine may have something else to do.
    """
    with daemon.connect("msgpack") as attacker, daemon.connect("msgpack") as bystander:
        attacker.socket.settimeout(60)
        turns = []
        answered = threading.Event()

        def attack():
            attacker.socket.sendall(struct.pack(">I", len(body)) + body)
            attacker.socket.recv(1)
            answered.set()

        bystander.call("health_check")
        thread = threading.Thread(target=attack)
        thread.start()
        while not answered.is_set():
            start = loop_time(daemon)
            bystander.call("health_check")
            turns.append(loop_time(daemon) - start)
        thread.join()
        return max(turns)


@pytest.mark.alone
@pytest.mark.parametrize("what", HOSTILE)
def test_no_request_keeps_a_loop_busy_by_being_decoded(single_loop, what):
    daemon = single_loop()
    body = HOSTILE[what]()
    # A turn may have page faults of the storage that grows, and be counted late; whoever else is at work takes the caches.
    turns = []
    while not turns or min(turns) >= 0.005 * PATIENCE and len(turns) < 6:
        turns.append(longest_turn(daemon, body))
    assert min(turns) < 0.005 * PATIENCE, f"{what}: {[round(turn * 1000, 1) for turn in turns]} ms"


@pytest.mark.parametrize("count, place", [(32_767, "query"), (32_767, "batch"), (65_536, "query"), (70_000, "batch")])
def test_parameters_are_bounded_by_the_engine(daemon, count, place):
    with daemon.connect() as client:
        parameters = [1] * count
        with pytest.raises(RequestFailed) as caught:
            if place == "query":
                client.query("SELECT 1", params=parameters)
            else:
                client.call("batch", {"statements": [{"sql": "SELECT 1", "param_rows": [[], parameters]}]})
        assert caught.value.code == "limit_exceeded", caught.value.data
        placeholders = ",".join("?" * 30_000)
        assert client.query(f"SELECT 5 WHERE 1 IN ({placeholders})", params=[1] * 30_000).value == 5


def small_values(number):
    """A query of a session that has 30,000 values of one byte each; decoded they would take some 60 times as much."""
    return pairs(3) + pack("id") + pack(number) + pack("type") + pack("query") + pack("data") + pairs(3) + (
        pack("session") + pack("s%d-1") + pack("sql") + pack("SELECT 1")
        + pack("params") + array(30_000) + b"\x01" * 30_000)


def tiny(number):
    """A query without any content to speak of."""
    return pack({"id": number, "type": "query", "data": {"session": "s%d-1", "sql": "SELECT 1"}})


def long_json(number):
    return json_request("query", b'{"session":"s%%d-1","sql":"SELECT 1","params":[%s1]}' % (b"1," * 30_000)).replace(
        b'"id":1', b'"id":%d' % number)


@pytest.mark.parametrize("make, count", [(small_values, 500), (tiny, 1_000), (long_json, 500)])
def test_what_waits_behind_a_busy_session_is_charged(single_loop, make, count):
    limit = 48 * MIB
    daemon = single_loop(buffered_bytes_per_user_max=limit, busy_time_ms_max=120_000)
    holder = daemon.connect()
    holder.query("BEGIN IMMEDIATE", session=holder.session())
    before = daemon.memory_kib()
    refusals = 0
    for _ in range(6):
        client = daemon.connect()
        client.tracks = False
        session = client.session()
        # It waits for a lock, which takes no processor.
        client.send_query("BEGIN IMMEDIATE", session=session)
        for number in range(count):
            body = make(1000 + number).replace(b"s%d-1", session.encode()).replace(
                bytes([0xa0 + len("s%d-1")]) + session.encode(), bytes([0xa0 + len(session)]) + session.encode())
            client.socket.sendall(framed(body))
        client.socket.settimeout(0.5 * PATIENCE)
        try:
            while client.receive().data["code"] == "limit_exceeded":
                refusals += 1
        except TimeoutError:
            pass
        # The limit, one request, and what a heap needs besides.
        assert daemon.memory_kib() < before + (limit + 40 * MIB) // 1024
    if make is not tiny:
        assert refusals > 0
    with daemon.connect() as other:
        other.settle()
    daemon.close_clients()
    wait_until(lambda: daemon.memory_kib() < before + 24 * 1024, "memory is given back", timeout=20)


# SQLite's memory and temporary files

def usage(daemon, uid):
    with daemon.connect() as client:
        return next((user for user in client.call("stats").data["users"] if user["uid"] == uid), None)


def attack_memory(path, statements):
    """As another user: runs statements in a session until one is refused, and keeps what it has; the refusal's data."""
    def action():
        client = Client(path)
        session = client.session()
        for _ in range(10_000):
            for sql in statements:
                try:
                    client.query(sql, session=session)
                except RequestFailed as failure:
                    # What the others have meanwhile.
                    with Client(path) as other:
                        own = other.query("SELECT 1").value
                    return json.dumps([failure.data, own])
        return "nothing was refused"

    return as_nobody(action)


#: Ways to take SQLite's memory and keep it.
GREEDY = {
    "temporary tables": ["PRAGMA temp_store = MEMORY", "CREATE TEMP TABLE IF NOT EXISTS t(x)",
                         "INSERT INTO t SELECT randomblob(1000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)"],
    "many small rows": ["PRAGMA temp_store = MEMORY", "CREATE TEMP TABLE IF NOT EXISTS t(x)",
                        "INSERT INTO t SELECT randomblob(500) FROM (" + "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
                        "SELECT x+1 FROM c LIMIT 5000) SELECT x FROM c)"],
    "page cache": ["PRAGMA temp.cache_size = -10000000", "CREATE TEMP TABLE IF NOT EXISTS t(x)",
                   "INSERT INTO t SELECT randomblob(1000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)"],
}


@needs_root
@pytest.mark.parametrize("how", GREEDY)
def test_sqlite_memory_of_a_user_is_limited_and_others_are_served(single_loop, how):
    limit = 64 * MIB
    daemon = single_loop(sqlite_memory_bytes_max=256 * MIB, sqlite_memory_bytes_per_user_max=limit)
    daemon.directory.chmod(0o755)
    before = daemon.memory_kib()
    with daemon.connect() as other:
        answer = attack_memory(daemon.socket_path, GREEDY[how])
        assert answer.startswith("["), answer
        error, own = json.loads(answer)
        # Named in the error: the limit, and whose it is.
        assert error["code"] == "limit_exceeded", error
        assert error["limit"]["name"] == "sqlite_memory_bytes_per_user_max" and error["limit"]["value"] == limit
        assert "user nobody" in error["message"] and error["hint"]
        assert own == 1
        # Of the other one's share nothing is gone.
        session = other.session()
        other.query("PRAGMA temp_store = MEMORY", session=session)
        other.query("CREATE TEMP TABLE t AS SELECT randomblob(15000000)", session=session)
        mine = usage(daemon, 0)
        assert 15_000_000 < mine["sqlite_memory_bytes"] < 25_000_000
        limits = other.call("stats").data["limits"]
        assert limits["sqlite_memory_bytes_per_user_max"]["value"] == limit
    wait_until(lambda: daemon.memory_kib() < before + 40 * 1024, "memory is given back", timeout=20)


@pytest.mark.alone
@needs_root
@pytest.mark.parametrize("sql", [
    "SELECT json_extract('{}', hex(zeroblob(2000000)))", "SELECT * FROM \"" + "x" * 200_000 + "\"",
    "SELECT 1 FROM (SELECT 1 AS \"" + "x" * 100_000 + "\") WHERE y",
])
def test_errors_have_a_bound(single_loop, sql):
    """SQLite puts names and values into its messages, and a client need not read what it is told."""
    daemon = single_loop()
    slowest = []
    while not slowest or min(slowest) >= 2 and len(slowest) < 3:
        if slowest:
            daemon.restart()
        with daemon.connect() as client:
            assert len(client.query_fails(sql)["message"]) < 20_000
        slowest.append(flooded(daemon, sql))
    assert min(slowest) < 2, slowest


def flooded(daemon, sql):
    """Statements that fail, whose errors nobody reads: how long another one waited at most."""
    before = daemon.memory_kib()
    with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
        client.tracks = False
        client.socket.settimeout(0.5 * PATIENCE)
        # A client that does not read is not read from, either.
        with contextlib.suppress(TimeoutError):
            for _ in range(500):
                client.send_query(sql)
        for _ in range(5):
            time.sleep(0.1)
            bystander.check()
            # What SQLite computes for one user at a time is within its own limit of 512 MiB.
            assert daemon.memory_kib() - before < 600 << 10
    return bystander.slowest


def test_sqlite_memory_is_credited_to_whom_it_was_charged(single_loop):
    daemon = single_loop()
    with daemon.connect() as other:
        for _ in range(20):
            with daemon.connect() as client:
                session = client.session()
                client.query("PRAGMA temp_store = MEMORY", session=session)
                client.query("CREATE TEMP TABLE t AS SELECT randomblob(10000000)", session=session)
                assert other.query("SELECT length(group_concat(hex(randomblob(10)))) FROM (SELECT 1)").value == 20
        wait_until(lambda: usage(daemon, 0)["sqlite_memory_bytes"] < 8 * MIB, "the account is credited")
        assert usage(daemon, 0)["sqlite_memory_bytes_peak"] > 10_000_000


def test_memory_of_a_closed_session_goes_back_at_once(single_loop):
    """Not with the next job of a thread, nor when a timer would have been due that nobody waits for any more."""
    daemon = single_loop()
    for _ in range(2):
        with daemon.connect() as client:
            sessions = [client.session(url="sqlite::memory:") for _ in range(3)]
            for session in sessions:
                client.query("CREATE TABLE t AS SELECT randomblob(9000000)", session=session, timeout_ms=3_600_000)
            assert usage(daemon, 0)["sqlite_memory_bytes"] > 25_000_000
            for session in sessions:
                client.call("db_disconnect", {"session": session})
            wait_until(lambda: usage(daemon, 0)["sqlite_memory_bytes"] < 8 * MIB, "the memory is credited", timeout=1.5)


def test_a_database_in_memory_is_limited_like_a_user(start_daemon, directory):
    config = directory / "memory.toml"
    config.write_text(f"[limits]\nsqlite_memory_bytes_max = {256 * MIB}\nsqlite_memory_bytes_per_user_max = {32 * MIB}\n"
                      '[databases.shared]\nurl = "sqlite::memory:"\n')
    daemon = start_daemon(f"--config={config}", directory=directory)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)", database="shared")
        for _ in range(40):
            try:
                client.query("INSERT INTO t VALUES (randomblob(1000000))", database="shared")
            except RequestFailed as failure:
                error = failure.data
                break
        assert error["code"] == "limit_exceeded" and "in memory" in error["message"], error
        assert error["limit"] == {"name": "sqlite_memory_bytes_per_user_max", "value": 32 * MIB}
        # It is nobody's own.
        assert usage(daemon, 0)["sqlite_memory_bytes"] < 8 * MIB
        client.query("CREATE TABLE u AS SELECT randomblob(5000000)")


#: Ways to fill the disk with temporary files.
SPILLING = {
    "temporary tables": ["PRAGMA temp_store = FILE", "CREATE TEMP TABLE IF NOT EXISTS t(x)",
                         "INSERT INTO t SELECT randomblob(1000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)"],
    "sorting": ["PRAGMA temp_store = FILE",
                "SELECT count(*) FROM (" + "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 100000) "
                "SELECT randomblob(1000) AS b FROM c ORDER BY b LIMIT 1000000 OFFSET 1)"],
    "statement journals": ["PRAGMA temp_store = FILE", "PRAGMA cache_size = 10",
                           "CREATE TEMP TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY, y)",
                           "INSERT INTO t(y) SELECT randomblob(100000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3)",
                           "UPDATE t SET y = randomblob(100000)"],
    "materialized": ["PRAGMA temp_store = FILE",
                     "SELECT count(*) FROM (" + "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c "
                     "LIMIT 100000) SELECT DISTINCT randomblob(1000) FROM c)"],
}


@needs_root
@pytest.mark.parametrize("how", SPILLING)
def test_temporary_files_of_a_user_are_limited(single_loop, how):
    limit = 40 * MIB
    daemon = single_loop(temporary_bytes_per_user_max=limit)
    daemon.directory.chmod(0o755)
    answer = attack_memory(daemon.socket_path, SPILLING[how])
    assert answer.startswith("["), answer
    error, own = json.loads(answer)
    assert error["code"] == "limit_exceeded", error
    assert error["limit"]["name"] == "temporary_bytes_per_user_max" and error["limit"]["value"] == limit
    assert "user nobody" in error["message"] and error["hint"] and own == 1
    with daemon.connect() as client:
        session = client.session()
        client.query("PRAGMA temp_store = FILE", session=session)
        client.query("PRAGMA cache_size = 10", session=session)
        client.query("CREATE TEMP TABLE t AS SELECT randomblob(20000000)", session=session)
        mine = usage(daemon, 0)
        assert 20_000_000 <= mine["temporary_bytes"] < 25_000_000
        client.call("db_disconnect", {"session": session})
        wait_until(lambda: usage(daemon, 0)["temporary_bytes"] == 0, "the account is credited")
        assert client.call("stats").data["limits"]["temporary_bytes_per_user_max"]["value"] == limit


# What is free goes back

def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def test_memory_that_is_free_goes_back_while_others_work(single_loop):
    daemon = single_loop()
    before = daemon.memory_kib()
    with daemon.connect() as other, daemon.connect() as client:
        session = client.session()
        client.query("PRAGMA temp_store = MEMORY", session=session)
        client.query("CREATE TEMP TABLE t(x)", session=session)
        for number in range(10):
            client.query(f"INSERT INTO t SELECT randomblob(1200) FROM ({counting(12_000)})", session=session)
            # Something of another's lies between, and keeps what is below from the system otherwise.
            other.query(f"SELECT 1 + {number}")
        assert daemon.memory_kib() > before + 120 * 1024
        client.close()

        def is_given_back():
            other.query("SELECT 1")
            return daemon.memory_kib() < before + 32 * 1024

        # Less than the 10 seconds after which an idle loop gives memory back anyway.
        wait_until(is_given_back, "memory is given back", timeout=6)


def databases(directory, count, **limits):
    config = directory / "many.toml"
    config.write_text("loops = 2\n[limits]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items())
                      + "".join(f'[databases.d{number}]\nurl = "sqlite:{directory}/d{number}.db"\n'
                                for number in range(count)) + '[databases.m]\nurl = "sqlite::memory:"\n')
    return f"--config={config}"


def test_databases_that_nobody_uses_are_closed(start_daemon, directory):
    count = 30
    daemon = start_daemon(databases(directory, count, sqlite_idle_ms_max=500), directory=directory, log_level="info")
    with daemon.connect() as client, daemon.connect() as second:
        client.query("CREATE TABLE t(x)", database="m")
        before = descriptors(daemon)
        for number in range(count):
            client.query("CREATE TABLE t(x)", database=f"d{number}")
            client.batch([{"sql": "INSERT INTO t VALUES (1)"}], database=f"d{number}")
            second.query("SELECT * FROM t", database=f"d{number}")
        sessions = [second.session(database=f"d{number}") for number in range(3)]
        assert descriptors(daemon) >= before + 3 * count
        # What a session uses stays, as does what lies in memory.
        wait_until(lambda: descriptors(daemon) <= before + 3 * 12, "databases are closed", timeout=10)
        assert second.query("SELECT x FROM t", session=sessions[0]).rows == [[1]]
        for session in sessions:
            second.call("db_disconnect", {"session": session})
        wait_until(lambda: descriptors(daemon) <= before, "the databases of sessions are closed", timeout=10)
        assert not (directory / "d0.db-wal").exists()
        client.query("INSERT INTO t VALUES (2)", database="m")
        for number in range(count):
            client.query("INSERT INTO t VALUES (2)", database=f"d{number}")
            assert second.query("SELECT x FROM t", database=f"d{number}").rows == [[1], [2]]
    # One line each, however often they are opened again.
    assert daemon.log().count("opened:") == count + 1


def test_closing_and_opening_is_not_noticed(start_daemon, directory):
    daemon = start_daemon(databases(directory, 1, sqlite_idle_ms_max=10), directory=directory, log_level="info")
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)", database="d0")
    problems, done = [], threading.Event()

    def work(seed):
        generator = random.Random(seed)
        try:
            with Client(daemon.socket_path) as client:
                while not done.is_set():
                    time.sleep(generator.choice([0, 0, 0.005, 0.02, 0.03]))
                    what = generator.randrange(4)
                    if what == 0:
                        client.query("INSERT INTO t VALUES (?)", [seed], database="d0")
                    elif what == 1:
                        client.query("SELECT count(*) FROM t", database="d0")
                    elif what == 2:
                        client.batch([{"sql": "INSERT INTO t VALUES (?)", "params": [seed]}], database="d0")
                    else:
                        session = client.session(database="d0")
                        client.query("INSERT INTO t VALUES (?)", [seed], session=session)
                        client.call("db_disconnect", {"session": session})
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(float(os.environ.get("LITEBASE_TEST_SECONDS") or 4))
    done.set()
    for thread in threads:
        thread.join()
    assert not problems, problems


@pytest.mark.parametrize("count", [64, 256, 1024])
def test_limits_fit_into_the_open_files(start_daemon, count):
    daemon = start_daemon(prefix=("sh", "-c", f'ulimit -n {count}; exec "$0" "$@"'))
    with daemon.connect() as client:
        limits = client.call("stats").data["limits"]
        connections, sessions = limits["connections_max"]["value"], limits["sessions_per_user_max"]["value"]
        assert connections < count * 3 // 4 and sessions < count // 8
        client.query("CREATE TABLE t(x)")
    assert f"connections_max is 10000, but the process may have {count} open files: {connections} is in force" in daemon.log()
    # With as many as are allowed, databases can be opened.
    crowd = [daemon.connect() for _ in range(connections - 1)]
    assert crowd[-1].query("SELECT count(*) FROM t").value == 0
    session = crowd[0].session()
    assert crowd[0].query("SELECT count(*) FROM t", session=session).value == 0


FILL = "INSERT INTO {}.q WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c LIMIT 40) SELECT zeroblob(3000) FROM c"


def test_temporary_files_leave_descriptors_for_others(start_daemon):
    """Each database without a name has a file of its own once it is large, and a journal; a session may have ten."""
    daemon = start_daemon(prefix=("sh", "-c", 'ulimit -n 512; exec "$0" "$@"'))
    client = daemon.connect()
    client.query("CREATE TABLE t(x)")
    before = descriptors(daemon)
    with pytest.raises(RequestFailed) as refused:
        for _ in range(60):
            session = client.session()
            for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
                for sql in (f"ATTACH '' AS {name}", f"PRAGMA {name}.cache_size = 1", f"CREATE TABLE {name}.q(x)", "BEGIN", FILL.format(name),
                            "COMMIT"):
                    client.query(sql, session=session)
    assert refused.value.code == "limit_exceeded" and "temporary files" in refused.value.data["message"], refused.value
    assert descriptors(daemon) - before < 512 // 4
    with daemon.connect() as other:
        other.query("INSERT INTO t VALUES (1)")
        assert other.query("SELECT count(*) FROM t", session=other.session()).value == 1
    client.close()
    wait_until(lambda: descriptors(daemon) <= before + 8, "they are closed with their sessions")
    with daemon.connect() as again:
        session = again.session()
        for sql in ("ATTACH '' AS a", "PRAGMA a.cache_size = 1", "CREATE TABLE a.q(x)", "BEGIN", FILL.format("a"), "COMMIT"):
            again.query(sql, session=session)


def test_the_soft_limit_of_open_files_is_raised(start_daemon):
    daemon = start_daemon(prefix=("sh", "-c", 'ulimit -S -n 100; exec "$0" "$@"'))
    assert "open files" not in daemon.log()
    with daemon.connect() as client:
        assert client.call("stats").data["limits"]["connections_max"]["value"] == 10_000


# Whatever one user does, the daemon needs no more memory than his limits say

BUFFERED, SQLITE = 48 * MIB, 48 * MIB
#: What a heap, the connections themselves, and the other user need besides.
BESIDES = 72 * MIB


def many(path, count):
    clients = [Client(path) for _ in range(count)]
    for client in clients:
        client.tracks = False
        client.socket.settimeout(0.2)
    return clients


def fill(clients, payload, count):
    """Sends so many requests over each connection, or as much as the daemon takes within two seconds."""
    left = {client.socket: memoryview(payload * count) for client in clients}
    deadline = time.monotonic() + 2
    for client in clients:
        client.socket.setblocking(False)
    while left and time.monotonic() < deadline:
        for ready in select.select([], list(left), [], 0.1)[1]:
            try:
                left[ready] = left[ready][ready.send(left[ready]):]
            except OSError:
                left[ready] = b""
            if not left[ready]:
                del left[ready]


def raw_query(sql, **fields):
    return framed(pack({"id": 1, "type": "query", "data": {"sql": sql, **fields}}))


def half_requests(path):
    clients = many(path, 600)
    fill(clients, struct.pack(">I", 40_000) + b"\x81" + b"x" * 31_000, 1)
    return clients


def long_halves(path):
    clients = many(path, 40)
    fill(clients, struct.pack(">I", 4 * MIB) + b"\x81" + b"x" * (3 * MIB), 1)
    return clients


def unread_results(path):
    clients = many(path, 60)
    fill(clients, raw_query("SELECT randomblob(3000000)"), 20)
    return clients


def wide_rows(path):
    clients = many(path, 30)
    fill(clients, raw_query("SELECT " + ",".join(["hex(randomblob(2000000))"] * 10)), 2)
    return clients


def control_characters(path):
    """A byte of text that has six in JSON."""
    clients = many(path, 20)
    body = b'{"id":1,"type":"query","data":{"sql":"SELECT replace(hex(zeroblob(4000000)), \'0\', char(1))"}}'
    fill(clients, framed(body), 2)
    return clients


def unread_health_checks(path):
    clients = many(path, 60)
    fill(clients, framed(pack({"id": "x" * 128, "type": "health_check"})) * 1_000, 20)
    return clients


def sessions_with_caches(path):
    clients = many(path, 12)
    for client in clients:
        for _ in range(8):
            try:
                client.socket.settimeout(5)
                session = client.session()
                client.query("PRAGMA cache_size = -100000", session=session)
                client.query("SELECT count(*), sum(length(x)) FROM big", session=session)
            except RequestFailed:
                break
    return clients


def sorting(path):
    clients = many(path, 30)
    fill(clients, raw_query("SELECT count(*) FROM (" + counting(300_000, "hex(randomblob(50)) AS b") + " ORDER BY b)"), 3)
    return clients


def groups(path):
    clients = many(path, 20)
    fill(clients, raw_query("SELECT group_concat(hex(randomblob(1000))) FROM (" + counting(50_000) + ")"), 3)
    return clients


def long_texts(path):
    clients = many(path, 40)
    fill(clients, raw_query("SELECT '" + "x" * 900_000 + "'"), 20)
    return clients


HOARDERS = [half_requests, long_halves, unread_results, wide_rows, control_characters, unread_health_checks,
            sessions_with_caches, sorting, groups, long_texts]


@needs_root
@pytest.mark.parametrize("hoard", HOARDERS)
def test_resident_memory_stays_within_the_limits(single_loop, hoard):
    daemon = single_loop(buffered_bytes_per_user_max=BUFFERED, sqlite_memory_bytes_per_user_max=SQLITE,
                         sqlite_memory_bytes_max=1024 * MIB)
    daemon.directory.chmod(0o755)
    with daemon.connect() as other:
        other.query("CREATE TABLE big(x)")
        other.query(f"INSERT INTO big SELECT randomblob(3000) FROM ({counting(2_000)})")
        before = daemon.memory_kib()
        daemon.reset_peak()

        def action():
            clients = hoard(daemon.socket_path)
            time.sleep(1)
            return len(clients)

        answer = as_nobody(action)
        assert answer.isdigit(), answer
        peak = daemon.memory_kib("VmHWM") - before
        assert peak < (BUFFERED + SQLITE + BESIDES) // 1024, f"{peak // 1024} MiB"
        wait_until(lambda: daemon.memory_kib() < before + 20 * 1024, "memory is given back", timeout=20)
        wait_until(lambda: usage(daemon, 65534) is None, "nobody is gone")
        other.settle()


# Requests that a worker decodes are requests like others

@pytest.mark.parametrize("mode", ["msgpack", "lines", "json"])
def test_long_requests_keep_their_order_and_end_with_the_connection(daemon, mode):
    with daemon.connect(mode) as client:
        sent = []
        for size in (10, 40_000, 20, 2_000_000, 33_000, 5):
            sent.append(client.send("health_check"))
            sent.append(client.send_query("SELECT length(?)", ["x" * size]))
        client.half_close()
        seen = []
        while len(seen) < len(sent):
            seen.append(client.receive().id)
        # Without a session queries may overtake each other, but nothing is looked at before what came earlier.
        assert sorted(seen) == sorted(sent)
        checks = [number for number in seen if number in sent[0::2]]
        assert checks == sent[0::2]
        client.receive_end()
    with daemon.connect(mode) as client:
        error = client.fails("query", {"sql": 5, "params": ["x" * 100_000]})
        assert error["code"] == "bad_request"
        error = client.fails("hello", {"client": "a", "protocol": ["x" * 100_000]})
        assert error["code"] == "bad_request"
        assert client.batch([{"sql": "SELECT 1 -- " + "x" * 50_000}, {"sql": "SELECT ?", "param_rows": [[1]] * 20_000}]).data
        client.settle()


def test_who_leaves_while_a_request_is_decoded_is_forgotten(daemon):
    body = HOSTILE["maps"]()
    for _ in range(5):
        client = Client(daemon.socket_path)
        client.socket.sendall(framed(body))
        client.close()
    with daemon.connect() as other:
        wait_until(lambda: usage(daemon, os.getuid())["buffered_bytes"] < MIB, "its bytes are credited")
        other.settle()


def test_a_stop_waits_for_what_is_decoded(single_loop):
    daemon = single_loop()
    client = daemon.connect()
    body = json_request("query", b'{"sql":"SELECT 1","x":[%s1]}' % (b"1," * 5_000_000))
    client.expect(1)
    client.send_delivered(framed(body))
    daemon.process.terminate()
    try:
        reply = client.receive()
        assert reply.type == "query_response" or reply.data["code"] == "shutting_down"
    finally:
        assert daemon.terminate() == 0
