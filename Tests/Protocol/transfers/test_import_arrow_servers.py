"""`import` with `format: "arrow"` into PostgreSQL and MariaDB: their types from Arrow's, and back."""

import datetime
import decimal

import pytest

from test_import import import_fails, imported
from test_import_arrow import stream
from test_import_servers import name, table  # noqa: F401 (fixtures)
from transfers import opened, transfer

pa = pytest.importorskip("pyarrow", reason="a package of clients/python/requirements-dev.txt")
# It starts database servers.
pytestmark = pytest.mark.slow

D = decimal.Decimal
UTC = datetime.timezone.utc
MICROSECOND = datetime.timedelta(microseconds=1)

ALL = pa.table({
    "b": pa.array([True, None]), "i": pa.array([-2**63, 2**63 - 1]), "u": pa.array([2**64 - 1, 0], pa.uint64()), "r": [0.1, -5e-324],
    "n": pa.array([D("12345678901234567890.50"), D("-0.01")], pa.decimal128(30, 2)), "t": ["é\n\\\t", ""], "x": [b"\0\xff\\", b""],
    "a": [datetime.date(1969, 12, 31), None], "c": pa.array([datetime.time(23, 59, 59, 999999), None]),
    "m": pa.array([datetime.datetime(1970, 1, 1) - MICROSECOND, None]),
    "z": pa.array([datetime.datetime(2020, 1, 1, 12, tzinfo=UTC), None], pa.timestamp("us", "Europe/Oslo")),
    "s": pa.array([datetime.timedelta(hours=-100, seconds=1), None]), "e": pa.array(["x", "y"]).dictionary_encode(), "o": pa.nulls(2)})

MADE = {
    "pg": '"b" boolean, "i" bigint, "u" numeric(20), "r" double precision, "n" numeric(30,2), "t" text, "x" bytea, "a" date, "c" time, '
          '"m" timestamp, "z" timestamptz, "s" interval, "e" text, "o" text',
    "my": "`b` boolean, `i` bigint, `u` bigint unsigned, `r` double, `n` decimal(30,2), `t` longtext, `x` longblob, `a` date, `c` time(6), "
          "`m` datetime(6), `z` datetime(6), `s` time(6), `e` longtext, `o` longtext"}


@pytest.fixture
def exported(passing, directory):
    def export(database, sql):
        path = directory / "exported.arrow"
        with opened(path) as descriptor:
            transfer(passing, "export", descriptor, format="arrow", database=database, sql=sql)
        return path

    return export


def values(path):
    table = pa.ipc.open_stream(str(path)).read_all()
    table.validate(full=True)
    return {field.name: (str(field.type), column.to_pylist()) for field, column in zip(table.schema, table.columns)}


def test_types_of_the_schema(passing, directory, exported, name, table):
    reply = imported(passing, directory, stream(ALL), table, database=name, format="arrow", create=True)
    assert reply["row_count"] == 2 and reply["sql"].endswith(f"({MADE[name]})"), reply["sql"]
    made = values(exported(name, f"SELECT * FROM {table}"))
    for column in ("i", "r", "t", "x", "a", "m", "e", "o", "n"):
        assert made[column][1] == ALL[column].to_pylist(), column
    assert made["n"][0] == "decimal128(30, 2)" and made["m"][0] == "timestamp[us]"
    if name == "pg":
        assert made["b"] == ("bool", [True, None]) and made["u"] == ("decimal128(20, 0)", [D(2**64 - 1), D(0)])
        assert made["c"] == ("time64[us]", [datetime.time(23, 59, 59, 999999), None])
        assert made["z"] == ("timestamp[us, tz=UTC]", [datetime.datetime(2020, 1, 1, 12, tzinfo=UTC), None])
        assert passing.query(f"SELECT s = interval '-99:59:59' FROM {table} WHERE s IS NOT NULL", database=name).value is True
    else:
        assert made["u"] == ("uint64", [2**64 - 1, 0])
        assert made["c"] == ("duration[us]", [datetime.timedelta(days=1) - MICROSECOND, None])
        assert made["z"] == ("timestamp[us]", [datetime.datetime(2020, 1, 1, 12), None])
        assert made["s"] == ("duration[us]", [datetime.timedelta(hours=-100, seconds=1), None])


