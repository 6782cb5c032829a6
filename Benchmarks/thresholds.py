"""`run.py --check`: what the hot path costs in instructions and allocations, against thresholds.json.

Both are counts, so a busy machine hardly disturbs them. Instructions are callgrind's, of the whole daemon with its
libraries, from the end of the warm-up on, divided by the number of requests; one connection, one request at a time, one
loop, so every request pays for a whole turn of the event loop. A loop looks at a lane before it sleeps: what that takes depends
on how long the next request takes to come, and is left out. Allocations are counted by malloc-count.c in a daemon at full speed.
"""

import json
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import peers

FILE = pathlib.Path(__file__).resolve().parent / "thresholds.json"
SLACK = 1.1
# An allocation now and then is none on the hot path: a buffer that grows once, a timer.
ALLOCATIONS_FREE = 0.01
ROW_COUNT = 20_000
REQUEST_COUNT = 10_000
SEED = 4


def frame(identifier, kind, data=b"\xc0"):
    body = b"\x83\xa2id" + bytes([identifier]) + b"\xa4type" + bytes([0xa0 | len(kind)]) + kind + b"\xa4data" + data
    return struct.pack(">I", len(body)) + body


def query(sql, parameters=b""):
    text = sql.encode()
    head = (b"\x82" if parameters else b"\x81") + b"\xa3sql\xd9" + bytes([len(text)]) + text
    return frame(1, b"query", head + (b"\xa6params" + parameters if parameters else b""))


HEALTH = frame(1, b"health_check")
STREAM = query("SELECT id, name, price, stock, tag FROM item")


