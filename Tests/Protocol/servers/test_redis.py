"""Redis behind the protocol, beyond the conformance suite: commands, replies as rows, streaming, errors, transactions."""

import json
import os
import pathlib
import shutil

import pytest

from daemon import wait_until
from redis_server import Redis
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


def test_a_library_under_the_name_of_another_version(server, start_daemon, directory):
    """The number in its name says how its structures lie in memory: one in which they lie otherwise is not used."""
    old = next(pathlib.Path("/usr/lib").glob("*/libhiredis.so.0.14"), None)
    if old is None:
        pytest.skip("libhiredis0.14 is not installed")
    shutil.copy(old.resolve(), directory / "libhiredis.so.1.1.0")
    client = start_daemon(databases={"cache": server.url()}, environment={"LD_LIBRARY_PATH": str(directory)}).connect()
    error = client.query_fails("PING", database="cache")
    assert error["code"] == "driver_missing" and "libhiredis.so.1.1.0 is not" in error["detail"], error
    assert client.query("SELECT 1").value == 1
