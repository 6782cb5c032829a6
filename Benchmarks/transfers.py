#!/usr/bin/env python3
"""`make bench-transfers`: export, import, Arrow, backup and what subscribers cost, beside the usual tools: rows 15, 16, 17, 19 and 20
of the goals, and the memory of transfers of any length.

One SQLite file and one PostgreSQL have a million rows of five columns: key, integer, short text, real, 30 characters of text. Contenders
take turns within each repetition, files are on the disk of the temporary directory, and figures are medians. What a goal is about is wall
time, which other programs disturb; so the processor time of the daemon, or of the whole peer, stands beside it.

    .venv/bin/python Benchmarks/transfers.py [--quick] [--rows 15,16,17,19,20,memory] [--document] [--json FILE]
        [--litebased .build/release/litebased] [--litebase .build/release/litebase]

Row 17 needs the drivers of clients/python/requirements-dev.txt; without them it is left out.
"""

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import pathlib
import resource
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import changes
import document
import peers
from bench import Bench, median_of, microseconds, per_second, run_json, seconds, spread_of
from peers import find_program

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW_COUNT = peers.ROW_COUNT
TABLE = "(id integer PRIMARY KEY, number bigint NOT NULL, name text NOT NULL, price double precision NOT NULL, text text NOT NULL)"
COLUMNS = "id, number, name, price, text"
#: <linux/fcntl.h>; in Python's module since 3.10.
F_SETPIPE_SZ = 1031
ALL = f"SELECT {COLUMNS} FROM item"


# What is measured: seconds of wall time, and of processor time


def processor_seconds(server=None):
    """Of all programs that were waited for, and of a server that goes on, those of its threads included that have ended."""
    own = time.clock_gettime(~server.process.pid << 3 | 2) if server else 0  # clock_getcpuclockid(3)
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) + own


@contextlib.contextmanager
def measured(server=None):
    """Gives a dictionary, which has the times at the end."""
    found, before, began = {}, processor_seconds(server), time.monotonic()
    yield found
    found["seconds"] = time.monotonic() - began
    found["cpu_seconds"] = processor_seconds(server) - before


def interpreter():
    """This Python, or Debian's of the same version where this one is below a directory of root's own, which may not be entered now."""
    places = [path for path in sys.path if "site-packages" in path]
    for path in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([path, "-c", "import pyarrow"], env={**os.environ, "PYTHONPATH": os.pathsep.join(places)}, capture_output=True, check=True)
            return path, places
    return None, places


def run(command, environment=None, **options):
    done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, timeout=1200,
                          env={**os.environ, **(environment or {})}, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))[:200]}: {done.stderr.decode(errors='replace')[-500:]}")


def settle(bench):
    """Waits until the disk has what was written before: a virtual one may also give what it has saved up first, and little then."""
    os.sync()
    time.sleep(bench.options.settle)


def times(results, names, key="seconds"):
    """Of each contender wall time, its spread, and processor time."""
    return "<br>".join(f"{name}: {spread_of(results[name], 'seconds', seconds)}; processor {median_of(results[name], 'cpu_seconds'):.2f} s"
                       for name in names if name in results) or "–"


def as_fast(results, ours, peer):
    return median_of(results[peer], "seconds") / median_of(results[ours], "seconds")


# Databases


