"""`import` with `format: "arrow"` into SQLite: what pyarrow, pandas, polars and DuckDB have written, and streams that lie."""

import datetime
import decimal
import io
import os
import random
import struct
import threading

import pytest

from test_import import import_fails, imported, name, passing  # noqa: F401 (fixtures)
from transfers import hello, opened, outcome, send_with, transfer
from wire import RequestFailed

pa = pytest.importorskip("pyarrow", reason="a package of clients/python/requirements-dev.txt")

D = decimal.Decimal
UTC = datetime.timezone.utc


def stream(table, rows=None, file=False, **options):
    """The bytes of a table, or of a list of batches."""
    sink = io.BytesIO()
    made = (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options))
    with made as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def rows_of(client, relation, what="*", **data):
    return client.query(f'SELECT {what} FROM "{relation}"', **data).rows


def test_types_of_the_schema(passing, directory, name):
    table = pa.table({
        "b": pa.array([True, None]), "i": pa.array([-128, 127], pa.int8()), "u": pa.array([2**32 - 1, 0], pa.uint32()),
        "l": pa.array([2**63 - 1, -2**63]), "h": pa.array([1.5, None], pa.float16()), "f": pa.array([0.5, float("inf")], pa.float32()),
        "d": pa.array([0.1, 5e-324]), "n": pa.array([D("12345678901234567890.50"), D("-0.01")], pa.decimal128(30, 2)),
        "w": pa.array([D("1e40"), None], pa.decimal256(50, 1)), "t": ["é\0\n", ""], "x": [b"\0\xff", b""],
        "k": pa.array([b"ab", None], pa.binary(2)), "a": [datetime.date(1969, 12, 31), datetime.date(1, 1, 1)],
        "c": pa.array([datetime.time(1, 2, 3), datetime.time(23, 59, 59, 999999)]),
        "m": pa.array([datetime.datetime(2020, 1, 2, 3, 4, 5), None]), "z": pa.array([datetime.datetime(2020, 1, 1, tzinfo=UTC), None]),
        "s": pa.array([datetime.timedelta(hours=-100, seconds=1), None]), "e": pa.array(["x", "y"]).dictionary_encode(), "o": pa.nulls(2)})
    reply = imported(passing, directory, stream(table), name, format="arrow", create=True)
    assert reply["row_count"] == 2 and reply["rejected_count"] == 0
    assert [column["type"] for column in reply["columns"]] == [
        "boolean", "integer", "integer", "integer", "real", "real", "real", "decimal", "decimal", "text", "blob", "blob", "date", "time",
        "timestamp", "timestamptz", "interval", "text", "text"]
    assert '"n" TEXT, "w" TEXT, "t" TEXT, "x" BLOB, "k" BLOB, "a" DATE, "c" TIME, "m" TIMESTAMP' in reply["sql"]
    assert rows_of(passing, name) == [
        [1, -128, 2**32 - 1, 2**63 - 1, 1.5, 0.5, 0.1, "12345678901234567890.50", "1" + "0" * 40 + ".0", "é\0\n", b"\0\xff", b"ab", "1969-12-31",
         "01:02:03", "2020-01-02 03:04:05", "2020-01-01 00:00:00+00:00", "-99:59:59", "x", None],
        [None, 127, 0, -2**63, None, float("inf"), 5e-324, "-0.01", None, "", b"", None, "0001-01-01", "23:59:59.999999", None, None, None, "y",
         None]]
    # SQLite's own functions know what these are.
    assert rows_of(passing, name, "datetime(z, '+1 day'), date(a, '+1 day'), time(c, '+1 second')")[0] == [
        "2020-01-02 00:00:00", "1970-01-01", "01:02:04"]


