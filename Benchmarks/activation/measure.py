#!/usr/bin/env python3
"""What each line of a unit's sandbox costs at a cold activation, and what it buys in exposure.

Runs as root where systemd is PID 1 (a container will do), with the package installed. Makes transient copies of the
unit, each with its own socket, activates them in turn, in a new random order each round, and prints the medians of the
times that probe.c reports, beside the figure of systemd-analyze security.

  cc -O2 -o probe probe.c; cc -O2 -o minimal-service minimal-service.c      (/usr/lib/litebase-bench/ inside)
  ./measure.py             the unit as it is, without its sandbox, and with all of it but one group at a time
  ./measure.py --add       without its sandbox, plus one group at a time
  ./measure.py --compare   the unit as it is, litebased against minimal-service (goal: at most 5 ms apart)
"""

import argparse
import pathlib
import random
import re
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
UNITS = pathlib.Path("/run/systemd/system")

# Directives that are one decision, or share their cost (the first mount of a unit pays for the mount namespace).
GROUPS = [
    "RootDirectory BindPaths BindReadOnlyPaths", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices",
    "DevicePolicy", "PrivateMounts", "ProtectProc ProcSubset", "ReadOnlyPaths", "NoExecPaths ExecPaths",
    "MemoryDenyWriteExecute", "CapabilityBoundingSet", "NoNewPrivileges", "LockPersonality", "RestrictRealtime",
    "RestrictSUIDSGID", "RestrictNamespaces", "RemoveIPC", "KeyringMode", "ProtectClock", "ProtectHostname",
    "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups",
    "SystemCallArchitectures", "SystemCallFilter SystemCallErrorNumber", "RestrictAddressFamilies", "PrivateNetwork",
    "IPAddressDeny IPAddressAllow", "SocketBindDeny SocketBindAllow", "PrivateUsers",
]
SANDBOX = {name for group in GROUPS for name in group.split()}


class Variant:
    """One transient service and its socket."""

    def __init__(self, name, lines, program=None):
        self.name = name
        self.unit = "lb-bench-" + re.sub(r"[^A-Za-z0-9]+", "-", name)
        self.socket = f"/run/{self.unit}.sock"
        self.lines = lines
        self.program = program
        self.health_ms, self.row_ms, self.processor_ms = [], [], []

    def write(self):
        service = []
        for line in self.lines:
            if re.match(r"(Requires|After)=litebase\.socket", line):
                line = line.replace("litebase.socket", f"{self.unit}.socket")
            if self.program and line.startswith("ExecStart="):
                line = f"ExecStart={self.program}"
            service.append(line)
        (UNITS / f"{self.unit}.service").write_text("\n".join(service) + "\n")
        (UNITS / f"{self.unit}.socket").write_text(
            f"[Socket]\nListenStream={self.socket}\nRemoveOnStop=yes\n")

    def remove(self):
        for suffix in ("socket", "service"):
            run("systemctl", "stop", f"{self.unit}.{suffix}")
            (UNITS / f"{self.unit}.{suffix}").unlink(missing_ok=True)

    def exposure(self):
        text = run("systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNITS / f"{self.unit}.service"))
        return re.search(r"exposure level for \S+: ([0-9.]+)", text).group(1)

    def activate(self, probe):
        """One cold start. The pause lets the kernel finish with the namespaces of the one before."""
        time.sleep(0.15)
        sql = [] if self.program else ["SELECT 1"]
        times = subprocess.run([probe, self.socket, *sql], check=True, capture_output=True, text=True).stdout.split()
        self.health_ms.append(float(times[0]))
        if sql:
            self.row_ms.append(float(times[1]))
        self.processor_ms.append(self.processor_time())
        run("systemctl", "stop", f"{self.unit}.service")

    def processor_time(self):
        """Of the service's first thread since PID 1 forked it: the sandbox and the program's start, in milliseconds.

        A busy machine disturbs it far less than the other figures. First field of schedstat: nanoseconds on a processor.
        """
        pid = run("systemctl", "show", "--property=MainPID", "--value", f"{self.unit}.service").strip()
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def run(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def without(lines, names):
    return [line for line in lines if line.split("=")[0] not in names]


def only(lines, names):
    return without(lines, SANDBOX - set(names))


def present(lines):
    """The groups that the unit uses."""
    used = {line.split("=")[0] for line in lines}
    return [group for group in GROUPS if used & set(group.split())]


def make_variants(options, lines):
    whole, bare = Variant("as it is", lines), Variant("no sandbox", without(lines, SANDBOX))
    if options.compare:
        return [whole, Variant("minimal C service", lines, options.minimal), bare,
                Variant("minimal C service, no sandbox", bare.lines, options.minimal)]
    groups = present(lines + options.extra)
    if options.add:
        lines = lines + options.extra
        return [whole, bare] + [Variant("+ " + group, only(lines, group.split())) for group in groups]
    more = [Variant("+ " + line, lines + [line]) for line in options.extra]
    return [whole, bare] + more + [Variant("- " + group, without(lines, group.split())) for group in present(lines)]


def measure(options, variants):
    generator = random.Random(options.seed)
    for number in range(options.rounds + 1):
        order = variants[:]
        generator.shuffle(order)
        for variant in order:
            variant.activate(options.probe)
        if number == 0:  # reads files for the first time
            for variant in variants:
                variant.health_ms.clear(), variant.row_ms.clear(), variant.processor_ms.clear()


def report(variants):
    """Medians, and the best of each: what the machine does when nobody disturbs it."""
    print("| unit | exposure | processor ms | best | connect to health ms | best | first row ms |\n"
          "|---|---|---|---|---|---|---|")
    for variant in variants:
        row = f"{statistics.median(variant.row_ms):.1f}" if variant.row_ms else "–"
        print(f"| {variant.name} | {variant.exposure()} "
              f"| {statistics.median(variant.processor_ms):.1f} | {min(variant.processor_ms):.1f} "
              f"| {statistics.median(variant.health_ms):.1f} | {min(variant.health_ms):.1f} | {row} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="/lib/systemd/system/litebase.service")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--extra", action="append", default=[], metavar="LINE", help="one more directive to try")
    parser.add_argument("--probe", default=str(HERE / "probe"))
    parser.add_argument("--minimal", default=str(HERE / "minimal-service"))
    options = parser.parse_args()
    lines = [line for line in pathlib.Path(options.unit).read_text().splitlines() if line and line[0] != "#"]
    variants = make_variants(options, lines)
    print(f"seed {options.seed}, {options.rounds} rounds", file=sys.stderr)
    try:
        for variant in variants:
            variant.write()
        run("systemctl", "daemon-reload")
        for variant in variants:
            subprocess.run(["systemctl", "start", f"{variant.unit}.socket"], check=True)
        measure(options, variants)
        report(variants)
    finally:
        for variant in variants:
            variant.remove()
        run("systemctl", "daemon-reload")


if __name__ == "__main__":
    main()
