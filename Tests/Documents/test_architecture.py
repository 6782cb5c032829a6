"""ARCHITECTURE.md and the DESIGN.md of each target speak of the code that is there: targets, imports, files, types, members."""

import functools
import re

import pytest

from examples import ROOT, blocks

SOURCES = ROOT / "Sources"
DESIGNS = sorted(str(path.relative_to(ROOT)) for path in SOURCES.glob("*/DESIGN.md"))
DOCUMENTS = ["ARCHITECTURE.md", "CONTRIBUTING.md", *DESIGNS]
CODE = {".swift", ".c", ".h", ".cpp"}
FILE_TYPES = CODE | {".md", ".py", ".sh", ".toml", ".mk", ".order", ".catalog", ".example"}
# What begins like a type of ours and is somebody else's: of C libraries, servers and Swift.
FOREIGN = {"Codable", "String", "redisReader"}


def declarations():
    """Targets of Package.swift without the tests: name to the text that declares it."""
    text = (ROOT / "Package.swift").read_text(encoding="utf-8")
    found = re.findall(r"\.(target|executableTarget|systemLibrary|testTarget)\((.*?)(?=\n        \.\w+\(|\n        //|\n    \],)", text, re.S)
    return {re.search(r'name: "(\w+)"', declaration)[1]: declaration for kind, declaration in found if kind != "testTarget"}


def targets():
    """Name to what it imports, within the package."""
    listed = {name: re.search(r"dependencies: \[(.*?)\]", text, re.S) for name, text in declarations().items()}
    return {name: set(re.findall(r'"(\w+)"', re.sub(r"//.*", "", found[1]))) if found else set() for name, found in listed.items()}


def layers():
    """The rows of the picture of the targets, the highest first."""
    picture, = (block for block in blocks("ARCHITECTURE.md") if block.heading == "Targets")
    return [re.match(r"(?:\w+(?: {3}|$))*\w*", line)[0].split() for line in picture.text.splitlines()]


def test_the_picture_has_every_target_above_what_it_imports():
    rows = layers()
    height = {name: -number for number, row in enumerate(rows) for name in row}
    assert sorted(name for row in rows for name in row) == sorted(targets()), "each target is in the picture, once"
    for name, imported in targets().items():
        for other in imported:
            assert height[name] > height[other], f"{name} imports {other}, which is not below it in ARCHITECTURE.md"


def test_targets_are_the_folders_of_sources():
    assert set(targets()) == {path.name for path in SOURCES.iterdir() if path.is_dir()}


def test_every_target_tells_its_design():
    """In a file of its own, which Package.swift leaves out of the build, or in ARCHITECTURE.md, where little is to be told."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").replace("\n", " ")
    without = set(re.findall(r"`(\w+)`", re.search(r"C targets without a `DESIGN.md`(.*?) \|", page)[1]))
    have = {document.split("/")[1] for document in DESIGNS}
    assert have | (without & set(targets())) == set(targets())
    for name in have:
        assert 'exclude: ["DESIGN.md"]' in declarations()[name], name


def test_the_map_is_one_page():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 150


# MARK: Names


@functools.cache
def code():
    """Every source file: path to text."""
    return {path: path.read_text(encoding="utf-8") for folder in ("Sources", "Tests") for path in (ROOT / folder).rglob("*")
            if path.suffix in CODE and not any(part.startswith(".") for part in path.parts[len(ROOT.parts):])}


DECLARATION = r"\b(?:class|struct|enum|protocol|actor|typealias|extension|func|var|let|case|macro)\s+"


@functools.cache
def types():
    """Types of Swift: name to the texts that declare or extend them."""
    found = {}
    for text in code().values():
        for name in set(re.findall(r"\b(?:class|struct|enum|protocol|actor|typealias|extension)\s+(?:\w+\.)*(\w+)", text)):
            found.setdefault(name, []).append(text)
    return found


def names_in(document):
    """What stands in backticks, outside of the pictures."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.S | re.M)
    return sorted({" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", text)})


def is_path(name):
    """A file, or a folder below another one: not `application/json`, which no document here speaks of, and no absolute path."""
    return bool(re.fullmatch(r"[\w*+.-]+(?:/[\w*+.-]+)*/?", name)) and ("/" in name or any(name.endswith(type) for type in FILE_TYPES))


def exists(name, document):
    """From the top, from Sources, from the document's own folder; a file's name alone may be anywhere in the tree."""
    name = name.rstrip("/")
    for place in (ROOT, SOURCES, (ROOT / document).parent):
        if any(place.glob(name)):
            return True
    return "/" not in name and any(path for folder in ("Sources", "Tests", "docs", "scripts", "systemd", "packaging")
                                   for path in (ROOT / folder).rglob(name))


def declares(texts, member):
    """Whether one of them declares it; a case may stand behind others in its line."""
    pattern = rf"{DECLARATION}`?{member}\b|\bcase\b[^\n]*\b{member}\b|\b{member}:"
    return any(re.search(pattern, text) for text in texts)


def is_declared(name):
    """A type, or a member of a type that the text names, too: `Type`, `Type.member`, or a function of C."""
    first, _, member = name.partition(".")
    if not member and first in targets():
        return True
    texts = types().get(first)
    if texts is None:
        return False
    return not member or declares(texts, member)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_and_folders_that_are_named_exist(document):
    missing = [name for name in names_in(document) if is_path(name) and not exists(name, document)]
    assert not missing, f"{document} names what is not there: {missing}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_types_and_members_that_are_named_exist(document):
    """A word that begins like a type, or has a capital within it like the functions and cases of Swift."""
    folders = {path.name for place in (ROOT, SOURCES, ROOT / "FuzzTesting" / "Sources") for path in place.glob("*/") } | {
        path.name for path in SOURCES.rglob("*/")}
    missing = []
    for name in names_in(document):
        name = re.sub(r"\(.*\)$", "", name)
        if is_path(name) or name.partition(".")[0] in FOREIGN:
            continue
        if re.fullmatch(r"[A-Z]+[a-z]\w*(?:\.\w+)?", name) and name not in folders and not is_declared(name):
            missing.append(name)
        if re.fullmatch(r"[a-z]+[A-Z]\w*", name) and not declares(code().values(), name):
            missing.append(name)
    assert not missing, f"{document} names what is not declared: {missing}"


def test_the_names_are_read():
    """What the two above would pass over silently if they read nothing."""
    names = [name for document in DOCUMENTS for name in names_in(document)]
    assert sum(map(is_path, names)) > 100
    assert sum(name in types() for name in names) > 100
    assert not exists("Server/Nothing.swift", "ARCHITECTURE.md") and not is_declared("Connection.nothing") and not is_declared("Nothing")