ROWS = {
    "pg": ("""i bigint, s smallint, r double precision, f real, b boolean, n numeric(38,5), w numeric, t text, x bytea, a date, c time, m timestamp,
              z timestamptz, j jsonb, u uuid, l int[], v interval""",
           """(-9223372036854775808, 1, 'NaN', 0.1, true, 12345.67890, 1e50, E'\\t\\\\N', '\\x00ff', '0044-03-15 BC', '23:59:59.999999',
               '0044-03-15 01:02:03 BC', '0001-01-01 00:00+00', '{"a": 1}', '00000000-0000-0000-0000-000000000001', '{1,NULL}', '1 mon'),
              (NULL, NULL, '-Infinity', 'Infinity', false, -0.00001, 0, '', '', '9999-12-31', '00:00', '9999-12-31 23:59:59.999999',
               '2020-01-01 00:00+01', '[]', NULL, '{}', '-1 day')"""),
    "my": ("""i bigint, s tinyint unsigned, r double, f float, b boolean, g bigint unsigned, k bit(64), n decimal(38,5), t longtext, x longblob, a date,
              c time(6), m datetime(6), p timestamp(6) NULL, y year, h char(3), e enum('a','b'), q set('a','b')""",
           """(-9223372036854775808, 255, 1e300, 0.1, true, 18446744073709551615, x'ffffffffffffffff', 12345.67890, '\\t\\\\', x'00ff', '1000-01-01',
               '-838:59:59', '1000-01-01 00:00:00.000001', '2020-01-01 00:00:00.5', 2020, 'abc', 'b', 'a,b'),
              (NULL, 0, -5e-324, -1, false, 0, x'01', -0.00001, '', '', '9999-12-31', '00:00:00.000001', '9999-12-31 23:59:59.999999', NULL, NULL,
               '', 'a', '')"""),
}


def test_round_trip(passing, directory, exported, name, table):
    """What `export` has written of a table goes back into one like it, and is the same."""
    columns, rows = ROWS[name]
    passing.query(f"CREATE TABLE {table}({columns})", database=name)
    passing.query(f"INSERT INTO {table} VALUES {rows}", database=name)
    before = passing.query(f"SELECT * FROM {table}", database=name).rows
    content = exported(name, f"SELECT * FROM {table}").read_bytes()
    passing.query(f"DELETE FROM {table}", database=name)
    imported(passing, directory, content, table, database=name, format="arrow")
    assert str(passing.query(f"SELECT * FROM {table}", database=name).rows) == str(before)
    assert exported(name, f"SELECT * FROM {table}").read_bytes() == content


def test_a_row_that_is_refused(passing, directory, name, table):
    passing.query(f"CREATE TABLE {table}(n integer PRIMARY KEY, t varchar(3) NOT NULL)", database=name)
    content = stream(pa.table({"n": [*range(1_000), 7, 2_000], "t": ["abc"] * 500 + [None] + ["abc"] * 501}), 300)
    error = import_fails(passing, directory, content, table, database=name, format="arrow")
    assert error["message"].startswith("Row 501 was refused:"), error
    passing.query(f"DELETE FROM {table}", database=name)
    reply = imported(passing, directory, content, table, database=name, format="arrow", max_rejected=5, atomic=True)
    assert reply["row_count"] == 1_000 and sorted(row["line"] for row in reply["rejected"]) == [501, 1001]
    assert passing.query(f"SELECT count(*), max(n) FROM {table}", database=name).rows == [[1_000, 2_000]]


def test_many_rows_of_a_frame(passing, directory, name, table):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"n": range(100_000), "t": [f"a text of some length {n}" for n in range(100_000)]})
    frame.write_ipc_stream(directory / "frame")
    reply = imported(passing, directory, (directory / "frame").read_bytes(), table, database=name, format="arrow", create=True)
    assert reply["row_count"] == 100_000
    assert passing.query(f"SELECT count(*), max(n), min(t) FROM {table}", database=name).rows == [[100_000, 99_999, "a text of some length 0"]]
