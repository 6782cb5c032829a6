"""Tables of large results, which the daemon makes: the same as those that are made here of rows, whatever happens meanwhile."""

import io
import os
import threading
import time

import pytest

import litebase
from litebase import _arrow, _pipes, _session

pa = pytest.importorskip("pyarrow")

ROWS = 50_000
COUNT = f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT {ROWS})"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x, 'row ' || x FROM c"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine takes longer for the first rows."""
    monkeypatch.setattr(_session, "_REPEATED_SECONDS", 10.0)


@pytest.fixture
def made(monkeypatch):
    """The tables that the daemon has made."""
    tables = []
    read = _arrow.read_stream

    def reading(*arguments):
        tables.append(None)
        tables[-1] = read(*arguments)
        return tables[-1]

    monkeypatch.setattr(_arrow, "read_stream", reading)
    return tables


def by_rows(db, sql, parameters=None):
    """The table that is made of rows."""
    cursor = db.execute(sql, parameters)
    cursor._result.repeatable = None
    return cursor.fetch_arrow_table()


@pytest.mark.parametrize(
    "columns",
    [
        "x, 'row ' || x AS name, x / 4.0 AS y",
        "CASE WHEN x % 3 THEN x END AS i, CASE WHEN x % 5 THEN 'é' || x END AS t, NULL AS n",
        "zeroblob(x % 7) AS b, x AS x, x AS x",
        "CASE x WHEN 2 THEN 0.5 ELSE x END AS both",
        '\'\' AS "", 1 AS "é"',
    ],
)
def test_tables_are_the_same(connect, made, columns):
    db = connect()
    sql = f"{COUNT} SELECT {columns} FROM c"
    cursor = db.execute(sql)
    table = cursor.fetch_arrow_table()
    assert made == [table]
    assert cursor.rowcount == ROWS
    assert cursor.fetchone() is None
    assert table.equals(by_rows(db, sql))
    assert len(made) == 1
    assert table.num_rows == ROWS


def test_frames_are_made_of_them(connect, made):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    db = connect()
    sql = f"{COUNT} SELECT x, 'row ' || x AS name FROM c"
    frame, other = db.execute(sql).fetch_df(), db.execute(sql).fetch_polars()
    assert len(made) == 2
    assert isinstance(frame, pandas.DataFrame)
    assert isinstance(other, polars.DataFrame)
    assert frame.x.sum() == other["x"].sum() == ROWS * (ROWS + 1) // 2
    assert frame.name.iloc[-1] == other["name"][-1] == f"row {ROWS}"


@pytest.mark.parametrize("place", [5, ROWS - 1])
@pytest.mark.parametrize("value", ["'text'", "x'00'", "CAST(x'ff' AS TEXT)"])
def test_values_that_do_not_fit(connect, made, place, value):
    """Of these the rows are fetched, and what is made of them is what is made of few."""
    db = connect()
    sql = f"{COUNT} SELECT CASE x WHEN {place} THEN {value} ELSE x END AS v FROM c"
    with pytest.raises(litebase.DataError, match=f'Row {place} of the column "v"'):
        db.execute(sql).fetch_arrow_table()
    assert len(made) == 1
    table = db.execute(sql).fetch_arrow_table(on_mismatch="text")
    assert table.schema.field("v").type == pa.string()
    assert table.num_rows == ROWS
    assert table.equals(db.execute(f"{sql} LIMIT {ROWS}").fetch_arrow_table(on_mismatch="text"))
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_integers_before_a_real(connect, made):
    table = (
        connect()
        .execute(f"{COUNT} SELECT CASE x WHEN {ROWS} THEN 0.5 ELSE x END AS v, zeroblob(100) AS b FROM c")
        .fetch_arrow_table()
    )
    assert table.schema.field("v").type == pa.float64()
    assert table.column("v")[ROWS - 1].as_py() == 0.5
    assert len(made) == 1


def test_only_what_nobody_has_seen_is_made_anew(connect, made):
    db = connect()
    for take in (lambda cursor: cursor.fetchone(), next, lambda cursor: cursor.fetchmany(3)):
        cursor = db.execute(f"{COUNT} SELECT x FROM c")
        take(cursor)
        assert 0 < ROWS - cursor.fetch_arrow_table().num_rows < 10
    cursor = db.execute(f"{COUNT} SELECT x FROM c")
    db.execute("SELECT 1")
    assert cursor.fetch_arrow_table().num_rows == ROWS
    assert db.execute(f"{COUNT} SELECT x FROM c").fetch_arrow_table(types={"x": pa.int32()}).schema.field("x").type == pa.int32()
    assert made == []


def test_what_writes_runs_once(connect, made):
    db = connect(autocommit=True)
    db.execute("CREATE TABLE t (x)")
    table = db.execute("WITH n AS (SELECT 1) INSERT INTO t SELECT value FROM json_each(?) RETURNING x", (str(list(range(ROWS))),))
    assert table.fetch_arrow_table().num_rows == ROWS
    assert db.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)
    assert made == []


def test_a_slow_start_is_not_repeated(connect, made, monkeypatch):
    monkeypatch.setattr(_session, "_REPEATED_SECONDS", 0.0)
    assert connect().execute(f"{COUNT} SELECT x FROM c").fetch_arrow_table().num_rows == ROWS
    assert made == []


def test_within_a_transaction(connect, made):
    db = connect()
    db.execute("CREATE TABLE t (x INTEGER)")
    db.execute(f"INSERT INTO t {COUNT} SELECT x FROM c")
    assert db.execute("SELECT x FROM t").fetch_arrow_table().num_rows == ROWS
    assert len(made) == 1
    assert db.in_transaction
    db.rollback()


def test_parameters_are_those_of_the_execution(connect, made):
    parameters = [1, "a"]
    cursor = connect().execute(f"{COUNT} SELECT x + ? AS x, ? AS t FROM c", parameters)
    parameters[:] = [100, "b"]
    table = cursor.fetch_arrow_table()
    assert len(made) == 1
    assert table.column("x")[0].as_py() == 2
    assert table.column("t")[0].as_py() == "a"
    named = connect().execute(f"{COUNT} SELECT x + :n AS x FROM c", {"n": 1}).fetch_arrow_table()
    assert len(made) == 2
    assert named.column("x")[0].as_py() == 2


def test_an_error_on_the_way(connect, made):
    db = connect()
    with pytest.raises(litebase.Error, match="overflow"):
        db.execute(
            f"{COUNT} SELECT abs(CASE x WHEN {ROWS} THEN -9223372036854775807 - 1 ELSE x END) AS v FROM c"
        ).fetch_arrow_table()
    assert made == [None]
    assert db.execute("SELECT 1").fetchone() == (1,)


def test_a_time_limit_and_a_cancellation(connect, made):
    db = connect(timeout=0.5)
    with pytest.raises(litebase.TimedOut):
        db.execute(ENDLESS).fetch_arrow_table()
    assert db.execute("SELECT 1").fetchone() == (1,)
    db = connect()
    cursor = db.execute(ENDLESS)
    timer = threading.Timer(0.3, db.cancel)
    timer.start()
    with pytest.raises(litebase.Cancelled):
        cursor.fetch_arrow_table()
    timer.join()
    assert db.execute("SELECT 1").fetchone() == (1,)
    assert len(made) == 2


def test_an_interruption(connect, monkeypatch):
    """Ctrl-C while the stream is read stops the statement, and the connection goes on."""
    db = connect()
    read = _arrow.read_stream

    def interrupted(file, names):
        file.read(1 << 20)
        raise KeyboardInterrupt

    monkeypatch.setattr(_arrow, "read_stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        db.execute(ENDLESS).fetch_arrow_table()
    monkeypatch.setattr(_arrow, "read_stream", read)
    began = time.monotonic()
    assert db.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - began < 10


def test_a_daemon_that_dies(own_daemon, made):
    with litebase.connect(url="sqlite::memory:", socket=own_daemon.socket_path) as db:
        cursor = db.execute(ENDLESS)
        timer = threading.Timer(0.3, own_daemon.process.kill)
        timer.start()
        with pytest.raises(litebase.Error):
            cursor.fetch_arrow_table()
        timer.join()


def test_pieces_of_every_length_through_a_pipe():
    """Some longer than any pipe, and written as a slow writer does: cut anywhere."""
    sizes = [0, 1, 63, 64, 65, 5_000_000, (16 << 20) - 1, (16 << 20) + 1, 3]
    stored = pa.BufferOutputStream()
    schema = pa.schema([("b", pa.binary()), ("n", pa.int64())])
    with pa.ipc.new_stream(stored, schema) as writer:
        for number, size in enumerate(sizes):
            writer.write_batch(pa.record_batch([[bytes([number]) * size], [number]], schema=schema))
    stored = stored.getvalue().to_pybytes()
    output, input = _pipes.pipe()

    def write():
        with input:
            place, length = 0, 1
            while place < len(stored):
                place += input.write(stored[place : place + length])
                length = length % 65_535 + 1 if place < 100_000 else 1 << 20

    writing = threading.Thread(target=write)
    writing.start()
    with output:
        table = _arrow.read_stream(output, ["b", "n"])
    writing.join()
    assert [len(value) for value in table["b"].to_pylist()] == sizes
    assert all(set(value) <= {number} for number, value in enumerate(table["b"].to_pylist()))
    assert table["n"].to_pylist() == list(range(len(sizes)))
    for cut in (5, 500, len(stored) - 10_000_000):
        with open_memory(stored[:cut]) as short, pytest.raises((pa.ArrowInvalid, OSError)):
            _arrow.read_stream(short, ["b", "n"])


def open_memory(data):
    """A file of these bytes."""
    file = io.FileIO(os.memfd_create("stream"), "r+")
    file.write(data)
    file.seek(0)
    return file
