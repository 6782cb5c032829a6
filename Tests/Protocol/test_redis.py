"""Redis behind the protocol: a real server, replies as rows, streaming, errors, transactions, cancelling, recovery."""

import json
import os
import subprocess
import threading
import time

import pytest

from daemon import LITEBASE, run_to_end, wait_until
from redis_server import FakeRedis, Redis, free_port
from wire import RequestFailed

SECRET = "Xq7hidden"


@pytest.fixture(scope="module")
def server():
    instance = Redis()
    yield instance
    instance.discard()


@pytest.fixture
def cache(server, start_daemon):
    """A daemon with the database `cache`, which is empty."""
    server.ask("FLUSHALL")
    daemon = start_daemon(databases={"cache": server.url()})
    yield daemon
    daemon.close_clients()
    wait_until(lambda: server.blocked() == 0, "nothing waits for clients that are gone")


@pytest.fixture
def client(cache, mode):
    return cache.connect(mode)


@pytest.fixture
def packed(cache):
    return cache.connect()


def on(connection, sql, params=None, **options):
    return connection.query(sql, params, database="cache", **options)


def fails(connection, sql, params=None, **options):
    return connection.query_fails(sql, params, database="cache", **options)


def names(result):
    return [column["name"] for column in result.columns]


# Commands

LINES = [("ECHO hello", "hello"), ("  echo\t'hello world' ", "hello world"), (r'ECHO "a\n\x00\x41\"\\\q"', "a\n\0A\"\\q"),
         (r"ECHO 'it\'s \n'", r"it's \n"), ('ECHO ""', ""), ("ECHO pre'fix'", "prefix"), ('ECHO "ü"', "ü"),
         (r'ECHO "\xff\xfe"', b"\xff\xfe"), ("ECHO\nline", "line"), (r'ECHO "\xZZ"', "xZZ"), (r"ECHO a\b", r"a\b")]


@pytest.mark.parametrize("line,value", LINES)
def test_command_lines(client, line, value):
    assert on(client, line).value == value


@pytest.mark.parametrize("line,offset", [('ECHO "abc', 5), ("GET 'x", 4), ("SET a 'b'c", 9), ('ECHO "\\', 5)])
def test_quotes_that_do_not_match(client, line, offset):
    error = fails(client, line)
    assert (error["code"], error["position"]["offset"]) == ("syntax_error", offset)
    assert on(client, "ECHO 1").value == "1"


PARAMETERS = [("text", "text"), ("ü\n\0'\"", "ü\n\0'\""), ("", ""), (b"\x00\xff\r\n", b"\x00\xff\r\n"), (0, "0"), (-2**63, str(-2**63)),
              (2**63 - 1, str(2**63 - 1)), (0.1, "0.1"), (float("inf"), "inf"), (float("-inf"), "-inf"), (True, "1"), (False, "0"),
              ("x" * 300_000, "x" * 300_000)]


@pytest.mark.parametrize("value,written", PARAMETERS)
def test_parameters_are_further_arguments(client, value, written):
    assert on(client, "ECHO", [value]).value == written


def test_parameters_and_the_line(client):
    assert on(client, "HSET user:1", ["name", "x", "age", 7]).value == 2
    assert on(client, "HGETALL user:1").rows == [["name", "x"], ["age", "7"]]
    assert on(client, "", ["get", "nothing"]).value is None
    assert on(client, "ECHO ?").value == "?"
    assert fails(client, "ECHO", {"a": 1})["code"] == "bad_request"
    assert fails(client, "ECHO", [None])["code"] == "bad_request"
    assert fails(client, "")["code"] == fails(client, "  \n")["code"] == "bad_request"


# Replies

def test_scalars(client):
    assert on(client, "SET k v").value == "OK"
    assert on(client, "GET k").rows == [["v"]] and on(client, "GET nothing").rows == [[None]]
    assert on(client, "INCR n").value == 1 and on(client, "DECRBY n 9223372036854775807").value == 2 - 2**63
    assert on(client, "SET", ["b", b"\xff\x00"]).value == "OK" and on(client, "GET b").value == b"\xff\x00"
    assert on(client, "PING").columns[0]["name"] == "value"


