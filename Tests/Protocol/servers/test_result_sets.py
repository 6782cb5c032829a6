"""Statements with several results: each is told apart from the next, none is lost without a word, and what ends a statement in its middle ends it there."""

import os
import random
import time

import pytest

from daemon import wait_until
from mariadb import MariaDB, fixtures
from wire import RequestFailed

# As many as the tests need, from a table: a procedure's loop would take longer.
SCHEMA = """
CREATE TABLE number(n int PRIMARY KEY) ENGINE=InnoDB; INSERT INTO number SELECT seq FROM seq_1_to_5000;
CREATE TABLE kept(x int) ENGINE=InnoDB;
DELIMITER //
CREATE PROCEDURE two() BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, 3.50 AS c; UPDATE number SET n = n WHERE n <= 3; END//
CREATE PROCEDURE empty_first() BEGIN SELECT n FROM number WHERE n < 0; SELECT 7 AS seven; SELECT n FROM number WHERE n < 0; END//
CREATE PROCEDURE none() BEGIN INSERT INTO kept VALUES (1), (2); END//
CREATE PROCEDURE sized(a int, b int, c int) BEGIN
  SELECT n AS a FROM number WHERE n <= a ORDER BY n;
  SELECT n AS b, CONCAT('t', n) AS t FROM number WHERE n <= b ORDER BY n;
  SELECT n AS c FROM number WHERE n <= c ORDER BY n; END//
CREATE PROCEDURE many(k int) BEGIN DECLARE i int DEFAULT 0; WHILE i < k DO SELECT i AS i; SET i = i + 1; END WHILE; END//
CREATE PROCEDURE breaks() BEGIN SELECT 1 AS a; SELECT nix FROM nowhere; END//
CREATE PROCEDURE slow() SQL SECURITY INVOKER BEGIN SELECT 1 AS first; SELECT SLEEP(30) AS second; END//
CREATE PROCEDURE slow_rows() SQL SECURITY INVOKER BEGIN SELECT 1 AS first; SELECT n, SLEEP(0.05) FROM number; SELECT 3 AS third; END//
CREATE PROCEDURE wide() BEGIN SELECT 1 AS a; SELECT REPEAT('x', 3000000) AS b; SELECT 2 AS c; END//
CREATE PROCEDURE gives(x int, OUT y int) BEGIN SELECT x AS x; SET y = 2 * x; END//
CREATE PROCEDURE writes() BEGIN INSERT INTO kept VALUES (1); SELECT 1 AS a; INSERT INTO kept VALUES (2); SELECT 2 AS b; END//
"""


server, my = fixtures(SCHEMA, between="DELETE FROM kept")


@pytest.fixture(params=["msgpack", "lines", "json"])
def client(my, request):
    return my.connect(request.param)


@pytest.fixture
def packed(my):
    return my.connect()


class Parted:
    """The results of a reply, put together by nothing but what the protocol says of its frames."""

    def __init__(self, frames):
        self.results, self.ends, current = [], [], None
        for frame in frames:
            data = frame.data
            if data.get("columns"):
                assert current is None, "a result begins before the one before it has ended"
                current = {"names": [column["name"] for column in data["columns"]], "rows": []}
                self.results.append(current)
            if data["rows"]:
                assert current is not None, "rows that belong to no result"
                current["rows"] += data["rows"]
                assert all(len(row) == len(current["names"]) for row in data["rows"])
            if "result_end" in data:
                assert current is not None and data["result_end"]["row_count"] == len(current["rows"])
                self.ends.append(data["result_end"])
                current = None
            for field in ("row_count", "rows_affected", "elapsed_us", "transaction", "result_sets"):
                assert (field in data) == (not data["more"]), field
        assert current is None, "the last result has no end"
        self.last = frames[-1].data
        assert self.last["result_sets"] == len(self.results) == len(self.ends)
        assert self.last["row_count"] == sum(len(result["rows"]) for result in self.results)
        assert "result_sets_dropped" not in self.last

    @property
    def rows(self):
        return [result["rows"] for result in self.results]

    @property
    def names(self):
        return [result["names"] for result in self.results]


def parted(connection, sql, params=None, **options):
    options = {"database": "my"} | options if "session" not in options else options
    return Parted(connection.query(sql, params, result_sets=True, **options).frames)


