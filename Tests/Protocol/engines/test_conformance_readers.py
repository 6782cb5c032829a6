"""The conformance suite's part on reading only: nothing is written, by whatever way, and readers have connections of their own.

Readers are those of a database that is `read_only` for all (`sealed`), users whom the configuration names as such (`shop`, and
`two_logins`, where the server knows them by another login), and sessions that ask for it.
"""

import time

import pytest

from conformance import (POOL, POOL_WAIT_MS, READER, SHOP_POOL, WRITER, client, engine, failure_of, on, packed, place,  # noqa: F401
                         says, start_slow, whole_place)
from daemon import wait_until
from identity import needs_root
from wire import RequestFailed


class Way:
    """How somebody comes to read only: who, in which database, and by which options of a session."""

    def __init__(self, name, database, size, user=None, **options):
        self.name, self.database, self.size, self.user, self.options = name, database, size, user, options

    def connect(self, place):
        return place.connect_as(self.user) if self.user else place.connect()

    def session(self, client):
        data = client.call("db_connect", {"database": self.database, **self.options}).data
        assert data["read_only"] is True
        return data["session"]


WAYS = [Way("the database", "sealed", POOL), Way("a session of its own choice", "db", POOL, read_only=True),
        pytest.param(Way("a named reader", "shop", SHOP_POOL, READER), marks=needs_root),
        pytest.param(Way("a reader who asks for more", "shop", SHOP_POOL, READER, read_only=False), marks=needs_root),
        pytest.param(Way("a reader with a login", "two_logins", SHOP_POOL, READER), marks=needs_root)]


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request, place):
    if request.param.database == "two_logins" and not place.engine.has_server:
        pytest.skip(f"{place.engine.name}: {place.engine.lacks['server']}")
    return request.param


@pytest.fixture
def writer(place):
    return place.connect_as(WRITER)


@pytest.fixture
def reader(place):
    return place.connect_as(READER)


# Nothing is written

HOWS = {"batch": {"atomic": True}, "statements of a batch": {"atomic": False}}


def refusal(client, engine, sql, how, options):
    """The error of the statement, or None; in a transaction it may come with COMMIT."""
    try:
        if "batch" in how:
            client.batch([{"sql": engine.say(1)}, {"sql": sql}], **HOWS[how], **options)
        else:
            client.query(sql, **options)
        if how == "transaction":
            client.query(engine.commit, **options)
    except RequestFailed as failure:
        return failure.data
    return None


@pytest.mark.parametrize("how", ["statement", "session", "transaction", "batch", "statements of a batch"])
def test_nothing_is_written_where_reading_is_allowed(place, engine, way, how):
    before = engine.state()
    client = way.connect(place)
    by_itself = how not in ("session", "transaction") and way.database != "db"
    for sql in [*engine.writes, *engine.disguised]:
        options = {"database": way.database} if by_itself else {"session": way.session(client)}
        if how == "transaction":
            client.query(engine.begin, **options)
        error = refusal(client, engine, sql, how, options)
        if sql in engine.writes:
            assert error and error["code"] in ("read_only", "database_error", "permission_denied"), (sql, error)
        else:
            # In a session it may be a statement that only changes the session: see no_way_out.
            assert error or not by_itself, sql
        if "session" in options:
            client.call("db_disconnect", options)
        assert engine.state() == before, sql
    assert says(client, engine, database=way.database)


def attempt(client, sql, **options):
    """The code of the statement's error, or None."""
    try:
        client.query(sql, **options)
    except RequestFailed as failure:
        assert failure.code != "internal", failure
        return failure.code
    return None


def writes_nothing(client, engine, way, escape):
    """On every connection that the pool may give, and by itself."""
    sessions = [way.session(client) for _ in range(way.size)]
    for session in sessions:
        assert client.query_fails(engine.writes[0], session=session)["code"] in ("read_only", "permission_denied"), escape
    for session in sessions:
        client.call("db_disconnect", {"session": session})
    if way.database != "db":
        for id in [client.send_query(engine.writes[0], database=way.database) for _ in range(2 * way.size)]:
            assert failure_of(client, id).code in ("read_only", "permission_denied"), escape


