#!/usr/bin/env python3
"""`make bench`: rows 1-6 and 9-11 of the table of goals, LiteBase beside its peers, as one Markdown table.

Everything runs on this machine, as an unprivileged user, over Unix sockets, in alternating repetitions; the
figures are medians, and goals are ratios of medians, since machines differ and share their cores.
Run as root it installs what is missing (Debian packages of the peers, which start their own services as
packages do) and then drops to `nobody`.

    Benchmarks/run.py [--quick] [--rows 1,2,5] [--litebased .build/release/litebased] [--output FILE]

The note "generator" marks a figure during which the load generator used more than 95 % of a core: then the
server may well be faster than the figure says, and the processor time per request is the better comparison.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import peers
from peers import find_program

ROOT = pathlib.Path(__file__).resolve().parent.parent
STREAM_SQL = "SELECT id, name, price, stock, tag FROM item"
HEALTH_FRAME = b"\x00\x00\x00\x17\x82\xa2id\x01\xa4type\xachealth_check"
IDLE_CONNECTION_COUNT = 10_000


class Bench:
    """The servers, the tools, and the table that grows."""

    def __init__(self, options, directory, tools):
        self.options, self.directory, self.tools = options, directory, tools
        self.repetitions = 2 if options.quick else 5
        self.seconds = 0.7 if options.quick else 2.0
        self.servers, self.lines, self.notes = {}, [], []

    # Servers, started when the first row needs them

    def server(self, name):
        if name not in self.servers:
            print(f"starting {name}", file=sys.stderr)
            starters = {
                "litebase": lambda: self.litebased and peers.start_litebase(self.litebased, self.directory),
                "echo": lambda: peers.start_echo(self.tools["echo"], self.directory),
                "redis": lambda: peers.start_redis(self.directory),
                "postgresql": lambda: peers.start_postgresql(self.directory),
                "pgbouncer": lambda: peers.start_pgbouncer(self.directory, self.server("postgresql")),
            }
            try:
                self.servers[name] = starters[name]() or None
            except (RuntimeError, subprocess.SubprocessError, OSError) as problem:
                self.notes.append(f"{name}: {problem}")
                self.servers[name] = None
        return self.servers[name]

    @property
    def litebased(self):
        return self.options.litebased

    def stop(self):
        for server in reversed(list(self.servers.values())):
            if server:
                server.stop()

    # Measurements

    def load(self, server, workload, connections, depth):
        """One run of the load generator; adds the server's processor time for a request."""
        before = server.cpu_seconds()
        result = run_json([self.tools["lb-load"], server.socket_path, workload, str(connections), str(depth), str(self.seconds),
                           str(peers.ROW_COUNT)])
        # The warm-up is a fifth of the measured time, and part of what the server worked for.
        result["server_us_per_request"] = (server.cpu_seconds() - before) * 1e6 / (result["requests"] * 1.2)
        return result

    def pgbench(self, connections):
        """Prepared point SELECTs by pgbench; the p50 comes from its log of single transactions."""
        server = self.server("postgresql")
        script = self.directory / "select.sql"
        script.write_text(f"\\set id random(1, {peers.ROW_COUNT})\nSELECT id, name, price, stock, tag FROM item WHERE id = :id;\n")
        prefix = self.directory / f"pgbench-{time.monotonic_ns()}"
        command = [find_program("pgbench"), "-h", server.directory, "-U", "bench", "-n", "-M", "prepared", "-f", str(script), "-c",
                   str(connections), "-j", str(min(2, connections)), "-T", str(max(1, round(self.seconds)))]
        if connections == 1:
            command += ["-l", f"--log-prefix={prefix}"]
        output = subprocess.run([*command, "postgres"], capture_output=True, text=True, check=True, timeout=120,
                                cwd=self.directory).stdout
        rate = next(float(line.split("=")[1].split()[0]) for line in output.splitlines() if line.startswith("tps"))
        result = {"requests_per_second": rate}
        for log in self.directory.glob(f"{prefix.name}*"):
            result["p50_us"] = statistics.median(int(line.split()[2]) for line in log.read_text().splitlines())
            log.unlink()
        return result

    def alternate(self, contenders):
        """{name: function} → {name: list of results}, one repetition of each in turn."""
        results = {name: [] for name in contenders}
        for number in range(self.repetitions):
            for name, measure in contenders.items():
                print(f"  {name} {number + 1}/{self.repetitions}", file=sys.stderr)
                results[name].append(measure())
        return results

    # The table

    def row(self, number, what, ours, peer, ratio, goal, met):
        mark = "–" if met is None else "yes" if met else "**no**"
        self.lines.append(f"| {number} | {what} | {ours} | {peer} | {ratio} | {goal} | {mark} |")
        print(self.lines[-1], file=sys.stderr)