def frames_to(connection, id, wanted):
    """Frames of a query until one of them satisfies `wanted`."""
    frames = []
    while True:
        frames.append(connection.receive_for(id))
        assert frames[-1].type == "query_response", frames[-1]
        if wanted(frames[-1].data):
            return frames


def rest_of(connection, id):
    """What comes until the request ends: frames, and the error or None."""
    frames = []
    while True:
        reply = connection.receive_for(id)
        if reply.type == "error":
            return frames, reply.data
        frames.append(reply)
        if reply.terminal:
            return frames, None


# What is there

def test_every_result_with_its_own_columns(client):
    reply = parted(client, "CALL two()")
    assert reply.names == [["a"], ["b", "c"]]
    assert reply.rows == [[[1], [2]], [["x", "3.50"]]]
    assert (reply.last["rows_affected"], reply.last["result_sets"]) == (3, 2)
    assert [end["truncated"] for end in reply.ends] == [False, False]


def test_results_without_rows(client):
    assert parted(client, "CALL empty_first()").rows == [[], [[7]], []]


@pytest.mark.parametrize("sql,changed", [("CALL none()", 2), ("INSERT INTO kept VALUES (9)", 1), ("DO 1", 0)])
def test_statements_without_a_result(client, sql, changed):
    result = client.query(sql, database="my", result_sets=True)
    assert (result.columns, result.rows, result.last["result_sets"], result.last["rows_affected"]) == ([], [], 0, changed)
    assert "result_end" not in result.last


def test_one_result_is_one_reply(client):
    result = client.query("SELECT 1 AS a", database="my", result_sets=True)
    assert len(result.frames) == 1 and Parted(result.frames).rows == [[[1]]]


@pytest.mark.parametrize("value", [False, None])
def test_who_does_not_ask_is_told_what_was_not_sent(client, value):
    result = client.query("CALL two()", database="my", result_sets=value)
    assert (result.names, result.rows) == (["a"], [[1], [2]])
    assert (len(result.frames), result.last["row_count"], result.last["result_sets_dropped"]) == (1, 2, 1)
    assert not {"result_sets", "result_end"} & set(result.last)
    for sql in ("SELECT 1", "CALL none()"):
        assert "result_sets_dropped" not in client.query(sql, database="my").last
    assert client.query("CALL many(5)", database="my").last["result_sets_dropped"] == 4


def test_prepared_statements_and_values_by_parameters(client):
    reply = parted(client, "CALL sized(?, ?, ?)", [2, 3, 1])
    assert reply.names == [["a"], ["b", "t"], ["c"]]
    assert reply.rows == [[[1], [2]], [[1, "t1"], [2, "t2"], [3, "t3"]], [[1]]]
    # What a placeholder for an OUT parameter gets comes as the last result.
    reply = parted(client, "CALL gives(?, ?)", [21, None])
    assert reply.rows == [[[21]], [[42]]]


def test_compound_statements_and_what_executes_a_text(client):
    assert parted(client, "BEGIN NOT ATOMIC SELECT 1 AS a; SELECT 2 AS b; END").rows == [[[1]], [[2]]]
    assert parted(client, "EXECUTE IMMEDIATE 'CALL two()'", session=client.session(database="my")).names == [["a"], ["b", "c"]]


def test_a_batch_has_no_results_and_goes_on(packed):
    data = packed.batch([{"sql": "CALL writes()"}, {"sql": "INSERT INTO kept VALUES (3)"}], database="my", atomic=False).data
    assert [result["rows_affected"] for result in data["results"]] == [2, 1]
    assert packed.query("SELECT COUNT(*) FROM kept", database="my").value == 3


# Where they end and how many rows they have

