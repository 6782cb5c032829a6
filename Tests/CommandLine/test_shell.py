"""What somebody meets in the shell who knows psql, mariadb and sqlite3: at a terminal, and on every engine."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from test_cli import ENDLESS, LITEBASE, SANITIZER, Terminal
from test_scripts import END, count, daemon, environment, mariadb, postgresql, run, script  # noqa: F401 (fixtures)

from daemon import wait_until

# What a new prompt is drawn with.
DRAWN = r"(?:\x1b\[[0-9;]*\w|\r|\n)*"


@pytest.fixture
def terminal(daemon, tmp_path):  # noqa: F811
    """Opens shells at a terminal."""
    opened = []

    def open_one(*words, command=None, environment=None):
        opened.append(Terminal(daemon.socket_path, tmp_path, *words, command=command, environment=environment))
        if not command:
            opened[-1].expect(r"Ctrl-D to leave\.")
            opened[-1].expect("> ")
        return opened[-1]

    yield open_one
    for one in opened:
        with contextlib.suppress(OSError):
            os.kill(one.process_id, signal.SIGKILL)
            os.waitpid(one.process_id, 0)


# What became of a transaction


def test_commit_of_a_failed_transaction_says_that_it_was_rolled_back(script, run):  # noqa: F811
    run("query", "-d", "pg", "DROP TABLE IF EXISTS failed; CREATE TABLE failed(x int)")
    text = "BEGIN;\nINSERT INTO failed VALUES (1);\nSELECT nope;\nCOMMIT;\nINSERT INTO failed VALUES (2);\n"
    done = run("shell", "-d", "pg", "--on-error", "continue", stdin=text)
    assert done.returncode == 1 and "nothing of it is committed" in done.stderr and "stdin, line 4" in done.stderr, done
    # The next transaction is another one.
    assert count(run, "pg", "failed") == 1
    done = run("query", "-d", "pg", "--on-error", "continue", "BEGIN; SELECT nope; END")
    assert done.returncode == 1 and "nothing of it is committed" in done.stderr, done


@pytest.mark.parametrize("way", [["shell"], ["query", "-"]], ids=["shell", "query"])
def test_what_follows_in_a_transaction_that_the_engine_has_ended_is_not_run(run, way):  # noqa: F811
    run("query", "DROP TABLE IF EXISTS once; CREATE TABLE once(x UNIQUE); INSERT INTO once VALUES (1)")
    text = "BEGIN;\nINSERT INTO once VALUES (2);\nINSERT OR ROLLBACK INTO once VALUES (1);\nINSERT INTO once VALUES (3);\nCOMMIT;\n"
    done = run(*way, "--on-error", "continue", stdin=text)
    assert done.returncode == 1 and "rolled back; what follows was not run" in done.stderr, done
    assert count(run, "default", "once") == 1
    # Where the error leaves the transaction, the rest is run; and behind its own end there is nothing to be lost.
    text = "BEGIN;\nINSERT INTO once VALUES (2);\nINSERT INTO once VALUES (1);\nCOMMIT;\nINSERT INTO once VALUES (1);\nINSERT INTO once VALUES (3);\n"
    done = run(*way, "--on-error", "continue", stdin=text)
    assert done.returncode == 1 and "what follows" not in done.stderr and count(run, "default", "once") == 3, done


def test_a_transaction_that_the_engine_has_ended_at_a_terminal(run, terminal):  # noqa: F811
    run("query", "DROP TABLE IF EXISTS once; CREATE TABLE once(x UNIQUE); INSERT INTO once VALUES (1)")
    shell = terminal()
    shell.type("BEGIN;\n")
    shell.expect(r"default\*> ")
    shell.type("INSERT OR ROLLBACK INTO once VALUES (1);\n")
    shell.expect("hint: the open transaction is rolled back")
    shell.expect("default> ")


def test_a_file_that_leaves_a_transaction_open(run, terminal, tmp_path):  # noqa: F811
    """What is typed next would become a part of it."""
    run("query", "DROP TABLE IF EXISTS t; CREATE TABLE t(x)")
    (tmp_path / "open.sql").write_text("BEGIN;\nINSERT INTO t VALUES (1);\n")
    (tmp_path / "outer.sql").write_text(f".read {tmp_path}/open.sql\nINSERT INTO t VALUES (2);\n")
    (tmp_path / "whole.sql").write_text(f".read {tmp_path}/open.sql\nCOMMIT;\n")
    (tmp_path / "broken.sql").write_text("BEGIN;\nSELECT nope;\nCOMMIT;\n")
    shell = terminal()
    for name in ("open", "outer"):
        shell.type(f".read {tmp_path}/{name}.sql\n")
        shell.expect(f"{name}.sql has not ended its transaction, which is rolled back")
        shell.expect("default> ")
    # One that was open before stays so, and one that was ended is none.
    shell.type(f".read {tmp_path}/whole.sql\nBEGIN;\n")
    shell.expect(r"default\*> ")
    shell.type(f".read {tmp_path}/broken.sql\n")
    assert "rolled back" not in shell.expect(r"[\s\S]*default\*> ")[0]
    shell.type("ROLLBACK;\n")
    shell.expect("default> ")
    # A file that breaks off says both.
    shell.type(f".read {tmp_path}/broken.sql\n")
    shell.expect("No such column[\\s\\S]*has not ended its transaction, which is rolled back")
    shell.expect("default> ")
    assert count(run, "default", "t") == 1


# What became of a write that was broken off

NUMBERS = "WITH RECURSIVE s(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM s WHERE x < {}) SELECT x FROM s"


@pytest.mark.parametrize("way", [["query"], ["query", "-"], ["shell"]], ids=["query", "script", "shell"])
@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_a_write_whose_reader_goes_away_is_done(run, environment, database, way):  # noqa: F811
    """`DELETE … RETURNING | head`: the end of the program would have cancelled it."""
    run("query", "-d", database, "DROP TABLE IF EXISTS shown; CREATE TABLE shown(x int)")
    run("query", "-d", database, f"INSERT INTO shown {NUMBERS.format(900)}")
    sql = f"DELETE FROM shown RETURNING x, '{'x' * 2000}' AS y"
    words = [way[0], "-d", database, *way[1:], *([sql] if way == ["query"] else [])]
    with subprocess.Popen([LITEBASE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        if way != ["query"]:
            process.stdin.write(f"{sql};\nINSERT INTO shown VALUES (7);\n".encode())
        process.stdin.close()
        assert process.stdout.read(5) == b'{"x":'
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == -signal.SIGPIPE and count(run, database, "shown") == 0
    assert errors == "" if way == ["query"] else "from here on nothing was run" in errors, errors


def begun(daemon, environment, *words, stdin=None):
    """Runs a command; returns it when its statement has run for a while."""
    process = subprocess.Popen([LITEBASE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    process.stdin.write(stdin or "")
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    with daemon.connect() as watcher:
        wait_until(lambda: [entry for entry in watcher.call("activity").data["entries"] if entry["type"] in ("query", "batch")
                            and entry["state"] == "running" and entry["age_ms"] > 300], "the statement runs", timeout=30)
    return process


def interrupted(daemon, environment, *words, stdin=None):
    process = begun(daemon, environment, *words, stdin=stdin)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT, (words, errors)
    return output, errors


def is_told_that_nothing_changed(daemon, environment, *words, stdin=None):
    """Interrupts a write. A busy server may not confirm the cancel within the 80 ms that the daemon waits for it: then nobody knows."""
    output, errors = interrupted(daemon, environment, *words, stdin=stdin)
    assert output == "", "what stands behind it is not run"
    if "did not confirm the cancelling" in errors:
        assert "whether it took effect is not known" in errors and "default" not in words, (words, errors)
        return False
    assert "cancelled" in errors and "it has changed nothing" in errors, (words, errors)
    return True


@pytest.mark.parametrize("database", ["default", "pg"])
def test_a_write_that_is_interrupted_says_what_became_of_it(run, environment, daemon, database):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS many; CREATE TABLE many(x int)")
    sql = f"INSERT INTO many {NUMBERS.format(10**9)}"
    for words, stdin in [(["query", "-d", database, sql], None), (["query", "-d", database, "-"], f"{sql};\nSELECT 7;\n"),
                         (["shell", "-d", database], f"{sql};\nSELECT 7;\n")]:
        assert any(is_told_that_nothing_changed(daemon, environment, *words, stdin=stdin) for _ in range(5)), "the server confirms it in time"
    # What only reads has no outcome.
    _, errors = interrupted(daemon, environment, "query", "-d", database, f"SELECT count(*) FROM ({NUMBERS.format(10**9)}) AS n")
    assert "changed" not in errors, errors
    assert count(run, database, "many") == 0


def test_a_write_whose_daemon_goes_has_an_unknown_outcome(run, environment, daemon):  # noqa: F811
    run("query", "DROP TABLE IF EXISTS many; CREATE TABLE many(x int)")
    process = begun(daemon, environment, "query", f"INSERT INTO many {NUMBERS.format(10**9)}")
    daemon.process.kill()
    daemon.process.wait()
    errors = process.communicate(timeout=20)[1]
    daemon.launch()
    daemon.wait_ready()
    assert process.returncode == 69 and "not known whether" in errors, errors


def test_the_exit_status_of_a_script_is_that_of_its_error(script, run, tmp_path):  # noqa: F811
    for text, status in [("SELECT 1;\nSELECT nope;\n", 1), ("SELECT 1;\nDELETE FROM t", 65), ("SELECT 'a", 65), ("\\x\n", 1)]:
        assert script("default", text).returncode == status, text
    assert run("shell", stdin=f".read {tmp_path}/nothing\n").returncode == 66
    assert run("shell", "--on-error", "continue", stdin=f".read {tmp_path}/nothing\nSELECT 1;\n").returncode == 1


# What a statement did


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_a_change_of_no_rows_is_counted(run, database):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS counted; CREATE TABLE counted(x int)")
    for sql, said in [("UPDATE counted SET x = 1 WHERE x = 5", "0 rows affected"), ("/* all */ delete from counted", "0 rows affected"),
                      ("INSERT INTO counted SELECT 1 FROM counted", "0 rows affected"), ("INSERT INTO counted VALUES (1)", "1 row affected"),
                      ("CREATE INDEX counted_x ON counted(x)", "OK")]:
        assert run("query", "-d", database, "--format", "table", sql).stdout == said + "\n", sql
    assert run("query", "-d", database, "UPDATE counted SET x = 1 WHERE x = 5").stdout == ""
    assert run("shell", "-d", database, "--format", "table", stdin="BEGIN;\nDELETE FROM counted;\nROLLBACK;\n").stdout == "OK\n1 row affected\nOK\n"


def test_warnings_are_counted(run, mariadb):  # noqa: F811
    mariadb.sql("CREATE OR REPLACE TABLE short(x varchar(3))", "lb")
    done = run("shell", "-d", "my", "--format", "csv", "--no-header",
               stdin="SET sql_mode = '';\nINSERT INTO short VALUES ('abcd'), ('efgh');\nSHOW WARNINGS;\nSELECT x FROM short;\nSHOW WARNINGS;\n")
    assert done.returncode == 0 and done.stderr == "litebase: 2 warnings (SHOW WARNINGS)\n", done
    assert done.stdout.count("Data truncated") == 2 and done.stdout.endswith("abc\nefg\n"), done
    done = run("query", "-d", "my", "SELECT 1 / 0 AS x")
    assert (done.stdout, done.stderr) == ('{"x":null}\n', "litebase: 1 warning (SHOW WARNINGS behind it, in the same call)\n")
    assert "Division by 0" in run("query", "-d", "my", "SELECT 1 / 0 AS x; SHOW WARNINGS").stdout


def test_the_time_of_what_failed(run):  # noqa: F811
    done = run("shell", "--on-error", "continue", "--format", "csv", stdin=".timing on\nSELECT nope;\n.nope\nSELECT 1 AS x;\n")
    assert done.stdout.count("Time: ") == 2, done


@pytest.mark.parametrize("database, sql, word", [
    ("pg", "SET statement_timeout = 50; SELECT pg_sleep(5)", "statement_timeout"),
    ("my", "SET max_statement_time = 0.05; SELECT COUNT(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b", "max_statement_time"),
])
def test_a_timeout_of_the_server_is_none_of_ours(run, database, sql, word):  # noqa: F811
    done = run("query", "-d", database, sql)
    assert done.returncode == 75 and word in done.stderr and "--timeout" not in done.stderr, done
    done = run("query", "-d", database, "--timeout", "0.05", sql.partition(";")[2])
    assert "--timeout" in done.stderr and word not in done.stderr, done


# What is meant for other clients


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_commands_of_other_clients_are_named(script, run, database):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS named; CREATE TABLE named(x int)")
    for line, hint in [("\\d named", ".describe does that"), ("  \\echo hello", ".print does that"), ("-- x\n\\l", ".databases does that"),
                       ("\\timng", "\\timing, which is nearest"), ("\\zzzzzz", ".help"), ("\\copy t from f", ".import FILE")]:
        done = script(database, f"{line}\nINSERT INTO named VALUES (1);\n")
        word = line.split("\n")[-1].split()[0]
        assert done.returncode == 1 and f"{word} is a command of another client" in done.stderr and hint in done.stderr, done
    assert count(run, database, "named") == 0, "the line is not a part of the statement behind it, and ends the script"
    done = run("shell", "-d", database, "--on-error", "continue", stdin="\\d named\nSELECT 7 AS x;\n\\timing")
    assert done.stdout == '{"x":7}\n' and done.stderr.count("another client") == 2, done
    # As files from Windows have them.
    done = run("shell", "-d", database, "--on-error", "continue", stdin="\\d named\r\nSELECT 7 AS x;\r\n.tabels\r\n.mode csv\r\nSELECT 8 AS y;\r\n")
    assert done.stdout == '{"x":7}\ny\n8\n' and "\\d is a command" in done.stderr and ".tables may be meant" in done.stderr, done


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_words_that_are_no_commands(run, terminal, database):  # noqa: F811
    done = run("shell", "-d", database, "--on-error", "continue", stdin=".tabels\n.shema\n.zzzzzz\n.clone a b\n.mode tabel\n")
    for said in ("line 1: there is no command .tabels; .tables may be meant", "line 2: there is no command .shema; .schema may be meant",
                 "line 3: there is no command .zzzzzz; .help lists all", "line 4: there is no command .clone: litebase backup", "table may be meant"):
        assert said in done.stderr, (said, done)
    shell = terminal("-d", database)
    for typed, said in [("\\timng", r"\\timing may be meant"), ("\\zzzzzz", r"\.help lists all"), ("\\copy t from f", r"\.import FILE"), (".tabels", r"\.tables may be")]:
        shell.type(typed + "\n")
        shell.expect(said)
        shell.expect(f"{database}> ")
    # In the middle of a statement nothing is a part of it; what ends one for others ends one.
    shell.type("SELECT 40 +\n\\x\n")
    shell.expect("the statement before it is still open")
    shell.type("  2\nAS x\\g\n")
    shell.expect("42")
    shell.type("SELECT 'a\\G'\n;\n")
    shell.expect(r"\(1 row\)")
    shell.type("SELECT 43 AS x\n  \\G\n")
    shell.expect("x . 43")


def test_backslashes_that_end_a_statement(run):  # noqa: F811
    """MySQL's own client takes any delimiter."""
    done = run("query", "-d", "my", "-", stdin="DELIMITER \\\\\nSELECT 1 AS a \\\\\n\\\\\nSELECT 2 AS b\n\\\\\nDELIMITER ;\nSELECT 3 AS c;\n")
    assert done.stdout == '{"a":1}\n{"b":2}\n{"c":3}\n', done


