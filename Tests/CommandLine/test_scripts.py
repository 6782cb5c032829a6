"""Scripts whose parts could end up where nobody meant them: other statement boundaries than the server's, data taken for SQL,
halves of statements, the wrong database, transactions that are left open."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from test_cli import LITEBASE, SANITIZER

from daemon import Daemon, short_directory, wait_until
from mariadb import MariaDB
from postgresql import PostgreSQL

# It starts database servers.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mariadb():
    instance = MariaDB()
    yield instance
    instance.discard()


@pytest.fixture(scope="module")
def postgresql():
    instance = PostgreSQL()
    yield instance
    instance.discard()


@pytest.fixture(scope="module")
def daemon(mariadb, postgresql):
    directory = short_directory()
    instance = Daemon(directory=directory, databases={
        "other": f"sqlite:{directory}/other.db", "my": mariadb.url(), "pg": postgresql.url()})
    yield instance
    instance.discard()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def environment(daemon, tmp_path):
    return {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket_path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **SANITIZER}


@pytest.fixture
def run(environment):
    def call(*arguments, stdin=None):
        return subprocess.run([LITEBASE, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60)
    return call


@pytest.fixture(params=["query", "shell"])
def script(run, request):
    """Runs a script on standard input, by each of the two commands."""
    def call(database, text):
        words = ["query", "-d", database, "-"] if request.param == "query" else ["shell", "-d", database]
        return run(*words, stdin=text)
    return call


def count(run, database, table):
    done = run("query", "-d", database, "--format", "csv", "--no-header", f"SELECT count(*) FROM {table}")
    assert done.returncode == 0, done
    return int(done.stdout)


# Boundaries

NBE = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES');\n"
HIDDEN = r"""INSERT INTO paths VALUES ('C:\');
INSERT INTO paths VALUES ('x; DELETE FROM precious; #');
"""


@pytest.fixture
def precious(run):
    for database in ("my", "pg"):
        done = run("query", "-d", database, "DROP TABLE IF EXISTS precious; DROP TABLE IF EXISTS paths; CREATE TABLE precious(x int);"
                   "CREATE TABLE paths(x varchar(100)); INSERT INTO precious VALUES (1)")
        assert done.returncode == 0, done
    yield
    for database in ("my", "pg"):
        assert count(run, database, "precious") == 1, f"a text of {database} was run"


def test_backslashes_that_are_themselves_for_a_session(script, run, precious):
    done = script("my", NBE + HIDDEN)
    assert done.returncode == 0, done
    assert count(run, "my", "paths") == 2


def test_backslashes_that_are_themselves_within_one_line(script, run, precious):
    done = script("my", NBE.strip() + HIDDEN.replace("\n", " ") + "\n")
    assert done.returncode == 0, done
    assert count(run, "my", "paths") == 2


def test_backslashes_that_are_themselves_by_an_executed_comment(script, run, precious):
    done = script("my", "/*!40101 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */;\n" + HIDDEN)
    assert done.returncode == 0, done
    assert count(run, "my", "paths") == 2


def test_backslashes_that_are_themselves_for_all(mariadb, script, run, precious):
    mariadb.sql("SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',NO_BACKSLASH_ESCAPES')")
    try:
        # Connections of the pool were greeted before.
        assert script("my", NBE + HIDDEN).returncode == 0
        assert run("query", "-d", "my", NBE + HIDDEN).returncode == 0
        assert count(run, "my", "paths") == 4
    finally:
        mariadb.sql("SET GLOBAL sql_mode = REPLACE(@@GLOBAL.sql_mode, ',NO_BACKSLASH_ESCAPES', '')")


def test_names_in_double_quotes_have_no_escapes(script, run, precious):
    text = 'SET SESSION sql_mode = \'ANSI_QUOTES\';\nSELECT 1 AS "a\\";\nSELECT 2 AS "x; DELETE FROM precious; #";\n'
    assert script("my", text).returncode == 0


def test_two_hyphens_are_no_comment_without_a_blank(script, run, precious):
    done = script("my", "SELECT 5--3 AS n; SELECT 1---1 AS m; SELECT 2 -- DELETE FROM precious;\n AS o;\n--\nSELECT 4 AS p;\n")
    assert done.returncode == 0 and done.stdout == '{"n":8}\n{"m":0}\n{"o":2}\n{"p":4}\n', done


def test_postgresql_with_backslashes(script, run, precious):
    done = script("pg", "SET standard_conforming_strings = off;\nSET escape_string_warning = off;\n"
                        r"INSERT INTO paths VALUES ('it\'s; DELETE FROM precious; --');" "\n"
                        "RESET standard_conforming_strings;\n"
                        r"INSERT INTO paths VALUES ('C:\');" "\nINSERT INTO paths VALUES ('x; DELETE FROM precious; --');\n")
    assert done.returncode == 0, done
    assert count(run, "pg", "paths") == 3


# What belongs to a statement


COPY = "{copy}\n1\\tx\nDELETE FROM precious;\n\\\\.\nDROP TABLE precious;\n\\.\nINSERT INTO paths VALUES ('behind');\n"


@pytest.mark.parametrize("copy", ["COPY paths FROM stdin;", "copy public.paths (x) From STDIN WITH (FORMAT text);",
                                  "-- data\nCOPY paths FROM\n  stdin ;", "/* ( */ COPY paths FROM STDIN;"])
def test_data_of_copy_is_loaded(script, run, precious, copy):
    done = script("pg", COPY.format(copy=copy))
    assert (done.returncode, done.stderr) == (0, ""), done
    found = run("query", "-d", "pg", "--format", "jsonl", "SELECT x FROM paths ORDER BY ctid").stdout
    assert [json.loads(line)["x"] for line in found.splitlines()] == ["1\tx", "DELETE FROM precious;", "\\.", "DROP TABLE precious;", "behind"]


def test_formats_of_copy(script, run, precious):
    """As the server reads them."""
    done = script("pg", 'COPY paths FROM stdin WITH (FORMAT csv, HEADER);\nx\n"a; ""b""\n\\"\n\\.\nCOPY paths FROM stdin DELIMITER \'|\' NULL \'none\';\r\nc\r\n\\.\r\n'
                        "COPY paths FROM stdin;\n\\.\nCOPY precious FROM stdin;\n\\.\n")
    assert done.returncode == 0, done
    found = run("query", "-d", "pg", "--format", "jsonl", "SELECT x FROM paths ORDER BY ctid").stdout
    assert [json.loads(line)["x"] for line in found.splitlines()] == ['a; "b"\n\\', "c"]


def test_data_that_are_refused(script, run, precious):
    """None of them is there, the error says where, and the script ends, or goes on behind them."""
    text = "CREATE TEMP TABLE n(i int);\nINSERT INTO paths VALUES ('before');\nCOPY n FROM stdin;\n1\n2\nDELETE FROM precious;\n4\n\\.\nINSERT INTO paths SELECT i::text FROM n;\n"
    done = script("pg", text)
    assert done.returncode == 1 and "line 3" in done.stderr and "COPY n, line 3, column i" in done.stderr, done
    assert count(run, "pg", "paths") == 1
    done = run("query", "-d", "pg", "--on-error", "continue", "-", stdin=text + "INSERT INTO paths VALUES ('behind');\n")
    assert done.returncode == 1 and done.stderr.count("litebase:") == 1, done
    assert count(run, "pg", "paths") == 3
    done = script("pg", "BEGIN;\nINSERT INTO paths VALUES ('lost');\nCOPY nowhere FROM stdin;\nDELETE FROM precious;\n\\.\nCOMMIT;\n")
    assert done.returncode == 1 and "nowhere" in done.stderr and "not committed" in done.stderr, done
    assert count(run, "pg", "paths") == 3


def test_many_data_behind_an_error(script, run, precious):
    """The server says at once that it takes none: nobody waits for anybody."""
    done = script("pg", "COPY nowhere FROM stdin;\n" + "DELETE FROM precious;\n" * 200_000 + "\\.\n")
    assert done.returncode == 1 and "nowhere" in done.stderr, done


def test_copy_in_a_transaction(script, run, precious):
    done = script("pg", "BEGIN;\nCOPY paths FROM stdin;\na\n\\.\nCOPY paths FROM stdin;\nb\n\\.\nROLLBACK;\nCOPY paths FROM stdin;\nc\n\\.\n")
    assert done.returncode == 0, done
    assert count(run, "pg", "paths") == 1


@pytest.mark.parametrize("rest", ["", "DELETE FROM precious;\n", "DELETE FROM precious;\n\\", "x\n\\.x\n"])
def test_data_without_an_end(script, run, precious, rest):
    done = script("pg", "COPY paths FROM stdin;\na\n" + rest)
    assert done.returncode != 0 and "no end" in done.stderr, done
    assert count(run, "pg", "paths") == 0, "what may be cut off is not written"


def test_whoever_sends_data_is_killed(daemon, environment, run, precious):
    process = subprocess.Popen([LITEBASE, "query", "-d", "pg", "-"], stdin=subprocess.PIPE, env=environment)
    process.stdin.write(b"COPY paths FROM stdin;\n" + b"a\n" * 100_000)
    process.stdin.flush()
    wait_until(lambda: '"COPY' in run("query", "-d", "pg", "--format", "json",
                                     "SELECT query FROM pg_stat_activity WHERE query LIKE 'COPY paths%'").stdout, "it is under way")
    process.kill()
    process.wait()
    wait_until(lambda: '"COPY' not in run("query", "-d", "pg", "--format", "json", "SELECT query FROM pg_stat_activity "
                                         "WHERE state = 'active' AND query LIKE 'COPY paths%'").stdout, "it is over")
    assert count(run, "pg", "paths") == 0


def test_data_are_cancelled(environment, run, precious):
    process = subprocess.Popen([LITEBASE, "query", "-d", "pg", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdin.write(b"COPY paths FROM stdin;\n" + b"a\n" * 100_000)
    process.stdin.flush()
    wait_until(lambda: '"COPY' in run("query", "-d", "pg", "--format", "json",
                                     "SELECT query FROM pg_stat_activity WHERE query LIKE 'COPY paths%'").stdout, "it is under way")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) in (130, -signal.SIGINT)
    process.stdin.close()
    process.stderr.close()
    assert count(run, "pg", "paths") == 0


def test_connect_to_the_database_that_is_open(script, run, precious):
    """It goes on, with the settings of a new connection."""
    done = script("pg", "SET search_path = nowhere;\n\\connect postgres\nINSERT INTO paths VALUES ('a');\n\\c postgres - - -\n"
                        "\\connect -reuse-previous=on \"dbname='postgres'\"\nINSERT INTO paths VALUES ('b');\n")
    assert done.returncode == 0, done
    assert count(run, "pg", "paths") == 2


@pytest.mark.parametrize("text", ["SELECT 'copy paths from stdin' AS x;", "SELECT * FROM precious; -- COPY paths FROM stdin;"])
def test_what_only_looks_like_copy(run, precious, text):
    done = run("shell", "-d", "pg", stdin=text + "\nSELECT 7 AS seven;\n")
    assert done.returncode == 0 and '{"seven":7}' in done.stdout, done


@pytest.mark.parametrize("database, directive", [
    ("pg", "\\connect elsewhere"), ("pg", "\\c elsewhere"), ("pg", "-- go there\n\\connect elsewhere"), ("my", "USE nowhere;"),
    ("my", "connect nowhere;"), ("my", ".use nowhere"), ("pg", ".use nowhere"), ("pg", ".open x.db"),
])
def test_what_leads_elsewhere_does_so_or_ends_the_script(script, run, precious, database, directive):
    done = script(database, f"INSERT INTO paths VALUES ('before');\n{directive}\nDELETE FROM precious;\n")
    assert done.returncode != 0 and done.stderr, done
    assert count(run, database, "paths") == 1


@pytest.mark.parametrize("refused", ["\\connect elsewhere", "\\echo x"], ids=["connect", "echo"])
def test_what_a_pipe_has_done_before_is_said_and_a_transaction_leaves_nothing(script, run, precious, refused):
    done = script("pg", f"BEGIN;\nINSERT INTO paths VALUES ('before');\n{refused}\nDELETE FROM precious;\nCOMMIT;\n")
    assert done.returncode == 1 and "line 3" in done.stderr and "not committed" in done.stderr, done
    assert "before it was run, but for a transaction" in done.stderr
    assert count(run, "pg", "paths") == 0
    done = script("pg", f"INSERT INTO paths VALUES ('before');\n{refused}\nDELETE FROM precious;\n")
    assert done.returncode == 1 and done.stderr.count("before it was run") == 1, done
    assert count(run, "pg", "paths") == 1
    # The first statement of all has nothing before it.
    assert "before it was run" not in script("pg", f"{refused}\nDELETE FROM precious;\n").stderr
    # Who wants the rest to be run knows.
    done = run("shell", "-d", "pg", "--on-error", "continue", stdin=f"SELECT 1 AS a;\n{refused}\n")
    assert done.returncode == 1 and "before it was run" not in done.stderr, done


def test_other_commands_of_psql_are_named(run, precious):
    done = run("shell", "--on-error=continue", "-d", "pg", stdin="\\restrict abc\n\\echo hello\n\\set x 1\nSELECT 1 AS x;\n\\unrestrict abc\n")
    assert done.returncode == 1 and done.stdout == '{"x":1}\n'
    assert "\\echo" in done.stderr and "\\set" in done.stderr and done.stderr.count("litebase:") == 2, done


# Halves


@pytest.mark.parametrize("half", ["DELETE FROM t", "DELETE FROM t\n", "INSERT INTO t VALUES (2)", "UPDATE t SET x = 'a; b", "SELECT 'a",
                                  "DELETE FROM t /* all"])
def test_half_a_statement_is_not_run(script, run, half):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    done = script("default", "SELECT 1 AS a;\n" + half)
    assert done.returncode != 0 and "line 2" in done.stderr and "not run" in done.stderr, done
    assert done.stdout == '{"a":1}\n' and count(run, "default", "t") == 1


def test_what_only_reads_needs_no_semicolon(script):
    done = script("default", "SELECT 1 AS a; SELECT 2 AS b")
    assert done.returncode == 0 and done.stdout == '{"a":1}\n{"b":2}\n', done


def test_half_a_statement_in_a_file(run, tmp_path):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x); INSERT INTO t VALUES (1)")
    (tmp_path / "half.sql").write_text("DELETE FROM t")
    done = run("shell", stdin=f".read {tmp_path}/half.sql\nSELECT 1 AS a;\n")
    assert done.returncode == 65 and "not run" in done.stderr and count(run, "default", "t") == 1


# Transactions


def test_use_is_refused_in_a_transaction(run):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x)")
    done = run("shell", stdin="BEGIN;\nINSERT INTO t VALUES (1);\n.use other\nINSERT INTO t VALUES (2);\nCOMMIT;\n")
    assert done.returncode == 1 and "transaction" in done.stderr, done
    assert count(run, "default", "t") == 0, "what was meant for another database is not run here"


@pytest.mark.parametrize("end", [".quit\n", ".exit\n"])
def test_an_open_transaction_is_not_lost_by_leaving(run, end):
    done = run("shell", stdin="BEGIN;\nCREATE TABLE t9(x);\n" + end)
    assert done.returncode == 1 and "not committed" in done.stderr, done


@pytest.mark.parametrize("end", ["", "SELECT nope;\n"])
def test_an_open_transaction_is_not_lost_silently(script, run, end):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x)")
    done = script("default", "BEGIN;\nINSERT INTO t VALUES (1);\n" + end)
    assert done.returncode == 1 and "not committed" in done.stderr, done
    assert count(run, "default", "t") == 0


# A session that the server has ended


END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"


class Typed:
    """A shell whose script arrives bit by bit."""

    def __init__(self, daemon, tmp_path, *words):
        environment = {"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket_path, "HOME": str(tmp_path), **SANITIZER}
        self.process = subprocess.Popen([LITEBASE, "shell", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment)

    def say(self, line):
        """Sends a line, and waits for a row."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self, rest=""):
        out, error = self.process.communicate(rest, timeout=30)
        return self.process.returncode, out, error


def test_a_session_that_the_server_has_ended_is_made_anew(daemon, postgresql, tmp_path):
    shell = Typed(daemon, tmp_path, "-d", "pg")
    assert shell.say("SELECT 1 AS a;") == '{"a":1}\n'
    assert int(postgresql.psql(END)) >= 1
    # It is only told to end: what comes before it has would meet the loss on its way, which is another case.
    wait_until(lambda: int(postgresql.psql(END.replace("pg_terminate_backend(pid)", "*"))) == 0, "the session's backend is gone")
    assert shell.say("SELECT 2 AS a;") == '{"a":2}\n'
    status, out, error = shell.end("SELECT 3 AS a;\n")
    assert status == 0 and out == '{"a":3}\n' and "ended the session" in error, error


def test_a_transaction_that_the_server_has_ended_is_not_gone_on_with(run, daemon, postgresql, tmp_path):
    run("query", "-d", "pg", "DROP TABLE IF EXISTS half; CREATE TABLE half(x int)")
    shell = Typed(daemon, tmp_path, "-d", "pg")
    assert shell.say("BEGIN; INSERT INTO half VALUES (1); SELECT 1 AS a;") == '{"a":1}\n'
    assert int(postgresql.psql(END)) >= 1
    wait_until(lambda: int(postgresql.psql(END.replace("pg_terminate_backend(pid)", "*"))) == 0, "its connections are gone")
    status, _, error = shell.end("INSERT INTO half VALUES (2);\nINSERT INTO half VALUES (3);\nCOMMIT;\n")
    assert status == 1 and "rolled back" in error and "not run" in error, error
    assert count(run, "pg", "half") == 0


def test_a_transaction_whose_server_goes_while_a_statement_runs_is_not_gone_on_with(run, daemon, postgresql, tmp_path):
    run("query", "-d", "pg", "DROP TABLE IF EXISTS half; CREATE TABLE half(x int)")
    shell = Typed(daemon, tmp_path, "-d", "pg")
    assert shell.say("BEGIN; INSERT INTO half VALUES (1); SELECT 1 AS a;") == '{"a":1}\n'
    shell.process.stdin.write("SELECT count(*) FROM half h, pg_sleep(20);\n")
    shell.process.stdin.flush()
    wait_until(lambda: int(postgresql.psql(END.replace("WHERE", "WHERE query LIKE '%pg_sleep(20)%' AND"))) >= 1, "it runs")
    status, _, error = shell.end("INSERT INTO half VALUES (2);\nCOMMIT;\n")
    assert status == 1 and "rolled back" in error and "not run" in error, error
    assert count(run, "pg", "half") == 0


# What an error does to the rest

FAILING = "CREATE TABLE IF NOT EXISTS went(x);\nDELETE FROM went;\nINSERT INTO went VALUES (1);\n\nSELECT\nnope;\nINSERT INTO went VALUES (2);\n"


def ways(run, tmp_path, text, *options):
    """The script by each of the ways that there are, and what its errors are to begin with."""
    (tmp_path / "a.sql").write_text(text)
    (tmp_path / "outer.sql").write_text(f"\n.read {tmp_path}/a.sql\nINSERT INTO went VALUES (3);\n")
    yield run("query", "-", *options, stdin=text), "stdin"
    yield run("shell", *options, stdin=text), "stdin"
    yield run("shell", *options, stdin=f".read {tmp_path}/a.sql\n"), f"{tmp_path}/a.sql"
    yield run("shell", *options, stdin=f".read {tmp_path}/outer.sql\nINSERT INTO went VALUES (4);\n"), f"{tmp_path}/a.sql"


def test_the_first_error_ends_a_script(run, tmp_path):
    for options in ([], ["--on-error", "stop"]):
        for done, place in ways(run, tmp_path, FAILING, *options):
            assert done.returncode == 1 and done.stderr.startswith(f"litebase: {place}, line 6: "), done
            assert count(run, "default", "went") == 1 and done.stderr.count("litebase:") == 1, done


def test_errors_are_told_and_the_rest_is_run(run, tmp_path):
    for rows, (done, place) in zip([2, 2, 2, 4], ways(run, tmp_path, FAILING, "--on-error=continue")):
        assert done.returncode == 1 and done.stderr.startswith(f"litebase: {place}, line 6: "), done
        assert count(run, "default", "went") == rows, done


def test_lines_are_counted_through_commands_and_statements(run, tmp_path):
    text = ".timing off\n-- c\nSELECT 1 AS a;\n.mode nope\nSELECT 'a\nb' AS b; SELECT nope;\n.use nowhere\n"
    done = run("shell", "--on-error=continue", stdin=text)
    lines = [line for line in done.stderr.split("\n") if line.startswith("litebase: stdin")]
    assert [line.split(": ")[1] for line in lines] == ["stdin, line 4", "stdin, line 6", "stdin, line 7"], done


def test_statements_of_an_argument(run):
    assert run("query", "SELECT nope; SELECT 2 AS a").stdout == ""
    done = run("query", "--on-error", "continue", "SELECT nope; SELECT 2 AS a")
    assert (done.returncode, done.stdout) == (1, '{"a":2}\n') and "line" not in done.stderr, done
    assert run("query", "--on-error", "sometimes", "SELECT 1").returncode == 64


def test_what_ends_a_script_all_the_same(script, run, precious):
    for command in ("query", "shell"):
        words = [command, "--on-error=continue", "-d", "my"] + (["-"] if command == "query" else [])
        done = run(*words, stdin="USE nowhere;\nDELETE FROM precious;\n")
        assert done.returncode != 0 and count(run, "my", "precious") == 1, done


@pytest.mark.parametrize("sql", ["-- a comment\nSELECT 7 AS x", "--a\nSELECT 7 AS x", "/* c */ SELECT 7 AS x", "--\nSELECT 7 AS x", "-- a = b\nSELECT 7 AS x"])
def test_a_statement_may_begin_with_a_comment(run, sql):
    assert run("query", sql).stdout == '{"x":7}\n'
    assert run("query", "--format", "csv", "--no-header", sql + " WHERE -5 < ?", "-4").stdout in ("7\n", "7\r\n")
    assert run("query", "--", sql).stdout == '{"x":7}\n'


# Small things


def test_decimals_stand_at_the_right(run, precious):
    for database in ("my", "pg"):
        done = run("query", "-d", database, "--format", "table", "SELECT CAST(1.50 AS decimal(10,2)) AS long_name, 'b' AS t UNION ALL SELECT CAST(100 AS decimal(10,2)), 'a' ORDER BY 2")
        assert done.stdout.splitlines()[2:4] == ["    100.00 │ a", "      1.50 │ b"], done


def test_line_ends_in_markdown(run):
    done = run("query", "--format", "markdown", "SELECT 'a' || char(13) || 'b' || char(13, 10) || 'c' || char(10, 10) || 'd' AS x")
    assert done.stdout.splitlines()[2] == "| a<br>b<br>c<br><br>d |", done


def test_a_path_stands_for_a_url(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (f"{tmp_path}/here.db", f"sqlite:{tmp_path}/here.db", "here.db", "./here.db", f"{tmp_path}/here.db?mode=ro"):
        done = run("query", "--url", place, "SELECT file FROM pragma_database_list")
        assert done.stdout == f'{{"file":"{tmp_path}/here.db"}}\n', done
    assert run("shell", stdin=f".use {tmp_path}/here.db\nSELECT file FROM pragma_database_list;\n").stdout == f'{{"file":"{tmp_path}/here.db"}}\n'
    assert run("query", "--url", ":memory:", "SELECT 1 AS x").stdout == '{"x":1}\n'
    assert "no URL" not in run("query", "--url", "postgres", "SELECT 1 AS x").stderr


def test_suggestions_that_mislead_are_left_out(run):
    assert "--url" not in run("query", "--file", "x", "SELECT 1").stderr
    assert "Did you mean '--database'?" in run("query", "--databse", "x", "SELECT 1").stderr
    done = run("query", "--file", "x", "SELECT 1")
    assert done.returncode == 64 and "Unknown option '--file'" in done.stderr and "Usage:" in done.stderr, done


def test_errors_of_files_and_directories_are_sentences(run, tmp_path):
    (tmp_path / "a b.sql").write_text("SELECT 1 AS a;\n\nSELECT nope;\n")
    done = run("shell", "--on-error=continue", stdin=f'.read "{tmp_path}/a b.sql"\n.read {tmp_path}\n.tables;\n.describe zzz\n')
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and '{"a":1}' in done.stdout, done
    assert any(f"{tmp_path}/a b.sql, line 3: " in line for line in lines), lines
    assert f"litebase: stdin, line 2: cannot read {tmp_path}: Is a directory" in lines, lines
    assert any("there is no table zzz" in line for line in lines), lines
    assert not any("InputError" in line or "no command" in line for line in lines), lines


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json"])
def test_rows_that_are_cut_off_are_told(run, form):
    done = run("query", "--format", form, "--max-rows", "2", "SELECT 1 UNION SELECT 2 UNION SELECT 3")
    assert done.returncode == 0 and "--max-rows" in done.stderr, done
    assert "--max-rows" not in run("query", "--format", form, "--max-rows", "3", "SELECT 1 UNION SELECT 2 UNION SELECT 3").stderr


# What is left undone shows in the status

def test_a_transaction_that_an_argument_leaves_open_is_a_failure(run):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x)")
    done = run("query", "BEGIN; INSERT INTO t VALUES (1)")
    assert done.returncode == 1 and "was not committed, and is rolled back" in done.stderr, done
    assert count(run, "default", "t") == 0


def test_half_a_statement_at_the_end_says_that_the_rest_was_run(run):
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x)")
    done = run("query", "-", stdin="INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2")
    assert done.returncode == 65 and "what stands before it was run" in done.stderr, done
    assert count(run, "default", "t") == 1
