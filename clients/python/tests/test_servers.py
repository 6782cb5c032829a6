"""The driver before real servers: their placeholders, their types, their transactions."""

import datetime
import decimal
import random
import time
import uuid

import pytest

import litebase

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


def test_rows_that_are_not_wanted_cost_no_transaction(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        db.execute("CREATE TEMP TABLE t (a integer)")
        cursor = db.execute("SELECT * FROM generate_series(1, 200000)")
        assert cursor.fetchone() == (1,)
        cursor.close()
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
        assert db.execute("SELECT count(*) FROM t").fetchone() == (1,)
        db.commit()
        # Without a transaction, the statement is stopped.
        db.autocommit = True
        cursor = db.execute("SELECT * FROM generate_series(1, 20000000)")
        cursor.close()
        began = time.monotonic()
        assert db.execute("SELECT 1").fetchone() == (1,)
        assert time.monotonic() - began < 3


def test_arrays_and_intervals_of_postgresql(postgresql):
    texts = ["a,b", "", "NULL", 'q"{}\\', None, "é", "\n"]
    values = {
        "int4[]": [1, None, -3],
        "int8[]": [],
        "text[]": texts,
        "text[][]": [texts, texts],
        "numeric[]": [decimal.Decimal("1.50"), None],
        "float8[]": [0.1, float("inf")],
        "boolean[]": [True, False, None],
        "bytea[]": [b"\x00\xff", b""],
        "timestamptz[]": [datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)],
        "uuid[]": [uuid.UUID(int=5)],
        "interval[]": [datetime.timedelta(days=-1, seconds=1)],
        "interval": datetime.timedelta(days=400, microseconds=-1),
    }
    with litebase.connect("server", socket=postgresql) as db:
        for kind, value in values.items():
            assert db.execute(f"SELECT $1::{kind}", (value,)).fetchone() == (value,), kind
        db.execute("CREATE TEMP TABLE arrays (a int[], b text)")
        db.executemany("INSERT INTO arrays VALUES ($1, $2)", [([1, number], "x") for number in range(100)])
        assert db.execute("SELECT count(*) FROM arrays WHERE a[2] = ANY($1)", ([5, 7, 200],)).fetchone() == (2,)
        # Bounds of their own, and what has no length, or no list.
        assert db.execute("SELECT '[0:1]={1,2}'::int[], '1 mon'::interval").fetchone() == ([1, 2], "1 mon")
        assert db.execute("SELECT ARRAY['(1,1),(0,0)'::box]").fetchone() == ("{(1,1),(0,0)}",)
        with pytest.raises(litebase.ProgrammingError, match="list"):
            db.execute("SELECT $1::int[]", ([{1}],))


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
