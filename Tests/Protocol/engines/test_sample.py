"""The shop in docs/examples/shop: loaded through LiteBase into every engine, it answers every question alike."""

import decimal
import hashlib
import json
import signal
import subprocess
import sys

import pytest

from conformance import CHOSEN
from daemon import LITEBASE, ROOT, Daemon
from engines import ENGINES

SHOP = ROOT / "docs/examples/shop"
# Nothing may appear in a directory that is packaged. What is imported later is to be compiled once, not by each process again.
writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
sys.path.insert(0, str(SHOP))
import data  # noqa: E402
import questions  # noqa: E402
import schema  # noqa: E402
import shop  # noqa: E402
sys.dont_write_bytecode = writes_none

SQL_ENGINES = [name for name in CHOSEN if name in schema.DIALECTS]


@pytest.fixture(scope="module")
def shops():
    """For each engine the daemon's name of its database; all are loaded."""
    engines = {name: ENGINES[name]() for name in SQL_ENGINES}
    try:
        instance = Daemon(databases={name: engine.url() for name, engine in engines.items()})
        try:
            client = shop.LiteBase(instance.socket_path)
            expected = sum(map(len, data.Shop().tables.values()))
            for name in engines:
                assert shop.load(client, name) == expected
            yield instance
            client.close()
            instance.finish()
        finally:
            instance.discard()
    finally:
        for engine in engines.values():
            engine.discard()


@pytest.fixture(scope="module")
def client(shops):
    client = shop.LiteBase(shops.socket_path)
    yield client
    client.close()


def number(value):
    """Decimals are text where the engine has them, and reals in SQLite: compared by value, to six digits."""
    return None if value is None else decimal.Decimal(str(value)).quantize(decimal.Decimal("1e-6"))


def alike(results):
    """The rows of each engine, with what the protocol lets engines express in their own way made the same."""
    decimals = {index for columns, _ in results.values() for index, column in enumerate(columns) if column["type"] == "decimal"}
    return {engine: [[number(value) if index in decimals else int(value) if isinstance(value, bool) else value
                      for index, value in enumerate(row)] for row in rows] for engine, (_, rows) in results.items()}


@pytest.mark.parametrize("question", questions.QUESTIONS, ids=lambda question: question.name)
def test_all_engines_answer_alike(client, question):
    results = {name: client.ask(question.ask(schema.DIALECTS[name]), question.params, database=name) for name in SQL_ENGINES}
    rows = alike(results)
    first = next(iter(rows))
    assert rows[first], "an answer without rows shows nothing"
    for name in rows:
        assert len(rows[name]) == len(rows[first]), name
        for index, (one, other) in enumerate(zip(rows[first], rows[name])):
            assert one == other and list(map(type, one)) == list(map(type, other)), (first, name, index)
        assert [column["name"] for column in results[name][0]] == [column["name"] for column in results[first][0]]


@pytest.mark.parametrize("name", SQL_ENGINES)
def test_every_value_came_through(client, name):
    """What was sent is what is stored, in every table."""
    for table, rows in data.Shop().tables.items():
        keys = schema.KEYS.get(table, ("id",))
        columns, stored = client.ask(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}", database=name)
        assert len(stored) == len(rows)
        parts = schema.TABLES[table]
        for sent, found in zip(rows, stored):
            for part, left, right in zip(parts, sent, found):
                if part.kind.startswith("decimal"):
                    left, right = number(left), number(right)
                assert left == right, (table, sent, found)


def test_the_rows_are_the_same_on_every_machine():
    """They depend on the seed alone; a change of the generator shows here, and changes every answer."""
    tables = data.Shop().tables
    text = json.dumps(tables, default=lambda blob: blob.hex(), ensure_ascii=False)
    assert data.Shop(2).tables != tables
    assert list(tables) and set(tables) == set(schema.TABLES) and 15_000 <= sum(map(len, tables.values())) <= 16_000
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "305af48d5be95162"


@pytest.mark.parametrize("name", SQL_ENGINES)
def test_the_program_as_a_user_runs_it(shops, name):
    def run(*arguments):
        return subprocess.run([sys.executable, str(SHOP / "shop.py"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60)

    where = ["--database", name, "--socket", shops.socket_path]
    assert "rows in 15 tables" in run("load", *where).stdout
    output = run("ask", "best customers", *where).stdout
    assert "best customers: 15 rows" in output and "spent" in output
    ddl = run("ddl", "--engine", name).stdout
    assert ddl.count("CREATE TABLE") == 15
    failure = run("load", "--database", "nowhere", "--socket", shops.socket_path)
    assert failure.returncode == 1 and "nowhere" in failure.stderr and "Traceback" not in failure.stderr


def test_the_tables_by_the_command_line(shops, directory):
    """`shop.py ddl | litebase query -` makes the same tables."""
    ddl = subprocess.run([sys.executable, str(SHOP / "shop.py"), "ddl"], stdout=subprocess.PIPE, check=True).stdout
    where = ["--socket", shops.socket_path, "--url", f"sqlite:{directory}/new.db"]
    subprocess.run([LITEBASE, "query", *where, "-"], input=ddl, check=True, stdout=subprocess.DEVNULL, timeout=60)
    output = subprocess.run([LITEBASE, "query", *where, "--format", "csv", "--no-header", "SELECT count(*) FROM sqlite_schema "
                             "WHERE type = 'table'"], stdout=subprocess.PIPE, check=True, text=True, timeout=60).stdout
    assert output.strip() == "15"


def test_who_follows_is_answered_again_after_each_change(directory, start_daemon):
    daemon = start_daemon(databases={"default": f"sqlite://{directory}/default.db"}, directory=directory)
    client = shop.LiteBase(daemon.socket_path)
    shop.load(client, "default")
    command = [sys.executable, SHOP / "shop.py", "ask", "--socket", daemon.socket_path, "--database", "default", "best customers", "--follow"]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        def answer():
            """The next one: its rows end where the shown ones do."""
            while not (head := follower.stdout.readline()).startswith("best customers:"):
                assert head == "\n" or head.startswith("  "), head
            follower.stdout.readline()
            return head, follower.stdout.readline().split()

        head, best = answer()
        assert head == "best customers: 15 rows\n"
        client.ask("DELETE FROM invoice_line WHERE invoice IN (SELECT id FROM invoice WHERE customer = ?)", [int(best[0])],
                   database="default")
        assert answer()[1][0] != best[0]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 130
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
        client.close()
