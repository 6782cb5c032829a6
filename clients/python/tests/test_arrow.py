"""Rows as Arrow's tables and batches, and as frames of pandas and polars: types, values that do not fit, memory."""

import asyncio
import datetime
import decimal
import importlib
import json
import pathlib
import struct
import tracemalloc

import pytest

import litebase
import litebase.aio
from litebase import _arrow

pa = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x, 'row ' || x AS name, x / 4.0 AS y FROM c"
MIXED = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 10)"
UTC = datetime.timezone.utc
D = decimal.Decimal


def types_of(schema):
    return {field.name: str(field.type) for field in schema}


@pytest.fixture
def in_twos(monkeypatch):
    """Tables are made of two rows at a time, so that few show what happens between chunks."""
    monkeypatch.setattr(_arrow, "ROWS", 2)


# Types


def test_columns_of_sqlite_have_the_types_they_were_declared_with(connect):
    db = connect()
    db.execute("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, d DATE, n)")
    db.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, NULL)", (2**63 - 1, 0.1, "é\0", b"\0\xff", "2026-01-02"))
    db.execute("INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, NULL)")
    table = db.execute("SELECT * FROM t").fetch_arrow_table()
    assert types_of(table.schema) == {"i": "int64", "r": "double", "s": "string", "b": "binary", "d": "string", "n": "null"}
    assert table.to_pylist() == [
        {"i": 2**63 - 1, "r": 0.1, "s": "é\0", "b": b"\0\xff", "d": "2026-01-02", "n": None},
        dict.fromkeys("irsbdn"),
    ]
    empty = db.execute("SELECT * FROM t WHERE 0").fetch_arrow_table()
    assert (empty.num_rows, types_of(empty.schema)["i"], types_of(empty.schema)["d"]) == (0, "int64", "null")


def test_values_of_the_vectors_arrive(connect):
    """Every value that SQLite stores, as Arrow gives it back: bit by bit."""
    lines = (pathlib.Path(__file__).parents[2] / "vectors/values.jsonl").read_text().splitlines()
    natives = [line["native"] for line in map(json.loads, lines) if line["stored_by"] == "sqlite"]
    made = {
        "null": lambda native: None,
        "integer": lambda native: int(native["value"]),
        "real": lambda native: struct.unpack(">d", bytes.fromhex(native["bits"]))[0],
        "text": lambda native: bytes.fromhex(native["utf8"]).decode(),
        "blob": lambda native: bytes.fromhex(native["hex"]),
    }
    values = [made[native["kind"]](native) for native in natives]
    assert len(values) > 60
    columns = ", ".join(f"? AS v{number}" for number in range(len(values)))
    (row,) = connect().execute(f"SELECT {columns}", values).fetch_arrow_table().to_pylist()
    assert [(type(value), repr(value)) for value in row.values()] == [(type(value), repr(value)) for value in values]


POSTGRESQL = """SELECT
    1::int2 AS a, 2::int8 AS b, 0.5::float4 AS c, true AS d, 'x'::varchar AS e, '\\x00ff'::bytea AS f, 12.50::numeric AS g,
    '2026-03-04'::date AS h, '2026-03-04 05:06:07.000008'::timestamp AS i, '2026-03-04 05:06:07+02'::timestamptz AS j,
    '05:06:07'::time AS k, '2 days 03:00'::interval AS l, '{1,NULL,3}'::int4[] AS m, '{1.5,2.25}'::numeric[] AS n,
    '11111111-2222-3333-4444-555555555555'::uuid AS o, '{"a": 1}'::jsonb AS p, '05:06:07+02'::timetz AS q, '{a,b}'::text[] AS r,
    '{2026-03-04}'::date[] AS s, NULL AS t
UNION ALL SELECT
    NULL, NULL, NULL, NULL, NULL, NULL, -3.125, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"""


