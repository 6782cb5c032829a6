"""Statements that are long because of their literals, as dumps have them: they are written whatever their length, and what they compute is
bounded as it is for short ones."""

import pytest

from bystander import Bystander
from wire import RequestFailed

MEGABYTE = 1 << 20
# SQLite parses texts of 256 KiB otherwise (sqlite_definition_bytes_max).
LENGTHS = [200_000, 262_136, 262_137, 262_144, 262_200, 400_000, 3_000_000, 8_000_000]


@pytest.fixture
def client(daemon):
    with daemon.connect() as client:
        client.query("CREATE TABLE IF NOT EXISTS kept(a)")
        client.query("DELETE FROM kept")
        yield client


@pytest.mark.parametrize("kind", ["text", "blob"])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_long_literal_is_written(client, length, kind):
    start, end = "INSERT INTO kept VALUES(", ")"
    # The statement as a whole has this length, or one byte less.
    count = length - len(start) - len(end) - 3
    count -= count % 2
    literal = f"'{'x' * (count + 1)}'" if kind == "text" else f"X'{'41' * (count // 2)}'"
    assert client.query(start + literal + end).last["rows_affected"] == 1
    assert client.query("SELECT length(a), typeof(a) FROM kept").rows == [[count + 1 if kind == "text" else count // 2, kind]]


@pytest.mark.parametrize("way", ["transaction", "batch", "update", "returning"])
def test_wherever_it_is_written(client, way):
    literal = f"'{'é' * 300_000}'"
    if way == "transaction":
        session = client.session()
        client.query("BEGIN", session=session)
        client.query("INSERT INTO kept VALUES (1)", session=session)
        client.query(f"INSERT INTO kept VALUES ({literal})", session=session)
        client.query("COMMIT", session=session)
    elif way == "batch":
        client.call("batch", {"statements": [{"sql": "INSERT INTO kept VALUES (1)"}, {"sql": f"INSERT INTO kept VALUES ({literal})"}], "atomic": True})
    elif way == "update":
        client.query("INSERT INTO kept VALUES (1), (2)")
        client.query(f"UPDATE kept SET a = {literal} WHERE a = 2")
    else:
        client.query("INSERT INTO kept VALUES (1)")
        assert client.query(f"INSERT INTO kept VALUES ({literal}) RETURNING length(a)").value == 300_000
    assert client.query("SELECT count(*), max(length(a)) FROM kept").rows == [[2, 300_000]]


def test_many_rows_of_literals(client):
    rows = ",".join(f"('{number}{'z' * 9_000}')" for number in range(500))
    assert client.query(f"INSERT INTO kept VALUES {rows}").last["rows_affected"] == 500
    assert client.query("SELECT min(length(a)), count(*) FROM kept").rows == [[9_001, 500]]


@pytest.mark.parametrize("again", [1, 3])
def test_a_blob_of_a_statement_is_read(client, again):
    """Whether it runs on a loop or not; SQLite takes a blob for NULL where values may not be so long."""
    for count in (100, 1_000, 2_500, 3_000, 4_000, 6_000, 8_000, 9_000, 20_000, 100_000, 300_000):
        for _ in range(again):
            assert client.query(f"SELECT length(X'{'41' * count}') AS n").value == count
            assert client.query(f"SELECT 1 WHERE X'{'41' * count}' = CAST(? AS BLOB)", ["A" * count]).rows == [[1]], count


def test_a_blob_of_a_definition_is_read_and_written(client):
    for count in (3_000, 6_500, 10_000, 60_000):
        client.query(f"CREATE VIEW seen AS SELECT X'{'42' * count}' AS a")
        client.query(f"CREATE TABLE made(n, a AS (X'{'43' * count}'))")
        client.query("INSERT INTO made VALUES (1)")
        assert client.query("SELECT length(a) FROM seen").value == count
        assert client.query("SELECT length(a) FROM made").value == count
        assert client.query("SELECT length(s.a) + length(m.a) FROM seen s, made m, (SELECT 1 UNION SELECT 2) LIMIT 1").value == 2 * count
        client.query("DROP VIEW seen")
        client.query("DROP TABLE made")
    client.query(f"CREATE TABLE filled(n, a DEFAULT (X'{'44' * 100_000}'))")
    client.query("INSERT INTO filled(n) VALUES " + ",".join(["(1)"] * 2_000))
    assert client.query("SELECT min(length(a)), count(a) FROM filled").rows == [[100_000, 2_000]]
    client.query("DROP TABLE filled")
    client.query("CREATE TABLE cause(n)")
    for number in range(4):
        client.query(f"CREATE TRIGGER t{number} AFTER INSERT ON cause BEGIN INSERT INTO kept VALUES (X'{'45' * 120_000}'); END")
    client.query("INSERT INTO cause VALUES (1)")
    assert client.query("SELECT min(length(a)), count(a), count(*) FROM kept").rows == [[120_000, 4, 4]]
    client.query("DROP TABLE cause")


def test_a_definition_that_comes_later(client):
    """What a loop knows of the definitions holds for as long as they do."""
    columns = ", ".join(f"sum(CASE WHEN n > {number} THEN n ELSE 0 END) AS c{number}" for number in range(60))
    for count in (7_000, 9_000):
        client.query("CREATE TABLE later(n)")
        client.query("INSERT INTO later VALUES (1)")
        for number in range(3):
            assert client.query(f"SELECT {columns}, {count + number} AS d FROM later").rows[0][-1] == count + number
        client.query("DROP TABLE later")
        client.query(f"CREATE TABLE later(n, a AS (x'{'46' * count}'))")
        client.query("INSERT INTO later VALUES (1)")
        for number in range(3):
            assert client.query(f"SELECT {columns}, max(length(a)) + {number} AS d FROM later").rows[0][-1] == count + number
        client.query("DROP TABLE later")


def test_what_it_computes_is_bounded_all_the_same(client):
    """The literal is no way around what a statement may compute while others wait."""
    client.query("CREATE TABLE IF NOT EXISTS large(a)")
    client.query("INSERT INTO large VALUES (?)", ["x" * 4 * MEGABYTE])
    computed = " + ".join(["length(upper(a))"] * 400)
    for literal in ("x", "x" * 300_000):
        with pytest.raises(RequestFailed) as refused:
            client.query(f"INSERT INTO kept SELECT {computed} FROM large WHERE '{literal}' <> ''")
        assert refused.value.code == "limit_exceeded" and "writes and computes so much" in refused.value.data["message"], refused.value.data
    assert client.query("SELECT count(*) FROM kept").value == 0
    client.query("DROP TABLE large")


def test_long_programs_keep_no_writer_waiting(daemon, client):
    """The program of a statement is as long as its text allows: listing it takes a time that is bounded, too."""
    rows = ",".join(["(1)"] * 200_000)
    sql = f"INSERT INTO kept VALUES {rows},('{'x' * 50_000}')"
    with Bystander(daemon, patience=20) as other:
        for _ in range(3):
            try:
                client.query(sql, timeout_ms=15_000)
            except RequestFailed as refused:
                assert refused.code in ("limit_exceeded", "timeout"), refused.data
    assert other.failure is None and other.count > 0


def test_it_can_be_stopped(client):
    """A statement that is stopped while it is weighed has written nothing."""
    rows = ",".join(["(1)"] * 200_000)
    with pytest.raises(RequestFailed) as stopped:
        client.query(f"INSERT INTO kept VALUES {rows},('{'x' * 50_000}')", timeout_ms=1)
    assert stopped.value.code == "timeout", stopped.value.data
    assert client.query("SELECT count(*) FROM kept").value == 0
