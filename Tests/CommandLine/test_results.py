"""Procedures with several results: the command line shows them all, as the database's own client does."""

import os
import pty

import pytest

from test_cli import LITEBASE
from test_scripts import daemon, environment, mariadb, postgresql, run  # noqa: F401 (fixtures)

# It starts database servers.
pytestmark = pytest.mark.slow

SCHEMA = """
CREATE PROCEDURE two() BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, NULL AS c; END;
CREATE PROCEDURE three() BEGIN SELECT 1 AS a; SELECT 2 AS b WHERE false; INSERT INTO kept VALUES (1), (2); SELECT 3 AS c; END;
CREATE PROCEDURE ends() BEGIN SELECT 1 AS a; SELECT nix FROM nowhere; END;
CREATE PROCEDURE waits() SQL SECURITY INVOKER BEGIN SELECT 1 AS a; SELECT SLEEP(60) AS b; END;
"""


@pytest.fixture(scope="module", autouse=True)
def procedures(mariadb):  # noqa: F811
    mariadb.sql("CREATE TABLE kept(x int) ENGINE=InnoDB;\nDELIMITER //" + SCHEMA.replace("END;", "END//"), "lb")


EXPECTED = {
    "table": " a\n---\n 1\n 2\n(2 rows)\n b | c\n---+------\n x | NULL\n(1 row)\nOK\n",
    "json": '[\n{"a":1},\n{"a":2}\n]\n[\n{"b":"x","c":null}\n]\n',
    "jsonl": '{"a":1}\n{"a":2}\n{"b":"x","c":null}\n',
    "csv": "a\n1\n2\nb,c\nx,\n",
    "tsv": "a\n1\n2\nb\tc\nx\t\\N\n",
    "markdown": "| a |\n| ---: |\n| 1 |\n| 2 |\n| b | c |\n| --- | --- |\n| x | NULL |\n",
}


@pytest.mark.parametrize("way", ["query", "script", "shell"])
@pytest.mark.parametrize("format", EXPECTED)
def test_every_result_in_every_format(run, format, way):  # noqa: F811
    words = ["shell" if way == "shell" else "query", "-d", "my", "--format", format]
    if way == "query":
        result = run(*words, "CALL two()")
    else:
        result = run(*words, *(["-"] if way == "script" else []), stdin="CALL two();\n")
    assert (result.stdout.replace("│", "|").replace("─", "-").replace("┼", "+"), result.stderr, result.returncode) == (EXPECTED[format], "", 0)


def test_what_a_procedure_has_changed_is_said_behind_its_results(run, mariadb):  # noqa: F811
    result = run("query", "-d", "my", "--format", "table", "CALL three()")
    assert [line.strip() for line in result.stdout.splitlines() if "row" in line] == ["(1 row)", "(0 rows)", "(1 row)", "2 rows affected"]
    # One result stands for itself, as before.
    assert run("query", "-d", "my", "--format", "table", "INSERT INTO kept VALUES (9) RETURNING x").stdout.endswith("(1 row)\n")
    assert run("query", "-d", "my", "--format", "table", "DELETE FROM kept").stdout == "3 rows affected\n"


def test_rows_beyond_the_limit_are_told_for_each_result(run):  # noqa: F811
    table = run("query", "-d", "my", "--format", "table", "--max-rows", "1", "CALL two()").stdout
    assert "(1 row, more were cut off)\n b" in table and table.endswith("(1 row)\nOK\n")
    lines = run("query", "-d", "my", "--max-rows", "1", "CALL two()")
    assert lines.stdout == '{"a":1}\n{"b":"x","c":null}\n' and "more rows than --max-rows" in lines.stderr


def test_an_error_behind_a_result(run):  # noqa: F811
    result = run("query", "-d", "my", "CALL ends()")
    assert result.stdout == '{"a":1}\n' and "nowhere" in result.stderr and result.returncode == 1
    result = run("shell", "-d", "my", "--on-error", "continue", stdin="CALL ends();\nCALL two();\n")
    assert result.stdout.startswith('{"a":1}\n{"a":1}') and result.returncode == 1


def test_a_result_is_shown_when_it_is_there_and_ctrl_c_ends_the_next(daemon, mariadb):  # noqa: F811
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(LITEBASE, [LITEBASE, "shell", "-d", "my", "--socket", daemon.socket_path],
                  {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    shown = b""

    def until(mark):
        nonlocal shown
        while mark not in shown:
            shown += os.read(terminal, 4096)
        text, _, shown = shown.partition(mark)
        return text

    until(b"my> ")
    os.write(terminal, b"CALL waits();\r")
    until(b"(1 row)")
    os.write(terminal, b"\x03")
    until(b"hint: ")
    until(b"my> ")
    os.write(terminal, b"SELECT 40 + 2;\r")
    until(b"42")
    os.write(terminal, b"\x04")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
