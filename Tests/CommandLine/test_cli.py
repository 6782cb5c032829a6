"""The command line against a real daemon, from outside.

LITEBASED and LITEBASE name the binaries; the default is .build/release. Needs pytest only.
"""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from daemon import wait_until

ROOT = Path(__file__).resolve().parents[2]
LITEBASED = os.environ.get("LITEBASED", str(ROOT / ".build/release/litebased"))
LITEBASE = os.environ.get("LITEBASE", str(ROOT / ".build/release/litebase"))
# What a program that was built with a sanitizer has to know (scripts/sanitize.sh).
SANITIZER = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS") or key == "LD_PRELOAD"}
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
NUMBERS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<{}) SELECT x FROM c"


class Daemon:
    def __init__(self, directory: Path):
        self.socket = str(directory / "lb.sock")
        self.directory = directory
        self.process = None
        self.start()

    def start(self):
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("LISTEN_", "NOTIFY_"))}
        environment["STATE_DIRECTORY"] = str(state)
        self.log = open(self.directory / "daemon.log", "ab")
        self.process = subprocess.Popen(
            [LITEBASED, "--listen", "standalone", "--socket", self.socket,
             "--database", f"other=sqlite:{self.directory}/other.db"],
            env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 10
        while subprocess.run([LITEBASE, "ping", "--socket", self.socket], capture_output=True).returncode != 0:
            assert time.monotonic() < deadline and self.process.poll() is None, "the daemon did not start"
            time.sleep(0.02)

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.log.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    # A short path: a socket's may have 107 bytes only.
    daemon = Daemon(tmp_path_factory.mktemp("d"))
    yield daemon
    daemon.stop()


@pytest.fixture
def run(daemon, tmp_path):
    def call(*arguments, stdin=None, environment=None, check=None):
        result = subprocess.run(
            [LITEBASE, *arguments], input=stdin, capture_output=True, timeout=60,
            env={"PATH": os.environ["PATH"], "LITEBASE_SOCKET": daemon.socket, "HOME": str(tmp_path),
                 "LC_ALL": "C.UTF-8", **SANITIZER, **(environment or {})})
        if check is not None:
            assert result.returncode == check, result
        return result
    return call


@pytest.fixture
def query(run):
    def call(*arguments, **options):
        output = run("query", *arguments, check=0, **options).stdout
        return [json.loads(line) for line in output.splitlines()]
    return call


# --- ping, databases, status, completions -----------------------------------------------------------------------------

def test_ping(run):
    result = run("ping", check=0)
    assert re.fullmatch(rb"healthy from \S+: litebased \S+, pid \d+, up .*, time=\d+\.\d{3} ms\n", result.stdout)


def test_ping_several_times(run):
    lines = run("ping", "-c", "5", "-i", "0", check=0).stdout.splitlines()
    assert len(lines) == 6
    assert re.fullmatch(rb"5 answers, min/avg/max/p99 = (\d+\.\d{3}/){3}\d+\.\d{3} ms", lines[-1])


def test_ping_until_interrupted(daemon):
    process = subprocess.Popen([LITEBASE, "ping", "-c", "0", "-i", "0.01", "--socket", daemon.socket],
                               stdout=subprocess.PIPE)
    assert b"seq=1" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert b"answers, min/avg/max/p99" in output
    assert process.returncode == 0


def test_databases(run):
    rows = [json.loads(line) for line in run("databases", check=0).stdout.splitlines()]
    assert {row["name"] for row in rows} >= {"default", "other"}
    assert [row["default"] for row in rows if row["name"] == "default"] == [True]


def test_status(run):
    text = run("status", check=0).stdout.decode()
    assert re.search(r"^state +healthy, up .*, standalone$", text, re.M)
    status = json.loads(run("status", "--json", check=0).stdout)
    assert status["status"] == "healthy" and status["protocol"] == 1
    assert status["stats"]["requests"]["health_check"] >= 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(run, shell):
    assert b"databases" in run("completions", shell, check=0).stdout


def test_version_and_help(run):
    assert re.fullmatch(rb"litebase \d+\.\d+\.\d+\n", run("--version", check=0).stdout)
    assert b"EXAMPLES" in run("query", "--help", check=0).stdout


# --- closed standard streams --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [["query", "SELECT 1"], ["ping"], ["status"], ["databases"]])
def test_closed_output_is_no_descriptor_of_the_connection(daemon, arguments):
    """The socket would get the number 1, and the result go to the daemon as if it were a request."""
    result = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', LITEBASE, *arguments, "--socket", daemon.socket],
                            stderr=subprocess.PIPE, timeout=30)
    assert (result.returncode, result.stderr) == (74, b"litebase: cannot write the output: Bad file descriptor\n")


