"""The fields of the replies, as docs/protocol.md lists them, are those that come: none is missing, and none is not listed."""

import functools
import re
import tempfile

import examples
from subscription import Subscription
from transfers import transfer
from wire import Client

GONE = '[databases.gone]\nurl = "sqlite::memory:"\nusers = ["left-the-company"]\n'
PROTOCOL = (examples.ROOT / "docs/protocol.md").read_text(encoding="utf-8")


def documented():
    """By the type of the request: every name in the third column of the table, with those of what it links to."""
    table = re.search(r"^\| type \| data \| data of the reply \|\n\|.*\n((?:\|.*\n)+)", PROTOCOL, re.M)[1]
    found = {}
    for line in table.splitlines():
        name, _, reply = (cell.strip() for cell in line.strip("|").split(" | "))
        names = set(re.findall(r"`(\w+)`", reply))
        more = rows() if "[rows]" in reply else catalog_rows() if "(#catalog)" in reply else set()
        found[re.match(r"`(\w+)`", name)[1]] = names | more
    return {type: names - set(found) for type, names in found.items()}  # what is said of other requests


def section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", PROTOCOL, re.M | re.S)[1]


def rows():
    """The fields of a query_response: those of the first reply, and the table of those of the last one."""
    text = section("Rows")
    first = set(re.findall(r"`(\w+)`", text.strip().split("\n\n")[0])) - {"query_response"}
    return first | set(re.findall(r"^\| `(\w+)` \|", text, re.M))


def catalog_rows():
    """The same of a catalog_response, whose columns are described as those of a query."""
    listed = re.search(r"^\| field \| \|\n\|.*\n((?:\|.*\n)+)", section("Catalog"), re.M)[1]
    return {"columns", "more", "name", "type", "declared_type"} | set(re.findall(r"^\| `(\w+)` \|", listed, re.M))


def keys(value):
    if isinstance(value, dict):
        return set(value) | {key for below in value.values() for key in keys(below)}
    return {key for below in value for key in keys(below)} if isinstance(value, list) else set()


def names_of_stats(reply):
    """Most of what it counts is by names of types, codes, users and limits."""
    return set(reply) | keys(reply["connections"]) | keys(list(reply["latency_us"].values()))


def seen(client, disable):
    """By the type of the request: the names in replies to requests that between them bring every field."""
    insert = "INSERT INTO t(x) VALUES (?)"
    found = {}
    # The other test has a client of its own, which keeps what is sent.
    passing = getattr(client, "passing", functools.partial(transfer, client))

    def ask(type, **data):
        reply = client.call(type, data).data
        found.setdefault(type, set()).update(names_of_stats(reply) if type == "stats" else keys({**reply, "limits": {}}))
        return reply

    ask("query", sql="CREATE TABLE t(x)")
    ask("query", sql=insert, params=[1])
    ask("query", sql="SELECT x FROM t, (VALUES(1), (2))", max_rows=1)
    ask("query", sql="SELECT 1", result_sets=True)
    ask("health_check")
    ask("health_check", database="default")
    ask("hello", client="test", protocol=[1], descriptors=True)
    for type, data in (("backup", {}), ("export", {"sql": "SELECT x FROM t, (VALUES(1), (2))", "max_rows": 1})):
        with tempfile.NamedTemporaryFile() as file:
            found[type] = set(passing(type, file.fileno(), **data))
    with tempfile.NamedTemporaryFile() as file:
        passing("backup", file.fileno())
        file.seek(0)
        found["restore"] = set(passing("restore", file.fileno()))
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x\n1\n2,3\n")
        file.seek(0)
        found["import"] = keys(passing("import", file.fileno(), relation="imported", create=True, max_rejected=1))
    found["subscribe"] = fields_of_subscription(client)
    ask("list_databases")
    session = ask("db_connect", database="default")["session"]
    ask("activity")
    ask("terminate", session=ask("db_connect")["session"])
    # Before the catalog is read, and after it.
    ask("complete", sql="SELECT  FROM t", cursor=7)
    etag = ask("catalog", level="columns", max_rows=1, session=session)["etag"]
    ask("catalog", level="columns", etag=etag)
    ask("query", sql="CREATE TABLE u(x)")
    ask("catalog", level="columns", max_rows=1)
    ask("complete", sql="SELECT  FROM t", cursor=7, limit=100)
    ask("batch", statements=[{"sql": insert, "params": [1]}])
    ask("describe", sql="SELECT x FROM t WHERE x = ?")
    ask("describe", sql="SELECT 1", session=session)
    ask("db_disconnect", session=session)
    ask("cancel", request=1)
    ask("stats")
    # A list with somebody whom there is not: what is said of that, too.
    disable()
    ask("reload")
    ask("list_databases")
    ask("stats")
    return found


# It takes a procedure or a warning of a MySQL server (Tests/CommandLine/test_shell.py), somebody who may only watch, and a client that maps memory: Tests/Protocol/servers/test_result_sets.py, access/test_monitors.py,
# lanes/test_lane_negotiation.py, and servers with channels: subscriptions/test_channels_postgresql.py, test_channels_redis.py.
ELSEWHERE = {"query": {"result_sets_dropped", "warning_count"}, "batch": {"warning_count"}, "hello": {"monitor", "transport", "request_ring_bytes", "reply_ring_bytes"},
             "subscribe": {"channel", "pattern", "payload", "pid"}}


def fields_of_subscription(client):
    """Those of the first reply, of changes, and of a reply that says that they are not known."""
    subscribe = getattr(client, "subscribe", functools.partial(Subscription, client))
    subscription = subscribe(**{"from": "another process's"})
    client.call("query", {"sql": "CREATE TABLE subscribed(x)"})
    fields = set(subscription.first) | set(subscription.event())
    subscription.cancel()
    return fields


def test_every_field_is_documented_and_every_documented_field_comes(reader):
    alice = reader()
    (alice.home / ".config/litebase").mkdir(parents=True)
    alice.own(alice.home / ".config")
    alice.start_daemon("exec litebased")
    with Client(str(alice.socket), "lines") as client:
        came = seen(client, lambda: alice.give(".config/litebase/litebase.toml", GONE))
    listed = documented()
    assert set(listed) == {*came, "fetch"}
    wrong = {}
    for type, names in came.items():
        missing, unknown = listed[type] - names - {"rows"} - ELSEWHERE.get(type, set()), names - listed[type] - {"rows", "limits"}
        if missing or unknown:
            wrong[type] = {"documented, and does not come": missing, "comes, and is not documented": unknown}
    assert not wrong, "\n".join(f"{type}: {what}" for type, what in wrong.items())