REPLIES = [
    ("LRANGE l 0 -1", ["value"], [["a"], ["b"], ["c"]]),
    ("HGETALL h", ["field", "value"], [["f", "1"], ["g", "2"]]),
    ("hgetall nothing", ["field", "value"], []),
    ("HMGET h f none", ["value"], [["1"], [None]]),
    ("ZRANGE z 0 -1", ["value"], [["one"], ["two"]]),
    ("ZRANGE z 0 -1 WITHSCORES", ["member", "score"], [["one", "1"], ["two", "2.5"]]),
    ("zrange z 0 -1 rev withscores", ["member", "score"], [["two", "2.5"], ["one", "1"]]),
    ("ZRANDMEMBER z 1 WITHSCORES", ["member", "score"], None),
    ("CONFIG GET maxmemory", ["name", "value"], [["maxmemory", "0"]]),
    ("XRANGE s - +", ["id", "fields"], [["1-1", '["f","v"]'], ["2-1", '["a","b","c","\\"\\u000a"]']]),
    ("XREAD STREAMS s 1-1", ["stream", "messages"], [["s", '[["2-1",["a","b","c","\\"\\u000a"]]]']]),
    ("XREAD STREAMS s 9", ["stream", "messages"], []),
    ("SCAN 0 MATCH l", ["cursor", "key"], [["0", "l"]]),
    ("SCAN 0 MATCH nothing", ["cursor", "key"], [["0", None]]),
    ("HSCAN h 0", ["cursor", "field", "value"], [["0", "f", "1"], ["0", "g", "2"]]),
    ("ZSCAN z 0", ["cursor", "member", "score"], [["0", "one", "1"], ["0", "two", "2.5"]]),
    ("SSCAN nothing 0", ["cursor", "member"], [["0", None]]),
    ("BLPOP nothing 0.01", ["key", "value"], []),
    ("EVAL 'return {1,{2,{},{\"x\",false}},\"y\"}' 0", ["value"], [[1], ['[2,[],["x",null]]'], ["y"]]),
    ("EVAL 'return {}' 0", ["value"], []),
    ("EVAL 'return {{\"\\255\"},redis.error_reply(\"MY error\"),{redis.error_reply(\"X y\")}}' 0", ["value"],
     [['[{"$blob":"/w=="}]'], ["MY error"], ['[{"$error":"X y"}]']]),
    ("GEOPOS nothing a", ["value"], [[None]]),
    ("TYPE l", ["value"], [["list"]]),
]


@pytest.mark.parametrize("line,columns,rows", REPLIES)
def test_replies_become_rows(client, server, line, columns, rows):
    for words in (["RPUSH", "l", "a", "b", "c"], ["HSET", "h", "f", 1, "g", 2], ["ZADD", "z", 1, "one", 2.5, "two"],
                  ["XADD", "s", "1-1", "f", "v"], ["XADD", "s", "2-1", "a", "b", "c", '"\n']):
        server.ask(*words)
    result = on(client, line)
    assert names(result) == columns
    if rows is not None:
        assert result.rows == rows
    described = client.call("describe", {"sql": line, "database": "cache"}).data
    assert [column["name"] for column in described["columns"]] == columns and described["parameters"] == []


def test_popped_pairs(client, server):
    server.ask("RPUSH", "l", "a")
    server.ask("ZADD", "z", 1, "m")
    assert on(client, "BLPOP l 1").rows == [["l", "a"]]
    assert on(client, "BZPOPMIN z 1").rows == [["z", "m", "1"]]


def test_every_command_of_the_server_has_a_reply(packed):
    assert len(on(packed, "COMMAND").rows) > 200
    assert json.loads(on(packed, "COMMAND INFO get").rows[0][0])[0] == "get"


# Streaming

def test_pages(client, server):
    server.ask("EVAL", "for i = 1, 25 do redis.call('HSET', 'h', 'f' .. i, i) end", 0)
    for line, count in (("HGETALL h", 25), ("HKEYS h", 25), ("HSCAN h 0 COUNT 100", 25)):
        id = client.send_query(line, database="cache", page_rows=10)
        sizes = []
        while True:
            frame = client.receive_for(id)
            sizes.append(len(frame.data["rows"]))
            if not frame.data["more"]:
                break
            client.send("fetch", {"request": id})
        assert sizes[:2] == [10, 10] and sum(sizes) == count
    assert on(client, "ECHO 1").value == "1"


def test_large_values(packed, server, cache):
    value = os.urandom(4 << 20)
    assert on(packed, "SET", ["large", value]).value == "OK"
    assert on(packed, "GET large").value == value
    # Larger than a row may be.
    for _ in range(80):
        server.ask("APPEND", "huge", b"x" * (1 << 20))
    before = cache.memory_kib("VmRSS")
    error = fails(packed, "GET huge")
    assert error["code"] == "limit_exceeded" and "row_bytes_max" in error["message"]
    error = fails(packed, "EVAL", ["local t = {} for i = 1, 5 do t[i] = redis.call('GETRANGE', 'huge', 0, 15000000) end return {t}", 0])
    assert error["code"] == "limit_exceeded" and error["detail"] == "The command was executed."
    assert on(packed, "GETRANGE huge 0 9").value == "x" * 10
    wait_until(lambda: cache.memory_kib("VmRSS") - before < 80 << 10, "memory is given back")