def test_closed_input_is_no_descriptor_of_the_connection(daemon):
    result = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&-', LITEBASE, "query", "-", "--socket", daemon.socket],
                            capture_output=True, timeout=30)
    assert (result.returncode, result.stderr) == (66, b"litebase: cannot read stdin: Bad file descriptor\n")


def test_closed_errors_are_no_descriptor_of_the_connection(daemon):
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" "$@" 2>&-', LITEBASE, "ping", "-c", "0", "-i", "30", "--socket", daemon.socket],
        stdout=subprocess.PIPE)
    try:
        assert b"seq=1" in process.stdout.readline()
        assert os.readlink(f"/proc/{process.pid}/fd/2") == "/dev/null"
    finally:
        process.kill()
        process.communicate()


# --- hints ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, status, hint", [
    (["-d", "nowhere", "SELECT 1"], 1, "list_databases ('litebase databases') names those that you may open."),
    (["SELECT ?, ?", "1"], 1, "Give one value for each placeholder of the statement."),
    (["--read-only", "CREATE TABLE never(x)"], 1, "Either you may only read here (the list of databases says so, you asked "
                                                  "for it, or it is an export), or the daemon may not write the file and its directory."),
    (["SELECT zeroblob(100000000)"], 75, "Take parts of it with substr(), or raise limits.row_bytes_max."),
    (["--url", "some:/path.db", "SELECT 1"], 1, "Use sqlite:/absolute/path, sqlite::memory:, postgresql://, mysql:// or "
                                                "redis://HOST/DATABASE."),
])
def test_hints_name_what_the_user_can_do(run, arguments, status, hint):
    result = run("query", *arguments, check=status)
    assert result.stderr.decode().splitlines()[-1] == f"hint: {hint}"


def test_a_name_with_a_colon_is_a_url(run):
    assert b'scheme "some"' in run("query", "--url", "some:db", "SELECT 1", check=1).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_examples_of_completions_can_be_copied(run, shell):
    """A line that is folded by the width of the screen would end at the redirection."""
    text = run("completions", "--help", check=0).stdout.decode()
    assert re.search(rf"^  litebase completions {shell} > \S+$", text, re.M), text


# --- query: parameters, values, formats ------------------------------------------------------------------------------

def test_parameters(query):
    words = ["null", "5", "-5", "1.5", "text", "007", "x'00ff'", "'007'", "9223372036854775807"]
    sql = "SELECT " + ", ".join(f"typeof(?{i + 1}) t{i}, ?{i + 1} v{i}" for i in range(len(words)))
    [row] = query(sql, *words)
    kinds = [row[f"t{i}"] for i in range(len(words))]
    assert kinds == ["null", "integer", "integer", "real", "text", "text", "blob", "text", "integer"]
    assert row["v2"] == -5 and row["v5"] == "007" and row["v6"] == {"$blob": "AP8="} and row["v7"] == "007"
    assert row["v8"] == {"$int": "9223372036854775807"}


def test_named_parameters(query):
    assert query("SELECT :a + $b AS sum", ":a=1", ":b=2") == [{"sum": 3}]


def test_all_text(query):
    assert query("--text", "SELECT typeof(?) t, ? v", "5", ":x=1") == [{"t": "text", "v": ":x=1"}]