@pytest.mark.parametrize("parameters", [False, True], ids=["text", "prepared"])
def test_random_sizes_pages_and_limits(client, parameters):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or time.time_ns() % 2**32)
    chance = random.Random(seed)
    for _ in range(int(os.environ.get("LITEBASE_TEST_ROUNDS") or 12)):
        sizes = [chance.choice([0, 1, 2, 999, 1000, 1001, 2000, chance.randrange(3500)]) for _ in range(3)]
        options = {}
        if chance.random() < 0.5:
            options["max_rows"] = chance.choice([1, 2, 999, 1000, 1001, 5000])
        if chance.random() < 0.6:
            options["page_rows"] = chance.choice([1, 7, 1000, 1500]) if sum(sizes) < 3000 else chance.choice([700, 1000, 1001])
        sql, params = ("CALL sized(?, ?, ?)", sizes) if parameters else (f"CALL sized({sizes[0]}, {sizes[1]}, {sizes[2]})", None)
        id = client.send_query(sql, params, database="my", result_sets=True, **options)
        frames, page = [], 0
        while not (frames and frames[-1].terminal):
            frames.append(client.receive_for(id))
            assert frames[-1].type == "query_response", (seed, frames[-1])
            page += len(frames[-1].data["rows"])
            assert page <= options.get("page_rows", 1 << 40), seed
            if page == options.get("page_rows"):
                client.send("fetch", {"request": id})
                page = 0
        reply = Parted(frames)
        limit = options.get("max_rows", 1 << 40)
        told = (seed, sizes, options)
        assert [len(rows) for rows in reply.rows] == [min(size, limit) for size in sizes], told
        assert [end["truncated"] for end in reply.ends] == [size > limit for size in sizes], told
        assert reply.last.get("truncated", False) == any(size > limit for size in sizes), told
        for rows in reply.rows:
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), told
    client.settle()


def test_many_small_results_and_a_client_that_does_not_read(my, packed):
    """Each is a frame of its own: they must not gather without end."""
    count = 20_000
    id = packed.send_query(f"CALL many({count})", database="my", result_sets=True)
    other = my.connect()
    time.sleep(0.5)
    before = my.memory_kib()
    for _ in range(5):
        assert other.query("SELECT 1", database="my").value == 1
    time.sleep(0.5)
    assert my.memory_kib() - before < 4 << 10
    reply = Parted(packed.collect(id).frames)
    assert [rows[0][0] for rows in reply.rows] == list(range(count))


def test_a_result_is_sent_when_it_ends(packed):
    """A procedure that tells how far it is must not be silent until its end."""
    start = time.monotonic()
    id = packed.send_query("CALL slow()", database="my", result_sets=True)
    frames = frames_to(packed, id, lambda data: "result_end" in data)
    assert time.monotonic() - start < 10 and [frame.data["rows"] for frame in frames] == [[[1]]]
    packed.call("cancel", {"request": id})
    _, error = rest_of(packed, id)
    assert error["code"] in ("cancelled", "outcome_unknown")


# What ends them

@pytest.mark.parametrize("sql", ["CALL slow()", "CALL slow_rows()"])
@pytest.mark.parametrize("way", ["cancel", "timeout", "leave"])
def test_stopped_in_the_second_result(server, my, sql, way):
    client = my.connect()
    session = client.session(database="my")
    id = client.send_query(sql, session=session, result_sets=True, **({"timeout_ms": 700} if way == "timeout" else {}))
    frames_to(client, id, lambda data: "result_end" in data)
    if way == "leave":
        client.close()
        wait_until(lambda: not server.busy(), "the statement was stopped")
        return
    if way == "cancel":
        client.send("cancel", {"request": id}, id="stop")
    _, error = rest_of(client, id)
    # A procedure may have committed something.
    assert error["code"] == "outcome_unknown", error
    # The session has nothing left of it.
    assert parted(client, "CALL two()", session=session).rows == [[[1], [2]], [["x", "3.50"]]]
    assert client.query("SELECT 5", session=session).value == 5


def test_a_page_that_nobody_fetches_can_be_given_up(packed, server):
    session = packed.session(database="my")
    id = packed.send_query("CALL sized(3, 5000, 5)", session=session, result_sets=True, page_rows=10)
    frames_to(packed, id, lambda data: len(data.get("rows", [])) and data["rows"][-1][0] == 7)
    packed.send("cancel", {"request": id}, id="stop")
    rest, error = rest_of(packed, id)
    # It is done when it is told so, with all that belongs to it.
    assert error is None or error["code"] == "outcome_unknown"
    if error is None:
        assert rest[-1].data["result_sets"] == 3
    assert packed.query("SELECT 5", session=session).value == 5


def test_an_error_behind_a_result(client):
    id = client.send_query("CALL breaks()", database="my", result_sets=True)
    frames, error = rest_of(client, id)
    assert [frame.data["rows"] for frame in frames] == [[[1]]] and frames[0].data["result_end"] == {"row_count": 1, "truncated": False}
    assert error["vendor_code"] in (1146, 1054)
    assert parted(client, "CALL two()").rows[1] == [["x", "3.50"]]