def test_copy_at_a_terminal(terminal):
    shell = terminal("-d", "pg")
    shell.type("COPY t FROM stdin;\n")
    assert "skipped" not in shell.expect(r"COPY … FROM stdin is for scripts[\s\S]*?pg> ")[0]
    shell.type("COPY pg_class TO stdout;\n")
    hint = shell.expect(r"hint: ([\s\S]*?)pg> ")[1]
    assert "litebase export" in hint and "param_rows" not in hint


# What people know from other clients


DEFINED = """DROP TABLE IF EXISTS fly; DROP TABLE IF EXISTS city; CREATE TABLE city(id int PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x');
CREATE TABLE fly(id int PRIMARY KEY, city_id int, FOREIGN KEY (city_id) REFERENCES city(id)); CREATE INDEX fly_city ON fly(city_id);
DROP VIEW IF EXISTS far; CREATE VIEW far AS SELECT name FROM city"""


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_what_a_table_consists_of(run, terminal, database):  # noqa: F811
    assert run("query", "-d", database, "DROP VIEW IF EXISTS far; " + DEFINED).returncode == 0
    shell = terminal("-d", database)
    shell.type("\\d city\n")
    shown = shell.expect(rf"column[\s\S]*?{database}> ")[0]
    for pattern in (r"id +. (int|INT)", r"name +. (character )?varying\(40\)|name +. varchar\(40\)", r"primary", r"Referenced by:\s+fly"):
        assert re.search(pattern, shown), (pattern, shown)
    shell.type("\\d fly\n")
    shown = shell.expect(rf"column[\s\S]*?{database}> ")[0]
    for pattern in (r"Indexes:[\s\S]*fly_city", r"Foreign keys:[\s\S]*city_id[\s\S]*city"):
        assert re.search(pattern, shown), (pattern, shown)
    shell.type("\\d nothing\n")
    shell.expect("there is no table nothing")
    for typed, shown, other in [("\\dt fl*", "fly", "city"), ("\\dv", "far", "fly"), ("\\di", "fly_city", "far"), ("\\d", "city", "zzz"), (".tables c%", "city", "fly")]:
        shell.type(typed + "\n")
        shell.expect(r"\r\n")
        listed = shell.expect(rf"rows?\)\s+{database}> ", 10)
        before = listed.string[:listed.end()]
        assert shown in before and other not in before, (typed, before)
    shell.type("\\l\n")
    shell.expect("postgresql")
    shell.type("\\c\n")
    shell.expect(rf"{database} \((sqlite|postgresql|mysql)\), connected to")
    shell.type("\\c other\n")
    shell.expect("other> ")
    # For programs it is the rows alone.
    done = run("shell", "-d", database, "--format", "csv", stdin=".describe fly\n")
    assert done.returncode == 0 and done.stdout.startswith("column,type,null,default,key\n") and "Indexes" not in done.stdout, done


