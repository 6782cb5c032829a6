"""`subscribe` to channels of PostgreSQL: every NOTIFY that is committed comes, once and in order, or a resync says that some are missed."""

import threading
import time

import pytest

from daemon import wait_until
from postgresql import PgBouncer, PostgreSQL
from subscription import Subscription, payloads

LISTENER = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'litebase%: subscribe'"


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    yield instance
    instance.discard()


@pytest.fixture
def served(server, start_daemon):
    return start_daemon(databases={"pg": server.url()})


@pytest.fixture
def listen(served):
    """Subscribes, on a connection of its own each time."""
    def start(*channels, mode="msgpack", **fields):
        return Subscription(served.connect(mode), database="pg", channels=list(channels), **fields)

    return start


@pytest.fixture
def client(served):
    with served.connect() as client:
        yield client


def notify(client, channel, payload="", **options):
    client.query("SELECT pg_notify($1, $2)", [channel, payload], database="pg", **options)


# What is told

@pytest.mark.parametrize("mode", ["msgpack", "json", "lines"])
def test_a_notification_is_told(listen, client, mode):
    subscription = listen("news", mode=mode)
    assert subscription.first["covers"] == "channels" and subscription.first["more"] is True
    assert "resync" not in subscription.first
    first = subscription.position
    notify(client, "news", "hello")
    event = subscription.event()
    assert (event["channel"], event["payload"], event["more"]) == ("news", "hello", True)
    assert event["pid"] > 0 and event["position"] != first and "pattern" not in event and "relations" not in event


@pytest.mark.parametrize("channel", ["News", 'a"b', "a b", "ß→漢字", "x" * 63, "select", "a;b", "*"])
def test_a_channel_is_an_identifier(listen, client, channel):
    """As within double quotes: another one that differs in the case of its letters is another one."""
    subscription = listen(channel)
    notify(client, channel.swapcase() if channel.swapcase() != channel else channel + "x" if len(channel) < 60 else "other", "wrong")
    notify(client, channel, "right")
    assert [(event["channel"], event["payload"]) for event in subscription.events()] == [(channel, "right")]


@pytest.mark.parametrize("payload", ["", "x" * 7_999, "'\"\\\n\t", "漢字🙂"])
def test_a_payload_comes_as_it_is(listen, client, payload):
    subscription = listen("news")
    notify(client, "news", payload)
    assert payloads(subscription, 1) == [payload]


def test_several_channels_are_told_in_their_order(listen, client):
    subscription = listen("one", "two", "one")
    for number in range(50):
        notify(client, ("one", "two", "three")[number % 3], str(number))
    expected = [str(number) for number in range(50) if number % 3 < 2]
    assert [event["payload"] for event in subscription.events()] == expected


def test_what_is_rolled_back_is_not_told(listen, client):
    subscription = listen("news")
    session = client.session(database="pg")
    client.query("BEGIN", session=session)
    client.query("NOTIFY news, 'rolled back'", session=session)
    client.query("ROLLBACK", session=session)
    client.query("BEGIN", session=session)
    client.query("NOTIFY news, 'committed'", session=session)
    assert subscription.events() == [], "told before the commit"
    client.query("COMMIT", session=session)
    assert payloads(subscription, 1) == ["committed"] and subscription.events() == []


def test_nothing_is_missed_behind_the_first_reply(listen, client):
    """Each subscription makes the connection listen to one more channel, while it listens to others."""
    for number in range(100):
        subscription = listen(f"channel{number}")
        notify(client, f"channel{number}", str(number))
        assert payloads(subscription, 1) == [str(number)]


def test_text_that_is_no_utf8_is_a_blob(start_daemon):
    server = PostgreSQL(encoding="SQL_ASCII")
    try:
        daemon = start_daemon(databases={"pg": server.url()})
        subscription = Subscription(daemon.connect(), database="pg", channels=["news"])
        server.psql("DO $$ BEGIN PERFORM pg_notify('news', convert_from('\\x61ff', 'SQL_ASCII')); END $$")
        assert payloads(subscription, 1) == [b"a\xff"]
    finally:
        server.discard()


def test_a_trigger_tells_of_writes(listen, client, server):
    """As docs/databases.md shows it."""
    for statement in ["CREATE TABLE IF NOT EXISTS orders(id int PRIMARY KEY)",
                      "CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
                      "PERFORM pg_notify('changes', TG_TABLE_NAME); RETURN NULL; END$$",
                      "CREATE OR REPLACE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON orders EXECUTE FUNCTION tell()"]:
        client.query(statement, database="pg")
    subscription = listen("changes")
    client.query("INSERT INTO orders SELECT generate_series(1, 100)", database="pg")
    server.psql("TRUNCATE orders")
    assert payloads(subscription, 2) == ["orders", "orders"]


