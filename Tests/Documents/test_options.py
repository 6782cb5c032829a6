"""What `--help` of each command says is what its manual page says, and the other way round."""

import re
import subprocess

import pytest

import examples
from daemon import LITEBASE, LITEBASED

COMMANDS = ["ping", "query", "export", "import", "copy", "move", "backup", "restore", "shell", "run", "history", "databases", "catalog", "status", "watch", "reload", "top", "cancel", "bench", "completions",
            "config list", "config show", "config test", "config add-database", "config remove-database", "config check"]
PROGRAMS = ["litebase", "litebased"]
OPTION = r"(?<![\w-])--?[a-zA-Z][\w-]*"
# Documents in which commands of ours stand within the text.
TEXTS = sorted({*examples.MARKDOWN, "CHANGELOG.md", *examples.DEBIAN, "docs/litebase.toml.example", *examples.MANUAL})


def page(name):
    return (examples.ROOT / "docs/man" / name).read_text(encoding="utf-8")


def words(source):
    """A piece of a manual page without its macros and fonts: what is read."""
    lines = [re.sub(r"^\.(?:[A-Z]{1,2}[a-z]?)\s*", "", line) for line in source.splitlines() if not line.startswith(r'.\"')]
    return re.sub(r"\\f[BIRP]", "", examples.plain(re.sub(r"\\f[BIRP]", "", "\n".join(lines).replace(r"\&", "")
                                                         .replace(r"\|", "").replace(r"\.", "."))))


def of_help(program, *command):
    """The options that --help lists: `  -c, --count <n>`."""
    shown = subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    listed = re.findall(r"^  (-{1,2}\w[\w-]*(?:, -{1,2}\w[\w-]*)*)", shown, re.M)
    return {option for line in listed for option in line.split(", ")}


def sections(source, macro):
    """(title, text) of each part that begins with that macro."""
    parts = re.split(rf"^\.{macro} (.*)$", source, flags=re.M)
    return list(zip(parts[1::2], parts[2::2]))


def tagged(text):
    """The options among the tags of a section's paragraphs."""
    return {option for tag in re.findall(r"^\.T[PQ]\n(.*)$", text, re.M) for option in re.findall(OPTION, words(tag))}


def belongs(title, command):
    """Whether a heading such as `Limits (query, shell)` or `Connection (all but completions)` is about a command."""
    about = re.search(r"\((.*)\)", words(title))[1]
    if about.startswith("all"):
        return command not in re.split(r", | and ", about.partition(" but ")[2])
    return command in about.split(", ")


def of_page(command):
    """The options that litebase(1) has for a command: in SYNOPSIS, in OPTIONS below a heading that names the command, and
    in the command's own section."""
    source = page("litebase.1")
    parts = {words(title).strip().strip('"'): text for title, text in sections(source, "SH")}
    found = {option for title, text in sections(parts["OPTIONS"], "SS") if belongs(title, command) for option in tagged(text)}
    own = {"bench": "BENCH", **dict.fromkeys(("config list", "config show", "config test"), "CONFIG"), "config add-database": "CONFIG", "config remove-database": "CONFIG", "config check": "CONFIG"}.get(command)
    if own == "BENCH":
        found |= tagged(parts[own])
    elif own:
        found |= {option for title, text in sections(parts[own], "SS") if belongs(title, command) for option in tagged(text)}
    return found


def synopsis(command):
    source = page("litebase.1")
    [text] = [text for title, text in sections(source, "SH") if title == "SYNOPSIS"]
    for usage in re.findall(r"^\.SY litebase\n(.*?)^\.YS", text, re.M | re.S):
        read = words(usage)
        if read.split("\n")[0].strip() == command or read.startswith(command + "\n"):
            return set(re.findall(OPTION, read))
    raise AssertionError(f"litebase(1) has no synopsis of {command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_litebase(command):
    listed = of_help(LITEBASE, *command.split())
    written = of_page(command)
    assert written == listed, f"only in litebase(1): {written - listed}; only in --help: {listed - written}"
    assert synopsis(command) <= listed, f"in the synopsis of litebase(1), not in --help: {synopsis(command) - listed}"


def test_litebased():
    listed = of_help(LITEBASED)
    written = {"-" + option for option in re.findall(r"^\.It Fl (-[\w-]+)", page("litebased.8"), re.M)}
    assert written == listed, f"only in litebased(8): {written - listed}; only in --help: {listed - written}"
    assert {"-" + option for option in re.findall(r"^\.Op Fl (-[\w-]+)", page("litebased.8"), re.M)} <= written


def every_command():
    """Commands within texts: (where, words)."""
    for document in TEXTS:
        text = (examples.ROOT / document).read_text(encoding="utf-8")
        if document.endswith(".md"):
            found = examples.inline(document) + [command.text for block in examples.blocks(document)
                                                 if block.language in ("console", "sh") for command in examples.commands(block)]
        elif document in examples.MANUAL:
            found = [line for block in examples.blocks(document) for line in block.text.splitlines()]
        else:
            found = re.findall(r'"((?:sudo )?litebased? [^"]+)"', text)
        for piece in found:
            bare = re.sub(r"'[^']*'|\"[^\"]*\"", "QUOTED", piece)
            for command in re.split(r"\s*[|;&]+\s+|\s{2,}# ", bare):
                command = re.sub(r"^(sudo (-u \w+ )?|timeout \w+ |exec |[A-Z_]+=\S+ )*", "", command).split()
                # (A dependency in Cargo.toml begins with the name, too.)
                if command and command[0] in PROGRAMS and command[1:2] != ["="]:
                    yield document, command


def test_commands_within_texts_exist():
    """Their verbs and options are those of --help."""
    listed = {("litebase", *command.split()): of_help(LITEBASE, *command.split()) for command in COMMANDS}
    listed["litebased",] = of_help(LITEBASED)
    listed["litebase",], listed["litebase", "config"] = {"--help", "--version"}, {"--help"}
    count = 0
    for document, command in every_command():
        [verb] = [tuple(command[:length]) for length in (3, 2, 1) if tuple(command[:length]) in listed][:1] or [None]
        assert verb, f"{document}: {' '.join(command)}"
        assert verb != ("litebase",) or len(command) == 1 or command[1].startswith("-"), f"{document}: {' '.join(command)}"
        for option in command[len(verb):]:
            if option == "--":
                break
            if re.match(r"--?[a-z]", option):
                assert option.split("=")[0].rstrip(",.)") in listed[verb], f"{document}: {' '.join(command)}"
                count += 1
    assert count > 50