def test_records(terminal):
    shell = terminal()
    shell.type("\\x\n")
    shell.expect("Rows are records")
    shell.type("SELECT 1 AS first, 'a' || char(10) || 'b' AS second, NULL AS third;\n")
    shell.expect(r"\[ RECORD 1 \][^\r]*\r\nfirst  . 1\r\nsecond . a\r\n       . b\r\nthird  . NULL\r\n\(1 row\)")
    shell.type("\\x\nSELECT 41 + 1 AS a;\n")
    shell.expect(r" a\r\n.*\r\n 42")
    shell.type(".mode line\nSELECT 43 AS a;\n")
    shell.expect("a . 43")
    shell.type(".mode table\n.nullvalue (nothing)\nSELECT NULL AS a, 'NULL' AS b;\n")
    shell.expect(r"\(nothing\) . NULL")


def test_a_table_fits_the_screen(terminal):
    shell = terminal()
    shell.resize(60, 24)
    shell.type("SELECT 12345678 AS number, 'a' AS short, printf('%.*c', 60, 'w') AS long, '東京' AS wide;\n")
    rows = shell.expect(r" number +. short[\s\S]*?\(1 row[^\n]*\n")[0].split("\r\n")
    assert all(len(row) + row.count("東") + row.count("京") <= 60 for row in rows), rows
    assert "12345678" in rows[2] and "w…" in rows[2] and "東京" in rows[2] and "shows what … cuts" in rows[3], rows
    # Too many columns for that become records by themselves, and numbers are never cut.
    shell.type("SELECT " + ", ".join(f"'{'v' * 30}' AS c{i}" for i in range(8)) + ";\n")
    shell.expect(r"RECORD 1[\s\S]*c7 . v{30}\r")
    shell.type("\\x off\n")
    shell.expect("lines of a table")
    shell.type("\\pset pager off\nSELECT 7 AS n, '" + "v" * 90 + "' AS c0;\n")
    shell.expect(r"7 . v{90}\r")


