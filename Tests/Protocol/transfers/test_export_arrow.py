"""`export` with `format: "arrow"` from SQLite, as the programs read it that others use: pyarrow, pandas, polars, DuckDB."""

import math
import os
import random

import pytest

from daemon import counting
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed

pa = pytest.importorskip("pyarrow", reason="a package of clients/python/requirements-dev.txt")

INT64 = [0, -1, 2**63 - 1, -2**63]
TEXTS = ["", "plain", "émoji 🎉", "nul\0 within", "two\nlines", "\ue000\U0010fffd", "x" * 1_000_000]
BLOBS = [b"", b"\x00\xff", bytes(range(256)), b"\x01" * 1_000_000]


@pytest.fixture(params=["msgpack", "lines"])
def passing(request, daemon):
    with daemon.connect(request.param) as client:
        yield hello(client)


@pytest.fixture
def exported(passing, directory):
    def export(sql=None, **data):
        path = directory / "exported.arrow"
        data = {"sql": sql, **data} if sql else data
        with opened(path) as descriptor:
            reply = transfer(passing, "export", descriptor, format="arrow", **data)
        assert reply["bytes"] == path.stat().st_size
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
        table.validate(full=True)
        assert table.num_rows == reply["row_count"]
        return table

    return export


def kinds(table):
    return [str(field.type) for field in table.schema]


def test_declared_types(passing, exported, table):
    passing.query(f"CREATE TABLE {table}(i INTEGER, r REAL, t VARCHAR(10), b BLOB, n DECIMAL(10,2), d DATE, o BOOLEAN)")
    rows = [(i, r, t, b, 1.5, "2020-01-01", 1) for i, r, t, b in zip(INT64, [0.1, -1.5, 1e300, 5e-324], TEXTS, BLOBS)]
    rows.insert(2, (None,) * 7)
    for row in rows:
        passing.query(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", params=list(row))
    made = exported(relation=table)
    assert kinds(made) == ["int64", "double", "string", "binary", "double", "string", "int64"]
    assert [tuple(row.values()) for row in made.to_pylist()] == rows
    assert [made.column(place).null_count for place in range(7)] == [1] * 7


def test_texts_and_blobs(exported):
    made = exported("SELECT " + ", ".join(["?"] * (len(TEXTS) + len(BLOBS))), params=TEXTS + BLOBS)
    assert [column[0].as_py() for column in made.columns] == TEXTS + BLOBS
    assert kinds(made) == ["string"] * len(TEXTS) + ["binary"] * len(BLOBS)


def test_every_character(exported):
    """All planes of Unicode, in a table of one column."""
    points = [point for point in range(1, 0x110000, 37) if not 0xD800 <= point < 0xE000]
    made = exported(f"SELECT char(value) AS c FROM json_each('{points}')")
    assert made.column("c").to_pylist() == list(map(chr, points))


def test_reals(exported):
    made = exported("SELECT 9e999 AS p, -9e999 AS m, ? AS z", params=[-0.0])
    assert made.select(["p", "m"]).to_pylist() == [{"p": math.inf, "m": -math.inf}]
    assert math.copysign(1, made.column("z")[0].as_py()) == -1


def test_types_of_expressions(exported):
    made = exported("SELECT 1 AS i, 1.5 AS r, 'a' AS t, x'00' AS b, NULL AS n UNION ALL SELECT NULL, 2, NULL, NULL, NULL")
    assert kinds(made) == ["int64", "double", "string", "binary", "null"]
    assert made.to_pylist() == [{"i": 1, "r": 1.5, "t": "a", "b": b"\0", "n": None},
                                {"i": None, "r": 2.0, "t": None, "b": None, "n": None}]
    # Integers become doubles in the first batch, where none of them changes by it.
    assert exported("SELECT 1 AS x UNION ALL SELECT 0.5").column("x").to_pylist() == [1.0, 0.5]


def test_many_rows_come_in_batches(passing, exported, directory):
    made = exported(counting(200_000, "x AS i, 'row ' || x AS t, CASE WHEN x % 3 THEN x * 0.5 END AS r"))
    assert made.column("i").to_pylist() == list(range(1, 200_001))
    assert made.column("t").to_pylist() == [f"row {x}" for x in range(1, 200_001)]
    assert made.column("r").to_pylist() == [x * 0.5 if x % 3 else None for x in range(1, 200_001)]
    sizes = [len(chunk) for chunk in made.column("i").chunks]
    assert max(sizes) <= 65_536 and len(sizes) > 3
    # Of long rows a batch has few.
    made = exported(counting(100, "zeroblob(100000) AS b"))
    assert max(len(chunk) for chunk in made.column("b").chunks) <= 11 and made.column("b")[99].as_py() == bytes(100_000)


def test_without_rows_and_without_columns(passing, exported):
    made = exported("SELECT 1 AS a, 'x' AS b WHERE 0")
    assert made.column_names == ["a", "b"] and kinds(made) == ["null", "null"] and made.num_rows == 0
    session = passing.session()
    made = exported("CREATE TEMP TABLE none(x)", session=session)
    assert made.num_columns == 0 and made.num_rows == 0


def test_two_thousand_columns(exported):
    made = exported(f"SELECT {', '.join(f'value + {n} AS c{n}' for n in range(2_000))} FROM json_each('[1,2,3]')")
    assert made.num_columns == 2_000
    assert [made.column(n).to_pylist() for n in (0, 1_000, 1_999)] == [[1, 2, 3], [1_001, 1_002, 1_003], [2_000, 2_001, 2_002]]


def test_names(exported):
    made = exported('SELECT 1 AS a, 2 AS a, 3 AS "", 4 AS "ü,"')
    assert made.column_names == ["a", "a", "", "ü,"]


@pytest.mark.parametrize("value, found", [("'abc'", "a text"), ("1.5", "a real"), ("x'00'", "a blob")])
def test_a_value_that_does_not_fit(passing, directory, table, exported, value, found):
    passing.query(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, x INTEGER)")
    passing.query(f"INSERT INTO {table}(x) SELECT value FROM json_each('[1,2,null]')")
    passing.query(f"INSERT INTO {table}(x) VALUES ({value})")
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, format="arrow", relation=table)
    assert error["code"] == "database_error" and error["sqlstate"] == "22000"
    assert f'Row 4 has {found} in the column "x", which is of Arrow\'s type int64' in error["message"]
    assert "text_columns" in error["hint"]
    made = exported(relation=table, text_columns=["x"])
    assert kinds(made) == ["int64", "string"]
    assert made.column("x").to_pylist() == ["1", "2", None, {"'abc'": "abc", "1.5": "1.5", "x'00'": "\\x00"}[value]]


