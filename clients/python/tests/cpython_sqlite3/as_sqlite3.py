"""Runs CPython's own tests of sqlite3 with this driver in its place, and writes what became of each to the file named first.

    python as_sqlite3.py OUTCOMES

What the driver names differently is translated here, and nothing more: how a database is named when it is opened, and constants.
"""

import importlib
import json
import os
import pathlib
import sqlite3
import sys
import tempfile
import traceback
import types
import unittest
import urllib.parse

import litebase

MODULES = "backup", "dbapi", "dump", "factory", "hooks", "regression", "transactions", "types", "userfunctions"


def connect(database, timeout=5.0, detect_types=0, isolation_level="", check_same_thread=True, factory=None,
            cached_statements=128, uri=False):  # fmt: skip
    """A connection of the driver's, to what sqlite3 calls a database. How long it waits for locks is the daemon's to say.

    Raises: TypeError for what the driver does not have.
    """
    if detect_types or factory or isolation_level not in ("", None, "IMMEDIATE"):
        raise TypeError("the driver has neither detect_types, nor factory, nor such a level")
    path, options = os.fspath(database), {}
    if uri:
        parts = urllib.parse.urlsplit(path)
        path, query = urllib.parse.unquote(parts.path), urllib.parse.parse_qs(parts.query)
        if query.keys() - {"mode"}:
            raise TypeError(f"the driver has no {', '.join(query)}")
        options["read_only"] = query.get("mode") == ["ro"]
    url = "sqlite::memory:" if path == ":memory:" else "sqlite:" + os.path.abspath(os.fsdecode(path))
    return litebase.connect(
        url=url, autocommit=isolation_level is None, begin=f"BEGIN {isolation_level or ''}".rstrip(), **options
    )


def module():
    """What the tests import as sqlite3."""
    # The same by another name.
    litebase.Connection.interrupt = litebase.Connection.cancel
    made = types.ModuleType("sqlite3")
    vars(made).update({name: value for name, value in vars(sqlite3).items() if name.isupper() and isinstance(value, int)})
    vars(made).update({name: value for name, value in vars(litebase).items() if not name.startswith("_")})
    vars(made).update(connect=connect, Row=sqlite3.Row, __file__=sqlite3.__file__, __path__=sqlite3.__path__)
    vars(made).update(sqlite_version_info=sqlite3.sqlite_version_info, sqlite_version=sqlite3.sqlite_version)
    # Names that are used where a class is defined; a test that calls one fails.
    for name in "Blob", "PrepareProtocol":
        setattr(made, name, getattr(sqlite3, name))
    return made


class Outcomes(unittest.TestResult):
    """What became of each test, and why."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def _note(self, test, outcome, why):
        name = test.id().removeprefix("test.test_sqlite3.")
        self.found.setdefault(name, [outcome, why])

    def addSuccess(self, test):
        self._note(test, "passed", "")

    def addSkip(self, test, reason):
        self._note(test, "skipped", reason)

    def addFailure(self, test, error):
        self._note(test, "failed", "".join(traceback.format_exception(*error)[-3:]))

    def addError(self, test, error):
        self.addFailure(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.addFailure(test, error)

    def addExpectedFailure(self, test, error):
        self._note(test, "passed", "")

    def addUnexpectedSuccess(self, test):
        self._note(test, "failed", "it passed, which was not expected")


def main():
    outcomes = pathlib.Path(sys.argv[1]).resolve()
    result = Outcomes()
    importlib.import_module("test.test_sqlite3")
    sys.modules["sqlite3"] = module()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name in MODULES:
            tests = importlib.import_module(f"test.test_sqlite3.test_{name}")
            unittest.defaultTestLoader.loadTestsFromModule(tests).run(result)
        os.chdir("/")
    outcomes.write_text(json.dumps(result.found))


main()