def test_a_long_result_goes_through_the_pager(terminal, tmp_path):
    """It is less(1), and `q` ends the statement."""
    shell = terminal(environment={"PAGER": f"sh -c 'echo paged; head -3; exit 0' {tmp_path}"})
    shell.resize(80, 10)
    shell.type("SELECT 40 + 2 AS few;\n")
    assert "paged" not in shell.expect(r"[\s\S]*42[\s\S]*default> ")[0]
    shell.type(f"{NUMBERS.format(10**9)};\n")
    shell.expect(r"paged[\s\S]* x[\s\S]*1\s+default> ")
    shell.type(".pager off\n")
    shell.expect("default> ")
    shell.type(f"{NUMBERS.format(30)};\n")
    assert "paged" not in shell.expect(r"[\s\S]*\(30 rows\)")[0]


@pytest.mark.parametrize("database, escape", [("default", "char(27)"), ("pg", "chr(27)"), ("my", "char(27)")])
def test_a_dump_at_a_terminal(run, terminal, database, escape):  # noqa: F811
    """It goes through the pager, and what is in it cannot control the terminal."""
    text = f"concat('b', {escape}, '[31mred')" if database == "my" else f"'b' || {escape} || '[31mred'"
    made = run("query", "-d", database, f"DROP TABLE IF EXISTS coloured; CREATE TABLE coloured(x varchar(20)); INSERT INTO coloured VALUES ({text})")
    assert made.returncode == 0, made
    shell = terminal("-d", database, environment={"PAGER": "sed s/^/paged:/"})
    shell.resize(100, 6)
    shell.type(".dump coloured\n")
    found = shell.expect(rf"paged:[\s\S]*{database}> ")[0]
    assert "CREATE TABLE" in found and r"b\x1b[31mred" in found and "\x1b[31m" not in found, found
    shell.type(".dump nix\n")
    shell.expect("there is no table or view nix")
    run("query", "-d", database, "DROP TABLE coloured")


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_a_pager_that_is_left_ends_no_transaction(run, terminal, database):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS paged; CREATE TABLE paged(x int)")
    shell = terminal("-d", database, environment={"PAGER": "true"})
    shell.resize(80, 10)
    shell.type("BEGIN;\n")
    shell.expect(rf"{database}\*> ")
    shell.type("INSERT INTO paged VALUES (1);\n")
    shell.expect(rf"{database}\*> ")
    shell.type(f"{NUMBERS.format(900)};\n")
    shell.expect(rf"FROM s;\r\n[\s\S]*{database}\*> ")
    shell.type("COMMIT;\n")
    shell.expect(f"{database}> ")
    # And a write is done, whoever reads its rows.
    run("query", "-d", database, f"INSERT INTO paged {NUMBERS.format(900)}")
    shell.type("DELETE FROM paged WHERE x > 1 RETURNING x;\n")
    shell.expect(rf"x;\r\n[\s\S]*{database}> ")
    assert count(run, database, "paged") == 2


def test_less_is_the_pager(terminal):
    if not shutil.which("less"):
        pytest.skip("there is no less(1)")
    shell = terminal()
    shell.resize(80, 10)
    shell.type(f"{NUMBERS.format(10**9)};\n")
    shell.expect(r"\n *3\b[\s\S]*:")
    shell.type("q")
    shell.expect("default> ")
    shell.type("SELECT 40 + 2 AS x;\n")
    shell.expect("42")


