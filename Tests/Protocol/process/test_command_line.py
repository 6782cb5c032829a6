"""The `litebase` command: output formats, parameters, exit statuses, and one clear line when something is wrong.

"Guess" in a comment marks what the issue does not say.
"""

import csv
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

import pytest

from daemon import ENDLESS, LITEBASE, PATIENCE, counting, environment_for, wait_until

pytestmark = pytest.mark.skipif(not os.access(LITEBASE, os.X_OK), reason=f"no command at {LITEBASE}")


@pytest.fixture
def run(daemon):
    def run(*arguments, input=None, path=daemon.socket_path, timeout=20, **environment):
        flags = ["--socket", path] if path else []
        return subprocess.run([LITEBASE, *arguments, *flags], input=input, capture_output=True, text=True, timeout=timeout,
                              env=environment_for(daemon.directory, **environment))
    return run


def succeeds(result):
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def fails_clearly(result):
    assert result.returncode not in (0, None) and result.returncode > 0, f"status {result.returncode}"
    lines = result.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 12, f"a clear word, not a page: {result.stderr}"
    assert not re.search(r"Fatal error|Optional\(|Error\.|LiteBaseClient", result.stderr)
    return result.stderr


def test_ping(run):
    output = succeeds(run("ping"))
    assert re.search(r"\d+(\.\d+)? ?(µs|us|ms)", output)


@pytest.mark.slow
def test_ping_count(run):
    once, thrice = succeeds(run("ping")), succeeds(run("ping", "-c", "3"))
    times = [len(re.findall(r"\d(?:\.\d+)? ?(?:µs|us|ms)", text)) for text in (once, thrice)]
    assert times[1] > times[0]


def test_socket_by_environment(run, daemon):
    assert "1" in succeeds(run("query", "SELECT 1", path=None, LITEBASE_SOCKET=daemon.socket_path))


def test_query_in_a_pipe_prints_json_lines(run):
    lines = succeeds(run("query", "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL")).splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_json(run):
    output = succeeds(run("query", "--format", "json", "SELECT 1 AS a, 'x\"y' AS b UNION ALL SELECT 2, 'é😀'"))
    assert json.loads(output) == [{"a": 1, "b": 'x"y'}, {"a": 2, "b": "é😀"}]


def test_json_of_no_rows(run):
    assert json.loads(succeeds(run("query", "--format", "json", "SELECT 1 AS a WHERE 0"))) == []


@pytest.mark.parametrize("format, delimiter", [("csv", ","), ("tsv", "\t")])
def test_separated(run, format, delimiter):
    output = succeeds(run("query", "--format", format, "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, 'y z'"))
    assert list(csv.reader(io.StringIO(output), delimiter=delimiter)) == [["a", "b"], ["1", "x"], ["2", "y z"]]


def test_csv_quotes(run):
    output = succeeds(run("query", "--format", "csv", "SELECT 'a,b' AS a, 'say \"hi\"' AS b, 'two' || char(10) || 'lines' AS c"))
    assert list(csv.reader(io.StringIO(output))) == [["a", "b", "c"], ["a,b", 'say "hi"', "two\nlines"]]


def test_tsv_keeps_a_row_on_its_line(run):
    """A tab or a line feed within a value is escaped."""
    output = succeeds(run("query", "--format", "tsv", "SELECT 'a' || char(9) || 'b' AS x, 'c' || char(10) || 'd' AS y"))
    assert len(output.splitlines()) == 2
    assert output.splitlines()[1].count("\t") == 1


def test_markdown(run):
    lines = succeeds(run("query", "--format", "markdown", "SELECT 1 AS a, 'x|y' AS b")).splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"\|[\s:|-]+\|", lines[1])
    assert lines[2].replace("\\|", "").count("|") == 3


def test_table(run):
    output = succeeds(run("query", "--format", "table", "SELECT 1 AS number, '日本' AS name"))
    assert "number" in output and "日本" in output and len(output.splitlines()) >= 3


def test_parameters(run):
    output = succeeds(run("query", "SELECT ? AS a, ? AS b", "1", "two words"))
    row = json.loads(output)
    assert str(row["a"]) == "1" and row["b"] == "two words"


def test_sql_from_standard_input(run):
    assert json.loads(succeeds(run("query", "-", input="SELECT 42 AS answer\n"))) == {"answer": 42}


def test_exact_integers_and_blobs(run):
    output = succeeds(run("query", "--format", "csv", "SELECT 9223372036854775807 AS big, -0.5 AS real"))
    assert output.splitlines()[1] == "9223372036854775807,-0.5"


