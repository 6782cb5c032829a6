"""`litebase copy --create`: its types hold what the columns have, digit by digit, and what no type can hold is refused."""

import shutil
import sqlite3

import pytest

from test_transfers import run

from daemon import Daemon, short_directory
from mariadb import MariaDB
from postgresql import PostgreSQL

# It starts database servers.
pytestmark = pytest.mark.slow

LONGEST = 2**64 - 1
UNSIGNED = [0, 5, 2**63 - 1, 2**63, 2**63 + 1, LONGEST]
# The digits of a numeric: more than MySQL has, and behind a point.
DIGITS = ["1.2345678901234567890123456789012345678901", "0.00000000000000000000000000000000000000001", "-7", "9" * 60]


@pytest.fixture(scope="module")
def served():
    mariadb, postgresql, directory = MariaDB(), PostgreSQL(), short_directory()
    mariadb.sql("SET GLOBAL sql_mode = ''")
    daemon = Daemon(directory=directory, databases={
        "my": mariadb.url(), "pg": postgresql.url(), "lite": f"sqlite:{directory}/lite.db", "from": f"sqlite:{directory}/from.db"})
    try:
        yield daemon, mariadb, postgresql, directory
        daemon.finish()
    finally:
        daemon.discard()
        mariadb.discard()
        postgresql.discard()
        shutil.rmtree(directory, ignore_errors=True)


def copy(daemon, *arguments, **options):
    return run(daemon, "copy", *arguments, **options)


def lite(directory, sql):
    with sqlite3.connect(directory / "lite.db") as connection:
        return connection.execute(sql).fetchall()


def test_unsigned_integers(served):
    daemon, mariadb, postgresql, directory = served
    mariadb.sql("CREATE TABLE u(id int, b bigint unsigned, w bit(64), s bit(1), n bigint)", "lb")
    for number, value in enumerate(UNSIGNED):
        mariadb.sql(f"INSERT INTO u VALUES ({number}, {value}, {value}, 1, -{number})", "lb")
    for target in ("lite", "pg"):
        assert copy(daemon, "my/u", f"{target}/u", "--create").stdout == f"{len(UNSIGNED)} rows copied\n"
    copy(daemon, "my/u", "my/u2", "--create")
    rows = lite(directory, "SELECT b, w, s, n, typeof(s) FROM u ORDER BY id")
    assert [(int(b), int(w), *rest) for b, w, *rest in rows] == [(value, value, 1, -number, "integer") for number, value in enumerate(UNSIGNED)]
    # What an integer of SQLite can hold is one.
    assert lite(directory, f"SELECT count(*) FROM u WHERE typeof(b) = 'integer' AND b <= {2**63 - 1}") == [(3,)]
    assert postgresql.psql("SELECT b, w FROM u ORDER BY id") == "\n".join(f"{value}|{value}" for value in UNSIGNED)
    assert mariadb.sql("SELECT b, w + 0 FROM u2 ORDER BY id", "lb").split() == [str(value) for value in UNSIGNED for _ in range(2)]
    # Of an expression nobody tells whether it has a sign.
    copy(daemon, "my", "lite/sums", "--query", "SELECT b + 0 AS b FROM u WHERE id > 2", "--create")
    assert [int(row[0]) for row in lite(directory, "SELECT b FROM sums ORDER BY rowid")] == UNSIGNED[3:]


def test_decimals(served):
    daemon, mariadb, postgresql, directory = served
    postgresql.psql("CREATE TABLE d(id int, n numeric, p numeric(10,2), w numeric(50,40), z numeric(5,-2))")
    for number, digits in enumerate(DIGITS):
        postgresql.psql(f"INSERT INTO d VALUES ({number}, {digits}, 12345678.91, 0.1234567890123456789012345678901234567891, 12300)")
    shown = copy(daemon, "pg/d", "my", "--create", "--dry-run").stdout
    assert "\nn\tnumeric\tlongtext\np\tnumeric(10,2)\tdecimal(10,2)\nw\tnumeric(50,40)\tlongtext\n" in shown, shown
    for target in ("my", "lite"):
        assert copy(daemon, "pg/d", f"{target}/d", "--create").stdout == f"{len(DIGITS)} rows copied\n"
    wanted = [f"{digits}|12345678.91|0.1234567890123456789012345678901234567891|12300" for digits in DIGITS]
    assert mariadb.sql("SELECT concat_ws('|', n, p, w, z) FROM d ORDER BY id", "lb").split() == wanted
    assert [row[0] for row in lite(directory, "SELECT concat FROM (SELECT id, n || '|' || p || '|' || w || '|' || z AS concat FROM d) ORDER BY id")] == wanted
    # Back again, and within one engine.
    copy(daemon, "my/d", "my/d2", "--create")
    assert mariadb.sql("SELECT concat_ws('|', n, p, w, z) FROM d2 ORDER BY id", "lb").split() == wanted
    mariadb.sql("CREATE TABLE scale(a decimal(65,38), b decimal(20,0))", "lb")
    mariadb.sql("INSERT INTO scale VALUES (0.12345678901234567890123456789012345678, 12345678901234567890)", "lb")
    for target in ("my/scale2", "pg/scale2"):
        copy(daemon, "my/scale", target, "--create")
    digits = ["0.12345678901234567890123456789012345678", "12345678901234567890"]
    assert mariadb.sql("SELECT * FROM scale2", "lb").split() == digits
    assert postgresql.psql("SELECT * FROM scale2") == "|".join(digits)


def test_what_is_no_number(served):
    """SQLite makes NULL of NaN: a row that has it is refused."""
    daemon, _, postgresql, directory = served
    postgresql.psql("CREATE TABLE f(id int, f float8); INSERT INTO f VALUES (1, 'NaN'), (2, '-Infinity'), (3, 1.5)")
    refused = copy(daemon, "pg/f", "lite/f", "--create", "--atomic", status=1)
    assert "NaN" in refused.stderr and lite(directory, "SELECT count(*) FROM sqlite_schema WHERE name = 'f'") == [(0,)], refused
    kept = copy(daemon, "pg/f", "lite/f", "--create", "--max-rejected", "1")
    assert kept.stdout == "2 rows copied\n" and "NaN" in kept.stderr, kept
    assert lite(directory, "SELECT id, f FROM f ORDER BY id") == [(2, float("-inf")), (3, 1.5)]
    # In a column of texts, or of PostgreSQL, it is what it was.
    copy(daemon, "pg", "lite/texts", "--query", "SELECT id, f::text AS f FROM f", "--create")
    assert lite(directory, "SELECT f FROM texts ORDER BY id") == [("NaN",), ("-Infinity",), ("1.5",)]
    copy(daemon, "pg/f", "pg/f2", "--create")
    assert postgresql.psql("SELECT f FROM f2 ORDER BY id") == "NaN\n-Infinity\n1.5"
