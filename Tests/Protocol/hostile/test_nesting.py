"""Constructs nested without end: SQLite, and our own decoders, recurse for some of them. The daemon answers, whatever it says."""

import json
import sqlite3
import struct

import pytest

from bystander import Bystander
from wire import ConnectionEnded, RequestFailed

COUNTS = (90, 3_500, 100_000)


def ctes(count):
    return "WITH a0 AS (SELECT 1 AS x), " + ", ".join(f"a{i} AS (SELECT * FROM a{i-1})" for i in range(1, count + 1)) + \
        f" SELECT * FROM a{count}"


TEXTS = {
    "CTEs": ctes,
    "CTEs by twos": lambda n: "WITH a0 AS (SELECT 1 AS x), " + ", ".join(
        f"a{i} AS (SELECT l.x FROM a{i-1} AS l, a{i-1} AS r)" for i in range(1, min(n, 900) + 1)) + f" SELECT * FROM a{min(n, 900)}",
    "nested WITH": lambda n: "WITH a AS (" * n + "SELECT 1" + ") SELECT * FROM a" * n,
    "subqueries": lambda n: "SELECT * FROM (" * n + "SELECT 1" + ")" * n,
    "scalar subqueries": lambda n: "SELECT (" * n + "1" + ")" * n,
    "EXISTS": lambda n: "SELECT EXISTS (" * n + "SELECT 1" + ")" * n,
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "NOT": lambda n: "SELECT " + "NOT " * n + "1",
    "minus": lambda n: "SELECT " + "- " * n + "1",
    "sum": lambda n: "SELECT 1" + "+1" * n,
    "AND": lambda n: "SELECT 1" + " AND 1" * n,
    "concatenation": lambda n: "SELECT 'a'" + "||'a'" * n,
    "arrows": lambda n: "SELECT '[]'" + "->0" * n,
    "CASE": lambda n: "SELECT " + "CASE 1 WHEN 1 THEN " * n + "1" + " END" * n,
    "functions": lambda n: "SELECT " + "abs(" * n + "1" + ")" * n,
    "CAST": lambda n: "SELECT " + "CAST(" * n + "1" + " AS INT)" * n,
    "COLLATE": lambda n: "SELECT 'a'" + " COLLATE nocase" * n,
    "IN": lambda n: "SELECT 1 IN (" * n + "1" + ")" * n,
    "BETWEEN": lambda n: "SELECT 1" + " BETWEEN 0 AND 1" * n,
    "UNION": lambda n: "SELECT 1" + " UNION SELECT 1" * n,
    "VALUES": lambda n: "VALUES (1)" + ", (1)" * n,
    "joins": lambda n: "SELECT 1 FROM (SELECT 1)" + " JOIN (SELECT 1)" * n,
    "parenthesized joins": lambda n: "SELECT 1 FROM " + "(" * n + "sqlite_schema" + ")" * n,
    "window of window": lambda n: "SELECT sum(1) OVER w1 FROM (SELECT 1) WINDOW w0 AS ()" + "".join(
        f", w{i} AS (w{i-1})" for i in range(1, n)),
    "EXPLAIN": lambda n: "EXPLAIN " * n + "SELECT 1",
    "row values": lambda n: "SELECT " + "(1," * n + "1" + ")" * n,
}
# Full-text search takes quadratic time for long queries, on a worker.
TERM_COUNT_MAX = 3_500