def run_json(command, timeout=180):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])}: {done.stderr.strip()[:500]}")
    return json.loads(done.stdout)


def median_of(results, key):
    return statistics.median(result[key] for result in results)


def spread_of(results, key, show):
    values = sorted(result[key] for result in results)
    return f"{show(statistics.median(values))} ({show(values[0])}–{show(values[-1])})"


def per_second(value):
    return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value / 1e3:.1f} k/s"


def microseconds(value):
    return f"{value:.1f} µs" if value < 1000 else f"{value / 1000:.2f} ms"


def seconds(value):
    return f"{value:.3f} s"


def rate_text(results):
    """Rate with its spread, the p50 and p99, the server's own time, and a warning where the generator was the limit."""
    text = spread_of(results, "requests_per_second", per_second)
    if "p99_us" in results[0]:
        text += f"; p50 {microseconds(median_of(results, 'p50_us'))}, p99 {microseconds(median_of(results, 'p99_us'))}"
    if "server_us_per_request" in results[0]:
        text += f"; server {median_of(results, 'server_us_per_request'):.2f} µs/request"
    if results[0].get("generator_cpu_share") is not None:
        share = median_of(results, "generator_cpu_share")
        text += f"; generator {share:.0%}" + (" **(limit)**" if share > 0.95 else "")
    return text


def rates_row(bench, number, what, contenders, goals):
    """A row of rates. `contenders`: ours first; `goals`: {peer: smallest ratio of ours to it}."""
    results = bench.alternate(contenders)
    ours = results.get("LiteBase")
    ratios, met = [], []
    for peer, smallest in goals.items():
        if ours and peer in results:
            ratio = median_of(ours, "requests_per_second") / median_of(results[peer], "requests_per_second")
            ratios.append(f"{ratio:.2f} × {peer}")
            met.append(ratio >= smallest)
    bench.row(number, what, rate_text(ours) if ours else "–",
              "<br>".join(f"{name}: {rate_text(result)}" for name, result in results.items() if name != "LiteBase"),
              "<br>".join(ratios) or "–", ", ".join(f"≥ {smallest} × {peer}" for peer, smallest in goals.items()),
              all(met) and len(met) == len(goals) if met else None)


def health_contenders(bench, depth):
    named = [("LiteBase", "litebase", "health"), ("Redis", "redis", "redis-ping"), ("C echo", "echo", "echo")]
    return {title: (lambda name=name, workload=workload: bench.load(bench.server(name), workload, 16, depth))
            for title, name, workload in named if bench.server(name)}


def row_1(bench):
    rates_row(bench, 1, "`health_check`, 16 connections, one in flight each", health_contenders(bench, 1),
              {"Redis": 1.3, "C echo": 0.85})


def row_2(bench):
    rates_row(bench, 2, "the same, 64 in flight each", health_contenders(bench, 64), {"Redis": 1.0})


def row_3(bench):
    contenders = {}
    if bench.server("litebase"):
        contenders["LiteBase"] = lambda: bench.load(bench.server("litebase"), "select", 16, 1)
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(16)
    if bench.server("redis"):
        contenders["Redis GET"] = lambda: bench.load(bench.server("redis"), "redis-get", 16, 1)
    rates_row(bench, 3, "point `SELECT` of 5 columns in 1 M rows, 16 connections", contenders, {"PostgreSQL": 3, "Redis GET": 0.9})


