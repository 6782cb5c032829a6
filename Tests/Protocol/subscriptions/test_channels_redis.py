"""`subscribe` to channels and patterns of Redis: every message that is published comes, once and in order, or a resync."""

import os
import threading
import time

import pytest

from daemon import wait_until
from redis_server import Redis, read_reply, request_of
from subscription import Subscription, growth_kib, payloads


@pytest.fixture(scope="module")
def server():
    instance = Redis()
    yield instance
    instance.discard()


@pytest.fixture
def served(server, start_daemon):
    return start_daemon(databases={"cache": server.url()})


@pytest.fixture
def listen(served):
    """Subscribes, on a connection of its own each time."""
    def start(*channels, mode="msgpack", patterns=None, **fields):
        lists = {"channels": list(channels)} if channels else {}
        return Subscription(served.connect(mode), database="cache", **lists, **({"patterns": patterns} if patterns else {}), **fields)

    return start


@pytest.fixture
def client(served):
    with served.connect() as client:
        yield client


def publish(server, channel, *payloads):
    """Publishes by a connection of its own, without waiting for each answer."""
    with server.connect() as connection, connection.makefile("rb") as stream:
        for start in range(0, len(payloads), 500):
            some = payloads[start:start + 500]
            connection.sendall(b"".join(request_of("PUBLISH", channel, payload) for payload in some))
            for _ in some:
                read_reply(stream)


def test_nothing_is_left_of_who_has_gone(served):
    assert growth_kib(served, database="cache", channels=["news"]) < 500


def test_who_listens_to_a_server_that_is_not_there_takes_no_descriptors(start_daemon):
    """The thread that tries to connect ends, and what it has had with it; for 0.1 s another one would be told the same."""
    daemon = start_daemon(databases={"cache": "redis://127.0.0.1:1"})
    descriptors = lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd"))  # noqa: E731
    with daemon.connect() as client:
        at_first = descriptors()
        for _ in range(20):
            for _ in range(10):
                assert client.fails("subscribe", {"database": "cache", "channels": ["news"]})["code"] == "connect_failed"
            time.sleep(0.12)
        wait_until(lambda: descriptors() < at_first + 10, "the last thread's descriptors are closed")


def listeners(server):
    return server.ask("CLIENT", "LIST").count("name=litebase-subscribe ")


@pytest.mark.parametrize("mode", ["msgpack", "json", "lines"])
def test_a_message_is_told(listen, client, mode):
    subscription = listen("news", mode=mode)
    assert subscription.first["covers"] == "channels" and "resync" not in subscription.first
    client.query("PUBLISH news hello", database="cache")
    event = subscription.event()
    assert (event["channel"], event["payload"], event["more"]) == ("news", "hello", True)
    assert "pid" not in event and "pattern" not in event


@pytest.mark.parametrize("mode", ["msgpack", "lines"])
@pytest.mark.parametrize("payload", [b"", b"\x00\xff\xfe", b"\r\n$5\r\n", os.urandom(1 << 19), b"x" * (1 << 20)], ids=lambda value: str(len(value)))
def test_bytes_come_as_they_are(listen, server, mode, payload):
    subscription = listen("news", mode=mode)
    publish(server, "news", payload)
    [told] = payloads(subscription, 1)
    assert (told.encode() if isinstance(told, str) else told) == payload


def test_patterns(listen, server):
    """Who listens to a channel and to a pattern that matches it hears of both, as from the server itself."""
    subscription = listen("news.a", patterns=["news.*", "n?ne"])
    other = listen("news.*")
    for channel in ("news.a", "news.b", "nine", "other"):
        publish(server, channel, channel.upper())
    events = [(event["channel"], event.get("pattern"), event["payload"]) for event in subscription.events()]
    assert sorted(events[:2], key=str) == [("news.a", "news.*", "NEWS.A"), ("news.a", None, "NEWS.A")]
    assert events[2:] == [("news.b", "news.*", "NEWS.B"), ("nine", "n?ne", "NINE")]
    assert other.events() == [], "a channel is no pattern"


def test_a_channel_that_is_no_utf8_is_a_blob(listen, server):
    subscription = listen(patterns=["*"])
    publish(server, b"\xff", "x")
    assert subscription.event()["channel"] == b"\xff"


def test_keys_that_change_are_messages(listen, client, server):
    server.ask("CONFIG", "SET", "notify-keyspace-events", "KEA")
    subscription = listen("__keyspace@0__:stock")
    client.query("SET stock 5", database="cache")
    client.query("DEL stock", database="cache")
    assert payloads(subscription, 2) == ["set", "del"]
    server.ask("CONFIG", "SET", "notify-keyspace-events", "")


