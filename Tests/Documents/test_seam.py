"""What ARCHITECTURE.md says of the seam between what is answered and how it is written: below the server nobody names the wire,
and within the server one file names its encodings."""

import re

import pytest

from examples import ROOT

SOURCES = ROOT / "Sources"
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
WORD = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
# What an encoding or a framing is called, what it consists of, and what writes it.
FORMATS = re.compile(r"\b(?:WireEncoding|WireFormats|MessageWriter|MessagePack\w*|JSON(?:Format|Transcoder)|(?:Line|Length)Framing"
                     r"|append(?:MessagePack|JSON)\w*)\b|\.(?:json|messagePack|lines|lengthPrefixed)\b")
# Words of the protocol that are somebody else's, too.
OF_OTHERS = {("PostgreSQLServerFacts.swift", "server_version"), ("MySQLServers.swift", "read_only"), ("MySQLErrors.swift", "read_only")}


def targets():
    """Of Package.swift: each target with what it depends on."""
    text = (ROOT / "Package.swift").read_text(encoding="utf-8")
    found = {}
    for block in re.split(r"\n        \.(?:target|executableTarget|testTarget|systemLibrary)\(", text)[1:]:
        name = re.search(r'name: "(\w+)"', block)[1]
        dependencies = re.search(r"dependencies: \[(.*?)\]", block, re.S)
        found[name] = re.findall(r'"(\w+)"', re.sub(r"//.*", "", dependencies[1])) if dependencies else []
    return found


def reached(names, graph):
    """The targets with all that they depend on."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += graph[name]
    return found


def below():
    """The targets that make up a database as the server sees it."""
    graph = targets()
    return sorted(name for name in reached(["DatabaseContract", "DatabaseEngines"], graph) if (SOURCES / name).is_dir())


def lines(path):
    """(number, line without its comment), of a file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield number, re.sub(r"(?:^|\s)//.*", "", line)


def wire_words():
    """What the protocol calls its requests, fields and codes, as far as no other text would say it by chance."""
    return {literal for path in (SOURCES / "WireProtocol").rglob("*.swift") for _, line in lines(path)
            for literal in LITERAL.findall(line) if WORD.fullmatch(literal)}


def test_the_words_are_known():
    assert {"db_connect", "timeout_ms", "page_rows", "health_check", "frame_too_large"} <= wire_words()
    assert {"DatabaseContract", "RemoteDatabases", "SQLiteEngine", "PostgreSQLEngine", "MySQLEngine", "RedisEngine"} <= set(below())


def test_nothing_below_the_server_depends_on_the_wire():
    above = {"WireProtocol", "Server", "LiteBaseClient"} & reached(["DatabaseContract", "DatabaseEngines"], targets())
    assert not above, "the compiler would not guard the direction any more"


@pytest.mark.parametrize("target", below())
def test_nothing_below_the_server_names_the_wire(target):
    words, found = wire_words(), []
    for path in sorted((SOURCES / target).rglob("*.swift")):
        for number, line in lines(path):
            named = {word for literal in LITERAL.findall(line) for word in WORD.findall(literal)} & words
            named = {word for word in named if (path.name, word) not in OF_OTHERS} | set(FORMATS.findall(line))
            if re.search(r"\bimport (?:WireProtocol|Server)\b", line):
                named.add("import")
            found += [f"{path.relative_to(ROOT)}:{number}: {name}" for name in sorted(named)]
    assert not found, "\n".join(found)


# What says which encodings there are, and the rows of each.
OF_THE_FORMATS = {"RowEncoding.swift", "JSONRowSink.swift", "MessagePackRowSink.swift"}
# Files of rows have formats of their own, which spell values with the same functions.
OF_FILES = {"ExportSinks.swift", "SQLExportSink.swift"}


def test_one_file_of_the_server_names_its_encodings():
    found = [f"{path.relative_to(ROOT)}:{number}: {name}" for path in sorted((SOURCES / "Server").rglob("*.swift"))
             if path.name not in OF_THE_FORMATS | OF_FILES
             for number, line in lines(path) for name in FORMATS.findall(line) if name not in ("WireEncoding", "WireFormats", "MessageWriter")]
    assert not found, "\n".join(found)
    assert all((SOURCES / "Server/Rows" / name).exists() for name in OF_THE_FORMATS)