def test_round_trip(passing, directory, name):
    """What `export` has written comes back as it was, value by value and type by type."""
    passing.query(f'CREATE TABLE "{name}"(i INTEGER, r REAL, t TEXT, b BLOB, e)')
    random_values = random.Random(5)
    rows = [[None] * 5] + [
        [random_values.randrange(-2**63, 2**63), random_values.random() * 10 ** random_values.randrange(-300, 300),
         "".join(chr(random_values.choice([0, 10, 65, 0xE9, 0x1F389])) for _ in range(random_values.randrange(30))),
         random_values.randbytes(random_values.randrange(30)), random_values.choice([n, n / 4])] for n in range(2_000)]
    passing.batch([{"sql": f'INSERT INTO "{name}" VALUES (?, ?, ?, ?, ?)', "param_rows": rows}])
    with opened(directory / "exported") as descriptor:
        transfer(passing, "export", descriptor, relation=name, format="arrow")
    what = "*, typeof(i), typeof(r), typeof(t), typeof(b)"
    before = rows_of(passing, name, what)
    passing.query(f'DELETE FROM "{name}"')
    imported(passing, directory, (directory / "exported").read_bytes(), name, format="arrow")
    assert rows_of(passing, name, what) == before
    passing.query(f'DROP TABLE "{name}"')
    imported(passing, directory, (directory / "exported").read_bytes(), name, format="arrow", create=True)
    assert rows_of(passing, name, what) == before


@pytest.mark.parametrize("rows", [1, 1_000, None])
def test_batches_of_any_size(passing, directory, name, rows):
    table = pa.table({"n": range(20_000), "t": [f"text {n}" for n in range(20_000)]})
    reply = imported(passing, directory, stream(table, rows), name, format="arrow", create=True)
    assert reply["row_count"] == 20_000
    assert rows_of(passing, name, "count(*), sum(n), min(t), sum(length(t))") == [
        [20_000, sum(range(20_000)), "text 0", sum(len(f"text {n}") for n in range(20_000))]]


def test_many_rows_of_long_texts(passing, directory, name):
    """More than a block of the daemon's, of one batch."""
    texts = ["x" * (n % 5_000) for n in range(4_000)]
    table = pa.table({"n": range(4_000), "t": pa.array(texts, pa.large_string()), "v": pa.array(texts, pa.string_view())})
    imported(passing, directory, stream(table), name, format="arrow", create=True)
    assert rows_of(passing, name, "count(*), sum(length(t)), sum(length(v))") == [[4_000] + [sum(map(len, texts))] * 2]


def test_columns_go_by_their_names(passing, directory, name):
    passing.query(f'CREATE TABLE "{name}"(a, b, c)')
    table = pa.table({"c": [1], "list": [[1, 2]], "struct": [{"x": ["y"], "z": None}], "a": [2], "map": pa.array([[("k", [1])]], pa.map_(
        pa.string(), pa.list_(pa.int64()))), "view": pa.array([["long enough for a buffer"]], pa.list_(pa.string_view())), "b": ["three"]})
    error = import_fails(passing, directory, stream(table), name, format="arrow")
    assert error["code"] == "bad_request" and error["sqlstate"] == "0A000"
    assert 'column "list" of the stream is a list' in error["message"] and '"columns"' in error["hint"]
    imported(passing, directory, stream(table), name, format="arrow", columns=["b", "a", "c"])
    imported(passing, directory, stream(table), name, format="arrow", columns=["b"])
    assert rows_of(passing, name) == [[2, "three", 1], [None, "three", None]]
    error = import_fails(passing, directory, stream(table), name, format="arrow", columns=["b", "d"])
    assert error["sqlstate"] == "42703" and 'no column "d"' in error["message"]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "same name" in import_fails(passing, directory, stream(twice), name, format="arrow")["message"]
    nameless = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", ""])
    assert "of the stream has no name" in import_fails(passing, directory, stream(nameless), name, format="arrow")["message"]
    assert "nothing" in import_fails(passing, directory, stream(pa.table({"nothing": [1]})), name, format="arrow")["message"]


