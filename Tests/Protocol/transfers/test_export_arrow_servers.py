"""`export` with `format: "arrow"` from the servers: their types in Arrow's."""

import datetime
import decimal

import pytest

from transfers import opened, transfer, transfer_fails

pa = pytest.importorskip("pyarrow", reason="a package of clients/python/requirements-dev.txt")
# It starts database servers.
pytestmark = pytest.mark.slow

D = decimal.Decimal
UTC = datetime.timezone.utc
MICROSECOND = datetime.timedelta(microseconds=1)


@pytest.fixture
def exported(passing, directory):
    def export(name, sql, **data):
        path = directory / "exported.arrow"
        with opened(path) as descriptor:
            transfer(passing, "export", descriptor, format="arrow", database=name, sql=sql, **data)
        table = pa.ipc.open_stream(str(path)).read_all()
        table.validate(full=True)
        return table

    return export


def values(table):
    """For each column its type and its values."""
    return {field.name: (str(field.type), column.to_pylist()) for field, column in zip(table.schema, table.columns)}


def test_postgresql(exported):
    made = values(exported("pg", """
        SELECT v.*, d::numeric(10,2) AS e FROM (VALUES
            (1::int8, 1::int2, 0.1::float8, true, 'é'::text, '\\x00ff'::bytea, 1.50::numeric(10,2), 1.5::numeric, date '1969-12-31',
             timestamp '1969-12-31 23:59:59.999999', timestamptz '2020-01-01 01:00+01', time '23:59:59.999999', '{}'::jsonb,
             '{1,2}'::int[], interval '1 day', timetz '01:00+01'),
            (-9223372036854775808, -32768, 'NaN', false, '', '', -99999999.99::numeric(10,2), -1e30, '9999-12-31',
             '0044-03-15 00:00', '0001-01-01 00:00+00', '00:00', '[1]', '{}', '-1 mon', '00:00+00'),
            (9223372036854775807, 32767, '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
        ) v(i, s, r, b, t, x, d, n, a, m, z, c, j, l, p, tz)"""))
    assert made["i"] == ("int64", [1, -2**63, 2**63 - 1]) and made["s"] == ("int64", [1, -32768, 32767])
    assert made["r"][0] == "double" and str(made["r"][1]) == "[0.1, nan, -inf]"
    assert made["b"] == ("bool", [True, False, None]) and made["t"] == ("string", ["é", "", None])
    assert made["x"] == ("binary", [b"\0\xff", b"", None])
    assert made["e"] == ("decimal128(10, 2)", [D("1.50"), D("-99999999.99"), None])
    assert made["n"] == ("string", ["1.5", "-1" + "0" * 30, None])
    assert made["a"] == ("date32[day]", [datetime.date(1969, 12, 31), datetime.date(9999, 12, 31), None])
    assert made["m"] == ("timestamp[us]", [datetime.datetime(1970, 1, 1) - MICROSECOND, datetime.datetime(44, 3, 15), None])
    assert made["z"] == ("timestamp[us, tz=UTC]", [datetime.datetime(2020, 1, 1, tzinfo=UTC), datetime.datetime(1, 1, 1, tzinfo=UTC), None])
    assert made["c"] == ("time64[us]", [datetime.time(23, 59, 59, 999999), datetime.time(0), None])
    assert {made[name][0] for name in ("j", "l", "p", "tz")} == {"string"} and made["l"][1] == ["{1,2}", "{}", None]


def test_dates_that_python_has_not(exported):
    """Beyond the years 1 to 9999, which Arrow has."""
    made = exported("pg", "SELECT date '10000-01-01' AS late, date '0001-12-31 BC' AS early, timestamp '0001-01-01 00:00 BC' AS m")
    assert [made.column(name).cast(type)[0].as_py() for name, type in (("late", pa.int32()), ("early", pa.int32()), ("m", pa.int64()))] == [
        2_932_897, -719_163, -62_167_219_200_000_000]


@pytest.mark.parametrize("sql, wanted", [
    ("SELECT timestamp 'infinity' AS x", "timestamp"), ("SELECT date '-infinity' AS x", "date32"),
    ("SELECT 'NaN'::numeric(5,2) AS x", "decimal128(5, 2)"), ("SELECT time '24:00' AS x", "time64")])
