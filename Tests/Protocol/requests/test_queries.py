"""Statements without a session: parameters, rows, batches, descriptions, statistics.

"Guess" in a comment marks what the protocol page does not say.
"""

import concurrent.futures
import time

import pytest

from daemon import counting
from wire import Client, RequestFailed


@pytest.fixture
def numbered(packed, table):
    """A table of 25 rows, x from 1 to 25."""
    packed.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    packed.batch([{"sql": f"INSERT INTO {table} VALUES (?, ?)", "param_rows": [[n, f"row {n}"] for n in range(1, 26)]}])
    return table


# Parameters


def test_positional_parameters(client):
    assert client.query("SELECT ?, ?, ?", [1, "two", b"3"]).rows == [[1, "two", b"3"]]


def test_numbered_parameters(client):
    assert client.query("SELECT ?2, ?1, ?2", ["a", "b"]).rows == [["b", "a", "b"]]


@pytest.mark.parametrize("sigil", [":", "@", "$"])
def test_named_parameters(client, sigil):
    sql = f"SELECT {sigil}first, {sigil}second, {sigil}first"
    assert client.query(sql, {"second": 2, "first": "one"}).rows == [["one", 2, "one"]]


def test_no_parameters(client):
    for params in ([], {}, None):
        assert client.query("SELECT 1", params).rows == [[1]]


@pytest.mark.parametrize("sql, params", [
    ("SELECT ?, ?", [1]), ("SELECT ?", [1, 2]), ("SELECT 1", [1]), ("SELECT ?", []), ("SELECT ?", None),
    ("SELECT :a, :b", {"a": 1}), ("SELECT :a", {"a": 1, "b": 2}), ("SELECT :a", {}), ("SELECT 1", {"a": 1}),
    ("SELECT :a", {"b": 1}), ("SELECT :a", {":b": 1}), ("SELECT :a, :b", {"a": 1, ":a": 2}),
], ids=str)
def test_parameters_that_do_not_fit(client, sql, params):
    """Too few, too many, misnamed: refused, never bound as NULL in silence."""
    error = client.query_fails(sql, params)
    assert (error["code"], error["sqlstate"]) == ("bad_request", "07001"), error
    client.settle()


@pytest.mark.parametrize("data", [
    {}, {"sql": None}, {"sql": 5}, {"sql": ["SELECT 1"]}, {"sql": "SELECT ?", "params": 5}, {"sql": "SELECT ?", "params": "x"},
    {"sql": "SELECT 1", "session": 5}, {"sql": "SELECT 1", "database": 5}, {"sql": "SELECT 1", "timeout_ms": "soon"},
    {"sql": "SELECT 1", "timeout_ms": -1}, {"sql": "SELECT 1", "max_rows": -1}, {"sql": "SELECT 1", "max_rows": "many"},
    {"sql": "SELECT 1", "max_rows": 1.5}, {"sql": "SELECT 1", "page_rows": -1}, {"sql": "SELECT 1", "page_rows": 0},
    {"sql": "SELECT 1", "page_rows": True}, {"sql": "SELECT ?", "params": [[1]]},
], ids=str)
def test_fields_of_the_wrong_type(client, data):
    assert client.fails("query", data)["code"] == "bad_request"
    client.settle()


# Rows


def test_small_result_is_one_frame(client, numbered):
    result = client.query(f"SELECT x, name FROM {numbered} ORDER BY x")
    assert len(result.frames) == 1
    assert result.rows == [[n, f"row {n}"] for n in range(1, 26)]
    assert result.names == ["x", "name"]
    last = result.last
    assert (last["more"], last["row_count"], last["transaction"]) == (False, 25, "none")
    assert type(last["elapsed_us"]) is int and last["elapsed_us"] >= 0
    assert last.get("truncated") in (None, False)


def test_elapsed_is_in_microseconds(client):
    start = time.monotonic()
    result = client.query(counting(300_000, "sum(x)"))
    wall_us = (time.monotonic() - start) * 1e6
    assert wall_us / 20 < result.last["elapsed_us"] <= wall_us