@pytest.mark.parametrize("arguments", [["query", "SELECT 1", "--timeout", "-1"], ["ping", "-c", "-1"]], ids=["long", "short"])
def test_negative_number_of_an_option_is_refused_for_what_it_is(run, arguments):
    assert b"Missing" not in (text := run(*arguments, check=64).stderr) and (b"positive" in text or b"negative" in text)


def test_negative_number_is_a_value(query):
    assert query("SELECT ? AS v", "-1e3") == [{"v": -1000.0}]


FORMATS = "SELECT 1 AS n, 'a,\"b\"' AS t, NULL AS z, x'00ff' AS b, 'Zürich|x' AS u"


def test_json(run):
    row = {"n": 1, "t": 'a,"b"', "z": None, "b": {"$blob": "AP8="}, "u": "Zürich|x"}
    assert json.loads(run("query", "--format", "json", FORMATS, check=0).stdout) == [row]
    assert json.loads(run("query", FORMATS, check=0).stdout) == row


def test_csv(run):
    output = run("query", "--format", "csv", FORMATS, check=0).stdout.decode()
    assert output.endswith("\r\n")
    assert list(csv.reader(io.StringIO(output, newline=""))) == [
        ["n", "t", "z", "b", "u"], ["1", 'a,"b"', "", "x'00ff'", "Zürich|x"]]
    assert run("query", "--format", "csv", "--no-header", "SELECT 1", check=0).stdout == b"1\r\n"


def test_tsv(run):
    output = run("query", "--format", "tsv", "SELECT 'a\tb' x, NULL y, '\\' z", check=0).stdout
    assert output == b"x\ty\tz\na\\tb\t\\N\t\\\\\n"


def test_markdown(run):
    output = run("query", "--format", "markdown", FORMATS, check=0).stdout.decode()
    assert output.splitlines()[2] == '| 1 | a,"b" | NULL | `x\'00ff\'` | Zürich\\|x |'


def test_table(run):
    output = run("query", "--format", "table", "SELECT '東京' AS city, 1 AS n UNION ALL SELECT NULL, 22",
                 check=0).stdout.decode()
    assert output == " city │ n\n──────┼────\n 東京 │  1\n NULL │ 22\n(2 rows)\n"


def test_table_in_ascii(run):
    output = run("query", "--format", "table", "SELECT 1 AS n", environment={"LC_ALL": "C"}, check=0).stdout
    assert output == b" n\n---\n 1\n(1 row)\n"


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 100_000])
def test_all_rows_arrive(query, count):
    rows = query(NUMBERS.format(count) if count else NUMBERS.format(1) + " LIMIT 0")
    assert [row["x"] for row in rows] == list(range(1, count + 1))


def test_max_rows(run):
    result = run("query", "--max-rows", "3", "--format", "table", NUMBERS.format(10), check=0)
    assert b"(3 rows, more were cut off)" in result.stdout


def test_memory_is_bounded(daemon):
    """A million rows to a reader that stalls first."""
    process = subprocess.Popen([LITEBASE, "query", "--socket", daemon.socket, NUMBERS.format(1_000_000)],
                               stdout=subprocess.PIPE)
    time.sleep(0.5)
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+)", status)[1]) < 40_000
    assert sum(1 for _ in process.stdout) == 1_000_000
    assert process.wait(10) == 0


# --- query: several statements, stdin, databases -----------------------------------------------------------------------

def test_several_statements_share_a_session(query):
    rows = query("CREATE TEMP TABLE s(a); BEGIN; INSERT INTO s VALUES (1), (2); COMMIT; SELECT count(*) n FROM s")
    assert rows == [{"n": 2}]


def test_script_from_stdin(query):
    script = b"""
        CREATE TABLE IF NOT EXISTS log(a); DELETE FROM log; -- a comment; with a semicolon
        CREATE TABLE IF NOT EXISTS item(a);
        DROP TRIGGER IF EXISTS tr;
        CREATE TRIGGER tr AFTER INSERT ON item BEGIN
            INSERT INTO log VALUES ('one;'); INSERT INTO log VALUES (CASE WHEN 1 THEN new.a END);
        END;
        INSERT INTO item VALUES ('it''s;');
        SELECT a FROM log ORDER BY rowid"""
    assert query("-", stdin=script) == [{"a": "one;"}, {"a": "it's;"}]


