"""`import` into the servers: COPY of PostgreSQL, INSERT of many rows in MariaDB; what is refused, and what a stop leaves."""

import os
import random
import re
import threading

import pytest

from daemon import wait_until
from test_import import NASTY, import_fails, imported, written
from test_import_left import LINES, begun, fails, feed, rows_are_written
from transfers import opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed

# It starts database servers.
pytestmark = pytest.mark.slow


@pytest.fixture(params=["pg", "my"])
def name(request):
    return request.param


@pytest.fixture
def table(passing, name):
    made = f"t{random.randrange(1 << 40)}"
    yield made
    passing.query(f"DROP TABLE IF EXISTS {made}", database=name)


def test_a_table_is_made(passing, directory, name, table):
    text = 'id,name,price,zip,data\r\n1,a,1.5,01234,\\x00ff\r\n2,,2,99999,\r\n3,"",-1e3,"",\r\n'
    reply = imported(passing, directory, text, table, database=name, create=True)
    assert [column["type"] for column in reply["columns"]] == ["integer", "text", "real", "text", "blob"]
    assert passing.query(f"SELECT * FROM {table} ORDER BY id", database=name).rows == [
        [1, "a", 1.5, "01234", b"\x00\xff"], [2, None, 2.0, "99999", None], [3, "", -1000.0, "", None]]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_round_trip(passing, directory, name, table, format):
    types = {"pg": ("text", "bytea"), "my": ("longtext", "longblob")}[name]
    columns = ", ".join(f"c{n} {types[isinstance(value, bytes)]}" for n, value in enumerate(NASTY))
    passing.query(f"CREATE TABLE {table}({columns})", database=name)
    marks = ", ".join(f"${n + 1}" if name == "pg" else "?" for n in range(len(NASTY)))
    passing.query(f"INSERT INTO {table} VALUES ({marks})", params=NASTY, database=name)
    with opened(directory / "exported") as descriptor:
        transfer(passing, "export", descriptor, sql=f"SELECT * FROM {table}", format=format, database=name)
    passing.query(f"DELETE FROM {table}", database=name)
    imported(passing, directory, (directory / "exported").read_bytes(), table, format=format, database=name)
    assert passing.query(f"SELECT * FROM {table}", database=name).rows == [NASTY]


@pytest.mark.parametrize("atomic", [False, True])
def test_many_rows(passing, directory, name, table, atomic):
    text = "a,b,c\n" + "".join(f"{n},{n * 0.5},text {n}\n" for n in range(200_000))
    reply = imported(passing, directory, text, table, database=name, create=True, atomic=atomic)
    assert reply["row_count"] == 200_000
    assert passing.query(f"SELECT count(*), min(a), max(a) FROM {table}", database=name).rows == [[200_000, 0, 199_999]]


@pytest.mark.parametrize("atomic", [False, True])
def test_a_line_that_is_refused(passing, directory, name, table, atomic):
    passing.query(f"CREATE TABLE {table}(a int PRIMARY KEY, b int)", database=name)
    lines = [f"{n},{n}" for n in range(1, 3_001)]
    lines[2_499] = "7,7"
    lines[2_799] = "2800,not a number"
    text = "\n".join(lines) + "\n"
    error = import_fails(passing, directory, text, table, database=name, header=False, atomic=atomic)
    assert "Line 2500 was refused" in error["message"], error
    count = passing.query(f"SELECT count(*) FROM {table}", database=name).rows[0][0]
    assert count == (0 if atomic else 2_499)
    if not atomic:
        assert "2499 rows" in error["detail"]
    passing.query(f"DELETE FROM {table}", database=name)
    reply = imported(passing, directory, text, table, database=name, header=False, atomic=atomic, max_rejected=5)
    assert reply["row_count"] == 2_998 and [line["line"] for line in reply["rejected"]] == [2_500, 2_800]
    assert passing.query(f"SELECT count(*) FROM {table}", database=name).rows == [[2_998]]