# Errors

ERRORS = [("NOSUCH a b", "syntax_error", "42601"), ("GET", "syntax_error", "42601"), ("SET a b c d", "syntax_error", "42601"),
          ("LPUSH text x", "database_error", "42804"), ("INCR text", "database_error", "22023"),
          ("EVALSHA 0000000000000000000000000000000000000000 0", "database_error", "26000"),
          ("XGROUP CREATE stream g 0", "constraint_violation", "23505"), ("RESTORE text 0 x REPLACE", "database_error", "22000"),
          ("EVAL \"return redis.error_reply('MINE what I say')\" 0", "database_error", "P0001")]


@pytest.mark.parametrize("line,code,sqlstate", ERRORS)
def test_errors(client, server, line, code, sqlstate):
    server.ask("SET", "text", "x")
    server.ask("XGROUP", "CREATE", "stream", "g", 0, "MKSTREAM")
    error = fails(client, line)
    assert (error["code"], error["sqlstate"]) == (code, sqlstate), error
    assert error["message"][0].isupper() and error["message"].endswith(".")
    assert on(client, "ECHO 1").value == "1"


def test_errors_do_not_repeat_arguments(packed):
    assert SECRET not in str(fails(packed, "NOSUCH", [SECRET]))


def test_errors_do_not_reach_the_log(cache, packed):
    for reply in (SECRET, f"ERR {SECRET}", f"MINE {SECRET}"):
        assert SECRET in fails(packed, "EVAL", ["return redis.error_reply(ARGV[1])", 0, reply])["message"]
    assert SECRET not in cache.log()


@pytest.mark.parametrize("line", ["MULTI", "exec", "DISCARD", "WATCH a", "unwatch", "Select 1", '"MULTI"'])
def test_what_needs_a_session(packed, line):
    assert fails(packed, line)["code"] == "needs_session"
    assert fails(packed, "", [line.strip('"').split()[0]])["code"] == "needs_session"
    assert on(packed, "ECHO 1").value == "1"


REFUSED = ["SUBSCRIBE a", "psubscribe a", "SSUBSCRIBE a", "UNSUBSCRIBE", "MONITOR", "AUTH x", "HELLO 3", "RESET", "QUIT", "SYNC",
           "PSYNC ? -1", "REPLCONF a b", "CLIENT REPLY OFF", "client reply skip", "CLIENT TRACKING ON BCAST", "CLIENT SETNAME x",
           "CLIENT NO-EVICT on", "READONLY", "ASKING", "SCRIPT DEBUG YES", "script debug sync"]


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused(packed, line):
    session = packed.session(database="cache")
    first, *rest = line.split()
    for error in (fails(packed, line), packed.query_fails(line, session=session), fails(packed, "", [first, *rest]),
                  fails(packed, first, rest), packed.fails("batch", {"statements": [{"sql": line}], "database": "cache"})):
        assert (error["code"], error["sqlstate"]) == ("database_error", "0A000")
    assert packed.query("ECHO 1", session=session).value == "1" and on(packed, "ECHO 2").value == "2"


def test_describe(packed):
    def describe(sql):
        return packed.call("describe", {"sql": sql, "database": "cache"}).data

    assert describe("GET k")["read_only"] is True and describe("SET k v")["read_only"] is False
    assert describe("SORT k")["read_only"] is False and describe("sort_ro k")["read_only"] is True
    assert describe("XREAD STREAMS s 0")["columns"][1]["type"] == "json"
    assert packed.fails("describe", {"sql": "NOSUCH", "database": "cache"})["code"] == "syntax_error"


# Sessions and transactions

def test_transactions(packed, server):
    data = packed.call("db_connect", {"database": "cache"}).data
    assert data["engine"] == "redis" and data["server_version"] == server.ask("HELLO", "2")[3]
    session = data["session"]
    assert packed.query("MULTI", session=session).transaction == "active"
    assert packed.query("SET a 1", session=session).value == "QUEUED"
    assert packed.query("LPUSH a 1", session=session).transaction == "active"
    packed.query("HGETALL h", session=session)
    assert server.ask("GET", "a") is None
    result = packed.query("EXEC", session=session)
    assert result.transaction == "none" and names(result) == ["value", "error"]
    assert result.rows[0] == ["OK", None] and result.rows[1][0] is None and result.rows[1][1].startswith("WRONGTYPE")
    assert result.rows[2] == ["[]", None]
    assert packed.query("GET a", session=session).value == "1"