def test_columns_come_once(client):
    result = client.query(counting(3500))
    assert len(result.frames) >= 4
    assert "columns" in result.frames[0].data
    for frame in result.frames[1:]:
        assert "columns" not in frame.data
    assert [frame.data["more"] for frame in result.frames] == [True] * (len(result.frames) - 1) + [False]
    assert result.last["row_count"] == 3500
    assert [row[0] for row in result.rows] == list(range(1, 3501))


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000])
def test_around_a_full_frame(client, count):
    result = client.query(counting(count))
    assert [row[0] for row in result.rows] == list(range(1, count + 1))
    assert result.last["row_count"] == count
    assert all(len(frame.data["rows"]) <= 1000 for frame in result.frames)


@pytest.mark.parametrize("limit, total, truncated", [(5, 25, True), (25, 25, False), (24, 25, True), (100, 25, False), (1, 25, True)])
def test_max_rows(client, numbered, limit, total, truncated):
    result = client.query(f"SELECT x FROM {numbered} ORDER BY x", max_rows=limit)
    assert [row[0] for row in result.rows] == list(range(1, min(limit, total) + 1))
    assert bool(result.last.get("truncated")) is truncated
    assert result.last["row_count"] == min(limit, total)


def test_max_rows_ends_an_endless_statement(client):
    result = client.query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c", max_rows=2500)
    assert len(result.rows) == 2500
    assert result.last["truncated"] is True


def test_rows_affected(client, table):
    client.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY)")
    assert client.query(f"INSERT INTO {table} VALUES (10), (20), (30)").last["rows_affected"] == 3
    assert client.query(f"UPDATE {table} SET x = x + 1 WHERE x > 10").last["rows_affected"] == 2
    assert client.query(f"UPDATE {table} SET x = 0 WHERE 0").last["rows_affected"] == 0
    assert client.query(f"DELETE FROM {table}").last["rows_affected"] == 3
    assert client.query(f"SELECT * FROM {table}").last["rows_affected"] in (0, None)


def test_rows_affected_is_not_left_over_from_an_earlier_statement(client, table):
    client.query(f"CREATE TABLE {table}(x)")
    client.query(f"INSERT INTO {table} VALUES (1), (2), (3)")
    assert client.query(f"CREATE TABLE {table}_more(x)").last["rows_affected"] in (0, None)
    assert client.query("SELECT 1").last["rows_affected"] in (0, None)


def test_last_insert_id(client, table):
    client.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, y)")
    assert client.query(f"INSERT INTO {table}(y) VALUES ('a')").last["last_insert_id"] == 1
    assert client.query(f"INSERT INTO {table} VALUES (4611686018427387904, 'b')").last["last_insert_id"] == 2**62
    assert client.query("SELECT 1").last.get("last_insert_id") is None, "where there is one"


def test_returning(client, table):
    client.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, y)")
    result = client.query(f"INSERT INTO {table}(y) VALUES ('a'), ('b') RETURNING x, y")
    assert (result.rows, result.names) == ([[1, "a"], [2, "b"]], ["x", "y"])
    assert result.last["rows_affected"] == 2
    result = client.query(f"DELETE FROM {table} RETURNING y")
    assert sorted(row[0] for row in result.rows) == ["a", "b"]
    assert client.query(f"SELECT count(*) FROM {table}").value == 0


def test_returning_with_max_rows_still_writes_everything(client, table):
    client.query(f"CREATE TABLE {table}(x)")
    client.query(f"INSERT INTO {table} {counting(50)} RETURNING x", max_rows=5)
    assert client.query(f"SELECT count(*) FROM {table}").value == 50