# Many

def test_ten_thousand_reach_three_subscribers_in_order(listen, served, server):
    """Connections go to the serving loops in turn, so these are on different ones. Every one reads as fast as it can."""
    subscriptions = [listen("news") for _ in range(3)]
    heard = [None] * 3

    def hear(index):
        heard[index] = payloads(subscriptions[index], 10_000)

    threads = [threading.Thread(target=hear, args=[index]) for index in range(3)]
    for thread in threads:
        thread.start()
    # In one transaction, in some, and one by one.
    server.psql("SELECT pg_notify('news', n::text) FROM generate_series(0, 4999) AS n")
    for start in range(5000, 9000, 500):
        server.psql(f"SELECT pg_notify('news', n::text) FROM generate_series({start}, {start + 499}) AS n")
    with served.connect() as client:
        for number in range(9000, 10_000):
            notify(client, "news", str(number))
    for thread in threads:
        thread.join(60)
    expected = [str(number) for number in range(10_000)]
    assert heard == [expected] * 3
    for subscription in subscriptions:
        assert subscription.events(0.2) == [], "told twice"
    assert server.psql(LISTENER) == "1", "one connection for all"


def test_a_slow_client_is_told_that_it_has_missed_some(listen, served, server):
    """What waits for it is bounded and its own; others miss nothing, and it hears the next ones."""
    slow, quick = listen("news"), listen("news")
    with served.connect() as administrator:
        before = administrator.call("stats").data["users"][0]["buffered_bytes"]
        for burst in range(6):
            server.psql(f"SELECT pg_notify('news', n || repeat('x', 3000)) FROM generate_series(1, 1000) AS n WHERE {burst} = {burst}")
            assert len(payloads(quick, 1000)) == 1000
        held = administrator.call("stats").data["users"][0]["buffered_bytes"] - before
        assert held < 6 << 20, held
    heard = slow.events(1.0)
    gaps = [event for event in heard if event.get("resync")]
    assert [gap["reason"] for gap in gaps] == ["too_many"] and len(heard) < 6000
    server.psql("NOTIFY news, 'again'")
    assert payloads(slow, 1) == ["again"]


def test_what_waits_is_charged_to_its_user(listen, served, server):
    slow = listen("news")
    with served.connect() as administrator:
        def held():
            return administrator.call("stats").data["users"][0]["buffered_bytes"]

        before = held()
        server.psql("SELECT pg_notify('news', n || repeat('x', 3000)) FROM generate_series(1, 1200) AS n")
        wait_until(lambda: held() - before > 2 << 20, "what waits is charged")
        slow.client.close()
        wait_until(lambda: held() - before < 1 << 20, "it is given back")


# Lost connections

def test_a_restarted_server_is_a_resync(start_daemon):
    server = PostgreSQL()
    try:
        daemon = start_daemon(databases={"pg": server.url()})
        subscriptions = [Subscription(daemon.connect(), database="pg", channels=["news"]) for _ in range(3)]
        for end in (server.kill, server.stop):
            server.psql("NOTIFY news, 'before'")
            assert [payloads(subscription, 1) for subscription in subscriptions] == [["before"]] * 3
            end()
            time.sleep(0.3)
            server.start()
            for subscription in subscriptions:
                event = subscription.event(20)
                assert event["resync"] is True and event["reason"] == "connection_lost", event
            server.psql("NOTIFY news, 'after'")
            assert [payloads(subscription, 1) for subscription in subscriptions] == [["after"]] * 3
    finally:
        server.discard()


def test_a_connection_that_is_terminated_is_a_resync(listen, server):
    subscription = listen("news")
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'litebase%: subscribe'")
    event = subscription.event(20)
    assert (event["resync"], event["reason"]) == (True, "connection_lost")
    server.psql("NOTIFY news, 'after'")
    assert payloads(subscription, 1) == ["after"]


def test_a_server_that_is_away_is_an_error_at_first(start_daemon, directory):
    daemon = start_daemon(databases={"pg": f"postgresql://lb@/postgres?host={directory}"})
    with daemon.connect() as client:
        error = client.fails("subscribe", {"database": "pg", "channels": ["news"]})
        assert error["code"] == "connect_failed" and error["retryable"] is True, error