def test_script_stops_at_the_first_error(run):
    result = run("query", "-", stdin=b"SELECT 1 AS a;\n\nSELECT nope;\nSELECT 2 AS a;", check=1)
    assert result.stdout == b'{"a":1}\n'
    assert result.stderr.startswith(b"litebase: stdin, line 3: ")


def test_uncommitted_transaction_is_reported(run, query):
    run("query", "DROP TABLE IF EXISTS u; CREATE TABLE u(a)", check=0)
    result = run("query", "BEGIN; INSERT INTO u VALUES (1)", check=1)
    assert b"not committed" in result.stderr
    assert query("SELECT count(*) n FROM u") == [{"n": 0}]


def test_database_and_url(run, query, daemon):
    run("query", "--database", "other", "CREATE TABLE IF NOT EXISTS only_here(a)", check=0)
    assert query("--database", "other", "SELECT count(*) n FROM only_here") == [{"n": 0}]
    run("query", "SELECT * FROM only_here", check=1)
    run("query", "--database", "nope", "SELECT 1", check=1)
    run("query", "-d", "other", "--url", "sqlite::memory:", "SELECT 1", check=64)


def test_read_only(run):
    assert b"read" in run("query", "--read-only", "CREATE TABLE ro(a)", check=1).stderr.lower()


def test_many_statements(run, query):
    """More than a pipe holds, so that reading and running overlap."""
    script = "DROP TABLE IF EXISTS m; CREATE TABLE m(a); BEGIN;" + "".join(
        f"INSERT INTO m VALUES ({i}, 'x');".replace(", 'x'", "") for i in range(5000)) + "COMMIT;"
    run("query", "-", stdin=script.encode(), check=0)
    assert query("SELECT sum(a) s FROM m") == [{"s": sum(range(5000))}]


# --- what goes wrong ------------------------------------------------------------------------------------------------------

def test_bad_sql_has_a_caret(run):
    lines = run("query", "SELECT 1 FORM t WHERE", check=1).stderr.decode().splitlines()
    assert lines[0].startswith("litebase: ")
    assert lines[1].startswith("  SELECT 1 FORM t")
    assert lines[2].strip() == "^"


@pytest.mark.parametrize("arguments, status, word", [
    (["query", "SELECT 1; SELECT ?", "1"], 64, b"single statement"),
    (["query", "SELECT ?", ":a=1", "2"], 64, b"do not mix"),
    (["query", "  -- nothing\n"], 64, b"no statement"),
    (["query", "-", "5"], 64, b"no parameters"),
    (["query"], 64, b"sql"),
    (["query", "SELECT 1", "--fromat", "csv"], 64, b"--format"),
    (["query", "SELECT 1", "--format", "xml"], 64, b"jsonl"),
    (["query", "SELECT 1", "--timeout=0"], 64, b"positive"),
    (["query", "SELECT 1", "--socket", "/a", "--port", "1"], 64, b"not both"),
    (["qury"], 64, b"qury"),
    (["completions", "tcsh"], 64, b"bash"),
    (["ping", "--socket", "/nonexistent/lb.sock"], 69, b"start one with"),
    (["ping", "--port", "1"], 69, b"127.0.0.1:1"),
    (["query", "BEGIN"], 1, b"litebase shell"),
    (["query", "SELECT ?"], 1, b"parameter"),
    (["query", "--timeout", "0.05", ENDLESS], 75, b"timeout"),
])
def test_mistakes_are_named(run, arguments, status, word):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (status, b"")
    assert word in result.stderr


def test_no_daemon_names_all_places(run, tmp_path):
    if Path("/run/litebase/litebase.sock").exists() or Path("/tmp/litebase.sock").exists():
        pytest.skip("a daemon of this machine is in the way")
    result = run("ping", environment={"LITEBASE_SOCKET": "", "XDG_RUNTIME_DIR": str(tmp_path)}, check=69)
    for place in [f"{tmp_path}/litebase/litebase.sock", "/.local/state/litebase/litebase.sock", "/run/litebase/litebase.sock",
                  "/tmp/litebase.sock, has to be named"]:
        assert place in result.stderr.decode()