def test_all_or_none_holds_where_the_table_is_made(passing, directory, name, table):
    """MySQL and MariaDB commit what is open when a table is made."""
    text = "a,b\n" + "".join(f"{n},x{n}\n" for n in range(5_000)) + "5000,x,too many\n"
    error = import_fails(passing, directory, text, table, database=name, create=True, atomic=True)
    assert "Line 5002" in error["message"], error
    if name == "pg":
        assert "detail" not in error, error
        with pytest.raises(RequestFailed):
            passing.query(f"SELECT * FROM {table}", database=name)
    else:
        assert "table was made, and stays without rows" in error["detail"], error
        assert passing.query(f"SELECT count(*) FROM {table}", database=name).rows == [[0]]
        passing.query(f"DROP TABLE {table}", database=name)
    session = passing.session(database=name)
    error = import_fails(passing, directory, text, table, session=session, create=True, atomic=True)
    assert "Line 5002" in error["message"], error
    if name == "my":
        assert passing.query(f"SELECT count(*) FROM {table}", database=name).rows == [[0]]
    assert passing.query("SELECT 1", session=session).transaction == "none"
    passing.call("db_disconnect", {"session": session})


@pytest.mark.parametrize("atomic", [False, True])
def test_making_a_table_commits_no_transaction_of_the_clients(passing, directory, name, table, atomic):
    other = f"{table}_other"
    passing.query(f"CREATE TABLE {other}(a int)", database=name)
    session = passing.session(database=name)
    try:
        passing.query("BEGIN", session=session)
        passing.query(f"INSERT INTO {other} VALUES (1)", session=session)
        text = "a,b\n" + "".join(f"{n},x{n}\n" for n in range(3_000)) + "3000,x,too many\n"
        error = import_fails(passing, directory, text, table, session=session, create=True, atomic=atomic)
        if name == "my":
            assert (error["code"], error["sqlstate"]) == ("bad_request", "25001"), error
        else:
            assert "The transaction has the 3000 rows before it." in error["detail"], error
        assert passing.query(f"SELECT count(*) FROM {other}", database=name).rows == [[0]]
        passing.query("ROLLBACK", session=session)
        assert passing.query(f"SELECT count(*) FROM {other}", database=name).rows == [[0]]
        with pytest.raises(RequestFailed):
            passing.query(f"SELECT * FROM {table}", database=name)
    finally:
        passing.call("db_disconnect", {"session": session})
        passing.query(f"DROP TABLE {other}", database=name)


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("in_session", [False, True])
def test_no_value_is_changed_where_the_server_would(passing, servers, directory, atomic, in_session):
    """With a lax sql_mode the server cuts, rounds up and invents values, and says so by a warning that nobody sees."""
    made = f"t{random.randrange(1 << 40)}"
    servers["my"].sql("SET GLOBAL sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    try:
        passing.query(f"CREATE TABLE {made}(id int PRIMARY KEY AUTO_INCREMENT, a tinyint, b varchar(3), c date, d enum('x','y'),"
                      " e decimal(4,1))", database="my")
        place = {"session": passing.session(database="my")} if in_session else {"database": "my"}
        good = ["0,1,abc,2020-01-01,x,1.5", "7,2,,,,"]
        bad = ["1,300,abc,2020-01-01,x,1.5", "2,1,abcdef,2020-01-01,x,1.5", "3,1,abc,2020-02-31,x,1.5", "4,1,abc,2020-01-01,zz,1.5",
               "5,1,abc,2020-01-01,x,99999.99", "6,notint,abc,2020-01-01,x,1.5"]
        for line in bad:
            error = import_fails(passing, directory, f"{line}\n", made, header=False, atomic=atomic, **place)
            assert "Line 1 was refused" in error["message"], (line, error)
        text = "\n".join([good[0], *bad, good[1]]) + "\n"
        reply = imported(passing, directory, text, made, header=False, atomic=atomic, max_rejected=6, **place)
        assert [line["line"] for line in reply["rejected"]] == [2, 3, 4, 5, 6, 7], reply
        assert passing.query(f"SELECT id, a, b FROM {made} ORDER BY id", **place).rows == [[0, 1, "abc"], [7, 2, None]]
        for _ in range(3):
            assert passing.query("SELECT @@SESSION.sql_mode", **place).rows == [["NO_AUTO_VALUE_ON_ZERO"]], "as before"
    finally:
        servers["my"].sql("SET GLOBAL sql_mode = DEFAULT")
        passing.query(f"DROP TABLE IF EXISTS {made}", database="my")


@pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
def test_rows_that_no_rollback_takes_away_are_told(passing, directory, engine):
    made = f"t{random.randrange(1 << 40)}"
    passing.query(f"CREATE TABLE {made}(a int, b text) ENGINE={engine}", database="my")
    try:
        text = "".join(f"{n},x{n}\n" for n in range(5_000)) + "5000,x,too many\n"
        error = import_fails(passing, directory, text, made, database="my", header=False, atomic=True)
        assert passing.query(f"SELECT count(*) FROM {made}", database="my").rows == [[5_000]]
        assert "has no transactions: rows that were written before it are there" in error["detail"], error
    finally:
        passing.query(f"DROP TABLE {made}", database="my")


def test_in_a_session(passing, directory, name, table):
    passing.query(f"CREATE TABLE {table}(a int PRIMARY KEY)", database=name)
    session = passing.call("db_connect", {"database": name}).data["session"]
    passing.query("BEGIN", session=session)
    reply = imported(passing, directory, "a\n1\n2\n", table, session=session)
    assert reply["transaction"] == "active"
    error = None
    with opened(written(directory, "a\n3\n3\n"), os.O_RDONLY) as descriptor:
        error = transfer_fails(passing, "import", descriptor, relation=table, session=session)
    assert "Line 3 was refused" in error["message"]
    assert passing.query(f"SELECT count(*) FROM {table}", session=session).rows == [[3]]
    passing.query("ROLLBACK", session=session)
    assert passing.query(f"SELECT count(*) FROM {table}", database=name).rows == [[0]]
    imported(passing, directory, "a\n1\n2\n", table, session=session, atomic=True)
    passing.call("db_disconnect", {"session": session})
    assert passing.query(f"SELECT count(*) FROM {table}", database=name).rows == [[2]]


def test_a_long_value(passing, directory, name, table):
    long = "x\ty\\" * 1_500_000
    passing.query(f"CREATE TABLE {table}(a int, b {'text' if name == 'pg' else 'longtext'})", database=name)
    imported(passing, directory, f'a,b\n1,"{long}"\n2,z\n', table, database=name)
    assert passing.query(f"SELECT a, length(b) FROM {table} ORDER BY a", database=name).rows == [[1, len(long)], [2, 1]]


@pytest.mark.parametrize("create", [False, True])
def test_a_blob_among_texts_is_refused(passing, directory, name, table, create):
    """A server would make a text of its bytes, or of the digits that stand for them."""
    if not create:
        passing.query(f"CREATE TABLE {table}(a int, b {'text' if name == 'pg' else 'longtext'})", database=name)
    text = '{"a":1,"b":"x"}\n{"a":2,"b":{"$blob":"YQ=="}}\n{"a":3,"b":null}\n{"a":4,"b":{"$blob":"Yf8="}}\n{"a":5,"b":"y"}\n'
    failed = import_fails(passing, directory, text, table, database=name, format="jsonl", create=create, atomic=True)
    assert "Line 2 of the file: It has a blob in the column b, which has texts" in failed["message"], failed
    if create:
        passing.query(f"DROP TABLE IF EXISTS {table}", database=name)
    reply = imported(passing, directory, text, table, database=name, format="jsonl", create=create, max_rejected=2)
    assert reply["row_count"] == 3 and [line["line"] for line in reply["rejected"]] == [2, 4], reply
    assert passing.query(f"SELECT a, b FROM {table} ORDER BY a", database=name).rows == [[1, "x"], [3, None], [5, "y"]]


@pytest.mark.parametrize("atomic", [False, True])
def test_cancel(passing, directory, name, table, atomic):
    passing.query(f"CREATE TABLE {table}(a int, b text)", database=name)
    reader, writer = os.pipe()
    id = send_with(passing, [reader], "import",
                   {"descriptors": 1, "relation": table, "database": name, "header": False, "atomic": atomic, "progress_ms": 1})
    os.close(reader)
    thread = threading.Thread(target=os.write, args=(writer, b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(30_000))))
    thread.start()
    passing.receive_for(id)
    thread.join()
    passing.call("cancel", {"request": id})
    with pytest.raises(RequestFailed) as failed:
        outcome(passing, id)
    os.close(writer)
    assert failed.value.data["code"] == "cancelled", failed.value.data
    count = passing.query(f"SELECT count(*) FROM {table}", database=name).rows[0][0]
    assert count == 0 if atomic else str(count) in failed.value.data.get("detail", "") or count == 0
    # Its connection is as good as new.
    assert passing.query("SELECT 1", database=name).rows == [[1]]