@pytest.mark.parametrize("kind", ["deltas", "replacements", "enums"])
def test_dictionaries(passing, directory, name, kind):
    if kind == "enums":
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"c": polars.Series(["b", None, "a"], dtype=polars.Enum(["a", "b"])),
                                  "d": polars.Series(["x", "y", "x"], dtype=polars.Categorical)})
        sink = io.BytesIO()
        frame.write_ipc_stream(sink)
        imported(passing, directory, sink.getvalue(), name, format="arrow", create=True)
        assert rows_of(passing, name) == [["b", "x"], [None, "y"], ["a", "x"]]
        return
    schema = pa.schema([("c", pa.dictionary(pa.int16(), pa.string()))])
    sink = io.BytesIO()
    values, expected = [], []
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=kind == "deltas")) as writer:
        for batch in range(50):
            values = values + [f"value {batch}"] if kind == "deltas" else [f"{batch}.{n}" for n in range(batch + 1)]
            indices = [batch, None, 0]
            expected += [None if index is None else values[index] for index in indices]
            writer.write_batch(pa.record_batch([pa.DictionaryArray.from_arrays(pa.array(indices, pa.int16()), pa.array(values))], schema=schema))
    imported(passing, directory, sink.getvalue(), name, format="arrow", create=True)
    assert [row[0] for row in rows_of(passing, name)] == expected


def test_what_other_programs_write(passing, directory, name):
    pandas, polars, duckdb = (pytest.importorskip(package) for package in ("pandas", "polars", "duckdb"))
    path = directory / "written"
    frame = pandas.DataFrame({"t": ["Oslo", None], "n": [1.5, None], "i": pandas.array([1, None], "Int64"), "when": pandas.to_datetime(
        ["2020-01-01 00:00:00.000000001", "1969-12-31"], format="ISO8601"), "c": pandas.Categorical(["a", "b"])})
    frame.to_feather(path, compression="uncompressed")
    imported(passing, directory, path.read_bytes(), name, format="arrow", create=True)
    assert rows_of(passing, name) == [
        ["Oslo", 1.5, 1, "2020-01-01 00:00:00.000000001", "a"], [None, None, None, "1969-12-31 00:00:00", "b"]]
    passing.query(f'DROP TABLE "{name}"')

    frame = polars.DataFrame({"t": ["short", "longer than twelve bytes", None], "b": [b"x" * 20, None, b""], "n": [1, 2, None], "d": [
        D("1.50"), None, D("-2.00")], "m": [datetime.datetime(2020, 1, 1, 0, 0, 0, 1), None, None], "z": [datetime.time(1, 2), None, None]})
    frame.write_ipc_stream(path)
    imported(passing, directory, path.read_bytes(), name, format="arrow", create=True)
    assert rows_of(passing, name) == [
        ["short", b"x" * 20, 1, "1.50", "2020-01-01 00:00:00.000001", "01:02:00"], ["longer than twelve bytes", None, 2, None, None, None],
        [None, b"", None, "-2.00", None, None]]
    # Its files have the schema at their end alone.
    frame.write_ipc(path, compression="uncompressed")
    assert "write_ipc_stream" in import_fails(passing, directory, path.read_bytes(), name, format="arrow")["hint"]
    passing.query(f'DROP TABLE "{name}"')

    reader = duckdb.sql("SELECT i, 'row ' || i AS t, i::DECIMAL(10,2) AS d, i::UTINYINT AS u, DATE '2020-01-01' + i::INT AS a, i % 2 = 0 AS b "
                        "FROM range(200) r(i)").to_arrow_reader(100)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    imported(passing, directory, path.read_bytes(), name, format="arrow", create=True)
    assert rows_of(passing, name, "count(*), sum(i), max(t), sum(CAST(d AS REAL)), sum(u), max(a), sum(b)") == [
        [200, 19_900, "row 99", 19_900.0, 19_900, "2020-07-18", 100]]


@pytest.mark.parametrize("content, words", [
    (lambda table: stream(table, compression="lz4"), "compression=None"), (lambda table: stream(table, compression="zstd", file=True), "uncompressed"),
    (lambda table: stream(table)[:-8], "cut off"), (lambda table: stream(table)[:-20], "cut off"), (lambda table: stream(table) * 2, "behind the end"),
    (lambda table: b"PAR1" + bytes(100), "Parquet"), (lambda table: b"a,b\n1,2\n", "does not begin"), (lambda table: b"", "empty")])
def test_what_is_not_read_says_what_helps(passing, directory, name, content, words):
    table = pa.table({"a": range(1_000)})
    passing.query(f'CREATE TABLE "{name}"(a)')
    error = import_fails(passing, directory, content(table), name, format="arrow", atomic=True)
    assert error["code"] == "bad_request" and error["sqlstate"] == "22P04", error
    assert words in error["message"] + error.get("hint", ""), error
    assert rows_of(passing, name) == []
    assert passing.query("SELECT 1").value == 1