def row_4(bench):
    contenders = {}
    if bench.server("litebase"):
        contenders["LiteBase"] = lambda: bench.load(bench.server("litebase"), "select", 1, 1)
    if bench.server("postgresql"):
        contenders["PostgreSQL"] = lambda: bench.pgbench(1)
    results = bench.alternate(contenders)
    show = {name: spread_of(result, "p50_us", microseconds) for name, result in results.items()}
    ratio = None
    if {"LiteBase", "PostgreSQL"} <= set(results):
        ratio = median_of(results["LiteBase"], "p50_us") / median_of(results["PostgreSQL"], "p50_us")
    bench.row(4, "the same, 1 connection: p50", show.get("LiteBase", "–"), f"PostgreSQL: {show.get('PostgreSQL', '–')}",
              f"{ratio:.2f} ×" if ratio else "–", "≤ 0.5 ×", ratio <= 0.5 if ratio else None)


# Streams


def stream(bench, encoding):
    result = run_json([bench.tools["lb-probe"], "stream", bench.server("litebase").socket_path, encoding, STREAM_SQL])
    if result["row_count"] != peers.ROW_COUNT:
        raise RuntimeError(f"{result['row_count']} rows came")
    return result


def piped(bench, command):
    """Wall time of a command whose output a minimal reader drains."""
    start = time.monotonic()
    producer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reader = subprocess.run([bench.tools["lb-probe"], "drain"], stdin=producer.stdout, capture_output=True, timeout=120)
    producer.stdout.close()
    if producer.wait(60) != 0:
        raise RuntimeError(f"{command[0]} failed")
    return {"seconds": time.monotonic() - start, **json.loads(reader.stdout)}


def stream_contenders(bench):
    contenders = {}
    if bench.server("litebase"):
        contenders["MessagePack"] = lambda: stream(bench, "msgpack")
        contenders["JSON"] = lambda: stream(bench, "json")
    if find_program("sqlite3"):
        items = bench.directory / "items.db"
        if not items.exists():
            peers.create_item_file(items)
        contenders["`sqlite3 -json`"] = lambda: piped(bench, [find_program("sqlite3"), "-json", str(items), STREAM_SQL])
    if server := bench.server("postgresql"):
        copy = f"COPY ({STREAM_SQL}) TO STDOUT (FORMAT csv)"
        contenders["`COPY`"] = lambda: piped(bench, [find_program("psql"), "-h", server.directory, "-U", "bench", "-d", "postgres",
                                                     "-c", copy])
    return contenders


def row_5(bench):
    results = bench.alternate(stream_contenders(bench))
    goals = [("MessagePack", "`sqlite3 -json`", 4), ("JSON", "`sqlite3 -json`", 3), ("MessagePack", "`COPY`", 1)]
    ratios, met = [], []
    for ours, peer, smallest in goals:
        if ours in results and peer in results:
            ratio = median_of(results[peer], "seconds") / median_of(results[ours], "seconds")
            ratios.append(f"{ours} {ratio:.2f} × as fast as {peer}")
            met.append(ratio >= smallest)

    def shown(names):
        return "<br>".join(f"{name}: {spread_of(results[name], 'seconds', seconds)}" for name in names if name in results) or "–"

    bench.row(5, "stream 1 M rows × 5 columns", shown(("MessagePack", "JSON")), shown(("`sqlite3 -json`", "`COPY`")),
              "<br>".join(ratios) or "–", "MessagePack ≥ 4 ×, JSON ≥ 3 × `sqlite3 -json`; MessagePack ≥ 1 × `COPY`",
              all(met) if met else None)


def connect(server):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(server.socket_path)
    return client