def test_engines_without_tables(passing, directory):
    assert import_fails(passing, directory, "a\n1\n", "t", database="cache")["code"] == "bad_request"


def test_the_server_goes_away(passing, directory, servers, start_daemon):
    """What was sent to it and not confirmed is not known."""
    passing.query("CREATE TABLE gone(a int, b text)", database="pg")
    reader, writer = os.pipe()
    id = send_with(passing, [reader], "import",
                   {"descriptors": 1, "relation": "gone", "database": "pg", "header": False, "atomic": True, "progress_ms": 1})
    os.close(reader)
    thread = threading.Thread(target=os.write, args=(writer, b"".join(b"%d,%s\n" % (n, b"x" * 90) for n in range(30_000))))
    thread.start()
    passing.receive_for(id)
    thread.join()
    passing.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL",
                  database="pg")
    os.write(writer, b"1,x\n")
    os.close(writer)
    with pytest.raises(RequestFailed) as failed:
        outcome(passing, id)
    assert failed.value.data["code"] in ("connect_failed", "outcome_unknown", "database_error"), failed.value.data
    assert passing.query("SELECT count(*) FROM gone", database="pg").rows == [[0]]


def test_the_server_is_killed_behind_rows_that_it_has(passing, servers, name, table):
    """Whatever the error: it says how many rows are certainly there, and that the same request would write them again."""
    passing.query(f"CREATE TABLE {table}(a int, b text)", database=name)
    id, writer = begun(passing, table, LINES, database=name)
    rows_are_written(passing, id)
    servers[name].kill()
    try:
        feed(writer, LINES)
        os.close(writer)
        error = fails(passing, id)
    finally:
        servers[name].start()
    assert error["code"] in ("connect_failed", "outcome_unknown", "database_error"), error
    assert "retryable" not in error and "retry_after_ms" not in error, error
    told = int(re.search(r"The (\d+) rows before it are in the table", error["detail"])[1])
    wait_until(lambda: answers(passing, name), "the server is back")
    count = passing.query(f"SELECT count(*) FROM {table}", database=name).value
    assert 0 < told <= count, (told, count)
    assert told == count or error["code"] == "outcome_unknown", (told, count, error)