@pytest.mark.parametrize("options", [{"use_legacy_format": True}, {"file": True}, {"metadata_version": pa.ipc.MetadataVersion.V4}])
def test_other_forms(passing, directory, name, options):
    imported(passing, directory, stream(pa.table({"a": ["x", None], "b": [1, 2]}), **options), name, format="arrow", create=True)
    assert rows_of(passing, name) == [["x", 1], [None, 2]]


def test_a_table_without_rows(passing, directory, name):
    table = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.date32())})
    reply = imported(passing, directory, stream(table), name, format="arrow", create=True)
    assert reply["row_count"] == 0 and [column["type"] for column in reply["columns"]] == ["integer", "date"]
    assert rows_of(passing, name) == []


def test_a_dry_run_tells_the_types(passing, directory, name):
    table = pa.table({"a": [1, 2], "b": [D("1.5"), None]})
    reply = imported(passing, directory, stream(table), name, format="arrow", create=True, dry_run=True)
    assert reply["row_count"] == 2 and reply["columns"] == [{"name": "a", "type": "integer"}, {"name": "b", "type": "decimal"}]
    assert reply["sql"] == f'CREATE TABLE "{name}"("a" INTEGER, "b" TEXT)'
    assert passing.query("SELECT count(*) FROM sqlite_schema WHERE name = ?", params=[name]).rows == [[0]]


def test_rows_that_are_refused(passing, directory, name):
    """By their numbers in the stream, over several batches: what the type forbids, and what the table does."""
    passing.query(f'CREATE TABLE "{name}"(n INTEGER PRIMARY KEY, u, t TEXT, CHECK(n <> 13))')
    bad = [b"\xff" if n == 7 else b"x" for n in range(20)]
    offsets = pa.py_buffer(struct.pack("<21i", *range(21)))
    texts = pa.Array.from_buffers(pa.string(), 20, [None, offsets, pa.py_buffer(b"".join(bad))])
    table = pa.table({"n": range(20), "u": pa.array([2**64 - 1 if n == 3 else n for n in range(20)], pa.uint64()), "t": texts})
    error = import_fails(passing, directory, stream(table, 6), name, format="arrow")
    assert error["message"].startswith("Row 4 was refused: It has an integer beyond 9223372036854775807"), error
    passing.query(f'DELETE FROM "{name}"')
    error = import_fails(passing, directory, stream(table, 6), name, format="arrow", columns=["n", "t"])
    assert error["message"] == 'Row 8 of the file: The text in "t" is not UTF-8.' and error["sqlstate"] == "22P04"
    assert "such rows" in error["hint"] and "7 rows before it" in error["detail"]
    passing.query(f'DELETE FROM "{name}"')
    reply = imported(passing, directory, stream(table, 6), name, format="arrow", max_rejected=3)
    assert reply["row_count"] == 17 and sorted(row["line"] for row in reply["rejected"]) == [4, 8, 14]
    assert [row[0] for row in rows_of(passing, name, "n")] == [n for n in range(20) if n not in (3, 7, 13)]
    passing.query(f'DELETE FROM "{name}"')
    import_fails(passing, directory, stream(table, 6), name, format="arrow", max_rejected=2, atomic=True)
    assert rows_of(passing, name) == []


def test_a_pipe_progress_and_cancel(passing, directory, name):
    """As a program writes it: in pieces, with pauses; and one that never ends."""
    passing.query(f'CREATE TABLE "{name}"(n)')
    content = stream(pa.table({"n": range(50_000)}), 1_000)
    output, input = os.pipe()
    writer = threading.Thread(target=lambda: [os.write(input, content[n:n + 7_001]) for n in range(0, len(content), 7_001)] and os.close(input))
    id = send_with(passing, [output], "import", {"relation": name, "format": "arrow", "descriptors": 1, "progress_ms": 1})
    os.close(output)
    writer.start()
    replies = outcome(passing, id)
    writer.join()
    assert replies[-1]["row_count"] == 50_000 and replies[-1]["bytes"] == len(content)
    output, input = os.pipe()
    id = send_with(passing, [output], "import", {"relation": name, "format": "arrow", "descriptors": 1, "atomic": True})
    os.close(output)
    os.write(input, content[:60_000])
    passing.call("cancel", {"request": id})
    with pytest.raises(RequestFailed, match="cancel"):
        outcome(passing, id)
    os.close(input)
    assert rows_of(passing, name, "count(*)") == [[50_000]]