def test_a_row_too_large_in_the_second_result(server, start_daemon, directory):
    config = directory / "my.toml"
    config.write_text(f'[limits]\nrow_bytes_max = 1048576\n[databases.my]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    for sets in (True, False):
        id = client.send_query("CALL wide()", database="my", result_sets=sets)
        frames, error = rest_of(client, id)
        if sets:
            assert error["code"] in ("limit_exceeded", "outcome_unknown"), error
            assert [frame.data["rows"] for frame in frames if frame.data["rows"]] == [[[1]]]
        else:
            # What is not sent may have any size.
            assert error is None and frames[-1].data["result_sets_dropped"] == 2
        assert client.query("SELECT 5", database="my").value == 5


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_the_server_dies_between_results(start_daemon, prepared):
    server = MariaDB()
    try:
        server.sql(SCHEMA, "lb")
        client = start_daemon(databases={"my": server.url()}).connect()
        sql, params = ("BEGIN NOT ATOMIC SELECT 1 AS a; SELECT SLEEP(?) AS b; END", [30]) if prepared else ("CALL slow()", None)
        id = client.send_query(sql, params, database="my", result_sets=True)
        frames = frames_to(client, id, lambda data: "result_end" in data)
        assert frames[0].data["rows"] == [[1]]
        server.kill()
        _, error = rest_of(client, id)
        assert error["code"] == "outcome_unknown", error
        server.start()
        wait_until(lambda: parts_or_none(client) == [[[1], [2]], [["x", "3.50"]]], "the next one gets a new connection")
    finally:
        server.discard()


def parts_or_none(client):
    try:
        return parted(client, "CALL two()").rows
    except RequestFailed:
        return None


# Sessions

def test_in_a_transaction(client, server):
    session = client.session(database="my")
    client.query("BEGIN", session=session)
    reply = parted(client, "CALL writes()", session=session)
    assert reply.rows == [[[1]], [[2]]] and reply.last["transaction"] == "active"
    assert server.sql("SELECT COUNT(*) FROM lb.kept") == "0"
    # Behind one that waits for a fetch, the next one waits.
    id = client.send_query("CALL sized(2, 2, 2)", session=session, result_sets=True, page_rows=3)
    behind = client.send_query("SELECT 8", session=session)
    frames = frames_to(client, id, lambda data: data["rows"] == [[1, "t1"]])
    for _ in range(2):
        client.send("fetch", {"request": id})
    rest, error = rest_of(client, id)
    assert error is None and [len(rows) for rows in Parted(frames + rest).rows] == [2, 2, 2]
    assert client.collect(behind).value == 8
    client.query("ROLLBACK", session=session)
    assert server.sql("SELECT COUNT(*) FROM lb.kept") == "0"


def test_many_at_once_on_one_connection(packed):
    for _ in range(5):
        ids = [packed.send_query(f"CALL sized({i}, {i + 1}, 0)", database="my", result_sets=True) for i in range(40)]
        for i, id in enumerate(ids):
            assert [len(rows) for rows in Parted(packed.collect(id).frames).rows] == [i, i + 1, 0]


@pytest.mark.parametrize("value", [1, "yes", []])
def test_a_wrong_value_is_refused(client, value):
    error = client.query_fails("SELECT 1", database="my", result_sets=value)
    assert error["code"] == "bad_request" and "result_sets" in error["message"]


def test_other_engines_have_one_result(daemon, mode):
    client = daemon.connect(mode)
    for sql, params, rows in [("SELECT 1 AS a", None, [[[1]]]), ("SELECT value FROM json_each(?)", ["[1,2,3]"], [[[1], [2], [3]]])]:
        assert Parted(client.query(sql, params, result_sets=True).frames).rows == rows
    result = client.query("CREATE TABLE IF NOT EXISTS result_set_test(a)", result_sets=True)
    assert (result.columns, result.last["result_sets"]) == ([], 0)
    result = client.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT i FROM n", result_sets=True, max_rows=8000)
    reply = Parted(result.frames)
    assert len(result.frames) > 3 and len(reply.rows[0]) == 8000 and reply.ends == [{"row_count": 8000, "truncated": True}]
