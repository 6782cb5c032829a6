"""`export`: the rows of a statement into a client's file or pipe."""

import csv
import io
import json
import os
import threading

import pytest

from daemon import ENDLESS, counting, wait_until
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed, untagged

NASTY = [None, "", "plain", "a,b", 'say "hi"', '"', "two\nlines", "two\r\nlines", "\r", " padded ", "007", "NULL", "\\N", "\\x41",
         "\\", "tab\there", "émoji 🎉 ￿", "\ue000", "'", b"", b"\x00\xff", b"\\x41", 0, -1, 2**63 - 1, -2**63, 1.5, -0.0, 1e300, 0.1]


@pytest.fixture(params=["msgpack", "lines"])
def passing(request, daemon):
    with daemon.connect(request.param) as client:
        yield hello(client)


def exported(client, directory, sql, **data):
    """The bytes of the file, and the reply."""
    path = directory / "exported"
    with opened(path) as descriptor:
        reply = transfer(client, "export", descriptor, sql=sql, **data)
    content = path.read_bytes()
    assert reply["bytes"] == len(content)
    return content, reply


def spelled(value):
    """A value as CSV's field, from the page and not from the daemon's code."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if not isinstance(value, str):
        return repr(value)
    quoted = not value or set(value) & set(',"\r\n') or value.startswith("\\x")
    return '"' + value.replace('"', '""') + '"' if quoted else value


def test_csv(passing, directory):
    placeholders = ", ".join("?" * len(NASTY))
    content, reply = exported(passing, directory, f"SELECT {placeholders}", params=NASTY, header=False)
    assert content.decode() == ",".join(map(spelled, NASTY)) + "\r\n"
    assert reply["row_count"] == 1 and reply["rows_affected"] == 0 and reply["transaction"] == "none"
    fields = next(csv.reader(io.StringIO(content.decode(), newline="")))
    assert fields[2:16] == NASTY[2:16]


def test_header_and_types(passing, directory):
    content, _ = exported(passing, directory, 'SELECT 1 AS a, 2 AS "b,c", 3 AS ""')
    assert content == b'a,"b,c",""\r\n1,2,3\r\n'
    assert exported(passing, directory, "SELECT 1 AS a WHERE 0")[0] == b"a\r\n"
    assert exported(passing, directory, "SELECT 9e999, -9e999", header=False)[0] == b"Infinity,-Infinity\r\n"
    assert exported(passing, directory, "SELECT CAST(x'ff41' AS TEXT)", header=False)[0] == b"\\xff41\r\n"


def test_tsv(passing, directory):
    content, _ = exported(passing, directory, "SELECT ?, ?, ?, ?", params=[None, "a\tb\\\n", "", b"\x01"], format="tsv")
    assert content.splitlines()[1] == b"\\N\ta\\tb\\\\\\n\t\t\\\\x01"


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_json(passing, directory, format):
    placeholders = ", ".join(f"? AS c{number}" for number in range(len(NASTY)))
    content, _ = exported(passing, directory, f"SELECT {placeholders} UNION ALL SELECT {placeholders}",
                          params=NASTY + NASTY, format=format)
    if format == "json":
        rows = json.loads(content, object_pairs_hook=untagged)
    else:
        rows = [json.loads(line, object_pairs_hook=untagged) for line in content.splitlines()]
    assert len(rows) == 2 and [list(row.values()) for row in rows] == [NASTY, NASTY]
    assert list(rows[0]) == [f"c{number}" for number in range(len(NASTY))]


def test_json_without_rows_and_with_names_twice(passing, directory):
    assert json.loads(exported(passing, directory, "SELECT 1 WHERE 0", format="json")[0]) == []
    assert exported(passing, directory, "SELECT 1 AS a, 2 AS a, 3 AS a_2", format="jsonl")[0] == b'{"a":1,"a_3":2,"a_2":3}\n'


def test_many_rows(passing, directory):
    content, reply = exported(passing, directory, counting(200_000, "x, 'row ' || x"), header=False)
    assert reply["row_count"] == 200_000
    assert content == b"".join(b"%d,row %d\r\n" % (x, x) for x in range(1, 200_001))
    assert exported(passing, directory, counting(50), max_rows=7)[1]["truncated"] is True


def test_sql(passing, directory, table):
    """A statement for each row, which makes the same rows again."""
    placeholders = ", ".join(f"? AS c{number}" for number in range(len(NASTY)))
    content, reply = exported(passing, directory, f"SELECT {placeholders}", params=NASTY, format="sql", into='a "b')
    assert reply["row_count"] == 1 and content.startswith(b'INSERT INTO "a ""b"("c0","c1",') and content.endswith(b");\n")
    passing.query(f"CREATE TABLE {table}({', '.join(f'c{number}' for number in range(len(NASTY)))})")
    content, _ = exported(passing, directory, f"SELECT {placeholders}", params=NASTY, format="sql", into=table, header=False)
    assert content.startswith(f'INSERT INTO "{table}" VALUES('.encode())
    passing.query(content.decode())
    assert list(map(repr, passing.query(f"SELECT * FROM {table}").rows[0])) == list(map(repr, NASTY))
    again, _ = exported(passing, directory, None, relation=table, namespace="main", format="sql", header=False)
    assert again == content.replace(f'"{table}"'.encode(), f'"main"."{table}"'.encode())
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, sql="SELECT 1", format="sql")
        assert error["code"] == "bad_request" and "into" in error["message"]
        assert transfer_fails(passing, "import", descriptor, relation=table, format="sql")["code"] == "bad_request"


def test_it_only_reads(passing, directory, table):
    passing.query(f"CREATE TABLE {table}(x)")
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, sql=f"INSERT INTO {table} VALUES (1) RETURNING x")
    assert error["code"] == "read_only", error
    assert passing.query(f"SELECT count(*) FROM {table}").value == 0


def test_in_a_session(passing, directory):
    session = passing.session()
    passing.query("CREATE TEMP TABLE own(x)", session=session)
    passing.query("BEGIN", session=session)
    passing.query("INSERT INTO own VALUES (1), (2)", session=session)
    content, reply = exported(passing, directory, "SELECT * FROM own", session=session)
    assert content == b"x\r\n1\r\n2\r\n" and reply["transaction"] == "active"
    # Requests of a session keep their order.
    with opened(directory / "ordered") as descriptor:
        first = passing.send_query("INSERT INTO own VALUES (3)", session=session)
        second = send_with(passing, [descriptor], "export", {"descriptors": 1, "sql": "SELECT count(*) FROM own", "session": session,
                                                            "header": False})
        third = passing.send_query("DELETE FROM own", session=session)
        passing.collect(first)
        outcome(passing, second)
        passing.collect(third)
    assert (directory / "ordered").read_bytes() == b"3\r\n"


@pytest.mark.parametrize("data, code", [
    ({"sql": "SELEC 1"}, "syntax_error"), ({}, "bad_request"), ({"sql": "SELECT 1", "format": "xlsx"}, "bad_request"),
    ({"sql": "SELECT 1", "session": "s", "database": "d"}, "bad_request"), ({"sql": "SELECT 1", "session": "none"}, "session_not_found"),
    ({"sql": "SELECT 1", "database": "none"}, "database_not_found")])
def test_errors(passing, directory, data, code):
    with opened(directory / "file") as descriptor:
        assert transfer_fails(passing, "export", descriptor, **data)["code"] == code
        # The next request has a descriptor of its own, all the same.
        assert transfer(passing, "export", descriptor, sql="SELECT 1")["row_count"] == 1


def test_an_error_behind_some_rows(passing, directory):
    with opened(directory / "file") as descriptor:
        error = transfer_fails(passing, "export", descriptor, sql=counting(500_000, "CASE WHEN x < 400000 THEN x ELSE abs(-9223372036854775807-1) END"))
    assert error["code"] == "database_error", error
    passing.settle()


def test_cancel_and_timeout(passing, directory):
    with opened(directory / "file") as descriptor:
        id = send_with(passing, [descriptor], "export", {"descriptors": 1, "sql": ENDLESS})
        assert passing.call("cancel", {"request": id}).data["cancelled"] is True
        with pytest.raises(RequestFailed) as cancelled:
            outcome(passing, id)
        assert cancelled.value.code == "cancelled"
        assert transfer_fails(passing, "export", descriptor, sql=ENDLESS, timeout_ms=50)["code"] == "timeout"


def test_a_pipe_as_it_is_read(daemon, passing):
    """Memory stays flat while a slow reader takes ten million rows' worth of nothing: what is not read is not made."""
    reader, writer = os.pipe()
    id = send_with(passing, [writer], "export", {"descriptors": 1, "sql": ENDLESS.replace("count(*)", "x, zeroblob(500)")})
    os.close(writer)
    total = 0
    while total < 8 << 20:
        total += len(os.read(reader, 1 << 20))
    wait_until(lambda: "waiting_for_client" in [e["state"] for e in passing.call("activity").data["entries"]], "it waits")
    os.close(reader)
    with pytest.raises(RequestFailed) as gone:
        outcome(passing, id)
    assert "pipe" in gone.value.data["message"], gone.value
    passing.settle()