def test_a_value_behind_the_first_batch_that_does_not_fit(passing, directory):
    with opened(directory / "file") as descriptor:
        for last in ("'x'", "0.5"):
            error = transfer_fails(passing, "export", descriptor, format="arrow",
                                   sql=counting(100_000, f"CASE x WHEN 90000 THEN {last} ELSE x END AS v"))
            assert 'Row 90000 ' in error["message"] and '"v"' in error["message"], error
    passing.settle()


def test_text_that_is_not_utf8(passing, directory, exported):
    sql = "SELECT CAST(x'ff41' AS TEXT) AS t"
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, format="arrow", sql=sql)
    assert "a text that is not UTF-8" in error["message"] and "CAST" in error["hint"]
    assert exported(sql, text_columns=["t"]).column("t").to_pylist() == ["\\xff41"]
    assert exported("SELECT CAST(CAST(x'ff41' AS TEXT) AS BLOB) AS t").column("t").to_pylist() == [b"\xffA"]


def test_a_write_whose_rows_do_not_fit_is_undone(passing, directory, table):
    passing.query(f"CREATE TABLE {table}(x INTEGER)")
    session = passing.session()
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, format="arrow", session=session,
                               sql=f"INSERT INTO {table} VALUES (1), ('a') RETURNING x")
    assert error["code"] == "database_error", error
    assert passing.query(f"SELECT count(*) FROM {table}", session=session).value == 0


@pytest.mark.parametrize("wrong", [{"text_columns": []}, {"text_columns": "x"}, {"text_columns": [1]}, {"format": "parquet"}])
def test_bad_requests(passing, directory, wrong):
    with opened(directory / "file") as descriptor:
        assert transfer_fails(passing, "export", descriptor, **{"sql": "SELECT 1", "format": "arrow", **wrong})["code"] == "bad_request"
        error = transfer_fails(passing, "import", descriptor, relation="t", format="sql")
        assert error["code"] == "bad_request" and '"jsonl" or "arrow"' in error["message"], error


def test_a_row_that_is_too_long(start_daemon, directory):
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client, opened(directory / "file") as descriptor:
        hello(client)
        error = transfer_fails(client, "export", descriptor, format="arrow", sql="SELECT zeroblob(70000000)")
        assert error["code"] == "limit_exceeded", error
        assert transfer(client, "export", descriptor, format="arrow", sql="SELECT zeroblob(60000000)")["row_count"] == 1


