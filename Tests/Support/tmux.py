"""A program in a window of tmux(1): what somebody sees, cell by cell.

A pseudo-terminal shows which bytes a program has written; whether a terminal makes of them what is meant (wrapped rows, wide characters,
colours, a window that gets another size), only a terminal knows.
"""

import contextlib
import dataclasses
import itertools
import re
import shlex
import shutil
import subprocess

from daemon import short_directory, wait_until

COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]


@dataclasses.dataclass(frozen=True)
class Cell:
    text: str
    style: str  # such as "bold blue"; "" for none


class Window:
    """One window of a server of its own."""

    def __init__(self, command, environment, columns=60, lines=14):
        self.directory = short_directory()
        words = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command]
        settings = self.directory / "tmux.conf"
        settings.write_text("set -g status off\nset -g default-terminal tmux-256color\nset -g escape-time 0\nset -g remain-on-exit on\n")
        self.tmux("-f", str(settings), "new-session", "-d", "-x", str(columns), "-y", str(lines), shlex.join(words))

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-S", str(self.directory / "tmux"), *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, text):
        # A semicolon at the end of a word would begin another command of tmux.
        self.tmux("send-keys", "-l", text[:-1] + "\\;" if text.endswith(";") else text)

    def press(self, *keys):
        """Keys by their names: `Enter`, `Home`, `C-r`."""
        self.tmux("send-keys", *keys)

    def paste(self, text):
        file = self.directory / "paste"
        file.write_text(text)
        self.tmux("load-buffer", str(file))
        self.tmux("paste-buffer", "-r")

    def resize(self, columns, lines):
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    @property
    def lines(self):
        """The rows, without what is empty at their ends, up to the last one that is not."""
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    @property
    def cursor(self):
        column, row = self.tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(column), int(row)

    def until(self, pattern):
        """Waits until the screen has a pattern; its rows."""
        seen = []

        def has():
            seen[:] = self.lines
            return re.search(pattern, "\n".join(seen))
        try:
            wait_until(has, f"the screen shows {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n" + "\n".join(seen)) from None
        return seen

    def until_rows(self, *rows):
        """Waits until the last rows are those."""
        seen = []

        def has():
            seen[:] = self.lines
            return seen[-len(rows):] == list(rows)
        try:
            wait_until(has, "the screen shows the rows")
        except AssertionError:
            raise AssertionError("wanted:\n" + "\n".join(rows) + "\nthe screen shows:\n" + "\n".join(seen)) from None

    def cells(self):
        """The rows as lists of cells."""
        rows, style = [], frozenset()
        for line in self.tmux("capture-pane", "-p", "-e").rstrip("\n").split("\n"):
            row = []
            for codes, character in re.findall(r"\x1b\[([\d;]*)m|([^\x1b\x0e\x0f])", line):
                if character:
                    row.append(Cell(character, " ".join(sorted(style))))
                else:
                    style = styled(style, [int(code or 0) for code in codes.split(";")])
            rows.append(row)
        return rows

    def words(self, row=-1):
        """(text, style) of each stretch of a row that has one style, the last row that is not empty if no other is asked for."""
        groups = itertools.groupby(self.cells()[row], key=lambda cell: cell.style)
        return [("".join(cell.text for cell in cells), style) for style, cells in groups]

    def until_words(self, *expected, row=-1):
        seen = []

        def has():
            with contextlib.suppress(IndexError):
                seen[:] = [(text.strip(), style) for text, style in self.words(row) if text.strip()]
            return seen == list(expected)
        try:
            wait_until(has, "the words have their colours")
        except AssertionError:
            raise AssertionError(f"wanted: {expected}\nthe screen has: {seen}") from None

    def close(self):
        with contextlib.suppress(AssertionError):
            self.tmux("kill-server")
        shutil.rmtree(self.directory, ignore_errors=True)


def styled(style, codes):
    """A style with what Select Graphic Rendition makes of it (ECMA-48)."""
    for code in codes:
        if code == 0:
            style = frozenset()
        elif code in (1, 2):
            style |= {"bold" if code == 1 else "dim"}
        elif 30 <= code <= 37:
            style = frozenset(style - set(COLOURS)) | {COLOURS[code - 30]}
        elif code == 39:
            style = frozenset(style - set(COLOURS))
    return style