def test_many_at_once(daemon, directory):
    """Everybody gets his own rows."""
    failures = []

    def run(number):
        try:
            with daemon.connect("msgpack" if number % 2 else "lines") as client:
                hello(client)
                for turn in range(10):
                    path = directory / f"file{number}"
                    with opened(path) as descriptor:
                        transfer(client, "export", descriptor, sql=counting(3_000, f"{number * 1000 + turn}"), header=False)
                    assert path.read_bytes() == b"%d\r\n" % (number * 1000 + turn) * 3_000
        except BaseException as failure:  # noqa: B036
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_row_counts_as_it_is_written(daemon, directory):
    """Quotes and escapes make a value longer."""
    with daemon.connect() as client:
        hello(client)
        sql = "SELECT replace(hex(zeroblob(6000000)), '0', char(1))"
        with opened(directory / "exported") as descriptor:
            with pytest.raises(RequestFailed) as failure:
                transfer(client, "export", descriptor, sql=sql, format="jsonl")
        assert failure.value.code == "limit_exceeded"


def test_long_rows_are_charged(daemon, directory):
    """Two buffers of a transfer grow with its longest row."""
    with daemon.connect() as client, daemon.connect() as watcher:
        hello(client)
        reader, writer = os.pipe()
        try:
            sql = "SELECT replace(hex(zeroblob(10000000)), '0', 'a') FROM (VALUES (1), (2), (3))"
            id = send_with(client, [writer], "export", {"descriptors": 1, "sql": sql})
            wait_until(lambda: max(user["buffered_bytes"] for user in watcher.call("stats").data["users"]) > 30 << 20, "both are charged")
            client.call("cancel", {"request": id})
        finally:
            os.close(writer)
            os.close(reader)
        wait_until(lambda: max(user["buffered_bytes"] for user in watcher.call("stats").data["users"]) < 4 << 20, "they are credited")