def test_results_into_a_file(terminal, tmp_path):
    shell = terminal()
    for line in (f".output {tmp_path}/all.csv", ".mode csv", "SELECT 1 AS a;", "SELECT 2 AS a;", "\\o", f"SELECT 3 AS a \\g {tmp_path}/three.csv",
                 f".once |tr 4 5 > {tmp_path}/piped.csv", "SELECT 4 AS a;"):
        shell.type(line + "\n")
        shell.expect("default> ")
    shell.type("SELECT 40 + 2 AS b;\n")
    shell.expect("42")
    assert (tmp_path / "all.csv").read_bytes() == b"a\r\n1\r\na\r\n2\r\n"
    assert (tmp_path / "three.csv").read_bytes() == b"a\r\n3\r\n"
    assert (tmp_path / "piped.csv").read_bytes() == b"a\r\n5\r\n"
    shell.type(f".output {tmp_path}\n")
    shell.expect("cannot write .*: Is a directory")
    # A command that reads no further is no error of the shell.
    shell.type(f".once |true\n")
    shell.expect("default> ")
    shell.type(f"{NUMBERS.format(100000)};\n")
    shell.expect("default> ")
    shell.type("SELECT 40 + 3 AS b;\n")
    shell.expect("43")


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_parameters(run, terminal, database):  # noqa: F811
    shell = terminal("-d", database)
    shell.type("SELECT concat(:name, '!', :name) AS x, ':no' AS y;\n" if database == "my" else "SELECT cast(:name AS text) || '!' || :name AS x, ':no' AS y;\n")
    shell.expect("value of :name: ")
    shell.type("Oslo\n")
    shell.expect("Oslo!Oslo . :no")
    shell.expect(f"{database}> ")
    shell.type(".parameter set :n 41\n")
    shell.expect(f"{database}> ")
    shell.type("SELECT 1 + :n AS x;\n")
    shell.expect("42")
    shell.type(".parameter\n")
    shell.expect("n +. +41")
    shell.type(".parameter clear\nSELECT :n AS x;\n")
    shell.expect("value of :n: ")
    shell.type("\x03")
    shell.expect("the statement was not run")
    shell.expect(f"{database}> ")
    # By number, as the engine has them.
    shell.type({"default": "SELECT ?2 + ?1 AS x;\n", "pg": "SELECT $2::int + $1::int AS x;\n", "my": "SELECT ? + ? AS x;\n"}[database])
    for _ in range(2):
        shell.expect(r"value of .[12]: ")
        shell.type("22\n")
    shell.expect("44")
    # In a script they have to be there.
    done = run("shell", "-d", database, "--format", "csv", "--no-header", stdin=".parameter set a 6\nSELECT :a * 7;\n")
    assert done.stdout.strip() == "42", done
    done = run("shell", "-d", database, stdin=".parameter set a 6\nSELECT :b * 7;\n")
    assert done.returncode == 1 and "line 2: :b has no value" in done.stderr, done


def test_casts_and_slices_are_no_parameters(terminal):
    shell = terminal("-d", "pg")
    shell.type("SELECT '42'::int AS x, (ARRAY[1,2,3])[1:2] AS y, 'a:b' AS z, $$:c$$ AS d -- :e\n;\n")
    shell.expect(r"42 . \{1,2\}")
    shell.type("PREPARE p AS SELECT $1::int + 40 AS x;\n")
    shell.expect("pg> ")
    shell.type("EXECUTE p(2);\n")
    shell.expect("42")
    shell = terminal("-d", "my")
    shell.type("SET @v := 41; SELECT @v + 1 AS x, @@version_comment AS y;\n")
    shell.expect("42")


def test_the_statement_before(terminal, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i s/41/42/ \"$1\"\n")
    editor.chmod(0o755)
    shell = terminal(environment={"EDITOR": str(editor)})
    shell.type("SELECT 41 AS x;\n")
    shell.expect(r" 41\r")
    shell.expect("default> ")
    shell.type("\\g\n")
    shell.expect(r" 41\r")
    shell.expect("default> ")
    shell.type("\\e\n")
    shell.expect(r" 42\r")
    shell.expect("default> ")
    shell.type("SELECT 41\n")
    shell.expect(r"\.\.\.> ")
    shell.type("\\e\n")
    shell.expect("without a semicolon")
    shell.expect("default> ")
    shell.type("\\g\n")
    shell.expect(r" 42\r")
    shell.expect("default> ")
    shell.type("SELECT 43 AS x;\n")
    shell.expect(r" 43\r")
    shell.expect("default> ")
    shell.type("\\watch 0.1\n")
    for _ in range(3):
        shell.expect(r" 43\r")
    shell.type("\x03")
    shell.expect("default> ")


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_completion(run, terminal, database, tmp_path):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS completed; CREATE TABLE completed(identity_number int, remark varchar(9)); INSERT INTO completed VALUES (42, 'r')")
    (tmp_path / "unusual-name.sql").write_text("SELECT 44 AS x;\n")
    shell = terminal("-d", database)

    def typed(text, until):
        """The names are read beside the prompt: until they are there, Tab finds less."""
        for _ in range(50):
            shell.type(text + "\t")
            try:
                return shell.expect(until, 0.5)
            except AssertionError:
                shell.type("\x03")
                shell.expect(f"{database}> ")
        raise AssertionError(shell.output)

    typed("SELECT * FROM compl", "eted ")
    shell.type(";\n")
    shell.expect("42")
    shell.expect(f"{database}> ")
    typed("SELECT c.ident", r"c\.ident")
    shell.type("\x03")
    shell.expect(f"{database}> ")
    # Columns of a table by its name, and of those that the line names.
    typed("SELECT completed.ident", "ity_number")
    shell.type(" FROM completed WHERE completed.rem\t")
    shell.expect(r"ark")
    # What is pasted has tabs, and nothing is completed in it.
    shell.type(" = 'r' AND\tremark\t=\t'r';\n")
    shell.expect("42")
    shell.expect(f"{database}> ")
    shell.type(".des\t")
    shell.expect("cribe ")
    shell.type("compl\t")
    shell.expect("eted")
    shell.type("\n")
    shell.expect("remark")
    shell.expect(f"{database}> ")
    shell.type(f".read {tmp_path}/unus\t")
    shell.expect(r"sql ")
    shell.type("\n")
    shell.expect(" 44")
    shell.expect(f"{database}> ")
    shell.type("sele\t")
    shell.expect(r"ct ")
    shell.type("43 AS x;\n")
    shell.expect("43")
    shell.expect(f"{database}> ")
    # Several are listed.
    shell.type(".ti\x08\x08\x08.t\t")
    shell.expect(r"\.tables +\.timing")


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_completion_within_a_statement_of_several_lines(run, terminal, database):  # noqa: F811
    """The tables stand behind the cursor, or on a line before; what is replaced goes on behind the cursor."""
    run("query", "-d", database, "DROP TABLE IF EXISTS lined; CREATE TABLE lined(id int PRIMARY KEY, wholesale_price int); INSERT INTO lined VALUES (7, 4711)")
    shell = terminal("-d", database)
    # The catalog is read when it is first asked for.
    for _ in range(50):
        shell.type("SELECT * FROM line\t")
        with contextlib.suppress(AssertionError):
            shell.expect(r"line(\r\x1b\[\d+G)?d ", 0.5)
            break
        shell.type("\x03")
        shell.expect(f"{database}> ")
    shell.type("\n")
    shell.expect(r"\.\.> ")
    shell.type(" WHERE whole\t")
    shell.expect("sale_price")
    shell.type(" = 4711;\n")
    shell.expect(r"4711 ?[\s\S]*> ")
    # Left of FROM: Ctrl-A, and four words to the right.
    shell.type("SELECT whole FROM lined WHERE id = 7;\x01" + "\x06" * len("SELECT whole") + "\t")
    shell.expect("sale_price")
    shell.type("\n")
    shell.expect(r"4711 ?[\s\S]*> ")
    # In the middle of a word, which is replaced as a whole.
    shell.type("SELECT wholesale_pri FROM lined;\x01" + "\x06" * len("SELECT whole") + "\t")
    shell.expect(r"sale_price|ce ")
    shell.type("\n")
    shell.expect(r"4711 ?[\s\S]*> ")
    # An alias from the line before.
    shell.type("SELECT l.wholesale_price FROM lined l\n")
    # Behind the echo, which has the word too: what is typed with a Tab before the line is read is completed no more.
    shell.expect(r"\.\.> ")
    shell.type("WHERE l.whole\t")
    shell.expect("sale_price")
    shell.type(" > 0;\n")
    shell.expect("4711")