def test_a_pipe(passing):
    """It is read while it is made, and whoever stops reading stops it."""
    reader, writer = os.pipe()
    id = send_with(passing, [writer], "export", {"descriptors": 1, "format": "arrow", "sql": counting(300_000, "x AS i")})
    os.close(writer)
    with os.fdopen(reader, "rb") as file, pa.ipc.open_stream(file) as stream:
        total = sum(sum(batch.column(0).to_pylist()) for batch in stream)
    assert total == 300_000 * 300_001 // 2
    outcome(passing, id)
    reader, writer = os.pipe()
    id = send_with(passing, [writer], "export", {"descriptors": 1, "format": "arrow", "sql": counting(10_000_000, "x AS i")})
    os.close(writer)
    os.read(reader, 1 << 16)
    os.close(reader)
    with pytest.raises(RequestFailed):
        outcome(passing, id)


def test_random_tables(passing, exported, table):
    """Types, nulls and the ends of batches in any order: what is read is what a query has."""
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.randrange(2**32))
    chance = random.Random(seed)
    makers = {
        "INTEGER": lambda: chance.randrange(-2**63, 2**63), "REAL": lambda: chance.uniform(-1e9, 1e9),
        "TEXT": lambda: "é🎉ab\0"[: chance.randrange(5)] * chance.choice([1, 1, 1, 30_000]),
        "BLOB": lambda: chance.randbytes(chance.choice([0, 3, 9, 60_000]))}
    for _ in range(int(os.environ.get("LITEBASE_TEST_ROUNDS") or 5)):
        kinds = chance.choices(list(makers), k=chance.randrange(1, 10))
        empty = [chance.choice([0, 0.1, 0.9, 1]) for _ in kinds]
        rows = [[None if chance.random() < rate else makers[kind]() for kind, rate in zip(kinds, empty)] for _ in range(chance.randrange(60))]
        passing.query(f"DROP TABLE IF EXISTS {table}")
        passing.query(f"CREATE TABLE {table}({', '.join(f'c{n} {kind}' for n, kind in enumerate(kinds))})")
        for start in range(0, len(rows), 5):
            passing.call("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES ({', '.join('?' * len(kinds))})",
                                                   "param_rows": rows[start : start + 5]}]})
        made = exported(f"SELECT * FROM {table} UNION ALL SELECT * FROM {table}")
        read = [list(row) for row in zip(*(column.to_pylist() for column in made.columns))]
        assert read == rows + rows, f"LITEBASE_TEST_SEED={seed}"


@pytest.fixture
def nasty(passing, directory, table):
    """A file of all kinds of values, and its rows."""
    passing.query(f"CREATE TABLE {table}(i INTEGER, r REAL, t TEXT, b BLOB)")
    rows = [(None,) * 4] + list(zip(INT64, [0.5, -1e300, 5e-324, 0.0], TEXTS, BLOBS)) + [(7, None, TEXTS[5], None)]
    for row in rows:
        passing.query(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", params=list(row))
    path = directory / "nasty.arrow"
    with opened(path) as descriptor:
        transfer(passing, "export", descriptor, format="arrow", relation=table)
    return path, rows


def test_polars(nasty):
    polars = pytest.importorskip("polars")
    path, rows = nasty
    assert polars.read_ipc_stream(path).rows() == rows


def test_duckdb(nasty):
    duckdb = pytest.importorskip("duckdb")
    path, rows = nasty
    stream = pa.ipc.open_stream(pa.memory_map(str(path)))
    with duckdb.connect() as db:
        db.register("stream", stream)
        assert db.execute("SELECT * FROM stream").fetchall() == rows


def test_pandas(nasty):
    pandas = pytest.importorskip("pandas")
    path, rows = nasty
    frame = pa.ipc.open_stream(str(path)).read_pandas(types_mapper=pandas.ArrowDtype)
    assert [tuple(None if value is pandas.NA else value for value in row) for row in frame.itertuples(index=False)] == rows


def test_memory_is_flat(start_daemon, directory):
    """Ten times the rows take the same memory."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        hello(client)

        def peak(count):
            with opened(directory / "file") as descriptor:
                transfer(client, "export", descriptor, format="arrow", sql=counting(count, "x AS i, 'text ' || x AS t"))
            with open(f"/proc/{daemon.pid}/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

        small = peak(200_000)
        assert peak(2_000_000) < small + 4_096
