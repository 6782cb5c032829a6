"""SQLAlchemy's own suite for dialects: nothing fails, and nothing is skipped, that its built-in dialect of the engine passes.

Both run it, with the same requirements. What became of each test is compared by its name; `python test_sqlalchemy_suite.py`
prints the numbers of docs/clients/python.md.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

SUITE = pathlib.Path(__file__).parent / "sqlalchemy_suite"
SOURCES = SUITE.parents[1] / "src"
sys.path[:0] = [str(SUITE.parents[3] / "Tests/Support"), str(SOURCES)]

sqlalchemy = pytest.importorskip("sqlalchemy")

from daemon import Daemon  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402

SECONDS_MAX = 600
# The suite makes and drops thousands of tables: on a disk, most of its time would be fsync(2).
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Of a class's name, what SQLAlchemy adds: the dialect and the server's version.
DIALECT = re.compile(r"_(sqlite|postgresql|mysql|mariadb)\+\w+(?=::)")
# What only the built-in dialect can pass. The first test knows cursors by the driver's name, and no other drivers; ours is in
# test_sqlalchemy.py. REGEXP of SQLite is a function in Python, which the daemon cannot call.
NOT_OURS = re.compile(r"ServerSideCursorsTest|LikeFunctionsTest::test_(not_)?regexp_match.*<sqlite>")


@contextlib.contextmanager
def sqlite():
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        daemon = Daemon(log_level="warning", directory=pathlib.Path(directory))
        try:
            yield f"sqlite+{{}}:///{directory}/suite.db?socket={daemon.socket_path}", "sqlite:///suite.db"
            daemon.finish()
        finally:
            daemon.discard()


@contextlib.contextmanager
def served(server, url, own, built_in):
    try:
        daemon = Daemon(databases={"suite": url}, log_level="warning")
        try:
            yield f"{own}:///suite?socket={daemon.socket_path}", built_in
            daemon.finish()
        finally:
            daemon.discard()
    finally:
        server.discard()


@contextlib.contextmanager
def postgresql():
    server = PostgreSQL(max_prepared_transactions="10")
    server.psql("CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2; CREATE EXTENSION hstore; CREATE EXTENSION citext")
    server.psql("CREATE DATABASE other TEMPLATE postgres")
    driver = "psycopg" if IS_2 else "psycopg2"
    built_in = f"postgresql+{driver}://lb@/other?host={server.directory}"
    with served(server, server.url(), "postgresql+{}", built_in) as urls:
        yield urls


@contextlib.contextmanager
def mariadb():
    server = MariaDB()
    server.sql("CREATE DATABASE test_schema; CREATE DATABASE test_schema_2; CREATE DATABASE other")
    built_in = f"mariadb+pymysql://admin@localhost/other?unix_socket={server.socket}&charset=utf8mb4"
    with served(server, server.url(user="admin"), "mariadb+{}", built_in) as urls:
        yield urls


ENGINES = {"sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}


def outcomes(url, *options, place=None):
    """Runs the suite with one dialect. Returns: for each test "passed", "failed" or "skipped", and why.

    Parameters: `place` is the directory in which the database attaches files by their names.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        file = pathlib.Path(directory) / "outcomes"
        # Where SQLAlchemy 1.4 looks for it.
        shutil.copy(SUITE / "setup.cfg", place or directory)
        environment = {**os.environ, "OUTCOMES": str(file), "PYTHONPATH": os.pathsep.join([str(SOURCES), str(SUITE)])}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "outcomes", "-c", SUITE / "setup.cfg",
                   "--dburi", url, *options, SUITE / "test_suite.py"]  # fmt: skip
        done = subprocess.run(
            command, cwd=place or directory, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
        assert file.exists(), done.stdout[-4000:] + done.stderr[-4000:]
        return {DIALECT.sub("", name): outcome for name, outcome in json.loads(file.read_text()).items()}


#: What is run where $LITEBASE_WHOLE_SUITE is not set: the whole takes minutes for each engine, most of them for the catalogue, of
#: which there are hundreds of combinations. Of these, what is asked of one table; of servers, what the dialects do themselves.
PART_OF_SQLITE = (
    "(BinaryTest or DateTimeTest or NumericTest or JSONTest or StringTest or UuidTest or BooleanTest or ArrayTest or EnumTest"
    " or InsertBehaviorTest or ReturningTest or LastrowidTest or RowCountTest or SimpleUpdateDeleteTest or RowFetchTest"
    " or PercentSchemaNamesTest or IsolationLevelTest or AutocommitIsolationTest or ExceptionTest or FetchLimitOffsetTest"
    " or ExpandingBoundInTest or NormalizedNameTest or HasTableTest or HasIndexTest) and not get_multi"
)
PART_OF_SERVERS = "NumericTest or CTETest or RowCountTest or InsertBehaviorTest or IsolationLevelTest"
IS_2 = sqlalchemy.__version__ >= "2"
#: How many tests the built-in dialects pass at least, of a part and of the whole; 1.4 has a third of them.
PASSED_MIN = (
    {"sqlite": (150, 1400), "postgresql": (50, 1700), "mariadb": (50, 1500)}
    if IS_2
    else {"sqlite": (100, 440), "postgresql": (30, 520), "mariadb": (30, 470)}
)


def compared(engine, own, built_in):
    """What the built-in dialect passes and ours does not, and what fails with ours alone."""
    lost = {
        name: own.get(name, ("absent", ""))
        for name, (outcome, _) in built_in.items()
        if outcome == "passed" and own.get(name, ("absent", ""))[0] != "passed" and not NOT_OURS.search(f"{name}<{engine}>")
    }
    failed = {
        name: reason
        for name, (outcome, reason) in own.items()
        if outcome == "failed" and built_in[name][0] != "failed" and not NOT_OURS.search(f"{name}<{engine}>")
    }
    return lost, failed


def is_whole():
    return bool(os.environ.get("LITEBASE_WHOLE_SUITE"))


def both(engine):
    """What becomes of each test, with our dialect and with the built-in one."""
    part = [] if is_whole() else ["-k", PART_OF_SQLITE if engine == "sqlite" else PART_OF_SERVERS]
    with ENGINES[engine]() as (url, built_in_url):
        found = re.search("socket=(.*)/", url)
        return outcomes(url.format("litebase"), *part, place=found[1]), outcomes(built_in_url, *part)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_suite_of_sqlalchemy(engine):
    own, built_in = both(engine)
    assert sum(outcome == "passed" for outcome, _ in built_in.values()) >= PASSED_MIN[engine][is_whole()]
    assert compared(engine, own, built_in) == ({}, {})


def main():
    os.environ["LITEBASE_WHOLE_SUITE"] = "1"
    columns = "engine", "tests", "passed by both", "skipped by both", "failed by both", "only by the built-in dialect"
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for engine in sys.argv[1:] or ENGINES:
        own, built_in = both(engine)
        pairs = collections.Counter((own.get(name, ("absent",))[0], outcome) for name, (outcome, _) in built_in.items())
        same = [pairs[outcome, outcome] for outcome in ("passed", "skipped", "failed")]
        numbers = [len(built_in), *same, len(built_in) - sum(same)]
        print(f"| {engine} | {' | '.join(map(str, numbers))} |", flush=True)
        for kind, tests in zip(("not passed", "failed"), compared(engine, own, built_in)):
            for name, reason in tests.items():
                print(kind, name, reason)


if __name__ == "__main__":
    main()
