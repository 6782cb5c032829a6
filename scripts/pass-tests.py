#!/usr/bin/env python3
"""Runs pytest; a few tests that fail beside others are run once more alone, and have to pass twice.

    scripts/pass-tests.py PYTEST...      the command, with its arguments

Many tests at once on two cores is what `make test` can afford, and not what every test can stand: a server may not confirm
within its time what it was asked to end. Which tests those were is said in lines that begin with WAVERED, and run-tests.py shows
them: each of them is a test to mend, or a fault that is rare. Ends with pytest's status.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

# More than these is no accident.
COUNT_MAX = 8
TESTS_FAILED = 1


def failed_tests(cache):
    file = pathlib.Path(cache, "v/cache/lastfailed")
    return sorted(json.loads(file.read_text())) if file.exists() else []


def without_workers(command):
    """The command for a run in one process."""
    words = list(command)
    for option in ("-n", "--dist"):
        if option in words:
            at = words.index(option)
            del words[at:at + 2]
    return words


def main():
    command = sys.argv[1:]
    if not command:
        sys.exit(__doc__)
    cache = tempfile.mkdtemp(prefix="litebase-pytest-")
    try:
        keeping = [*command, "-o", f"cache_dir={cache}"]
        status = subprocess.run(keeping, check=False).returncode
        failed = failed_tests(cache)
        if status != TESTS_FAILED or not 0 < len(failed) <= COUNT_MAX:
            return status
        print(f"\n{len(failed)} failed; alone, each has to pass twice", flush=True)
        for _ in range(2):
            # What has passed is no longer among the last failures, so the set is put back.
            pathlib.Path(cache, "v/cache/lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
            status = subprocess.run([*without_workers(keeping), "--last-failed"], check=False).returncode
            if status:
                return status
        for name in failed:
            print(f"WAVERED {name}")
        return 0
    finally:
        shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