def test_control_characters_in_errors_are_visible(run):
    assert b"\x1b" not in run("query", "SELECT \"\x1b[31mred\" FROM nope", check=1).stderr


def test_broken_pipe_is_quiet(daemon):
    process = subprocess.Popen([LITEBASE, "query", "--socket", daemon.socket, NUMBERS.format(10_000_000)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(10) == -signal.SIGPIPE
    assert process.stderr.read() == b""


def test_full_disk(run, daemon):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([LITEBASE, "query", "--socket", daemon.socket, NUMBERS.format(100_000)],
                                stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 74
    assert b"No space left" in result.stderr


def test_not_a_litebase_socket(run, tmp_path):
    import socket
    path = str(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = subprocess.Popen([LITEBASE, "ping", "--socket", path], stderr=subprocess.PIPE)
        peer, _ = listener.accept()
        peer.sendall(b"220 mail.example.org ESMTP\r\n")
        _, error = process.communicate(timeout=10)
        peer.close()
    assert process.returncode == 70
    assert b"LiteBase protocol" in error


def test_daemon_that_goes_away(tmp_path_factory, run):
    daemon = Daemon(tmp_path_factory.mktemp("k"))
    process = subprocess.Popen([LITEBASE, "query", "--socket", daemon.socket, ENDLESS],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.3)
    daemon.process.kill()
    output, error = process.communicate(timeout=10)
    daemon.stop()
    assert process.returncode == 69
    assert error.count(b"\n") == 1 and b"closed the connection" in error


# --- the shell ------------------------------------------------------------------------------------------------------------

def test_shell_from_a_pipe(run):
    result = run("shell", "--format", "csv", "--no-header", stdin=b"SELECT 1;\nSELECT\n2;\n.mode jsonl\nSELECT 3 AS a")
    assert result.stdout == b'1\r\n2\r\n{"a":3}\n'
    assert result.returncode == 0


def test_shell_from_a_pipe_goes_on_after_errors_if_it_is_told_to(run):
    result = run("shell", "--on-error", "continue", stdin=b"SELECT nope;\n.nope\nSELECT 1 AS a;\n", check=1)
    assert result.stdout == b'{"a":1}\n'
    assert result.stderr.count(b"litebase: ") == 2


def test_shell_commands(run, tmp_path):
    (tmp_path / "in.sql").write_text("CREATE TABLE IF NOT EXISTS sh(a,\n  b);\nSELECT 'from file' AS x;\n")
    stdin = f".read {tmp_path}/in.sql\n.tables\n.schema sh\n.databases\n.use other\n.tables\n.quit\nSELECT 1;\n"
    output = run("shell", stdin=stdin.encode(), check=0).stdout.decode()
    assert '{"x":"from file"}' in output
    assert '{"name":"sh","type":"table"}' in output
    assert "CREATE TABLE sh(a,\n  b);\n" in output
    assert '"name":"other"' in output
    assert '{"1":1}' not in output


class Terminal:
    """A shell on a pseudo-terminal; `command` is another program there."""

    def __init__(self, socket, home, *words, locale="C.UTF-8", command=None, environment=None):
        command = command or [LITEBASE, "shell", *words]
        self.process_id, self.descriptor = pty.fork()
        if self.process_id == 0:
            os.execvpe(command[0], command, {
                "PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": locale, "NO_COLOR": "1",
                "LITEBASE_SOCKET": socket, **SANITIZER, **(environment or {})})
        self.output = ""
        #: Whether the shell wants to be told what is pasted.
        self.marks_pastes = False

    def read(self):
        """What has come, without the modes for pastes (\x1b[?2004h and l), which come with each line."""
        parts = re.split(r"\x1b\[\?2004([hl])", self.output + os.read(self.descriptor, 65536).decode(errors="replace"))
        self.output = "".join(parts[::2])
        if len(parts) > 1:
            self.marks_pastes = parts[-2] == "h"

    def resize(self, columns, lines):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def has_lines(self):
        """Whether the terminal is in its usual mode, which gives programs whole lines."""
        return bool(termios.tcgetattr(self.descriptor)[3] & termios.ICANON)

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def begin(self, statement):
        """Types a statement and waits until the shell has read it. Ctrl-C and Ctrl-Z drop what the terminal has and nobody has read."""
        wait_until(lambda: not self.has_lines(), "lines are edited")
        self.type(statement + "\n")
        wait_until(self.has_lines, "the statement runs")

    def expect(self, pattern, seconds=10):
        """Waits for a pattern and drops everything up to its end."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.output)):
            left = deadline - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(0, left))[0]
            assert ready, f"{pattern!r} not in {self.output!r}"
            try:
                self.read()
            except OSError:
                pytest.fail(f"the shell ended: {self.output!r}")
        self.output = self.output[match.end():]
        return match

    def end(self):
        """The exit status, once the shell has ended."""
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                if select.select([self.descriptor], [], [], 0.05)[0]:
                    self.read()
            pid, status = os.waitpid(self.process_id, os.WNOHANG)
            if pid:
                os.close(self.descriptor)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"the shell does not end: {self.output!r}"


@pytest.fixture
def terminal(daemon, tmp_path):
    terminal = Terminal(daemon.socket, tmp_path)
    terminal.expect("default> ")
    yield terminal
    with contextlib.suppress(OSError):
        os.kill(terminal.process_id, signal.SIGKILL)
        os.waitpid(terminal.process_id, 0)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "nowhere.UTF-8"])
def test_what_is_typed_is_sent_in_every_locale(daemon, tmp_path, locale):
    """Without UTF-8 the line editor dropped what is not ASCII, and a statement with another text was run."""
    terminal = Terminal(daemon.socket, tmp_path, locale=locale)
    terminal.expect("default> ")
    terminal.type("SELECT hex('ü€') AS bytes;\r")
    terminal.expect("C3BCE282AC")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_interactive_statements(terminal):
    terminal.type("SELECT 'a'\n")
    terminal.expect(r"\.\.\.> ")
    terminal.type("AS x;\n")
    terminal.expect(r"\(1 row\)")
    terminal.type("BEGIN;\n")
    terminal.expect(r"default\*> ")
    terminal.type("ROLLBACK;\n")
    terminal.expect(r"default> ")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_interrupt_cancels_the_statement_and_not_the_shell(terminal):
    terminal.type("BEGIN;\n")
    terminal.expect(r"default\*> ")
    terminal.begin(ENDLESS + ";")
    terminal.type("\x03")
    terminal.expect(r"cancelled")
    terminal.expect(r"default\*> ")
    terminal.type("SELECT 40 + 2 AS answer;\n")
    terminal.expect(r"42")
    terminal.type("ROLLBACK;\n.quit\n")
    assert terminal.end() == 0


def test_interrupt_drops_the_line(terminal):
    terminal.type("SELECT 'unfinished\n")
    terminal.expect(r"\.\.'> ")
    terminal.type("\x03")
    terminal.expect(r"default> ")
    terminal.type("SELECT 7 * 6 AS x;\n")
    terminal.expect(r"42")


def test_interrupt_stops_printing(terminal):
    terminal.type(NUMBERS.format(100_000_000) + ";\n")
    terminal.expect(r"1000\r?\n")
    terminal.type("\x03")
    terminal.expect(r"cancelled", seconds=20)
    terminal.expect(r"default> ")


def test_a_statement_is_one_entry_of_the_history(daemon, tmp_path):
    shell = Terminal(daemon.socket, tmp_path)
    shell.expect("default> ")
    for lines in (["SELECT 1", "  AS x;"], ["SELECT 2 -- two", "AS x;"], ["SELECT '3", "4' AS x;"], ["SELECT 'identified", "by 5' AS", "x; -- password"],
                  ["SELECT 6", "\x03SELECT 7 AS x;"], [" SELECT 8", "AS x;"], [".timing off"]):
        for line in lines:
            shell.type(line.lstrip("\x03") + "\n") if not line.startswith("\x03") else (shell.type("\x03"), shell.expect("default> "), shell.type(line[1:] + "\n"))
            shell.expect("> ")
    shell.type("\x04")
    assert shell.end() == 0
    history = (tmp_path / ".local/state/litebase/history").read_text().split("\n")
    assert history == ["SELECT 1\1  AS x;", "SELECT 2 -- two\1AS x;", "SELECT '3\0014' AS x;", "SELECT 6", "SELECT 7 AS x;", ".timing off", ""]


def test_history_is_kept(daemon, tmp_path):
    first = Terminal(daemon.socket, tmp_path)
    first.expect("default> ")
    first.type("SELECT 'remembered' AS x;\n")
    first.expect(r"\(1 row\)")
    first.type("\x04")
    assert first.end() == 0
    history = tmp_path / ".local/state/litebase/history"
    assert history.read_text() == "SELECT 'remembered' AS x;\n"
    assert history.stat().st_mode & 0o777 == 0o600
    second = Terminal(daemon.socket, tmp_path)
    second.expect("default> ")
    second.type("\x1b[A\n")
    second.expect(r"remembered[\s\S]*\(1 row\)")
    second.type("\x04")
    assert second.end() == 0


def test_shell_survives_a_restart_of_the_daemon(tmp_path_factory, tmp_path):
    daemon = Daemon(tmp_path_factory.mktemp("r"))
    terminal = Terminal(daemon.socket, tmp_path)
    terminal.expect("default> ")
    terminal.type("BEGIN;\n")
    terminal.expect(r"default\*> ")
    daemon.process.kill()
    daemon.stop()
    daemon.start()
    terminal.type("SELECT 1;\n")
    terminal.expect(r"closed the connection")
    terminal.expect(r"rolled back")
    terminal.expect(r"default!> ")
    terminal.type("ROLLBACK;\n")
    terminal.expect(r"default> ")
    terminal.type("SELECT 40 + 2 AS answer;\n")
    terminal.expect(r"42")
    terminal.type("\x04")
    assert terminal.end() == 0
    daemon.stop()


def test_interactive_half_statement_is_discarded(terminal, query, run):
    run("query", "DROP TABLE IF EXISTS half; CREATE TABLE half(x); INSERT INTO half VALUES (1)", check=0)
    terminal.type("delete from half\n")
    terminal.expect(r"\.\.\.> ")
    terminal.type("\x04")
    terminal.expect(r"not run")
    assert terminal.end() == 0
    assert query("SELECT count(*) AS n FROM half") == [{"n": 1}]


@pytest.mark.parametrize("way", ["\x04", ".quit\n"])
def test_interactive_transaction_is_not_lost_silently(terminal, way):
    terminal.type("BEGIN;\n")
    terminal.expect(r"default\*> ")
    terminal.type(".use other\n")
    terminal.expect(r"COMMIT or ROLLBACK")
    terminal.type(way)
    terminal.expect(r"not committed")
    assert terminal.end() == 1


@pytest.mark.parametrize("word", ["exit", "quit;", r"\q", "EXIT"])
def test_interactive_words_of_other_shells(terminal, word):
    terminal.type("help\n")
    terminal.expect(r"\.databases")
    terminal.type("\\d\n")
    terminal.expect(r"default> ")
    terminal.type(word + "\n")
    assert terminal.end() == 0


def test_history_keeps_no_passwords(terminal, tmp_path):
    for line in ("SELECT 1 AS kept;", "SELECT 'IDENTIFIED BY Xq7' AS x;", "SELECT 'password Xq7' AS y;"):
        terminal.type(line + "\n")
        terminal.expect(r"\(1 row\)")
    terminal.type("\x04")
    terminal.end()
    history = "".join(path.read_text() for path in tmp_path.rglob("history"))
    assert "kept" in history and "Xq7" not in history
