"""Every example of the documents: fenced blocks of Markdown, displays of manual pages, and the examples of `--help`.

A block is what its reader sees; `commands` takes one apart into what is typed and what comes back.
"""

import dataclasses
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKDOWN = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *sorted(
    str(path.relative_to(ROOT)) for folder in ("Sources", "docs", "systemd", "packaging", "Tests", "Benchmarks", "FuzzTesting")
    for path in (ROOT / folder).rglob("*.md") if not any(part.startswith(".") for part in path.parts[len(ROOT.parts):]))]
# litebase-protocol(7) is made of Markdown that is here already (scripts/make-protocol-man.py --check).
MANUAL = ["docs/man/litebase.1", "docs/man/litebased.8", "docs/man/litebase.toml.5"]
DEBIAN = ["packaging/debian/litebase.README.Debian"]


@dataclasses.dataclass(frozen=True)
class Block:
    document: str
    line: int  # of its first line, from 1
    language: str  # as the fence says; "display" on manual pages, "help" of --help
    text: str  # ends with a line end
    heading: str = ""  # of the section of second level that it stands in

    @property
    def name(self):
        return f"{self.document}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Command:
    """What is typed at a prompt, and what the document shows below it."""
    text: str
    shown: tuple  # lines


def fenced(document, text):
    """The fenced blocks of a Markdown text (CommonMark, 4.5), also those within lists."""
    opened, lines, heading = None, [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if not opened and line.startswith("## "):
            heading = line[3:]
        fence = re.match(r"^( *)(```+|~~~+)\s*(\S*)", line)
        if opened is None and fence:
            opened, lines = (number + 1, fence), []
        elif opened and fence and fence[2].startswith(opened[1][2]) and not fence[3]:
            yield Block(document, opened[0], opened[1][3], "\n".join(lines) + "\n", heading)
            opened = None
        elif opened:
            lines.append(line.removeprefix(opened[1][1]))
    assert opened is None, f"{document}: a fence is not closed"


ROFF = {r"\-": "-", r"\(dq": '"', r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\(rs": "\\", r"\e": "\\", r"\&": ""}


def plain(line):
    """A line of a display without the escapes of roff."""
    return re.sub(r"\\\(..|\\.", lambda match: ROFF[match[0]], line)


def displays(document, text):
    """What is shown literally on a manual page: `.EX` and `.nf` of man(7), `.Bd -literal` and `.Dl` of mdoc(7)."""
    opened, lines = None, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(".Dl "):
            yield Block(document, number, "display", plain(line[4:]) + "\n")
        elif re.match(r"^\.(EX|nf|Bd -(literal|unfilled))\b", line):
            opened, lines = number + 1, []
        elif opened and re.match(r"^\.(EE|fi|Ed)\b", line):
            yield Block(document, opened, "display", "\n".join(lines) + "\n")
            opened = None
        elif opened:
            lines.append(plain(line))


def indented(document, text):
    """Paragraphs of a plain text that are indented by four columns."""
    for match in re.finditer(r"(?<=\n\n)(?: {4}.*\n)+", text):
        yield Block(document, text.count("\n", 0, match.start()) + 1, "indented", re.sub(r"^    ", "", match[0], flags=re.M))


def of_help(litebase, *command):
    """The examples that a command's --help ends with."""
    shown = subprocess.run([litebase, *command, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    match = re.search(r"^EXAMPLES:\n((?:  .*\n)+)", shown, re.M)
    if match:
        yield Block(" ".join(["litebase", *command, "--help"]), 1, "help", re.sub(r"^  ", "", match[1], flags=re.M))


def blocks(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    extract = displays if document in MANUAL else indented if document in DEBIAN else fenced
    return list(extract(document, text))


def is_whole(text):
    """Whether a shell would run this, instead of asking for the next line."""
    if re.search(r"(^|[^\\])\\$", text):
        return False
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def commands(block):
    """What is typed, in order. In a console block each command is behind `$ `, elsewhere each line is one."""
    found, console = [], block.language == "console"
    for line in block.text.splitlines():
        if found and not is_whole(found[-1].text):
            found[-1] = Command(f"{found[-1].text}\n{line}", ())
        elif not console and line.strip() and not line.lstrip().startswith("#"):
            found.append(Command(line, ()))
        elif console and line.startswith("$ "):
            found.append(Command(line[2:], ()))
        elif console:
            assert found, f"{block.name} shows something before it shows a command"
            found[-1] = dataclasses.replace(found[-1], shown=(*found[-1].shown, line))
    return [Command(command.text, without_blank_end(command.shown)) for command in found]


def without_blank_end(lines):
    """A blank line before the next prompt is for the eye."""
    return lines if not lines or lines[-1].strip() else without_blank_end(lines[:-1])


def without_comment(text):
    """A command without what stands behind `  # `."""
    return re.sub(r"\s{2,}# [^\"'\n]*$", "", text).strip()


def inline(document):
    """What stands between backquotes in running text."""
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S)
    return [" ".join(match.split()) for match in re.findall(r"`([^`]+)`", text)]