def test_ten_thousand_reach_three_subscribers_in_order(listen, server):
    subscriptions = [listen("news"), listen(patterns=["ne*"]), listen("news", "more")]
    heard = [None] * 3

    def hear(index):
        heard[index] = payloads(subscriptions[index], 10_000)

    threads = [threading.Thread(target=hear, args=[index]) for index in range(3)]
    for thread in threads:
        thread.start()
    expected = [str(number) for number in range(10_000)]
    publish(server, "news", *expected)
    for thread in threads:
        thread.join(60)
    assert heard == [expected] * 3
    for subscription in subscriptions:
        assert subscription.events(0.2) == [], "told twice"
    assert listeners(server) == 1, "one connection for all"


def test_a_slow_client_is_told_that_it_has_missed_some(listen, server):
    slow, quick = listen("news"), listen("news")
    for _ in range(6):
        publish(server, "news", *["x" * 3000] * 1000)
        assert len(payloads(quick, 1000)) == 1000
    heard = slow.events(1.0)
    assert [event["reason"] for event in heard if event.get("resync")] == ["too_many"] and len(heard) < 6000
    publish(server, "news", "again")
    assert payloads(slow, 1) == ["again"]


def test_a_message_that_is_too_large_is_a_resync(listen, server):
    subscription = listen("news")
    publish(server, "news", b"x" * (2 << 20))
    event = subscription.event(20)
    assert (event["resync"], event["reason"]) == (True, "too_large")
    publish(server, "news", "again")
    assert payloads(subscription, 1) == ["again"]


def test_a_restarted_server_is_a_resync(start_daemon):
    server = Redis()
    try:
        daemon = start_daemon(databases={"cache": server.url()})
        subscriptions = [Subscription(daemon.connect(), database="cache", channels=["news"], patterns=["x*"]) for _ in range(3)]
        for end in (server.kill, server.stop):
            end()
            time.sleep(0.3)
            server.start()
            for subscription in subscriptions:
                event = subscription.event(20)
                assert event["resync"] is True and event["reason"] == "connection_lost", event
            publish(server, "news", "after")
            assert [payloads(subscription, 1) for subscription in subscriptions] == [["after"]] * 3
    finally:
        server.discard()


def test_the_connection_is_there_while_somebody_listens(listen, client, server):
    assert listeners(server) == 0
    first, second = listen("news"), listen(patterns=["x*"])
    assert listeners(server) == 1
    assert first.cancel()["code"] == "cancelled"
    second.client.close()
    # A little longer than ChannelBook.lingerMilliseconds.
    wait_until(lambda: listeners(server) == 0, "nobody listens, and the connection is gone", 15)
    again = listen("news")
    publish(server, "news", "again")
    assert payloads(again, 1) == ["again"]


def test_the_rights_of_the_servers_user_count(server, start_daemon):
    """A channel that the user may not hear keeps nobody from hearing the others; and a right that is lost ends the subscription."""
    server.ask("ACL", "SETUSER", "hearer", "on", ">password", "resetchannels", "&news", "&more", "+@all", "~*")
    daemon = start_daemon(databases={"cache": server.url("hearer", "password")})
    subscription = Subscription(daemon.connect(), database="cache", channels=["news"])
    other = Subscription(daemon.connect(), database="cache", channels=["more"])
    error = daemon.connect().fails("subscribe", {"database": "cache", "channels": ["secret"]})
    assert (error["code"], error["sqlstate"]) == ("permission_denied", "42501"), error
    publish(server, "news", "heard")
    assert payloads(subscription, 1) == ["heard"]
    # The server ends connections that listen to what they may not any more.
    server.ask("ACL", "SETUSER", "hearer", "resetchannels", "&news")
    assert subscription.event(20)["reason"] == "connection_lost"
    while (reply := other.client.receive_for(other.id)).type != "error":
        assert reply.data["resync"] is True
    assert reply.data["code"] == "permission_denied", reply
    publish(server, "news", "heard")
    assert payloads(subscription, 1) == ["heard"]
    server.ask("ACL", "DELUSER", "hearer")


@pytest.mark.parametrize("fields, word", [
    ({}, "channels"),
    ({"relations": ["item"]}, "channels"),
    ({"patterns": []}, "patterns"),
    ({"patterns": [1]}, "patterns"),
    ({"channels": ["x" * 1025]}, "1,024 bytes"),
    ({"patterns": [""]}, "1024 bytes"),
    ({"patterns": ["x"], "relations": ["y"]}, "relations"),
    ({"patterns": ["x"], "delay_ms": 5}, "delay_ms"),
])
def test_wrong_fields(client, fields, word):
    error = client.fails("subscribe", {"database": "cache", **fields})
    assert error["code"] == "bad_request" and word in f"{error['message']} {error.get('hint')}", error


def test_the_command_says_what_to_do_instead(client):
    error = client.query_fails("SUBSCRIBE news", database="cache")
    assert error["sqlstate"] == "0A000" and "subscribe" in error["hint"], error
