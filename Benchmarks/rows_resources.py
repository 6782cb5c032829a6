"""Rows 5, 6 and 9 to 11: streams, memory, cancelling, sizes."""

import json
import socket
import struct
import subprocess
import time

import peers
from bench import median_of, microseconds, run_json, seconds, spread_of
from peers import find_program

STREAM_SQL = "SELECT id, name, price, stock, tag FROM item"
HEALTH_FRAME = b"\x00\x00\x00\x17\x82\xa2id\x01\xa4type\xachealth_check"
IDLE_CONNECTION_COUNT = 10_000




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
            met.append(bench.at_least(5, f"{ours} × {peer.strip('`')}", ratio, smallest))

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
              bench.at_most(6, "MiB above idle while streaming", max(fast, stalled) / 1024, 16))


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
        rest = "" if name == "Redis" else f"{figures[name]['idle_kib'] * 1.024 / 1000:.1f} MB; "
        return f"{rest}{figures[name]['bytes_each'] / 1000:.2f} KB each"

    ours = figures.get("LiteBase")
    met = ours and [bench.at_most(9, "MB when idle", ours["idle_kib"] * 1.024 / 1000, 8),
                    bench.at_most(9, "KB for each connection", ours["bytes_each"] / 1000, 4)]
    bench.row(9, "resident memory when idle; each of 10,000 idle connections", shown("LiteBase") if ours else "–",
              "<br>".join(f"{name}: {shown(name)}" for name in figures if name != "LiteBase") or "–", "–", "≤ 8 MB; ≤ 4 KB",
              all(met) if ours else None)


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
              f"p99 {microseconds(result['p99_us'])}, max {microseconds(result['max_us'])}", "–", "–", "≤ 5 ms",
              bench.at_most(10, "ms to cancel, p99", result["p99_us"] / 1000, 5))


def row_11(bench):
    if not bench.litebased:
        return bench.row(11, "stripped daemon binary; package", "–", "–", "–", "≤ 10 MB; ≤ 5 MB", None)
    stripped = bench.directory / "litebased.stripped"
    subprocess.run(["strip", "-o", str(stripped), bench.litebased], check=True, timeout=60)
    size = stripped.stat().st_size / 1e6
    met = [bench.at_most(11, "MB of the binary", size, 10)]
    text = f"{size:.1f} MB"
    if bench.options.package:
        package = bench.options.package.stat().st_size / 1e6
        met.append(bench.at_most(11, "MB of the package", package, 5))
        text += f"; {package:.1f} MB"
    else:
        bench.notes.append("row 11: no package in .build/deb (make deb)")
    bench.row(11, "stripped daemon binary; package", text, "–", "–", "≤ 10 MB; ≤ 5 MB", all(met))
