#!/usr/bin/env python3
"""Makes docs/man/litebase-protocol.7 of docs/protocol.md, docs/errors.md and docs/examples/client_json.py.

    scripts/make-protocol-man.py            writes the page
    scripts/make-protocol-man.py --check    fails when the page is not what the sources make of it

It knows the Markdown that these files use and stops at what it does not know. Tables become tagged lists, because a
manual page is read at 80 columns. Needs nothing but Python. Tests/CommandLine/test_documents.py calls it with --check.
"""

import datetime
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/man/litebase-protocol.7"
HEAD = """\
.\\" Made by scripts/make-protocol-man.py of docs/protocol.md and docs/errors.md: change those.
.Dd {date}
.Dt LITEBASE-PROTOCOL 7
.Os LiteBase
.Sh NAME
.Nm litebase-protocol
.Nd how programs talk to litebased
.Sh DESCRIPTION"""
TAIL = """\
.Sh SEE ALSO
.Xr litebase 1 ,
.Xr litebase.toml 5 ,
.Xr unix 7 ,
.Xr litebased 8"""
# The name ERRORS belongs to pages of C functions, says mandoc.
RENAMED = {"ERRORS": "ERROR REPLIES"}
GLYPHS = {"\\": r"\(rs", "–": r"\(en", "—": r"\(em", "−": r"\(mi", "±": r"\(+-", "×": r"\(mu", "…": "..."}
# Characters that groff would turn into typographic ones, so that what is copied from the page would not work.
LITERALS = {"-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
COLUMNS = 78


def protocol():
    return (ROOT / "docs/protocol.md").read_text(encoding="utf-8")


def section(title):
    return RENAMED.get(title.upper(), title.upper())


# Characters and words.

def prose(text):
    text = "".join(GLYPHS.get(character, character) for character in text)
    assert text.isascii(), f"no glyph is known for a character of: {text}"
    return text


def literal(text):
    return "".join(LITERALS.get(character, prose(character)) for character in text)


def argument(text):
    """One argument of a macro; what could be a macro's name or a delimiter is marked as text."""
    text = text.replace('"', r"\(dq")
    text = r"\&" + text if re.fullmatch(r"[A-Z][A-Za-z0-9]{1,2}|[.,:;()\[\]?!|]", text) else text
    return f'"{text}"' if " " in text else text


INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<emphasis>[^*]+)\*"
                    r"|\[(?P<label>[^\]]+)\]\((?P<target>[^)]+)\)")


def marked_up(match):
    """(macro, text) for a piece of inline markup; a link may be several."""
    if match["code"]:
        return [("Cm" if re.fullmatch(r"[\w.]+", match["code"]) else "Ql", literal(match["code"]))]
    if match["strong"] or match["emphasis"]:
        return [("Sy", prose(match["strong"]))] if match["strong"] else [("Em", prose(match["emphasis"]))]
    label, target = match["label"], match["target"]
    if target.startswith("examples/"):
        return [("Pa", "/usr/share/doc/litebase/" + target)]
    if target == "errors.md":
        return [("Sx", "ERROR CODES")]
    if target.startswith("../") or target.endswith(".json"):
        return [("Pa", prose(label))]  # in the sources
    assert target.startswith("#"), f"where does this link lead on paper: {target}"
    if f'<a id="{target[1:]}"></a>' in protocol():
        return [("No", prose(label))]  # a place within a section
    name = section(target[1:].replace("-", " "))
    return [("Sx", name)] if section(label) == name else [("No", prose(label) + " (see "), ("Sx", name), ("No", ")")]


def pieces(text):
    end = 0
    for match in INLINE.finditer(text):
        yield "No", prose(text[end:match.start()])
        yield from marked_up(match)
        end = match.end()
    yield "No", prose(text[end:])


def words(text):
    """What stands between spaces, each as a list of (macro, text)."""
    word = []
    for name, piece in pieces(text):
        for part in re.split(r"(\s+)", piece) if name == "No" else [piece]:
            if not part.isspace():
                word += [(name, part)] if part else []
            elif word:
                yield word
                word = []
    if word:
        yield word


# Lines.

def macro_line(word):
    """A word with markup as one line: `.Pf ( Cm 0x80 Ns No x ,`."""
    line = ""
    for index, (name, text) in enumerate(word):
        if name == "No" and index == 0 and re.fullmatch(r"[(\[]+", text):
            line = f"Pf {text} "
        elif name == "No" and index > 0 and re.fullmatch(r"[.,:;)\]?!]+", text):
            line += " " + " ".join(text)
        else:
            arguments = " ".join(map(argument, text.split(" "))) if name in ("Sx", "Em") else argument(text)
            line += (" Ns " if line and not line.startswith("Pf ") or index > 1 else "") + f"{name} {arguments}"
    return "." + line


