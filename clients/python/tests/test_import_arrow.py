"""`import_rows` of Arrow: streams, and what has `__arrow_c_stream__`, tables and data frames."""

import asyncio
import io

import pytest
from test_import import CSV, ROWS, Odd, rows

import litebase
import litebase.aio

pa = pytest.importorskip("pyarrow")
duckdb, pandas, polars = (pytest.importorskip(name) for name in ("duckdb", "pandas", "polars"))

pytestmark = pytest.mark.usefixtures("nothing_stays")


def frames():
    values = {"name": [name for name, _ in ROWS], "people": [people for _, people in ROWS]}
    table = pa.table(values)
    return {
        "table": table,
        "batch": table.to_batches()[0],
        "reader": table.to_reader(),
        "pandas": pandas.DataFrame(values),
        "polars": polars.DataFrame(values),
        "duckdb": duckdb.from_arrow(table),
    }


@pytest.fixture
def city(db):
    db.execute("CREATE TABLE city(name TEXT, people INTEGER)")
    return db


@pytest.fixture(scope="module", autouse=True)
def pools():
    """These packages keep threads from their first use on, which are not ours."""
    for frame in frames().values():
        pa.RecordBatchReader.from_stream(frame).read_all()


@pytest.mark.parametrize("kind", ["table", "batch", "reader", "pandas", "polars", "duckdb"])
def test_frames(city, kind):
    result = city.import_rows(frames()[kind], "city")
    assert result.rows == 2
    assert rows(city) == ROWS
    city.import_rows(frames()[kind], "city", format="arrow", columns=["name"])
    assert rows(city)[2:] == [("Oslo", None), ("Bergen", None)]
    with pytest.raises(litebase.ProgrammingError, match="stream of Arrow"):
        city.import_rows(frames()[kind], "city", format="csv")


def test_frames_of_asyncio(daemon):
    async def main():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            result = await db.import_rows(frames()["polars"], "city", create=True)
            assert (result.rows, result.columns[1].type) == (2, "integer")
            return [tuple(row) async for row in await db.execute("SELECT * FROM city")]

    assert asyncio.run(main()) == ROWS


def test_arrow_streams_and_files(city, tmp_path):
    with open(tmp_path / "cities.arrow", "wb") as file:
        city.import_rows(CSV, "city")
        city.export("SELECT * FROM city", file, format="arrow")
    content = (tmp_path / "cities.arrow").read_bytes()
    for source in (tmp_path / "cities.arrow", content, io.BytesIO(content), Odd(content)):
        city.execute("DELETE FROM city")
        assert city.import_rows(source, "city", format="arrow").bytes == len(content)
        assert rows(city) == ROWS
    table = pa.table({"name": ["x", "y"], "people": pa.array([1, 2**64 - 1], pa.uint64())})
    result = city.import_rows(table, "city", max_rejected=1)
    assert [rejected.line for rejected in result.rejected] == [2]
    assert "greatest that SQLite has" in result.rejected[0].reason


def test_a_reader_of_many_rows_takes_constant_memory(db):
    """One batch is there at a time, of a batch that is large a part."""
    batch = pa.record_batch({"n": pa.array(range(500_000)), "t": pa.array(["x" * 40] * 500_000)})
    batches = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(4)))
    before, most = pa.total_allocated_bytes(), []

    def progress(_):
        most.append(pa.total_allocated_bytes())

    assert db.import_rows(batches, "t", create=True, progress=progress).rows == 2_000_000
    assert db.execute("SELECT count(*), sum(length(t)) FROM t").fetchone() == (2_000_000, 80_000_000)
    assert most
    assert max(most) - before < 16 << 20


def test_a_reader_that_fails_leaves_nothing(db):
    def batches():
        yield pa.record_batch({"n": range(10)})
        raise RuntimeError("there is no more")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    db.execute("CREATE TABLE t(n)")
    with pytest.raises(Exception, match="there is no more"):
        db.import_rows(reader, "t", atomic=True)
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