def test_write_is_seen_by_the_next_request_and_by_others(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    for number in range(20):
        client.query(f"INSERT INTO {table} VALUES (?)", [number])
        assert client.query(f"SELECT count(*) FROM {table}").value == number + 1
    assert daemon.connect().query(f"SELECT count(*) FROM {table}").value == 20


# SQL text


@pytest.mark.parametrize("tail", [";", " ; ", ";\n", "; -- done", "; /* done */ ", " -- no semicolon", ";;"], ids=repr)
def test_what_may_follow_a_statement(client, tail):
    assert client.query("SELECT 7" + tail).rows == [[7]]


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;\n\nSELECT 2;", "SELECT 1; x", "SELECT 1; /* */ SELECT 2"])
def test_several_statements_are_refused(client, sql):
    error = client.query_fails(sql)
    assert error["code"] in ("bad_request", "syntax_error")  # guess: one of these
    assert error["message"]
    client.settle()


def test_no_part_of_several_statements_runs(client, table):
    client.query(f"CREATE TABLE {table}(x)")
    client.query_fails(f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)")
    client.query_fails(f"INSERT INTO {table} VALUES (3); DROP TABLE {table}")
    assert client.query(f"SELECT count(*) FROM {table}").value == 0


@pytest.mark.parametrize("sql", ["", " ", "\n\t", ";", " ; ", "-- nothing", "/* nothing */", "\ufeff"], ids=repr)
def test_empty_sql(client, sql):
    assert client.query_fails(sql)["code"] in ("bad_request", "syntax_error")  # guess: one of these
    client.settle()


def test_sql_with_a_nul_byte_is_refused(client, table):
    """What follows the NUL must not vanish in silence."""
    client.query(f"CREATE TABLE {table}(x)")
    assert client.query_fails(f"DELETE FROM {table}\0 WHERE 0")["code"] in ("bad_request", "syntax_error")
    client.settle()


def test_sql_of_any_unicode(client):
    assert client.query("SELECT '日本語😀' AS \"名前\"").rows == [["日本語😀"]]


def test_long_sql(client):
    count = 400  # SQLite's limit on compound statements is 500 terms
    sql = " UNION ALL ".join(f"SELECT {n} /* {'x' * 1000} */" for n in range(count))
    assert [row[0] for row in client.query(sql).rows] == list(range(count))


# Describe


def test_describe_select(client, numbered):
    data = client.call("describe", {"sql": f"SELECT x, name, x+1 AS z FROM {numbered} WHERE x = ? AND name = ?"}).data
    assert [column["name"] for column in data["columns"]] == ["x", "name", "z"]
    assert data["columns"][0]["declared_type"] == "INTEGER"
    assert data["read_only"] is True
    parameters = data["parameters"]  # guess: a list with one entry for each parameter
    assert len(parameters) == 2


def test_describe_names_parameters(client):
    parameters = client.call("describe", {"sql": "SELECT :first, @second"}).data["parameters"]
    assert "first" in str(parameters[0]) and "second" in str(parameters[1])


def test_describe_does_not_run(client, numbered):
    data = client.call("describe", {"sql": f"DELETE FROM {numbered}"}).data
    assert data["read_only"] is False
    assert data["columns"] == []
    assert client.query(f"SELECT count(*) FROM {numbered}").value == 25


@pytest.mark.parametrize("sql, code", [("SELEC 1", "syntax_error"), ("", ("bad_request", "syntax_error")),
                                       ("SELECT 1; SELECT 2", ("bad_request", "syntax_error"))])
def test_describe_errors(client, sql, code):
    assert client.fails("describe", {"sql": sql})["code"] in code
    client.settle()


# Batch


def test_batch(client, table):
    reply = client.batch([
        {"sql": f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, y)"},
        {"sql": f"INSERT INTO {table}(y) VALUES (?)", "params": ["a"]},
        {"sql": f"INSERT INTO {table}(y) VALUES (:y)", "params": {"y": "b"}},
        {"sql": f"UPDATE {table} SET y = y || '!'"},
    ])
    assert reply.type == "batch_response"
    results = reply.data["results"]
    assert [result["rows_affected"] for result in results][1:] == [1, 1, 2]
    assert [result.get("last_insert_id") for result in results][1:3] == [1, 2]
    assert reply.data["transaction"] == "none"
    assert client.query(f"SELECT y FROM {table} ORDER BY x").rows == [["a!"], ["b!"]]


def test_batch_with_parameter_rows(client, table):
    rows = [[number, f"n{number}", None if number % 2 else b"\0"] for number in range(5000)]
    reply = client.batch([{"sql": f"CREATE TABLE {table}(a, b, c)"},
                          {"sql": f"INSERT INTO {table} VALUES (?, ?, ?)", "param_rows": rows}])
    assert reply.data["results"][1]["rows_affected"] == 5000
    assert client.query(f"SELECT a, b, c FROM {table} ORDER BY a").rows == rows


def test_atomic_batch_changes_nothing_when_it_fails(client, numbered):
    error = client.fails("batch", {"statements": [
        {"sql": f"DELETE FROM {numbered} WHERE x = 1"},
        {"sql": f"INSERT INTO {numbered} VALUES (100, 'new')"},
        {"sql": f"INSERT INTO {numbered} VALUES (2, 'duplicate')"},
        {"sql": f"DELETE FROM {numbered}"},
    ]})
    assert (error["code"], error["statement_index"]) == ("constraint_violation", 2)
    assert error["sqlstate"] == "23505"
    assert client.query(f"SELECT count(*), max(x) FROM {numbered}").rows == [[25, 25]]


@pytest.mark.parametrize("atomic", [True, False])
def test_failing_parameter_row_is_named(client, numbered, atomic):
    rows = [[100, "a"], [101, "b"], [102, None], [103, "d"]]
    error = client.fails("batch", {"atomic": atomic, "statements": [
        {"sql": "SELECT 1"}, {"sql": f"INSERT INTO {numbered} VALUES (?, ?)", "param_rows": rows}]})
    assert (error["code"], error["statement_index"], error["row_index"]) == ("constraint_violation", 1, 2)
    assert error["sqlstate"] == "23502"
    expected = 25 if atomic else 27
    assert client.query(f"SELECT count(*) FROM {numbered}").value == expected


def test_batch_that_is_not_atomic_keeps_what_came_before(client, numbered):
    error = client.fails("batch", {"atomic": False, "statements": [
        {"sql": f"DELETE FROM {numbered} WHERE x = 1"},
        {"sql": "INSERT INTO no_such_table VALUES (1)"},
        {"sql": f"DELETE FROM {numbered}"},
    ]})
    assert error["statement_index"] == 1
    assert client.query(f"SELECT count(*) FROM {numbered}").value == 24


def test_syntax_error_in_a_batch(client, numbered):
    error = client.fails("batch", {"statements": [{"sql": f"DELETE FROM {numbered}"}, {"sql": "DELET"}]})
    assert (error["code"], error["statement_index"]) == ("syntax_error", 1)
    assert client.query(f"SELECT count(*) FROM {numbered}").value == 25


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "BEGIN", "END"])
def test_transaction_control_cannot_break_an_atomic_batch(client, numbered, sql):
    client.fails("batch", {"statements": [{"sql": f"DELETE FROM {numbered} WHERE x < 5"}, {"sql": sql},
                                          {"sql": "INSERT INTO no_such_table VALUES (1)"}]})
    assert client.query(f"SELECT count(*) FROM {numbered}").value == 25, "nothing of a failed atomic batch stays"
    client.settle()