def test_completion_of_what_only_the_session_has(terminal):
    shell = terminal()
    shell.type("CREATE TEMP TABLE fleeting(unseen_column);\n")
    shell.expect("default> ")
    shell.type("SELECT unse FROM fleeting;\x01" + "\x06" * len("SELECT unse") + "\t")
    shell.expect("en_column")


def test_a_join_is_completed_with_its_whole_condition(run, terminal):  # noqa: F811
    run("query", "DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS parent; CREATE TABLE parent(a, b, PRIMARY KEY(a, b)); "
        "CREATE TABLE child(x, y, FOREIGN KEY(x, y) REFERENCES parent(a, b))")
    shell = terminal()
    shell.type("SELECT * FROM child JOIN parent\t")
    # Both the table alone and with its condition begin so: they are listed.
    shell.expect(r"parent ON parent\.a = child\.x AND parent\.b = child\.y")


@pytest.mark.parametrize("database", ["default", "pg", "my"])
def test_describe_with_a_pattern_and_with_a_near_name(run, database):  # noqa: F811
    run("query", "-d", database, "DROP TABLE IF EXISTS invoice_line; DROP TABLE IF EXISTS invoice; "
        "CREATE TABLE invoice(id int PRIMARY KEY, total int); "
        "CREATE TABLE invoice_line(id int PRIMARY KEY, invoice int, FOREIGN KEY(invoice) REFERENCES invoice(id))")
    text = run("shell", "-d", database, "--format", "table", stdin=".describe invoice*\n").stdout
    assert "table " in text and "invoice:" in text and "invoice_line:" in text and "total" in text
    # Both directions of the key.
    assert "Foreign keys:" in text and re.search(r"Referenced by:\s+(\w+\.)?invoice_line", text), text
    text = run("shell", "-d", database, "--format", "table", stdin=".describe %_LINE\n").stdout
    assert "invoice_line:" in text and "total" not in text
    for given, meant in [("invoce", "invoice"), ("invoice_lines", "invoice_line")]:
        assert f"no table {given}; {meant} may be meant" in run("shell", "-d", database, stdin=f".describe {given}\n").stderr
    assert "no table that fits zz*" in run("shell", "-d", database, stdin=".describe zz*\n").stderr


def test_habits_of_mariadb_and_redis(terminal, run):  # noqa: F811
    shell = terminal("-d", "my")
    shell.type("use lb\n")
    shell.expect("OK\\s+my> ")
    shell.type("SELECT 1 AS first; SELECT 2 AS second\\G\n")
    shell.expect(r" first\r\n[^\r]*\r\n +1\r[\s\S]*second . 2\r")
    shell.type("SELECT 40 +\nquit\n")
    shell.expect("hint: the statement is still open")
    shell.type("\x03")
    shell.expect("my> ")
    # What has several lines is shown in several.
    shell.resize(80, 24)
    shell.type("SELECT 'one\\ntwo' AS x, 3 AS y;\n")
    shell.expect(r"x . one\r\n +. two\r\ny . 3\r")


def test_colour_only_where_it_is_wanted(terminal):
    shell = terminal()
    shell.type("SELECT NULL AS colourless; SELECT nope;\n")
    assert "\x1b[" not in re.sub(DRAWN, "", shell.expect(r"colourless[\s\S]*No such column")[0])
    shell = terminal(environment={"NO_COLOR": ""})
    shell.type("SELECT NULL AS colourful; SELECT nope;\n")
    shell.expect(r"\x1b\[1mcolourful\x1b\[0m[\s\S]*\x1b\[2mNULL\x1b\[0m")
    shell.expect(r"\x1b\[31mlitebase:\x1b\[0m No such column")


# Tables of PostgreSQL


def test_names_are_read_as_by_the_engine(run, postgresql):  # noqa: F811
    postgresql.psql('CREATE TABLE cased(x int); CREATE TABLE "Cased"(y int); CREATE SCHEMA sch; CREATE TABLE sch.cased(z int); CREATE TABLE "OnlyUpper"(u int)')
    for name, columns in [("cased", "xz"), ("CASED", "xz"), ('"Cased"', "y"), ('"cased"', "xz"), ("sch.cased", "z"), ("SCH.Cased", "z"),
                          ('public."Cased"', "y"), ("OnlyUpper", "u")]:
        done = run("shell", "-d", "pg", stdin=f".schema {name};\n")
        assert done.returncode == 0 and "".join(line.strip()[0] for line in done.stdout.splitlines() if line.startswith("    ")) == columns, (name, done)
    for database, name in [("default", '"quoted name"'), ("default", "[quoted name]"), ("my", "`quoted name`")]:
        run("query", "-d", database, f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name}(x int)")
        assert "quoted name" in run("shell", "-d", database, stdin=f".schema {name}\n").stdout
    assert "there is no table nix" in run("shell", "-d", "pg", stdin=".schema nix\n").stderr