def test_a_relation(passing, directory):
    passing.query('CREATE TABLE IF NOT EXISTS "a ""name"(x, y)')
    passing.query('DELETE FROM "a ""name"')
    passing.query('INSERT INTO "a ""name" VALUES (1, NULL)')

    def of(**data):
        with opened(directory / "exported") as descriptor:
            transfer(passing, "export", descriptor, **data)
        return (directory / "exported").read_bytes()

    assert of(relation='a "name') == of(relation='a "name', namespace="main") == b"x,y\r\n1,\r\n"
    with opened(directory / "exported") as descriptor:
        assert transfer_fails(passing, "export", descriptor, relation="nothing")["sqlstate"] == "42P01"
        assert transfer_fails(passing, "export", descriptor, relation="a", sql="SELECT 1")["code"] == "bad_request"
        assert transfer_fails(passing, "export", descriptor)["code"] == "bad_request"


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_delimiter_and_null(passing, directory, format):
    values = [None, "", "NA", "a;b", "x,y\tz", "\\"]
    content, _ = exported(passing, directory, "SELECT ?, ?, ?, ?, ?, ?", params=values, format=format, header=False, delimiter=";", null="NA")
    expected = {"csv": 'NA;"";"NA";"a;b";x,y\tz;\\\r\n', "tsv": "NA;;NA;a\\;b;x,y\\tz;\\\\\n"}
    assert content.decode() == expected[format]
    passing.query("DROP TABLE IF EXISTS back")
    passing.query("CREATE TABLE back(a, b, c, d, e, f)")
    with opened(directory / "exported", os.O_RDONLY) as descriptor:
        transfer(passing, "import", descriptor, relation="back", format=format, header=False, delimiter=";", null="NA")
    if format == "csv":
        assert passing.query("SELECT * FROM back").rows == [values]
    wrongs = [{"delimiter": wrong} for wrong in ("n", "0", "", "\\", "ab", "-", "+", ".")]
    # A value could be written so, or no reader would take it for one field.
    wrongs += [{"null": wrong} for wrong in ("1", "-1x", "NaN", "-Infinity", "true", "false", "\\x", '"', "a\n", "a;b")]
    for wrong in wrongs:
        with opened(directory / "exported") as descriptor:
            failed = transfer_fails(passing, "export", descriptor, sql="SELECT 1", format=format, **{"delimiter": ";", **wrong})
            assert failed["code"] == "bad_request" and next(iter(wrong)) in failed["message"], (wrong, failed)
    for right in ("", "-", "NULL", "\\N", "n/a"):
        content, _ = exported(passing, directory, "SELECT NULL, -1.5", format=format, header=False, null=right)
        assert content.decode().strip("\r\n").split("\t" if format == "tsv" else ",") == [right, "-1.5"]