@pytest.mark.parametrize("data", [{}, {"statements": "SELECT 1"}, {"statements": [5]}, {"statements": [{}]},
                                  {"statements": [{"sql": 5}]}, {"statements": [{"sql": "SELECT ?", "param_rows": [5]}]},
                                  {"statements": [{"sql": "SELECT 1"}], "atomic": "yes"},
                                  {"statements": [{"sql": "SELECT ?", "params": [1], "param_rows": [[1]]}]}], ids=str)
def test_batches_of_the_wrong_shape(client, data):
    assert client.fails("batch", data)["code"] == "bad_request"
    client.settle()


def test_batch_is_durable_as_one(daemon, packed, table):
    """Another reader never sees half of an atomic batch."""
    packed.query(f"CREATE TABLE {table}(x)")
    reader = daemon.connect()
    for round in range(20):
        id = packed.send("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (?)",
                                                   "param_rows": [[n] for n in range(100)]}]})
        for _ in range(5):
            assert reader.query(f"SELECT count(*) % 100 FROM {table}").value == 0
        packed.answer(id)
        assert reader.query(f"SELECT count(*) FROM {table}").value == 100 * (round + 1)


# Many at once


def test_parallel_writers_lose_nothing(daemon, packed, table):
    packed.query(f"CREATE TABLE {table}(writer, n, UNIQUE(writer, n))")

    def write(writer):
        with Client(daemon.socket_path) as client:
            for n in range(50):
                client.query(f"INSERT INTO {table} VALUES (?, ?)", [writer, n])
        return writer

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(12)))
    assert packed.query(f"SELECT count(*), count(DISTINCT writer) FROM {table}").rows == [[600, 12]]


