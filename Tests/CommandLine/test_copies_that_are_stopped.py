"""An atomic copy whose reading is stopped, by whomever, writes nothing: what came until then is never taken for the whole."""

import contextlib
import signal
import subprocess
import time

import pytest

from daemon import LITEBASE, Daemon
from directories import directory  # noqa: F401
from mariadb import MariaDB
from native import NativeError
from postgresql import PostgreSQL
from wire import RequestFailed

# It starts database servers.
pytestmark = pytest.mark.slow

ROWS = 400_000


@pytest.fixture(scope="module")
def servers():
    made = {"pg": PostgreSQL(), "my": MariaDB()}
    made["pg"].psql(f"CREATE TABLE t AS SELECT g AS a, repeat('x', 50) AS b FROM generate_series(1, {ROWS}) g")
    made["my"].sql(f"CREATE TABLE t AS SELECT seq AS a, repeat('x', 50) AS b FROM seq_1_to_{ROWS}", "lb")
    yield made
    for server in made.values():
        server.discard()


@pytest.fixture
def served(servers, directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={**{name: server.url() for name, server in servers.items()}, "lite": f"sqlite:{directory}/l.db"})
    yield daemon
    daemon.finish()


def rows(daemon, database="lite"):
    """How many there are when nothing changes any more."""
    with daemon.connect() as client:
        found = -1
        while found != (found := client.query("SELECT count(*) FROM made", database=database).value):
            time.sleep(0.3)
        return found


def copying(daemon, source):
    """A copy into an empty table that has begun."""
    with daemon.connect() as client:
        client.query("DROP TABLE IF EXISTS made", database="lite")
        client.query("CREATE TABLE made(a, b)", database="lite")
    return subprocess.Popen([LITEBASE, "copy", "--socket", daemon.socket_path, f"{source}/t", "lite/made", "--atomic"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stopped(daemon, servers, source, way, copy):
    """Stops the reading side of a copy in the middle."""
    if way == "Ctrl-C":
        copy.send_signal(signal.SIGINT)
    elif way == "an administrator":
        with daemon.connect() as client:
            for entry in client.call("activity").data["entries"]:
                # It may be done meanwhile.
                if entry["type"] == "export":
                    with contextlib.suppress(RequestFailed):
                        client.call("terminate", {"connection": entry["connection"], "number": entry["number"]})
    elif source == "pg":
        servers["pg"].psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND application_name LIKE 'litebase%'")
    else:
        beside = servers["my"].beside
        for [number] in beside.rows("SELECT id FROM information_schema.processlist WHERE user = 'lb' AND info LIKE 'SELECT%'"):
            # It may be done meanwhile.
            with contextlib.suppress(NativeError):
                beside.rows(f"KILL QUERY {number}")


@pytest.mark.parametrize("source", ["pg", "my"])
@pytest.mark.parametrize("way", ["Ctrl-C", "an administrator", "the server's"])
def test_an_atomic_copy_whose_reading_is_stopped(served, servers, source, way):
    """Where a line is cut there is an error anyway, so it is stopped some times, in all parts of what one takes."""
    since = time.monotonic()
    copying(served, source).communicate(timeout=60)
    whole = time.monotonic() - since
    assert rows(served) == ROWS
    counts = []
    # A machine with much to do may need some more until one is stopped in time.
    while len(counts) < 7 or 0 not in counts and len(counts) < 30:
        under_way = copying(served, source)
        time.sleep(whole * (1 + len(counts) % 7) / 10)
        stopped(served, servers, source, way, under_way)
        said = under_way.communicate(timeout=60)[1]
        counts.append(rows(served))
        assert counts[-1] in (0, ROWS), (counts, said)
        assert "It is not JSON" not in said, said
    assert 0 in counts, "none was stopped"