def test_what_arrow_has_not(passing, directory, exported, sql, wanted):
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, format="arrow", database="pg", sql=sql)
    assert f'Row 1 has a text in the column "x", which is of Arrow\'s type {wanted}' in error["message"], error
    assert values(exported("pg", sql, text_columns=["x"]))["x"][0] == "string"
    assert passing.query("SELECT 1", database="pg").value == 1


def test_scales_of_postgresql(exported):
    made = values(exported("pg", "SELECT 0.00012::numeric(2,5) AS small, 12345::numeric(3,-2) AS large, 7::numeric(38,0) AS most, 7::numeric(39,0) AS more"))
    assert made["small"] == ("decimal128(5, 5)", [D("0.00012")]) and made["large"] == ("decimal128(5, 0)", [D(12300)])
    assert made["most"] == ("decimal128(38, 0)", [D(7)]) and made["more"] == ("string", ["7"])


def test_mariadb(passing, exported):
    passing.query("DROP TABLE IF EXISTS arrow", database="my")
    passing.query("""CREATE TABLE arrow (u BIGINT UNSIGNED, i BIGINT, n INT UNSIGNED, r DOUBLE, f FLOAT, d DECIMAL(20,5),
        k DECIMAL(5,0) UNSIGNED, a DATE, m DATETIME(6), z TIMESTAMP NULL, c TIME(6), t VARCHAR(20) CHARACTER SET utf8mb4,
        b VARBINARY(20), j JSON, y YEAR, e ENUM('a','b'), o BOOLEAN, w BIT(64))""", database="my")
    passing.query("""INSERT INTO arrow VALUES (18446744073709551615, -9223372036854775808, 4294967295, 0.1, 0.5, -1.5, 99999,
        '9999-12-31', '1000-01-01 00:00:00.000001', '2020-01-01 00:00:00', '-838:59:59', 'é🎉', x'00ff', '{"a": 1}', 2020, 'b', true,
        b'1111111111111111111111111111111111111111111111111111111111111111')""", database="my")
    passing.query("INSERT INTO arrow(t) VALUES (NULL)", database="my")
    made = values(exported("my", "SELECT * FROM arrow"))
    assert {name: (kind, column[0]) for name, (kind, column) in made.items()} == {
        "u": ("uint64", 2**64 - 1), "i": ("int64", -2**63), "n": ("int64", 2**32 - 1), "r": ("double", 0.1), "f": ("double", 0.5),
        "d": ("decimal128(20, 5)", D("-1.50000")), "k": ("decimal128(5, 0)", D(99999)), "a": ("date32[day]", datetime.date(9999, 12, 31)),
        "m": ("timestamp[us]", datetime.datetime(1000, 1, 1) + MICROSECOND), "z": ("timestamp[us]", datetime.datetime(2020, 1, 1)),
        "c": ("duration[us]", -datetime.timedelta(hours=838, minutes=59, seconds=59)), "t": ("string", "é🎉"), "b": ("binary", b"\0\xff"),
        "j": ("string", '{"a": 1}'), "y": ("int64", 2020), "e": ("string", "b"), "o": ("int64", 1), "w": ("uint64", 2**64 - 1)}
    assert all(column[1] is None for _, column in made.values())
    # The same by a prepared statement.
    assert values(exported("my", "SELECT * FROM arrow WHERE ? = 1", params=[1])) == made


def test_a_date_of_mariadb_that_is_none(passing, directory):
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, format="arrow", database="my", sql="SELECT x FROM (SELECT DATE('0000-00-00') AS x) z")
    assert "date32" in error["message"], error


def test_redis(passing, exported, directory):
    for text in ("RPUSH list a '' c", "SET k v"):
        passing.query(text, database="cache")
    made = exported("cache", "LRANGE list 0 -1")
    assert [column.to_pylist() for column in made.columns] == [["a", "", "c"]] and kinds(made) == ["string"]


def kinds(table):
    return [str(field.type) for field in table.schema]
