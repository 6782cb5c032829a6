"""The pages that a loop keeps for short reads stay where they are while others read for long."""

import pathlib

import pytest

from daemon import counting

ROWS = 40_000


@pytest.fixture
def warm(start_daemon):
    """A daemon with one loop, which has all 20 MB of a table in memory."""
    daemon = start_daemon("--loops", 1)
    with daemon.connect() as client:
        client.query("CREATE TABLE item(id INTEGER PRIMARY KEY, text TEXT)")
        client.query("INSERT INTO item " + counting(ROWS, "x, printf('%0500d', x)"))
    read_all(daemon)
    return daemon


def read_all(daemon):
    """Bytes that the daemon reads from files while each page of the table is looked at."""
    before = bytes_read(daemon)
    with daemon.connect() as client:
        for start in range(1, ROWS, 500):
            ids = [client.send_query("SELECT text FROM item WHERE id = ?", [key]) for key in range(start, start + 500, 7)]
            for id in ids:
                assert len(client.collect(id).rows) == 1
    return bytes_read(daemon) - before


def bytes_read(daemon):
    fields = dict(line.split(": ") for line in pathlib.Path(f"/proc/{daemon.pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def test_short_reads_find_their_pages(warm):
    """Otherwise the next tests would say nothing."""
    assert read_all(warm) < 4 << 20


# The first of them is begun on the loop; later ones are known to take long.
@pytest.mark.parametrize("count", [1, 4])
def test_a_long_read_takes_no_pages_along(warm, count):
    with warm.connect() as client:
        for number in range(count):
            assert client.query(f"SELECT count(*) FROM ({counting(3_000_000)}) WHERE x > 0 AND {number} >= 0").value == 3_000_000
            assert client.query(f"SELECT count(*) FROM ({counting(3_000_000)}) WHERE x > 0").value == 3_000_000
    assert read_all(warm) < 4 << 20
