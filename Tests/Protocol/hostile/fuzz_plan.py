"""Random plans for the fuzzer of the protocol: lists of steps that do not depend on what the daemon answers.

So a plan can be run again, and with steps taken out it is still a plan: a step whose connection or session is not there
does nothing, or asks for a session that does not exist.
"""

import collections
import random

Step = collections.namedtuple("Step", "index kind arguments")

CONNECTION_COUNT, SESSION_COUNT, SAVEPOINT_NAMES = 3, 2, ("a", "B", "c c")

# Statements that are odd, but change nothing outside their session. What they answer is not modelled, only its shape.
ODD_SQL = [
    "", ";", " \t\n", "-- nothing", "/* open", "SELEC", "SELECT 1; SELECT 2", "SELECT", "SELECT * FROM nowhere", "SELECT 'open",
    "SELECT 1\0 garbage", "\ufeffSELECT 1", "SELECT " + "(" * 900 + "1" + ")" * 900, "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + ",".join(["1"] * 1900), "SELECT " + ",".join(["1"] * 2500), "SELECT 1 AS x, 2 AS x", "SELECT 1 AS \"\"",
    "SELECT CAST(x'fffe41' AS TEXT), CAST(x'c080' AS TEXT), x'', zeroblob(70000)", "SELECT char(0) || 'a' || char(0x10ffff)",
    "SELECT 9223372036854775807, -9223372036854775808, -0.0, 9e999, -9e999, 5e-324, 1e15, 123456789012345678",
    "SELECT randomblob(50000) FROM (VALUES (1), (2), (3), (4), (5), (6))", "SELECT zeroblob(400000)", "SELECT zeroblob(2000000000)",
    "SELECT hex(zeroblob(300000))", "SELECT abs(-9223372036854775808)", "SELECT 1/0, 1%0, NULL", "SELECT json('{')",
    "SELECT json_group_array(value) FROM json_each('[1,2,3]')", "SELECT load_extension('x')", "SELECT raise(abort, 'x')",
    "SELECT sum(9223372036854775807) FROM (VALUES (1), (2))", "SELECT printf('%.*c', 100000, 'x')", "EXPLAIN SELECT 1",
    "EXPLAIN QUERY PLAN SELECT * FROM f", "PRAGMA table_info(f)", "PRAGMA journal_mode = DELETE", "PRAGMA journal_mode",
    "PRAGMA integrity_check", "PRAGMA cache_size = -1000", "PRAGMA nonsense = 5", "PRAGMA query_only", "ANALYZE nowhere",
    "ATTACH ':memory:' AS mine", "DETACH mine", "ATTACH '/nowhere/at/all.db' AS other", "VACUUM INTO '/nowhere/at/all.db'",
    "CREATE TEMP TABLE mine(x)", "DROP TABLE IF EXISTS temp.mine", "CREATE TABLE f(x)", "DROP TABLE nowhere", "DELETE FROM f WHERE 0",
    "INSERT INTO f VALUES ('not a key', 0, 0)", "INSERT INTO f(k) VALUES (1, 2)", "UPDATE f SET n = n WHERE 0 RETURNING k",
    "SELECT :a, @b, $c, ?7", "SELECT ?32767", "SELECT ?99999", "SELECT count(*) FROM f AS a, f AS b, f AS c WHERE a.k + b.k + c.k < 0",
    "SELECT 'a' LIKE '" + "%a" * 3000 + "'", "SELECT 'x' " + "|| 'x' " * 3000, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 30000) "
    "SELECT group_concat(x) FROM c", "VALUES (1), (2, 3)", "SELECT /* " + "x" * 20000 + " */ 1", "SELECT 💣", "REINDEX",
]

