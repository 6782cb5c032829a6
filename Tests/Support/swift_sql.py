"""The SQL in Swift sources, for tests that run it beside the daemon."""

import json
import pathlib
import re
import textwrap

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "Sources"
CONSTANT = re.compile(r'static let (\w+)(?:: StaticString)? =\s+(?:"""\n(.*?)\n *"""|"(.*?)"$)', re.S | re.M)


class SwiftSQL:
    """The constants of one file by name, with what they put in of each other."""

    def __init__(self, path):
        text = (SOURCES / path).read_text()
        self.texts = {name: textwrap.dedent(long) if long else short for name, long, short in CONSTANT.findall(text)}

    def __getitem__(self, name):
        return re.sub(r"\\\((\w+)\)", lambda match: self[match[1]], self.texts[name])


def records(result):
    """The rows as dictionaries: without what is null, and with `extra` as what it says."""
    found = []
    for row in result.rows:
        record = {name: value for name, value in zip(result.names, row) if value is not None}
        if "extra" in record:
            record["extra"] = json.loads(record["extra"])
        found.append(record)
    return found


def table(records, *names):
    """Some columns of records as tuples, which are easier to read."""
    return [tuple(record.get(name) for name in names) for record in records]