def answers(client, name):
    try:
        return client.query("SELECT 1", database=name).rows == [[1]]
    except RequestFailed:
        return False


def test_what_concerns_all_rows_is_no_refusal_of_one(passing, directory, name, table):
    passing.query(f"CREATE TABLE {table}(a int, b int)", database=name)
    error = import_fails(passing, directory, "1,2\n3,4\n", table, database=name, header=False, columns=["a", "nope"], max_rejected=5)
    assert "Line" not in error["message"] and "nope" in error["message"], error


def test_a_value_of_another_type_is_refused_by_its_line(passing, directory, name, table):
    passing.query(f"CREATE TABLE {table}(a int, d date)", database=name)
    error = import_fails(passing, directory, "1,2026-01-31\n2,not a day\n", table, database=name, header=False)
    assert "Line 2 was refused" in error["message"], error


def test_a_transaction_has_no_savepoint_of_ours(passing, directory):
    """Neither behind an import that was refused, nor behind one that went on."""
    made = f"t{random.randrange(1 << 40)}"
    session = passing.session(database="pg")
    for options, is_refused in (({}, True), ({"max_rejected": 5}, False)):
        passing.query("BEGIN", session=session)
        passing.query(f"CREATE TABLE {made}(x int)", session=session)
        if is_refused:
            assert import_fails(passing, directory, "x\r\n1\r\ntwo\r\n", made, session=session)["sqlstate"] == "22P02"
        else:
            assert imported(passing, directory, "x\r\n1\r\ntwo\r\n", made, session=session, **options)["rejected_count"] == 1
        error = passing.query_fails("RELEASE SAVEPOINT litebase_import", session=session)
        assert error["sqlstate"] == "3B001", error
        passing.query("ROLLBACK", session=session)
