"""What an import says of rows that the table leaves out without refusing them: as the engine counts them."""

import os

import pytest

from daemon import Daemon
from directories import directory  # noqa: F401
from postgresql import PostgreSQL
from transfers import hello, opened, transfer

ROWS = 1000


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db"})
    yield daemon
    daemon.finish()


@pytest.fixture(scope="module")
def server():
    server = PostgreSQL()
    yield server
    server.discard()


def imported(daemon, tmp_path, database, relation, **options):
    """The count that is told, and the one that is true."""
    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "".join(f"{row}\n" for row in range(ROWS)))
    with daemon.connect() as client:
        hello(client)
        with opened(path, os.O_RDONLY) as descriptor:
            reply = transfer(client, "import", descriptor, database=database, relation=relation, **options)
        return reply["row_count"], client.query(f"SELECT count(*) FROM {relation}", database=database).value


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize(("script", "count"), [
    (["CREATE TABLE t(a)"], ROWS),
    (["CREATE TABLE t(a)", "CREATE TRIGGER s BEFORE INSERT ON t WHEN NEW.a % 2 = 0 BEGIN SELECT RAISE(IGNORE); END"], ROWS // 2),
    (["CREATE TABLE t(a INTEGER UNIQUE ON CONFLICT IGNORE)", "INSERT INTO t VALUES (7), (8)"], ROWS - 2),
    (["CREATE TABLE t(a INTEGER UNIQUE ON CONFLICT REPLACE)", "INSERT INTO t VALUES (7)"], ROWS),
    (["CREATE TABLE t(a)", "CREATE TABLE log(a)", "CREATE TRIGGER s AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.a), (1); END"], ROWS),
    (["CREATE VIRTUAL TABLE t USING fts5(a)"], ROWS),
    # SQLite does not count what goes through a view.
    (["CREATE TABLE other(a)", "CREATE VIEW t AS SELECT * FROM other",
      "CREATE TRIGGER s INSTEAD OF INSERT ON t BEGIN INSERT INTO other VALUES (NEW.a); END"], ROWS),
], ids=["table", "trigger", "ignore", "replace", "after", "fts5", "view"])
def test_sqlite(served, tmp_path, script, count, atomic):
    with served.connect() as client:
        for sql in script:
            client.query(sql, database="lite")
        before = client.query("SELECT count(*) FROM t", database="lite").value
    told, found = imported(served, tmp_path, "lite", "t", atomic=atomic)
    replaced = before if "REPLACE" in script[0] else 0
    assert (told, found - before + replaced) == (count, count)


@pytest.mark.slow
@pytest.mark.parametrize("atomic", [False, True])
def test_postgresql(server, directory, tmp_path, atomic):  # noqa: F811
    server.psql("DROP TABLE IF EXISTS t")
    server.psql("CREATE TABLE t(a int)")
    server.psql("CREATE OR REPLACE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN IF NEW.a % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$")
    server.psql("CREATE TRIGGER s BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION skip()")
    daemon = Daemon(directory=directory, databases={"pg": server.url()})
    try:
        assert imported(daemon, tmp_path, "pg", "t", atomic=atomic) == (ROWS // 2, ROWS // 2)
    finally:
        daemon.finish()
