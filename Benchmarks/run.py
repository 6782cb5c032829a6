#!/usr/bin/env python3
"""`make bench-compare`: the table of goals, rows 1 to 11, LiteBase beside its peers, in one run.

Everything runs on this machine, as an unprivileged user, over Unix sockets, in alternating repetitions; the
figures are medians, and goals are ratios of medians, since machines differ and share their cores.
Run as root it installs what is missing (Debian packages of the peers, which start their own services as
packages do), measures row 8 on a booted machine, and then drops to `nobody`.

    Benchmarks/run.py [--quick] [--rows 1,2,5] [--litebased .build/release/litebased] [--document] [--json FILE]
    Benchmarks/run.py --check [--update]     instructions and allocations against thresholds.json

The note "generator" marks a figure during which the load generator used more than 95 % of a core: then the
server may well be faster than the figure says, and the processor time per request is the better comparison.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import document
import peers
import rows_activation
import rows_requests
import rows_resources
import thresholds
from bench import Bench

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = {number: getattr(module, f"row_{number}")
        for module in (rows_requests, rows_activation, rows_resources)
        for number in range(1, 12) if hasattr(module, f"row_{number}")}


def newest_package():
    packages = sorted((ROOT / ".build/deb").glob("litebase_*.deb"), key=lambda path: path.stat().st_mtime)
    return packages[-1] if packages else None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short repetitions instead of five")
    parser.add_argument("--rows", default=",".join(map(str, sorted(ROWS))), help="which rows, by number")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"), help="the daemon; without one its cells stay empty")
    parser.add_argument("--package", type=pathlib.Path, default=newest_package(), help="the .deb for rows 8 and 11; default: the newest")
    parser.add_argument("--output", type=argparse.FileType("w"), help="also write the table to this file")
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    parser.add_argument("--document", action="store_true", help="also write the table and a plot into docs/")
    parser.add_argument("--no-install", action="store_true", help="never install packages")
    parser.add_argument("--check", action="store_true", help="no table: fail when the hot path needs more than thresholds.json allows")
    parser.add_argument("--update", action="store_true", help="with --check: write new thresholds, a tenth above what is measured")
    options = parser.parse_args()
    options.rows = [int(number) for number in options.rows.split(",")]
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such rows: {sorted(unknown)}")
    return options


def measure_activation(options):
    """Row 8's figures, or why there are none."""
    if 8 not in options.rows:
        return "not asked for"
    print("booting a machine for row 8", file=sys.stderr)
    try:
        return rows_activation.measure(options.package)
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        return str(problem)


def compare(options, directory, tools):
    activation = measure_activation(options)
    # Opened while that is still possible: nobody may not write into the tree.
    documents = document.Documents() if options.document else None
    peers.drop_privileges(directory)
    bench, others = Bench(options, directory, tools), document.OthersWatch()
    bench.activation = activation
    try:
        for number in options.rows:
            try:
                ROWS[number](bench)
            except (RuntimeError, subprocess.SubprocessError, OSError) as problem:
                bench.not_measured(number, "failed", str(problem))
    finally:
        bench.stop()
    busy_cores = others.cores()
    text = document.table(bench, busy_cores)
    print(text)
    if options.output:
        options.output.write(text)
    if options.json:
        options.json.write(document.figures(bench, busy_cores))
    if documents:
        documents.write(bench, text)
    return 0


def main():
    options = parse_arguments()
    if not options.no_install:
        peers.install_missing(peers.CHECK_PACKAGES if options.check else peers.PACKAGES)
    peers.raise_descriptor_limit()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    try:
        tools = peers.compile_tools(directory)
        if os.access(options.litebased, os.X_OK):
            options.litebased = shutil.copy(options.litebased, directory / "litebased")
        else:
            print(f"no daemon at {options.litebased}: peers only", file=sys.stderr)
            options.litebased = None
        if options.check:
            return thresholds.check(options.litebased, directory, options.update)
        return compare(options, directory, tools)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