def test_database_and_url(run, directory):
    assert json.loads(succeeds(run("query", "--database", "sealed", "SELECT sum(x) AS s FROM fixed"))) == {"s": 6}
    url = f"sqlite:{directory}/x.db"
    succeeds(run("query", "--url", url, "CREATE TABLE t(x)"))
    succeeds(run("query", "--url", url, "INSERT INTO t VALUES (7)"))
    assert json.loads(succeeds(run("query", "--url", url, "SELECT x FROM t"))) == {"x": 7}


def test_databases(run):
    output = succeeds(run("databases"))
    assert all(name in output for name in ("default", "second", "sealed"))


def test_status(run, daemon):
    assert str(daemon.pid) in succeeds(run("status"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(run, shell):
    output = succeeds(run("completions", shell, path=None))
    assert "litebase" in output and "query" in output


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["query", "--help"]], ids=str)
def test_information(run, arguments):
    assert succeeds(run(*arguments, path=None))


@pytest.mark.parametrize("arguments", [["query", "SELEC 1"], ["query", "SELECT * FROM no_such_table"], ["query", ""],
                                       ["query", "--database", "nowhere", "SELECT 1"], ["query", "SELECT ?"],
                                       ["query", "--url", "gopher://x/", "SELECT 1"], ["query", "--format", "wax", "SELECT 1"],
                                       ["query"], ["no-such-command"], ["ping", "-c", "many"], ["query", "BEGIN"]], ids=str)
def test_errors(run, arguments):
    fails_clearly(run(*arguments))


def test_bad_sql_shows_the_message(run):
    assert "no_such_table" in fails_clearly(run("query", "SELECT * FROM no_such_table"))


def test_error_after_rows(run):
    """Rows that came are printed, and the status still tells of the failure."""
    result = run("query", counting(30_000, "CASE WHEN x > 20000 THEN abs(-9223372036854775807 - 1) ELSE x END AS x"))
    assert result.returncode > 0
    assert "overflow" in result.stderr


@pytest.mark.parametrize("kind", ["missing", "dead", "file"])
def test_no_daemon(run, directory, kind):
    path = str(directory / "s.sock")
    if kind == "dead":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    elif kind == "file":
        open(path, "w").close()
    assert path in fails_clearly(run("ping", path=path))


def test_broken_pipe(daemon):
    """`litebase query … | head -1` ends quietly and soon."""
    start = time.monotonic()
    result = subprocess.run(["sh", "-c", f"'{LITEBASE}' query \"{counting(3_000_000)}\" --socket {daemon.socket_path} | head -1"],
                            capture_output=True, text=True, timeout=20)
    assert json.loads(result.stdout) == {"x": 1}
    assert "Fatal" not in result.stderr and len(result.stderr.splitlines()) <= 1
    assert time.monotonic() - start < 10
    wait_until(daemon.is_idle, "the statement is cancelled when its reader leaves")


def test_interrupt_cancels(daemon):
    process = subprocess.Popen([LITEBASE, "query", ENDLESS, "--socket", daemon.socket_path], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    since = daemon.cpu_seconds()
    wait_until(lambda: daemon.cpu_seconds() - since > 0.03, "the statement runs")
    process.send_signal(signal.SIGINT)
    assert process.wait(5 * PATIENCE) != 0
    process.communicate()
    wait_until(daemon.is_idle, "the daemon rests")


@pytest.mark.slow
def test_streaming_does_not_fill_the_command(daemon):
    """A million rows pass through; the command's own memory stays small."""
    process = subprocess.Popen([LITEBASE, "query", counting(1_000_000, "x, printf('%050d', x) AS y"), "--socket", daemon.socket_path],
                               stdout=subprocess.PIPE)
    count = 0
    peak = 0
    for line in process.stdout:
        count += 1
        if count % 250_000 == 0:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(text.split()[1]) for text in status if text.startswith("VmHWM")])
    assert process.wait(10) == 0
    assert count == 1_000_000
    assert 0 < peak < 64 * 1024


def test_table_on_a_terminal(daemon):
    """With a terminal as its output the default is a table."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([LITEBASE, "query", "SELECT 1 AS first, 2 AS second", "--socket", daemon.socket_path],
                               stdin=subprocess.DEVNULL, stdout=follower, stderr=follower)
    os.close(follower)
    text = b""
    try:
        while piece := os.read(leader, 4096):
            text += piece
    except OSError:
        pass  # EIO: the last writer is gone
    os.close(leader)
    assert process.wait(10) == 0
    assert b"first" in text and not text.startswith(b"{")


def test_shell_reads_statements_from_a_pipe(run):
    """Guess: with a pipe as its input the shell runs line by line, without a prompt."""
    output = succeeds(run("shell", input=".databases\nSELECT 6 *\n 7 AS answer;\n.quit\n"))
    assert "42" in output and "sealed" in output