def test_columns_of_postgresql(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        table = db.execute(POSTGRESQL).fetch_arrow_table()
    assert types_of(table.schema) == {
        "a": "int64", "b": "int64", "c": "double", "d": "bool", "e": "string", "f": "binary", "g": "decimal128(38, 3)",
        "h": "date32[day]", "i": "timestamp[us]", "j": "timestamp[us, tz=UTC]", "k": "time64[us]", "l": "duration[us]",
        "m": "list<item: int64>", "n": "list<item: decimal128(38, 2)>", "o": "string", "p": "string", "q": "string",
        "r": "list<item: string>", "s": "list<item: date32[day]>", "t": "string",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert first == {
        "a": 1, "b": 2, "c": 0.5, "d": True, "e": "x", "f": b"\0\xff", "g": D("12.500"), "h": datetime.date(2026, 3, 4),
        "i": datetime.datetime(2026, 3, 4, 5, 6, 7, 8), "j": datetime.datetime(2026, 3, 4, 3, 6, 7, tzinfo=UTC),
        "k": datetime.time(5, 6, 7), "l": datetime.timedelta(days=2, hours=3), "m": [1, None, 3], "n": [D("1.50"), D("2.25")],
        "o": "11111111-2222-3333-4444-555555555555", "p": '{"a": 1}', "q": "05:06:07+02:00", "r": ["a", "b"],
        "s": [datetime.date(2026, 3, 4)], "t": None,
    }  # fmt: skip
    assert second == {**dict.fromkeys(first), "g": D("-3.125")}


def test_columns_of_mariadb(mariadb):
    with litebase.connect("server", socket=mariadb) as db:
        db.execute("DROP TABLE IF EXISTS arrow")
        db.execute(
            "CREATE TABLE arrow (a INT, b BIGINT UNSIGNED, c DECIMAL(10,3), d DATETIME(6), e DATE, f TIME,"
            " g VARCHAR(9), h BLOB, i DOUBLE)"
        )
        row = (-1, 2**64 - 1, D("1.5"), "2026-03-04 05:06:07.000008", "2026-03-04", "-100:00:00", "é", b"\xff", 0.1)
        db.execute("INSERT INTO arrow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        table = db.execute("SELECT * FROM arrow").fetch_arrow_table()
        db.execute("DROP TABLE arrow")
    assert types_of(table.schema) == {
        "a": "int64", "b": "uint64", "c": "decimal128(38, 3)", "d": "timestamp[us]", "e": "date32[day]",
        "f": "duration[us]", "g": "string", "h": "binary", "i": "double",
    }  # fmt: skip
    assert list(table.to_pylist()[0].values()) == [
        -1, 2**64 - 1, D("1.500"), datetime.datetime(2026, 3, 4, 5, 6, 7, 8), datetime.date(2026, 3, 4),
        datetime.timedelta(hours=-100), "é", b"\xff", 0.1,
    ]  # fmt: skip


# Values that say the type


@pytest.mark.parametrize(
    ("expression", "type", "values"),
    [
        ("x", "int64", [1, 2, 3]),
        ("iif(x < 3, x, x / 2.0)", "double", [1.0, 2.0, 1.5]),
        ("iif(x < 3, NULL, 'a')", "string", [None, None, "a"]),
        ("iif(x < 3, 'a', NULL)", "string", ["a", "a", None]),
        ("iif(x < 3, 0.5, 9007199254740992)", "double", [0.5, 0.5, 2.0**53]),
        ("NULL", "null", [None, None, None]),
        ("x'00'", "binary", [b"\0"] * 3),
    ],
)
def test_a_column_without_a_type_has_that_of_its_values(connect, in_twos, expression, type, values):
    table = connect().execute(f"{MIXED} SELECT {expression} AS v FROM c LIMIT 3").fetch_arrow_table()
    assert (types_of(table.schema)["v"], table.column("v").to_pylist()) == (type, values)


def test_decimals_have_room_for_the_longest_of_all_rows(postgresql, in_twos):
    numbers = "1, 2.5, NULL, 0.001, 1e20, 12345678901234567890.123456789"
    with litebase.connect("server", socket=postgresql) as db:
        sql = f"SELECT v FROM (SELECT unnest(ARRAY[{numbers}]::numeric[]) AS v) AS n"
        values = db.execute(sql).fetch_arrow_table().column("v")
        assert str(values.type) == "decimal128(38, 9)"
        assert values.to_pylist() == [D("1"), D("2.5"), None, D("0.001"), D("1e20"), D("12345678901234567890.123456789")]
        wide = db.execute(f"SELECT ({'9' * 40}.5)::numeric AS v UNION ALL SELECT 0.25").fetch_arrow_table().column("v")
        assert str(wide.type) == "decimal256(76, 2)"
        assert sorted(wide.to_pylist()) == [D("0.25"), D("9" * 40 + ".5")]


# Values that do not fit

STRANGERS = [
    # The SELECT, the row (from 1), and what is said of it.
    ("SELECT i FROM t", 3, "'text'", "int64"),
    ("SELECT s FROM t", 2, "a blob of 2 bytes", "string"),
    ("SELECT r FROM t", 4, "9007199254740993", "double"),
    (f"{MIXED} SELECT iif(x < 8, x, 'eight') AS i FROM c", 8, "'eight'", "int64"),
    (f"{MIXED} SELECT iif(x < 8, 'a', x) AS i FROM c", 8, "8", "string"),
    (f"{MIXED} SELECT iif(x < 8, 0.5, 9007199254740993) AS i FROM c", 8, "9007199254740993", "double"),
    (f"{MIXED} SELECT iif(x = 2, 9007199254740993, 0.5) AS i FROM c", 2, "9007199254740993", "double"),
    (f"{MIXED} SELECT iif(x = 3, x'00', NULL) AS i FROM c UNION ALL SELECT 1", 11, "1", "binary"),
]


@pytest.fixture
def strangers(connect):
    """SQLite stores what it is given: values of other types than the column's."""
    db = connect()
    db.execute("CREATE TABLE t (i INTEGER, s TEXT, r)")
    db.execute("CREATE TABLE typed (r REAL)")
    values = [(1, "a", 0.5), (2, b"\0\xff", 0.5), ("text", "b", 0.5), (4, "c", 2**53 + 1)]
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", values)
    return db


@pytest.mark.parametrize(("sql", "row", "value", "type"), STRANGERS)
def test_a_value_that_does_not_fit_is_named(strangers, in_twos, sql, row, value, type):
    with pytest.raises(litebase.DataError) as raised:
        strangers.execute(sql).fetch_arrow_table()
    column = sql.split(" AS ")[-1].split()[0] if " AS " in sql else sql.split()[1]
    assert raised.value.message == f'Row {row} of the column "{column}" has {value}, which does not fit {type}.'
    assert "on_mismatch" in raised.value.hint
    assert strangers.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("sql", "row", "value", "type"), STRANGERS)
@pytest.mark.parametrize("whole", [True, False], ids=["at once", "in twos"])
def test_or_makes_text_of_its_column(strangers, monkeypatch, sql, row, value, type, whole):
    if not whole:
        monkeypatch.setattr(_arrow, "ROWS", 2)
    rows = [value for (value,) in strangers.execute(sql).fetchall()]
    column = strangers.execute(sql).fetch_arrow_table(on_mismatch="text").column(0)
    assert str(column.type) == "string"
    expected = [
        None
        if value is None
        else "\\x" + value.hex()
        if isinstance(value, bytes)
        else value
        if isinstance(value, str)
        else repr(value)
        for value in rows
    ]
    assert column.to_pylist() == expected


def test_types_that_the_program_gives(strangers):
    sql = "SELECT i, s, r FROM t"
    table = strangers.execute(sql).fetch_arrow_table(types={"i": pa.string(), "s": pa.string(), "r": pa.string()})
    assert table.column("i").to_pylist() == ["1", "2", "text", "4"]
    assert table.column("s").to_pylist() == ["a", "\\x00ff", "b", "c"]
    small = strangers.execute("SELECT i FROM t WHERE i < 3").fetch_arrow_table(types={"i": pa.int8()})
    assert types_of(small.schema) == {"i": "int8"}
    with pytest.raises(litebase.DataError, match='Row 2 of the column "v" has 300, which does not fit int8'):
        strangers.execute("SELECT 1 AS v UNION ALL SELECT 300").fetch_arrow_table(types={"v": pa.int8()})
    with pytest.raises(litebase.ProgrammingError, match="does not have: nowhere"):
        strangers.execute(sql).fetch_arrow_table(types={"nowhere": pa.int8()})
    with pytest.raises(litebase.ProgrammingError, match="on_mismatch"):
        strangers.execute(sql).fetch_arrow_table(on_mismatch="null")


def test_what_postgresql_has_and_arrow_has_not(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        for sql, shown in [
            ("SELECT 'infinity'::timestamptz AS v", "'infinity'"),
            ("SELECT '1 month'::interval AS v", "'1 mon'"),
            ("SELECT 'NaN'::numeric AS v", r"Decimal\('NaN'\)"),
            ("SELECT '{{1,2},{3,4}}'::int4[] AS v", r"\[\[1, 2\], \[3, 4\]\]"),
            ("SELECT '20000-01-01'::date AS v", "'20000-01-01'"),
        ]:
            with pytest.raises(litebase.DataError, match=f'Row 1 of the column "v" has {shown}'):
                db.execute(sql).fetch_arrow_table()
            text = db.execute(sql).fetch_arrow_table(on_mismatch="text").column("v").to_pylist()
            expected = {"Decimal": "NaN", r"\[\[1": "{{1,2},{3,4}}"}
            assert text == [next((value for start, value in expected.items() if shown.startswith(start)), shown.strip("'"))]


# Batches


def test_batches_come_as_they_are_asked_for_in_few_bytes(connect):
    db = connect()
    reader = db.execute(COUNT, (400_000,)).fetch_arrow_batches(20_000)
    assert isinstance(reader, pa.RecordBatchReader)
    total, sizes = 0, set()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        for batch in reader:
            total += pa.compute.sum(batch.column("x")).as_py()
            sizes.add(batch.num_rows)
            assert pa.total_allocated_bytes() - before < 32 << 20
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 400_000 * 400_001 // 2
    assert sizes == {20_000}
    assert peak < 32 << 20, f"{peak:,} bytes"


def test_batches_of_long_rows_have_fewer(connect):
    reader = connect().execute(f"{MIXED} SELECT zeroblob(8000000) AS b FROM c").fetch_arrow_batches()
    sizes = [batch.num_rows for batch in reader]
    assert sum(sizes) == 10
    assert max(sizes) <= 4


def test_the_first_batch_says_the_types(strangers):
    sql = f"{MIXED} SELECT iif(x < 8, x, 'eight') AS v FROM c"
    for on_mismatch in ("error", "text"):
        cursor = strangers.execute(sql)
        reader = cursor.fetch_arrow_batches(5, on_mismatch=on_mismatch)
        assert reader.read_next_batch().column("v").to_pylist() == [1, 2, 3, 4, 5]
        with pytest.raises(litebase.DataError, match='Row 8 of the column "v"') as raised:
            reader.read_next_batch()
        assert ("pyarrow.string()" in raised.value.hint) == (on_mismatch == "text")
        cursor.close()
    reader = strangers.execute(sql).fetch_arrow_batches(5, types={"v": pa.string()})
    assert reader.read_all().column("v").to_pylist() == [*map(str, range(1, 8)), *["eight"] * 3]
    early = strangers.execute(f"{MIXED} SELECT iif(x <> 2, x, 'two') AS v FROM c").fetch_arrow_batches(5, on_mismatch="text")
    assert early.read_all().column("v").to_pylist() == ["1", "two", *map(str, range(3, 11))]


def test_a_reader_that_is_left_does_not_hold_the_connection(connect):
    db = connect()
    cursor = db.execute(COUNT, (10_000_000,))
    assert cursor.fetch_arrow_batches(1_000).read_next_batch().num_rows == 1_000
    cursor.close()
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_an_empty_result_has_a_schema(connect):
    reader = connect().execute("SELECT 1 AS one WHERE 0").fetch_arrow_batches()
    assert reader.read_all().num_rows == 0
    assert reader.schema.names == ["one"]


# With the other ways of fetching


def test_what_was_fetched_before_is_not_fetched_again(connect):
    db = connect(row_factory=litebase.dict_row)
    cursor = db.execute(COUNT, (5_000,))
    assert cursor.fetchone()["x"] == 1
    table = cursor.fetch_arrow_table()
    assert (table.num_rows, table.column("x")[0].as_py(), cursor.fetchone(), cursor.rowcount) == (4_999, 2, None, 5_000)
    with pytest.raises(litebase.ProgrammingError, match="no rows to fetch"):
        db.execute("CREATE TABLE t(x)").fetch_arrow_table()


def test_the_errors_of_a_statement_are_raised(connect):
    sql = COUNT.replace("SELECT x, ", "SELECT json_extract('[1]', iif(x < 190000, '$', '?')), ")
    with pytest.raises(litebase.DatabaseError, match="path"):
        connect().execute(sql, (200_000,)).fetch_arrow_table()


# pandas and polars


def test_a_frame_of_pandas_is_exact(connect):
    db = connect()
    sql = "SELECT 9007199254740993 AS a, 1 AS b, 'x' AS c, 0.5 AS d, x'00' AS e UNION ALL SELECT NULL, 2, NULL, NULL, NULL"
    frame = db.execute(sql).fetch_df()
    assert [str(type) for type in frame.dtypes[["a", "b", "d"]]] == ["Int64", "int64", "float64"]
    assert (frame["a"][0], frame["a"].isna()[1], list(frame["b"]), frame["c"][0], frame["e"][0]) == (
        2**53 + 1,
        True,
        [1, 2],
        "x",
        b"\0",
    )
    arrow = db.execute(sql).fetch_df(dtype_backend="pyarrow")
    assert str(arrow.dtypes["a"]) == "int64[pyarrow]"
    twice = db.execute("SELECT 1 AS a, NULL AS a").fetch_df()
    assert list(twice.columns) == ["a", "a"]
    assert db.execute("SELECT 1 AS a WHERE 0").fetch_df().shape == (0, 1)
    with pytest.raises(litebase.ProgrammingError, match="dtype_backend"):
        db.execute("SELECT 1").fetch_df(dtype_backend="numpy")


def test_a_frame_of_pandas_from_postgresql(postgresql):
    with litebase.connect("server", socket=postgresql) as db:
        frame = db.execute(POSTGRESQL).fetch_df()
        assert frame["g"][0] == D("12.5")
        assert frame["j"][0] == pandas.Timestamp("2026-03-04 03:06:07", tz="UTC")
        assert frame["i"].dtype == "datetime64[us]"
        assert (frame["d"].dtype, frame["d"][0], frame["d"].isna()[1]) == ("boolean", True, True)
        assert frame["l"][0] == pandas.Timedelta(days=2, hours=3)


def test_a_frame_of_polars(connect, postgresql):
    frame = connect().execute("SELECT 9007199254740993 AS a, 'x' AS b UNION ALL SELECT NULL, NULL").fetch_polars()
    assert frame.schema == {"a": polars.Int64, "b": polars.String}
    assert frame.rows() == [(2**53 + 1, "x"), (None, None)]
    with pytest.raises(litebase.ProgrammingError, match='Two columns are named "a"'):
        connect().execute("SELECT 1 AS a, 2 AS a").fetch_polars()
    with litebase.connect("server", socket=postgresql) as db:
        frame = db.execute(POSTGRESQL).fetch_polars()
    assert frame.schema["g"] == polars.Decimal(38, 3)
    assert frame.schema["j"] == polars.Datetime("us", "UTC")
    assert frame["m"].to_list() == [[1, None, 3], None]


def test_asyncio_has_the_same(daemon):
    async def ask():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path) as db:
            table = await (await db.execute(COUNT, (3_000,))).fetch_arrow_table()
            frame = await (await db.execute(COUNT, (10,))).fetch_df()
            other = await (await db.execute(COUNT, (10,))).fetch_polars()
            cursor = await db.execute(COUNT, (3_000,))
            sizes = [batch.num_rows async for batch in cursor.fetch_arrow_batches(1_000)]
            with pytest.raises(litebase.DataError, match='Row 2 of the column "v"'):
                await (await db.execute("SELECT 1 AS v UNION ALL SELECT 'a'")).fetch_arrow_table()
            return table, frame, other, sizes

    table, frame, other, sizes = asyncio.run(ask())
    assert (table.num_rows, len(frame), other.height, sizes) == (3_000, 10, 10, [1_000] * 3)


@pytest.mark.parametrize(
    ("method", "name"), [("fetch_arrow_table", "pyarrow"), ("fetch_df", "pandas"), ("fetch_polars", "polars")]
)
def test_a_package_that_is_not_installed_is_named(connect, monkeypatch, method, name):
    imported = importlib.import_module

    def without(wanted, *rest):
        if wanted == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(wanted, *rest)

    monkeypatch.setattr(_arrow.importlib, "import_module", without)
    cursor = connect().execute("SELECT 1")
    with pytest.raises(ImportError, match=rf"needs the package {name}: pip install 'litebase\[") as raised:
        getattr(cursor, method)()
    assert raised.value.name == name
    assert cursor.fetchone() == (1,)
