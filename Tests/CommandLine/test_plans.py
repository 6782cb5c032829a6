"""Plans on a terminal: as sqlite3 draws them, and as servers have written them; elsewhere they are rows like any others."""

import os
import pty
import subprocess

import pytest

from test_cli import LITEBASE, daemon, run  # noqa: F401 (fixtures)

SCHEMA = ("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u; "
          "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c); CREATE INDEX tb ON t(b); CREATE TABLE u(x, y);")
STATEMENTS = [
    "SELECT * FROM t",
    "SELECT * FROM t JOIN u ON u.x = t.b WHERE t.b IN (SELECT y FROM u WHERE x > 3) UNION SELECT 1, 2, 3, 4, 5 ORDER BY 1",
    "SELECT * FROM t JOIN u ON u.x = t.b WHERE t.b IN (SELECT y FROM u WHERE x > 3) ORDER BY t.c",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5) SELECT count(*) FROM c",
    "SELECT 1", "DELETE FROM t WHERE b > 1", "INSERT INTO u SELECT a, b FROM t ORDER BY c DESC",
]


def on_terminal(socket, *words, locale="C", stdin=None):
    """What a program writes to a terminal, line by line."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(LITEBASE, [LITEBASE, *words],
                  {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm", "NO_COLOR": "1", "LC_ALL": locale, "PAGER": "",
                   "LITEBASE_SOCKET": socket})
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown.decode().replace("\r\n", "\n").splitlines()


@pytest.fixture
def tables(daemon, run):  # noqa: F811
    run("query", SCHEMA, check=0)
    return daemon


def of_sqlite(statement):
    shown = subprocess.run(["sqlite3", ":memory:"], input=f"{SCHEMA}\n{statement};\n", capture_output=True, text=True, check=True)
    return [line.rstrip() for line in shown.stdout.splitlines()]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_tree_as_sqlite3_draws_it(tables, statement):
    wanted = of_sqlite(f"EXPLAIN QUERY PLAN {statement}")
    shown = on_terminal(tables.socket, "query", f"explain /* it */ query plan {statement}")
    # Without a table there is no row, and sqlite3 shows nothing at all.
    assert shown == (wanted or ["QUERY PLAN"])
    drawn = on_terminal(tables.socket, "query", f"EXPLAIN QUERY PLAN {statement}", locale="C.UTF-8")
    assert [line.replace("├─ ", "|--").replace("└─ ", "`--").replace("│", "|") for line in drawn] == shown


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_program_with_its_loops(tables, statement):
    def instructions(lines):
        """Address, spaces in front of the instruction, and its name."""
        column = lines[0].index("opcode") if lines else 0
        return [(line.split()[0], len(line[column:]) - len(line[column:].lstrip()), line.split()[1]) for line in lines if line[:1].isdigit()]
    wanted = of_sqlite(f"EXPLAIN {statement}")
    shown = on_terminal(tables.socket, "query", f"EXPLAIN {statement}")
    assert shown[0].split() == ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"]
    assert instructions(shown) == instructions(wanted) and len(instructions(shown)) > 2
    # All columns are aligned, however deep a loop is.
    column = shown[0].index("p1")
    assert all(line[column - 2:column] == "  " and line[column] != " " for line in shown[1:])


def test_elsewhere_it_is_rows(tables, run):  # noqa: F811
    assert '"detail":"SCAN t"' in run("query", "EXPLAIN QUERY PLAN SELECT * FROM t", check=0).stdout.decode()
    assert "| parent" in run("query", "--format", "table", "EXPLAIN QUERY PLAN SELECT * FROM t", check=0).stdout.decode().replace("│", "|")
    # A format that was asked for is that format.
    assert on_terminal(tables.socket, "query", "--format", "csv", "EXPLAIN QUERY PLAN SELECT * FROM t")[0] == "id,parent,notused,detail"
    # Other statements may have such columns.
    shown = on_terminal(tables.socket, "query", "SELECT 1 AS id, 0 AS parent, 0 AS notused, 'x' AS detail")
    assert "notused" in shown[0] and shown[-1] == "(1 row)"


def test_rows_that_are_cut_off_are_told(tables):
    shown = on_terminal(tables.socket, "query", "--max-rows", "2", f"EXPLAIN {STATEMENTS[1]}")
    assert shown[-1] == "(2 rows, more were cut off)"