def test_a_failing_write_does_not_harm_its_neighbours(packed, table):
    """Writes that may share one commit: each is acknowledged, or refused, for itself."""
    packed.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY)")
    ids = [(n, packed.send_query(f"INSERT INTO {table} VALUES (?)", [n // 2])) for n in range(400)]
    outcomes = []
    for n, id in ids:
        try:
            outcomes.append(packed.collect(id).last["rows_affected"])
        except RequestFailed as failure:
            assert failure.code == "constraint_violation"
            outcomes.append(0)
    assert sum(outcomes) == 200
    assert packed.query(f"SELECT count(*), min(x), max(x) FROM {table}").rows == [[200, 0, 199]]


def test_schema_change_is_seen_by_prepared_statements(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    client.query(f"INSERT INTO {table} VALUES (1)")
    reader = daemon.connect()
    for _ in range(5):
        assert reader.query(f"SELECT * FROM {table}").rows == [[1]]
    client.query(f"ALTER TABLE {table} ADD COLUMN y DEFAULT 'new'")
    result = reader.query(f"SELECT * FROM {table}")
    assert (result.names, result.rows) == (["x", "y"], [[1, "new"]])
    client.query(f"DROP TABLE {table}")
    assert reader.query_fails(f"SELECT * FROM {table}")["code"] == "syntax_error"


# Statistics


def flat(value, path=()):
    """Every number in a nested value, by its path."""
    if isinstance(value, dict):
        return {key: number for name, item in value.items() for key, number in flat(item, (*path, name)).items()}
    if isinstance(value, list):
        return {key: number for index, item in enumerate(value) for key, number in flat(item, (*path, str(index))).items()}
    return {path: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def counter(data, *words):
    """The counter whose path has all these words (the page names the counters, not their shape)."""
    found = {path: number for path, number in flat(data).items() if all(any(word in part for part in path) for word in words)}
    assert found, f"no counter for {words} in {data}"
    return sum(found.values())


def test_stats(daemon, client):
    before = client.call("stats").data
    for _ in range(10):
        client.call("health_check")
    client.query("SELECT 1")
    for _ in range(3):
        client.query_fails("SELEC")
    after = client.call("stats").data
    # Of a daemon that has just started, nothing is counted yet.
    checks, queries = (counter(before, "request", name) if name in before["requests"] else 0 for name in ("health_check", "query"))
    assert counter(after, "request", "health_check") - checks == 10
    assert counter(after, "request", "query") - queries >= 4
    failures = counter(before, "error", "syntax_error") if "syntax_error" in str(before) else 0
    assert counter(after, "error", "syntax_error") - failures == 3
    # Others with "bytes" in their names say what is in use, and go down, too.
    assert all(after[name] > before[name] for name in ("bytes_received", "bytes_sent"))
    assert counter(after, "p99") > 0, "latency percentiles"


def test_stats_count_connections_and_sessions(daemon, packed):
    before = packed.call("stats").data
    others = [daemon.connect() for _ in range(5)]
    sessions = [other.session() for other in others]
    after = packed.call("stats").data
    assert counter(after, "connections") >= counter(before, "connections") + 5
    assert counter(after, "sessions") >= counter(before, "sessions") + 5
    assert len(set(sessions)) == 5
