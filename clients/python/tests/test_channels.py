"""`changes` of channels, with real servers: every message is told, one by one and in order."""

import asyncio

import pytest

import litebase
import litebase.aio
from litebase import ChannelMessage


@pytest.fixture(params=["postgresql", "redis"])
def engine(request):
    return request.param


@pytest.fixture
def server(engine, request):
    return request.getfixturevalue(engine)


@pytest.fixture
def send(engine, server):
    """Sends to a channel, committed when it returns."""
    with litebase.connect("server", socket=server, autocommit=True) as db:
        command = "SELECT pg_notify($1, $2)" if engine == "postgresql" else "PUBLISH"
        yield lambda *about: db.execute(command, about).fetchall()


def same(engine, message, channel, payload):
    """Compares a message; PostgreSQL says of whom it is, Redis does not."""
    assert (message.pid is not None) == (engine == "postgresql")
    assert message == ChannelMessage(channel, payload, None, message.pid)


def test_messages_come_one_by_one(engine, server, send):
    with litebase.connect("server", socket=server) as db, db.changes(channels=["news", "straße"]) as changes:
        assert changes.covers == "channels"
        # More than one read gives, so that several are here when the first one is asked for.
        sent = [("news", f"{number}é") for number in range(50)] + [("straße", "")]
        send("other", "not told")
        for about in sent:
            send(*about)
        for channel, payload in sent:
            change = next(changes)
            same(engine, change.message, channel, payload)
            assert (change.relations, change.schema, change.resync) == ((), False, None)
            assert change.position == changes.position


def test_one_goes_on_where_another_was(engine, server, send):
    with litebase.connect("server", socket=server) as db, db.changes(channels="news") as changes:
        send("news", "one")
        send("news", "two")
        same(engine, next(changes).message, "news", "one")
        with db.changes(channels="news", from_position=changes.position) as again:
            same(engine, next(again).message, "news", "two")
        same(engine, next(changes).message, "news", "two")


def test_transactions(postgresql):
    with litebase.connect("server", socket=postgresql) as db, db.changes(channels="news") as changes:
        db.execute("NOTIFY news, 'taken back'")
        db.rollback()
        db.execute("NOTIFY news, 'committed'")
        db.commit()
        assert next(changes).message.payload == "committed"


def test_patterns_and_bytes(redis):
    with (
        litebase.connect("server", socket=redis) as db,
        db.changes(channels="sport.ski", patterns=["sport.*"]) as changes,
    ):
        db.execute("PUBLISH", ("sport.ski", b"\x00\xff"))
        messages = {next(changes).message for _ in range(2)}
        assert messages == {ChannelMessage("sport.ski", b"\x00\xff", pattern) for pattern in (None, "sport.*")}


def test_what_is_wrong_is_said(server, engine, own_daemon):
    with litebase.connect("server", socket=server) as db, pytest.raises(litebase.DatabaseError):
        db.changes("city", channels="news")
    with litebase.connect(socket=own_daemon.socket_path) as db, pytest.raises(litebase.DatabaseError) as caught:
        db.changes(channels="news")
    assert caught.value.sqlstate == "0A000"


def test_tasks(engine, server):
    async def body():
        async with await litebase.aio.connect("server", socket=server, autocommit=True) as db:
            command = "SELECT pg_notify($1, $2)" if engine == "postgresql" else "PUBLISH"
            async with await db.changes(channels="news") as changes:
                waiting = asyncio.ensure_future(changes.__anext__())
                for number in range(3):
                    await db.execute(command, ("news", str(number)))
                same(engine, (await waiting).message, "news", "0")
                # One that is cancelled misses none.
                for wanted in ("1", "2"):
                    same(engine, (await changes.__anext__()).message, "news", wanted)
                waiting = asyncio.ensure_future(changes.__anext__())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await db.execute(command, ("news", "3"))
                same(engine, (await changes.__anext__()).message, "news", "3")

    asyncio.run(asyncio.wait_for(body(), 30))
