#!/usr/bin/env python3
"""Passes all tests: the stages of `make test`, three at a time, but for those that measure.

    scripts/run-tests.py                       all stages
    scripts/run-tests.py STAGE...              these, and what they need
    scripts/run-tests.py --list                what there is

Each stage is a target of the Makefile. What it writes goes to .build/test/STAGE.log; the end of it is shown if it fails. A stage
that fails does not end the run, which would leave the others unknown. Ends with 0 if all passed, and with 1 otherwise.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGS = ROOT / ".build/test"
# The programs under test are those of the package: what is shipped is what is tested, and is compiled once.
PROGRAMS = ROOT / ".build/deb-work/scratch/release"
LINES_SHOWN = 120


class Stage:
    """`needs`: stages that must have passed. A stage that is `alone` measures: nothing runs beside it.

    One that is a part of another is run where somebody names it. Its target has its name, if no other is said.
    """

    def __init__(self, name, text, needs=(), alone=False, part=False, target=None, **variables):
        self.name, self.text, self.needs, self.alone, self.part = name, text, needs, alone, part
        self.command = ["make", "-s", target or name, *(f"{key}={value}" for key, value in variables.items())]
        self.log = LOGS / f"{name}.log"
        self.process = self.status = self.began = self.seconds = self.cpu_seconds = None

    def start(self):
        self.began = time.monotonic()
        with open(self.log, "wb") as log:
            # A process group, so that all of it can be ended; not a session: sudo remembers its user by the terminal.
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)

    def has_ended(self):
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds, self.cpu_seconds = time.monotonic() - self.began, usage.ru_utime + usage.ru_stime
        return True

    @property
    def passed(self):
        return self.status == 0

    def stop(self):
        """The whole process group; SIGINT, so that what is made is taken away again."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)

    def wavered(self):
        """Names of the tests that passed only alone (pass-tests.py)."""
        lines = self.log.read_text(errors="replace").splitlines() if self.status is not None else []
        return [line.removeprefix("WAVERED ") for line in lines if line.startswith("WAVERED ")]

    def last_words(self):
        """The line that says how much was tested."""
        said = [line for line in self.log.read_text(errors="replace").splitlines()
                if re.search(r"\d+ (passed|failed|errors?)\b|Test run with|^\d+ cuts|^skipped: ", line)]
        return re.sub(r"^[=\s✔✘]+|[=\s]+$", "", said[-1]) if said else ""


# In the order in which they are begun, when what they need is there.
STAGES = [
    Stage("lint", "the format of the Swift sources"),
    Stage("deb", "the programs and the package"),
    Stage("venv", "Python with what the tests need"),
    # Others wait for the package, and then mostly for the time that their tests take: what is left of the processors is enough.
    Stage("unit-programs", "the Swift tests, compiled in a debug build", needs=["lint"]),
    Stage("machine", "the root file system of the container"),
    Stage("unit", "Swift tests", needs=["unit-programs"]),
    Stage("blackbox", "the programs from outside", needs=["deb", "venv"], PROGRAMS=PROGRAMS),
    Stage("system-load", "the package in a container with systemd, under load", needs=["deb", "machine"], target="system", BUILT=1,
          MARK="load"),
    Stage("system", "the package in a container with systemd", needs=["deb", "machine"], BUILT=1, MARK="not load"),
    Stage("power-loss", "cuts of the power", needs=["deb"], PROGRAMS=PROGRAMS),
    Stage("clients", "drivers for other languages", needs=["deb", "venv"], PROGRAMS=PROGRAMS),
    Stage("quick", "the programs from outside: what is quick", part=True, PROGRAMS=".build/release"),
    Stage("measured", "the programs from outside: what measures", needs=["deb", "venv"], alone=True, PROGRAMS=PROGRAMS),
]
AT_ONCE = 3


def chosen(names):
    """These stages and all that they need, in the order of STAGES."""
    by_name = {stage.name: stage for stage in STAGES}
    wanted, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in by_name:
            sys.exit(f"run-tests: no stage is called {name}; there are {', '.join(by_name)}")
        wanted.add(name)
        left += by_name[name].needs
    return [stage for stage in STAGES if stage.name in wanted]


def clock(seconds):
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def say(stage):
    """How long it took, and the processor time of all that it has waited for (of a container's processes, nothing)."""
    # (The machine may lack what a stage needs: then it says so.)
    print(f"{'passed' if stage.passed else 'FAILED':<8}{stage.name:<14}{clock(stage.seconds):>6} {clock(stage.cpu_seconds):>6} CPU   "
          f"{stage.last_words()}", flush=True)


def run(stages):
    """Runs each stage as soon as it may; returns those that never could."""
    waiting, running = list(stages), []
    passed = {stage.name for stage in STAGES} - {stage.name for stage in stages}
    try:
        while waiting or running:
            for stage in list(waiting):
                able = passed.issuperset(stage.needs)
                room = not running if stage.alone else len(running) < AT_ONCE and not any(each.alone for each in running)
                # What measures comes last: otherwise it would wait for a gap, and the others for it.
                if able and room and (not stage.alone or not any(passed.issuperset(each.needs) for each in waiting if not each.alone)):
                    waiting.remove(stage)
                    stage.start()
                    running.append(stage)
            if not running:
                return waiting
            time.sleep(0.1)
            for stage in [stage for stage in running if stage.has_ended()]:
                running.remove(stage)
                if stage.passed:
                    passed.add(stage.name)
                say(stage)
        return []
    except KeyboardInterrupt:
        for stage in running:
            stage.stop()
        sys.exit(130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="list the stages")
    parser.add_argument("stages", nargs="*", metavar="STAGE")
    options = parser.parse_args()
    if options.list:
        for stage in STAGES:
            print(f"{stage.name:<14}{stage.text}{', alone' if stage.alone else ''}{', by `make check` only' if stage.part else ''}")
        return 0
    stages = chosen(options.stages or [stage.name for stage in STAGES if not stage.part])
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    missed = run(stages)
    failed = [stage for stage in stages if stage.status is not None and not stage.passed]
    for stage in failed:
        lines = stage.log.read_text(errors="replace").splitlines()
        print(f"\n{'=' * 20} {stage.name}: the end of {stage.log.relative_to(ROOT)} {'=' * 20}")
        print("\n".join(lines[-LINES_SHOWN:]))
    print()
    for stage in stages:
        for name in stage.wavered():
            print(f"WAVERED: {name}, which failed beside others and passed alone ({stage.log.relative_to(ROOT)})")
    for stage in missed:
        print(f"not run: {stage.name}, which needs {', '.join(stage.needs)}")
    for stage in failed:
        print(f"FAILED: {stage.name} ({stage.log.relative_to(ROOT)})")
    print(f"{'not all tests passed' if failed or missed else 'all tests passed'}, in {clock(time.monotonic() - began)}")
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
