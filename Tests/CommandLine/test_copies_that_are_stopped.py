"""An atomic copy whose reading is stopped, by whomever, writes nothing: what came until then is never taken for the whole."""

import signal
import subprocess
import time

import pytest

from daemon import LITEBASE, Daemon
from directories import directory  # noqa: F401
from mariadb import MariaDB
from postgresql import PostgreSQL

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


def stopped(daemon, servers, source, way, copying):
    """Stops the reading side of a copy in the middle."""
    if way == "Ctrl-C":
        copying.send_signal(signal.SIGINT)
    elif way == "an administrator":
        with daemon.connect() as client:
            for entry in client.call("activity").data["entries"]:
                if entry["type"] == "export":
                    client.call("terminate", {"connection": entry["connection"], "number": entry["number"]})
    elif source == "pg":
        servers["pg"].psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND application_name LIKE 'litebase%'")
    else:
        for number in servers["my"].sql("SELECT id FROM information_schema.processlist WHERE user = 'lb' AND info LIKE 'SELECT%'").split():
            servers["my"].sql(f"KILL QUERY {number}")


@pytest.mark.parametrize("source", ["pg", "my"])
@pytest.mark.parametrize("way", ["Ctrl-C", "an administrator", "the server's"])
def test_an_atomic_copy_whose_reading_is_stopped(served, servers, source, way):
    """Where a line is cut there is an error anyway, so it is stopped some times."""
    for turn in range(6):
        with served.connect() as client:
            client.query("DROP TABLE IF EXISTS made", database="lite")
            client.query("CREATE TABLE made(a, b)", database="lite")
        copying = subprocess.Popen([LITEBASE, "copy", "--socket", served.socket_path, f"{source}/t", "lite/made", "--atomic"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.25 + 0.05 * turn)
        stopped(served, servers, source, way, copying)
        said = copying.communicate(timeout=60)[1]
        found = rows(served)
        assert found in (0, ROWS), (found, said)
        assert "It is not JSON" not in said, said