PARAMETERS = {
    "JSON arrays": ("SELECT json(?)", lambda n: "[" * n + "]" * n),
    "JSON objects": ("SELECT json_valid(?)", lambda n: '{"a":' * n + "1" + "}" * n),
    "JSON path": ("SELECT json_extract('[]', ?)", lambda n: "$" + "[0]" * n),
    "json_set path": ("SELECT length(json_set('{}', ?, 1))", lambda n: "$" + ".a" * n),
    "json_set arrays": ("SELECT length(json_set('{}', ?, 1))", lambda n: "$.a" + "[0]" * n),
    "json_patch": ("SELECT length(json_patch('{}', ?))", lambda n: '{"a":' * n + "1" + "}" * n),
    "json_tree": ("SELECT count(*) FROM json_tree(?)", lambda n: "[" * n + "]" * n),
    "LIKE": ("SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa' LIKE ?", lambda n: "%a" * n + "b"),
    "GLOB": ("SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa' GLOB ?", lambda n: "*a" * n + "b"),
    "FTS3 parentheses": ("SELECT * FROM f3 WHERE f3 MATCH ?", lambda n: "(" * n + "a" + ")" * n),
    "FTS3 OR": ("SELECT * FROM f3 WHERE f3 MATCH ?", lambda n: "a OR " * min(n, TERM_COUNT_MAX) + "a"),
    "FTS3 NEAR": ("SELECT * FROM f3 WHERE f3 MATCH ?", lambda n: "a NEAR " * min(n, TERM_COUNT_MAX) + "a"),
    "FTS3 NOT": ("SELECT * FROM f3 WHERE f3 MATCH ?", lambda n: "a NOT (" * n + "a" + ")" * n),
    "FTS5 parentheses": ("SELECT * FROM f5 WHERE f5 MATCH ?", lambda n: "(" * n + "a" + ")" * n),
    "FTS5 OR": ("SELECT * FROM f5 WHERE f5 MATCH ?", lambda n: "a OR " * min(n, TERM_COUNT_MAX) + "a"),
    "FTS5 NOT": ("SELECT * FROM f5 WHERE f5 MATCH ?", lambda n: "a NOT (" * n + "a" + ")" * n),
    "FTS5 columns": ("SELECT * FROM f5 WHERE f5 MATCH ?", lambda n: "{x}: (" * n + "a" + ")" * n),
    "printf": ("SELECT length(printf(?, 1))", lambda n: "%d" * n),
    "strftime": ("SELECT length(strftime(?))", lambda n: "%J" * min(n, 10_000)),
}
# Objects of a file's schema, each of which follows from the one before it.
CHAINS = {
    "views": (20_000, ["CREATE VIEW v0 AS SELECT 1 AS x"], lambda i: [f"CREATE VIEW v{i} AS SELECT * FROM v{i-1}"],
              lambda n: f"SELECT * FROM v{n}"),
    "views by twos": (1_000, ["CREATE VIEW v0 AS SELECT 1 AS x"],
                      lambda i: [f"CREATE VIEW v{i} AS SELECT l.x FROM v{i-1} AS l, v{i-1} AS r"], lambda n: f"SELECT * FROM v{n}"),
    "triggers": (500, ["CREATE TABLE t0(x)"], lambda i: [
        f"CREATE TABLE t{i}(x)", f"CREATE TRIGGER g{i} AFTER INSERT ON t{i} BEGIN INSERT INTO t{i-1} VALUES (new.x); END"],
        lambda n: f"INSERT INTO t{n} VALUES (1)"),
    "cascades": (500, ["CREATE TABLE k0(x INTEGER PRIMARY KEY)"],
                 lambda i: [f"CREATE TABLE k{i}(x INTEGER PRIMARY KEY REFERENCES k{i-1} ON DELETE CASCADE)"],
                 lambda n: "DELETE FROM k0"),
    "generated columns": (1, ["CREATE TABLE c(x0, " + ", ".join(f"x{i} AS (x{i-1} + 1)" for i in range(1, 1999)) + ")"],
                          lambda i: [], lambda n: "SELECT * FROM c"),
    "collations of a check": (1, ["CREATE TABLE c(x CHECK (x" + " COLLATE nocase" * 17_000 + " > ''))"], lambda i: [],
                              lambda n: "INSERT INTO c VALUES ('a')"),
    "long collations of a check": (1, ["CREATE TABLE c(x CHECK (x" + " COLLATE nocase" * 20_000 + " > ''))"], lambda i: [],
                                   lambda n: "INSERT INTO c VALUES ('a')"),
}


@pytest.fixture
def daemon(start_daemon, directory):
    """One for each test: what one of them breaks is not another's."""
    return start_daemon(directory=directory)


@pytest.fixture
def tables(daemon):
    with daemon.connect() as client:
        client.query("CREATE VIRTUAL TABLE f3 USING fts3(x)")
        client.query("CREATE VIRTUAL TABLE f5 USING fts5(x)")
        for name in ("f3", "f5"):
            client.query(f"INSERT INTO {name} VALUES ('a b c')")


def attempt(client, sql, **options):
    """Whether it succeeded; every error is fine, but for one that says that the daemon does not know why."""
    options.setdefault("timeout_ms", 700)
    try:
        client.collect(client.send_query(sql, **options))
        return True
    except RequestFailed as failure:
        assert failure.code in ("syntax_error", "limit_exceeded", "database_error", "bad_request", "timeout", "needs_session", "connect_failed"), failure
        assert "memory" not in failure.data["message"], failure
        return False


@pytest.mark.parametrize("name", TEXTS)
def test_texts(daemon, tables, name):
    with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
        session = client.call("db_connect").data["session"]
        for count in COUNTS:
            for options in ({}, {"session": session}):
                attempt(client, TEXTS[name](count), **options)
                bystander.check()
        attempt(client, "CREATE TEMP TABLE z AS " + TEXTS[name](2_000), session=session)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(daemon, tables, name):
    sql, value = PARAMETERS[name]
    with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
        session = client.call("db_connect").data["session"]
        for count in COUNTS:
            for options in ({}, {"session": session}):
                attempt(client, sql, params=[value(count)], **options)
                bystander.check()


