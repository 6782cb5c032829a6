"""The driver before real servers: their placeholders, their types, their transactions."""

import datetime
import decimal
import random
import uuid

import pytest
from daemon import Daemon
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis

import litebase


def served(server):
    """A daemon with this server's database, for one module."""
    try:
        daemon = Daemon(databases={"server": server.url()})
    except BaseException:
        server.discard()
        raise
    try:
        yield daemon.socket_path
        daemon.finish()
    finally:
        daemon.discard()
        server.discard()


@pytest.fixture(scope="module")
def postgresql():
    yield from served(PostgreSQL())


@pytest.fixture(scope="module")
def mariadb():
    yield from served(MariaDB())


@pytest.fixture(scope="module")
def redis():
    yield from served(Redis())


UTC = datetime.timezone.utc
POSTGRESQL = {
    "int8": 2**63 - 1,
    "numeric(12,4)": decimal.Decimal("12345678.5000"),
    "text": "é\U0001f600",
    "bytea": b"\x00\xff",
    "boolean": True,
    "float8": 0.1,
    "date": datetime.date(2026, 1, 2),
    "time": datetime.time(3, 4, 5, 600),
    "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5, 600_000),
    "timestamptz": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "uuid": uuid.UUID(int=5),
}
MARIADB = {
    "bigint": -(2**63),
    "bigint unsigned": 2**64 - 1,
    "decimal(12,4)": decimal.Decimal("12345678.5000"),
    "varchar(20) character set utf8mb4": "é\U0001f600",
    "varbinary(20)": b"\x00\xff",
    "double": 0.1,
    "date": datetime.date(2026, 1, 2),
    "time(3)": -datetime.timedelta(hours=300, seconds=5, milliseconds=250),
    "datetime(6)": datetime.datetime(2026, 1, 2, 3, 4, 5, 600),
}


def test_values_of_postgresql(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        db.execute(f"CREATE TEMP TABLE v ({', '.join(f'c{place} {kind}' for place, kind in enumerate(POSTGRESQL))})")
        marks = ", ".join(f"${place + 1}" for place in range(len(POSTGRESQL)))
        db.execute(f"INSERT INTO v VALUES ({marks})", list(POSTGRESQL.values()))
        db.executemany(f"INSERT INTO v VALUES ({marks})", [[None] * len(POSTGRESQL)])
        cursor = db.execute("SELECT * FROM v ORDER BY c0")
        assert cursor.fetchall() == [tuple(POSTGRESQL.values()), (None,) * len(POSTGRESQL)]
        kinds = [column[1] for column in cursor.description]
        assert (kinds[0], kinds[1], kinds[9]) == (litebase.NUMBER, litebase.NUMBER, litebase.DATETIME)
        assert db.execute("SELECT 'infinity'::timestamptz, 'NaN'::numeric::text").fetchone() == ("infinity", "NaN")


def test_values_of_mariadb(mariadb):
    with litebase.connect("server", socket=mariadb) as db:
        db.execute(f"CREATE TEMPORARY TABLE v ({', '.join(f'c{place} {kind}' for place, kind in enumerate(MARIADB))})")
        marks = ", ".join("?" * len(MARIADB))
        db.execute(f"INSERT INTO v VALUES ({marks})", list(MARIADB.values()))
        assert db.execute("SELECT * FROM v").fetchone() == tuple(MARIADB.values())


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_transactions_of_servers(name, request):
    socket = request.getfixturevalue(name)
    table = f"t{random.randrange(1 << 40)}"
    mark = "$1" if name == "postgresql" else "?"
    with litebase.connect("server", socket=socket, autocommit=True) as db, litebase.connect("server", socket=socket) as other:
        db.execute(f"CREATE TABLE {table} (a integer primary key)")
        db.executemany(f"INSERT INTO {table} VALUES ({mark})", ([a] for a in range(40_000)))
        with pytest.raises(litebase.IntegrityError):
            db.executemany(f"INSERT INTO {table} VALUES ({mark})", ([a] for a in range(80_000, 39_998, -1)))
        assert not db.in_transaction
        other.execute(f"DELETE FROM {table}")
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (40_000,)
        other.rollback()
        db.execute(f"DROP TABLE {table}")


def test_a_failed_transaction_is_not_committed_in_silence(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        db.execute("CREATE TEMP TABLE t (a integer)")
        with pytest.raises(litebase.DataError):
            db.execute("SELECT 1/0")
        with pytest.raises(litebase.OperationalError, match="nothing was committed"):
            db.commit()
        assert not db.in_transaction
        with db.transaction():
            with pytest.raises(litebase.DataError), db.transaction():
                db.execute("SELECT 1/0")
            db.execute("SELECT 1")


def test_notices_are_told(postgresql, caplog):
    told = []
    with litebase.connect("server", socket=postgresql, on_notice=told.append) as db:
        db.execute("DO $$ BEGIN RAISE NOTICE 'look'; END $$")
    assert [notice["message"] for notice in told] == ["look"]
    with caplog.at_level("INFO", "litebase"), litebase.connect("server", socket=postgresql) as db:
        db.execute("DO $$ BEGIN RAISE NOTICE 'here'; END $$")
    assert caplog.messages == ["here"]


def test_commands_of_redis(redis):
    with litebase.connect("server", socket=redis) as db:
        assert db.autocommit
        db.execute("SET", ("key", b"\xffvalue"))
        assert db.execute("GET key").fetchone() == (b"\xffvalue",)
        assert db.execute("INCR", ("counter",)).fetchone() == (1,)
        with pytest.raises(litebase.DatabaseError):
            db.execute("LPUSH key x")