class Databases:
    """A daemon whose databases are a file and a server; both have the rows, and so does the CSV file."""

    def __init__(self, bench):
        self.bench, directory = bench, bench.directory
        self.path, self.csv = directory / "items.db", directory / "items.csv"
        self.postgresql = bench.server("postgresql")
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"CREATE TABLE item {TABLE}")
            database.execute(f"""INSERT INTO item WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c LIMIT {ROW_COUNT})
                                 SELECT n, n * 7919 % 1000003, printf('item %d', n), n * 0.25,
                                        printf('thirty characters of it %06d', n) FROM c""")
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        urls = {"lite": f"sqlite:{self.path}", "into": f"sqlite:{directory}/into.db"}
        if self.postgresql:
            urls["pg"] = f"postgresql://bench@/postgres?host={self.postgresql.directory}"
        home = directory / "transfers"
        (home / "state").mkdir(parents=True)
        (home / "litebase.toml").write_text("".join(f'[databases.{name}]\nurl = "{url}"\n' for name, url in urls.items()))
        self.socket = home / "litebase.sock"
        environment = {"STATE_DIRECTORY": str(home / "state"), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
        self.daemon = peers.Server("transfers", [bench.litebased, "--listen", "standalone", "--socket", str(self.socket), "--log-level",
                                                 "warning", "--config", str(home / "litebase.toml")], self.socket, home / "log", environment)
        bench.servers["transfers"] = self.daemon
        self.litebase("export", ALL, "-d", "lite", "-o", self.csv)
        if self.postgresql:
            self.psql(f"DROP TABLE item; CREATE TABLE item {TABLE}")
            self.psql(f"\\copy item FROM '{self.csv}' (FORMAT csv, HEADER)")
            self.psql("VACUUM ANALYZE item")

    def litebase(self, *words, **options):
        run([self.bench.options.litebase, *words, "--socket", self.socket], **options)

    def psql(self, *statements, **options):
        words = [word for statement in statements for word in ("-c", statement)]
        run([find_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.postgresql.directory, "-U", "bench", "-d", "postgres", *words],
            **{"stdout": subprocess.DEVNULL, **options})

    def fresh(self, name):
        """A path where nothing is."""
        path = self.bench.directory / name
        for ending in ("", "-wal", "-shm", "-journal"):
            pathlib.Path(f"{path}{ending}").unlink(missing_ok=True)
        return path

    def ask(self, type, data, descriptor=None):
        """One request of the protocol on a connection of its own, perhaps with a descriptor; returns the last reply's data."""
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as replies:
            client.connect(str(self.socket))
            client.sendall(b'{"id":1,"type":"hello","data":{"protocol":[1],"descriptors":true}}\n')
            replies.readline()
            extra = {} if descriptor is None else {"descriptors": 1}
            request = json.dumps({"id": 2, "type": type, "data": {**data, **extra}}).encode() + b"\n"
            if descriptor is None:
                client.sendall(request)
            else:
                socket.send_fds(client, [request], [descriptor])
            while True:
                reply = json.loads(replies.readline())
                if reply["type"] == "error":
                    raise RuntimeError(f"{type}: {reply['data']['message']}")
                if not reply["data"].get("more"):
                    return reply["data"]

    def export_to_pipe(self, data):
        """An `export` whose data a thread reads and drops; returns the reply."""
        reading, writing = os.pipe()
        fcntl.fcntl(writing, F_SETPIPE_SZ, 1 << 20)
        sink = os.open("/dev/null", os.O_WRONLY)

        def drain():
            # The kernel moves them: a reader that costs next to nothing.
            while os.splice(reading, sink, 1 << 20):
                pass

        thread = threading.Thread(target=drain)
        thread.start()
        try:
            return self.ask("export", data, writing)
        finally:
            os.close(writing)
            thread.join()
            os.close(reading)
            os.close(sink)


# Rows


def row_15(bench, databases):
    """A CSV file of all rows."""
    def to_file(command_line, server=None):
        path = databases.fresh("out.csv")
        with open(path, "wb") as output, measured(server) as found:
            command_line(output)
        if path.stat().st_size < 50 * ROW_COUNT:
            raise RuntimeError(f"{path.stat().st_size} bytes came")
        return found

    export, query = "`litebase export`", "`litebase query --format csv`"
    contenders = {
        export: lambda: to_file(lambda output: databases.litebase("export", ALL, "-d", "lite", stdout=output), databases.daemon),
        query: lambda: to_file(lambda output: databases.litebase("query", ALL, "-d", "lite", "--format", "csv", stdout=output),
                               databases.daemon),
        "`sqlite3 -csv`": lambda: to_file(lambda output: run([find_program("sqlite3"), "-csv", databases.path, ALL], stdout=output)),
    }
    if databases.postgresql:
        contenders["PostgreSQL's `COPY`"] = lambda: to_file(
            lambda output: databases.psql("COPY item TO STDOUT (FORMAT csv)", stdout=output))
    results = bench.alternate(contenders)
    ratios = {name: 1 / as_fast(results, name, "`sqlite3 -csv`") for name in (export, query)}
    met = [bench.at_most(15, "export ÷ sqlite3 -csv", ratios[export], 0.25), bench.at_most(15, "query ÷ sqlite3 -csv", ratios[query], 0.35)]
    shown = [f"export {ratios[export]:.2f} ×, query {ratios[query]:.2f} × the time of `sqlite3 -csv`"]
    if databases.postgresql:
        shown.append(f"export {1 / as_fast(results, export, list(contenders)[-1]):.2f} × the time of `COPY`")
    bench.row(15, "1 M rows to a CSV file", times(results, (export, query)), times(results, list(contenders)[2:]), "<br>".join(shown),
              "export ≤ 0.25 ×, query ≤ 0.35 × `sqlite3 -csv`", all(met))


def row_16(bench, databases):
    """The file into a new table."""
    def ours(database, prepare, *words):
        prepare()
        settle(bench)
        with measured(databases.daemon) as found:
            databases.litebase("import", databases.csv, "entry", "-d", database, *words, stdout=subprocess.DEVNULL)
        return found

    def new_file():
        databases.ask("query", {"database": "into", "sql": "DROP TABLE IF EXISTS entry"})
        databases.ask("query", {"database": "into", "sql": f"CREATE TABLE entry {TABLE}"})

    def without_table():
        databases.ask("query", {"database": "into", "sql": "DROP TABLE IF EXISTS entry"})

    def library(journal):
        path = databases.fresh("peer.db")
        settle(bench)
        with measured() as found:
            run([find_program("sqlite3"), path, f"PRAGMA journal_mode={journal}", f"CREATE TABLE entry {TABLE}",
                 f".import --csv --skip 1 {databases.csv} entry"], stdout=subprocess.DEVNULL)
        return found

    def new_table():
        databases.psql(f"DROP TABLE IF EXISTS entry; CREATE TABLE entry {TABLE}; CHECKPOINT")

    def copy():
        new_table()
        settle(bench)
        with measured() as found:
            databases.psql(f"\\copy entry FROM '{databases.csv}' (FORMAT csv, HEADER)")
        return found

    table, created, atomic = "`litebase import`", "`litebase import --create`", "`litebase import --atomic`"
    imported, logged = "`sqlite3 .import`", "`sqlite3 .import`, with a write-ahead log"
    contenders = {table: lambda: ours("into", new_file), created: lambda: ours("into", without_table, "--create"),
                  atomic: lambda: ours("into", new_file, "--atomic"), imported: lambda: library("DELETE"), logged: lambda: library("WAL")}
    if databases.postgresql:
        contenders["PostgreSQL: `litebase import`"] = lambda: ours("pg", new_table)
        contenders["PostgreSQL: `\\copy`"] = copy
    results = bench.alternate(contenders)
    ratio = as_fast(results, table, imported)
    met = [bench.at_least(16, "import × sqlite3 .import", ratio, 3)]
    shown = [f"{ratio:.2f} × as fast as `.import` ({as_fast(results, table, logged):.2f} × with a log)"]
    if databases.postgresql:
        ratio = as_fast(results, "PostgreSQL: `litebase import`", "PostgreSQL: `\\copy`")
        met.append(bench.at_least(16, "import × \\copy", ratio, 0.95))
        shown.append(f"PostgreSQL: {ratio:.2f} × as fast as `\\copy`")
    bench.row(16, "a CSV file of 1 M rows into a new table", times(results, [name for name in contenders if "litebase" in name]),
              times(results, [name for name in contenders if "litebase" not in name]), "<br>".join(shown),
              "≥ 3 × as fast as `.import`; as `\\copy` ± 5 %", all(met))


def row_17(bench, databases):
    """All rows as a table of Arrow."""
    missing = [package for package in ("adbc_driver_sqlite", "pyarrow", "msgpack") if not importlib.util.find_spec(package)]
    python, places = interpreter()
    if missing or not python:
        return bench.not_measured(17, "1 M rows as a table of Arrow", f"{', '.join(missing) or 'a Python that others may run'} is missing")
    program = ROOT / "Benchmarks/clients/measure.py"
    environment = {**os.environ, "LITEBASE_SOCKET": str(databases.socket),
                   "PYTHONPATH": os.pathsep.join([str(ROOT / "clients/python/src"), *places])}

    def client(driver, target):
        before = processor_seconds(databases.daemon)
        done = subprocess.run([python, program, driver, "arrow", target, str(ROW_COUNT), "0"], env=environment, capture_output=True,
                              text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{driver}: {(done.stdout + done.stderr)[-1000:]}")
        return {**json.loads(done.stdout), "cpu_seconds": processor_seconds(databases.daemon) - before}

    def bare():
        with measured(databases.daemon) as found:
            reply = databases.export_to_pipe({"database": "lite", "sql": ALL, "format": "arrow"})
        if reply["row_count"] != ROW_COUNT:
            raise RuntimeError(f"{reply['row_count']} rows came")
        return found

    ours, adbc = "Python client, `fetch_arrow_table`", "ADBC's SQLite driver"
    results = bench.alternate({ours: lambda: client("litebase", "lite"), "`export` to a pipe that is drained": bare,
                               adbc: lambda: client("adbc", str(databases.path))})
    ratio = as_fast(results, ours, adbc)
    bench.row(17, "1 M rows as a table of Arrow", times(results, list(results)[:2]), times(results, [adbc]),
              f"{ratio:.2f} × as fast; export alone {as_fast(results, '`export` to a pipe that is drained', adbc):.2f} ×",
              "≥ 3 × as fast", bench.at_least(17, "Arrow × ADBC", ratio, 3))


def row_19(bench, _):
    """From a commit to the events of those who listen."""
    server = bench.server("litebase")
    path = str(server.socket_path)
    peers.execute_litebase(server, "CREATE TABLE IF NOT EXISTS told(x)")
    peers.execute_litebase(server, f"CREATE TABLE IF NOT EXISTS {peers.ENTRY_TABLE_SQLITE}")
    count = 300 if bench.options.quick else 1_000

    def latency(others):
        child = changes.listen(bench, path, others)
        try:
            after_reply, after_request = changes.latencies(path, count)
        finally:
            changes.stop(child)
        return {"p50_us": changes.percentile(after_reply, 0.5), "p99_us": changes.percentile(after_reply, 0.99),
                "request_p50_us": changes.percentile(after_request, 0.5), "request_p99_us": changes.percentile(after_request, 0.99)}

    results = bench.alternate({"1": lambda: latency(0), "1,000": lambda: latency(999)})

    def inserts(listening):
        child = changes.listen(bench, path, listening)
        # After the last one has gone the daemon goes on for 10 s.
        time.sleep(0 if listening else 11)
        try:
            return bench.load(server, "insert", 16, 1)
        finally:
            changes.stop(child)

    rates = bench.alternate({"nobody": lambda: inserts(0), "one": lambda: inserts(1)})
    share = median_of(rates["one"], "requests_per_second") / median_of(rates["nobody"], "requests_per_second")
    met, shown = [], []
    for name, found in results.items():
        p50, p99 = median_of(found, "p50_us"), median_of(found, "p99_us")
        met += [bench.at_most(19, f"{name} listening, p50 in µs", p50, 100), bench.at_most(19, f"{name} listening, p99 in µs", p99, 1000)]
        shown.append(f"{name}: p50 {spread_of(found, 'p50_us', microseconds)}, p99 {spread_of(found, 'p99_us', microseconds)}; after the request "
                     f"p50 {microseconds(median_of(found, 'request_p50_us'))}, p99 {microseconds(median_of(found, 'request_p99_us'))}")
    met.append(bench.at_least(19, "insert rate with one who listens", share, 0.97))
    bench.row(19, "reply to a commit → event, of 1 and of 1,000 subscribers", "<br>".join(shown), "–",
              f"inserts of 16 connections with one who listens: {share:.3f} × without", "p50 ≤ 0.1 ms, p99 ≤ 1 ms; ≥ 0.97 ×", all(met))


# Backup


BACKUP_BYTE_COUNT = 1 << 30
#: When SQLite's own backup is given up, which begins anew with each commit.
SQLITE_BACKUP_SECONDS = 60


class Writers:
    """Connections that insert a row each, one after the other, in a process of their own; it notes how long each waits."""

    def __init__(self, path, count):
        self.results, told = os.pipe()
        self.stopping, stop = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            status = 1
            try:
                os.close(stop)
                os.write(told, json.dumps(self.write(str(path), count)).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(told)
        os.close(self.stopping)
        self.stopping = stop

    def write(self, path, count):
        request = (b'{"id":1,"type":"query","data":{"sql":"INSERT INTO entry (name, price, stock, tag) '
                   b"VALUES ('item number 123456', 30864, 456, 'a tag')\"}}\n")
        poll, sent, slowest, written = select.epoll(), {}, 0, 0
        poll.register(self.stopping, select.EPOLLHUP)
        clients = {}
        for _ in range(count):
            client = changes.connect(path)
            clients[client.fileno()] = client
            poll.register(client, select.EPOLLIN)
            sent[client.fileno()] = time.monotonic()
            client.sendall(request)
        while True:
            for number, _ in poll.poll():
                if number == self.stopping:
                    return {"slowest_ms": slowest * 1e3, "writes": written}
                reply, now = clients[number].recv(1 << 16), time.monotonic()
                if b'"error"' in reply or not reply:
                    raise RuntimeError(reply.decode())
                slowest, written = max(slowest, now - sent[number]), written + 1
                sent[number] = now
                clients[number].sendall(request)

    def stop(self):
        os.close(self.stopping)
        with os.fdopen(self.results) as results:
            text = results.read()
        os.waitpid(self.child, 0)
        return json.loads(text)


def fill_gigabyte(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
        database.execute(f"CREATE TABLE {peers.ENTRY_TABLE_SQLITE}")
        database.execute("CREATE TABLE large(id INTEGER PRIMARY KEY, data BLOB)")
        database.execute(f"""INSERT INTO large WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT {BACKUP_BYTE_COUNT // 10_000})
                             SELECT n, randomblob(9900) FROM c""")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def row_20(bench, databases):
    """A copy of a gigabyte, while others write, and while nobody does."""
    state = bench.directory / "backup/state"
    state.mkdir(parents=True)
    fill_gigabyte(state / "default.db")
    source = state / "default.db"
    home = state.parent
    environment = {"STATE_DIRECTORY": str(state), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    server = peers.Server("backup", [bench.litebased, "--listen", "standalone", "--socket", str(home / "litebase.sock"), "--log-level", "warning"],
                          home / "litebase.sock", home / "log", environment)
    bench.servers["backup"] = server

    def begin():
        """Removes the last copy before anything is measured: to free a gigabyte holds up whoever waits for the file system's journal."""
        path = databases.fresh("copy.db")
        settle(bench)
        return path

    def backup(path):
        run([bench.options.litebase, "backup", "--no-check", path, "--socket", server.socket_path], stdout=subprocess.DEVNULL)

    def cp(path):
        run(["cp", source, path])

    def cp_to_disk(path):
        cp(path)
        run(["sync", "-d", path])

    def sqlite(path):
        # From outside it begins anew whenever somebody has written.
        subprocess.run([find_program("sqlite3"), str(source), f".backup {path}"], timeout=SQLITE_BACKUP_SECONDS, capture_output=True, check=True)

    def nothing(_):
        time.sleep(2)

    def with_writers(copy):
        path = begin()
        writers = Writers(server.socket_path, 16)
        time.sleep(0.5)
        try:
            with measured(server) as found:
                copy(path)
        except subprocess.TimeoutExpired:
            found = {"seconds": float(SQLITE_BACKUP_SECONDS), "cpu_seconds": 0.0}
        finally:
            written = writers.stop()
        return {**found, **written, "megabytes_per_second": source.stat().st_size / found["seconds"] / 1e6}

    def alone(copy):
        path = begin()
        with measured(server) as found:
            copy(path)
        return found

    quiet = bench.alternate({"`litebase backup`": lambda: alone(backup), "`cp`": lambda: alone(cp), "`cp`, then `sync`": lambda: alone(cp_to_disk),
                             "`sqlite3 .backup`": lambda: alone(sqlite)})
    busy = bench.alternate({"`litebase backup`": lambda: with_writers(backup), "`cp`, then `sync`": lambda: with_writers(cp_to_disk),
                            "no copy": lambda: with_writers(nothing)})
    # Once: it may never end.
    busy["`sqlite3 .backup`"] = [with_writers(sqlite)]
    ratio = 1 / (median_of(quiet["`litebase backup`"], "seconds") / median_of(quiet["`cp`, then `sync`"], "seconds"))
    pause = median_of(busy["`litebase backup`"], "slowest_ms")
    met = [bench.at_most(20, "longest pause of a writer in ms", pause, 10), bench.at_least(20, "backup × cp and sync", ratio, 0.7)]

    def shown(name):
        found = busy[name]
        return (f"{name}: longest pause {spread_of(found, 'slowest_ms', lambda value: f'{value:.1f} ms')}, "
                f"{seconds(median_of(found, 'seconds'))}, {per_second(median_of([{'r': each['writes'] / each['seconds']} for each in found], 'r'))} inserts")

    bench.row(20, "backup of 1 GB; below: under 16 writers", times(quiet, ["`litebase backup`"]) + "<br>" + shown("`litebase backup`"),
              times(quiet, list(quiet)[1:]) + "<br>" + "<br>".join(shown(name) for name in busy if name != "`litebase backup`"),
              f"{ratio:.2f} × `cp`, then `sync`; {as_fast(quiet, '`litebase backup`', '`cp`'):.2f} × `cp`", "pause ≤ 10 ms; ≥ 0.7 × `cp`", all(met))


# Memory


def memory(bench, databases):
    """Peaks of the daemon above what it had before."""
    export_count, import_count = (5_000_000, 2_000_000) if bench.options.quick else (100_000_000, 20_000_000)
    server = databases.daemon
    lines = []

    def peak(work):
        before = server.status_kib()
        server.reset_peak()
        began = time.monotonic()
        work()
        return (server.status_kib("VmHWM") - before) / 1024, time.monotonic() - began

    # The table, again and again.
    rows = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT {export_count // ROW_COUNT}) SELECT {COLUMNS} FROM c CROSS JOIN item"
    for format in ("csv", "arrow"):
        def export(format=format):
            reply = databases.export_to_pipe({"database": "lite", "sql": rows, "format": format})
            if reply["row_count"] != export_count:
                raise RuntimeError(f"{reply['row_count']} rows came")

        # A short one first: what any transfer takes is not what a long one takes more.
        databases.export_to_pipe({"database": "lite", "sql": f"{ALL} LIMIT 100000", "format": format})
        mib, took = peak(export)
        lines.append(f"`export`, {format}, {export_count / 1e6:.0f} M rows: +{mib:.1f} MiB, {per_second(export_count / took)} rows")
        bench.at_most("memory", f"export of {format}: MiB", max(mib, 0.01), 16)

    def load():
        databases.ask("query", {"database": "into", "sql": "DROP TABLE IF EXISTS line"})
        databases.ask("query", {"database": "into", "sql": "CREATE TABLE line (number bigint, name text, price double precision, text text)"})
        block = b"".join(b"%d,item %d,%.2f,thirty characters of it %06d\n" % (n * 7919 % 1000003, n, n * 0.25, n) for n in range(20_000))
        reading, writing = os.pipe()

        def feed():
            with os.fdopen(writing, "wb", buffering=0) as output:
                for _ in range(import_count // 20_000):
                    output.write(block)

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            reply = databases.ask("import", {"database": "into", "relation": "line", "format": "csv", "header": False}, reading)
        finally:
            os.close(reading)
            thread.join()
        if reply["row_count"] != import_count:
            raise RuntimeError(f"{reply['row_count']} rows came")

    mib, took = peak(load)
    lines.append(f"`import`, csv, {import_count / 1e6:.0f} M rows: +{mib:.1f} MiB, {per_second(import_count / took)} rows")
    bench.at_most("memory", "import: MiB", max(mib, 0.01), 32)
    bench.row(100, "memory of the daemon while much is transferred", "<br>".join(lines), "–", "–", "flat: export ≤ 16 MiB, import ≤ 32 MiB above before",
              all(figure["times_goal"] >= 1 for figure in bench.figures if figure["row"] == "memory"))
    bench.lines[100] = bench.lines[100].replace("| 100 |", "| – |", 1)


ROWS = {"15": row_15, "16": row_16, "17": row_17, "19": row_19, "20": row_20, "memory": memory}


def parse_arguments():
    parser = argparse.ArgumentParser(description="Export, import, Arrow, backup and subscribers, beside the usual tools.")
    parser.add_argument("--quick", action="store_true", help="two repetitions instead of five, and less of the long rows")
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows")
    parser.add_argument("--repetitions", type=int, help="how many, instead of five")
    parser.add_argument("--settle", type=float, default=10, help="seconds to wait before what writes much (10)")
    parser.add_argument("--litebased", default=str(ROOT / ".build/release/litebased"), help="the daemon")
    parser.add_argument("--litebase", default=str(ROOT / ".build/release/litebase"), help="the client")
    parser.add_argument("--document", action="store_true", help="also write the table into docs/performance.md")
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no such rows: {sorted(unknown)}")
    return options


def main():
    options = parse_arguments()
    peers.install_missing({name: peers.PACKAGES[name] for name in ("sqlite3", "postgres", "cc")})
    # Opened before the rights to it are given up.
    part = document.MarkedPart("transfers") if options.document else None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lb-bench-", dir="/tmp"))
    try:
        tools = peers.compile_tools(directory)
        (directory / "programs").mkdir()
        for name in ("litebased", "litebase"):
            setattr(options, name, shutil.copy(getattr(options, name), directory / "programs" / name))
        peers.drop_privileges(directory)
        bench = Bench(options, directory, tools)
        bench.repetitions = options.repetitions or bench.repetitions
        others = document.OthersWatch()
        try:
            databases = Databases(bench)
            for name in options.rows:
                ROWS[name](bench, databases)
        finally:
            bench.stop()
        text = document.table(bench, others.cores())
        print(text)
        if options.json:
            json.dump(bench.figures, options.json, indent=1)
        if part:
            part.replace(text)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
