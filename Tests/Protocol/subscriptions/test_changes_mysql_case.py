"""`subscribe` on a MariaDB that does not tell names by the case of their letters (lower_case_table_names = 1), which for letters outside of
ASCII it does by rules of its own: no commit is missed."""

import pytest

from mariadb import MariaDB
from subscription import Subscription

# It starts database servers.
pytestmark = pytest.mark.slow

UNKNOWN = "<unknown_relations>"


@pytest.fixture(scope="module")
def server():
    instance = MariaDB(lower_case_table_names=1)
    try:
        instance.sql("CREATE DATABASE `dé`; CREATE TABLE `dé`.t(a INT); GRANT ALL ON `dé`.* TO lb@localhost")
        instance.sql("CREATE TABLE `été`(a INT); CREATE TABLE plain(a INT)", "lb")
        yield instance
    finally:
        instance.discard()


@pytest.fixture
def daemon(server, start_daemon):
    return start_daemon(databases={"my": server.url(), "small": server.url("d%C3%A9"), "large": server.url("D%C3%89")})


@pytest.fixture
def client(daemon):
    with daemon.connect() as client:
        yield client


def listening(daemon, database, **fields):
    subscription = Subscription(daemon.connect(), database=database, **fields)
    subscription.events(1.5)
    return subscription


@pytest.mark.parametrize("sql, told", [
    ("INSERT INTO `été` VALUES (1)", {"été"}), ("INSERT INTO `ÉTÉ` VALUES (1)", {UNKNOWN}), ("TRUNCATE `été`", {"été"}),
    ("TRUNCATE `ÉTÉ`", {UNKNOWN})])
def test_a_relation_by_another_of_its_names(daemon, client, sql, told):
    subscription = listening(daemon, "my", relations=["été"])
    client.query(sql, database="my")
    assert told <= subscription.heard(1.5), sql


@pytest.mark.parametrize("database, sql", [
    ("small", "INSERT INTO `DÉ`.t VALUES (1)"), ("small", "TRUNCATE `DÉ`.t"), ("small", "INSERT INTO T VALUES (1)"),
    ("large", "INSERT INTO t VALUES (1)"), ("large", "TRUNCATE `dé`.t"), ("large", "TRUNCATE t")])
def test_a_database_by_another_of_its_names(daemon, client, database, sql):
    subscription = listening(daemon, database)
    client.query(sql, database=database)
    heard = subscription.heard(1.5)
    assert UNKNOWN in heard or "t" in {name.lower() for name in heard}, (sql, heard)


def test_a_temporary_table_that_is_dropped_by_another_of_its_names(daemon, client, server):
    subscription = listening(daemon, "my", relations=["été", "plain"])
    for made, dropped in (("`ÉTÉ`", "`été`"), ("PLAIN", "plain")):
        session = client.session(database="my")
        client.query(f"CREATE TEMPORARY TABLE {made}(a INT)", session=session)
        client.query(f"DROP TEMPORARY TABLE {dropped}", session=session)
        subscription.events(1.5)
        client.query(f"INSERT INTO {made} VALUES (7)", session=session)
        assert server.sql(f"SELECT count(*) FROM {dropped} WHERE a = 7", "lb") == "1", "it was the one that stays"
        heard = subscription.heard(1.5)
        assert UNKNOWN in heard or dropped.strip("`") in heard, (made, heard)
        client.call("db_disconnect", {"session": session})