def test_a_transaction_that_fails_when_it_is_queued(packed, server):
    session = packed.session(database="cache")
    packed.query("MULTI", session=session)
    packed.query("SET a 1", session=session)
    assert packed.query_fails("NOSUCH", session=session)["transaction"] == "failed"
    error = packed.query_fails("EXEC", session=session)
    assert (error["sqlstate"], error["transaction"]) == ("25P02", "none")
    assert server.ask("GET", "a") is None
    packed.query("MULTI", session=session)
    packed.query_fails("GET", session=session)
    assert packed.query("DISCARD", session=session).transaction == "none"
    packed.query("MULTI", session=session)
    packed.query_fails("MULTI", session=session)
    assert packed.query("DISCARD", session=session).transaction == "none"
    assert packed.query_fails("EXEC", session=session)["sqlstate"] == "25P01"


def test_watch(packed, server):
    session = packed.session(database="cache")
    packed.query("WATCH a", session=session)
    server.ask("SET", "a", "theirs")
    packed.query("MULTI", session=session)
    packed.query("SET a mine", session=session)
    error = packed.query_fails("EXEC", session=session)
    assert (error["code"], error["sqlstate"], error["retryable"], error["transaction"]) == ("busy", "40001", True, "none")
    assert server.ask("GET", "a") == "theirs"
    # An atomic batch is the transaction behind a WATCH.
    packed.query("WATCH a", session=session)
    server.ask("SET", "a", "theirs again")
    assert packed.fails("batch", {"statements": [{"sql": "SET a mine"}], "session": session})["sqlstate"] == "40001"
    packed.batch([{"sql": "SET a mine"}], session=session)
    assert server.ask("GET", "a") == "mine"


def test_a_session_leaves_nothing_behind(server, start_daemon, directory):
    server.ask("FLUSHALL")
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n[databases.cache]\nurl = "{server.url(db=2)}"\n')
    packed = start_daemon("--config", config).connect()
    for leave in (["SELECT 5"], ["WATCH a"], ["SELECT 5", "MULTI", "SET a session"], ["MULTI", "GET"], ["MULTI", "SELECT 7"]):
        session = packed.session(database="cache")
        connection = packed.query("CLIENT ID", session=session).value
        for line in leave:
            try:
                packed.query(line, session=session)
            except RequestFailed:
                pass
        packed.call("db_disconnect", {"session": session})
        # The same connection, as good as new.
        assert on(packed, "CLIENT ID").value == connection
        assert " db=2 " in on(packed, "CLIENT INFO").value and " multi=-1 " in on(packed, "CLIENT INFO").value
        session = packed.session(database="cache")
        server.ask("SET", "a", "x")
        packed.query("MULTI", session=session)
        packed.query("SET a mine", session=session)
        assert packed.query("EXEC", session=session).rows == [["OK", None]]
        packed.call("db_disconnect", {"session": session})
    assert server.ask("DBSIZE") == 1


def test_batches(packed, server):
    rows = [[f"k{i}", i] for i in range(20_000)]
    data = packed.batch([{"sql": "SET", "param_rows": rows}, {"sql": "INCR n"}], database="cache").data
    assert len(data["results"]) == 2 and server.ask("DBSIZE") == 20_001
    data = packed.batch([{"sql": "SET", "param_rows": rows}, {"sql": "INCR n"}], atomic=False, database="cache").data
    assert len(data["results"]) == 2 and server.ask("GET", "n") == "2"
    packed.settle()


def test_a_batch_that_cannot_be_queued_changes_nothing(packed, server):
    rows = [["k", i] for i in range(3000)]
    for bad in ({"sql": "NOSUCH"}, {"sql": "GET"}, {"sql": "ECHO 'x"}, {"sql": "MULTI"}, {"sql": "SUBSCRIBE a"},
                {"sql": "SELECT 1"}, {"sql": "GET", "params": [None]}):
        error = packed.fails("batch", {"statements": [{"sql": "SET", "param_rows": rows}, bad, {"sql": "SET x y"}],
                                       "database": "cache"})
        assert error["statement_index"] == 1, error
        assert server.ask("DBSIZE") == 0
    error = packed.fails("batch", {"statements": [{"sql": "SET", "param_rows": [["a", 1]] * 1500 + [["a"]]}], "database": "cache"})
    assert (error["statement_index"], error["row_index"]) == (0, 1500) and server.ask("DBSIZE") == 0
    session = packed.session(database="cache")
    packed.query("MULTI", session=session)
    error = packed.fails("batch", {"statements": [{"sql": "SET x y"}], "session": session})
    assert (error["code"], error["transaction"]) == ("bad_request", "active")
    packed.batch([{"sql": "SET x y"}, {"sql": "GET x"}], atomic=False, session=session)
    assert packed.query("EXEC", session=session).rows == [["OK", None], ["y", None]]