class Client:
    """One connection, one request at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")

    def ask(self, request):
        self.socket.sendall(request)
        while True:
            (length,) = struct.unpack(">I", self.replies.read(4))
            reply = self.replies.read(length)
            if b"\xa5error" in reply[:40]:
                raise RuntimeError(f"the daemon refused: {reply[:300]!r}")
            if not reply.endswith(b"\xa4more\xc3"):
                return reply

    def health(self, count):
        for _ in range(count):
            self.ask(HEALTH)

    def select(self, count):
        generator = random.Random(SEED)
        for _ in range(count):
            key = generator.randrange(ROW_COUNT) + 1
            self.ask(query("SELECT id, name, price, stock, tag FROM item WHERE id = ?", b"\x91\xce" + struct.pack(">I", key)))

    def stream(self, count):
        for _ in range(count // ROW_COUNT):
            self.ask(STREAM)

    def close(self):
        self.replies.close()
        self.socket.close()


class LaneClient:
    """The same through shared memory (lb-lane.c)."""

    def __init__(self, path):
        with tempfile.TemporaryDirectory() as directory:
            program = peers.compile_program(peers.HERE / "lb-lane.c", pathlib.Path(directory) / "lb-lane")
            self.process = subprocess.Popen([program, path, str(ROW_COUNT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            # The first time shows that the program runs.
            self.ask("health", 300)
        self.ask("select", 300)

    def ask(self, what, count):
        print(what, count, file=self.process.stdin, flush=True)
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError("lb-lane has failed")

    def health(self, count):
        self.ask("health", count)

    def select(self, count):
        self.ask("select", count)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


# Hot path → who does what how often.
WORK = {
    "health_check": (Client, Client.health, REQUEST_COUNT),
    "point_select": (Client, Client.select, REQUEST_COUNT),
    "streamed_row": (Client, Client.stream, 10 * ROW_COUNT),
    "lane_health_check": (LaneClient, LaneClient.health, REQUEST_COUNT),
    "lane_point_select": (LaneClient, LaneClient.select, REQUEST_COUNT),
}
# How long a loop looks before it sleeps: by the socket not at all, since that depends on the time.
SPIN_MICROSECONDS = {Client: 0, LaneClient: 1000}
# What it does meanwhile (EventLoop.look).
LOOKING = "*9EventLoopC4look*"


def worker_turns(pid):
    """How often the worker threads have been woken."""
    turns = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("litebase-worker"):
            turns += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
    return turns


def warm_up(client, pid):
    """Buffers, statements and pages are there afterwards; the hot path begins behind."""
    client.health(200)
    client.select(200)
    client.stream(2 * ROW_COUNT)
    # Under callgrind new code takes so long that it looks like a statement that holds the loop, whose user starts on workers for
    # some seconds (SlowUsers.swift). A statement that was quick on the loop 16 times stays there.
    for _ in range(20):
        before = worker_turns(pid)
        client.select(100)
        if worker_turns(pid) == before:
            return
        time.sleep(1)
    raise RuntimeError("point SELECTs do not stay on the loop")


class Daemon:
    """A standalone daemon with one loop, under another program or with a library loaded, and a client that is warm."""

    def __init__(self, litebased, directory, name, client=Client, wrapper=(), environment=None):
        home = directory / name
        (home / "state").mkdir(parents=True)
        shutil.copy(directory / "items.db", home / "state/default.db")
        path = home / "s"
        config = home / "litebase.toml"
        config.write_text(f"spin_us_max = {SPIN_MICROSECONDS[client]}\n")
        variables = {"STATE_DIRECTORY": str(home / "state"), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home),
                     "HOME": str(home), **(environment or {})}
        self.server = peers.Server(name, [*wrapper, litebased, "--config", str(config), "--listen", "standalone", "--socket", str(path),
                                          "--loops", "1", "--log-level", "warning"], path, home / "log", variables)
        try:
            first = Client(str(path))
            warm_up(first, self.server.process.pid)
            if client is not Client:
                first.close()
            self.client = first if client is Client else client(str(path))
        except BaseException:
            self.server.stop()
            raise

    def stop(self):
        self.client.close()
        self.server.stop()


# Allocations


def count_allocations(litebased, directory):
    library = peers.compile_program(peers.HERE / "malloc-count.c", directory / "malloc-count.so",
                                    ["-shared", "-fPIC", "-fno-builtin"])
    counter = directory / "allocations"

    def total():
        time.sleep(0.05)  # what follows the reply on the loop
        return struct.unpack("<Q", counter.read_bytes())[0]

    found = {}
    for client in SPIN_MICROSECONDS:
        counter.write_bytes(bytes(8))
        daemon = Daemon(litebased, directory, f"allocations-{client.__name__}", client,
                        environment={"LD_PRELOAD": library, "LB_MALLOC_COUNT": str(counter)})
        try:
            if total() < 100:
                raise RuntimeError("malloc-count.so counted nothing: is the daemon linked statically with a malloc of its own?")
            for name, (_, work, count) in ((name, row) for name, row in WORK.items() if row[0] is client):
                before = total()
                work(daemon.client, count)
                found[name] = (total() - before) / count
        finally:
            daemon.stop()
    return found


# Instructions


def control(pid, option):
    """Tells callgrind something (https://valgrind.org/docs/manual/cl-manual.html#cl-manual.callgrind_control-options)."""
    subprocess.run(["callgrind_control", option, str(pid)], check=True, timeout=60, stdout=subprocess.DEVNULL)


def instructions(litebased, directory, name, client, work, count):
    """Instructions of a daemon for `count` times the work, without its start, warm-up and end."""
    output = directory / f"callgrind-{name}"
    # Counting stops at the entry of that function, and goes on behind it.
    daemon = Daemon(litebased, directory, f"callgrind-{name}-daemon", client,
                    ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--toggle-collect={LOOKING}", "--collect-atstart=yes"])
    try:
        pid = daemon.server.process.pid
        control(pid, "--zero")
        work(daemon.client, count)
        control(pid, "--dump")
    finally:
        daemon.stop()
    dump = output.with_name(output.name + ".1").read_text()
    return max(int(number) for number in re.findall(r"^(?:totals|summary): (\d+)", dump, re.M))


def count_instructions(litebased, directory):
    # valgrind 3.19 gives up on the debugging information of newer compilers.
    stripped = str(directory / "litebased.stripped")
    subprocess.run(["strip", "--strip-debug", "-o", stripped, litebased], check=True, timeout=60)
    found = {}
    for name, (client, work, count) in WORK.items():
        print(f"  callgrind: {name}", file=sys.stderr)
        found[name] = instructions(stripped, directory, name, client, work, count) / count
    return found


# The check


def exceeded(measured, allowed):
    """What is above its threshold, or has none: lines for people."""
    lines = []
    for kind, values in measured.items():
        for name, value in values.items():
            limit = allowed.get(kind, {}).get(name)
            if limit is None:
                lines.append(f"{kind} for each {name}: {value:.2f}, and thresholds.json has no limit")
            elif value > limit:
                lines.append(f"{kind} for each {name}: {value:.2f}, more than {limit}")
    return lines


def with_slack(measured):
    return {"instructions": {name: round(value * SLACK) for name, value in measured.get("instructions", {}).items()},
            "allocations": {name: max(ALLOCATIONS_FREE, round(value * SLACK, 2)) for name, value in measured["allocations"].items()}}


def measure(litebased, directory):
    """Both counts, in directories of their own."""
    place = pathlib.Path(tempfile.mkdtemp(dir=directory))
    (place / "items.db").symlink_to(directory / "items.db")
    measured = {"allocations": count_allocations(litebased, place)}
    if shutil.which("valgrind"):
        measured["instructions"] = count_instructions(litebased, place)
    else:
        print("valgrind is missing: instructions are not counted", file=sys.stderr)
    return measured


def check(litebased, directory, update):
    """Measures, prints, compares; the exit status."""
    if not litebased:
        print("no daemon: make build", file=sys.stderr)
        return 69
    peers.create_item_file(directory / "items.db", ROW_COUNT)
    measured = measure(litebased, directory)
    allowed = json.loads(FILE.read_text()) if FILE.exists() else {}
    if update or exceeded(measured, allowed):
        # A statement that is too slow for its loop because the machine is busy goes on in a worker, which costs more:
        # what disturbs can only add.
        again = measure(litebased, directory)
        measured = {kind: {name: min(value, again[kind][name]) for name, value in values.items()} for kind, values in measured.items()}
    if update:
        allowed = with_slack(measured)
    if update:
        FILE.write_text(json.dumps(allowed, indent=2) + "\n")
    for kind, values in measured.items():
        for name, value in values.items():
            print(f"{kind:12} for each {name:12} {value:12.2f}   allowed {allowed.get(kind, {}).get(name)}")
    failures = exceeded(measured, allowed)
    for line in failures:
        print(f"too many {line}", file=sys.stderr)
    return 1 if failures else 0
