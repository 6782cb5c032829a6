"""Types the commands of a block at a terminal, as its reader does, and compares what is seen with what is shown.

A terminal, because programs look at it: a table there is JSON in a pipe.
"""

import dataclasses
import fcntl
import os
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

import examples

PATIENCE = float(os.environ.get("LITEBASE_TEST_PATIENCE") or 1)
BEGIN, END = "\x1e", "\x1f"
COLUMNS = 400  # no line of a document is longer, and none is to be broken

# What is different each time, and therefore compared by its form. A rule names what its block may have of these; that the
# version is not among them is on purpose: the documents are those of the version.
VARIES = {
    "milliseconds": r"\d+\.\d{3}(?:/\d+\.\d{3})*(?= ms)",
    "seconds": r"(?<=, in )\d+\.\d(?= s\b)",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "date": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d(?::\d\d)?(?: \d{4})?",
    "ago": r"(?<=; )[\w ]+ ago",
    "pid": r"(?<=\bpid )\d+|(?<=\bpid=)\d+|(?<=\"pid\":)\d+|(?<=Process: )\d+|(?<=Main PID: )\d+|(?<=process )\d+|(?<=\[)\d+(?=\]:)",
    "uid": r"(?<=\buid )\d+|(?<=\"uid\":)\d+",
    "connection": r"(?<=Connection )\d+",
    "uptime": r"(?<=\bup )\d+ \w+|(?<=\"uptime_ms\":)\d+|(?<=uptime_ms  ) +\d+",
    "elapsed": r"(?<=\"elapsed_us\":)\d+",
    "directory": r"/tmp/tmp\.\w+",
    "session": r"\bs\d+-\d+\b",
    "latency": r"(?<=p\d\d ) +\d+|(?<=p\d\d\d ) +\d+",
    "columns": r" +",  # their widths, which depend on the numbers in them
    "numbers": r"(?<= )\d+(?:u|\b)|0x[0-9a-f]+|(?<=fd=)\d+",
    "duration": r"(?<=DURATION_US\": \")\d+|(?<=PEER_UID\": \")\d+",
    "host": r"(?<=:\d\d )[\w-]+(?= systemd\[)|(?<=<date> )[\w-]+(?= systemd\[)",
    "total": r"(?<=^total )\d+",
    "bytes": r"(?<=bytes_received )[ \d]+|(?<=bytes_sent     )[ \d]+",
}


@dataclasses.dataclass(frozen=True)
class Typed:
    """What is typed while a command runs, each piece when nothing has been printed for so many seconds."""
    text: str
    after: float = 0.3


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a command has printed, and its exit status; None for the status when its turn did not come."""
    command: str
    status: int
    lines: tuple


def script_of(commands, prelude):
    """The block as one script of bash, so that a variable of one line is there in the next; marks tell the lines apart."""
    lines = ["trap : INT", prelude]
    for number, command in enumerate(commands):
        # `echo $?` tells the status of the command before it.
        lines += [f"printf '{BEGIN}{number}{END}'", "(exit ${status:-0})", command, f"status=$?; printf '{BEGIN}=%d{END}' $status"]
    return "\n".join(lines) + "\n"


def open_terminal():
    master, slave = os.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST  # line ends stay as they are written
    settings[3] &= ~termios.ECHOCTL
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 200, COLUMNS, 0, 0))
    return master, slave


class Session:
    """One shell at one terminal."""

    def __init__(self, arguments, environment, directory):
        self.master, slave = open_terminal()
        self.output = b""
        try:
            # setsid(1) becomes the command. What a copy of this process could do before it begins costs more than some sessions.
            self.process = subprocess.Popen(["setsid", "--ctty", *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment,
                                            cwd=directory)
        finally:
            os.close(slave)

    def read(self, seconds):
        """Whether something came within that time; None at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # EIO: everybody has closed the other side
            piece = b""
        self.output += piece
        return True if piece else None

    def read_until(self, condition, what, seconds):
        deadline = time.monotonic() + seconds * PATIENCE
        while not condition():
            if self.read(0.05) is None:
                return
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}; seen: {self.output[-2000:]!r}"

    def type(self, typed):
        began = quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < typed.after * PATIENCE:
            assert time.monotonic() - began < 30 * PATIENCE, f"never quiet for {typed.after} s: {self.output[-2000:]!r}"
            came = self.read(0.02)
            if came is None:
                return
            quiet_since = time.monotonic() if came else quiet_since
        os.write(self.master, typed.text.encode())

    def finish(self, seconds):
        try:
            self.read_until(lambda: self.process.poll() is not None, "the end of the block", seconds)
            while self.read(0.05):
                pass
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            os.close(self.master)