# Data that a request must not have: (type, data, codes that are right).
BAD_REQUESTS = [
    ("query", None, "bad_request"), ("query", {}, "bad_request"), ("query", {"sql": 5}, "bad_request"), ("query", {"sql": None}, "bad_request"),
    ("query", {"sql": "SELECT 1", "params": "x"}, "bad_request"), ("query", {"sql": "SELECT ?", "params": [[1]]}, "bad_request"),
    ("query", {"sql": "SELECT ?", "params": [{"a": 1}]}, "bad_request"), ("query", {"sql": "SELECT ?", "params": [1, 2]}, "bad_request"),
    ("query", {"sql": "SELECT :a", "params": {"b": 1}}, "bad_request"), ("query", {"sql": "SELECT 1", "timeout_ms": 0}, "bad_request"),
    ("query", {"sql": "SELECT 1", "timeout_ms": -5}, "bad_request"), ("query", {"sql": "SELECT 1", "timeout_ms": 1.5}, "bad_request"),
    ("query", {"sql": "SELECT 1", "max_rows": 0}, "bad_request"), ("query", {"sql": "SELECT 1", "page_rows": 2**63}, "bad_request"),
    ("query", {"sql": "SELECT 1", "page_rows": "5"}, "bad_request"), ("query", {"sql": "SELECT 1", "session": 5}, "bad_request"),
    ("query", {"sql": "SELECT 1", "session": "s0-0"}, "session_not_found"), ("query", {"sql": "SELECT 1", "database": "nowhere"}, "database_not_found"),
    ("query", {"sql": "SELECT 1", "database": "default", "session": "s1-1"}, "bad_request"), ("query", {"sql": "BEGIN"}, "needs_session"),
    ("query", {"sql": "ROLLBACK"}, "needs_session"), ("query", {"sql": "SAVEPOINT x"}, "needs_session"),
    ("query", {"sql": "CREATE TEMP TABLE x(y)"}, "needs_session"), ("query", {"sql": "DELETE FROM fixed", "database": "sealed"}, "read_only"),
    ("batch", None, "bad_request"), ("batch", {"statements": 5}, "bad_request"), ("batch", {"statements": [5]}, "bad_request"),
    ("batch", {"statements": [{"sql": "SELECT ?", "params": [1], "param_rows": [[1]]}]}, "bad_request"),
    ("batch", {"statements": [{"sql": "SELECT ?", "param_rows": [1]}]}, "bad_request"),
    ("batch", {"statements": [{"sql": "BEGIN"}]}, "bad_request needs_session"), ("batch", {"statements": [{}]}, "bad_request"),
    ("batch", {"statements": [], "atomic": "yes"}, "bad_request"), ("describe", {}, "bad_request"), ("describe", {"sql": "SELEC"}, "syntax_error"),
    ("fetch", None, "bad_request"), ("fetch", {"request": None}, "bad_request"), ("fetch", {"request": [1]}, "bad_request"),
    ("fetch", {"request": "never"}, "bad_request"), ("cancel", None, "bad_request"), ("cancel", {"request": 1.5}, "bad_request"),
    ("db_connect", {"database": "nowhere"}, "database_not_found"), ("db_connect", {"database": "default", "url": "sqlite::memory:"}, "bad_request"),
    ("db_connect", {"url": ""}, "bad_request connect_failed"), ("db_connect", {"url": "sqlite:/no/such/place.db"}, "connect_failed"),
    ("db_connect", {"url": "sqlite:/dev/null/x"}, "connect_failed"), ("db_connect", {"url": "sqlite:/tmp?mode=ro"}, "connect_failed"),
    ("db_connect", {"url": "gopher://localhost/"}, "driver_missing bad_request"), ("db_connect", {"read_only": 1}, "bad_request"),
    ("db_disconnect", None, "bad_request"), ("db_disconnect", {"session": "never"}, "session_not_found"), ("hello", {"protocol": [99]}, "bad_request"),
    ("hello", {"int64": "roman"}, "bad_request"), ("hello", {"notices": 1}, "bad_request"), ("Query", {}, "unknown_type"), ("", None, "unknown_type"),
    ("query\0", None, "unknown_type"), ("x" * 5000, None, "unknown_type"),
]

