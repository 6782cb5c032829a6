"""What somebody sees who types at the shell: colours, long lines, lists, what was typed before; on the screen of a terminal."""

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from test_cli import LITEBASE, SANITIZER, Terminal, daemon  # noqa: F401 (fixture)
from tmux import Window

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux")

KEYWORD, STRING, NUMBER, PARAMETER, COMMENT, ERROR = "blue bold", "green", "magenta", "cyan", "dim", "red"


@pytest.fixture
def window(daemon, tmp_path):  # noqa: F811
    """Opens shells in windows."""
    opened = []

    def open_one(*words, environment=None, columns=60, lines=14):
        own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "LITEBASE_SOCKET": daemon.socket,
               "TERM": "tmux-256color", **SANITIZER}
        opened.append(Window([LITEBASE, "shell", *words], {**own, **(environment or {})}, columns, lines))
        opened[-1].until(r"default>$")
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_colours_while_typing(window):
    shell = window()
    shell.type("SELECT 'it''s', 12.5, :name, a FROM t -- b")
    shell.until_words(("default>", ""), ("SELECT", KEYWORD), ("'it''s'", STRING), (",", ""), ("12.5", NUMBER), (",", ""), (":name", PARAMETER),
                      (", a", ""), ("FROM", KEYWORD), ("t", ""), ("-- b", COMMENT))
    # An apostrophe at the beginning makes a text of everything up to the next one, and without it all is as before.
    shell.press("Home")
    shell.type("'")
    shell.until_words(("default>", ""), ("'SELECT '", STRING), ("it", ""), ("''", STRING), ("s", ""), ("', 12.5, :name, a FROM t -- b", STRING))
    shell.press("BSpace")
    shell.until_words(("default>", ""), ("SELECT", KEYWORD), ("'it''s'", STRING), (",", ""), ("12.5", NUMBER), (",", ""), (":name", PARAMETER),
                      (", a", ""), ("FROM", KEYWORD), ("t", ""), ("-- b", COMMENT))
    # A line goes on where the one before has stopped.
    shell.press("C-c")
    shell.until(r"\^C\ndefault>$")
    shell.type("SELECT 'a\n")
    shell.until(r"\.\.'>$")
    shell.type("FROM' AS x")
    shell.until_words(("..'>", ""), ("FROM'", STRING), ("AS", KEYWORD), ("x", ""))
    # What was entered keeps its colours.
    shell.until_words(("default>", ""), ("SELECT", KEYWORD), ("'a", STRING), row=-2)
    shell.type(";\n")
    shell.until(r"\(1 row\)\n\ndefault>$|\(1 row\)\ndefault>$")


def test_commands_that_do_not_exist_are_red(window):
    shell = window()
    shell.type(".tab")
    shell.until_words(("default>", ""), (".tab", KEYWORD))
    shell.type("x")
    shell.until_words(("default>", ""), (".tabx", ERROR))
    shell.press("BSpace", "Enter")
    shell.until(r"there is no command \.tab; \.tables may be meant")
    entered = next(row for row in shell.cells() if "".join(cell.text for cell in row).startswith("default> .tab"))
    assert {cell.style for cell in entered[len("default> "):][:4]} == {ERROR}
    shell.type("\\d nothing")
    shell.until_words(("default>", ""), ("\\d", KEYWORD), ("nothing", ""))
    shell.press("C-c")
    # An unclosed quote is none at Enter.
    shell.type("SELECT 'a\n")
    shell.until(r"\.\.'>$")
    assert not any(cell.style == ERROR for cell in shell.cells()[-2])
    shell.type("'\n\\x")
    shell.until_words(("...>", ""), ("\\x", ERROR))


@pytest.mark.parametrize("words, variables, colours", [
    ([], {"NO_COLOR": "1"}, False), (["--color", "never"], {}, False), (["--color", "always"], {"NO_COLOR": "1"}, True), ([], {}, True)])
def test_whether_there_are_colours(window, words, variables, colours):
    shell = window(*words, environment=variables)
    shell.type("SELECT NULL AS x; SELECT nope;\n")
    shell.until(r"litebase: No such column[\s\S]*default>$")
    shell.type("SELECT 1")
    shell.until(r"> SELECT 1$")
    styles = {cell.style for row in shell.cells() for cell in row}
    # Of the keyword, of NULL, and of the error.
    assert {KEYWORD, "dim", ERROR} <= styles if colours else styles == {""}, styles