def test_a_batch_for_which_its_user_has_no_room(limited, directory):
    """What it may hold is far less than the batch; smaller ones are no trouble, and memory is not taken for what is only claimed."""
    daemon = limited(buffered_bytes_per_user_max=16 << 20, row_bytes_max=1 << 20)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a)")
        table = pa.table({"a": range(4_000_000)})
        before = daemon.memory_kib()
        daemon.reset_peak()
        error = import_fails(client, directory, stream(table), "t", format="arrow")
        assert error["code"] == "limit_exceeded" and error["limit"]["name"] == "buffered_bytes_per_user_max", error
        assert "65,536 rows" in error["hint"]
        imported(client, directory, stream(table, 65_536), "t", format="arrow")
        assert client.query("SELECT count(*), max(a) FROM t").rows == [[4_000_000, 3_999_999]]
        long = import_fails(client, directory, stream(pa.table({"a": ["x" * (1 << 20) + "y"]})), "t", format="arrow")
        assert long["code"] == "limit_exceeded" and long["limit"]["name"] == "row_bytes_max" and long["message"].startswith("Row 1 has more"), long
        assert daemon.memory_kib("VmHWM") - before < 64 << 10


def lie(table, old, new):
    """The stream, with a number of its metadata replaced."""
    content = stream(table)
    place = content.index(struct.pack("<q", old))
    return content[:place] + struct.pack("<q", new) + content[place + 8:]


@pytest.mark.parametrize("claim", [2**63 - 1, 2**62, 2**40, -1, 77_778])
def test_streams_that_lie(daemon, passing, directory, name, claim):
    passing.query(f'CREATE TABLE "{name}"(a)')
    # The number of rows, of nulls too, and that of the bytes of the body.
    for content in (lie(pa.table({"a": range(77_777)}), 77_777, claim), lie(pa.table({"a": pa.nulls(77_777)}), 77_777, claim),
                    lie(pa.table({"a": range(77_776)}), 77_776 * 8, claim)):
        error = import_fails(passing, directory, content, name, format="arrow", max_rejected=1_000_000)
        assert error["code"] in ("bad_request", "limit_exceeded"), error
    assert rows_of(passing, name) == []


def test_metadata_that_are_too_much(passing, directory, name):
    wide = pa.table({f"c{n}": pa.nulls(1) for n in range(5_000)})
    assert "5000 columns" in import_fails(passing, directory, stream(wide), name, format="arrow", create=True)["message"]
    long = pa.table({"x" * 300_000: [1]})
    assert "too long" in import_fails(passing, directory, stream(long), name, format="arrow", create=True)["message"]
    honest = stream(pa.table({"a": [1]}).slice(0, 0))[:-8]
    for length in (2**31 - 1, 2**32 - 2, (16 << 20) + 8):
        error = import_fails(passing, directory, honest + struct.pack("<II", 2**32 - 1, length), name, format="arrow", create=True, atomic=True)
        assert f"{length} bytes of metadata" in error["message"], error


def test_a_dictionary_that_is_far_larger_than_its_stream(limited, directory):
    """A row of 200 times the same long text: it is refused before it is made."""
    daemon = limited(row_bytes_max=4 << 20)
    long = pa.array(["x" * (1 << 20)])
    index = pa.array([0, 0], pa.int8())
    table = pa.table({f"c{n}": pa.DictionaryArray.from_arrays(index, long) for n in range(200)})
    with daemon.connect() as client:
        hello(client)
        error = import_fails(client, directory, stream(table), "t", format="arrow", create=True)
        assert error["code"] == "limit_exceeded" and error["limit"]["name"] == "row_bytes_max", error
        assert client.query("SELECT 1").value == 1


