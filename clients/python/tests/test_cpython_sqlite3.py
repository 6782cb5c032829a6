"""CPython's own tests of its sqlite3, with this driver in its place: all pass but those that not_ours.txt lists with a reason.

They come with a Python that is installed from its source (Debian's has no tests of sqlite3), and are those of version 3.11:
others have other tests. A test that is listed and passes is as wrong as one that fails and is not.
"""

import collections
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent / "cpython_sqlite3"
SOURCES = HERE.parents[1] / "src"
SECONDS_MAX = 120


def listed():
    """Each pattern of not_ours.txt. All of them stand below a reason."""
    patterns, reason = [], None
    for line in (HERE / "not_ours.txt").read_text().splitlines():
        if line.startswith("#"):
            reason = line[1:].strip()
        elif line:
            assert reason, f"{line} has no reason"
            patterns.append(line)
        else:
            reason = None
    return patterns


def matches(pattern, name):
    return name == pattern or (pattern.endswith(".*") and name.rpartition(".")[0] == pattern[:-2])


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the list is that of Python 3.11")
@pytest.mark.skipif(
    not (importlib.util.find_spec("test") and importlib.util.find_spec("test.test_sqlite3")),
    reason="this Python has no tests of sqlite3: Debian leaves them out, Python's source has them",
)
def test_those_that_apply_pass(daemon, tmp_path):
    outcomes = tmp_path / "outcomes"
    done = subprocess.run(
        [sys.executable, HERE / "as_sqlite3.py", outcomes], capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCES), "LITEBASE_SOCKET": daemon.socket_path},
    )  # fmt: skip
    assert outcomes.exists(), done.stdout + done.stderr
    found = {name.removeprefix("test_"): outcome for name, outcome in json.loads(outcomes.read_text()).items()}
    counts = collections.Counter(outcome for outcome, _ in found.values())
    print(dict(counts))
    assert counts["passed"] > 110
    patterns = listed()
    failed = {name: why for name, (outcome, why) in found.items() if outcome == "failed"}
    assert {name: why for name, why in failed.items() if not any(matches(pattern, name) for pattern in patterns)} == {}
    # What is listed twice, or in vain.
    assert [name for name, count in collections.Counter(patterns).items() if count > 1] == []
    passed = [name for name, (outcome, _) in found.items() if outcome == "passed"]
    assert [name for name in passed if any(matches(pattern, name) for pattern in patterns)] == []
    assert len(set(patterns) - {pattern for pattern in patterns if any(matches(pattern, name) for name in found)}) < 5