def test_from_goes_on_where_another_has_come_to(listen, client):
    first, other = listen("news"), listen("other")
    notify(client, "news", "one")
    position = first.event()["position"]
    first.client.close()
    for payload in ("two", "three"):
        notify(client, "news", payload)
    again = listen("news", **{"from": position})
    assert "resync" not in again.first
    assert payloads(again, 2) == ["two", "three"]
    # Of a channel that nobody listened to it is not known what was sent.
    assert listen("new", **{"from": position}).first["reason"] == "position_unknown"
    assert listen("news", **{"from": "1.1"}).first["resync"] is True
    other.client.close()


# The connection

def test_the_connection_is_there_while_somebody_listens(listen, client, server):
    assert server.psql(LISTENER) == "0"
    first, second = listen("news"), listen("other", "more")
    assert server.psql(LISTENER) == "1"
    pools = client.call("stats").data["pools"]
    assert sum(pool["open"] for pool in pools) == 1, pools
    assert first.cancel()["code"] == "cancelled"
    second.client.close()
    # A little longer than ChannelBook.lingerMilliseconds.
    wait_until(lambda: server.psql(LISTENER) == "0", "nobody listens, and the connection is gone", 15)
    assert sum(pool["open"] for pool in client.call("stats").data["pools"]) == 0
    again = listen("news")
    notify(client, "news", "again")
    assert payloads(again, 1) == ["again"]


def test_a_channel_that_nobody_wants_is_not_listened_to(listen, client, server):
    stays, leaves = listen("stays"), listen("leaves")
    assert leaves.cancel()["code"] == "cancelled"
    time.sleep(11)
    notify(client, "leaves", "unheard")
    notify(client, "stays", "heard")
    assert payloads(stays, 1) == ["heard"]
    state = server.psql("SELECT query FROM pg_stat_activity WHERE application_name LIKE 'litebase%: subscribe'")
    assert 'UNLISTEN "leaves"' in state, state


def test_a_pooler_is_refused(server, start_daemon):
    pooler = PgBouncer(server, pool_mode="transaction")
    try:
        daemon = start_daemon(databases={"pg": pooler.url()})
        with daemon.connect() as client:
            error = client.fails("subscribe", {"database": "pg", "channels": ["news"]})
            assert (error["code"], error["sqlstate"]) == ("database_error", "0A000") and "pooler" in error["message"], error
    finally:
        pooler.discard()


# Requests that are refused

@pytest.mark.parametrize("fields, word", [
    ({}, "channels"),
    ({"relations": ["item"]}, "channels"),
    ({"channels": []}, "channels"),
    ({"channels": "news"}, "channels"),
    ({"channels": [1]}, "channels"),
    ({"channels": [""]}, "63 bytes"),
    ({"channels": ["x" * 64]}, "63 bytes"),
    ({"channels": ["a\0b"]}, "63 bytes"),
    ({"channels": ["x"] * 1001}, "1,000"),
    ({"channels": ["x"], "relations": ["y"]}, "relations"),
    ({"channels": ["x"], "delay_ms": 5}, "delay_ms"),
    ({"patterns": ["x*"]}, "patterns"),
])
def test_wrong_fields(client, fields, word):
    error = client.fails("subscribe", {"database": "pg", **fields})
    assert error["code"] == "bad_request" and word in f"{error['message']} {error.get('hint')}", error


def test_sqlite_has_no_channels(client, start_daemon):
    error = start_daemon().connect().fails("subscribe", {"channels": ["news"]})
    assert (error["code"], error["sqlstate"]) == ("bad_request", "0A000") and "channels" in error["message"], error


def test_listen_says_what_to_do_instead(client):
    error = client.query_fails("LISTEN news", database="pg")
    assert "subscribe" in error["hint"], error


def test_a_user_has_so_many_channels(listen, client):
    subscriptions = [listen(*(f"channel{start + number}" for number in range(1000))) for start in (0, 1000)]
    error = client.fails("subscribe", {"database": "pg", "channels": ["one more"]})
    assert error["code"] == "limit_exceeded" and "2000" in error["message"], error
    notify(client, "channel1999", "heard")
    assert payloads(subscriptions[1], 1) == ["heard"]
    subscriptions[0].cancel()
    assert listen("one more").first["covers"] == "channels"


# Rights

def test_a_lost_right_ends_it(directory, server, start_daemon):
    """A database under the same name is another one when its URL is another."""
    config = directory / "litebase.toml"

    def configure(database):
        config.write_text(f'[databases.pg]\nurl = "{server.url(database)}"\n[databases.other]\nurl = "sqlite::memory:"\n')

    configure("postgres")
    daemon = start_daemon(f"--config={config}", directory=directory)
    subscription = Subscription(daemon.connect(), database="pg", channels=["news"])
    configure("template1")
    with daemon.connect() as client:
        client.call("reload")
    assert subscription.client.receive_for(subscription.id).type == "error"