def test_random_damage_never_hurts(daemon, passing, directory, name):
    """Bytes of a good stream are changed: it is read, or refused with a reason, and the daemon goes on."""
    passing.query(f'CREATE TABLE "{name}"(t, i, d, c, v)')
    table = pa.table({"t": ["a", None, "é"] * 5, "i": range(15), "d": pa.array([D("1.5")] * 15), "c": pa.array(["x", "y", "x"] * 5).dictionary_encode(),
                      "v": pa.array(["longer than twelve bytes"] * 15, pa.string_view())})
    good = stream(table, 4)
    generator = random.Random(7)
    for _ in range(200):
        content = bytearray(good)
        for _ in range(generator.randrange(1, 4)):
            content[generator.randrange(len(content))] = generator.choice([0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)])
        path = directory / "damaged"
        path.write_bytes(content[: generator.choice([len(content), generator.randrange(len(content))])])
        with opened(path, os.O_RDONLY) as descriptor:
            id = send_with(passing, [descriptor], "import", {"relation": name, "format": "arrow", "descriptors": 1, "max_rejected": 100})
        try:
            outcome(passing, id)
        except RequestFailed as failure:
            assert failure.data["code"] in ("bad_request", "limit_exceeded", "database_error"), failure.data
    assert passing.query("SELECT 1").value == 1


def table(output, place, *fields):
    """Appends a table of a flatbuffer, to which the reference at `place` leads.

    Its fields are formats of `struct` with their values, or None; an "I" refers to something that is to be appended.
    Returns where its references stand."""
    head_bytes, offsets, end = 4 + 2 * len(fields), [], 4
    output += bytes(-(len(output) + head_bytes) % 8)
    for field in fields:
        size = struct.calcsize(field[0]) if field else 1
        end += -end % size
        offsets.append(end if field else 0)
        end += size if field else 0
    output += struct.pack(f"<{2 + len(fields)}H", head_bytes, end, *offsets)
    start = len(output)
    struct.pack_into("<I", output, place, start - place)
    output += struct.pack("<i", head_bytes) + bytes(end - 4)
    for field, offset in zip(fields, offsets):
        if field:
            struct.pack_into("<" + field[0], output, start + offset, field[1])
    return [start + offset for field, offset in zip(fields, offsets) if field and field[0] == "I"]


def columns_of_one_name(count, name):
    """A schema whose list of columns leads to the same column again and again, with a name that stands there once."""
    output = bytearray(4)
    message = table(output, 0, ("h", 4), ("B", 1), ("I", 0), ("q", 0))
    schema = table(output, message[0], None, ("I", 0))
    struct.pack_into("<I", output, schema[0], len(output) - schema[0])
    output += struct.pack("<I", count)
    first = len(output)
    output += bytes(4 * count)
    name_place, type_place = table(output, first, ("I", 0), None, ("B", 1), ("I", 0))
    distance, = struct.unpack_from("<I", output, first)
    for column in range(count):
        struct.pack_into("<I", output, first + 4 * column, distance - 4 * column)
    table(output, type_place)
    output += bytes(-len(output) % 4)
    struct.pack_into("<I", output, name_place, len(output) - name_place)
    output += struct.pack("<I", len(name)) + name
    output += bytes(-len(output) % 8)
    return struct.pack("<II", 0xFFFFFFFF, len(output)) + output


def test_a_name_that_all_columns_share(limited, directory):
    """A megabyte of a stream must not become one for each of its columns."""
    daemon = limited(buffered_bytes_per_user_max=16 << 20)
    with daemon.connect() as client:
        hello(client)
        client.query("CREATE TABLE t(a)")
        short = import_fails(client, directory, columns_of_one_name(2, b"a"), "t", format="arrow")
        assert short["message"] == "Two columns have the same name.", short
        before = daemon.memory_kib()
        daemon.reset_peak()
        error = import_fails(client, directory, columns_of_one_name(300, b"a" * (1 << 20)), "t", format="arrow")
        assert "names of its columns are too long" in error["message"], error
        assert daemon.memory_kib("VmHWM") - before < 64 << 10
