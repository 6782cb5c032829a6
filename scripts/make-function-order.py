#!/usr/bin/env python3
"""Writes packaging/functions.order: in which order the linker lays the daemon's functions (release.mk).

    scripts/make-function-order.py LITEBASED     an unstripped litebased of a release build; needs valgrind and a C compiler

First what short requests run again and again, callers beside callees, so that they share pages and cache lines; then what else runs
from the start to the first reply, so that an idle daemon has less of its program in memory. Symbols that are not there are passed
over: an old list costs time and memory, never a build. Renew it after changes to the start or to the hot path, or with a new compiler.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Benchmarks"))

import peers  # noqa: E402
import thresholds  # noqa: E402

ORDER = ROOT / "packaging/functions.order"
REQUEST_COUNT = 3_000
# A function is hot from so many instructions for each request on, and two belong together from so many calls on.
HOT_INSTRUCTIONS, HOT_CALLS = 1, 0.2
# lintian takes longer lines for generated code; few names are.
NAME_LENGTH_MAX = 400


class Profile:
    """A file of callgrind's (the format is in valgrind's manual): what the functions of one program cost themselves, in the order in
    which they stand there, and how often one calls another."""

    def __init__(self, path, program):
        self.costs, self.calls = {}, collections.Counter()
        objects, functions = {}, {}
        caller = callee = owner = None
        is_call = False
        for line in path.read_text().splitlines():
            if match := re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line):
                names = objects if match[2] == "ob" else functions
                if match[4]:
                    names[match[3]] = re.sub(r"'\d+$", "", match[4])
                name = names[match[3]]
                if match[1]:
                    callee = name if match[2] == "fn" else callee
                elif match[2] == "ob":
                    owner = name
                else:
                    caller = name
                    if owner.endswith(program) and re.fullmatch(r"[\w$.]+", name) and len(name) <= NAME_LENGTH_MAX:
                        self.costs.setdefault(name, 0)
            elif match := re.match(r"calls=(\d+)", line):
                self.calls[caller, callee] += int(match[1])
                is_call = True
            elif match := re.match(r"[+*\-\d]\S* (\d+)", line):
                # Behind a call stands what the callee has cost.
                if not is_call and caller in self.costs:
                    self.costs[caller] += int(match[1])
                is_call = False


def hot_functions(profile, request_count):
    """Chains of callers and callees, those that call each other most often first (Pettis and Hansen, "Profile guided code positioning",
    PLDI 1990, much simplified)."""
    chains = {name: [name] for name, cost in profile.costs.items() if cost >= HOT_INSTRUCTIONS * request_count}
    chain_of = {name: name for name in chains}
    for (caller, callee), count in profile.calls.most_common():
        first, second = chain_of.get(caller), chain_of.get(callee)
        if first is None or second is None or first == second or count < HOT_CALLS * request_count:
            continue
        for name in chains[second]:
            chain_of[name] = first
        chains[first] += chains.pop(second)
    by_cost = sorted(chains.values(), key=lambda chain: -sum(profile.costs[name] for name in chain))
    return [name for chain in by_cost for name in chain]


def record(program, directory):
    """What a daemon does from its start to its first reply, and for short requests."""
    # valgrind 3.19 does not understand all of the debugging information, and needs none.
    stripped, output = directory / "litebased", directory / "profile"
    subprocess.run(["strip", "--strip-debug", "-o", stripped, program], check=True, timeout=60)
    peers.create_item_file(directory / "items.db", thresholds.ROW_COUNT)
    state, path = directory / "state", directory / "socket"
    state.mkdir()
    (directory / "items.db").rename(state / "default.db")
    daemon = peers.Server(
        "callgrind", ["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={output}", str(stripped),
                      "--listen=standalone", f"--socket={path}", "--loops=1"],
        path, directory / "log", {"STATE_DIRECTORY": str(state), "XDG_RUNTIME_DIR": str(directory), "HOME": str(directory)})
    try:
        pid = daemon.process.pid
        client = thresholds.Client(str(path))
        client.health(1)
        thresholds.control(pid, "--dump")
        thresholds.warm_up(client, pid)
        lane = thresholds.LaneClient(str(path))
        thresholds.control(pid, "--zero")
        for one in (client, lane):
            one.health(REQUEST_COUNT)
            one.select(REQUEST_COUNT)
        client.stream(thresholds.ROW_COUNT)
        thresholds.control(pid, "--dump")
        lane.close()
        client.close()
    finally:
        daemon.stop()
    return tuple(Profile(output.with_name(f"profile.{number}"), "/litebased") for number in (1, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("litebased", type=pathlib.Path, help="an unstripped daemon of a release build")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        start, work = record(options.litebased.resolve(), pathlib.Path(directory))
    hot = hot_functions(work, 4 * REQUEST_COUNT)
    names = list(dict.fromkeys(hot + list(start.costs)))
    ORDER.write_text("".join(f"{name}\n" for name in names))
    print(f"{len(names)} functions, {len(hot)} of them hot")


if __name__ == "__main__":
    main()
