"""A plugin for pytest: what became of each test, in the file that $OUTCOMES names."""

import json
import os
import pathlib

OUTCOMES = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        known = OUTCOMES.get(report.nodeid)
        if known is None or report.outcome == "failed":
            OUTCOMES[report.nodeid] = [report.outcome, reason]


def pytest_sessionfinish():
    pathlib.Path(os.environ["OUTCOMES"]).write_text(json.dumps(OUTCOMES))