# Bodies that are no request, each in the encodings where it can be sent. One error each; the id is null or as written.
BROKEN = {
    "lines": [
        b"x", b"{", b"}", b"{}", b"[]", b"null", b"{\"id\":1", b"{\"id\":1}", b"{\"type\":\"health_check\"}", b"{\"id\":1,\"id\":2,\"type\":\"stats\"}",
        b"{\"id\":[],\"type\":\"stats\"}", b"{\"id\":1.5,\"type\":\"stats\"}", b"{\"id\":1e999,\"type\":\"stats\"}", b"{\"id\":true,\"type\":\"stats\"}",
        b"{\"id\":18446744073709551616,\"type\":\"stats\"}", b"{\"id\":\"\\ud800\",\"type\":\"stats\"}", b"{\"id\":\"\xff\",\"type\":\"stats\"}",
        b"{\"id\":\"" + b"x" * 129 + b"\",\"type\":\"stats\"}", b"{\"id\":01,\"type\":\"stats\"}", b"{\"id\":1,\"type\":5}", b"{\"id\":1,\"type\":\"stats\"} x",
        b"{\"id\":1,\"type\":\"stats\",\"data\":5}", b"{\"id\":1,\"type\":\"stats\",\"data\":[]}", b"{\"id\":1,\"type\":\"stats\",}",
        b"{\"a\":" * 70 + b"1" + b"}" * 70, b"{\"a\":" + b"[" * 70 + b"]" * 70 + b"}", b"{\"id\":1,\"type\":\"query\",\"data\":{\"sql\":\"SELECT ?\",\"params\":[{\"$int\":\"x\"}]}}",
        b"{\"id\":1,\"type\":\"query\",\"data\":{\"sql\":\"SELECT ?\",\"params\":[{\"$blob\":\"=\"}]}}", b"\x00\x00\x00\x01\x80", b"GET / HTTP/1.1",
        b"{" + b",".join(b"\"%d\":1" % number for number in range(8000)) + b"}", b"\x80", b"{\"id\":NaN,\"type\":\"stats\"}", b"'",
    ],
    "msgpack": [
        b"", b"\x80", b"\xc1", b"\x90", b"\x01", b"\xc0", b"x", b"\x81", b"\x81\xa2id", b"\x81\xa2id\x01", b"\x82\xa2id\x01\xa4type\x05",
        b"\x82\xa2id\x01\xa4type\xa5sta", b"\x82\xa2id\x01\xa2id\x01", b"\x82\xa2id\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xa4type\xa5stats", b"\xde\xff\xff",
        b"\xdf\xff\xff\xff\xff", b"\x82\xa2id\x01\xa4type\xa5stats\x00", b"\x81\xdb\xff\xff\xff\xffid", b"\x82\xa2id\xd9\x81" + b"x" * 129 + b"\xa4type\xa5stats",
        b"\x82\xa2id\x01\xa4type\xa2\xff\xff", b"\x82\x01\x01\x02\x02", b"\x81\xa1a" * 70 + b"\xc0", b"\x81\xa1a" + b"\x91" * 70 + b"\xc0",
        b"\x83\xa2id\x01\xa4type\xa5stats\xa4data\x05", b"\x82\xa2id\xc7\x01\x05x\xa4type\xa5stats", b"{", b"{\"id\":1}", b"GET / HTTP/1.1\r\n\r\n",
    ],
}
BROKEN["json"] = [body for body in BROKEN["lines"] if not body.startswith((b"\x80", b"\x00"))] + [b"", b"{\n", b"\xff{}"]

KINDS = {
    "open": 3, "insert": 22, "read": 8, "transaction": 18, "connect": 6, "disconnect": 2, "batch": 7, "delete": 3, "duplicate": 4,
    "stream": 3, "paged": 4, "fetch": 8, "endless": 2, "cancel": 5, "describe": 2, "echo": 5, "odd": 6, "bad": 5, "broken": 2,
    "health": 3, "hello": 2, "information": 3, "reload": 1, "configure": 1, "deaf": 2, "listen": 1, "drip": 2, "pause": 6, "settle": 3,
    "vanish": 1.5, "half_close": 0.8, "oversize": 0.4, "stranger": 1, "mutants": 1, "same_ids": 1, "write_and_go": 0.5,
}


def make_plan(seed, step_count):
    """The plan of a seed. Keys of rows come from one counter: no two steps write the same."""
    choose = random.Random(seed)
    keys = iter(range(1, 1 << 30))
    kinds, weights = list(KINDS), list(KINDS.values())
    return [Step(index, kind, make_arguments(kind, choose, keys))
            for index, kind in enumerate(choose.choices(kinds, weights, k=step_count))]


