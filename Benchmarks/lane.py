#!/usr/bin/env python3
"""The fast lane beside the socket, the sqlite3 library in the program itself, Redis and PostgreSQL: rows 24 to 26 of the goals.

The client of the lane is docs/examples/client_lane.c, which measures the socket as well; the others are measured as by run.py, in
alternating repetitions, and the figures are medians.

    Benchmarks/lane.py [--quick] [--rows 24,25,26] [--litebased .build/release/litebased] [--former litebased]
                       [--document] [--json FILE]
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import document
import peers
from bench import Bench, median_of, microseconds, per_second, rate_text, run_json, seconds, spread_of
from rows_requests import SELECT_SCRIPT

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW_STATEMENT = "SELECT id, name, price, stock, tag FROM item"


def small(value):
    """Microseconds of a size at which the hundredth counts."""
    return f"{value:.2f} µs" if value < 10 else microseconds(value)


def by_example(bench, transport, what, connections=1, daemon="litebase"):
    """One run of the example, with the daemon's processor time for a request."""
    server = bench.server(daemon)
    before = server.cpu_seconds()
    result = run_json([bench.tools["client_lane"], server.socket_path, transport, what, str(connections), str(bench.seconds),
                       str(peers.ROW_COUNT)])
    if result["transport"] != transport:
        raise RuntimeError("the daemon shares no memory")
    if "requests" in result:
        # The warm-up is a fifth of the measured time, and part of what the server worked for.
        result["server_us_per_request"] = (server.cpu_seconds() - before) * 1e6 / (result["requests"] * 1.2)
    return result


def named(bench, what, connections=1):
    return {"LiteBase, lane": lambda: by_example(bench, "shared_memory", what, connections),
            "LiteBase, socket": lambda: by_example(bench, "socket", what, connections)}


def row_24(bench):
    """One connection: as fast as a library?"""
    results = bench.alternate(named(bench, "health"))
    p50 = median_of(results["LiteBase, lane"], "p50_us")
    bench.row(24, "`health_check`, 1 connection: p50", spread_of(results["LiteBase, lane"], "p50_us", small),
              f"socket: {spread_of(results['LiteBase, socket'], 'p50_us', small)}", "–", "≤ 1 µs",
              bench.at_most(24, "health check, p50 in µs", p50, 1))
    health = bench.lines.pop(24)
    contenders = named(bench, "select")
    file = bench.directory / "items.db"
    peers.create_item_file(file)
    for title, how in (("sqlite3 library, a transaction each", "each"), ("the same, all in one", "one")):
        contenders[title] = lambda how=how: run_json([bench.tools["sqlite-select"], str(file), how, str(bench.seconds),
                                                      str(peers.ROW_COUNT)])
    results = bench.alternate(contenders)
    p50 = {name: median_of(result, "p50_us") for name, result in results.items()}
    ours, library = p50["LiteBase, lane"], p50["sqlite3 library, a transaction each"]
    met = [bench.at_most(24, "point SELECT, p50 in µs", ours, 5), bench.at_most(24, "the same ÷ sqlite3 library", ours / library, 1)]
    bench.row(24, "point `SELECT`, 1 connection: p50", spread_of(results["LiteBase, lane"], "p50_us", small),
              "<br>".join(f"{name}: {spread_of(result, 'p50_us', small)}" for name, result in results.items() if name != "LiteBase, lane"),
              f"{ours / library:.2f} × sqlite3 library", "≤ 5 µs, ≤ 1 × sqlite3 library", all(met))
    bench.lines[24] = f"{health}\n{bench.lines[24]}"