def run(commands, *, shell=("bash",), environment, directory, types=None, seconds=60, prelude="", place_script=None):
    """Runs commands in one shell; `types` says by a command's text what is typed while it runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as file:
        file.write(script_of(commands, prelude))
        file.flush()
        os.chmod(file.name, 0o644)
        path = place_script(file.name) if place_script else file.name
        session = Session([*shell, path], environment, directory)
        for number, command in enumerate(commands):
            typed = (types or {}).get(command, ())
            if typed:
                mark = f"{BEGIN}{number}{END}".encode()
                session.read_until(lambda: mark in session.output, f"the turn of: {command}", seconds)
                for one in typed:
                    session.type(one)
        session.finish(seconds)
    return taken_apart(session.output.decode("utf-8", errors="replace"), commands)


def taken_apart(output, commands):
    seen = []
    for number, command in enumerate(commands):
        match = re.search(rf"{BEGIN}{number}{END}(.*?)(?:{BEGIN}=(\d+){END}|\Z)", output, re.S)
        text = match[1].replace("\r\n", "\n").replace("\x03", "") if match else ""  # the echo of Ctrl-C
        text = re.sub(r"\x1b\[[\d;]*m", "", text)  # colours, of programs that do not know NO_COLOR
        lines = tuple(text.removesuffix("\n").split("\n")) if text else ()
        seen.append(Seen(command, int(match[2]) if match and match[2] else None, lines))
    return seen


def formed(lines, varies):
    """Lines with what varies replaced by its name; the number of replacements by name."""
    counts = dict.fromkeys(varies, 0)
    made = []
    for line in lines:
        for name in varies:
            line, count = re.subn(VARIES[name], f"<{name}>", line)
            counts[name] += count
        made.append(line.rstrip())
    return made, counts


def matches(shown, seen):
    """Whether the lines are those, where a line `…` stands for any number of lines."""
    if not shown:
        return not seen
    if shown[0] == "…":
        return any(matches(shown[1:], seen[start:]) for start in range(len(seen) + 1))
    return bool(seen) and same_line(shown[0], seen[0]) and matches(shown[1:], seen[1:])


def same_line(shown, seen):
    """A `…` within a line stands for a part of it."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), seen) is not None


def check(block, judgement, commands, seen, named=lambda lines: lines):
    """Each command's exit status, and what it prints where the document shows something."""
    used = set()
    for command, done in zip(commands, seen):
        where = f"{block.name}: {command.text}"
        text = examples.without_comment(command.text)
        assert done.status == judgement.ends.get(text, 0), f"{where}\n{done.status}: " + "\n".join(done.lines)
        shown, shown_counts = formed(command.shown, judgement.varies)
        printed, _ = formed(named(done.lines), judgement.varies)
        used.update(name for name, count in shown_counts.items() if count)
        if shown:
            assert matches(shown, printed), (
                f"{where}\nthe document shows:\n" + "\n".join(command.shown) + "\nthe reader sees:\n" + "\n".join(named(done.lines)))
    assert used == set(judgement.varies), f"{block.name}: nothing varies like {set(judgement.varies) - used}"
