"""DROP of a virtual table, which a loop prepares no statement for."""

import pytest

from daemon import Daemon
from directories import directory  # noqa: F401


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db"})
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("begin", ["", "BEGIN", "BEGIN IMMEDIATE"])
@pytest.mark.parametrize("kind", ["session", "batch", "request"])
def test_if_exists(served, kind, begin):
    """SQLite takes one that it is not to look at for none."""
    with served.connect() as client:
        client.query("CREATE VIRTUAL TABLE words USING fts5(body)", database="lite")
        target = {"database": "lite"} if kind == "request" else {"session": client.session(database="lite")}
        if begin and kind != "request":
            client.query(begin, **target)
        drop = {"sql": "DROP TABLE IF EXISTS words"}
        if kind == "batch":
            client.call("batch", {"statements": [drop], **target})
        else:
            client.query(drop["sql"], **target)
        assert client.query("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'words%'", **target).value == 0
        if begin and kind != "request":
            client.query("COMMIT", **target)
        assert client.query("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'words%'", database="lite").value == 0
        # One that is not there is no error.
        client.query(drop["sql"], **target)
