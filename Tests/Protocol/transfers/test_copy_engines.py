"""A table goes from each engine to each other one through a pipe, as `litebase copy` has it, and comes back the same."""

import os

import pytest

from mariadb import MariaDB
from postgresql import PostgreSQL
from transfers import hello, outcome, send_with

# It starts database servers.
pytestmark = pytest.mark.slow

TYPES = {"lite": "i INTEGER, r REAL, t TEXT, b BLOB", "pg": "i bigint, r double precision, t text, b bytea",
         "my": "i bigint, r double, t longtext, b longblob"}
ROWS = [[1, 1.5, 'a"\n\t\\', b"\x00\xff"], [None, None, None, None], [2**63 - 1, -1e300, "", b""], [-2**63, 0.1, "é🎉\u2028", b"\\x"]]


@pytest.fixture(scope="module")
def servers():
    made = {"pg": PostgreSQL(), "my": MariaDB()}
    yield made
    for server in made.values():
        server.discard()


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_copies(servers, start_daemon, directory, source, target):
    daemon = start_daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db",
                                                          **{name: server.url() for name, server in servers.items()}})
    with daemon.connect("msgpack") as client, daemon.connect("msgpack") as other:
        hello(client), hello(other)
        for name, database in (("copy_from", source), ("copy_to", target)):
            client.query(f"DROP TABLE IF EXISTS {name}", database=database)
            client.query(f"CREATE TABLE {name}(n int, {TYPES[database]})", database=database)
        marks = ", ".join(f"${n}" if source == "pg" else "?" for n in range(1, 6))
        for number, row in enumerate(ROWS):
            client.query(f"INSERT INTO copy_from VALUES ({marks})", params=[number, *row], database=source)
        reader, writer = os.pipe()
        exporting = send_with(client, [writer], "export",
                              {"descriptors": 1, "relation": "copy_from", "format": "jsonl", "database": source})
        importing = send_with(other, [reader], "import",
                              {"descriptors": 1, "relation": "copy_to", "format": "jsonl", "database": target, "atomic": True})
        os.close(reader), os.close(writer)
        assert outcome(client, exporting)[-1]["row_count"] == len(ROWS)
        assert outcome(other, importing)[-1]["row_count"] == len(ROWS)
        assert client.query("SELECT i, r, t, b FROM copy_to ORDER BY n", database=target).rows == ROWS
