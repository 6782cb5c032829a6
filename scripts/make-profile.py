#!/usr/bin/env python3
"""Writes packaging/litebased.profdata: what the daemon does often, by which the compiler lays out and inlines its code (release.mk).

    make profile                              builds the daemon with counters, and runs this
    scripts/make-profile.py LITEBASED         such a daemon; needs gdb, a C compiler, and llvm-profdata of the Swift toolchain

The daemon counts its branches under the load below: requests as programs make them, by socket and lane, in both encodings. Functions
that did not run are left out, and compiled as without a profile. A profile that is old costs time, never a build: of a function that
has changed the compiler takes nothing. Renew it after changes to the hot path, or with a new compiler, and look at
`Benchmarks/lane.py` and `Benchmarks/run.py` before and after.
"""

import argparse
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "Benchmarks"), str(ROOT / "Tests/Support")]

import peers  # noqa: E402
import thresholds  # noqa: E402
import wire  # noqa: E402

PROFILE = ROOT / "packaging/litebased.profdata"
# In the proportion in which they are to be fast. Rows are many: they would make everything else look as if it were seldom done.
SHORT_REQUESTS, OTHER_REQUESTS, STREAMS = 60_000, 2_000, 1


class Caller:
    """One request at a time, as MessagePack or as a line of JSON; what comes back is not decoded but for its end."""

    def __init__(self, path, encoding):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")
        self.encoding = encoding

    def ask(self, kind, **data):
        body = wire.encode({"id": 7, "type": kind, "data": data}, self.encoding)
        self.socket.sendall(wire.framed(body) if self.encoding == "msgpack" else body + b"\n")
        while True:
            if self.encoding == "msgpack":
                body = self.replies.read(struct.unpack(">I", self.replies.read(4))[0])
            else:
                body = self.replies.readline()
            if b'"more":true' not in body and not body.endswith(b"\xa4more\xc3"):
                break
        reply = wire.decode(body)
        if reply.type == "error":
            raise RuntimeError(f"the daemon refused {kind}: {reply.data}")
        return reply.data


def short_requests(path):
    """What the benchmarks measure, through both transports."""
    client, lane = thresholds.Client(path), thresholds.LaneClient(path)
    for one in (client, lane):
        one.health(SHORT_REQUESTS)
        one.select(SHORT_REQUESTS)
    client.stream(STREAMS * thresholds.ROW_COUNT)
    for one in (client, lane):
        one.close()


def other_requests(path):
    """Writes, sessions, batches, and the other encoding."""
    for encoding in ("msgpack", "json"):
        caller = Caller(path, encoding)
        caller.ask("query", sql=f"CREATE TABLE note_{encoding}(id INTEGER PRIMARY KEY, title TEXT NOT NULL, size INTEGER, rate REAL, body BLOB)")
        insert = f"INSERT INTO note_{encoding}(title, size, rate, body) VALUES (?, ?, ?, ?)"
        for number in range(OTHER_REQUESTS):
            caller.ask("query", sql=insert, params=[f"note {number}", number, number / 7, None])
            caller.ask("query", sql="SELECT id, name, price, stock, tag FROM item WHERE id = ?", params=[number + 1])
            if number % 10 == 0:
                session = caller.ask("db_connect", database="default")["session"]
                for sql in ("BEGIN", f"UPDATE note_{encoding} SET size = size + 1 WHERE id = {number + 1}", "COMMIT"):
                    caller.ask("query", sql=sql, session=session)
                caller.ask("db_disconnect", session=session)
                caller.ask("batch", statements=[{"sql": insert, "params": [f"more {number}", 1, 0.5, None]}] * 5)
            caller.ask("health_check")
        for _ in range(STREAMS):
            caller.ask("query", sql="SELECT id, name, price, stock, tag FROM item")
        caller.socket.close()


def record(program, directory):
    state, path = directory / "state", str(directory / "socket")
    state.mkdir()
    peers.create_item_file(state / "default.db", thresholds.ROW_COUNT)
    daemon = peers.Server(
        "profile", [str(program), "--listen=standalone", f"--socket={path}"], pathlib.Path(path), directory / "log",
        {"STATE_DIRECTORY": str(state), "XDG_RUNTIME_DIR": str(directory), "HOME": str(directory),
         "LLVM_PROFILE_FILE": str(directory / "counted.profraw")})
    try:
        short_requests(path)
        other_requests(path)
        # It ends by _exit, and would write nothing.
        subprocess.run(["gdb", "-p", str(daemon.process.pid), "-batch", "-ex", "call (int)__llvm_profile_write_file()"], check=True,
                       timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        daemon.stop()
    return directory / "counted.profraw"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("litebased", type=pathlib.Path, help="a daemon that counts (make profile)")
    options = parser.parse_args()
    # Debian's reads no profiles of a newer compiler.
    merger = pathlib.Path(shutil.which("swiftc")).resolve().parent / "llvm-profdata"
    with tempfile.TemporaryDirectory() as directory:
        counted = record(options.litebased.resolve(), pathlib.Path(directory))
        if not counted.stat().st_size:
            sys.exit("nothing was counted: build the daemon by `make profile`")
        subprocess.run([merger, "merge", "-sparse", "-o", PROFILE, counted], check=True, timeout=120)
    print(f"{PROFILE.relative_to(ROOT)}: {PROFILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
