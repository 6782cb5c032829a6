#!/usr/bin/env python3
"""`make bench-servers`: LiteBase's pool before PostgreSQL, MariaDB and Redis, beside PgBouncer and the servers' own clients.

One server of each kind serves all contenders, over Unix sockets, in alternating repetitions, as an unprivileged user; one load
generator (lb-load) speaks to all but MariaDB itself. Point selects with the value as a parameter ("prepared") and within the text
("simple"), on 1 and 16 connections; then a million rows as a stream, of PostgreSQL and of MariaDB. Figures are medians.

    Benchmarks/servers.py [--quick] [--litebased .build/release/litebased] [--document] [--json FILE]

Another engine is another function in STREAMS.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import document
import peers
from bench import Bench, median_of, microseconds, per_second, run_json, seconds, spread_of
from peers import find_program
from rows_resources import STREAM_SQL, piped

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONNECTIONS = (1, 16)


def start_litebase(bench, name, urls):
    """A daemon with databases on servers only."""
    home = bench.directory / name
    (home / "state").mkdir(parents=True)
    path = home / "litebase.sock"
    environment = {"STATE_DIRECTORY": str(home / "state"), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    command = [bench.litebased, "--listen", "standalone", "--socket", str(path), "--log-level", "warning"]
    (home / "litebase.toml").write_text("[limits]\npool_connections_max = 16\n"
                                        + "".join(f'[databases.{database}]\nurl = "{url}"\n' for database, url in urls.items()))
    return peers.Server(name, [*command, "--config", str(home / "litebase.toml")], path, home / "log", environment)


# Point selects: title → (server's name, workload of lb-load)


def point_contenders(bench):
    return {
        "LiteBase, prepared": (bench.servers["litebase"], "pool-select"),
        "PgBouncer (session), prepared": (bench.servers["pgbouncer session"], "postgres-prepared"),
        "PostgreSQL itself, prepared": (bench.servers["postgresql"], "postgres-prepared"),
        "LiteBase, simple": (bench.servers["litebase"], "pool-literal"),
        "PgBouncer (session), simple": (bench.servers["pgbouncer session"], "postgres-simple"),
        "PgBouncer (transaction), simple": (bench.servers["pgbouncer transaction"], "postgres-simple"),
        "PostgreSQL itself, simple": (bench.servers["postgresql"], "postgres-simple"),
        "LiteBase before MariaDB, prepared": (bench.servers["litebase"], "pool-mysql"),
        "LiteBase before Redis, GET": (bench.servers["litebase"], "pool-redis"),
        "Redis itself, GET": (bench.servers["redis"], "redis-get"),
    }


# What LiteBase's rates are divided by.
PEERS = {"LiteBase, prepared": ["PgBouncer (session), prepared"],
         "LiteBase, simple": ["PgBouncer (session), simple", "PgBouncer (transaction), simple"],
         "LiteBase before Redis, GET": ["Redis itself, GET"]}


def point_rows(bench):
    lines = []
    for connections in CONNECTIONS:
        results = bench.alternate({
            f"{title}, {connections}": (lambda server=server, workload=workload: bench.load(server, workload, connections, 1))
            for title, (server, workload) in point_contenders(bench).items()})
        results = {name.rpartition(", ")[0]: result for name, result in results.items()}
        for title, result in results.items():
            ratios = [f"{median_of(result, 'requests_per_second') / median_of(results[peer], 'requests_per_second'):.2f} × {peer}"
                      for peer in PEERS.get(title, [])]
            lines.append(f"| point select, {connections} connection{'s' * (connections > 1)} | {title} "
                         f"| {spread_of(result, 'requests_per_second', per_second)} "
                         f"| {microseconds(median_of(result, 'p50_us'))} | {microseconds(median_of(result, 'p99_us'))} "
                         f"| {median_of(result, 'server_us_per_request'):.1f} µs | {'<br>'.join(ratios)} |")
            bench.figures.append({"what": f"{title}, {connections}", "requests_per_second": median_of(result, "requests_per_second"),
                                  "p50_us": median_of(result, "p50_us"), "p99_us": median_of(result, "p99_us"), "ratios": ratios})
    return lines


# A million rows


def litebase_stream(bench, database):
    def measure(encoding):
        before = bench.servers["litebase"].cpu_seconds()
        result = run_json([bench.tools["lb-probe"], "stream", bench.servers["litebase"].socket_path, encoding, STREAM_SQL, database])
        if result["row_count"] != peers.ROW_COUNT:
            raise RuntimeError(f"{result['row_count']} rows came")
        result["server_seconds"] = bench.servers["litebase"].cpu_seconds() - before
        return result
    return {"LiteBase, MessagePack": lambda: measure("msgpack"), "LiteBase, JSON": lambda: measure("json")}


def postgresql_stream(bench):
    """LiteBase beside psql: all at once as a COPY, and by a cursor as LiteBase does, in bounded memory."""
    psql = [find_program("psql"), "-h", bench.servers["postgresql"].directory, "-U", "bench", "-d", "postgres", "-X"]
    return {**litebase_stream(bench, "pg"),
            "`psql`, COPY … TO STDOUT": lambda: piped(bench, [*psql, "-c", f"COPY ({STREAM_SQL}) TO STDOUT"]),
            "`psql`, cursor (FETCH_COUNT 1000)": lambda: piped(bench, [*psql, "-At", "-v", "FETCH_COUNT=1000", "-c", STREAM_SQL])}


def mariadb_stream(bench):
    """LiteBase beside the client that keeps no rows (`-q`)."""
    command = [*bench.servers["mariadb"].client, "--database=bench", "--quick", "--batch", "-e", STREAM_SQL]
    return {**litebase_stream(bench, "my"), "`mariadb -q`": lambda: piped(bench, command)}


# Engine → {title: function that streams the table once}; ours first, the client to compare with third.
STREAMS = {"PostgreSQL": postgresql_stream, "MariaDB": mariadb_stream}


def stream_rows(bench):
    lines = []
    for engine, make in STREAMS.items():
        results = bench.alternate(make(bench))
        peer = list(results)[2]
        for title, result in results.items():
            ratio = median_of(results[peer], "seconds") / median_of(result, "seconds")
            shown = f"{ratio:.2f} × as fast as {peer}" if title.startswith("LiteBase") else ""
            own = f"{median_of(result, 'server_seconds'):.3f} s" if "server_seconds" in result[0] else ""
            lines.append(f"| {engine}: 1 M rows × 5 columns | {title} | {spread_of(result, 'seconds', seconds)} | | | {own} | {shown} |")
            bench.figures.append({"what": f"{engine}, {title}", "seconds": median_of(result, "seconds"), "ratio": ratio})
    return lines


def table(bench, lines, busy_cores):
    return "\n".join([
        f"{time.strftime('%Y-%m-%d')}, {document.machine()}; {', '.join(peers.versions()[:4])}. Medians of {bench.repetitions} "
        f"alternating repetitions (smallest–largest); other programs kept {busy_cores:.2f} cores busy.", "",
        "| what | contender | rate, or time | p50 | p99 | processor time of the pool or server | ratio of medians |",
        "|---|---|---|---|---|---|---|", *lines]) + "\n"


def start_servers(bench):
    postgresql = bench.servers["postgresql"] = peers.start_postgresql(bench.directory)
    if not postgresql:
        raise RuntimeError("PostgreSQL is missing")
    for mode in ("session", "transaction"):
        bench.servers[f"pgbouncer {mode}"] = peers.start_pgbouncer(bench.directory, postgresql, mode)
    mariadb = bench.servers["mariadb"] = peers.start_mariadb(bench.directory)
    if not mariadb:
        raise RuntimeError("MariaDB is missing")
    peers.fill_mariadb(mariadb)
    redis = bench.servers["redis"] = peers.start_redis(bench.directory)
    if not redis:
        raise RuntimeError("Redis is missing")
    bench.servers["litebase"] = start_litebase(bench, "litebase", {
        "pg": f"postgresql://bench@/postgres?host={postgresql.directory}",
        "my": f"mysql://root@/bench?socket={mariadb.socket_path}", "cache": f"redis+unix://{redis.socket_path}"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short repetitions instead of five")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"))
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    parser.add_argument("--document", action="store_true", help="also write the table into docs/performance.md")
    options = parser.parse_args()
    peers.install_missing(peers.PACKAGES)
    part = document.MarkedPart("servers") if options.document else None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    try:
        tools = peers.compile_tools(directory)
        options.litebased = shutil.copy(options.litebased, directory / "litebased")
        os.chmod(directory, 0o755)
        peers.drop_privileges(directory)
        bench, others = Bench(options, directory, tools), document.OthersWatch()
        try:
            start_servers(bench)
            lines = [*point_rows(bench), *stream_rows(bench)]
        finally:
            bench.stop()
        text = table(bench, lines, others.cores())
        print(text)
        if options.json:
            json.dump(bench.figures, options.json, indent=1, ensure_ascii=False)
        if part:
            part.replace(text)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