def test_no_way_out_of_reading_only(place, engine, way):
    """Neither for the session itself, nor for the next reader on its connection."""
    before = engine.state()
    client = way.connect(place)
    for escape in engine.escapes:
        for session in [way.session(client) for _ in range(way.size)]:
            for sql in escape:
                attempt(client, sql, session=session)
            # A server may be talked into the write itself, but never into keeping it.
            codes = [attempt(client, sql, session=session) for sql in [engine.writes[0], engine.writes[3], engine.commit]]
            assert any(codes), escape
            client.call("db_disconnect", {"session": session})
        assert engine.state() == before, escape
        writes_nothing(client, engine, way, escape)
        if way.database != "db":
            # The same without a session, as far as it goes.
            codes = [attempt(client, sql, database=way.database) for sql in [*escape, engine.writes[0]]]
            assert codes[-1] in ("read_only", "permission_denied"), (escape, codes)
            writes_nothing(client, engine, way, escape)
    assert engine.state() == before


def test_what_reads_is_refused_to_nobody(place, engine, way):
    client = way.connect(place)
    session = way.session(client)
    before = engine.state()
    for options in [{"session": session}, *([{"database": way.database}] if way.database != "db" else [])]:
        for sql in engine.reads_only:
            client.query(sql, **options)
        if "sql" not in engine.lacks:
            assert client.query(f"SELECT id FROM item WHERE id = {engine.mark(1)}", [2], **options).rows == [[2]]
        for atomic in () if "reading batch" in engine.lacks else (True, False):
            data = client.batch([{"sql": sql} for sql in engine.reads_only], atomic=atomic, **options).data
            assert data["transaction"] == "none" and len(data["results"]) == len(engine.reads_only)
    assert engine.state() == before


@pytest.mark.needs("sql")
def test_a_read_only_session_has_transactions(engine, client):
    data = client.call("db_connect", {"database": "db", "read_only": True}).data
    session = data["session"]
    assert data["read_only"] is True
    assert client.query(engine.begin, session=session).transaction == "active"
    assert says(client, engine, session=session)
    assert client.query_fails(engine.writes[0], session=session)["code"] == "read_only"
    client.query("ROLLBACK", session=session)
    assert client.query("SELECT count(*) FROM item", session=session).value == 3
    assert client.query("SELECT 1", session=session).transaction == "none"


@pytest.mark.needs("pool")
def test_a_connection_writes_again_after_a_read_only_session(place, engine, packed):
    """Sessions that ask for it by themselves have their connections of the pool of those who write."""
    table = place.table([("id", "key"), ("v", "integer")])
    number = 0
    for escape in [[], *engine.escapes]:
        sessions = [packed.session(database="db", read_only=True) for _ in range(POOL)]
        for session in sessions:
            for sql in [*escape, engine.writes[0]]:
                attempt(packed, sql, session=session)
            packed.call("db_disconnect", {"session": session})
        sessions = [packed.session(database="db") for _ in range(POOL)]
        for session in sessions:
            number += 1
            packed.query(engine.insert(table), [number, number], session=session)
            packed.call("db_disconnect", {"session": session})
        for _ in range(2):
            number += 1
            on(packed, engine.insert(table), [number, number])
    assert sorted(engine.values(table)) == list(range(1, number + 1))


# Connections of their own

def links(client, engine, database, size):
    """Numbers of the connections that a client gets: all that the pool has at once, and those of statements by themselves."""
    sessions = [client.session(database=database) for _ in range(size)]
    found = {client.query(engine.link, session=session).value for session in sessions}
    assert len(found) == size
    for session in sessions:
        client.call("db_disconnect", {"session": session})
    ids = [client.send_query(engine.link, database=database) for _ in range(4 * size)]
    return found | {client.collect(id).value for id in ids}


@needs_root
@pytest.mark.needs("pool")
@pytest.mark.parametrize("database", ["shop", "two_logins"])
def test_readers_and_writers_have_connections_of_their_own(engine, writer, reader, database):
    writing, reading = set(), set()
    for _ in range(5):
        writing |= links(writer, engine, database, SHOP_POOL)
        reading |= links(reader, engine, database, SHOP_POOL)
    assert not writing & reading
    for client, is_own in ((writer, False), (reader, database == "two_logins")):
        for options in ({"database": database}, {"session": client.session(database=database)}):
            assert (engine.reader in client.query(engine.who, **options).value) is is_own


@pytest.mark.needs("pool")
def test_a_database_for_reading_has_connections_of_its_own(engine, packed):
    assert not links(packed, engine, "db", POOL) & links(packed, engine, "sealed", POOL)
    # A session that asks for reading only is one of the others.
    session = packed.session(database="db", read_only=True)
    number = packed.query(engine.link, session=session).value
    packed.call("db_disconnect", {"session": session})
    assert number in links(packed, engine, "db", POOL)


def code_of(client, id):
    """The code of a query's error, or None."""
    try:
        client.collect(id)
    except RequestFailed as failure:
        return failure.code
    return None