def test_a_batch_that_fails_while_it_is_executed(packed, server):
    server.ask("SET", "text", "x")
    statements = [{"sql": "SET", "param_rows": [["a", 1], ["b", 2]]}, {"sql": "INCR", "param_rows": [["a"], ["text"], ["b"]]},
                  {"sql": "SET after 1"}]
    error = packed.fails("batch", {"statements": statements, "database": "cache"})
    assert (error["code"], error["statement_index"], error["row_index"]) == ("database_error", 1, 1)
    assert "roll back" in error["detail"]
    assert [server.ask("GET", key) for key in ("a", "b", "after")] == ["2", "3", "1"]
    error = packed.fails("batch", {"statements": statements, "atomic": False, "database": "cache"})
    assert (error["statement_index"], error["row_index"]) == (1, 1)
    packed.settle()


# Read-only

WRITES = ["SET a 1", "set a 1", "sEt a 1", "DEL k", "EVAL \"return redis.call('set','a','1')\" 0", "EVAL 'return 1' 0", "SCRIPT FLUSH",
          "SCRIPT LOAD 'return 1'", "FUNCTION FLUSH", "FCALL f 0", "SORT l STORE a", "SORT l", "GEORADIUS g 0 0 1 m STORE a",
          "GEORADIUS g 0 0 1 m", "BITFIELD k SET u8 0 1", "GETEX k EX 1", "GETDEL k", "GETSET k 1", "CONFIG SET maxmemory 1",
          "CONFIG GET requirepass", "CONFIG RESETSTAT", "CONFIG REWRITE",
          "DEBUG JMAP", "FLUSHALL", "FLUSHDB", "MIGRATE h 1 k 0 1", "RESTORE a 0 x", "COPY k a",
          "RENAME k a", "MOVE k 1", "XREADGROUP GROUP g c STREAMS s >", "PUBLISH c m", "SPUBLISH c m", "CLIENT KILL TYPE normal",
          "CLIENT PAUSE 1", "CLIENT UNBLOCK 1", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "ACL SETUSER x", "ACL LIST",
          "SWAPDB 0 1", "SAVE", "BGSAVE", "BGREWRITEAOF", "EXPIRE k 1", "PERSIST k", "PFADD p a", "PFMERGE p q", "SETBIT k 1 1",
          "OBJECT HELP x y", "MEMORY PURGE", "SLOWLOG RESET", "LATENCY RESET", "MODULE LOAD /x", "CLUSTER RESET", "FAILOVER", "NOSUCH",
          "WAIT 0 0", "RESET", "AUTH x", "LMOVE l m LEFT LEFT", "BLPOP l 1", "SINTERSTORE a l", "ZRANGESTORE a z 0 1", "set\0 a b"]
READS = ["GET k", "get k", "LRANGE l 0 -1", "SCAN 0", "EVAL_RO \"return redis.call('get','k')\" 0", "SORT_RO l ALPHA",
         "BITFIELD_RO k GET u8 0", "GEORADIUS_RO g 0 0 1 m", "OBJECT ENCODING k", "MEMORY USAGE k", "TIME", "INFO", "PING", "ECHO x",
         "DBSIZE", "XREAD STREAMS s 0", "XINFO STREAM s", "COMMAND COUNT", "TTL k", "TYPE k", "EXISTS k", "DUMP k",
         "RANDOMKEY", "PFCOUNT k2", "CLIENT ID", "ACL WHOAMI", "SLOWLOG LEN", "ROLE"]


def snapshot(server):
    return sorted((key, server.ask("DUMP", key)) for key in server.ask("KEYS", "*"))


