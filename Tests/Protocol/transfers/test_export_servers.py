"""`export` from the servers: their values, in bounded memory, and what a stop leaves."""

import os

import pytest

from transfers import opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed

# It starts database servers.
pytestmark = pytest.mark.slow

VALUES = {
    "pg": ("SELECT i AS n, 'a,b' AS t, NULL AS z, ''::text AS e, true AS b, 1.50::numeric AS d, '\\x00ff'::bytea AS x "
           "FROM generate_series(1, {count}) i", "{n},\"a,b\",,\"\",true,1.50,\\x00ff\r\n"),
    "my": ("SELECT seq AS n, 'a,b' AS t, NULL AS z, '' AS e, true AS b, 1.50 AS d, x'00ff' AS x FROM seq_1_to_{count}",
           "{n},\"a,b\",,\"\",1,1.50,\\x00ff\r\n"),
}
HEADER = "n,t,z,e,b,d,x\r\n"


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("count", [0, 3, 100_000])
def test_values(passing, directory, name, count):
    sql, row = VALUES[name]
    path = directory / "file"
    with opened(path) as descriptor:
        reply = transfer(passing, "export", descriptor, database=name,
                         sql=sql.format(count=max(count, 1)) + ("" if count else " LIMIT 0"))
    assert reply["row_count"] == count
    assert path.read_bytes().decode() == HEADER + "".join(row.format(n=n) for n in range(1, count + 1))


@pytest.mark.parametrize("name", VALUES)
def test_a_pipe_that_is_not_read(passing, name):
    """The server waits, and its connection is free when the pipe is gone."""
    reader, writer = os.pipe()
    id = send_with(passing, [writer], "export", {"descriptors": 1, "database": name, "sql": VALUES[name][0].format(count=1_000_000)})
    os.close(writer)
    os.read(reader, 1 << 16)
    os.close(reader)
    with pytest.raises(RequestFailed) as gone:
        outcome(passing, id)
    assert "pipe" in gone.value.data["message"], gone.value
    assert passing.query("SELECT 1", database=name).value == 1


def test_redis(passing, directory):
    path = directory / "file"
    for text in ("RPUSH list a '' c", "SET k v"):
        passing.query(text, database="cache")
    with opened(path) as descriptor:
        transfer(passing, "export", descriptor, database="cache", sql="LRANGE list 0 -1", header=False)
        assert transfer_fails(passing, "backup", descriptor, database="cache")["sqlstate"] == "0A000"
        assert transfer_fails(passing, "export", descriptor, database="cache", sql="GET k", format="sql", into="t")["sqlstate"] == "0A000"
    assert path.read_bytes() == b'a\r\n""\r\nc\r\n'
