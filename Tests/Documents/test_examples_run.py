"""The examples of the documents, run as they stand by a reader at a terminal with a daemon of his own."""

import json
import os
import re
import socket
import subprocess

import pytest

import examples
import judged
import terminal
from daemon import LITEBASE, LITEBASED, PATIENCE, run_to_end
from judgements import FOLLOWED, JUDGED, STARTED, judgements_of

CITIES = """\
CREATE TABLE IF NOT EXISTS city(id INTEGER PRIMARY KEY, name TEXT, country TEXT, people INTEGER);
INSERT INTO city(name, country, people) VALUES ('Oslo', 'NO', 717710), ('Bergen', 'NO', 291940), ('Reykjavik', 'IS', 139000);
"""


def prepare(reader):
    reader.give("script.sql", CITIES)
    reader.give("shop", examples.ROOT / "docs/examples/shop")
    (reader.home / ".config/fish/completions").mkdir(parents=True)  # fish makes it
    reader.own(reader.home)
    reader.start_daemon(f'exec litebased --socket {reader.socket} --database geo="$HOME/geo.db"')
    for database in ("default", "geo"):
        done = reader.run(f"litebase query -d {database} - < script.sql")
        assert done.status == 0, done


def follow(reader, block, judgement, directory=None):
    commands = [command for command in examples.commands(block)
                if examples.without_comment(command.text) not in judgement.left_out]
    texts = []
    for command in commands:
        text = command.text
        for old, new in judgement.instead.items():
            text = text.replace(old, new)
        texts.append(text)
        if text.startswith("cat ") and command.shown:
            write_down(reader, text.removeprefix("cat "), command, judgement)
    if isinstance(judgement, judged.Stays):
        *first, last = map(examples.without_comment, texts)
        return reader.start_daemon("\n".join([*first, f"exec {last}"]))
    texts = [f"cd {directory}; {text}" if directory else text for text in texts]
    types = {text: judgement.types[name] for text, command in zip(texts, commands)
             if (name := examples.without_comment(command.text)) in judgement.types}

    def named(lines):
        """As the document calls the places."""
        for old, new in judgement.instead.items():
            lines = [line.replace(new, old) for line in lines]
        return reader.named(lines)

    terminal.check(block, judgement, commands, reader.run_all(texts, types=types), named)


def write_down(reader, path, command, judgement):
    """What `cat` shows of a configuration is what the reader has to write."""
    text = "\n".join(command.shown) + "\n"
    for old, new in judgement.instead.items():
        text = text.replace(old, new)
    path = path.replace("$HOME", str(reader.home))
    done = reader.run(f"mkdir -p $(dirname {path}); cat >{path} <<'END'\n{text}END\n")
    assert done.status == 0, done


def follow_document(reader, document, directory=None):
    count = 0
    for block, judgement in judgements_of(document):
        if isinstance(judgement, judged.Program):
            run_program(reader, block)
        elif isinstance(judgement, judged.Pasted):
            paste(reader, block)
        elif type(judgement) in (judged.Commands, judged.Stays):
            follow(reader, block, judgement, directory)
        else:
            continue
        count += 1
    assert count


def run_program(reader, block):
    """Each comment behind a print is what that prints."""
    reader.give("program.py", block.text)
    done = reader.run("python3 program.py")
    expected = re.findall(r"print\(.*\) +# (.*)$", block.text, re.M)
    assert expected and (done.status, list(done.lines)) == (0, expected), done


def paste(reader, block):
    """All lines in one piece, as netcat sends what is pasted; what runs at the same time may come out in any order."""
    ids = sorted(json.loads(line)["id"] for line in block.text.splitlines())
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20 * PATIENCE)
            connection.connect(str(reader.socket))
            connection.sendall(block.text.encode())
            with connection.makefile() as stream:
                replies = [json.loads(stream.readline()) for _ in ids]
        assert sorted(reply["id"] for reply in replies) == ids
        assert not [reply for reply in replies if reply["type"] == "error"]


@pytest.mark.slow
@pytest.mark.parametrize("document, where", [*((document, "found") for document in FOLLOWED),
                                             *((document, "named") for document in ("docs/protocol.md", "docs/examples/shop/README.md"))])
def test_document_with_a_daemon(reader, document, where):
    """Wherever the daemon's socket is: where the programs look for it, or named by LITEBASE_SOCKET."""
    alice = reader(where)
    prepare(alice)
    follow_document(alice, document, "shop" if "shop" in document else None)


@pytest.mark.slow
@pytest.mark.parametrize("document", STARTED)
def test_document_that_starts_a_daemon(reader, document):
    follow_document(reader(), document)


@pytest.mark.slow
def test_the_demonstration():
    """`make run` asks what README.md shows, and gets those answers; and what it says that it runs, a reader can type."""
    directory = os.path.dirname(LITEBASE)
    assert os.path.dirname(LITEBASED) == directory, "the demonstration takes both programs from one directory"
    block, judgement = judgements_of("README.md")[1]
    varies = ("milliseconds", "timestamp", "elapsed", "directory")
    commands = examples.commands(block)
    demonstration = examples.ROOT / "scripts/demo.sh"
    shown = subprocess.run(["sh", demonstration, directory], capture_output=True, text=True, timeout=60 * PATIENCE)
    assert shown.returncode == 0, shown.stderr
    printed, _ = terminal.formed(shown.stdout.splitlines(), varies)
    for command in commands:
        lines, _ = terminal.formed(command.shown, varies)
        assert terminal.matches(["…", *lines, "…"], printed) or lines[0].startswith("litebase: "), "\n".join([command.text, *printed])
    seen = terminal.run([command.text for command in commands], shell=("sh", demonstration, directory, "bash"),
                        environment={**os.environ, "LANG": "C.UTF-8", "NO_COLOR": "1"}, directory="/")
    typed = judged.Commands(begins="", varies=varies, ends={examples.without_comment(commands[-1].text): 1})
    terminal.check(block, typed, commands, seen)


NUMBERS = {"carol": 1105, "watchers": 1106, "sales": 1001, "analysts": 1002, "report": 1003, "monitor": 1004, "alice": 1005}
CONFIGURATIONS = [(document, index) for document in JUDGED for index, (_, judgement) in enumerate(judgements_of(document))
                  if isinstance(judgement, judged.Configuration)]


@pytest.mark.parametrize("document, index", CONFIGURATIONS)
def test_configuration(directory, document, index):
    """Good as it stands, once its users and groups exist: without them, each is named, and nothing else is wrong."""
    block, judgement = judgements_of(document)[index]
    for name in judgement.names:
        assert f'"{name}"' in block.text, f"{block.name}: {name}"
    path = directory / "litebase.toml"
    path.write_text(block.text, encoding="utf-8")
    status, said = run_to_end("--config", path, "--check-config", directory=directory)
    errors = [line for line in said.splitlines() if " error " in line]
    assert len(errors) == len(judgement.names) and all(f'"{name}"' in said for name in judgement.names), said
    path.write_text(re.sub(r'"(\w+)"', lambda match: f'"{NUMBERS.get(match[1], match[1])}"', block.text), encoding="utf-8")
    status, said = run_to_end("--config", path, "--check-config", directory=directory)
    assert status == 0, said
