"""Statements of docs/databases.md for the administrator of a server, on servers of their own."""

import shlex

import pytest

from judgements import judgements_of
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis


def shown(begins):
    """The block that begins so, with its judgement."""
    [found] = [(block, judgement) for block, judgement in judgements_of("docs/databases.md") if block.text.startswith(begins)]
    return found


@pytest.fixture
def serve(request):
    def start(kind):
        server = kind()
        request.addfinalizer(server.discard)
        return server
    return start


@pytest.fixture(scope="module")
def mariadb():
    """With the database that the document names."""
    server = MariaDB()
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.stock(n int)")
    yield server
    server.discard()


def asked(reader, database, url, statements):
    """What a reader's own daemon answers for a database that his configuration has."""
    reader.start_daemon(f"exec litebased --database '{database}={url}'")
    return [reader.run(f"litebase query -d {database} {shlex.quote(statement)}").status for statement in statements]


@pytest.mark.slow
def test_the_reader_of_postgresql(serve, reader):
    """It may read every table, and change none."""
    server = serve(PostgreSQL)
    server.psql("CREATE TABLE stock(n int)")
    server.psql(shown("CREATE ROLE reader")[0].text)
    assert asked(reader(), "shop", server.url(user="reader"), ["SELECT * FROM stock", "INSERT INTO stock VALUES (1)"]) == [0, 77]


@pytest.mark.slow
def test_the_reader_of_mariadb(mariadb, reader):
    """The same; unix_socket takes the name of whoever connects, so the statement's user gets a password's way in here."""
    block, _ = shown("CREATE USER reader")
    mariadb.sql("DROP USER reader@localhost")
    mariadb.sql(block.text)
    assert "unix_socket" in mariadb.sql("SHOW CREATE USER reader@localhost")
    mariadb.sql("ALTER USER reader@localhost IDENTIFIED BY ''")
    assert asked(reader(), "shop", mariadb.url("shop", "reader"), ["SELECT * FROM stock", "INSERT INTO stock VALUES (1)"]) == [0, 77]


def test_the_reader_of_redis(serve, reader):
    """It may read, with read-only access of the daemon too, which asks INFO and COMMAND."""
    server = serve(Redis)
    block, _ = shown("ACL SETUSER reader")
    server.ask(*shlex.split(block.text.replace(">", "\\>")))
    server.ask("SET", "k", "v")
    url = server.url("reader", "password")
    assert asked(reader(), "cache", url, ["GET k", "SET k w", "CONFIG GET requirepass"]) == [0, 77, 77]
    assert server.ask("GET", "k") == "v"


def test_a_trigger_tells_of_changes(serve):
    """Once for each table and transaction, whoever has changed it."""
    server = serve(PostgreSQL)
    server.psql("CREATE TABLE orders(id int)")
    server.psql(shown("CREATE FUNCTION tell_change")[0].text)
    heard = server.psql("LISTEN changes; INSERT INTO orders VALUES (1), (2); TRUNCATE orders")
    assert heard.count("notification \"changes\" with payload \"orders\"") == 1, heard