def test_colours_in_what_is_no_terminal(daemon, tmp_path):  # noqa: F811
    """A pager, or `| less -R`."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LITEBASE_SOCKET": daemon.socket, **SANITIZER}
    for when, count in [("always", 1), ("auto", 0), ("never", 0)]:
        done = subprocess.run([LITEBASE, "query", "--color", when, "--format", "table", "SELECT NULL AS x"], env=environment, capture_output=True, text=True, timeout=30)
        assert done.stdout.count("\x1b[2mNULL\x1b[0m") == count, done
    done = subprocess.run([LITEBASE, "query", "--color", "blue", "SELECT 1"], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and "'auto', 'always' or 'never'" in done.stderr, done


def test_a_terminal_that_knows_no_sequences(daemon, tmp_path):  # noqa: F811
    shell = Terminal(daemon.socket, tmp_path, environment={"TERM": "dumb", "NO_COLOR": ""})
    shell.expect("default> ")
    shell.type("SELECT 41 + 2 AS x;\x08\x08\x08\x08\x08\x08\x084\x0b0 AS y;\n")
    seen = shell.expect(r"[\s\S]*\(1 row\)[\s\S]*default> ")[0]
    shell.type(".tabl\t\n")
    seen += shell.expect(r"[\s\S]*default> ")[0]
    shell.type("\x04")
    assert shell.end() == 0 and "\x1b" not in seen, seen


def test_a_line_of_several_rows(window):
    shell = window(columns=40)
    shell.type(".print above\n")
    shell.until(r"\nabove\ndefault>$")
    # 31 columns are left; a wide character that does not fit begins the next row.
    shell.type("SELECT '" + "x" * 22 + "東京' AS long, '" + "y" * 40 + "';")
    rows = ["above", "default> SELECT '" + "x" * 22, "東京' AS long, '" + "y" * 24, "y" * 16 + "';"]
    shell.until_rows(*rows)
    assert shell.cursor[0] == 18
    # In the first row something is inserted and taken away; all that is behind moves.
    shell.press("Home", "M-f")
    shell.type("  ")
    shell.until_rows("above", "default> SELECT   '" + "x" * 21, "x東京' AS long, '" + "y" * 23, "y" * 17 + "';")
    assert shell.cursor[0] == len("default> SELECT  ")
    shell.press("BSpace", "BSpace")
    shell.until_rows(*rows)
    shell.press("End", *["BSpace"] * 20)
    shell.until_rows("above", rows[1], "東京' AS long, '" + "y" * 22)
    shell.press("C-u")
    shell.until_rows("above", "default>")
    # A row that is exactly full.
    shell.type("x" * 31)
    shell.until_rows("above", "default> " + "x" * 31)
    assert shell.cursor[0] == 0
    shell.press("BSpace", "BSpace")
    shell.until_rows("above", "default> " + "x" * 29)
    shell.press("C-c")
    shell.until_rows("above", "default> " + "x" * 29 + "^C", "default>")


def test_a_line_that_is_higher_than_the_screen(window):
    shell = window(columns=20, lines=5)
    text = "".join(f"{number:04}" for number in range(60))
    shell.type(text)
    shell.until(r"0059$")
    assert len(shell.lines) == 5
    shell.press("Home")
    shell.until(r"^default> 00000001000\n")
    assert shell.cursor == (9, 0)
    shell.type("'")
    shell.until(r"^default> '0000000100\n")
    shell.press("End")
    shell.until(r"0059$")
    shell.press("C-u")
    shell.until(r"^default>$")


def test_the_window_gets_another_size(window):
    shell = window(columns=60)
    shell.type(".print above\n")
    shell.until(r"\nabove\ndefault>$")
    text = "SELECT '" + "x" * 70 + "' AS y"
    shell.type(text)
    whole = "default> " + text
    shell.until_rows("above", whole[:60], whole[60:])
    for columns in (30, 50, 100, 45):
        shell.resize(columns, 14)
        shell.until_rows("above", *[whole[start:start + columns] for start in range(0, len(whole), columns)])
        shell.type("z")
        whole += "z"
        shell.until_rows("above", *[whole[start:start + columns] for start in range(0, len(whole), columns)])


def test_a_list_of_proposals_is_below_the_line(window):
    shell = window()
    shell.type(".t")
    shell.press("Tab")
    shell.until_rows("default> .t", ".tables  .timing", "default> .t")
    shell.type("im")
    shell.press("Tab")
    shell.until_words(("default>", ""), (".timing", KEYWORD))
    shell.type("on\n")
    shell.type("sel")
    shell.press("Tab")
    shell.until_words(("default>", ""), ("select", KEYWORD))


def test_statements_are_searched_and_come_back_whole(window, tmp_path):
    shell = window()
    shell.type("SELECT 'first\n  of two' AS x;\n")
    shell.until(r"\(1 row\)\n+default>$")
    shell.type("SELECT 2 AS y;\n")
    shell.until(r"2\n\(1 row\)\n+default>$")
    shell.press("C-r")
    shell.until(r"bck:$")
    shell.type("firs")
    shell.until_rows("default> SELECT 'first", "  of two' AS x;", "bck:firs")
    assert ("'first", STRING) in shell.words(-3)
    shell.press("Enter")
    shell.until(r"first\\n  of two[\s\S]*\(1 row\)\n+default>$|first\n +of two[\s\S]*\(1 row\)\n+default>$")
    # Up: the last one; Ctrl-R without a hit says so, and Ctrl-G or Ctrl-C ends it.
    shell.press("Up")
    shell.until_rows("default> SELECT 'first", "  of two' AS x;")
    shell.press("C-c")
    shell.until(r"\^C\ndefault>$")


def test_the_screen_is_cleared(window):
    shell = window()
    shell.type("SELECT 1 AS x;\n")
    shell.until(r"\(1 row\)")
    shell.type("SELECT 2")
    shell.until(r"SELECT 2$")
    shell.press("Left", "C-l")
    shell.until(r"^default> SELECT 2$")
    assert shell.cursor == (len("default> SELECT "), 0)


def test_many_lines_are_pasted(daemon, tmp_path):  # noqa: F811
    """Each is drawn once, and not for each of its characters."""
    shell = Terminal(daemon.socket, tmp_path, environment={"NO_COLOR": ""})
    shell.expect("default> ")
    os.set_blocking(shell.descriptor, False)
    lines = "SELECT length('" + "\n".join(["x" * 60] * 1000) + "') AS pasted;\n"
    sent, seen, data = 0, 0, lines.encode()
    deadline = time.monotonic() + 60
    tail = b""
    while b"60999" not in tail:
        assert time.monotonic() < deadline, tail[-300:]
        readable, writable, _ = select.select([shell.descriptor], [shell.descriptor] if sent < len(data) else [], [], 1)
        if readable:
            piece = os.read(shell.descriptor, 65536)
            seen += len(piece)
            tail = (tail + piece)[-4096:]
        if writable:
            with contextlib.suppress(BlockingIOError):
                sent += os.write(shell.descriptor, data[sent:sent + 4096])
    # A prompt, colours and moves for each line.
    assert seen < 4 * len(data), seen
    os.kill(shell.process_id, signal.SIGKILL)
    os.waitpid(shell.process_id, 0)


def test_tab_does_not_wait_for_a_daemon_that_stands_still(daemon, tmp_path):  # noqa: F811
    shell = Terminal(daemon.socket, tmp_path)
    shell.expect("default> ")
    shell.type("SELECT 40 + 2 AS x;\n")
    shell.expect(r"42[\s\S]*default> ")
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        shell.type("SELECT 4\t")
        shell.expect("\x07", 5)
        shell.type("x")
        shell.expect("x")
        shell.type("\x03")
        shell.expect("default> ")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    shell.type("SELECT 40 + 3 AS x;\n")
    shell.expect(r"43[\s\S]*default> ")
    shell.type("sele\t")
    shell.expect("select ")
    shell.type("\x03")
    shell.expect("default> ")
    shell.type("\x04")
    assert shell.end() == 0


# What is run that nobody types


def test_text_and_files_of_the_command_line(daemon, tmp_path):  # noqa: F811
    def run(*words):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LITEBASE_SOCKET": daemon.socket, **SANITIZER}
        done = subprocess.run([LITEBASE, "shell", "--format", "csv", "--no-header", *words], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.split(), done.stderr
    (tmp_path / "three.sql").write_text("SELECT 3;\n")
    (tmp_path / "wrong.sql").write_text("\nSELECT nope;\nSELECT 4;\n")
    three, wrong = str(tmp_path / "three.sql"), str(tmp_path / "wrong.sql")
    assert run("-c", "SELECT 1", "-f", three, "-c", ".print two") == (0, ["1", "two", "3"], "")
    # One session, and a statement that changes something needs no semicolon either.
    assert run("-c", "CREATE TEMP TABLE t(x)", "-c", "INSERT INTO t VALUES (7); SELECT x FROM t -- all") == (0, ["7"], "")
    status, rows, errors = run("-c", "SELECT nope", "-c", "SELECT 1", "-f", three)
    assert (status, rows) == (1, []) and "--command, line 1: No such column" in errors, errors
    status, rows, errors = run("-f", wrong, "-f", three)
    assert (status, rows) == (1, []) and "wrong.sql, line 2: No such column" in errors, errors
    status, rows, errors = run("--on-error", "continue", "-f", wrong, "-f", three)
    assert (status, rows) == (1, ["4", "3"]), errors
    status, rows, errors = run("-f", str(tmp_path / "nothing"), "-f", three)
    assert (status, rows) == (66, []) and "cannot read" in errors, errors
    assert run("-c", ".quit", "-c", "SELECT 1") == (0, [], "")
    status, rows, errors = run("-c", "BEGIN")
    assert status == 1 and "was not committed" in errors, errors


def test_the_startup_file(daemon, tmp_path):  # noqa: F811
    (tmp_path / ".config/litebase").mkdir(parents=True)
    (tmp_path / ".config/litebase/shellrc").write_text(".nullvalue nothing\nSELECT nope;\nSELECT 5;\n")
    shell = Terminal(daemon.socket, tmp_path)
    shell.expect(r"shellrc, line 2: No such column[\s\S]*default> ")
    shell.type("SELECT NULL AS x;\n")
    shell.expect(r"nothing[\s\S]*default> ")
    shell.type("\x04")
    assert shell.end() == 0, "what is wrong with it is no failure of what was typed"
    shell = Terminal(daemon.socket, tmp_path, "--no-startup")
    assert "shellrc" not in shell.expect(r"[\s\S]*default> ")[0]
    shell.type("SELECT NULL AS x;\n")
    assert "nothing" not in shell.expect(r"\(1 row\)[\s\S]*default> ").string
    shell.type("\x04")
    shell.end()
    # Scripts do not have what somebody likes at a terminal.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LITEBASE_SOCKET": daemon.socket, **SANITIZER}
    done = subprocess.run([LITEBASE, "shell"], env=environment, input="SELECT 1 AS x;\n", capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"x":1}\n', ""), done


# What hands know from elsewhere


def test_words_of_psql(daemon, tmp_path):  # noqa: F811
    (tmp_path / "three.sql").write_text("SELECT 40 + 3 AS y;\n")
    (tmp_path / "city.csv").write_text("name,people\nOslo,717710\n")
    shell = Terminal(daemon.socket, tmp_path)
    shell.expect("default> ")
    for typed, said in [("\\timing", r"Timing is on\."), ("SELECT 40 + 2 AS x;", r" 42\r[\s\S]*Time: [\d.]+"), ("\\timing off", ""),
                        (f"\\i {tmp_path}/three.sql", r" 43\r"), ("\\l", r"other +. sqlite"), ("\\conninfo", r"default \(sqlite\), connected to"),
                        ("\\c other", ""), ("\\c default", ""), (f".import --create {tmp_path}/city.csv typed_city", "1 row"),
                        ("SELECT name FROM typed_city WHERE people = 717710;", r"Oslo\r"), ("DROP TABLE typed_city;", ""),
                        (".export city", "litebase export writes"), ("help", r"\.databases"), ("\\zzz", r"there is no command \\zzz")]:
        shell.type(typed + "\n")
        shell.expect(re.escape(typed) + r"\r\n")
        shell.expect(said)
        shell.expect("other> " if typed == "\\c other" else "default> ")
    shell.type("\\q\n")
    assert shell.end() == 0


def test_a_table_on_the_screen(window):
    shell = window()
    shell.type("SELECT 1.5 AS n, 'a' AS t UNION ALL SELECT 222.25, NULL;\n")
    shell.until(r"\(2 rows\)")
    rows = [line.rstrip() for line in shell.lines]
    start = next(index for index, line in enumerate(rows) if re.match(r" +n +. t$", line))
    # Numbers end in one column, texts begin in one.
    assert re.match(r" +1\.5 . a$", rows[start + 2]) and re.match(r" 222\.25 . NULL$", rows[start + 3]), rows
    assert rows[start + 2].index("a") == rows[start + 3].index("NULL")
    header = {cell.style for cell in shell.cells()[start] if cell.text in "nt"}
    null = {cell.style for cell in shell.cells()[start + 3] if cell.text in "NUL"}
    assert header == {"bold"} and null == {"dim"}
    shell.type("\\x\n")
    shell.until(r"Rows are records")
    shell.type("SELECT 1.5 AS n, 'a' AS t;\n")
    shell.until(r"RECORD 1[^\n]*\nn . 1\.5\nt . a\n")
