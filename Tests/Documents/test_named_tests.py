"""The tests that docs/threat-model.md and docs/faults.md name are there, and Tests/README.md tells of every folder."""

import re

import pytest

from examples import ROOT

TESTS = ROOT / "Tests"
FILES = {path.name: path for folder in ("Protocol", "CommandLine", "Documents") for path in (TESTS / folder).rglob("test_*.py")}


def named_tests(document):
    """Of each row of a table: what its last column names, in order: files as (folder, name), parts of the names of tests as text."""
    token = re.compile(r"`(?:(\w+)/)?(test_\w+)\.py`|`[^`]*`|(?<![\w/])([a-z]+(?:_[a-z0-9]+)+)(?![\w./*])")
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            cell = line.rstrip("| ").rpartition(" | ")[2]
            yield cell, [word or (folder, name) for folder, name, word in token.findall(cell) if name or word]


def path_of(folder, name):
    """None where there is no such file. One without a folder may be in that of the file before it."""
    places = [] if folder == "System" else [FILES.get(f"{name}.py")]
    return next((path for path in [*places, TESTS / "System" / f"{name}.py"] if path and path.exists()), None)


def names_in(paths):
    return [name for path in paths for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)]


def test_no_two_files_of_tests_have_one_name():
    paths = [path for folder in ("Protocol", "CommandLine", "Documents") for path in (TESTS / folder).rglob("test_*.py")]
    assert sorted(FILES.values()) == sorted(paths)


@pytest.mark.parametrize("document", ["docs/threat-model.md", "docs/faults.md"])
def test_what_holds_a_promise_is_there(document):
    count = 0
    for cell, tokens in named_tests(document):
        # Names in front of the first file are of a file that a row above names; several files may share what follows them.
        paths, was_file = list(FILES.values()), False
        for token in tokens:
            if isinstance(token, tuple):
                assert path_of(*token), f"there is no {token}: {cell}"
                paths = [*paths, path_of(*token)] if was_file else [path_of(*token)]
            else:
                assert any(token in name for name in names_in(paths)), f"no test has {token!r} in its name: {cell}"
            was_file = isinstance(token, tuple)
            count += 1
    assert count > 40, "the tables are read"


@pytest.mark.parametrize("language", ["Python", "Go", "Node", "Rust"])
def test_what_drivers_are_put_through_is_there(language):
    """Each cell of the table names tests of its language, or says that there is nothing to be tested."""
    table = (ROOT / "docs/faults.md").read_text(encoding="utf-8").partition("## Drivers of other languages")[2].partition("\n## ")[0]
    head, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    assert len(rows) >= 12
    count = 0
    for row in rows:
        cell = row[head.index(language)]
        named = re.findall(r"`([\w.]+): ([^`]+)`", cell)
        assert named or cell.startswith("–"), cell
        for file, name in named:
            [path] = [path for path in (ROOT / "clients" / language.lower()).rglob(file) if "src" not in path.parts]
            assert re.search(rf'(?:def |func |fn |test\("){re.escape(name)}', path.read_text(encoding="utf-8")), f"no test {name} in {file}"
            count += 1
    assert count >= 7, "the table is read"


def test_the_map_has_every_folder():
    text = (TESTS / "README.md").read_text(encoding="utf-8")
    for folder in [*TESTS.iterdir(), *(TESTS / "Protocol").iterdir()]:
        if folder.is_dir() and folder.name != "__pycache__" and not folder.name.startswith(".") and not folder.name.endswith("Tests"):
            assert re.search(rf"^\| `{folder.name}/?`", text, re.M), folder.name
    for module in (TESTS / "Support").glob("*.py"):
        assert re.search(rf"`{module.stem.split('_')[0]}[\w*]*\.py`", text), module.name