def make_chain(path, name):
    """Writes the schema as it is, without having SQLite run it: what makes it is not what is tested."""
    count, first, following, _ = CHAINS[name]
    with sqlite3.connect(path) as made:
        if name in ("views", "views by twos"):
            texts = first + [text for i in range(1, count + 1) for text in following(i)]
            made.execute("PRAGMA writable_schema = ON")
            made.executemany("INSERT INTO sqlite_master VALUES ('view', ?, ?, 0, ?)",
                             ((text.split()[2], text.split()[2], text) for text in texts))
        else:
            for text in first + [text for i in range(1, count + 1) for text in following(i)]:
                made.execute(text)
    made.close()
    return count


@pytest.mark.parametrize("name", CHAINS)
def test_schemas(start_daemon, directory, name):
    count = make_chain(directory / "chain.db", name)
    daemon = start_daemon(directory=directory, databases={"chain": f"sqlite:{directory}/chain.db"})
    with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
        for depth in sorted({min(count, 100), min(count, 900), count}):
            attempt(client, CHAINS[name][3](depth), database="chain")
            try:
                session = client.call("db_connect", {"database": "chain"}).data["session"]
                attempt(client, CHAINS[name][3](depth), session=session)
            except RequestFailed as failure:
                assert failure.code in ("connect_failed", "limit_exceeded", "database_error"), failure
            bystander.check()


@pytest.mark.parametrize("count", [9_000, 400_000, 4_000_000])
def test_what_is_nested_by_words_alone(daemon, count):
    with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
        session = client.call("db_connect").data["session"]
        for sql in ("SELECT 'a'" + " COLLATE a" * (count // 10), "CREATE TEMP VIEW v AS SELECT 'a'" + " COLLATE[a]" * (count // 11),
                    "SELECT 1 ORDER BY 'a'" + "/**/COLLATE\"a\"" * (count // 15)):
            attempt(client, sql, session=session)
            bystander.check()
        values = ", ".join(["(1, NULL, 'it''s', x'00ff', -1.5e3)"] * (count // 40))
        client.query("CREATE TABLE long(a, b, c, d, e)")
        assert client.query(f"INSERT INTO long VALUES {values}").last["rows_affected"] == count // 40


def test_a_deep_chain_that_fits_works(daemon):
    with daemon.connect() as packed:
        assert packed.query(ctes(400)).value == 1


@pytest.mark.parametrize("count", [100, 1_000, 100_000, 4_000_000])
@pytest.mark.parametrize("shape", ["arrays", "maps", "keys"])
def test_messages(daemon, count, shape):
    packed = {"arrays": b"\x91" * count + b"\xc0", "maps": b"\x81\xa1a" * count + b"\xc0", "keys": b"\x81" * count + b"\xc0"}[shape]
    text = {"arrays": "[" * count + "]" * count, "maps": '{"a":' * count + "1" + "}" * count, "keys": "{" * count + "}" * count}[shape]
    for where in ("data", "params", "unknown", "id"):
        with daemon.connect() as client:
            head = {"id": 1, "type": "query"}
            body = {
                "data": b"\x83\xa2id\x01\xa4type\xa5query\xa4data" + packed,
                "params": b"\x83\xa2id\x01\xa4type\xa5query\xa4data\x82\xa3sql\xa8SELECT 1\xa6params" + packed,
                "unknown": b"\x83\xa2id\x01\xa4type\xa5query\xa7unknown" + packed,
                "id": b"\x82\xa4type\xa5query\xa2id" + packed,
            }[where]
            ends_or_answers(client, struct.pack(">I", len(body)) + body)
        with daemon.connect("lines") as client:
            line = {
                "data": json.dumps(head)[:-1] + ',"data":' + text + "}",
                "params": json.dumps(head)[:-1] + ',"data":{"sql":"SELECT 1","params":' + text + "}}",
                "unknown": json.dumps(head)[:-1] + ',"unknown":' + text + "}",
                "id": '{"type":"query","id":' + text + "}",
            }[where]
            ends_or_answers(client, line.encode() + b"\n")
    with daemon.connect() as client:
        assert client.query("SELECT 7").value == 7


def ends_or_answers(client, request):
    """A reply comes, or the connection ends (a frame may be longer than is allowed)."""
    try:
        client.socket.sendall(request)
        client.socket.settimeout(10)
        client.socket.recv(1)
    except (ConnectionError, ConnectionEnded):
        pass
