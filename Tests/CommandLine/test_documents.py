"""The documents against what they speak of: nothing is started, so these are quick."""

import html
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/man").glob("*.[1-8]"))


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def rendered(page, *options):
    """A manual page as its reader sees it, without line breaks and fonts."""
    shown = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", *options, str(page)],
                           capture_output=True, text=True, check=True).stdout
    return " ".join(re.sub(".\b", "", shown).split())


# The manual page of the protocol.

def test_protocol_page_is_made_of_its_sources():
    result = subprocess.run([sys.executable, ROOT / "scripts/make-protocol-man.py", "--check"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_protocol_page_says_all_that_the_markdown_says():
    """Every name and literal, and every word of the running text, arrives on the page."""
    page = rendered(ROOT / "docs/man/litebase-protocol.7")
    protocol = text("docs/protocol.md")
    for code in set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", protocol, flags=re.M | re.S))):
        assert code in page.replace("...", "…"), code
    names = set(re.findall(r"^### \d+ `(\w+)`$", text("docs/errors.md"), re.M))
    assert len(names) > 15
    for name in names:
        assert re.search(rf"\b{name} \(\d{{4}}", page), name
    for table in re.findall(r"(?:^\|.*\n)+", protocol, re.M):
        for cell in re.split(r"[|\n]", table):
            for word in re.findall(r"\w{4,}", html.unescape(cell)):
                assert word in page or word.capitalize() in page, f"{word} of: {cell}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_manual_page_is_correct(page):
    """No complaint by mandoc beyond matters of style, and none by groff as lintian asks it."""
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
    assert lint.stdout == ""
    groff = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)], capture_output=True,
                           text=True, env={"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80", "PATH": "/usr/bin:/bin"})
    assert groff.stderr == ""


def test_manual_pages_refer_to_each_other():
    for page in PAGES:
        also = re.split(r"^\.S[Hh] SEE ALSO$", page.read_text(encoding="utf-8"), flags=re.M)[1].replace("\\", "")
        for other in PAGES:
            name, chapter = other.name.rsplit(".", 1)
            assert other == page or re.search(rf"^\.(Xr|BR) {re.escape(name)} \(?{chapter}", also, re.M), (page, other)


# The documents for administrators.

GUIDES = ["docs/operations.md", "docs/troubleshooting.md"]


def code_blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text(path), re.M | re.S)


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", sorted(str(path.relative_to(ROOT)) for path in [
    *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("Sources/*/*.md"), ROOT / "Tests/README.md"]))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text(path), flags=re.M | re.S)):
        file, _, anchor = target.partition("#")
        there = (ROOT / path).parent / file if file else ROOT / path
        assert there.exists(), f"{path}: {target}"
        if anchor:
            page = there.read_text(encoding="utf-8")
            anchors = [*map(slug, re.findall(r"^#+ (.*)$", page, re.M)), *re.findall(r'<a id="([\w-]+)">', page)]
            assert anchor in anchors, f"{path}: {target}"


def commands(path):
    """What the reader is to type: lines behind `$ ` in console blocks, cut at pipes and semicolons, without prefixes."""
    for block in code_blocks(path, "console"):
        for line in re.findall(r"^\$ (.*)$", block, re.M):
            line = re.sub(r'"[^"]*"', "QUOTED", re.sub(r"\s{2,}# .*", "", line))
            for command in re.split(r"\s*[|;]\s+", line):
                command = re.sub(r"^(sudo (-u \w+ )?|timeout \w+ |[A-Z_]+=\S+ )*", "", command)
                yield re.sub(r"^sg \w+ -c '(.*)'$", r"\1", command).split()


@pytest.mark.parametrize("path", GUIDES)
def test_commands_exist(path):
    """Verbs and flags of our programs are those of their manual pages."""
    pages = {"litebase": rendered(ROOT / "docs/man/litebase.1"), "litebased": rendered(ROOT / "docs/man/litebased.8")}
    seen = set()
    for program, *arguments in commands(path):
        if program not in pages:
            continue
        seen.add(program)
        if program == "litebase":
            assert f" litebase {arguments[0]} " in pages[program], arguments
        for flag in (argument.split("=")[0] for argument in arguments if argument.startswith("-")):
            assert re.search(rf"(?<![\w-]){flag}\b", pages[program]), f"{program} {flag}"
    assert "litebase" in seen