def running(text):
    """A paragraph: a new line for each sentence and for each word with markup, as mdoc wants it."""
    lines, open_line = [], ""
    for word in words(text):
        plain = "".join(part for _, part in word)
        if any(name != "No" for name, _ in word):
            lines += [open_line, macro_line(word)] if open_line else [macro_line(word)]
            open_line = ""
            continue
        if open_line and len(open_line) + 1 + len(plain) > COLUMNS:
            lines.append(open_line)
            open_line = ""
        open_line += " " + plain if open_line else re.sub(r"^([.'])", r"\\&\1", plain)
        if re.search(r"[.?!]\)?$", plain):
            lines.append(open_line)
            open_line = ""
    return lines + ([open_line] if open_line else [])


def item(term):
    lines = running(term)
    return [".It " + lines[0].removeprefix(".")] if len(lines) == 1 else [".It Xo", *lines, ".Xc"]


# Blocks.

def table(lines):
    """The first column is the term; each of the others is a line, led by its heading where there are several."""
    headings, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    made = [".Bl -tag -width Ds"]
    for term, *cells in rows:
        made += item(term)
        filled = [(heading, cell.removeprefix("–").removeprefix(" ; "))
                  for heading, cell in sorted(zip(headings[1:], cells), key=lambda pair: pair[0] != "")
                  if cell not in ("", "–")]
        for index, (heading, cell) in enumerate(filled):
            lead = f"*{heading[0].upper()}{heading[1:]}*: " if heading and len(headings) > 2 else ""
            made += ([".br"] if index else []) + running(lead + cell)
    return made + [".El"]


def display(lines):
    return [".Bd -literal -offset indent", *[re.sub(r"^([.'])", r"\\&\1", literal(line)) for line in lines], ".Ed"]


def bullets(lines):
    if all("](#" in line for line in lines):
        return []  # the table of contents
    return [".Bl -bullet -width 1n", *[made for line in lines for made in [".It", *running(line[2:])]], ".El"]


def blocks(text):
    """Blocks of Markdown, each as its lines."""
    block, in_code = [], False
    for line in text.splitlines() + [""]:
        in_code ^= line.startswith("```")
        if line or in_code:
            block.append(line)
        elif block:
            yield block
            block = []
    assert not in_code, "a fence is not closed"


def convert(text):
    """The blocks of one section, without anchors."""
    made = []
    for block in blocks(re.sub(r'<a id="[\w-]+"></a>', "", text)):
        first = block[0]
        assert not first.startswith("#"), f"a heading where none is expected: {first}"
        if first.startswith("```"):
            made += display(block[1:-1])
        elif first.startswith("|"):
            made += table(block)
        elif first.startswith("- "):
            made += bullets(block)
        else:
            made += ([".Pp"] if made else []) + running(" ".join(block))
    return made


# The page.

ERROR = re.compile(r"^### (\d+) `(\w+)`\n(.*)\n\n- Fixed by: .*\n- Again: (.*)\n- `retryable`, .*: (true|false)\.$", re.M)


def error_codes(text):
    """What docs/errors.md says of each code, for programmers: who can fix it is on that page."""
    text = text.replace("docs/protocol.md", "this page")
    found = list(ERROR.finditer(text))
    assert len(found) == text.count("\n### "), "an entry of errors.md has another shape"
    made = [".Sh ERROR CODES", "A client must take a code that it does not know for", ".Cm database_error .",
            ".Bl -tag -width Ds"]
    for number, code, meaning, again, retryable in (match.groups() for match in found):
        made += [f".It Cm {code} Pq {number}" + (", retryable" if retryable == "true" else "")]
        made += [*running(meaning), ".br", *running(f"*Again*: {again[0].lower()}{again[1:]}")]
    return made + [".El"]


def client_class(text):
    """The class of an example, as a display: all that a client needs."""
    body = re.search(r"^class .*?(?=\n\n\n)", text, re.M | re.S)[0]
    return [".Pp", "The second one's class is a whole client:", *display(body.splitlines())]


def body():
    introduction, *rest = re.split(r"^## (.*)\n", protocol(), flags=re.M)
    made = convert(introduction.split("\n", 1)[1])
    for title, text in zip(rest[::2], rest[1::2]):
        made += [".Sh " + section(title), *convert(text)]
        if title == "Errors":
            made += error_codes((ROOT / "docs/errors.md").read_text(encoding="utf-8"))
    return made + client_class((ROOT / "docs/examples/client_json.py").read_text(encoding="utf-8"))


def page(date):
    return "\n".join([HEAD.format(date=date), *body(), TAIL]) + "\n"


def main():
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    date = re.search(r"^\.Dd (.*)$", old, re.M)
    if date and page(date[1]) == old:
        return
    if "--check" in sys.argv[1:]:
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale: run scripts/make-protocol-man.py")
    today = datetime.date.today()
    PAGE.write_text(page(f"{today:%B} {today.day}, {today.year}"), encoding="utf-8")


if __name__ == "__main__":
    main()