def read_frame(stream_file):
    (length,) = struct.unpack(">I", stream_file.read(4))
    return stream_file.read(length)


def row_6(bench):
    """Peak above idle while the result is read at full speed, and while it is not read at all."""
    if not bench.litebased:
        return bench.row(6, "memory while streaming it", "–", "idle daemon", "–", "≤ 16 MiB above idle", None)
    stall = 2 if bench.options.quick else 10
    server = peers.start_litebase(bench.litebased, bench.directory, "memory")
    try:
        with connect(server) as first:
            first.sendall(HEALTH_FRAME)
            first.recv(1000)
            idle = server.status_kib()
            server.reset_peak()
            for encoding in ("msgpack", "json"):
                run_json([bench.tools["lb-probe"], "stream", server.socket_path, encoding, STREAM_SQL])
            fast = server.status_kib("VmHWM") - idle
            server.reset_peak()
            query = b"\x83\xa2id\x01\xa4type\xa5query\xa4data\x81\xa3sql" + bytes([0xd9, len(STREAM_SQL)]) + STREAM_SQL.encode()
            first.sendall(struct.pack(">I", len(query)) + query)
            with first.makefile("rb") as frames:
                read_frame(frames)
                time.sleep(stall)
            stalled = server.status_kib("VmHWM") - idle
    finally:
        server.stop()
    bench.row(6, f"memory while streaming it: fast reader, reader stalled for {stall} s",
              f"+{fast / 1024:.1f} MiB; +{stalled / 1024:.1f} MiB", f"idle daemon: {idle / 1024:.1f} MiB", "–", "≤ 16 MiB above idle",
              max(fast, stalled) <= 16 * 1024)


# Memory of idle connections


def postgresql_startup():
    body = b"\x00\x03\x00\x00user\0bench\0database\0postgres\0\0"
    return struct.pack(">I", len(body) + 4) + body


def idle_memory(server, greeting, answered):
    """RSS before, and for each of the idle connections that have sent one request each."""
    before = server.status_kib()
    clients = []
    try:
        for _ in range(IDLE_CONNECTION_COUNT):
            client = connect(server)
            clients.append(client)
            client.sendall(greeting)
            received = b""
            while answered not in received:
                piece = client.recv(4096)
                if not piece:
                    raise RuntimeError(f"{server.name} closed connection {len(clients)}: {received[-200:]!r}")
                received += piece
        return {"idle_kib": before, "bytes_each": (server.status_kib() - before) * 1024 / len(clients)}
    finally:
        for client in clients:
            client.close()


def row_9(bench):
    figures = {}
    if bench.litebased:
        server = peers.start_litebase(bench.litebased, bench.directory, "idle", with_items=False)
        try:
            figures["LiteBase"] = idle_memory(server, HEALTH_FRAME, b"health_response")
        finally:
            server.stop()
    for title, name, greeting, answered in (("Redis", "redis", b"PING\r\n", b"+PONG"),
                                            ("PgBouncer", "pgbouncer", postgresql_startup(), b"Z\x00\x00\x00\x05")):
        if server := bench.server(name):
            try:
                figures[title] = idle_memory(server, greeting, answered)
            except (RuntimeError, OSError) as problem:
                bench.notes.append(f"{title}: {problem}")

    def shown(name):
        # Redis holds a million keys here, so its size at rest says nothing.
        rest = "" if name == "Redis" else f"{figures[name]['idle_kib'] / 1024:.1f} MB; "
        return f"{rest}{figures[name]['bytes_each'] / 1000:.2f} KB each"

    ours = figures.get("LiteBase")
    bench.row(9, "resident memory when idle; each of 10,000 idle connections", shown("LiteBase") if ours else "–",
              "<br>".join(f"{name}: {shown(name)}" for name in figures if name != "LiteBase") or "–", "–", "≤ 8 MB; ≤ 4 KB",
              ours["idle_kib"] <= 8000 and ours["bytes_each"] <= 4000 if ours else None)