def test_read_only_access(server, start_daemon, directory):
    server.ask("FLUSHALL")
    for words in (["SET", "k", "v"], ["RPUSH", "l", "b", "a"], ["XADD", "s", "1-1", "f", "v"], ["XGROUP", "CREATE", "s", "g", 0],
                  ["GEOADD", "g", 0, 0, "m"], ["ZADD", "z", 1, "m"]):
        server.ask(*words)
    before = snapshot(server)
    config = directory / "sealed.toml"
    config.write_text(f'[databases.sealed]\nurl = "{server.url()}"\naccess = "read_only"\n[databases.cache]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    for line in READS:
        client.query(line, database="sealed")
    session = client.call("db_connect", {"database": "cache", "read_only": True}).data
    assert session["read_only"] is True
    session = session["session"]
    for line in WRITES:
        words = line.split()
        ways = [({"sql": line}, {"database": "sealed"}), ({"sql": line}, {"session": session})]
        if '"' not in line and "'" not in line:
            ways += [({"sql": words[0], "params": words[1:]}, {"database": "sealed"}), ({"sql": "", "params": words}, {"session": session})]
        for statement, where in ways:
            error = client.fails("query", {**statement, **where})
            assert error["code"] == "read_only" or error["sqlstate"] == "0A000", (line, error)
            for atomic in (True, False):
                error = client.fails("batch", {"statements": [statement], "atomic": atomic, **where})
                assert error["code"] == "read_only" or error["sqlstate"] == "0A000", (line, error)
    # Within a transaction of the session, too.
    client.query("MULTI", session=session)
    assert client.query_fails("SET a 1", session=session)["code"] == "read_only"
    assert client.query("GET k", session=session).value == "QUEUED"
    assert client.query("EXEC", session=session).rows == [["v", None]]
    # A script that is allowed cannot write either: the server sees to it.
    assert "Write commands are not allowed" in client.query_fails(
        "EVAL_RO \"return redis.call('set','a','1')\" 0", database="sealed")["message"]
    client.batch([{"sql": "GET k"}, {"sql": "TIME"}], database="sealed")
    assert snapshot(server) == before
    client.settle()


def test_users_and_their_rights(server, start_daemon, directory):
    server.ask("FLUSHALL")
    server.ask("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@read", "+@connection", "-@dangerous", "+info")
    server.ask("ACL", "SETUSER", "narrow", "on", f">{SECRET}", "~app:*", "+get", "+set")
    try:
        password = directory / "password"
        password.write_text(SECRET + "\n")
        password.chmod(0o600)
        daemon = start_daemon(databases={"cache": server.url("reader", SECRET), "narrow": server.url("narrow", SECRET),
                                         "wrong": server.url("reader", "no" + SECRET)})
        client = daemon.connect()
        assert on(client, "GET a").value is None
        session = client.call("db_connect", {"database": "cache", "read_only": True}).data["session"]
        assert client.query("GET a", session=session).value is None
        error = fails(client, "SET a 1")
        assert (error["code"], error["sqlstate"]) == ("permission_denied", "42501")
        assert client.query("SET app:a 1", database="narrow").value == "OK"
        error = client.query_fails("SET other 1", database="narrow")
        assert error["code"] == "permission_denied"
        # Who may not ask what commands do, cannot have read-only access: nothing is guessed.
        session = client.call("db_connect", {"database": "narrow", "read_only": True}).data["session"]
        error = client.query_fails("GET app:a", session=session)
        assert error["code"] == "permission_denied" and "+command" in error["hint"]
        error = client.query_fails("GET a", database="wrong")
        assert (error["code"], error["sqlstate"]) == ("connect_failed", "28000") and "WRONGPASS" in error["detail"]
        assert SECRET not in daemon.log()
    finally:
        server.ask("ACL", "DELUSER", "reader", "narrow")


# Cancelling

def blocked_in(server, count):
    wait_until(lambda: server.blocked() == count, f"{count} wait")


@pytest.mark.parametrize("line", ["BLPOP nothing 0", "BRPOP nothing 30", "BZPOPMIN nothing 0", "XREAD BLOCK 0 STREAMS nothing $",
                                  "BLMOVE nothing other LEFT LEFT 0", "WAIT 5 0"])
def test_blocking_commands_are_cancelled(cache, packed, server, line):
    id = packed.send_query(line, database="cache")
    blocked_in(server, 1)
    started = time.monotonic()
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    assert time.monotonic() - started < 0.1
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "cancelled", failure.value
    started = time.monotonic()
    assert fails(packed, line, timeout_ms=60)["code"] == "timeout"
    assert time.monotonic() - started < 0.25
    blocked_in(server, 0)
    with cache.connect() as leaving:
        leaving.send_query(line, database="cache")
        blocked_in(server, 1)
    blocked_in(server, 0)
    # Their connections are used again.
    for _ in range(20):
        on(packed, "PING")
    assert len(server.clients()) <= 4


def test_a_session_outlives_a_cancel(packed, server):
    session = packed.session(database="cache")
    connection = packed.query("CLIENT ID", session=session).value
    for _ in range(5):
        assert packed.query_fails("BLPOP nothing 0", session=session, timeout_ms=20)["code"] == "timeout"
    assert packed.query("CLIENT ID", session=session).value == connection


def test_nothing_that_was_popped_is_lost(packed, server):
    """Data and cancel race: either the value is delivered, or it is still there; a late cancel hits nobody else."""
    delivered = cancelled = 0
    for round in range(200):
        id = packed.send_query("BLPOP queue 0", database="cache")
        blocked_in(server, 1)
        pusher = threading.Thread(target=server.ask, args=("RPUSH", "queue", f"value {round}"))
        pusher.start()
        time.sleep((round % 20) / 10_000)
        cancel = packed.send("cancel", {"request": id})
        try:
            assert packed.collect(id).rows == [["queue", f"value {round}"]]
            delivered += 1
        except RequestFailed as failure:
            assert failure.code == "cancelled"
            cancelled += 1
            pusher.join()
            assert on(packed, "LPOP queue").value == f"value {round}"
        packed.answer(cancel)
        pusher.join()
        assert on(packed, "BLPOP queue 0.001").rows == []
    assert delivered and server.ask("EXISTS", "queue") == 0


def test_a_large_reply_is_cancelled(packed, server, cache):
    server.ask("EVAL", "for i = 1, 200000 do redis.call('RPUSH', 'big', i) end", 0)
    id = packed.send_query("LRANGE big 0 -1", database="cache", page_rows=10)
    packed.receive_for(id)
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    # What was taken away is not handed over as if nothing had happened.
    id = packed.send_query("LPOP big 200000", database="cache", page_rows=10)
    packed.receive_for(id)
    assert packed.call("cancel", {"request": id}).type == "cancel_response"
    with pytest.raises(RequestFailed) as failure:
        while True:
            packed.collect(id)
    assert failure.value.code == "outcome_unknown" and "executed" in failure.value.data["message"]
    for _ in range(20):
        assert on(packed, "ECHO 1").value == "1"


def test_a_server_that_does_not_react(packed, server):
    on(packed, "SET a 1")
    for id in [packed.send_query("BLPOP nothing 0.1", database="cache") for _ in range(6)]:
        packed.collect(id)
    blocked = packed.send_query("BLPOP nothing 0", database="cache")
    blocked_in(server, 1)
    server.pause()
    try:
        for line, codes in (("GET a", ["timeout"]), ("SET a 2", ["outcome_unknown"]), ("EVAL 'return 1' 0", ["outcome_unknown"])):
            started = time.monotonic()
            assert fails(packed, line, timeout_ms=50)["code"] in codes
            assert time.monotonic() - started < 0.4
        started = time.monotonic()
        packed.call("cancel", {"request": blocked})
        assert time.monotonic() - started < 0.3
        with pytest.raises(RequestFailed) as failure:
            packed.collect(blocked)
        # It may have popped something before it was told to stop.
        assert failure.value.code == "outcome_unknown"
    finally:
        server.go_on()
    assert on(packed, "ECHO 1").value == "1"


# The pool, and a server that comes and goes

def test_one_connection_is_ended(packed, server):
    on(packed, "PING")
    for id in server.clients():
        server.ask("CLIENT", "KILL", "ID", id)
    assert on(packed, "ECHO 1").value == "1"
    session = packed.session(database="cache")
    server.ask("CLIENT", "KILL", "ID", packed.query("CLIENT ID", session=session).value)
    assert packed.query_fails("ECHO 1", session=session)["code"] == "connect_failed"


# Hostile servers

HOSTILE = [(b"*2147483648\r\n", "database_error"), (b"*99999999999999999999\r\n", "database_error"), (b"hello\r\n", "database_error"),
           (b"*1\r\n" * 20 + b"+x\r\n", "database_error"), (b"$99999999999\r\nabc", "limit_exceeded"), (b"$-7\r\n", "database_error"),
           (b":12x\r\n", "database_error"), (b"$536870912\r\nabc", "limit_exceeded")]


@pytest.mark.parametrize("reply,code", HOSTILE)
def test_replies_that_are_none(start_daemon, reply, code):
    fake = FakeRedis(reply)
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.memory_kib("VmRSS")
        for _ in range(3):
            assert fails(client, "GET x")["code"] in (code, "outcome_unknown")
        assert daemon.memory_kib("VmRSS") - before < 16 << 10
        # An array that claims to be huge costs nothing; its reader gives up.
        fake.reply = b"*2147483647\r\n+a\r\n"
        assert fails(client, "PING", timeout_ms=100)["code"] == "timeout"
        fake.reply = b"+fine\r\n"
        assert on(client, "PING").value == "fine"
        fake.reply = b"+fine\r\n+more than was asked for\r\n"
        assert on(client, "PING").value == "fine"
        fake.reply = b"+other\r\n"
        assert on(client, "PING").value == "other"
        assert daemon.memory_kib("VmRSS") - before < 16 << 10
    finally:
        fake.discard()


# Who may do what, and what is never shown

URLS = ["redis://", "redis://h:0", "redis://h:x", "redis://h/x", "redis://h/1?db=2", "redis://h/-1", "redis://h?nix=1", "redis://h/%zz",
        "redis:h", "redis+unix://relative", "unix://", "redis://[::1", "redis://h /1"]


@pytest.mark.parametrize("url", URLS[1:])
def test_urls_that_are_not_understood(directory, url):
    status, output = run_to_end("--check-config", "--database", f"cache={url.replace('//', f'//u:{SECRET}@', 1)}", directory=directory)
    assert status != 0 and SECRET not in output


@pytest.mark.parametrize("url", ["redis://", "redis://h", "redis://:p@h/3", "redis://u:p%40@[::1]:7/0", "valkey://h", "unix:///s?db=1",
                                 "redis+unix:///s", "redis://h/?db=4"])
def test_urls_that_are_understood(directory, url):
    assert run_to_end("--check-config", "--database", f"cache={url}", directory=directory)[0] == 0


def test_encryption_is_refused_with_a_remedy(directory):
    status, output = run_to_end("--check-config", "--database", "cache=rediss://h", directory=directory)
    assert status != 0 and "TLS" in output and "stunnel" in output


def test_a_server_over_tcp(start_daemon):
    port = free_port()
    server = Redis(port=port, bind="127.0.0.1", requirepass=SECRET, databases=4)
    try:
        client = start_daemon(databases={"cache": f"redis://:{SECRET}@127.0.0.1:{port}/3",
                                         "none": f"redis://:{SECRET}@localhost:{port}/4",
                                         "out": f"redis://127.0.0.1:{port}"}).connect()
        assert " db=3 " in on(client, "CLIENT INFO").value and " name=litebase " in on(client, "CLIENT INFO").value
        assert client.query_fails("PING", database="none")["code"] == "connect_failed"
        error = client.query_fails("PING", database="out")
        assert (error["code"], error["sqlstate"]) == ("connect_failed", "28000")
    finally:
        server.discard()


# The command line

def command(cache, *arguments, text=None):
    return subprocess.run([LITEBASE, *arguments, "--socket", cache.socket_path], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=20, text=True, check=False)


def test_the_command_line(cache, server):
    assert command(cache, "query", "-d", "cache", "SET greeting 'hello world; it is'").returncode == 0
    assert "hello world; it is" in command(cache, "query", "-d", "cache", "GET greeting").stdout
    # What is typed is what is stored, numbers included.
    for value in ("v", "007", "1.50", "-5", "null", "x'00'", "a;b;"):
        assert command(cache, "query", "-d", "cache", "SET", "k", value).returncode == 0
        assert server.ask("GET", "k") == value
        assert command(cache, "query", "--url", server.url(), "SET", "j", value).returncode == 0
        assert server.ask("GET", "j") == value
    assert command(cache, "query", "-d", "cache", r'SET k "a\";b"').returncode == 0 and server.ask("GET", "k") == 'a";b'
    output = command(cache, "query", "-d", "cache", "GET 'x").stdout
    assert "not closed" in output and "^" in output


def test_lines_are_commands_in_the_shell_and_in_scripts(cache, server):
    lines = "SET a 1\nINCR a\n\n.timing off\nMULTI\nINCR a\nEXEC\nSET s \"x;\\\";y\"\nSET t [--\nGET t\n"
    for output in (command(cache, "shell", "-d", "cache", text=lines).stdout,
                   command(cache, "query", "-d", "cache", "-", text=lines.replace(".timing off\n", "")).stdout):
        assert "QUEUED" in output and "[--" in output, output
        assert (server.ask("GET", "a"), server.ask("GET", "s"), server.ask("GET", "t")) == ("3", 'x;";y', "[--")
    output = command(cache, "shell", text=".use cache\nPING\n.use default\nSELECT 6\n* 7;\n").stdout
    assert "PONG" in output and "42" in output
