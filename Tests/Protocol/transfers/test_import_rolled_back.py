"""Rows of an import that have SQLite roll back the whole transaction."""

import os

import pytest

from daemon import Daemon
from directories import directory  # noqa: F401
from transfers import hello, opened, transfer_fails

RAISES = "CREATE TRIGGER s BEFORE INSERT ON t WHEN EXISTS (SELECT 1 FROM t WHERE a = NEW.a) BEGIN SELECT RAISE(ROLLBACK, 'twice'); END"
SCRIPTS = {"conflict": ["CREATE TABLE t(a INTEGER UNIQUE ON CONFLICT ROLLBACK)"], "trigger": ["CREATE TABLE t(a)", RAISES]}


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db"})
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("options", [{}, {"max_rejected": 5}], ids=["", "max_rejected"])
@pytest.mark.parametrize("way", ["session", "request", "atomic"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_line_and_what_is_left(served, tmp_path, script, way, options):
    lines = [*range(40), 7, *range(40, 60)]
    (tmp_path / "rows.csv").write_text("a\n" + "".join(f"{line}\n" for line in lines))
    with served.connect() as client:
        hello(client)
        for sql in [*SCRIPTS[script], "CREATE TABLE other(a)"]:
            client.query(sql, database="lite")
        target = {"session": client.session(database="lite")} if way == "session" else {"database": "lite", "atomic": way == "atomic"}
        if way == "session":
            client.query("BEGIN", **target)
            client.query("INSERT INTO other VALUES (1)", **target)
        with opened(tmp_path / "rows.csv", os.O_RDONLY) as descriptor:
            error = transfer_fails(client, "import", descriptor, relation="t", **options, **target)
        # The names, and a line for each row.
        assert error["code"] == "constraint_violation" and error["message"].startswith("Line 42 was refused: "), error
        if way == "session":
            assert "The transaction was rolled back, with all rows of it." in error["detail"], error
        assert client.query("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM other)", database="lite").value == 0


def test_a_commit_that_is_refused_leaves_no_transaction(served, tmp_path):
    """SQLite keeps the transaction whose deferred references are not met: the session has none of its own, and gets none."""
    (tmp_path / "rows.csv").write_text("a,b\n1,7\n2,8\n")
    with served.connect() as client:
        hello(client)
        client.query("CREATE TABLE parent(id INTEGER PRIMARY KEY)", database="lite")
        client.query("CREATE TABLE t(a, b REFERENCES parent DEFERRABLE INITIALLY DEFERRED)", database="lite")
        session = client.session(database="lite")
        client.query("PRAGMA foreign_keys = ON", session=session)
        with opened(tmp_path / "rows.csv", os.O_RDONLY) as descriptor:
            error = transfer_fails(client, "import", descriptor, relation="t", session=session, atomic=True)
        assert error["code"] == "constraint_violation", error
        # Others write, and the session's next transaction has nothing of it.
        client.query("INSERT INTO parent VALUES (1)", database="lite")
        client.query("BEGIN", session=session)
        client.query("COMMIT", session=session)
        assert client.query("SELECT count(*) FROM t", database="lite").value == 0
