"""`catalog` of Redis: prefixes of keys as a tree by a bounded SCAN, the server's databases, and its commands with their arguments."""

import pytest

from daemon import wait_until
from redis_server import Redis, read_reply, request_of
from test_catalog_sqlite import collect, rows_of
from wire import RequestFailed


def fill(server, keys, db=0):
    """Sets the keys, many at a time."""
    with server.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(request_of("SELECT", db))
        read_reply(stream)
        for start in range(0, len(keys), 1000):
            some = keys[start:start + 1000]
            connection.sendall(request_of("MSET", *(word for key in some for word in (key, "x"))))
            assert read_reply(stream) == "OK"


@pytest.fixture(scope="module")
def server():
    instance = Redis()
    fill(instance, [f"user:{number % 7}:{field}" for number in range(7) for field in ("name", "mail")])
    fill(instance, ["counter", "a b", "session:x", "user:ü:name", b"\xff\xfe:x", "a:" * 20 + "deep", "cart:"])
    fill(instance, ["other:1"], db=5)
    yield instance
    instance.discard()


@pytest.fixture
def served(server, start_daemon):
    return start_daemon(databases={"far": server.url(), "five": server.url(db=5)})


@pytest.fixture
def client(served, mode):
    return served.connect(mode)


def ask(client, level, **options):
    return rows_of(client, level, **{"database": "far", **options})


def test_databases_of_the_server(client):
    rows = {row["name"]: row for row in ask(client, "namespaces")}
    assert set(rows) == {"0", "5"} and [name for name, row in rows.items() if row["default"]] == ["0"]
    assert rows["5"]["extra"] == {"keys": 1} and rows["0"]["extra"]["keys"] == 21
    rows = {row["name"]: row["default"] for row in ask(client, "namespaces", database="five")}
    assert rows == {"0": False, "5": True}


def test_prefixes(client):
    rows = {row["name"]: row for row in ask(client, "relations")}
    assert {(row["namespace"], row["kind"], row["size_bytes"]) for row in rows.values()} == {("0", "key_prefix", None)}
    assert rows["user:"]["row_estimate"] == 15 and rows["user:3:"]["row_estimate"] == 2 and rows["user:ü:"]["row_estimate"] == 1
    assert rows["session:"]["row_estimate"] == rows["cart:"]["row_estimate"] == 1
    assert rows["counter"]["extra"] == rows["a b"]["extra"] == {"key": True} and rows["user:"]["extra"] is None
    assert "a:" * 8 in rows and "a:" * 9 not in rows
    assert "user:3:name" not in rows
    assert [row["name"] for row in ask(client, "relations", database="five")] == ["other:"]
    assert [row["name"] for row in ask(client, "relations", match="us3")] == ["user:3:"]
    assert ask(client, "columns") == [] and ask(client, "keys") == []


def test_commands(client):
    rows = {row["name"]: row for row in ask(client, "routines")}
    assert rows["GET"]["arguments"] == "key" and rows["GET"]["kind"] == "function" and rows["GET"]["comment"]
    assert rows["GET"]["extra"]["group"] == "string" and rows["GET"]["extra"]["since"] == "1.0.0"
    assert rows["ZADD"]["arguments"] == "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]"
    assert rows["XREAD"]["arguments"] == "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]"
    assert rows["CONFIG GET"]["arguments"] == "parameter [parameter ...]" and "CONFIG" not in rows
    # More deeply nested than the library that reads replies can take.
    assert rows["BITFIELD"]["arguments"].startswith("key [<GET encoding offset | ")
    assert rows["CLIENT LIST"]["arguments"] and rows["DBSIZE"]["arguments"] in (None, "")


def test_what_has_changed_is_seen(server, client):
    """At once where it is wanted, or the daemon has emptied the database."""
    etag = collect(client, "relations", database="five")[-1].data["etag"]
    assert collect(client, "relations", database="five", etag=etag)[-1].data["unchanged"] is True
    fill(server, ["fresh:1"], db=5)
    assert "fresh:" in [row["name"] for row in ask(client, "relations", database="five", refresh=True)]
    client.query("FLUSHDB", database="five")
    assert ask(client, "relations", database="five") == []
    fill(server, ["other:1"], db=5)
    assert ask(client, "relations", database="five", refresh=True)


def test_keys_are_not_looked_through_at_each_request(server, served):
    with served.connect() as client:
        assert ask(client, "relations", match="later") == []
        fill(server, ["later:1"])
        assert ask(client, "relations", match="later") == []
        assert ask(client, "relations", match="later", refresh=True)
        client.query("DEL later:1", database="far")


def test_a_session_sees_what_everybody_sees(client):
    session = client.session(database="far")
    client.query("MULTI", session=session)
    assert "user:" in [row["name"] for row in rows_of(client, "relations", session=session)]
    assert client.query("EXEC", session=session).rows == []


def test_completion_of_keys_and_commands(client):
    def complete(text):
        reply = {}

        def known():
            reply.update(client.call("complete", {"sql": text, "database": "far"}).data)
            return not reply.pop("incomplete", False)

        wait_until(known, "all names are known", 20)
        return [item["text"] for item in reply["items"]]

    assert complete("GET us")[0] == "user:" and '"a b"' in complete("GET a")
    assert "user:3:" in complete("DEL counter user:3")
    assert complete("ZADD counter ") == ["NX", "XX", "GT", "LT", "CH", "INCR"]
    assert complete("BITFIELD counter OVERFLOW ") == ["WRAP", "SAT", "FAIL"]
    assert complete("get")[0] == "get"


def test_a_login_that_may_not_ask_everything(server, start_daemon):
    server.ask("ACL", "SETUSER", "narrow", "on", ">word", "~*", "+scan", "+hello", "+auth", "+command", "+client", "+select", "+get")
    with start_daemon(databases={"far": server.url(user="narrow", password="word")}).connect() as client:
        assert "user:" in [row["name"] for row in ask(client, "relations")]
        assert [row["name"] for row in ask(client, "namespaces")] == ["0"] and ask(client, "routines") == []
        server.ask("ACL", "SETUSER", "narrow", "-scan")
        with pytest.raises(RequestFailed) as failed:
            ask(client, "relations", refresh=True)
        assert failed.value.code == "permission_denied"
        assert client.query("GET counter", database="far").value == "x"


def test_many_keys_are_estimated_beside_others(start_daemon):
    """More than are looked through: the numbers are about right, the tree is small, and another client waits for none of it."""
    server = Redis()
    try:
        server.ask("EVAL", "for i=1,200000 do redis.call('SET', (i % 4 == 0 and 'few:' or 'many:') .. (i % 1000) .. ':' .. i, '') end", 0)
        daemon = start_daemon(databases={"far": server.url()})
        with daemon.connect() as client, daemon.connect() as other:
            id = client.send("catalog", {"level": "relations", "database": "far"})
            for _ in range(50):
                assert other.query("PING", database="far").value == "PONG"
            rows = {row[1]: row for row in client.answer(id).data["rows"]}
            assert abs(rows["few:"][4] - 50_000) < 15_000 and abs(rows["many:"][4] - 150_000) < 15_000
            assert rows["few:"][6] == {"more": True} and len(rows) <= 202
            space, = ask(client, "namespaces")
            assert space["extra"] == {"keys": 200_000, "more": True}
            assert 0 < commandstat(server, "scan") * 250 < 110_000
    finally:
        server.discard()


def commandstat(server, name):
    line, = (line for line in server.ask("INFO", "commandstats").splitlines() if line.startswith(f"cmdstat_{name}:"))
    return int(line.split("calls=")[1].split(",")[0])