def row_10(bench):
    if not bench.server("litebase"):
        return bench.row(10, "cancel: sent → terminal frame, p99", "–", "–", "–", "≤ 5 ms", None)
    count = 100 if bench.options.quick else 300
    burner = subprocess.Popen([bench.tools["lb-probe"], "burn", "120"])
    try:
        result = run_json([bench.tools["lb-probe"], "cancel", bench.server("litebase").socket_path, str(count)])
    finally:
        burner.kill()
        burner.wait()
    bench.row(10, f"cancel: sent → terminal frame, p99 of {count}, other core busy", f"p50 {microseconds(result['p50_us'])}, "
              f"p99 {microseconds(result['p99_us'])}, max {microseconds(result['max_us'])}", "–", "–", "≤ 5 ms", result["p99_us"] <= 5000)


def row_11(bench):
    if not bench.litebased:
        return bench.row(11, "stripped daemon binary", "–", "–", "–", "≤ 10 MB", None)
    stripped = bench.directory / "litebased.stripped"
    subprocess.run(["strip", "-o", str(stripped), bench.litebased], check=True, timeout=60)
    size = stripped.stat().st_size
    bench.row(11, "stripped daemon binary", f"{size / 1e6:.1f} MB", "–", "–", "≤ 10 MB", size <= 10_000_000)


ROWS = {1: row_1, 2: row_2, 3: row_3, 4: row_4, 5: row_5, 6: row_6, 9: row_9, 10: row_10, 11: row_11}


class OthersWatch:
    """How many cores other programs kept busy during the run: what makes figures of a shared machine doubtful."""

    def __init__(self):
        self.start, self.busy, self.own = time.monotonic(), self.busy_seconds(), self.own_seconds()

    @staticmethod
    def busy_seconds():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and iowait

    @staticmethod
    def own_seconds():
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    def cores(self):
        """To be called when every server has been waited for, so that its time counts as our own."""
        others = (self.busy_seconds() - self.busy) - (self.own_seconds() - self.own)
        return max(0.0, others / (time.monotonic() - self.start))


def print_table(bench, others, output):
    cores, model = os.cpu_count(), "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    text = "\n".join([
        f"{time.strftime('%Y-%m-%d')}, {cores} cores, {model}, Linux {os.uname().release}; medians of {bench.repetitions} alternating "
        f"repetitions (smallest–largest); other programs kept {others.cores():.2f} cores busy", "",
        "| # | what | ours | peer | ratio of medians | goal | met? |", "|---|---|---|---|---|---|---|", *bench.lines,
        *(["", *(f"- {note}" for note in bench.notes)] if bench.notes else [])]) + "\n"
    print(text)
    if output:
        output.write(text)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short repetitions instead of five")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="which rows, by number")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"), help="the daemon; without one its cells stay empty")
    parser.add_argument("--output", type=argparse.FileType("w"), help="also write the table to this file")
    parser.add_argument("--no-install", action="store_true", help="never install packages")
    options = parser.parse_args()
    options.rows = [int(number) for number in options.rows.split(",")]
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such rows: {sorted(unknown)}")
    return options


def main():
    options = parse_arguments()
    if not options.no_install:
        peers.install_missing()
    peers.raise_descriptor_limit()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    bench = None
    try:
        tools = peers.compile_tools(directory)
        if os.access(options.litebased, os.X_OK):
            options.litebased = shutil.copy(options.litebased, directory / "litebased")
        else:
            print(f"no daemon at {options.litebased}: peers only", file=sys.stderr)
            options.litebased = None
        peers.drop_privileges(directory)
        bench, others = Bench(options, directory, tools), OthersWatch()
        for number in options.rows:
            try:
                ROWS[number](bench)
            except (RuntimeError, subprocess.SubprocessError, OSError) as problem:
                bench.notes.append(f"row {number}: {problem}")
                bench.row(number, "not measured", "–", "–", "–", "–", False)
        bench.stop()
        print_table(bench, others, options.output)
    finally:
        if bench:
            bench.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
