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