def test_the_schema_is_not_compiled_and_nothing_of_that_stays(run, postgresql):  # noqa: F811
    """The compiler of queries takes seconds for this one. The server tells which plans have used it."""
    postgresql.psql("DROP DATABASE IF EXISTS explained")
    postgresql.psql("CREATE DATABASE explained")
    postgresql.psql("CREATE TABLE t(x int); ALTER DATABASE explained SET session_preload_libraries = 'auto_explain';"
                    "ALTER DATABASE explained SET auto_explain.log_min_duration = 0; ALTER DATABASE explained SET auto_explain.log_level = 'notice';"
                    "ALTER DATABASE explained SET auto_explain.log_analyze = on; ALTER DATABASE explained SET jit_above_cost = 0", "explained")
    ask = "SELECT current_setting('jit') AS jit, count(*) AS n FROM t;\n"
    for before, after, rows in [("", "", 0), ("BEGIN;\nINSERT INTO t VALUES (1);\n", "ROLLBACK;\n", 1)]:
        done = run("shell", "--url", postgresql.url("explained"), stdin=before + ".schema t\n" + ask + after)
        assert done.returncode == 0 and done.stdout == 'CREATE TABLE t (\n    x integer\n);\n{"jit":"on","n":%d}\n' % rows, done
        plans = done.stderr.split("NOTICE:  ")
        schema = [plan for plan in plans if "WITH RECURSIVE relation" in plan]
        control = [plan for plan in plans if "current_setting" in plan]
        assert len(schema) == 1 and "JIT:" not in schema[0] and len(control) == 1 and "JIT:" in control[0], done.stderr[-3000:]


# At a terminal


def test_what_was_typed_comes_back_as_it_was(terminal):
    shell = terminal()
    # Ctrl-C drops what was typed and not read: every line has to be.
    for line in ("SELECT 'a -- no", "  comment; \"' AS x, -- one; \"", "\t2 AS y", "# nothing"):
        shell.type(line + "\n")
        shell.expect(r"\.\.[.']> ")
    shell.type("\x03")
    shell.expect("default> ")
    shell.type("SELECT 'a -- no\n  comment; \"' AS x, -- one; \"\n 40 + 2 AS y;\n")
    shell.expect(r"a -- no\\n  comment; \" +. +42")
    shell.expect("default> ")
    shell.type("\x1b[A\n")
    shell.expect(r"a -- no\\n  comment; \" +. +42")
    shell.type("\x04")
    assert shell.end() == 0
    # And in another shell, by searching; the one before it, too.
    shell = terminal()
    shell.type("\x1b[A")
    shell.expect("AS y;")
    shell.type("\n")
    shell.expect(r"a -- no\\n  comment; \" +. +42")
    shell.expect("> ")
    shell.type("\x1b[A\x1b[A")
    shell.expect("# nothing")
    shell.type("\n")
    shell.expect("unrecognized token|syntax error|> ")


