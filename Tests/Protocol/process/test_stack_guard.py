"""What lies below the stack of a thread: Swift's compiler has no probes of the stack, so a function with a large frame must not
reach over the guard (scripts/check-deb.sh compares the largest frame of the programs with it)."""

import pathlib
import re

from daemon import ROOT

GUARD = re.search(r"static let guardByteCount = (\d+) << 10", (ROOT / "Sources/LinuxSystem/Thread.swift").read_text())


def test_every_thread_has_a_guard_below_its_stack(start_daemon):
    daemon = start_daemon(databases={"db": "sqlite:" + str(pathlib.Path("/nowhere/db"))})
    client = daemon.connect()
    client.query("SELECT 1")
    # Something for a worker.
    client.query_fails("SELECT 1", database="db")
    threads = len(list(pathlib.Path(f"/proc/{daemon.pid}/task").iterdir())) - 1
    regions = [re.match(r"(\w+)-(\w+) (\S+)", line).groups()
               for line in pathlib.Path(f"/proc/{daemon.pid}/maps").read_text().splitlines()]
    regions = [(int(first, 16), int(end, 16), mode) for first, end, mode in regions]
    # A stack, and directly below it what cannot be touched.
    guarded = [end - first for (first, end, mode), (above, _, stack) in zip(regions, regions[1:])
               if mode == "---p" and stack == "rw-p" and above == end and end - first < 1 << 20]
    assert threads >= 2 and len(guarded) >= threads, regions
    assert min(guarded) >= int(GUARD[1]) << 10, guarded