@pytest.mark.parametrize("path", GUIDES)
def test_settings_exist(path):
    page = rendered(ROOT / "docs/man/litebase.toml.5")
    names = set(re.findall(r"`((?:limits|socket|log)\.(?!conf`)[a-z_]+)`", text(path)))
    for block in [*code_blocks(path, "toml"), *code_blocks(path, "console")]:
        names.update(re.findall(r"^([a-z_]+) = ", block, re.M))
    assert names
    for name in names:
        assert re.search(rf"[ .]{re.escape(name)} \(", page), name


@pytest.mark.parametrize("path", GUIDES)
def test_names_exist(path):
    """Words like `some_name` are names of the protocol, of settings or of fields."""
    known = " ".join(text(page) for page in ["docs/protocol.md", "docs/errors.md", "docs/litebase.toml.example"])
    for name in set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text(path))):
        assert re.search(rf"\b{name}\b", known), name


@pytest.mark.parametrize("path", GUIDES)
def test_directives_have_the_value_of_the_units(path):
    """What a guide puts into brackets, such as (`WatchdogSec=30s`), is what the unit says."""
    units = "".join(text(f"systemd/system/litebase.{kind}") for kind in ("service", "socket"))
    shipped = dict(re.findall(r"^(\w+)=(.+)$", units, re.M))
    for name, value in re.findall(r"\(`([A-Z]\w+)=([^`]+)`\)", text(path)):
        assert shipped.get(name) == value, f"{name}={value}"


def test_log_messages_are_those_of_the_daemon():
    """The table has every kind of message, and quotes what the sources say."""
    section = text("docs/operations.md").split("\n## Log messages\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (\w+) \| .+ \|$", section, re.M)
    informing = re.search(r"^These only inform: ([\w, ]+)\.", section, re.M)[1].split(", ")
    cases = re.findall(r"^    case (\w+) = \"", text("Sources/Server/Observation/MessageID.swift"), re.M)
    # One kind may stand in several rows, for what it says.
    assert sorted(informing + list({name for _, name in rows if name != "name"})) == sorted(cases)
    sources = "".join(path.read_text(encoding="utf-8") for folder in ("Server", "litebased")
                      for path in (ROOT / "Sources" / folder).rglob("*.swift"))
    for quoted in re.findall(r"^\| `([^`]+)`", section, re.M):
        for part in filter(str.strip, re.split(r"…|FILE:LINE:COLUMN", quoted)):
            assert part.strip(" :") in sources, f"{quoted}: {part}"
    for identifier in re.findall(r"MESSAGE_ID=([0-9a-f]{32})", "".join(map(text, GUIDES))):
        assert f'= "{identifier}"' in text("Sources/Server/Observation/MessageID.swift"), identifier


def test_drop_ins_are_those_of_the_tree():
    named = set(re.findall(r"^\| `([\w-]+\.conf)`", text("docs/operations.md"), re.M))
    assert named == {path.name for path in (ROOT / "systemd/examples").glob("*.conf")}


# The version.

def test_every_document_names_the_version_of_the_programs():
    [version] = re.findall(r'static let version = "(\d+\.\d+\.\d+)"', text("Sources/LinuxSystem/Product.swift"))
    named = re.compile(r'(?:litebased |LiteBase |litebase_|litebase-dbgsym_|"version":")(\d+\.\d+\.\d+)')
    documents = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "upgrading.md"] + PAGES + [ROOT / "README.md"]
    found = {(path.name, number) for path in documents for number in named.findall(path.read_text(encoding="utf-8"))}
    assert len(found) >= 5 and {number for _, number in found} == {version}, found
    assert re.match(rf"litebase \({re.escape(version)}-\d+\) ", text("packaging/debian/changelog"))
    [newest, *_] = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.M)
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest), f"a version and the day of its release: {newest}"
    assert re.search(rf"^## From \S+ to {re.escape(version)}$", text("docs/upgrading.md"), re.M)