def test_what_is_typed_while_a_statement_runs_is_not_lost(terminal):
    shell = terminal("-d", "pg")
    for number in (1, 2, 3):
        shell.type(f"SELECT {number} + 10 AS x;\n")
        shell.expect(f"{number + 10}\\b")
    shell.expect("pg> ")
    shell.begin("SELECT pg_sleep(0.3);")
    # Four statements up, and one back down; then text that belongs to it.
    shell.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[B\x05 -- ahead\nSELECT 40 + 2 AS y;\n")
    shell.expect(r"\b12\b")
    shell.expect(r"\b42\b")
    shell.type("\x1b[A\x1b[A")
    shell.expect("-- ahead")


def test_tabs_are_pasted(terminal):
    shell = terminal()
    shell.type("SELECT\t'a\tb' AS x,\n\t\t40 + 2\tAS y;\n")
    shell.expect(r"a\\tb +. +42")


def test_what_the_terminal_calls_pasted_is_text(terminal):
    """Whatever it is: a tab at the end of a piece completes nothing, and no key of the editor comes out of it."""
    shell = terminal()
    assert shell.marks_pastes
    shell.type("\x1b[200~SELECT 40 AS before, 'sele\t")
    time.sleep(0.3)
    shell.type("\x12\x15\x1b[A\x7f' || 'ct' AS x,\n2 +\t")
    time.sleep(0.3)
    shell.type("40 AS y;\x1b[201~\n")
    shell.expect(r"40 +. +sele\\tAct +. +42")
    shell.expect("default> ")
    shell.type("sele\t")
    shell.expect(r"ct ")
    shell.type("43 AS x;\n")
    shell.expect("43")
    # A paste whose end never comes, since somebody else has read it, is over after a while.
    shell.type("\x1b[200~SELECT 1 AS lost")
    time.sleep(1.5)
    shell.type("\x15sele\t")
    shell.expect(r"ct ")
    shell.type("44 AS x;\n")
    shell.expect("44")
    shell.type("\x04")
    assert shell.end() == 0 and not shell.marks_pastes


def test_the_end_of_input_leaves_the_prompts_line(terminal):
    shell = terminal()
    shell.type("DELETE FROM t\n")
    shell.expect(r"\.\.\.> ")
    shell.type("\x04")
    shell.expect(r"\r\nlitebase: the statement without a semicolon")
    assert shell.end() == 0 and "\\n" not in shell.output
    shell = terminal()
    shell.type("BEGIN;\n")
    shell.expect(r"default\*> ")
    shell.type("\x04")
    shell.expect(r"^(\^D)?\r\nlitebase: the open transaction was not committed")
    assert shell.end() == 1


def test_ctrl_z_and_back(terminal):
    """sh leaves the terminal's modes as they are: the program has to give them back, and to take them again."""
    shell = terminal(command=["sh", "-im"])
    shell.expect(r"[$#] ")
    shell.type(f"{LITEBASE} shell\n")
    shell.expect("default> ")
    for typed, rest in (("SELECT 40 +", " 2 AS answer;"), ("SELECT 41\n  +", "1 AS answer;")):
        # What was typed and not read yet is dropped by the terminal at Ctrl-Z.
        wait_until(lambda: not shell.has_lines(), "lines are edited")
        shell.type(typed)
        shell.expect(r"40 \+|  \+")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect(r"[$#] ")
        assert shell.has_lines()
        shell.type("echo $((40 + 4))\n")
        shell.expect("44")
        shell.type("fg\n")
        shell.expect("> " + DRAWN + " *" + typed.split("\n")[-1].strip().replace("+", r"\+"))
        wait_until(lambda: not shell.has_lines(), "lines are edited again")
        shell.type(rest + "\n")
        shell.expect(r"42\s+\(1 row\)")
        shell.expect("default> ")
    # From outside, where nothing is typed; and while a statement runs.
    shell.begin(ENDLESS + ";")
    shell.type("\x1a")
    shell.expect(r"Stopped[\s\S]*[$#] ")
    shell.type("fg\n")
    shell.expect(r"fg\r\n.*litebase shell")
    wait_until(lambda: os.tcgetpgrp(shell.descriptor) != shell.process_id, "it is in the foreground, and gets Ctrl-C")
    shell.type("\x03")
    shell.expect("cancelled")
    shell.expect("default> ")
    shell.type("\x04")
    shell.expect(r"[$#] ")
    shell.type("exit\n")
    assert shell.end() == 0


def test_somebody_types_whoever_gets_the_results(daemon, tmp_path):  # noqa: F811
    """`litebase shell | tee file`: an error does not end it, and what the shell says by itself is for the terminal."""
    pid, typed = pty.fork()
    results = tmp_path / "results"
    if pid == 0:
        os.dup2(os.open(results, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.execve(LITEBASE, [LITEBASE, "shell"], {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm",
                                                  "LITEBASE_SOCKET": daemon.socket_path, **SANITIZER})
    shown = b""

    def until(mark):
        nonlocal shown
        while mark not in shown:
            assert select.select([typed], [], [], 20)[0], shown
            shown += os.read(typed, 4096)
        _, _, shown = shown.partition(mark)

    until(b"default> ")
    os.write(typed, b"SELECT nope;\n")
    until(b"No such column")
    until(b"default> ")
    os.write(typed, b"SELECT 40 + 2 AS x;\n")
    until(b"default> ")
    os.write(typed, b"\x04")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(typed)
    assert results.read_text() == '{"x":42}\n'


def test_a_server_that_goes_while_nobody_types(terminal, postgresql):  # noqa: F811
    shell = terminal("-d", "pg")
    shell.type("SELECT 41 AS x;\n")
    shell.expect("41")
    assert int(postgresql.psql(END)) >= 1
    wait_until(lambda: int(postgresql.psql(END.replace("pg_terminate_backend(pid)", "*"))) == 0, "the session's backend is gone")
    shell.type("SELECT 42 AS x;\n")
    shell.expect("ended the session")
    shell.expect("42")
    shell.type("BEGIN;\n")
    shell.expect(r"pg\*> ")
    postgresql.stop()
    try:
        shell.type("SELECT 43 AS x;\n")
        shell.expect("the open transaction is rolled back; ROLLBACK ends it")
        shell.expect("pg!> ")
        shell.type("ROLLBACK;\n")
        shell.expect("pg> ")
        shell.type("SELECT 44 AS x;\n")
        shell.expect("litebase: ")
        shell.expect("pg> ")
    finally:
        postgresql.start()
    # The daemon tries again a moment after it has failed.
    for _ in range(200):
        shell.type("SELECT 40 + 5 AS x;\n")
        if shell.expect(r"\b45\b|cannot be reached[^$]*pg> ")[0] == "45":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the server is not found again")
    shell.type("\x04")
    assert shell.end() == 0


def end_backends(postgresql):  # noqa: F811
    assert int(postgresql.psql(END)) >= 1
    wait_until(lambda: int(postgresql.psql(END.replace("pg_terminate_backend(pid)", "*"))) == 0, "the session's backend is gone")


@pytest.mark.parametrize("end, said", [("COMMIT", "nothing is committed"), ("ROLLBACK", None)])
def test_what_is_typed_behind_a_lost_transaction_is_not_committed_by_itself(run, terminal, postgresql, end, said):  # noqa: F811
    run("query", "-d", "pg", "DROP TABLE IF EXISTS pasted; CREATE TABLE pasted(x int)")
    shell = terminal("-d", "pg")
    shell.type("BEGIN; INSERT INTO pasted VALUES (1);\n")
    shell.expect(r"pg\*> ")
    end_backends(postgresql)
    # As a paste: nobody reads in between.
    shell.type(f"INSERT INTO pasted VALUES (2);\nINSERT INTO pasted VALUES (3);\n{end};\n")
    shell.expect("the open transaction is rolled back")
    shell.expect("this was not run; ROLLBACK ends it")
    if said:
        shell.expect(said)
    shell.expect("pg> ")
    shell.type("INSERT INTO pasted VALUES (4);\n")
    shell.expect("1 row")
    shell.type("\x04")
    shell.end()
    assert run("query", "-d", "pg", "--format", "csv", "SELECT x FROM pasted").stdout.split() == ["x", "4"]


def test_a_statement_is_not_run_in_a_session_that_lacks_what_was_set(run, terminal, postgresql):  # noqa: F811
    run("query", "-d", "pg", "DROP TABLE IF EXISTS w; CREATE TABLE w(x int); INSERT INTO w VALUES (1)")
    shell = terminal("-d", "pg")
    shell.type("CREATE TEMP TABLE w(x int);\n")
    shell.expect("pg> ")
    end_backends(postgresql)
    shell.type("DELETE FROM w;\n")
    shell.expect("this statement was not run")
    shell.expect("pg> ")
    assert count(run, "pg", "w") == 1
    # From here on its absence is known.
    shell.type("SELECT count(*) + 40 AS x FROM w;\n")
    shell.expect("41")


def test_a_restart_tells_what_is_gone(run, terminal, daemon):  # noqa: F811
    shell = terminal()
    shell.type("CREATE TEMP TABLE kept(x);\n")
    shell.expect("default> ")
    daemon.restart()
    shell.type("SELECT * FROM kept;\n")
    shell.expect("settings, temporary tables and locks of the session are gone")
    shell.type("SELECT 40 + 2 AS x;\n")
    shell.expect("42")