def make_arguments(kind, choose, keys):
    connection = choose.randrange(CONNECTION_COUNT)
    session = choose.choice([None, *range(SESSION_COUNT)])
    rows = [next(keys) for _ in range(choose.choice([1, 1, 1, 2, 5, 40]))]
    some = {"connection": connection}
    return {
        "open": lambda: {**some, "mode": choose.choice(["msgpack", "lines", "json"]), "int64": choose.choice([None, None, "number", "string"])},
        "insert": lambda: {**some, "session": session, "keys": rows, "form": choose.choice(["values", "named", "returning", "recursive"]),
                           "timeout": choose.choice([None, None, None, 1, 30, 1000])},
        "read": lambda: {**some, "session": session},
        "transaction": lambda: {**some, "session": choose.randrange(SESSION_COUNT), "name": choose.choice(SAVEPOINT_NAMES),
                                "verb": choose.choices(["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "ROLLBACK TO"],
                                                       [5, 4, 6, 3, 4, 3, 3])[0]},
        "connect": lambda: {**some, "session": choose.randrange(SESSION_COUNT), "where": choose.choices(
            ["default", "second", "memory", "sealed", "read_only", "url"], [8, 3, 1, 1, 1, 1])[0]},
        "disconnect": lambda: {**some, "session": choose.randrange(SESSION_COUNT)},
        "batch": lambda: {**some, "session": session, "keys": rows, "atomic": choose.choice([True, True, False]), "cut": choose.randrange(1, 6),
                          "flaw": choose.choice([None, None, None, "syntax", "twice", "transaction"])},
        "delete": lambda: {**some, "session": choose.randrange(SESSION_COUNT), "remainder": choose.randrange(3)},
        "duplicate": lambda: {**some, "session": choose.randrange(SESSION_COUNT),
                              "conflict": choose.choice(["", "OR IGNORE ", "OR ROLLBACK ", "OR FAIL "])},
        "stream": lambda: {**some, "session": session, "limit": choose.choice([0, 1, 999, 1000, 1001, 5000, 30000]),
                           "max_rows": choose.choice([None, None, 1, 1000, 7777]), "pad": choose.choice([0, 0, 200])},
        "paged": lambda: {**some, "session": session, "limit": choose.choice([0, 1, 10, 100, 3000]), "page": choose.choice([1, 3, 10, 1500]),
                          "max_rows": choose.choice([None, None, 5])},
        "fetch": lambda: {**some, "which": choose.random()},
        "endless": lambda: {**some, "session": session, "timeout": choose.choice([1, 20, 100, 2000])},
        "cancel": lambda: {**some, "which": choose.choice([None, choose.random()])},
        "describe": lambda: {**some, "session": session, "sql": choose.randrange(len(ODD_SQL))},
        "echo": lambda: {**some, "session": session, "values": make_values(choose)},
        "odd": lambda: {**some, "session": session, "sql": choose.randrange(len(ODD_SQL)), "params": choose.choice([None, None, ["SECRET"], {"a": "SECRET"}])},
        "bad": lambda: {**some, "which": choose.randrange(len(BAD_REQUESTS))},
        "broken": lambda: {**some, "which": choose.random()},
        "information": lambda: {**some, "type": choose.choice(["stats", "activity", "list_databases"])},
        "configure": lambda: {"variant": choose.randrange(3)},
        "stranger": lambda: {"which": choose.randrange(8), "noise": choose.randbytes(choose.randrange(1, 80))},
        "mutants": lambda: {"mode": choose.choice(["msgpack", "lines", "json"]), "seed": choose.getrandbits(32), "count": choose.randrange(1, 30)},
        "pause": lambda: {"milliseconds": choose.choice([0, 1, 5, 20])},
        "write_and_go": lambda: {**some, "keys": rows, "form": "values", "session": session, "timeout": None},
    }.get(kind, lambda: some)()


def make_values(choose):
    """Parameters at the edges of their types."""
    kinds = [
        lambda: None, lambda: choose.choice([True, False]), lambda: choose.randrange(-2**63, 2**63), lambda: choose.choice([0, -1, 127, 128, -32, -33, 255, 256]),
        lambda: choose.choice([2**31, 2**32, 2**53, -2**53, 2**53 - 1, 2**63 - 1, -2**63]), lambda: choose.choice([0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308]),
        lambda: choose.choice([float("inf"), float("-inf")]), lambda: choose.uniform(-1e20, 1e20), lambda: "", lambda: "SECRET",
        lambda: "".join(chr(choose.choice([0, 9, 10, 34, 92, 127, 233, 8232, 0x1f600, 0x10ffff, choose.randrange(32, 127)])) for _ in range(choose.randrange(40))),
        lambda: "x" * choose.choice([31, 32, 255, 256, 65535, 65536]), lambda: choose.randbytes(choose.choice([0, 1, 2, 3, 255, 256, 70000])),
    ]
    values = [choose.choice(kinds)() for _ in range(choose.choice([1, 1, 3, 12, 100]))]
    # A few large ones are a frame already.
    return [value[:300] if index >= 2 and isinstance(value, (str, bytes)) else value for index, value in enumerate(values)]
