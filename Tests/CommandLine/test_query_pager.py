"""Results of `litebase query` and `litebase run` that do not fit a terminal go through a pager."""

import re
import time

import pytest

from daemon import wait_until
from test_cli import ENDLESS, LITEBASE, Terminal, daemon, run  # noqa: F401 (fixtures)

ROWS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {}) SELECT x FROM c"


@pytest.fixture
def shown(daemon, tmp_path):  # noqa: F811
    """Runs a command on a terminal of 24 lines with 80 columns, with a pager that notes what it gets; (status, screen, pager)."""
    def call(*words, pager=None, typed=None, **environment):
        page = tmp_path / "page"
        page.unlink(missing_ok=True)
        terminal = Terminal(daemon.socket, tmp_path, command=["sh", "-c", 'stty rows 24 cols 80; exec "$@"', "sh", LITEBASE, *words],
                            environment={"PAGER": pager or f"cat > {page}", **environment})
        if typed:
            typed(terminal)
        status = terminal.end()
        return status, terminal.output, page.read_text() if page.exists() else None
    return call


def test_what_is_too_long_or_too_wide(shown):
    status, screen, page = shown("query", ROWS.format(100))
    assert status == 0 and "│" not in screen and page.count("\n") == 103 and page.endswith("(100 rows)\n")
    status, screen, page = shown("query", "SELECT '" + "x" * 90 + "' AS wide, 1 AS b")
    assert status == 0 and "x" * 90 in page and "x" not in screen
    # Whatever the format, and each statement for itself.
    assert shown("query", "--format", "csv", ROWS.format(100))[2].count("\n") == 101
    status, screen, page = shown("query", f"SELECT 'first' AS a; {ROWS.format(50)}; SELECT 'last' AS b")
    assert status == 0 and "first" in screen and "last" in screen and page.endswith("(50 rows)\n") and "first" not in page


def test_what_fits_is_written_as_it_is(shown):
    assert shown("query", ROWS.format(10))[2] is None
    assert "(10 rows)" in shown("query", ROWS.format(10))[1]
    # Characters count, not their bytes.
    assert shown("query", "SELECT '" + "é" * 70 + "' AS wide")[2] is None


@pytest.mark.parametrize("off", ["flag", "environment", "pipe"])
def test_without_a_pager(shown, run, off):  # noqa: F811
    if off == "pipe":
        assert run("query", ROWS.format(100), environment={"PAGER": "false"}, check=0).stdout.count(b"\n") == 100
        return
    words = ["--no-pager"] if off == "flag" else []
    status, screen, page = shown("query", *words, ROWS.format(100), **({} if off == "flag" else {"PAGER": ""}))
    assert status == 0 and "(100 rows)" in screen and page is None


def test_leaving_it_is_no_error_and_ends_the_statement(shown, run):  # noqa: F811
    begin = time.monotonic()
    status, screen, _ = shown("query", ROWS.format(50_000_000), pager="head -3")
    assert status == 0 and "litebase:" not in screen and time.monotonic() - begin < 8
    # One that changes something is run to its end.
    run("query", "DROP TABLE IF EXISTS paged; CREATE TABLE paged(x)", check=0)
    status, _, _ = shown("query", f"INSERT INTO paged {ROWS.format(200_000)} RETURNING x", pager="head -3")
    assert status == 0 and run("query", "SELECT count(*) AS n FROM paged", check=0).stdout == b'{"n":200000}\n'


def test_an_error_comes_behind_the_rows(shown):
    status, screen, page = shown("query", "SELECT abs(x - 9223372036854775807 - 1 + 30000 - x) AS a, x FROM (" + ROWS.format(30_000) + ") "
                                 "WHERE x < 29999 OR abs(-9223372036854775808) > 0")
    assert status == 1 and "litebase: " in screen and page.count("\n") > 1000


def test_ctrl_c_ends_the_statement(shown):
    def typed(terminal):
        wait_until(lambda: terminal.has_lines(), "it runs")
        time.sleep(0.5)
        terminal.type("\x03")
    status, screen, _ = shown("query", ENDLESS, typed=typed)
    assert status != 0 and re.search("cancelled", screen)


def test_less_is_the_pager(daemon, tmp_path):  # noqa: F811
    """The columns that do not fit are reached by the arrow keys, and one key leaves."""
    terminal = Terminal(daemon.socket, tmp_path, command=[
        "sh", "-c", 'stty rows 24 cols 80; unset PAGER; exec "$@"', "sh", LITEBASE, "query", ROWS.format(1000)])
    terminal.expect(r"\b20\b")
    terminal.type("q")
    assert terminal.end() == 0


def test_saved_queries(shown, tmp_path):
    queries = tmp_path / ".config/litebase/queries"
    queries.mkdir(parents=True)
    (queries / "many.sql").write_text(ROWS.format(100))
    assert shown("run", "many")[2].endswith("(100 rows)\n")
    assert shown("run", "many", "--no-pager")[2] is None
