"""`complete`: what may come next in a statement, from memory."""

import time

import pytest

from wire import PATIENCE


def ask(client, marked, **data):
    """One reply; the bar is the cursor."""
    cursor = len(marked[: marked.index("|")].encode())
    return client.call("complete", {"sql": marked.replace("|", "", 1), "cursor": cursor, **data}).data


def complete(client, marked, **data):
    """The reply once all names are known."""
    deadline = time.monotonic() + 20 * PATIENCE
    while True:
        reply = ask(client, marked, **data)
        if not reply.get("incomplete"):
            return reply
        assert time.monotonic() < deadline, "the names are never complete"
        time.sleep(0.02)


def texts(reply):
    return [item["text"] for item in reply["items"]]


@pytest.fixture
def shop(packed, table):
    """Two tables, of which one refers to the other."""
    packed.query(f'CREATE TABLE {table}(id INTEGER PRIMARY KEY, name TEXT, "First Name" TEXT)')
    packed.query(f"CREATE TABLE {table}_orders(id INTEGER PRIMARY KEY, buyer INTEGER REFERENCES {table}(id), total REAL)")
    return table


def test_columns_and_what_they_are(client, shop):
    reply = complete(client, f"SELECT na| FROM {shop}")
    assert reply["replace"] == {"from": 7, "to": 9}
    assert reply["items"][0] == {"text": "name", "label": "name", "kind": "column", "detail": "TEXT", "relation": shop}


def test_names_get_the_quotes_that_they_need(client, shop):
    assert texts(complete(client, f"SELECT f| FROM {shop}"))[0] == '"First Name"'
    assert texts(complete(client, f'SELECT "f| FROM {shop}')) == ['"First Name"']


def test_relations(client, shop):
    names = texts(complete(client, f"SELECT * FROM {shop}|", limit=1000))
    assert {shop, f"{shop}_orders"} <= set(names)


def test_joins_by_foreign_keys(client, shop):
    items = complete(client, f"SELECT * FROM {shop} c JOIN {shop}_o|")["items"]
    assert items[0]["kind"] == "join"
    alias = items[0]["text"].split()[1]
    assert items[0]["text"] == f"{shop}_orders {alias} ON {alias}.buyer = c.id"
    assert complete(client, f"SELECT * FROM {shop} c JOIN {shop}_orders o ON |")["items"][0]["text"] == "o.buyer = c.id"


def test_star_and_missing_columns(client, shop):
    assert texts(complete(client, f"SELECT *| FROM {shop}_orders")) == ["id, buyer, total"]
    assert texts(complete(client, f"INSERT INTO {shop}_orders (id, |"))[0] == "buyer, total"


def test_the_cursor_counts_bytes(client, shop):
    reply = complete(client, f"SELECT 'äöü', na| FROM {shop}")
    start = len("SELECT 'äöü', ".encode())
    assert reply["replace"] == {"from": start, "to": start + 2}
    assert texts(reply)[0] == "name"


def test_the_end_of_the_text_is_the_default(client, shop):
    reply = client.call("complete", {"sql": "SEL"}).data
    assert texts(reply) == ["SELECT"] and reply["replace"] == {"from": 0, "to": 3}


def test_strings_get_nothing(client, shop):
    assert complete(client, f"SELECT 'na|' FROM {shop}")["items"] == []


def test_limit_and_recent(client, shop):
    assert len(complete(client, f"SELECT | FROM {shop}", limit=2)["items"]) == 2
    assert texts(complete(client, f"SELECT | FROM {shop}", recent=["First Name"]))[0] == '"First Name"'
    assert len(complete(client, "|", limit=100000)["items"]) <= 1000
    many = [f"name{number}" for number in range(10000)]
    assert texts(complete(client, f"SELECT na| FROM {shop}", recent=many))[0] == "name"


@pytest.mark.parametrize("data", [
    {"sql": "SELECT 1", "cursor": 9},
    {"sql": "SELECT 1", "cursor": -1},
    {"sql": "SELECT 1", "cursor": 2**63},
    {"sql": "SELECT 1", "cursor": "1"},
    {"cursor": 1},
    {"sql": "SELECT 1", "limit": 0},
    {"sql": "SELECT 1", "recent": "name"},
    {"sql": "SELECT 1", "recent": [1]},
    {"sql": "SELECT 1", "database": "default", "session": "x"},
])
def test_defects(client, data):
    assert client.fails("complete", data)["code"] == "bad_request"


def test_databases_that_are_not_there(client):
    assert client.fails("complete", {"sql": "", "database": "no such"})["code"] == "database_not_found"
    assert client.fails("complete", {"sql": "", "session": "no such"})["code"] == "session_not_found"


def test_own_ddl_is_noticed_at_once(client, shop):
    """The reply after it has the new name, or says that it does not know all."""
    complete(client, f"SELECT | FROM {shop}")
    client.query(f"ALTER TABLE {shop} ADD COLUMN nation TEXT")
    reply = ask(client, f"SELECT nat| FROM {shop}")
    assert reply.get("incomplete") or "nation" in texts(reply)
    assert texts(complete(client, f"SELECT nat| FROM {shop}"))[0] == "nation"


def test_in_a_session(client, shop):
    session = client.session()
    assert texts(complete(client, f"SELECT na| FROM {shop}", session=session))[0] == "name"


def test_temporary_tables_of_a_session(client, shop):
    session = client.session()
    client.query("CREATE TEMP TABLE notebook(page INTEGER)", session=session)
    client.call("catalog", {"level": "namespaces", "session": session})
    assert texts(complete(client, "SELECT pa| FROM notebook", session=session))[0] == "page"
    assert "page" not in texts(complete(client, "SELECT pa| FROM notebook"))


def test_a_long_text(client, shop):
    text = "SELECT 'a', 1;\n" * 200_000
    reply = complete(client, f"{text}SELECT na| FROM {shop}")
    assert texts(reply)[0] == "name"
    assert reply["replace"]["to"] == len(text) + 9


def test_many_names(client, daemon, shop):
    """Each source may be each of the common table expressions, and each entry of a list be of each source."""
    for head, entry, middle in [("WITH ", "a AS (SELECT 1), ", "a AS (SELECT 1) SELECT * FROM "), ("SELECT ", "b.*, ", "b.* FROM ")]:
        text = head + entry * (30_000 // len(entry)) + middle + "x, " * 10_000
        before = daemon.cpu_seconds()
        assert texts(complete(client, f"{text}{shop} ORDER BY na|"))[0] == "name"
        assert daemon.cpu_seconds() - before < 5 * PATIENCE


def test_pipelined(client, shop):
    """Each is answered, whatever the others are."""
    complete(client, f"SELECT | FROM {shop}")
    ids = [client.send("complete", {"sql": f"SELECT n FROM {shop}", "cursor": 8}) for _ in range(100)]
    for id in ids:
        assert client.answer(id).data["items"][0]["text"] == "name"
