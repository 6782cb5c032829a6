#!/usr/bin/env python3
"""How soon those who listen hear of a commit, and what it costs: row 19 of the goals.

    Benchmarks/changes.py [--quick] [--litebased .build/release/litebased]

One client inserts a row, waits for its reply and for the event, and pauses; the event's time counts from the reply on, and from the
sending of the insert. It is alone, or one of 1,000 who listen; the others are read by a process of their own. Then 16 connections insert
as fast as they can, with nobody and with one who listens, in alternating repetitions. At the end: the daemon's processor time while
1,000 listen and nobody writes.
"""

import argparse
import json
import os
import pathlib
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import peers
from bench import Bench, median_of

ROOT = pathlib.Path(__file__).resolve().parent.parent


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client


def ask(client, type, data):
    client.sendall(json.dumps({"id": 1, "type": type, "data": data}).encode() + b"\n")
    reply = client.recv(1 << 16)
    if b'"error"' in reply:
        raise RuntimeError(reply.decode())
    return reply


def listen(bench, path, count):
    """So many who listen, read by a process of their own."""
    if count == 0:
        return None
    child = subprocess.Popen([bench.tools["lb-probe"], "listen", path, str(count)], stdout=subprocess.PIPE)
    if child.stdout.readline() != b"ready\n":
        raise RuntimeError("nobody listens")
    return child


def stop(child):
    if child is not None:
        child.kill()
        child.wait()
        child.stdout.close()


def latencies(path, count):
    """Microseconds from the reply to the event, and from the request."""
    listener, writer = connect(path), connect(path)
    ask(listener, "subscribe", {"relations": ["told"]})
    poll = select.poll()
    for client in (listener, writer):
        poll.register(client, select.POLLIN)
    after_reply, after_request = [], []
    for _ in range(count):
        sent = time.perf_counter_ns()
        writer.sendall(b'{"id":1,"type":"query","data":{"sql":"INSERT INTO told VALUES (1)"}}\n')
        times = {}
        while len(times) < 2:
            for number, _ in poll.poll(5_000):
                times[number] = time.perf_counter_ns()
                os.read(number, 1 << 16)
        after_reply.append((times[listener.fileno()] - times[writer.fileno()]) / 1e3)
        after_request.append((times[listener.fileno()] - sent) / 1e3)
        time.sleep(0.002)
    listener.close()
    writer.close()
    return after_reply, after_request


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter, and two repetitions instead of five")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"), help="the daemon")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    try:
        tools = peers.compile_tools(directory)
        options.litebased = shutil.copy(options.litebased, directory / "litebased")
        peers.drop_privileges(directory)
        bench = Bench(options, directory, tools)
        try:
            measure(bench)
        finally:
            bench.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(bench):
    server = bench.server("litebase")
    path = str(server.socket_path)
    peers.execute_litebase(server, "CREATE TABLE told(x)")
    count = 300 if bench.options.quick else 2_000
    for others in (0, 999):
        child = listen(bench, path, others)
        after_reply, after_request = latencies(path, count)
        print(f"{others + 1} listening: event after the reply p50 {statistics.median(after_reply):.0f} µs, p99 {percentile(after_reply, 0.99):.0f} µs; "
              f"after the request p50 {statistics.median(after_request):.0f} µs, p99 {percentile(after_request, 0.99):.0f} µs")
        if others:
            time.sleep(1)
            before = server.cpu_seconds()
            time.sleep(5)
            print(f"{others + 1} listening, nobody writes: {(server.cpu_seconds() - before) / 5 * 100:.2f} % of a core")
        stop(child)

    peers.execute_litebase(server, f"CREATE TABLE IF NOT EXISTS {peers.ENTRY_TABLE_SQLITE}")

    def inserts(listening):
        child = listen(bench, path, listening)
        # After the last one has gone the daemon goes on for 10 s.
        time.sleep(0 if listening else 11)
        try:
            return bench.load(server, "insert", 16, 1)
        finally:
            stop(child)

    results = bench.alternate({"nobody": lambda: inserts(0), "one": lambda: inserts(1)})
    nobody, one = (median_of(results[name], "requests_per_second") for name in ("nobody", "one"))
    print(f"16 connections insert: {nobody:.0f}/s with nobody, {one:.0f}/s with one listening: {one / nobody:.3f}")


if __name__ == "__main__":
    sys.exit(main())