@needs_root
@pytest.mark.parametrize("database", ["shop", "two_logins"])
def test_readers_and_writers_in_a_throng(place, engine, writer, reader, database):
    """Every write of the one succeeds and none of the other's, whatever comes behind what."""
    if database not in {entry["name"] for entry in writer.call("list_databases").data["databases"]}:
        pytest.skip(f"{engine.name}: {engine.lacks['server']}")
    table = place.table([("id", "key"), ("v", "integer")])
    insert = engine.insert(table)
    sent = []
    for number in range(300):
        for client, data, codes in [(writer, {"sql": insert, "params": [number, 1]}, None),
                                    (reader, {"sql": insert, "params": [1000 + number, 2]}, ("read_only", "permission_denied")),
                                    (reader, {"sql": engine.say(number)}, None)]:
            data["database"] = database
            sent.append((client, data, client.send("query", data), codes))
    for client, data, id, codes in sent:
        # On a busy machine a connection may not be free in time: nothing was done, and it may be tried again.
        while (code := code_of(client, id)) == "busy":
            id = client.send("query", data)
        assert code in (codes or [None])
    assert (engine.count(table, 1), engine.count(table, 2)) == (300, 0)


def full(client, engine, sessions, uid):
    """Asserts that a client waits in vain, for those of its own kind."""
    started = time.monotonic()
    error = client.query_fails(engine.say(1), database="shop")
    assert time.monotonic() - started > POOL_WAIT_MS / 1000 * 0.9
    assert (error["code"], error["retryable"], error["holder"]["uid"]) == ("busy", True, uid), error
    assert client.fails("db_connect", {"database": "shop"})["code"] == "busy"
    for session in sessions:
        client.call("db_disconnect", {"session": session})
    assert says(client, engine, database="shop")


def pools(place):
    with place.connect() as root:
        return {entry["access"]: entry for entry in root.call("stats").data["pools"] if entry["database"] == "shop"}


@needs_root
@pytest.mark.needs("pool")
def test_a_full_pool_of_readers_keeps_no_writer_waiting_nor_the_other_way_round(place, engine, writer, reader):
    table = place.table([("id", "key"), ("v", "integer")])
    before = pools(place)
    held = [reader.session(database="shop") for _ in range(SHOP_POOL)]
    waiting = reader.send_query(engine.say(1), database="shop")
    started = time.monotonic()
    for number in range(20):
        writer.query(engine.insert(table), [number, 1], database="shop")
    session = writer.session(database="shop")
    writer.query(engine.insert(table), [100, 1], session=session)
    writer.call("db_disconnect", {"session": session})
    assert time.monotonic() - started < POOL_WAIT_MS / 1000 * 0.9, "nobody who writes waits for readers"
    assert failure_of(reader, waiting).code == "busy"
    now = pools(place)
    assert now["read_only"]["used"] == now["read_only"]["value"] == SHOP_POOL and now["read_write"]["used"] == 0, now
    assert now["read_only"]["refusals"] > before["read_only"]["refusals"]
    assert now["read_write"]["refusals"] == before["read_write"]["refusals"]
    full(reader, engine, held, READER)
    held = [writer.session(database="shop") for _ in range(SHOP_POOL)]
    for number in range(20):
        assert says(reader, engine, number, database="shop")
    full(writer, engine, held, WRITER)
    assert engine.count(table, 1) == 21


@needs_root
@pytest.mark.needs("server")
def test_a_reader_who_loses_the_right(place, engine, writer, reader):
    """What he runs ends, on the server too; those who write are not hit."""
    file = place.directory / "litebase.toml"
    former = file.read_text()
    mine, theirs = reader.session(database="shop"), writer.session(database="shop")
    writer.query(engine.begin, session=theirs)
    sleeping = start_slow(place, reader, engine.slow_read, session=mine)
    try:
        with place.connect() as root:
            file.write_text(former.replace(f'read_only_users = ["{READER}"]', "read_only_users = []"))
            root.call("reload")
            assert failure_of(reader, sleeping).code == "permission_denied"
            assert reader.query_fails(engine.say(1), session=mine)["code"] == "session_not_found"
            assert reader.query_fails(engine.say(1), database="shop")["code"] == "database_not_found"
            assert says(writer, engine, database="shop"), "the others' pool is the same one"
            assert writer.query(engine.commit, session=theirs).transaction == "none"
        wait_until(lambda: not engine.busy_backends(), "what he ran was cancelled on the server")
    finally:
        file.write_text(former)
        with place.connect() as root:
            root.call("reload")
    assert says(reader, engine, database="shop")