def rates(bench, what, contenders, goals):
    results = bench.alternate(contenders)
    ours, met, ratios = results["LiteBase, lane"], [], []
    for peer in list(results)[1:]:
        ratio = median_of(ours, "requests_per_second") / median_of(results[peer], "requests_per_second")
        ratios.append(f"{ratio:.2f} × {peer}")
        if peer in goals:
            met.append(bench.at_least(25, f"{what} × {peer}", ratio, goals[peer]))
    goal = ", ".join(f"≥ {smallest} × {peer}" for peer, smallest in goals.items())
    if "SELECT" in what:
        work = median_of(ours, "server_us_per_request")
        met.append(bench.at_most(25, "point SELECT, processor time in µs", work, 3))
        goal += ", ≤ 3 µs of the daemon"
    bench.row(25, f"{what}, 16 connections, one in flight each", rate_text(ours),
              "<br>".join(f"{name}: {rate_text(result)}" for name, result in list(results.items())[1:]), "<br>".join(ratios), goal,
              all(met) if len(met) >= len(goals) else None)
    return bench.lines.pop(25)


def row_25(bench):
    """Sixteen connections of one thread, which is what the load generators of the peers are, too."""
    contenders = named(bench, "health", 16)
    if bench.server("redis"):
        contenders["Redis PING"] = lambda: bench.load(bench.server("redis"), "redis-ping", 16, 1)
    health = rates(bench, "`health_check`", contenders, {"Redis PING": 8})
    contenders = named(bench, "select", 16)
    if bench.server("redis"):
        contenders["Redis GET"] = lambda: bench.load(bench.server("redis"), "redis-get", 16, 1)
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(16, SELECT_SCRIPT)
    bench.lines[25] = health + "\n" + rates(bench, "point `SELECT`", contenders, {"Redis GET": 1.5, "PostgreSQL": 4})


def row_26(bench):
    """All rows of the table."""
    contenders, former = named(bench, ROW_STATEMENT), "a former daemon, socket"
    if bench.options.former:
        contenders[former] = lambda: by_example(bench, "socket", ROW_STATEMENT, daemon="former")
    results = bench.alternate(contenders)
    lane, socket = (median_of(results[f"LiteBase, {name}"], "seconds") for name in ("lane", "socket"))
    shown, ratio = [f"{socket / lane:.2f} × socket ({per_second(peers.ROW_COUNT / lane)} rows)"], socket / lane
    if former in results:
        ratio = median_of(results[former], "seconds") / lane
        shown.append(f"{ratio:.2f} × {former}")
    bench.row(26, "1 M rows of 5 columns", spread_of(results["LiteBase, lane"], "seconds", seconds),
              "<br>".join(f"{name}: {spread_of(result, 'seconds', seconds)}" for name, result in results.items() if name != "LiteBase, lane"),
              "<br>".join(shown), "≥ 1.2 × the socket of the daemon without lanes", bench.at_least(26, "1 M rows × socket", ratio, 1.2))


ROWS = {24: row_24, 25: row_25, 26: row_26}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short repetitions instead of five")
    parser.add_argument("--rows", default="24,25,26", help="which rows, by number")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"), help="the daemon")
    parser.add_argument("--former", help="another daemon, whose socket is measured, too (row 26)")
    parser.add_argument("--document", action="store_true", help="also write the table into docs/performance.md")
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    options = parser.parse_args()
    options.rows = [int(number) for number in options.rows.split(",")]
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such rows: {sorted(unknown)}")
    return options


def main():
    options = parse_arguments()
    peers.install_missing({name: peers.PACKAGES[name] for name in ("redis-server", "postgres", "cc")})
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    try:
        tools = peers.compile_tools(directory)
        tools["client_lane"] = peers.compile_program(ROOT / "docs/examples/client_lane.c", directory / "client_lane")
        tools["sqlite-select"] = peers.compile_program(ROOT / "Benchmarks/sqlite-select.c", directory / "sqlite-select", ["-lsqlite3"])
        options.litebased = shutil.copy(options.litebased, directory / "litebased")
        if options.former:
            options.former = shutil.copy(options.former, directory / "former-litebased")
        part = document.MarkedPart("lane") if options.document else None
        peers.drop_privileges(directory)
        bench, others = Bench(options, directory, tools), document.OthersWatch()
        try:
            for number in options.rows:
                ROWS[number](bench)
        finally:
            bench.stop()
        text = document.table(bench, others.cores())
        print(text)
        if part:
            part.replace(text)
        if options.json:
            json.dump(bench.figures, options.json, indent=1)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
